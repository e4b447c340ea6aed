//! Jobs and their outcomes.

use std::collections::BTreeSet;

use aws::Commit;
use chrono::Duration;
use domain::models::event::EventType;
use domain::models::job::{ItemOutcome, Job, JobItem, JobPage, JobRange, Listing};

use super::{Case, TestStore, expect_conflict, job, list_all_pages, nothing};

fn item(case: &Case<'_>, job: &Job, id: &str) -> JobItem {
    JobItem {
        workspace_id: case.workspace,
        job_id: job.job_id,
        id: id.to_owned(),
        outcome: ItemOutcome::Changed,
        code: None,
        detail: None,
        devices: Vec::new(),
        user_id: None,
        change: None,
        fields: Vec::new(),
        faults: Vec::new(),
        warnings: Vec::new(),
        at: case.now,
    }
}

#[tokio::test]
async fn a_job_is_read_with_its_outcomes_and_each_is_created_once() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.push(job(&case));
        case.put(&jobs[jobs.len() - 1]).await;
        case.later(Duration::seconds(1));
    }
    jobs.reverse();
    let case = &case;
    let of = &jobs[0];
    for limit in [1, 2, 100] {
        let page = |start| async move { case.table.list_jobs(case.workspace, limit, start).await };
        assert_eq!(list_all_pages(page, nothing).await, jobs, "pages of {limit}");
    }
    let items: Vec<JobItem> = (0..9).map(|at| item(case, of, &format!("thing-{}", 2 * at))).collect();
    for item in &items {
        case.put(item).await;
    }
    let again = JobItem { outcome: ItemOutcome::Failed, ..items[3].clone() };
    let event = case.context().event(EventType::UserActivated);
    expect_conflict(store.table.commit(Commit::with_event(&event).put(&again)).await, "an object has one outcome");
    let table = case.table;
    let both = table.job_and_item(case.workspace, of.job_id, "thing-6").await.expect("the call succeeds");
    assert_eq!(both, (Some(of.clone()), Some(items[3].clone())));
    let none = table.job_and_item(case.workspace, of.job_id, "thing-7").await.expect("the call succeeds");
    assert_eq!(none, (Some(of.clone()), None));
    let ids: Vec<String> = ["thing-8", "thing-1", "thing-0"].map(str::to_owned).into();
    let some = table.job_items(case.workspace, of.job_id, &ids).await.expect("the call succeeds");
    assert_eq!(some, [items[4].clone(), items[0].clone()], "in the requested order, without missing ones");
    for limit in [1, 2, 100] {
        let page = |start| async move { case.table.list_job_items(case.workspace, of.job_id, limit, start).await };
        let mut created = 0;
        let found = list_all_pages(page, || {
            created += 1;
            let newer = item(case, of, &format!("thing-{}-{limit}-{created}", created % 5));
            async move { case.put(&newer).await }
        })
        .await;
        let ids: Vec<&String> = found.iter().map(|item| &item.id).collect();
        assert!(ids.is_sorted() && ids.iter().collect::<BTreeSet<_>>().len() == ids.len(), "pages of {limit}: {ids:?}");
        for item in &items {
            assert!(ids.contains(&&item.id), "pages of {limit}: {} was lost", item.id);
        }
    }
    let other = table.list_job_items(case.workspace, jobs[1].job_id, 10, None).await.expect("the call succeeds");
    assert_eq!(other.items, []);
    let elsewhere = Case::new(store).workspace;
    assert_eq!(table.job(elsewhere, of.job_id).await.expect("the call succeeds"), None);
    assert_eq!(table.list_jobs(elsewhere, 10, None).await.expect("the call succeeds").items, []);
}

#[tokio::test]
async fn no_outcome_of_a_range_is_committed_once_the_range_was_changed() {
    let store = &TestStore::start().await;
    let case = &Case::new(store);
    let table = &store.table;
    let job = Job { listing: Some(Listing { ranges: 3, pages: 2, cursor: None }), ..job(case) };
    case.put(&job).await;
    let ranges = [0, 1].map(|number| JobRange::new(&job, number, case.now));
    for range in &ranges {
        case.put(range).await;
    }
    let known = table.job_ranges(&job).await.expect("the call succeeds");
    assert_eq!(known, ranges, "a range on which nobody has worked is left out");
    let ids = vec!["thing-0".to_owned()];
    let page = JobPage { workspace_id: job.workspace_id, job_id: job.job_id, range: 0, number: 0, ids, at: case.now };
    let alone = || Commit::without_event(case.context().event_id);
    let _listed = table.commit(alone().replace(&page)).await.expect("the call succeeds");
    assert_eq!(table.job_page(&known[0]).await.expect("the call succeeds"), Some(page));
    assert_eq!(table.job_page(&known[1]).await.expect("the call succeeds"), None);
    let outcome = async |range: &JobRange, id: &str| {
        table.commit(alone().put(&item(case, &job, id)).require_unchanged(range)).await
    };
    let _first = outcome(&known[0], "thing-0").await.expect("the range is unchanged");
    let both = table.range_and_item(&known[0], "thing-0").await.expect("the call succeeds");
    assert_eq!(both, (Some(known[0].clone()), Some(item(case, &job, "thing-0"))));
    let stopped = JobRange { ended_at: Some(case.now), ..known[0].clone() };
    let _stopped = table.commit(alone().edit(&known[0], &stopped)).await.expect("the range is unchanged");
    expect_conflict(outcome(&known[0], "thing-1").await, "the range was stopped");
    let _other = outcome(&known[1], "thing-2").await.expect("another range is unchanged");
}
