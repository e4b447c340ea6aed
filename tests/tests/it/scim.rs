//! Identity providers manage users by SCIM 2.0, with the requests that Okta and Entra ID send. Filters, paths and
//! patches are tested in detail in `shared/domain/tests/rules/scim.rs`.

use std::collections::BTreeSet;

use http::{Method, Request};
use serde_json::{Value, json};
use testkit::wire::Meter;
use testkit::{Answer, Bench, Setup, Tenant, rows};

use crate::fixture::encoded;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

struct Provider {
    bench: Bench,
    tenant: Tenant,
    key: String,
}

/// An API key as a provider gets it, with the permission to manage users only.
async fn provider_key(bench: &Bench, tenant: &Tenant) -> String {
    let body = json!({"name": "provider", "permissions": ["users:manage"]});
    bench.post("/keys", &tenant.key, body).await.expect(201).get("key")
}

impl Provider {
    async fn new() -> Self {
        let bench = Bench::start().await;
        let tenant = bench.tenant("Acme").await;
        let key = provider_key(&bench, &tenant).await;
        Self { bench, tenant, key }
    }

    async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/scim/v2{path}"));
        request = request.header("authorization", format!("Bearer {}", self.key));
        request = request.header("content-type", "application/scim+json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let answer = self.bench.send(request.body(body).unwrap()).await;
        assert_eq!(answer.headers["content-type"], "application/scim+json", "{}", answer.text);
        assert!(!answer.headers["x-request-id"].is_empty());
        answer
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], None).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, &[], Some(body)).await
    }

    async fn patch(&self, user: &str, operations: Value) -> Answer {
        let body = json!({"schemas": [PATCH_OP], "Operations": operations});
        self.call(Method::PATCH, &format!("/Users/{user}"), &[], Some(body)).await
    }

    async fn create(&self, username: &str) -> String {
        self.post("/Users", json!({"schemas": [USER], "userName": username})).await.expect(201).get("id")
    }

    /// The usernames of a list, in its order.
    async fn list(&self, query: &str) -> Vec<String> {
        usernames(&self.get(&format!("/Users?{query}")).await.expect(200))
    }

    async fn filtered(&self, filter: &str) -> Vec<String> {
        self.list(&format!("filter={}", encoded(filter))).await
    }

    /// The user as returned by Handset's own API.
    async fn handset_user(&self, user: &str) -> Value {
        self.bench.get(&format!("/users/{user}"), &self.tenant.key).await.expect(200).body
    }

    fn scim_attributes_row(&self, user: &str) -> Option<Value> {
        let rows = rows::all(&self.bench, rows::MAIN);
        rows.into_values().find(|row| row["sk"] == "SCIM" && row["pk"].as_str().unwrap().ends_with(user))
    }
}

fn usernames(list: &Answer) -> Vec<String> {
    let resources = list.body["Resources"].as_array().unwrap();
    resources.iter().map(|user| user["userName"].as_str().unwrap().to_owned()).collect()
}

/// Asserts that an answer is a SCIM error (RFC 7644, 3.12).
fn assert_scim_error(answer: &Answer, status: u16, scim_type: Option<&str>) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/scim+json");
    assert!(!answer.headers["x-request-id"].is_empty());
    assert_eq!(answer.body["schemas"], json!([ERROR]), "{}", answer.text);
    assert_eq!(answer.body["status"], status.to_string(), "{}", answer.text);
    assert_eq!(answer.body["scimType"].as_str(), scim_type, "{}", answer.text);
    assert!(answer.body["detail"].is_string());
}

#[tokio::test]
async fn okta_finds_creates_updates_and_deactivates_a_user() {
    let fixture = Provider::new().await;
    let by_name = "/Users?filter=userName%20eq%20%22test.user%40okta.local%22&startIndex=1&count=100";
    let nobody = fixture.get(by_name).await.expect(200).body;
    let wanted = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 0, "startIndex": 1, "itemsPerPage": 0, "Resources": [],
    });
    assert_eq!(nobody, wanted);

    let body = json!({
        "schemas": [USER],
        "userName": "test.user@okta.local",
        "name": {"givenName": "Test", "familyName": "User"},
        "emails": [{"primary": true, "value": "test.user@okta.local", "type": "work"}],
        "displayName": "Test User",
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "password": "1mz050nq",
        "active": true,
    });
    let made = fixture.post("/Users", body).await.expect(201);
    let id = made.get("id");
    let location = made.headers["location"].to_str().unwrap();
    assert!(location.starts_with("http") && location.ends_with(&format!("/scim/v2/Users/{id}")), "{location}");
    assert_eq!(made.body["meta"]["location"], location);
    assert_eq!(
        (&made.headers["etag"], made.body["meta"]["version"].as_str()),
        (&http::HeaderValue::from_static("W/\"1\""), Some("W/\"1\""))
    );
    assert!(!made.text.contains("1mz050nq") && !made.text.contains("groups"));
    let stored = rows::everything(&fixture.bench);
    assert!(stored.values().all(|row| !row.to_string().contains("1mz050nq")), "a password is thrown away");
    let own = fixture.handset_user(&id).await;
    let wanted = json!([
        "test.user@okta.local",
        "Test",
        "User",
        "test.user@okta.local",
        "scim",
        "00ujl29u0le5T6Aj10h7",
        "inactive"
    ]);
    let shown = ["username", "first_name", "last_name", "email", "source", "external_id", "status"];
    assert_eq!(shown.map(|name| own[name].clone()).to_vec(), *wanted.as_array().unwrap());
    assert_eq!(fixture.list(&by_name["/Users?".len()..]).await, ["test.user@okta.local"]);

    // Its profile push: the user as they were read, with other values.
    let mut profile = fixture.get(&format!("/Users/{id}")).await.expect(200).body;
    profile["name"]["familyName"] = json!("Updated");
    profile["title"] = json!("Guide");
    let pushed = fixture.put(&format!("/Users/{id}"), profile).await.expect(200);
    assert_eq!(
        (pushed.body["title"].as_str(), &pushed.headers["etag"]),
        (Some("Guide"), &http::HeaderValue::from_static("W/\"2\""))
    );
    assert_eq!(fixture.handset_user(&id).await["last_name"], "Updated");

    let away = fixture.patch(&id, json!([{"op": "replace", "value": {"active": false}}])).await.expect(200);
    assert_eq!(away.body["active"], false);
    assert_eq!(fixture.handset_user(&id).await["status"], "suspended");
    let back = fixture.patch(&id, json!([{"op": "replace", "value": {"active": true}}])).await.expect(200);
    assert_eq!(back.body["active"], true);
    assert_eq!(fixture.handset_user(&id).await["status"], "inactive");
    let mut types = fixture.bench.event_types(&fixture.tenant).await;
    types.retain(|event_type| event_type.starts_with("user."));
    // All in one moment, so that their order says nothing.
    types.sort();
    assert_eq!(types, ["user.activated", "user.created", "user.suspended", "user.updated"]);
}

#[tokio::test]
async fn entra_matches_creates_and_patches_a_user_by_its_own_requests() {
    let fixture = Provider::new().await;
    let body = json!({
        "schemas": [USER, ENTERPRISE],
        "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
        "userName": "Test_User_ab6490ee-1e48-479e-a20b-2d77186b5dd1",
        "active": true,
        "emails": [{"primary": true, "type": "work", "value": "Test_User_fd0ea19b-0777-472c-9f96-4f70d2226f2e@testuser.com"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "givenName familyName", "familyName": "familyName", "givenName": "givenName"},
        "roles": [],
    });
    let id = fixture.post("/Users", body).await.expect(201).get("id");
    let by = |filter: &str| format!("filter={}", encoded(filter));
    let found = fixture.list(&by("userName eq \"test_user_AB6490ee-1e48-479e-a20b-2d77186b5dd1\"")).await;
    assert_eq!(found.len(), 1, "whatever the capitals");
    assert_eq!(fixture.list(&by("externalId eq \"0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef\"")).await, found);
    assert_eq!(fixture.list(&by("userName eq \"non-existent user\"")).await, [""; 0]);

    let operations = json!([
        {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "updatedEmail@microsoft.com"},
        {"op": "Replace", "path": "name.familyName", "value": "updatedFamilyName"},
        {"op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+49 170 1234567"},
        {"op": "Add", "path": format!("{ENTERPRISE}:department"), "value": "Sales"},
        {"op": "Add", "path": format!("{ENTERPRISE}:manager"), "value": "26118915-6090-4610-87e4-49d8ca9f808d"},
        {"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User:tag", "value": "701984"},
    ]);
    let patched = fixture.patch(&id, operations).await.expect(200).body;
    assert_eq!(patched["emails"][0]["value"], "updatedEmail@microsoft.com");
    let manager = json!({"value": "26118915-6090-4610-87e4-49d8ca9f808d"});
    assert_eq!(patched[ENTERPRISE], json!({"department": "Sales", "manager": manager}));
    let own = fixture.handset_user(&id).await;
    assert_eq!(
        (own["email"].as_str(), own["last_name"].as_str()),
        (Some("updatedEmail@microsoft.com"), Some("updatedFamilyName"))
    );
    assert_eq!(own["mobile"], "+491701234567");

    let away = fixture.patch(&id, json!([{"op": "Replace", "path": "active", "value": "False"}])).await.expect(200);
    assert_eq!(away.body["active"], false);
    assert_eq!(fixture.handset_user(&id).await["status"], "suspended");
    let many = json!([{"op": "replace", "value": {
        "displayName": "New", "name.givenName": "Other", "emails[type eq \"work\"].value": "other@microsoft.com",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber": "17", "active": "True",
    }}]);
    let patched = fixture.patch(&id, many).await.expect(200).body;
    assert_eq!((patched["active"].as_bool(), patched["displayName"].as_str()), (Some(true), Some("New")));
    assert_eq!(
        (&patched["name"]["givenName"], &patched[ENTERPRISE]["employeeNumber"]),
        (&json!("Other"), &json!("17"))
    );
}

#[tokio::test]
async fn a_deleted_user_is_gone_for_the_provider_and_their_names_are_free() {
    let fixture = Provider::new().await;
    let body =
        json!({"userName": "ada", "externalId": "1", "title": "Guide", "emails": [{"value": "ada@example.com"}]});
    let id = fixture.post("/Users", body.clone()).await.expect(201).get("id");
    let code = fixture.bench.invite(&fixture.tenant, &id, 1).await;
    let phone = fixture.bench.register(&code, "phone").await.expect(201);
    let gone = fixture.call(Method::DELETE, &format!("/Users/{id}"), &[], None).await.expect(204);
    assert_eq!(gone.text, "");
    assert_scim_error(&fixture.get(&format!("/Users/{id}")).await, 404, None);
    assert_scim_error(&fixture.call(Method::DELETE, &format!("/Users/{id}"), &[], None).await, 404, None);
    assert_scim_error(&fixture.patch(&id, json!([{"op": "add", "path": "title", "value": "x"}])).await, 404, None);
    assert_eq!(fixture.list("").await, [""; 0]);
    let check_in = fixture.bench.check_in(&phone.get("credential")).await.expect(200);
    assert_eq!(check_in.body["access"], "deleted");
    let events = fixture.bench.get("/events?event_type=user.deleted", &fixture.tenant.key).await.expect(200);
    assert_eq!(events.body["items"][0]["private"]["reason"], "deleted by the identity provider");
    let again = fixture.post("/Users", body).await.expect(201).get("id");
    assert_ne!(again, id);
    assert_eq!(fixture.list("").await, ["ada"]);

    // The SCIM attributes are purged with the user.
    assert!(fixture.scim_attributes_row(&id).is_some());
    fixture.bench.advance(chrono::Duration::days(365));
    let _purged = fixture.bench.purge().await;
    let _purged = fixture.bench.purge().await;
    fixture.bench.drain().await;
    let stored = rows::all(&fixture.bench, rows::MAIN);
    let of_user =
        |row: &&Value| row["pk"].as_str().unwrap().ends_with(&id) && row["pk"].as_str().unwrap().starts_with("USER#");
    assert_eq!(stored.values().filter(of_user).count(), 0, "nothing is left of the user's own rows");
    assert!(fixture.scim_attributes_row(&again).is_some());
}

#[tokio::test]
async fn user_names_and_external_ids_are_unique_and_a_users_own_are_no_conflict() {
    let fixture = Provider::new().await;
    let ada = fixture.post("/Users", json!({"userName": "Ada", "externalId": "1"})).await.expect(201).get("id");
    let bob = fixture.post("/Users", json!({"userName": "bob", "externalId": "2"})).await.expect(201).get("id");
    let before = rows::everything_but_derived(&fixture.bench);
    for body in
        [json!({"userName": "ADA"}), json!({"userName": "\u{ff21}da"}), json!({"userName": "cleo", "externalId": "1"})]
    {
        assert_scim_error(&fixture.post("/Users", body).await, 409, Some("uniqueness"));
    }
    assert_scim_error(
        &fixture.put(&format!("/Users/{bob}"), json!({"userName": "ada"})).await,
        409,
        Some("uniqueness"),
    );
    for operation in [
        json!({"op": "replace", "path": "userName", "value": "ada"}),
        json!({"op": "replace", "path": "externalId", "value": "1"}),
    ] {
        assert_scim_error(&fixture.patch(&bob, json!([operation])).await, 409, Some("uniqueness"));
    }
    assert!(before == rows::everything_but_derived(&fixture.bench), "nothing was changed");
    let own = json!({"userName": "ADA", "externalId": "1"});
    assert_eq!(fixture.put(&format!("/Users/{ada}"), own).await.expect(200).get("userName"), "ADA");
    // What is given up is free for another.
    let _freed = fixture.patch(&ada, json!([{"op": "remove", "path": "externalId"}])).await.expect(200);
    let _taken = fixture.patch(&bob, json!([{"op": "replace", "path": "externalId", "value": "1"}])).await.expect(200);
}

#[tokio::test]
async fn concurrent_requests_create_a_user_once() {
    let fixture = Provider::new().await;
    for round in 0..10 {
        let body = json!({"userName": format!("twin{round}"), "externalId": format!("{round}")});
        let other = json!({"userName": format!("other{round}"), "externalId": format!("{round}")});
        let answers =
            futures::future::join_all([body.clone(), body, other].map(|body| fixture.post("/Users", body))).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        let refused = answers.iter().filter(|answer| answer.status == 409).count();
        assert_eq!((made, refused), (1, 2));
    }
}

#[tokio::test]
async fn versions_guard_changes_and_spare_repeated_reads() {
    let fixture = Provider::new().await;
    let id = fixture.create("ada").await;
    let path = format!("/Users/{id}");
    let title = |title: &str| Some(json!({"Operations": [{"op": "replace", "path": "title", "value": title}]}));
    let tag = |answer: &Answer| answer.headers["etag"].to_str().unwrap().to_owned();
    let first = tag(&fixture.get(&path).await.expect(200));
    for seen in [first.as_str(), "\"1\"", "\"9\", W/\"1\"", "*"] {
        let same = fixture.call(Method::GET, &path, &[("if-none-match", seen)], None).await.expect(304);
        assert_eq!((same.text.as_str(), tag(&same)), ("", first.clone()), "{seen}");
    }
    let changed = fixture.call(Method::PATCH, &path, &[("if-match", &first)], title("Guide")).await.expect(200);
    let second = tag(&changed);
    assert_eq!((second.as_str(), changed.body["meta"]["version"].as_str()), ("W/\"2\"", Some("W/\"2\"")));
    let _newer = fixture.call(Method::GET, &path, &[("if-none-match", &first)], None).await.expect(200);
    let put = || Some(json!({"userName": "ada"}));
    for (method, body) in [(Method::PATCH, title("x")), (Method::PUT, put()), (Method::DELETE, None)] {
        assert_scim_error(&fixture.call(method, &path, &[("if-match", &first)], body).await, 412, None);
    }
    // What changes nothing is no new version.
    assert_eq!(
        tag(&fixture.call(Method::PATCH, &path, &[("if-match", &second)], title("Guide")).await.expect(200)),
        second
    );
    assert_eq!(tag(&fixture.call(Method::PUT, &path, &[("if-match", "*")], put()).await.expect(200)), "W/\"3\"");
    let _gone = fixture.call(Method::DELETE, &path, &[("if-match", "W/\"3\"")], None).await.expect(204);
}

/// Moves the claim of a username to the key that an earlier release used, without accents.
fn move_claim_to_former_key(fixture: &Provider, user: &str, former: &str) {
    let all = rows::all(&fixture.bench, rows::MAIN);
    let of_user = |row: &&Value| row["sk"] == "CLAIM" && row["user_id"] == user;
    let claim = all.values().filter(of_user).find(|row| row["pk"].as_str().unwrap().starts_with("USERNAME#")).unwrap();
    rows::remove(&fixture.bench, rows::MAIN, &json!({"pk": claim["pk"], "sk": "CLAIM"}));
    let workspace = claim["pk"].as_str().unwrap().split('#').nth(1).unwrap();
    let former = json!({"pk": format!("USERNAME#{workspace}#{former}"), "sk": "CLAIM", "user_id": user});
    rows::put(&fixture.bench, rows::MAIN, &former, &[]);
}

#[tokio::test]
async fn reindex_moves_a_username_claim_to_its_current_key() {
    let fixture = Provider::new().await;
    let user = fixture.create("Jos\u{e9}.Pe\u{f1}a").await;
    let claims = || -> BTreeSet<String> {
        let all = rows::all(&fixture.bench, rows::MAIN).into_values();
        let of_user = all.filter(|row| row["sk"] == "CLAIM" && row["user_id"] == user.as_str());
        of_user.map(|row| row["pk"].as_str().unwrap().to_owned()).collect()
    };
    let wanted = claims();
    move_claim_to_former_key(&fixture, &user, "jose.pena");
    assert_ne!(claims(), wanted);
    fixture.bench.drain().await;
    let moved = fixture.bench.stack.invoke("reindex", json!({})).await.unwrap();
    assert_eq!((&moved["written"], &moved["names_held"]), (&json!(1), &json!(0)), "{moved}");
    assert_eq!(claims(), wanted);
    assert_eq!(fixture.bench.stack.invoke("reindex", json!({})).await.unwrap()["written"], 0);
}

#[tokio::test]
async fn usernames_that_differ_by_an_accent_are_different_users() {
    for by_an_earlier_release in [false, true] {
        let fixture = Provider::new().await;
        let accented = fixture.create("Jos\u{e9}.Pe\u{f1}a").await;
        if by_an_earlier_release {
            move_claim_to_former_key(&fixture, &accented, "jose.pena");
        }
        let by_name = async |name: &str| fixture.filtered(&format!("userName eq \"{name}\"")).await;
        assert_eq!(by_name("jose.pena").await, [""; 0], "a provider would overwrite him");
        for same in ["JOS\u{c9}.pe\u{f1}a", "jose\u{301}.pen\u{303}a", "\u{ff4a}os\u{e9}.pe\u{f1}a"] {
            assert_eq!(by_name(same).await, ["Jos\u{e9}.Pe\u{f1}a"], "{same}");
            let taken = json!({"schemas": [USER], "userName": same});
            assert_eq!(fixture.post("/Users", taken).await.expect(409).body["scimType"], "uniqueness");
            let taken = json!({"username": same});
            assert_eq!(
                fixture.bench.post("/users", &fixture.tenant.key, taken).await.expect(409).code(),
                "username_taken"
            );
        }
        let jose = fixture.bench.user(&fixture.tenant, "jose.pena").await;
        assert_eq!(
            (by_name("jose.pena").await, by_name("JOS\u{c9}.PE\u{d1}A").await),
            (vec!["jose.pena".to_owned()], vec!["Jos\u{e9}.Pe\u{f1}a".to_owned()])
        );
        // Renamed to one another's names, neither gets the other's.
        let rename = async |user: &str, name: &str| {
            fixture.bench.patch(&format!("/users/{user}"), &fixture.tenant.key, json!({"username": name})).await
        };
        assert_eq!(rename(&jose, "JOS\u{c9}.PE\u{d1}A").await.expect(409).code(), "username_taken");
        let taken = json!([{"op": "replace", "path": "userName", "value": "JOSE.PENA"}]);
        let _refused = fixture.patch(&accented, taken).await.expect(409);
        let _renamed = rename(&jose, "jos\u{ea}.pena").await.expect(200);
        let _renamed = fixture
            .patch(&accented, json!([{"op": "replace", "path": "userName", "value": "jose.pena"}]))
            .await
            .expect(200);
        assert_eq!((by_name("jose.pena").await.len(), by_name("jos\u{e9}.pe\u{f1}a").await.len()), (1, 0));
        assert_eq!(by_name("JOS\u{ca}.pena").await, ["jos\u{ea}.pena"]);
        // Whoever types finds both.
        let found = fixture.bench.get("/users?search=jose", &fixture.tenant.key).await.expect(200).body;
        assert_eq!(found["items"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_list_is_filtered_sorted_and_paged() {
    let fixture = Provider::new().await;
    for (at, name) in ["dora", "Bob", "ada", "cleo", "emil"].into_iter().enumerate() {
        let mut body =
            json!({"userName": name, "active": at % 2 == 0, "emails": [{"value": format!("{name}@example.com")}]});
        if at > 1 {
            body["title"] = json!(format!("T{}", 9 - at));
        }
        let _made = fixture.post("/Users", body).await.expect(201);
        fixture.bench.advance(chrono::Duration::seconds(1));
    }
    let gone = fixture.create("gone").await;
    let _gone = fixture.call(Method::DELETE, &format!("/Users/{gone}"), &[], None).await.expect(204);
    assert_eq!(fixture.list("").await, ["dora", "Bob", "ada", "cleo", "emil"], "the oldest first");
    assert_eq!(fixture.list("sortBy=userName").await, ["ada", "Bob", "cleo", "dora", "emil"]);
    assert_eq!(fixture.list("sortBy=title").await, ["emil", "cleo", "ada", "dora", "Bob"]);
    assert_eq!(fixture.list("sortBy=emails&sortOrder=descending").await, ["emil", "dora", "cleo", "Bob", "ada"]);
    assert_eq!(fixture.filtered("active eq false").await, ["Bob", "cleo"]);
    assert_eq!(fixture.filtered("title sw \"t\" and not (userName eq \"ada\")").await, ["cleo", "emil"]);
    assert_eq!(fixture.filtered("emails[value co \"o@\"]").await, ["cleo"]);
    assert_eq!(fixture.filtered("userName eq \"bob\" and active eq true").await, [""; 0]);
    assert_eq!(fixture.filtered("id eq \"no id\"").await, [""; 0]);
    assert_eq!(fixture.filtered(&format!("userName eq \"{}\"", "\u{fdfa}".repeat(1000))).await, [""; 0]);
    let page = fixture.get("/Users?startIndex=2&count=2&sortBy=userName").await.expect(200);
    assert_eq!(
        (usernames(&page), page.body["totalResults"].as_u64()),
        (vec!["Bob".to_owned(), "cleo".to_owned()], Some(5))
    );
    assert_eq!((page.body["startIndex"].as_u64(), page.body["itemsPerPage"].as_u64()), (Some(2), Some(2)));
    let count = fixture.get("/Users?count=0").await.expect(200);
    assert_eq!((usernames(&count).len(), count.body["totalResults"].as_u64()), (0, Some(5)));
    assert_eq!(fixture.list("startIndex=6").await, [""; 0]);
    let some = fixture.get("/Users?attributes=title&count=1&startIndex=3").await.expect(200);
    let fields: Vec<&String> = some.body["Resources"][0].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["id", "schemas", "title"]);
    for path in ["/Users/.search", "/.search"] {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
            "filter": "title pr", "sortBy": "userName", "count": 2, "attributes": ["userName"],
        });
        let found = fixture.post(path, body).await.expect(200);
        assert_eq!(
            (usernames(&found), found.body["totalResults"].as_u64()),
            (vec!["ada".to_owned(), "cleo".to_owned()], Some(3))
        );
    }
}

#[tokio::test]
async fn one_user_is_found_at_the_same_cost_however_many_there_are() {
    let meter = Meter::new();
    let bench = Setup::new().with(meter.adjust()).start().await;
    let tenant = bench.tenant("Acme").await;
    let key = provider_key(&bench, &tenant).await;
    let fixture = Provider { bench, tenant, key };
    let ada = fixture.post("/Users", json!({"userName": "ada", "externalId": "1"})).await.expect(201).get("id");
    let filters = ["userName eq \"ada\"".to_owned(), "externalId eq \"1\"".to_owned(), format!("id eq \"{ada}\"")];
    let costs = async || {
        let mut costs = Vec::new();
        for filter in &filters {
            let _before = meter.read();
            assert_eq!(fixture.filtered(filter).await, ["ada"]);
            let read = meter.read();
            assert!(read.iter().all(|call| call.action != "Scan"));
            costs.push(read.iter().map(|call| call.units).sum::<f64>());
        }
        costs
    };
    let alone = costs().await;
    for n in 0..120 {
        let _made = fixture.create(&format!("user{n}")).await;
    }
    assert_eq!(costs().await, alone);
    // A list without a filter reads the keys of all, and of the page the rows.
    let _before = meter.read();
    let page = fixture.get("/Users?count=5").await.expect(200);
    assert_eq!((usernames(&page).len(), page.body["totalResults"].as_u64()), (5, Some(121)));
    let batches: Vec<f64> =
        meter.read().iter().filter(|call| call.action == "BatchGetItem").map(|call| call.units).collect();
    assert!(batches.len() == 1 && batches[0] <= 10.0, "{batches:?}");
}

#[tokio::test]
async fn a_provider_sees_and_changes_only_its_own_workspace() {
    let ours = Provider::new().await;
    let id = ours.post("/Users", json!({"userName": "ada", "externalId": "1"})).await.expect(201).get("id");
    let theirs = ours.bench.tenant("Theirs").await;
    let key = provider_key(&ours.bench, &theirs).await;
    let before = rows::everything_but_derived(&ours.bench);
    let Provider { bench, tenant, key: own } = ours;
    let fixture = Provider { bench, tenant: theirs, key };
    let path = format!("/Users/{id}");
    assert_scim_error(&fixture.get(&path).await, 404, None);
    assert_scim_error(&fixture.put(&path, json!({"userName": "eve"})).await, 404, None);
    assert_scim_error(&fixture.patch(&id, json!([{"op": "add", "path": "title", "value": "x"}])).await, 404, None);
    assert_scim_error(&fixture.call(Method::DELETE, &path, &[], None).await, 404, None);
    for filter in [
        "userName eq \"ada\"".to_owned(),
        "externalId eq \"1\"".to_owned(),
        format!("id eq \"{id}\""),
        "userName pr".to_owned(),
    ] {
        assert_eq!(fixture.filtered(&filter).await, [""; 0], "{filter}");
    }
    assert!(before == rows::everything_but_derived(&fixture.bench));
    // The same names are free there.
    let twin = fixture.post("/Users", json!({"userName": "ada", "externalId": "1"})).await.expect(201).get("id");
    assert_ne!(twin, id);
    let fixture = Provider { bench: fixture.bench, tenant, key: own };
    assert_eq!(fixture.list("").await, ["ada"]);
}

#[tokio::test]
async fn every_error_is_a_scim_error() {
    let fixture = Provider::new().await;
    let id = fixture.create("ada").await;
    let path = format!("/Users/{id}");
    let before = rows::everything_but_derived(&fixture.bench);
    for path in ["/Groups", "/Groups/1", "/nothing", "/Users/1/2", "/Schemas/nothing", "/ResourceTypes/Group"] {
        assert_scim_error(&fixture.get(path).await, 404, None);
    }
    for path in ["/Me", "/Me/x", "/Bulk"] {
        assert_scim_error(&fixture.get(path).await, 501, None);
        assert_scim_error(&fixture.post(path, json!({})).await, 501, None);
    }
    for (method, path) in [
        (Method::POST, path.as_str()),
        (Method::DELETE, "/Users"),
        (Method::GET, "/.search"),
        (Method::GET, "/Users/.search"),
        (Method::PUT, "/Schemas"),
        (Method::PATCH, "/ServiceProviderConfig"),
        (Method::DELETE, "/ResourceTypes/User"),
    ] {
        assert_scim_error(&fixture.call(method, path, &[], Some(json!({}))).await, 405, None);
    }
    let filter = |filter: &str| format!("/Users?filter={}", encoded(filter));
    assert_scim_error(&fixture.get(&filter("userName is \"x\"")).await, 400, Some("invalidFilter"));
    assert_scim_error(&fixture.get(&filter("active gt true")).await, 400, Some("invalidFilter"));
    let wrong = fixture.get("/Users?startIndex=x&count=y&sortBy=z").await;
    assert_scim_error(&wrong, 400, Some("invalidValue"));
    assert!(["startIndex", "count", "sortBy"].iter().all(|name| wrong.text.contains(name)), "every fault is named");
    assert_scim_error(&fixture.get("/Users?count=1&count=2").await, 400, Some("invalidValue"));
    assert_scim_error(&fixture.get("/Users?filter=%FF").await, 400, Some("invalidValue"));
    assert_scim_error(&fixture.post("/Users", json!({"userName": "a b", "title": 5})).await, 400, Some("invalidValue"));
    assert_scim_error(&fixture.post("/Users", json!({})).await, 400, Some("invalidValue"));
    assert_scim_error(&fixture.post("/Users", json!([])).await, 400, Some("invalidSyntax"));
    assert_scim_error(
        &fixture.post("/Users", json!({"schemas": [ENTERPRISE], "userName": "x"})).await,
        400,
        Some("invalidSyntax"),
    );
    assert_scim_error(&fixture.patch(&id, json!([])).await, 400, Some("invalidSyntax"));
    assert_scim_error(
        &fixture.patch(&id, json!([{"op": "replace", "path": "titel", "value": 1}])).await,
        400,
        Some("invalidPath"),
    );
    let other = json!([{"op": "replace", "path": "emails[type eq \"x\"].value", "value": "a@b.cd"}]);
    assert_scim_error(&fixture.patch(&id, other).await, 400, Some("noTarget"));
    assert_scim_error(
        &fixture.patch(&id, json!([{"op": "replace", "path": "id", "value": "x"}])).await,
        400,
        Some("mutability"),
    );
    let large = json!({"userName": "x", "title": "x".repeat(300 * 1024)});
    assert_scim_error(&fixture.post("/Users", large).await, 413, None);
    for body in ["{", "{\"userName\": \"x\", \"userName\": \"y\"}", "\u{0}"] {
        let request = Request::post("/scim/v2/Users").header("authorization", format!("Bearer {}", fixture.key));
        assert_scim_error(
            &fixture.bench.send(request.body(body.as_bytes().to_vec()).unwrap()).await,
            400,
            Some("invalidSyntax"),
        );
    }
    for credential in [None, Some("nobody"), Some("seam_12345678_123456789123456789123456")] {
        let answer = fixture.bench.call(Method::GET, "/scim/v2/Users", credential, None).await;
        assert_scim_error(&answer, 401, None);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert_scim_error(&fixture.bench.call(Method::GET, "/scim/v2/nothing", credential, None).await, 401, None);
    }
    assert!(before == rows::everything_but_derived(&fixture.bench), "nothing was changed");
    let reader = json!({"name": "reader", "permissions": ["users:read"]});
    let reader = fixture.bench.post("/keys", &fixture.tenant.key, reader).await.expect(201).get("key");
    assert_scim_error(&fixture.bench.get("/scim/v2/Users", &reader).await, 403, None);
}

#[tokio::test]
async fn a_name_keeps_the_sub_attributes_that_a_change_does_not_name_and_is_never_a_string() {
    let fixture = Provider::new().await;
    let name = json!({"givenName": "Ada", "familyName": "Adler", "middleName": "M."});
    let id = fixture.post("/Users", json!({"userName": "ada", "name": name})).await.expect(201).get("id");
    let emptied = json!([{"op": "replace", "path": "name", "value": {"middleName": null}}]);
    let after = fixture.patch(&id, emptied).await.expect(200);
    assert_eq!(after.body["name"], json!({"givenName": "Ada", "familyName": "Adler"}));
    let own = fixture.handset_user(&id).await;
    assert_eq!((&own["first_name"], &own["last_name"]), (&json!("Ada"), &json!("Adler")));
    let before = rows::everything_but_derived(&fixture.bench);
    for (name, value) in [("name", json!("x")), ("addresses", json!(["x"]))] {
        let says = json!({"userName": "bob", name: value});
        let answers = [
            fixture.post("/Users", says.clone()).await,
            fixture.put(&format!("/Users/{id}"), says).await,
            fixture.patch(&id, json!([{"op": "replace", "path": name, "value": value}])).await,
        ];
        for answer in answers {
            assert_scim_error(&answer, 400, Some("invalidValue"));
            assert!(answer.body["detail"].as_str().unwrap().starts_with(name), "{}", answer.text);
        }
    }
    assert!(before == rows::everything_but_derived(&fixture.bench), "nothing was changed");
}

#[tokio::test]
async fn last_modified_is_the_time_of_the_last_change() {
    let fixture = Provider::new().await;
    let modified = |answer: &Answer| answer.body["meta"]["lastModified"].as_str().unwrap().to_owned();
    let made = fixture.post("/Users", json!({"userName": "ada", "title": "Guide"})).await.expect(201);
    let (ada, created) = (made.get("id"), made.body["meta"]["created"].as_str().unwrap().to_owned());
    assert_eq!(modified(&made), created, "as it was never changed");
    fixture.bench.advance(chrono::Duration::hours(1));
    let _bob = fixture.create("bob").await;
    let path = format!("/Users/{ada}");
    assert_eq!(modified(&fixture.get(&path).await.expect(200)), created);
    let title = |title: &str| json!([{"op": "replace", "path": "title", "value": title}]);
    // What changes nothing is no change.
    assert_eq!(modified(&fixture.patch(&ada, title("Guide")).await.expect(200)), created);
    fixture.bench.advance(chrono::Duration::hours(1));
    let changed = fixture.patch(&ada, title("Chief")).await.expect(200);
    assert!(modified(&changed) > created && changed.body["meta"]["created"] == created, "{}", changed.text);
    assert_eq!(fixture.get(&path).await.expect(200).body, changed.body);
    let since = |time: &str| format!("meta.lastModified gt \"{time}\"");
    assert_eq!(fixture.filtered(&since("2020-01-01T00:00:00Z")).await, ["ada", "bob"]);
    assert_eq!(fixture.filtered(&format!("{} and title pr", since(&created))).await, ["ada"]);
    assert_eq!(fixture.filtered(&since(&modified(&changed))).await, [""; 0]);
    assert_eq!(fixture.list("sortBy=meta.lastModified").await, ["bob", "ada"]);
    // An admin's change is one as well.
    fixture.bench.advance(chrono::Duration::hours(1));
    let by_hand = json!({"last_name": "Adler"});
    let _by_hand = fixture.bench.patch(&format!("/users/{ada}"), &fixture.tenant.key, by_hand).await.expect(200);
    assert_eq!(fixture.filtered(&since(&modified(&changed))).await, ["ada"]);
    let listed = fixture.get("/Users?attributes=meta.lastModified").await.expect(200);
    assert_eq!(
        listed.body["Resources"][0]["meta"],
        json!({"lastModified": fixture.get(&path).await.body["meta"]["lastModified"]})
    );
}

#[tokio::test]
async fn empty_path_segments_are_ignored() {
    let fixture = Provider::new().await;
    let _made = fixture.create("ada").await;
    for path in ["//Users", "/Users/", "//Users//"] {
        assert_eq!(usernames(&fixture.get(path).await.expect(200)), ["ada"], "{path}");
    }
}

#[tokio::test]
async fn a_suspended_users_phones_lose_access_and_an_admins_suspension_stays() {
    let fixture = Provider::new().await;
    let (user, phones) = fixture.bench.user_with_phones(&fixture.tenant, "ada", 2).await;
    let access = async || {
        let mut access = Vec::new();
        for (_, credential) in &phones {
            access.push(fixture.bench.check_in(credential).await.expect(200).get("access"));
        }
        access
    };
    let active = |active: bool| json!([{"op": "replace", "path": "active", "value": active}]);
    let _away = fixture.patch(&user, active(false)).await.expect(200);
    assert_eq!(access().await, ["user_suspended", "user_suspended"]);
    let _back = fixture.patch(&user, active(true)).await.expect(200);
    assert_eq!(access().await, ["allowed", "allowed"]);
    let audit = json!({"reason": "an audit"});
    let _suspended =
        fixture.bench.post(&format!("/users/{user}/suspend"), &fixture.tenant.key, audit).await.expect(200);
    assert_eq!(fixture.patch(&user, active(true)).await.expect(200).body["active"], false);
    assert_eq!(access().await, ["user_suspended", "user_suspended"]);
    // What the provider says meanwhile is not lost, nor does it give back whom the admin keeps out.
    let _away = fixture.patch(&user, active(false)).await.expect(200);
    let both = fixture.handset_user(&user).await;
    assert_eq!((&both["suspended"]["reason"], both["suspended_by_source"].is_object()), (&json!("an audit"), true));
    assert_eq!(fixture.patch(&user, active(true)).await.expect(200).body["active"], false);
    assert_eq!(access().await, ["user_suspended", "user_suspended"]);
    let _away = fixture.patch(&user, active(false)).await.expect(200);
    let _active =
        fixture.bench.post(&format!("/users/{user}/activate"), &fixture.tenant.key, json!({})).await.expect(200);
    assert_eq!(access().await, ["allowed", "allowed"], "an admin lifts both");
    assert_eq!(fixture.get(&format!("/Users/{user}")).await.expect(200).body["active"], true);
}

#[tokio::test]
async fn a_user_renamed_while_inactive_is_deployed_anew_once_active() {
    let fixture = Provider::new().await;
    let fixture = Provider { key: fixture.tenant.key.clone(), ..fixture };
    let (user, _) = fixture.bench.user_with_phones(&fixture.tenant, "ada", 1).await;
    let active = |active: bool| json!([{"op": "replace", "path": "active", "value": active}]);
    let _away = fixture.patch(&user, active(false)).await.expect(200);
    let rename = json!([{"op": "replace", "path": "userName", "value": "eve"}]);
    assert_eq!(fixture.patch(&user, rename).await.expect(200).get("userName"), "eve");
    fixture.bench.drain().await;
    assert_eq!(fixture.bench.newest_deployment_code(), None);
    let _back = fixture.patch(&user, active(true)).await.expect(200);
    fixture.bench.drain().await;
    assert!(fixture.bench.newest_deployment_code().is_some());
}

#[tokio::test]
async fn a_user_of_a_source_cannot_be_changed_while_the_source_exists() {
    let fixture = Provider::new().await;
    let body = json!({"name": "File", "kind": "csv", "mapping": {"username": "login", "external_id": "id"}, "key_field": "external_id"});
    let source = fixture.bench.post("/sources", &fixture.tenant.key, body).await.expect(201).get("source_id");
    let path = format!("/sources/{source}/parts/1?upload=0190f3c4-7b5e-7a11-8c1d-000000000001&last=true");
    let _synced = fixture.bench.upload(&fixture.tenant, &path, "login,id\nada,E-1\n").await.expect(202);
    let id = fixture.get("/Users").await.expect(200).body["Resources"][0].clone();
    assert_eq!(id.get("externalId"), None, "that is the source's own");
    let user = id["id"].as_str().unwrap();
    let before = rows::everything_but_derived(&fixture.bench);
    let put = fixture.put(&format!("/Users/{user}"), json!({"userName": "eve", "externalId": "00u1"})).await;
    let patch = fixture.patch(user, json!([{"op": "replace", "path": "active", "value": false}])).await;
    let deleted = fixture.call(Method::DELETE, &format!("/Users/{user}"), &[], None).await;
    for answer in [put, patch, deleted] {
        assert_scim_error(&answer, 409, None);
        assert!(answer.body["detail"].as_str().unwrap().contains("source"));
    }
    assert!(before == rows::everything_but_derived(&fixture.bench));
    // Once it is gone they are taken over.
    let _gone = fixture.bench.delete(&format!("/sources/{source}"), &fixture.tenant.key).await.expect(200);
    let put = fixture.put(&format!("/Users/{user}"), json!({"userName": "ada", "externalId": "00u1"})).await;
    assert_eq!(put.expect(200).get("externalId"), "00u1");
    let own = fixture.handset_user(user).await;
    assert_eq!((&own["source"], &own["source_id"]), (&json!("scim"), &Value::Null));
    assert_eq!(fixture.filtered("externalId eq \"00u1\"").await, ["ada"]);
}

#[tokio::test]
async fn a_user_created_by_hand_is_taken_over_and_keeps_values_set_by_hand() {
    let fixture = Provider::new().await;
    let user = fixture.bench.user(&fixture.tenant, "ada").await;
    let says = json!({"userName": "ada", "externalId": "00u1", "title": "Guide",
        "name": {"givenName": "Eva", "familyName": "Adler"}, "active": true});
    let put = fixture.put(&format!("/Users/{user}"), says.clone()).await.expect(200);
    assert_eq!((put.get("title"), &put.body["name"]["givenName"]), ("Guide".to_owned(), &json!("Ada")));
    let own = fixture.handset_user(&user).await;
    assert_eq!(
        (&own["source"], &own["by_hand"]),
        (&json!("scim"), &json!(["first_name", "email", "mobile", "number"]))
    );
    let release = json!({"release": ["first_name"]});
    let _released = fixture.bench.patch(&format!("/users/{user}"), &fixture.tenant.key, release).await.expect(200);
    let put = fixture.put(&format!("/Users/{user}"), says).await.expect(200);
    assert_eq!(put.body["name"]["givenName"], "Eva");
}

#[tokio::test]
async fn a_page_that_would_be_too_large_is_shortened_and_paging_continues() {
    let fixture = Provider::new().await;
    let wide = |n: usize| {
        json!({"schemas": [USER], "userName": format!("u{n:03}"),
        "roles": (0..8).map(|n| json!({"value": format!("{n}{}", "\"".repeat(1900))})).collect::<Vec<_>>()})
    };
    for n in 0..110 {
        let _made = fixture.post("/Users", wide(n)).await.expect(201);
    }
    let mut seen = Vec::new();
    while seen.len() < 110 {
        let page = fixture.get(&format!("/Users?count=200&startIndex={}", seen.len() + 1)).await.expect(200);
        // As Lambda sends it: as a text within a JSON text.
        assert!(json!(page.text).to_string().len() < 6_000_000);
        let found = usernames(&page);
        assert_eq!((&page.body["itemsPerPage"], &page.body["totalResults"]), (&json!(found.len()), &json!(110)));
        assert!(!found.is_empty());
        seen.extend(found);
    }
    seen.sort();
    assert!(seen.iter().enumerate().all(|(n, name)| *name == format!("u{n:03}")), "{seen:?}");
}

#[tokio::test]
async fn renaming_a_user_with_phones_requires_users_wipe_and_resets_the_phones() {
    let fixture = Provider::new().await;
    let (user, phones) = fixture.bench.user_with_phones(&fixture.tenant, "ada", 1).await;
    // Whom it takes over keeps the name that they have; from then on it is the provider's.
    let _taken = fixture.patch(&user, json!([{"op": "add", "path": "title", "value": "Guide"}])).await.expect(200);
    let rename = json!([{"op": "replace", "path": "userName", "value": "eve"}, {"op": "replace", "path": "active", "value": false}]);
    let before = rows::everything_but_derived(&fixture.bench);
    assert_scim_error(&fixture.patch(&user, rename.clone()).await, 403, None);
    assert!(before == rows::everything_but_derived(&fixture.bench));
    let fixture = Provider { key: fixture.tenant.key.clone(), ..fixture };
    let renamed = fixture.patch(&user, rename).await.expect(200);
    assert_eq!((renamed.get("userName"), renamed.body["active"].as_bool()), ("eve".to_owned(), Some(false)));
    let check_in = fixture.bench.check_in(&phones[0].1).await.expect(200);
    assert_eq!(
        (check_in.get("access"), &check_in.body["commands"][0]["kind"]),
        ("user_suspended".to_owned(), &json!("factory_reset"))
    );
    assert_eq!(fixture.filtered("userName eq \"eve\"").await, ["eve"]);
    assert_eq!(fixture.filtered("userName eq \"ada\"").await, [""; 0]);
}

#[tokio::test]
async fn discovery_describes_the_supported_features() {
    let fixture = Provider::new().await;
    let config = fixture.get("/ServiceProviderConfig").await.expect(200).body;
    let known = |name: &str| config[name]["supported"].as_bool().unwrap();
    let all = ["patch", "filter", "sort", "etag", "bulk", "changePassword"].map(known);
    assert_eq!((all, config["filter"]["maxResults"].as_u64()), ([true, true, true, true, false, false], Some(200)));
    let types = fixture.get("/ResourceTypes").await.expect(200).body;
    assert_eq!((types["totalResults"].as_u64(), &types["Resources"][0]["name"]), (Some(1), &json!("User")));
    let _one = fixture.get("/ResourceTypes/User").await.expect(200);
    let schemas = fixture.get("/Schemas").await.expect(200).body;
    let ids: Vec<&str> = schemas["Resources"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), &ids[..2]), (5, &[USER, ENTERPRISE][..]));
    for id in ids {
        assert_eq!(fixture.get(&format!("/Schemas/{id}")).await.expect(200).get("id"), id);
    }
    // Whoever asks for a part of it must not take all of it for that part.
    for path in ["ServiceProviderConfig", "ResourceTypes", "ResourceTypes/User", "Schemas", &format!("Schemas/{USER}")]
    {
        assert_scim_error(&fixture.get(&format!("/{path}?filter={}", encoded("id pr"))).await, 403, None);
        let _all = fixture.get(&format!("/{path}?startIndex=2&count=1&sortBy=id")).await.expect(200);
    }
}
