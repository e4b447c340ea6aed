//! What happens to a device once it is there.

use crate::common::{at, context, device_of, edit_of, invitation_of};
use crate::fixture::{Fixture, command_request};
use chrono::Duration;
use domain::CommandId;
use domain::error::DomainError;
use domain::models::command::CommandKind;
use domain::models::device::{
    Device, DeviceAccess, DeviceAttachments, DeviceStatus, Edit, Erasure, METADATA_KEYS, read_metadata,
};
use domain::models::event::EventType;
use domain::models::offer::{Delivery, DeliveryState};
use domain::models::push::{Push, PushReason};
use domain::rules::check_in::{CheckIn, CheckInReport, CheckInState, TokenChange, authenticate, check_in};
use domain::rules::devices::{DeviceToDelete, block, delete, edit, purge, unblock};
use domain::rules::offers::{expire, record_delivery};
use domain::rules::push::{endpoint_impossible, endpoint_made, reported};
use domain::secret::DeviceCredential;
use domain::states::Platform;
use domain::states::UserStatus;
use serde_json::{Value, json};
use uuid::Uuid;

fn device() -> Device {
    Fixture::new(1).register("phone", 0).unwrap().device.after
}

#[test]
fn blocking_twice_changes_nothing_and_makes_no_second_event() {
    let (blocked, event) = device_of(block(&device(), Some("lost".to_owned()), &context(1)).unwrap().unwrap());
    assert_eq!(blocked.access(), DeviceAccess::DeviceBlocked);
    assert_eq!((event.event_type, event.private.reason), (EventType::DeviceBlocked, Some("lost".to_owned())));
    assert_eq!(block(&blocked, Some("stolen".to_owned()), &context(2)), Ok(None));
    let (unblocked, _) = device_of(unblock(&blocked, None, &context(3)).unwrap().unwrap());
    assert_eq!(unblock(&unblocked, None, &context(4)), Ok(None));
    assert_eq!(unblocked.access(), DeviceAccess::Allowed);
}

#[test]
fn nothing_undoes_a_delete() {
    let mut fixture = Fixture::new(1);
    let id = fixture.register("phone", 0).unwrap().device.after.device_id;
    fixture.delete(id, 1);
    let deleted = &fixture.devices[&id];
    assert_eq!(deleted.access(), DeviceAccess::Deleted);
    assert_eq!(block(deleted, None, &context(2)), Err(DomainError::DeviceDeleted));
    assert_eq!(unblock(deleted, None, &context(2)), Err(DomainError::DeviceDeleted));
    assert_eq!(edit(deleted, None, &Edit::default(), &context(2)), Err(DomainError::DeviceDeleted));
    let leaving = fixture.to_delete(deleted.clone());
    assert_eq!(delete(&leaving, &fixture.user, None, Duration::days(1), &context(2)), None);
    assert_eq!(
        check_in(deleted, &CheckInReport::default(), &CheckInState::default(), &context(2)),
        CheckIn::AccessDenied
    );
}

#[test]
fn the_event_of_a_delete_says_why_and_which_credentials_end() {
    let mut fixture = Fixture::new(1);
    let device = fixture.register("phone", 0).unwrap().device.after;
    let credential = domain::CredentialId(Uuid::from_u128(7));
    let attachments =
        DeviceAttachments { credentials: [(credential, at(0))].into(), ..DeviceAttachments::empty(&device) };
    let leaving = DeviceToDelete { attachments: Some(attachments), ..fixture.to_delete(device) };
    let change = delete(&leaving, &fixture.user, Some("lost".to_owned()), Duration::days(1), &context(1)).unwrap();
    let event = &change.events[0];
    assert_eq!(event.private.reason.as_deref(), Some("lost"));
    assert_eq!(event.changes["acs_credential_ids"].before, json!([credential]));
    assert!(change.attachments.is_empty(), "they stay with the row until the purge");
}

#[test]
fn a_device_is_purged_after_the_later_of_its_retention_and_its_last_command() {
    let day = 24 * 60;
    let mut fixture = Fixture::with_phones(2);
    let [plain, wiped] = [0, 1].map(|n| fixture.held()[n].device_id);
    let wipe = fixture.order(wiped, &command_request(CommandKind::Wipe), 0).unwrap();
    fixture.delete(plain, 0);
    fixture.delete(wiped, 0);
    let purge_after = |fixture: &Fixture, id| fixture.devices[&id].deleted.clone().unwrap().purge_after;
    assert_eq!((purge_after(&fixture, plain), purge_after(&fixture, wiped)), (at(30 * day), at(90 * day)));
    assert!(purge(&fixture.devices[&plain], &context(30 * day - 1)).is_none());
    assert_eq!(purge(&fixture.devices[&plain], &context(30 * day)).unwrap().event_type, EventType::DevicePurged);

    assert!(purge(&fixture.devices[&wiped], &context(90 * day)).is_none(), "its command is still to be ended");
    assert_eq!(
        fixture.check_in(wiped, &CheckInReport::default(), 31 * day),
        Ok(vec![wipe]),
        "a deleted phone is still wiped"
    );
    fixture.run_due(90 * day);
    assert!(purge(&fixture.devices[&wiped], &context(90 * day)).is_some());
}

#[test]
fn what_a_device_may_do_follows_from_its_own_state_and_then_from_its_users() {
    let of = |status: UserStatus| Device { user_status: status, ..device() }.access();
    assert_eq!(of(UserStatus::Inactive), DeviceAccess::Allowed);
    assert_eq!(of(UserStatus::Active), DeviceAccess::Allowed);
    assert_eq!(of(UserStatus::Suspended), DeviceAccess::UserSuspended);
    assert_eq!(of(UserStatus::Locked), DeviceAccess::UserLocked);
    assert_eq!(of(UserStatus::Deleted), DeviceAccess::Deleted);
    let (blocked, _) = device_of(block(&device(), None, &context(1)).unwrap().unwrap());
    let suspended = Device { user_status: UserStatus::Suspended, ..blocked };
    assert_eq!(suspended.access(), DeviceAccess::DeviceBlocked);
}

#[test]
fn how_a_device_is_doing() {
    let now = at(0).plus(Duration::days(100));
    let seen = |days: i64| Device { last_login_at: Some(now.minus(Duration::days(days))), ..device() };
    assert_eq!(device().device_status(now), DeviceStatus::NeverSeen);
    assert_eq!(seen(30).device_status(now), DeviceStatus::InUse);
    assert_eq!(seen(31).device_status(now), DeviceStatus::Silent);

    let mut fixture = Fixture::with_phones(1);
    let id = fixture.held()[0].device_id;
    let day = 24 * 60;
    let status = |fixture: &Fixture, minutes| fixture.devices[&id].device_status(at(minutes));
    let (blocked, _) = device_of(block(&fixture.devices[&id], None, &context(2)).unwrap().unwrap());
    assert_eq!(blocked.device_status(at(2)), DeviceStatus::Blocked);
    fixture.order(id, &command_request(CommandKind::FactoryReset), 2).unwrap();
    assert_eq!(status(&fixture, 2), DeviceStatus::Wiping);
    assert_eq!(status(&fixture, 91 * day), DeviceStatus::Silent, "a reset that nobody came for is no wiping");
    fixture.erase(id, 3).unwrap();
    assert_eq!(status(&fixture, 3), DeviceStatus::NeedsEnrolment);
    fixture.store(&fixture.suspend(4).unwrap().unwrap());
    assert_eq!(status(&fixture, 4), DeviceStatus::Wiped, "its user is kept out");
    fixture.delete(id, 5);
    assert_eq!(status(&fixture, 5), DeviceStatus::Deleted);
}

#[test]
fn only_the_newest_credential_of_a_device_opens_it() {
    fn zeros(bytes: &mut [u8]) {
        bytes.fill(0);
    }
    fn ones(bytes: &mut [u8]) {
        bytes.fill(1);
    }
    let mut device = device();
    let credential = DeviceCredential::new(zeros, device.workspace_id, device.device_id, device.epoch);
    device.credential_hash = credential.hash();
    assert!(authenticate(Some(device.clone()), &credential).is_ok());
    let forged = DeviceCredential::new(ones, device.workspace_id, device.device_id, device.epoch);
    assert_eq!(authenticate(Some(device.clone()), &forged), Err(DomainError::CredentialInvalid));
    assert_eq!(authenticate(None, &credential), Err(DomainError::CredentialInvalid));
    let anew = Device { epoch: 2, ..device.clone() };
    assert_eq!(authenticate(Some(anew), &credential), Err(DomainError::ReEnrol));
    let replaced = Device { replaced: true, ..device.clone() };
    assert_eq!(authenticate(Some(replaced), &credential), Err(DomainError::ReEnrol));
    let erased = Device { erased: Some(Erasure { at: at(1), command_id: CommandId(Uuid::from_u128(5)) }), ..device };
    assert_eq!(authenticate(Some(erased), &credential), Err(DomainError::ReEnrol));
}

#[test]
fn a_check_in_tells_what_is_new_and_names_a_token_without_showing_it() {
    let report = CheckInReport {
        os_version: Some("27.0".to_owned()),
        app_version: Some("4.2.0".to_owned()),
        push_token: Some("secret-token".to_owned()),
        ..CheckInReport::default()
    };
    let CheckIn::Changed { change, token } = check_in(&device(), &report, &CheckInState::default(), &context(1)) else {
        panic!("something changed");
    };
    let (device, event) = (&change.devices[0].after, &change.events[0]);
    assert_eq!((device.os_version.as_str(), token), ("27.0", Some(TokenChange::New("secret-token".to_owned()))));
    assert_eq!((device.push.reason, change.events.len()), (PushReason::EndpointPending, 1));
    assert_eq!(event.changes.keys().collect::<Vec<_>>(), ["os_version"]);
    assert_eq!(event.changed_fields, ["push_token"]);
    assert!(!serde_json::to_string(event).unwrap().contains("secret-token"));
}

#[test]
fn a_third_party_app_has_no_push_token_and_says_nothing_new_by_sending_one() {
    let device = Device { platform: Platform::ThirdParty, enrolment: None, push_token_hash: None, ..device() };
    let report = CheckInReport { push_token: Some("token".to_owned()), ..CheckInReport::default() };
    assert_eq!(check_in(&device, &report, &CheckInState::default(), &context(1)), CheckIn::OnlyTime);
}

#[test]
fn metadata_is_merged_key_by_key_within_its_bounds() {
    let device = device();
    let wanted = |value: Value| Edit { nickname: None, metadata: read_metadata(&value).unwrap() };
    let set = wanted(json!({"site": "Bonn", "loaner": true}));
    let (_, metadata, event) = edit_of(edit(&device, None, &set, &context(1)).unwrap().unwrap());
    assert_eq!(event.changed_fields, ["custom_metadata"]);
    assert_eq!(edit(&device, metadata.as_ref(), &set, &context(2)), Ok(None));
    let (_, metadata, _) = edit_of(
        edit(&device, metadata.as_ref(), &wanted(json!({"site": "", "loaner": null})), &context(3)).unwrap().unwrap(),
    );
    assert!(metadata.as_ref().unwrap().metadata.is_empty());

    let many: serde_json::Map<_, _> = (0..=METADATA_KEYS).map(|n| (format!("k{n}"), json!(true))).collect();
    let too_many = edit(&device, metadata.as_ref(), &wanted(Value::Object(many)), &context(4));
    assert!(matches!(too_many, Err(DomainError::Invalid(faults)) if faults[0].code == "too_many"));

    let bad = json!({"a.b": "x", "": "x", "n": 1, "o": {}, "l": "x".repeat(501), "c": "\u{0}"});
    assert_eq!(read_metadata(&bad).unwrap_err().len(), 6);
}

#[test]
fn a_report_about_another_endpoint_or_from_before_is_dropped() {
    let (ready, _) = device_of(endpoint_made(&device(), "arn:new".to_owned(), &context(10)).unwrap());
    assert_eq!(ready.push.reason, PushReason::EndpointReady);
    assert!(endpoint_made(&ready, "arn:new".to_owned(), &context(11)).is_none());
    let report =
        |endpoint: &str, minute| reported(&ready, endpoint, at(minute), PushReason::EndpointDisabled, &context(minute));
    assert!(report("arn:old", 20).is_none());
    assert!(report("arn:new", 9).is_none());
    assert!(report("arn:new", 10).is_none());
    let (disabled, event) = device_of(report("arn:new", 11).unwrap());
    assert_eq!((disabled.push.reason, event.event_type), (PushReason::EndpointDisabled, EventType::DevicePushChanged));
}

#[test]
fn an_endpoint_that_was_disabled_is_enabled_again_by_the_apps_next_contact_and_once_a_day() {
    let day = 24 * 60;
    let disabled = |device: &Device, reason, minute| {
        device_of(reported(device, "arn", at(minute), reason, &context(minute)).unwrap()).0
    };
    let contact = |device: &Device, report: &CheckInReport, minute| match check_in(
        device,
        report,
        &CheckInState::default(),
        &context(minute),
    ) {
        CheckIn::Changed { change, token } => Some((change.devices[0].after.clone(), token, change.events[0].clone())),
        CheckIn::OnlyTime => None,
        CheckIn::AccessDenied => panic!("it is allowed"),
    };
    let (ready, _) =
        device_of(endpoint_made(&Device { enrolment: None, ..device() }, "arn".to_owned(), &context(1)).unwrap());
    let same = CheckInReport { push_token: Some("token".to_owned()), ..CheckInReport::default() };
    let given = Device { push_token_hash: Some(domain::secret::Hash::of("token")), ..ready };
    for report in [CheckInReport::default(), same] {
        assert_eq!(contact(&given, &report, 2), None, "nothing is disabled");
        for reason in [PushReason::EndpointDisabled, PushReason::DeliveryFailed] {
            let (again, token, event) = contact(&disabled(&given, reason, 5), &report, 6).unwrap();
            assert_eq!(
                (Push::for_display(&again).reason, token),
                (PushReason::EndpointPending, Some(TokenChange::EnableAgain))
            );
            assert!(event.changes.contains_key("push.reason"));
            let (ready, _) = device_of(endpoint_made(&again, "arn".to_owned(), &context(7)).unwrap());
            assert_eq!(
                (Push::for_display(&ready).reason, ready.push.reason.in_use()),
                (PushReason::EndpointReady, true)
            );
            assert!(reported(&ready, "arn", at(8), PushReason::EndpointReady, &context(8)).is_none());
            assert_eq!(contact(&ready, &report, 8), None, "it is enabled");
            assert!(contact(&disabled(&ready, reason, 7 + day), &report, 8 + day).is_some(), "it did well for a day");
            let once_more = disabled(&ready, reason, 9);
            assert_eq!(Push::for_display(&once_more).reason, PushReason::EndpointDisabled);
            assert!(reported(&once_more, "arn", at(10), reason, &context(10)).is_none(), "it is known");
            assert_eq!(contact(&once_more, &report, 8 + day), None, "not before a day is over");
            assert!(contact(&once_more, &report, 9 + day).is_some());
        }
        for reason in [PushReason::TokenRefused, PushReason::PlatformOff] {
            assert_eq!(contact(&disabled(&given, reason, 5), &report, 6), None, "{reason} is no endpoint");
        }
    }
    let newer = CheckInReport { push_token: Some("newer".to_owned()), ..CheckInReport::default() };
    let (_, token, _) = contact(&disabled(&given, PushReason::EndpointDisabled, 5), &newer, 6).unwrap();
    assert_eq!(token, Some(TokenChange::New("newer".to_owned())), "a new token gets an endpoint of its own");
    let blocked = block(&disabled(&given, PushReason::EndpointDisabled, 5), None, &context(6)).unwrap().unwrap();
    let (blocked, _) = device_of(blocked);
    assert_eq!(
        check_in(&blocked, &CheckInReport::default(), &CheckInState::default(), &context(7)),
        CheckIn::AccessDenied
    );
}

#[test]
fn pushes_are_not_in_use_of_a_device_that_is_deleted_or_erased() {
    let mut fixture = Fixture::with_phones(2);
    let [deleted, erased] = [0, 1].map(|n| fixture.held()[n].device_id);
    for id in [deleted, erased] {
        let (ready, _) = device_of(endpoint_made(&fixture.devices[&id], "arn".to_owned(), &context(2)).unwrap());
        assert_eq!(Push::for_display(&ready), ready.push);
        fixture.devices.insert(id, ready);
    }
    fixture.delete(deleted, 3);
    fixture.erase(erased, 4).unwrap();
    for (id, reason, since) in [(deleted, PushReason::DeviceDeleted, 3), (erased, PushReason::DeviceErased, 4)] {
        let shown = Push::for_display(&fixture.devices[&id]);
        assert_eq!((shown.reason, shown.reason.in_use(), shown.since), (reason, false, at(since)));
    }
    assert!(fixture.devices[&deleted].push.reason.in_use(), "it is still woken to be wiped");
}

#[test]
fn news_of_a_message_is_taken_once_and_never_backwards() {
    let invitation = crate::common::invitation(&crate::common::user(), 1);
    let news = |state| Delivery { state, at: at(1), message_id: None, reason: None };
    let (sent, _) = invitation_of(record_delivery(&invitation, news(DeliveryState::Sent), &context(1)).unwrap());
    assert!(record_delivery(&sent, news(DeliveryState::Sent), &context(2)).is_none());
    assert!(record_delivery(&sent, news(DeliveryState::Failed), &context(2)).is_none());
    let (arrived, _) = invitation_of(record_delivery(&sent, news(DeliveryState::Delivered), &context(2)).unwrap());
    let (bounced, event) = invitation_of(record_delivery(&arrived, news(DeliveryState::Bounced), &context(3)).unwrap());
    assert_eq!(event.event_type, EventType::InvitationBounced);
    assert!(record_delivery(&bounced, news(DeliveryState::Delivered), &context(4)).is_none());
}

#[test]
fn an_invitation_expires_once_and_only_when_its_time_is_over() {
    let invitation = crate::common::invitation(&crate::common::user(), 1);
    let week = 7 * 24 * 60;
    assert!(expire(&invitation, &context(week - 1)).is_none());
    let (expired, event) = invitation_of(expire(&invitation, &context(week)).unwrap());
    assert_eq!(event.event_type, EventType::InvitationExpired);
    assert!(!expired.needs_code() && expire(&expired, &context(week + 1)).is_none());
}

#[test]
fn metadata_has_bounds_for_its_keys_its_values_and_their_count() {
    let long = |count: usize| "x".repeat(count);
    let read = |key: &str, value: Value| {
        let read = read_metadata(&json!({key: value}));
        read.map(|read| read[key].clone()).map_err(|faults| crate::common::named(&faults))
    };
    for (key, value, kept) in [
        (long(40), json!(true), json!(true)),
        ("k".to_owned(), json!(long(500)), json!(long(500))),
        ("k".to_owned(), json!("a\n\tb"), json!("a\n\tb")),
        ("k".to_owned(), json!(""), json!(null)),
        ("k".to_owned(), json!(null), json!(null)),
    ] {
        assert_eq!(read(&key, value), Ok(kept));
    }
    for (key, value, code) in [
        (long(41), json!(true), "invalid_key"),
        (String::new(), json!(true), "invalid_key"),
        ("a.b".to_owned(), json!(true), "invalid_key"),
        ("a\n".to_owned(), json!(true), "invalid_key"),
        ("k".to_owned(), json!(long(501)), "too_long"),
        ("k".to_owned(), json!("\u{7}"), "control_character"),
        ("k".to_owned(), json!(7), "wrong_type"),
        ("k".to_owned(), json!([]), "wrong_type"),
    ] {
        let field = format!("custom_metadata.{}", key.chars().take(40).collect::<String>());
        assert_eq!(read(&key, value), Err(vec![(field, code)]));
    }
    assert_eq!(
        crate::common::named(&read_metadata(&json!([])).unwrap_err()),
        [("custom_metadata".to_owned(), "wrong_type")]
    );

    let most: serde_json::Map<_, _> = (0..METADATA_KEYS).map(|n| (format!("k{n}"), json!(true))).collect();
    let wanted = Edit { nickname: None, metadata: read_metadata(&Value::Object(most)).unwrap() };
    let (_, held, _) = edit_of(edit(&device(), None, &wanted, &context(1)).unwrap().unwrap());
    assert_eq!(held.unwrap().metadata.len(), METADATA_KEYS);
}

#[test]
fn an_edit_names_what_it_changes_and_keeps_its_values_to_the_audit() {
    let device = device();
    let wanted = |nickname: Option<&str>, value: Value| Edit {
        nickname: Some(nickname.map(str::to_owned)),
        metadata: read_metadata(&value).unwrap(),
    };
    let (named, held, event) =
        edit_of(edit(&device, None, &wanted(Some("Van 7"), json!({"site": "Bonn"})), &context(1)).unwrap().unwrap());
    assert_eq!(named, Device { nickname: Some("Van 7".to_owned()), ..device });
    assert_eq!(event.changed_fields, ["nickname", "custom_metadata"]);
    assert_eq!(event.private.metadata, [("site".to_owned(), json!("Bonn"))].into());
    assert!(!crate::common::published(&event).contains("Bonn"));
    let again = wanted(Some("Van 7"), json!({"site": "Bonn", "floor": "3"}));
    let (same, _, event) = edit_of(edit(&named, held.as_ref(), &again, &context(2)).unwrap().unwrap());
    assert_eq!((same, event.changed_fields), (named.clone(), vec!["custom_metadata".to_owned()]));
    assert_eq!(event.private.metadata, [("floor".to_owned(), json!("3"))].into(), "what changes, and nothing else");
    let (bare, ..) = edit_of(edit(&named, held.as_ref(), &wanted(None, json!({})), &context(3)).unwrap().unwrap());
    assert_eq!(bare.nickname, None);
}

#[test]
fn a_token_that_has_no_use_leaves_no_endpoint() {
    let (ready, _) = device_of(endpoint_made(&device(), "arn".to_owned(), &context(1)).unwrap());
    let (without, event) = device_of(endpoint_impossible(&ready, PushReason::TokenRefused, &context(2)).unwrap());
    let push = Push { reason: PushReason::TokenRefused, since: at(2) };
    assert_eq!(without, Device { push_endpoint: None, push, ..ready });
    assert_eq!(
        (&event.changes["push.in_use"].before, &event.changes["push.in_use"].after),
        (&json!(true), &json!(false))
    );
    assert_eq!(event.changed_fields, ["push_endpoint"]);
    assert_eq!(endpoint_impossible(&without, PushReason::TokenRefused, &context(3)), None, "it is known");
}
