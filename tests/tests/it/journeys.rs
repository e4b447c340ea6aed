//! An administrator's day, over HTTP against the running product: one that is started here on a free port, or the one
//! of `HANDSET_URL` and `HANDSET_KEY`.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use local::stack::{Stack, StackOptions};
use serde_json::{Value, json};
use testkit::code_after;

/// The running product, and a key of it.
struct Product {
    url: String,
    key: String,
    client: Client<HttpConnector, Full<axum::body::Bytes>>,
    _stack: Option<Stack>,
}

struct Answer {
    status: u16,
    body: Value,
}

impl Product {
    async fn find() -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        #[expect(clippy::disallowed_methods, reason = "where the product runs is for the environment to say")]
        let named = std::env::var("HANDSET_URL").ok().zip(std::env::var("HANDSET_KEY").ok());
        if let Some((url, key)) = named {
            return Self { url, key, client, _stack: None };
        }
        let options = StackOptions { port: Some(0), automatic: true, ..StackOptions::default() };
        let stack = Stack::start(options).await.expect("the server starts");
        let created = stack.invoke("create-workspace", json!({"name": "Acme"})).await.expect("a workspace is created");
        let key = created["key"].as_str().unwrap().to_owned();
        Self { url: stack.url().to_owned(), key, client, _stack: Some(stack) }
    }

    async fn call(&self, method: Method, path: &str, credential: Option<&str>, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        request = request.header("accept", "application/json").header("content-type", "application/json");
        if let Some(credential) = credential {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let response = self.client.request(request.body(Full::from(body)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_default() }
    }

    async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.call(method, path, Some(&self.key), body).await
    }

    async fn register(&self, code: &str, identifier: &str) -> Answer {
        let body = json!({
            "code": code,
            "device_identifier": identifier,
            "platform": "android",
            "model_name": "Pixel 10",
            "os_version": "16",
            "app_version": "4.2.0",
            "push_token": format!("token-{identifier}"),
        });
        self.call(Method::POST, "/devices", None, Some(body)).await
    }

    /// Creates a user, and returns the identifier.
    async fn user(&self, person: Value) -> String {
        let user = self.admin(Method::POST, "/users", Some(person)).await;
        assert_eq!(user.status, 201, "{}", user.body);
        user.body["user_id"].as_str().unwrap().to_owned()
    }

    async fn check_in(&self, credential: &str) -> Answer {
        self.call(Method::POST, "/devices/me/check-in", Some(credential), Some(json!({}))).await
    }

    /// Waits for the latest message to an address or a number, and returns its code.
    async fn newest_code_for(&self, address: &str) -> String {
        for _ in 0..200 {
            let outbox = self.call(Method::GET, "/_local/outbox", None, None).await.body;
            let items = outbox["items"].as_array().cloned().unwrap_or_default();
            if let Some(message) = items.iter().find(|item| item["to"] == address) {
                return code_after("/i/", message["text"].as_str().unwrap()).unwrap();
            }
            // The product is another process, so the test has to poll.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no message came");
    }
}

/// Nine digits that no earlier run against the same product has used.
fn unique() -> String {
    format!("{:09}", local::stack::system_time().timestamp_micros() % 1_000_000_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_is_invited_registered_blocked_and_deleted() {
    let product = Product::find().await;
    let unique = unique();
    let (username, email) = (format!("journey{unique}"), format!("journey{unique}@example.com"));
    let person = json!({"username": username, "first_name": "Ada", "last_name": "Adler", "email": email});
    let user_id = product.user(person).await;
    let invite = format!("/users/{user_id}/invite");
    let invited = product.admin(Method::POST, &invite, Some(json!({"channel": "email", "devices": 3}))).await;
    assert_eq!(invited.status, 202, "{}", invited.body);

    let code = product.newest_code_for(&email).await;
    let mut phones = Vec::new();
    for n in 1..=3 {
        let phone = product.register(&code, &format!("{username}-{n}")).await;
        assert_eq!(phone.status, 201, "{}", phone.body);
        phones.push(phone.body);
    }
    let fourth = product.register(&code, &format!("{username}-4")).await;
    assert_eq!((fourth.status, &fourth.body["code"]), (409, &json!("device_limit_reached")));
    assert_eq!(fourth.body["devices"].as_array().unwrap().len(), 3);

    let credential = phones[0]["credential"].as_str().unwrap();
    let device = format!("/devices/{}", phones[0]["device"]["device_id"].as_str().unwrap());
    assert_eq!(product.check_in(credential).await.body["access"], "allowed");
    let blocked = product.admin(Method::POST, &format!("{device}/block"), Some(json!({"reason": "lost"}))).await;
    assert_eq!((blocked.status, &blocked.body["blocked"]["reason"]), (200, &json!("lost")));
    assert_eq!(product.check_in(credential).await.body["access"], "device_blocked");

    let deleted = product.admin(Method::DELETE, &device, None).await;
    assert_eq!((deleted.status, &deleted.body["status"]), (200, &json!("deleted")));
    assert!(deleted.body["purge_after"].is_string());
    assert_eq!(product.check_in(credential).await.body["access"], "deleted");
    let open = product.admin(Method::GET, &format!("/users/{user_id}"), None).await;
    assert_eq!(open.body["devices"].as_array().unwrap().len(), 2, "its slot is free");

    let events = product.admin(Method::GET, &format!("/events?user_id={user_id}&limit=100"), None).await;
    let types: Vec<&str> =
        events.body["items"].as_array().unwrap().iter().map(|e| e["event_type"].as_str().unwrap()).collect();
    for expected in ["user.created", "user.invited", "device.registered", "device.blocked", "device.deleted"] {
        assert!(types.contains(&expected), "{expected} is not in {types:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_invited_by_text_suspended_activated_locked_and_wiped_and_deleted() {
    let product = Product::find().await;
    let unique = unique();
    let (username, mobile) = (format!("life{unique}"), format!("+4915{unique}"));
    let person = json!({"username": username, "first_name": "Bo", "last_name": "Beck", "mobile": mobile});
    let user = format!("/users/{}", product.user(person).await);
    let context = async |action: &str, body: Value| {
        let answer = product.admin(Method::POST, &format!("{user}/{action}"), Some(body)).await;
        assert!(answer.status < 300, "{action}: {}", answer.body);
        answer.body
    };
    let status = async || product.admin(Method::GET, &user, None).await.body["status"].clone();
    let _invited = context("invite", json!({"channel": "sms"})).await;
    assert_eq!(status().await, "inactive");
    let code = product.newest_code_for(&mobile).await;
    let phone = product.register(&code, &username).await;
    assert_eq!(phone.status, 201, "{}", phone.body);
    let credential = phone.body["credential"].as_str().unwrap();
    let device = format!("/devices/{}", phone.body["device"]["device_id"].as_str().unwrap());
    let found = product.admin(Method::GET, &format!("/users?search={}", &mobile[1..]), None).await;
    assert_eq!(found.body["items"][0]["username"], *username);
    assert_eq!(product.check_in(credential).await.body["access"], "allowed");
    assert_eq!(status().await, "active");

    let _suspended = context("suspend", json!({"reason": "on leave"})).await;
    assert_eq!(product.check_in(credential).await.body["access"], "user_suspended");
    assert_eq!(status().await, "suspended");
    let _activated = context("activate", json!({})).await;
    assert_eq!(product.check_in(credential).await.body["access"], "allowed");

    let refused = product.admin(Method::DELETE, &user, None).await;
    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("wipe_first")));
    let _locked = context("lock-and-wipe", json!({"reason": "stolen"})).await;
    let check_in = product.check_in(credential).await.body;
    assert_eq!((&check_in["access"], &check_in["commands"][0]["kind"]), (&json!("user_locked"), &json!("wipe")));
    let report = format!("/devices/me/commands/{}", check_in["commands"][0]["command_id"].as_str().unwrap());
    let reported = product.call(Method::POST, &report, Some(credential), Some(json!({"result": "succeeded"}))).await;
    assert_eq!((reported.status, &reported.body["state"]), (200, &json!("succeeded")));
    let wiped = product.admin(Method::GET, &device, None).await;
    assert_eq!(wiped.body["device_status"], "wiped");
    let out = product.check_in(credential).await;
    assert_eq!((out.status, &out.body["code"]), (401, &json!("re_enrol")));

    let deleted = product.admin(Method::DELETE, &user, None).await;
    assert_eq!((deleted.status, &deleted.body["status"]), (200, &json!("deleted")));
    assert!(deleted.body["purge_after"].is_string());
}
