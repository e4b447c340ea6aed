//! Client deployment: delivering each user's configuration to their devices.
//!
//! A *deployment* is an invitation whose purpose is the configuration ([`Purpose::Deploy`]): its link and QR code
//! register or re-enrol one device, which then downloads. A device that is already registered only downloads. The
//! *configuration* consists of the profile's settings, overridden by the user's account data, overridden by the user's
//! own settings. Only a registered device with access gets it, by its credential, if a deployment's code enrolled it,
//! or if its user was deployed to or told to fetch it since ([`Device::may_have_config`]): a caller who may only invite
//! cannot obtain secrets.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::error::DomainError;
use crate::ids::ProfileId;
use crate::input::{FieldError, Fields};
use crate::models::client_account::{ClientAccount, SecretKind, UserSecrets};
use crate::models::device::{CONFIG_VERSION, Device, DeviceAccess};
use crate::models::event::{Event, EventType};
use crate::models::offer::{NewOffer, Offer, Purpose};
use crate::models::profile::Profile;
use crate::models::profile::schema::check;
use crate::models::user::User;
use crate::rules::change::{ChangeSet, RowChange, SecretChanges};
use crate::rules::context::EventContext;
use crate::rules::offers::{create_offer, revoke_open};
use crate::secret::Hash;

/// Starts a deployment for a user: see [`create_offer`]. A user who was removed from client deployment is in it again,
/// and their `devices` may fetch the configuration.
///
/// # Errors
/// Those of [`create_offer`].
pub fn deploy(
    user: &User,
    devices: &[Device],
    previous: Option<&Offer>,
    new: NewOffer,
    profile: Option<ProfileId>,
    context: &EventContext,
) -> Result<ChangeSet, DomainError> {
    let mut wanted = user.clone();
    wanted.clear_due_deployment();
    wanted.client.removed_at = None;
    wanted.client.profile_id = profile.or(user.client.profile_id);
    let mut change = create_offer(&wanted, previous, new, context)?;
    if let Some(invited) = &mut change.user {
        invited.before = Some(user.clone());
    }
    let shown = |id: Option<ProfileId>| id.map(String::from);
    change.events[0].add_change("profile_id", shown(user.client.profile_id), shown(wanted.client.profile_id));
    for device in devices.iter().filter(|device| device.erased.is_none() && !device.may_have_config()) {
        change.devices.push(RowChange::from(device.clone(), device.clone().with_config_offered()));
    }
    Ok(change)
}

/// The offer that follows a rename: for a user who has a device, or had a deployment, and who can use the app and be
/// reached by e-mail. It is a deployment if the user was renamed by somebody who may deploy, or if the address is still
/// the one that `previous`, the newest deployment, was created for. Otherwise it is an invitation, which brings the
/// devices back without secrets: changing first the address and then the username must not give access to them.
#[must_use]
pub fn follows_rename(user: &User, previous: Option<&Offer>) -> Option<Purpose> {
    let known = !user.device_ids.is_empty() || user.client.deployment_id.is_some();
    let reached = user.client.removed_at.is_none() && user.require_app_access().is_ok() && user.email.is_some();
    if !known || !reached {
        return None;
    }
    let same_address = |previous: &Offer| user.email_changed_at.is_none_or(|changed| changed <= previous.created_at);
    let deploys = user.due_by_deployer || previous.is_some_and(same_address);
    Some(if deploys { Purpose::Deploy } else { Purpose::Invite })
}

/// Orders all of a user's devices to download the configuration at their next check-in and to install it, even if it is
/// unchanged. `None` if every device already has such an order, or there is none.
///
/// # Errors
/// `UserDeleted`; `NotDeployed`.
pub fn force(user: &User, devices: &[Device], context: &EventContext) -> Result<Option<ChangeSet>, DomainError> {
    user.require_not_deleted()?;
    require_in(user)?;
    let mut change = ChangeSet::with_event(context.event(EventType::UserConfigForced).with_user(user.user_id));
    for device in devices.iter().filter(|device| device.erased.is_none() && !device.must_fetch()) {
        change.devices.push(RowChange::from(device.clone(), device.clone().with_download_ordered()));
    }
    if change.devices.is_empty() {
        return Ok(None);
    }
    change.events[0].add_change("devices", Value::Null, change.devices.len());
    change.user = Some(RowChange::from(user.clone(), user.clone()));
    Ok(Some(change))
}

/// True if one of a user's devices has a configuration installed, so that forcing is enough.
#[must_use]
pub fn has_downloaded(devices: &[Device]) -> bool {
    devices.iter().any(|device| device.erased.is_none() && device.config.is_some())
}

/// What a deployment to many users does for one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoDeployment {
    /// Nothing: the user is deleted, or was removed from client deployment.
    StayOut,
    /// They have downloaded a configuration, and must do so again: see [`force`].
    Force,
    /// They get a new deployment: see [`deploy`].
    Deploy,
}

/// What a deployment to many users does for a user with these devices.
#[must_use]
pub fn auto_deployment(user: &User, devices: &[Device]) -> AutoDeployment {
    if user.client.removed_at.is_some() || user.deleted.is_some() {
        AutoDeployment::StayOut
    } else if has_downloaded(devices) {
        AutoDeployment::Force
    } else {
        AutoDeployment::Deploy
    }
}

/// Removes a user from client deployment, until the next deployment: an open link is revoked, the secrets are deleted,
/// and no device gets a configuration. The user and their devices stay. `None` if nothing changes.
///
/// # Errors
/// `UserDeleted`.
pub fn remove(
    user: &User,
    devices: &[Device],
    open: Option<&Offer>,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    user.require_not_deleted()?;
    let removed_at = user.client.removed_at.or(Some(context.at));
    let client = ClientAccount { removed_at, ..ClientAccount::default() };
    // Data that was set since an earlier removal is deleted too.
    if client == user.client {
        return Ok(None);
    }
    let mut event = context.event(EventType::UserUndeployed).with_user(user.user_id);
    event.add_change("profile_id", user.client.profile_id.map(String::from), Value::Null);
    let personal = [
        ("sip_user_name", user.client.sip_user_name.is_some()),
        ("service_account", user.client.service_account.is_some()),
        ("overrides", !user.client.overrides.is_empty()),
    ];
    let secrets = user.client.secrets.keys().map(|kind| (kind.as_str(), true));
    for (name, _) in personal.into_iter().chain(secrets).filter(|(_, set)| *set) {
        event.add_changed_field(name);
    }
    let after = User { client, ..user.clone() };
    let mut change = ChangeSet::with_event(event);
    change.user = Some(RowChange::from(user.clone(), after));
    for device in devices.iter().filter(|device| device.served.is_some()) {
        let without_config = Device { served: None, ..device.clone() };
        change.devices.push(RowChange::from(device.clone(), without_config));
    }
    revoke_open(&mut change, open, context);
    Ok(Some(change))
}

/// Checks that the user is in client deployment.
fn require_in(user: &User) -> Result<(), DomainError> {
    if user.client.removed_at.is_some() { Err(DomainError::NotDeployed) } else { Ok(()) }
}

/// An edit of a user's secrets: each is set, or removed (`None`).
pub type SecretsEdit = BTreeMap<SecretKind, Option<String>>;

/// Reads an edit of secrets: `null` removes one; those left out stay.
///
/// # Errors
/// `Invalid`, with every field error.
pub fn read_secrets(mut fields: Fields) -> Result<SecretsEdit, DomainError> {
    let mut edit = SecretsEdit::new();
    for kind in SecretKind::ALL {
        if let Some(secret) = fields.text_edit(kind.as_str(), kind.rule()) {
            edit.insert(*kind, secret);
        }
    }
    let pin = edit.get(&SecretKind::VoicemailPin).and_then(Option::as_deref);
    if pin.is_some_and(|pin| !pin.bytes().all(|byte| byte.is_ascii_digit())) {
        fields.add_error("voicemail_pin", "invalid_format", "may contain only digits");
    }
    fields.deny_unknown();
    fields.finish().map_err(DomainError::Invalid)?;
    if edit.is_empty() {
        return Err(DomainError::field("", "missing", "give at least one secret"));
    }
    Ok(edit)
}

/// Sets a user's secrets; the user's row only records when each was set. Removing a secret that is not set changes
/// nothing.
///
/// # Errors
/// `UserDeleted`.
pub fn set_secrets(user: &User, edit: &SecretsEdit, context: &EventContext) -> Result<Option<ChangeSet>, DomainError> {
    user.require_not_deleted()?;
    let mut after = user.clone();
    let mut event = context.event(EventType::UserSecretsSet).with_user(user.user_id);
    let has = |kind: &SecretKind| user.client.secrets.contains_key(kind);
    for (kind, secret) in edit.iter().filter(|(kind, secret)| secret.is_some() || has(kind)) {
        event.add_changed_field(kind.as_str());
        match secret {
            Some(_) => after.client.secrets.insert(*kind, context.at),
            None => after.client.secrets.remove(kind),
        };
    }
    if event.changed_fields.is_empty() {
        return Ok(None);
    }
    Ok(Some(ChangeSet {
        user: Some(RowChange::from(user.clone(), after)),
        secrets: SecretChanges { of_user: edit.clone(), ..SecretChanges::default() },
        ..ChangeSet::with_event(event)
    }))
}

/// The configuration of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// Identifies the configuration: a hash of all settings that are not secret, of the times when secrets were set,
    /// and of the user's salt. It reveals no secret.
    pub version: String,
    /// The salt, which is stored with the user: see [`ClientAccount::config_salt`].
    pub salt: String,
    /// The settings.
    pub settings: Value,
}

/// A user's configuration: the profile's settings; over them, as `account`, the user's data and secrets; over both, the
/// user's own settings. Objects are merged name by name. `new_salt` becomes the user's salt if they have none.
#[must_use]
pub fn configuration(user: &User, profile: Option<&Profile>, secrets: &UserSecrets, new_salt: String) -> Configuration {
    let salt = user.client.config_salt.clone().unwrap_or(new_salt);
    let merged = |secrets: &UserSecrets| {
        let mut settings = profile.map_or_else(|| json!({}), |profile| json!(profile.settings));
        merge(&mut settings, &json!({"account": account(user)}));
        merge(&mut settings, &json!({"account": secrets}));
        merge(&mut settings, &Value::Object(user.client.overrides.clone()));
        settings
    };
    // The version covers when each secret was set, not its value: the PIN could be found from a hash of it.
    let profile_id = profile.map(|profile| profile.profile_id);
    let known = json!([salt, profile_id, merged(&UserSecrets::new()), user.client.secrets]);
    let version = Hash::of(canonical(&known)).as_str()[..CONFIG_VERSION.max].to_owned();
    Configuration { version, salt, settings: merged(secrets) }
}

/// Checks that the user's own settings, merged over the profile's, satisfy the profile's schema.
///
/// # Errors
/// `Invalid`, with every field error, under `overrides`.
pub fn require_fitting(user: &User, profile: &Profile) -> Result<(), DomainError> {
    let Some(schema) = profile.schema.as_ref().filter(|_| !user.client.overrides.is_empty()) else {
        return Ok(());
    };
    let mut settings = json!(profile.settings);
    merge(&mut settings, &Value::Object(user.client.overrides.clone()));
    let settings = settings.as_object().cloned().unwrap_or_default();
    let within = |fault: FieldError| FieldError { field: fault.field.replacen("settings", "overrides", 1), ..fault };
    let faults: Vec<FieldError> = check(&settings, schema).into_iter().map(within).collect();
    if faults.is_empty() { Ok(()) } else { Err(DomainError::Invalid(faults)) }
}

/// The user's data in the configuration.
fn account(user: &User) -> Value {
    let mut account = json!({
        "username": user.username,
        "name": user.name(),
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "number": user.number,
        "sip_user_name": user.client.sip_user_name,
        "service_account": user.client.service_account,
    });
    if let Some(fields) = account.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    account
}

/// Merges settings over others: objects name by name, anything else is replaced.
fn merge(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                merge(under.entry(name).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

/// JSON with sorted names, so that equal values have the same text.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, String> =
                fields.iter().map(|(name, value)| (name, canonical(value))).collect();
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// Gives a device its configuration; `None` if this version was the last that it was given.
///
/// # Errors
/// `DeviceBlocked`, `UserSuspended`, `UserLocked`, `DeviceDeleted`; `NotDeployed`, `DeviceNotDeployed`.
pub fn serve(
    device: &Device,
    user: &User,
    config: &Configuration,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    match device.access() {
        DeviceAccess::Allowed => {}
        DeviceAccess::DeviceBlocked => return Err(DomainError::DeviceBlocked),
        DeviceAccess::UserSuspended => return Err(DomainError::UserSuspended),
        DeviceAccess::UserLocked => return Err(DomainError::UserLocked),
        DeviceAccess::Deleted => return Err(DomainError::DeviceDeleted),
    }
    require_in(user)?;
    if !device.may_have_config() {
        return Err(DomainError::DeviceNotDeployed);
    }
    let version = config.version.as_str();
    if device.last_served_version() == Some(version) {
        return Ok(None);
    }
    let mut event = context.event(EventType::DeviceConfigServed).with_device(device.device_id, device.user_id);
    event.add_change("config_version", device.config.clone(), version);
    let mut after = user.clone();
    after.client.served_at = Some(context.at);
    after.client.config_salt = Some(config.salt.clone());
    let served = device.clone().with_served_version(version);
    Ok(Some(ChangeSet {
        user: Some(RowChange::from(user.clone(), after)),
        devices: vec![RowChange::from(device.clone(), served)],
        ..ChangeSet::with_event(event)
    }))
}

/// The event when an admin is shown a deployment's QR code: whoever sees it can register a device.
///
/// # Errors
/// See [`Offer::require_open`].
pub fn qr_shown(deployment: &Offer, context: &EventContext) -> Result<Event, DomainError> {
    deployment.require_open(context.at)?;
    let event = context.event(EventType::DeploymentQrShown).with_user(deployment.user_id);
    Ok(deployment.named_in(event))
}
