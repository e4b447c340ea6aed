//! Webhooks: addresses of a workspace's own choice that are told what happens, by calls that are
//! signed as Standard Webhooks (and Svix) have it.

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
use crate::models::actor::Maker;
use crate::models::event::{Event, EventType};
use crate::secret::Random;
use crate::states::Platform;
use crate::stored::Stored;
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule, is_visible};

/// Where a webhook is called.
pub const URL: TextRule = TextRule::new(Form::Ascii, 1, URL_LIMIT);

/// What people say of a webhook.
pub const DESCRIPTION: TextRule = TextRule::new(Form::Line, 1, 200);

/// A type of event, by its name.
pub const TYPE: TextRule = TextRule::new(Form::Ascii, 1, 64);

/// The most types of events that one webhook names.
pub const TYPES_LIMIT: usize = 128;

/// What names every type of event.
pub const EVERY: &str = "*";

/// What the end of a phone is called outside.
pub const PHONE_DEACTIVATED: &str = "phone.deactivated";

/// How long after an attempt that failed the next one is made: the first is made at once.
const WAITS: [Duration; 7] = [
    SECOND_AFTER,
    Duration::minutes(5),
    Duration::minutes(30),
    Duration::hours(2),
    Duration::hours(5),
    Duration::hours(10),
    Duration::hours(10),
];

/// How long after the first attempt the second one is made.
pub const SECOND_AFTER: Duration = Duration::seconds(5);

/// How long one attempt is left to whoever has begun it: longer than any run of theirs lasts.
pub const HOLD: Duration = Duration::seconds(90);

/// After so long without a single success a webhook is switched off, as soon as a delivery has failed for
/// good: a quiet one is not for its next hiccup.
pub const GIVE_UP_AFTER: Duration = Duration::days(5);

/// After so long without a single success the schedule alone calls, first attempts too: no other webhook's
/// first attempts wait for one whose receiver hangs.
pub const LEFT_TO_SCHEDULE_AFTER: Duration = Duration::minutes(1);

/// How long what became of a delivery is kept. What happened longer ago is not delivered any more, so
/// that nothing is delivered twice because the first time was forgotten.
pub const KEPT: Duration = Duration::days(30);

/// How long an earlier secret signs beside the newest.
pub const EARLIER_SIGNS: Duration = Duration::hours(24);

/// The most earlier secrets that sign beside the newest.
const EARLIER_LIMIT: usize = 3;

/// How many bytes of a reply are kept.
pub const REPLY_KEPT: usize = 256;

string_enum! {
    /// Why a webhook is switched off.
    stored Reason {
        /// Every attempt failed for [`GIVE_UP_AFTER`], and all those of a delivery.
        Failing = "failing",
        /// Its receiver said that it is gone, by status 410.
        Gone = "gone",
        /// An admin has switched it off.
        ByAdmin = "by_admin",
    }
}

/// Since when, and why, a webhook is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Disabled {
    /// Time of the change.
    pub at: Time,
    /// Why: `failing`, nothing was taken for five days; `gone`, the receiver answered 410; `by_admin`.
    pub reason: Reason,
}

/// A webhook. Its secrets stand elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// Its identifier.
    pub webhook_id: WebhookId,
    /// Where it is called. It may hold a secret of its receiver's.
    pub url: String,
    /// The types of events that it wants, or [`EVERY`].
    pub event_types: Vec<String>,
    /// What people say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Time of its creation.
    pub created_at: Time,
    /// Who created it.
    pub created_by: Maker,
    /// Set while it is switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Disabled>,
    /// Since when every attempt has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Time>,
    /// Until when an earlier secret signs beside the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier_secret_until: Option<Time>,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

/// Which names of types are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventSelection {
    /// Those that an event can have.
    Known,
    /// Any: Seam's clients also name what never happens here.
    Any,
}

/// What is said of a webhook that is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// See [`Webhook::url`].
    pub url: String,
    /// See [`Webhook::event_types`].
    pub event_types: Vec<String>,
    /// See [`Webhook::description`].
    pub description: Option<String>,
}

impl Settings {
    /// Reads `url`, `event_types` (all, unless some are named) and `description`.
    pub fn read(fields: &mut Fields, names: EventSelection, reach: EgressPolicy) -> Self {
        fields.require("url");
        let url = read_url(fields, reach).unwrap_or_default();
        let event_types = read_types(fields, names).unwrap_or_else(|| vec![EVERY.to_owned()]);
        Self { url, event_types, description: fields.text("description", DESCRIPTION) }
    }
}

/// What is to be changed of a webhook.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edit {
    pub(crate) url: Option<String>,
    pub(crate) event_types: Option<Vec<String>>,
    pub(crate) description: Option<Option<String>>,
    pub(crate) enabled: Option<bool>,
}

impl Edit {
    /// To switch it off.
    #[must_use]
    pub fn switch_off() -> Self {
        Self { enabled: Some(false), ..Self::default() }
    }

    /// Reads what was sent of `url`, `event_types`, `description` and `enabled`.
    pub fn read(fields: &mut Fields, reach: EgressPolicy) -> Self {
        Self {
            url: read_url(fields, reach),
            event_types: read_types(fields, EventSelection::Known),
            description: fields.edited_text("description", DESCRIPTION),
            enabled: fields.boolean("enabled"),
        }
    }
}

fn read_url(fields: &mut Fields, reach: EgressPolicy) -> Option<String> {
    let url = fields.text("url", URL)?;
    match reach.read_url(&url) {
        Ok(_) => Some(url),
        Err((code, detail)) => {
            fields.fault("url", code, detail);
            None
        }
    }
}

fn read_types(fields: &mut Fields, names: EventSelection) -> Option<Vec<String>> {
    let schema = || {
        let known = [EVERY, PHONE_DEACTIVATED].into_iter().chain(EventType::ALL.iter().map(|name| name.as_str()));
        let known = json!({"type": "string", "enum": known.collect::<Vec<_>>()});
        json!({"type": "array", "minItems": 1, "maxItems": TYPES_LIMIT, "items": known})
    };
    let sent = match fields.value_like("event_types", schema)? {
        Value::Array(sent) if sent.is_empty() => {
            fields.fault("event_types", "too_short", "must name at least one");
            return None;
        }
        Value::Array(sent) if sent.len() > TYPES_LIMIT => {
            fields.fault("event_types", "too_many", format!("must be at most {TYPES_LIMIT}"));
            return None;
        }
        Value::Array(sent) => sent,
        only => vec![only],
    };
    let _texts = fields.texts("event_types", TYPE)?;
    let mut types: Vec<String> = Vec::new();
    for (at, sent) in sent.iter().enumerate() {
        // What is no such text is a fault already.
        let Some(name) = sent.as_str().and_then(|text| TYPE.read(text).ok()) else { continue };
        if names == EventSelection::Known && !is_known(&name) {
            fields.fault(&format!("event_types.{at}"), "unknown_value", "must be * or a type of event");
        } else if !types.contains(&name) {
            types.push(name);
        }
    }
    Some(types)
}

fn is_known(name: &str) -> bool {
    name == EVERY || name == PHONE_DEACTIVATED || EventType::parse(name).is_some()
}

/// True for the end of what Seam calls a phone.
#[must_use]
pub fn is_deactivation(event: &Event) -> bool {
    let platform = event.changes.get("platform").and_then(|change| change.before.as_str());
    event.event_type == EventType::DeviceDeleted && platform != Some(Platform::ThirdParty.as_str())
}

/// What an event is called outside.
#[must_use]
pub fn name_of(event: &Event) -> &'static str {
    if is_deactivation(event) { PHONE_DEACTIVATED } else { event.event_type.as_str() }
}

impl Webhook {
    /// The host that is called: what of the URL may be told to everybody.
    #[must_use]
    pub fn host(&self) -> String {
        host_of(&self.url).map(|host| host.name).unwrap_or_default()
    }

    /// True if it is to be told of an event. Its own coming into being is no news to it, and neither is
    /// what was before, or what is longer ago than deliveries are kept.
    #[must_use]
    pub fn wants(&self, event: &Event, now: Time) -> bool {
        let own = event.event_type == EventType::WebhookCreated && event.webhook_id == Some(self.webhook_id);
        let fresh = event.created_at >= self.created_at && event.created_at.plus(KEPT) > now;
        self.disabled.is_none() && event.workspace_id == self.workspace_id && fresh && !own && self.names(event)
    }

    /// What an event is called to this webhook, and thereby in whose words it is told. The end of a phone is told in
    /// our own to one that names it so, and does not name it as Seam does too.
    #[must_use]
    pub fn name_of(&self, event: &Event) -> &'static str {
        let names_seams = [PHONE_DEACTIVATED, EVERY].iter().any(|name| self.has(name));
        if self.has(event.event_type.as_str()) && !names_seams { event.event_type.as_str() } else { name_of(event) }
    }

    /// True if it takes an event by our own name too, be it that it takes all.
    #[must_use]
    pub fn names_as_ours(&self, event: &Event) -> bool {
        self.has(EVERY) || self.has(event.event_type.as_str())
    }

    fn has(&self, name: &str) -> bool {
        self.event_types.iter().any(|named| named == name)
    }

    /// A phone's end is known by Seam's name and by our own.
    fn names(&self, event: &Event) -> bool {
        self.names_as_ours(event) || self.has(name_of(event))
    }

    /// True if it has failed for so long that the schedule alone calls it.
    #[must_use]
    pub fn is_left_to_schedule(&self, now: Time) -> bool {
        self.failing_since.is_some_and(|since| since.plus(LEFT_TO_SCHEDULE_AFTER) <= now)
    }

    /// The webhook once its earlier secrets are forgotten; `None` if none is to be.
    #[must_use]
    pub fn forgotten(&self, now: Time) -> Option<Self> {
        let over = self.earlier_secret_until.is_some_and(|until| until <= now);
        over.then(|| Self { earlier_secret_until: None, ..self.clone() })
    }
}

pub(crate) const GONE: u16 = 410;

string_enum! {
    /// What became of a delivery.
    stored DeliveryState {
        /// It is being made, or will be tried again.
        Pending = "pending",
        /// Its receiver has taken it.
        Succeeded = "succeeded",
        /// Every attempt failed.
        Failed = "failed",
        /// It is not tried any more, since its webhook was switched off.
        Canceled = "canceled",
    }
}

/// One call of a receiver, and what it said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Time of its beginning.
    pub at: Time,
    /// The reply's status, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it counts as failed: a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How the reply begins. See [`harmless`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reply: String,
    /// How long it took.
    pub milliseconds: i64,
}

impl Attempt {
    /// A call that was answered. Redirects are not followed, and count as failures.
    #[must_use]
    pub fn answered(at: Time, status: u16, reply: &[u8], milliseconds: i64) -> Self {
        let error = match status {
            200..=299 => None,
            300..=399 => Some("redirected"),
            GONE => Some("gone"),
            _ => Some("error_status"),
        };
        Self { at, status: Some(status), error: error.map(str::to_owned), reply: harmless(reply), milliseconds }
    }

    /// A call that was not answered, for a reason with a stable code.
    #[must_use]
    pub fn unanswered(at: Time, error: &str, milliseconds: i64) -> Self {
        Self { at, status: None, error: Some(error.to_owned()), reply: String::new(), milliseconds }
    }

    /// True if the receiver has taken it.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.error.is_none()
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
    /// What the event is called outside.
    pub event_type: String,
    /// Time of its beginning.
    pub created_at: Time,
    /// What became of it.
    pub state: DeliveryState,
    /// How many attempts of the schedule were begun.
    pub attempts: u32,
    /// How many more an admin has asked for.
    #[serde(default)]
    pub redeliveries: u32,
    /// The last attempt that came to an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<Attempt>,
    /// When the next attempt is due, be it that the one that was begun never ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Time>,
    /// Who is at it: drawn anew for each attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Uuid>,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

impl Delivery {
    /// A delivery whose first attempt is due.
    #[must_use]
    pub fn due(webhook: &Webhook, event: &Event, now: Time) -> Self {
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

    /// True if another attempt is to be made by now.
    #[must_use]
    pub fn is_due(&self, now: Time) -> bool {
        self.state == DeliveryState::Pending && self.next_at.is_some_and(|at| at <= now)
    }

    /// The delivery while its next attempt is made.
    #[must_use]
    pub fn taken_up(&self, lease: Uuid, now: Time) -> Self {
        Self { attempts: self.attempts + 1, lease: Some(lease), next_at: Some(now.plus(HOLD)), ..self.clone() }
    }

    /// The delivery after the attempt that was begun under a lease; `None` if it is in other hands by now.
    #[must_use]
    pub fn after(&self, lease: Uuid, attempt: &Attempt) -> Option<Self> {
        let _own = self.lease.filter(|held| *held == lease)?;
        let mut after = Self { last_attempt: Some(attempt.clone()), lease: None, next_at: None, ..self.clone() };
        if attempt.succeeded() {
            after.state = DeliveryState::Succeeded;
        } else if let Some(wait) = wait_after(self.attempts) {
            let ended = attempt.at.plus(Duration::milliseconds(attempt.milliseconds));
            after.next_at = Some(ended.plus(wait));
        } else {
            after.state = DeliveryState::Failed;
        }
        Some(after)
    }

    /// The delivery after an attempt that an admin asked for, beside the schedule: a success is one, and
    /// after a failure all goes on as it would have.
    #[must_use]
    pub fn redelivered(&self, attempt: &Attempt) -> Self {
        let known = Self { last_attempt: Some(attempt.clone()), redeliveries: self.redeliveries + 1, ..self.clone() };
        if attempt.succeeded() {
            Self { state: DeliveryState::Succeeded, next_at: None, lease: None, ..known }
        } else {
            known
        }
    }

    /// The delivery once its webhook is switched off: what is not over is not tried any more.
    #[must_use]
    pub fn canceled(&self) -> Self {
        if self.state == DeliveryState::Pending {
            Self { state: DeliveryState::Canceled, next_at: None, lease: None, ..self.clone() }
        } else {
            self.clone()
        }
    }

    /// True if the second attempt comes next, which is made without waiting for the schedule.
    #[must_use]
    pub fn is_tried_again_soon(&self) -> bool {
        self.state == DeliveryState::Pending && self.attempts == 1
    }
}

/// How long after so many attempts that failed the next one is made; `None` if it was the last.
#[must_use]
pub fn wait_after(attempts: u32) -> Option<Duration> {
    let at = usize::try_from(attempts.checked_sub(1)?).ok()?;
    WAITS.get(at).copied()
}

/// How a reply begins, as a text that does no harm where it is shown: at most [`REPLY_KEPT`] bytes, on one
/// line, without what does not show or turns the direction of writing.
#[must_use]
pub fn harmless(reply: &[u8]) -> String {
    let start = &reply[..reply.len().min(REPLY_KEPT)];
    let mut text = String::new();
    for c in String::from_utf8_lossy(start).chars() {
        let c = match c {
            c if c.is_control() => ' ',
            c if is_visible(c) => c,
            _ => '\u{FFFD}',
        };
        if text.len() + c.len_utf8() > REPLY_KEPT {
            break;
        }
        text.push(c);
    }
    text.trim().to_owned()
}

/// The secrets by which a webhook's calls are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// The newest.
    pub current: String,
    /// Those before, the newest first, each until its time is over.
    #[serde(default)]
    pub earlier: Vec<FormerSecret>,
}

/// A secret that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerSecret {
    /// The secret.
    pub secret: String,
    /// Until when it signs beside the newest.
    pub until: Time,
}

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// A new secret of 192 random bits, in the form that the verifiers of Standard Webhooks take.
#[must_use]
pub fn new_secret(random: Random) -> String {
    let mut bytes = [0; 24];
    random(&mut bytes);
    format!("{PREFIX}{}", STANDARD.encode(bytes))
}

impl Secrets {
    /// One secret alone.
    #[must_use]
    pub fn of(current: String) -> Self {
        Self { current, earlier: Vec::new() }
    }

    /// The secrets with a new one; what was the newest signs beside it for a while.
    #[must_use]
    pub fn rotated(&self, fresh: String, now: Time) -> Self {
        let replaced = FormerSecret { secret: self.current.clone(), until: now.plus(EARLIER_SIGNS) };
        let kept = self.earlier.iter().filter(|earlier| earlier.until > now).cloned();
        Self { current: fresh, earlier: [replaced].into_iter().chain(kept).take(EARLIER_LIMIT).collect() }
    }

    /// The secrets without those whose time is over.
    #[must_use]
    pub fn at(&self, now: Time) -> Self {
        let kept = self.earlier.iter().filter(|earlier| earlier.until > now).cloned().collect();
        Self { current: self.current.clone(), earlier: kept }
    }

    /// The signatures of a call, the newest secret's first, with spaces between.
    #[must_use]
    pub fn signatures(&self, id: &str, seconds: i64, body: &[u8], now: Time) -> String {
        let valid = self.at(now);
        let secrets = [&valid.current].into_iter().chain(valid.earlier.iter().map(|earlier| &earlier.secret));
        secrets.filter_map(|secret| signature(secret, id, seconds, body)).collect::<Vec<_>>().join(" ")
    }
}

/// The signature of a call by a secret: of its identifier, its time and its body; `None` if the text is no
/// secret.
#[must_use]
pub fn signature(secret: &str, id: &str, seconds: i64, body: &[u8]) -> Option<String> {
    let key = STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}
