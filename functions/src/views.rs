//! How things are shown.

use domain::device::{Device, Metadata};
use domain::event::Event;
use domain::invitation::Invitation;
use domain::key::Key;
use domain::member::Member;
use domain::user::User;
use domain::{Time, UserId};
use serde_json::{Value, json};

/// A device, as the administration view shows it.
pub(crate) fn device(device: &Device, user_name: Option<&str>, now: Time) -> Value {
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
        "blocked": device.blocked.as_ref().map(|blocked| json!({
            "at": blocked.at,
            "by": blocked.by,
            "reason": blocked.reason,
        })),
        "push": {
            "in_use": device.push.reason.in_use(),
            "since": device.push.since,
            "reason": device.push.reason,
        },
        "deleted_at": device.deleted.as_ref().map(|deleted| deleted.at),
        "purge_after": device.deleted.as_ref().map(|deleted| deleted.purge_after),
    })
}

/// A device with its custom metadata.
pub(crate) fn device_with_metadata(
    shown: &Device,
    metadata: Option<&Metadata>,
    user_name: Option<&str>,
    now: Time,
) -> Value {
    let mut view = device(shown, user_name, now);
    view["custom_metadata"] = metadata.map_or_else(|| json!({}), |metadata| json!(metadata.values));
    view
}

/// A user.
pub(crate) fn user(user: &User) -> Value {
    json!({
        "user_id": user.user_id,
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "name": user.name(),
        "email": user.email,
        "mobile": user.mobile,
        "number": user.number,
        "status": user.status(),
        "created_at": user.created_at,
        "registered_at": user.registered_at,
        "last_seen_at": user.last_seen_at,
        "device_count": user.device_ids.len(),
    })
}

/// An invitation: never its code.
pub(crate) fn invitation(invitation: &Invitation, now: Time) -> Value {
    json!({
        "invitation_id": invitation.invitation_id,
        "user_id": invitation.user_id,
        "channel": invitation.channel,
        "devices": invitation.devices,
        "used": invitation.used,
        "status": invitation.status(now),
        "created_at": invitation.created_at,
        "expires_at": invitation.expires_at,
        "opened_at": invitation.opened_at,
        "opened": invitation.opened,
        "used_at": invitation.used_at,
        "superseded_at": invitation.superseded_at,
        "delivery": {
            "state": invitation.delivery.state,
            "at": invitation.delivery.at,
            "reason": invitation.delivery.reason,
        },
    })
}

/// An event as the audit shows it, its private part included.
pub(crate) fn event(event: &Event) -> Value {
    json!(event)
}

/// A key: never its secret.
pub(crate) fn key(key: &Key, now: Time) -> Value {
    let status = match (&key.revoked, key.expires_at) {
        (Some(_), _) => "revoked",
        (None, Some(expires_at)) if expires_at <= now => "expired",
        _ => "active",
    };
    json!({
        "key_id": key.key_id,
        "name": key.name,
        "short": key.short,
        "permissions": key.permissions,
        "status": status,
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked.as_ref().map(|revoked| revoked.at),
        "revoked_by": key.revoked.as_ref().map(|revoked| revoked.by),
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
        "created_at": member.created_at,
        "created_by": member.created_by,
    })
}

/// The name to show for a device's user.
pub(crate) fn name_of(users: &[User], id: UserId) -> Option<String> {
    users.iter().find(|user| user.user_id == id).map(User::name)
}
