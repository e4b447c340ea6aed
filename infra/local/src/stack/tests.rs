//! Smoke tests of the system on which other tests build.

use std::sync::atomic::AtomicUsize;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use http::Method;
use serde_json::json;

use super::*;
use crate::api::{Answer, Api};
use crate::demo::{self, DemoClock};
use crate::messaging::Channel;
use crate::people;
use crate::start_screen;

async fn started(options: StackOptions) -> (Stack, String) {
    let stack = Stack::start(options).await.unwrap();
    let workspace = start_screen::workspace(&stack, None).await.unwrap();
    (stack, workspace.key)
}

async fn get(api: Api<'_>, path: &str) -> Answer {
    api.send(Method::GET, path, None, &json!({})).await
}

#[tokio::test]
async fn from_a_file_of_people_to_a_phone_that_is_in() {
    let (stack, key) = started(StackOptions::default()).await;
    let admin = Api::anonymous(&stack).with_credential(&key);
    let file = std::env::temp_dir().join(format!("handset-people-{}.csv", crate::random_id()));
    fs::write(&file, "Username,E-mail,First name\nada,ada@example.com,Ada\nbob,nonsense,Bob\ncarl,,\n").unwrap();

    let first = people::import(admin, &file).await.unwrap();
    assert_eq!((first.created, first.existing, first.invited), (2, 0, 1));
    assert_eq!(first.errors.len(), 2);
    assert_eq!(first.errors[0].0, 3);
    assert!(first.errors[0].1.contains("email"), "{first:?}");
    let again = people::import(admin, &file).await.unwrap();
    assert_eq!((again.created, again.existing, again.invited), (0, 2, 0));
    fs::remove_file(file).unwrap();

    stack.drain(Retry::Now).await.unwrap();
    let outbox = stack.messaging().outbox();
    assert_eq!(outbox.len(), 1, "one invitation");
    assert_eq!((outbox[0].channel, outbox[0].to.as_str()), (Channel::Email, "ada@example.com"));
    let code = outbox[0].text.as_deref().and_then(demo::code).unwrap();
    let phone = json!({
        "code": code, "device_identifier": "phone-1", "platform": "ios", "model_name": "iPhone 15",
        "os_version": "18.1", "app_version": "3.4.0", "push_token": "abc123",
    });
    let registered = Api::anonymous(&stack).post("/devices", &phone).await;
    assert_eq!(registered.status, 201, "{:?}", registered.body);
    let credential = registered.body["credential"].as_str().unwrap();
    let check_in = Api::anonymous(&stack).with_credential(credential).post("/devices/me/check-in", &json!({})).await;
    assert_eq!(check_in.body["access"], "allowed", "{:?}", check_in.body);

    stack.drain(Retry::Now).await.unwrap();
    let devices = get(admin, "/devices").await;
    assert_eq!(devices.body["items"][0]["device_status"], "in_use", "{:?}", devices.body);
    assert!(devices.body["items"][0]["push_endpoint"].is_string(), "its endpoint was made: {:?}", devices.body);
    assert!(stack.driver().dead_letters().is_empty());
}

#[tokio::test]
async fn whoever_runs_the_machine_has_a_token_for_each_workspace_on_it() {
    let (stack, key) = started(StackOptions::default()).await;
    let first = get(Api::anonymous(&stack).with_credential(&key), "/workspace").await.body["workspace_id"].clone();
    let second = stack.invoke("create-workspace", json!({"name": "Second"})).await.unwrap();
    let wanted = json!({"workspace_ids": [first, second["workspace_id"]]});
    let wanted = wanted.as_object().unwrap();
    for _again in 0..2 {
        let made = stack.operator.token(wanted.clone()).await.unwrap();
        let token = made["token"].as_str().unwrap();
        let reached = get(Api::anonymous(&stack).with_credential(token), "/workspaces/list").await;
        assert_eq!(reached.body["workspaces"].as_array().unwrap().len(), 2, "{:?}", reached.body);
    }
    let members = get(Api::anonymous(&stack).with_credential(&key), "/members").await;
    assert_eq!(members.body["items"].as_array().unwrap().len(), 1, "{:?}", members.body);
    let unknown = json!({"workspace_ids": ["0190f3c4-7b5e-7a11-8c1d-3f2a9b6c5d4e"]});
    assert!(stack.operator.token(unknown.as_object().unwrap().clone()).await.is_err());
}

#[tokio::test]
async fn every_schedule_runs_with_its_rights() {
    let (stack, _) = started(StackOptions::default()).await;
    for operation in ["run-due", "purge-deleted"] {
        stack.run_schedule(operation).await.unwrap();
    }
}

#[tokio::test]
async fn a_right_that_the_template_does_not_give_is_missing_here() {
    let right = "[dynamodb:GetItem, dynamodb:PutItem, dynamodb:ConditionCheckItem]";
    assert_eq!(crate::TEMPLATE.matches(right).count(), 1, "create-workspace alone has just these");
    let template = crate::TEMPLATE.replace(right, "dynamodb:GetItem");
    let stack = Stack::start(StackOptions { template, ..StackOptions::default() }).await.unwrap();
    let made = stack.invoke("create-workspace", json!({ "name": "Local", "sandbox": false })).await;
    assert!(made.is_err(), "{made:?}");
}

#[tokio::test]
async fn a_restart_finds_everything_again() {
    let folder = std::env::temp_dir().join(format!("handset-data-{}", crate::random_id()));
    let options = || StackOptions { data: Some(folder.clone()), port: Some(0), ..StackOptions::default() };
    let workspace = {
        let stack = Stack::start(options()).await.unwrap();
        let workspace = start_screen::workspace(&stack, Some(&folder)).await.unwrap();
        let user = json!({ "username": "ada", "email": "ada@example.com" });
        let made = Api::anonymous(&stack).with_credential(&workspace.key).post("/users", &user).await;
        assert_eq!(made.status, 201, "{:?}", made.body);
        stack.save().unwrap();
        workspace
    };
    let stack = Stack::start(options()).await.unwrap();
    let again = start_screen::workspace(&stack, Some(&folder)).await.unwrap();
    assert_eq!((again.key.as_str(), again.workspace_id), (workspace.key.as_str(), workspace.workspace_id));
    let users = get(Api::anonymous(&stack).with_credential(&again.key), "/users").await;
    assert_eq!(users.body["items"][0]["username"], "ada", "{:?}", users.body);
    fs::remove_dir_all(folder).unwrap();
}

/// A service that is slow, and sometimes does not respond.
#[derive(Debug)]
struct Busy<C> {
    client: C,
    calls: Arc<AtomicUsize>,
}

impl HttpClient for Busy<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let client = self.client.http_connector(settings, components);
        SharedHttpConnector::new(Busy { client, calls: Arc::clone(&self.calls) })
    }
}

impl HttpConnector for Busy<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let is_mail = request.uri().contains("/v2/email/");
        let fails = is_mail && self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(5);
        let answer = self.client.call(request);
        HttpConnectorFuture::new(async move {
            if is_mail {
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
            if fails { Err(ConnectorError::other("it does not answer".into(), None)) } else { answer.await }
        })
    }
}

#[tokio::test]
async fn it_goes_back_to_how_everything_stood_and_what_was_to_be_done_is_to_be_done_again() {
    let (stack, key) = started(StackOptions::default()).await;
    let admin = Api::anonymous(&stack).with_credential(&key);
    let made = admin.post("/users", &json!({"username": "ada", "email": "ada@example.com"})).await;
    let path = format!("/users/{}/invite", made.body["user_id"].as_str().unwrap());
    let _invited = admin.post(&path, &json!({"channel": "email"})).await;
    let mark = stack.mark().unwrap();
    for _ in 0..2 {
        assert!(stack.messaging().outbox().is_empty(), "what is to be sent waits in the stream");
        assert_eq!(get(admin, "/users").await.body["items"].as_array().unwrap().len(), 1);
        let _other = admin.post("/users", &json!({"username": "bob"})).await;
        stack.drain(Retry::Now).await.unwrap();
        assert_eq!(stack.messaging().outbox().len(), 1);
        assert_eq!(get(admin, "/users").await.body["items"].as_array().unwrap().len(), 2);
        stack.restore(&mark).unwrap();
    }
    let file = mark.file.clone();
    drop(mark);
    assert!(!file.exists(), "nothing is left of it");
}

#[tokio::test]
async fn on_a_busy_machine_the_demonstration_takes_longer_and_comes_out_the_same() {
    let clock = DemoClock::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let adjust: Adjust = Arc::new(move |operation, mut connection| {
        if operation == "send-message" {
            let busy = Busy { client: connection.http.clone(), calls: Arc::clone(&calls) };
            connection.http = SharedHttpClient::new(busy);
        }
        connection
    });
    let options = StackOptions { now: clock.now(), automatic: true, adjust: Some(adjust), ..StackOptions::default() };
    let (stack, key) = started(options).await;
    demo::create(&stack, &key, &clock, 24).await.unwrap();
    let devices = get(Api::anonymous(&stack).with_credential(&key), "/devices?limit=100").await;
    assert_eq!(devices.body["items"].as_array().map(Vec::len), Some(33), "{:?}", devices.body);
}

#[tokio::test]
async fn the_demonstration_shows_phones_in_every_state() {
    let clock = DemoClock::default();
    let (stack, key) = started(StackOptions { now: clock.now(), ..StackOptions::default() }).await;
    demo::create(&stack, &key, &clock, 40).await.unwrap();
    let admin = Api::anonymous(&stack).with_credential(&key);
    for state in ["never_seen", "in_use", "silent", "blocked", "deleted"] {
        let status = if state == "deleted" { "deleted" } else { "active" };
        let mut found = false;
        let mut cursor = String::new();
        while !found {
            let page = get(admin, &format!("/devices?limit=100&status={status}{cursor}")).await;
            let items = page.body["items"].as_array().unwrap_or_else(|| panic!("{:?}", page.body)).clone();
            found = items.iter().any(|device| device["device_status"] == state);
            match page.body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert!(found, "no device is {state}");
    }
    assert!(stack.driver().dead_letters().is_empty());
}
