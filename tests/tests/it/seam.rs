//! Seam's phones API, request by request as Seam's clients send them. The clients themselves run against the product in
//! `infra/local/checks/seam`.

use http::{Method, Request};
use serde_json::{Value, json};
use testkit::{Answer, Bench, Tenant, rows};

/// A workspace with Seam's clients.
struct SeamClient {
    bench: Bench,
    tenant: Tenant,
}

/// An access system's credential.
const CREDENTIAL: &str = "0190f3c4-7b5e-7a11-8c1d-3f2a9b6c5d4e";
/// An identifier of no object.
const NOBODY: &str = "0190f3c4-7b5e-7a11-8c1d-3f2a9b6c5d4f";

impl SeamClient {
    async fn new() -> Self {
        let bench = Bench::start().await;
        let tenant = bench.tenant("Acme").await;
        Self { bench, tenant }
    }

    /// A sandbox workspace.
    async fn sandbox() -> Self {
        let bench = Bench::start().await;
        let created =
            bench.stack.invoke("create-workspace", json!({"name": "Sandbox", "sandbox": true})).await.unwrap();
        let text = |name: &str| created[name].as_str().unwrap().to_owned();
        let tenant = Tenant { workspace_id: text("workspace_id"), key: text("key") };
        assert!(tenant.key.starts_with("seam_test"), "{}", tenant.key);
        Self { bench, tenant }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let answer = self.bench.call(method, path, Some(&self.tenant.key), body.as_ref()).await;
        assert_eq!(answer.headers["content-type"], "application/json", "{path}: {}", answer.text);
        assert_eq!(answer.headers["seam-request-id"], answer.headers["x-request-id"], "{path}");
        assert_eq!(answer.body["ok"], answer.status.is_success(), "{path}: {}", answer.text);
        answer
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn identity(&self, body: Value) -> String {
        let created = self.post("/user_identities/create", body).await.expect(200);
        created.body["user_identity"]["user_identity_id"].as_str().unwrap().to_owned()
    }

    async fn phone(&self, user: &str) -> Value {
        let body = json!({"user_identity_id": user});
        self.post("/phones/simulate/create_sandbox_phone", body).await.expect(200).body["phone"].clone()
    }

    /// The identifiers of the listed phones.
    async fn phones(&self, query: &str) -> Vec<String> {
        ids(&self.get(&format!("/phones/list?{query}")).await.expect(200).body["phones"])
    }

    async fn deactivations(&self) -> Vec<Value> {
        let listed = self.get("/events/list?since=2020-01-01T00:00:00Z").await.expect(200);
        listed.body["events"].as_array().unwrap().clone()
    }
}

fn ids(phones: &Value) -> Vec<String> {
    let mut ids: Vec<String> =
        phones.as_array().unwrap().iter().map(|phone| phone["device_id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

fn expect_error(answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    assert_eq!(answer.body["error"]["type"], kind, "{}", answer.text);
    assert!(answer.body["error"]["message"].is_string() && answer.body["error"]["request_id"].is_string());
}

#[tokio::test]
async fn both_versions_of_seam_clients_list_show_and_deactivate_a_phone() {
    for older in [false, true] {
        let fixture = SeamClient::new().await;
        let (device, credential) = fixture.bench.phone(&fixture.tenant, "ada").await;
        let _check_in = fixture.bench.check_in(&credential).await.expect(200);
        fixture.bench.drain().await;
        let named = json!({"device_id": device});
        let (listed, shown) = if older {
            (fixture.post("/phones/list", json!({})).await, fixture.post("/phones/get", named.clone()).await)
        } else {
            (
                fixture.get("/phones/list?_strict=true").await,
                fixture.get(&format!("/phones/get?device_id={device}")).await,
            )
        };
        let phone = shown.expect(200).body["phone"].clone();
        assert_eq!(listed.expect(200).body["phones"], json!([phone]));
        let body = &phone;
        assert_eq!(body["device_id"], *device);
        assert_eq!(body["device_type"], "ios_phone");
        assert_eq!(body["workspace_id"], *fixture.tenant.workspace_id);
        assert_eq!((&body["errors"], &body["properties"]), (&json!([]), &json!({})));
        assert!(body.get("nickname").is_none(), "the field is omitted rather than null: {body}");

        for _again in 0..2 {
            let response = if older {
                fixture.post("/phones/deactivate", named.clone()).await
            } else {
                fixture.call(Method::DELETE, &format!("/phones/deactivate?device_id={device}"), None).await
            };
            assert_eq!(response.expect(200).body, json!({"ok": true}));
        }
        assert_eq!(fixture.phones("").await, Vec::<String>::new());
        expect_error(&fixture.get(&format!("/phones/get?device_id={device}")).await, 404, "device_not_found");
        fixture.bench.drain().await;
        let events = fixture.deactivations().await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!((&events[0]["event_type"], &events[0]["device_id"]), (&json!("phone.deactivated"), &json!(device)));
        let out = fixture.bench.check_in(&credential).await.expect(200);
        assert_eq!(out.body["access"], "deleted", "the phone has lost its access");
    }
}

#[tokio::test]
async fn the_older_clients_empty_form_counts_as_no_body_and_other_non_json_is_rejected() {
    let fixture = SeamClient::new().await;
    let send = async |content_type: &str, body: &str| {
        let request = Request::builder().method(Method::POST).uri("/phones/list").header("content-type", content_type);
        let request = request.header("authorization", format!("Bearer {}", fixture.tenant.key));
        fixture.bench.send(request.body(body.as_bytes().to_vec()).unwrap()).await
    };
    assert_eq!(send("application/x-www-form-urlencoded", "").await.expect(200).body["phones"], json!([]));
    expect_error(&send("application/x-www-form-urlencoded", "a=1").await, 400, "invalid_content_type");
    expect_error(&send("application/json", "{").await, 400, "invalid_input");
    assert_eq!(send("application/json; charset=utf-8", "{}").await.expect(200).body["phones"], json!([]));
}

#[tokio::test]
async fn phones_are_filtered_by_owner_and_by_credential() {
    let fixture = SeamClient::sandbox().await;
    let (ada, bob) = (fixture.identity(json!({"full_name": "Ada"})).await, fixture.identity(json!({})).await);
    let id = |phone: Value| phone["device_id"].as_str().unwrap().to_owned();
    let (first, second, third) =
        (id(fixture.phone(&ada).await), id(fixture.phone(&ada).await), id(fixture.phone(&bob).await));
    for phone in [&second, &third] {
        let path = format!("/devices/{phone}/credentials/{CREDENTIAL}");
        let _issued = fixture.bench.put(&path, &fixture.tenant.key, json!({})).await.expect(200);
        let _updated = fixture.bench.put(&path, &fixture.tenant.key, json!({})).await.expect(200);
    }
    let sorted = |mut ids: Vec<&String>| {
        ids.sort();
        ids.into_iter().cloned().collect::<Vec<_>>()
    };
    assert_eq!(fixture.phones("").await, sorted(vec![&first, &second, &third]));
    assert_eq!(fixture.phones(&format!("owner_user_identity_id={ada}")).await, sorted(vec![&first, &second]));
    assert_eq!(fixture.phones(&format!("acs_credential_id={CREDENTIAL}")).await, sorted(vec![&second, &third]));
    let both = format!("acs_credential_id={CREDENTIAL}&owner_user_identity_id={ada}");
    assert_eq!(fixture.phones(&both).await, vec![second.clone()]);
    for unknown in ["owner_user_identity_id", "acs_credential_id"] {
        assert_eq!(fixture.phones(&format!("{unknown}={NOBODY}")).await, Vec::<String>::new());
    }
    // An identifier in capitals is the same (RFC 9562, section 4).
    let (upper_ada, upper_first) = (ada.to_uppercase(), first.to_uppercase());
    assert_eq!(fixture.phones(&format!("owner_user_identity_id={upper_ada}")).await, sorted(vec![&first, &second]));
    let upper = CREDENTIAL.to_uppercase();
    assert_eq!(fixture.phones(&format!("acs_credential_id={upper}")).await, sorted(vec![&second, &third]));
    let devices = fixture.get(&format!("/devices/list?device_ids={upper_first}")).await.expect(200);
    assert_eq!(ids(&devices.body["devices"]), vec![first.clone()]);
    // Credentials end with the phone, and on their own.
    let _activated = fixture.post("/phones/deactivate", json!({"device_id": second})).await.expect(200);
    assert_eq!(fixture.phones(&format!("acs_credential_id={CREDENTIAL}")).await, vec![third.clone()]);
    for name in ["device_id", "device_ids"] {
        let query = format!("/events/list?since=2020-01-01&{name}={}", second.to_uppercase());
        assert_eq!(fixture.get(&query).await.expect(200).body["events"].as_array().map(Vec::len), Some(1), "{name}");
    }
    let recorded = fixture.bench.list_all(&fixture.tenant, "/events?event_type=device.deleted").await;
    assert_eq!(recorded[0]["changes"]["acs_credential_ids"], json!({"before": [CREDENTIAL], "after": []}));
    let path = format!("/devices/{third}/credentials/{CREDENTIAL}");
    let shown = fixture.bench.delete(&path, &fixture.tenant.key).await.expect(200);
    assert_eq!(shown.body["acs_credentials"], json!([]));
    assert_eq!(fixture.phones(&format!("acs_credential_id={CREDENTIAL}")).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_deleted_users_phones_are_deactivated_and_their_credentials_end() {
    let fixture = SeamClient::sandbox().await;
    let ada = fixture.identity(json!({"user_identity_key": "ada"})).await;
    let phone = fixture.phone(&ada).await["device_id"].as_str().unwrap().to_owned();
    let path = format!("/devices/{phone}/credentials/{CREDENTIAL}");
    let _issued = fixture.bench.put(&path, &fixture.tenant.key, json!({})).await.expect(200);
    for _again in 0..2 {
        let deletion =
            fixture.call(Method::DELETE, &format!("/user_identities/delete?user_identity_id={ada}"), None).await;
        assert_eq!(deletion.expect(200).body, json!({"ok": true}));
    }
    expect_error(
        &fixture.get(&format!("/user_identities/get?user_identity_id={ada}")).await,
        404,
        "user_identity_not_found",
    );
    expect_error(&fixture.get("/user_identities/get?user_identity_key=ada").await, 404, "user_identity_not_found");
    assert_eq!(fixture.phones(&format!("acs_credential_id={CREDENTIAL}")).await, Vec::<String>::new());
    assert_eq!(fixture.deactivations().await.len(), 1);
    let recorded = fixture.bench.list_all(&fixture.tenant, "/events").await;
    let deleted = |kind: &str| recorded.iter().find(|event| event["event_type"] == kind).unwrap();
    assert_eq!(deleted("user.deleted")["changes"]["without_wipe"], json!({"before": false, "after": true}));
    assert_eq!(deleted("user.deleted")["private"]["reason"], "deleted through Seam's API, which knows no wipe");
    assert_eq!(deleted("device.deleted")["changes"]["acs_credential_ids"]["before"], json!([CREDENTIAL]));
    let _again = fixture.identity(json!({"user_identity_key": "ada"})).await;
}

#[tokio::test]
async fn devices_that_are_no_seam_phones_are_not_listed() {
    let fixture = SeamClient::new().await;
    let user = fixture.bench.user(&fixture.tenant, "ada").await;
    let code = fixture.bench.invite(&fixture.tenant, &user, 1).await;
    let foreign = json!({
        "code": code, "device_identifier": "softphone", "platform": "third_party", "model_name": "Softphone", "os_version": "7.1",
    });
    let created = fixture.bench.call(Method::POST, "/devices", None, Some(&foreign)).await.expect(201);
    let device = created.body["device"]["device_id"].as_str().unwrap().to_owned();
    assert_eq!(fixture.phones("").await, Vec::<String>::new());
    assert_eq!(fixture.phones(&format!("owner_user_identity_id={user}")).await, Vec::<String>::new());
    for path in ["/phones/get", "/devices/get", "/phones/deactivate", "/devices/update"] {
        expect_error(&fixture.post(path, json!({"device_id": device})).await, 404, "device_not_found");
    }
    let _deleted = fixture.bench.delete(&format!("/devices/{device}"), &fixture.tenant.key).await.expect(200);
    assert_eq!(fixture.deactivations().await, Vec::<Value>::new(), "nor does its deletion");
}

#[tokio::test]
async fn custom_metadata_is_merged_removed_and_searchable() {
    let fixture = SeamClient::new().await;
    let (device, _credential) = fixture.bench.phone(&fixture.tenant, "ada").await;
    let update = async |method: Method, change: Value| {
        let mut body = change;
        body["device_id"] = json!(device);
        fixture.call(method, "/devices/update", Some(body)).await
    };
    let shown =
        async || fixture.get(&format!("/devices/get?device_id={device}")).await.expect(200).body["device"].clone();
    let values = json!({"name": "Mine", "custom_metadata": {"site": "A 1", "on": true, "off": false, "gone": "x"}});
    let _updated = update(Method::PATCH, values).await.expect(200);
    let removed = json!({"custom_metadata": {"gone": "", "off": null}});
    let _removed = update(Method::POST, removed).await.expect(200);
    let device_shown = shown().await;
    assert_eq!(device_shown["custom_metadata"], json!({"site": "A 1", "on": true}));
    assert_eq!((&device_shown["display_name"], &device_shown["nickname"]), (&json!("Mine"), &json!("Mine")));
    assert_eq!(device_shown["properties"]["appearance"]["name"], "iPhone 17");
    let found = async |query: &str| {
        let listed = fixture.get(&format!("/devices/list?{query}")).await.expect(200);
        listed.body["devices"].as_array().unwrap().len()
    };
    assert_eq!(found("custom_metadata_has.site=A%201&custom_metadata_has.on=true").await, 1);
    assert_eq!(found("custom_metadata_has.site=A%201&custom_metadata_has.on=false").await, 0);
    assert_eq!(found("custom_metadata_has.gone=x").await, 0);
    assert_eq!((found("device_type=ios_phone").await, found("device_type=android_phone").await), (1, 0));
    assert_eq!(found("device_type=august_lock").await, 0);
    assert_eq!((found(&format!("device_ids={device}&device_ids=x")).await, found("device_ids=x").await), (1, 0));
    assert_eq!(found(&format!("device_ids={device}&device_type=android_phone")).await, 0);
    let by_body = json!({"custom_metadata_has": {"on": true}});
    assert_eq!(fixture.post("/devices/list", by_body).await.expect(200).body["devices"].as_array().unwrap().len(), 1);
    let _unnamed = update(Method::PATCH, json!({"name": null})).await.expect(200);
    assert_eq!(shown().await["display_name"], "iPhone 17");
    let too_much = json!({"custom_metadata": {"a.b": "x", "n": 1, "long": "x".repeat(501)}});
    let refused = update(Method::PATCH, too_much).await;
    expect_error(&refused, 400, "invalid_input");
    let faults = &refused.body["error"]["validation_errors"]["custom_metadata"];
    for key in ["n", "long"] {
        assert_eq!(faults[key]["_errors"].as_array().map(Vec::len), Some(1), "{faults}");
    }
}

#[tokio::test]
async fn seam_events_are_filtered_by_time_and_by_object() {
    let fixture = SeamClient::new().await;
    let mut devices = Vec::new();
    let mut times = Vec::new();
    for name in ["ada", "bea", "cleo"] {
        let (device, _credential) = fixture.bench.phone(&fixture.tenant, name).await;
        fixture.bench.advance(chrono::Duration::minutes(1));
        times.push(fixture.bench.now().to_rfc3339());
        if name == "ada" {
            let known = json!({"device_id": device, "custom_metadata": {"site": "Bonn", "loaner": true}});
            let _known = fixture.post("/devices/update", known).await.expect(200);
        }
        let _activated = fixture.post("/phones/deactivate", json!({"device_id": device})).await.expect(200);
        devices.push(device);
    }
    let list = async |body: Value| fixture.post("/events/list", body).await;
    let about = async |body: Value| -> Vec<String> {
        let listed = list(body).await.expect(200);
        let events = listed.body["events"].as_array().unwrap().iter();
        events.map(|event| event["device_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(about(json!({"since": times[0]})).await, devices, "the oldest first");
    assert_eq!(about(json!({"since": times[1]})).await, devices[1..]);
    assert_eq!(about(json!({"between": [times[0], times[1]]})).await, devices[..2]);
    assert_eq!(about(json!({"since": times[0], "limit": 2})).await, devices[..2]);
    assert_eq!(about(json!({"since": times[0], "device_id": devices[1]})).await, devices[1..2]);
    let some = json!({"since": times[0], "device_ids": [devices[2], devices[0], NOBODY, "x"]});
    assert_eq!(about(some).await, [devices[0].clone(), devices[2].clone()]);
    let typed = json!({"since": times[0], "event_types": ["phone.deactivated", "device.connected"]});
    assert_eq!(about(typed).await.len(), 3);
    assert_eq!(about(json!({"since": times[0], "event_type": "device.connected"})).await, Vec::<String>::new());
    // One element of an array looks like a text in a query.
    let query =
        format!("/events/list?since=2020-01-01T00:00:00Z&device_ids={}&event_types=phone.deactivated", devices[0]);
    assert_eq!(fixture.get(&query).await.expect(200).body["events"].as_array().unwrap().len(), 1);

    for wrong in [json!({}), json!({"since": times[0], "between": [times[0], times[1]]})] {
        let refused = list(wrong).await;
        expect_error(&refused, 400, "invalid_input");
        assert_eq!(refused.body["error"]["message"], "Must specify either since or between");
        let validation_errors = &refused.body["error"]["validation_errors"]["_errors"];
        assert_eq!(*validation_errors, json!(["Must specify either since or between"]));
    }
    // A client's clock may be ahead of ours.
    let ahead = (fixture.bench.now() + chrono::Duration::minutes(1)).to_rfc3339();
    assert_eq!(about(json!({"since": ahead})).await, Vec::<String>::new());
    assert_eq!(about(json!({"since": "2020-01-01"})).await.len(), 3, "a day is its beginning");
    for wrong in [json!({"between": [times[0]]}), json!({"between": [times[1], times[0]]}), json!({"since": "now"})] {
        expect_error(&list(wrong).await, 400, "invalid_input");
    }

    let first = list(json!({"since": times[0]})).await.body["events"][0].clone();
    assert_eq!(first["device_custom_metadata"], json!({"site": "Bonn", "loaner": true}));
    let second = list(json!({"since": times[1]})).await.body["events"][0].clone();
    assert!(second.get("device_custom_metadata").is_none(), "it had none: {second}");
    let by_id = fixture.post("/events/get", json!({"event_id": first["event_id"]})).await.expect(200);
    assert_eq!(by_id.body["event"], first);
    let of_device = format!("/events/get?device_id={}&event_type=phone.deactivated", devices[0]);
    assert_eq!(fixture.get(&of_device).await.expect(200).body["event"], first);
    expect_error(&fixture.post("/events/get", json!({"event_id": NOBODY})).await, 404, "event_not_found");
    expect_error(&fixture.get(&of_device.replace("deactivated", "other")).await, 404, "event_not_found");
    let ours = fixture.bench.list_all(&fixture.tenant, "/events?event_type=user.created").await;
    let other = json!({"event_id": ours[0]["event_id"]});
    expect_error(&fixture.post("/events/get", other).await, 404, "event_not_found");
}

#[tokio::test]
async fn a_user_identity_is_a_user_and_its_key_is_not_the_username() {
    let fixture = SeamClient::sandbox().await;
    let body = json!({
        "user_identity_key": "crm-7", "email_address": "ada@example.com", "phone_number": "+49 170 1234567",
        "full_name": "Ada Byron Lovelace",
    });
    let created = fixture.post("/user_identities/create", body).await.expect(200).body["user_identity"].clone();
    let id = created["user_identity_id"].as_str().unwrap().to_owned();
    assert_eq!(created["user_identity_key"], "crm-7");
    assert_eq!(
        (&created["full_name"], &created["display_name"]),
        (&json!("Ada Byron Lovelace"), &json!("Ada Byron Lovelace"))
    );
    assert_eq!(created["phone_number"], "+491701234567");
    let phone = fixture.phone(&id).await;
    let user = fixture.bench.get(&format!("/users/{id}"), &fixture.tenant.key).await.expect(200).body;
    assert_eq!((&user["first_name"], &user["last_name"]), (&json!("Ada"), &json!("Byron Lovelace")));
    assert!(user["username"].as_str().unwrap().starts_with("user-"));

    let update = |change: Value| {
        let mut body = change;
        body["user_identity_id"] = json!(id);
        body
    };
    let change = update(json!({"user_identity_key": "crm-8", "full_name": "Ada King", "email_address": null}));
    let _changed = fixture.call(Method::PATCH, "/user_identities/update", Some(change)).await.expect(200);
    let shown =
        fixture.get("/user_identities/get?user_identity_key=crm-8").await.expect(200).body["user_identity"].clone();
    assert_eq!((&shown["full_name"], &shown["email_address"]), (&json!("Ada King"), &Value::Null));
    expect_error(&fixture.get("/user_identities/get?user_identity_key=crm-7").await, 404, "user_identity_not_found");
    let same = fixture.bench.get(&format!("/users/{id}"), &fixture.tenant.key).await.expect(200).body;
    assert_eq!(same["username"], user["username"]);
    let device = phone["device_id"].as_str().unwrap();
    let commands = fixture.bench.list_all(&fixture.tenant, &format!("/devices/{device}/commands")).await;
    assert_eq!(commands, Vec::<Value>::new(), "no phone is reset");

    // Writing back the shown values changes nothing.
    let typed = json!({"first_name": "Anna Maria", "last_name": "Lee"});
    let _typed = fixture.bench.patch(&format!("/users/{id}"), &fixture.tenant.key, typed).await.expect(200);
    let restored = update(json!({"full_name": "Anna Maria Lee"}));
    let _updated = fixture.call(Method::PATCH, "/user_identities/update", Some(restored)).await.expect(200);
    let stored = fixture.bench.get(&format!("/users/{id}"), &fixture.tenant.key).await.expect(200).body;
    assert_eq!((&stored["first_name"], &stored["last_name"]), (&json!("Anna Maria"), &json!("Lee")));

    expect_error(
        &fixture.post("/user_identities/create", json!({"user_identity_key": "crm-8"})).await,
        400,
        "invalid_input",
    );
    let other = fixture.identity(json!({})).await;
    let taken = json!({"user_identity_id": other, "user_identity_key": "crm-8"});
    expect_error(&fixture.post("/user_identities/update", taken).await, 400, "invalid_input");
    let nameless = fixture.post("/user_identities/get", json!({"user_identity_id": other})).await.expect(200);
    assert_eq!(nameless.body["user_identity"]["full_name"], Value::Null);
    assert!(nameless.body["user_identity"]["display_name"].as_str().unwrap().starts_with("user-"));
    let wrong = json!({"email_address": "x", "phone_number": "y", "full_name": "z".repeat(300)});
    let refused = fixture.post("/user_identities/create", wrong).await;
    expect_error(&refused, 400, "invalid_input");
    for field in ["email_address", "phone_number", "full_name"] {
        assert!(refused.body["error"]["validation_errors"][field].is_object(), "{}", refused.text);
    }
    // Each error once, with that of the name.
    let long = "z".repeat(65);
    let wrong = json!({"email_address": "x", "full_name": format!("Ada {long}")});
    let refused = fixture.post("/user_identities/create", wrong).await;
    let validation_errors = &refused.body["error"]["validation_errors"];
    let name = json!(["as a last name must have at most 64 characters"]);
    assert_eq!(
        (&validation_errors["full_name"]["_errors"], validation_errors["email_address"].is_object()),
        (&name, true)
    );
    let refused = fixture.post("/user_identities/update", update(json!({"full_name": 3}))).await;
    assert_eq!(refused.body["error"]["validation_errors"]["full_name"]["_errors"], json!(["must be a string"]));
}

#[tokio::test]
async fn seams_routes_create_once_per_idempotency_key() {
    let fixture = SeamClient::sandbox().await;
    let send = async |path: &str, body: Value, key: &str| {
        let request = Request::builder().method(Method::POST).uri(path).header("idempotency-key", key);
        let request = request.header("authorization", format!("Bearer {}", fixture.tenant.key));
        fixture.bench.send(request.body(body.to_string().into_bytes()).unwrap()).await
    };
    let people = "/user_identities/create";
    let first = send(people, json!({"full_name": "Ada"}), "a").await.expect(200);
    let repeated = send(people, json!({"full_name": "Ada"}), "a").await.expect(200);
    assert_eq!(first.body, repeated.body);
    expect_error(&send(people, json!({"full_name": "Bob"}), "a").await, 400, "invalid_input");
    assert_eq!(fixture.bench.list_all(&fixture.tenant, "/users").await.len(), 1);
    let phones = "/phones/simulate/create_sandbox_phone";
    let body = json!({"user_identity_id": first.body["user_identity"]["user_identity_id"]});
    let first = send(phones, body.clone(), "b").await.expect(200);
    assert_eq!(send(phones, body, "b").await.expect(200).body, first.body);
    assert_eq!(fixture.phones("").await.len(), 1);
}

#[tokio::test]
async fn user_identities_are_listed_page_by_page() {
    let fixture = SeamClient::new().await;
    let mut created = Vec::new();
    for n in 0..5 {
        created.push(fixture.identity(json!({"full_name": format!("Ada {n}")})).await);
        fixture.bench.advance(chrono::Duration::milliseconds(1));
    }
    let _other = fixture.identity(json!({"full_name": "Bob"})).await;
    let (mut found, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let page =
            fixture.post("/user_identities/list", json!({"limit": 2, "search": "ada", "page_cursor": cursor})).await;
        let page = page.expect(200).body;
        let users = page["user_identities"].as_array().unwrap().iter();
        found.extend(users.map(|user| user["user_identity_id"].as_str().unwrap().to_owned()));
        cursor = page["pagination"]["next_page_cursor"].clone();
        assert_eq!(page["pagination"]["has_next_page"], cursor.is_string());
        assert_eq!(page["pagination"]["next_page_url"], Value::Null);
        if cursor.is_null() {
            break;
        }
        // Unknown objects are in no list.
        let more = json!({"page_cursor": cursor, "limit": 2, "search": "ada", "elsewhere": 1, "created_before": null});
        let _same = fixture.post("/user_identities/list", more).await.expect(200);
        let foreign = json!({"page_cursor": cursor, "search": "bob"});
        expect_error(&fixture.post("/user_identities/list", foreign).await, 400, "invalid_input");
    }
    found.sort();
    created.sort();
    assert_eq!(found, created);
}

#[tokio::test]
async fn a_cursor_is_only_valid_for_its_own_list_and_filters() {
    let fixture = SeamClient::new().await;
    for name in ["ada", "adam"] {
        let _phone = fixture.bench.phone(&fixture.tenant, name).await;
    }
    let device = fixture.get("/devices/list").await.expect(200).body["devices"][0]["device_id"].clone();
    let lists = [
        ("/devices/list", json!({})),
        ("/devices/list", json!({"device_type": "ios_phone"})),
        ("/devices/list", json!({"custom_metadata_has": {"floor": "1"}})),
        ("/devices/list", json!({"custom_metadata_has": {"floor": "2"}})),
        ("/user_identities/list", json!({})),
        ("/user_identities/list", json!({"search": "ada"})),
        ("/user_identities/list", json!({"search": "ada a"})),
    ];
    let with = |filters: &Value, cursor: &Value| {
        let mut body = filters.clone();
        (body["limit"], body["page_cursor"]) = (json!(1), cursor.clone());
        body
    };
    let mut cursors = Vec::new();
    for (list, filters) in &lists {
        let page = fixture.post(list, with(filters, &Value::Null)).await.expect(200);
        let cursor = page.body["pagination"]["next_page_cursor"].clone();
        assert!(cursor.is_string(), "{list} {filters}");
        let _next = fixture.post(list, with(filters, &cursor)).await.expect(200);
        cursors.push(cursor);
    }
    let other = fixture.bench.tenant("Other").await;
    for (at, cursor) in cursors.iter().enumerate() {
        for (_, (list, filters)) in lists.iter().enumerate().filter(|(other, _)| *other != at) {
            expect_error(&fixture.post(list, with(filters, cursor)).await, 400, "invalid_input");
        }
        expect_error(
            &fixture.post("/devices/list", with(&json!({"device_ids": [device]}), cursor)).await,
            400,
            "invalid_input",
        );
        let (list, filters) = &lists[at];
        let foreign = fixture.bench.post(list, &other.key, with(filters, cursor)).await;
        expect_error(&foreign, 400, "invalid_input");
    }
}

#[tokio::test]
async fn a_simulated_phone_is_as_requested_and_counts_as_a_device() {
    let fixture = SeamClient::sandbox().await;
    let ada = fixture.identity(json!({})).await;
    let plain = fixture.phone(&ada).await;
    assert_eq!(
        (&plain["device_type"], &plain["display_name"]),
        (&json!("android_phone"), &json!("Samsung Galaxy S10"))
    );
    assert_eq!(plain["properties"], json!({}));
    let body = json!({
        "user_identity_id": ada, "custom_sdk_installation_id": "sdk-1",
        "phone_metadata": {"operating_system": "ios", "device_model": "iPhone 17", "os_version": "26.1", "device_manufacturer": "Apple"},
        "assa_abloy_metadata": {"seos_tsm_endpoint_id": 7, "application_version": "2.0.0"},
    });
    let created =
        fixture.post("/phones/simulate/create_sandbox_phone", body.clone()).await.expect(200).body["phone"].clone();
    assert_eq!((&created["device_type"], &created["display_name"]), (&json!("ios_phone"), &json!("iPhone 17")));
    let endpoint = json!({"endpoints": [{"endpoint_id": "7", "is_active": true}], "has_active_endpoint": true});
    assert_eq!(created["properties"], json!({"assa_abloy_credential_service_metadata": endpoint}));
    let own = fixture.post("/phones/simulate/create_sandbox_phone", body.clone()).await;
    expect_error(&own, 400, "invalid_input");
    assert_eq!(
        own.body["error"]["message"], "custom_sdk_installation_id is that of a phone that the user has",
        "it is no other user's"
    );
    let _activated = fixture.post("/phones/deactivate", json!({"device_id": created["device_id"]})).await.expect(200);
    let repeated = fixture.post("/phones/simulate/create_sandbox_phone", body).await.expect(200);
    assert_ne!(repeated.body["phone"]["device_id"], created["device_id"], "its name is free after its deletion");
    let _third = fixture.phone(&ada).await;
    let fourth = fixture.post("/phones/simulate/create_sandbox_phone", json!({"user_identity_id": ada})).await;
    expect_error(&fourth, 400, "invalid_input");
    let unknown = fixture.post("/phones/simulate/create_sandbox_phone", json!({"user_identity_id": NOBODY})).await;
    expect_error(&unknown, 404, "user_identity_not_found");
    let real = SeamClient::new().await;
    let user = real.identity(json!({})).await;
    let refused = real.post("/phones/simulate/create_sandbox_phone", json!({"user_identity_id": user})).await;
    expect_error(&refused, 400, "invalid_input");
    assert!(!rows::all(&real.bench, rows::MAIN).values().any(|row| row["sk"] == "DEVICE"));
}

#[tokio::test]
async fn credential_services_reports_are_shown_as_properties_and_warnings() {
    let fixture = SeamClient::new().await;
    let (device, credential) = fixture.bench.phone(&fixture.tenant, "ada").await;
    let _check_in = fixture.bench.check_in(&credential).await.expect(200);
    fixture.bench.drain().await;
    let report = async |service: &str, body: Value| {
        let path = format!("/devices/{device}/credential-services/{service}");
        fixture.bench.put(&path, &fixture.tenant.key, body).await
    };
    let shown =
        async || fixture.get(&format!("/phones/get?device_id={device}")).await.expect(200).body["phone"].clone();
    let endpoints = json!([{"endpoint_id": "e1", "is_active": false}, {"endpoint_id": "e2", "is_active": true}]);
    let assa = report("assa_abloy", json!({"endpoints": endpoints})).await.expect(200);
    assert_eq!(assa.body["credential_services"]["assa_abloy"]["has_active_endpoint"], true);
    let broken = json!({"endpoints": [], "problem": "the provider does not answer"});
    let _salto = report("salto_space", broken.clone()).await.expect(200);
    let phone = shown().await;
    let properties = json!({
        "assa_abloy_credential_service_metadata": {"endpoints": endpoints, "has_active_endpoint": true},
        "salto_space_credential_service_metadata": {"has_active_phone": false},
    });
    assert_eq!(phone["properties"], properties);
    let warned = |phone: &Value| -> Vec<String> {
        let warnings = phone["warnings"].as_array().unwrap().iter();
        warnings.map(|warning| warning["warning_code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(warned(&phone), ["unknown_issue_with_phone"]);
    let since = phone["warnings"][0]["created_at"].clone();
    fixture.bench.advance(chrono::Duration::minutes(5));
    let events = fixture.bench.event_types(&fixture.tenant).await.len();
    let _same = report("salto_space", broken).await.expect(200);
    assert_eq!(fixture.bench.event_types(&fixture.tenant).await.len(), events, "an unchanged value records no event");
    assert_eq!(shown().await["warnings"][0]["created_at"], since);
    let _well =
        report("salto_space", json!({"endpoints": [{"endpoint_id": "s", "is_active": true}]})).await.expect(200);
    let phone = shown().await;
    assert_eq!(warned(&phone), Vec::<String>::new());
    assert_eq!(phone["properties"]["salto_space_credential_service_metadata"], json!({"has_active_phone": true}));
    assert_eq!(report("nobody", json!({"endpoints": []})).await.expect(404).code(), "credential_service_not_found");
}

#[tokio::test]
async fn a_phones_errors_are_shown_in_every_response() {
    let fixture = SeamClient::new().await;
    let (device, credential) = fixture.bench.phone(&fixture.tenant, "ada").await;
    let minimum = json!({"minimum_versions": {"app": "99.1", "ios": "99"}});
    let _updated = fixture.bench.patch("/workspace", &fixture.tenant.key, minimum).await.expect(200);
    let order =
        fixture.bench.post(&format!("/devices/{device}/lock"), &fixture.tenant.key, json!({})).await.expect(202);
    let _check_in = fixture.bench.check_in(&credential).await.expect(200);
    let _reported = fixture.bench.report_command(&credential, &order.get("command_id"), "failed").await.expect(200);
    fixture.bench.drain().await;
    fixture.bench.advance(chrono::Duration::days(31));
    let codes = |list: &Value, name: &str| -> Vec<String> {
        list.as_array().unwrap().iter().map(|item| item[name].as_str().unwrap().to_owned()).collect()
    };
    let warned = ["app_version_too_old", "os_version_too_old", "silent"];
    let shown = fixture.bench.get(&format!("/devices/{device}"), &fixture.tenant.key).await.expect(200).body;
    assert_eq!(codes(&shown["errors"], "code"), ["command_failed"]);
    assert_eq!(codes(&shown["warnings"], "code"), warned);
    let listed = fixture.bench.list_all(&fixture.tenant, "/devices").await;
    assert_eq!((&listed[0]["errors"], &listed[0]["warnings"]), (&shown["errors"], &shown["warnings"]));
    let phone = fixture.get(&format!("/phones/get?device_id={device}")).await.expect(200).body["phone"].clone();
    assert_eq!(codes(&phone["errors"], "error_code"), ["command_failed"]);
    assert_eq!(codes(&phone["warnings"], "warning_code"), warned);
}

#[tokio::test]
async fn seams_routes_separate_workspaces_and_use_seams_error_format() {
    let fixture = SeamClient::new().await;
    let (device, _credential) = fixture.bench.phone(&fixture.tenant, "ada").await;
    let other = SeamClient { tenant: fixture.bench.tenant("Other").await, bench: fixture.bench };
    for path in ["/phones/get", "/devices/get", "/phones/deactivate", "/devices/update"] {
        expect_error(&other.post(path, json!({"device_id": device})).await, 404, "device_not_found");
    }
    assert_eq!(other.phones("").await, Vec::<String>::new());
    let workspace = other.get("/workspaces/get").await.expect(200).body["workspace"].clone();
    assert_eq!(
        (&workspace["workspace_id"], &workspace["is_sandbox"]),
        (&json!(other.tenant.workspace_id), &json!(false))
    );

    let wrong = other.call(Method::PUT, "/phones/list", None).await;
    expect_error(&wrong, 405, "method_not_allowed");
    assert_eq!(wrong.body["error"]["message"], "only GET,POST accepted");
    assert_eq!(wrong.headers["allow"], "GET,POST");
    for (path, verbs) in [("/phones/deactivate", "DELETE,POST"), ("/user_identities/create", "POST")] {
        assert_eq!(other.get(path).await.expect(405).body["error"]["message"], format!("only {verbs} accepted"));
    }
    let ours = other.call(Method::PUT, "/devices/list", None).await;
    expect_error(&ours, 405, "method_not_allowed");
    for path in ["/phones/list?_errors=1&_errors.x=2", "/phones/list?limit._errors=1&limit._errors=2"] {
        assert!(other.get(path).await.status.as_u16() < 500, "{path}");
    }
    let odd = json!({"device_id": NOBODY, "custom_metadata": {"_errors": 5, "a.".repeat(1000): 1}});
    expect_error(&other.post("/devices/update", odd).await, 400, "invalid_input");
    let missing = other.get("/phones/get").await;
    expect_error(&missing, 400, "invalid_input");
    assert_eq!(missing.body["error"]["message"], "device_id is required");
    let expected = json!({"_errors": [], "device_id": {"_errors": ["Required"]}});
    assert_eq!(missing.body["error"]["validation_errors"], expected);
    expect_error(&other.get(&format!("/phones/get?device_id={device}&device_id={device}")).await, 400, "invalid_input");
    expect_error(&other.get("/phones/nothing").await, 404, "route_not_found");
    for bad in ["x", "seam_at1_x", "seam_11111111_111111111111111111111111"] {
        let answer = other.bench.get("/phones/list", bad).await;
        expect_error(&answer, 401, "unauthorized");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
}

#[tokio::test]
async fn a_read_only_key_changes_nothing_by_seams_routes() {
    let fixture = SeamClient::sandbox().await;
    let user = fixture.identity(json!({})).await;
    let phone = fixture.phone(&user).await["device_id"].clone();
    let body = json!({"name": "reader", "permissions": ["devices:read", "users:read", "events:read"]});
    let reader = fixture.bench.post("/keys", &fixture.tenant.key, body).await.expect(201).get("key");
    let before = rows::everything(&fixture.bench);
    for (path, body) in [
        ("/phones/deactivate", json!({"device_id": phone})),
        ("/phones/simulate/create_sandbox_phone", json!({"user_identity_id": user})),
        ("/devices/update", json!({"device_id": phone, "name": "x"})),
        ("/user_identities/create", json!({})),
        ("/user_identities/update", json!({"user_identity_id": user, "full_name": "x"})),
        ("/user_identities/delete", json!({"user_identity_id": user})),
    ] {
        expect_error(&fixture.bench.post(path, &reader, body).await, 403, "permission_missing");
    }
    assert!(before == rows::everything(&fixture.bench), "something was changed");
}
