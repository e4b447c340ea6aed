//! Invitations: their codes, and the texts that contain them.

use aws::Commit;
use aws::store::offers::OfferRef;
use chrono::Duration;
use domain::models::offer::{Channel, Offer};
use domain::models::user::User;
use domain::secret::Hash;
use testkit::rows;

use super::{Case, TestStore, expect_conflict, invited};

#[tokio::test]
async fn a_code_is_stored_and_deleted_with_its_invitation() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let user = case.user("ada").await;
    let (invitation, code) = invited(&case, &user, 1, Duration::days(7));
    let id = invitation.invitation_id;
    let stale = User { version: 9, ..user.clone() };
    let changed = User { number: Some("7".to_owned()), ..stale.clone() };
    let refused = Commit::without_event(case.id()).put(&invitation).put_code(&invitation, &code).edit(&stale, &changed);
    expect_conflict(store.table.commit(refused).await, "one part is rejected");
    assert_eq!(store.table.invitation_code(id).await.expect("the call succeeds"), None);
    let commit = Commit::without_event(case.id()).put(&invitation).put_code(&invitation, &code);
    store.table.commit(commit).await.expect("no conflict");
    assert_eq!(store.table.invitation_code(id).await.expect("the call succeeds"), Some(code.clone()));
    let read = store.table.offer(case.workspace, user.user_id, id).await.expect("the call succeeds");
    assert_eq!(read.as_ref(), Some(&invitation));
    let owner = OfferRef { workspace_id: case.workspace, user_id: user.user_id, invitation_id: id };
    assert_eq!(store.table.offer_of_code(&Hash::of(&code)).await.expect("the call succeeds"), Some(owner));
    let stored = rows::everything(&store.bench);
    let leaks = stored.iter().filter(|((table, _), row)| *table == rows::MAIN && row.to_string().contains(&code));
    assert_eq!(leaks.count(), 0, "the code itself is only in the table of secrets");
    store
        .table
        .commit(
            Commit::without_event(case.id()).bump_version(&invitation, &invitation).delete_code_if_ended(&invitation),
        )
        .await
        .expect("no conflict");
    assert_eq!(store.table.invitation_code(id).await.expect("the call succeeds"), Some(code), "a needed code is kept");
    let before = Offer { version: 2, ..invitation };
    let over = Offer { expired_at: Some(case.now), ..before.clone() };
    let commit = Commit::without_event(case.id()).edit(&before, &over).delete_code_if_ended(&over);
    store.table.commit(commit).await.expect("no conflict");
    assert_eq!(store.table.invitation_code(id).await.expect("the call succeeds"), None);
}

#[tokio::test]
async fn a_text_message_is_found_by_its_identifier_while_its_invitation_exists() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let user = case.user("ada").await;
    let (invitation, _code) = invited(&case, &user, 1, Duration::days(7));
    let sent = |channel| {
        let mut sent = Offer { channel, ..invitation.clone() };
        sent.delivery.message_id = Some(case.id().to_string());
        sent
    };
    let owner = async |sent: &Offer| {
        let id = sent.delivery.message_id.as_deref().unwrap_or_default();
        store.table.offer_of_message(id).await.expect("the call succeeds")
    };
    let (queued, mail, text) =
        (Offer { channel: Channel::Sms, ..invitation.clone() }, sent(Channel::Email), sent(Channel::Sms));
    case.put(&queued).await;
    assert_eq!(owner(&text).await, None, "nothing was sent");
    case.edit(&queued, &text).await;
    let id = invitation.invitation_id;
    let expected = OfferRef { workspace_id: case.workspace, user_id: user.user_id, invitation_id: id };
    assert_eq!(owner(&text).await, Some(expected));
    case.remove(&Offer { version: 2, ..text.clone() }).await;
    assert_eq!(owner(&text).await, None, "it is deleted with its invitation");
    case.put(&mail).await;
    assert_eq!(owner(&mail).await, None, "an e-mail's reports name the invitation themselves");
}
