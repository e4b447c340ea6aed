//! Personal data stays where it belongs. Each personal field contains a marker, a unique word; every operation is run;
//! then all other rows, and everything that has left the system, are searched for the markers.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::Duration;
use http::{Method, Request};
use local::messaging::Channel;
use serde_json::{Value, json};
use testkit::egress::Pages;
use testkit::faults::Service;
use testkit::log_lines::LogLines;
use testkit::request_recorder::RequestRecorder;
use testkit::{Answer, Bench, Setup, Tenant, code_after, qr, rows};

const FIRST: &str = "qzfirst";
const LAST: &str = "qzlast";
const USERNAMES: [&str; 2] = ["qzloginone", "qzlogintwo"];
const EMAIL: &str = "qzmailbox";
const MOBILE: &str = "17555123459";
const NUMBER: &str = "86753098675";
const KEY: &str = "qzidentitykey";
const PROBLEM: &str = "qzproblem";
const SIP: &str = "qzsipname";
const ACCOUNT: &str = "qzaccount";
const OWN: &str = "qzownsetting";
const NICKNAME: &str = "qznickname";
const IDENTIFIER: &str = "qzinstallation";
const REASON: &str = "qzreason";
const METADATA: &str = "qzmetadata";
const TOKEN: &str = "qzpushtoken";
/// Search texts and names of the personal data.
const TYPED: &str = "qztyped";
const SECRETS: [&str; 4] = ["qzsecretone", "qzsecrettwo", "qzsecretthree", "40493832271828"];

/// The private parts of a webhook's URL, and its secret.
const HOOK: [&str; 2] = ["qzhooktoken", "whsec_"];

/// Every marker of the person except secrets.
const PERSONAL: [&str; 19] = [
    FIRST,
    LAST,
    USERNAMES[0],
    USERNAMES[1],
    EMAIL,
    MOBILE,
    NUMBER,
    KEY,
    PROBLEM,
    SIP,
    ACCOUNT,
    OWN,
    NICKNAME,
    IDENTIFIER,
    REASON,
    METADATA,
    TOKEN,
    TYPED,
    "203.0.113.77",
];

/// The personal columns of the exports, each with the markers that it may contain. Other columns contain none.
const COLUMNS: &[(&str, &str, &[&str])] = &[
    ("users", "username", &USERNAMES),
    ("users", "first_name", &[FIRST]),
    ("users", "last_name", &[LAST, TYPED]),
    ("users", "name", &[FIRST, LAST, TYPED]),
    ("users", "email", &[EMAIL]),
    ("users", "mobile", &[MOBILE]),
    ("users", "number", &[NUMBER]),
    ("users", "user_identity_key", &[KEY]),
    ("users", "sip_user_name", &[SIP]),
    ("users", "service_account", &[ACCOUNT]),
    ("users", "suspended_reason", &[REASON]),
    ("users", "locked_reason", &[REASON]),
    ("devices", "user_name", &[FIRST, LAST]),
    ("devices", "device_identifier", &[IDENTIFIER]),
    ("devices", "nickname", &[NICKNAME]),
    ("devices", "display_name", &[NICKNAME]),
    ("devices", "blocked_reason", &[REASON]),
    ("events", "actor_name", &[NICKNAME]),
    ("events", "reason", &[REASON]),
    ("events", "address", &["203.0.113.77"]),
];

/// The first of some words that a text contains, without case.
fn first_word_in<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    words.into_iter().find(|word| text.contains(&word.to_lowercase()))
}

/// Asserts that a text contains no markers except these.
fn expect_only(text: &str, allowed: &[&str], what: &str) {
    let others = PERSONAL.into_iter().chain(SECRETS).filter(|word| !allowed.contains(word));
    assert_eq!(first_word_in(text, others), None, "{what}: {text:.2000}");
}

/// Every URL in a text or a page.
fn addresses(text: &str) -> Vec<String> {
    let ends = |c: char| c.is_whitespace() || "\"'<>`".contains(c);
    let mut addresses = Vec::new();
    for (at, _) in text.match_indices(':') {
        let start =
            text[..at].rfind(|c: char| !c.is_ascii_alphanumeric() && c != '+' && c != '-').map_or(0, |at| at + 1);
        let rest = &text[start..];
        if start < at
            && (rest[at - start..].starts_with("://") || rest.starts_with("mailto:") || rest.starts_with("cid:"))
        {
            addresses.push(rest[..rest.find(ends).unwrap_or(rest.len())].to_owned());
        }
    }
    addresses
}

/// A user whose every field has a marker, with admins, phones and programs.
struct Walk {
    bench: Bench,
    recorder: RequestRecorder,
    pages: Pages,
    /// Number of the webhooks' requests so far.
    told: usize,
    lines: LogLines,
    tenant: Tenant,
    codes: Vec<String>,
    addresses: Vec<String>,
}

impl Walk {
    async fn new(lines: LogLines) -> Self {
        let (recorder, pages) = (RequestRecorder::new(), Pages::default());
        pages.answer_ok("thank you");
        let bench = Setup::new().with(recorder.adjust()).with(pages.adjust()).start().await;
        let tenant = bench.tenant("Acme").await;
        // One webhook receives all events.
        let hook = json!({"url": format!("https://hooks.example.com/{}", HOOK[0])});
        let _hook = bench.post("/webhooks", &tenant.key, hook).await.expect(201);
        Self { bench, recorder, pages, told: 0, lines, tenant, codes: Vec::new(), addresses: Vec::new() }
    }

    /// A request with its own source address. Only configurations may contain a secret, and no header
    /// may contain personal data.
    async fn call(&mut self, method: Method, path: &str, credential: Option<&str>, body: Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("x-forwarded-for", "203.0.113.77");
        if let Some(credential) = credential {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let answer = self.bench.send(request.body(body).unwrap()).await;
        for (name, value) in &answer.headers {
            let value = value.to_str().unwrap_or_default();
            expect_only(value, &[], &format!("{path}: {name}"));
            if ["location", "link"].contains(&name.as_str()) {
                self.addresses.push(value.to_owned());
            }
        }
        if path != "/devices/me/config" {
            assert_eq!(first_word_in(&answer.text, SECRETS), None, "{path}: {}", answer.text);
        }
        answer
    }

    async fn admin(&mut self, method: Method, path: &str, body: Value) -> Answer {
        let key = self.tenant.key.clone();
        self.call(method, path, Some(&key), body).await
    }

    async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.admin(Method::POST, path, body).await
    }

    /// Searches every export column by column, and returns the personal columns that contained
    /// something.
    async fn export(&mut self) -> BTreeSet<&'static str> {
        let mut filled = BTreeSet::new();
        for list in ["users", "devices", "events"] {
            let part = self.admin(Method::GET, &format!("/{list}/export?limit=1000"), Value::Null).await.expect(200);
            assert_eq!(first_word_in(&part.text, self.codes.iter().map(String::as_str)), None, "a code in {list}");
            let mut reader = csv::Reader::from_reader(part.text.as_bytes());
            let names = reader.headers().unwrap().clone();
            for row in reader.records() {
                let row = row.unwrap();
                for (name, cell) in names.iter().zip(row.iter()) {
                    let personal = COLUMNS.iter().find(|(of, column, _)| (*of, *column) == (list, name));
                    expect_only(cell, personal.map_or(&[], |(_, _, words)| words), &format!("{name} of {list}"));
                    filled.extend(
                        personal
                            .filter(|(_, _, words)| first_word_in(cell, words.iter().copied()).is_some())
                            .map(|(_, column, _)| *column),
                    );
                }
            }
        }
        filled
    }

    /// Runs an action on many users found by a search word, which only the running job's own row may
    /// contain.
    async fn run_bulk_job(&mut self, action: Value) {
        let mut body = json!({"filter": {"search": TYPED}});
        body.as_object_mut().unwrap().extend(action.as_object().cloned().unwrap());
        let job = self.post("/users/bulk", body).await.expect(202);
        assert_eq!(job.get("state"), "running", "one request does not finish the job");
        let path = format!("/jobs/{}", job.get("job_id"));
        let holding = |bench: &Bench| {
            let of_jobs = rows::all(bench, rows::MAIN).into_iter().filter(|(key, _)| key.starts_with("JOB#"));
            of_jobs.filter(|(_, row)| first_word_in(&row.to_string(), [TYPED, REASON]).is_some()).count()
        };
        assert_eq!(holding(&self.bench), 1, "the job has its filter");
        self.search_rows("a job at work");
        // The queue's runs end it.
        self.bench.drain().await;
        while self.admin(Method::GET, &path, Value::Null).await.expect(200).get("state") == "running" {
            self.bench.advance(Duration::minutes(2));
            let _run = self.bench.run_due().await;
        }
        assert_eq!(holding(&self.bench), 0, "and deletes it");
        self.bench.drain().await;
        self.search("a job that is over");
    }

    /// Sends the messages, and returns the latest code.
    async fn code(&mut self) -> String {
        self.bench.drain().await;
        let outbox = self.bench.stack.messaging().outbox();
        let message = outbox.iter().find(|item| item.channel != Channel::Push).expect("a message was sent");
        let text = message.text.as_deref().unwrap_or_default();
        let code = code_after("/i/", text).or_else(|| code_after("/r/", text)).expect("the message has a link");
        self.codes.push(code.clone());
        code
    }

    async fn register(&mut self, code: &str, number: usize) -> Answer {
        let body = json!({
            "code": code, "device_identifier": format!("{IDENTIFIER}-{number}"), "platform": "ios",
            "model_name": "iPhone 17", "os_version": "26.1", "nickname": NICKNAME, "push_token": format!("{TOKEN}-{number}"),
        });
        self.call(Method::POST, "/devices", None, body).await
    }

    /// Searches all stored rows.
    fn search_rows(&self, when: &str) {
        for ((table, key), row) in rows::everything(&self.bench) {
            let what = format!("{when}: {key}");
            let mut row = rows::with_key_fields(row);
            if table == rows::SECRETS {
                assert!(key.starts_with("USER#") || first_word_in(&row.to_string(), SECRETS).is_none(), "{what}");
                assert_eq!(first_word_in(&row.to_string(), PERSONAL), None, "{what}");
                continue;
            }
            let text = row.to_string();
            let codes = self.codes.iter().map(String::as_str);
            assert!(key.starts_with("WEBHOOKS#") || first_word_in(&text, HOOK).is_none(), "{what}: {text}");
            assert_eq!(
                first_word_in(&text, SECRETS.into_iter().chain(codes)),
                None,
                "{what} contains a secret: {text}"
            );
            let kind = key.split('#').next().unwrap_or_default();
            let word_of = |kind: &str| key.split('#').nth(2) == Some(kind);
            match kind {
                // Rows of the person and of their phones.
                "USER" | "DEVICE" => {}
                "EVENT" => {
                    let private = row.as_object_mut().and_then(|row| row.remove("private")).unwrap_or_default();
                    expect_only(&private.to_string(), &[REASON, METADATA, "203.0.113.77"], &what);
                    expect_only(&row.to_string(), &[], &what);
                }
                "JOB" if row["state"] == "running" => expect_only(&text, &[TYPED, REASON], &what),
                "USERNAME" => expect_only(&text, &USERNAMES, &what),
                "IDENTIFIER" => expect_only(&text, &[IDENTIFIER], &what),
                "WORD" if word_of("USER") => {
                    let [one, two] = USERNAMES;
                    expect_only(&text, &[FIRST, LAST, one, two, EMAIL, MOBILE, NUMBER, TYPED], &what);
                }
                // Their places in orders of names.
                "ORDER" => {
                    let [one, two] = USERNAMES;
                    expect_only(&text, &[FIRST, LAST, one, two, TYPED], &what);
                }
                "WORD" if word_of("DEVICE") => expect_only(&text, &[IDENTIFIER, NICKNAME], &what),
                _ => expect_only(&text, &[], &what),
            }
        }
    }

    /// Searches everything that has left the system, and every URL in it.
    fn search_sent(&mut self, when: &str) {
        let mut published = 0;
        for sent in self.recorder.take() {
            let what = format!("{when}: {} by {}", sent.call, sent.operation);
            match sent.call.service {
                Service::Dynamodb => {}
                Service::Sns => {
                    // SNS needs the text's number and the phone's token.
                    let known_to_sns = ["PhoneNumber=", "Token="];
                    let rest = sent.body.lines().filter(|line| !known_to_sns.iter().any(|name| line.starts_with(name)));
                    let rest: String = rest.collect::<Vec<_>>().join("\n");
                    expect_only(&rest, &[], &what);
                    if sent.operation == "publish-events" {
                        published += 1;
                        assert_eq!(first_word_in(&rest, self.codes.iter().map(String::as_str)), None, "{what}");
                    }
                }
                Service::Sesv2 => {
                    let body: Value = serde_json::from_str(&sent.body).unwrap();
                    let simple = &body["Content"]["Simple"];
                    assert!(simple["Body"]["Html"]["Data"].is_string(), "{what}");
                    expect_only(&simple["Body"].to_string(), &[FIRST], &what);
                    expect_only(&simple["Subject"].to_string(), &[], &what);
                    expect_only(&simple["Attachments"].to_string(), &[], &what);
                    expect_only(&body["EmailTags"].to_string(), &[], &what);
                    expect_only(&body["Destination"].to_string(), &[EMAIL], &what);
                }
            }
        }
        assert!(published > 0, "{when}: events were published");
        let requests = self.pages.sent();
        assert!(requests.len() > self.told, "{when}: webhooks received events");
        for sent in &requests[self.told..] {
            let what = format!("{when}: a webhook was told");
            expect_only(&sent.body, &[], &what);
            expect_only(&json!(sent.headers).to_string(), &[], &what);
            let codes = self.codes.iter().map(String::as_str);
            assert_eq!(first_word_in(&sent.body, HOOK.into_iter().chain(codes)), None, "{what}");
        }
        self.told = requests.len();
        for item in self.bench.stack.messaging().outbox() {
            for part in [&item.text, &item.html].into_iter().flatten() {
                self.addresses.extend(addresses(part));
            }
            if item.channel == Channel::Push {
                expect_only(item.text.as_deref().unwrap_or_default(), &[], when);
                expect_only(&item.to, &[], when);
            }
            for picture in item.attachments.iter().filter(|picture| picture.content_type == "image/png") {
                expect_only(&picture.name, &[], when);
                self.addresses.push(qr::read_png(&BASE64_STANDARD.decode(&picture.content).unwrap()));
            }
        }
        assert!(self.addresses.iter().any(|address| address.contains("://")), "{when}: addresses were found");
        for address in &self.addresses {
            expect_only(address, &[], when);
        }
        let lines = self.lines.text();
        assert!(lines.contains("served"), "{when}: something was logged");
        let forbidden = PERSONAL.into_iter().chain(SECRETS).chain(HOOK).chain(self.codes.iter().map(String::as_str));
        assert_eq!(first_word_in(&lines, forbidden), None, "{when}: the log");
    }

    fn search(&mut self, when: &str) {
        self.search_rows(when);
        self.search_sent(when);
    }
}

#[tokio::test]
async fn personal_data_and_secrets_stay_in_the_rows_and_messages_where_they_belong() {
    let (lines, _logging) = LogLines::capture("info,functions=trace,lambda=trace,domain=trace");
    let mut walk = Walk::new(lines).await;

    // A user is created, invited by e-mail and by text, and registers.
    let profile = json!({"name": "Office", "settings": {"theme": "dark"}});
    let _profile = walk.post("/profiles", profile).await.expect(201);
    let body = json!({
        "username": USERNAMES[0], "first_name": FIRST, "last_name": LAST, "email": format!("{EMAIL}@example.com"),
        "mobile": format!("+49{MOBILE}"), "number": NUMBER, "user_identity_key": KEY,
    });
    let user = walk.post("/users", body).await.expect(201).get("user_id");
    let path = format!("/users/{user}");
    let edit = json!({"sip_user_name": SIP, "service_account": ACCOUNT, "overrides": {OWN: OWN}});
    let _edited = walk.admin(Method::PATCH, &path, edit).await.expect(200);
    let secrets = json!({
        "client_password": SECRETS[0], "pbx_sip_password": SECRETS[1], "teleworker_sip_password": SECRETS[2],
        "voicemail_pin": SECRETS[3],
    });
    let _secrets_set = walk.admin(Method::PUT, &format!("{path}/secrets"), secrets).await.expect(200);
    let mut phones = Vec::new();
    for (number, channel) in ["email", "sms"].into_iter().enumerate() {
        let _invited = walk.post(&format!("{path}/invite"), json!({"channel": channel})).await.expect(202);
        let code = walk.code().await;
        let _page = walk.call(Method::GET, &format!("/i/{code}"), None, Value::Null).await.expect(200);
        let _pressed = walk.call(Method::POST, &format!("/i/{code}"), None, Value::Null).await.expect(303);
        let phone = walk.register(&code, number).await.expect(201);
        phones.push((phone.body["device"]["device_id"].as_str().unwrap().to_owned(), phone.get("credential")));
    }
    let service = format!("/devices/{}/credential-services/assa_abloy", phones[0].0);
    let report = json!({"endpoints": [{"endpoint_id": "e", "is_active": true}], "problem": PROBLEM});
    let _reported = walk.admin(Method::PUT, &service, report).await.expect(200);
    let stored = json!(rows::all(&walk.bench, rows::MAIN)).to_string();
    let missing: Vec<_> =
        [FIRST, LAST, EMAIL, MOBILE, NUMBER, KEY, PROBLEM, SIP, ACCOUNT, OWN, NICKNAME, IDENTIFIER, TOKEN]
            .into_iter()
            .filter(|word| first_word_in(&stored, [*word]).is_none())
            .collect();
    assert!(missing.is_empty(), "the search finds the stored data: {missing:?}");
    walk.search("registered");

    // The phone is set up.
    let deployment = walk.post(&format!("{path}/deploy"), json!({})).await.expect(202).get("deployment_id");
    let code = walk.code().await;
    for agent in ["iPhone", "Android", "Firefox"] {
        let request = Request::builder().uri(format!("/r/{code}")).header("user-agent", agent);
        let reply = walk.bench.send(request.body(Vec::new()).unwrap()).await;
        walk.addresses.extend(reply.headers.get("location").map(|to| to.to_str().unwrap().to_owned()));
        walk.addresses.extend(addresses(&reply.text));
        expect_only(&reply.text, &[], "the page behind the link");
        if agent == "Firefox" {
            walk.addresses.push(qr::read_svg(&reply.text));
        }
    }
    let shown = walk.admin(Method::GET, &format!("/deployments/{deployment}/qr"), Value::Null).await.expect(200);
    walk.addresses.push(qr::read_svg(&shown.text));
    let third = walk.register(&code, 2).await.expect(201);
    phones.push((third.body["device"]["device_id"].as_str().unwrap().to_owned(), third.get("credential")));
    let credential = third.get("credential");
    let config = walk.call(Method::POST, "/devices/me/config", Some(&credential), json!({})).await.expect(200);
    let holds = |word: &&str| config.text.contains(*word);
    assert!(SECRETS.iter().all(holds) && [FIRST, LAST, SIP, ACCOUNT, OWN, NUMBER].iter().all(holds), "{}", config.text);
    let report = json!({"config_version": config.get("config_version"), "push_token": format!("{TOKEN}-new"), "pin_failures": 1});
    let _check_in = walk.call(Method::POST, "/devices/me/check-in", Some(&credential), report).await.expect(200);
    let device = format!("/devices/{}", phones[0].0);
    let edit = json!({"nickname": format!("{NICKNAME} too"), "custom_metadata": {METADATA: METADATA}});
    let _edited = walk.admin(Method::PATCH, &device, edit).await.expect(200);
    let _forced = walk.post(&format!("{path}/force-config"), json!({})).await.expect(200);
    let _auto = walk.post("/deployments/auto", json!({"filter": {}})).await.expect(202);
    let _once = walk.post("/deployments/auto", json!({"ids": [user]})).await;
    for list in ["/users", "/devices", "/deployments", "/events", "/jobs", &path] {
        let _shown = walk.admin(Method::GET, list, Value::Null).await.expect(200);
    }
    let filled = walk.export().await;
    let names = [
        "username",
        "first_name",
        "last_name",
        "name",
        "email",
        "mobile",
        "number",
        "user_identity_key",
        "sip_user_name",
    ];
    let names =
        names.into_iter().chain(["service_account", "user_name", "device_identifier", "nickname", "display_name"]);
    assert_eq!(filled, names.chain(["actor_name"]).collect(), "the search finds the exported data");
    // A search text may only be in its list, and an invalid value only in its own response.
    for word in [FIRST, EMAIL, IDENTIFIER, NUMBER] {
        let _found = walk.admin(Method::GET, &format!("/users?search={word}"), Value::Null).await.expect(200);
        let _found =
            walk.admin(Method::GET, &format!("/devices?search={word}&limit={word}"), Value::Null).await.expect(422);
    }
    let bad =
        json!({"username": format!("{} {}", USERNAMES[0], LAST), "email": EMAIL, "mobile": MOBILE, "number": FIRST});
    let refused = walk.post("/users", bad).await.expect(422);
    expect_only(&refused.text, &[], "what is refused is not told back");
    let rejected = walk.post("/users", json!({"username": USERNAMES[0]})).await.expect(409);
    expect_only(&rejected.text, &[], "a username that is taken");
    let bad = json!({"client_password": [SECRETS[0]], "voicemail_pin": SECRETS[1], SECRETS[2]: 1});
    let key = walk.tenant.key.clone();
    let request = Request::builder().method(Method::PUT).uri(format!("{path}/secrets"));
    let request = request.header("authorization", format!("Bearer {key}"));
    let _refused = walk.bench.send(request.body(bad.to_string().into_bytes()).unwrap()).await.expect(422);
    walk.search("set up");
    for number in 0..60 {
        let body = json!({"username": format!("one-of-many-{number}"), "last_name": TYPED});
        let _created = walk.post("/users", body).await.expect(201);
    }
    walk.run_bulk_job(json!({"action": "suspend", "reason": REASON})).await;
    assert!(walk.export().await.contains("suspended_reason"));
    walk.run_bulk_job(json!({"action": "delete", "reason": REASON})).await;

    // Another user tries the phone's identifier; the phone is blocked, renamed, reset and re-enrolled.
    let other = walk.bench.user(&walk.tenant, "other").await;
    let _invited = walk.post(&format!("/users/{other}/invite"), json!({"channel": "email"})).await.expect(202);
    let code = walk.code().await;
    let held = walk.register(&code, 0).await.expect(409);
    assert_eq!(held.code(), "identifier_held");
    let reason = json!({"reason": format!("{REASON} of this")});
    for (action, body) in [("block", &reason), ("unblock", &json!({})), ("lock", &reason)] {
        let answer = walk.post(&format!("{device}/{action}"), body.clone()).await;
        assert!(answer.status.is_success(), "{}", answer.text);
    }
    walk.bench.advance(Duration::minutes(1));
    let renamed = walk.admin(Method::PATCH, &path, json!({"username": USERNAMES[1]})).await.expect(200);
    assert_eq!(renamed.get("username"), USERNAMES[1]);
    let code = walk.code().await;
    let check_in = walk.call(Method::POST, "/devices/me/check-in", Some(&credential), json!({})).await.expect(200);
    let commands = check_in.body["commands"].as_array().unwrap();
    let reset = commands.iter().find(|command| command["kind"] == "factory_reset").unwrap();
    let command = format!("/devices/me/commands/{}", reset["command_id"].as_str().unwrap());
    let done = json!({"result": "succeeded", "detail": "erased"});
    let _done = walk.call(Method::POST, &command, Some(&credential), done).await.expect(200);
    let re_enrolled = walk.register(&code, 2).await.expect(201);
    let config = walk
        .call(Method::POST, "/devices/me/config", Some(&re_enrolled.get("credential")), json!({}))
        .await
        .expect(200);
    assert!(config.text.contains(USERNAMES[1]) && config.text.contains(SECRETS[0]));
    let nothing = json!({});
    for (action, body) in
        [("suspend", &reason), ("activate", &nothing), ("reset-pin", &reason), ("lock-and-wipe", &reason)]
    {
        let _done = walk.post(&format!("{path}/{action}"), body.clone()).await.expect(200);
    }
    assert!(walk.export().await.contains("locked_reason"));
    let bulk = json!({"action": "suspend", "ids": [user], "dry_run": true});
    let _tried = walk.post("/users/bulk", bulk).await.expect(200);
    walk.bench.drain().await;
    walk.search("renamed");

    // The user is undeployed, and then deleted.
    let _activated = walk.post(&format!("{path}/activate"), json!({})).await.expect(200);
    walk.bench.advance(Duration::minutes(1));
    let _deployment = walk.post(&format!("{path}/deploy"), json!({})).await.expect(202);
    let _code = walk.code().await;
    let _revoked = walk.admin(Method::DELETE, &format!("/deployments{path}"), Value::Null).await.expect(200);
    walk.bench.drain().await;
    let kept = |bench: &Bench| first_word_in(&json!(rows::all(bench, rows::SECRETS)).to_string(), SECRETS).is_some();
    assert!(!kept(&walk.bench), "the secrets are deleted");
    let set = json!({"client_password": SECRETS[0]});
    let _secrets_set = walk.admin(Method::PUT, &format!("{path}/secrets"), set).await.expect(200);
    let deletion = json!({"without_wipe": true, "reason": REASON});
    let _deleted = walk.admin(Method::DELETE, &path, deletion).await.expect(200);
    walk.bench.drain().await;
    assert!(!kept(&walk.bench), "the person's rows contain them");
    walk.search("deleted");
    walk.bench.advance(Duration::days(120));
    for _ in 0..3 {
        let _run = walk.bench.run_due().await;
        let _purged = walk.bench.purge().await;
        walk.bench.drain().await;
    }
    walk.search("purged");
    // After the purge nothing is left.
    for (key, row) in rows::everything(&walk.bench) {
        expect_only(&row.to_string(), &["203.0.113.77"], &format!("purged: {}", key.1));
    }
}
