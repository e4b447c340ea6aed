//! Due work, leases, and idempotency records.

use std::collections::BTreeSet;

use aws::store::idempotency::IdempotencyRow;
use aws::store::{due, idempotency, push_tokens};
use aws::{Commit, DueRow, LeaseOutcome};
use chrono::Duration;
use domain::error::Error;
use domain::models::actor::Actor;
use domain::models::command::{Command, CommandKind};
use domain::models::device::{Device, PushToken};
use domain::models::event::EventType;
use domain::models::idempotency::IdempotencyRecord;
use domain::models::job::Job;
use domain::models::offer::Offer;
use domain::models::restriction;
use domain::models::user::User;
use domain::models::workspace::Workspace;
use domain::secret::Hash;
use domain::states::CommandState;
use domain::{Time, UserId};
use serde_json::json;
use testkit::rows;

use super::{Case, TestStore, command, expect_conflict, invited, job, new_id};

#[tokio::test]
async fn an_event_is_leased_by_one_consumer_at_a_time_and_done_is_final() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let (event, hold) = (case.id(), Duration::seconds(60));
    let take = |case: &Case<'_>| {
        let (table, now, ids) = (store.table.clone(), case.now, [case.id(), case.id()]);
        async move {
            match table.take_lease("contract", event, hold, now, ids[0]).await {
                Err(Error::Conflict) => table.take_lease("contract", event, hold, now, ids[1]).await,
                answer => answer,
            }
            .expect("the call succeeds")
        }
    };
    let both = futures::join!(take(&case), take(&case));
    let yes = |taken: &LeaseOutcome| matches!(taken, LeaseOutcome::Acquired(_));
    assert!(yes(&both.0) != yes(&both.1), "one of two concurrent consumers has the lease: {both:?}");
    assert!(matches!(take(&case).await, LeaseOutcome::Busy));
    let other = store.table.take_lease("another", event, hold, case.now, case.id()).await.expect("the call succeeds");
    assert!(yes(&other), "another consumer has a lease of its own");
    let ((LeaseOutcome::Acquired(stale), _) | (_, LeaseOutcome::Acquired(stale))) = both else { panic!("one has it") };
    case.later(hold);
    let LeaseOutcome::Acquired(lease) = take(&case).await else { panic!("the hold is over") };
    let late = Commit::without_event(case.id()).complete_lease(&stale, case.now);
    expect_conflict(store.table.commit(late).await, "a consumer without the lease cannot complete it");
    store
        .table
        .commit(Commit::without_event(case.id()).complete_lease(&lease, case.now))
        .await
        .expect("the lease is held");
    case.later(Duration::days(1));
    assert!(matches!(take(&case).await, LeaseOutcome::Done));
}

#[tokio::test]
async fn due_rows_are_read_in_order_and_an_unreadable_one_stops_nothing() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let mut tokens = Vec::new();
    for at in 0..40 {
        let device = case.new_device(UserId(new_id(case.now)), &format!("due-{at}"));
        case.later(Duration::seconds(1));
        let token = PushToken::new_for(&device, format!("token-{at}"), None, case.now);
        case.put(&token).await;
        tokens.push(token);
    }
    // The one in the middle is unreadable.
    let broken = push_tokens::push_token_key(case.workspace, tokens[20].device_id);
    let mut row = rows::all(&store.bench, rows::MAIN)
        .remove(&format!("{} | {}", broken.pk, broken.sk))
        .expect("the row is stored");
    row["token"] = json!(7);
    rows::put(&store.bench, rows::MAIN, &row, &[]);
    let due_at = tokens[29].mend_at.expect("a new token is due");
    let mut found = BTreeSet::new();
    let mut unread = 0;
    for shard in 0..due::DUE_SHARDS {
        let mut start = None;
        let mut last = None;
        loop {
            let page = store.table.due(&due::due_shard(shard), due_at, start, 2).await.expect("the call succeeds");
            for (key, row) in page.rows.into_iter().filter(|(key, _)| key.pk.contains(&case.workspace.to_string())) {
                match row {
                    Ok(Some(DueRow::PushToken(token))) => {
                        assert!(last <= token.mend_at, "the longest overdue come first");
                        last = token.mend_at;
                        assert!(found.insert(token.device_id), "a row was listed twice");
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => {
                        assert_eq!(key, broken);
                        unread += 1;
                    }
                }
            }
            start = page.next;
            if start.is_none() {
                break;
            }
        }
    }
    let expected = tokens[..30].iter().map(|token| token.device_id).filter(|id| *id != tokens[20].device_id);
    assert_eq!((found, unread), (expected.collect(), 1), "exactly the rows that are due");
    let settled = PushToken { mend_at: None, ..tokens[0].clone() };
    case.edit(&tokens[0], &settled).await;
    let shards = (0..due::DUE_SHARDS).map(due::due_shard);
    for shard in shards {
        let page = store.table.due(&shard, due_at, None, 100).await.expect("the call succeeds");
        let again =
            page.rows.iter().any(|(key, _)| *key == push_tokens::push_token_key(case.workspace, tokens[0].device_id));
        assert!(!again, "completed rows are not due");
    }
}

#[tokio::test]
async fn each_kind_of_row_is_read_when_it_is_due_and_not_before() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let mut user = case.user("ada").await;
    let device = case.device(&mut user, "phone").await;
    let hour = |hours| case.now.plus(Duration::hours(hours));
    let due = |mut command: Command, hours| {
        command.expires_at = hour(hours);
        command
    };
    let open = due(command(&case, &device, CommandKind::Wipe, CommandState::CancelRequested), 1);
    let over = due(command(&case, &device, CommandKind::Lock, CommandState::Succeeded), 1);
    case.put(&open).await;
    case.put(&over).await;
    let (invitation, _) = invited(&case, &user, 1, Duration::hours(2));
    let revoked = Offer { revoked_at: Some(case.now), ..invited(&case, &user, 1, Duration::hours(2)).0 };
    case.put(&invitation).await;
    case.put(&revoked).await;
    let (running, ended) = (job(&case), Job { due_at: None, ended_at: Some(case.now), ..job(&case) });
    case.put(&Job { due_at: Some(hour(3)), ..running.clone() }).await;
    case.put(&ended).await;
    let workspace = Workspace { silent_rule_at: Some(hour(4)), ..case.workspace_row() };
    case.put(&workspace).await;
    let end = restriction::Deleted { at: case.now, by: Actor::System, purge_after: hour(5) };
    case.edit(&device, &Device { deleted: Some(end.clone()), ..device.clone() }).await;
    case.edit(&user, &User { deleted: Some(end), ..user.clone() }).await;
    let found = |shard: fn(u8) -> String, by: Time| {
        let (table, workspace) = (case.table.clone(), case.workspace.to_string());
        async move {
            let mut kinds = Vec::new();
            for number in 0..due::DUE_SHARDS {
                let page = table.due(&shard(number), by, None, 1_000).await.expect("the call succeeds");
                let rows = page.rows.into_iter().filter(|(key, _)| key.pk.contains(&workspace));
                kinds.extend(rows.map(|(_, row)| match row {
                    Ok(Some(DueRow::Command(row))) => format!("command {}", row.command_id),
                    Ok(Some(DueRow::Offer(row))) => format!("invitation {}", row.invitation_id),
                    Ok(Some(DueRow::Job(row))) => format!("job {}", row.job_id),
                    Ok(Some(DueRow::Workspace(row))) => format!("workspace {}", row.name),
                    Ok(Some(DueRow::Device(row))) => format!("device {}", row.device_identifier),
                    Ok(Some(DueRow::User(row))) => format!("user {}", row.username),
                    other => format!("{other:?}"),
                }));
            }
            kinds.sort();
            kinds
        }
    };
    let mut expected = vec![
        format!("command {}", open.command_id),
        format!("invitation {}", invitation.invitation_id),
        format!("job {}", running.job_id),
        "workspace Here".to_owned(),
    ];
    for hours in (0..=4).rev() {
        let mut due = expected.clone();
        due.sort();
        assert_eq!(found(due::due_shard, hour(hours)).await, due, "after {hours} hours");
        let before = hour(hours).minus(Duration::milliseconds(1));
        let _latest = expected.pop();
        let mut due = expected.clone();
        due.sort();
        assert_eq!(found(due::due_shard, before).await, due, "just before {hours} hours");
    }
    assert!(found(due::purge_shard, hour(5).minus(Duration::milliseconds(1))).await.is_empty());
    assert_eq!(found(due::purge_shard, hour(5)).await, ["device phone", "user ada"]);
}

#[tokio::test]
async fn an_idempotency_record_is_stored_once() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let pk = idempotency::idempotency_pk(case.workspace, "somebody", "create-user", "key");
    assert_eq!(store.table.idempotency_record(&pk).await.expect("the call succeeds"), None);
    let record = |id: &str, hours| IdempotencyRecord {
        request_hash: Hash::of("body"),
        created_id: id.to_owned(),
        expires_at: case.now.plus(Duration::hours(hours)),
    };
    let (first, third) = (record("first", 0), record("third", 24));
    let remember = |remembered: &IdempotencyRecord, expired: Option<&IdempotencyRecord>| {
        let event = case.context().event(EventType::UserCreated);
        let row = IdempotencyRow { pk: pk.clone(), remembered: remembered.clone() };
        store.table.commit(Commit::with_event(&event).put_idempotency_record(&row, expired))
    };
    remember(&first, None).await.expect("the row is new");
    let rows = case.rows();
    expect_conflict(remember(&record("second", 0), None).await, "one of two concurrent requests is recorded");
    assert_eq!(case.rows(), rows);
    assert_eq!(store.table.idempotency_record(&pk).await.expect("the call succeeds").as_ref(), Some(&first));
    remember(&third, Some(&first)).await.expect("the first record has expired");
    let late = remember(&record("fourth", 25), Some(&first)).await;
    expect_conflict(late, "another request has replaced the expired record");
    assert_eq!(store.table.idempotency_record(&pk).await.expect("the call succeeds").as_ref(), Some(&third));
    for other in [
        idempotency::idempotency_pk(case.workspace, "somebody", "create-user", "other"),
        idempotency::idempotency_pk(case.workspace, "somebody", "invite-user", "key"),
        idempotency::idempotency_pk(case.workspace, "another", "create-user", "key"),
    ] {
        assert_eq!(store.table.idempotency_record(&other).await.expect("the call succeeds"), None);
    }
}
