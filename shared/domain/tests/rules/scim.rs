//! SCIM: filters, paths, patches, and what they change of a user.

use domain::error::ScimType;
use domain::input::FIELD_ERROR_LIMIT;
use domain::models::event::EventType;
use domain::models::provenance::Field;
use domain::models::restriction::Restriction;
use domain::models::user::{Source, User};
use domain::rules::lifecycle;
use domain::rules::provenance::require_no_source;
use domain::rules::scim::change::{
    CreatedScimUser, DEACTIVATION_REASON, NewScimUser, ScimUserEdit, create, is_renamed, update,
};
use domain::rules::scim::document::{ATTRIBUTES_LIMIT, Document, ScimUserRecord};
use domain::rules::scim::filter::{FILTER_LIMIT, Filter, UniqueKey};
use domain::rules::scim::list::{PAGE_SIZE_LIMIT, Query};
use domain::rules::scim::patch::{OPERATIONS_LIMIT, apply};
use domain::rules::scim::path::PatchPath;
use domain::rules::scim::schema::{
    ENTERPRISE, LIST_RESPONSE, PROVIDER_CONFIG, USER, list_response, provider_config, resource_types, schemas,
};
use domain::states::UserStatus;
use domain::{CommandId, DomainError, UserId};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::common::{context, faults, fields, user};

const BASE: &str = "https://phones.example/scim/v2";

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("an object, not {other}"),
    }
}

fn document(value: Value) -> Document {
    Document::read(&object(value)).unwrap()
}

/// A resource with most kinds of attributes, after the example in RFC 7643, 8.3.
fn barbara() -> Value {
    json!({
        "schemas": [USER, ENTERPRISE],
        "userName": "bjensen",
        "externalId": "00u1",
        "name": {"givenName": "Barbara", "familyName": "Jensen", "middleName": "Jane"},
        "displayName": "Babs Jensen",
        "active": true,
        "emails": [
            {"value": "babs@home.example", "type": "home"},
            {"value": "bjensen@example.com", "type": "work", "primary": true},
        ],
        "phoneNumbers": [
            {"value": "tel:+1-201-555-0123", "type": "mobile"},
            {"value": "555-0199", "type": "work"},
        ],
        "addresses": [{"type": "work", "streetAddress": "100 Universal City Plaza", "locality": "Hollywood"}],
        ENTERPRISE: {"department": "Tour Operations", "manager": {"value": "26118915"}},
    })
}

fn create_user(body: Value) -> CreatedScimUser {
    create(NewScimUser::read(&document(body)).unwrap(), UserId(Uuid::from_u128(5)), &context(0)).unwrap()
}

fn create_record(body: Value) -> ScimUserRecord {
    create_user(body).record
}

/// A record after a patch, and the types of its events.
fn patch_record(record: &ScimUserRecord, operations: &Value) -> (ScimUserRecord, Vec<EventType>) {
    let before = Document::from_record(record);
    let id = record.user.user_id.to_string();
    apply_document(record, &apply(&before, &id, &object(json!({"Operations": operations}))).unwrap())
}

fn apply_document(record: &ScimUserRecord, after: &Document) -> (ScimUserRecord, Vec<EventType>) {
    let expected = ScimUserEdit::read(&Document::from_record(record), after).unwrap();
    match update(record, &[], &expected, &|| CommandId(Uuid::from_u128(7)), &context(1)).unwrap() {
        None => (record.clone(), Vec::new()),
        Some(updated) => {
            let user = updated.change.user_after().unwrap().clone();
            let types = updated.change.events.iter().map(|event| event.event_type).collect();
            (ScimUserRecord { user, scim_attributes: updated.scim_attributes, updated_at: Some(context(1).at) }, types)
        }
    }
}

fn patch_error(record: &ScimUserRecord, operations: &Value) -> ScimType {
    let before = Document::from_record(record);
    let id = record.user.user_id.to_string();
    match apply(&before, &id, &object(json!({"Operations": operations}))) {
        Err(DomainError::Scim(scim_type, _)) => scim_type,
        Err(DomainError::Invalid(_)) => ScimType::InvalidValue,
        other => panic!("{other:?}"),
    }
}

fn representation(record: &ScimUserRecord) -> Value {
    let all = domain::rules::scim::list::Projection::read(fields(json!({}))).unwrap();
    Document::representation(record, BASE).project(&all)
}

#[test]
fn filters_match_by_operators_types_and_case_rules() {
    let record = create_record(barbara());
    let document = Document::representation(&record, BASE);
    let created = document.values(&attribute_path("meta.created"))[0].as_str().unwrap().to_owned();
    let at_created = format!("meta.created ge \"{created}\" and meta.created le \"{created}\"");
    let holds = [
        r#"userName eq "BJensen""#,
        r#"USERNAME Eq "bjensen""#,
        r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "bj""#,
        r#"name.familyName co "ENS""#,
        r#"name.familyName ew "sen" and name.givenName sw "bar""#,
        r#"externalId eq "00u1""#,
        "active eq true",
        r#"active eq "True""#,
        "not (active eq false)",
        "NOT(active eq false)",
        "title eq null",
        "displayName ne null",
        r#"title ne "x""#,
        "name pr and not (title pr)",
        r#"title pr or userName gt "a" and userName lt "c""#,
        r#"(title pr or userName gt "a") and userName le "bjensen""#,
        r#"emails eq "bjensen@example.com""#,
        r#"emails.value sw "babs@""#,
        r#"emails[type eq "work" and value co "@example.com"]"#,
        r#"emails[type eq "home" and not (primary eq true)]"#,
        r#"emails.type eq "home" and emails[primary eq true]"#,
        r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "tour operations""#,
        r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "26118915""#,
        r#"nothingOfTheKind ne "x""#,
        r#"displayName eq "Babs\u0020Jensen""#,
        at_created.as_str(),
        r#"meta.created eq "2026-11-23T09:00:00+01:00""#,
        r#"meta.resourceType eq "User""#,
        r#"meta.location ew "/Users/00000000-0000-0000-0000-000000000005""#,
        r#"meta.version eq "W/\"1\"""#,
        r#"schemas eq "urn:ietf:params:scim:schemas:core:2.0:User""#,
        r#"meta.created gt "2020-01-01T00:00:00+02:00""#,
        r#"meta.lastModified gt "2020-01-01T00:00:00Z" and not (meta.lastModified gt "2100-01-01T00:00:00Z")"#,
    ];
    for filter in holds {
        assert!(Filter::parse(filter).unwrap().matches(&document), "{filter}");
    }
    let does_not = [
        r#"userName eq "bjense""#,
        // Case-exact attributes.
        r#"externalId eq "00U1""#,
        r#"meta.resourceType eq "user""#,
        r#"meta.location ew "/users/00000000-0000-0000-0000-000000000005""#,
        r#"meta.version eq "w/\"1\"""#,
        r#"schemas eq "URN:ietf:params:scim:schemas:core:2.0:User""#,
        r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "X26118915""#,
        "active eq false",
        r#"emails[type eq "home" and primary eq true]"#,
        r#"emails[type eq "work"] and title pr"#,
        r#"title eq "x" or nothingOfTheKind pr"#,
        r#"not (userName sw "b")"#,
        r#"password eq "secret""#,
        r#"meta.created lt "2020-01-01T00:00:00Z""#,
    ];
    for filter in does_not {
        assert!(!Filter::parse(filter).unwrap().matches(&document), "{filter}");
    }
}

fn attribute_path(name: &str) -> domain::rules::scim::path::AttributePath {
    match PatchPath::parse(name).unwrap() {
        PatchPath::Attribute(target, None) => target,
        other => panic!("{other:?}"),
    }
}

#[test]
fn usernames_ignore_case_and_width_and_other_strings_ignore_case_only() {
    let body = json!({"userName": "Jos\u{e9}.Pe\u{f1}a", "displayName": "Jos\u{e9}", "emails": [{"value": "Jose@Example.com"}]});
    let document = Document::representation(&create_record(body), BASE);
    for (filter, holds) in [
        ("userName eq \"JOS\u{c9}.PE\u{d1}A\"", true),
        ("userName eq \"jose\u{301}.pen\u{303}a\"", true),
        ("userName eq \"\u{ff2a}os\u{e9}.pe\u{f1}a\"", true),
        ("userName eq \"jose.pena\"", false),
        ("userName sw \"JOS\u{c9}\"", true),
        ("userName sw \"jose\"", false),
        ("userName ne \"jose.pena\"", true),
        ("displayName eq \"JOS\u{c9}\"", true),
        ("displayName eq \"jose\"", false),
        ("displayName eq \"JOSE\u{301}\"", false),
        ("emails.value eq \"jose@example.COM\"", true),
    ] {
        assert_eq!(Filter::parse(filter).unwrap().matches(&document), holds, "{filter}");
    }
}

#[test]
fn invalid_filters_are_refused() {
    let deep = format!("{}active eq true{}", "(".repeat(17), ")".repeat(17));
    let long = format!("userName eq \"{}\"", "x".repeat(FILTER_LIMIT));
    let filters = [
        "",
        "userName",
        "userName eq",
        "userName is \"x\"",
        "userName eq x",
        "userName eq \"x",
        "userName eq \"x\" and",
        "userName eq \"x\" userName eq \"y\"",
        "(userName eq \"x\"",
        "userName eq \"x\")",
        "not userName pr",
        "emails[type eq \"work\"",
        "emails[]",
        "emails[emails[type pr]]",
        "emails.value[type pr]",
        "userName[value pr]",
        "active gt true",
        "active eq \"yes\"",
        "userName gt null",
        "userName eq 5",
        "userName eq true",
        "meta.created co \"2026\"",
        "meta.created gt \"yesterday\"",
        "name eq \"x\"",
        "pr",
        "eq eq eq",
        deep.as_str(),
        long.as_str(),
    ];
    for filter in filters {
        assert!(matches!(Filter::parse(filter), Err(DomainError::Scim(ScimType::InvalidFilter, _))), "{filter}");
    }
}

#[test]
fn a_filter_that_requires_a_unique_attribute_gives_its_key() {
    let only = |filter: &str| Filter::parse(filter).unwrap().unique_key();
    assert_eq!(only(r#"userName eq "Ada""#), Some(UniqueKey::Username("Ada".to_owned())));
    assert_eq!(only(r#"active eq true and externalId eq "1""#), Some(UniqueKey::ExternalId("1".to_owned())));
    assert_eq!(only(r#"(id eq "1") and (active eq true)"#), Some(UniqueKey::Id("1".to_owned())));
    for filter in [r#"userName sw "a""#, r#"userName eq "a" or active eq true"#, r#"not (userName eq "a")"#, "id pr"] {
        assert_eq!(only(filter), None, "{filter}");
    }
}

#[test]
fn a_created_user_is_returned_as_sent_and_sets_the_fields_of_handsets_user() {
    let CreatedScimUser { record, change } = create_user(barbara());
    let user = &record.user;
    assert_eq!((user.source, user.status()), (Source::Scim, UserStatus::Inactive));
    assert_eq!(user.username, "bjensen");
    assert_eq!((user.first_name.as_deref(), user.last_name.as_deref()), (Some("Barbara"), Some("Jensen")));
    assert_eq!(user.email.as_deref(), Some("bjensen@example.com"));
    assert_eq!((user.mobile.as_deref(), user.number.as_deref()), (Some("+12015550123"), Some("555-0199")));
    assert_eq!(user.provenance.external_id.as_deref(), Some("00u1"));
    assert_eq!((change.events.len(), change.user_after()), (1, Some(user)));
    let mut expected = barbara();
    expected["id"] = json!(user.user_id);
    expected["meta"] = json!({
        "resourceType": "User",
        "created": user.created_at,
        "lastModified": user.created_at,
        "location": format!("{BASE}/Users/{}", user.user_id),
        "version": "W/\"1\"",
    });
    assert_eq!(representation(&record), expected);
}

#[test]
fn unknown_and_read_only_attributes_are_ignored_and_a_password_is_never_stored() {
    let record = create_record(json!({
        "schemas": [USER, "urn:example:custom:2.0:User"],
        "id": "x", "meta": {"version": "x"}, "groups": [{"value": "g"}], "unknown": {"a": [1]},
        "username": "ada", "PASSWORD": "s3cret", "nickName": "", "title": null, "roles": [],
        "urn:example:custom:2.0:User": {"badge": "17"},
        ENTERPRISE: {"badge": "17", "manager": "26118915"},
        "roles": ["admin"], "emails": {"value": "ada@example.com"},
    }));
    assert_eq!(record.user.username, "ada");
    let attributes = Value::Object(record.scim_attributes.unwrap().attributes);
    let expected = json!({
        ENTERPRISE: {"manager": {"value": "26118915"}},
        "roles": [{"value": "admin"}],
        "emails": [{"value": "ada@example.com"}],
    });
    assert_eq!(attributes, expected);
}

#[test]
fn every_field_error_of_a_user_is_reported() {
    let errors = |body: Value| match Document::read(&object(body)) {
        Ok(document) => faults(NewScimUser::read(&document)),
        Err(found) => crate::common::named(&found),
    };
    assert_eq!(errors(json!({"active": true})), [("userName".to_owned(), "missing")]);
    let wrong = errors(json!({
        "userName": "a b", "externalId": "x".repeat(257), "name": {"givenName": "x".repeat(65)},
        "emails": [{"value": "nobody"}],
    }));
    let names: Vec<&str> = wrong.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["userName", "name.givenName", "emails.value", "externalId"]);
    let kinds = errors(json!({
        "userName": 5, "active": "perhaps", "name": "Ada", "title": "a\u{0}b", "emails": [{"value": 1}, {"primary": 2}],
        "addresses": ["x", {"type": "work"}], ENTERPRISE: "x",
    }));
    assert!(kinds.iter().all(|(_, code)| ["wrong_type", "control_character"].contains(code)), "{kinds:?}");
    let names: Vec<&str> = kinds.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["active", "addresses.0", "emails.0.value", "emails.1.primary", "name", "title", ENTERPRISE, "userName"];
    assert_eq!(names, expected);
    let two = json!([{"value": "a@b.cd", "primary": true}, {"value": "c@b.cd", "primary": true}]);
    assert_eq!(errors(json!({"userName": "a", "emails": two})), [("emails".to_owned(), "repeated")]);
    let many: Vec<Value> = (0..101).map(|n| json!({"value": n.to_string()})).collect();
    assert_eq!(errors(json!({"userName": "a", "roles": many})), [("roles".to_owned(), "too_many")]);
    let large: Vec<Value> = (0..9).map(|n| json!({"value": n.to_string().repeat(4000)})).collect();
    assert!(json!(large).to_string().len() > ATTRIBUTES_LIMIT);
    assert_eq!(errors(json!({"userName": "a", "roles": large})), [(String::new(), "too_long")]);
}

#[test]
fn a_phone_number_that_handset_cannot_use_is_only_stored() {
    let phones = json!([{"value": "(201) 555-0123", "type": "mobile"}, {"value": "ext. 5", "type": "work"}]);
    let record = create_record(json!({"userName": "ada", "phoneNumbers": phones}));
    assert_eq!((&record.user.mobile, &record.user.number), (&None, &None));
    assert_eq!(representation(&record)["phoneNumbers"], phones);
}

#[test]
fn operations_add_replace_and_remove_attributes() {
    let cases: &[(Value, &str, Value)] = &[
        (json!({"op": "Replace", "path": "userName", "value": "babs"}), "/userName", json!("babs")),
        (json!({"op": "add", "path": "TITLE", "value": "Guide"}), "/title", json!("Guide")),
        (json!({"op": "replace", "path": "displayName", "value": null}), "/displayName", Value::Null),
        (json!({"op": "replace", "path": "displayName", "value": ""}), "/displayName", Value::Null),
        (json!({"op": "remove", "path": "displayName"}), "/displayName", Value::Null),
        (json!({"op": "remove", "path": "externalId"}), "/externalId", Value::Null),
        (json!({"op": "replace", "path": "name.givenName", "value": "Bea"}), "/name/givenName", json!("Bea")),
        (json!({"op": "remove", "path": "name.familyName"}), "/name/familyName", Value::Null),
        // Sub-attributes that are not named stay.
        (
            json!({"op": "replace", "path": "name", "value": {"familyName": "Adler"}}),
            "/name",
            json!({"givenName": "Barbara", "familyName": "Adler", "middleName": "Jane"}),
        ),
        (json!({"op": "remove", "path": "name"}), "/name", Value::Null),
        (
            json!({"op": "replace", "path": format!("{ENTERPRISE}:department"), "value": "Sales"}),
            "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/department",
            json!("Sales"),
        ),
        // A manager as a plain string replaces the whole manager.
        (
            json!({"op": "Add", "path": format!("{ENTERPRISE}:manager"), "value": "4711"}),
            "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/manager",
            json!({"value": "4711"}),
        ),
        (
            json!({"op": "Remove", "path": format!("{ENTERPRISE}:manager")}),
            "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/manager",
            Value::Null,
        ),
        (
            json!({"op": "remove", "path": ENTERPRISE}),
            "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
            Value::Null,
        ),
        (
            json!({"op": "add", "value": {"nickName": "Babs", "name.honorificPrefix": "Ms.", "schemas": [], "custom": 1}}),
            "/nickName",
            json!("Babs"),
        ),
        (
            json!({"op": "replace", "value": {ENTERPRISE: {"division": "East"}}}),
            "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/division",
            json!("East"),
        ),
        (
            json!({"op": "replace", "value": {"emails[type eq \"work\"].value": "b@example.com"}}),
            "/emails/1/value",
            json!("b@example.com"),
        ),
        (
            json!({"op": "replace", "path": "emails[type eq \"work\"].value", "value": "b@example.com"}),
            "/emails/1/value",
            json!("b@example.com"),
        ),
        // Adding by a filter that matches no value creates one that matches.
        (
            json!({"op": "Add", "path": "emails[type eq \"other\"].value", "value": "o@example.com"}),
            "/emails/2",
            json!({"type": "other", "value": "o@example.com"}),
        ),
        (
            json!({"op": "add", "path": "phoneNumbers", "value": [{"value": "1", "type": "fax"}]}),
            "/phoneNumbers/2/value",
            json!("1"),
        ),
        (json!({"op": "replace", "path": "roles", "value": [{"value": "admin"}]}), "/roles/0/value", json!("admin")),
        (json!({"op": "remove", "path": "emails[type eq \"home\"]"}), "/emails/0/type", json!("work")),
        (json!({"op": "remove", "path": "addresses[type eq \"work\"].locality"}), "/addresses/0/locality", Value::Null),
        (json!({"op": "remove", "path": "addresses"}), "/addresses", Value::Null),
        // A new primary value demotes the former one.
        (
            json!({"op": "replace", "path": "emails[type eq \"home\"].primary", "value": "True"}),
            "/emails/1/primary",
            json!(false),
        ),
        (
            json!({"op": "replace", "path": "addresses[type eq \"work\"]", "value": {"country": "US"}}),
            "/addresses/0",
            json!({"country": "US"}),
        ),
        // Unknown schemas are ignored.
        (
            json!({"op": "add", "path": "urn:example:custom:2.0:User:badge", "value": "1"}),
            "/userName",
            json!("bjensen"),
        ),
        (json!({"op": "add", "path": "password", "value": "s3cret"}), "/password", Value::Null),
    ];
    for (operation, pointer, expected) in cases {
        let (after, _) = patch_record(&create_record(barbara()), &json!([operation]));
        let resource = representation(&after);
        assert_eq!(resource.pointer(pointer).unwrap_or(&Value::Null), expected, "{operation}");
        assert!(!resource.to_string().contains("s3cret"));
    }
}

/// The name after it is patched to `value`, once for each form of the operation.
fn names_after_patch(value: &Value) -> Vec<Value> {
    let mut names = Vec::new();
    for op in ["add", "Replace"] {
        for operation in
            [json!({"op": op, "path": "name", "value": value}), json!({"op": op, "value": {"name": value}})]
        {
            let (after, _) = patch_record(&create_record(barbara()), &json!([operation]));
            let name = representation(&after).get("name").cloned().unwrap_or_default();
            let own = [after.user.first_name, after.user.last_name];
            assert_eq!(json!(own), json!([name["givenName"], name["familyName"]]), "{operation}");
            names.push(name);
        }
    }
    names
}

#[test]
fn an_object_changes_only_the_sub_attributes_that_it_names() {
    let all = json!({"givenName": "Barbara", "familyName": "Jensen", "middleName": "Jane"});
    let without_middle = json!({"givenName": "Barbara", "familyName": "Jensen"});
    let cases = [
        (json!({"middleName": null}), without_middle.clone()),
        (json!({"MIDDLENAME": ""}), without_middle),
        (json!({"givenName": null, "familyName": "Q"}), json!({"familyName": "Q", "middleName": "Jane"})),
        (json!({}), all.clone()),
        (json!({"value": "x"}), all),
        (json!({"givenName": null, "familyName": "", "middleName": null}), Value::Null),
        (Value::Null, Value::Null),
    ];
    for (value, expected) in cases {
        assert_eq!(names_after_patch(&value), vec![expected; 4], "{value}");
    }
    let both = json!({"department": "Tour Operations", "manager": {"value": "26118915"}});
    let cases = [
        (json!({"department": null}), json!({"manager": {"value": "26118915"}})),
        (json!({"manager": {"value": ""}}), json!({"department": "Tour Operations"})),
        (json!({"manager": null}), json!({"department": "Tour Operations"})),
        (
            json!({"manager": {"displayName": "Ada"}}),
            json!({"department": "Tour Operations", "manager": {"value": "26118915", "displayName": "Ada"}}),
        ),
        (json!({"manager": {}}), both.clone()),
        (json!({}), both),
        (Value::Null, Value::Null),
    ];
    for (value, expected) in cases {
        for operation in [
            json!({"op": "replace", "path": ENTERPRISE, "value": value}),
            json!({"op": "add", "value": {ENTERPRISE: value}}),
        ] {
            let (after, _) = patch_record(&create_record(barbara()), &json!([operation]));
            assert_eq!(representation(&after).get(ENTERPRISE).unwrap_or(&Value::Null), &expected, "{operation}");
        }
    }
}

#[test]
fn a_value_of_a_multi_valued_attribute_loses_only_the_emptied_sub_attributes() {
    let work = json!({"type": "work", "streetAddress": "100 Universal City Plaza", "locality": "Hollywood"});
    let elsewhere = json!({"type": "work", "streetAddress": "100 Universal City Plaza"});
    let abroad = json!({"type": "work", "streetAddress": "100 Universal City Plaza", "country": "US"});
    let at_work = "addresses[type eq \"work\"]";
    let cases = [
        ("add", at_work, json!({}), json!([work])),
        ("add", at_work, json!([{}]), json!([work])),
        ("replace", at_work, json!({}), json!([work])),
        ("add", at_work, json!({"unknown": "x"}), json!([work])),
        ("add", at_work, json!({"locality": ""}), json!([elsewhere])),
        ("replace", at_work, json!({"locality": null}), json!([elsewhere])),
        ("add", at_work, json!({"locality": null, "country": "US"}), json!([abroad])),
        ("replace", at_work, Value::Null, Value::Null),
        ("replace", "addresses", json!({}), json!([work])),
        ("add", "addresses", json!({}), json!([work])),
        ("replace", "addresses", json!([]), Value::Null),
        ("replace", "addresses", Value::Null, Value::Null),
        // A value without content is not created.
        ("add", "addresses[type eq \"home\"]", json!({}), json!([work])),
        ("add", "addresses[type eq \"home\"]", json!({"country": ""}), json!([work])),
        ("add", "addresses[type eq \"home\"].country", json!(""), json!([work])),
    ];
    for (op, path, value, expected) in cases {
        let operation = json!({"op": op, "path": path, "value": value});
        let (after, _) = patch_record(&create_record(barbara()), &json!([operation]));
        assert_eq!(representation(&after).get("addresses").unwrap_or(&Value::Null), &expected, "{operation}");
    }
    let (after, _) = patch_record(
        &create_record(barbara()),
        &json!([{"op": "add", "path": "emails[type eq \"work\"]", "value": {"display": ""}}]),
    );
    assert_eq!(representation(&after)["emails"], barbara()["emails"]);
}

#[test]
fn a_simple_value_for_a_complex_attribute_is_a_field_error() {
    let manager = format!("{ENTERPRISE}:manager");
    let cases = [
        ("name", json!("x"), "name"),
        ("name", json!(""), "name"),
        ("name", json!(5), "name"),
        ("name", json!(["x"]), "name"),
        ("addresses", json!(["x"]), "addresses.0"),
        ("addresses", json!("x"), "addresses.0"),
        ("addresses[type eq \"work\"]", json!("x"), "addresses"),
        (ENTERPRISE, json!("x"), ENTERPRISE),
        (manager.as_str(), json!(5), manager.as_str()),
    ];
    let before = Document::from_record(&create_record(barbara()));
    for (path, value, field) in cases {
        for operation in
            [json!({"op": "replace", "path": path, "value": value}), json!({"op": "add", "value": {path: value}})]
        {
            let found = faults(apply(&before, "x", &object(json!({"Operations": [operation]}))));
            assert_eq!(found, [(field.to_owned(), "wrong_type")], "{operation}");
        }
    }
}

fn email_of(body: Value) -> Option<String> {
    create_record(body).user.email
}

#[test]
fn entries_without_a_value_are_ignored_whatever_their_other_sub_attributes() {
    let home = json!({"type": "home", "value": "h@example.com"});
    let nothing = [
        json!({"type": "work", "primary": true, "value": ""}),
        json!({"type": "work", "primary": true, "value": null}),
        json!({"type": "work", "primary": true, "value": " \u{a0}\u{200b}"}),
        json!({"type": "work", "primary": true}),
        json!({"type": "work", "primary": true, "display": "Ada"}),
        json!({"primary": "True"}),
        Value::Null,
        json!(""),
    ];
    for empty in &nothing {
        for emails in [json!([empty, home]), json!([home, empty]), json!([empty, home, empty])] {
            let made = create_record(json!({"userName": "ada", "emails": emails}));
            assert_eq!(made.user.email.as_deref(), Some("h@example.com"), "{emails}");
            assert_eq!(representation(&made)["emails"], json!([home]), "{emails}");
            // PUT and PATCH as well.
            let (put, _) =
                apply_document(&create_record(barbara()), &document(json!({"userName": "bjensen", "emails": emails})));
            assert_eq!(
                (put.user.email.as_deref(), &representation(&put)["emails"]),
                (Some("h@example.com"), &json!([home]))
            );
            for op in ["add", "replace"] {
                let before = create_record(json!({"userName": "ada"}));
                let (after, _) = patch_record(&before, &json!([{"op": op, "path": "emails", "value": emails}]));
                assert_eq!(representation(&after)["emails"], json!([home]), "{op} {emails}");
                let (after, _) = patch_record(&before, &json!([{"op": op, "value": {"emails": emails}}]));
                assert_eq!(after.user.email.as_deref(), Some("h@example.com"), "{op} {emails}");
            }
        }
        assert_eq!(email_of(json!({"userName": "ada", "emails": [empty]})), None);
    }
    // Of two primary values, one without an address does not count.
    let two = json!([{"value": "", "primary": true}, {"value": "a@b.cd"}, {"value": "c@b.cd", "primary": true}]);
    assert_eq!(email_of(json!({"userName": "ada", "emails": two})).as_deref(), Some("c@b.cd"));
    // Every multi-valued attribute.
    let all = create_record(json!({
        "userName": "ada",
        "phoneNumbers": [{"type": "mobile", "value": ""}, {"type": "mobile", "value": "+49 170 1234567"}, {"type": "work"},
            {"type": "work", "value": "4711"}],
        "addresses": [{"type": "work", "primary": true, "country": ""}, {"type": "home", "country": "DE"}],
        "roles": [{"primary": true, "display": "x"}, {"value": "admin"}],
        "entitlements": [{"value": null, "type": "x"}],
    }));
    assert_eq!((all.user.mobile.as_deref(), all.user.number.as_deref()), (Some("+491701234567"), Some("4711")));
    let view = representation(&all);
    assert_eq!(
        (&view["addresses"], &view["roles"]),
        (&json!([{"type": "home", "country": "DE"}]), &json!([{"value": "admin"}]))
    );
    assert_eq!((view["phoneNumbers"].as_array().unwrap().len(), view.get("entitlements")), (2, None));
}

#[test]
fn an_address_emptied_by_a_path_is_removed_and_the_next_one_is_used() {
    let operations = [
        json!([{"op": "Remove", "path": "emails[type eq \"work\"].value"}]),
        json!([{"op": "Replace", "path": "emails[type eq \"work\"].value", "value": ""}]),
        json!([{"op": "Replace", "path": "emails[type eq \"work\"].value", "value": null}]),
        json!([{"op": "Replace", "value": {"emails[type eq \"work\"].value": ""}}]),
    ];
    for operations in operations {
        let (after, _) = patch_record(&create_record(barbara()), &operations);
        assert_eq!(after.user.email.as_deref(), Some("babs@home.example"), "{operations}");
        assert_eq!(representation(&after)["emails"], json!([{"value": "babs@home.example", "type": "home"}]));
        let (anew, _) = patch_record(
            &after,
            &json!([{"op": "Add", "path": "emails[type eq \"work\"].value", "value": "new@example.com"}]),
        );
        assert_eq!(anew.user.email.as_deref(), Some("new@example.com"));
    }
    // A later operation of the same patch may add the missing value.
    let both = json!([
        {"op": "Add", "path": "emails[type eq \"other\"].primary", "value": "True"},
        {"op": "Add", "path": "emails[type eq \"other\"].value", "value": "o@example.com"},
    ]);
    assert_eq!(patch_record(&create_record(barbara()), &both).0.user.email.as_deref(), Some("o@example.com"));
    // Entries without a value that an earlier release has stored are ignored.
    let mut old = create_record(json!({"userName": "ada", "title": "x"}));
    let emails = json!([{"type": "work", "primary": true}, {"type": "home", "value": "h@example.com"}]);
    old.scim_attributes.as_mut().unwrap().attributes.insert("emails".to_owned(), emails);
    old.user.email = Some("h@example.com".to_owned());
    assert_eq!(representation(&old)["emails"], json!([{"type": "home", "value": "h@example.com"}]));
}

#[test]
fn remove_with_a_value_removes_only_that_value() {
    let [home, work] = [0, 1].map(|at| barbara()["emails"][at].clone());
    let plaza = &barbara()["addresses"];
    let by = |path: &str, value: Value| json!({"op": "Remove", "path": path, "value": value});
    let cases = [
        (by("emails", json!([{"value": "babs@home.example"}])), "emails", json!([work])),
        (by("emails", json!({"value": "BABS@home.example"})), "emails", json!([work])),
        (by("emails", json!("babs@home.example")), "emails", json!([work])),
        (by("emails", json!(["babs@home.example"])), "emails", json!([work])),
        (by("emails", json!([home])), "emails", json!([work])),
        (
            by("emails", json!([{"value": "bjensen@example.com", "type": "work", "primary": false}])),
            "emails",
            json!([home]),
        ),
        (by("emails", json!([{"type": "work"}])), "emails", json!([home])),
        (by("emails", json!([{"primary": "True"}])), "emails", json!([home])),
        (by("emails", json!([home, work])), "emails", Value::Null),
        (by("emails", Value::Null), "emails", Value::Null),
        (by("emails.value", json!("babs@home.example")), "emails", json!([work])),
        // Naming an absent value removes nothing.
        (by("emails", json!([{"value": "nobody@example.com"}])), "emails", json!([home, work])),
        (by("emails", json!([{"value": "babs@home.example", "type": "work"}])), "emails", json!([home, work])),
        (by("emails", json!([])), "emails", json!([home, work])),
        (by("emails", json!([{}])), "emails", json!([home, work])),
        (by("emails[type eq \"work\"]", json!([{"value": "babs@home.example"}])), "emails", json!([home, work])),
        (by("emails[type eq \"work\"]", json!([{"value": "bjensen@example.com"}])), "emails", json!([home])),
        (by("phoneNumbers", json!([{"value": "555-0199"}])), "phoneNumbers", json!([barbara()["phoneNumbers"][0]])),
        (by("addresses", json!([{"locality": "hollywood"}])), "addresses", Value::Null),
        (by("addresses", json!([{"locality": "Berlin"}])), "addresses", plaza.clone()),
        (by("addresses", json!([{"country": "US"}])), "addresses", plaza.clone()),
        (by("addresses", json!([{"locality": 5}])), "addresses", plaza.clone()),
        (by("addresses", json!([{"type": "work", "locality": "Berlin"}])), "addresses", plaza.clone()),
        // Single-valued complex attributes, by their sub-attributes.
        (by("name", json!({"middleName": "Jane"})), "name", json!({"givenName": "Barbara", "familyName": "Jensen"})),
        (
            by(ENTERPRISE, json!({"department": "Tour Operations"})),
            ENTERPRISE,
            json!({"manager": {"value": "26118915"}}),
        ),
        (
            by(&format!("{ENTERPRISE}:manager"), json!({"value": "26118915"})),
            ENTERPRISE,
            json!({"department": "Tour Operations"}),
        ),
        (by("title", json!("Guide")), "title", Value::Null),
    ];
    for (operation, name, expected) in cases {
        let (after, _) = patch_record(&create_record(barbara()), &json!([operation]));
        assert_eq!(representation(&after).get(name).unwrap_or(&Value::Null), &expected, "{operation}");
    }
    let manager = format!("{ENTERPRISE}:manager");
    let mut led = barbara();
    led[ENTERPRISE]["manager"]["displayName"] = json!("Ada");
    let (after, _) = patch_record(&create_record(led), &json!([by(&manager, json!({"value": "26118915"}))]));
    assert_eq!(
        representation(&after)[ENTERPRISE],
        json!({"department": "Tour Operations"}),
        "naming the value removes the whole manager"
    );
    let (after, _) =
        patch_record(&create_record(barbara()), &json!([by("emails", json!([{"value": "bjensen@example.com"}]))]));
    assert_eq!(after.user.email.as_deref(), Some("babs@home.example"));
}

#[test]
fn two_phone_numbers_in_one_value_are_refused_and_a_trunk_zero_is_dropped() {
    let phones = |mobile: &str| json!({"userName": "ada", "phoneNumbers": [{"type": "mobile", "value": mobile}]});
    assert_eq!(create_record(phones("tel:+49-(0)170-1234567")).user.mobile.as_deref(), Some("+491701234567"));
    for several in
        ["+49 170 1234567 / +49 171 7654321", "+49 170 1234567, 0171 7654321", "+49 170 1234567\n+49 171 7654321"]
    {
        let expected = [("phoneNumbers.value".to_owned(), "invalid_format")];
        assert_eq!(faults(NewScimUser::read(&document(phones(several)))), expected, "{several}");
        let before = Document::from_record(&create_record(phones("+49 170 1234567")));
        assert_eq!(faults(ScimUserEdit::read(&before, &document(phones(several)))), expected);
    }
    // A stored value is not checked again.
    let before = document(phones("+49 170 1234567 / +49 171 7654321"));
    assert!(ScimUserEdit::read(&before, &before).is_ok());
}

#[test]
fn removing_an_absent_value_does_not_stop_the_other_operations() {
    let record = create_record(barbara());
    for path in ["emails[type eq \"fax\"]", "emails[type eq \"fax\"].value", "phoneNumbers[type eq \"fax\"].value"] {
        let both = json!([{"op": "Remove", "path": path}, {"op": "Replace", "path": "title", "value": "Left"}]);
        let after = representation(&patch_record(&record, &both).0);
        assert_eq!((&after["title"], &after["emails"]), (&json!("Left"), &representation(&record)["emails"]), "{path}");
    }
}

#[test]
fn invalid_operations_are_refused_with_their_scim_type() {
    let record = create_record(barbara());
    let cases = [
        (json!([]), ScimType::InvalidSyntax),
        (json!(["x"]), ScimType::InvalidSyntax),
        (json!([{"op": "move", "path": "title"}]), ScimType::InvalidSyntax),
        (json!([{"op": "remove"}]), ScimType::NoTarget),
        (json!([{"op": "replace", "path": "title"}]), ScimType::InvalidValue),
        (json!([{"op": "replace", "value": "x"}]), ScimType::InvalidValue),
        (json!([{"op": "replace", "path": "title", "value": 5}]), ScimType::InvalidValue),
        (json!([{"op": "replace", "path": 5, "value": "x"}]), ScimType::InvalidPath),
        (json!([{"op": "replace", "path": "titel", "value": "x"}]), ScimType::InvalidPath),
        (json!([{"op": "replace", "path": "name.nickname", "value": "x"}]), ScimType::InvalidPath),
        (json!([{"op": "replace", "path": "emails[type eq]", "value": "x"}]), ScimType::InvalidPath),
        (json!([{"op": "replace", "path": "emails[type eq \"work\"]value", "value": "x"}]), ScimType::InvalidPath),
        (json!([{"op": "replace", "path": "title[value eq \"x\"]", "value": "x"}]), ScimType::InvalidPath),
        (json!([{"op": "replace", "path": "emails[type eq \"x\"].value", "value": "a@b.cd"}]), ScimType::NoTarget),
        (json!([{"op": "add", "path": "emails[type sw \"x\"].value", "value": "a@b.cd"}]), ScimType::NoTarget),
        (json!([{"op": "replace", "path": "id", "value": "x"}]), ScimType::Mutability),
        (json!([{"op": "replace", "path": "meta.version", "value": "x"}]), ScimType::Mutability),
        (json!([{"op": "replace", "value": {"id": "x"}}]), ScimType::Mutability),
        (json!([{"op": "remove", "path": "userName"}]), ScimType::Mutability),
        (json!([{"op": "remove", "path": "active"}]), ScimType::Mutability),
        (json!(vec![json!({"op": "remove", "path": "title"}); OPERATIONS_LIMIT + 1]), ScimType::TooMany),
    ];
    for (operations, expected) in cases {
        assert_eq!(patch_error(&record, &operations), expected, "{operations}");
    }
    let named_wrongly = json!([{"op": "add", "value": {"emails[type eq": "x"}}]);
    assert_eq!(patch_error(&record, &named_wrongly), ScimType::InvalidPath);
    let most = json!(vec![json!({"op": "remove", "path": "title"}); OPERATIONS_LIMIT]);
    assert_eq!(patch_record(&record, &most).1, [], "the limit itself is allowed");
    // An invalid operation fails the whole patch.
    let both = json!([{"op": "add", "path": "title", "value": "x"}, {"op": "remove", "path": "id"}]);
    assert_eq!(patch_error(&record, &both), ScimType::Mutability);
    // The user's own id changes nothing.
    let (_, events) = patch_record(&record, &json!([{"op": "replace", "value": {"id": record.user.user_id}}]));
    assert_eq!(events, []);
}

#[test]
fn active_suspends_and_lifts_only_the_providers_own_suspension() {
    let set_active = |active: Value| json!([{"op": "Replace", "path": "active", "value": active}]);
    let (away, events) = patch_record(&create_record(barbara()), &set_active(json!("False")));
    assert_eq!(events, [EventType::UserSuspended]);
    assert_eq!(away.user.suspension().unwrap().reason.as_deref(), Some(DEACTIVATION_REASON));
    assert_eq!(patch_record(&away, &set_active(json!(false))).1, [], "a repetition changes nothing");
    let (back, events) = patch_record(&away, &set_active(json!(true)));
    assert_eq!((events, back.user.is_suspended()), (vec![EventType::UserActivated], false));

    let lock = Some(Restriction::by(&context(3), None));
    let locked = ScimUserRecord { user: User { locked: lock.clone(), ..away.user.clone() }, ..away };
    let (resumed, _) = patch_record(&locked, &set_active(json!(true)));
    assert_eq!((resumed.user.is_suspended(), &resumed.user.locked), (false, &lock), "a lock is not the provider's");
    assert_eq!(patch_record(&resumed, &set_active(json!(true))).1, []);
}

#[test]
fn suspensions_by_an_admin_and_by_the_provider_are_independent() {
    let set_active = |active: bool| json!([{"op": "replace", "path": "active", "value": active}]);
    let by_admin = |record: &ScimUserRecord| {
        let change = lifecycle::suspend(&record.user, &[], Some("an audit".to_owned()), &context(2)).unwrap().unwrap();
        ScimUserRecord { user: change.user_after().unwrap().clone(), ..record.clone() }
    };
    let active = create_record(barbara());
    // The provider first: lifting its suspension leaves the admin's.
    let both = by_admin(&patch_record(&active, &set_active(false)).0);
    let (suspended, events) = patch_record(&both, &set_active(true));
    assert_eq!((events, suspended.user.status()), (vec![EventType::UserUpdated], UserStatus::Suspended));
    assert_eq!(suspended.user.suspension().unwrap().reason.as_deref(), Some("an audit"));
    // The admin first: the provider's suspension is recorded as well.
    let suspended = by_admin(&active);
    assert_eq!(
        (&representation(&suspended)["active"], patch_record(&suspended, &set_active(true)).1),
        (&json!(false), vec![])
    );
    let (both, events) = patch_record(&suspended, &set_active(false));
    assert_eq!((events, both.user.suspended_by_source.is_some()), (vec![EventType::UserUpdated], true));
    assert_eq!(
        representation(&patch_record(&both, &set_active(true)).0)["active"],
        false,
        "while the admin's suspension lasts"
    );
    // Activation by an admin lifts both.
    let lifted = lifecycle::activate(&both.user, &[], &context(4)).unwrap().unwrap().user.unwrap().after;
    assert!(!lifted.is_suspended());
    let lifted = ScimUserRecord { user: lifted, ..both };
    assert_eq!(representation(&lifted)["active"], true);
    assert_eq!(
        patch_record(&lifted, &set_active(false)).1,
        [EventType::UserSuspended],
        "the provider can suspend again"
    );
}

#[test]
fn an_inactive_new_user_is_created_and_suspended_in_one_change() {
    let mut body = barbara();
    body["active"] = json!(false);
    let CreatedScimUser { record, change } = create_user(body);
    let types: Vec<EventType> = change.events.iter().map(|event| event.event_type).collect();
    assert_eq!(types, [EventType::UserCreated, EventType::UserSuspended]);
    assert_eq!((record.user.status(), record.user.version), (UserStatus::Suspended, 1));
    assert_eq!(change.user.map(|made| (made.before, made.after)), Some((None, record.user)));
}

#[test]
fn an_edit_and_a_suspension_are_one_change_of_each_row() {
    let record = create_record(barbara());
    let operations = json!([{"op": "replace", "path": "userName", "value": "babs"}, {"op": "replace", "path": "active", "value": false}]);
    let (after, events) = patch_record(&record, &operations);
    assert_eq!(events, [EventType::UserUpdated, EventType::UserSuspended]);
    assert_eq!((after.user.username.as_str(), after.user.status()), ("babs", UserStatus::Suspended));
}

#[test]
fn fields_set_by_hand_stay_and_are_returned() {
    let mut record = create_record(barbara());
    record.user.email = Some("hand@example.com".to_owned());
    record.user.mobile = None;
    record.user.provenance.by_hand = [Field::Email, Field::Mobile].into();
    assert_eq!(representation(&record)["emails"][1]["value"], "hand@example.com");
    assert_eq!(representation(&record)["phoneNumbers"], json!([{"value": "555-0199", "type": "work"}]));
    let (after, _) = apply_document(&record, &document(barbara()));
    assert_eq!((after.user.email.as_deref(), &after.user.mobile), (Some("hand@example.com"), &None));
    assert_eq!(representation(&after)["emails"][1]["value"], "hand@example.com");
    let (after, events) = patch_record(&after, &json!([{"op": "add", "path": "title", "value": "Guide"}]));
    assert_eq!((after.user.email.as_deref(), events), (Some("hand@example.com"), vec![EventType::UserUpdated]));
}

#[test]
fn a_user_created_by_hand_is_returned_and_taken_over_with_their_values() {
    let by_hand = ScimUserRecord { user: user(), scim_attributes: None, updated_at: None };
    let view = representation(&by_hand);
    assert_eq!(view["emails"], json!([{"value": "ada@example.com", "type": "work", "primary": true}]));
    assert_eq!(view["phoneNumbers"], json!([{"value": "+491701234567", "type": "mobile"}]));
    assert_eq!(view["name"], json!({"givenName": "Ada", "familyName": "Adler"}));
    let (same, events) = apply_document(&by_hand, &Document::from_record(&by_hand));
    assert_eq!((same.scim_attributes.as_ref(), events), (None, vec![EventType::UserUpdated]), "the user is taken over");
    assert_eq!((same.user.source, same.user.provenance.by_hand.len()), (Source::Scim, 0));
    assert_eq!(apply_document(&same, &Document::from_record(&same)).1, [], "an identical PUT changes nothing");
    // As with a source: values set by hand stay, and missing ones are filled in.
    let body = json!({"userName": "other", "name": {"givenName": "Eva", "familyName": "Adler"},
        "phoneNumbers": [{"value": "4711", "type": "work"}]});
    let (taken, _) = apply_document(&by_hand, &document(body));
    assert_eq!((taken.user.username.as_str(), taken.user.first_name.as_deref()), ("ada", Some("Ada")));
    assert_eq!((taken.user.mobile.is_some(), taken.user.number.as_deref()), (true, Some("4711")));
    let by_hand = [Field::Username, Field::FirstName, Field::Email, Field::Mobile];
    assert_eq!(taken.user.provenance.by_hand, by_hand.into());
    let (after, _) = patch_record(&taken, &json!([{"op": "remove", "path": "phoneNumbers"}]));
    assert_eq!((after.user.mobile.is_some(), after.user.number), (true, None));
}

#[test]
fn a_user_of_a_source_is_not_taken_over_while_the_source_exists() {
    let mut record = ScimUserRecord { user: user(), scim_attributes: None, updated_at: None };
    record.user.source = Source::Csv;
    record.user.provenance.source_id = Some(domain::SourceId(Uuid::from_u128(8)));
    record.user.provenance.external_id = Some("E-1".to_owned());
    record.user.provenance.source_username = Some("adele".to_owned());
    assert_eq!(require_no_source(&record.user, true), Err(DomainError::HeldByOtherSource));
    assert_eq!(require_no_source(&record.user, false), Ok(()));
    assert_eq!(representation(&record).get("externalId"), None, "an external id from a source is not the provider's");
    let (taken, _) = patch_record(&record, &json!([{"op": "add", "path": "externalId", "value": "E-1"}]));
    let provenance = &taken.user.provenance;
    assert_eq!((taken.user.source, provenance.source_id), (Source::Scim, None));
    assert_eq!((provenance.external_id.as_deref(), provenance.source_username.as_deref()), (Some("E-1"), None));
}

#[test]
fn events_name_personal_attributes_without_their_values() {
    let record = create_record(barbara());
    let operations = json!([
        {"op": "replace", "path": "externalId", "value": "00u2"},
        {"op": "replace", "path": "displayName", "value": "Marker"},
        {"op": "replace", "path": format!("{ENTERPRISE}:department"), "value": "Marker"},
        {"op": "replace", "path": "name.givenName", "value": "Marker"},
    ]);
    let before = Document::from_record(&record);
    let after = apply(&before, "x", &object(json!({"Operations": operations}))).unwrap();
    let expected = ScimUserEdit::read(&before, &after).unwrap();
    let updated = update(&record, &[], &expected, &|| CommandId(Uuid::from_u128(7)), &context(1)).unwrap().unwrap();
    let event = &updated.change.events[0];
    let expected = ["first_name", "external_id", "scim.department", "scim.displayName", "scim.name"];
    assert_eq!(event.changed_fields, expected);
    let recorded = serde_json::to_string(event).unwrap();
    assert!(!recorded.contains("Marker") && !recorded.contains("00u"), "{recorded}");
}

#[test]
fn list_parameters_are_read_and_limited() {
    let query = Query::read(fields(json!({"startIndex": -3, "count": 100_000}))).unwrap();
    assert_eq!((query.start_index, query.count), (1, PAGE_SIZE_LIMIT));
    assert_eq!(Query::read(fields(json!({"count": -1}))).unwrap().count, 0);
    let mixed = faults(Query::read(fields(json!({"attributes": ["title", 5], "excludedAttributes": 5}))));
    assert_eq!(mixed, ["attributes", "excludedAttributes"].map(|field| (field.to_owned(), "wrong_type")));
    let wrong = json!({"startIndex": "x", "count": 1.5, "sortBy": "titel", "sortOrder": "up", "attributes": 5});
    let names: Vec<String> = faults(Query::read(fields(wrong))).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["startIndex", "count", "attributes", "sortOrder", "sortBy"]);
    let project = |parameters: Value| {
        let projection = domain::rules::scim::list::Projection::read(fields(parameters)).unwrap();
        Document::representation(&create_record(barbara()), BASE).project(&projection)
    };
    let some = project(json!({"attributes": ["USERNAME", "name.givenName", format!("{ENTERPRISE}:department")]}));
    let names: Vec<&String> = some.as_object().unwrap().keys().collect();
    assert_eq!(names, ["id", "name", "schemas", ENTERPRISE, "userName"]);
    assert_eq!(
        (&some["name"], &some[ENTERPRISE]),
        (&json!({"givenName": "Barbara"}), &json!({"department": "Tour Operations"}))
    );
    let others = project(
        json!({"excludedAttributes": "id, emails.type,name, urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"}),
    );
    assert!(others.get("name").is_none() && others.get(ENTERPRISE).is_none() && others.get("id").is_some());
    assert_eq!(others["emails"][0], json!({"value": "babs@home.example"}));
}

#[test]
fn filters_that_need_only_the_user_row_are_recognized() {
    for (filter, plain) in [
        ("active eq true", true),
        (r#"userName sw "a" and not (externalId pr)"#, true),
        (r#"id eq "x" or meta.created gt "2026-01-01T00:00:00Z""#, true),
        (r#"nothingOfTheKind eq "x""#, true),
        ("title pr", false),
        (r#"active eq true and title eq "x""#, false),
        (r#"active eq true or title eq "x""#, false),
        ("not (title pr)", false),
        (r#"emails[type eq "work"]"#, false),
    ] {
        assert_eq!(Filter::parse(filter).unwrap().needs_user_row_only(), plain, "{filter}");
    }
}

#[test]
fn a_filter_of_equalities_gives_a_matching_value() {
    let matching_value = |filter: &str| match PatchPath::parse(&format!("emails[{filter}]")).unwrap() {
        PatchPath::Attribute(_, Some(filter)) => filter.matching_value().map(Value::Object),
        other => panic!("{other:?}"),
    };
    for (filter, example) in [
        (r#"type eq "work""#, json!({"type": "work"})),
        ("primary eq true", json!({"primary": true})),
        (r#"primary eq "False""#, json!({"primary": false})),
        (r#"type eq "work" and primary eq true"#, json!({"type": "work", "primary": true})),
    ] {
        assert_eq!(matching_value(filter), Some(example), "{filter}");
    }
    for filter in
        ["type ne \"work\"", "type eq null", "type pr", "type eq \"a\" or type eq \"b\"", "not (type eq \"a\")"]
    {
        assert_eq!(matching_value(filter), None, "{filter}");
    }
    assert_eq!(matching_value("type eq \"work\" and not (primary pr)"), None);
}

#[test]
fn users_are_sorted_by_their_primary_value_and_those_without_one_come_last() {
    let key = |name: &str, body: Value| {
        let query = Query::read(fields(json!({"sortBy": name}))).unwrap();
        query.sort.unwrap().key(&Document::representation(&create_record(body), BASE))
    };
    let text = |text: &str| (false, text.to_owned());
    for (name, expected) in [
        ("userName", text("bjensen")),
        ("displayName", text("babs jensen")),
        ("externalId", text("00u1")),
        ("name.familyName", text("jensen")),
        ("active", text("true")),
        ("emails", text("bjensen@example.com")),
        ("emails.type", text("home")),
        ("phoneNumbers", text("tel:+1-201-555-0123")),
        ("title", (true, String::new())),
        ("addresses", (true, String::new())),
        ("name", (true, String::new())),
    ] {
        assert_eq!(key(name, barbara()), expected, "{name}");
    }
    assert_eq!(key("externalId", json!({"userName": "ada", "externalId": "E-1"})), text("E-1"), "case-exact");
    for (order, descending) in [(json!(null), false), (json!("ascending"), false), (json!("DESCENDING"), true)] {
        let query = Query::read(fields(json!({"sortBy": "userName", "sortOrder": order}))).unwrap();
        assert_eq!(query.sort.unwrap().is_descending(), descending);
    }
    assert!(Query::read(fields(json!({}))).unwrap().sort.is_none());
}

#[test]
fn discovery_describes_the_supported_features() {
    let config = provider_config(BASE);
    let offered = |name: &str| config[name]["supported"].as_bool().unwrap();
    assert_eq!(["patch", "filter", "sort", "etag"].map(offered), [true; 4]);
    assert_eq!(["bulk", "changePassword"].map(offered), [false; 2]);
    assert_eq!(
        (&config["filter"]["maxResults"], &config["schemas"]),
        (&json!(PAGE_SIZE_LIMIT), &json!([PROVIDER_CONFIG]))
    );
    let [user] = &resource_types(BASE)[..] else { panic!("users only") };
    assert_eq!((&user["endpoint"], &user["schema"]), (&json!("/Users"), &json!(USER)));
    assert_eq!(user["schemaExtensions"], json!([{"schema": ENTERPRISE, "required": false}]));
    let list = list_response(vec![json!({"id": "1"}), json!({"id": "2"})], 7, 3);
    let expected = json!({"schemas": [LIST_RESPONSE], "totalResults": 7, "startIndex": 3, "itemsPerPage": 2,
        "Resources": [{"id": "1"}, {"id": "2"}]});
    assert_eq!(list, expected);
}

/// The published definition of an attribute or sub-attribute.
fn published_attribute<'a>(schemas: &'a [Value], path: &str) -> &'a Value {
    let (schema, attributes) = path.split_once('.').unwrap();
    let schema = schemas.iter().find(|known| known["name"] == schema).unwrap();
    attributes.split('.').fold(schema, |within, name| {
        let attributes = within.get("attributes").or(within.get("subAttributes")).unwrap().as_array().unwrap();
        attributes.iter().find(|attribute| attribute["name"] == name).unwrap()
    })
}

#[test]
fn the_schemas_publish_the_characteristics_of_rfc_7643() {
    let schemas = schemas(BASE);
    // caseExact, mutability, returned, uniqueness.
    for (path, exact, mutability, returned, uniqueness) in [
        ("User.userName", false, "readWrite", "default", "server"),
        ("User.displayName", false, "readWrite", "default", "none"),
        ("User.password", true, "writeOnly", "never", "none"),
        ("EnterpriseUser.manager.value", true, "readWrite", "default", "none"),
        ("EnterpriseUser.manager.$ref", true, "readWrite", "default", "none"),
        ("EnterpriseUser.manager.displayName", false, "readWrite", "default", "none"),
        ("ServiceProviderConfig.documentationUri", false, "readOnly", "default", "none"),
        ("ServiceProviderConfig.authenticationSchemes.type", false, "readOnly", "default", "none"),
        ("ResourceType.schema", true, "readOnly", "default", "none"),
        ("ResourceType.schemaExtensions.schema", true, "readOnly", "default", "none"),
        ("Schema.name", false, "readOnly", "default", "none"),
    ] {
        let definition = published_attribute(&schemas, path);
        let expected = json!([exact, mutability, returned, uniqueness]);
        let published = json!([
            definition["caseExact"],
            definition["mutability"],
            definition["returned"],
            definition["uniqueness"]
        ]);
        assert_eq!(published, expected, "{path}");
    }
    for (path, multi, required) in [
        ("User.userName", false, true),
        ("User.active", false, true),
        ("User.emails", true, false),
        ("User.name", false, false),
        ("User.emails.value", false, false),
        ("ResourceType.endpoint", false, true),
        ("Schema.attributes.canonicalValues", true, false),
        ("Schema.attributes.referenceTypes", true, false),
    ] {
        let definition = published_attribute(&schemas, path);
        assert_eq!((&definition["multiValued"], &definition["required"]), (&json!(multi), &json!(required)), "{path}");
    }
    let data_types = json!(["string", "complex", "boolean", "decimal", "integer", "dateTime", "reference", "binary"]);
    for (path, words) in [
        ("User.emails.type", json!(["work", "home", "other"])),
        ("User.phoneNumbers.type", json!(["work", "home", "mobile", "fax", "pager", "other"])),
        ("User.addresses.type", json!(["work", "home", "other"])),
        (
            "ServiceProviderConfig.authenticationSchemes.type",
            json!(["oauth", "oauth2", "oauthbearertoken", "httpbasic", "httpdigest"]),
        ),
        ("Schema.attributes.type", data_types.clone()),
        ("Schema.attributes.subAttributes.type", data_types),
        ("Schema.attributes.mutability", json!(["readOnly", "readWrite", "immutable", "writeOnly"])),
        ("Schema.attributes.returned", json!(["always", "never", "default", "request"])),
        ("Schema.attributes.uniqueness", json!(["none", "server", "global"])),
    ] {
        assert_eq!(published_attribute(&schemas, path)["canonicalValues"], words, "{path}");
    }
    assert_eq!(published_attribute(&schemas, "User.roles.type").get("canonicalValues"), None);
}

#[test]
fn a_change_of_case_in_a_username_is_no_rename() {
    let record = create_record(barbara());
    let renamed = |name: &str| {
        let mut body = barbara();
        body["userName"] = json!(name);
        is_renamed(&record.user, &ScimUserEdit::read(&Document::from_record(&record), &document(body)).unwrap())
    };
    assert_eq!(["bjensen", "BJensen", "babs"].map(renamed), [false, false, true]);
}

/// A resource whose stored attributes have this many bytes as JSON.
fn resource_of_size(bytes: usize) -> Value {
    let roles = |last: usize| -> Vec<Value> {
        (0..9).map(|n| json!({"value": n.to_string().repeat(if n == 8 { last } else { 4000 })})).collect()
    };
    let rest = bytes - json!({"roles": roles(0)}).to_string().len();
    json!({"userName": "ada", "roles": roles(rest)})
}

#[test]
fn values_and_bytes_of_attributes_are_limited_in_every_request() {
    assert_eq!(ATTRIBUTES_LIMIT, 32_768);
    let read =
        |body: &Value| Document::read(&object(body.clone())).map(drop).map_err(|found| crate::common::named(&found));
    assert_eq!(read(&resource_of_size(32_768)), Ok(()));
    assert_eq!(read(&resource_of_size(32_769)), Err(vec![(String::new(), "too_long")]));
    let roles = |count: usize| json!((0..count).map(|n| json!({"value": n.to_string()})).collect::<Vec<_>>());
    assert_eq!(read(&json!({"userName": "a", "roles": roles(100)})), Ok(()));
    assert_eq!(read(&json!({"userName": "a", "roles": roles(101)})), Err(vec![("roles".to_owned(), "too_many")]));
    let wrong = read(&json!({"userName": "a", "roles": vec![json!({"value": 7}); FIELD_ERROR_LIMIT + 9]})).unwrap_err();
    assert_eq!(wrong.len(), FIELD_ERROR_LIMIT);
    // By a patch as well.
    let full = create_record(json!({"userName": "a", "roles": roles(100)}));
    assert_eq!(
        patch_error(&full, &json!([{"op": "add", "path": "roles", "value": [{"value": "x"}]}])),
        ScimType::InvalidValue
    );
    for (length, code) in [(4096, None), (4097, Some("too_long")), (5000, Some("too_long"))] {
        let result = read(&json!({"userName": "a", "title": "x".repeat(length)}));
        assert_eq!(result.err().map(|errors| errors[0].1), code, "{length} bytes");
    }
    let large = create_record(resource_of_size(32_768));
    assert_eq!(patch_error(&large, &json!([{"op": "add", "path": "title", "value": "x"}])), ScimType::InvalidValue);
}

#[test]
fn read_only_attributes_are_ignored_whatever_their_value() {
    let sent = json!({"userName": "ada", "id": 5, "meta": "x", "schemas": 7, "nickName": "A"});
    let read = document(sent);
    assert_eq!(read, document(json!({"userName": "ada", "nickName": "A"})));
    assert_eq!(create_record(json!({"userName": "ada", "id": 5})).scim_attributes, None);
}

#[test]
fn a_replacement_without_active_leaves_it_unchanged() {
    let active = |document: &Document| document.values(&attribute_path("active"))[0].clone();
    let (away, _) =
        patch_record(&create_record(barbara()), &json!([{"op": "replace", "path": "active", "value": false}]));
    let before = Document::from_record(&away);
    let silent = document(json!({"userName": "bjensen", "title": "Guide"})).replacing(&before);
    assert_eq!((active(&silent), silent.values(&attribute_path("title"))), (json!(false), vec![&json!("Guide")]));
    let active_again = document(json!({"userName": "bjensen", "active": true})).replacing(&before);
    assert_eq!(active(&active_again), json!(true));
}

#[test]
fn the_names_of_handsets_user_are_returned() {
    let mut record = create_record(barbara());
    record.user.first_name = Some("Bea".to_owned());
    record.user.last_name = None;
    assert_eq!(representation(&record)["name"], json!({"givenName": "Bea", "middleName": "Jane"}));
    let bare = ScimUserRecord {
        user: User { first_name: None, last_name: None, ..user() },
        scim_attributes: None,
        updated_at: None,
    };
    assert_eq!(representation(&bare).get("name"), None);
}

#[test]
fn a_user_with_an_external_id_is_taken_over_by_the_first_change() {
    let mut named = ScimUserRecord { user: user(), scim_attributes: None, updated_at: None };
    named.user.provenance.external_id = Some("00u1".to_owned());
    let (taken, _) = patch_record(&named, &json!([{"op": "add", "path": "title", "value": "Guide"}]));
    assert_eq!((named.user.source, taken.user.source), (Source::Api, Source::Scim));
    assert_eq!(taken.user.provenance.external_id.as_deref(), Some("00u1"));
}

#[test]
fn an_id_is_compared_case_sensitively() {
    let made =
        create(NewScimUser::read(&document(barbara())).unwrap(), UserId(Uuid::from_u128(0xabc)), &context(0)).unwrap();
    let document = Document::representation(&made.record, BASE);
    for (end, holds) in [("0abc", true), ("0ABC", false)] {
        assert_eq!(Filter::parse(&format!("id ew \"{end}\"")).unwrap().matches(&document), holds, "{end}");
    }
}

#[test]
fn a_filter_is_limited_in_bytes_and_not_in_the_number_of_groups() {
    let long = |length: usize| format!("userName eq \"{}\"", "x".repeat(length - 14));
    assert_eq!(long(FILTER_LIMIT).len(), FILTER_LIMIT);
    assert!(Filter::parse(&long(FILTER_LIMIT)).is_ok() && Filter::parse(&long(FILTER_LIMIT + 1)).is_err());
    let document = Document::representation(&create_record(barbara()), BASE);
    let beside = vec!["(active eq true)"; 40].join(" and ");
    assert!(Filter::parse(&beside).unwrap().matches(&document));
    let within = vec!["emails[type eq \"work\"]"; 40].join(" and ");
    assert!(Filter::parse(&within).unwrap().matches(&document));
}

#[test]
fn stored_values_without_content_count_as_absent() {
    let mut old = create_record(barbara());
    let empty = json!({"givenName": "Barbara", "familyName": "Jensen", "middleName": "", "honorificPrefix": null,
        "honorificSuffix": [], "formatted": {}});
    old.scim_attributes.as_mut().unwrap().attributes.insert("name".to_owned(), empty);
    let document = Document::from_record(&old);
    let matches = |filter: String| Filter::parse(&filter).unwrap().matches(&document);
    for (part, is_there) in [
        ("givenName", true),
        ("middleName", false),
        ("honorificPrefix", false),
        ("honorificSuffix", false),
        ("formatted", false),
    ] {
        assert_eq!(matches(format!("name.{part} pr")), is_there, "{part}");
        assert_eq!(matches(format!("name.{part} ne null")), is_there, "{part}");
        assert_eq!(matches(format!("name.{part} eq null")), !is_there, "{part}");
    }
    assert!(matches("active pr".to_owned()));
    let roles = json!([{"value": true}, {"value": []}, {"value": "admin"}]);
    old.scim_attributes.as_mut().unwrap().attributes.insert("roles".to_owned(), roles);
    assert_eq!(representation(&old)["roles"], json!([{"value": true}, {"value": "admin"}]));
}

#[test]
fn a_path_is_limited_in_bytes_and_a_longer_uri_is_another_schema() {
    let long = |length: usize| format!("emails[type eq \"{}\"]", "x".repeat(length - 18));
    assert_eq!(long(4096).len(), 4096);
    assert!(PatchPath::parse(&long(4096)).is_ok() && PatchPath::parse(&long(4097)).is_err());
    assert!(matches!(PatchPath::parse(ENTERPRISE), Ok(PatchPath::EnterpriseExtension)));
    for foreign in [format!("{ENTERPRISE}s"), format!("{USER}s:title"), "urn:example:title".to_owned()] {
        assert!(matches!(PatchPath::parse(&foreign), Ok(PatchPath::UnknownSchema)), "{foreign}");
    }
    assert!(matches!(PatchPath::parse(&format!("{USER}:title")), Ok(PatchPath::Attribute(..))));
}

#[test]
fn a_new_primary_value_demotes_the_former_and_two_primary_values_are_refused() {
    let primary_flags = |operation: Value| -> Vec<bool> {
        let (after, _) = patch_record(&create_record(barbara()), &json!([operation]));
        let emails = representation(&after)["emails"].as_array().unwrap().clone();
        emails.iter().map(|email| email["primary"] == true).collect()
    };
    let new = json!({"value": "new@example.com", "primary": true});
    assert_eq!(primary_flags(json!({"op": "add", "path": "emails", "value": [new]})), [false, false, true]);
    assert_eq!(
        primary_flags(json!({"op": "replace", "path": "emails[type eq \"home\"]", "value": new})),
        [true, false]
    );
    assert_eq!(primary_flags(json!({"op": "replace", "path": "emails", "value": [new]})), [true]);
    let other = json!({"value": "other@example.com", "primary": true});
    let two = json!([{"op": "replace", "path": "emails", "value": [new, other]}]);
    assert_eq!(patch_error(&create_record(barbara()), &two), ScimType::InvalidValue);
}

/// Texts that look like filters and paths, and some that do not.
fn filter_like_text() -> impl Strategy<Value = String> {
    let words = [
        "userName",
        "emails",
        "name.givenName",
        "active",
        "eq",
        "ne",
        "co",
        "pr",
        "and",
        "or",
        "not",
        "(",
        ")",
        "[",
        "]",
        "\"",
        "\"x\"",
        "\\",
        "true",
        "null",
        "5",
        "-1e9",
        ".",
        ":",
        ENTERPRISE,
        USER,
        "urn:",
        "meta.created",
        "\u{fdfa}",
        " ",
        "type",
        "value",
        "$ref",
    ];
    let word = prop_oneof![8 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    proptest::collection::vec(word, 0..24).prop_map(|words| words.join(" ").replace(" [ ", "[").replace(" ] ", "]"))
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        filter_like_text().prop_map(Value::from),
        Just(json!("ada@example.com")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let names =
            ["value", "type", "primary", "givenName", "emails", "name", "userName", "id", ENTERPRISE, "manager"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((proptest::sample::select(names.to_vec()), inner), 0..4)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn parsing_filters_and_paths_never_panics(text in filter_like_text()) {
        let document = Document::representation(&create_record(barbara()), BASE);
        if let Ok(filter) = Filter::parse(&text) {
            // A filter and its opposite never both hold.
            let opposite = Filter::Not(Box::new(filter.clone()));
            prop_assert_ne!(filter.matches(&document), opposite.matches(&document));
            let _only = filter.unique_key();
        }
        let _path = PatchPath::parse(&text);
    }

    #[test]
    fn a_patched_user_can_be_sent_back_unchanged(
        operations in proptest::collection::vec(
            (proptest::sample::select(vec!["add", "replace", "remove"]), prop_oneof![filter_like_text(), Just("emails[type eq \"work\"]".to_owned()), Just("name".to_owned()), Just("roles.value".to_owned())], any_value()),
            1..5,
        )
    ) {
        let record = create_record(barbara());
        let before = Document::from_record(&record);
        for (op, path, value) in operations {
            for path in [json!(path), Value::Null] {
                let operation = json!({"op": op, "path": path, "value": value});
                let Ok(after) = apply(&before, "x", &object(json!({"Operations": [operation]}))) else { continue };
                let Ok(expected) = ScimUserEdit::read(&before, &after) else { continue };
                let updated = update(&record, &[], &expected, &|| CommandId(Uuid::from_u128(7)), &context(1)).unwrap();
                let Some(updated) = updated else { continue };
                let user = updated.change.user_after().unwrap().clone();
                let now = ScimUserRecord { user, scim_attributes: updated.scim_attributes, updated_at: None };
                // Sending the returned representation back changes nothing.
                let again = document(representation(&now)).replacing(&Document::from_record(&now));
                prop_assert_eq!(&again, &Document::from_record(&now));
                prop_assert_eq!(apply_document(&now, &again).1, vec![]);
            }
        }
    }

    #[test]
    fn reading_a_user_never_panics(body in any_value()) {
        if let Value::Object(body) = body
            && let Ok(document) = Document::read(&body)
            && let Ok(new) = NewScimUser::read(&document)
        {
            let _made = create(new, UserId(Uuid::from_u128(5)), &context(0)).unwrap();
        }
    }
}
