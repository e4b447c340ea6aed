//! Profiles: settings that many users share; one of them is the default.

use chrono::Duration;
use http::{HeaderValue, Method, Request};
use serde_json::{Value, json};
use testkit::{Answer, Bench, Tenant, rows};

async fn create_profile(bench: &Bench, tenant: &Tenant, body: Value) -> String {
    bench.post("/profiles", &tenant.key, body).await.expect(201).get("profile_id")
}

fn profile_body(name: &str) -> Value {
    json!({"name": name, "settings": {"server": "pbx.example.com"}})
}

fn path(id: &str) -> String {
    format!("/profiles/{id}")
}

async fn with_header(
    bench: &Bench,
    key: &str,
    method: Method,
    path: &str,
    header: (&'static str, &str),
    body: &Value,
) -> Answer {
    let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
    let mut request = request.body(body.to_string().into_bytes()).unwrap();
    request.headers_mut().insert(header.0, HeaderValue::from_str(header.1).unwrap());
    bench.send(request).await
}

/// The names of the default profiles; there should be exactly one if there are any profiles.
async fn defaults(bench: &Bench, tenant: &Tenant) -> Vec<String> {
    let profiles = bench.list_all(tenant, "/profiles").await;
    let default = profiles.iter().filter(|profile| profile["default"] == true);
    default.filter_map(|profile| profile["name"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_list_of_profiles_omits_settings_and_schema_and_a_single_profile_shows_them() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Profiles").await;
    // JSON that DynamoDB's own types cannot store: large numbers, empty names, deep nesting.
    let mut deep = json!(1);
    for _ in 0..30 {
        deep = json!({"in": deep});
    }
    let settings = json!({"big": 1e200, "": [null, true, {"x": 0.1}], "deep": deep, "whole": u64::MAX});
    let schema = json!({"type": "object", "properties": {"whole": {"type": "integer"}}});
    let body = json!({"name": "Office", "settings": settings, "schema": schema});
    let answer = bench.post("/profiles", &tenant.key, body).await.expect(201);
    assert_eq!((&answer.body["settings"], &answer.body["schema"]), (&settings, &schema));
    bench.advance(Duration::minutes(1));
    let other = create_profile(&bench, &tenant, profile_body("Field")).await;
    let list = bench.get("/profiles", &tenant.key).await.expect(200);
    let names: Vec<&Value> = list.body["items"].as_array().unwrap().iter().map(|item| &item["name"]).collect();
    assert_eq!(names, ["Field", "Office"], "the newest first");
    for item in list.body["items"].as_array().unwrap() {
        assert!(item.get("settings").is_none() && item.get("schema").is_none(), "{item}");
        assert_eq!(item["default"], item["name"] == "Office");
    }
    let one = bench.get(&path(&answer.get("profile_id")), &tenant.key).await.expect(200);
    assert_eq!(one.body, answer.body);
    assert_eq!(one.headers["etag"], "\"1\"");
    let bare = bench.get(&path(&other), &tenant.key).await.expect(200);
    assert_eq!((&bare.body["schema"], &bare.body["revision"]), (&Value::Null, &json!(1)));
}

#[tokio::test]
async fn the_first_profile_becomes_the_default() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Profiles").await;
    assert!(defaults(&bench, &tenant).await.is_empty());
    let first = create_profile(&bench, &tenant, profile_body("first")).await;
    let second = create_profile(&bench, &tenant, profile_body("second")).await;
    assert_eq!(defaults(&bench, &tenant).await, ["first"]);
    let mut third = profile_body("third");
    third["default"] = true.into();
    let third = create_profile(&bench, &tenant, third).await;
    assert_eq!(defaults(&bench, &tenant).await, ["third"]);
    let first_then = bench.get(&path(&first), &tenant.key).await.expect(200);
    assert_eq!(first_then.headers["etag"], "\"2\"", "it is shown differently, so it has another version");
    let moved = bench.patch(&path(&second), &tenant.key, json!({"default": true})).await.expect(200);
    assert_eq!((&moved.body["default"], &moved.body["revision"]), (&json!(true), &json!(1)));
    assert_eq!(defaults(&bench, &tenant).await, ["second"]);
    let refused = bench.patch(&path(&second), &tenant.key, json!({"default": false})).await.expect(409);
    assert_eq!(refused.code(), "profile_is_default");
    let refused = bench.delete(&path(&second), &tenant.key).await.expect(409);
    assert_eq!(refused.code(), "profile_is_default");
    for id in [&first, &third, &second] {
        let _deleted = bench.delete(&path(id), &tenant.key).await.expect(200);
        let missing = bench.get(&path(id), &tenant.key).await.expect(404);
        assert_eq!(missing.code(), "profile_not_found");
    }
    assert!(defaults(&bench, &tenant).await.is_empty());
    let _again = create_profile(&bench, &tenant, profile_body("first")).await;
    assert_eq!(defaults(&bench, &tenant).await, ["first"], "the name is free again");
}

#[tokio::test]
async fn of_concurrently_created_profiles_one_is_the_default_and_all_are_counted() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Profiles").await;
    let (bench, tenant) = (&bench, &tenant);
    let make =
        |at: usize| async move { bench.post("/profiles", &tenant.key, profile_body(&format!("profile {at}"))).await };
    let all = futures::future::join_all((0..6).map(make)).await;
    for answer in all {
        let _created = answer.expect(201);
    }
    assert_eq!(defaults(bench, tenant).await.len(), 1);
    // Profiles are deleted concurrently: one stays the default until there are none.
    let profiles = bench.list_all(tenant, "/profiles").await;
    assert_eq!(profiles.len(), 6);
    let remove = |profile: &Value| {
        let path = path(profile["profile_id"].as_str().unwrap());
        async move { bench.delete(&path, &tenant.key).await }
    };
    let responses = futures::future::join_all(profiles.iter().map(remove)).await;
    let refused = responses.iter().filter(|answer| answer.status == 409).count();
    assert!(refused <= 1 && responses.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 409)));
    assert_eq!(defaults(bench, tenant).await.len(), refused);
}

#[tokio::test]
async fn a_profile_in_use_cannot_be_deleted() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Profiles").await;
    let _default = create_profile(&bench, &tenant, profile_body("first")).await;
    let second = create_profile(&bench, &tenant, profile_body("second")).await;
    let user = bench.user(&tenant, "ada").await;
    let user = format!("/users/{user}");
    let _updated = bench.patch(&user, &tenant.key, json!({"profile_id": second})).await.expect(200);
    let before = rows::everything(&bench);
    let refused = bench.delete(&path(&second), &tenant.key).await.expect(409);
    assert_eq!(refused.code(), "profile_in_use");
    assert!(before == rows::everything(&bench));
    // Profiles of deleted users are not in use.
    let _deleted = bench.delete(&user, &tenant.key).await.expect(200);
    bench.advance(Duration::minutes(2));
    let _deleted = bench.delete(&path(&second), &tenant.key).await.expect(200);
}

#[tokio::test]
async fn an_assigned_profile_cannot_be_deleted_while_the_index_is_stale() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Profiles").await;
    let _default = create_profile(&bench, &tenant, profile_body("first")).await;
    let second = create_profile(&bench, &tenant, profile_body("second")).await;
    let (ada, bea) = (bench.user(&tenant, "ada").await, bench.user(&tenant, "bea").await);
    let unknown_to_the_index = |user: &str| {
        let is_match = |row: &&Value| row["sk"] == "USER" && row["user_id"] == *user;
        let mut row = rows::all(&bench, rows::MAIN).values().find(is_match).cloned().unwrap();
        let _indexed = row.as_object_mut().unwrap().remove("of_profile").expect("the row has the index attribute");
        rows::put(&bench, rows::MAIN, &row, &[]);
    };
    // Assigned by an edit, and half a minute later by a deployment, which records nothing more.
    let assignment = json!({"profile_id": second});
    let _updated = bench.patch(&format!("/users/{ada}"), &tenant.key, assignment.clone()).await.expect(200);
    bench.advance(Duration::seconds(59));
    let _deployment = bench.post(&format!("/users/{bea}/deploy"), &tenant.key, assignment).await.expect(202);
    unknown_to_the_index(&ada);
    unknown_to_the_index(&bea);
    bench.advance(Duration::seconds(60));
    let before = rows::everything(&bench);
    let refused = bench.delete(&path(&second), &tenant.key).await.expect(409);
    assert_eq!(refused.code(), "profile_just_given");
    assert!(before == rows::everything(&bench));
    bench.advance(Duration::seconds(1));
    let _deleted = bench.delete(&path(&second), &tenant.key).await.expect(200);
}

#[tokio::test]
async fn assigning_a_profile_does_not_conflict_with_changing_it() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Profiles").await;
    let _default = create_profile(&bench, &tenant, profile_body("first")).await;
    let second = create_profile(&bench, &tenant, profile_body("second")).await;
    let shown = bench.get(&path(&second), &tenant.key).await.expect(200);
    let seen = shown.headers["etag"].to_str().unwrap().to_owned();
    let change = |method: Method, body: Value| {
        let request = Request::builder().method(method).uri(path(&second)).header("if-match", &seen);
        let request = request.header("authorization", format!("Bearer {}", tenant.key));
        bench.send(request.body(body.to_string().into_bytes()).unwrap())
    };
    for (minute, name) in ["ada", "bea", "cleo"].into_iter().enumerate() {
        let user = bench.user(&tenant, name).await;
        let assignment = json!({"profile_id": second});
        let _updated = bench.patch(&format!("/users/{user}"), &tenant.key, assignment.clone()).await.expect(200);
        let _deployment = bench.post(&format!("/users/{user}/deploy"), &tenant.key, assignment).await.expect(202);
        let now = bench.get(&path(&second), &tenant.key).await.expect(200);
        assert_eq!((now.headers["etag"].to_str().unwrap(), &now.body), (seen.as_str(), &shown.body), "{minute}");
        let _deleted = bench.delete(&format!("/users/{user}"), &tenant.key).await.expect(200);
        bench.advance(Duration::minutes(1));
    }
    // For two minutes after the assignment the profile cannot be deleted.
    assert_eq!(change(Method::DELETE, json!({})).await.expect(409).code(), "profile_just_given");
    let _renamed = change(Method::PATCH, json!({"name": "third"})).await.expect(200);
    let outdated = change(Method::PATCH, json!({"name": "fourth"})).await.expect(412);
    assert_eq!(outdated.code(), "version_mismatch");
    bench.advance(Duration::minutes(1));
    let _deleted = bench.delete(&path(&second), &tenant.key).await.expect(200);
    let remaining = rows::all(&bench, rows::MAIN).keys().filter(|key| key.contains(&second)).count();
    let events = rows::all(&bench, rows::MAIN).values().filter(|row| row["profile_id"] == *second).count();
    assert!(remaining == 0 && events > 0, "only its events are left");
}

#[tokio::test]
async fn profile_names_are_unique_without_case() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Profiles").await;
    let first = create_profile(&bench, &tenant, profile_body("Büro")).await;
    let second = create_profile(&bench, &tenant, profile_body("Field")).await;
    for name in ["büro", "BURO", " Büro "] {
        let refused = bench.post("/profiles", &tenant.key, profile_body(name)).await.expect(409);
        assert_eq!(refused.code(), "profile_name_taken", "{name}");
        let refused = bench.patch(&path(&second), &tenant.key, json!({"name": name})).await.expect(409);
        assert_eq!(refused.code(), "profile_name_taken", "{name}");
    }
    // Its own name in another case is allowed.
    let renamed = bench.patch(&path(&first), &tenant.key, json!({"name": "BÜRO"})).await.expect(200);
    assert_eq!(renamed.get("name"), "BÜRO");
    let _other = bench.patch(&path(&first), &tenant.key, json!({"name": "Office"})).await.expect(200);
    let _updated = bench.patch(&path(&second), &tenant.key, json!({"name": "buro"})).await.expect(200);
    // In another workspace the name is free.
    let other = bench.tenant("Other").await;
    let _created = bench.post("/profiles", &other.key, profile_body("Office")).await.expect(201);
}

#[tokio::test]
async fn the_revision_increases_only_with_the_settings_and_a_change_of_nothing_records_no_event() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Profiles").await;
    let id = create_profile(&bench, &tenant, profile_body("Office")).await;
    let revision = async |body: Value| {
        bench.advance(chrono::Duration::minutes(1));
        let answer = bench.patch(&path(&id), &tenant.key, body).await.expect(200);
        (answer.body["revision"].as_u64().unwrap(), answer.headers["etag"].to_str().unwrap().to_owned())
    };
    assert_eq!(revision(json!({"name": "Office 2"})).await, (1, "\"2\"".to_owned()));
    assert_eq!(revision(json!({"schema": {"type": "object"}})).await, (1, "\"3\"".to_owned()));
    assert_eq!(revision(json!({"settings": {"server": "other"}})).await, (2, "\"4\"".to_owned()));
    let events = bench.event_types(&tenant).await.len();
    for same in [json!({}), json!({"settings": {"server": "other"}}), json!({"default": true, "name": "Office 2"})] {
        assert_eq!(revision(same).await, (2, "\"4\"".to_owned()));
    }
    assert_eq!(bench.event_types(&tenant).await.len(), events);
    assert_eq!(revision(json!({"schema": null})).await, (2, "\"5\"".to_owned()));
    // The events name the changed fields, without settings.
    let events = bench.get("/events?event_type=profile.updated", &tenant.key).await.expect(200);
    let settings = &events.body["items"][1];
    assert_eq!(settings["changed_fields"], json!(["settings"]));
    assert_eq!(settings["changes"], json!({"revision": {"before": 1, "after": 2}}));
    assert_eq!(settings["profile_id"], json!(id));
    assert!(!events.text.contains("other") && !events.text.contains("pbx.example.com"));
}

#[tokio::test]
async fn settings_that_violate_the_profiles_schema_are_rejected_with_every_error() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Profiles").await;
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "properties": {
            "pbx": {"properties": {"host": {"type": "string", "pattern": "^[a-z.]+$"}}, "required": ["host"]},
            "ports": {"items": {"type": "integer", "maximum": 65535}},
        },
        "additionalProperties": false,
    });
    let body = json!({"name": "Office", "settings": {"pbx": {"host": "pbx"}, "ports": [5061]}, "schema": schema});
    let id = create_profile(&bench, &tenant, body).await;
    let before = rows::everything(&bench);
    let secret = "s3cret-s3cret";
    let bad = json!({"settings": {"pbx": {"host": secret}, "ports": [1, 70_000, secret], "else": secret}});
    let refused = bench.patch(&path(&id), &tenant.key, bad).await.expect(422);
    let mut places: Vec<&str> =
        refused.body["errors"].as_array().unwrap().iter().map(|fault| fault["field"].as_str().unwrap()).collect();
    places.sort_unstable();
    assert_eq!(places, ["settings", "settings.pbx.host", "settings.ports.1", "settings.ports.2"], "{}", refused.text);
    assert!(refused.body["errors"].as_array().unwrap().iter().all(|fault| fault["code"] == "schema_violation"));
    assert!(!refused.text.contains(secret));
    assert!(before == rows::everything(&bench));
}

#[tokio::test]
async fn a_repeated_request_creates_one_profile() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Profiles").await;
    let send = async |body: &Value| {
        with_header(&bench, &tenant.key, Method::POST, "/profiles", ("idempotency-key", "once"), body).await
    };
    let first = send(&profile_body("Office")).await.expect(201);
    let before = rows::everything(&bench);
    let repeated = send(&profile_body("Office")).await.expect(201);
    assert_eq!(first.body, repeated.body);
    assert_eq!(send(&profile_body("Other")).await.expect(422).code(), "idempotency_mismatch");
    assert!(before == rows::everything(&bench));
}

#[tokio::test]
async fn a_change_of_a_profile_may_name_its_version() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Profiles").await;
    let id = create_profile(&bench, &tenant, profile_body("Office")).await;
    let send = async |method: Method, tag: &str, body: Value| {
        with_header(&bench, &tenant.key, method, &path(&id), ("if-match", tag), &body).await
    };
    let _changed = send(Method::PATCH, "\"1\"", json!({"name": "Office 2"})).await.expect(200);
    let before = rows::everything(&bench);
    for (method, body) in [(Method::PATCH, json!({"name": "Office 3"})), (Method::DELETE, json!({}))] {
        let stale = send(method, "\"1\"", body).await.expect(412);
        assert_eq!(stale.code(), "version_mismatch");
    }
    assert!(before == rows::everything(&bench));
    let _deleted = send(Method::DELETE, "\"2\"", json!({})).await.expect(200);
}

#[tokio::test]
async fn users_are_shown_with_their_profiles_name_in_every_response() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Profiles").await;
    let _default = create_profile(&bench, &tenant, profile_body("first")).await;
    let own = create_profile(&bench, &tenant, profile_body("second")).await;
    let key = &tenant.key;
    let (ada, bea) = (bench.user(&tenant, "ada").await, bench.user(&tenant, "bea").await);
    let user = format!("/users/{ada}");
    let assignment = bench.patch(&user, key, json!({"profile_id": own})).await.expect(200);
    assert_eq!(assignment.body["profile"], "second");
    let renamed = bench.patch(&path(&own), key, json!({"name": "Other"})).await.expect(200);
    assert_eq!(renamed.body["name"], "Other");
    for action in ["suspend", "activate", "reset-pin", "force-config", "lock-and-wipe"] {
        let response = bench.post(&format!("{user}/{action}"), key, json!({})).await.expect(200);
        assert_eq!(response.body["profile"], "Other", "{action}");
    }
    assert_eq!(bench.get(&user, key).await.expect(200).body["profile"], "Other");
    let shown = async |list: &str, id: &str| {
        let all = bench.list_all(&tenant, list).await;
        all.into_iter().find(|shown| shown["user_id"] == *id).unwrap()["profile"].clone()
    };
    assert_eq!((shown("/users", &ada).await, shown("/users", &bea).await), (json!("Other"), Value::Null));
    assert_eq!(
        (shown("/deployments", &ada).await, shown("/deployments", &bea).await),
        (json!("Other"), json!("first"))
    );
    let export = bench.get("/users/export?columns=user_id,profile", key).await.expect(200);
    assert!(export.text.contains(&format!("{ada},Other\r\n")), "{}", export.text);
    let remaining = bench.delete(&format!("/deployments{user}"), key).await.expect(200);
    assert_eq!((&remaining.body["profile"], &remaining.body["profile_id"]), (&Value::Null, &Value::Null));
}
