//! Devices: the limit that the table enforces, registration, logins, lists and attachments.

use std::collections::BTreeSet;

use aws::{Commit, DeviceFilter, Login, Times};
use chrono::Duration;
use domain::limits::DEVICE_LIMIT;
use domain::models::actor::Actor;
use domain::models::command::{CommandKind, OpenCommand};
use domain::models::device::{Device, DeviceAttachments, Enrolment, PushToken};
use domain::models::event::EventType;
use domain::models::login_day::login_day_start;
use domain::models::push::{Push, PushReason};
use domain::models::restriction::Restriction;
use domain::models::usage::{Counts, UsageReport};
use domain::models::{device, restriction};
use domain::rules::check_in::CheckInReport;
use domain::rules::devices::{self, DeviceToDelete};
use domain::secret::{DeviceCredential, Hash};
use domain::states::{CommandState, Platform, UserStatus};
use domain::{CommandId, CredentialId, DeviceId, InvitationId, UserId};
use serde_json::json;

use super::{Case, TestStore, claim, expect_conflict, invited, letters, list_all_pages, new_id, nothing, search_query};

/// The rule would have rejected it; here the write skips the rule and has current versions.
#[tokio::test]
async fn the_table_rejects_a_fourth_device() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let mut user = case.user("ada").await;
    let with = |count: usize| {
        let mut after = user.clone();
        after.device_ids.extend((0..count).map(|_| DeviceId(new_id(case.now))));
        (user.clone(), after)
    };
    let (before, four_at_once) = with(DEVICE_LIMIT + 1);
    let commit = Commit::with_event(&case.context().event(EventType::DeviceRegistered)).edit(&before, &four_at_once);
    assert!(store.table.commit(commit).await.is_err(), "four at once");
    for identifier in ["one", "two"] {
        let _device = case.device(&mut user, identifier).await;
    }
    let mut two_more = user.clone();
    two_more.device_ids.extend([DeviceId(new_id(case.now)), DeviceId(new_id(case.now))]);
    let commit = Commit::with_event(&case.context().event(EventType::DeviceRegistered)).edit(&user, &two_more);
    expect_conflict(store.table.commit(commit).await, "two more for a user with two");
    let third = case.device(&mut user, "three").await;
    let rows = case.rows();
    let fourth = case.new_device(user.user_id, "four");
    let mut past_the_rule = user.clone();
    past_the_rule.device_ids.insert(fourth.device_id);
    let event = case.context().event(EventType::DeviceRegistered);
    let commit = Commit::with_event(&event).put(&fourth).edit(&user, &past_the_rule);
    expect_conflict(store.table.commit(commit).await, "a fourth device");
    assert_eq!(case.read(&user).await, user, "the row was known, and is unchanged");
    assert_eq!(case.rows(), rows, "neither the device nor the event was stored");
    let mut freed = user.clone();
    freed.device_ids.remove(&third.device_id);
    case.edit(&user, &freed).await;
    freed.version += 1;
    let mut user = freed;
    let _fits = case.device(&mut user, "four").await;
    assert_eq!(case.read(&user).await.device_ids.len(), DEVICE_LIMIT);
}

#[tokio::test]
async fn a_registration_reads_all_inputs_of_its_rule() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let mut user = case.user("ada").await;
    let device = case.device(&mut user, "phone").await;
    let (invitation, code) = invited(&case, &user, 1, Duration::days(7));
    let commit = Commit::without_event(case.id()).put(&invitation).put_code(&invitation, &code);
    store.table.commit(commit).await.expect("the row is new");
    let owner =
        store.table.offer_of_code(&Hash::of(&code)).await.expect("the call succeeds").expect("the code is found");
    let found =
        store.table.registration(&owner, "phone").await.expect("the call succeeds").expect("all rows are found");
    assert_eq!((&found.user, &found.offer), (&user, &invitation));
    assert_eq!((found.claim, found.claimed_device, found.held), (None, None, vec![device.clone()]));
    case.put(&claim(&case, &device)).await;
    let found =
        store.table.registration(&owner, "phone").await.expect("the call succeeds").expect("all rows are found");
    assert_eq!((found.claim, found.claimed_device), (Some(claim(&case, &device)), Some(device.clone())));
    case.remove(&device).await;
    let found =
        store.table.registration(&owner, "phone").await.expect("the call succeeds").expect("all rows are found");
    assert!(
        found.claim.is_some() && found.claimed_device.is_none() && found.held.is_empty(),
        "the claim outlives the row"
    );
    case.remove(&user).await;
    assert!(
        store.table.registration(&owner, "phone").await.expect("the call succeeds").is_none(),
        "the user is deleted"
    );
    assert_eq!(store.table.offer_of_code(&Hash::of("another")).await.expect("the call succeeds"), None);
}

#[tokio::test]
async fn a_login_is_recorded_without_a_commit_only_if_nothing_else_changed() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let mut user = case.user("ada").await;
    let id = DeviceId(new_id(case.now));
    let credential = DeviceCredential::new(letters, case.workspace, id, 1);
    let good = Device {
        device_id: id,
        credential_hash: credential.hash(),
        push_token_hash: Some(Hash::of("token")),
        pin_failures: 2,
        usage_sequence: Some(7),
        ..case.new_device(user.user_id, "phone")
    };
    user.device_ids.insert(id);
    case.put(&good).await;
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
    let never = store.table.record_login(&credential, &same, case.now).await.expect("the call succeeds");
    assert!(matches!(never, Login::NotRecorded(Some(_))), "the first of a day is more: {never:?}");
    let next_day = login_day_start(id, case.now.plus(Duration::days(1)));
    case.later(Duration::milliseconds(next_day.millis() - case.now.millis()));
    assert!(store.table.record_login_time(&good, case.now, case.id()).await.expect("the call succeeds"));
    for report in [CheckInReport::default(), same, counted_long_ago] {
        case.later(Duration::hours(7));
        let noted = store.table.record_login(&credential, &report, case.now).await.expect("the call succeeds");
        assert!(matches!(noted, Login::Recorded(_)), "{noted:?}");
        let read = store.table.device(case.workspace, id).await.expect("the call succeeds").expect("the row exists");
        assert_eq!(
            read,
            Device { last_login_at: Some(case.now), ..good.clone() },
            "nothing but the time, and no new version"
        );
    }
    let day = DeviceFilter { last_login: Times::before(case.now.plus(Duration::days(2))), ..DeviceFilter::default() };
    let seen = store.table.list_devices(case.workspace, &day, 10, None, case.now).await.expect("the call succeeds");
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
        let more = store.table.record_login(&credential, &report, case.now).await.expect("the call succeeds");
        assert!(matches!(more, Login::NotRecorded(Some(_))), "{report:?}: {more:?}");
    }
    let before = store.table.device(case.workspace, id).await.expect("the call succeeds").expect("the row exists");
    let disabled = |reason, since| Device { push: Push { reason, since }, ..before.clone() };
    let (day, lately) = (case.now.minus(Duration::days(1)), case.now.minus(Duration::hours(23)));
    let mut current = before.clone();
    for (state, changes_when_delivered) in [
        (disabled(PushReason::EndpointDisabled, lately), true),
        (disabled(PushReason::DeliveryFailed, lately), true),
        (disabled(PushReason::DisabledAgain, day), true),
        (disabled(PushReason::DisabledAgain, lately), false),
        (disabled(PushReason::EnabledAgain, day), false),
        (disabled(PushReason::TokenRefused, day), false),
        (before.clone(), false),
    ] {
        let after = Device { last_login_at: current.last_login_at, version: current.version, ..state };
        case.edit(&current, &after).await;
        let login = store
            .table
            .record_login(&credential, &CheckInReport::default(), case.now)
            .await
            .expect("the call succeeds");
        assert_eq!(matches!(login, Login::NotRecorded(Some(_))), changes_when_delivered, "{:?}: {login:?}", after.push);
        current = store.table.device(case.workspace, id).await.expect("the call succeeds").expect("the row exists");
    }
    let good = Device { version: current.version, ..good };
    let foreign = DeviceCredential::new(letters, case.workspace, id, 1);
    let older = DeviceCredential::new(letters, case.workspace, id, 0);
    for credential in [foreign, older] {
        let more = store
            .table
            .record_login(&credential, &CheckInReport::default(), case.now)
            .await
            .expect("the call succeeds");
        assert!(matches!(more, Login::NotRecorded(Some(_))), "{more:?}");
    }
    let nobody = DeviceCredential::new(letters, case.workspace, DeviceId(new_id(case.now)), 1);
    let more = store.table.record_login(&nobody, &CheckInReport::default(), case.now).await.expect("the call succeeds");
    assert!(matches!(more, Login::NotRecorded(None)), "{more:?}");
    let block = Restriction { at: case.now, by: Actor::System, reason: None };
    let deleted = restriction::Deleted { at: case.now, by: Actor::System, purge_after: case.now };
    let command = OpenCommand {
        command_id: CommandId(new_id(case.now)),
        kind: CommandKind::Wipe,
        state: CommandState::Queued,
        queued_at: case.now,
        expires_at: case.now,
        again_at: None,
    };
    let erased = device::Erasure { at: case.now, command_id: CommandId(new_id(case.now)) };
    let shut = [
        Device { blocked: Some(block), ..good.clone() },
        Device { deleted: Some(deleted), ..good.clone() },
        Device { replaced: true, ..good.clone() },
        Device { commands: vec![command], ..good.clone() },
        Device { erased: Some(erased), ..good.clone() },
        Device {
            enrolment: Some(Enrolment { invitation_id: InvitationId(new_id(case.now)), at: None }),
            ..good.clone()
        },
        Device { user_status: UserStatus::Suspended, ..good.clone() },
        Device { user_status: UserStatus::Locked, ..good.clone() },
        Device { user_status: UserStatus::Deleted, ..good.clone() },
    ];
    let now = case.now.plus(Duration::hours(1));
    let mut before = store.table.device(case.workspace, id).await.expect("the call succeeds").expect("the row exists");
    for state in shut {
        let after = Device { last_login_at: before.last_login_at, version: before.version, ..state };
        case.edit(&before, &after).await;
        let more = store.table.record_login(&credential, &CheckInReport::default(), now).await;
        let Ok(Login::NotRecorded(Some(row))) = more else { panic!("{after:?}: {more:?}") };
        before = Device { version: after.version + 1, ..after };
        assert_eq!(*row, before, "the row shows the reason, and is unchanged");
    }
}

#[tokio::test]
async fn a_login_is_recorded_only_for_an_unchanged_device() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let mut user = case.user("ada").await;
    let device = case.device(&mut user, "phone").await;
    case.later(Duration::days(2));
    assert!(store.table.record_login_time(&device, case.now, case.id()).await.expect("the call succeeds"));
    let noted = Device { last_login_at: Some(case.now), ..device.clone() };
    let read = || async { store.table.device(case.workspace, device.device_id).await.expect("the call succeeds") };
    assert_eq!(read().await, Some(noted.clone()), "nothing but the time, and no new version");
    let day = DeviceFilter { last_login: Times::before(case.now.plus(Duration::days(2))), ..DeviceFilter::default() };
    let seen = store.table.list_devices(case.workspace, &day, 10, None, case.now).await.expect("the call succeeds");
    assert_eq!(seen.items.len(), 1, "its day of login is up to date");
    let block = Restriction { at: case.now, by: Actor::System, reason: None };
    let blocked = Device { blocked: Some(block), ..noted.clone() };
    case.edit(&noted, &blocked).await;
    let later = case.now.plus(Duration::hours(1));
    assert!(
        !store.table.record_login_time(&device, later, case.id()).await.expect("the call succeeds"),
        "it has changed since"
    );
    assert_eq!(read().await, Some(Device { version: 2, ..blocked }));
    let rows = case.rows();
    let nobody = case.new_device(user.user_id, "gone");
    assert!(!store.table.record_login_time(&nobody, later, case.id()).await.expect("the call succeeds"));
    assert_eq!(case.rows(), rows, "and no row is created");
}

#[tokio::test]
async fn a_search_finds_each_device_once_by_its_words_and_its_users() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let mut anna = case.user("anna").await;
    let mut bob = case.user("bob").await;
    // Found by the device's word, by its user's, and by both.
    let devices = [
        case.device(&mut bob, "anna-s-old").await,
        case.device(&mut anna, "red").await,
        case.device(&mut anna, "anna-red").await,
    ];
    let _other = case.device(&mut bob, "blue").await;
    let case = &case;
    for limit in [1, 2, 100] {
        for (text, expected) in [("anna", 3), ("red", 2), ("anna red", 2), ("bob", 2), ("phone", 4), ("none", 0)] {
            let filter = DeviceFilter { search: Some(search_query(text)), ..DeviceFilter::default() };
            let filter = &filter;
            let page =
                |start| async move { case.table.list_devices(case.workspace, filter, limit, start, case.now).await };
            let found = list_all_pages(page, nothing).await;
            let once: BTreeSet<DeviceId> = found.iter().map(|device| device.device_id).collect();
            assert_eq!((found.len(), once.len()), (expected, expected), "{text}, pages of {limit}");
        }
    }
    // Devices that come and go between the pages cause neither repeats nor gaps.
    let filter = DeviceFilter { search: Some(search_query("anna")), ..DeviceFilter::default() };
    let filter = &filter;
    let page = |start| async move { case.table.list_devices(case.workspace, filter, 1, start, case.now).await };
    let mut to_remove = Some(&devices[0]);
    let found = list_all_pages(page, || {
        let newer = case.new_device(UserId(new_id(case.now)), &format!("anna-{}", case.id()));
        let to_remove = to_remove.take();
        async move {
            if let Some(to_remove) = to_remove {
                case.put(&newer).await;
                case.remove(to_remove).await;
            }
        }
    })
    .await;
    let ids: Vec<DeviceId> = found.iter().map(|device| device.device_id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an item was listed twice");
    for device in &devices[1..] {
        assert!(ids.contains(&device.device_id), "{} was lost", device.device_identifier);
    }
}

#[tokio::test]
async fn device_filters_return_exactly_the_matching_devices() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let mut user = case.user("ada").await;
    let plain = case.device(&mut user, "plain").await;
    let blocked = case.device(&mut user, "blocked").await;
    let block = Restriction { at: case.now, by: Actor::System, reason: None };
    case.edit(&blocked, &Device { blocked: Some(block), last_login_at: Some(case.now), ..blocked.clone() }).await;
    let deleted_device = case.device(&mut user, "gone").await;
    let claim = claim(&case, &deleted_device);
    let leaving = DeviceToDelete { device: deleted_device.clone(), claim, unconfirmed: None, attachments: None };
    let deleted =
        devices::delete(&leaving, &user, None, Duration::days(30), &case.context()).expect("the deletion is a change");
    case.edit(&deleted_device, deleted.device_after(&deleted_device)).await;
    case.later(Duration::days(40));
    let (case, user) = (&case, &user);
    let find = |filter: DeviceFilter| async move {
        let page =
            case.table.list_devices(case.workspace, &filter, 100, None, case.now).await.expect("the call succeeds");
        page.items.into_iter().map(|device| device.device_identifier).collect::<BTreeSet<_>>()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let none = DeviceFilter::default;
    use domain::models::device::{DeviceStatus, Status};
    let table: Vec<(DeviceFilter, &[&str])> = vec![
        (none(), &["plain", "blocked", "gone"]),
        (DeviceFilter { user_id: Some(user.user_id), ..none() }, &["plain", "blocked", "gone"]),
        (DeviceFilter { user_id: Some(UserId(new_id(case.now))), ..none() }, &[]),
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
        (DeviceFilter { last_login: Times::before(case.now), ..none() }, &["blocked"]),
        (DeviceFilter { last_login: Times::before(plain.created_at), ..none() }, &[]),
    ];
    for (filter, expected) in table {
        let what = format!("{filter:?}");
        assert_eq!(find(filter).await, set(expected), "{what}");
    }
}

#[tokio::test]
async fn a_device_is_read_with_its_attachments() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let mut user = case.user("ada").await;
    let device = case.device(&mut user, "phone").await;
    let id = device.device_id;
    let bare =
        store.table.device_details(case.workspace, id).await.expect("the call succeeds").expect("the row exists");
    assert_eq!((bare.device.clone(), bare.user), (device.clone(), Some(user.clone())));
    assert!(bare.claim.is_none() && bare.attachments.is_none());
    let credential = CredentialId(new_id(case.now));
    let attachments = DeviceAttachments {
        metadata: [("desk".to_owned(), json!("4")), ("on".to_owned(), json!(true))].into(),
        credentials: [(credential, case.now)].into(),
        ..DeviceAttachments::empty(&device)
    };
    let token = PushToken::new_for(&device, "token".to_owned(), None, case.now);
    let claim = claim(&case, &device);
    let commit = Commit::without_event(case.id()).put(&attachments).put(&token).put(&claim);
    store.table.commit(commit).await.expect("the rows are new");
    let details =
        store.table.device_details(case.workspace, id).await.expect("the call succeeds").expect("the row exists");
    assert_eq!((details.attachments, details.claim), (Some(attachments.clone()), Some(claim)));
    let ids = [DeviceId(new_id(case.now)), id].into();
    let found = store.table.attachments(case.workspace, &ids).await.expect("the call succeeds");
    assert_eq!(found, [(id, attachments.clone())].into());
    let holders = store.table.devices_with_credential(case.workspace, credential).await.expect("the call succeeds");
    assert_eq!(holders, [id].into());
    let after = DeviceAttachments { credentials: [].into(), ..attachments.clone() };
    store.table.commit(Commit::without_event(case.id()).edit(&attachments, &after)).await.expect("the commit succeeds");
    assert!(
        store.table.devices_with_credential(case.workspace, credential).await.expect("the call succeeds").is_empty()
    );
    assert_eq!(store.table.push_token(case.workspace, id).await.expect("the call succeeds"), Some(token));
    let second = case.device(&mut user, "second").await;
    let ids = [second.device_id, DeviceId(new_id(case.now)), id].into();
    let found = store.table.devices(case.workspace, &ids).await.expect("the call succeeds");
    assert_eq!(found, [device, second], "in order, without deleted rows");
    assert!(store.table.devices(case.workspace, &BTreeSet::new()).await.expect("the call succeeds").is_empty());
    let many: BTreeSet<UserId> = (0..250).map(|_| UserId(new_id(case.now))).chain([user.user_id]).collect();
    assert_eq!(
        store.table.users(case.workspace, &many).await.expect("the call succeeds"),
        [user],
        "more than one batch"
    );
}

#[tokio::test]
async fn the_devices_of_an_endpoint_are_read_in_every_workspace() {
    let store = &TestStore::start().await;
    let (case, other) = (Case::new(store), Case::new(store));
    let endpoint = format!("arn:aws:sns:r:1:endpoint/APNS/app/{}", case.id());
    let mut holders = BTreeSet::new();
    let mut devices = Vec::new();
    for case in [&case, &other] {
        let device =
            Device { push_endpoint: Some(endpoint.clone()), ..case.new_device(UserId(new_id(case.now)), "phone") };
        case.put(&device).await;
        holders.insert((case.workspace, device.device_id));
        devices.push(device);
    }
    let found = store.table.endpoint_holders(&endpoint).await.expect("the call succeeds");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), holders);
    case.edit(&devices[0], &Device { push_endpoint: Some(format!("{endpoint}-newer")), ..devices[0].clone() }).await;
    let found = store.table.endpoint_holders(&endpoint).await.expect("the call succeeds");
    assert_eq!(found, [(other.workspace, devices[1].device_id)]);
}

#[tokio::test]
async fn identifier_claims_are_read_by_their_devices() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let mut user = case.user("ada").await;
    let first = case.device(&mut user, "first").await;
    let second = case.device(&mut user, "second").await;
    let third = case.device(&mut user, "third").await;
    for device in [&third, &first] {
        case.put(&claim(&case, device)).await;
    }
    let expected = [claim(&case, &first), claim(&case, &third)];
    let found = store.table.identifier_claims(&[first, second, third]).await.expect("the call succeeds");
    assert_eq!(found, expected, "in the devices' order");
    assert_eq!(store.table.identifier_claims(&[]).await.expect("the call succeeds"), []);
}
