//! Settings that many users share, and the schema that these settings satisfy.

use std::collections::BTreeSet;

use domain::input::{FIELD_ERROR_LIMIT, FieldError};
use domain::models::profile::schema::{SCHEMA_DEPTH, check, check_schema};
use domain::models::profile::{NewProfile, ProfileEdit, SETTINGS_DEPTH, SETTINGS_LIMIT};
use domain::models::workspace::Workspace;
use domain::rules::profiles::{ProfileChanges, create, delete, given, update};
use domain::{DomainError, ProfileId, WorkspaceId};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::common::{at, context, fields};

fn workspace() -> Workspace {
    Workspace { admin_count: 1, ..Workspace::new(WorkspaceId(Uuid::from_u128(1)), "Fleet".to_owned(), false, at(0)) }
}

fn id(n: u128) -> ProfileId {
    ProfileId(Uuid::from_u128(n))
}

fn new(body: Value) -> Result<NewProfile, DomainError> {
    NewProfile::read(fields(body))
}

fn named(name: &str) -> NewProfile {
    new(json!({"name": name, "settings": {}})).unwrap()
}

fn settings(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(settings) => settings,
        other => panic!("settings are an object, not {other}"),
    }
}

fn faults_of(faults: Result<impl std::fmt::Debug, DomainError>) -> Vec<(String, &'static str)> {
    let Err(DomainError::Invalid(faults)) = faults else { panic!("not refused for its input: {faults:?}") };
    faults.into_iter().map(|fault| (fault.field, fault.code)).collect()
}

fn places(faults: &[FieldError]) -> BTreeSet<&str> {
    faults.iter().map(|fault| fault.field.as_str()).collect()
}

#[test]
fn the_first_profile_is_the_default_and_stays_it_until_another_is_made_it() {
    let first = create(&workspace(), named("first"), id(1), &context(1));
    assert_eq!((first.workspace.default_profile_id, first.workspace.profile_count), (Some(id(1)), 1));
    assert_eq!((first.profile.revision, first.profile.version), (1, 1));
    let second = create(&first.workspace, named("second"), id(2), &context(2));
    assert_eq!((second.workspace.default_profile_id, second.workspace.profile_count), (Some(id(1)), 2));
    let wanted = NewProfile { default: true, ..named("third") };
    let third = create(&second.workspace, wanted, id(3), &context(3));
    assert_eq!((third.workspace.default_profile_id, third.workspace.profile_count), (Some(id(3)), 3));
    let change = &third.event.changes["default_profile_id"];
    assert_eq!((&change.before, &change.after), (&json!(id(1)), &json!(id(3))));
    // By an edit, too; and it cannot be left without one.
    let edit = |body: Value| ProfileEdit::read(fields(body));
    let moved =
        update(&third.workspace, &first.profile, &edit(json!({"default": true})), &context(4)).unwrap().unwrap();
    assert_eq!((moved.workspace.default_profile_id, moved.profile.revision), (Some(id(1)), 1));
    let away = update(&moved.workspace, &moved.profile, &edit(json!({"default": false})), &context(5));
    assert_eq!(away, Err(DomainError::ProfileIsDefault));
    for (profile, body) in [(&moved.profile, json!({"default": true})), (&second.profile, json!({"default": false}))] {
        assert_eq!(update(&moved.workspace, profile, &edit(body), &context(5)), Ok(None), "it is so already");
    }
}

#[test]
fn the_default_goes_only_as_the_last_one_and_what_is_used_not_at_all() {
    let first = create(&workspace(), named("first"), id(1), &context(1));
    let second = create(&first.workspace, named("second"), id(2), &context(2));
    let (both, first, second) = (second.workspace, first.profile, second.profile);
    assert_eq!(delete(&both, &first, None, false, &context(3)), Err(DomainError::ProfileIsDefault));
    assert_eq!(delete(&both, &second, None, true, &context(3)), Err(DomainError::ProfileInUse));
    let (one, event) = delete(&both, &second, None, false, &context(3)).unwrap();
    assert_eq!((one.default_profile_id, one.profile_count), (Some(id(1)), 1));
    assert!(!event.changes.contains_key("default_profile_id"));
    assert_eq!(delete(&one, &first, None, true, &context(4)), Err(DomainError::ProfileInUse));
    let (none, event) = delete(&one, &first, None, false, &context(4)).unwrap();
    assert_eq!((none.default_profile_id, none.profile_count, event.profile_id), (None, 0, Some(id(1))));
    assert_eq!(event.changes["default_profile_id"].after, Value::Null);
}

#[test]
fn a_profile_that_was_given_of_late_stays_until_its_users_are_known_and_notes_it_once_a_minute() {
    let first = create(&workspace(), named("first"), id(1), &context(1));
    let second = create(&first.workspace, named("second"), id(2), &context(1));
    let (workspace, profile) = (second.workspace, second.profile);
    let noted = given(&profile, None, at(10)).unwrap();
    assert_eq!((noted.before, noted.after.given_at, noted.after.version), (None, at(10), 1));
    let noted = noted.after;
    assert_eq!((noted.workspace_id, noted.profile_id), (profile.workspace_id, profile.profile_id));
    assert_eq!(given(&profile, Some(&noted), at(10).plus(chrono::Duration::seconds(59))), None);
    let again = given(&profile, Some(&noted), at(11)).unwrap();
    assert_eq!((again.before.as_ref(), again.after.given_at), (Some(&noted), at(11)));
    for minutes in [10, 11] {
        let deleted = |is_used| delete(&workspace, &profile, Some(&noted), is_used, &context(minutes));
        assert_eq!(
            (deleted(false), deleted(true)),
            (Err(DomainError::ProfileJustGiven), Err(DomainError::ProfileInUse))
        );
    }
    assert!(delete(&workspace, &profile, Some(&noted), false, &context(12)).is_ok());
    assert!(delete(&workspace, &profile, None, false, &context(10)).is_ok(), "it was never given");
}

#[test]
fn the_revision_goes_up_when_settings_change_and_an_event_holds_none_of_them() {
    let made = create(&workspace(), named("first"), id(1), &context(1));
    let edit = |body: Value| update(&made.workspace, &made.profile, &ProfileEdit::read(fields(body)), &context(2));
    let renamed = edit(json!({"name": "other"})).unwrap().unwrap();
    assert_eq!((renamed.profile.revision, renamed.profile.updated_at), (1, at(2)));
    let set = edit(json!({"settings": {"pbx": {"host": "pbx.internal"}}, "schema": {"type": "object"}}));
    let ProfileChanges { profile, event, .. } = set.unwrap().unwrap();
    assert_eq!(profile.revision, 2);
    assert_eq!(event.changed_fields, ["schema", "settings"]);
    assert!(!serde_json::to_string(&event).unwrap().contains("pbx"));
    assert_eq!(edit(json!({"name": "first", "settings": {}, "schema": null})), Ok(None), "nothing changes");
}

#[test]
fn every_fault_of_a_body_is_told_at_once() {
    let body = json!({
        "name": "",
        "settings": {"host": 1, "ports": [1, "two"], "deep": {"mode": "z"}},
        "schema": {
            "properties": {
                "host": {"type": "string"},
                "ports": {"items": {"type": "integer"}},
                "deep": {"properties": {"mode": {"enum": ["a", "b"]}}, "required": ["level"]},
            },
        },
        "default": "yes",
    });
    let expected = [
        ("name", "too_short"),
        ("default", "wrong_type"),
        ("settings.deep", "schema_violation"),
        ("settings.deep.mode", "schema_violation"),
        ("settings.host", "schema_violation"),
        ("settings.ports.1", "schema_violation"),
    ];
    let mut faults = faults_of(new(body.clone()));
    faults[2..].sort();
    assert_eq!(faults, expected.map(|(field, code)| (field.to_owned(), code)));
    // So it is when a stored profile's own schema meets new settings.
    let mut made = create(&workspace(), named("first"), id(1), &context(1));
    made.profile.schema = Some(body["schema"].clone());
    let edit = ProfileEdit::read(fields(json!({"name": null, "settings": {"host": 1}})));
    let faults = faults_of(update(&made.workspace, &made.profile, &edit, &context(2)));
    assert_eq!(faults, [("name".into(), "missing"), ("settings.host".into(), "schema_violation")]);
    // And when a new schema meets the settings that are there.
    made.profile.settings = settings(json!({"host": 1}));
    made.profile.schema = None;
    let edit = ProfileEdit::read(fields(json!({"schema": body["schema"]})));
    let faults = faults_of(update(&made.workspace, &made.profile, &edit, &context(2)));
    assert_eq!(faults, [("settings.host".into(), "schema_violation")]);
}

#[test]
fn a_fault_says_what_is_wrong_and_never_what_was_sent() {
    let secret = "hunter2-hunter2";
    let schema = json!({
        "properties": {
            "a": {"type": "integer"}, "b": {"pattern": "^[0-9]+$"}, "c": {"enum": ["x"]}, "d": {"const": 1},
            "e": {"maxLength": 3}, "f": {"anyOf": [{"type": "null"}, {"type": "boolean"}]}, "g": {"not": {}},
            "h": {"oneOf": [{"type": "null"}]}, "i": {"contains": {"type": "null"}}, "j": {"uniqueItems": true},
            "k": {"items": false}, "l": {"propertyNames": {"maxLength": 2}}, "m": false,
        },
    });
    let value = |name: &str| match name {
        "i" | "k" => json!([secret]),
        "j" => json!([secret, secret]),
        "l" => json!({secret: 1}),
        _ => json!(secret),
    };
    let names = "abcdefghijklm".chars().map(|name| name.to_string());
    let sent: Map<String, Value> = names.map(|name| (name.clone(), value(&name))).collect();
    let faults = check(&sent, &schema);
    assert!(places(&faults).len() >= 13, "{faults:?}");
    for fault in &faults {
        assert!(!fault.detail.contains(secret) && !fault.detail.is_empty(), "{fault:?}");
    }
}

#[test]
fn a_schema_is_held_to_its_own_draft() {
    let draft_7 = "http://json-schema.org/draft-07/schema#";
    for good in [
        json!({}),
        json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}),
        json!({"$schema": draft_7, "definitions": {"port": {"type": "integer"}},
            "properties": {"port": {"$ref": "#/definitions/port"}}}),
        json!({"$id": "https://example.com/profile", "$defs": {"a": {"$anchor": "a", "pattern": "^\\p{L}{1,64}$"}}}),
        json!({"properties": {"$ref": {"type": "string"}, "id": {"type": "string"}},
            "default": {"$ref": "https://example.com/elsewhere"}}),
        json!({"properties": {"child": {"$ref": "#"}}}),
        json!({"properties": {"name": {"pattern": "^\\p{L}+$"}}}),
    ] {
        assert_eq!(check_schema(&good), [], "{good}");
    }
    let bad = [
        (json!(true), "schema", "wrong_type"),
        (json!({"type": "text"}), "schema.type", "invalid_schema"),
        (json!({"properties": {"a": {"minLength": -1}}}), "schema.properties.a.minLength", "invalid_schema"),
        (json!({"pattern": "("}), "schema.pattern", "invalid_schema"),
        // Only what is matched in linear time.
        (json!({"pattern": "(a+)+\\1"}), "schema.pattern", "invalid_schema"),
        (json!({"pattern": "(?=a)b"}), "schema.pattern", "invalid_schema"),
        (json!({"pattern": "((a{1000}){1000}){1000}"}), "schema.pattern", "invalid_schema"),
        (json!({"$schema": "https://example.com/own"}), "schema.$schema", "unknown_value"),
        (json!({"$schema": 7}), "schema.$schema", "unknown_value"),
        (json!({"$ref": "https://example.com/elsewhere"}), "schema.$ref", "unsupported"),
        (json!({"$ref": "file:///etc/passwd"}), "schema.$ref", "unsupported"),
        (json!({"$ref": "#/nowhere"}), "schema.$ref", "unsupported"),
        (json!({"items": [{"$dynamicRef": "#x"}]}), "schema.items.0.$dynamicRef", "unsupported"),
        (json!({"items": {"$id": "https://example.com/other"}}), "schema.items.$id", "unsupported"),
        (json!({"items": {"id": "https://example.com/other"}}), "schema.items.id", "unsupported"),
        (json!({"items": {"$schema": draft_7}}), "schema.items.$schema", "unsupported"),
    ];
    for (schema, place, code) in bad {
        let faults = check_schema(&schema);
        assert!(faults.iter().any(|fault| (fault.field.as_str(), fault.code) == (place, code)), "{schema}: {faults:?}");
    }
    let two = check_schema(&json!({"type": 1, "properties": {"a": {"required": 1}}}));
    assert_eq!(places(&two), BTreeSet::from(["schema.type", "schema.properties.a.required"]), "{two:?}");
    let many: Map<String, Value> = (0..101).map(|at| (at.to_string(), json!({"pattern": "a"}))).collect();
    assert_eq!(check_schema(&json!({"properties": many}))[0].code, "too_many");
}

/// A schema of a chain of definitions, each of which refers to the next one by `link`.
fn chain(length: usize, link: impl Fn(Value) -> Value) -> Value {
    let next = |at: usize| json!({"$ref": format!("#/$defs/d{}", at + 1)});
    let mut definitions: Map<String, Value> = (0..length).map(|at| (format!("d{at}"), link(next(at)))).collect();
    definitions.insert(format!("d{length}"), json!({"type": "string"}));
    json!({"$defs": definitions, "$ref": "#/$defs/d0"})
}

#[test]
fn a_hostile_schema_costs_little_and_harms_nothing() {
    let mut nested = json!({});
    for _ in 0..30 {
        nested = json!({"allOf": [nested], "unevaluatedProperties": true});
    }
    let deep = (0..40).fold(json!(1), |inner, _| json!({"a": inner}));
    let wide = json!({"list": (0..15_000).map(|_| 1).collect::<Vec<_>>()});
    let checks: Vec<Value> = (0..2_000).map(|_| json!({"minimum": 5})).collect();
    let evil = json!({"a": "a".repeat(60_000)});
    let patterns: Vec<Value> = (0..100).map(|at| json!({"pattern": format!("^(a|aa)+{at}$")})).collect();
    // What it comes to: the settings are held against it, or that is refused, or the settings break it.
    let cases = [
        ("doubling in place", chain(40, |next| json!({"allOf": [next, next]})), json!({}), "too_complex"),
        ("doubling by a choice", chain(40, |next| json!({"oneOf": [next, next]})), json!({}), "too_complex"),
        (
            "doubling by places",
            chain(40, |next| json!({"properties": {"a": next, "b": next}})),
            deep.clone(),
            "schema_violation",
        ),
        ("itself", json!({"$ref": "#"}), json!({}), "too_complex"),
        ("itself by another", chain(1, |_| json!({"$ref": "#"})), json!({}), "too_complex"),
        ("itself twice", json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}), json!({}), "too_complex"),
        (
            "itself twice below",
            json!({"additionalProperties": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}),
            deep,
            "too_complex",
        ),
        ("what is left over, and over", nested, json!({"a": 1}), "too_complex"),
        ("many at many", json!({"properties": {"list": {"items": {"allOf": checks}}}}), wide, "too_complex"),
        ("patterns", json!({"properties": {"a": {"allOf": patterns}}}), evil, "too_complex"),
        ("a long chain", chain(1_000, |next| next), json!({}), "too_complex"),
        ("a long chain of places", chain(1_000, |next| json!({"properties": {"a": next}})), json!({}), ""),
    ];
    for (what, schema, sent, code) in cases {
        assert_eq!(check_schema(&schema), [], "{what}");
        let faults = check(&settings(sent), &schema);
        assert_eq!(faults.first().map_or("", |fault| fault.code), code, "{what}");
        assert!(faults.len() <= FIELD_ERROR_LIMIT && faults.iter().all(|fault| fault.detail.len() < 2_000), "{what}");
    }
}

#[test]
fn settings_and_schemas_have_bounds() {
    assert_eq!(SETTINGS_LIMIT, 65_536);
    let nested = |depth: usize| (1..depth).fold(json!({}), |inner, _| json!({"items": inner}));
    let sized = |length: usize| json!({"a": "x".repeat(length - r#"{"a":""}"#.len())});
    let body = |settings: Value, schema: Value| json!({"name": "x", "settings": settings, "schema": schema});
    for (settings, schema) in [
        (nested(SETTINGS_DEPTH), nested(SCHEMA_DEPTH)),
        (sized(SETTINGS_LIMIT), json!({"description": "x".repeat(SETTINGS_LIMIT - 18)})),
    ] {
        assert!(new(body(settings, schema)).is_ok());
    }
    let cases = [
        (nested(SETTINGS_DEPTH + 1), json!({}), ("settings", "too_deep")),
        (json!({}), nested(SCHEMA_DEPTH + 1), ("schema", "too_deep")),
        (sized(SETTINGS_LIMIT + 1), json!({}), ("settings", "too_long")),
        (json!({}), sized(SETTINGS_LIMIT + 1), ("schema", "too_long")),
        (json!([]), json!({}), ("settings", "wrong_type")),
        (json!(null), json!({}), ("settings", "missing")),
        (json!({}), json!([]), ("schema", "wrong_type")),
    ];
    for (settings, schema, (field, code)) in cases {
        assert_eq!(faults_of(new(body(settings, schema))), [(field.to_owned(), code)]);
    }
    let long = "\u{FDFA}".repeat(64);
    assert_eq!(faults_of(new(json!({"name": long, "settings": {}}))), [("name".to_owned(), "too_long")]);
}

#[test]
fn patterns_are_counted_however_they_stand() {
    let patterns =
        |count: usize| -> Map<String, Value> { (0..count).map(|at| (format!("a{at}"), json!({}))).collect() };
    let all: Vec<Value> = (0..2).map(|_| json!({"patternProperties": patterns(50)})).collect();
    assert_eq!(check_schema(&json!({"allOf": all})), []);
    let more = json!({"allOf": all, "pattern": "a"});
    assert_eq!(check_schema(&more)[0].code, "too_many", "the hundred and first");
}

#[test]
fn what_a_schema_asks_of_settings_is_counted_by_what_it_looks_at() {
    let many = |count: usize| -> Map<String, Value> { (0..count).map(|at| (format!("n{at}"), json!(1))).collect() };
    let times = |count: usize, schema: &Value| json!({"allOf": vec![schema; count]});
    let told = |schema: &Value, sent: Map<String, Value>| check(&sent, schema).first().map(|fault| fault.code);
    let whole = json!(many(1_000));
    // Each costs about as much as the settings, or as the keyword itself, is large: once it is fine, so often too much.
    for (schema, sent) in [
        (json!({"patternProperties": {"^x": {"maximum": 3}}}), many(1_000)),
        (json!({"patternProperties": {"^x": true}}), settings(json!({"n".repeat(5_000): 1}))),
        (json!({"dependentSchemas": {"n0": {"additionalProperties": {"maximum": 3}}}}), many(1_000)),
        (json!({"dependencies": {"n0": {"additionalProperties": {"maximum": 3}}}}), many(1_000)),
        (json!({"const": whole}), many(1_000)),
        (json!({"enum": [whole]}), many(1_000)),
        (json!({"propertyNames": {"maxLength": 9}}), many(1_000)),
        (json!({"required": many(1_000).keys().collect::<Vec<_>>()}), many(1_000)),
    ] {
        assert_eq!(told(&times(1, &schema), sent.clone()), None, "{schema:.60}");
        assert_eq!(told(&times(250, &schema), sent), Some("too_complex"), "{schema:.60}");
    }
    // A pattern is held against each name, letter by letter and once at its end, before what it names is looked at.
    let short: Map<String, Value> =
        (10..110).map(|n| (format!("{n:x}"), json!(1))).filter(|(n, _)| n.len() == 2).collect();
    let patterns = json!({"patternProperties": {"^z": true}});
    assert_eq!((short.len(), told(&times(650, &patterns), short.clone())), (94, None));
    assert_eq!(told(&times(680, &patterns), short), Some("too_complex"));
    let unique = json!({"properties": {"list": {"uniqueItems": true}}});
    let sent = || settings(json!({"list": (0..1_000).collect::<Vec<_>>()}));
    assert_eq!((told(&times(1, &unique), sent()), told(&times(250, &unique), sent())), (None, Some("too_complex")));
}

#[test]
fn what_cannot_be_read_is_not_held_against_the_rest() {
    let made = create(&workspace(), named("first"), id(1), &context(1));
    let edit =
        |body: Value| faults_of(update(&made.workspace, &made.profile, &ProfileEdit::read(fields(body)), &context(2)));
    let strict = json!({"required": ["host"]});
    assert_eq!(edit(json!({"settings": [], "schema": strict})), [("settings".to_owned(), "wrong_type")]);
    assert_eq!(edit(json!({"settings": {}, "schema": 7})), [("schema".to_owned(), "wrong_type")]);
    assert_eq!(edit(json!({"settings": {}, "schema": strict})), [("settings".to_owned(), "schema_violation")]);
    let nested = |depth: usize| json!({"list": (1..depth).fold(json!(1), |inner, _| json!([inner]))});
    assert!(new(json!({"name": "x", "settings": nested(SETTINGS_DEPTH)})).is_ok());
    let deep = new(json!({"name": "x", "settings": nested(SETTINGS_DEPTH + 1)}));
    assert_eq!(faults_of(deep), [("settings".to_owned(), "too_deep")]);
    let wide = json!({"list": [[1], [[1]], {"a": [1]}, []]});
    assert!(new(json!({"name": "x", "settings": wide})).is_ok());
    // Each of these signs stands for 33 bytes of letters.
    let long = |rest: &str| new(json!({"name": format!("{}{rest}", "\u{FDFA}".repeat(31)), "settings": {}}));
    assert!(long("a").is_ok());
    assert_eq!(faults_of(long("ab")), [("name".to_owned(), "too_long")]);
}

#[test]
fn a_schema_is_followed_so_deep_and_no_deeper() {
    let told = |length| check(&Map::new(), &chain(length, |next| next)).first().map(|fault| fault.code);
    let deepest = (0..1_000).take_while(|length| told(*length) != Some("too_complex")).count();
    assert_eq!(deepest, 128);
}
