//! Jobs: page by page to their end.

use domain::error::HeldDevice;
use domain::models::event::EventType;
use domain::models::job::{
    ItemOutcome, Job, JobFailure, JobItem, JobKind, JobPause, JobRange, Listing, NewJob, NextPage, PageResult,
    RESUME_AFTER, Selection, Tally, Waiting,
};
use domain::rules::change::RowChange;
use domain::rules::context::EventContext;
use domain::rules::jobs::{begin, cancel, fail, listed, page_done, range_done, range_stopped, ranges_done};
use domain::states::JobState;
use domain::{DomainError, JobId};
use serde_json::json;
use uuid::Uuid;

use crate::common::{at, context};
use crate::fixture::Fixture;

fn begun(selection: Selection) -> Job {
    let new = NewJob {
        job_id: JobId(Uuid::from_u128(70)),
        kind: JobKind::Users,
        action: json!({"action": "suspend", "reason": "on leave"}),
        action_name: "suspend",
        selection,
        dry_run: false,
    };
    let change = begin(new, &context(0));
    let event = &change.events[0];
    assert_eq!((event.event_type, event.job_id), (EventType::JobCreated, Some(JobId(Uuid::from_u128(70)))));
    assert_eq!(event.changes["action"].after, "suspend");
    assert!(!serde_json::to_string(event).unwrap().contains("on leave"), "its event tells the action alone");
    change.job.unwrap().after
}

fn filter() -> Selection {
    Selection::Filter(json!({"status": "active"}).as_object().unwrap().clone())
}

fn named(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// The job after a page, and the kinds of event that it made.
fn after(job: &Job, outcomes: &[ItemOutcome], next: Option<NextPage>, context: &EventContext) -> (Job, Vec<EventType>) {
    let change = page_done(job, outcomes, next, context);
    let events = change.events.iter().map(|event| event.event_type).collect();
    (change.job.unwrap().after, events)
}

#[test]
fn what_was_searched_for_goes_with_the_work_and_that_it_was_stays() {
    let searched = json!({"status": "active", "search": "Ada"}).as_object().unwrap().clone();
    let (over, _) = after(&begun(Selection::Filter(searched)), &[], None, &context(1));
    let kept = json!({"status": "active", "search": "\u{2026}"}).as_object().unwrap().clone();
    assert_eq!(over.selection, Selection::Filter(kept));
}

#[test]
fn a_job_over_named_things_is_one_page_and_then_over() {
    let job = begun(Selection::Ids(named(&["a", "b", "c"])));
    assert_eq!((job.state, &job.page, &job.cursor), (JobState::Running, &named(&["a", "b", "c"]), &None));
    assert_eq!(job.due_at, Some(at(0).plus(RESUME_AFTER)), "the schedule takes it up should the call not end it");
    let outcomes = [ItemOutcome::Changed, ItemOutcome::Unchanged, ItemOutcome::Failed];
    let (over, events) = after(&job, &outcomes, None, &context(1));
    assert_eq!((over.state, over.due_at, over.ended_at), (JobState::Finished, None, Some(at(1))));
    assert_eq!(over.tally, Tally { changed: 1, unchanged: 1, failed: 1 });
    assert_eq!((over.tally.total(), events), (3, vec![EventType::JobFinished]));
    assert!(over.page.is_empty() && over.cursor.is_none());
}

#[test]
fn a_job_over_a_filter_goes_from_page_to_page_and_only_its_end_is_an_event() {
    let job = begun(filter());
    assert_eq!((job.page.len(), job.cursor.as_deref()), (0, Some("")), "its first page is still to be read");
    let first = NextPage { ids: named(&["a", "b"]), cursor: Some("after b".to_owned()), ..NextPage::default() };
    let (job, events) = after(&job, &[], Some(first), &context(1));
    assert_eq!((job.tally.total(), events), (0, vec![]));
    let last = NextPage { ids: named(&["c"]), ..NextPage::default() };
    let (job, events) = after(&job, &[ItemOutcome::Changed; 2], Some(last), &context(2));
    assert_eq!((job.state, &job.page, &job.cursor, events), (JobState::Running, &named(&["c"]), &None, vec![]));
    let (job, events) = after(&job, &[ItemOutcome::Failed], None, &context(3));
    assert_eq!((job.tally, events), (Tally { changed: 2, unchanged: 0, failed: 1 }, vec![EventType::JobFinished]));
}

#[test]
fn a_job_is_canceled_once_what_was_done_stays_counted_and_a_finished_one_stays_finished() {
    let next = NextPage { ids: named(&["c"]), ..NextPage::default() };
    let (job, _) = after(&begun(filter()), &[ItemOutcome::Changed; 2], Some(next), &context(1));
    let change = cancel(&job, &[ItemOutcome::Failed], None, &context(2)).unwrap().unwrap();
    assert_eq!(change.events[0].event_type, EventType::JobCanceled);
    assert_eq!(change.events[0].changes["state"].before, "running");
    let canceled = change.job.unwrap().after;
    assert_eq!((canceled.state, canceled.due_at, canceled.ended_at), (JobState::Canceled, None, Some(at(2))));
    assert_eq!(canceled.tally, Tally { changed: 2, unchanged: 0, failed: 1 }, "what its page has done counts");
    assert_eq!(cancel(&canceled, &[], None, &context(3)), Ok(None));
    let (finished, _) = after(&job, &[ItemOutcome::Changed], None, &context(2));
    assert_eq!(cancel(&finished, &[], None, &context(3)), Err(DomainError::JobOver(JobState::Finished)));
}

#[test]
fn what_a_job_does_names_the_job_and_who_began_it() {
    let job = begun(Selection::Ids(named(&["a"])));
    assert_eq!(job.created_by, context(0).actor);
    let context = EventContext { job_id: Some(job.job_id), ..context(1) };
    assert_eq!(context.event(EventType::UserSuspended).job_id, Some(job.job_id));
}

#[test]
fn a_page_of_what_waits_for_its_recipients_rests_until_the_first_of_them_may_be_written_to() {
    let waiting = |id: &str, minutes| Waiting { id: id.to_owned(), until: at(minutes) };
    let page = NextPage::from_waiting(vec![waiting("a", 9), waiting("b", 5)], Some("after b".to_owned())).unwrap();
    let pause = JobPause { code: "too_many_messages".to_owned(), until: at(5) };
    let expected = NextPage {
        ids: named(&["a", "b"]),
        cursor: Some("after b".to_owned()),
        waiting: Vec::new(),
        pause: Some(pause.clone()),
        unreadable: 0,
    };
    assert_eq!(page, expected);
    assert_eq!(NextPage::from_waiting(Vec::new(), None), None);
    let (job, events) = after(&begun(filter()), &[], Some(page), &context(1));
    assert_eq!((job.due_at, job.pause.as_ref(), events), (Some(at(5)), Some(&pause), vec![]), "the schedule wakes it");
    assert_eq!([4, 5, 6].map(|minutes| job.is_paused(at(minutes))), [true, false, false]);
    assert!(!begun(filter()).is_paused(at(0)));
}

#[test]
fn a_job_that_fails_says_why_and_lets_go_of_its_work() {
    let next = NextPage { ids: named(&["a"]), cursor: Some("after a".to_owned()), ..NextPage::default() };
    let (job, _) = after(&begun(filter()), &[ItemOutcome::Changed], Some(next), &context(1));
    let failure = JobFailure { code: "not_json".to_owned(), detail: "It is no JSON.".to_owned() };
    let change = fail(&job, failure.clone(), context(2).event(EventType::SourceFailed), &context(2));
    let over = Job {
        state: JobState::Failed,
        failure: Some(failure),
        ended_at: Some(at(2)),
        due_at: None,
        page: Vec::new(),
        cursor: None,
        action: json!({"action": "suspend"}),
        ..job.clone()
    };
    assert_eq!(change.job, Some(RowChange::from(job.clone(), over)), "what it has done stays counted");
    let event = &change.events[0];
    assert_eq!((event.event_type, event.job_id), (EventType::SourceFailed, Some(job.job_id)));
    assert_eq!(event.changes["failure"].after, "not_json");
}

#[test]
fn what_became_of_a_thing_names_the_devices_that_stood_in_its_way() {
    let job = begun(filter());
    let devices = Fixture::with_phones(2).held();
    let named: Vec<HeldDevice> = devices.iter().map(HeldDevice::from).collect();
    let ids: Vec<_> = devices.iter().map(|device| device.device_id).collect();
    let of = |error: Option<&DomainError>| JobItem::of(&job, "a", ItemOutcome::Failed, error, at(3));
    let done = JobItem::of(&job, "a", ItemOutcome::Changed, None, at(3));
    assert_eq!((done.job_id, done.id.as_str(), done.outcome, done.at), (job.job_id, "a", ItemOutcome::Changed, at(3)));
    assert_eq!((done.code, done.devices), (None, vec![]));
    for (error, code) in [
        (DomainError::WipeFirst(named.clone()), "wipe_first"),
        (DomainError::DeviceLimitReached(named), "device_limit_reached"),
    ] {
        let item = of(Some(&error));
        assert_eq!((item.code.as_deref(), item.detail), (Some(code), Some(error.to_string())));
        assert_eq!(item.devices, ids);
    }
    assert_eq!(of(Some(&DomainError::UserDeleted)).devices, []);
}

#[test]
fn what_a_page_of_the_list_cannot_show_counts_as_failed() {
    let next = NextPage { ids: named(&["b"]), unreadable: 2, ..NextPage::default() };
    let (job, _) = after(&begun(filter()), &[ItemOutcome::Changed], Some(next), &context(1));
    assert_eq!((job.tally.changed, job.tally.failed), (1, 2));
}

/// A job whose list of this many pages is cut into three ranges.
fn in_ranges(pages: u32, cursor: Option<&str>) -> (Job, Listing) {
    let listing = Listing { ranges: 3, pages, cursor: cursor.map(str::to_owned) };
    let first = NextPage { cursor: Some("after the first page".to_owned()), ..NextPage::default() };
    let (job, _) = after(&begun(filter()), &[ItemOutcome::Changed], Some(first), &context(1));
    assert!(job.is_in_ranges());
    (listed(&job, listing.clone(), 0), listing)
}

fn done(outcomes: &[ItemOutcome]) -> PageResult {
    PageResult { outcomes: outcomes.to_vec(), ..PageResult::default() }
}

#[test]
fn a_range_has_every_third_page_of_three_ranges_and_ends_after_its_last() {
    let (job, listing) = in_ranges(5, None);
    let pages_of = |number| {
        let (mut range, mut pages) = (JobRange::new(&job, number, at(2)), Vec::new());
        while range.ended_at.is_none() {
            assert_eq!(listing.range_of(range.next), number);
            pages.push(range.next);
            range = range_done(&range, &listing, done(&[ItemOutcome::Changed]), 50, Some(at(60)), at(3));
        }
        assert_eq!((range.tally.changed, range.held_until), (pages.len() as u64, None));
        assert!(listing.is_over(number, Some(&range)) && !range.is_free(&listing, at(99)));
        pages
    };
    assert_eq!([0, 1, 2].map(pages_of), [vec![0, 3], vec![1, 4], vec![2]]);
    let (_, one_page) = in_ranges(1, None);
    assert_eq!([0, 1, 2].map(|number| one_page.is_over(number, None)), [false, true, true]);
}

#[test]
fn a_range_is_free_while_nobody_holds_it_and_there_is_something_to_do() {
    let (job, listing) = in_ranges(2, Some("more"));
    let range = JobRange::new(&job, 0, at(2));
    assert!(range.is_free(&listing, at(2)));
    let held = JobRange { held_until: Some(at(60)), ..range.clone() };
    assert_eq!((held.is_free(&listing, at(59)), held.is_free(&listing, at(60))), (false, true));
    let out_of_pages = range_done(&range, &listing, done(&[]), 50, None, at(3));
    assert!(!out_of_pages.is_free(&listing, at(3)) && out_of_pages.ended_at.is_none(), "more is listed");
    let complete = Listing { cursor: None, ..listing };
    assert!(out_of_pages.is_free(&complete, at(3)));
    let nothing_left = range_done(&out_of_pages, &complete, done(&[]), 50, None, at(4));
    assert_eq!((nothing_left.ended_at, nothing_left.next), (Some(at(4)), out_of_pages.next));
}

#[test]
fn what_a_limit_delays_in_a_range_comes_after_its_last_page() {
    let (job, listing) = in_ranges(2, None);
    let range = JobRange::new(&job, 0, at(2));
    let waiting = vec![Waiting { id: "a".to_owned(), until: at(60) }];
    let delayed = PageResult { outcomes: vec![ItemOutcome::Changed], waiting, ..PageResult::default() };
    let range = range_done(&range, &listing, delayed, 50, Some(at(30)), at(3));
    assert_eq!((&range.page, range.ended_at, range.held_until), (&named(&["a"]), None, None));
    assert_eq!(range.pause, Some(JobPause { code: "too_many_messages".to_owned(), until: at(60) }));
    assert_eq!((range.is_free(&listing, at(59)), range.is_free(&listing, at(60))), (false, true));
    let shown = job.with_progress(std::slice::from_ref(&range));
    assert_eq!((shown.tally.changed, shown.pause), (2, range.pause.clone()));
    let range = range_done(&range, &listing, done(&[ItemOutcome::Failed]), 50, Some(at(90)), at(61));
    assert_eq!((range.ended_at, range.tally.total()), (Some(at(61)), 2));

    let (rest, pause) = (named(&["b", "c"]), Some(JobPause { code: "daily_quota_reached".to_owned(), until: at(99) }));
    let paused = PageResult { outcomes: vec![ItemOutcome::Changed], rest, pause, ..PageResult::default() };
    let range = range_done(&JobRange::new(&job, 1, at(2)), &listing, paused, 50, Some(at(30)), at(3));
    assert_eq!((&range.page, range.next, range.ended_at), (&named(&["b", "c"]), 4, None));
}

#[test]
fn a_job_has_the_outcomes_of_its_ranges_once_all_have_ended() {
    let (job, listing) = in_ranges(3, None);
    let end = |number| {
        let range = JobRange::new(&job, number, at(2));
        range_done(&range, &listing, done(&[ItemOutcome::Changed, ItemOutcome::Failed]), 50, None, at(3))
    };
    let ranges = [0, 1, 2].map(end);
    let change = ranges_done(&job, &ranges, &[], &context(4));
    let finished = change.job.unwrap().after;
    assert_eq!(change.events.iter().map(|event| event.event_type).collect::<Vec<_>>(), [EventType::JobFinished]);
    assert_eq!((finished.state, finished.listing.clone(), finished.due_at), (JobState::Finished, None, None));
    assert_eq!(finished.tally, Tally { changed: 4, unchanged: 0, failed: 3 });

    let canceled = cancel(&job, &[], None, &context(5)).unwrap().unwrap().job.unwrap().after;
    assert!(canceled.listing.is_some() && canceled.due_at.is_some(), "the schedule stops its ranges, if nobody does");
    let stopped = range_stopped(&JobRange { held_until: Some(at(60)), ..JobRange::new(&job, 0, at(2)) }, at(6));
    assert_eq!((stopped.ended_at, stopped.held_until, stopped.next), (Some(at(6)), None, 0));
    let change = ranges_done(&canceled, &[stopped], &[ItemOutcome::Unchanged], &context(7));
    let settled = change.job.unwrap().after;
    assert!(change.events.is_empty() && settled.listing.is_none() && settled.due_at.is_none());
    assert_eq!((settled.state, settled.tally.changed, settled.tally.unchanged), (JobState::Canceled, 1, 1));
}
