//! What SES and SNS report: whether messages arrived, and whether pushes still do.

use aws::{Commit, Devices, Invitations, PushTokens};
use domain::invitation::{Delivery, DeliveryState, delivered};
use domain::push::{PushReason, reported};
use domain::refusal::Failure;
use domain::{InvitationId, Time, UserId, WorkspaceId};
use serde_json::{Value, json};

use crate::attempts::attempts;
use crate::triggers::Run;

/// Answers with nothing. A report that is about nothing of ours is passed over.
///
/// # Errors
/// `Unavailable`: Lambda tries again.
pub async fn handle(
    store: &(impl Devices + PushTokens + Invitations),
    run: Run,
) -> Result<Value, Failure> {
    for record in run.records() {
        let message = record["Sns"]["Message"].as_str().unwrap_or_default();
        let Ok(report) = serde_json::from_str::<Value>(message) else {
            continue;
        };
        if let Some(mail) = MailReport::read(&report, run.moment.now) {
            attempts(store, || of_mail(store, &run, &mail)).await?;
        } else if let Some(push) = PushReport::read(&report, run.moment.now) {
            of_push(store, &run, &push).await?;
        }
    }
    Ok(json!({}))
}

/// A report of SES ("Contents of event data that Amazon SES publishes to Amazon SNS").
struct MailReport {
    workspace: WorkspaceId,
    user: UserId,
    invitation: InvitationId,
    news: Delivery,
}

impl MailReport {
    fn read(report: &Value, now: Time) -> Option<Self> {
        let tag = |name: &str| report["mail"]["tags"][name][0].as_str();
        let (state, part, reason) = match report["eventType"].as_str()? {
            "Delivery" => (DeliveryState::Delivered, "delivery", None),
            "Bounce" => (DeliveryState::Bounced, "bounce", report["bounce"]["bounceType"].as_str()),
            "Complaint" => (DeliveryState::Complained, "complaint", report["complaint"]["complaintFeedbackType"].as_str()),
            "Reject" => (DeliveryState::Rejected, "reject", Some("rejected")),
            _ => return None,
        };
        let at = report[part]["timestamp"].as_str().and_then(Time::parse).unwrap_or(now);
        Some(Self {
            workspace: WorkspaceId::parse(tag("workspace_id")?)?,
            user: UserId::parse(tag("user_id")?)?,
            invitation: InvitationId::parse(tag("invitation_id")?)?,
            news: Delivery { state, at, message_id: None, reason: reason.map(str::to_owned) },
        })
    }
}

async fn of_mail(store: &impl Invitations, run: &Run, report: &MailReport) -> Result<(), Failure> {
    let Some(before) = store.invitation(report.workspace, report.user, report.invitation).await? else {
        return Ok(());
    };
    match delivered(&before, report.news.clone(), &run.act(report.workspace)) {
        Some((after, event)) => store.commit(Commit::of(&event).edit(&before, &after)).await,
        None => Ok(()),
    }
}

/// A report of a platform application ("Mobile app events", Amazon SNS Developer Guide).
struct PushReport {
    endpoint: String,
    reason: PushReason,
    at: Time,
}

impl PushReport {
    /// That an endpoint was updated also tells of our own updates: only the ones that leave it
    /// disabled are news.
    fn read(report: &Value, now: Time) -> Option<Self> {
        let reason = match report["EventType"].as_str()? {
            "DeliveryFailure" if is_permanent(report) => PushReason::DeliveryFailed,
            "EndpointUpdated" if report["EndpointAttributes"]["Enabled"] == "false" => PushReason::EndpointDisabled,
            _ => return None,
        };
        let at = report["Time"].as_str().and_then(Time::parse).unwrap_or(now);
        Some(Self { endpoint: report["EndpointArn"].as_str()?.to_owned(), reason, at })
    }
}

/// Failures that another push would meet again.
fn is_permanent(report: &Value) -> bool {
    let kind = report["FailureType"].as_str().unwrap_or_default();
    matches!(kind, "InvalidPlatformToken" | "PlatformTokenDisassociated" | "EndpointDisabled" | "InvalidPlatformName")
}

/// A report goes to every device that holds the endpoint: the phone may be in two workspaces.
async fn of_push(store: &(impl Devices + PushTokens), run: &Run, report: &PushReport) -> Result<(), Failure> {
    for (workspace, id) in store.endpoint_holders(&report.endpoint).await? {
        attempts(store, || async {
            let Some(before) = store.device(workspace, id).await? else {
                return Ok(());
            };
            let act = run.act(workspace);
            match reported(&before, &report.endpoint, report.at, report.reason, &act) {
                Some((after, event)) => store.commit(Commit::of(&event).edit(&before, &after)).await,
                None => Ok(()),
            }
        })
        .await?;
    }
    Ok(())
}
