//! `POST /sources/{source_id}/sync`.

use std::collections::BTreeSet;

use aws::{Commit, Idempotency, Sources};
use chrono::Duration;
use domain::access::Permission;
use domain::input::Fields;
use domain::job::{Job, NAMED_LIMIT};
use domain::refusal::{Failure, Refusal};
use domain::source::SyncWanted;
use domain::{JobId, UserId};
use lambda::logging::Chain;
use lambda::{Call, Reply};
use lambda_http::http::StatusCode;

use crate::attempts::{Before, Once, attempts};
use crate::doer::Doer;
use crate::jobs::work::Store;
use crate::pace::Pace;
use crate::settings::Defaults;
use crate::sources::Pulling;
use crate::sources::sync::{Syncing, advance};
use crate::views;
use crate::world::Clock;

/// Well before API Gateway gives up on an answer, after 30 seconds.
const ANSWER_WITHIN: Duration = Duration::seconds(20);
/// Rows that are done before the call answers; the schedule does the others.
const AT_ONCE: usize = 500;

/// Takes `{user_ids?, dry_run?}`: up to 100 users, else all; with `dry_run` the difference is reported and
/// nothing is changed. Answers 202 with the job, as far as it has come.
///
/// # Errors
/// Every fault of the body; `NotFound`, `SourcePushed`, `NothingUploaded`, `SyncRunning`,
/// `IdempotencyMismatch`.
pub async fn handle(
    store: &(impl Store + Sources + Idempotency),
    pulling: &Pulling<'_>,
    call: Call,
    defaults: &Defaults,
    clock: &Clock,
) -> Result<Reply, Failure> {
    let mut fields = call.request.body()?;
    let user_ids = read_users(&mut fields);
    let dry_run = fields.boolean("dry_run").unwrap_or(false);
    fields.finish().map_err(Refusal::Invalid)?;
    let wanted = SyncWanted {
        job_id: JobId(call.request.moment.draw()),
        user_ids,
        dry_run,
        may_wipe: call.caller.permissions.contains(&Permission::UsersWipe),
    };
    let once = Once::of(&call)?;
    let job = attempts(store, || begun(store, &call, &once, &wanted)).await?;
    let job = go_on(store, Some(pulling), &Doer::of_call(&call), job, &call, defaults, clock).await?;
    Ok(Reply::json(StatusCode::ACCEPTED, &views::job(&job)))
}

/// Moves a job that a call has begun on, as far as there is time; the schedule does the rest.
pub(crate) async fn go_on(
    store: &(impl Store + Sources),
    pulling: Option<&Pulling<'_>>,
    doer: &Doer,
    job: Job,
    call: &Call,
    defaults: &Defaults,
    clock: &Clock,
) -> Result<Job, Failure> {
    let pace = Pace::new(clock.clone(), call.request.moment.random, call.now().plus(ANSWER_WITHIN));
    let syncing = Syncing { pulling, defaults };
    match advance(store, &syncing, doer, job.clone(), &pace, AT_ONCE).await {
        // The job is there, and the schedule goes on with it: that is the news.
        Err(failure @ Failure::Unavailable { .. }) => {
            tracing::warn!(job.id = %job.job_id, error = %Chain(&failure), "a job is left to the schedule");
            Ok(job)
        }
        outcome => outcome,
    }
}

fn read_users(fields: &mut Fields) -> Option<Vec<String>> {
    let value = fields.value("user_ids")?;
    let ids: Option<Vec<String>> =
        value.as_array().and_then(|ids| ids.iter().map(|id| id.as_str().map(str::to_owned)).collect());
    let Some(ids) = ids else {
        fields.fault("user_ids", "wrong_type", "must be an array of texts");
        return None;
    };
    if ids.is_empty() {
        fields.fault("user_ids", "too_short", "must name at least one; leave it out for all");
    }
    if ids.len() > NAMED_LIMIT {
        fields.fault("user_ids", "too_many", format!("must be at most {NAMED_LIMIT}; leave it out for all"));
    }
    if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
        fields.fault("user_ids", "repeated", "must name each user once");
    }
    for (at, id) in ids.iter().enumerate() {
        if UserId::parse(id).is_none() {
            fields.fault(&format!("user_ids.{at}"), "invalid_format", "must be a UUID in lower case with hyphens");
        }
    }
    Some(ids)
}

/// The job of a call: the one that it made before, or a new one.
async fn begun(
    store: &(impl Store + Sources + Idempotency),
    call: &Call,
    once: &Once,
    wanted: &SyncWanted,
) -> Result<Job, Failure> {
    let forgotten = match once.before(store, call).await? {
        Before::New { forgotten } => forgotten,
        Before::Made(made) => {
            let id = JobId::parse(&made).ok_or(Refusal::NotFound("job"))?;
            return Ok(store.job(call.workspace(), id).await?.ok_or(Refusal::NotFound("job"))?);
        }
    };
    let source = super::wanted(store, call).await?;
    let act = call.act();
    let running = super::is_running(store, &source).await?;
    let (after, change) = source.begin_sync(wanted.clone(), running, &act)?;
    let commit = Commit::changing(act.event_id, &change).edit(&source, &after);
    store.commit(once.remember(commit, call, &wanted.job_id.to_string(), forgotten)).await?;
    change.job.map(|job| job.after).ok_or_else(|| Failure::internal("beginning a job", "there is none"))
}
