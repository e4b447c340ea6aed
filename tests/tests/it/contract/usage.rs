//! Usage per month.

use aws::Commit;
use domain::UserId;
use domain::models::usage::{TOTAL_SHARDS, UsageKind, UsageScope};

use super::{Case, TestStore, new_id, usage};

/// The most months of usage that are shown.
const MONTHS: usize = 24;

#[tokio::test]
async fn usage_is_read_by_month_for_a_user_and_for_the_workspace() {
    let store = &TestStore::start().await;
    let (case, other) = (Case::new(store), Case::new(store));
    let (ada, bob) = (UserId(new_id(case.now)), UserId(new_id(case.now)));
    let months: Vec<String> = (0..MONTHS + 3).map(|at| format!("{}-{:02}", 2024 + at / 12, at % 12 + 1)).collect();
    for month in &months {
        let mut commit = Commit::without_event(case.id()).put(&usage(&case, UsageScope::User(ada), month, 2));
        for shard in 0..TOTAL_SHARDS {
            commit = commit.put(&usage(&case, UsageScope::Shard(shard), month, u64::from(shard)));
        }
        store.table.commit(commit).await.expect("the rows are new");
    }
    let table = &store.table;
    let newest = &months[3..];
    let of_ada = table.user_usage(case.workspace, ada).await.expect("the call succeeds");
    assert_eq!(of_ada.keys().cloned().collect::<Vec<_>>(), newest, "the newest two years of them");
    assert!(of_ada.values().all(|counts| counts[&UsageKind::Calls] == 2));
    let total = table.workspace_usage(case.workspace).await.expect("the call succeeds");
    assert_eq!(total.keys().cloned().collect::<Vec<_>>(), newest);
    let sum = (0..u64::from(TOTAL_SHARDS)).sum::<u64>();
    assert!(total.values().all(|counts| counts[&UsageKind::Calls] == sum), "complete months: {total:?}");
    let both = [UsageScope::User(ada), UsageScope::User(bob), UsageScope::Shard(3)];
    let month = &months[5];
    let expected = [usage(&case, UsageScope::User(ada), month, 2), usage(&case, UsageScope::Shard(3), month, 3)];
    assert_eq!(table.usage(case.workspace, &both, month).await.expect("the call succeeds"), expected);
    assert_eq!(table.usage(case.workspace, &[], month).await.expect("the call succeeds"), []);
    let rows = table.usage_rows(case.workspace, ada, 5).await.expect("the call succeeds");
    assert_eq!(rows.len(), 5);
    assert_eq!(table.user_usage(case.workspace, bob).await.expect("the call succeeds").len(), 0);
    assert_eq!(table.workspace_usage(other.workspace).await.expect("the call succeeds").len(), 0);
    assert_eq!(table.user_usage(other.workspace, ada).await.expect("the call succeeds").len(), 0);
}
