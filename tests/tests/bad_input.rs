//! Bad input is refused in our own shape, with every fault named, and changes nothing. It is never
//! a fault of ours.

use std::collections::BTreeSet;

use domain::cursor;
use http::{HeaderValue, Method, Request};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};
use testkit::oidc::ISSUER;
use testkit::{Answer, Bench, Tenant, rows};

/// What a field takes, and thereby what it does not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Line(usize),
    Ascii(usize),
    Username,
    Email,
    Mobile,
    Number,
    Url(usize),
    Word,
    Words,
    Whole(i64, i64),
    Future,
    Metadata,
}

use Kind::{Ascii, Email, Future, Line, Metadata, Mobile, Number, Url, Username, Whole, Word, Words};

struct Field {
    name: &'static str,
    required: bool,
    kind: Kind,
}

const fn must(name: &'static str, kind: Kind) -> Field {
    Field { name, required: true, kind }
}

const fn may(name: &'static str, kind: Kind) -> Field {
    Field { name, required: false, kind }
}

/// An operation with a body.
struct Operation {
    name: &'static str,
    method: Method,
    path: String,
    credential: Option<String>,
    good: Value,
    fields: Vec<Field>,
}

/// A system with something in it, to which bad input is sent.
struct House {
    bench: Bench,
    tenant: Tenant,
    user: String,
    device: String,
    credential: String,
    key: String,
    member: String,
    code: String,
}

impl House {
    async fn new() -> Self {
        let bench = Bench::start().await;
        let tenant = bench.tenant("House").await;
        let (device, credential) = bench.phone(&tenant, "ada").await;
        let shown = bench.get(&format!("/devices/{device}"), &tenant.key).await.expect(200);
        let user = shown.get("user_id");
        let code = bench.invite(&tenant, &user, 2).await;
        let key = json!({"name": "key", "permissions": ["devices:read"]});
        let key = bench.post("/keys", &tenant.key, key).await.expect(201).get("key_id");
        let member = json!({"issuer": ISSUER, "subject": "anna", "role": "viewer"});
        let member = bench.post("/members", &tenant.key, member).await.expect(201).get("member_id");
        Self { bench, tenant, user, device, credential, key, member, code }
    }

    fn operations(&self) -> Vec<Operation> {
        let admin = Some(self.tenant.key.clone());
        let (user, device) = (&self.user, &self.device);
        let of = |name, path: String, good, fields| {
            let method = if name == "update-device" { Method::PATCH } else { Method::POST };
            let credential = match name {
                "register-device" => None,
                "check-in-device" => Some(self.credential.clone()),
                _ => admin.clone(),
            };
            Operation { name, method, path, credential, good, fields }
        };
        vec![
            of(
                "register-device",
                "/devices".into(),
                Bench::application(&self.code, "another"),
                vec![
                    must("code", Ascii(64)),
                    must("device_identifier", Ascii(128)),
                    must("platform", Word),
                    must("model_name", Line(64)),
                    must("os_version", Ascii(32)),
                    may("app_version", Ascii(32)),
                    may("push_token", Ascii(4096)),
                    may("nickname", Line(64)),
                ],
            ),
            of(
                "check-in-device",
                "/devices/me/check-in".into(),
                json!({}),
                vec![may("os_version", Ascii(32)), may("app_version", Ascii(32)), may("push_token", Ascii(4096))],
            ),
            of(
                "update-device",
                format!("/devices/{device}"),
                json!({"nickname": "mine"}),
                vec![may("nickname", Line(64)), may("custom_metadata", Metadata)],
            ),
            of("block-device", format!("/devices/{device}/block"), json!({}), vec![may("reason", Line(256))]),
            of("unblock-device", format!("/devices/{device}/unblock"), json!({}), vec![may("reason", Line(256))]),
            of(
                "create-user",
                "/users".into(),
                json!({"username": "bea"}),
                vec![
                    must("username", Username),
                    may("first_name", Line(64)),
                    may("last_name", Line(64)),
                    may("email", Email),
                    may("mobile", Mobile),
                    may("number", Number),
                ],
            ),
            of(
                "invite-user",
                format!("/users/{user}/invite"),
                json!({"channel": "email"}),
                vec![must("channel", Word), may("devices", Whole(1, 3))],
            ),
            of(
                "create-key",
                "/keys".into(),
                json!({"name": "another", "permissions": ["devices:read"]}),
                vec![must("name", Line(100)), must("permissions", Words), may("expires_at", Future)],
            ),
            of(
                "add-member",
                "/members".into(),
                json!({"issuer": ISSUER, "subject": "bert", "role": "viewer"}),
                vec![must("issuer", Url(255)), must("subject", Ascii(255)), may("name", Line(100)), must("role", Word)],
            ),
        ]
    }

    async fn send(&self, operation: &Operation, body: Vec<u8>) -> Answer {
        let credential = operation.credential.as_deref();
        self.bench.send(request(operation.method.clone(), &operation.path, credential, body)).await
    }

    /// Sends what must be refused, and asserts that it was, whole.
    async fn refuse(&self, operation: &Operation, body: impl Into<Vec<u8>>, status: u16, code: &str) -> Answer {
        let body = body.into();
        let what = format!("{} {}", operation.name, String::from_utf8_lossy(&body[..body.len().min(200)]));
        let before = rows::everything(&self.bench);
        let answer = self.send(operation, body).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{what}: {}", answer.text);
        well_told(&answer, &what);
        assert!(before == rows::everything(&self.bench), "{what}: something was changed");
        answer
    }

    /// As [`Self::refuse`], for a body with these faults and no others.
    async fn refuse_faults(&self, operation: &Operation, body: &Value, faults: &[(&str, &str)]) {
        let answer = self.refuse(operation, body.to_string(), 422, "invalid_input").await;
        let wanted: BTreeSet<(String, String)> =
            faults.iter().map(|(field, code)| ((*field).to_owned(), (*code).to_owned())).collect();
        assert_eq!(told(&answer), wanted, "{} {:.200}", operation.name, body.to_string());
    }

    /// Sends a GET that must be refused.
    async fn refuse_get(&self, path: &str, status: u16, code: &str) -> Answer {
        let before = rows::everything(&self.bench);
        let answer = self.bench.get(path, &self.tenant.key).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{path:.300}: {}", answer.text);
        well_told(&answer, path);
        assert!(before == rows::everything(&self.bench), "{path}: something was changed");
        answer
    }
}

fn request(method: Method, path: &str, credential: Option<&str>, body: Vec<u8>) -> Request<Vec<u8>> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(credential) = credential {
        request = request.header("authorization", format!("Bearer {credential}"));
    }
    request.body(body).unwrap()
}

/// Asserts that a problem is told as the contract says.
fn well_told(answer: &Answer, what: &str) {
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
        let errors = body["errors"].as_array().expect("its faults are named");
        assert!(!errors.is_empty(), "{what}");
        for error in errors {
            let text = |name: &str| error[name].as_str();
            assert!(text("field").is_some(), "{what}: {error}");
            let told = ["code", "detail"].map(|name| text(name).is_some_and(|text| !text.is_empty()));
            assert_eq!(told, [true; 2], "{what}: {error}");
        }
    }
}

fn told(answer: &Answer) -> BTreeSet<(String, String)> {
    let text = |error: &Value, name: &str| error[name].as_str().unwrap_or_default().to_owned();
    let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
    let faults: BTreeSet<_> = errors.iter().map(|error| (text(error, "field"), text(error, "code"))).collect();
    assert_eq!(faults.len(), errors.len(), "a fault is named once: {}", answer.text);
    faults
}

/// Values that a kind of field does not take, with the place within the field and the code.
fn bad_values(kind: Kind) -> Vec<(Value, &'static str, &'static str)> {
    let controls = ["a\u{0}b", "a\nb", "a\tb", "\u{7f}ab", "ab\u{85}", "\u{1b}[31m"];
    let mut bad: Vec<(Value, &str, &str)> = Vec::new();
    let texts = !matches!(kind, Words | Whole(..) | Metadata);
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
            bad.extend(["a b", "a\u{3000}b", "a\u{202E}b"].map(|text| (json!(text), "", "invalid_format")));
            // A single sign that stands for eighteen letters.
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
                ["01701234567", "+0170123456", "+49170x23456", "491701234567"]
                    .map(|text| (json!(text), "", "invalid_format")),
            );
            bad.extend([(json!("+1"), "", "too_short"), (json!("+12345678901234567"), "", "too_long")]);
        }
        Number => bad.extend([(json!("47x"), "", "invalid_format"), (json!("1".repeat(33)), "", "too_long")]),
        Url(most) => {
            bad.extend(
                ["http://issuer.example", "issuer.example/path", "HTTPS://issuer"]
                    .map(|text| (json!(text), "", "invalid_format")),
            );
            bad.push((json!(format!("https://{}", "x".repeat(most))), "", "too_long"));
        }
        Word => {
            bad.extend(["nothing", "", "IOS", "ios ", "viewer\u{0}"].map(|text| (json!(text), "", "unknown_value")))
        }
        Words => {
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
        Whole(least, most) => {
            let wrong = [json!("1"), json!(1.5), json!(true), json!([]), json!({}), json!(1e300), json!(u64::MAX)];
            bad.extend(wrong.map(|value| (value, "", "wrong_type")));
            bad.extend([least - 1, most + 1, i64::MIN, i64::MAX].map(|value| (json!(value), "", "out_of_range")));
        }
        Future => {
            bad.extend(
                ["tomorrow", "", "2030-13-01T00:00:00Z", "2030-01-01", "2030-01-01T00:00:00"]
                    .map(|text| (json!(text), "", "invalid_format")),
            );
            bad.extend(["2020-01-01T00:00:00Z", "0000-01-01T00:00:00Z"].map(|text| (json!(text), "", "out_of_range")));
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
async fn each_field_takes_what_it_is_for_and_nothing_else() {
    let house = House::new().await;
    let mut cases = 0;
    for operation in house.operations() {
        for field in &operation.fields {
            for (value, place, code) in bad_values(field.kind) {
                let mut body = operation.good.clone();
                body[field.name] = value;
                house.refuse_faults(&operation, &body, &[(&format!("{}{place}", field.name), code)]).await;
                cases += 1;
            }
            if field.required {
                for absent in [None, Some(Value::Null)] {
                    let mut body = operation.good.clone();
                    match absent {
                        Some(null) => body[field.name] = null,
                        None => drop(body.as_object_mut().unwrap().remove(field.name)),
                    }
                    house.refuse_faults(&operation, &body, &[(field.name, "missing")]).await;
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 450, "{cases} cases");
}

#[tokio::test]
async fn an_invitation_goes_by_each_channel_that_there_is_and_by_no_other() {
    let house = House::new().await;
    let path = format!("/users/{}/invite", house.user);
    for channel in ["email", "sms"] {
        let invited = house.bench.post(&path, &house.tenant.key, json!({"channel": channel})).await.expect(202);
        assert_eq!(invited.get("channel"), channel);
    }
    for channel in ["SMS", "text", "push", "sms "] {
        let refused = house.bench.post(&path, &house.tenant.key, json!({"channel": channel})).await.expect(422);
        assert_eq!(refused.body["errors"][0]["code"], "unknown_value", "{channel}");
    }
}

#[tokio::test]
async fn every_fault_of_a_body_is_named_at_once() {
    let house = House::new().await;
    for operation in house.operations() {
        let mut body = Map::new();
        let mut faults = Vec::new();
        for field in &operation.fields {
            let (value, place, code) = bad_values(field.kind).swap_remove(0);
            body.insert(field.name.to_owned(), value);
            faults.push((format!("{}{place}", field.name), code));
        }
        let faults: Vec<(&str, &str)> = faults.iter().map(|(field, code)| (field.as_str(), *code)).collect();
        house.refuse_faults(&operation, &body.into(), &faults).await;
        let missing: Vec<(&str, &str)> =
            operation.fields.iter().filter(|field| field.required).map(|field| (field.name, "missing")).collect();
        if !missing.is_empty() {
            house.refuse_faults(&operation, &json!({}), &missing).await;
            let empty = house.refuse(&operation, "", 422, "invalid_input").await;
            assert_eq!(told(&empty).len(), missing.len(), "an empty body is an empty object");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    let house = House::new().await;
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
    for operation in house.operations() {
        for body in &malformed {
            let _refused = house.refuse(&operation, body.clone(), 400, "malformed_body").await;
        }
        for body in ["[]", "null", "7", "true", "\"text\"", "[{}]", "1e5"] {
            let answer = house.refuse(&operation, body, 422, "invalid_input").await;
            assert_eq!(told(&answer), [(String::new(), "wrong_type".to_owned())].into(), "{}", operation.name);
        }
    }
}

#[tokio::test]
async fn a_name_that_stands_twice_in_a_body_is_a_fault() {
    let house = House::new().await;
    for operation in house.operations() {
        let field = operation.fields[0].name;
        let good = operation.good.get(field).cloned().unwrap_or(json!("x"));
        let body = operation.good.to_string();
        let inner = body.trim_start_matches('{').trim_end_matches('}');
        let comma = if inner.is_empty() { "" } else { "," };
        let twice = format!("{{\"{field}\":{good},\"{field}\":{good}}}").replacen('}', &format!("{comma}{inner}}}"), 1);
        let answer = house.refuse(&operation, twice, 422, "invalid_input").await;
        assert!(told(&answer).contains(&(field.to_owned(), "repeated".to_owned())), "{}", answer.text);
    }
    let operations = house.operations();
    let update = operations.iter().find(|operation| operation.name == "update-device").unwrap();
    let answer =
        house.refuse(update, r#"{"custom_metadata":{"k":"a","k":"b"},"nickname":7}"#, 422, "invalid_input").await;
    let wanted = [("custom_metadata.k", "repeated"), ("nickname", "wrong_type")];
    assert_eq!(told(&answer), wanted.map(|(field, code)| (field.to_owned(), code.to_owned())).into());
}

#[tokio::test]
async fn a_body_of_300_kib_is_too_large_whatever_it_holds() {
    let house = House::new().await;
    for operation in house.operations() {
        let mut padded = operation.good.clone();
        padded["padding"] = "x".repeat(300 * 1024).into();
        for body in [
            padded.to_string().into_bytes(),
            vec![b'['; 300 * 1024],
            vec![0xff; 300 * 1024],
            vec![b' '; 256 * 1024 + 1],
        ] {
            let _refused = house.refuse(&operation, body, 413, "body_too_large").await;
        }
    }
    // Also where no body is read.
    let body = vec![b'x'; 300 * 1024];
    for (method, path) in [(Method::GET, "/devices".to_owned()), (Method::DELETE, format!("/devices/{}", house.device))]
    {
        let before = rows::everything(&house.bench);
        let answer = house.bench.send(request(method, &path, Some(&house.tenant.key), body.clone())).await.expect(413);
        well_told(&answer, &path);
        assert!(before == rows::everything(&house.bench), "{path}");
    }
}

#[tokio::test]
async fn faults_without_end_are_told_in_an_answer_of_bounded_size() {
    let house = House::new().await;
    let operations = house.operations();
    let of = |name: &str| operations.iter().find(|operation| operation.name == name).unwrap();
    let zeros = format!("{{\"name\":\"k\",\"permissions\":[{}0]}}", "0,".repeat(100_000));
    let metadata: Map<String, Value> = (0..12_000).map(|at| (format!("key-{at:06}"), json!(7))).collect();
    let metadata = json!({"custom_metadata": metadata}).to_string();
    let pairs: String = (0..10_000).map(|at| format!("\"k{at:04}\":1,\"k{at:04}\":1,")).collect();
    let repeated = format!("{{{pairs}\"username\":\"bea\"}}");
    for (name, body) in [("create-key", zeros), ("update-device", metadata), ("create-user", repeated)] {
        assert!(body.len() <= 256 * 1024, "{name}: {}", body.len());
        let answer = house.refuse(of(name), body, 422, "invalid_input").await;
        assert!(answer.text.len() < 64 * 1024, "{name}: {} bytes", answer.text.len());
    }
}

#[tokio::test]
async fn custom_metadata_stays_within_its_bounds_also_over_several_calls() {
    let house = House::new().await;
    let operations = house.operations();
    let update = operations.iter().find(|operation| operation.name == "update-device").unwrap();
    let keys = |range: std::ops::Range<usize>, value: Value| json!({"custom_metadata": range.map(|at| (format!("key-{at}"), value.clone())).collect::<Map<_, _>>()});
    house.refuse_faults(update, &keys(0..51, json!("v")), &[("custom_metadata", "too_many")]).await;
    let full = house.send(update, keys(0..50, json!("x".repeat(500))).to_string().into_bytes()).await.expect(200);
    assert_eq!(full.body["custom_metadata"].as_object().unwrap().len(), 50);
    house.refuse_faults(update, &keys(50..51, json!("v")), &[("custom_metadata", "too_many")]).await;
    // One may go as another comes.
    let swapped = json!({"custom_metadata": {"key-0": null, "key-50": true}});
    let swapped = house.send(update, swapped.to_string().into_bytes()).await.expect(200);
    assert_eq!(swapped.body["custom_metadata"]["key-50"], true);
    assert!(swapped.body["custom_metadata"].get("key-0").is_none());
}

/// A parameter, a bad value, the code of its fault.
type BadParameter = (&'static str, &'static str, &'static str);

/// The lists, each with its query's faults.
fn queries() -> Vec<(&'static str, Vec<BadParameter>)> {
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
    vec![
        ("/devices", [&limits[..], &search, &devices].concat()),
        ("/users", [&limits[..], &search, &[("status", "fine", "unknown_value")]].concat()),
        ("/events", [&limits[..], &events].concat()),
        ("/keys", limits.to_vec()),
        ("/members", limits.to_vec()),
    ]
}

#[tokio::test]
async fn each_parameter_of_a_list_takes_what_it_is_for_and_nothing_else() {
    let house = House::new().await;
    for (list, faults) in queries() {
        for (name, value, code) in &faults {
            let answer = house.refuse_get(&format!("{list}?{name}={value}"), 422, "invalid_input").await;
            assert_eq!(told(&answer), [((*name).to_owned(), (*code).to_owned())].into(), "{list} {name}={value}");
        }
        // All of them at once, each parameter with one of its faults.
        let mut one_each: Vec<&BadParameter> = Vec::new();
        for fault in &faults {
            if !one_each.iter().any(|(name, ..)| name == &fault.0) {
                one_each.push(fault);
            }
        }
        let query: Vec<String> = one_each.iter().map(|(name, value, _)| format!("{name}={value}")).collect();
        let answer = house.refuse_get(&format!("{list}?{}", query.join("&")), 422, "invalid_input").await;
        let wanted = one_each.iter().map(|(name, _, code)| ((*name).to_owned(), (*code).to_owned())).collect();
        assert_eq!(told(&answer), wanted, "{list}");
        // Once each: of two values nobody knows which is meant.
        let answer = house.refuse_get(&format!("{list}?limit=5&limit=5"), 422, "invalid_input").await;
        assert_eq!(told(&answer), [("limit".to_owned(), "repeated".to_owned())].into());
        for query in ["limit=%ff", "%ff=1", "search=%c3%28", "x=%ed%a0%80"] {
            let answer = house.refuse_get(&format!("{list}?{query}"), 422, "invalid_input").await;
            assert!(told(&answer).iter().any(|(_, code)| code == "invalid_encoding"), "{query}");
        }
        let long = "x".repeat(101);
        if list == "/devices" || list == "/users" {
            let answer = house.refuse_get(&format!("{list}?search={long}"), 422, "invalid_input").await;
            assert_eq!(told(&answer), [("search".to_owned(), "too_long".to_owned())].into());
        }
        for fine in
            ["", "?", "?&&", "?limit=", "?limit=1", "?limit=100", "?unknown=1", "?=", "?%=", "?%zz=1", "?limit=%31"]
        {
            let _page = house.bench.get(&format!("{list}{fine}"), &house.tenant.key).await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_cursor_counts_only_as_it_was_given_out_and_where() {
    let house = House::new().await;
    let (bench, key) = (&house.bench, &house.tenant.key);
    let _second = bench.phone(&house.tenant, "bea").await;
    let body = json!({"issuer": ISSUER, "subject": "bert", "role": "viewer"});
    let _member = bench.post("/members", key, body).await.expect(201);
    let other = bench.tenant("Other").await;
    let lists = [
        "/devices?",
        "/devices?status=active",
        "/devices?search=iphone",
        "/users?",
        "/users?search=a",
        "/events?",
        "/events?event_type=user.created",
        "/keys?",
        "/members?",
    ];
    let mut cursors = Vec::new();
    for list in lists {
        let page = bench.get(&format!("{list}&limit=1"), key).await.expect(200);
        cursors.push((list, page.body["next_cursor"].as_str().expect("there is more").to_owned()));
    }
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
            let _refused = house.refuse_get(&format!("{list}&cursor={bad}"), 400, "cursor_invalid").await;
        }
        for (elsewhere, _) in cursors.iter().filter(|(elsewhere, _)| elsewhere != list) {
            let _refused = house.refuse_get(&format!("{elsewhere}&cursor={cursor}"), 400, "cursor_invalid").await;
        }
        let foreign = bench.get(&format!("{list}&cursor={cursor}"), &other.key).await.expect(400);
        assert_eq!(foreign.code(), "cursor_invalid");
        well_told(&foreign, list);
    }
}

/// A cursor holds no secret, so anyone may make one. It is still nothing but bad input.
#[tokio::test]
async fn a_cursor_of_someones_own_making_leads_nowhere() {
    let house = House::new().await;
    let workspace = &house.tenant.workspace_id;
    let other = House::new().await;
    let text = |name: &str, value: &str| json!({name: value});
    let row = json!({"pk": format!("DEVICE#{workspace}#{}", house.device), "sk": "DEVICE"});
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
    let lists = [
        ("/devices", "list-devices", vec![]),
        ("/devices", "list-devices", vec![("blocked", "true")]),
        ("/devices", "list-devices", vec![("search", "iphone")]),
        ("/users", "list-users", vec![]),
        ("/users", "list-users", vec![("search", "ada")]),
        ("/events", "list-events", vec![]),
        ("/events", "list-events", vec![("event_type", "device.registered")]),
        ("/keys", "list-keys", vec![]),
        ("/members", "list-members", vec![]),
    ];
    for (path, operation, filter) in lists {
        let scope = json!([workspace, operation, filter]).to_string();
        let query: String = filter.iter().map(|(name, value)| format!("{name}={value}&")).collect();
        for position in &positions {
            let made = cursor::seal(&scope, position.to_string().as_bytes());
            let answer = house.bench.get(&format!("{path}?{query}cursor={made}"), &house.tenant.key).await;
            let what = format!("{path}?{query} {position:.200}");
            assert!(matches!(answer.status.as_u16(), 200 | 400), "{what}: {}", answer.text);
            if answer.status == 400 {
                assert_eq!(answer.code(), "cursor_invalid", "{what}");
                well_told(&answer, &what);
            }
            assert!(!answer.text.contains(&other.device), "{what}");
        }
    }
}

#[tokio::test]
async fn a_position_beyond_the_words_of_a_search_leads_nowhere() {
    let house = House::new().await;
    let scope = json!([house.tenant.workspace_id, "list-devices", [["search", "iphone"]]]).to_string();
    for sk in ["\u{10FFFF}\u{10FFFF}".to_owned(), "zzz#x".to_owned(), "x".repeat(3000)] {
        for half in ["device", "user"] {
            let made = cursor::seal(&scope, json!({"half": half, "sk": sk, "taken": "0"}).to_string().as_bytes());
            let answer = house.bench.get(&format!("/devices?search=iphone&cursor={made}"), &house.tenant.key).await;
            assert_eq!(answer.expect(400).code(), "cursor_invalid", "{half} {sk:.20}");
        }
    }
}

#[tokio::test]
async fn what_is_no_identifier_of_ours_names_nothing() {
    let house = House::new().await;
    let things = [
        (
            "device",
            "devices",
            &house.device,
            vec![
                (Method::GET, ""),
                (Method::PATCH, ""),
                (Method::DELETE, ""),
                (Method::POST, "/block"),
                (Method::POST, "/unblock"),
            ],
        ),
        ("user", "users", &house.user, vec![(Method::GET, ""), (Method::POST, "/invite")]),
        ("key", "keys", &house.key, vec![(Method::DELETE, "")]),
        ("member", "members", &house.member, vec![(Method::DELETE, "")]),
    ];
    for (kind, collection, id, calls) in things {
        let bad = [
            id.to_uppercase(),
            id.replace('-', ""),
            format!("%7B{id}%7D"),
            format!("urn:uuid:{id}"),
            format!("{id}%20"),
            format!("%20{id}"),
            format!("{id}%00"),
            format!("{id}%2Fblock"),
            format!("..%2F{collection}%2F{id}"),
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
            house.tenant.workspace_id.clone(),
        ];
        for id in bad {
            for (method, suffix) in &calls {
                let body = if *suffix == "/invite" { json!({"channel": "email"}) } else { json!({}) };
                let path = format!("/{collection}/{id}{suffix}");
                let before = rows::everything(&house.bench);
                let sent = request(method.clone(), &path, Some(&house.tenant.key), body.to_string().into_bytes());
                let answer = house.bench.send(sent).await;
                assert_eq!(
                    (answer.status.as_u16(), answer.code()),
                    (404, format!("{kind}_not_found").as_str()),
                    "{method} {path:.100}"
                );
                well_told(&answer, &path);
                assert!(before == rows::everything(&house.bench), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_bad_idempotency_key_is_refused() {
    let house = House::new().await;
    let bad: [(&[u8], &str); 5] =
        [(b"", "too_short"), (b"  ", "too_short"), (&[b'x'; 256], "too_long"), (b"caf\xc3\xa9", ""), (b"\xff", "")];
    for operation in house.operations() {
        if !["create-user", "invite-user", "create-key", "add-member"].contains(&operation.name) {
            continue;
        }
        for (value, code) in bad {
            let before = rows::everything(&house.bench);
            let mut sent = request(
                Method::POST,
                &operation.path,
                Some(&house.tenant.key),
                operation.good.to_string().into_bytes(),
            );
            sent.headers_mut().insert("idempotency-key", HeaderValue::from_bytes(value).unwrap());
            let answer = house.bench.send(sent).await.expect(422);
            well_told(&answer, operation.name);
            let told = told(&answer);
            assert!(
                told.iter().all(|(field, told)| field == "idempotency-key" && (code.is_empty() || told == code)),
                "{told:?}"
            );
            assert!(before == rows::everything(&house.bench), "{}", operation.name);
        }
        // The same key with another body.
        let send = |body: Value| {
            let mut sent =
                request(Method::POST, &operation.path, Some(&house.tenant.key), body.to_string().into_bytes());
            sent.headers_mut().insert("idempotency-key", HeaderValue::from_static("once"));
            house.bench.send(sent)
        };
        let made = send(operation.good.clone()).await;
        assert!(made.status.is_success(), "{}", made.text);
        let mut another = operation.good.clone();
        another["another"] = true.into();
        let before = rows::everything(&house.bench);
        let refused = send(another).await.expect(422);
        assert_eq!(refused.code(), "idempotency_mismatch", "{}", operation.name);
        well_told(&refused, operation.name);
        assert!(before == rows::everything(&house.bench), "{}", operation.name);
    }
}

#[tokio::test]
async fn a_version_that_is_not_the_current_one_is_refused() {
    let house = House::new().await;
    let path = format!("/devices/{}", house.device);
    let shown = house.bench.get(&path, &house.tenant.key).await.expect(200);
    let tag = shown.headers["etag"].to_str().unwrap().to_owned();
    let weak = format!("W/{tag}");
    let bare = tag.trim_matches('"').to_owned();
    let calls = [(Method::PATCH, ""), (Method::POST, "/block"), (Method::POST, "/unblock"), (Method::DELETE, "")];
    for value in [
        b"\"0\"".as_slice(),
        b"\"999999\"",
        b"garbage",
        b"",
        b"\"",
        weak.as_bytes(),
        bare.as_bytes(),
        b"\xff",
        b"\"-1\"",
        b"\"1e0\"",
    ] {
        for (method, suffix) in &calls {
            let path = format!("{path}{suffix}");
            let before = rows::everything(&house.bench);
            let mut sent = request(method.clone(), &path, Some(&house.tenant.key), b"{\"nickname\":\"x\"}".to_vec());
            sent.headers_mut().insert("if-match", HeaderValue::from_bytes(value).unwrap());
            let answer = house.bench.send(sent).await.expect(412);
            assert_eq!(answer.code(), "version_mismatch");
            well_told(&answer, &path);
            assert!(before == rows::everything(&house.bench), "{method} {path}");
        }
    }
    for value in [tag.clone(), "*".to_owned(), format!("\"0\", {tag}")] {
        let mut sent = request(Method::GET, &path, Some(&house.tenant.key), Vec::new());
        sent.headers_mut().insert("if-match", HeaderValue::from_str(&value).unwrap());
        let _current = house.bench.send(sent).await.expect(200);
    }
}

#[tokio::test]
async fn an_authorization_header_of_any_other_form_lets_nobody_in() {
    let house = House::new().await;
    let key = house.tenant.key.as_bytes();
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
            let answer = house.bench.send(sent).await.expect(401);
            assert_eq!(answer.code(), "credential_invalid", "{}", String::from_utf8_lossy(&value));
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
            well_told(&answer, path);
        }
    }
}

#[tokio::test]
async fn no_header_and_no_host_makes_a_fault_of_ours() {
    let house = House::new().await;
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
            let mut sent = request(Method::GET, "/devices", Some(&house.tenant.key), Vec::new());
            sent.headers_mut().insert(name, HeaderValue::from_bytes(value).unwrap());
            let answer = house.bench.send(sent).await;
            assert_eq!(answer.status, 200, "{name}: {} {}", String::from_utf8_lossy(value), answer.text);
        }
    }
}

#[tokio::test]
async fn whatever_has_no_route_is_told_so() {
    let house = House::new().await;
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
        "/keys/x/y",
        "/?x=%ff",
        "/nowhere?limit=0",
    ];
    for path in paths {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS, Method::from_bytes(b"BREW").unwrap()]
        {
            let answer = house.bench.send(request(method.clone(), path, Some(&house.tenant.key), b"{}".to_vec())).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (404, "route_not_found"), "{method} {path}");
            well_told(&answer, path);
        }
    }
    let long = format!("/{}", "x".repeat(8000));
    let answer = house.bench.get(&long, &house.tenant.key).await.expect(404);
    well_told(&answer, "a long path");
    let device = format!("/devices/{}", house.device);
    let taken = [
        ("/devices", "GET, POST"),
        (device.as_str(), "DELETE, GET, PATCH"),
        ("/devices/me/check-in", "POST"),
        ("/users/x/invite", "POST"),
        ("/i/x", "GET, POST"),
    ];
    for (path, allow) in taken {
        for method in [Method::PUT, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::from_bytes(b"BREW").unwrap()]
        {
            let answer = house.bench.send(request(method.clone(), path, None, Vec::new())).await.expect(405);
            assert_eq!(
                (answer.code(), answer.headers["allow"].to_str().unwrap()),
                ("method_not_allowed", allow),
                "{method} {path}"
            );
            well_told(&answer, path);
        }
    }
}

#[tokio::test]
async fn a_code_of_any_form_that_is_not_ours_is_nobodys() {
    let house = House::new().await;
    let cut = &house.code[..21];
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
        for method in [Method::GET, Method::POST] {
            let before = rows::everything(&house.bench);
            let answer = house.bench.send(request(method, &format!("/i/{code}"), None, Vec::new())).await.expect(404);
            assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/html"));
            assert!(before == rows::everything(&house.bench));
        }
    }
    let operations = house.operations();
    for code in ["x", cut, "0000000000000000000000", "2222222222222222222222", "I#O/l0"] {
        let mut body = operations[0].good.clone();
        body["code"] = code.into();
        let _refused = house.refuse(&operations[0], body.to_string(), 401, "code_unknown").await;
    }
}

/// Runs cases of a strategy, always the same ones.
fn cases<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("the strategy makes cases").current()).collect()
}

/// JSON of any form, with names and words that mean something more often than chance would have it.
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
        "last_login_before",
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
async fn no_body_whatever_makes_a_fault_of_ours() {
    let documents = cases(&any_json(), 50).into_iter().map(|value| value.to_string().into_bytes());
    let objects = prop::collection::btree_map(any_name(), any_json(), 0..10);
    let objects = cases(&objects, 70).into_iter().map(|fields| json!(fields).to_string().into_bytes());
    let bytes = cases(&prop::collection::vec(any::<u8>(), 0..200), 30).into_iter();
    let bodies: Vec<Vec<u8>> = documents.chain(objects).chain(bytes).collect();
    for at in 0..House::new().await.operations().len() {
        // A system of its own, so that what is made by one does not slow down the others.
        let house = House::new().await;
        let operation = house.operations().swap_remove(at);
        let mut before = rows::everything(&house.bench);
        for body in &bodies {
            // Merged with what is good, so that more than the first check is passed.
            let merged = match (serde_json::from_slice::<Value>(body), &operation.good) {
                (Ok(Value::Object(sent)), Value::Object(good)) => {
                    let fields: Map<String, Value> = good.clone().into_iter().chain(sent).collect();
                    vec![body.clone(), Value::from(fields).to_string().into_bytes()]
                }
                _ => vec![body.clone()],
            };
            for body in merged {
                let what = format!("{} {}", operation.name, String::from_utf8_lossy(&body));
                let answer = house.send(&operation, body).await;
                assert!(answer.status.as_u16() < 500, "{what}: {}", answer.text);
                let after = rows::everything(&house.bench);
                if answer.status.as_u16() >= 400 {
                    well_told(&answer, &what);
                    assert!(before == after, "{what}: something was changed");
                }
                before = after;
            }
        }
    }
}

#[tokio::test]
async fn no_query_whatever_makes_a_fault_of_ours() {
    let house = House::new().await;
    let queries = cases(&any_query(), 250);
    for path in ["/devices", "/users", "/events", "/keys", "/members"] {
        for query in &queries {
            let path = format!("{path}?{query}");
            let answer = house.bench.get(&path, &house.tenant.key).await;
            assert!(answer.status.as_u16() < 500, "{path}: {}", answer.text);
            if answer.status.as_u16() >= 400 {
                well_told(&answer, &path);
            }
        }
    }
}
