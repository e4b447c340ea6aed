//! Jobs: each object has one outcome, and was changed once.

use std::collections::BTreeSet;

use aws::Row as _;
use domain::models::event::{Event, EventType};
use domain::models::job::{ItemChange, ItemOutcome, Job, JobItem, JobKind, Selection, Tally};
use domain::states::JobState;

use super::Audit;

impl Audit {
    pub(super) fn jobs(&mut self) {
        let created = self.count(EventType::JobCreated, |_| true);
        self.check_equal("JOB# rows", "one for each job.created", self.jobs.len(), created);
        for job in self.jobs.clone() {
            match job.kind {
                JobKind::Users | JobKind::Devices => self.bulk_job(&job),
                JobKind::Sync => self.sync(&job),
                JobKind::Unknown(_) => self.check(job.key(), "the kind of a job is known", false, job.kind),
            }
        }
        for item in self.items.clone() {
            let has_job = self.jobs.iter().any(|job| job.job_id == item.job_id);
            self.check(item.key(), "the job of an item has a row", has_job, "none");
        }
    }

    /// Checks that `due_at` and `ended_at` fit the job's state.
    fn job_times(&mut self, job: &Job) {
        let is_running = job.state == JobState::Running;
        let rule = |field, when| format!("`{field}` is set exactly {when}; the state is {}", job.state);
        let (due, ended) = (job.due_at, job.ended_at);
        self.check(job.key(), rule("due_at", "while it runs"), due.is_some() == is_running, format!("{due:?}"));
        self.check(job.key(), rule("ended_at", "once it is over"), ended.is_some() != is_running, format!("{ended:?}"));
    }

    fn bulk_job(&mut self, job: &Job) {
        let at = job.key();
        let about = |event: &Event| event.job_id == Some(job.job_id);
        let items: Vec<JobItem> = self.items.iter().filter(|item| item.job_id == job.job_id).cloned().collect();
        for (event_type, expected) in [
            (EventType::JobCreated, true),
            (EventType::JobFinished, job.state == JobState::Finished),
            (EventType::JobCanceled, job.state == JobState::Canceled),
        ] {
            let found = self.count(event_type, about);
            let rule = format!("number of events {event_type} of a job that is {}", job.state);
            self.check_equal(&at, rule, found, usize::from(expected));
        }
        self.job_times(job);
        let mut tally = Tally::default();
        items.iter().for_each(|item| tally.count(item.outcome));
        self.check(
            &at,
            format!("once it is over, `tally` counts its items: {tally:?}"),
            job.state == JobState::Running || job.tally == tally,
            format!("{:?}", job.tally),
        );
        let main = main_events(job);
        self.check(&at, "the audit knows the event of the job's action", !main.is_empty(), &job.action);
        let changes: usize = main.iter().map(|event_type| self.count(*event_type, about)).sum();
        let changed = if job.dry_run { 0 } else { items.iter().filter(|i| i.outcome == ItemOutcome::Changed).count() };
        self.check_equal(&at, format!("one event of {main:?} for each changed item"), changes, changed);
        if let Selection::Ids(ids) = &job.selection {
            let selected: BTreeSet<&String> = ids.iter().collect();
            let present: BTreeSet<&String> = items.iter().map(|item| &item.id).collect();
            let is_finished = job.state == JobState::Finished;
            self.check(
                &at,
                format!("its items are among the selected ids {selected:?}, and all of them once it is finished"),
                if is_finished { present == selected } else { present.is_subset(&selected) },
                format!("{present:?}"),
            );
        }
        for item in items {
            self.item(job, &item);
        }
    }

    /// A sync has outcomes for changes and failures only, and each happened once.
    fn sync(&mut self, job: &Job) {
        let at = job.key();
        let about = |event: &Event| event.job_id == Some(job.job_id);
        for (event_type, state) in [
            (EventType::JobFinished, JobState::Finished),
            (EventType::JobCanceled, JobState::Canceled),
            (EventType::SourceFailed, JobState::Failed),
        ] {
            let found = self.count(event_type, about);
            let rule = format!("number of events {event_type} of a sync that is {}", job.state);
            self.check_equal(&at, rule, found, usize::from(job.state == state));
        }
        self.job_times(job);
        self.check(
            &at,
            format!("`failure` is set exactly if the sync failed; its state is {}", job.state),
            job.failure.is_some() == (job.state == JobState::Failed),
            format!("{:?}", job.failure),
        );
        let items: Vec<JobItem> = self.items.iter().filter(|item| item.job_id == job.job_id).cloned().collect();
        let counted = |outcome| u64::try_from(items.iter().filter(|item| item.outcome == outcome).count()).unwrap_or(0);
        let expected = (counted(ItemOutcome::Changed), counted(ItemOutcome::Failed));
        let found = (job.tally.changed, job.tally.failed);
        let may_differ = matches!(job.state, JobState::Running | JobState::Canceled);
        self.check(
            &at,
            format!("`tally` has the (changed, failed) of its items, {expected:?}"),
            may_differ || found == expected,
            format!("{found:?}"),
        );
        let unchanged = counted(ItemOutcome::Unchanged);
        self.check_equal(&at, "a sync has no items for unchanged users", unchanged, 0);
        for item in &items {
            let event_type = match item.change {
                None => continue,
                Some(ItemChange::Created) => EventType::UserCreated,
                Some(ItemChange::Updated | ItemChange::Adopted) => EventType::UserUpdated,
                Some(ItemChange::Reappeared) => EventType::UserReappeared,
                Some(ItemChange::Vanished) => EventType::UserVanished,
                Some(ItemChange::Unknown(word)) => EventType::Unknown(word),
            };
            let found = self.count(event_type, |event| about(event) && event.user_id == item.user_id);
            let expected = usize::from(!job.dry_run);
            self.check_equal(item.key(), format!("number of events {event_type} of the item's user"), found, expected);
        }
    }

    fn item(&mut self, job: &Job, item: &JobItem) {
        let at = item.key();
        let about = |event: &Event| {
            let id = match job.kind {
                JobKind::Users => event.user_id.map(|id| id.to_string()),
                JobKind::Devices => event.device_id.map(|id| id.to_string()),
                JobKind::Sync | JobKind::Unknown(_) => None,
            };
            event.job_id == Some(job.job_id) && id.as_ref() == Some(&item.id)
        };
        let main = main_events(job);
        let changes: usize = main.iter().map(|event_type| self.count(*event_type, about)).sum();
        let is_changed = item.outcome == ItemOutcome::Changed && !job.dry_run;
        let rule = format!("number of events of {main:?} of an item that is {}", item.outcome);
        self.check_equal(&at, rule, changes, usize::from(is_changed));
        let events = self.events.iter().filter(|event| about(event)).count();
        self.check(
            &at,
            format!("only a changed item has events; its outcome is {}", item.outcome),
            is_changed || events == 0,
            events,
        );
        self.check(
            &at,
            format!("`code` is set exactly if the item failed; its outcome is {}", item.outcome),
            item.code.is_some() == (item.outcome == ItemOutcome::Failed),
            format!("{:?}", item.code),
        );
    }
}

/// The event types by which a job's action is recognised; each changed object has one such event.
fn main_events(job: &Job) -> Vec<EventType> {
    let event_type = match (job.kind, job.action["action"].as_str().unwrap_or_default()) {
        (JobKind::Users, "activate") => EventType::UserActivated,
        (JobKind::Users, "suspend") => EventType::UserSuspended,
        (JobKind::Users, "delete") => EventType::UserDeleted,
        (JobKind::Users, "lock_and_wipe") => EventType::UserLockedAndWiped,
        (JobKind::Users, "reset_pin") => EventType::UserPinReset,
        (JobKind::Users, "invite") => EventType::UserInvited,
        (JobKind::Users, "deploy") => EventType::DeploymentStarted,
        (JobKind::Users, "force_config") => EventType::UserConfigForced,
        (JobKind::Users, "auto_deploy") => return vec![EventType::DeploymentStarted, EventType::UserConfigForced],
        (JobKind::Devices, "block") => EventType::DeviceBlocked,
        (JobKind::Devices, "unblock") => EventType::DeviceUnblocked,
        (JobKind::Devices, "delete") => EventType::DeviceDeleted,
        (JobKind::Devices, "apply_silent_rule") => return vec![EventType::DeviceBlocked, EventType::DeviceDeleted],
        (JobKind::Devices, "wipe" | "lock") => EventType::CommandQueued,
        _ => return Vec::new(),
    };
    vec![event_type]
}
