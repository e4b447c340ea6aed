//! Rows as they are stored: what is not set is not there, and what is written is read again.

use domain::models::client_account::ClientAccount;
use domain::models::device::Device;
use domain::models::event::{Event, EventType, Private};
use domain::models::idempotency::IdempotencyRecord;
use domain::models::offer::{Offer, Purpose};
use domain::models::profile::Profile;
use domain::models::provenance::Provenance;
use domain::models::user::User;
use domain::models::workspace::{MinimumVersions, Workspace, WorkspaceSettings};
use domain::secret::Hash;
use domain::stored::Stored;
use domain::{DomainError, ProfileId, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{at, context, invitation, user};
use crate::fixture::Fixture;
use crate::workspace::workspace;

/// The names in a row, once it was read again as the same.
fn names<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(row: &T) -> Vec<String> {
    let written = json!(row);
    assert_eq!(&serde_json::from_value::<T>(written.clone()).unwrap(), row);
    written.as_object().unwrap().keys().cloned().collect()
}

/// Which names a row has beside those of another.
fn beside<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(plain: &T, row: &T) -> Vec<String> {
    let plain = names(plain);
    names(row).into_iter().filter(|name| !plain.contains(name)).collect()
}

#[test]
fn a_users_row_holds_what_is_set_of_them() {
    let bare = User { first_name: None, last_name: None, email: None, mobile: None, ..user() };
    let always = ["created_at", "source", "user_id", "username", "version", "workspace_id"];
    assert_eq!(names(&bare), always);
    let client = ClientAccount { sip_user_name: Some("ada".to_owned()), ..ClientAccount::default() };
    assert!(!client.is_empty() && ClientAccount::default().is_empty());
    assert_eq!(beside(&bare, &User { client, ..bare.clone() }), ["client"]);
    let provenance = Provenance { external_id: Some("E-1".to_owned()), ..Provenance::default() };
    assert!(!provenance.is_empty() && Provenance::default().is_empty());
    assert_eq!(beside(&bare, &User { provenance, ..bare.clone() }), ["provenance"]);
    assert_eq!(beside(&bare, &User { deployment_due: true, ..bare.clone() }), ["deployment_due"]);
}

#[test]
fn a_devices_row_holds_what_is_set_of_it() {
    let registered = Fixture::new(1).register("phone", 0).unwrap().device.after;
    let bare = Device { app_version: None, enrolment: None, push_token_hash: None, ..registered };
    let always = [
        "created_at",
        "credential_hash",
        "device_id",
        "device_identifier",
        "epoch",
        "model_name",
        "os_version",
        "platform",
        "push",
        "user_id",
        "user_status",
        "version",
        "workspace_id",
    ];
    assert_eq!(names(&bare), always);
    assert_eq!(beside(&bare, &Device { pin_failures: 1, ..bare.clone() }), ["pin_failures"]);
    assert_eq!(beside(&bare, &Device { replaced: true, ..bare.clone() }), ["replaced"]);
}

#[test]
fn an_invitations_row_says_its_purpose_if_it_is_another() {
    let bare = invitation(&user(), 1);
    assert_eq!(beside(&bare, &Offer { purpose: Purpose::Deploy, ..bare.clone() }), ["purpose"]);
    assert_eq!(beside(&bare, &Offer { refused_registrations: 1, ..bare.clone() }), ["refused_registrations"]);
    assert!(!names(&bare).contains(&"purpose".to_owned()));
}

#[test]
fn a_workspaces_row_holds_what_it_has_settled() {
    let bare = workspace();
    let always =
        ["admin_count", "created_at", "derived_since", "name", "sandbox", "settings", "version", "workspace_id"];
    assert_eq!(names(&bare), always);
    assert_eq!(beside(&bare, &Workspace { profile_count: 1, ..bare.clone() }), ["profile_count"]);
    assert!(names(&WorkspaceSettings::default()).is_empty());
    let minimum_versions = MinimumVersions { app: Some("4".to_owned()), ..MinimumVersions::default() };
    assert_eq!(names(&WorkspaceSettings { minimum_versions, ..WorkspaceSettings::default() }), ["minimum_versions"]);
}

#[test]
fn a_profiles_settings_and_schema_are_stored_as_text() {
    let profile = |schema: Option<Value>| Profile {
        workspace_id: context(0).workspace_id,
        profile_id: ProfileId(Uuid::from_u128(30)),
        name: "Office".to_owned(),
        settings: json!({"a": {"b": 1}}).as_object().unwrap().clone(),
        schema,
        revision: 1,
        created_at: at(0),
        updated_at: at(0),
        version: 1,
        stored: Stored::default(),
    };
    let with_schema = profile(Some(json!({"type": "object"})));
    assert_eq!(beside(&profile(None), &with_schema), ["schema"]);
    let row = json!(with_schema);
    assert_eq!((&row["settings"], &row["schema"]), (&json!(r#"{"a":{"b":1}}"#), &json!(r#"{"type":"object"}"#)));
    let renamed = |name: &str| {
        domain::models::profile::is_renamed(&with_schema, &Profile { name: name.to_owned(), ..profile(None) })
    };
    assert_eq!(["Office", "OFFICE", "Öffice", "Home"].map(renamed), [false, false, false, true], "as names are unique");
}

#[test]
fn what_was_read_stays_with_a_row_and_tells_no_two_apart() {
    let row = Stored::of("as it was read".to_owned());
    assert_eq!(row.row::<String>().map(String::as_str), Some("as it was read"));
    assert_eq!((row.row::<u32>(), Stored::default().row::<String>()), (None, None), "of another store, or new");
    assert_eq!(row, Stored::default());
    assert_eq!(format!("{row:?}"), "Stored");
}

#[test]
fn an_event_without_what_only_the_audit_shows_is_blank() {
    let event: Event = context(0).event(EventType::UserUpdated);
    let blank = event.without_private();
    assert!(!event.is_private_empty() && blank.is_private_empty());
    assert_eq!(Event { private: Private::default(), ..event.clone() }, blank);
    assert_eq!(blank.to_public_json(), event.to_public_json());
}

#[test]
fn a_repeated_call_is_answered_by_what_it_made_for_as_long_as_that_is_remembered() {
    let remembered =
        IdempotencyRecord { request_hash: Hash::of("body"), created_id: "thing".to_owned(), expires_at: at(60) };
    let before = |found: Option<&IdempotencyRecord>, body: &str, minutes| {
        IdempotencyRecord::previous_id(found, &Hash::of(body), at(minutes))
    };
    assert_eq!(before(None, "body", 1), Ok(None));
    assert_eq!(before(Some(&remembered), "body", 59), Ok(Some("thing".to_owned())));
    assert_eq!(before(Some(&remembered), "other", 59), Err(DomainError::IdempotencyMismatch));
    for body in ["body", "other"] {
        assert_eq!(before(Some(&remembered), body, 60), Ok(None), "it is forgotten");
    }
}

#[test]
fn a_time_is_told_in_milliseconds_and_in_whole_seconds() {
    let time = Time::parse("2026-11-23T08:00:00.987+01:00").unwrap();
    assert_eq!((time.millis(), time.seconds()), (1_795_417_200_987, 1_795_417_200));
    assert_eq!((Time::from_millis(time.millis()), Time::EPOCH.millis()), (Some(time), 0));
    assert_eq!(Time::from_millis(i64::MAX), None);
}

#[test]
fn an_event_keeps_where_its_call_came_from_to_the_audit_and_tells_the_rest() {
    let event = context(0).event(EventType::UserUpdated).with_user(user().user_id);
    assert_eq!(event.private.address.as_deref(), Some("203.0.113.7"));
    let public = event.to_public_json();
    assert_eq!((&public["event_type"], &public["user_id"]), (&json!("user.updated"), &json!(user().user_id)));
    assert_eq!((public.get("private"), public["created_at"].clone()), (None, json!(at(0))));
    assert!(!public.to_string().contains("203.0.113.7"));
}
