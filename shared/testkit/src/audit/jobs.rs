//! Jobs: each object has one outcome, and was changed once.

use std::collections::BTreeSet;

use domain::models::event::{Event, EventType};
use domain::models::job::{ItemChange, ItemOutcome, Job, JobItem, JobKind, Selection, Tally};
use domain::states::JobState;

use super::Audit;

impl Audit {
    pub(super) fn jobs(&mut self) {
        let created = self.count(EventType::JobCreated, |_| true);
        self.check(created == self.jobs.len(), format!("{created} job.created, {} jobs", self.jobs.len()));
        for job in self.jobs.clone() {
            match job.kind {
                JobKind::Users | JobKind::Devices => self.job(&job),
                JobKind::Sync => self.sync(&job),
                JobKind::Unknown(_) => self.check(false, format!("there is a job of the kind {}", job.kind)),
            }
        }
        let of_nothing = |item: &&JobItem| !self.jobs.iter().any(|job| job.job_id == item.job_id);
        let lost = self.items.iter().filter(of_nothing).count();
        self.check(lost == 0, format!("{lost} outcomes are of no job"));
    }

    fn job(&mut self, job: &Job) {
        let about = |event: &Event| event.job_id == Some(job.job_id);
        let count = |event_type| self.count(event_type, about);
        let is = |state| usize::from(job.state == state);
        let items: Vec<JobItem> = self.items.iter().filter(|item| item.job_id == job.job_id).cloned().collect();
        let mut tally = Tally::default();
        items.iter().for_each(|item| tally.count(item.outcome));
        let finished = job.state == JobState::Finished;
        let over = job.state != JobState::Running;
        let main = main_events(job);
        let done: usize = main.iter().map(|event_type| count(*event_type)).sum();
        let changed = if job.dry_run { 0 } else { items.iter().filter(|i| i.outcome == ItemOutcome::Changed).count() };
        let mut checks = vec![
            (count(EventType::JobCreated) == 1, "a job has not one job.created".to_owned()),
            (count(EventType::JobFinished) == is(JobState::Finished), "job.finished".to_owned()),
            (count(EventType::JobCanceled) == is(JobState::Canceled), "job.canceled".to_owned()),
            (job.due_at.is_some() == (job.state == JobState::Running), format!("a job that is {} is due", job.state)),
            (job.ended_at.is_some() != (job.state == JobState::Running), format!("a job that is {} ended", job.state)),
            (!over || job.tally == tally, format!("a job counts {:?}, there are {tally:?}", job.tally)),
            (!main.is_empty(), format!("nobody knows the action {}", job.action)),
            (done == changed, format!("{done} events of a job, {changed} things changed")),
        ];
        if let Selection::Ids(ids) = &job.selection {
            let asked: BTreeSet<&String> = ids.iter().collect();
            let present: BTreeSet<&String> = items.iter().map(|item| &item.id).collect();
            let right = if finished { present == asked } else { present.is_subset(&asked) };
            checks.push((right, format!("outcomes of {present:?}, asked for were {asked:?}")));
        }
        for (holds, what) in checks {
            self.check(holds, what);
        }
        for item in items {
            self.item(job, &item);
        }
    }

    /// A sync has outcomes for changes and failures only, and each happened once.
    fn sync(&mut self, job: &Job) {
        let about = |event: &Event| event.job_id == Some(job.job_id);
        let is = |state| usize::from(job.state == state);
        let mut checks = Vec::new();
        for (event_type, state) in [
            (EventType::JobFinished, JobState::Finished),
            (EventType::JobCanceled, JobState::Canceled),
            (EventType::SourceFailed, JobState::Failed),
        ] {
            checks.push((
                self.count(event_type, about) == is(state),
                format!("{event_type} of a sync that is {}", job.state),
            ));
        }
        let running = job.state == JobState::Running;
        checks.push((job.due_at.is_some() == running, format!("a sync that is {} is due", job.state)));
        checks.push((job.ended_at.is_some() != running, format!("a sync that is {} ended", job.state)));
        checks.push((job.failure.is_some() == (job.state == JobState::Failed), "a sync says why it failed".to_owned()));
        let items: Vec<JobItem> = self.items.iter().filter(|item| item.job_id == job.job_id).cloned().collect();
        let counted = |outcome| u64::try_from(items.iter().filter(|item| item.outcome == outcome).count()).unwrap_or(0);
        let recorded = (counted(ItemOutcome::Changed), counted(ItemOutcome::Failed));
        let right = running || job.state == JobState::Canceled || (job.tally.changed, job.tally.failed) == recorded;
        checks.push((right, format!("a sync counts {:?}, there are {recorded:?}", job.tally)));
        checks.push((counted(ItemOutcome::Unchanged) == 0, "a sync tells of what did not change".to_owned()));
        for item in &items {
            let event_type = match item.change {
                None => continue,
                Some(ItemChange::Created) => EventType::UserCreated,
                Some(ItemChange::Updated | ItemChange::Adopted) => EventType::UserUpdated,
                Some(ItemChange::Reappeared) => EventType::UserReappeared,
                Some(ItemChange::Vanished) => EventType::UserVanished,
                Some(ItemChange::Unknown(word)) => EventType::Unknown(word),
            };
            let done = self.count(event_type, |event| about(event) && event.user_id == item.user_id);
            let what = format!("{event_type} happened {done} times for one outcome of a sync");
            checks.push((done == usize::from(!job.dry_run), what));
        }
        for (holds, what) in checks {
            self.check(holds, what);
        }
    }

    fn item(&mut self, job: &Job, item: &JobItem) {
        let about = |event: &Event| {
            let id = match job.kind {
                JobKind::Users => event.user_id.map(|id| id.to_string()),
                JobKind::Devices => event.device_id.map(|id| id.to_string()),
                JobKind::Sync | JobKind::Unknown(_) => None,
            };
            event.job_id == Some(job.job_id) && id.as_ref() == Some(&item.id)
        };
        let done: usize = main_events(job).iter().map(|event_type| self.count(*event_type, about)).sum();
        let changed = item.outcome == ItemOutcome::Changed && !job.dry_run;
        let what = format!("a thing of a job came out {}, with {done} events", item.outcome);
        self.check(done == usize::from(changed), what);
        let any = self.events.iter().filter(|event| about(event)).count();
        self.check(changed || any == 0, format!("a thing came out {}, and {any} events say more", item.outcome));
        let recorded = item.code.is_some() == (item.outcome == ItemOutcome::Failed);
        self.check(recorded, "what failed says why, and nothing else does");
    }
}

/// The event types by which a job's action is recognised; each changed object has one such event.
fn main_events(job: &Job) -> Vec<EventType> {
    let one = match (job.kind, job.action["action"].as_str().unwrap_or_default()) {
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
        (JobKind::Devices, "wipe" | "lock") => EventType::CommandQueued,
        _ => return Vec::new(),
    };
    vec![one]
}
