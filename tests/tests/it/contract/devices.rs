//! Devices: the limit that the table enforces, registration, logins, lists and attachments.

use std::collections::BTreeSet;

use aws::{Commit, DeviceFilter, Login};
use chrono::Duration;
use domain::limits::DEVICE_LIMIT;
use domain::models::actor::Actor;
use domain::models::command::{CommandKind, OpenCommand};
use domain::models::device::{Device, DeviceAttachments, Enrolment, PushToken};
use domain::models::event::EventType;
use domain::models::push::{Push, PushReason};
use domain::models::restriction::Restriction;
use domain::models::usage::{Counts, UsageReport};
use domain::models::{device, restriction};
use domain::rules::check_in::CheckInReport;
use domain::rules::devices;
use domain::secret::{DeviceCredential, Hash};
use domain::states::{CommandState, Platform, UserStatus};
use domain::{CommandId, CredentialId, DeviceId, InvitationId, UserId};
use serde_json::json;

use super::{Place, TestStore, claim, invited, letters, lost, new_id, nothing, typed, walk};

/// The rule would have rejected it; here the write skips the rule and has current versions.
#[tokio::test]
async fn a_fourth_device_is_refused_by_the_table() {
    let store = &TestStore::start().await;
    let place = Place::new(store);
    let mut user = place.user("ada").await;
    let with = |count: usize| {
        let mut after = user.clone();
        after.device_ids.extend((0..count).map(|_| DeviceId(new_id(place.now))));
        (user.clone(), after)
    };
    let (before, four_at_once) = with(DEVICE_LIMIT + 1);
    let commit = Commit::of(&place.context().event(EventType::DeviceRegistered)).edit(&before, &four_at_once);
    assert!(store.table.commit(commit).await.is_err(), "four at once");
    for identifier in ["one", "two"] {
        let _device = place.device(&mut user, identifier).await;
    }
    let mut two_more = user.clone();
    two_more.device_ids.extend([DeviceId(new_id(place.now)), DeviceId(new_id(place.now))]);
    let commit = Commit::of(&place.context().event(EventType::DeviceRegistered)).edit(&user, &two_more);
    lost(store.table.commit(commit).await, "two beside two");
    let third = place.device(&mut user, "three").await;
    let rows = place.rows();
    let fourth = place.new_device(user.user_id, "four");
    let mut past_the_rule = user.clone();
    past_the_rule.device_ids.insert(fourth.device_id);
    let event = place.context().event(EventType::DeviceRegistered);
    let commit = Commit::of(&event).put(&fourth).edit(&user, &past_the_rule);
    lost(store.table.commit(commit).await, "a fourth device");
    assert_eq!(place.read(&user).await, user, "the row was known as it is, and did not change");
    assert_eq!(place.rows(), rows, "neither the device nor the event was made");
    let mut freed = user.clone();
    freed.device_ids.remove(&third.device_id);
    place.edit(&user, &freed).await;
    freed.version += 1;
    let mut user = freed;
    let _fits = place.device(&mut user, "four").await;
    assert_eq!(place.read(&user).await.device_ids.len(), DEVICE_LIMIT);
}

#[tokio::test]
async fn a_registration_knows_all_that_its_rule_needs() {
    let store = &TestStore::start().await;
    let place = Place::new(store);
    let mut user = place.user("ada").await;
    let device = place.device(&mut user, "phone").await;
    let (invitation, code) = invited(&place, &user, 1, Duration::days(7));
    let commit = Commit::without_event(place.id()).put(&invitation).keep_code(&invitation, &code);
    store.table.commit(commit).await.expect("it is new");
    let owner = store.table.code_owner(&Hash::of(&code)).await.expect("it answers").expect("the code is known");
    let found = store.table.registration(&owner, "phone").await.expect("it answers").expect("all is there");
    assert_eq!((&found.user, &found.invitation), (&user, &invitation));
    assert_eq!((found.claim, found.claimed, found.held), (None, None, vec![device.clone()]));
    place.put(&claim(&place, &device)).await;
    let found = store.table.registration(&owner, "phone").await.expect("it answers").expect("all is there");
    assert_eq!((found.claim, found.claimed), (Some(claim(&place, &device)), Some(device.clone())));
    place.remove(&device).await;
    let found = store.table.registration(&owner, "phone").await.expect("it answers").expect("all is there");
    assert!(found.claim.is_some() && found.claimed.is_none() && found.held.is_empty(), "the claim outlives the row");
    place.remove(&user).await;
    assert!(store.table.registration(&owner, "phone").await.expect("it answers").is_none(), "the user is gone");
    assert_eq!(store.table.code_owner(&Hash::of("another")).await.expect("it answers"), None);
}

#[tokio::test]
async fn a_login_is_noted_only_for_the_device_itself_with_nothing_else_new() {
    let store = &TestStore::start().await;
    let mut place = Place::new(store);
    let mut user = place.user("ada").await;
    let id = DeviceId(new_id(place.now));
    let credential = DeviceCredential::new(letters, place.workspace, id, 1);
    let good = Device {
        device_id: id,
        credential_hash: credential.hash(),
        push_token_hash: Some(Hash::of("token")),
        pin_failures: 2,
        usage_sequence: Some(7),
        ..place.new_device(user.user_id, "phone")
    };
    user.device_ids.insert(id);
    place.put(&good).await;
    let usage = |sequence| Some(UsageReport { sequence, counts: Counts::new() });
    let same = CheckInReport {
        os_version: Some("1".to_owned()),
        app_version: None,
        push_token: Some("token".to_owned()),
        pin_failures: Some(2),
        usage: usage(7),
        config_version: Some("version1".to_owned()),
    };
    let counted_long_ago = CheckInReport { usage: usage(1), ..CheckInReport::default() };
    for report in [CheckInReport::default(), same, counted_long_ago] {
        place.later(Duration::days(1));
        let noted = store.table.note_login(&credential, &report, place.now).await.expect("it answers");
        assert!(matches!(noted, Login::Noted(_)), "{noted:?}");
        let read = store.table.device(place.workspace, id).await.expect("it answers").expect("it is there");
        assert_eq!(
            read,
            Device { last_login_at: Some(place.now), ..good.clone() },
            "nothing but the time, and no new version"
        );
    }
    let day = DeviceFilter { last_login_before: Some(place.now.plus(Duration::days(2))), ..DeviceFilter::default() };
    let seen = store.table.list_devices(place.workspace, &day, 10, None, place.now).await.expect("it answers");
    assert_eq!(seen.items.len(), 1, "its day of login is up to date");
    let news = [
        CheckInReport { os_version: Some("2".to_owned()), ..CheckInReport::default() },
        CheckInReport { app_version: Some("2".to_owned()), ..CheckInReport::default() },
        CheckInReport { push_token: Some("newer".to_owned()), ..CheckInReport::default() },
        CheckInReport { pin_failures: Some(1), ..CheckInReport::default() },
        CheckInReport { pin_failures: Some(0), ..CheckInReport::default() },
        CheckInReport { pin_failures: Some(3), ..CheckInReport::default() },
        CheckInReport { usage: usage(8), ..CheckInReport::default() },
    ];
    for report in news {
        let more = store.table.note_login(&credential, &report, place.now).await.expect("it answers");
        assert!(matches!(more, Login::More(Some(_))), "{report:?}: {more:?}");
    }
    let before = store.table.device(place.workspace, id).await.expect("it answers").expect("it is there");
    let disabled = |reason, since| Device { push: Push { reason, since }, ..before.clone() };
    let (day, lately) = (place.now.minus(Duration::days(1)), place.now.minus(Duration::hours(23)));
    let mut current = before.clone();
    for (state, is_news) in [
        (disabled(PushReason::EndpointDisabled, lately), true),
        (disabled(PushReason::DeliveryFailed, lately), true),
        (disabled(PushReason::DisabledAgain, day), true),
        (disabled(PushReason::DisabledAgain, lately), false),
        (disabled(PushReason::EnabledAgain, day), false),
        (disabled(PushReason::TokenRefused, day), false),
        (before.clone(), false),
    ] {
        let after = Device { last_login_at: current.last_login_at, version: current.version, ..state };
        place.edit(&current, &after).await;
        let login =
            store.table.note_login(&credential, &CheckInReport::default(), place.now).await.expect("it answers");
        assert_eq!(matches!(login, Login::More(Some(_))), is_news, "{:?}: {login:?}", after.push);
        current = store.table.device(place.workspace, id).await.expect("it answers").expect("it is there");
    }
    let good = Device { version: current.version, ..good };
    let foreign = DeviceCredential::new(letters, place.workspace, id, 1);
    let older = DeviceCredential::new(letters, place.workspace, id, 0);
    for credential in [foreign, older] {
        let more = store.table.note_login(&credential, &CheckInReport::default(), place.now).await.expect("it answers");
        assert!(matches!(more, Login::More(Some(_))), "{more:?}");
    }
    let nobody = DeviceCredential::new(letters, place.workspace, DeviceId(new_id(place.now)), 1);
    let more = store.table.note_login(&nobody, &CheckInReport::default(), place.now).await.expect("it answers");
    assert!(matches!(more, Login::More(None)), "{more:?}");
    let block = Restriction { at: place.now, by: Actor::System, reason: None };
    let deleted = restriction::Deleted { at: place.now, by: Actor::System, purge_after: place.now };
    let command = OpenCommand {
        command_id: CommandId(new_id(place.now)),
        kind: CommandKind::Wipe,
        state: CommandState::Queued,
        queued_at: place.now,
        expires_at: place.now,
        again_at: None,
    };
    let erased = device::Erasure { at: place.now, command_id: CommandId(new_id(place.now)) };
    let shut = [
        Device { blocked: Some(block), ..good.clone() },
        Device { deleted: Some(deleted), ..good.clone() },
        Device { replaced: true, ..good.clone() },
        Device { commands: vec![command], ..good.clone() },
        Device { erased: Some(erased), ..good.clone() },
        Device {
            enrolment: Some(Enrolment { invitation_id: InvitationId(new_id(place.now)), at: None }),
            ..good.clone()
        },
        Device { user_status: UserStatus::Suspended, ..good.clone() },
        Device { user_status: UserStatus::Locked, ..good.clone() },
        Device { user_status: UserStatus::Deleted, ..good.clone() },
    ];
    let mut before = store.table.device(place.workspace, id).await.expect("it answers").expect("it is there");
    for state in shut {
        let after = Device { last_login_at: before.last_login_at, version: before.version, ..state };
        place.edit(&before, &after).await;
        let more =
            store.table.note_login(&credential, &CheckInReport::default(), place.now.plus(Duration::days(1))).await;
        let Ok(Login::More(Some(row))) = more else { panic!("{after:?}: {more:?}") };
        before = Device { version: after.version + 1, ..after };
        assert_eq!(*row, before, "the row says why, and nothing of it has changed");
    }
}

#[tokio::test]
async fn a_device_that_was_read_is_noted_only_as_it_was_then() {
    let store = &TestStore::start().await;
    let mut place = Place::new(store);
    let mut user = place.user("ada").await;
    let device = place.device(&mut user, "phone").await;
    place.later(Duration::days(2));
    assert!(store.table.note_time(&device, place.now).await.expect("it answers"));
    let noted = Device { last_login_at: Some(place.now), ..device.clone() };
    let read = || async { store.table.device(place.workspace, device.device_id).await.expect("it answers") };
    assert_eq!(read().await, Some(noted.clone()), "nothing but the time, and no new version");
    let day = DeviceFilter { last_login_before: Some(place.now.plus(Duration::days(2))), ..DeviceFilter::default() };
    let seen = store.table.list_devices(place.workspace, &day, 10, None, place.now).await.expect("it answers");
    assert_eq!(seen.items.len(), 1, "its day of login is up to date");
    let block = Restriction { at: place.now, by: Actor::System, reason: None };
    let blocked = Device { blocked: Some(block), ..noted.clone() };
    place.edit(&noted, &blocked).await;
    let later = place.now.plus(Duration::hours(1));
    assert!(!store.table.note_time(&device, later).await.expect("it answers"), "it has changed since");
    assert_eq!(read().await, Some(Device { version: 2, ..blocked }));
    let rows = place.rows();
    let nobody = place.new_device(user.user_id, "gone");
    assert!(!store.table.note_time(&nobody, later).await.expect("it answers"));
    assert_eq!(place.rows(), rows, "and no row comes of it");
}

#[tokio::test]
async fn devices_are_found_once_each_by_their_own_words_and_their_users() {
    let store = &TestStore::start().await;
    let place = Place::new(store);
    let mut anna = place.user("anna").await;
    let mut bob = place.user("bob").await;
    // Found by the device's word, by its user's, and by both.
    let devices = [
        place.device(&mut bob, "anna-s-old").await,
        place.device(&mut anna, "red").await,
        place.device(&mut anna, "anna-red").await,
    ];
    let _other = place.device(&mut bob, "blue").await;
    let place = &place;
    for limit in [1, 2, 100] {
        for (text, expected) in [("anna", 3), ("red", 2), ("anna red", 2), ("bob", 2), ("phone", 4), ("none", 0)] {
            let filter = DeviceFilter { search: Some(typed(text)), ..DeviceFilter::default() };
            let filter = &filter;
            let page =
                |start| async move { place.table.list_devices(place.workspace, filter, limit, start, place.now).await };
            let found = walk(page, nothing).await;
            let once: BTreeSet<DeviceId> = found.iter().map(|device| device.device_id).collect();
            assert_eq!((found.len(), once.len()), (expected, expected), "{text}, pages of {limit}");
        }
    }
    // Devices that come and go between the pages cause neither repeats nor gaps.
    let filter = DeviceFilter { search: Some(typed("anna")), ..DeviceFilter::default() };
    let filter = &filter;
    let page = |start| async move { place.table.list_devices(place.workspace, filter, 1, start, place.now).await };
    let mut goes = Some(&devices[0]);
    let found = walk(page, || {
        let comes = place.new_device(UserId(new_id(place.now)), &format!("anna-{}", place.id()));
        let goes = goes.take();
        async move {
            if let Some(goes) = goes {
                place.put(&comes).await;
                place.remove(goes).await;
            }
        }
    })
    .await;
    let ids: Vec<DeviceId> = found.iter().map(|device| device.device_id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an item came twice");
    for device in &devices[1..] {
        assert!(ids.contains(&device.device_id), "{} was lost", device.device_identifier);
    }
}

#[tokio::test]
async fn device_filters_keep_what_they_say() {
    let store = &TestStore::start().await;
    let mut place = Place::new(store);
    let mut user = place.user("ada").await;
    let plain = place.device(&mut user, "plain").await;
    let blocked = place.device(&mut user, "blocked").await;
    let block = Restriction { at: place.now, by: Actor::System, reason: None };
    place.edit(&blocked, &Device { blocked: Some(block), last_login_at: Some(place.now), ..blocked.clone() }).await;
    let gone = place.device(&mut user, "gone").await;
    let claim = claim(&place, &gone);
    let deleted =
        devices::delete(&gone, &user, &claim, None, Duration::days(30), &place.context()).expect("it is there");
    place.edit(&gone, &deleted.device).await;
    place.later(Duration::days(40));
    let (place, user) = (&place, &user);
    let find = |filter: DeviceFilter| async move {
        let page = place.table.list_devices(place.workspace, &filter, 100, None, place.now).await.expect("it answers");
        page.items.into_iter().map(|device| device.device_identifier).collect::<BTreeSet<_>>()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let none = DeviceFilter::default;
    use domain::models::device::{DeviceStatus, Status};
    let table: Vec<(DeviceFilter, &[&str])> = vec![
        (none(), &["plain", "blocked", "gone"]),
        (DeviceFilter { user_id: Some(user.user_id), ..none() }, &["plain", "blocked", "gone"]),
        (DeviceFilter { user_id: Some(UserId(new_id(place.now))), ..none() }, &[]),
        (DeviceFilter { status: Some(Status::Active), ..none() }, &["plain", "blocked"]),
        (DeviceFilter { status: Some(Status::Deleted), ..none() }, &["gone"]),
        (DeviceFilter { blocked: Some(true), ..none() }, &["blocked"]),
        (DeviceFilter { blocked: Some(false), ..none() }, &["plain", "gone"]),
        (DeviceFilter { device_status: Some(DeviceStatus::NeverSeen), ..none() }, &["plain"]),
        (DeviceFilter { device_status: Some(DeviceStatus::Blocked), ..none() }, &["blocked"]),
        (DeviceFilter { device_status: Some(DeviceStatus::Deleted), ..none() }, &["gone"]),
        (DeviceFilter { platform: Some(Platform::Android), ..none() }, &[]),
        (DeviceFilter { push_in_use: Some(false), ..none() }, &["plain", "blocked", "gone"]),
        (DeviceFilter { pending_command: Some(true), ..none() }, &[]),
        (DeviceFilter { last_login_before: Some(place.now), ..none() }, &["blocked"]),
        (DeviceFilter { last_login_before: Some(plain.created_at), ..none() }, &[]),
    ];
    for (filter, expected) in table {
        let what = format!("{filter:?}");
        assert_eq!(find(filter).await, set(expected), "{what}");
    }
}

#[tokio::test]
async fn a_device_comes_with_what_belongs_to_it() {
    let store = &TestStore::start().await;
    let place = Place::new(store);
    let mut user = place.user("ada").await;
    let device = place.device(&mut user, "phone").await;
    let id = device.device_id;
    let bare = store.table.device_details(place.workspace, id).await.expect("it answers").expect("it is there");
    assert_eq!((bare.device.clone(), bare.user), (device.clone(), Some(user.clone())));
    assert!(bare.claim.is_none() && bare.attachments.is_none() && bare.token.is_none());
    let credential = CredentialId(new_id(place.now));
    let attachments = DeviceAttachments {
        metadata: [("desk".to_owned(), json!("4")), ("on".to_owned(), json!(true))].into(),
        credentials: [(credential, place.now)].into(),
        ..DeviceAttachments::none(&device)
    };
    let token = PushToken::given(&device, "token".to_owned(), None, place.now);
    let claim = claim(&place, &device);
    let commit = Commit::without_event(place.id()).put(&attachments).put(&token).put(&claim);
    store.table.commit(commit).await.expect("they are new");
    let whole = store.table.device_details(place.workspace, id).await.expect("it answers").expect("it is there");
    assert_eq!(
        (whole.attachments, whole.token, whole.claim),
        (Some(attachments.clone()), Some(token.clone()), Some(claim))
    );
    let ids = [DeviceId(new_id(place.now)), id].into();
    let found = store.table.attachments(place.workspace, &ids).await.expect("it answers");
    assert_eq!(found, [(id, attachments.clone())].into());
    let holders = store.table.devices_with_credential(place.workspace, credential).await.expect("it answers");
    assert_eq!(holders, [id].into());
    let after = DeviceAttachments { credentials: [].into(), ..attachments.clone() };
    store.table.commit(Commit::without_event(place.id()).edit(&attachments, &after)).await.expect("it is as it was");
    assert!(store.table.devices_with_credential(place.workspace, credential).await.expect("it answers").is_empty());
    assert_eq!(store.table.push_token(place.workspace, id).await.expect("it answers"), Some(token));
    let second = place.device(&mut user, "second").await;
    let ids = [second.device_id, DeviceId(new_id(place.now)), id].into();
    let found = store.table.devices(place.workspace, &ids).await.expect("it answers");
    assert_eq!(found, [device, second], "in order, without what is gone");
    assert!(store.table.devices(place.workspace, &BTreeSet::new()).await.expect("it answers").is_empty());
    let many: BTreeSet<UserId> = (0..250).map(|_| UserId(new_id(place.now))).chain([user.user_id]).collect();
    assert_eq!(
        store.table.users(place.workspace, &many).await.expect("it answers"),
        [user],
        "more than one batch takes"
    );
}

#[tokio::test]
async fn an_endpoint_knows_its_holders_in_every_workspace() {
    let store = &TestStore::start().await;
    let (place, other) = (Place::new(store), Place::new(store));
    let endpoint = format!("arn:aws:sns:r:1:endpoint/APNS/app/{}", place.id());
    let mut holders = BTreeSet::new();
    let mut devices = Vec::new();
    for place in [&place, &other] {
        let device =
            Device { push_endpoint: Some(endpoint.clone()), ..place.new_device(UserId(new_id(place.now)), "phone") };
        place.put(&device).await;
        holders.insert((place.workspace, device.device_id));
        devices.push(device);
    }
    let found = store.table.endpoint_holders(&endpoint).await.expect("it answers");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), holders);
    place.edit(&devices[0], &Device { push_endpoint: Some(format!("{endpoint}-newer")), ..devices[0].clone() }).await;
    let found = store.table.endpoint_holders(&endpoint).await.expect("it answers");
    assert_eq!(found, [(other.workspace, devices[1].device_id)]);
}

#[tokio::test]
async fn claims_come_by_the_devices_that_have_them() {
    let store = &TestStore::start().await;
    let place = Place::new(store);
    let mut user = place.user("ada").await;
    let first = place.device(&mut user, "first").await;
    let second = place.device(&mut user, "second").await;
    let third = place.device(&mut user, "third").await;
    for device in [&third, &first] {
        place.put(&claim(&place, device)).await;
    }
    let expected = [claim(&place, &first), claim(&place, &third)];
    let found = store.table.claims(&[first, second, third]).await.expect("it answers");
    assert_eq!(found, expected, "in the devices' order");
    assert_eq!(store.table.claims(&[]).await.expect("it answers"), []);
}
