//! How things are shown.

use aws::DeviceDetails;
use domain::models::command::{Command, OpenCommand};
use domain::models::credential::Service;
use domain::models::device::{Device, DeviceAttachments};
use domain::models::event::Event;
use domain::models::invitation::{Channel, Delivery as Sending, Invitation};
use domain::models::job::{Job, JobItem, Selection, Tally};
use domain::models::key::{Key, Makers};
use domain::models::member::Member;
use domain::models::network::{Network, indicator, tooltip};
use domain::models::profile::Profile;
use domain::models::push::Push;
use domain::models::restriction::Restriction;
use domain::models::source::{DataSource, SourceKind};
use domain::models::token::Token;
use domain::models::usage::{Counts, Usage, UsageKind};
use domain::models::user::User;
use domain::models::webhook::{Delivery, Webhook};
use domain::models::workspace::{DEFAULT_PIN_LIMIT, Settings, Workspace};
use domain::rules::health::health;
use domain::rules::networks::user_indicator;
use domain::{CredentialId, Time, UserId, WorkspaceId};
use serde_json::{Value, json};

use crate::settings::Defaults;

/// A device, as the administration view shows it.
pub(crate) fn device(device: &Device, user_name: Option<&str>, now: Time) -> Value {
    let push = Push::shown(device);
    json!({
        "device_id": device.device_id,
        "user_id": device.user_id,
        "user_name": user_name,
        "device_identifier": device.device_identifier,
        "platform": device.platform,
        "push_endpoint": device.push_endpoint,
        "model_name": device.model_name,
        "nickname": device.nickname,
        "display_name": device.display_name(),
        "os_version": device.os_version,
        "app_version": device.app_version,
        "device_status": device.device_status(now),
        "status": device.status(),
        "created_at": device.created_at,
        "last_login_at": device.last_login_at,
        "blocked": device.blocked.as_ref().map(hold),
        "commands": device.pending_commands(now).map(open_command).collect::<Vec<_>>(),
        "unconfirmed_wipe": device.unconfirmed_wipe().map(|wipe| {
            json!({"command_id": wipe.command_id, "state": wipe.state, "since": wipe.at})
        }),
        "erased_at": device.erased.as_ref().map(|erased| erased.at),
        "pin_failures": device.pin_failures,
        "push": {
            "in_use": push.reason.in_use(),
            "since": push.since,
            "reason": push.reason,
        },
        "deleted_at": device.deleted.as_ref().map(|deleted| deleted.at),
        "purge_after": device.deleted.as_ref().map(|deleted| deleted.purge_after),
    })
}

/// A device with all that belongs to it.
pub(crate) fn device_details(whole: &DeviceDetails, now: Time) -> Value {
    let name = whole.user.as_ref().map(User::name);
    let settings = whole.settings();
    device_with(&whole.device, whole.attachments.as_ref(), name.as_deref(), &settings, now)
}

/// A device with what is wrong with it, in a workspace with these settings.
pub(crate) fn device_with_health(
    shown: &Device,
    attachments: Option<&DeviceAttachments>,
    user_name: Option<&str>,
    settings: &Settings,
    now: Time,
) -> Value {
    let mut view = device(shown, user_name, now);
    let health = health(shown, attachments, settings, now);
    view["errors"] = json!(health.errors);
    view["warnings"] = json!(health.warnings);
    view
}

/// A device with what else is known of it, in a workspace with these settings.
pub(crate) fn device_with(
    shown: &Device,
    attachments: Option<&DeviceAttachments>,
    user_name: Option<&str>,
    settings: &Settings,
    now: Time,
) -> Value {
    let mut view = device_with_health(shown, attachments, user_name, settings, now);
    view["custom_metadata"] = attachments.map_or_else(|| json!({}), |known| json!(known.metadata));
    // What was issued to a phone ends with it.
    let issued = attachments.filter(|_| shown.deleted.is_none());
    view["acs_credentials"] = issued.into_iter().flat_map(|issued| &issued.credentials).map(credential).collect();
    let services = issued.into_iter().flat_map(|issued| &issued.services);
    view["credential_services"] = services.map(|(kind, known)| (kind.to_string(), service(known))).collect();
    view
}

fn credential((id, at): (&CredentialId, &Time)) -> Value {
    json!({"acs_credential_id": id, "issued_at": at})
}

fn service(service: &Service) -> Value {
    let endpoint = |(id, active): (&String, &bool)| json!({"endpoint_id": id, "is_active": active});
    json!({
        "has_active_endpoint": service.is_active(),
        "endpoints": service.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "problem": service.problem.as_ref().map(|problem| json!({"message": problem.message, "since": problem.since})),
    })
}

/// A block, a suspension or a lock.
fn hold(hold: &Restriction) -> Value {
    json!({"at": hold.at, "by": hold.by, "reason": hold.reason})
}

/// A command that a device still has to do.
fn open_command(open: &OpenCommand) -> Value {
    json!({
        "command_id": open.command_id,
        "kind": open.kind,
        "state": open.state,
        "queued_at": open.queued_at,
        "expires_at": open.expires_at,
        "again_at": open.again_at,
    })
}

/// A command with its history.
pub(crate) fn command(command: &Command) -> Value {
    json!({
        "command_id": command.command_id,
        "device_id": command.device_id,
        "user_id": command.user_id,
        "kind": command.kind,
        "state": command.state,
        "late": command.late,
        "queued_at": command.queued_at,
        "queued_by": command.queued_by,
        "reason": command.reason,
        "expires_at": command.expires_at,
        "again_at": command.again_at,
        "deferrals": command.deferrals,
        "detail": command.detail,
        "history": command.history,
    })
}

/// A command as its device is told of it.
pub(crate) fn own_command(command: &Command) -> Value {
    json!({
        "command_id": command.command_id,
        "kind": command.kind,
        "state": command.state,
        "late": command.late,
        "expires_at": command.expires_at,
    })
}

/// A user, who holds these devices, has left those behind, and whose own profile is called so.
pub(crate) fn user(user: &User, devices: &[Device], left: &[Device], profile: Option<&str>, now: Time) -> Value {
    // The devices know of their logins at once; the user's own row follows.
    let seen = devices.iter().filter_map(|device| device.last_login_at).chain(user.last_seen_at).max();
    let newest = devices.iter().filter(|device| device.app_version.is_some()).max_by_key(|d| d.last_login_at);
    let known = || devices.iter().chain(left);
    let networks = user.networks.iter().map(|(provider, known)| network(provider, known, now));
    json!({
        "user_id": user.user_id,
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "name": user.name(),
        "email": user.email,
        "mobile": user.mobile,
        "number": user.number,
        "user_identity_key": user.user_identity_key,
        "status": user.status(),
        "source": user.source,
        "service_level": user.service_level,
        "profile": profile,
        "profile_id": user.client.profile_id,
        "sip_user_name": user.client.sip_user_name,
        "service_account": user.client.service_account,
        "source_id": user.provenance.source_id,
        "external_id": user.provenance.external_id,
        "source_username": user.provenance.source_username,
        "by_hand": user.provenance.by_hand,
        "vanished_at": user.provenance.vanished_at,
        "created_at": user.created_at,
        "registered_at": user.registered_at,
        "last_seen_at": seen,
        "app_version": newest.and_then(|device| device.app_version.as_deref()),
        "networks": networks.collect::<Vec<_>>(),
        "network_indicator": user_indicator(user, now),
        "suspended": user.suspension().map(hold),
        "suspended_by_source": user.suspended_by_source.as_ref().map(hold),
        "locked": user.locked.as_ref().map(hold),
        "pending_command": known().any(|device| device.has_pending_command(now)),
        "unconfirmed_wipe": known().any(|device| device.unconfirmed_wipe().is_some()),
        "device_count": user.device_ids.len(),
        "deleted_at": user.deleted.as_ref().map(|deleted| deleted.at),
        "purge_after": user.deleted.as_ref().map(|deleted| deleted.purge_after),
    })
}

/// The same, with what was used this month.
pub(crate) fn user_with_usage(
    shown: &User,
    devices: &[Device],
    left: &[Device],
    profile: Option<&str>,
    used: Option<&Usage>,
    now: Time,
) -> Value {
    let mut view = user(shown, devices, left, profile, now);
    view["usage"] = used.map_or_else(|| counts(&Counts::new()), |used| counts(&used.counts));
    view
}

/// A network, with its light.
pub(crate) fn network(provider: &str, network: &Network, now: Time) -> Value {
    json!({
        "provider": provider,
        "status": network.status,
        "status_at": network.status_at,
        "reason": network.reason,
        "mdn_provisioning": network.mdn_provisioning,
        "last_seen_at": network.last_seen_at,
        "last_archived_at": network.last_archived_at,
        "indicator": indicator(provider, network, now),
        "tooltip": tooltip(provider, network, now),
    })
}

/// Counts, each kind of them.
pub(crate) fn counts(counts: &Counts) -> Value {
    let count = |kind: &UsageKind| (kind.as_str().to_owned(), json!(counts.get(kind).copied().unwrap_or(0)));
    Value::Object(UsageKind::ALL.iter().map(count).collect())
}

/// A workspace, with what holds in it.
pub(crate) fn workspace(workspace: &Workspace, defaults: &Defaults) -> Value {
    let settings = &workspace.settings;
    json!({
        "workspace_id": workspace.workspace_id,
        "name": workspace.name,
        "sandbox": workspace.sandbox,
        "created_at": workspace.created_at,
        "retention_days": settings.retention(defaults.retention).num_days(),
        "invitation_days": settings.invitation_lifetime(defaults.invitation_lifetime).num_days(),
        "sender": settings.sender.as_ref().or(defaults.sender.as_ref()),
        "sms_sender": settings.sms_sender,
        "emails_per_day": defaults.messages.per_day(Channel::Email, settings),
        "texts_per_day": defaults.messages.per_day(Channel::Sms, settings),
        "silent_devices": settings.silent_devices,
        "silent_rule": settings.silent_devices.as_ref().map(|_| json!({
            "set_by": workspace.silent_rule_by,
            "paused_at": workspace.silent_rule_paused_at,
        })),
        "pin_limit": settings.pin_limit.unwrap_or(DEFAULT_PIN_LIMIT),
        "service_levels": settings.service_levels,
        "minimum_versions": {
            "app": settings.minimum_versions.app,
            "ios": settings.minimum_versions.ios,
            "android": settings.minimum_versions.android,
        },
    })
}

/// A job: its action by name, with what belongs to it.
pub(crate) fn job(job: &Job) -> Value {
    let mut parameters = job.action.as_object().cloned().unwrap_or_default();
    let action = parameters.remove("action");
    // What kind of command an action orders follows from its name.
    parameters.remove("kind");
    let (ids, filter) = match &job.selection {
        Selection::Ids(ids) => (Some(ids), None),
        Selection::Filter(filter) => (None, Some(filter)),
    };
    json!({
        "job_id": job.job_id,
        "kind": job.kind,
        "action": action,
        "parameters": parameters,
        "ids": ids,
        "filter": filter,
        "dry_run": job.dry_run,
        "state": job.state,
        "created_at": job.created_at,
        "created_by": job.maker(),
        "ended_at": job.ended_at,
        "failure": job.failure,
        "waiting": job.rest,
        "progress": tally(job.tally),
    })
}

/// How many things came out how.
pub(crate) fn tally(tally: Tally) -> Value {
    json!({
        "done": tally.total(),
        "changed": tally.changed,
        "unchanged": tally.unchanged,
        "failed": tally.failed,
    })
}

/// What became of one of a job's things.
pub(crate) fn job_item(item: &JobItem) -> Value {
    let mut view =
        json!({"id": item.id, "outcome": item.outcome, "code": item.code, "detail": item.detail, "at": item.at});
    if !item.devices.is_empty() {
        view["devices"] = json!(item.devices);
    }
    // A row of a source.
    if let Some(user_id) = item.user_id {
        view["user_id"] = json!(user_id);
    }
    if let Some(change) = item.change {
        view["change"] = json!(change);
        view["fields"] = json!(item.fields);
    }
    if !item.faults.is_empty() {
        view["errors"] = json!(item.faults);
    }
    if !item.warnings.is_empty() {
        view["warnings"] = json!(item.warnings);
    }
    view
}

/// A source: never its token, only whether one is set, and never its URL's query.
pub(crate) fn source(source: &DataSource) -> Value {
    let upload = source.upload.as_ref().map(|upload| {
        json!({
            "upload_id": upload.upload_id,
            "parts": upload.parts,
            "complete": upload.is_whole(),
            "started_at": upload.started_at,
            "job_id": upload.job_id,
        })
    });
    let mut view = json!({
        "source_id": source.source_id,
        "name": source.name,
        "kind": source.kind,
        "vanish_policy": source.policy,
        "vanish_limit_percent": source.vanish_limit_percent,
        "job_id": source.job_id,
        "created_at": source.created_at,
        "updated_at": source.updated_at,
    });
    if source.kind != SourceKind::Scim {
        view["mapping"] = json!(source.mapping);
        view["key_field"] = json!(source.key);
        view["delimiter"] = json!(source.delimiter);
        view["upload"] = json!(upload);
    }
    if let Some(page) = &source.page {
        view["url"] = json!(page.shown_url());
        view["format"] = json!(page.format);
        view["items"] = json!(page.items);
        view["token_set"] = json!(page.token_set);
        view["every_hours"] = json!(page.every_hours);
        view["renames_may_wipe"] = json!(source.renames_may_wipe);
        view["next_sync_at"] = json!(source.due_at);
        view["set_by"] = json!(source.set_by);
        view["paused_at"] = json!(source.paused_at);
    }
    view
}

/// An invitation: never its code.
pub(crate) fn invitation(invitation: &Invitation, now: Time) -> Value {
    json!({
        "invitation_id": invitation.invitation_id,
        "user_id": invitation.user_id,
        "channel": invitation.channel,
        "sent_to": invitation.sent_to,
        "warnings": invitation.warnings(),
        "devices": invitation.devices,
        "used": invitation.used,
        "refused_registrations": invitation.refused_registrations,
        "status": invitation.status(now),
        "created_at": invitation.created_at,
        "expires_at": invitation.expires_at,
        "sent_at": invitation.sent_at,
        "opened_at": invitation.opened_at,
        "opened": invitation.opened,
        "used_at": invitation.used_at,
        "expired_at": invitation.expired_at,
        "superseded_at": invitation.superseded_at,
        "revoked_at": invitation.revoked_at,
        "delivery": sending(&invitation.delivery_at(now)),
    })
}

/// A deployment: never its code.
pub(crate) fn deployment(deployment: &Invitation, now: Time) -> Value {
    json!({
        "deployment_id": deployment.invitation_id,
        "user_id": deployment.user_id,
        "sent_to": deployment.sent_to,
        "warnings": deployment.warnings(),
        "status": deployment.status(now),
        "created_at": deployment.created_at,
        "expires_at": deployment.expires_at,
        "deployed_at": deployment.sent_at,
        "used_at": deployment.used_at,
        "refused_registrations": deployment.refused_registrations,
        "expired_at": deployment.expired_at,
        "superseded_at": deployment.superseded_at,
        "revoked_at": deployment.revoked_at,
        "delivery": sending(&deployment.delivery_at(now)),
    })
}

/// An event as the audit shows it, its private part included.
pub(crate) fn event(event: &Event) -> Value {
    json!(event)
}

/// A key, as it stands with the keys that it came from: never its secret.
pub(crate) fn key(key: &Key, makers: &Makers, now: Time) -> Value {
    let revoked = key.revoked_with(makers);
    json!({
        "key_id": key.key_id,
        "name": key.name,
        "short": key.short,
        "permissions": key.permissions,
        "status": key.status(makers, now),
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "revoked_at": revoked.map(|revoked| revoked.at),
        "revoked_by": revoked.map(|revoked| revoked.by),
    })
}

/// A personal access token, as its person sees it: never its secret.
pub(crate) fn token(token: &Token, now: Time) -> Value {
    json!({
        "token_id": token.token_id,
        "name": token.name,
        "short": token.short,
        "workspace_ids": token.workspace_ids.iter().filter(|id| token.opens(**id)).collect::<Vec<_>>(),
        "permissions": token.permissions,
        "status": token.status(now),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
    })
}

/// A member's personal access token, as those see it who manage a workspace: of other workspaces it tells nothing.
pub(crate) fn member_token(token: &Token, workspace: WorkspaceId, now: Time) -> Value {
    let shut_out = token.shut_out_of(workspace);
    json!({
        "token_id": token.token_id,
        "name": token.name,
        "short": token.short,
        "permissions": token.permissions,
        "status": token.status_in(workspace, now),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "revoked_at": shut_out.map(|end| end.at).or(token.revoked_at),
        "revoked_by": shut_out.map(|end| end.by),
    })
}

/// A member.
pub(crate) fn member(member: &Member) -> Value {
    json!({
        "member_id": member.member_id,
        "issuer": member.issuer,
        "subject": member.subject,
        "name": member.name,
        "role": member.role,
        "status": member.status(),
        "created_at": member.created_at,
        "created_by": member.created_by,
        "accepted_at": member.accepted_at,
    })
}

/// A membership, as its person sees it.
pub(crate) fn membership(member: &Member, workspace: Option<&Workspace>) -> Value {
    json!({
        "workspace_id": member.workspace_id,
        "workspace_name": workspace.map(|workspace| &workspace.name),
        "member_id": member.member_id,
        "role": member.role,
        "status": member.status(),
        "created_at": member.created_at,
        "accepted_at": member.accepted_at,
    })
}

/// A profile, with its settings and its schema.
pub(crate) fn profile(profile: &Profile, workspace: &Workspace) -> Value {
    let mut view = listed_profile(profile, workspace);
    view["settings"] = json!(profile.settings);
    view["schema"] = json!(profile.schema);
    view
}

/// A profile, as a list shows it.
pub(crate) fn listed_profile(profile: &Profile, workspace: &Workspace) -> Value {
    json!({
        "profile_id": profile.profile_id,
        "name": profile.name,
        "default": workspace.default_profile_id == Some(profile.profile_id),
        "revision": profile.revision,
        "created_at": profile.created_at,
        "updated_at": profile.updated_at,
    })
}

/// The name to show for a device's user.
pub(crate) fn name_of(users: &[User], id: UserId) -> Option<String> {
    users.iter().find(|user| user.user_id == id).map(User::name)
}

/// A webhook, without what signs its calls.
pub(crate) fn webhook(webhook: &Webhook) -> Value {
    json!({
        "webhook_id": webhook.webhook_id,
        "url": webhook.url,
        "event_types": webhook.event_types,
        "description": webhook.description,
        "enabled": webhook.disabled.is_none(),
        "disabled": webhook.disabled,
        "failing_since": webhook.failing_since,
        "earlier_secret_until": webhook.earlier_secret_until,
        "created_at": webhook.created_at,
        "created_by": webhook.created_by,
    })
}

/// What became of the message of an invitation or a deployment.
fn sending(delivery: &Sending) -> Value {
    json!({"state": delivery.state, "at": delivery.at, "reason": delivery.reason})
}

/// What became of the delivery of an event to a webhook.
pub(crate) fn delivery(delivery: &Delivery) -> Value {
    let attempt = delivery.last_attempt.as_ref().map(|attempt| {
        json!({
            "at": attempt.at,
            "status": attempt.status,
            "error": attempt.error,
            "reply": attempt.reply,
            "milliseconds": attempt.milliseconds,
        })
    });
    json!({
        "event_id": delivery.event_id,
        "webhook_id": delivery.webhook_id,
        "event_type": delivery.event_type,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "redeliveries": delivery.redeliveries,
        "last_attempt": attempt,
        "created_at": delivery.created_at,
        "next_at": delivery.next_at,
    })
}
