//! Records reports of SES and SNS on whether messages were delivered and pushes still arrive. Reports of e-mails and
//! pushes come through topics, those of texts through SNS's log.

use aws::Pusher;
use aws::{PushError, Table, retry_on_conflict};
use domain::error::Error;
use domain::models::offer::{Delivery, DeliveryState};
use domain::models::push::PushReason;
use domain::rules::offers::record_delivery;
use domain::rules::push::reported;
use domain::{InvitationId, Time, UserId, WorkspaceId};
use serde_json::{Value, json};

use crate::commits::commit_change;
use crate::state::AppState;
use crate::triggers::Run;
use crate::triggers::text_reports::{self, TextReport};

/// Returns an empty object. Reports that concern nothing of ours are ignored.
///
/// # Errors
/// `Unavailable`: Lambda retries. `Internal` if log data is malformed.
pub async fn handle(state: &AppState, run: Run) -> Result<Value, Error> {
    let table = state.table()?;
    let pusher = state.pusher();
    if let Some(log) = run.event["awslogs"]["data"].as_str() {
        for report in text_reports::read(log, run.now())? {
            retry_on_conflict(table, || record_text(table, &run, &report)).await?;
        }
    }
    for record in run.records() {
        let message = record["Sns"]["Message"].as_str().unwrap_or_default();
        let Ok(report) = serde_json::from_str::<Value>(message) else {
            continue;
        };
        if let Some(mail) = MailReport::read(&report, run.now()) {
            retry_on_conflict(table, || record_mail(table, &run, &mail)).await?;
        } else if let Some(push) = PushReport::read(&report, run.now()) {
            record_push(table, pusher, &run, &push).await?;
        }
    }
    Ok(json!({}))
}

/// An SES report ("Contents of event data that Amazon SES publishes to Amazon SNS").
struct MailReport {
    workspace: WorkspaceId,
    user: UserId,
    invitation: InvitationId,
    delivery: Delivery,
}

impl MailReport {
    fn read(report: &Value, now: Time) -> Option<Self> {
        let tag = |name: &str| report["mail"]["tags"][name][0].as_str();
        let (state, part, reason) = match report["eventType"].as_str()? {
            "Delivery" => (DeliveryState::Delivered, "delivery", None),
            "Bounce" => (DeliveryState::Bounced, "bounce", report["bounce"]["bounceType"].as_str()),
            "Complaint" => {
                (DeliveryState::Complained, "complaint", report["complaint"]["complaintFeedbackType"].as_str())
            }
            "Reject" => (DeliveryState::Rejected, "reject", Some("rejected")),
            _ => return None,
        };
        let at = report[part]["timestamp"].as_str().and_then(Time::parse).unwrap_or(now);
        Some(Self {
            workspace: WorkspaceId::parse(tag("workspace_id")?)?,
            user: UserId::parse(tag("user_id")?)?,
            invitation: InvitationId::parse(tag("invitation_id").or_else(|| tag("deployment_id"))?)?,
            delivery: Delivery { state, at, message_id: None, reason: reason.map(str::to_owned) },
        })
    }
}

async fn record_mail(table: &Table, run: &Run, report: &MailReport) -> Result<(), Error> {
    let Some(before) = table.offer(report.workspace, report.user, report.invitation).await? else {
        return Ok(());
    };
    let event_context = run.new_event_context(report.workspace);
    let change = record_delivery(&before, report.delivery.clone(), &event_context);
    commit_change(table, change.as_ref(), &event_context).await.map(drop)
}

/// Records the report of a text. Without a matching invitation it is usually not ours, since SNS has one log for the
/// whole account; a report that comes before `sent` is committed is lost too.
async fn record_text(table: &Table, run: &Run, report: &TextReport) -> Result<(), Error> {
    let Some(owner) = table.offer_of_message(&report.message_id).await? else {
        return Ok(());
    };
    let Some(before) = table.offer(owner.workspace_id, owner.user_id, owner.invitation_id).await? else {
        return Ok(());
    };
    let event_context = run.new_event_context(owner.workspace_id);
    let change = record_delivery(&before, report.delivery.clone(), &event_context);
    commit_change(table, change.as_ref(), &event_context).await.map(drop)
}

/// A report of a platform application ("Mobile app events", Amazon SNS Developer Guide).
struct PushReport {
    endpoint: String,
    feedback: PushNews,
    at: Time,
}

/// The kinds of reports.
#[derive(Clone, Copy)]
enum PushNews {
    /// A push could not be delivered, and no other will be.
    Failed,
    /// The endpoint changed, through the push service or through us. The report does not say how.
    Updated,
}

impl PushReport {
    fn read(report: &Value, now: Time) -> Option<Self> {
        let feedback = match report["EventType"].as_str()? {
            "DeliveryFailure" if is_permanent(report) => PushNews::Failed,
            "EndpointUpdated" => PushNews::Updated,
            _ => return None,
        };
        let at = report["Time"].as_str().and_then(Time::parse).unwrap_or(now);
        Some(Self { endpoint: report["EndpointArn"].as_str()?.to_owned(), feedback, at })
    }
}

/// True for failures that every other push would meet too.
fn is_permanent(report: &Value) -> bool {
    let kind = report["FailureType"].as_str().unwrap_or_default();
    matches!(kind, "InvalidPlatformToken" | "PlatformTokenDisassociated" | "EndpointDisabled" | "InvalidPlatformName")
}

/// The push reason to record for the devices that hold the endpoint.
async fn reason(pusher: &Pusher, report: &PushReport) -> Result<PushReason, Error> {
    match report.feedback {
        PushNews::Failed => Ok(PushReason::DeliveryFailed),
        PushNews::Updated => match pusher.enabled(&report.endpoint).await {
            Ok(true) => Ok(PushReason::EndpointReady),
            Ok(false) | Err(PushError::Gone) => Ok(PushReason::EndpointDisabled),
            Err(error) => Err(Error::unavailable("SNS", error)),
        },
    }
}

/// A report applies to every device that holds the endpoint: one phone may be in two workspaces.
async fn record_push(table: &Table, pusher: &Pusher, run: &Run, report: &PushReport) -> Result<(), Error> {
    let holders = table.endpoint_holders(&report.endpoint).await?;
    if holders.is_empty() {
        return Ok(());
    }
    let reason = reason(pusher, report).await?;
    for (workspace, id) in holders {
        retry_on_conflict(table, || async {
            let Some(before) = table.device(workspace, id).await? else {
                return Ok(());
            };
            let event_context = run.new_event_context(workspace);
            let change = reported(&before, &report.endpoint, report.at, reason, &event_context);
            commit_change(table, change.as_ref(), &event_context).await.map(drop)
        })
        .await?;
    }
    Ok(())
}
