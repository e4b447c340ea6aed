//! Usage per month.

use std::ops::RangeInclusive;

use aws::Commit;
use domain::UserId;
use domain::models::usage::{Counts, Usage, UsageKind, UsageScope};
use futures::future::join_all;
use serde_json::json;

use testkit::rows;

use super::{Case, TestStore, new_id, usage};

/// The most months of usage that are shown.
const MONTHS: usize = 24;
/// Some shards of each partition of a workspace's totals.
const SHARDS: RangeInclusive<u8> = 200..=255;

#[tokio::test]
async fn usage_is_read_by_month_for_a_user_and_for_the_workspace() {
    let store = &TestStore::start().await;
    let (case, other) = (Case::new(store), Case::new(store));
    let (ada, bob) = (UserId(new_id(case.now)), UserId(new_id(case.now)));
    let months: Vec<String> = (0..MONTHS + 3).map(|at| format!("{}-{:02}", 2024 + at / 12, at % 12 + 1)).collect();
    for month in &months {
        let mut commit = Commit::without_event(case.id()).put(&usage(&case, UsageScope::User(ada), month, 2));
        for shard in SHARDS {
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
    let sum = SHARDS.map(u64::from).sum::<u64>();
    assert!(total.values().all(|counts| counts[&UsageKind::Calls] == sum), "complete months: {total:?}");
    let both = [UsageScope::User(ada), UsageScope::User(bob), UsageScope::Shard(203)];
    let month = &months[5];
    let expected = [usage(&case, UsageScope::User(ada), month, 2), usage(&case, UsageScope::Shard(203), month, 203)];
    assert_eq!(table.usage_to_show(case.workspace, &both, month).await.expect("the call succeeds"), expected);
    assert_eq!(table.usage_to_show(case.workspace, &[], month).await.expect("the call succeeds"), []);
    let rows = table.usage_rows(case.workspace, ada, 5).await.expect("the call succeeds");
    assert_eq!(rows.len(), 5);
    assert_eq!(table.user_usage(case.workspace, bob).await.expect("the call succeeds").len(), 0);
    assert_eq!(table.workspace_usage(other.workspace).await.expect("the call succeeds").len(), 0);
    assert_eq!(table.user_usage(other.workspace, ada).await.expect("the call succeeds").len(), 0);
}

#[tokio::test]
async fn usage_is_added_whatever_was_counted_before() {
    let store = &TestStore::start().await;
    let case = &Case::new(store);
    let ada = UserId(new_id(case.now));
    let (of_ada, total) = (UsageScope::User(ada), UsageScope::shard_of(ada));
    let report = |calls: u64| async move {
        let commit = Commit::without_event(case.id());
        let commit = commit.add_usage(&usage(case, of_ada, "2026-11", calls));
        case.table.commit(commit.add_usage(&usage(case, total, "2026-11", calls))).await
    };
    let reported = join_all((1..=20).map(report)).await;
    assert!(reported.iter().all(Result::is_ok), "none waits for another: {reported:?}");
    let sent = Usage { counts: Counts::from([(UsageKind::MessagesSent, 3)]), ..usage(case, of_ada, "2026-11", 0) };
    let _added = case.table.commit(Commit::without_event(case.id()).add_usage(&sent)).await.expect("no conflict");
    let months = case.table.user_usage(case.workspace, ada).await.expect("the call succeeds");
    let expected = Counts::from([(UsageKind::Calls, 210), (UsageKind::MessagesSent, 3)]);
    assert_eq!(months, [("2026-11".to_owned(), expected)].into());
    let months = case.table.workspace_usage(case.workspace).await.expect("the call succeeds");
    assert_eq!(months, [("2026-11".to_owned(), Counts::from([(UsageKind::Calls, 210)]))].into());
}

#[tokio::test]
async fn counts_of_the_release_before_are_added_to_this_ones() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let ada = UserId(new_id(case.now));
    let former = |pk: String, sk: String, of: UsageScope| {
        json!({"pk": pk, "sk": sk, "workspace_id": case.workspace, "of": of, "month": "2026-11", "version": 4,
            "counts": {"calls": 30, "messages_sent": 2}})
    };
    let of_user = format!("USER#{}#{ada}", case.workspace);
    let of_workspace = format!("USAGE#{}", case.workspace);
    rows::put(&store.bench, rows::MAIN, &former(of_user, "USAGE#2026-11".into(), UsageScope::User(ada)), &[]);
    for shard in [0, 63] {
        let row = former(of_workspace.clone(), format!("2026-11#{shard:02}"), UsageScope::Shard(shard));
        rows::put(&store.bench, rows::MAIN, &row, &[]);
    }
    let commit = Commit::without_event(case.id()).add_usage(&usage(&case, UsageScope::User(ada), "2026-11", 5));
    let commit = commit.add_usage(&usage(&case, UsageScope::Shard(0), "2026-11", 5));
    let _added = case.table.commit(commit).await.expect("no conflict");
    let counts = |calls, sent| Counts::from([(UsageKind::Calls, calls), (UsageKind::MessagesSent, sent)]);
    let of_ada = case.table.user_usage(case.workspace, ada).await.expect("the call succeeds");
    assert_eq!(of_ada["2026-11"], counts(35, 2));
    let months = case.table.workspace_usage(case.workspace).await.expect("the call succeeds");
    assert_eq!(months["2026-11"], counts(65, 4));
    // The release before reads and writes the user's row by its map and its version.
    let row =
        rows::all(&store.bench, rows::MAIN).into_iter().find(|(key, _)| key.contains("| USAGE#")).expect("there").1;
    assert_eq!(
        (&row["counts"], &row["version"], &row["calls"]),
        (&json!({"calls": 30, "messages_sent": 2}), &json!(4), &json!(5))
    );
}

#[tokio::test]
async fn a_count_ends_at_the_most_that_64_bits_hold() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let ada = UsageScope::User(UserId(new_id(case.now)));
    for _ in 0..2 {
        let commit = Commit::without_event(case.id()).add_usage(&usage(&case, ada, "2026-11", u64::MAX - 1));
        let _added = case.table.commit(commit).await.expect("no conflict");
    }
    let rows = case.table.usage_to_show(case.workspace, &[ada], "2026-11").await.expect("the call succeeds");
    assert_eq!(rows[0].counts[&UsageKind::Calls], u64::MAX);
}
