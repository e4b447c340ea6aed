//! Tests the guide for app developers, `infra/docs/phones.md`: runs its examples in order and compares the
//! responses; checks that its tables list every error and value that a phone may get.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use http::{Method, Request, StatusCode};
use local::description::description;
use local::messaging::Channel;
use serde_json::{Map, Number, Value};
use testkit::{Answer, Bench, Tenant, code_after};

const GUIDE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/docs/phones.md"));

/// Matches any text; as a field's name, further fields.
const ANY: &str = "…";

/// The operations that a phone calls.
const CALLS: [&str; 4] =
    ["/devices", "/devices/me/check-in", "/devices/me/commands/{command_id}", "/devices/me/config"];

/// A part of the guide that is run.
#[derive(Debug, PartialEq)]
enum Part {
    /// A step before the next example.
    Step(String),
    /// A request and its response.
    Http(String),
    /// The latest push to a platform.
    Push { platform: String, payload: String },
}

/// The parts of a guide that are run, each with its line number.
fn parts(guide: &str) -> Vec<(usize, Part)> {
    let mut parts = Vec::new();
    let mut lines = guide.lines().enumerate().map(|(index, line)| (index + 1, line));
    while let Some((at, line)) = lines.next() {
        if line == "<!-- run" {
            let steps = lines.by_ref().take_while(|(_, line)| *line != "-->");
            parts.extend(steps.map(|(at, line)| (at, Part::Step(line.to_owned()))));
        } else if let Some(kind) = line.strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            let text = text.join("\n");
            parts.push(match kind.split_once(" push ") {
                None if kind == "http" => (at, Part::Http(text)),
                Some(("json", platform)) => (at, Part::Push { platform: platform.to_owned(), payload: text }),
                _ => panic!("line {at}: nothing runs an example of the kind {kind:?}"),
            });
        } else {
            assert!(!line.contains("```"), "line {at}: an example begins at the beginning of a line");
        }
    }
    parts
}

/// Parses an example, or a part of it: its first line, headers and body.
fn message(text: &str) -> (&str, Vec<(&str, &str)>, &str) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let (first, headers) = head.split_once('\n').unwrap_or((head, ""));
    let headers = headers.lines().map(|line| line.split_once(": ").expect("the header has a name and a value"));
    (first, headers.collect(), body.trim())
}

/// The system, and the values of the guide's placeholders.
struct Reader {
    bench: Bench,
    tenant: Tenant,
    names: BTreeMap<String, String>,
}

impl Reader {
    async fn new() -> Self {
        let bench = Bench::start().await;
        let tenant = bench.tenant("Acme").await;
        Self { bench, tenant, names: BTreeMap::new() }
    }

    /// Runs all parts in order, and returns the number of examples.
    async fn read(&mut self, guide: &str) -> Result<usize, String> {
        let mut run = 0;
        for (at, part) in parts(guide) {
            let outcome = match part {
                Part::Step(step) => self.step(&step).await,
                Part::Http(text) => {
                    run += 1;
                    self.example(&text).await
                }
                Part::Push { platform, payload } => {
                    run += 1;
                    self.push(&platform, &payload)
                }
            };
            outcome.map_err(|fault| format!("phones.md, line {at}: {fault}"))?;
        }
        Ok(run)
    }

    /// A text with the values of its placeholders, all of which must be known.
    fn fill_all(&self, text: &str) -> Result<String, String> {
        let text = self.fill_known(text);
        match name_in(&text) {
            Some((_, name, _)) => Err(format!("nothing is called {name} so far")),
            None => Ok(text),
        }
    }

    /// A text with the values of its known placeholders.
    fn fill_known(&self, text: &str) -> String {
        let fill = |text: String, (name, value): (&String, &String)| text.replace(&format!("{{{name}}}"), value);
        self.names.iter().fold(text.to_owned(), fill)
    }

    async fn step(&mut self, step: &str) -> Result<(), String> {
        let step = self.fill_all(step)?;
        let (verb, rest) = step.split_once(' ').ok_or("a step has more than one word")?;
        match verb {
            "user" => {
                let user = self.bench.user(&self.tenant, rest).await;
                let _other = self.names.insert(rest.to_owned(), user);
            }
            "phone" => drop(self.bench.register(&self.names["code"], rest).await.expect(201)),
            "wait" => {
                let minutes = rest.strip_suffix(" minutes").and_then(|minutes| minutes.parse().ok());
                self.bench.advance(Duration::minutes(minutes.ok_or("wait is followed by a number of minutes")?));
            }
            method => {
                let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
                let key = self.tenant.key.clone();
                let answer = self.send(method, path, &[("authorization", &format!("Bearer {key}"))], body).await?;
                if !answer.status.is_success() {
                    return Err(format!("{}: {}", answer.status, answer.text));
                }
            }
        }
        self.bench.drain().await;
        self.note_code();
        Ok(())
    }

    /// Sets `{code}` to the code in the latest message.
    fn note_code(&mut self) {
        let outbox = self.bench.stack.messaging().outbox();
        let texts = outbox.iter().filter(|item| item.channel != Channel::Push).filter_map(|item| item.text.clone());
        let mut codes = texts.filter_map(|text| code_after("/i/", &text).or_else(|| code_after("/r/", &text)));
        if let Some(code) = codes.next() {
            let _older = self.names.insert("code".to_owned(), code);
        }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer, String> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| format!("{method} is no method"))?;
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(self.bench.send(request.body(body.as_bytes().to_vec()).map_err(|fault| fault.to_string())?).await)
    }

    async fn example(&mut self, text: &str) -> Result<(), String> {
        let (request, response) =
            text.split_once("\n\nHTTP/1.1 ").ok_or("an example shows a request and its answer")?;
        let request = self.fill_all(request)?;
        let (first, headers, body) = message(&request);
        let (method, path) = first.split_once(' ').ok_or("a request begins with its method and its path")?;
        let answer = self.send(method, path, &headers, body).await?;
        let (status, headers, body) = message(response);
        let actual = format!("{} {}", answer.status.as_u16(), answer.status.canonical_reason().unwrap_or_default());
        if status != actual {
            return Err(format!("it is answered by {actual}: {}", answer.text));
        }
        for (name, value) in headers {
            let actual = answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            self.compare_text(value, actual).map_err(|fault| format!("the header {name} {fault}"))?;
        }
        match (body, &answer.body) {
            ("", Value::Null) => Ok(()),
            ("", _) => Err(format!("the answer has a body that the example does not show: {}", answer.text)),
            (body, actual) => {
                let body = serde_json::from_str(body).map_err(|fault| format!("the answer is no JSON: {fault}"))?;
                self.compare(&body, actual, "the answer").map_err(|fault| format!("{fault}; it is {}", answer.text))
            }
        }
    }

    /// Checks that the latest push is to this platform, and that the app gets this payload.
    fn push(&mut self, platform: &str, payload: &str) -> Result<(), String> {
        let newest = self.bench.stack.messaging().outbox().into_iter().find(|item| item.channel == Channel::Push);
        let newest = newest.ok_or("nothing was pushed")?;
        let actual: Value =
            serde_json::from_str(&newest.text.unwrap_or_default()).map_err(|fault| fault.to_string())?;
        let actual = match platform {
            "ios" => &actual,
            // "Send messages using FCM": the message in SNS's wrapper, and the part that the app gets.
            "android" => &actual["fcmV1Message"]["message"]["data"],
            other => return Err(format!("nothing is pushed to {other}")),
        };
        let payload = serde_json::from_str(payload).map_err(|fault| format!("the push is no JSON: {fault}"))?;
        self.compare(&payload, actual, "the push")
    }

    /// Compares a value with the guide's.
    fn compare(&mut self, expected: &Value, actual: &Value, place: &str) -> Result<(), String> {
        match (expected, actual) {
            (Value::Object(expected), Value::Object(actual)) => self.compare_fields(expected, actual, place),
            (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
                expected.iter().zip(actual).enumerate().try_for_each(|(index, (expected, actual))| {
                    self.compare(expected, actual, &format!("{place}[{index}]"))
                })
            }
            (Value::String(expected), Value::String(actual)) => {
                self.compare_text(expected, actual).map_err(|fault| format!("{place} {fault}"))
            }
            (expected, actual) if expected == actual => Ok(()),
            (Value::Number(expected), Value::Number(actual))
                if place.ends_with("_seconds") && is_within_a_tenth(expected, actual) =>
            {
                Ok(())
            }
            (expected, actual) => Err(format!("{place} is {actual}, not {expected}")),
        }
    }

    fn compare_fields(
        &mut self,
        expected: &Map<String, Value>,
        actual: &Map<String, Value>,
        place: &str,
    ) -> Result<(), String> {
        let more = actual.keys().find(|name| !expected.contains_key(*name)).filter(|_| !expected.contains_key(ANY));
        if let Some(name) = more {
            return Err(format!("{place} has {name} as well"));
        }
        expected.iter().filter(|(name, _)| *name != ANY).try_for_each(|(name, expected)| match actual.get(name) {
            Some(actual) => self.compare(expected, actual, &format!("{place}.{name}")),
            None => Err(format!("{place} has no {name}")),
        })
    }

    fn compare_text(&mut self, expected: &str, actual: &str) -> Result<(), String> {
        let expected = self.fill_known(expected);
        if expected == ANY && !actual.is_empty() {
            return Ok(());
        }
        let new = name_in(&expected).and_then(|(before, name, after)| {
            Some((name.to_owned(), actual.strip_prefix(before)?.strip_suffix(after)?.to_owned()))
        });
        match new {
            Some((name, value)) if !value.is_empty() => drop(self.names.insert(name, value)),
            _ if expected == actual => {}
            _ => return Err(format!("is {actual:?}, not {expected:?}")),
        }
        Ok(())
    }
}

fn is_within_a_tenth(expected: &Number, actual: &Number) -> bool {
    let (expected, actual) = (expected.as_u64(), actual.as_u64());
    expected.zip(actual).is_some_and(|(expected, actual)| expected.abs_diff(actual) <= expected / 10)
}

/// The first `{name}` of a text, with the text before and after it.
fn name_in(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(begin) = text[from..].find('{').map(|at| from + at) {
        let rest = &text[begin + 1..];
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        if end > 0 && rest[end..].starts_with('}') {
            return Some((&text[..begin], &rest[..end], &rest[end + 1..]));
        }
        from = begin + 1;
    }
    None
}

#[tokio::test]
async fn every_example_in_the_device_guide_gets_the_documented_response() {
    let mut reader = Reader::new().await;
    let run = reader.read(GUIDE).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(run * 2, GUIDE.lines().filter(|line| line.starts_with("```")).count(), "each example is run");
}

#[tokio::test]
async fn a_wrong_or_unused_example_in_the_device_guide_is_found() {
    let example = |expected: &str| format!("```http\nPOST /devices/me/check-in\n\nHTTP/1.1 {expected}\n```");
    let missing = r#"{"code": "credential_missing", "status": 401, "…": "…"}"#;
    let cases = [
        (format!("401 Unauthorized\n\n{missing}"), None),
        (format!("403 Forbidden\n\n{missing}"), Some("answered by 401")),
        (format!("401 Unauthorized\nWWW-Authenticate: Basic\n\n{missing}"), Some("the header WWW-Authenticate")),
        ("401 Unauthorized".to_owned(), Some("does not show")),
        (r#"401 Unauthorized\n\n{"code": "credential_missing"}"#.replace("\\n", "\n"), Some("as well")),
        (format!("401 Unauthorized\n\n{}", missing.replace("401", "402")), Some("the answer.status is 401, not 402")),
        (format!("401 Unauthorized\n\n{}", missing.replace("\"code\"", "\"cod\"")), Some("has no cod")),
        (format!("401 Unauthorized\n\n{}", missing.replace("_missing", "")), Some("\"credential_missing\", not")),
    ];
    let mut reader = Reader::new().await;
    for (expected, fault) in cases {
        let outcome = reader.read(&example(&expected)).await;
        match fault {
            None => assert_eq!(outcome, Ok(1), "{expected}"),
            Some(fault) => {
                assert!(outcome.as_ref().is_err_and(|actual| actual.contains(fault)), "{expected}: {outcome:?}")
            }
        }
    }
    for unknown in ["```json\n{}\n```", "```sh\nls\n```", " ```http\n ```"] {
        assert!(std::panic::catch_unwind(|| parts(unknown)).is_err(), "{unknown}");
    }
    let unnamed = reader.read("```http\nGET /r/{nothing}\n\nHTTP/1.1 200 OK\n```").await;
    assert_eq!(unnamed, Err("phones.md, line 1: nothing is called nothing so far".to_owned()));
}

/// Resolves a reference within the description.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(to) => document.pointer(to.trim_start_matches('#')).expect("the reference is resolvable"),
        None => value,
    }
}

/// The possible responses to a phone's calls: status and body.
fn replies(document: &Value) -> Vec<(u16, Value)> {
    let of = |call: &&str| {
        document["paths"][*call]["post"]["responses"].as_object().cloned().expect("the description has the operation")
    };
    let replies = CALLS.iter().flat_map(of);
    replies.map(|(status, reply)| (status.parse().unwrap(), resolved(document, &reply).clone())).collect()
}

/// The values of every `x-extensible-enum`, `enum` and `properties` within a schema, without following references.
fn words(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("x-extensible-enum" | "enum", Value::Array(words)) => {
                        found.extend(words.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    ("properties", Value::Object(properties)) => found.extend(properties.keys().cloned()),
                    _ => {}
                }
                words(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| words(item, found)),
        _ => {}
    }
}

#[test]
fn the_device_guide_lists_exactly_the_errors_that_a_phone_can_receive() {
    let mut described = BTreeSet::new();
    for (status, reply) in replies(&description()).into_iter().filter(|(status, _)| *status >= 400) {
        let code = &reply["content"]["application/problem+json"]["schema"]["properties"]["code"]["x-extensible-enum"];
        let codes = code.as_array().cloned().unwrap_or_else(|| vec![Value::from("–")]);
        described.extend(codes.into_iter().map(|code| (status, code.as_str().unwrap().to_owned())));
    }
    let rows = GUIDE.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let status = cells.next()?.parse::<u16>().ok().filter(|status| StatusCode::from_u16(*status).is_ok())?;
        Some((status, cells.next()?.trim_matches('`').to_owned()))
    });
    let expected: Vec<_> = rows.collect();
    assert_eq!(expected.iter().cloned().collect::<BTreeSet<_>>(), described);
    assert_eq!(expected.len(), described.len(), "each once");
}

#[test]
fn the_device_guide_names_every_field_and_value_of_device_requests_and_responses() {
    let document = description();
    let mut described = BTreeSet::new();
    for call in CALLS {
        words(&document["paths"][call]["post"]["requestBody"], &mut described);
    }
    for (_, reply) in replies(&document).into_iter().filter(|(status, _)| *status < 400) {
        words(&reply, &mut described);
    }
    let tells = |word: &&String| {
        ["`", "\""].iter().any(|quote| GUIDE.contains(&format!("{quote}{word}{quote}")))
            || GUIDE.contains(&format!("`{word},"))
    };
    // States that only administrators see: a report's response has the state of the phone's own command.
    let others = ["queued", "delivered", "cancel_requested", "canceled", "timed_out", "removed"];
    let missing: Vec<_> =
        described.iter().filter(|word| !others.contains(&word.as_str())).filter(|word| !tells(word)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
