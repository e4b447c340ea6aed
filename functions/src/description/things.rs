//! The things that replies show, as [`crate::views`] shows them.

use domain::models::command::CommandKind;
use domain::models::credential::ServiceKind;
use domain::models::device::{DeviceAccess, DeviceStatus, Status};
use domain::models::event::EventType;
use domain::models::invitation::{Channel, DeliveryState};
use domain::models::job::{ItemChange, ItemOutcome, JobKind};
use domain::models::key::KeyStatus;
use domain::models::member::MemberStatus;
use domain::models::network::{Indicator, NetworkReason, NetworkStatus, Provisioning};
use domain::models::provenance::Field;
use domain::models::push::PushReason;
use domain::models::source::{Delimiter, Format, KeyField, SourceKind, VanishPolicy};
use domain::models::token::TokenStatus;
use domain::models::usage::UsageKind;
use domain::models::user::Source;
use domain::models::webhook::{DeliveryState as WebhookDeliveryState, Reason as SwitchedOff};
use domain::models::workspace::SilentAction;
use domain::permission::{Permission, Role};
use domain::states::CommandState;
use domain::states::InvitationStatus;
use domain::states::JobState;
use domain::states::Platform;
use domain::states::UserStatus;
use serde_json::{Map, Value, json};

use crate::description::schema::{
    and, any_object, array, count, flag, map, nullable, object, text, thing, timestamp, uuid, with, word,
};

/// Every thing that the document describes by name, with what it is.
#[must_use]
pub fn things() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("Actor", "Who did something.", actor()),
        ("Command", "Something that a device must do, with its history.", command()),
        ("Counts", "How much was used.", counts([])),
        ("Delivery", "What became of a message.", delivery()),
        ("Deployed", "A user, and how far their deployment has got.", deployed()),
        ("Deployment", "A configuration that was offered to a user; never its code.", deployment()),
        ("Device", "A device with all that belongs to it.", device()),
        ("DeviceListed", "A device, as a list shows it.", device_listed()),
        ("DeviceSeen", "A device, by what its own row tells.", device_seen()),
        ("DryRun", "What would become of the things that a call names.", dry_run()),
        ("Event", "Something that happened: who, what, to what, when, under which request.", event()),
        ("Fault", "One thing that is wrong with an input.", fault()),
        ("Hold", "A block, a suspension or a lock.", hold()),
        ("Invitation", "An invitation; never its code.", invitation()),
        ("Job", "Work over many things.", job()),
        ("JobDone", "A job, with what became of each thing that was named.", job_done()),
        ("JobItem", "What became of one of a job's things.", job_item()),
        ("JobPage", "A job, with a page of what became of its things.", job_page()),
        ("Key", "An API key; never its secret.", key()),
        ("Maker", "Who made something, and by which personal access token if by one.", maker()),
        ("Member", "A person who signs in.", member()),
        ("MemberRemoved", "A member who was removed, with what they made.", member_removed()),
        ("Membership", "A person's membership of a workspace, as they see it.", membership()),
        ("MemberToken", "A member's personal access token, as one workspace sees it.", member_token()),
        ("Network", "A carrier's network of a user.", network()),
        ("Problem", "Why something was not done (RFC 9457).", problem()),
        ("Profile", "Deployment settings that many users share.", profile()),
        ("ProfileListed", "A profile, as a list shows it.", profile_listed()),
        ("Remark", "Something that is wrong with a device, or that somebody should look at.", remark()),
        ("Source", "A source that users come from; never its token, nor its URL's query.", source()),
        ("Tally", "How many things came out how.", tally()),
        ("Token", "A personal access token; never the token itself.", token()),
        ("User", "A user, by what their own row tells.", user()),
        ("UserListed", "A user, as a list shows them.", user_listed()),
        ("UserWhole", "A user with all that belongs to them.", user_whole()),
        ("UserWithDevices", "A user with the devices that they hold.", user_with_devices()),
        ("Warning", "Something that was done, and that whoever did it should look at.", warning()),
        ("Webhook", "Where events are sent; never its secret.", webhook()),
        ("WebhookDelivery", "What became of the delivery of an event to a webhook.", webhook_delivery()),
        ("Workspace", "A tenant, and what holds in it.", workspace()),
        ("WorkspaceTried", "A workspace as a change would leave it.", workspace_tried()),
    ]
}

fn maybe(schema: Value) -> Value {
    nullable(schema)
}

fn actor() -> Value {
    let kinds = ["key", "member", "device", "invitation", "deployment", "system"];
    with(object([("type", json!({"type": "string", "x-extensible-enum": kinds}))]), [("id", uuid()), ("name", text())])
}

fn maker() -> Value {
    with(actor(), [("token_id", uuid())])
}

fn hold() -> Value {
    object([("at", timestamp()), ("by", thing("Actor")), ("reason", maybe(text()))])
}

fn remark() -> Value {
    object([("code", text()), ("message", text()), ("created_at", timestamp())])
}

fn device_seen() -> Value {
    let command = object([
        ("command_id", uuid()),
        ("kind", word::<CommandKind>()),
        ("state", word::<CommandState>()),
        ("queued_at", timestamp()),
        ("expires_at", timestamp()),
        ("again_at", maybe(timestamp())),
    ]);
    let wipe = object([("command_id", uuid()), ("state", word::<CommandState>()), ("since", timestamp())]);
    let reasons: Vec<_> = PushReason::ALL.iter().filter(|reason| reason.shown() == **reason).collect();
    let reason = json!({"type": "string", "x-extensible-enum": reasons});
    let push = object([("in_use", flag()), ("since", timestamp()), ("reason", reason)]);
    object([
        ("device_id", uuid()),
        ("user_id", uuid()),
        ("user_name", maybe(text())),
        ("device_identifier", text()),
        ("platform", word::<Platform>()),
        ("push_endpoint", maybe(text())),
        ("model_name", text()),
        ("nickname", maybe(text())),
        ("display_name", text()),
        ("os_version", text()),
        ("app_version", maybe(text())),
        ("device_status", word::<DeviceStatus>()),
        ("status", word::<Status>()),
        ("created_at", timestamp()),
        ("last_login_at", maybe(timestamp())),
        ("blocked", maybe(thing("Hold"))),
        ("commands", array(command)),
        ("unconfirmed_wipe", maybe(wipe)),
        ("erased_at", maybe(timestamp())),
        ("pin_failures", count()),
        ("push", push),
        ("deleted_at", maybe(timestamp())),
        ("purge_after", maybe(timestamp())),
    ])
}

fn device_listed() -> Value {
    and(device_seen(), [("errors", array(thing("Remark"))), ("warnings", array(thing("Remark")))])
}

fn device() -> Value {
    let credential = object([("acs_credential_id", uuid()), ("issued_at", timestamp())]);
    let endpoint = object([("endpoint_id", text()), ("is_active", flag())]);
    let service = object([
        ("has_active_endpoint", flag()),
        ("endpoints", array(endpoint)),
        ("problem", maybe(object([("message", text()), ("since", timestamp())]))),
    ]);
    let services: Map<String, Value> =
        ServiceKind::ALL.iter().map(|kind| (kind.to_string(), service.clone())).collect();
    and(
        device_listed(),
        [
            ("custom_metadata", map(json!({"type": ["string", "boolean"]}))),
            ("acs_credentials", array(credential)),
            ("credential_services", json!({"type": "object", "properties": services})),
        ],
    )
}

fn command() -> Value {
    let happened = object([("state", word::<CommandState>()), ("at", timestamp()), ("by", thing("Actor"))]);
    object([
        ("command_id", uuid()),
        ("device_id", uuid()),
        ("user_id", uuid()),
        ("kind", word::<CommandKind>()),
        ("state", word::<CommandState>()),
        ("late", flag()),
        ("queued_at", timestamp()),
        ("queued_by", thing("Actor")),
        ("reason", maybe(text())),
        ("expires_at", timestamp()),
        ("again_at", maybe(timestamp())),
        ("deferrals", count()),
        ("detail", maybe(text())),
        ("history", array(with(happened, [("late", flag())]))),
    ])
}

fn user() -> Value {
    object([
        ("user_id", uuid()),
        ("username", text()),
        ("first_name", maybe(text())),
        ("last_name", maybe(text())),
        ("name", text()),
        ("email", maybe(text())),
        ("mobile", maybe(text())),
        ("number", maybe(text())),
        ("user_identity_key", maybe(text())),
        ("status", word::<UserStatus>()),
        ("source", word::<Source>()),
        ("service_level", maybe(text())),
        ("profile", maybe(text())),
        ("profile_id", maybe(uuid())),
        ("sip_user_name", maybe(text())),
        ("service_account", maybe(text())),
        ("source_id", maybe(uuid())),
        ("external_id", maybe(text())),
        ("source_username", maybe(text())),
        ("by_hand", array(word::<Field>())),
        ("vanished_at", maybe(timestamp())),
        ("created_at", timestamp()),
        ("registered_at", maybe(timestamp())),
        ("last_seen_at", maybe(timestamp())),
        ("app_version", maybe(text())),
        ("networks", array(thing("Network"))),
        ("network_indicator", maybe(word::<Indicator>())),
        ("suspended", maybe(thing("Hold"))),
        ("suspended_by_source", maybe(thing("Hold"))),
        ("locked", maybe(thing("Hold"))),
        ("pending_command", flag()),
        ("unconfirmed_wipe", flag()),
        ("device_count", count()),
        ("deleted_at", maybe(timestamp())),
        ("purge_after", maybe(timestamp())),
    ])
}

fn user_listed() -> Value {
    and(user(), [("usage", thing("Counts"))])
}

fn user_with_devices() -> Value {
    and(user(), [("devices", array(thing("Device")))])
}

fn user_whole() -> Value {
    and(
        user_listed(),
        [
            ("devices", array(thing("Device"))),
            ("overrides", any_object()),
            ("secrets", map(timestamp())),
            ("deployment", maybe(thing("Deployment"))),
            ("invitation", maybe(thing("Invitation"))),
        ],
    )
}

fn network() -> Value {
    object([
        ("provider", text()),
        ("status", word::<NetworkStatus>()),
        ("status_at", timestamp()),
        ("reason", maybe(word::<NetworkReason>())),
        ("mdn_provisioning", maybe(word::<Provisioning>())),
        ("last_seen_at", maybe(timestamp())),
        ("last_archived_at", maybe(timestamp())),
        ("indicator", maybe(word::<Indicator>())),
        ("tooltip", text()),
    ])
}

/// Counts, each kind of them, and more fields.
pub(crate) fn counts<const N: usize>(more: [(&str, Value); N]) -> Value {
    let counts = UsageKind::ALL.iter().fold(object([]), |counts, kind| and(counts, [(kind.as_str(), count())]));
    and(counts, more)
}

fn delivery() -> Value {
    object([("state", word::<DeliveryState>()), ("at", timestamp()), ("reason", maybe(text()))])
}

fn warning() -> Value {
    object([("code", text()), ("detail", text()), ("at", timestamp())])
}

fn invitation() -> Value {
    object([
        ("invitation_id", uuid()),
        ("user_id", uuid()),
        ("channel", word::<Channel>()),
        ("sent_to", maybe(text())),
        ("warnings", array(thing("Warning"))),
        ("devices", count()),
        ("used", count()),
        ("refused_registrations", count()),
        ("status", word::<InvitationStatus>()),
        ("created_at", timestamp()),
        ("expires_at", timestamp()),
        ("sent_at", maybe(timestamp())),
        ("opened_at", maybe(timestamp())),
        ("opened", count()),
        ("used_at", maybe(timestamp())),
        ("expired_at", maybe(timestamp())),
        ("superseded_at", maybe(timestamp())),
        ("revoked_at", maybe(timestamp())),
        ("delivery", thing("Delivery")),
    ])
}

fn deployment() -> Value {
    object([
        ("deployment_id", uuid()),
        ("user_id", uuid()),
        ("sent_to", maybe(text())),
        ("warnings", array(thing("Warning"))),
        ("status", word::<InvitationStatus>()),
        ("created_at", timestamp()),
        ("expires_at", timestamp()),
        ("deployed_at", maybe(timestamp())),
        ("used_at", maybe(timestamp())),
        ("refused_registrations", count()),
        ("expired_at", maybe(timestamp())),
        ("superseded_at", maybe(timestamp())),
        ("revoked_at", maybe(timestamp())),
        ("delivery", thing("Delivery")),
    ])
}

fn deployed() -> Value {
    object([
        ("user_id", uuid()),
        ("username", text()),
        ("profile_id", maybe(uuid())),
        ("profile", maybe(text())),
        ("first_name", maybe(text())),
        ("last_name", maybe(text())),
        ("number", maybe(text())),
        ("sip_user_name", maybe(text())),
        ("service_account", maybe(text())),
        ("email", maybe(text())),
        ("secrets", map(timestamp())),
        ("deployed_at", maybe(timestamp())),
        ("served_at", maybe(timestamp())),
        ("downloaded_at", maybe(timestamp())),
        ("removed_at", maybe(timestamp())),
        ("force_pending", flag()),
        ("deployment", maybe(thing("Deployment"))),
    ])
}

fn profile_listed() -> Value {
    object([
        ("profile_id", uuid()),
        ("name", text()),
        ("default", flag()),
        ("revision", count()),
        ("created_at", timestamp()),
        ("updated_at", timestamp()),
    ])
}

fn profile() -> Value {
    and(profile_listed(), [("settings", any_object()), ("schema", json!({"type": ["object", "boolean", "null"]}))])
}

fn source() -> Value {
    let upload = object([
        ("upload_id", uuid()),
        ("parts", array(count())),
        ("complete", flag()),
        ("started_at", timestamp()),
        ("job_id", maybe(uuid())),
    ]);
    let always = object([
        ("source_id", uuid()),
        ("name", text()),
        ("kind", word::<SourceKind>()),
        ("vanish_policy", word::<VanishPolicy>()),
        ("vanish_limit_percent", count()),
        ("job_id", maybe(uuid())),
        ("created_at", timestamp()),
        ("updated_at", timestamp()),
    ]);
    with(
        always,
        [
            ("mapping", map(text())),
            ("key_field", word::<KeyField>()),
            ("delimiter", word::<Delimiter>()),
            ("upload", maybe(upload)),
            ("url", text()),
            ("format", word::<Format>()),
            ("items", text()),
            ("token_set", flag()),
            ("every_hours", maybe(count())),
            ("renames_may_wipe", flag()),
            ("next_sync_at", maybe(timestamp())),
            ("set_by", maybe(thing("Maker"))),
            ("paused_at", maybe(timestamp())),
        ],
    )
}

fn tally() -> Value {
    object([("done", count()), ("changed", count()), ("unchanged", count()), ("failed", count())])
}

fn job() -> Value {
    let failure = object([("code", text()), ("detail", text())]);
    object([
        ("job_id", uuid()),
        ("kind", word::<JobKind>()),
        ("action", text()),
        ("parameters", any_object()),
        ("ids", maybe(array(text()))),
        ("filter", maybe(any_object())),
        ("dry_run", flag()),
        ("state", word::<JobState>()),
        ("created_at", timestamp()),
        ("created_by", thing("Maker")),
        ("ended_at", maybe(timestamp())),
        ("failure", maybe(failure)),
        ("waiting", maybe(object([("code", text()), ("until", timestamp())]))),
        ("progress", thing("Tally")),
    ])
}

fn job_done() -> Value {
    with(job(), [("items", array(thing("JobItem")))])
}

fn job_page() -> Value {
    and(job(), [("items", array(thing("JobItem"))), ("next_cursor", maybe(text()))])
}

fn job_item() -> Value {
    let always = object([
        ("id", text()),
        ("outcome", word::<ItemOutcome>()),
        ("code", maybe(text())),
        ("detail", maybe(text())),
        ("at", timestamp()),
    ]);
    with(
        always,
        [
            ("devices", array(uuid())),
            ("user_id", uuid()),
            ("change", word::<ItemChange>()),
            ("fields", array(text())),
            ("errors", array(thing("Fault"))),
            ("warnings", array(thing("Warning"))),
        ],
    )
}

fn dry_run() -> Value {
    object([
        ("job_id", json!({"type": "null"})),
        ("dry_run", flag()),
        ("progress", thing("Tally")),
        ("items", array(thing("JobItem"))),
    ])
}

fn event() -> Value {
    let private = with(
        object([]),
        [("address", text()), ("reason", text()), ("metadata", map(json!({"type": ["string", "boolean", "null"]})))],
    );
    let always = object([
        ("event_id", uuid()),
        ("workspace_id", uuid()),
        ("event_type", word::<EventType>()),
        ("created_at", timestamp()),
        ("actor", thing("Actor")),
        ("operation", text()),
        ("request_id", text()),
        ("private", private),
    ]);
    with(
        always,
        [
            ("device_id", uuid()),
            ("user_id", uuid()),
            ("invitation_id", uuid()),
            ("command_id", uuid()),
            ("command_kind", word::<CommandKind>()),
            ("job_id", uuid()),
            ("deployment_id", uuid()),
            ("profile_id", uuid()),
            ("source_id", uuid()),
            ("key_id", uuid()),
            ("member_id", uuid()),
            ("token_id", uuid()),
            ("actor_token_id", uuid()),
            ("webhook_id", uuid()),
            ("changes", map(object([("before", json!({})), ("after", json!({}))]))),
            ("changed_fields", array(text())),
        ],
    )
}

/// A key.
pub(crate) fn key() -> Value {
    object([
        ("key_id", uuid()),
        ("name", text()),
        ("short", text()),
        ("permissions", array(word::<Permission>())),
        ("status", word::<KeyStatus>()),
        ("created_at", timestamp()),
        ("created_by", thing("Maker")),
        ("expires_at", maybe(timestamp())),
        ("revoked_at", maybe(timestamp())),
        ("revoked_by", maybe(thing("Actor"))),
    ])
}

fn member() -> Value {
    object([
        ("member_id", uuid()),
        ("issuer", text()),
        ("subject", text()),
        ("name", maybe(text())),
        ("role", word::<Role>()),
        ("status", word::<MemberStatus>()),
        ("created_at", timestamp()),
        ("created_by", thing("Maker")),
        ("accepted_at", maybe(timestamp())),
    ])
}

fn membership() -> Value {
    object([
        ("workspace_id", uuid()),
        ("workspace_name", maybe(text())),
        ("member_id", uuid()),
        ("role", word::<Role>()),
        ("status", word::<MemberStatus>()),
        ("created_at", timestamp()),
        ("accepted_at", maybe(timestamp())),
    ])
}

fn member_removed() -> Value {
    and(member(), [("keys", array(thing("Key"))), ("webhooks", array(thing("Webhook")))])
}

/// A personal access token.
pub(crate) fn token() -> Value {
    object([
        ("token_id", uuid()),
        ("name", text()),
        ("short", text()),
        ("workspace_ids", array(uuid())),
        ("permissions", maybe(array(word::<Permission>()))),
        ("status", word::<TokenStatus>()),
        ("created_at", timestamp()),
        ("expires_at", timestamp()),
        ("revoked_at", maybe(timestamp())),
    ])
}

fn member_token() -> Value {
    object([
        ("token_id", uuid()),
        ("name", text()),
        ("short", text()),
        ("permissions", maybe(array(word::<Permission>()))),
        ("status", word::<TokenStatus>()),
        ("created_at", timestamp()),
        ("expires_at", timestamp()),
        ("revoked_at", maybe(timestamp())),
        ("revoked_by", maybe(thing("Actor"))),
    ])
}

/// A webhook.
pub(crate) fn webhook() -> Value {
    object([
        ("webhook_id", uuid()),
        ("url", text()),
        ("event_types", array(text())),
        ("description", maybe(text())),
        ("enabled", flag()),
        ("disabled", maybe(object([("at", timestamp()), ("reason", word::<SwitchedOff>())]))),
        ("failing_since", maybe(timestamp())),
        ("earlier_secret_until", maybe(timestamp())),
        ("created_at", timestamp()),
        ("created_by", thing("Maker")),
    ])
}

fn webhook_delivery() -> Value {
    let attempt = object([
        ("at", timestamp()),
        ("status", maybe(count())),
        ("error", maybe(text())),
        ("reply", maybe(text())),
        ("milliseconds", count()),
    ]);
    object([
        ("event_id", uuid()),
        ("webhook_id", uuid()),
        ("event_type", text()),
        ("state", word::<WebhookDeliveryState>()),
        ("attempts", count()),
        ("redeliveries", count()),
        ("last_attempt", maybe(attempt)),
        ("created_at", timestamp()),
        ("next_at", maybe(timestamp())),
    ])
}

fn workspace() -> Value {
    let rule = object([("after_days", count()), ("action", word::<SilentAction>())]);
    let versions = object([("app", maybe(text())), ("ios", maybe(text())), ("android", maybe(text()))]);
    object([
        ("workspace_id", uuid()),
        ("name", text()),
        ("sandbox", flag()),
        ("created_at", timestamp()),
        ("retention_days", count()),
        ("invitation_days", count()),
        ("sender", maybe(text())),
        ("sms_sender", maybe(text())),
        ("emails_per_day", count()),
        ("texts_per_day", count()),
        ("silent_devices", maybe(rule)),
        ("silent_rule", maybe(object([("set_by", maybe(thing("Maker"))), ("paused_at", maybe(timestamp()))]))),
        ("pin_limit", count()),
        ("service_levels", array(text())),
        ("minimum_versions", versions),
    ])
}

fn workspace_tried() -> Value {
    let preview = object([("devices", array(thing("DeviceSeen"))), ("more", flag())]);
    and(workspace(), [("preview", preview)])
}

fn fault() -> Value {
    object([("field", text()), ("code", text()), ("detail", text())])
}

fn problem() -> Value {
    let held = object([
        ("device_id", uuid()),
        ("display_name", text()),
        ("model_name", text()),
        ("platform", word::<Platform>()),
        ("created_at", timestamp()),
        ("last_login_at", maybe(timestamp())),
    ]);
    let always = object([
        ("type", text()),
        ("title", text()),
        ("status", json!({"type": "integer", "minimum": 400, "maximum": 599})),
        ("code", text()),
        ("detail", text()),
        ("request_id", text()),
    ]);
    with(
        always,
        [
            ("errors", array(thing("Fault"))),
            ("devices", array(held)),
            ("id", text()),
            ("state", text()),
            ("invitation_status", word::<InvitationStatus>()),
            ("permission", word::<Permission>()),
            ("permissions", array(word::<Permission>())),
            ("retry_at", timestamp()),
        ],
    )
}

/// What a device is told at check-in.
pub(crate) fn checked_in() -> Value {
    let command = object([("command_id", uuid()), ("kind", word::<CommandKind>()), ("expires_at", timestamp())]);
    object([("access", word::<DeviceAccess>()), ("commands", array(command)), ("download_config", flag())])
}

/// A command, as its device is told of it.
pub(crate) fn own_command() -> Value {
    object([
        ("command_id", uuid()),
        ("kind", word::<CommandKind>()),
        ("state", word::<CommandState>()),
        ("late", flag()),
        ("expires_at", timestamp()),
    ])
}
