//! Who may register, and as what.

use crate::common::{act, application, at, faults, fields, found};
use crate::world::{World, wanted};
use domain::check_in::Report;
use domain::command::{CommandKind, FailedCommand, Outcome, Stimulus, Word};
use domain::device::{self, DEVICE_LIMIT, Deleted, Device, Platform};
use domain::event::EventType;
use domain::hold::Hold;
use domain::push::{Push, PushReason, endpoint_made};
use domain::refusal::Refusal;
use domain::registration::{Application, Drawn, Registration, register};
use domain::secret::Hash;
use domain::user::User;
use domain::{CommandId, DeviceId, Time, UserId};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

fn told(registration: &Registration) -> Vec<EventType> {
    registration.events.iter().map(|event| event.event_type).collect()
}

fn gone() -> Deleted {
    Deleted { at: at(0), by: act(0).actor, purge_after: at(0) }
}

fn drawn() -> Drawn {
    Drawn { device_id: DeviceId(Uuid::from_u128(77)) }
}

#[test]
fn a_first_phone_makes_its_user_active_and_uses_the_invitation() {
    let registration = register(&found(1), &application("phone"), &drawn(), &act(1)).unwrap();
    assert_eq!(registration.user.after.status(), domain::user::UserStatus::Active);
    assert_eq!(registration.device.after.user_status, domain::user::UserStatus::Active);
    assert_eq!(registration.invitation.after.used, 1);
    assert_eq!(registration.invitation.after.used_at, Some(at(1)));
    assert_eq!(told(&registration), [EventType::DeviceRegistered]);
}

#[test]
fn a_fourth_phone_is_refused_and_the_three_are_named() {
    let mut world = World::new(3);
    for n in 0..3 {
        world.register(&format!("phone-{n}"), 1).unwrap();
    }
    let used_up = world.register("phone-3", 2).unwrap_err().refusal;
    assert!(matches!(used_up, Refusal::DeviceLimitReached(held) if held.len() == DEVICE_LIMIT));
    world.invite(3, 1);
    let fresh = world.register("phone-3", 2).unwrap_err().refusal;
    assert!(matches!(fresh, Refusal::DeviceLimitReached(held) if held.len() == DEVICE_LIMIT));
}

#[test]
fn a_code_that_is_used_expired_or_superseded_registers_nothing() {
    let mut world = World::new(1);
    world.register("phone-0", 1).unwrap();
    assert_eq!(world.register("phone-1", 1).unwrap_err().refusal, Refusal::CodeUsed);

    let week = 7 * 24 * 60;
    let late = register(&found(1), &application("phone"), &drawn(), &act(week));
    assert_eq!(late.unwrap_err().refusal, Refusal::CodeExpired);

    let mut superseded = found(1);
    superseded.invitation.superseded_at = Some(at(1));
    let refused = register(&superseded, &application("phone"), &drawn(), &act(2));
    assert_eq!(refused.unwrap_err().refusal, Refusal::CodeSuperseded);
}

#[test]
fn a_user_who_may_not_use_the_app_registers_nothing() {
    let refused = |change: fn(&mut User)| {
        let mut found = found(1);
        change(&mut found.user);
        register(&found, &application("phone"), &drawn(), &act(1)).unwrap_err().refusal
    };
    assert_eq!(refused(|user| user.suspended = Some(Hold::by(&act(0), None))), Refusal::UserSuspended);
    assert_eq!(refused(|user| user.locked = Some(Hold::by(&act(0), None))), Refusal::UserLocked);
    assert_eq!(refused(|user| user.deleted = Some(gone())), Refusal::UserDeleted);
}

#[test]
fn a_phone_that_another_user_holds_is_refused_and_the_attempt_is_on_the_record() {
    let mut world = World::new(1);
    world.register("phone", 1).unwrap();
    let mut other = world.found("phone");
    other.user.user_id = UserId(Uuid::from_u128(55));
    other.invitation.used = 0;
    let refused = register(&other, &application("phone"), &drawn(), &act(2)).unwrap_err();
    assert_eq!(refused.refusal, Refusal::IdentifierHeld);
    let counted = refused.change.unwrap();
    assert_eq!(counted.events[0].event_type, EventType::DeviceRefused);
    assert_eq!(counted.invitations[0].after.refused_registrations, 1);
}

#[test]
fn a_code_that_was_refused_five_times_for_anothers_phone_is_spent() {
    let mut world = World::new(3);
    world.register("phone", 1).unwrap();
    let mut other = world.found("phone");
    other.user.user_id = UserId(Uuid::from_u128(55));
    for asked in 1..=5 {
        let refused = register(&other, &application("phone"), &drawn(), &act(2)).unwrap_err();
        assert_eq!(refused.refusal, Refusal::IdentifierHeld);
        let counted = refused.change.unwrap();
        let told: Vec<EventType> = counted.events.iter().map(|event| event.event_type).collect();
        let last: &[EventType] = if asked == 5 { &[EventType::InvitationRevoked] } else { &[] };
        assert_eq!(told, [&[EventType::DeviceRefused], last].concat());
        assert_eq!(counted.invitations[0].before.as_ref(), Some(&other.invitation), "it is guarded by its version");
        other.invitation = counted.invitations[0].after.clone();
    }
    assert!(!other.invitation.keeps_code());
    for identifier in ["phone", "one that nobody has"] {
        let mut asks = world.found(identifier);
        (asks.user, asks.invitation) = (other.user.clone(), other.invitation.clone());
        let refused = register(&asks, &application(identifier), &drawn(), &act(3)).unwrap_err();
        assert_eq!((refused.refusal, refused.change), (Refusal::CodeRevoked, None), "it tells no more");
    }
}

#[test]
fn refusals_at_the_cap_do_not_count_against_the_code() {
    let mut world = World::new(3);
    for n in 0..3 {
        world.register(&format!("phone-{n}"), 1).unwrap();
    }
    world.invite(1, 1);
    for _ in 0..7 {
        let refused = world.register("phone-3", 2).unwrap_err();
        assert!(matches!(refused.refusal, Refusal::DeviceLimitReached(_)) && refused.change.is_none());
    }
    assert_eq!(world.invitation.refused_registrations, 0);
}

#[test]
fn before_its_first_check_in_the_same_phone_may_ask_again() {
    let mut world = World::new(1);
    let first = world.register("phone", 1).unwrap();
    let again = world.register("phone", 2).unwrap();
    assert_eq!(first.device.after.device_id, again.device.after.device_id);
    assert!(again.events.is_empty() && again.invitation.after.used == 1);
    world.confirm(first.device.after.device_id, 3);
    assert_eq!(world.register("phone", 4).unwrap_err().refusal, Refusal::CodeUsed);
}

#[test]
fn a_lost_answer_is_made_up_for_within_a_quarter_of_an_hour_and_no_later() {
    for (minutes, again) in [(15, true), (16, false)] {
        let mut world = World::new(1);
        world.register("phone", 1).unwrap();
        let answer = world.register("phone", minutes).map(|repeat| repeat.device.after.device_id);
        assert_eq!(answer.is_ok(), again, "{minutes}: {answer:?}");
    }
    let mut earlier = World::new(1);
    let id = earlier.register("phone", 1).unwrap().device.after.device_id;
    earlier.devices.get_mut(&id).unwrap().enrolment.as_mut().unwrap().at = None;
    assert_eq!(earlier.register("phone", 1).unwrap_err().refusal, Refusal::CodeUsed, "it does not say when");
}

#[test]
fn an_answer_is_not_made_up_for_once_the_user_has_another_address() {
    let changes: [fn(&mut User, Time); 2] =
        [|user, at| user.email_changed_at = Some(at), |user, at| user.mobile_changed_at = Some(at)];
    for change in changes {
        let mut world = World::new(1);
        change(&mut world.user, at(1));
        world.register("phone", 1).unwrap();
        assert!(world.register("phone", 2).is_ok(), "it was changed before");
        change(&mut world.user, at(2));
        assert_eq!(world.register("phone", 2).unwrap_err().refusal, Refusal::CodeUsed);
    }
}

#[test]
fn a_code_that_was_taken_back_or_replaced_puts_no_phone_out() {
    type End = fn(&mut World);
    let ends: [(End, Refusal); 4] = [
        (|world| world.invitation.revoked_at = Some(at(2)), Refusal::CodeRevoked),
        (|world| world.invitation.superseded_at = Some(at(2)), Refusal::CodeSuperseded),
        // It was used up when the newer one was made, and its row does not say so.
        (|world| world.invitation.used = world.invitation.devices, Refusal::CodeUsed),
        (|world| (world.invitation.used, world.invitation.superseded_at) = (3, Some(at(2))), Refusal::CodeUsed),
    ];
    for (end, refusal) in ends {
        let mut world = World::new(3);
        world.register("phone", 1).unwrap();
        end(&mut world);
        if refusal == Refusal::CodeUsed {
            world.user.invitation_id = Some(domain::InvitationId(Uuid::from_u128(66)));
        }
        assert_eq!(world.register("phone", 2).unwrap_err().refusal, refusal);
    }
}

#[test]
fn a_phone_comes_again_in_its_own_place_with_a_fresh_code_and_a_new_epoch() {
    let mut world = World::new(3);
    for n in 0..3 {
        world.register(&format!("phone-{n}"), 1).unwrap();
    }
    let failed = FailedCommand { kind: CommandKind::Lock, at: at(2) };
    for device in world.devices.values_mut() {
        device.failed = Some(failed);
    }
    world.invite(1, 1);
    let again = world.register("phone-1", 5).unwrap();
    assert_eq!(again.device.after.failed, None, "what it could not do before is over");
    assert_eq!(world.user.device_ids.len(), 3);
    assert_eq!(again.device.after.epoch, 2);
    assert_eq!(told(&again), [EventType::DeviceReEnrolled]);
}

#[test]
fn a_blocked_phone_cannot_register_itself_free() {
    let mut world = World::new(1);
    let id = world.register("phone", 1).unwrap().device.after.device_id;
    let (blocked, _) = device::block(&world.devices[&id], None, &act(2)).unwrap().unwrap();
    world.devices.insert(id, blocked);
    assert_eq!(world.register("phone", 3).unwrap_err().refusal, Refusal::DeviceBlocked);
    world.invite(1, 1);
    assert_eq!(world.register("phone", 3).unwrap_err().refusal, Refusal::DeviceBlocked);
}

#[test]
fn a_deleted_phone_comes_back_as_a_new_device_and_its_old_credential_ends() {
    let mut world = World::new(1);
    let old = world.register("phone", 1).unwrap().device.after.device_id;
    world.delete(old, 2);
    world.invite(1, 1);
    let back = world.register("phone", 3).unwrap();
    assert_ne!(back.device.after.device_id, old);
    assert_eq!(back.device.after.epoch, 2);
    assert!(world.devices[&old].replaced && world.devices[&old].deleted.is_some());
}

#[test]
fn a_phone_that_is_told_to_erase_itself_does_so_before_it_registers_and_its_code_stays_good() {
    for kind in [CommandKind::Wipe, CommandKind::FactoryReset] {
        for deleted in [false, true] {
            let mut world = World::with_phones(1);
            let ids: Vec<DeviceId> = world.devices.keys().copied().collect();
            let reset = world.order(ids[0], &wanted(kind), 2).unwrap();
            if deleted {
                world.delete(ids[0], 3);
            }
            world.invite(1, 4);
            let refused = world.register("phone-0", 4).unwrap_err();
            assert_eq!((refused.refusal, refused.change), (Refusal::ErasurePending, None));
            assert!(world.commands[&reset].state.is_pending(), "it still stands");
            world.register("another", 4).unwrap();
            world.invite(1, 5);
            let succeeded = Word { outcome: Some(Outcome::Succeeded), detail: None };
            world.say(reset, &succeeded, 1, 5).unwrap();
            world.register("phone-0", 6).unwrap();
        }
    }
}

#[test]
fn a_phone_whose_order_was_taken_back_or_is_over_registers() {
    let ends: [fn(&mut World, CommandId) -> i64; 2] = [
        |world, wipe| {
            world.befall(wipe, Stimulus::Cancel, 3).unwrap();
            3
        },
        |_, _| 91 * 24 * 60,
    ];
    for end in ends {
        let mut world = World::with_phones(1);
        let ids: Vec<DeviceId> = world.devices.keys().copied().collect();
        let wipe = world.order(ids[0], &wanted(CommandKind::Wipe), 2).unwrap();
        let now = end(&mut world, wipe);
        world.invite(1, now);
        world.register("phone-0", now).unwrap();
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
        let mut world = World::new(1);
        for (minute, step) in (1..).zip(steps) {
            let of = |world: &World, n: u8| world.claims.get(&format!("phone-{n}")).map(|claim| claim.device_id);
            match step {
                Step::Register(n) => drop(world.register(&format!("phone-{n}"), minute)),
                Step::Delete(n) => if let Some(id) = of(&world, n) { world.delete(id, minute); },
                Step::Confirm(n) => if let Some(id) = of(&world, n) { drop(world.check_in(id, &Report::default(), minute)); },
                Step::Invite(devices) => world.invite(devices, minute),
            }
            let there: std::collections::BTreeSet<_> =
                world.devices.values().filter(|device| device.deleted.is_none()).map(|device| device.device_id).collect();
            prop_assert_eq!(&world.user.device_ids, &there);
            prop_assert!(there.len() <= DEVICE_LIMIT);
            prop_assert!(world.invitation.used <= world.invitation.devices);
            for claim in world.claims.values() {
                prop_assert_eq!(claim.held, there.contains(&claim.device_id));
                prop_assert_eq!(claim.epoch, world.devices[&claim.device_id].epoch);
            }
        }
    }
}

#[test]
fn another_makers_app_has_no_push_token_whatever_it_sends() {
    for (platform, token) in [(Platform::Ios, Some("token-phone")), (Platform::ThirdParty, None)] {
        let application = Application { platform, ..application("phone") };
        let registration = register(&found(1), &application, &drawn(), &act(1)).unwrap();
        let device = registration.device.after;
        assert_eq!((registration.token.as_deref(), device.push_token_hash), (token, token.map(Hash::of)));
        let reason = if token.is_some() { PushReason::EndpointPending } else { PushReason::NoToken };
        assert_eq!(device.push, Push { reason, since: at(1) });
    }
}

#[test]
fn a_phone_that_comes_again_keeps_its_pushes_if_its_token_is_the_same_and_they_reach_it() {
    let enrolled_with = |reason, token: Option<&str>| {
        let mut world = World::with_phones(1);
        let id = world.held()[0].device_id;
        let (ready, _) = endpoint_made(&world.devices[&id], "arn".to_owned(), &act(2)).unwrap();
        let push = Push { reason, ..ready.push };
        world.devices.insert(id, Device { push, ..ready });
        world.invite(1, 3);
        let application = Application { push_token: token.map(str::to_owned), ..application("phone-0") };
        let after = register(&world.found("phone-0"), &application, &drawn(), &act(4)).unwrap().device.after;
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
    let mut world = World::with_phones(1);
    let id = world.held()[0].device_id;
    world.delete(id, 2);
    world.invite(1, 3);
    let mut found = world.found("phone-0");
    found.claim.as_mut().unwrap().version = 7;
    let claim = register(&found, &application("phone-0"), &drawn(), &act(4)).unwrap().claim;
    assert_eq!((claim.before, claim.after.version, claim.after.epoch), (found.claim, 7, 2));
}

#[test]
fn an_application_is_read_with_every_fault_named() {
    let body = json!({
        "code": "code", "device_identifier": "phone", "platform": "ios", "model_name": "iPhone 17",
        "os_version": "26.1", "app_version": "4.2.0", "push_token": "token-phone",
    });
    assert_eq!(Application::read(fields(body)), Ok(application("phone")));
    let missing = ["code", "device_identifier", "platform", "model_name", "os_version"];
    let missing = missing.map(|field| (field.to_owned(), "missing"));
    assert_eq!(faults(Application::read(fields(json!({})))), missing);
}
