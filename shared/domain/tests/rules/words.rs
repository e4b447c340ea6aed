//! Words that only another release knows: they are read, written and shown as they are, and give nothing.

use domain::models::actor::Actor;
use domain::models::command::{CommandKind, OpenCommand, Outcome, Transition, Trigger, transition};
use domain::models::device::DeviceAccess;
use domain::models::event::EventType;
use domain::models::offer::Purpose;
use domain::models::source::SourceKind;
use domain::models::user::Source;
use domain::permission::Permission;
use domain::rules::registration::register;
use domain::states::CommandState;
use domain::states::UserStatus;
use domain::string_enum::UnknownValue;
use domain::{CommandId, DomainError};
use serde_json::json;
use uuid::Uuid;

use crate::common::{application, at, context, found};
use crate::fixture::Fixture;

fn word(word: &str) -> UnknownValue {
    UnknownValue::new(word).unwrap()
}

#[test]
fn a_word_of_another_release_is_written_as_it_was_read_and_no_request_names_it() {
    let read: EventType = serde_json::from_value(json!("user.beamed_up")).unwrap();
    assert_eq!(read, EventType::Unknown(word("user.beamed_up")));
    assert_eq!((read.to_string(), json!(read)), ("user.beamed_up".to_owned(), json!("user.beamed_up")));
    assert_eq!(EventType::parse("user.beamed_up"), None);
    assert!(!read.is_known() && EventType::UserCreated.is_known());
    assert!(EventType::ALL.iter().all(|known| known.is_known()));
    let known: EventType = serde_json::from_value(json!("user.created")).unwrap();
    assert_eq!(known, EventType::UserCreated);
}

#[test]
fn what_is_no_word_is_not_read_as_one() {
    for text in ["", "Two words", "grüße", "a/b", "line\n", &"a".repeat(65)] {
        assert!(serde_json::from_value::<Permission>(json!(text)).is_err(), "{text:?}");
        assert!(serde_json::from_value::<UnknownValue>(json!(text)).is_err(), "{text:?}");
    }
    for text in ["a", "moon:walk", "not-known", "re_2.0", &"a".repeat(64)] {
        assert_eq!(json!(serde_json::from_value::<UnknownValue>(json!(text)).unwrap()), json!(text));
        assert_eq!(word(text).to_string(), *text);
    }
    assert!(serde_json::from_value::<Permission>(json!(7)).is_err());
}

#[test]
fn an_actor_of_another_type_is_kept_with_its_identifier() {
    let id = Uuid::from_u128(7);
    for (kind, known) in [
        ("robot", false),
        ("key", true),
        ("member", true),
        ("device", true),
        ("invitation", true),
        ("deployment", true),
    ] {
        let written = json!({"type": kind, "id": id});
        let actor: Actor = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(matches!(actor, Actor::Unknown(..)), !known);
        assert_eq!(json!(actor), written);
    }
    assert_eq!(json!(serde_json::from_value::<Actor>(json!({"type": "system"})).unwrap()), json!({"type": "system"}));
    assert_eq!(
        json!(serde_json::from_value::<Actor>(json!({"type": "robot", "id": 9})).unwrap()),
        json!({"type": "robot"})
    );
    assert!(serde_json::from_value::<Actor>(json!({"type": "key"})).is_err(), "a key has an identifier");
    assert!(serde_json::from_value::<Actor>(json!({"type": "key", "id": 9})).is_err());
}

#[test]
fn a_command_of_an_unknown_kind_is_not_served_and_one_in_an_unknown_state_stays_in_it() {
    let open = |kind| OpenCommand {
        command_id: CommandId(Uuid::from_u128(1)),
        kind,
        state: CommandState::Queued,
        queued_at: at(0),
        expires_at: at(60),
        again_at: None,
    };
    let unknown = CommandKind::Unknown(word("locate"));
    assert!(open(CommandKind::Lock).is_deliverable(at(1)) && !open(unknown).is_deliverable(at(1)));
    assert!(!unknown.is_destructive());
    assert_eq!(transition(unknown, CommandState::Queued, false, Trigger::Delivered), Transition::Unchanged);
    assert_eq!(
        transition(unknown, CommandState::Queued, false, Trigger::Cancel),
        Transition::To(CommandState::Canceled)
    );
    let held = CommandState::Unknown(word("held"));
    assert!(!held.is_pending() && !held.is_open());
    for outcome in [Outcome::Succeeded, Outcome::Failed, Outcome::Rejected, Outcome::NotSupported] {
        assert_eq!(transition(CommandKind::Wipe, held, false, Trigger::Reported(outcome)), Transition::Refused);
    }
    for (trigger, expected) in [
        (Trigger::Delivered, Transition::Unchanged),
        (Trigger::Deferred, Transition::Refused),
        (Trigger::Cancel, Transition::Refused),
        (Trigger::Expired, Transition::Unchanged),
        (Trigger::Replaced, Transition::Unchanged),
    ] {
        assert_eq!(transition(CommandKind::Wipe, held, false, trigger), expected, "{trigger:?}");
    }
}

#[test]
fn a_user_in_an_unknown_state_is_let_in_nowhere() {
    let fixture = Fixture::with_phones(1);
    let mut device = fixture.held()[0].clone();
    assert_eq!(device.access(), DeviceAccess::Allowed);
    device.user_status = UserStatus::Unknown(word("frozen"));
    assert_eq!(device.access(), DeviceAccess::UserSuspended);
}

#[test]
fn a_code_for_an_unknown_purpose_registers_nothing() {
    let mut found = found(1);
    found.offer.purpose = Purpose::Unknown(word("lend"));
    let new_id = domain::DeviceId(Uuid::from_u128(3));
    let refused = register(&found, &application("phone"), new_id, &context(1)).unwrap_err();
    assert!(matches!(refused.error, DomainError::CodeUnknown), "{refused:?}");
    assert_eq!(found.user.newest_invitation(found.offer.purpose), None);
}

#[test]
fn who_comes_from_an_unknown_kind_of_source_says_so() {
    let kind = SourceKind::Unknown(word("ldap"));
    let read: Source = serde_json::from_value(json!(kind)).unwrap();
    assert_eq!(read, Source::Unknown(word("ldap")));
}
