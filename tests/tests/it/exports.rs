//! Exports: the lists as CSV, in parts that together are one file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::Duration;
use serde_json::{Value, json};
use testkit::{Answer, Bench, Tenant, rows};

/// The largest response of API Gateway, in bytes.
const GATEWAY_LIMIT: usize = 6 * 1024 * 1024;

/// The link to the next part.
fn next_link(answer: &Answer) -> Option<String> {
    let link = answer.headers.get("link")?.to_str().unwrap();
    Some(link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned())
}

/// The parts of an export, by following the links.
async fn parts(bench: &Bench, tenant: &Tenant, export: &str) -> Vec<String> {
    let (mut parts, mut path) = (Vec::new(), Some(export.to_owned()));
    while let Some(at) = path {
        let answer = bench.get(&at, &tenant.key).await.expect(200);
        assert_eq!(answer.headers["content-type"], "text/csv; charset=utf-8");
        assert_eq!(answer.headers["cache-control"], "no-store");
        let file = answer.headers["content-disposition"].to_str().unwrap();
        assert!(file.starts_with("attachment; filename=\"") && file.ends_with(".csv\""), "{file}");
        assert!(answer.text.len() < GATEWAY_LIMIT / 2);
        path = next_link(&answer);
        parts.push(answer.text);
    }
    parts
}

/// Reads CSV by RFC 4180: lines end with CRLF, a quoted field may contain anything, and a
/// quote in it is doubled. It shares no code with the exports.
fn read(text: &str) -> Vec<Vec<String>> {
    let (mut lines, mut line, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                assert!(cell.is_empty(), "a quote is only at the beginning of a field: {cell}");
                loop {
                    match letters.next().expect("a quoted field ends") {
                        '"' if letters.peek() == Some(&'"') => cell.push(letters.next().unwrap()),
                        '"' => break,
                        other => cell.push(other),
                    }
                }
                assert!(matches!(letters.peek(), Some(',' | '\r')), "a quoted field ends with its quote");
            }
            ',' => line.push(std::mem::take(&mut cell)),
            '\r' => {
                assert_eq!(letters.next(), Some('\n'));
                line.push(std::mem::take(&mut cell));
                lines.push(std::mem::take(&mut line));
            }
            '\n' => panic!("a line ends by CRLF"),
            other => cell.push(other),
        }
    }
    assert!(line.is_empty() && cell.is_empty(), "the file ends with a line");
    lines
}

/// The rows of an export, by column.
fn table(text: &str) -> Vec<BTreeMap<String, String>> {
    let lines = read(text);
    let (names, rows) = lines.split_first().unwrap();
    let row = |cells: &Vec<String>| {
        assert_eq!(cells.len(), names.len());
        names.iter().cloned().zip(cells.iter().cloned()).collect()
    };
    rows.iter().map(row).collect()
}

/// The value at a pointer of a list's item, as a cell.
fn cell(item: &Value, place: &str) -> String {
    match item.pointer(place) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(by @ Value::Object(_)) if by.get("type").is_some() => match by["id"].as_str() {
            Some(id) => format!("{}:{id}", by["type"].as_str().unwrap()),
            None => by["type"].as_str().unwrap().to_owned(),
        },
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        Some(other) => other.to_string(),
    }
}

fn restriction_place(column: &str) -> Option<String> {
    let (what, part) = column.split_once('_')?;
    let place = match part {
        "by_source_at" => format!("/{what}_by_source/at"),
        part => format!("/{what}/{}", part.replace('_', "/")),
    };
    ["suspended", "locked", "blocked"].contains(&what).then_some(place)
}

/// The pointer to an export's column in a list's item.
fn place(list: &str, column: &str) -> String {
    match (list, column) {
        ("/users", "messages_sent" | "messages_received" | "messages_archived" | "attachment_bytes" | "calls") => {
            format!("/usage/{column}")
        }
        ("/users" | "/devices", held) if restriction_place(held).is_some() => restriction_place(held).unwrap(),
        ("/devices", "push_in_use" | "push_since" | "push_reason") => format!("/push/{}", &column["push_".len()..]),
        ("/events", "actor_type") => "/actor/type".to_owned(),
        ("/events", "actor_id") => "/actor/id".to_owned(),
        ("/events", "actor_name") => "/actor/name".to_owned(),
        ("/events", "reason" | "address") => format!("/private/{column}"),
        (_, column) => format!("/{column}"),
    }
}

/// A workspace with people and phones in many states.
async fn populated_workspace() -> (Bench, Tenant) {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Exports").await;
    let key = &tenant.key;
    let office = json!({"name": "Office, \"main\"", "settings": {}});
    let office = bench.post("/profiles", key, office).await.expect(201).get("profile_id");
    for at in 0..7 {
        bench.advance(Duration::minutes(1));
        let name = format!("person{at}");
        let (user, phones) = match at % 3 {
            0 => (bench.user(&tenant, &name).await, Vec::new()),
            phones => bench.user_with_phones(&tenant, &name, phones).await,
        };
        let path = format!("/users/{user}");
        let edit =
            json!({"first_name": format!("Zoë \"{at}\", Ärztin"), "profile_id": office, "sip_user_name": "4711"});
        let _edited = bench.patch(&path, key, edit).await.expect(200);
        if let Some((device, credential)) = phones.first() {
            let report = json!({"usage": {"sequence": 1, "messages_sent": at, "calls": 2}});
            let check_in = "/devices/me/check-in";
            let _check_in = bench.call(http::Method::POST, check_in, Some(credential), Some(&report)).await.expect(200);
            let _blocked = bench
                .post(&format!("/devices/{device}/block"), key, json!({"reason": "left in a taxi, \"again\""}))
                .await
                .expect(200);
        }
        if at == 3 {
            let _suspended = bench.post(&format!("{path}/suspend"), key, json!({"reason": "away"})).await.expect(200);
        }
        if at == 6 {
            let _deleted = bench.delete(&path, key).await.expect(200);
        }
    }
    bench.drain().await;
    (bench, tenant)
}

#[tokio::test]
async fn the_parts_of_an_export_together_equal_the_list() {
    let (bench, tenant) = populated_workspace().await;
    // The exports' own events are newer than the exported ones.
    bench.advance(Duration::minutes(5));
    for (list, filter) in [
        ("/users", ""),
        ("/users", "status=suspended"),
        ("/users", "search=person"),
        ("/devices", ""),
        ("/devices", "blocked=true"),
        ("/devices", "search=iphone"),
        ("/events", ""),
        ("/events", "event_type=device.registered"),
    ] {
        let until = if list == "/events" { "until=2026-11-23T08:07:30Z&" } else { "" };
        let expected = bench.list_all(&tenant, &format!("{list}?{until}{filter}")).await;
        assert!(!expected.is_empty(), "{list}?{filter}");
        let joined = parts(&bench, &tenant, &format!("{list}/export?{until}{filter}")).await.concat();
        for size in [1, 2, 5, 100] {
            let export = format!("{list}/export?limit={size}&{until}{filter}");
            let parts = parts(&bench, &tenant, &export).await;
            assert!(parts.len() >= expected.len().div_ceil(size), "{export}: {} parts", parts.len());
            assert!(parts.concat() == joined, "{export} is another file");
        }
        let rows = table(&joined);
        assert_eq!(rows.len(), expected.len(), "{list}?{filter}");
        for (row, item) in rows.iter().zip(&expected) {
            for (column, shown) in row.iter().filter(|(column, _)| *column != "profile") {
                assert_eq!(*shown, cell(item, &place(list, column)), "{list} {column}");
            }
        }
        if list == "/users" {
            assert!(rows.iter().all(|row| row["profile"] == "Office, \"main\""));
        }
    }
}

#[tokio::test]
async fn export_columns_are_selected_and_ordered_and_objects_are_named() {
    let (bench, tenant) = populated_workspace().await;
    let key = &tenant.key;
    let users = bench.list_all(&tenant, "/users").await;
    let id = |at: usize| users[at]["user_id"].as_str().unwrap();
    let nobody = "0190f3c4-7b5e-7a11-8c1d-3f2a9b6c5d4e";
    let path = format!("/users/export?ids={},{nobody},{}&columns=username,%20user_id,calls", id(4), id(1));
    let answer = bench.get(&path, key).await.expect(200);
    let expected = format!(
        "username,user_id,calls\r\n{},{},2\r\n{},{},{}\r\n",
        users[4]["username"].as_str().unwrap(),
        id(4),
        users[1]["username"].as_str().unwrap(),
        id(1),
        users[1]["usage"]["calls"],
    );
    assert_eq!((answer.text.as_str(), next_link(&answer)), (expected.as_str(), None));
    let devices = bench.list_all(&tenant, "/devices").await;
    let device = devices[0]["device_id"].as_str().unwrap();
    let answer = bench.get(&format!("/devices/export?ids={device}&columns=device_id,user_name"), key).await.expect(200);
    assert_eq!(read(&answer.text)[1], [device, devices[0]["user_name"].as_str().unwrap()]);
    let events = bench.list_all(&tenant, "/events").await;
    let event = events[5]["event_id"].as_str().unwrap();
    let answer = bench.get(&format!("/events/export?ids={nobody},{event}&columns=event_id,event_type"), key).await;
    assert_eq!(read(&answer.expect(200).text)[1..], [[event, events[5]["event_type"].as_str().unwrap()]]);
    // Another workspace's rows are not found by their identifiers.
    let other = bench.tenant("Other").await;
    for path in ["users", "devices", "events"].map(|kind| format!("/{kind}/export?ids={},{device},{event}", id(1))) {
        let answer = bench.get(&path, &other.key).await.expect(200);
        assert_eq!(read(&answer.text).len(), 1, "{path}");
    }
}

#[tokio::test]
async fn no_cell_is_a_formula_and_numbers_are_unchanged() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Formulas").await;
    let body = json!({
        "username": "=cmd|'/c", "first_name": "@SUM(1+1)", "last_name": "＝HYPERLINK(\"http://x\")",
        "mobile": "+49 170 1234567", "number": "*21#", "service_account": "-2+3+cmd|' /C calc'!A0",
    });
    let _created = bench.post("/users", &tenant.key, body).await.expect(201);
    let columns = "username,first_name,last_name,name,mobile,number,service_account";
    let answer = bench.get(&format!("/users/export?columns={columns}"), &tenant.key).await.expect(200);
    let row = table(&answer.text).remove(0);
    let is = |column: &str| row[column].as_str();
    assert_eq!((is("mobile"), is("number")), ("+491701234567", "*21#"));
    for column in ["username", "first_name", "last_name", "name"] {
        assert!(is(column).starts_with('\''), "{column}: {}", is(column));
    }
    assert_eq!(is("last_name"), "'＝HYPERLINK(\"http://x\")");
}

#[tokio::test]
async fn each_exported_part_is_recorded_without_personal_data() {
    let (bench, tenant) = populated_workspace().await;
    let key = &tenant.key;
    let export = "/users/export?limit=2&search=person&columns=email";
    let others = parts(&bench, &tenant, export).await.len() - 1;
    let recorded = async |event_type: &str| bench.list_all(&tenant, &format!("/events?event_type={event_type}")).await;
    assert_eq!((recorded("export.started").await.len(), recorded("export.continued").await.len()), (1, others));
    // The second part can be requested directly, and is recorded too.
    let body = json!({"name": "other", "permissions": ["users:read"]});
    let other = bench.post("/keys", key, body).await.expect(201);
    let second = next_link(&bench.get(export, key).await.expect(200)).unwrap();
    bench.advance(Duration::minutes(1));
    let _second = bench.get(&second, &other.get("key")).await.expect(200);
    let continued = recorded("export.continued").await;
    assert_eq!((continued.len(), &continued[0]["actor"]["id"]), (others + 1, &other.body["key_id"]));
    assert_eq!(continued[0]["changes"]["columns"]["after"], json!(["email"]));
    assert!(!json!(continued).to_string().contains("person"));
    let device = bench.list_all(&tenant, "/devices").await[0]["device_id"].as_str().unwrap().to_owned();
    bench.advance(Duration::minutes(1));
    let _named = bench.get(&format!("/devices/export?ids={device}"), key).await.expect(200);
    let events = bench.get("/events?event_type=export.started", key).await.expect(200);
    let items = events.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 3, "one of each export: {}", events.text);
    let after = |event: &Value| {
        let changes = event["changes"].as_object().unwrap();
        changes.iter().map(|(name, change)| (name.clone(), change["after"].clone())).collect::<BTreeMap<_, _>>()
    };
    let users = after(&items[2]);
    assert_eq!(json!(users), json!({"kind": "users", "columns": ["email"], "filters": ["search"]}));
    let devices = after(&items[0]);
    assert_eq!((&devices["kind"], &devices["ids"]), (&json!("devices"), &json!(1)));
    assert!(!events.text.contains("person") && !events.text.contains(&device));
}

#[tokio::test]
async fn an_export_of_events_covers_the_period_of_the_list_and_more_on_request() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Old").await;
    let _user = bench.user(&tenant, "ada").await;
    bench.advance(Duration::days(91));
    let alone = bench.get("/events/export", &tenant.key).await.expect(200).text;
    assert!(!alone.contains("user.created"), "{alone}");
    assert!(bench.list_all(&tenant, "/events?event_type=user.created").await.is_empty());
    let since = "since=2026-11-01T00:00:00Z";
    let all = parts(&bench, &tenant, &format!("/events/export?{since}")).await.concat();
    assert!(all.contains("user.created"), "{all}");
}

#[tokio::test]
async fn an_export_contains_no_secret() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Secrets").await;
    let user = bench.user(&tenant, "ada").await;
    let code = bench.invite(&tenant, &user, 1).await;
    let phone = bench.register(&code, "ada-phone").await.expect(201);
    let credential = phone.get("credential");
    let address = "203.0.113";
    let mut all = String::new();
    for export in ["/users/export", "/devices/export", "/events/export"] {
        write!(all, "{}", parts(&bench, &tenant, export).await.concat()).unwrap();
    }
    assert!(all.contains("ada-phone"));
    let secret = credential.rsplit('_').next().unwrap();
    for kept in [code.as_str(), secret, "token-of-ada-phone", address, "private", &tenant.key] {
        assert!(!all.contains(kept), "{kept} is exported");
    }
}

#[tokio::test]
async fn a_part_of_an_export_never_exceeds_the_size_limit() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Large").await;
    let _user = bench.user(&tenant, "ada").await;
    let is_match = |row: &Value| row["event_type"] == "user.created";
    let template = rows::all(&bench, rows::MAIN).into_values().find(is_match).unwrap();
    // Events of 100 KB each, larger than real ones.
    let mut many = Vec::new();
    for at in 0..40 {
        let mut row = template.clone();
        let id = format!("019ab0a0-7b5e-7a11-8c1d-{at:012x}");
        row["event_id"] = json!(id);
        row["sk"] = json!(id);
        row["operation"] = json!("\"".repeat(50_000));
        many.push(row);
    }
    let created = domain::EventId::parse("019ab0a0-7b5e-7a11-8c1d-000000000000").unwrap().time().unwrap();
    for row in &mut many {
        row["created_at"] = json!(created);
        row["pk"] = json!(format!("EVENT#{}#{}", tenant.workspace_id, created.day()));
    }
    rows::put_many(&bench, rows::MAIN, &many, &[]);
    let span = format!("since={created}&until=2026-11-23T08:30:00Z");
    let parts = parts(&bench, &tenant, &format!("/events/export?{span}")).await;
    let largest = parts.iter().map(String::len).max().unwrap();
    assert!(parts.len() >= 4 && largest <= 1024 * 1024, "{} parts of at most {largest} bytes", parts.len());
    let rows = table(&parts.concat());
    let exported: Vec<&str> = rows.iter().map(|row| row["event_id"].as_str()).collect();
    let large = exported.iter().filter(|id| many.iter().any(|row| row["event_id"] == **id));
    assert_eq!(large.count(), many.len(), "each is listed once");
    assert!(exported.len() > many.len() && exported.iter().rev().is_sorted(), "the newest first");
}
