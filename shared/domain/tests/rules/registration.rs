//! Who may register, and as what.

use crate::common::{application, at, context, device_of, faults, fields, found};
use crate::fixture::{Fixture, command_request};
use domain::error::DomainError;
use domain::limits::DEVICE_LIMIT;
use domain::models::command::{CommandKind, CommandReport, FailedCommand, Outcome, Trigger};
use domain::models::device::Device;
use domain::models::event::EventType;
use domain::models::push::{Push, PushReason};
use domain::models::restriction::Deleted;
use domain::models::restriction::Restriction;
use domain::models::user::User;
use domain::rules::check_in::CheckInReport;
use domain::rules::devices;
use domain::rules::push::endpoint_made;
use domain::rules::registration::{Registration, RegistrationRequest, register};
use domain::secret::Hash;
use domain::states::Platform;
use domain::{CommandId, DeviceId, Time, UserId};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

fn event_types(registration: &Registration) -> Vec<EventType> {
    registration.events.iter().map(|event| event.event_type).collect()
}

fn gone() -> Deleted {
    Deleted { at: at(0), by: context(0).actor, purge_after: at(0) }
}

fn new_id() -> DeviceId {
    DeviceId(Uuid::from_u128(77))
}

#[test]
fn a_first_phone_makes_its_user_active_and_uses_the_invitation() {
    let registration = register(&found(1), &application("phone"), new_id(), &context(1)).unwrap();
    assert_eq!(registration.user.after.status(), domain::states::UserStatus::Active);
    assert_eq!(registration.device.after.user_status, domain::states::UserStatus::Active);
    assert_eq!(registration.offer.after.used, 1);
    assert_eq!(registration.offer.after.used_at, Some(at(1)));
    assert_eq!(event_types(&registration), [EventType::DeviceRegistered]);
}

#[test]
fn a_fourth_phone_is_refused_and_the_three_are_named() {
    let mut fixture = Fixture::new(3);
    for n in 0..3 {
        fixture.register(&format!("phone-{n}"), 1).unwrap();
    }
    let used_up = fixture.register("phone-3", 2).unwrap_err().error;
    assert!(matches!(used_up, DomainError::DeviceLimitReached(held) if held.len() == DEVICE_LIMIT));
    fixture.invite(3, 1);
    let fresh = fixture.register("phone-3", 2).unwrap_err().error;
    assert!(matches!(fresh, DomainError::DeviceLimitReached(held) if held.len() == DEVICE_LIMIT));
}

#[test]
fn a_code_that_is_used_expired_or_superseded_registers_nothing() {
    let mut fixture = Fixture::new(1);
    fixture.register("phone-0", 1).unwrap();
    assert_eq!(fixture.register("phone-1", 1).unwrap_err().error, DomainError::CodeUsed);

    let week = 7 * 24 * 60;
    let late = register(&found(1), &application("phone"), new_id(), &context(week));
    assert_eq!(late.unwrap_err().error, DomainError::CodeExpired);

    let mut superseded = found(1);
    superseded.offer.superseded_at = Some(at(1));
    let refused = register(&superseded, &application("phone"), new_id(), &context(2));
    assert_eq!(refused.unwrap_err().error, DomainError::CodeSuperseded);
}

#[test]
fn a_user_who_may_not_use_the_app_registers_nothing() {
    let refused = |change: fn(&mut User)| {
        let mut found = found(1);
        change(&mut found.user);
        register(&found, &application("phone"), new_id(), &context(1)).unwrap_err().error
    };
    assert_eq!(refused(|user| user.suspended = Some(Restriction::by(&context(0), None))), DomainError::UserSuspended);
    assert_eq!(refused(|user| user.locked = Some(Restriction::by(&context(0), None))), DomainError::UserLocked);
    assert_eq!(refused(|user| user.deleted = Some(gone())), DomainError::UserDeleted);
}

#[test]
fn a_phone_that_another_user_holds_is_refused_and_the_attempt_is_on_the_record() {
    let mut fixture = Fixture::new(1);
    fixture.register("phone", 1).unwrap();
    let mut other = fixture.found("phone");
    other.user.user_id = UserId(Uuid::from_u128(55));
    other.offer.used = 0;
    let refused = register(&other, &application("phone"), new_id(), &context(2)).unwrap_err();
    assert_eq!(refused.error, DomainError::IdentifierHeld);
    let counted = refused.change.unwrap();
    assert_eq!(counted.events[0].event_type, EventType::DeviceRefused);
    assert_eq!(counted.offers[0].after.refused_registrations, 1);
}

#[test]
fn a_code_that_was_refused_five_times_for_anothers_phone_is_spent() {
    let mut fixture = Fixture::new(3);
    fixture.register("phone", 1).unwrap();
    let mut other = fixture.found("phone");
    other.user.user_id = UserId(Uuid::from_u128(55));
    for asked in 1..=5 {
        let refused = register(&other, &application("phone"), new_id(), &context(2)).unwrap_err();
        assert_eq!(refused.error, DomainError::IdentifierHeld);
        let counted = refused.change.unwrap();
        let told: Vec<EventType> = counted.events.iter().map(|event| event.event_type).collect();
        let last: &[EventType] = if asked == 5 { &[EventType::InvitationRevoked] } else { &[] };
        assert_eq!(told, [&[EventType::DeviceRefused], last].concat());
        assert_eq!(counted.offers[0].before.as_ref(), Some(&other.offer), "it is guarded by its version");
        other.offer = counted.offers[0].after.clone();
    }
    assert!(!other.offer.needs_code());
    for identifier in ["phone", "one that nobody has"] {
        let mut asks = fixture.found(identifier);
        (asks.user, asks.offer) = (other.user.clone(), other.offer.clone());
        let refused = register(&asks, &application(identifier), new_id(), &context(3)).unwrap_err();
        assert_eq!((refused.error, refused.change), (DomainError::CodeRevoked, None), "it tells no more");
    }
}

#[test]
fn refusals_at_the_cap_do_not_count_against_the_code() {
    let mut fixture = Fixture::new(3);
    for n in 0..3 {
        fixture.register(&format!("phone-{n}"), 1).unwrap();
    }
    fixture.invite(1, 1);
    for _ in 0..7 {
        let refused = fixture.register("phone-3", 2).unwrap_err();
        assert!(matches!(refused.error, DomainError::DeviceLimitReached(_)) && refused.change.is_none());
    }
    assert_eq!(fixture.invitation.refused_registrations, 0);
}

#[test]
fn before_its_first_check_in_the_same_phone_may_ask_again() {
    let mut fixture = Fixture::new(1);
    let first = fixture.register("phone", 1).unwrap();
    let again = fixture.register("phone", 2).unwrap();
    assert_eq!(first.device.after.device_id, again.device.after.device_id);
    assert!(again.events.is_empty() && again.offer.after.used == 1);
    fixture.confirm(first.device.after.device_id, 3);
    assert_eq!(fixture.register("phone", 4).unwrap_err().error, DomainError::CodeUsed);
}

#[test]
fn a_lost_answer_is_made_up_for_within_a_quarter_of_an_hour_and_no_later() {
    for (minutes, again) in [(15, true), (16, false)] {
        let mut fixture = Fixture::new(1);
        fixture.register("phone", 1).unwrap();
        let answer = fixture.register("phone", minutes).map(|repeat| repeat.device.after.device_id);
        assert_eq!(answer.is_ok(), again, "{minutes}: {answer:?}");
    }
    let mut earlier = Fixture::new(1);
    let id = earlier.register("phone", 1).unwrap().device.after.device_id;
    earlier.devices.get_mut(&id).unwrap().enrolment.as_mut().unwrap().at = None;
    assert_eq!(earlier.register("phone", 1).unwrap_err().error, DomainError::CodeUsed, "it does not say when");
}

#[test]
fn an_answer_is_not_made_up_for_once_the_user_has_another_address() {
    let changes: [fn(&mut User, Time); 2] =
        [|user, at| user.email_changed_at = Some(at), |user, at| user.mobile_changed_at = Some(at)];
    for change in changes {
        let mut fixture = Fixture::new(1);
        change(&mut fixture.user, at(1));
        fixture.register("phone", 1).unwrap();
        assert!(fixture.register("phone", 2).is_ok(), "it was changed before");
        change(&mut fixture.user, at(2));
        assert_eq!(fixture.register("phone", 2).unwrap_err().error, DomainError::CodeUsed);
    }
}

#[test]
fn a_code_that_was_taken_back_or_replaced_puts_no_phone_out() {
    type End = fn(&mut Fixture);
    let ends: [(End, DomainError); 4] = [
        (|fixture| fixture.invitation.revoked_at = Some(at(2)), DomainError::CodeRevoked),
        (|fixture| fixture.invitation.superseded_at = Some(at(2)), DomainError::CodeSuperseded),
        // It was used up when the newer one was made, and its row does not say so.
        (|fixture| fixture.invitation.used = fixture.invitation.devices, DomainError::CodeUsed),
        (
            |fixture| (fixture.invitation.used, fixture.invitation.superseded_at) = (3, Some(at(2))),
            DomainError::CodeUsed,
        ),
    ];
    for (end, error) in ends {
        let mut fixture = Fixture::new(3);
        fixture.register("phone", 1).unwrap();
        end(&mut fixture);
        if error == DomainError::CodeUsed {
            fixture.user.invitation_id = Some(domain::InvitationId(Uuid::from_u128(66)));
        }
        assert_eq!(fixture.register("phone", 2).unwrap_err().error, error);
    }
}

#[test]
fn a_phone_comes_again_in_its_own_place_with_a_fresh_code_and_a_new_epoch() {
    let mut fixture = Fixture::new(3);
    for n in 0..3 {
        fixture.register(&format!("phone-{n}"), 1).unwrap();
    }
    let failed = FailedCommand { kind: CommandKind::Lock, at: at(2) };
    for device in fixture.devices.values_mut() {
        device.failed = Some(failed);
    }
    fixture.invite(1, 1);
    let again = fixture.register("phone-1", 5).unwrap();
    assert_eq!(again.device.after.failed, None, "what it could not do before is over");
    assert_eq!(fixture.user.device_ids.len(), 3);
    assert_eq!(again.device.after.epoch, 2);
    assert_eq!(event_types(&again), [EventType::DeviceReEnrolled]);
}

#[test]
fn a_blocked_phone_cannot_register_itself_free() {
    let mut fixture = Fixture::new(1);
    let id = fixture.register("phone", 1).unwrap().device.after.device_id;
    let (blocked, _) = device_of(devices::block(&fixture.devices[&id], None, &context(2)).unwrap().unwrap());
    fixture.devices.insert(id, blocked);
    assert_eq!(fixture.register("phone", 3).unwrap_err().error, DomainError::DeviceBlocked);
    fixture.invite(1, 1);
    assert_eq!(fixture.register("phone", 3).unwrap_err().error, DomainError::DeviceBlocked);
}

#[test]
fn a_deleted_phone_comes_back_as_a_new_device_and_its_old_credential_ends() {
    let mut fixture = Fixture::new(1);
    let old = fixture.register("phone", 1).unwrap().device.after.device_id;
    fixture.delete(old, 2);
    fixture.invite(1, 1);
    let back = fixture.register("phone", 3).unwrap();
    assert_ne!(back.device.after.device_id, old);
    assert_eq!(back.device.after.epoch, 2);
    assert!(fixture.devices[&old].replaced && fixture.devices[&old].deleted.is_some());
}

#[test]
fn a_phone_that_is_told_to_erase_itself_does_so_before_it_registers_and_its_code_stays_good() {
    for kind in [CommandKind::Wipe, CommandKind::FactoryReset] {
        for deleted in [false, true] {
            let mut fixture = Fixture::with_phones(1);
            let ids: Vec<DeviceId> = fixture.devices.keys().copied().collect();
            let reset = fixture.order(ids[0], &command_request(kind), 2).unwrap();
            if deleted {
                fixture.delete(ids[0], 3);
            }
            fixture.invite(1, 4);
            let refused = fixture.register("phone-0", 4).unwrap_err();
            assert_eq!((refused.error, refused.change), (DomainError::ErasurePending, None));
            assert!(fixture.commands[&reset].state.is_pending(), "it still stands");
            fixture.register("another", 4).unwrap();
            fixture.invite(1, 5);
            let succeeded = CommandReport { outcome: Some(Outcome::Succeeded), detail: None };
            fixture.say(reset, &succeeded, 1, 5).unwrap();
            fixture.register("phone-0", 6).unwrap();
        }
    }
}

#[test]
fn a_phone_whose_order_was_taken_back_or_is_over_registers() {
    let ends: [fn(&mut Fixture, CommandId) -> i64; 2] = [
        |fixture, wipe| {
            fixture.befall(wipe, Trigger::Cancel, 3).unwrap();
            3
        },
        |_, _| 91 * 24 * 60,
    ];
    for end in ends {
        let mut fixture = Fixture::with_phones(1);
        let ids: Vec<DeviceId> = fixture.devices.keys().copied().collect();
        let wipe = fixture.order(ids[0], &command_request(CommandKind::Wipe), 2).unwrap();
        let now = end(&mut fixture, wipe);
        fixture.invite(1, now);
        fixture.register("phone-0", now).unwrap();
    }
}

#[derive(Clone, Debug)]
enum Step {
    Register(u8),
    Delete(u8),
    Confirm(u8),
    Invite(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..6).prop_map(Step::Register),
        2 => (0u8..6).prop_map(Step::Delete),
        1 => (0u8..6).prop_map(Step::Confirm),
        2 => (1u32..4).prop_map(Step::Invite),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_in_whatever_order_a_user_holds_at_most_three_and_the_rows_agree(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut fixture = Fixture::new(1);
        for (minute, step) in (1..).zip(steps) {
            let of = |fixture: &Fixture, n: u8| fixture.claims.get(&format!("phone-{n}")).map(|claim| claim.device_id);
            match step {
                Step::Register(n) => drop(fixture.register(&format!("phone-{n}"), minute)),
                Step::Delete(n) => if let Some(id) = of(&fixture, n) { fixture.delete(id, minute); },
                Step::Confirm(n) => if let Some(id) = of(&fixture, n) { drop(fixture.check_in(id, &CheckInReport::default(), minute)); },
                Step::Invite(devices) => fixture.invite(devices, minute),
            }
            let there: std::collections::BTreeSet<_> =
                fixture.devices.values().filter(|device| device.deleted.is_none()).map(|device| device.device_id).collect();
            prop_assert_eq!(&fixture.user.device_ids, &there);
            prop_assert!(there.len() <= DEVICE_LIMIT);
            prop_assert!(fixture.invitation.used <= fixture.invitation.devices);
            for claim in fixture.claims.values() {
                prop_assert_eq!(claim.held, there.contains(&claim.device_id));
                prop_assert_eq!(claim.epoch, fixture.devices[&claim.device_id].epoch);
            }
        }
    }
}

#[test]
fn another_makers_app_has_no_push_token_whatever_it_sends() {
    for (platform, token) in [(Platform::Ios, Some("token-phone")), (Platform::ThirdParty, None)] {
        let application = RegistrationRequest { platform, ..application("phone") };
        let registration = register(&found(1), &application, new_id(), &context(1)).unwrap();
        let device = registration.device.after;
        assert_eq!((registration.push_token.as_deref(), device.push_token_hash), (token, token.map(Hash::of)));
        let reason = if token.is_some() { PushReason::EndpointPending } else { PushReason::NoToken };
        assert_eq!(device.push, Push { reason, since: at(1) });
    }
}

#[test]
fn a_phone_that_comes_again_keeps_its_pushes_if_its_token_is_the_same_and_they_reach_it() {
    let enrolled_with = |reason, token: Option<&str>| {
        let mut fixture = Fixture::with_phones(1);
        let id = fixture.held()[0].device_id;
        let (ready, _) = device_of(endpoint_made(&fixture.devices[&id], "arn".to_owned(), &context(2)).unwrap());
        let push = Push { reason, ..ready.push };
        fixture.devices.insert(id, Device { push, ..ready });
        fixture.invite(1, 3);
        let application = RegistrationRequest { push_token: token.map(str::to_owned), ..application("phone-0") };
        let after = register(&fixture.found("phone-0"), &application, new_id(), &context(4)).unwrap().device.after;
        assert_eq!(after.push_endpoint.as_deref(), Some("arn"));
        after.push
    };
    let pending = Push { reason: PushReason::EndpointPending, since: at(4) };
    let ready = Push { reason: PushReason::EndpointReady, since: at(2) };
    assert_eq!(enrolled_with(PushReason::EndpointReady, Some("token-phone-0")), ready);
    assert_eq!(enrolled_with(PushReason::EndpointReady, Some("another")), pending);
    assert_eq!(enrolled_with(PushReason::EndpointDisabled, Some("token-phone-0")), pending);
    let none = Push { reason: PushReason::NoToken, since: at(4) };
    assert_eq!(enrolled_with(PushReason::EndpointReady, None), none);
}

#[test]
fn the_claim_of_an_identifier_that_was_had_before_is_the_same_row() {
    let mut fixture = Fixture::with_phones(1);
    let id = fixture.held()[0].device_id;
    fixture.delete(id, 2);
    fixture.invite(1, 3);
    let mut found = fixture.found("phone-0");
    found.claim.as_mut().unwrap().version = 7;
    let claim = register(&found, &application("phone-0"), new_id(), &context(4)).unwrap().claim;
    assert_eq!((claim.before, claim.after.version, claim.after.epoch), (found.claim, 7, 2));
}

#[test]
fn an_application_is_read_with_every_fault_named() {
    let body = json!({
        "code": "code", "device_identifier": "phone", "platform": "ios", "model_name": "iPhone 17",
        "os_version": "26.1", "app_version": "4.2.0", "push_token": "token-phone",
    });
    assert_eq!(RegistrationRequest::read(fields(body)), Ok(application("phone")));
    let missing = ["code", "device_identifier", "platform", "model_name", "os_version"];
    let missing = missing.map(|field| (field.to_owned(), "missing"));
    assert_eq!(faults(RegistrationRequest::read(fields(json!({})))), missing);
}
