//! Bad input is rejected in the API's error format, with every error named, and changes nothing. It never causes a
//! server error.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use domain::cursor;
use functions::Access;
use http::{HeaderValue, Method, Request};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};
use testkit::oidc::{self, ISSUER, Oidc};
use testkit::samples::{self, Field, Kind, Sample, SampleRequest, hook, page};
use testkit::{Answer, Bench, Tenant, rows};

use Kind::{
    Ascii, Boolean, Choice, Email, Endpoints, Fields, Future, Id, Ids, Integer, Levels, Line, Metadata, Mobile, Number,
    Object, Past, Permissions, Pin, Pointer, Search, Settings, Timestamp, Types, Url, Username, Version, Workspaces,
};

/// The query of an upload with one part.
const PART: &str = "/parts/1?upload=0190f3c4-7b5e-7a11-8c1d-000000000001&last=true&start=false";

/// An operation with a body.
struct Operation {
    name: &'static str,
    method: Method,
    path: String,
    credential: Option<String>,
    good: Value,
    fields: &'static [Field],
}

/// A system with one object of each kind, to which bad input is sent.
struct Target {
    bench: Bench,
    tenant: Tenant,
    user: String,
    device: String,
    credential: String,
    key: String,
    member: String,
    /// The issuer of the member, who has a personal access token.
    oidc: Oidc,
    token: String,
    code: String,
    /// A device of another user, with a command.
    other: String,
    /// A command that was not delivered to the device.
    command: String,
    invitation: String,
    /// A job over two users.
    job: String,
    /// The default of two profiles.
    profile: String,
    /// A source with an unused upload.
    source: String,
    /// A source that is read from a page.
    page: String,
    /// One of two webhooks.
    webhook: String,
    /// All stored rows before the first rejected request; none after another request.
    known: RefCell<Option<Stored>>,
}

/// Everything that is stored.
type Stored = BTreeMap<(&'static str, String), Value>;

impl Target {
    async fn new() -> Self {
        let oidc = Oidc::new();
        let bench = oidc.bench().await;
        let tenant = bench.tenant("House").await;
        let (device, credential) = bench.phone(&tenant, "ada").await;
        let shown = bench.get(&format!("/devices/{device}"), &tenant.key).await.expect(200);
        let user = shown.get("user_id");
        let code = bench.invite(&tenant, &user, 2).await;
        let key = bench.key(&tenant, &["devices:read"]).await.get("key_id");
        let member = oidc::add_accepted_member(&bench, &tenant, "anna", "viewer").await;
        let signed_in = oidc.token("anna", bench.now());
        let token = oidc::new_token(&bench, &signed_in, &[&tenant.workspace_id], None).await.get("token_id");
        let (other, _) = bench.phone(&tenant, "olga").await;
        let command = bench.create_command(&tenant, &device, "lock").await;
        for (device, what) in [(&device, "wipe"), (&other, "lock")] {
            let _queued = bench.create_command(&tenant, device, what).await;
        }
        let newest = bench.get(&format!("/users/{user}/invitations"), &tenant.key).await.expect(200);
        let invitations = newest.body["items"].as_array().unwrap().iter();
        let open = invitations.filter(|item| item["status"] == "open").find_map(|item| item["invitation_id"].as_str());
        let invitation = open.expect("an invitation is open").to_owned();
        let every = json!({"action": "activate", "filter": {}});
        let _first = bench.post("/users/bulk", &tenant.key, every.clone()).await.expect(202);
        let job = bench.post("/users/bulk", &tenant.key, every).await.expect(202).get("job_id");
        let body = json!({"name": "File", "kind": "csv", "mapping": {"username": "login"}});
        let source = bench.post("/sources", &tenant.key, body).await.expect(201).get("source_id");
        let part = format!("/sources/{source}{PART}");
        let _uploaded = bench.upload(&tenant, &part, "login\nzoe\n").await.expect(202);
        let page = bench.post("/sources", &tenant.key, page("Page")).await.expect(201).get("source_id");
        let mut hooks = Vec::new();
        for _ in 0..2 {
            hooks.push(bench.post("/webhooks", &tenant.key, hook()).await.expect(201).get("webhook_id"));
        }
        let webhook = hooks.remove(0);
        bench.drain().await;
        let known = RefCell::default();
        let office =
            json!({"name": "Office", "settings": {"a": 1}, "schema": {"properties": {"a": {"type": "integer"}}}});
        let profile = bench.post("/profiles", &tenant.key, office).await.expect(201).get("profile_id");
        let _second = bench.profile(&tenant, "Field").await;
        Self {
            bench,
            tenant,
            user,
            device,
            credential,
            key,
            member,
            oidc,
            token,
            code,
            other,
            command,
            invitation,
            job,
            profile,
            source,
            page,
            webhook,
            known,
        }
    }

    /// The token of the signed-in member.
    fn signed_in(&self) -> String {
        self.oidc.token("anna", self.bench.now())
    }

    /// Every operation with a body, by each of its samples that list fields.
    fn operations(&self) -> Vec<Operation> {
        let thing = |name: &str| {
            let thing = match name {
                "user" | "other_user" | "deletable_user" => &self.user,
                "device" | "deletable_device" => &self.device,
                "command" => &self.command,
                "source" => &self.source,
                "page" => &self.page,
                "profile" => &self.profile,
                "webhook" => &self.webhook,
                "workspace" => &self.tenant.workspace_id,
                "code" => &self.code,
                "fresh" => "another",
                other => panic!("no value for the placeholder {other}"),
            };
            thing.to_owned()
        };
        let with_body = samples::samples().iter().filter(|sample| !sample.fields.is_empty());
        let operation = |sample: &'static Sample| {
            let SampleRequest { method, path, body } = sample.fill_placeholders(thing);
            let credential =
                match functions::operation(sample.operation).expect("the sample's operation exists").access() {
                    Access::Code | Access::Public | Access::Internal => None,
                    Access::Device => Some(self.credential.clone()),
                    Access::Member | Access::SignedIn => Some(self.signed_in()),
                    Access::Permission(_) | Access::AnyOf(_) => Some(self.tenant.key.clone()),
                };
            let good = body.expect("a body with fields has a sample");
            Operation { name: sample.operation, method, path, credential, good, fields: &sample.fields }
        };
        with_body.map(operation).collect()
    }

    /// Sends a request that may change something.
    async fn send(&self, operation: &Operation, body: Vec<u8>) -> Answer {
        self.expect_unchanged("before what may change something");
        let _earlier = self.known.take();
        let credential = operation.credential.as_deref();
        self.bench.send(request(operation.method.clone(), &operation.path, credential, body)).await
    }

    /// Asserts that a request is rejected. That rejected requests change nothing is checked by
    /// [`Target::expect_unchanged`] for many at once, at the latest at the end.
    async fn expect_rejected(&self, request: Request<Vec<u8>>, status: u16, code: &str) -> Answer {
        let body = String::from_utf8_lossy(&request.body()[..request.body().len().min(200)]).into_owned();
        let what = format!("{} {:.300} {body}", request.method(), request.uri());
        self.known.borrow_mut().get_or_insert_with(|| rows::everything(&self.bench));
        let answer = self.bench.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{what}: {}", answer.text);
        expect_valid_problem(&answer, &what);
        answer
    }

    /// Asserts that the rejected requests since the last call have changed nothing.
    fn expect_unchanged(&self, what: &str) {
        if let Some(known) = &*self.known.borrow() {
            assert!(*known == rows::everything(&self.bench), "{what}: something was changed");
        }
    }

    /// Asserts that an operation rejects a body.
    async fn expect_body_rejected(
        &self,
        operation: &Operation,
        body: impl Into<Vec<u8>>,
        status: u16,
        code: &str,
    ) -> Answer {
        let credential = operation.credential.as_deref();
        let sent = request(operation.method.clone(), &operation.path, credential, body.into());
        self.expect_rejected(sent, status, code).await
    }

    /// As [`Self::expect_body_rejected`], with exactly these errors.
    async fn expect_fields_rejected(&self, operation: &Operation, body: &Value, faults: &[(&str, &str)]) {
        let answer = self.expect_body_rejected(operation, body.to_string(), 422, "invalid_input").await;
        let expected: BTreeSet<(String, String)> =
            faults.iter().map(|(field, code)| ((*field).to_owned(), (*code).to_owned())).collect();
        assert_eq!(field_errors(&answer), expected, "{} {:.200}", operation.name, body.to_string());
    }

    /// Asserts that a GET is rejected.
    async fn expect_get_rejected(&self, path: &str, status: u16, code: &str) -> Answer {
        self.expect_rejected(request(Method::GET, path, Some(&self.tenant.key), Vec::new()), status, code).await
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.expect_unchanged("in the end");
        }
    }
}

/// The field of a body; dots in the name lead into nested objects.
fn field<'a>(body: &'a mut Value, name: &str) -> &'a mut Value {
    name.split('.').fold(body, |value, part| {
        if !value.is_object() {
            *value = json!({});
        }
        &mut value[part]
    })
}

/// Removes a field of a body.
fn remove_field(body: &mut Value, name: &str) {
    match name.rsplit_once('.') {
        Some((object, name)) => drop(field(body, object).as_object_mut().unwrap().remove(name)),
        None => drop(body.as_object_mut().unwrap().remove(name)),
    }
}

fn request(method: Method, path: &str, credential: Option<&str>, body: Vec<u8>) -> Request<Vec<u8>> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(credential) = credential {
        request = request.header("authorization", format!("Bearer {credential}"));
    }
    request.body(body).unwrap()
}

/// Asserts that a response is a problem in the contract's format.
fn expect_valid_problem(answer: &Answer, what: &str) {
    let body = &answer.body;
    let status = answer.status.as_u16();
    assert!((400..500).contains(&status), "{what}: {status} {}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{what}");
    assert_eq!(body["status"], status, "{what}");
    for name in ["code", "detail", "title", "type"] {
        assert!(body[name].as_str().is_some_and(|text| !text.is_empty()), "{what}: {name} in {}", answer.text);
    }
    let id = body["request_id"].as_str().unwrap_or_default();
    assert!(!id.is_empty() && answer.headers["x-request-id"] == *id, "{what}: {}", answer.text);
    if body["code"] == "invalid_input" {
        assert_eq!(status, 422, "{what}");
        let errors = body["errors"].as_array().expect("the problem has its errors");
        assert!(!errors.is_empty(), "{what}");
        for error in errors {
            let text = |name: &str| error[name].as_str();
            assert!(text("field").is_some(), "{what}: {error}");
            let is_present = ["code", "detail"].map(|name| text(name).is_some_and(|text| !text.is_empty()));
            assert_eq!(is_present, [true; 2], "{what}: {error}");
        }
    }
}

fn field_errors(answer: &Answer) -> BTreeSet<(String, String)> {
    let text = |error: &Value, name: &str| error[name].as_str().unwrap_or_default().to_owned();
    let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
    let faults: BTreeSet<_> = errors.iter().map(|error| (text(error, "field"), text(error, "code"))).collect();
    assert_eq!(faults.len(), errors.len(), "an error is reported twice: {}", answer.text);
    faults
}

fn invalid_times() -> [(Value, &'static str, &'static str); 5] {
    ["tomorrow", "", "2030-13-01T00:00:00Z", "2030-01-01", "2030-01-01T00:00:00"]
        .map(|text| (json!(text), "", "invalid_format"))
}

/// Values that a kind of field rejects, with the place within the field and the error's code.
fn bad_values(kind: Kind) -> Vec<(Value, &'static str, &'static str)> {
    let controls = ["a\u{0}b", "a\nb", "a\tb", "\u{7f}ab", "ab\u{85}", "\u{1b}[31m"];
    let mut bad: Vec<(Value, &str, &str)> = Vec::new();
    let texts = !matches!(
        kind,
        Permissions
            | Integer(..)
            | Boolean
            | Ids
            | Workspaces
            | Levels
            | Endpoints
            | Metadata
            | Object
            | Settings
            | Fields
            | Types
    );
    if texts {
        bad.extend(
            [json!(7), json!(1.5), json!(true), json!([]), json!(["a"]), json!({}), json!({"a": 1})]
                .map(|value| (value, "", "wrong_type")),
        );
    }
    if matches!(kind, Line(_) | Ascii(_) | Username | Email | Mobile | Number) {
        bad.extend(controls.map(|text| (json!(text), "", "control_character")));
    }
    let too_long = |most: usize| (json!("x".repeat(most + 1)), "", "too_long");
    match kind {
        Line(most) => {
            bad.extend(["", " ", "   "].map(|text| (json!(text), "", "too_short")));
            bad.extend(
                ["a\u{202E}b", "a\u{2066}b", "\u{200B}", "a\u{061C}b", "\u{FEFF}x"]
                    .map(|text| (json!(text), "", "invalid_format")),
            );
            bad.extend([
                too_long(most),
                (json!("é".repeat(most + 1)), "", "too_long"),
                (json!("x".repeat(100_000)), "", "too_long"),
            ]);
        }
        Ascii(most) => {
            bad.extend([too_long(most), (json!("é"), "", "invalid_format"), (json!(""), "", "too_short")]);
        }
        Username => {
            let unseen = ["a\u{AD}b", "a\u{200B}", "\u{2066}a", "a\u{34F}b", "a\u{3164}", "a\u{FE0F}", "a\u{E0061}"];
            bad.extend(unseen.map(|text| (json!(text), "", "invalid_format")));
            bad.extend(["a b", "a\u{3000}b", "a\u{202E}b"].map(|text| (json!(text), "", "invalid_format")));
            // One character that expands to eighteen letters.
            bad.extend([too_long(64), (json!("\u{FDFA}".repeat(64)), "", "too_long"), (json!(""), "", "too_short")]);
        }
        Email => {
            let bad_addresses = [
                "ada",
                "ada@",
                "@example.com",
                "ada@localhost",
                "a b@example.com",
                "ada@exa_mple.com",
                "\"a\"@example.com",
                "ada@example.com,b@example.com",
                "ада@example.com",
            ];
            bad.extend(bad_addresses.map(|text| (json!(text), "", "invalid_format")));
            bad.push((json!(format!("a@{}.com", "x".repeat(260))), "", "too_long"));
        }
        Mobile => {
            bad.extend(
                ["01701234567", "+0170123456", "+49170x23456", "491701234567", "+1", "+12345678901234567"]
                    .map(|text| (json!(text), "", "invalid_format")),
            );
        }
        Number => bad.extend([(json!("47x"), "", "invalid_format"), (json!("1".repeat(33)), "", "too_long")]),
        Url(most) => {
            bad.extend(
                ["http://issuer.example", "issuer.example/path", "HTTPS://issuer"]
                    .map(|text| (json!(text), "", "invalid_format")),
            );
            bad.push((json!(format!("https://{}", "x".repeat(most))), "", "too_long"));
        }
        Choice => {
            bad.extend(["nothing", "", "IOS", "ios ", "viewer\u{0}"].map(|text| (json!(text), "", "unknown_value")))
        }
        Permissions => {
            bad.extend(
                [json!(7), json!("devices:read"), json!({}), json!(true)].map(|value| (value, "", "wrong_type")),
            );
            bad.extend([
                (json!([]), "", "too_short"),
                (json!(["nothing"]), ".0", "unknown_value"),
                (json!([7]), ".0", "unknown_value"),
            ]);
            bad.push((json!(["devices:read", null]), ".1", "unknown_value"));
        }
        Integer(least, most) => {
            let wrong = [json!("1"), json!(1.5), json!(true), json!([]), json!({}), json!(1e300), json!(u64::MAX)];
            bad.extend(wrong.map(|value| (value, "", "wrong_type")));
            let beyond = [least - 1, most.saturating_add(1), i64::MIN, i64::MAX].into_iter();
            let beyond = beyond.filter(|value| !(least..=most).contains(value));
            bad.extend(beyond.map(|value| (json!(value), "", "out_of_range")));
        }
        Boolean => {
            let wrong = [json!("true"), json!(""), json!(0), json!(1), json!([]), json!([true]), json!({})];
            bad.extend(wrong.map(|value| (value, "", "wrong_type")));
        }
        Types => {
            let wrong = [json!(7), json!("user.created"), json!({}), json!(true)];
            bad.extend(wrong.map(|value| (value, "", "wrong_type")));
            bad.extend([
                (json!([]), "", "too_short"),
                (json!(vec!["*"; 129]), "", "too_many"),
                (json!(["nothing"]), ".0", "unknown_value"),
                (json!(["User.Created"]), ".0", "unknown_value"),
                (json!(["*", null]), ".1", "wrong_type"),
                (json!(["a\nb"]), ".0", "control_character"),
            ]);
        }
        Pointer(most) => {
            bad.extend(["people", "#/people", "."].map(|text| (json!(text), "", "invalid_format")));
            bad.extend(["/a\u{0}b", "/a\nb"].map(|text| (json!(text), "", "control_character")));
            bad.push((json!(format!("/{}", "x".repeat(most))), "", "too_long"));
        }
        Version(most) => {
            let none = ["4.", ".4", "x", "4.x", "4..1", "v4", "4-1", "\u{664}"];
            bad.extend(none.map(|text| (json!(text), "", "invalid_format")));
            bad.push((json!("1".repeat(most + 1)), "", "too_long"));
        }
        Object => {
            let wrong = [json!(7), json!("x"), json!(""), json!(true), json!([]), json!([{}])];
            bad.extend(wrong.map(|value| (value, "", "wrong_type")));
        }
        Id => {
            let upper = "0190F3C4-7B5E-7A11-8C1D-3F2A9B6C5D4E";
            bad.extend(
                ["x", "", upper, "0190f3c47b5e7a118c1d3f2a9b6c5d4e"].map(|text| (json!(text), "", "invalid_format")),
            );
        }
        Ids => {
            let id = |at: usize| json!(format!("0190f3c4-7b5e-7a11-8c1d-{at:012x}"));
            let wrong =
                [json!(7), json!("x"), json!(true), json!({}), json!([7]), json!([id(1), null]), json!([[id(1)]])];
            bad.extend(wrong.map(|value| (value, "", "wrong_type")));
            bad.extend([
                (json!([]), "", "too_short"),
                ((0..101).map(id).collect(), "", "too_many"),
                (json!([id(1), id(2), id(1)]), "", "repeated"),
                (json!(["x"]), ".0", "invalid_format"),
                (json!([id(1), ""]), ".1", "invalid_format"),
                (json!([id(0xabc).as_str().unwrap().to_uppercase()]), ".0", "invalid_format"),
            ]);
        }
        Workspaces => {
            let id = |at: usize| json!(format!("0190f3c4-7b5e-7a11-8c1d-{at:012x}"));
            let wrong = [json!(7), json!("x"), json!(true), json!({}), json!([7]), json!(["x", null])];
            bad.extend(wrong.map(|value| (value, "", "wrong_type")));
            bad.extend([
                (json!([]), "", "too_short"),
                ((0..21).map(id).collect(), "", "too_many"),
                (json!(["x"]), ".0", "invalid_format"),
                (json!([""]), ".0", "invalid_format"),
                (json!([id(0xabc).as_str().unwrap().to_uppercase()]), ".0", "invalid_format"),
                (json!([id(1)]), ".0", "unknown_value"),
            ]);
        }
        Endpoints => {
            bad.extend([json!(7), json!("e"), json!(true), json!({})].map(|value| (value, "", "wrong_type")));
            bad.extend([
                (json!([7]), ".0", "wrong_type"),
                (json!([{"endpoint_id": "e"}]), ".0.is_active", "missing"),
                (json!([{"endpoint_id": "", "is_active": true}]), ".0.endpoint_id", "too_short"),
            ]);
        }
        Levels => {
            bad.extend([json!(7), json!("gold"), json!(true), json!({})].map(|value| (value, "", "wrong_type")));
            bad.extend([
                (json!([7]), ".0", "wrong_type"),
                (json!(["gold", null]), ".1", "wrong_type"),
                (json!([""]), ".0", "too_short"),
                (json!(["x".repeat(41)]), ".0", "too_long"),
                (json!(["gold", "a\nb"]), ".1", "control_character"),
                (json!(["a\u{202E}b"]), ".0", "invalid_format"),
                ((0..21).map(|at| json!(format!("level {at}"))).collect(), "", "too_many"),
            ]);
        }
        Search => {
            bad.extend(["--", "", " ", "\u{1F4F1}", "a\u{202E}b"].map(|text| {
                let code = if text.trim().is_empty() { "too_short" } else { "invalid_format" };
                (json!(text), "", code)
            }));
            bad.extend([(json!("a\u{0}"), "", "control_character"), (json!("x".repeat(101)), "", "too_long")]);
        }
        Timestamp => bad.extend(invalid_times()),
        Past => {
            bad.extend(invalid_times());
            bad.push((json!("2026-11-23T09:00:00Z"), "", "out_of_range"));
        }
        Future => {
            bad.extend(invalid_times());
            bad.extend(["2020-01-01T00:00:00Z", "0000-01-01T00:00:00Z"].map(|text| (json!(text), "", "out_of_range")));
        }
        Pin(most) => bad.extend([
            (json!("1".repeat(most + 1)), "", "too_long"),
            (json!("471"), "", "too_short"),
            (json!(""), "", "too_short"),
            (json!("47 11"), "", "invalid_format"),
            (json!("\u{661}\u{662}\u{663}\u{664}"), "", "invalid_format"),
            (json!("4711a"), "", "invalid_format"),
            (json!("471\n1"), "", "control_character"),
        ]),
        Settings => {
            let wrong = [json!(7), json!("x"), json!(true), json!([]), json!([{}])];
            bad.extend(wrong.map(|value| (value, "", "wrong_type")));
            let deep = (0..40).fold(json!({}), |within, _| json!({"a": within}));
            bad.extend([(json!({"a": "x".repeat(4096)}), "", "too_long"), (deep, "", "too_deep")]);
        }
        Fields => {
            let wrong = [json!(7), json!("email"), json!(true), json!({})];
            bad.extend(wrong.map(|value| (value, "", "wrong_type")));
        }
        Metadata => {
            bad.extend([json!(7), json!("k"), json!([]), json!(true)].map(|value| (value, "", "wrong_type")));
            bad.extend(
                [json!({"k": 7}), json!({"k": 1.5}), json!({"k": []}), json!({"k": {}}), json!({"k": {"a": "b"}})]
                    .map(|value| (value, ".k", "wrong_type")),
            );
            bad.push((json!({"": "v"}), ".", "invalid_key"));
            bad.push((json!({"a.b": "v"}), ".a.b", "invalid_key"));
            bad.push((json!({"a\u{0}": "v"}), ".a\u{0}", "invalid_key"));
            bad.push((json!({"k": "x".repeat(501)}), ".k", "too_long"));
            bad.push((json!({"k": "a\u{0}b"}), ".k", "control_character"));
        }
    }
    bad
}

#[tokio::test]
async fn each_field_accepts_valid_values_and_rejects_all_others() {
    let fixture = Target::new().await;
    let mut cases = 0;
    for operation in fixture.operations() {
        for of in operation.fields {
            for (value, place, code) in bad_values(of.kind) {
                let mut body = operation.good.clone();
                *field(&mut body, of.name) = value;
                fixture.expect_fields_rejected(&operation, &body, &[(&format!("{}{place}", of.name), code)]).await;
                cases += 1;
            }
            if of.required {
                for absent in [None, Some(Value::Null)] {
                    let mut body = operation.good.clone();
                    match absent {
                        Some(null) => *field(&mut body, of.name) = null,
                        None => remove_field(&mut body, of.name),
                    }
                    fixture.expect_fields_rejected(&operation, &body, &[(of.name, "missing")]).await;
                    cases += 1;
                }
            }
            fixture.expect_unchanged(&format!("{} {}", operation.name, of.name));
        }
    }
    assert!(cases > 1_200, "{cases} cases");
}

#[tokio::test]
async fn an_invitation_accepts_each_known_channel_and_no_other() {
    let fixture = Target::new().await;
    let path = format!("/users/{}/invite", fixture.user);
    for channel in ["email", "sms"] {
        let body = json!({"channel": channel});
        let invited = fixture.bench.post_after_message_limit(&path, &fixture.tenant.key, body).await.expect(202);
        assert_eq!(invited.get("channel"), channel);
    }
    for channel in ["SMS", "text", "push", "sms "] {
        let refused = fixture.bench.post(&path, &fixture.tenant.key, json!({"channel": channel})).await.expect(422);
        assert_eq!(refused.body["errors"][0]["code"], "unknown_value", "{channel}");
    }
}

#[tokio::test]
async fn every_error_of_a_body_is_reported_at_once() {
    let fixture = Target::new().await;
    for operation in fixture.operations() {
        // The fields depend on the action.
        let action = operation.good.get("action").filter(|_| operation.fields[0].name != "action");
        let mut body = action.map_or_else(|| json!({}), |action| json!({"action": action}));
        let mut faults = Vec::new();
        // A nested object has its own errors, unless it is required.
        for of in operation.fields.iter().filter(|of| of.kind == Object && of.required) {
            *field(&mut body, of.name) = operation.good[of.name].clone();
        }
        for of in operation.fields.iter().filter(|of| of.kind != Object) {
            let (value, place, code) = bad_values(of.kind).swap_remove(0);
            *field(&mut body, of.name) = value;
            faults.push((format!("{}{place}", of.name), code));
        }
        let faults: Vec<(&str, &str)> = faults.iter().map(|(field, code)| (field.as_str(), *code)).collect();
        fixture.expect_fields_rejected(&operation, &body, &faults).await;
        let musts = operation.fields.iter().filter(|field| field.required && !field.name.contains('.'));
        let missing: Vec<(&str, &str)> = musts.map(|field| (field.name, "missing")).collect();
        if !missing.is_empty() && action.is_none() {
            fixture.expect_fields_rejected(&operation, &json!({}), &missing).await;
            let empty = fixture.expect_body_rejected(&operation, "", 422, "invalid_input").await;
            assert_eq!(field_errors(&empty).len(), missing.len(), "an empty body is an empty object");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_a_json_object_is_rejected() {
    let fixture = Target::new().await;
    let deep_array = "[".repeat(10_000);
    let closed = format!("{{\"x\":{deep_array}{}}}", "]".repeat(10_000));
    let deep_object = "{\"a\":".repeat(10_000);
    let malformed: Vec<Vec<u8>> = [
        "{",
        "}",
        "{\"a\"",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "[",
        "nul",
        "{} {}",
        "{}x",
        "\u{FEFF}{}",
        "\"",
        "\u{0}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":01}",
        "{\"a\":1e999}",
        "{\"a\":NaN}",
        "{\"a\":\"\u{0}\"}",
        " ",
        "<a/>",
        "a=b&c=d",
        &deep_array,
        &closed,
        &deep_object,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into_iter()
    .chain([
        b"\xff\xfe".to_vec(),
        b"{\"a\":\"\xc3\x28\"}".to_vec(),
        b"{\"username\":\"\xed\xa0\x80\"}".to_vec(),
        vec![0x80; 1000],
    ])
    .collect();
    for operation in fixture.operations() {
        for body in &malformed {
            let _refused = fixture.expect_body_rejected(&operation, body.clone(), 400, "malformed_body").await;
        }
        for body in ["[]", "null", "7", "true", "\"text\"", "[{}]", "1e5"] {
            let answer = fixture.expect_body_rejected(&operation, body, 422, "invalid_input").await;
            assert_eq!(field_errors(&answer), [(String::new(), "wrong_type".to_owned())].into(), "{}", operation.name);
        }
    }
}

#[tokio::test]
async fn a_duplicate_field_in_a_body_is_rejected() {
    let fixture = Target::new().await;
    for operation in fixture.operations() {
        let field = operation.fields[0].name;
        let good = operation.good.get(field).cloned().unwrap_or(json!("x"));
        let body = operation.good.to_string();
        let inner = body.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
        let comma = if inner.is_empty() { "" } else { "," };
        let twice = format!("{{\"{field}\":{good},\"{field}\":{good}{comma}{inner}}}");
        let answer = fixture.expect_body_rejected(&operation, twice, 422, "invalid_input").await;
        assert!(field_errors(&answer).contains(&(field.to_owned(), "repeated".to_owned())), "{}", answer.text);
    }
    let operations = fixture.operations();
    let update = operations.iter().find(|operation| operation.name == "update-device").unwrap();
    let answer = fixture
        .expect_body_rejected(update, r#"{"custom_metadata":{"k":"a","k":"b"},"nickname":7}"#, 422, "invalid_input")
        .await;
    let expected = [("custom_metadata.k", "repeated"), ("nickname", "wrong_type")];
    assert_eq!(field_errors(&answer), expected.map(|(field, code)| (field.to_owned(), code.to_owned())).into());
    let bulk = operations.iter().find(|operation| operation.name == "bulk-users").unwrap();
    let twice = r#"{"action":"activate","filter":{"status":"active","status":"suspended"}}"#;
    let answer = fixture.expect_body_rejected(bulk, twice, 422, "invalid_input").await;
    assert_eq!(field_errors(&answer), [("filter.status".to_owned(), "repeated".to_owned())].into());
}

#[tokio::test]
async fn a_body_of_300_kib_is_too_large_whatever_it_contains() {
    let fixture = Target::new().await;
    for operation in fixture.operations() {
        let mut padded = operation.good.clone();
        padded["padding"] = "x".repeat(300 * 1024).into();
        for body in [
            padded.to_string().into_bytes(),
            vec![b'['; 300 * 1024],
            vec![0xff; 300 * 1024],
            vec![b' '; 256 * 1024 + 1],
        ] {
            let _refused = fixture.expect_body_rejected(&operation, body, 413, "body_too_large").await;
        }
    }
    // Also where no body is read.
    let body = vec![b'x'; 300 * 1024];
    let (user, device) = (&fixture.user, &fixture.device);
    for (method, path) in [
        (Method::GET, "/devices".to_owned()),
        (Method::DELETE, format!("/devices/{device}")),
        (Method::POST, format!("/users/{user}/activate")),
        (Method::DELETE, format!("/devices/{device}/commands/{}", fixture.command)),
        (Method::DELETE, format!("/users/{user}/invitations/{}", fixture.invitation)),
        (Method::DELETE, format!("/jobs/{}", fixture.job)),
        (Method::GET, "/usage".to_owned()),
    ] {
        let sent = request(method, &path, Some(&fixture.tenant.key), body.clone());
        let _refused = fixture.expect_rejected(sent, 413, "body_too_large").await;
    }
}

#[tokio::test]
async fn any_number_of_errors_is_reported_in_a_response_of_bounded_size() {
    let fixture = Target::new().await;
    let operations = fixture.operations();
    let of = |name: &str| operations.iter().find(|operation| operation.name == name).unwrap();
    let zeros = format!("{{\"name\":\"k\",\"permissions\":[{}0]}}", "0,".repeat(100_000));
    let metadata: Map<String, Value> = (0..12_000).map(|at| (format!("key-{at:06}"), json!(7))).collect();
    let metadata = json!({"custom_metadata": metadata}).to_string();
    let pairs: String = (0..10_000).map(|at| format!("\"k{at:04}\":1,\"k{at:04}\":1,")).collect();
    let repeated = format!("{{{pairs}\"username\":\"bea\"}}");
    for (name, body) in [("create-key", zeros), ("update-device", metadata), ("create-user", repeated)] {
        assert!(body.len() <= 256 * 1024, "{name}: {}", body.len());
        let answer = fixture.expect_body_rejected(of(name), body, 422, "invalid_input").await;
        assert!(answer.text.len() < 64 * 1024, "{name}: {} bytes", answer.text.len());
    }
}

#[tokio::test]
async fn custom_metadata_stays_within_its_limits_over_several_requests() {
    let fixture = Target::new().await;
    let operations = fixture.operations();
    let update = operations.iter().find(|operation| operation.name == "update-device").unwrap();
    let keys = |range: std::ops::Range<usize>, value: Value| json!({"custom_metadata": range.map(|at| (format!("key-{at}"), value.clone())).collect::<Map<_, _>>()});
    fixture.expect_fields_rejected(update, &keys(0..51, json!("v")), &[("custom_metadata", "too_many")]).await;
    let full = fixture.send(update, keys(0..50, json!("x".repeat(500))).to_string().into_bytes()).await.expect(200);
    assert_eq!(full.body["custom_metadata"].as_object().unwrap().len(), 50);
    fixture.expect_fields_rejected(update, &keys(50..51, json!("v")), &[("custom_metadata", "too_many")]).await;
    // One may be removed while another is added.
    let swapped = json!({"custom_metadata": {"key-0": null, "key-50": true}});
    let swapped = fixture.send(update, swapped.to_string().into_bytes()).await.expect(200);
    assert_eq!(swapped.body["custom_metadata"]["key-50"], true);
    assert!(swapped.body["custom_metadata"].get("key-0").is_none());
}

/// A parameter, a bad value, and the error's code.
type BadParameter = (&'static str, &'static str, &'static str);

/// The lists, each with bad parameters.
fn queries(fixture: &Target) -> Vec<(String, Vec<BadParameter>)> {
    let upper = "0190F3C4-7B5E-7A11-8C1D-3F2A9B6C5D4E";
    let limits = [
        ("limit", "0", "out_of_range"),
        ("limit", "101", "out_of_range"),
        ("limit", "-1", "out_of_range"),
        ("limit", "99999999999999999999", "wrong_type"),
        ("limit", "x", "wrong_type"),
        ("limit", "1.5", "wrong_type"),
        ("limit", "1e1", "wrong_type"),
        ("limit", "%31%20", "wrong_type"),
        ("limit", "5,5", "wrong_type"),
    ];
    let search = [
        ("search", "--", "invalid_format"),
        ("search", "%F0%9F%93%B1", "invalid_format"),
        ("search", "%00", "control_character"),
        ("search", "a%0Ab", "control_character"),
        ("search", "a%E2%80%AEb", "invalid_format"),
    ];
    let devices = [
        ("user_id", "x", "invalid_format"),
        ("user_id", upper, "invalid_format"),
        ("user_id", "0190f3c47b5e7a118c1d3f2a9b6c5d4e", "invalid_format"),
        ("status", "gone", "unknown_value"),
        ("status", "Active", "unknown_value"),
        ("device_status", "fine", "unknown_value"),
        ("blocked", "yes", "wrong_type"),
        ("blocked", "1", "wrong_type"),
        ("blocked", "TRUE", "wrong_type"),
        ("platform", "windows", "unknown_value"),
        ("push_in_use", "on", "wrong_type"),
        ("pending_command", "wipe", "wrong_type"),
        ("unconfirmed_wipe", "wipe", "wrong_type"),
        ("last_login_before", "yesterday", "invalid_format"),
        ("last_login_before", "2026-01-01", "invalid_format"),
        ("last_login_before", "2026-01-01T00:00:00+00:00", "invalid_format"),
    ];
    let events = [
        ("device_id", "x", "invalid_format"),
        ("user_id", upper, "invalid_format"),
        ("event_type", "device.exploded", "unknown_value"),
        ("since", "yesterday", "invalid_format"),
        ("until", "2026-99-01T00:00:00Z", "invalid_format"),
        ("since", "2030-01-01T00:00:00Z", "out_of_range"),
    ];
    let users = [
        ("status", "fine", "unknown_value"),
        ("status", "Active", "unknown_value"),
        ("service_level", "%00", "control_character"),
        ("service_level", "a%E2%80%AEb", "invalid_format"),
        ("service_level", LONG_LEVEL, "too_long"),
        ("network_indicator", "blue", "unknown_value"),
        ("network_indicator", "RED", "unknown_value"),
        ("last_seen_before", "yesterday", "invalid_format"),
        ("last_seen_before", "2026-01-01", "invalid_format"),
        ("last_seen_before", "2026-01-01T00:00:00+00:00", "invalid_format"),
        ("pending_command", "yes", "wrong_type"),
        ("pending_command", "1", "wrong_type"),
        ("pending_command", "TRUE", "wrong_type"),
        ("unconfirmed_wipe", "yes", "wrong_type"),
        ("deployed", "yes", "wrong_type"),
        ("profile_id", "x", "invalid_format"),
        ("source_id", upper, "invalid_format"),
        ("force_pending", "1", "wrong_type"),
    ];
    let plain = [
        "/keys".to_owned(),
        "/members".into(),
        format!("/members/{}/tokens", fixture.member),
        "/jobs".into(),
        "/profiles".into(),
        "/sources".into(),
        format!("/jobs/{}", fixture.job),
        format!("/devices/{}/commands", fixture.device),
        format!("/users/{}/invitations", fixture.user),
    ];
    let mut lists = vec![
        ("/devices".to_owned(), [&limits[..], &search, &devices].concat()),
        ("/users".to_owned(), [&limits[..], &search, &users].concat()),
        ("/deployments".to_owned(), [&limits[..], &search, &users].concat()),
        ("/events".to_owned(), [&limits[..], &events].concat()),
    ];
    lists.extend(plain.map(|path| (path, limits.to_vec())));
    lists
}

/// A text that is too long for a service level.
const LONG_LEVEL: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

#[tokio::test]
async fn each_parameter_of_a_list_accepts_valid_values_and_rejects_all_others() {
    let fixture = Target::new().await;
    for (list, faults) in queries(&fixture) {
        for (name, value, code) in &faults {
            let answer = fixture.expect_get_rejected(&format!("{list}?{name}={value}"), 422, "invalid_input").await;
            assert_eq!(
                field_errors(&answer),
                [((*name).to_owned(), (*code).to_owned())].into(),
                "{list} {name}={value}"
            );
        }
        // All of them at once, each parameter with one of its faults.
        let mut one_each: Vec<&BadParameter> = Vec::new();
        for fault in &faults {
            if !one_each.iter().any(|(name, ..)| name == &fault.0) {
                one_each.push(fault);
            }
        }
        let query: Vec<String> = one_each.iter().map(|(name, value, _)| format!("{name}={value}")).collect();
        let answer = fixture.expect_get_rejected(&format!("{list}?{}", query.join("&")), 422, "invalid_input").await;
        let expected = one_each.iter().map(|(name, _, code)| ((*name).to_owned(), (*code).to_owned())).collect();
        assert_eq!(field_errors(&answer), expected, "{list}");
        // A repeated parameter is ambiguous.
        let answer = fixture.expect_get_rejected(&format!("{list}?limit=5&limit=5"), 422, "invalid_input").await;
        assert_eq!(field_errors(&answer), [("limit".to_owned(), "repeated".to_owned())].into());
        for query in ["limit=%ff", "%ff=1", "search=%c3%28", "x=%ed%a0%80"] {
            let answer = fixture.expect_get_rejected(&format!("{list}?{query}"), 422, "invalid_input").await;
            assert!(field_errors(&answer).iter().any(|(_, code)| code == "invalid_encoding"), "{query}");
        }
        let long = "x".repeat(101);
        if list == "/devices" || list == "/users" {
            let answer = fixture.expect_get_rejected(&format!("{list}?search={long}"), 422, "invalid_input").await;
            assert_eq!(field_errors(&answer), [("search".to_owned(), "too_long".to_owned())].into());
        }
        for unknown in ["?unknown=1", "?unknown=", "?=", "?%=", "?%zz=1"] {
            let answer = fixture.expect_get_rejected(&format!("{list}{unknown}"), 422, "invalid_input").await;
            assert!(field_errors(&answer).iter().all(|(_, code)| code == "unknown_field"), "{list}{unknown}");
        }
        for fine in ["", "?", "?&&", "?limit=", "?limit=1", "?limit=100", "?limit=%31"] {
            let _page = fixture.bench.get(&format!("{list}{fine}"), &fixture.tenant.key).await.expect(200);
        }
    }
}

#[tokio::test]
async fn each_parameter_of_an_export_accepts_valid_values_and_rejects_all_others() {
    let fixture = Target::new().await;
    let id = |at: usize| format!("0190f3c4-7b5e-7a11-8c1d-{at:012x}");
    let many = (0..101).map(id).collect::<Vec<_>>().join(",");
    for export in ["/users/export", "/devices/export", "/events/export"] {
        let known = format!("{}_id", &export[1..export.len() - "s/export".len()]);
        let (one, upper) = (id(1), id(0xabc).to_uppercase());
        let cases: [(String, &[(&str, &str)]); 15] = [
            ("columns=nothing".into(), &[("columns.0", "unknown_value")]),
            (
                format!("columns={known},push_token,,credential"),
                &[("columns.1", "unknown_value"), ("columns.2", "unknown_value"), ("columns.3", "unknown_value")],
            ),
            (format!("columns={known},{known}"), &[("columns.1", "repeated")]),
            ("columns=%00".into(), &[("columns", "control_character")]),
            ("ids=x".into(), &[("ids.0", "invalid_format")]),
            (format!("ids={one},"), &[("ids.1", "invalid_format")]),
            (format!("ids={one},{upper}"), &[("ids.1", "invalid_format")]),
            (format!("ids={one},{one}"), &[("ids", "repeated")]),
            (format!("ids={many}"), &[("ids", "too_many")]),
            // A misspelled filter would match everything.
            ("statsu=active".into(), &[("statsu", "unknown_field")]),
            ("limit=0".into(), &[("limit", "out_of_range")]),
            ("limit=1001".into(), &[("limit", "out_of_range")]),
            ("limit=5&limit=5".into(), &[("limit", "repeated")]),
            (
                "columns=x&ids=x&other=x&limit=x".into(),
                &[
                    ("columns.0", "unknown_value"),
                    ("ids.0", "invalid_format"),
                    ("other", "unknown_field"),
                    ("limit", "wrong_type"),
                ],
            ),
            ("limit=%ff".into(), &[("", "invalid_encoding")]),
        ];
        for (query, faults) in cases {
            let answer = fixture.expect_get_rejected(&format!("{export}?{query}"), 422, "invalid_input").await;
            let expected: BTreeSet<(String, String)> =
                faults.iter().map(|(field, code)| ((*field).to_owned(), (*code).to_owned())).collect();
            assert_eq!(field_errors(&answer), expected, "{export}?{query:.100}");
        }
        let filter = if export == "/events/export" { ("event_type", "user.created") } else { ("search", "ada") };
        let both = format!("{export}?ids={one}&{}={}", filter.0, filter.1);
        let answer = fixture.expect_get_rejected(&both, 422, "invalid_input").await;
        assert_eq!(field_errors(&answer), [(filter.0.to_owned(), "too_many".to_owned())].into());
        let _refused = fixture.expect_get_rejected(&format!("{export}?cursor=x"), 400, "cursor_invalid").await;
    }
    // The faults of a list's filters are those of its export.
    for (list, faults) in
        queries(&fixture).into_iter().filter(|(list, _)| ["/users", "/devices", "/events"].contains(&list.as_str()))
    {
        for (name, value, code) in faults.iter().filter(|(name, ..)| *name != "limit") {
            let answer =
                fixture.expect_get_rejected(&format!("{list}/export?{name}={value}"), 422, "invalid_input").await;
            assert_eq!(
                field_errors(&answer),
                [((*name).to_owned(), (*code).to_owned())].into(),
                "{list} {name}={value}"
            );
        }
    }
}

#[tokio::test]
async fn a_cursor_is_only_accepted_unchanged_and_by_its_own_list() {
    let fixture = Target::new().await;
    let (bench, key) = (&fixture.bench, &fixture.tenant.key);
    let _second = bench.phone(&fixture.tenant, "bea").await;
    let body = json!({"issuer": ISSUER, "subject": "bert", "role": "viewer"});
    let _member = bench.post("/members", key, body).await.expect(201);
    let _invited =
        bench.post(&format!("/users/{}/invite", fixture.user), key, json!({"channel": "sms"})).await.expect(202);
    let _check_in = bench.check_in(&fixture.credential).await.expect(200);
    for (n, event) in
        ["0190f3c4-7b5e-7a11-8c1d-000000000001", "0190f3c4-7b5e-7a11-8c1d-000000000002"].iter().enumerate()
    {
        let of = json!([fixture.tenant.workspace_id, fixture.webhook]);
        let delivery = json!({"pk": format!("DELIVERIES#{}#{}", fixture.tenant.workspace_id, fixture.webhook),
            "sk": format!("DELIVERY#{event}"), "workspace_id": of[0], "webhook_id": of[1], "event_id": event,
            "event_type": "user.created", "created_at": "2026-11-23T08:00:00.000Z", "state": "failed", "attempts": n,
            "redeliveries": 0, "version": 1});
        rows::put(bench, rows::MAIN, &delivery, &[]);
    }
    let hook = bench.get("/webhooks", key).await.expect(200);
    let hooks = hook.body["items"].as_array().unwrap();
    let hook = hooks.iter().map(|hook| hook["webhook_id"].as_str().unwrap()).find(|hook| *hook != fixture.webhook);
    let hook = hook.unwrap().to_owned();
    let other = bench.tenant("Other").await;
    let lists = [
        "/devices?".to_owned(),
        "/devices?status=active".into(),
        "/devices?pending_command=true".into(),
        "/devices?search=iphone".into(),
        "/users?".into(),
        "/users?status=active".into(),
        "/users?pending_command=true".into(),
        "/users?search=a".into(),
        "/events?".into(),
        "/events?event_type=user.created".into(),
        "/keys?".into(),
        "/members?".into(),
        "/jobs?".into(),
        "/profiles?".into(),
        "/sources?".into(),
        "/webhooks?".into(),
        "/deployments?".into(),
        "/deployments?deployed=false".into(),
        format!("/webhooks/{}/deliveries?", fixture.webhook),
        format!("/jobs/{}?", fixture.job),
        format!("/devices/{}/commands?", fixture.device),
        format!("/users/{}/invitations?", fixture.user),
    ];
    let mut cursors = Vec::new();
    for list in &lists {
        let page = bench.get(&format!("{list}&limit=1"), key).await.expect(200);
        cursors.push((list, page.body["next_cursor"].as_str().expect("there is a next page").to_owned()));
    }
    let another = bench.get(&format!("/devices/{}", fixture.other), key).await.expect(200).get("user_id");
    let job = bench.get("/jobs", key).await.expect(200);
    let jobs = job.body["items"].as_array().unwrap();
    let job =
        jobs.iter().map(|job| job["job_id"].as_str().unwrap()).find(|job| *job != fixture.job).unwrap().to_owned();
    for (list, cursor) in &cursors {
        let _next = bench.get(&format!("{list}&limit=1&cursor={cursor}"), key).await.expect(200);
        let _other_size = bench.get(&format!("{list}&limit=7&cursor={cursor}"), key).await.expect(200);
        let mut altered: Vec<String> = (0..cursor.len())
            .step_by(7)
            .map(|at| {
                let mut bytes = cursor.clone().into_bytes();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                String::from_utf8(bytes).unwrap()
            })
            .collect();
        altered.extend([1, 4, cursor.len() / 2, cursor.len() - 1].map(|length| cursor[..length].to_owned()));
        altered.extend([
            format!("{cursor}A"),
            format!("{cursor}AAAA"),
            format!("A{cursor}"),
            cursor.to_uppercase(),
            "x".into(),
            "%00".into(),
            "null".into(),
            "%F0%9F%93%B1".into(),
            "x".repeat(4000),
        ]);
        for bad in altered {
            let _refused = fixture.expect_get_rejected(&format!("{list}&cursor={bad}"), 400, "cursor_invalid").await;
        }
        for (elsewhere, _) in cursors.iter().filter(|(elsewhere, _)| elsewhere != list) {
            let _refused =
                fixture.expect_get_rejected(&format!("{elsewhere}&cursor={cursor}"), 400, "cursor_invalid").await;
        }
        // Nor with the same list of another thing.
        let twins = [
            (&fixture.device, &fixture.other),
            (&fixture.user, &another),
            (&fixture.job, &job),
            (&fixture.webhook, &hook),
        ];
        for twin in twins.into_iter().filter(|(id, _)| list.contains(*id)).map(|(id, twin)| list.replace(id, twin)) {
            let _refused = fixture.expect_get_rejected(&format!("{twin}&cursor={cursor}"), 400, "cursor_invalid").await;
        }
        if list.matches('/').count() > 1 {
            continue;
        }
        let foreign = bench.get(&format!("{list}&cursor={cursor}"), &other.key).await.expect(400);
        assert_eq!(foreign.code(), "cursor_invalid");
        expect_valid_problem(&foreign, list);
    }
}

/// A cursor contains no secret, so anyone can forge one.
#[tokio::test]
async fn a_forged_cursor_is_rejected() {
    let fixture = Target::new().await;
    let workspace = &fixture.tenant.workspace_id;
    let other = Target::new().await;
    let text = |name: &str, value: &str| json!({name: value});
    let row = json!({"pk": format!("DEVICE#{workspace}#{}", fixture.device), "sk": "DEVICE"});
    let foreign = json!({
        "pk": format!("DEVICE#{}#{}", other.tenant.workspace_id, other.device), "sk": "DEVICE",
        "list": format!("DEVICE#{}", other.tenant.workspace_id), "created_at": "2026-11-23T08:00:00.000Z",
    });
    let positions = [
        json!({}),
        json!([]),
        json!(null),
        json!({"pk": 7}),
        text("pk", ""),
        text("pk", "x"),
        text("sk", "x"),
        text("day", "x"),
        text("day", "2026-11-23"),
        text("day", "9999-99-99"),
        text("day", "0000-01-01"),
        row,
        foreign,
        json!({"pk": "x", "sk": "y", "list": "z", "created_at": "w"}),
        json!({"day": "2026-11-23", "pk": "EVENT#x", "sk": "y"}),
        json!({"half": "user", "sk": "", "taken": "0"}),
        json!({"half": "device", "sk": "iphone17#", "taken": "18446744073709551615"}),
        json!({"half": "device", "sk": "a", "taken": "-1"}),
        json!({"pk": "x".repeat(3000), "sk": "y"}),
    ];
    let command = json!({
        "pk": format!("DEVICE#{}#{}", other.tenant.workspace_id, other.device), "sk": format!("COMMAND#{}", other.command),
    });
    let of_user = json!({
        "pk": format!("USER#{}#{}", other.tenant.workspace_id, other.user), "sk": format!("INVITATION#{}", other.invitation),
    });
    let of_job = json!({"pk": format!("JOB#{}#{}", other.tenant.workspace_id, other.job), "sk": "ITEM#x"});
    let positions = positions.into_iter().chain([command, of_user, of_job]).collect::<Vec<_>>();
    let (commands, invitations) =
        (format!("/devices/{}/commands", fixture.device), format!("/users/{}/invitations", fixture.user));
    let tokens = format!("/members/{}/tokens", fixture.member);
    let job = format!("/jobs/{}", fixture.job);
    let lists = [
        (commands.as_str(), "list-commands", vec![]),
        (&invitations, "list-invitations", vec![]),
        (&job, "get-job", vec![]),
        ("/jobs", "list-jobs", vec![]),
        ("/profiles", "list-profiles", vec![]),
        ("/users/export", "export-users", vec![]),
        ("/users/export", "export-users", vec![("pending_command", "true")]),
        ("/devices/export", "export-devices", vec![("columns", "device_id")]),
        ("/events/export", "export-events", vec![]),
        ("/users", "list-users", vec![("pending_command", "true")]),
        ("/users", "list-users", vec![("status", "deleted")]),
        ("/users", "list-users", vec![("last_seen_before", "2027-01-01T00:00:00Z")]),
        ("/devices", "list-devices", vec![]),
        ("/devices", "list-devices", vec![("blocked", "true")]),
        ("/devices", "list-devices", vec![("search", "iphone")]),
        ("/users", "list-users", vec![]),
        ("/users", "list-users", vec![("search", "ada")]),
        ("/events", "list-events", vec![]),
        ("/events", "list-events", vec![("event_type", "device.registered")]),
        ("/keys", "list-keys", vec![]),
        ("/members", "list-members", vec![]),
        (&tokens, "list-member-tokens", vec![]),
    ];
    for (path, operation, filter) in lists {
        let scope = json!([workspace, operation, filter]).to_string();
        let query: String = filter.iter().map(|(name, value)| format!("{name}={value}&")).collect();
        for position in &positions {
            let forged = cursor::encode(&scope, position.to_string().as_bytes());
            let answer = fixture.bench.get(&format!("{path}?{query}cursor={forged}"), &fixture.tenant.key).await;
            let what = format!("{path}?{query} {position:.200}");
            assert!(matches!(answer.status.as_u16(), 200 | 400), "{what}: {}", answer.text);
            if answer.status == 400 {
                assert_eq!(answer.code(), "cursor_invalid", "{what}");
                expect_valid_problem(&answer, &what);
            }
            for theirs in [&other.device, &other.command, &other.invitation, &other.job] {
                assert!(!answer.text.contains(theirs), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_cursor_beyond_the_words_of_a_search_is_rejected() {
    let fixture = Target::new().await;
    let scope = json!([fixture.tenant.workspace_id, "list-devices", [["search", "iphone"]]]).to_string();
    for sk in ["\u{10FFFF}\u{10FFFF}".to_owned(), "zzz#x".to_owned(), "x".repeat(3000)] {
        for half in ["device", "user"] {
            let forged = cursor::encode(&scope, json!({"half": half, "sk": sk, "taken": "0"}).to_string().as_bytes());
            let answer =
                fixture.bench.get(&format!("/devices?search=iphone&cursor={forged}"), &fixture.tenant.key).await;
            assert_eq!(answer.expect(400).code(), "cursor_invalid", "{half} {sk:.20}");
        }
    }
}

#[tokio::test]
async fn an_identifier_in_another_format_is_not_found() {
    let fixture = Target::new().await;
    let command = format!("/commands/{}", fixture.command);
    let invitation = format!("/invitations/{}", fixture.invitation);
    let commands = format!("devices/{}/commands", fixture.device);
    let invitations = format!("users/{}/invitations", fixture.user);
    let (of_member, members_tokens) =
        (format!("/tokens/{}", fixture.token), format!("members/{}/tokens", fixture.member));
    let deliveries = format!("webhooks/{}/deliveries", fixture.webhook);
    let redeliver = format!("/deliveries/{}/redeliver", fixture.webhook);
    let things = [
        (
            "device",
            "devices",
            &fixture.device,
            vec![
                (Method::GET, ""),
                (Method::PATCH, ""),
                (Method::DELETE, ""),
                (Method::POST, "/block"),
                (Method::POST, "/unblock"),
                (Method::POST, "/wipe"),
                (Method::POST, "/lock"),
                (Method::GET, "/commands"),
                (Method::DELETE, command.as_str()),
            ],
        ),
        (
            "user",
            "users",
            &fixture.user,
            vec![
                (Method::GET, ""),
                (Method::PATCH, ""),
                (Method::DELETE, ""),
                (Method::POST, "/invite"),
                (Method::POST, "/activate"),
                (Method::POST, "/suspend"),
                (Method::POST, "/lock-and-wipe"),
                (Method::POST, "/reset-pin"),
                (Method::GET, "/invitations"),
                (Method::DELETE, invitation.as_str()),
                (Method::PUT, "/networks/verizon"),
                (Method::GET, "/usage"),
                (Method::POST, "/deploy"),
                (Method::POST, "/force-config"),
                (Method::PUT, "/secrets"),
            ],
        ),
        ("user", "deployments/users", &fixture.user, vec![(Method::DELETE, "")]),
        // An invitation is no deployment, and a user's identifier none either.
        ("deployment", "deployments", &fixture.invitation, vec![(Method::DELETE, ""), (Method::GET, "/qr")]),
        ("job", "jobs", &fixture.job, vec![(Method::GET, ""), (Method::DELETE, "")]),
        (
            "source",
            "sources",
            &fixture.source,
            vec![
                (Method::GET, ""),
                (Method::PATCH, ""),
                (Method::DELETE, ""),
                (Method::POST, "/sync"),
                (Method::PUT, PART),
            ],
        ),
        (
            "webhook",
            "webhooks",
            &fixture.webhook,
            vec![
                (Method::GET, ""),
                (Method::PATCH, ""),
                (Method::DELETE, ""),
                (Method::POST, "/rotate-secret"),
                (Method::GET, "/deliveries"),
                (Method::POST, redeliver.as_str()),
            ],
        ),
        ("delivery", deliveries.as_str(), &fixture.webhook, vec![(Method::POST, "/redeliver")]),
        ("command", commands.as_str(), &fixture.command, vec![(Method::DELETE, "")]),
        ("invitation", invitations.as_str(), &fixture.invitation, vec![(Method::DELETE, "")]),
        ("command", "devices/me/commands", &fixture.command, vec![(Method::POST, "")]),
        ("profile", "profiles", &fixture.profile, vec![(Method::GET, ""), (Method::PATCH, ""), (Method::DELETE, "")]),
        ("key", "keys", &fixture.key, vec![(Method::DELETE, "")]),
        (
            "member",
            "members",
            &fixture.member,
            vec![(Method::DELETE, ""), (Method::GET, "/tokens"), (Method::DELETE, &of_member)],
        ),
        ("token", members_tokens.as_str(), &fixture.token, vec![(Method::DELETE, "")]),
        ("token", "tokens", &fixture.token, vec![(Method::DELETE, "")]),
        (
            "membership",
            "memberships",
            &fixture.tenant.workspace_id,
            vec![(Method::DELETE, ""), (Method::POST, "/accept")],
        ),
    ];
    let signed_in = fixture.signed_in();
    for (kind, collection, id, calls) in things {
        let credential = match collection {
            "devices/me/commands" => &fixture.credential,
            "tokens" | "memberships" => &signed_in,
            _ => &fixture.tenant.key,
        };
        let bad = [
            id.to_uppercase(),
            id.replace('-', ""),
            format!("%7B{id}%7D"),
            format!("urn:uuid:{id}"),
            format!("{id}%20"),
            format!("%20{id}"),
            format!("{id}%00"),
            format!("{id}%2Fblock"),
            format!("..%2F{}%2F{id}", collection.replace('/', "%2F")),
            "%2E%2E%2Fkeys".into(),
            "x".into(),
            "me".into(),
            "0".into(),
            "-1".into(),
            "null".into(),
            "%F0%9F%93%B1".into(),
            "%ff".into(),
            "00000000-0000-0000-0000-000000000000".into(),
            "'or'1'='1".into(),
            "*".into(),
            "x".repeat(5000),
            fixture.tenant.workspace_id.clone(),
        ];
        for id in bad {
            // The path of a device's own commands has no other method.
            let calls = calls.iter().filter(|(_, suffix)| id != "me" || !suffix.starts_with("/commands/"));
            // A membership's path has the workspace's identifier.
            let calls = calls.filter(|_| kind != "membership" || id != fixture.tenant.workspace_id);
            for (method, suffix) in calls {
                let body = match *suffix {
                    "/invite" => json!({"channel": "email"}),
                    "/networks/verizon" => json!({"status": "enabled"}),
                    "/secrets" => json!({"voicemail_pin": "4711"}),
                    _ if *method == Method::POST && collection == "devices/me/commands" => {
                        json!({"result": "succeeded"})
                    }
                    _ => json!({}),
                };
                let body = body.to_string();
                let path = format!("/{collection}/{id}{suffix}");
                let code = match (kind, suffix.starts_with("/invitations/")) {
                    // An invitation is found by its own identifier only.
                    ("user", true) if domain::UserId::parse(&id).is_some() => "invitation_not_found".to_owned(),
                    _ => format!("{kind}_not_found"),
                };
                let sent = request(method.clone(), &path, Some(credential), body.into_bytes());
                let _refused = fixture.expect_rejected(sent, 404, &code).await;
            }
            fixture.expect_unchanged(&format!("/{collection}/{id:.100}"));
        }
    }
}

#[tokio::test]
async fn an_invalid_idempotency_key_is_rejected() {
    let fixture = Target::new().await;
    let bad: [(&[u8], &str); 5] =
        [(b"", "too_short"), (b"  ", "too_short"), (&[b'x'; 256], "too_long"), (b"caf\xc3\xa9", ""), (b"\xff", "")];
    let creating = [
        "create-user",
        "invite-user",
        "bulk-users",
        "bulk-devices",
        "create-profile",
        "create-key",
        "create-token",
        "add-member",
        "deploy-config",
        "auto-deploy",
        "create-source",
        "sync-users",
        "create-webhook",
    ];
    for name in creating {
        let operations = fixture.operations();
        let operation = operations.iter().find(|operation| operation.name == name).unwrap();
        for (value, code) in bad {
            let before = rows::everything(&fixture.bench);
            let mut sent = request(
                Method::POST,
                &operation.path,
                operation.credential.as_deref(),
                operation.good.to_string().into_bytes(),
            );
            sent.headers_mut().insert("idempotency-key", HeaderValue::from_bytes(value).unwrap());
            let answer = fixture.bench.send(sent).await.expect(422);
            expect_valid_problem(&answer, operation.name);
            let errors = field_errors(&answer);
            assert!(
                errors.iter().all(|(field, errors)| field == "idempotency-key" && (code.is_empty() || errors == code)),
                "{errors:?}"
            );
            assert!(before == rows::everything(&fixture.bench), "{}", operation.name);
        }
        // The same key with another body, even if only whitespace differs.
        let send_to = |path: &str, body: String| {
            let mut sent = request(Method::POST, path, operation.credential.as_deref(), body.into_bytes());
            sent.headers_mut().insert("idempotency-key", HeaderValue::from_static("once"));
            fixture.bench.send(sent)
        };
        let send = |body: String| send_to(&operation.path, body);
        // The recipient's limit may be reached.
        fixture.bench.advance(Duration::minutes(1));
        let created = send(operation.good.to_string()).await;
        assert!(created.status.is_success(), "{}", created.text);
        let before = rows::everything(&fixture.bench);
        let refused = send(format!("{} ", operation.good)).await.expect(422);
        assert_eq!(refused.code(), "idempotency_mismatch", "{}", operation.name);
        expect_valid_problem(&refused, operation.name);
        // The same body for another object is another request.
        let another = "0190f3c4-7b5e-7a11-8c1d-3f2a9b6c5d4e";
        let parts =
            operation.path.split('/').map(|part| if uuid::Uuid::try_parse(part).is_ok() { another } else { part });
        let path = parts.collect::<Vec<_>>().join("/");
        if path != operation.path {
            let other = send_to(&path, operation.good.to_string()).await;
            assert!([404, 422].contains(&other.status.as_u16()), "{}: {}", operation.name, other.text);
        }
        assert!(before == rows::everything(&fixture.bench), "{}", operation.name);
    }
}

#[tokio::test]
async fn a_version_that_is_not_the_current_one_is_rejected() {
    let fixture = Target::new().await;
    let (device, user) = (format!("/devices/{}", fixture.device), format!("/users/{}", fixture.user));
    let profile = format!("/profiles/{}", fixture.profile);
    let source = format!("/sources/{}", fixture.source);
    let webhook = format!("/webhooks/{}", fixture.webhook);
    let things = [
        (webhook.as_str(), vec![(Method::PATCH, ""), (Method::POST, "/rotate-secret"), (Method::DELETE, "")]),
        (profile.as_str(), vec![(Method::PATCH, ""), (Method::DELETE, "")]),
        (
            source.as_str(),
            vec![(Method::PATCH, ""), (Method::POST, "/sync"), (Method::PUT, PART), (Method::DELETE, "")],
        ),
        (
            device.as_str(),
            vec![
                (Method::PATCH, ""),
                (Method::POST, "/block"),
                (Method::POST, "/unblock"),
                (Method::POST, "/wipe"),
                (Method::POST, "/lock"),
                (Method::DELETE, ""),
            ],
        ),
        (
            &user,
            vec![
                (Method::PATCH, ""),
                (Method::POST, "/activate"),
                (Method::POST, "/suspend"),
                (Method::POST, "/lock-and-wipe"),
                (Method::POST, "/reset-pin"),
                (Method::POST, "/invite"),
                (Method::PUT, "/networks/verizon"),
                (Method::POST, "/deploy"),
                (Method::POST, "/force-config"),
                (Method::DELETE, ""),
            ],
        ),
        ("/workspace", vec![(Method::PATCH, "")]),
    ];
    let body = |method: &Method, path: &str, suffix: &str| match (suffix, path.split('/').nth(1)) {
        ("/invite", _) => json!({"channel": "email"}),
        ("/networks/verizon", _) => json!({"status": "enabled"}),
        ("", Some("devices")) if *method == Method::PATCH => json!({"nickname": "x"}),
        ("", Some("users")) if *method == Method::PATCH => json!({"first_name": "X"}),
        ("", Some("webhooks")) if *method == Method::PATCH => json!({"description": "x"}),
        ("", _) if *method == Method::PATCH => json!({"name": "X"}),
        _ => json!({}),
    };
    for (path, calls) in things {
        let shown = fixture.bench.get(path, &fixture.tenant.key).await.expect(200);
        let tag = shown.headers["etag"].to_str().unwrap().to_owned();
        let (weak, bare) = (format!("W/{tag}"), tag.trim_matches('"').to_owned());
        let wrong: [&[u8]; 10] = [
            b"\"0\"",
            b"\"999999\"",
            b"garbage",
            b"",
            b"\"",
            weak.as_bytes(),
            bare.as_bytes(),
            b"\xff",
            b"\"-1\"",
            b"\"1e0\"",
        ];
        for value in wrong {
            for (method, suffix) in &calls {
                let body = body(method, path, suffix).to_string().into_bytes();
                let path = format!("{path}{suffix}");
                let mut sent = request(method.clone(), &path, Some(&fixture.tenant.key), body);
                sent.headers_mut().insert("if-match", HeaderValue::from_bytes(value).unwrap());
                let _refused = fixture.expect_rejected(sent, 412, "version_mismatch").await;
            }
        }
        fixture.expect_unchanged(path);
        for value in [tag.clone(), "*".to_owned(), format!("\"0\", {tag}")] {
            let mut sent = request(Method::GET, path, Some(&fixture.tenant.key), Vec::new());
            sent.headers_mut().insert("if-match", HeaderValue::from_str(&value).unwrap());
            let _current = fixture.bench.send(sent).await.expect(200);
        }
    }
}

#[tokio::test]
async fn the_version_in_a_response_is_accepted_by_the_next_change() {
    let fixture = Target::new().await;
    let (device, user) = (format!("/devices/{}", fixture.device), format!("/users/{}", fixture.user));
    let profile = format!("/profiles/{}", fixture.profile);
    let page = format!("/sources/{}", fixture.page);
    let changes = [
        (profile.as_str(), Method::PATCH, "", json!({"name": "X", "settings": {"a": 2}})),
        (device.as_str(), Method::PATCH, "", json!({"nickname": "x"})),
        (&device, Method::POST, "/block", json!({})),
        (&user, Method::PATCH, "", json!({"first_name": "X", "username": "renamed"})),
        (&user, Method::PUT, "/networks/verizon", json!({"status": "enabled"})),
        (&user, Method::POST, "/suspend", json!({})),
        (&user, Method::POST, "/activate", json!({})),
        (&user, Method::POST, "/lock-and-wipe", json!({})),
        (&user, Method::POST, "/reset-pin", json!({})),
        (&user, Method::PUT, "/secrets", json!({"voicemail_pin": "4711"})),
        (&user, Method::POST, "/force-config", json!({})),
        (&user, Method::DELETE, "", json!({"without_wipe": true, "reason": "gone"})),
        ("/workspace", Method::PATCH, "", json!({"name": "X"})),
        (&page, Method::PATCH, "", json!({"name": "X"})),
    ];
    for (path, method, suffix, body) in changes {
        let what = format!("{method} {path}{suffix}");
        let shown = fixture.bench.get(path, &fixture.tenant.key).await.expect(200);
        let mut sent = request(method, &format!("{path}{suffix}"), Some(&fixture.tenant.key), body.to_string().into());
        sent.headers_mut().insert("if-match", shown.headers["etag"].clone());
        let changed = fixture.bench.send(sent).await.expect(200);
        let now = fixture.bench.get(path, &fixture.tenant.key).await.expect(200);
        assert_eq!(changed.headers["etag"], now.headers["etag"], "{what}");
        assert_ne!(shown.headers["etag"], now.headers["etag"], "{what}");
    }
}

/// An operation, a body, and its errors: fields and codes.
type Misplaced = (&'static str, Value, Vec<(&'static str, &'static str)>);

#[tokio::test]
async fn a_valid_value_that_is_not_allowed_there_is_rejected_with_its_field() {
    let fixture = Target::new().await;
    let key = &fixture.tenant.key;
    let levels = json!({"service_levels": ["gold", "silver"]});
    let _levels = fixture.bench.patch("/workspace", key, levels).await.expect(200);
    let operations = fixture.operations();
    let id = &fixture.user;
    let cases: Vec<Misplaced> = vec![
        ("create-user", json!({"username": "x", "service_level": "bronze"}), vec![("service_level", "unknown_value")]),
        ("update-user", json!({"service_level": "Gold"}), vec![("service_level", "unknown_value")]),
        ("update-user", json!({"username": null, "email": "x"}), vec![("username", "missing"), ("email", "too_short")]),
        ("delete-user", json!({"without_wipe": true}), vec![("reason", "missing")]),
        ("delete-user", json!({"without_wipe": true, "reason": null}), vec![("reason", "missing")]),
        ("update-workspace", json!({"name": null}), vec![("name", "missing")]),
        (
            "update-workspace",
            json!({"pin_limit": 1, "retention_days": 0}),
            vec![("pin_limit", "out_of_range"), ("retention_days", "out_of_range")],
        ),
        ("update-workspace", json!({"pin_limit": 2}), vec![("pin_limit", "out_of_range")]),
        ("update-workspace", json!({"check_in_minutes": 4}), vec![("check_in_minutes", "out_of_range")]),
        ("update-workspace", json!({"check_in_minutes": 1441}), vec![("check_in_minutes", "out_of_range")]),
        (
            "update-workspace",
            json!({"minimum_versions": {"app": "4.", "ios": "x", "android": 5, "windows": "1"}}),
            vec![
                ("minimum_versions.app", "invalid_format"),
                ("minimum_versions.ios", "invalid_format"),
                ("minimum_versions.android", "wrong_type"),
                ("minimum_versions.windows", "unknown_field"),
            ],
        ),
        (
            "report-credential-service",
            json!({"endpoints": [{"endpoint_id": "é", "is_active": 1}, 2, {"x": 1}], "problems": 1}),
            vec![
                ("endpoints.0.endpoint_id", "invalid_format"),
                ("endpoints.0.is_active", "wrong_type"),
                ("endpoints.1", "wrong_type"),
                ("endpoints.2.endpoint_id", "missing"),
                ("endpoints.2.is_active", "missing"),
                ("endpoints.2.x", "unknown_field"),
                ("problems", "unknown_field"),
            ],
        ),
        ("report-credential-service", json!({"endpoints": {}}), vec![("endpoints", "wrong_type")]),
        ("report-credential-service", json!({}), vec![("endpoints", "missing")]),
        ("update-workspace", json!({"sms_sender": "a b"}), vec![("sms_sender", "invalid_format")]),
        ("update-workspace", json!({"sms_sender": "abcdefghijkl"}), vec![("sms_sender", "invalid_format")]),
        ("update-workspace", json!({"sms_sender": "12345"}), vec![("sms_sender", "invalid_format")]),
        ("update-workspace", json!({"sms_sender": "+0170123456"}), vec![("sms_sender", "invalid_format")]),
        ("update-workspace", json!({"sender": "someone@elsewhere.example"}), vec![("sender", "sender_not_allowed")]),
        ("update-workspace", json!({"sms_sender": "Stranger"}), vec![("sms_sender", "sender_not_allowed")]),
        (
            "update-workspace",
            json!({"sender": "someone@elsewhere.example", "name": 7, "dry_run": true}),
            vec![("sender", "sender_not_allowed"), ("name", "wrong_type")],
        ),
        (
            "update-workspace",
            json!({"silent_devices": {}}),
            vec![("silent_devices.after_days", "missing"), ("silent_devices.action", "missing")],
        ),
        // deployments
        ("deploy-config", json!({"profile_id": id}), vec![("profile_id", "unknown_value")]),
        ("update-user", json!({"profile_id": id}), vec![("profile_id", "unknown_value")]),
        ("set-user-secrets", json!({}), vec![("", "missing")]),
        ("set-user-secrets", json!({"voicemail_pim": "4711"}), vec![("voicemail_pim", "unknown_field")]),
        (
            "set-user-secrets",
            json!({"voicemail_pin": "x", "client_password": 7, "pin": "1"}),
            vec![("voicemail_pin", "too_short"), ("client_password", "wrong_type"), ("pin", "unknown_field")],
        ),
        ("auto-deploy", json!({}), vec![("ids", "missing")]),
        ("auto-deploy", json!({"ids": [id], "filter": {}}), vec![("filter", "too_many")]),
        ("auto-deploy", json!({"filter": {"deploid": true}}), vec![("filter.deploid", "unknown_field")]),
        ("bulk-users", json!({"action": "auto_deploy", "ids": [id]}), vec![("action", "unknown_value")]),
        ("bulk-users", json!({"action": "activate"}), vec![("ids", "missing")]),
        ("bulk-users", json!({}), vec![("action", "missing"), ("ids", "missing")]),
        ("bulk-users", json!({"action": "activate", "ids": [id], "filter": {}}), vec![("filter", "too_many")]),
        ("bulk-users", json!({"action": "block", "ids": [id]}), vec![("action", "unknown_value")]),
        ("bulk-users", json!({"action": "delete", "ids": [id], "without_wipe": true}), vec![("reason", "missing")]),
        ("bulk-users", json!({"action": "invite", "ids": [id]}), vec![("channel", "missing")]),
        ("bulk-devices", json!({"action": "suspend", "ids": [id]}), vec![("action", "unknown_value")]),
        // A misspelled filter would match everything.
        (
            "bulk-users",
            json!({"action": "activate", "filter": {"stauts": "suspended"}}),
            vec![("filter.stauts", "unknown_field")],
        ),
        (
            "bulk-users",
            json!({"action": "activate", "filter": {"blocked": true, "limit": 5}}),
            vec![("filter.blocked", "unknown_field"), ("filter.limit", "unknown_field")],
        ),
        (
            "bulk-devices",
            json!({"action": "block", "filter": {"service_level": "gold", "status": "x"}}),
            vec![("filter.service_level", "unknown_field"), ("filter.status", "unknown_value")],
        ),
        (
            "bulk-devices",
            json!({"action": "block", "filter": {"": true}, "dry_run": true}),
            vec![("filter", "unknown_field")],
        ),
    ];
    for (name, body, faults) in cases {
        let operation = operations.iter().find(|operation| operation.name == name).unwrap();
        fixture.expect_fields_rejected(operation, &body, &faults).await;
    }
    fixture.expect_unchanged("what does not fit its place");
}

#[tokio::test]
async fn parameters_of_a_user_deletion_are_validated_in_the_query_as_in_a_body() {
    let fixture = Target::new().await;
    let cases = [
        ("without_wipe=maybe", vec![("without_wipe", "wrong_type")]),
        ("without_wipe=1", vec![("without_wipe", "wrong_type")]),
        ("without_wipe=true", vec![("reason", "missing")]),
        ("without_wipe=true&reason=", vec![("reason", "missing")]),
        ("without_wipe=true&reason=a%00b", vec![("reason", "control_character")]),
        ("without_wipe=true&reason=a&reason=b", vec![("reason", "repeated")]),
        ("without_wipe=x&reason=%E2%80%AE", vec![("without_wipe", "wrong_type"), ("reason", "invalid_format")]),
        ("reason=%ff", vec![("", "invalid_encoding")]),
    ];
    for (query, faults) in cases {
        let path = format!("/users/{}?{query}", fixture.user);
        let sent = request(Method::DELETE, &path, Some(&fixture.tenant.key), Vec::new());
        let answer = fixture.expect_rejected(sent, 422, "invalid_input").await;
        let expected = faults.iter().map(|(field, code)| ((*field).to_owned(), (*code).to_owned())).collect();
        assert_eq!(field_errors(&answer), expected, "{query}");
    }
    // And the rule holds by either way: a phone that was not wiped stops it.
    let olga =
        fixture.bench.get(&format!("/devices/{}", fixture.other), &fixture.tenant.key).await.expect(200).get("user_id");
    for body in ["", "{}", r#"{"without_wipe":false,"reason":"gone"}"#] {
        let path = format!("/users/{olga}");
        let sent = request(Method::DELETE, &path, Some(&fixture.tenant.key), body.as_bytes().to_vec());
        let answer = fixture.expect_rejected(sent, 409, "wipe_first").await;
        assert_eq!(answer.body["devices"][0]["device_id"], *fixture.other, "{}", answer.text);
    }
}

#[tokio::test]
async fn networks_need_a_valid_provider_name_and_there_are_at_most_eight() {
    let fixture = Target::new().await;
    let put = |provider: &str, status: &str| {
        let path = format!("/users/{}/networks/{provider}", fixture.user);
        request(Method::PUT, &path, Some(&fixture.tenant.key), json!({"status": status}).to_string().into_bytes())
    };
    let long = "x".repeat(33);
    for provider in [
        "Verizon",
        "a%20b",
        "%20verizon",
        "verizon%00",
        "a-b",
        "a.b",
        "caf%C3%A9",
        "%ff",
        "%F0%9F%93%B1",
        "a%2Fb",
        &long,
    ] {
        let answer = fixture.expect_rejected(put(provider, "enabled"), 422, "invalid_input").await;
        let errors = field_errors(&answer);
        assert!(errors.len() == 1 && errors.iter().all(|(field, _)| field == "provider"), "{provider}: {errors:?}");
    }
    let verizons = ["new_request", "opt_in_sent", "unable_to_provision"];
    for status in verizons {
        let answer = fixture.expect_rejected(put("att", status), 422, "invalid_input").await;
        assert_eq!(field_errors(&answer), [("status".to_owned(), "unknown_value".to_owned())].into());
    }
    fixture.expect_unchanged("networks that are none");
    let _earlier = fixture.known.take();
    for provider in 0..8 {
        let _network = fixture.bench.send(put(&format!("p{provider}"), "enabled")).await.expect(200);
    }
    let answer = fixture.expect_rejected(put("p8", "enabled"), 422, "invalid_input").await;
    assert_eq!(field_errors(&answer), [("provider".to_owned(), "too_many".to_owned())].into());
}

#[tokio::test]
async fn deleted_revoked_and_ended_objects_cannot_be_changed() {
    let fixture = Target::new().await;
    let key = &fixture.tenant.key;
    let say = |command: &str, result: &str| {
        let path = format!("/devices/me/commands/{command}");
        let body = json!({"result": result}).to_string().into_bytes();
        request(Method::POST, &path, Some(&fixture.credential), body)
    };
    let delete = |path: String| request(Method::DELETE, &path, Some(key), Vec::new());
    let command = format!("/devices/{}/commands/{}", fixture.device, fixture.command);
    // A command that was not delivered cannot be put off.
    let _refused = fixture.expect_rejected(say(&fixture.command, "deferred"), 409, "command_over").await;
    fixture.expect_unchanged("a command that was not delivered");
    let _earlier = fixture.known.take();
    let _done = fixture.bench.send(say(&fixture.command, "failed")).await.expect(200);
    for result in ["succeeded", "rejected", "not_supported", "deferred"] {
        let _refused = fixture.expect_rejected(say(&fixture.command, result), 409, "command_over").await;
    }
    let _refused = fixture.expect_rejected(delete(command), 409, "command_over").await;
    // The job was done within its call.
    let _refused = fixture.expect_rejected(delete(format!("/jobs/{}", fixture.job)), 409, "job_over").await;
    let _same = fixture.bench.send(say(&fixture.command, "failed")).await.expect(200);
    fixture.expect_unchanged("the same word again");
    let _earlier = fixture.known.take();
    let _newer = fixture
        .bench
        .post(&format!("/users/{}/invite", fixture.user), key, json!({"channel": "sms"}))
        .await
        .expect(202);
    let superseded = format!("/users/{}/invitations/{}", fixture.user, fixture.invitation);
    let _refused = fixture.expect_rejected(delete(superseded), 409, "invitation_over").await;
    fixture.expect_unchanged("an invitation that is over");
    let _earlier = fixture.known.take();
    let user = format!("/users/{}", fixture.user);
    let without = json!({"without_wipe": true, "reason": "gone"});
    let _deleted = fixture.bench.call(Method::DELETE, &user, Some(key), Some(&without)).await.expect(200);
    let of_user = [
        (Method::PATCH, "", json!({"first_name": "X"})),
        (Method::POST, "/activate", json!({})),
        (Method::POST, "/suspend", json!({})),
        (Method::POST, "/reset-pin", json!({})),
        (Method::POST, "/invite", json!({"channel": "sms"})),
        (Method::PUT, "/networks/verizon", json!({"status": "enabled"})),
        (Method::POST, "/deploy", json!({})),
        (Method::POST, "/force-config", json!({})),
        (Method::PUT, "/secrets", json!({"voicemail_pin": "4711"})),
    ];
    for (method, suffix, body) in of_user {
        let sent = request(method, &format!("{user}{suffix}"), Some(key), body.to_string().into_bytes());
        let _refused = fixture.expect_rejected(sent, 409, "user_deleted").await;
    }
    let path = format!("/devices/{}/lock", fixture.device);
    let _refused =
        fixture.expect_rejected(request(Method::POST, &path, Some(key), Vec::new()), 409, "device_deleted").await;
    let _deleted = fixture.bench.delete(&user, key).await.expect(200);
    fixture.expect_unchanged("a user who is deleted");
    // A failed wipe can be requested again.
    let anew = fixture.bench.post(&format!("/devices/{}/wipe", fixture.device), key, json!({})).await.expect(202);
    assert_ne!(anew.get("command_id"), fixture.command);
}

#[tokio::test]
async fn an_authorization_header_in_another_form_is_rejected() {
    let fixture = Target::new().await;
    let key = fixture.tenant.key.as_bytes();
    let joined = |parts: [&[u8]; 3]| parts.concat();
    let bad = [
        b"".to_vec(),
        b"Bearer".to_vec(),
        b"Bearer ".to_vec(),
        b"Bearer  ".to_vec(),
        key.to_vec(),
        joined([b"Basic ", key, b""]),
        joined([b"Bearer ", key, b"x"]),
        joined([b"Bearer ", key, b" x"]),
        joined([b"Bearer,", key, b""]),
        joined([b"Bearer ", key, b",Bearer x"]),
        b"Bearer \xff\xfe".to_vec(),
        b"Bearer \xc3\xa9".to_vec(),
        joined([b"Bearer Bearer ", key, b""]),
        vec![b'x'; 8000],
    ];
    for value in bad {
        for path in ["/devices", "/devices/me/check-in"] {
            let method = if path == "/devices" { Method::GET } else { Method::POST };
            let mut sent = request(method, path, None, Vec::new());
            sent.headers_mut().insert("authorization", HeaderValue::from_bytes(&value).unwrap());
            let answer = fixture.bench.send(sent).await.expect(401);
            assert_eq!(answer.code(), "credential_invalid", "{}", String::from_utf8_lossy(&value));
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
            expect_valid_problem(&answer, path);
        }
    }
}

#[tokio::test]
async fn no_header_and_no_host_causes_a_server_error() {
    let fixture = Target::new().await;
    let values: [&[u8]; 9] =
        [b"", b" ", b"a b", b"[::", b"http://evil/\"<>", b"\xff\xfe", b"caf\xc3\xa9", b"\t", &[b'x'; 8000]];
    for name in [
        "host",
        "x-forwarded-for",
        "user-agent",
        "content-type",
        "cookie",
        "content-length",
        "x-request-id",
        "accept",
        "x-unknown",
        "origin",
        "expect",
    ] {
        for value in values {
            let mut sent = request(Method::GET, "/devices", Some(&fixture.tenant.key), Vec::new());
            sent.headers_mut().insert(name, HeaderValue::from_bytes(value).unwrap());
            let answer = fixture.bench.send(sent).await;
            assert_eq!(answer.status, 200, "{name}: {} {}", String::from_utf8_lossy(value), answer.text);
        }
    }
}

#[tokio::test]
async fn a_path_without_a_route_is_not_found() {
    let fixture = Target::new().await;
    let paths = [
        "/",
        "//",
        "/nowhere",
        "/devices/",
        "//devices",
        "/devices//block",
        "/devices/x/y/z",
        "/%",
        "/%zz",
        "/%ff",
        "/..",
        "/../devices",
        "/./devices",
        "/devices%2F",
        "/%64evices%00",
        "/;x",
        "/DEVICES",
        "/i/",
        "/i/a/b",
        "/.well-known/",
        "/.env",
        "/users/x/invite/",
        "/users/x/wipe",
        "/users/x/networks",
        "/users/x/networks/",
        "/users/bulk/x",
        "/devices/me/commands/",
        "/devices/x/commands/x/y",
        "/jobs/x/y",
        "/workspace/x",
        "/usage/x",
        "/keys/x/y",
        "/members/x/tokens/y/z",
        "/tokens/x/y",
        "/memberships/x/y",
        "/?x=%ff",
        "/nowhere?limit=0",
        "/deployments/",
        "/deployments/x/y",
        "/deployments/users/x/y",
        "/devices/me/config/",
        "/r/",
        "/r/a/b",
        "/users/x/secrets/",
    ];
    for path in paths {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS, Method::from_bytes(b"BREW").unwrap()]
        {
            let answer =
                fixture.bench.send(request(method.clone(), path, Some(&fixture.tenant.key), b"{}".to_vec())).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (404, "route_not_found"), "{method} {path}");
            expect_valid_problem(&answer, path);
        }
    }
    let long = format!("/{}", "x".repeat(8000));
    let answer = fixture.bench.get(&long, &fixture.tenant.key).await.expect(404);
    expect_valid_problem(&answer, "a long path");
    let device = format!("/devices/{}", fixture.device);
    let taken = [
        ("/devices", "GET, HEAD, POST"),
        (device.as_str(), "DELETE, GET, HEAD, PATCH"),
        ("/devices/me/check-in", "POST"),
        ("/devices/me/commands/x", "POST"),
        ("/devices/x/commands", "GET, HEAD"),
        ("/devices/x/commands/x", "DELETE"),
        ("/devices/bulk", "POST"),
        ("/users/x", "DELETE, GET, HEAD, PATCH"),
        ("/users/bulk", "POST"),
        ("/users/x/invite", "POST"),
        ("/users/x/lock-and-wipe", "POST"),
        ("/users/x/invitations", "GET, HEAD"),
        ("/users/x/invitations/x", "DELETE"),
        ("/users/x/usage", "GET, HEAD"),
        ("/usage", "GET, HEAD"),
        ("/jobs", "GET, HEAD"),
        ("/jobs/x", "DELETE, GET, HEAD"),
        ("/profiles", "GET, HEAD, POST"),
        ("/profiles/x", "DELETE, GET, HEAD, PATCH"),
        ("/users/export", "GET, HEAD"),
        ("/devices/export", "GET, HEAD"),
        ("/events/export", "GET, HEAD"),
        ("/workspace", "GET, HEAD, PATCH"),
        ("/i/x", "GET, HEAD, POST"),
        ("/r/x", "GET, HEAD"),
        ("/deployments", "GET, HEAD"),
        ("/deployments/auto", "POST"),
        ("/deployments/x", "DELETE"),
        ("/deployments/users/x", "DELETE"),
        ("/deployments/x/qr", "GET, HEAD"),
        ("/devices/me/config", "POST"),
        ("/users/x/deploy", "POST"),
        ("/users/x/force-config", "POST"),
    ];
    for (path, allow) in taken {
        for method in [Method::PUT, Method::OPTIONS, Method::TRACE, Method::from_bytes(b"BREW").unwrap()] {
            let answer = fixture.bench.send(request(method.clone(), path, None, Vec::new())).await.expect(405);
            assert_eq!(
                (answer.code(), answer.headers["allow"].to_str().unwrap()),
                ("method_not_allowed", allow),
                "{method} {path}"
            );
            expect_valid_problem(&answer, path);
        }
    }
}

#[tokio::test]
async fn a_code_in_another_format_is_unknown() {
    let fixture = Target::new().await;
    let cut = &fixture.code[..21];
    for code in [
        "x",
        "%00",
        "%ff",
        "%2F",
        cut,
        "0000000000000000000000",
        "2222222222222222222222",
        &"x".repeat(5000),
        "..%2F..%2Fkeys",
    ] {
        let answer =
            fixture.bench.send(request(Method::GET, &format!("/r/{code}"), None, Vec::new())).await.expect(404);
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/html"));
        for method in [Method::GET, Method::POST] {
            let before = rows::everything(&fixture.bench);
            let answer = fixture.bench.send(request(method, &format!("/i/{code}"), None, Vec::new())).await.expect(404);
            assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/html"));
            assert!(before == rows::everything(&fixture.bench));
        }
    }
    let operations = fixture.operations();
    for code in ["x", cut, "0000000000000000000000", "2222222222222222222222", "I#O/l0"] {
        let mut body = operations[0].good.clone();
        body["code"] = code.into();
        let _refused = fixture.expect_body_rejected(&operations[0], body.to_string(), 401, "code_unknown").await;
    }
}

/// The first cases of a strategy, always the same ones.
fn cases<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("the strategy makes cases").current()).collect()
}

/// Random JSON with a bias towards known names and values.
fn any_json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "ios",
        "android",
        "email",
        "viewer",
        "admin",
        "devices:read",
        "a@example.com",
        "+491701234567",
        "https://issuer.example",
        "2030-01-01T00:00:00Z",
        "2222222222222222222222",
        "0190f3c4-7b5e-7a11-8c1d-3f2a9b6c5d4e",
        "succeeded",
        "deferred",
        "enabled",
        "opt_in_sent",
        "suspend",
        "block",
        "invite",
        "iPhone",
        "26.1",
        "",
        " ",
        "\u{0}",
        "\u{202E}",
        "null",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        (0_i64..5).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        words.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any_name(), inner, 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_name() -> impl Strategy<Value = String> {
    let known = vec![
        "code",
        "device_identifier",
        "platform",
        "model_name",
        "os_version",
        "app_version",
        "push_token",
        "nickname",
        "custom_metadata",
        "reason",
        "username",
        "first_name",
        "last_name",
        "email",
        "mobile",
        "number",
        "channel",
        "devices",
        "name",
        "permissions",
        "expires_at",
        "issuer",
        "subject",
        "role",
        "expires_in_days",
        "result",
        "detail",
        "service_level",
        "without_wipe",
        "status",
        "status_at",
        "mdn_provisioning",
        "last_seen_at",
        "last_archived_at",
        "action",
        "ids",
        "filter",
        "dry_run",
        "search",
        "pending_command",
        "network_indicator",
        "pin_failures",
        "usage",
        "sequence",
        "calls",
        "retention_days",
        "check_in_minutes",
        "sender",
        "sms_sender",
        "silent_devices",
        "after_days",
        "pin_limit",
        "service_levels",
    ];
    prop_oneof![4 => prop::sample::select(known).prop_map(str::to_owned), 1 => any::<String>()]
}

fn any_query() -> impl Strategy<Value = String> {
    let names = vec![
        "limit",
        "cursor",
        "search",
        "user_id",
        "device_id",
        "status",
        "device_status",
        "blocked",
        "platform",
        "push_in_use",
        "pending_command",
        "unconfirmed_wipe",
        "last_login_before",
        "last_seen_before",
        "service_level",
        "network_indicator",
        "event_type",
        "since",
        "until",
    ];
    let value = prop_oneof![
        "[-0-9a-zA-Z%+=.:~]{0,40}",
        "(%[0-9a-fA-F]{2}){0,12}",
        prop::sample::select(vec![
            "1",
            "100",
            "true",
            "active",
            "deleted",
            "red",
            "ios",
            "2026-11-23T08:00:00Z",
            "9999-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "device.blocked"
        ])
        .prop_map(str::to_owned),
    ];
    let pair = (prop_oneof![3 => prop::sample::select(names).prop_map(str::to_owned), 1 => "[a-z%]{0,6}"], value);
    prop::collection::vec(pair.prop_map(|(name, value)| format!("{name}={value}")), 0..5)
        .prop_map(|pairs| pairs.join("&"))
}

#[tokio::test]
async fn no_body_causes_a_server_error() {
    let documents = cases(&any_json(), 60).into_iter().map(|value| value.to_string().into_bytes());
    let objects = prop::collection::btree_map(any_name(), any_json(), 0..10);
    let objects = cases(&objects, 120).into_iter().map(|fields| json!(fields).to_string().into_bytes());
    let bytes = cases(&prop::collection::vec(any::<u8>(), 0..200), 20).into_iter();
    let bodies: Vec<Vec<u8>> = documents.chain(objects).chain(bytes).collect();
    let count = Target::new().await.operations().len();
    for at in (0..count).step_by(AT_ONCE) {
        // Separate systems, so that other operations' rows do not slow them down.
        let fixture = Target::new().await;
        let some = fixture.operations().into_iter().enumerate().skip(at).take(AT_ONCE);
        // Of a bulk call's actions one does for all.
        let one = |operation: &Operation| {
            let action = operation.good["action"].as_str();
            action.is_none_or(|action| ["lock_and_wipe", "lock"].contains(&action))
                || operation.good["filter"].is_object()
        };
        for (number, operation) in some.filter(|(_, operation)| one(operation)) {
            // Each operation gets some of them, to limit the time.
            for body in bodies.iter().skip(number % SHARES).step_by(SHARES) {
                any_body(&fixture, &operation, body).await;
            }
        }
    }
}

/// Number of operations per system, and of those that share bodies.
const AT_ONCE: usize = 4;
const SHARES: usize = 12;

/// Sends an operation a body, alone and merged with a valid one, so that it also passes the first
/// checks.
async fn any_body(fixture: &Target, operation: &Operation, body: &[u8]) {
    let merged = match (serde_json::from_slice::<Value>(body), &operation.good) {
        (Ok(Value::Object(sent)), Value::Object(good)) => {
            let fields: Map<String, Value> = good.clone().into_iter().chain(sent).collect();
            Some(Value::from(fields).to_string().into_bytes())
        }
        _ => None,
    };
    for body in [body.to_vec()].into_iter().chain(merged) {
        let what = format!("{} {}", operation.name, String::from_utf8_lossy(&body));
        let before = fixture.known.take().unwrap_or_else(|| rows::everything(&fixture.bench));
        let answer = fixture.send(operation, body).await;
        assert!(answer.status.as_u16() < 500, "{what}: {}", answer.text);
        let after = rows::everything(&fixture.bench);
        if answer.status.as_u16() >= 400 {
            expect_valid_problem(&answer, &what);
            assert!(before == after, "{what}: something was changed");
        }
        *fixture.known.borrow_mut() = Some(after);
    }
}

#[tokio::test]
async fn no_scim_request_causes_a_server_error_and_errors_have_scims_format() {
    let fixture = Target::new().await;
    let path = format!("/scim/v2/Users/{}", fixture.user);
    let scim = async |sent: Request<Vec<u8>>| {
        let what = format!("{} {:.300} {:.300}", sent.method(), sent.uri(), String::from_utf8_lossy(sent.body()));
        let before = rows::everything(&fixture.bench);
        let answer = fixture.bench.send(sent).await;
        assert!(answer.status.as_u16() < 500, "{what}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/scim+json", "{what}");
        if answer.status.as_u16() >= 400 {
            assert_eq!(answer.get("status"), answer.status.as_str(), "{what}: {}", answer.text);
            assert!(before == rows::everything(&fixture.bench), "{what}: something was changed");
        }
    };
    let sent =
        |method: &Method, path: &str, body: Vec<u8>| request(method.clone(), path, Some(&fixture.tenant.key), body);
    let attributes = || {
        let names = ["userName", "name", "emails", "phoneNumbers", "active", "roles", "externalId", "schemas", "title"];
        prop::collection::btree_map(prop::sample::select(names.to_vec()), any_json(), 0..6)
    };
    let operation = (prop::sample::select(vec!["add", "replace", "remove", "x"]), any_name(), attributes(), any_json());
    let operations = cases(&prop::collection::vec(operation, 0..4), 60);
    for operations in operations {
        let path_and_value = |(op, path, values, value): (&str, String, BTreeMap<&str, Value>, Value)| {
            [json!({"op": op, "path": path, "value": value}), json!({"op": op, "value": values})]
        };
        for operations in operations.into_iter().map(path_and_value) {
            for body in [json!({"Operations": operations}), json!({"Operations": [operations[1]]})] {
                scim(sent(&Method::PATCH, &path, body.to_string().into_bytes())).await;
            }
        }
    }
    for fields in cases(&attributes(), 60) {
        let mut named = json!(fields);
        named["userName"] = json!("ada");
        scim(sent(&Method::PUT, &path, named.to_string().into_bytes())).await;
        scim(sent(&Method::POST, "/scim/v2/Users", json!(fields).to_string().into_bytes())).await;
        scim(sent(&Method::POST, "/scim/v2/.search", json!(fields).to_string().into_bytes())).await;
    }
    for bytes in cases(&prop::collection::vec(any::<u8>(), 0..200), 20) {
        for method in [Method::PUT, Method::PATCH] {
            scim(sent(&method, &path, bytes.clone())).await;
        }
    }
    for query in cases(&any_query(), 60) {
        for list in ["/scim/v2/Users", path.as_str()] {
            scim(sent(&Method::GET, &format!("{list}?{query}&filter={query}"), Vec::new())).await;
        }
    }
    for id in ["x", "%00", "%ff", "0190F3C4-7B5E-7A11-8C1D-3F2A9B6C5D4E", &"x".repeat(5000)] {
        scim(sent(&Method::GET, &format!("/scim/v2/Users/{id}"), Vec::new())).await;
        scim(sent(&Method::GET, &format!("/scim/v2/{id}"), Vec::new())).await;
    }
}

#[tokio::test]
async fn no_seam_request_causes_a_server_error_and_errors_have_seams_format() {
    let fixture = Target::new().await;
    let seam = async |sent: Request<Vec<u8>>| {
        let what = format!("{} {:.300} {:.300}", sent.method(), sent.uri(), String::from_utf8_lossy(sent.body()));
        let before = rows::everything(&fixture.bench);
        let answer = fixture.bench.send(sent).await;
        assert!(answer.status.as_u16() < 500, "{what}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/json", "{what}");
        assert_eq!(answer.body["ok"], answer.status.is_success(), "{what}: {}", answer.text);
        if answer.status.as_u16() >= 400 {
            assert!(answer.body["error"]["type"].is_string(), "{what}: {}", answer.text);
            assert!(answer.body["error"]["message"].is_string(), "{what}: {}", answer.text);
            assert!(before == rows::everything(&fixture.bench), "{what}: something was changed");
        }
    };
    let sent =
        |method: &Method, path: &str, body: Vec<u8>| request(method.clone(), path, Some(&fixture.tenant.key), body);
    let names = [
        "device_id",
        "owner_user_identity_id",
        "acs_credential_id",
        "name",
        "custom_metadata",
        "custom_metadata_has",
        "since",
        "between",
        "device_ids",
        "event_types",
        "limit",
        "page_cursor",
        "search",
        "user_identity_id",
        "user_identity_key",
        "email_address",
        "phone_number",
        "full_name",
        "event_id",
        "event_type",
    ];
    let parameters = prop::collection::btree_map(prop::sample::select(names.to_vec()), any_json(), 0..6);
    let routes = [
        "/phones/list",
        "/phones/get",
        "/phones/deactivate",
        "/phones/simulate/create_sandbox_phone",
        "/devices/get",
        "/devices/list",
        "/devices/update",
        "/events/list",
        "/events/get",
        "/user_identities/create",
        "/user_identities/get",
        "/user_identities/list",
        "/user_identities/update",
        "/user_identities/delete",
        "/workspaces/get",
    ];
    for parameters in cases(&parameters, 30) {
        let mut named = json!(parameters);
        for (field, id) in [("device_id", &fixture.other), ("user_identity_id", &fixture.user)] {
            if named[field].is_boolean() || named[field].is_null() {
                named[field] = json!(id);
            }
        }
        for route in routes {
            seam(sent(&Method::POST, route, named.to_string().into_bytes())).await;
        }
    }
    for bytes in cases(&prop::collection::vec(any::<u8>(), 0..200), 5) {
        for route in routes {
            seam(sent(&Method::POST, route, bytes.clone())).await;
        }
    }
    for query in cases(&any_query(), 20) {
        for route in routes {
            seam(sent(&Method::GET, &format!("{route}?{query}&device_id={query}"), Vec::new())).await;
        }
    }
}

#[tokio::test]
async fn no_query_causes_a_server_error() {
    let fixture = Target::new().await;
    let queries = cases(&any_query(), 60);
    let (commands, invitations, job) = (
        format!("/devices/{}/commands", fixture.device),
        format!("/users/{}/invitations", fixture.user),
        format!("/jobs/{}", fixture.job),
    );
    let exports = ["/users/export", "/devices/export", "/events/export"];
    let lists = [
        "/devices",
        "/users",
        "/events",
        "/keys",
        "/members",
        "/jobs",
        &job,
        &commands,
        &invitations,
        "/usage",
        "/profiles",
    ];
    let lists = lists.into_iter().chain(exports);
    for path in lists {
        for query in &queries {
            let path = format!("{path}?{query}");
            let answer = fixture.bench.get(&path, &fixture.tenant.key).await;
            assert!(answer.status.as_u16() < 500, "{path}: {}", answer.text);
            if answer.status.as_u16() >= 400 {
                expect_valid_problem(&answer, &path);
            }
        }
    }
}

#[tokio::test]
async fn a_field_that_its_source_does_not_allow_is_rejected_by_name() {
    let fixture = Target::new().await;
    let operations = fixture.operations();
    let create = operations.iter().find(|operation| operation.name == "create-source").unwrap();
    let file = json!({"name": "File", "kind": "csv", "mapping": {"username": "login"}});
    let pushed = json!({"name": "Pushed", "kind": "scim"});
    let with = |body: &Value, field: &str, value: Value| {
        let mut body = body.clone();
        body[field] = value;
        body
    };
    for (body, field, code) in [
        (with(&file, "url", json!("https://example.com")), "url", "not_allowed"),
        (with(&file, "token", json!("t")), "token", "not_allowed"),
        (with(&file, "every_hours", json!(3)), "every_hours", "not_allowed"),
        (with(&file, "renames_may_wipe", json!(true)), "renames_may_wipe", "not_allowed"),
        (with(&file, "key_field", json!("external_id")), "mapping.external_id", "missing"),
        (with(&file, "mapping", json!({"username": "a", "nick": "b"})), "mapping.nick", "unknown_field"),
        (with(&pushed, "mapping", json!({"username": "a"})), "mapping", "not_allowed"),
        (with(&pushed, "delimiter", json!("comma")), "delimiter", "not_allowed"),
        (with(&page("Page"), "items", json!("people")), "items", "invalid_format"),
        (with(&page("Page"), "url", json!("https://a:b@example.com/")), "url", "invalid_format"),
        (with(&page("Page"), "url", json!("https://169.254.169.254/latest")), "url", "not_public"),
    ] {
        fixture.expect_fields_rejected(create, &body, &[(field, code)]).await;
    }
    let update = operations.iter().find(|operation| operation.name == "update-source").unwrap();
    fixture.expect_fields_rejected(update, &json!({"kind": "csv"}), &[("kind", "not_allowed")]).await;
    fixture
        .expect_fields_rejected(update, &json!({"key_field": "external_id"}), &[("mapping.external_id", "missing")])
        .await;
    for gone in ["name", "url", "format", "mapping"] {
        fixture.expect_fields_rejected(update, &json!({gone: null}), &[(gone, "missing")]).await;
    }
    let put =
        |path: String, body: &str| request(Method::PUT, &path, Some(&fixture.tenant.key), body.as_bytes().to_vec());
    let upload = "upload=0190f3c4-7b5e-7a11-8c1d-000000000002";
    for (path, body, field, code) in [
        ("1", "x", "upload", "missing"),
        ("1?upload=x", "x", "upload", "invalid_format"),
        (&format!("1?{upload}&last=yes"), "x", "last", "wrong_type"),
        (&format!("1?{upload}&start=1"), "x", "start", "wrong_type"),
        (&format!("0?{upload}"), "x", "number", "out_of_range"),
        (&format!("65?{upload}"), "x", "number", "out_of_range"),
        (&format!("one?{upload}"), "x", "number", "out_of_range"),
        (&format!("1?{upload}"), "", "", "missing"),
    ] {
        let sent = put(format!("/sources/{}/parts/{path}", fixture.source), body);
        let answer = fixture.expect_rejected(sent, 422, "invalid_input").await;
        assert_eq!(field_errors(&answer), [(field.to_owned(), code.to_owned())].into(), "{path}");
    }
    let sent = put(format!("/sources/{}/parts/1?{upload}", fixture.page), "x");
    let _refused = fixture.expect_rejected(sent, 409, "source_not_uploaded").await;
    let pushed = fixture.bench.post("/sources", &fixture.tenant.key, pushed).await.expect(201).get("source_id");
    let _earlier = fixture.known.take();
    let sent = request(Method::POST, &format!("/sources/{pushed}/sync"), Some(&fixture.tenant.key), Vec::new());
    let _refused = fixture.expect_rejected(sent, 409, "source_pushed").await;
    // A part beyond the last one, and two last ones.
    let path = |more: &str| format!("/sources/{}/parts/{more}&{upload}", fixture.source);
    fixture.expect_unchanged("before a part comes");
    let _earlier = fixture.known.take();
    let _come = fixture.bench.send(put(path("2?last=true"), "x")).await.expect(202);
    for more in ["3?last=false", "3?last=true", "1?last=true"] {
        let answer = fixture.expect_rejected(put(path(more), "x"), 422, "invalid_input").await;
        assert_eq!(field_errors(&answer), [("last".to_owned(), "conflicting".to_owned())].into(), "{more}");
    }
}
