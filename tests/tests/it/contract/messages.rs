//! Counts of messages.

use aws::Commit;
use chrono::Duration;
use domain::models::message_limits::{DailyCount, DailyQuota, Recipient, RecipientHistory};
use domain::models::offer::{Channel, Purpose};
use domain::models::user::User;
use domain::rules::change::MessageCounters;

use super::{Case, TestStore, expect_conflict};

#[tokio::test]
async fn messages_are_counted_for_their_recipient_and_in_a_shard_of_the_day() {
    let store = &TestStore::start().await;
    let (case, other) = (Case::new(store), Case::new(store));
    let recipient = |case: &Case<'_>, purpose| {
        let user = User { email: Some("ann@example.com".to_owned()), ..case.new_user("ann") };
        Recipient::of(&user, purpose, Channel::Email).expect("the user has an address")
    };
    let quota = |case: &Case<'_>, day: &str| {
        let (workspace_id, day) = (case.workspace, day.to_owned());
        DailyQuota { workspace_id, channel: Channel::Email, day, per_day: 256 }
    };
    let (ann, today) = (recipient(&case, Purpose::Invite), quota(&case, "2026-11-23"));
    let read =
        async |shards: &[u8]| store.table.message_counts(Some(&ann), &today, shards).await.expect("the call succeeds");
    assert_eq!(read(&[3, 4]).await, (None, Vec::new()));
    let message_counters = |(to, parts): (Option<RecipientHistory>, Vec<DailyCount>), hours: i64| {
        let to = RecipientHistory::with_one_more(to, &ann, case.now.plus(Duration::hours(hours)))
            .expect("the recipient's limit allows it");
        MessageCounters { to, today: today.with_one_more(&parts, &[3]).expect("the user has a free slot") }
    };
    let commit = |message_counters: &MessageCounters| {
        Commit::without_event(case.id()).apply(&message_counters.to).apply(&message_counters.today)
    };
    let (first, beside) = (message_counters(read(&[3]).await, 0), message_counters(read(&[3]).await, 0));
    store.table.commit(commit(&first)).await.expect("no conflict");
    expect_conflict(store.table.commit(commit(&beside)).await, "another message came first");
    let (to, parts) = read(&[2, 3]).await;
    assert_eq!((to.as_ref(), parts.as_slice()), (Some(&first.to.after), &[first.today.after.clone()][..]));
    let (second, beside) = (message_counters(read(&[3]).await, 1), message_counters(read(&[3]).await, 1));
    store.table.commit(commit(&second)).await.expect("no conflict");
    let only_the_day = Commit::without_event(case.id()).apply(&beside.today);
    expect_conflict(store.table.commit(only_the_day).await, "the shard has counted another message since");
    let (to, parts) = read(&[3]).await;
    assert_eq!(to.map(|to| to.at.len()), Some(2));
    assert_eq!(parts.iter().map(|part| part.count).collect::<Vec<_>>(), [2]);
    assert_eq!(today.with_one_more(&parts, &[3]), None, "the shard has its share of the quota");
    // Another kind, another day, another workspace.
    let (deployed, tomorrow) = (recipient(&case, Purpose::Deploy), quota(&case, "2026-11-24"));
    let elsewhere = (recipient(&other, Purpose::Invite), quota(&other, "2026-11-23"));
    for (recipient, quota) in [(deployed, tomorrow), elsewhere] {
        let none = store.table.message_counts(Some(&recipient), &quota, &[3]).await.expect("the call succeeds");
        assert_eq!(none, (None, Vec::new()));
    }
}
