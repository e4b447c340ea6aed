//! Deployments, and the secrets of their users.

use std::collections::{BTreeMap, BTreeSet};

use aws::{Commit, UserFilter};
use chrono::Duration;
use domain::models::client_account::{ClientAccount, SecretKind};
use domain::models::offer::{Channel, NewOffer, Offer, Purpose};
use domain::models::user::User;
use domain::rules::{deployments, lifecycle};
use domain::secret::new_code;
use domain::states::UserStatus;
use domain::{InvitationId, ProfileId};
use testkit::rows;

use super::{Case, TestStore, invited, letters, list_all_pages, new_id, nothing, search_query};

/// Stores a user's new deployment with its code, and returns the changed user and the deployment.
async fn deployed(case: &Case<'_>, user: &User) -> (User, Offer) {
    let new = NewOffer {
        purpose: Purpose::Deploy,
        invitation_id: InvitationId(new_id(case.now)),
        code: new_code(letters),
        channel: Channel::Email,
        devices: 1,
        lifetime: Duration::days(7),
        limits: rows::limits_before_any_message(case.workspace, Channel::Email, case.now),
    };
    let mut change = deployments::deploy(user, &[], None, new, user.client.profile_id, &case.context())
        .expect("the user has an address");
    // Several are created within one minute here; message counters have contract tests of their own.
    change.message_counters = None;
    let created = change.new_offer().expect("an invitation is created").clone();
    let commit = Commit::from_changes(change.events[0].event_id, &change);
    case.table.commit(commit).await.expect("no conflict");
    (case.read(user).await, created)
}

#[tokio::test]
async fn a_deployment_is_found_by_its_identifier_and_an_invitation_is_not() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let elsewhere = Case::new(store);
    let user = case.user("ada").await;
    let (user, made) = deployed(&case, &user).await;
    let (invitation, _code) = invited(&case, &user, 1, Duration::days(7));
    case.put(&invitation).await;
    let find = async |workspace, id| store.table.deployment(workspace, id).await.expect("the call succeeds");
    assert_eq!(find(case.workspace, made.invitation_id).await.as_ref(), Some(&made));
    assert_eq!(find(case.workspace, invitation.invitation_id).await, None, "an invitation is no deployment");
    assert_eq!(find(case.workspace, InvitationId(new_id(case.now))).await, None);
    assert_eq!(find(case.workspace, InvitationId(user.user_id.0)).await, None);
    assert_eq!(find(elsewhere.workspace, made.invitation_id).await, None, "another workspace's objects are not found");
    assert_eq!(user.client.deployment_id, Some(made.invitation_id));
    case.remove(&made).await;
    assert_eq!(find(case.workspace, made.invitation_id).await, None);
}

#[tokio::test]
async fn the_latest_deployments_of_many_users_are_read_together() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let mut users = Vec::new();
    let mut expected = BTreeMap::new();
    // More than one batch holds.
    for number in 0..102 {
        let user = case.user(&format!("user{number}")).await;
        users.push(user);
    }
    for at in [0, 50, 101] {
        let (user, made) = deployed(&case, &users[at]).await;
        expected.insert(user.user_id, made);
        users[at] = user;
    }
    let all: Vec<&User> = users.iter().collect();
    assert_eq!(store.table.deployments(&all).await.expect("the call succeeds"), expected);
    assert_eq!(store.table.deployments(&[]).await.expect("the call succeeds"), BTreeMap::new());
}

#[tokio::test]
async fn a_users_secrets_are_set_one_by_one_and_their_row_is_deleted_with_the_last() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let user = case.user("ada").await;
    let other = case.user("bob").await;
    let set = async |edit: &[(SecretKind, Option<&str>)]| {
        let edit = edit.iter().map(|(kind, secret)| (*kind, secret.map(str::to_owned))).collect();
        let change = deployments::set_secrets(&case.read(&user).await, &edit, &case.context()).expect("the rows exist");
        let change = change.expect("the edit is a change");
        let commit = Commit::from_changes(change.events[0].event_id, &change);
        case.table.commit(commit).await.expect("no conflict");
    };
    let read = async |of: &User| store.table.user_secrets(case.workspace, of.user_id).await.expect("the call succeeds");
    let expect = |secrets: &[(SecretKind, &str)]| {
        secrets.iter().map(|(kind, secret)| (*kind, (*secret).to_owned())).collect::<BTreeMap<_, _>>()
    };
    let stored = || {
        let of_user = rows::all(&store.bench, rows::SECRETS);
        of_user.into_keys().filter(|key| key.contains(&user.user_id.to_string())).count()
    };
    assert_eq!((read(&user).await, stored()), (expect(&[]), 0));
    set(&[(SecretKind::ClientPassword, Some("kept-one")), (SecretKind::VoicemailPin, Some("27182818"))]).await;
    set(&[(SecretKind::ClientPassword, Some("kept-two")), (SecretKind::PbxSipPassword, Some("kept-three"))]).await;
    let all = [
        (SecretKind::ClientPassword, "kept-two"),
        (SecretKind::PbxSipPassword, "kept-three"),
        (SecretKind::VoicemailPin, "27182818"),
    ];
    assert_eq!((read(&user).await, stored()), (expect(&all), 1), "omitted secrets are kept");
    set(&[(SecretKind::ClientPassword, None), (SecretKind::TeleworkerSipPassword, None)]).await;
    assert_eq!(read(&user).await, expect(&all[1..]));
    assert_eq!(read(&other).await, expect(&[]));
    let leaks = |text: &str| rows::all(&store.bench, rows::MAIN).values().any(|row| row.to_string().contains(text));
    assert!(
        !["kept-one", "kept-two", "kept-three", "27182818"].iter().any(|secret| leaks(secret)),
        "only in their own table"
    );
    set(&[(SecretKind::PbxSipPassword, None), (SecretKind::VoicemailPin, None)]).await;
    assert_eq!((read(&user).await, stored()), (expect(&[]), 0), "the row is deleted with the last secret");
    // They are deleted with the user, too.
    set(&[(SecretKind::ClientPassword, Some("kept-four"))]).await;
    let deletion = lifecycle::Deletion { without_wipe: false, reason: None, retention: Duration::days(30) };
    let change =
        lifecycle::delete(&case.read(&user).await, &[], &[], &deletion, &case.context()).expect("no wipe is needed");
    let change = change.expect("the rows exist");
    case.table.commit(Commit::from_changes(change.events[0].event_id, &change)).await.expect("no conflict");
    assert_eq!((read(&user).await, stored()), (expect(&[]), 0));
}

#[tokio::test]
async fn users_are_found_by_deployment_profile_and_pending_download() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let (profile, another) = (ProfileId(new_id(case.now)), ProfileId(new_id(case.now)));
    let with = |name: &str, profile: Option<ProfileId>| {
        let user = case.new_user(name);
        User { client: ClientAccount { profile_id: profile, ..ClientAccount::default() }, ..user }
    };
    let people =
        [with("none", None), with("given", Some(profile)), with("both", Some(profile)), with("other", Some(another))];
    for user in &people {
        case.put(user).await;
    }
    let _deployed = deployed(&case, &people[2]).await;
    let _deployed = deployed(&case, &people[3]).await;
    let mut holder = case.read(&people[0]).await;
    let device = case.device(&mut holder, "phone").await;
    case.edit(&device, &device.clone().with_download_ordered()).await;
    let deleted_user = with("gone", Some(profile));
    case.put(&deleted_user).await;
    let deletion = lifecycle::Deletion { without_wipe: false, reason: None, retention: Duration::days(30) };
    let change = lifecycle::delete(&deleted_user, &[], &[], &deletion, &case.context())
        .expect("no wipe is needed")
        .expect("the rows exist");
    case.table.commit(Commit::from_changes(change.events[0].event_id, &change)).await.expect("no conflict");
    let case = &case;
    let none = UserFilter::default;
    let table: Vec<(UserFilter, &[&str])> = vec![
        (UserFilter { deployed: Some(true), ..none() }, &["both", "other"]),
        (UserFilter { deployed: Some(false), ..none() }, &["none", "given"]),
        (UserFilter { profile_id: Some(profile), ..none() }, &["given", "both"]),
        (UserFilter { profile_id: Some(another), ..none() }, &["other"]),
        (UserFilter { profile_id: Some(ProfileId(new_id(case.now))), ..none() }, &[]),
        (UserFilter { profile_id: Some(profile), deployed: Some(true), ..none() }, &["both"]),
        (
            UserFilter {
                profile_id: Some(profile),
                deployed: Some(false),
                search: Some(search_query("given")),
                ..none()
            },
            &["given"],
        ),
        (UserFilter { force_pending: Some(true), ..none() }, &["none"]),
        (UserFilter { force_pending: Some(false), ..none() }, &["given", "both", "other", "gone"]),
        (UserFilter { force_pending: Some(true), deployed: Some(true), ..none() }, &[]),
        (UserFilter { status: Some(UserStatus::Deleted), profile_id: Some(profile), ..none() }, &[]),
    ];
    for (filter, expected) in table {
        for limit in [1, 100] {
            let list = |start| case.table.list_users(case.workspace, &filter, limit, start, case.now);
            let found = list_all_pages(list, nothing).await;
            let names: BTreeSet<&str> = found.iter().map(|person| person.user.username.as_str()).collect();
            assert_eq!((names, found.len()), (expected.iter().copied().collect(), expected.len()), "{filter:?}");
        }
    }
}
