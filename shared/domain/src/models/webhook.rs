//! Webhooks: URLs of a workspace that receive its events, by calls signed as in Standard Webhooks (and Svix).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Duration;
use hmac::{Hmac, KeyInit as _, Mac as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use crate::clock::Time;
use crate::egress::{EgressPolicy, URL_LIMIT, host_of};
use crate::ids::{EventId, WebhookId, WorkspaceId};
use crate::input::Fields;
use crate::models::actor::Creator;
use crate::models::event::{Event, EventType};
use crate::secret::Random;
use crate::states::Platform;
use crate::stored::Stored;
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule, is_visible};

/// The URL of a webhook.
pub const URL: TextRule = TextRule::new(Form::Ascii, 1, URL_LIMIT);

/// A description for people.
pub const DESCRIPTION: TextRule = TextRule::new(Form::Line, 1, 200);

/// An event type.
pub const TYPE: TextRule = TextRule::new(Form::Ascii, 1, 64);

/// The most event types of one webhook.
pub const TYPES_LIMIT: usize = 128;

/// Matches every event type.
pub const ALL_EVENT_TYPES: &str = "*";

/// Seam's event type for the end of a phone.
pub const PHONE_DEACTIVATED: &str = "phone.deactivated";

/// Delays between a failed attempt and the next; the first attempt is made at once.
const RETRY_DELAYS: [Duration; 7] = [
    FIRST_RETRY_DELAY,
    Duration::minutes(5),
    Duration::minutes(30),
    Duration::hours(2),
    Duration::hours(5),
    Duration::hours(10),
    Duration::hours(10),
];

/// The delay between the first attempt and the second.
pub const FIRST_RETRY_DELAY: Duration = Duration::seconds(5);

/// How long an attempt is leased to its worker: longer than a worker can run.
pub const LEASE_DURATION: Duration = Duration::seconds(90);

/// A webhook without a single success for this long is disabled once a delivery has failed for good; a rarely
/// used one is not disabled for one failure.
pub const DISABLE_AFTER: Duration = Duration::days(5);

/// For a webhook without a single success for this long, only the schedule makes calls, also first attempts: a
/// receiver that hangs must not delay other webhooks.
pub const SCHEDULE_ONLY_AFTER: Duration = Duration::minutes(1);

/// A webhook whose last call took longer is slow: only the schedule makes its calls, until one is quick.
pub const SLOW_CALL: Duration = Duration::seconds(5);

/// The most runs at once that call one workspace's webhooks for new events, so that others always find a free one. A
/// delivery beyond is left to the schedule.
pub const CALLING_RUNS: u8 = 10;

/// How long deliveries are kept. Older events are not delivered any more, so that nothing is delivered twice
/// because its delivery was forgotten.
pub const RETENTION: Duration = Duration::days(30);

/// How long a former secret still signs beside the current one.
pub const FORMER_SECRET_SIGNS_FOR: Duration = Duration::hours(24);

/// The most former secrets that still sign.
const FORMER_SECRET_LIMIT: usize = 3;

/// How many bytes of a response are kept.
pub const RESPONSE_EXCERPT_LIMIT: usize = 256;

string_enum! {
    /// Why a webhook is disabled.
    stored Reason {
        /// All attempts failed for [`DISABLE_AFTER`], and so did all attempts of one delivery.
        Failing = "failing",
        /// The receiver responded with status 410.
        Gone = "gone",
        /// An admin disabled it.
        ByAdmin = "by_admin",
    }
}

/// Since when and why a webhook is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Disabled {
    /// Time of the change.
    pub at: Time,
    /// Why: `failing`, nothing was taken for five days; `gone`, the receiver answered 410; `by_admin`.
    pub reason: Reason,
}

/// A webhook. Its secrets are stored in another row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// Its identifier.
    pub webhook_id: WebhookId,
    /// The URL that is called. It may contain a secret of the receiver's.
    pub url: String,
    /// The event types that it receives, or [`ALL_EVENT_TYPES`].
    pub event_types: Vec<String>,
    /// Description for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Creation time.
    pub created_at: Time,
    /// Who created it.
    pub created_by: Creator,
    /// Set while it is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Disabled>,
    /// Since when every attempt has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Time>,
    /// Since when every call took longer than [`SLOW_CALL`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_since: Option<Time>,
    /// Until when a former secret signs beside the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier_secret_until: Option<Time>,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

/// Which event types a webhook may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventSelection {
    /// Those that Handset produces.
    Known,
    /// Any: Seam's clients also name types that never occur here.
    Any,
}

/// The data of a new webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookSettings {
    /// See [`Webhook::url`].
    pub url: String,
    /// See [`Webhook::event_types`].
    pub event_types: Vec<String>,
    /// See [`Webhook::description`].
    pub description: Option<String>,
}

impl WebhookSettings {
    /// Reads `url`, `event_types` (default: all) and `description`.
    pub fn read(fields: &mut Fields, has_event_type: EventSelection, policy: EgressPolicy) -> Self {
        fields.require("url");
        let url = read_url(fields, policy).unwrap_or_default();
        let event_types = read_types(fields, has_event_type).unwrap_or_else(|| vec![ALL_EVENT_TYPES.to_owned()]);
        Self { url, event_types, description: fields.text("description", DESCRIPTION) }
    }
}

/// An edit of a webhook.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edit {
    pub(crate) url: Option<String>,
    pub(crate) event_types: Option<Vec<String>>,
    pub(crate) description: Option<Option<String>>,
    pub(crate) enabled: Option<bool>,
}

impl Edit {
    /// An edit that disables it.
    #[must_use]
    pub fn disable() -> Self {
        Self { enabled: Some(false), ..Self::default() }
    }

    /// Reads `url`, `event_types`, `description` and `enabled`, all optional.
    pub fn read(fields: &mut Fields, policy: EgressPolicy) -> Self {
        Self {
            url: read_url(fields, policy),
            event_types: read_types(fields, EventSelection::Known),
            description: fields.text_edit("description", DESCRIPTION),
            enabled: fields.boolean("enabled"),
        }
    }
}

fn read_url(fields: &mut Fields, policy: EgressPolicy) -> Option<String> {
    let url = fields.text("url", URL)?;
    match policy.read_url(&url) {
        Ok(_) => Some(url),
        Err((code, detail)) => {
            fields.add_error("url", code, detail);
            None
        }
    }
}

fn read_types(fields: &mut Fields, has_event_type: EventSelection) -> Option<Vec<String>> {
    let schema = || {
        let known =
            [ALL_EVENT_TYPES, PHONE_DEACTIVATED].into_iter().chain(EventType::ALL.iter().map(|name| name.as_str()));
        let known = json!({"type": "string", "enum": known.collect::<Vec<_>>()});
        json!({"type": "array", "minItems": 1, "maxItems": TYPES_LIMIT, "items": known})
    };
    let sent = match fields.value_with_schema("event_types", schema)? {
        Value::Array(sent) if sent.is_empty() => {
            fields.add_error("event_types", "too_short", "must have at least one entry");
            return None;
        }
        Value::Array(sent) if sent.len() > TYPES_LIMIT => {
            fields.add_error("event_types", "too_many", format!("must be at most {TYPES_LIMIT}"));
            return None;
        }
        Value::Array(sent) => sent,
        only => vec![only],
    };
    let _texts = fields.texts("event_types", TYPE)?;
    let mut types: Vec<String> = Vec::new();
    for (at, sent) in sent.iter().enumerate() {
        // An invalid text was recorded as an error already.
        let Some(name) = sent.as_str().and_then(|text| TYPE.read(text).ok()) else { continue };
        if has_event_type == EventSelection::Known && !is_known(&name) {
            fields.add_error(&format!("event_types.{at}"), "unknown_value", "must be * or an event type");
        } else if !types.contains(&name) {
            types.push(name);
        }
    }
    Some(types)
}

fn is_known(name: &str) -> bool {
    name == ALL_EVENT_TYPES || name == PHONE_DEACTIVATED || EventType::parse(name).is_some()
}

/// True for the event that Seam knows as the end of a phone.
#[must_use]
pub fn is_deactivation(event: &Event) -> bool {
    let platform = event.changes.get("platform").and_then(|change| change.before.as_str());
    event.event_type == EventType::DeviceDeleted && platform != Some(Platform::ThirdParty.as_str())
}

/// The event type under which an event is published.
#[must_use]
pub fn name_of(event: &Event) -> &'static str {
    if is_deactivation(event) { PHONE_DEACTIVATED } else { event.event_type.as_str() }
}

impl Webhook {
    /// The host that is called, the part of the URL that everybody may see.
    #[must_use]
    pub fn host(&self) -> String {
        host_of(&self.url).map(|host| host.name).unwrap_or_default()
    }

    /// True if it receives an event. It does not receive its own creation, events from before that, or events
    /// older than deliveries are kept.
    #[must_use]
    pub fn receives(&self, event: &Event, now: Time) -> bool {
        let own = event.event_type == EventType::WebhookCreated && event.webhook_id == Some(self.webhook_id);
        let fresh = event.created_at >= self.created_at && event.created_at.plus(RETENTION) > now;
        self.disabled.is_none()
            && event.workspace_id == self.workspace_id
            && fresh
            && !own
            && self.has_event_type(event)
    }

    /// The event type under which this webhook receives an event. The end of a phone comes under our name to a
    /// webhook that names that type and not Seam's.
    #[must_use]
    pub fn name_of(&self, event: &Event) -> &'static str {
        let names_seam_type = [PHONE_DEACTIVATED, ALL_EVENT_TYPES].iter().any(|name| self.has(name));
        if self.has(event.event_type.as_str()) && !names_seam_type { event.event_type.as_str() } else { name_of(event) }
    }

    /// True if it receives an event under our own name too, by naming it or by receiving all.
    #[must_use]
    pub fn receives_own_name(&self, event: &Event) -> bool {
        self.has(ALL_EVENT_TYPES) || self.has(event.event_type.as_str())
    }

    fn has(&self, name: &str) -> bool {
        self.event_types.iter().any(|named| named == name)
    }

    /// True if it names the event's type. The end of a phone has two types, Seam's and ours.
    fn has_event_type(&self, event: &Event) -> bool {
        self.receives_own_name(event) || self.has(name_of(event))
    }

    /// True if it is slow, or has failed for so long, that only the schedule calls it.
    #[must_use]
    pub fn is_schedule_only(&self, now: Time) -> bool {
        self.slow_since.is_some() || self.failing_since.is_some_and(|since| since.plus(SCHEDULE_ONLY_AFTER) <= now)
    }

    /// True if its last call succeeded and was quick, so that a late delivery is not its own fault.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.failing_since.is_none() && self.slow_since.is_none()
    }

    /// The webhook without its expired former secrets; `None` if none has expired.
    #[must_use]
    pub fn without_expired_secrets(&self, now: Time) -> Option<Self> {
        let over = self.earlier_secret_until.is_some_and(|until| until <= now);
        over.then(|| Self { earlier_secret_until: None, ..self.clone() })
    }
}

pub(crate) const GONE: u16 = 410;

string_enum! {
    /// The state of a delivery.
    stored DeliveryState {
        /// In progress, or to be retried.
        Pending = "pending",
        /// The receiver accepted it.
        Succeeded = "succeeded",
        /// All attempts failed.
        Failed = "failed",
        /// Not retried, since its webhook was disabled.
        Canceled = "canceled",
    }
}

/// One call of a receiver and its response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Start time.
    pub at: Time,
    /// Status of the response, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Stable code of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Start of the response body; see [`sanitize_excerpt`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reply: String,
    /// Duration.
    pub milliseconds: i64,
}

impl Attempt {
    /// A call that was answered. Redirects are not followed and count as failures.
    #[must_use]
    pub fn with_response(at: Time, status: u16, reply: &[u8], milliseconds: i64) -> Self {
        let error = match status {
            200..=299 => None,
            300..=399 => Some("redirected"),
            GONE => Some("gone"),
            _ => Some("error_status"),
        };
        Self { at, status: Some(status), error: error.map(str::to_owned), reply: sanitize_excerpt(reply), milliseconds }
    }

    /// A call without a response, with a stable code of the reason.
    #[must_use]
    pub fn without_response(at: Time, error: &str, milliseconds: i64) -> Self {
        Self { at, status: None, error: Some(error.to_owned()), reply: String::new(), milliseconds }
    }

    /// True if the receiver accepted it.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.error.is_none()
    }

    /// True if it took longer than [`SLOW_CALL`].
    #[must_use]
    pub fn was_slow(&self) -> bool {
        self.milliseconds > SLOW_CALL.num_milliseconds()
    }
}

/// The delivery of an event to a webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The event.
    pub event_id: EventId,
    /// The event type under which it is delivered.
    pub event_type: String,
    /// Creation time.
    pub created_at: Time,
    /// Its state.
    pub state: DeliveryState,
    /// Scheduled attempts that were begun.
    pub attempts: u32,
    /// Redeliveries that an admin requested.
    #[serde(default)]
    pub redeliveries: u32,
    /// The last completed attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<Attempt>,
    /// When the next attempt is due, also after one that never completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Time>,
    /// Lease of the attempt in progress, with a new identifier for each attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Uuid>,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

impl Delivery {
    /// A delivery whose first attempt is due.
    #[must_use]
    pub fn new_due(webhook: &Webhook, event: &Event, now: Time) -> Self {
        Self {
            workspace_id: webhook.workspace_id,
            webhook_id: webhook.webhook_id,
            event_id: event.event_id,
            event_type: webhook.name_of(event).to_owned(),
            created_at: now,
            state: DeliveryState::Pending,
            attempts: 0,
            redeliveries: 0,
            last_attempt: None,
            next_at: Some(now),
            lease: None,
            version: 1,
            stored: Stored::default(),
        }
    }

    /// True if an attempt is due.
    #[must_use]
    pub fn is_due(&self, now: Time) -> bool {
        self.state == DeliveryState::Pending && self.next_at.is_some_and(|at| at <= now)
    }

    /// The delivery with its next attempt in progress.
    #[must_use]
    pub fn with_attempt_started(&self, lease: Uuid, now: Time) -> Self {
        Self {
            attempts: self.attempts + 1,
            lease: Some(lease),
            next_at: Some(now.plus(LEASE_DURATION)),
            ..self.clone()
        }
    }

    /// The delivery after an attempt under a lease; `None` if another worker has it by now.
    #[must_use]
    pub fn with_attempt_result(&self, lease: Uuid, attempt: &Attempt) -> Option<Self> {
        let _own = self.lease.filter(|held| *held == lease)?;
        let mut after = Self { last_attempt: Some(attempt.clone()), lease: None, next_at: None, ..self.clone() };
        if attempt.succeeded() {
            after.state = DeliveryState::Succeeded;
        } else if let Some(wait) = retry_delay_after(self.attempts) {
            let ended = attempt.at.plus(Duration::milliseconds(attempt.milliseconds));
            after.next_at = Some(ended.plus(wait));
        } else {
            after.state = DeliveryState::Failed;
        }
        Some(after)
    }

    /// The delivery after an attempt that an admin requested: a success ends it, and a failure leaves the
    /// schedule unchanged.
    #[must_use]
    pub fn with_redelivery_result(&self, attempt: &Attempt) -> Self {
        let known = Self { last_attempt: Some(attempt.clone()), redeliveries: self.redeliveries + 1, ..self.clone() };
        if attempt.succeeded() {
            Self { state: DeliveryState::Succeeded, next_at: None, lease: None, ..known }
        } else {
            known
        }
    }

    /// The delivery after its webhook was disabled: it is not retried.
    #[must_use]
    pub fn canceled(&self) -> Self {
        if self.state == DeliveryState::Pending {
            Self { state: DeliveryState::Canceled, next_at: None, lease: None, ..self.clone() }
        } else {
            self.clone()
        }
    }

    /// True if the next attempt is the second, which does not wait for the schedule.
    #[must_use]
    pub fn retries_immediately(&self) -> bool {
        self.state == DeliveryState::Pending && self.attempts == 1
    }
}

/// The delay after this many failed attempts; `None` after the last.
#[must_use]
pub fn retry_delay_after(attempts: u32) -> Option<Duration> {
    let at = usize::try_from(attempts.checked_sub(1)?).ok()?;
    RETRY_DELAYS.get(at).copied()
}

/// The start of a response body, made safe to show: at most [`RESPONSE_EXCERPT_LIMIT`] bytes on one line, without
/// invisible characters or ones that change the writing direction.
#[must_use]
pub fn sanitize_excerpt(reply: &[u8]) -> String {
    let start = &reply[..reply.len().min(RESPONSE_EXCERPT_LIMIT)];
    let mut text = String::new();
    for c in String::from_utf8_lossy(start).chars() {
        let c = match c {
            c if c.is_control() => ' ',
            c if is_visible(c) => c,
            _ => '\u{FFFD}',
        };
        if text.len() + c.len_utf8() > RESPONSE_EXCERPT_LIMIT {
            break;
        }
        text.push(c);
    }
    text.trim().to_owned()
}

/// The secrets that sign a webhook's calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// The current one.
    pub current: String,
    /// Former ones, newest first, each until it expires.
    #[serde(default)]
    pub earlier: Vec<FormerSecret>,
}

/// A replaced secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerSecret {
    /// The secret.
    pub secret: String,
    /// Until when it signs beside the current one.
    pub until: Time,
}

/// Prefix of a secret.
const PREFIX: &str = "whsec_";

/// A new secret of 192 random bits, in the format of Standard Webhooks.
#[must_use]
pub fn new_secret(random: Random) -> String {
    let mut bytes = [0; 24];
    random(&mut bytes);
    format!("{PREFIX}{}", STANDARD.encode(bytes))
}

impl Secrets {
    /// Secrets with a current one only.
    #[must_use]
    pub fn with_current(current: String) -> Self {
        Self { current, earlier: Vec::new() }
    }

    /// The secrets with a new current one; the previous one still signs for a while.
    #[must_use]
    pub fn rotated(&self, fresh: String, now: Time) -> Self {
        let replaced = FormerSecret { secret: self.current.clone(), until: now.plus(FORMER_SECRET_SIGNS_FOR) };
        let valid = self.earlier.iter().filter(|earlier| earlier.until > now).cloned();
        Self { current: fresh, earlier: [replaced].into_iter().chain(valid).take(FORMER_SECRET_LIMIT).collect() }
    }

    /// The secrets without expired ones.
    #[must_use]
    pub fn valid_at(&self, now: Time) -> Self {
        let valid = self.earlier.iter().filter(|earlier| earlier.until > now).cloned().collect();
        Self { current: self.current.clone(), earlier: valid }
    }

    /// The signatures of a call, the current secret's first, separated by spaces.
    #[must_use]
    pub fn signatures(&self, id: &str, seconds: i64, body: &[u8], now: Time) -> String {
        let valid = self.valid_at(now);
        let secrets = [&valid.current].into_iter().chain(valid.earlier.iter().map(|earlier| &earlier.secret));
        secrets.filter_map(|secret| signature(secret, id, seconds, body)).collect::<Vec<_>>().join(" ")
    }
}

/// The signature of a call's identifier, time and body; `None` if the secret is malformed.
#[must_use]
pub fn signature(secret: &str, id: &str, seconds: i64, body: &[u8]) -> Option<String> {
    let key = STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}
