//! Users as SCIM shows them.

use aws::Commit;
use chrono::Duration;
use domain::models::actor::Actor;
use domain::models::event::EventType;
use domain::models::restriction;
use domain::models::user::User;
use domain::rules::scim::document::{ScimAttributes, ScimUserRecord};
use domain::{UserId, WorkspaceId};
use serde_json::json;
use uuid::Uuid;

use super::{Case, TestStore, expect_conflict};

#[tokio::test]
async fn scim_lists_show_users_who_are_not_deleted() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let workspace = case.workspace;
    let mut users = Vec::new();
    for name in ["ada", "bob", "cleo"] {
        let mut user = case.new_user(name);
        user.provenance.external_id = Some(format!("00{name}"));
        case.put(&user).await;
        users.push(user);
        case.later(Duration::seconds(1));
    }
    let [ada, bob, cleo] = [&users[0], &users[1], &users[2]];
    let stored = ScimAttributes {
        workspace_id: workspace,
        user_id: bob.user_id,
        attributes: [("roles".to_owned(), json!([{"value": "x", "primary": true}]))].into_iter().collect(),
        version: 1,
        stored: domain::stored::Stored::default(),
    };
    store
        .table
        .commit(Commit::without_event(case.id()).put_scim_attributes(None, Some(&stored)))
        .await
        .expect("the commit succeeds");
    let ids: Vec<UserId> = users.iter().map(|user| user.user_id).collect();
    assert_eq!(
        store.table.user_ids(workspace, 3).await.expect("the read succeeds").as_ref(),
        Some(&ids),
        "the oldest first"
    );
    assert_eq!(store.table.user_ids(workspace, 2).await.expect("the read succeeds"), None, "more than were asked for");
    let with = |with_attributes: bool| store.table.scim_users(workspace, &ids, with_attributes);
    let of_bob = |people: &[ScimUserRecord]| (people.len(), people[1].scim_attributes.clone());
    assert_eq!(of_bob(&with(true).await.expect("the read succeeds")), (3, Some(stored.clone())));
    assert_eq!(of_bob(&with(false).await.expect("the read succeeds")), (3, None));
    assert_eq!(store.table.ids_of_username(workspace, "ADA").await.expect("the read succeeds"), [ada.user_id].into());
    assert_eq!(store.table.id_of_external_id(workspace, "00bob").await.expect("the read succeeds"), Some(bob.user_id));
    assert_eq!(
        store.table.id_of_external_id(workspace, "00BOB").await.expect("the read succeeds"),
        None,
        "case is significant"
    );
    // An external id belongs to one user.
    let mut twin = case.new_user("twin");
    twin.provenance.external_id = Some("00ada".to_owned());
    expect_conflict(store.table.commit(Commit::without_event(case.id()).put(&twin)).await, "the external id is taken");
    // Later changes remove or replace the attributes.
    let other =
        ScimAttributes { attributes: [("title".to_owned(), json!("Chief"))].into_iter().collect(), ..stored.clone() };
    store
        .table
        .commit(Commit::without_event(case.id()).put_scim_attributes(Some(&stored), Some(&other)))
        .await
        .expect("the commit succeeds");
    let now = store
        .table
        .scim_attributes(workspace, bob.user_id)
        .await
        .expect("the read succeeds")
        .expect("the commit succeeds");
    assert_eq!((&now.attributes, now.version), (&other.attributes, 2));
    store
        .table
        .commit(Commit::without_event(case.id()).put_scim_attributes(Some(&now), None))
        .await
        .expect("the removal succeeds");
    assert_eq!(store.table.scim_attributes(workspace, bob.user_id).await.expect("the read succeeds"), None);
    // The time of the last recorded change is returned.
    let bobs = async || {
        store.table.scim_user(workspace, bob.user_id).await.expect("the read succeeds").expect("the row exists")
    };
    assert_eq!(bobs().await.updated_at, None, "they never existed");
    let named = User { number: Some("7".to_owned()), ..bob.clone() };
    let change = Commit::with_event(&case.context().event(EventType::UserUpdated)).edit(bob, &named);
    store.table.commit(change).await.expect("no conflict");
    let changed = bobs().await;
    assert_eq!((changed.user.number.as_deref(), changed.updated_at), (Some("7"), Some(case.now)));
    case.later(Duration::seconds(1));
    let bump_version =
        Commit::with_event(&case.context().event(EventType::UserUpdated)).bump_version(&changed.user, &changed.user);
    store.table.commit(bump_version).await.expect("no conflict");
    assert_eq!(bobs().await.updated_at, Some(case.now));
    // A deleted user is no longer shown, and the username is free.
    let end = restriction::Deleted { at: case.now, by: Actor::System, purge_after: case.now.plus(Duration::days(1)) };
    case.edit(cleo, &User { deleted: Some(end), ..cleo.clone() }).await;
    assert_eq!(
        store.table.user_ids(workspace, 3).await.expect("the read succeeds"),
        Some(vec![ada.user_id, bob.user_id])
    );
    assert!(store.table.scim_user(workspace, cleo.user_id).await.expect("the read succeeds").is_none());
    assert_eq!(store.table.id_of_external_id(workspace, "00cleo").await.expect("the read succeeds"), None);
    assert!(store.table.scim_user(WorkspaceId(Uuid::nil()), ada.user_id).await.expect("the read succeeds").is_none());
}
