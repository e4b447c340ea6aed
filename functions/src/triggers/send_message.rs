//! Triggered by the queue on the topic `events`: sends the messages of invitations and deployments, as fast as SES and SNS
//! accept them from this account.

use std::sync::atomic::{AtomicI64, Ordering};

use aws::LeaseOutcome;
use aws::{Clients, Commit, Email, MailError, Mailer, SmsError, Table, Texter, retry_on_conflict};
use chrono::Duration;
use domain::error::Error;
use domain::models::event::{Event, EventType};
use domain::models::message_limits::{MessagePolicy, SendingRates};
use domain::models::offer::{Channel, Delivery, DeliveryState, Offer, Purpose};
use domain::models::user::User;
use domain::models::workspace::{AllowedSenders, SenderNotAllowed, WorkspaceSettings};
use domain::rules::offers::record_delivery;
use domain::states::InvitationStatus;
use lambda::logging::Chain;
use serde_json::Value;

use crate::deadline::Deadline;
use crate::settings::App;
use crate::state::AppState;
use crate::triggers::{Run, batch_item_failures, deployment_mail, event_of_record, invitation_mail, invitation_text};

/// Duration of the lease: shorter than the queue's visibility timeout, after which a message is redelivered.
const LEASE_DURATION: Duration = Duration::seconds(60);

/// Time left when the last message starts, before Lambda ends the run: the longest send, and recording it. A send that
/// is interrupted may have gone out, and would be repeated.
const SENDING_TIME: Duration = Duration::seconds(20);

/// What sending a message needs.
#[derive(Debug)]
pub struct MessageSender<'a> {
    /// For e-mails.
    pub mail: &'a Mailer,
    /// For texts.
    pub sms: &'a Texter,
    /// Allowed senders.
    pub senders: &'a AllowedSenders,
    /// Allowed destinations of texts.
    pub policy: &'a MessagePolicy,
    /// The product's URL, with which links start.
    pub public_url: &'a str,
    /// Links to the app.
    pub app: &'a App,
    /// The rates of SES and SNS; without them, messages are sent without pauses.
    pub rates: Option<SendingRates>,
    /// For the pauses between messages.
    pub clients: &'a Clients,
}

/// When the run may send its next message.
struct RateLimiter<'a> {
    messages: &'a MessageSender<'a>,
    deadline: &'a Deadline,
    /// In milliseconds, as [`domain::Time`].
    next: AtomicI64,
}

impl RateLimiter<'_> {
    /// To be called just before a message is sent.
    fn start(&self, channel: &Channel) {
        let time = self.messages.rates.map(|rates| rates.time_per_message(channel)).unwrap_or_default();
        self.next.store(self.deadline.id_source().now.plus(time).millis(), Ordering::Relaxed);
    }

    /// Waits until the run has taken its time for the last message. Also after the last one of a run, since the next
    /// run starts at once.
    async fn wait(&self) {
        let left = self.next.load(Ordering::Relaxed) - self.deadline.id_source().now.millis();
        self.messages.clients.pause(Duration::milliseconds(left).to_std().unwrap_or_default()).await;
    }
}

/// Returns the messages to retry.
///
/// # Errors
/// None: failures are in the answer.
pub async fn handle(state: &AppState, run: Run) -> Result<Value, Error> {
    let table = state.table()?;
    let messages = &state.message_sender()?;
    let deadline = &run.deadline(SENDING_TIME);
    let limiter = &RateLimiter { messages, deadline, next: AtomicI64::new(0) };
    let mut failed = Vec::new();
    for record in run.records() {
        let processed = process_record(table, limiter, &run, record).await;
        limiter.wait().await;
        if let Err(error) = processed {
            let id = record["messageId"].as_str().unwrap_or_default().to_owned();
            tracing::warn!(operation = run.operation, queue_record.id = id, error = %Chain(&error), "an event was not processed");
            failed.push(id);
        }
    }
    Ok(batch_item_failures(failed))
}

async fn process_record(table: &Table, limiter: &RateLimiter<'_>, run: &Run, record: &Value) -> Result<(), Error> {
    let event = event_of_record(record)?;
    if !matches!(event.event_type, EventType::UserInvited | EventType::DeploymentStarted) {
        return Ok(());
    }
    if limiter.deadline.is_over() {
        return Err(Error::unavailable("this run", "the run is out of time"));
    }
    let take = || table.take_lease(run.operation, event.event_id, LEASE_DURATION, run.now(), run.id_source.event_id());
    let lease = match retry_on_conflict(table, take).await? {
        LeaseOutcome::Acquired(lease) => lease,
        LeaseOutcome::Done => return Ok(()),
        LeaseOutcome::Busy => return Err(Error::unavailable("the lease", "another run is processing this message")),
    };
    let outcome = send(table, limiter, run, &event).await?;
    retry_on_conflict(table, || async {
        let event_context = run.new_event_context(event.workspace_id);
        let invitation = if outcome.is_some() { load_offer(table, &event).await? } else { None };
        let delivery = invitation.as_ref().zip(outcome.clone());
        let change = delivery.and_then(|(invitation, delivery)| record_delivery(invitation, delivery, &event_context));
        let commit = Commit::from_changes(event_context.event_id, &change.unwrap_or_default());
        table.commit(commit.complete_lease(&lease, run.now())).await.map(drop)
    })
    .await
}

/// Sends the message of an offer. `None` if it is no longer wanted: the offer was used, superseded, revoked or has
/// expired, or the message was already sent.
async fn send(table: &Table, limiter: &RateLimiter<'_>, run: &Run, event: &Event) -> Result<Option<Delivery>, Error> {
    let messages = limiter.messages;
    let Some(invitation) = load_offer(table, event).await? else {
        return Ok(None);
    };
    let user = table.user(event.workspace_id, invitation.user_id).await?;
    let code = table.invitation_code(invitation.invitation_id).await?;
    let wanted =
        invitation.status(run.now()) == InvitationStatus::Open && invitation.delivery.state == DeliveryState::Queued;
    let (Some(user), Some(code), true) = (user, code, wanted) else {
        return Ok(None);
    };
    let settings = table.workspace(event.workspace_id).await?.map(|workspace| workspace.settings).unwrap_or_default();
    limiter.start(&invitation.channel);
    let outcome = match invitation.channel {
        Channel::Email => send_email(messages, &user, &invitation, &code, &settings).await?,
        Channel::Sms => send_text(messages, &user, &code, &settings).await?,
        Channel::Unknown(_) => return Err(of_another_release()),
    };
    Ok(Some(match outcome {
        Outcome::Sent(id) => delivery(run, DeliveryState::Sent, Some(id), None),
        Outcome::Failed(reason) => {
            tracing::warn!(operation = run.operation, workspace.id = %event.workspace_id, reason, "a message was refused");
            delivery(run, DeliveryState::Failed, None, Some(reason))
        }
    }))
}

/// The offer that an event is about.
async fn load_offer(table: &Table, event: &Event) -> Result<Option<Offer>, Error> {
    match (event.user_id, event.invitation_id.or(event.deployment_id)) {
        (Some(user), Some(id)) => table.offer(event.workspace_id, user, id).await,
        _ => Ok(None),
    }
}

/// The final result for a message.
enum Outcome {
    /// It was sent, with this message identifier.
    Sent(String),
    /// It can never be sent, for this reason.
    Failed(String),
}

async fn send_email(
    messages: &MessageSender<'_>,
    user: &User,
    invitation: &Offer,
    code: &str,
    settings: &WorkspaceSettings,
) -> Result<Outcome, Error> {
    let Ok(sender) = messages.senders.email(settings) else {
        return Ok(Outcome::Failed(SenderNotAllowed::CODE.to_owned()));
    };
    let compose = match invitation.purpose {
        Purpose::Invite => invitation_mail::compose,
        Purpose::Deploy => deployment_mail::compose,
        Purpose::Unknown(_) => return Err(of_another_release()),
    };
    let Some(message) = compose(user, invitation, code, messages.public_url, messages.app)? else {
        return Ok(Outcome::Failed("no_address".to_owned()));
    };
    match messages.mail.send(Email { from: sender.map(str::to_owned), ..message }).await {
        Ok(id) => Ok(Outcome::Sent(id)),
        Err(MailError::Refused(reason)) => Ok(Outcome::Failed(reason)),
        Err(error) => Err(Error::unavailable("SES", error)),
    }
}

async fn send_text(
    messages: &MessageSender<'_>,
    user: &User,
    code: &str,
    settings: &WorkspaceSettings,
) -> Result<Outcome, Error> {
    let Ok(sender) = messages.senders.sms(settings) else {
        return Ok(Outcome::Failed(SenderNotAllowed::CODE.to_owned()));
    };
    let Some(number) = &user.mobile else {
        return Ok(Outcome::Failed("no_number".to_owned()));
    };
    // The operator may have changed the calling codes since the invitation.
    if let Err(error) = messages.policy.require_texts_allowed(number) {
        return Ok(Outcome::Failed(error.code()));
    }
    match messages.sms.text(number, &invitation_text::compose(code, messages.public_url), sender).await {
        Ok(id) => Ok(Outcome::Sent(id)),
        Err(SmsError::Refused(reason)) => Ok(Outcome::Failed(reason)),
        Err(error) => Err(Error::unavailable("SNS", error)),
    }
}

fn delivery(run: &Run, state: DeliveryState, message_id: Option<String>, reason: Option<String>) -> Delivery {
    Delivery { state, at: run.now(), message_id, reason }
}

/// Returns the message to its queue, for a release that knows how to send it.
fn of_another_release() -> Error {
    Error::unavailable("the message", "another release knows how it is sent")
}
