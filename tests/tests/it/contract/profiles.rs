//! Profiles.

use std::collections::BTreeMap;

use aws::Commit;
use chrono::Duration;
use domain::error::Error;
use domain::models::actor::Actor;
use domain::models::profile::Profile;
use domain::models::restriction;
use domain::models::user::User;
use domain::rules::profiles::given;
use domain::{EventId, ProfileId};
use serde_json::json;
use testkit::rows;

use super::{Case, TestStore, new_id};

fn profile(case: &Case<'_>, name: &str) -> Profile {
    Profile {
        workspace_id: case.workspace,
        profile_id: ProfileId(new_id(case.now)),
        name: name.to_owned(),
        // JSON that DynamoDB's own types cannot store.
        settings: json!({"": 1e200, "deep": [[[{"a": u64::MAX}]]], "none": null})
            .as_object()
            .cloned()
            .unwrap_or_default(),
        schema: Some(json!({"minimum": -1e-200})),
        revision: 1,
        created_at: case.now,
        updated_at: case.now,
        version: 1,
        stored: domain::stored::Stored::default(),
    }
}

#[tokio::test]
async fn a_profile_that_is_assigned_concurrently_is_not_deleted() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let (here, table) = (case.workspace, case.table);
    let office = profile(&case, "Office");
    case.put(&office).await;
    let read = async || table.profile_and_assignment(here, office.profile_id).await.expect("the call succeeds");
    let unknown = table.profile_and_assignment(here, ProfileId(new_id(case.now))).await.expect("the call succeeds");
    assert_eq!(unknown, None);
    let commit = async |change: &dyn Fn(Commit) -> Commit| {
        table.commit(change(Commit::without_event(EventId(new_id(case.now))))).await
    };
    assert_eq!(read().await, Some((office.clone(), None)));
    // For the first time, and then again: a delete with the earlier time fails.
    let mut before = None;
    for minutes in [0, 5] {
        let noted = given(&office, before.as_ref(), case.now.plus(Duration::minutes(minutes)))
            .expect("the assignment is recorded");
        commit(&|commit| commit.guard_profile_assignment(&office, Some(&noted)))
            .await
            .expect("the assignment succeeds");
        let outdated = commit(&|commit| commit.delete_profile(&office, before.as_ref())).await;
        assert!(matches!(outdated, Err(Error::Conflict)), "{outdated:?}");
        let (profile, now) = read().await.expect("the row exists");
        assert_eq!((&profile, now.as_ref().map(|note| note.given_at)), (&office, Some(noted.after.given_at)));
        before = now;
    }
    // Of two concurrent records one starts over; an existing record is reused.
    let late = given(&office, None, case.now).expect("no later assignment exists");
    let second = commit(&|commit| commit.guard_profile_assignment(&office, Some(&late))).await;
    assert!(matches!(second, Err(Error::Conflict)), "{second:?}");
    commit(&|commit| commit.guard_profile_assignment(&office, None).put(&profile(&case, "Beside")))
        .await
        .expect("the assignment succeeds");
    commit(&|commit| commit.delete_profile(&office, before.as_ref())).await.expect("the removal succeeds");
    assert_eq!(read().await, None);
    let outcome = commit(&|commit| commit.guard_profile_assignment(&office, None).put(&profile(&case, "After"))).await;
    assert!(matches!(outcome, Err(Error::Conflict)), "a deleted profile cannot be assigned: {outcome:?}");
    let id = office.profile_id.to_string();
    assert!(!rows::all(&store.bench, rows::MAIN).keys().any(|key| key.contains(&id)), "no row of it is left");
}

#[tokio::test]
async fn a_profile_is_stored_exactly_and_found_by_its_name_and_its_users() {
    let store = &TestStore::start().await;
    let (mut case, other) = (Case::new(store), Case::new(store));
    let office = profile(&case, "Büro");
    case.put(&office).await;
    case.later(Duration::seconds(1));
    let field = Profile { schema: None, ..profile(&case, "Field") };
    case.put(&field).await;
    let (here, table) = (case.workspace, case.table);
    assert_eq!(table.profile(here, office.profile_id).await.expect("the call succeeds"), Some(office.clone()));
    assert_eq!(table.profile(other.workspace, office.profile_id).await.expect("the call succeeds"), None);
    let ids = [office.profile_id, field.profile_id, ProfileId(new_id(case.now))].into();
    let names = async |workspace| table.profile_names(workspace, &ids).await.expect("the call succeeds");
    let both = [(office.profile_id, "Büro".to_owned()), (field.profile_id, "Field".to_owned())];
    assert_eq!(names(here).await, both.into());
    assert_eq!(names(other.workspace).await, BTreeMap::new());
    let page = table.list_profiles(here, 1, None).await.expect("the call succeeds");
    assert_eq!(page.items, std::slice::from_ref(&field));
    let page = table.list_profiles(here, 1, page.next).await.expect("the call succeeds");
    assert_eq!((page.items, page.next), (vec![office.clone()], None));
    // Its name is taken until it has another one.
    let is_taken = async |name: &str| table.is_profile_name_taken(here, name).await.expect("the call succeeds");
    assert!(is_taken("BURO").await && is_taken("field").await && !is_taken("Office").await);
    assert!(!table.is_profile_name_taken(other.workspace, "Büro").await.expect("the call succeeds"));
    case.edit(&office, &Profile { name: "Office".to_owned(), ..office.clone() }).await;
    assert!(!is_taken("Büro").await && is_taken("office").await);
    case.remove(&field).await;
    assert!(!is_taken("Field").await);
    assert_eq!(names(here).await, [(office.profile_id, "Office".to_owned())].into());
    // It is in use while users who are not deleted have it.
    let used = async || table.is_profile_used(here, office.profile_id).await.expect("the call succeeds");
    assert!(!used().await);
    let mut user = case.new_user("ada");
    user.client.profile_id = Some(office.profile_id);
    case.put(&user).await;
    assert!(used().await);
    assert!(!table.is_profile_used(other.workspace, office.profile_id).await.expect("the call succeeds"));
    let end = restriction::Deleted { at: case.now, by: Actor::System, purge_after: case.now };
    case.edit(&user, &User { deleted: Some(end), ..user.clone() }).await;
    assert!(!used().await);
}
