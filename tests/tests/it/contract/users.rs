//! Users: their names, lists, searches and filters.

use std::collections::{BTreeMap, BTreeSet};

use aws::store::users;
use aws::{Commit, Times, UserFilter};
use chrono::Duration;
use domain::error::Error;
use domain::models::actor::Actor;
use domain::models::command::CommandKind;
use domain::models::device::Device;
use domain::models::event::EventType;
use domain::models::login_day::login_day_start;
use domain::models::network::{Indicator, Network, NetworkStatus, Provisioning, VERIZON};
use domain::models::restriction;
use domain::models::restriction::Restriction;
use domain::models::user::User;
use domain::rules::lifecycle;
use domain::states::{CommandState, UserStatus};
use domain::{Time, UserId};
use serde_json::json;
use testkit::rows;

use super::{
    Case, TestStore, command, expect_conflict, is_taken, list_all_pages, nothing, open, search_query, set_open_commands,
};

/// Creates a user as the operations do.
async fn create_user(case: &Case<'_>, username: &str) -> Result<User, Error> {
    let user = case.new_user(username);
    let claims = case.table.username_claims(case.workspace, username).await.expect("the call succeeds");
    let commit = Commit::with_event(&case.context().event(EventType::UserCreated))
        .put(&user)
        .claim_username(&claims, user.user_id);
    case.table.commit(commit).await.map(|_| user)
}

#[tokio::test]
async fn usernames_are_unique_without_case_and_with_accents() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let user = case.user("Jos\u{e9}.Pe\u{f1}a").await;
    for taken in ["Jos\u{e9}.Pe\u{f1}a", "JOSE\u{301}.PEN\u{303}A", "\u{ff2a}os\u{e9}.pe\u{f1}a"] {
        assert!(is_taken(&case, taken).await, "{taken}");
        let rows = case.rows();
        let second = case.new_user(taken);
        let commit = Commit::with_event(&case.context().event(EventType::UserCreated)).put(&second);
        expect_conflict(store.table.commit(commit).await, "the table rejects a taken name");
        assert_eq!(case.rows(), rows, "nothing of the second is left");
    }
    assert!(!is_taken(&case, "jose.pena").await, "another person");
    let second = create_user(&case, "jose.pena").await.expect("the username is free");
    let called = async |name: &str| {
        let claims = case.table.username_claims(case.workspace, name).await.expect("the call succeeds");
        claims.user().map(|user| user.user_id)
    };
    assert_eq!(called("JOS\u{c9}.PE\u{d1}A").await, Some(user.user_id));
    assert_eq!(called("JOSE.PENA").await, Some(second.user_id));
    let renamed = User { username: "eve".to_owned(), ..user.clone() };
    case.edit(&user, &renamed).await;
    assert!(!is_taken(&case, "jos\u{e9}.pe\u{f1}a").await, "a released name is free");
    let _third = create_user(&case, "jos\u{e9}.pe\u{f1}a").await.expect("the name is free");
    let other = Case::new(store);
    let _same_name_elsewhere = other.user("jose.pena").await;
}

/// A user whose claim is under an earlier release's key.
async fn user_of_earlier_release(case: &Case<'_>, username: &str, former: &str) -> User {
    let user = case.user(username).await;
    let bench = &case.store.bench;
    let key = users::username_key(case.workspace, username);
    let claim = json!({"pk": format!("USERNAME#{}#{former}", case.workspace), "sk": "CLAIM", "user_id": user.user_id});
    rows::remove(bench, rows::MAIN, &json!({"pk": key.pk, "sk": key.sk}));
    rows::put(bench, rows::MAIN, &claim, &[]);
    user
}

#[tokio::test]
async fn username_claims_of_an_earlier_release_are_read_and_replaced() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let jose = user_of_earlier_release(&case, "Jos\u{e9}", "jose").await;
    assert!(is_taken(&case, "JOS\u{c9}").await && !is_taken(&case, "jose").await);
    let ids = store.table.ids_of_username(case.workspace, "jos\u{e9}").await.expect("the read succeeds");
    assert_eq!(ids, [jose.user_id].into());
    // A write without a look-up is rejected by the table.
    let again = case.new_user("JOSE\u{301}");
    let unseen = Commit::with_event(&case.context().event(EventType::UserCreated)).put(&again);
    expect_conflict(store.table.commit(unseen).await, "a user with that name has the former claim");
    // Another name with the same letters is free, both with the same former key and as that very key.
    let other = create_user(&case, "jos\u{ea}").await.expect("the username is free");
    let claims = store.table.username_claims(case.workspace, "jose").await.expect("the call succeeds");
    let plain = case.new_user("jose");
    let late = || {
        Commit::with_event(&case.context().event(EventType::UserCreated))
            .put(&plain)
            .claim_username(&claims, plain.user_id)
    };
    case.edit(&jose, &User { number: Some("7".to_owned()), ..jose.clone() }).await;
    expect_conflict(store.table.commit(late()).await, "the claim's user may have been renamed");
    let plain = create_user(&case, "jose").await.expect("the username is free");
    let holder = |username: &str| {
        let key = users::username_key(case.workspace, username).to_string();
        rows::all(&store.bench, rows::MAIN).get(&key).map(|row| row["user_id"].clone())
    };
    let holders = [holder("jose"), holder("jos\u{e9}"), holder("jos\u{ea}")];
    assert_eq!(holders, [plain.user_id, jose.user_id, other.user_id].map(|id| Some(json!(id))), "it was moved");
    for (name, user) in [("jose", &plain), ("jos\u{e9}", &jose), ("jos\u{ea}", &other)] {
        let claims = store.table.username_claims(case.workspace, name).await.expect("the call succeeds");
        assert_eq!(claims.user().map(|user| user.user_id), Some(user.user_id), "{name}");
        expect_conflict(create_user(&case, name).await.map(drop), "each is taken");
    }
    // Renamed to the name whose key has their claim; renamed away; deleted; and purged.
    let zoe = user_of_earlier_release(&case, "Zo\u{eb}", "zoe").await;
    let renamed = User { username: "zoe".to_owned(), ..zoe.clone() };
    let claims = store.table.username_claims(case.workspace, "zoe").await.expect("the call succeeds");
    let commit = Commit::without_event(case.id()).edit(&zoe, &renamed).claim_username(&claims, zoe.user_id);
    store.table.commit(commit).await.expect("the claim is their own");
    assert_eq!((holder("zoe"), is_taken(&case, "zo\u{eb}").await), (Some(json!(zoe.user_id)), false));
    let eva = user_of_earlier_release(&case, "Ev\u{e1}", "eva").await;
    let claims = store.table.username_claims(case.workspace, "Ev\u{e0}").await.expect("the call succeeds");
    let renamed = User { username: "Ev\u{e0}".to_owned(), ..eva.clone() };
    let commit = Commit::without_event(case.id()).edit(&eva, &renamed).claim_username(&claims, eva.user_id);
    store.table.commit(commit).await.expect("the former claim is their own");
    assert_eq!((holder("eva"), holder("Ev\u{e0}")), (None, Some(json!(eva.user_id))));
    let bjorn = user_of_earlier_release(&case, "Bj\u{f6}rn", "bjorn").await;
    let claims = store.table.username_claims(case.workspace, "Bj\u{f6}rn").await.expect("the call succeeds");
    let commit = Commit::without_event(case.id()).move_username_claim(&claims, &bjorn);
    store.table.commit(commit).await.expect("no conflict");
    assert_eq!(
        (holder("bjorn"), holder("bj\u{f6}rn")),
        (None, Some(json!(bjorn.user_id))),
        "the claim has its new key"
    );
    let claims = store.table.username_claims(case.workspace, "Bj\u{f6}rn").await.expect("the call succeeds");
    assert!(Commit::without_event(case.id()).move_username_claim(&claims, &bjorn).is_empty());
    let joao = user_of_earlier_release(&case, "Jo\u{e3}o", "joao").await;
    let claims = store.table.username_claims(case.workspace, "Jo\u{e3}o").await.expect("the call succeeds");
    let late = Commit::without_event(case.id()).move_username_claim(&claims, &joao);
    let former = users::former_username_key(case.workspace, "Jo\u{e3}o").expect("the username has an earlier key");
    let taken = json!({"pk": former.pk, "sk": former.sk, "user_id": bjorn.user_id});
    rows::put(&store.bench, rows::MAIN, &taken, &[]);
    expect_conflict(store.table.commit(late).await, "another user has the former claim by now");
    assert_eq!(holder("joao"), Some(json!(bjorn.user_id)), "and still has it");
    let rene_before = user_of_earlier_release(&case, "Ren\u{e9}", "rene").await;
    let end = restriction::Deleted { at: case.now, by: Actor::System, purge_after: case.now.plus(Duration::days(1)) };
    case.edit(&rene_before, &User { deleted: Some(end), ..rene_before.clone() }).await;
    assert!(!is_taken(&case, "ren\u{e9}").await && !is_taken(&case, "rene").await, "a remaining claim blocks nothing");
    let _next = create_user(&case, "rene").await.expect("the name is free");
    let _next = create_user(&case, "ren\u{e9}").await.expect("the name is free");
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_while_rows_are_added_and_removed() {
    let store = &TestStore::start().await;
    for limit in [1, 2, 7, 100] {
        let mut case = Case::new(store);
        let mut created = Vec::new();
        for at in 0..23 {
            created.push(case.user(&format!("user-{at:02}")).await);
            // Several at the same time, so that a page may end between them.
            if at % 3 == 0 {
                case.later(Duration::seconds(1));
            }
        }
        let filter = UserFilter::default();
        let case = &case;
        let filter = &filter;
        let page = |start| async move { case.table.list_users(case.workspace, filter, limit, start, case.now).await };
        let all = list_all_pages(page, nothing).await;
        let ids: Vec<UserId> = all.iter().map(|person| person.user.user_id).collect();
        let newest_first = all.windows(2).all(|pair| pair[0].user.created_at >= pair[1].user.created_at);
        assert!(newest_first && ids.iter().collect::<BTreeSet<_>>().len() == 23 && ids.len() == 23, "pages of {limit}");
        let mut removals = created.iter().step_by(4);
        let removed: BTreeSet<UserId> = created.iter().step_by(4).map(|user| user.user_id).collect();
        let seen = list_all_pages(page, || {
            let newer = case.new_user(&format!("newer-{}", case.id()));
            let removal = removals.next();
            async move {
                case.put(&newer).await;
                if let Some(removal) = removal {
                    case.remove(removal).await;
                }
            }
        })
        .await;
        let seen: Vec<UserId> = seen.iter().map(|person| person.user.user_id).collect();
        let once: BTreeSet<&UserId> = seen.iter().collect();
        assert_eq!(once.len(), seen.len(), "pages of {limit}: an item came twice");
        for user in created.iter().filter(|user| !removed.contains(&user.user_id)) {
            assert!(once.contains(&user.user_id), "pages of {limit}: {} was lost", user.username);
        }
    }
}

#[tokio::test]
async fn a_search_finds_each_user_once_by_any_word() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let mut ids = BTreeSet::new();
    for name in ["anna", "Anna-Lena", "annabel", "hanna"] {
        ids.insert(case.user(name).await.user_id);
    }
    let case = &case;
    for limit in [1, 2, 100] {
        for (text, expected) in [("ann", 3), ("anna", 3), ("hanna", 1), ("lena ANNA", 1), ("example", 4), ("bob", 0)] {
            let filter = UserFilter { search: Some(search_query(text)), ..UserFilter::default() };
            let filter = &filter;
            let page =
                |start| async move { case.table.list_users(case.workspace, filter, limit, start, case.now).await };
            let found = list_all_pages(page, nothing).await;
            let once: BTreeSet<UserId> = found.iter().map(|person| person.user.user_id).collect();
            assert_eq!((found.len(), once.len()), (expected, expected), "{text}, pages of {limit}");
        }
    }
    let inactive =
        UserFilter { status: Some(UserStatus::Inactive), search: Some(search_query("ann")), ..UserFilter::default() };
    let found = case.table.list_users(case.workspace, &inactive, 100, None, case.now).await.expect("the call succeeds");
    assert_eq!(found.items.len(), 3);
    let suspended =
        UserFilter { status: Some(UserStatus::Suspended), search: Some(search_query("ann")), ..UserFilter::default() };
    let found =
        case.table.list_users(case.workspace, &suspended, 100, None, case.now).await.expect("the call succeeds");
    assert_eq!(found.items.len(), 0);
}

#[tokio::test]
async fn user_filters_return_exactly_the_matching_users() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let hold = Restriction { at: case.now, by: Actor::System, reason: None };
    let long_ago = case.now;
    case.later(Duration::days(40));
    let network = |mdn_provisioning, seen| {
        let network = Network {
            status: NetworkStatus::Enabled,
            status_at: case.now,
            reason: None,
            mdn_provisioning: Some(mdn_provisioning),
            last_seen_at: Some(seen),
            last_archived_at: None,
        };
        BTreeMap::from([(VERIZON.to_owned(), network)])
    };
    let plain = case.new_user("plain");
    let people = [
        plain.clone(),
        User { activated_at: Some(case.now), service_level: Some("gold".to_owned()), ..case.new_user("active") },
        User { suspended: Some(hold.clone()), last_seen_at: Some(case.now), ..case.new_user("suspended") },
        User { locked: Some(hold.clone()), suspended: Some(hold), ..case.new_user("locked") },
        User { networks: network(Provisioning::Pending, long_ago), ..case.new_user("red") },
        User {
            networks: network(Provisioning::Enabled, long_ago),
            last_seen_at: Some(long_ago),
            ..case.new_user("orange")
        },
        User { networks: network(Provisioning::Enabled, case.now), ..case.new_user("green") },
    ];
    for user in &people {
        case.put(user).await;
    }
    // A deleted user whose phone could not wipe itself.
    let deletion = || Some(restriction::Deleted { at: case.now, by: Actor::System, purge_after: case.now });
    let leaver = User { deleted: deletion(), ..case.new_user("leaver") };
    let phone = Device { deleted: deletion(), ..case.new_device(leaver.user_id, "left") };
    let mut wipe = command(&case, &phone, CommandKind::Wipe, CommandState::Failed);
    wipe.again_at = Some(case.now);
    let phone = Device { commands: vec![open(&wipe)], ..phone };
    case.put(&User { left_device_ids: BTreeSet::from([phone.device_id]), ..leaver }).await;
    case.put(&wipe).await;
    case.put(&phone).await;
    let mut holder = people[1].clone();
    let device = case.device(&mut holder, "phone").await;
    let lock = command(&case, &device, CommandKind::Lock, CommandState::Queued);
    let _device = set_open_commands(&case, &device, &[lock]).await;
    let case = &case;
    let find = |filter: UserFilter| async move {
        let page =
            case.table.list_users(case.workspace, &filter, 100, None, case.now).await.expect("the call succeeds");
        page.items.into_iter().map(|person| person.user.username).collect::<BTreeSet<_>>()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let none = UserFilter::default;
    let all = ["plain", "active", "suspended", "locked", "red", "orange", "green", "leaver"];
    let light = |light| UserFilter { network_indicator: Some(light), ..none() };
    let status = |status| UserFilter { status: Some(status), ..none() };
    let seen = |before| UserFilter { last_seen: Times::before(before), ..none() };
    let table: Vec<(UserFilter, &[&str])> = vec![
        (none(), &all),
        (status(UserStatus::Inactive), &["plain", "red", "orange", "green"]),
        (status(UserStatus::Active), &["active"]),
        (status(UserStatus::Suspended), &["suspended"]),
        (status(UserStatus::Locked), &["locked"]),
        (status(UserStatus::Deleted), &["leaver"]),
        (UserFilter { service_level: Some("gold".to_owned()), ..none() }, &["active"]),
        (UserFilter { service_level: Some("Gold".to_owned()), ..none() }, &[]),
        (light(Indicator::Red), &["red"]),
        (light(Indicator::Orange), &["orange"]),
        (light(Indicator::Green), &["green"]),
        (light(Indicator::None), &["plain", "active", "suspended", "locked", "leaver"]),
        (seen(case.now), &["orange"]),
        (seen(case.now.plus(Duration::milliseconds(1))), &["orange", "suspended"]),
        (seen(long_ago), &[]),
        (UserFilter { pending_command: Some(true), ..none() }, &["active", "leaver"]),
        (UserFilter { unconfirmed_wipe: Some(true), ..none() }, &["leaver"]),
        (UserFilter { unconfirmed_wipe: Some(true), status: Some(UserStatus::Active), ..none() }, &[]),
        (UserFilter { unconfirmed_wipe: Some(false), search: Some(search_query("active")), ..none() }, &["active"]),
        (
            UserFilter { pending_command: Some(false), ..none() },
            &["plain", "suspended", "locked", "red", "orange", "green"],
        ),
        (UserFilter { pending_command: Some(true), status: Some(UserStatus::Locked), ..none() }, &[]),
        (UserFilter { pending_command: Some(true), search: Some(search_query("active")), ..none() }, &["active"]),
        (UserFilter { pending_command: Some(false), search: Some(search_query("active")), ..none() }, &[]),
        (
            UserFilter { network_indicator: Some(Indicator::Red), search: Some(search_query("example")), ..none() },
            &["red"],
        ),
    ];
    for (filter, expected) in table {
        let what = format!("{filter:?}");
        assert_eq!(find(filter).await, set(expected), "{what}");
    }
}

#[tokio::test]
async fn a_user_with_several_pending_phones_is_listed_once() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let mut users = Vec::new();
    let mut waiting: Vec<Vec<Device>> = Vec::new();
    for name in ["ada", "bob", "cleo"] {
        let mut user = case.user(name).await;
        let mut devices = Vec::new();
        for at in 0..3 {
            devices.push(case.device(&mut user, &format!("{name}-{at}")).await);
        }
        users.push(user);
        waiting.push(devices);
    }
    // Their phones are mixed in the index.
    for at in 0..3 {
        for devices in &mut waiting {
            let lock = command(&case, &devices[at], CommandKind::Lock, CommandState::Queued);
            devices[at] = set_open_commands(&case, &devices[at], &[lock]).await;
            case.later(Duration::seconds(1));
        }
    }
    let case = &case;
    let expected: BTreeSet<UserId> = users.iter().map(|user| user.user_id).collect();
    let filter = &UserFilter { pending_command: Some(true), ..UserFilter::default() };
    for limit in 1..=10 {
        let page = |start| async move { case.table.list_users(case.workspace, filter, limit, start, case.now).await };
        let found = list_all_pages(page, nothing).await;
        let ids: BTreeSet<UserId> = found.iter().map(|person| person.user.user_id).collect();
        assert_eq!((found.len(), &ids), (3, &expected), "pages of {limit}");
        assert!(found.iter().all(|person| person.devices.len() == 3), "each with all their phones");
    }
    // Commands that end between the pages cause neither repeats nor gaps.
    let page = |start| async move { case.table.list_users(case.workspace, filter, 1, start, case.now).await };
    let mut done = waiting[2].iter();
    let found = list_all_pages(page, || {
        let done = done.next();
        async move {
            if let Some(device) = done {
                case.edit(device, &Device { commands: Vec::new(), ..device.clone() }).await;
            }
        }
    })
    .await;
    let ids: Vec<UserId> = found.iter().map(|person| person.user.user_id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an item was listed twice");
    for user in &users[..2] {
        assert!(ids.contains(&user.user_id), "{} was lost", user.username);
    }
}

#[tokio::test]
async fn a_deleted_user_is_readable_and_their_username_is_free() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let mut users = Vec::new();
    for name in ["xena", "bob"] {
        let user = case.user(name).await;
        let deletion = lifecycle::Deletion { without_wipe: false, reason: None, retention: Duration::days(30) };
        let change = lifecycle::delete(&user, &[], &[], &deletion, &case.context()).expect("no wipe is needed");
        let change = change.expect("the rows exist");
        let context = change.events[0].event_id;
        store.table.commit(Commit::from_changes(context, &change)).await.expect("no conflict");
        let mut after = change.user.expect("the change has the user").after;
        after.version += 1;
        users.push(after);
        case.later(Duration::minutes(1));
    }
    let case = &case;
    let filter = &UserFilter { status: Some(UserStatus::Deleted), ..UserFilter::default() };
    let page = |start| async move { case.table.list_users(case.workspace, filter, 1, start, case.now).await };
    let found: Vec<User> = list_all_pages(page, nothing).await.into_iter().map(|person| person.user).collect();
    users.reverse();
    assert_eq!(found, users, "newest first");
    let searched = UserFilter { search: Some(search_query("xena")), ..UserFilter::default() };
    let found = case.table.list_users(case.workspace, &searched, 10, None, case.now).await.expect("the call succeeds");
    assert_eq!(found.items.len(), 1, "a deleted user is found until they are purged");
    assert!(!is_taken(case, "xena").await, "the name is free");
    let second = case.user("xena").await;
    assert!(is_taken(case, "xena").await);
    let first = users.iter().find(|user| user.username == "xena").expect("she is the first of two users");
    case.remove(first).await;
    assert!(is_taken(case, "xena").await, "it is the second's now");
    let found = case.table.list_users(case.workspace, &searched, 10, None, case.now).await.expect("the call succeeds");
    assert_eq!(found.items.iter().map(|person| person.user.user_id).collect::<Vec<_>>(), [second.user_id]);
}

#[tokio::test]
async fn a_user_is_last_seen_with_the_first_login_of_a_device_s_day() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let mut user = case.user("ada").await;
    let device = case.device(&mut user, "phone").await;
    let user = case.read(&user).await;
    let start = login_day_start(device.device_id, case.now.plus(Duration::days(1)));
    let seen = async |login: Time, expected: Time| {
        let device = case.table.device(case.workspace, device.device_id).await.unwrap().unwrap();
        assert!(store.table.record_login_time(&device, login, case.id()).await.expect("the call succeeds"));
        let read = case.read(&user).await;
        assert_eq!((read.last_seen_at, read.version), (Some(expected), user.version), "{login}");
        let filter =
            UserFilter { last_seen: Times::before(login.plus(Duration::milliseconds(1))), ..UserFilter::default() };
        let list = case.table.list_users(case.workspace, &filter, 10, None, login).await.expect("the call succeeds");
        assert_eq!(list.items.len(), 1, "{login}: the list knows of the last login");
        let filter = UserFilter { last_seen: Times::before(login), ..filter };
        let list = case.table.list_users(case.workspace, &filter, 10, None, login).await.expect("the call succeeds");
        assert_eq!(list.items.len(), 0, "{login}");
    };
    seen(start, start).await;
    seen(start.plus(Duration::hours(23)), start).await;
    seen(start.plus(Duration::hours(25)), start.plus(Duration::hours(25))).await;
    case.remove(&case.read(&user).await).await;
    let device = case.table.device(case.workspace, device.device_id).await.unwrap().unwrap();
    let rows = case.rows();
    let later = start.plus(Duration::days(3));
    assert!(!store.table.record_login_time(&device, later, case.id()).await.expect("the call succeeds"));
    assert_eq!(case.rows(), rows, "a login of a purged user's device changes nothing");
}
