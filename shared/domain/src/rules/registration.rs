//! Registering a device with a code.

use std::collections::BTreeMap;

use crate::clock::Time;
use crate::error::{DomainError, HeldDevice};
use crate::ids::DeviceId;
use crate::input::Fields;
use crate::limits::DEVICE_LIMIT;
use crate::models::command::{Command, CommandKind, Trigger};
use crate::models::credential::{Service, ServiceKind};
use crate::models::device::{
    Device, DeviceAttachments, Enrolment, IDENTIFIER, IdentifierClaim, MODEL_NAME, NICKNAME, PUSH_TOKEN, REPEAT_WITHIN,
    VERSION, find_pending_command,
};
use crate::models::event::{Event, EventType};
use crate::models::offer::{Offer, Purpose};
use crate::models::push::Push;
use crate::models::user::User;
use crate::rules::change::{ChangeSet, RowChange};
use crate::rules::commands::apply_to_all;
use crate::rules::context::EventContext;
use crate::rules::offers::refuse_registration;
use crate::secret::Hash;
use crate::states::Platform;
use crate::stored::Stored;
use crate::text::{Form, TextRule};

const CODE: TextRule = TextRule::new(Form::Ascii, 1, 64);

/// The request of an app to register.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistrationRequest {
    /// Code of an invitation or deployment.
    pub code: String,
    /// See [`Device::device_identifier`].
    pub device_identifier: String,
    /// See [`Device::platform`].
    pub platform: Platform,
    /// See [`Device::model_name`].
    pub model_name: String,
    /// See [`Device::os_version`].
    pub os_version: String,
    /// See [`Device::app_version`].
    pub app_version: Option<String>,
    /// The platform's push token.
    pub push_token: Option<String>,
    /// See [`Device::nickname`].
    pub nickname: Option<String>,
}

impl RegistrationRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// `Invalid`, with every field error.
    pub fn read(mut fields: Fields) -> Result<Self, DomainError> {
        let code = fields.required_text("code", CODE);
        let device_identifier = fields.required_text("device_identifier", IDENTIFIER);
        let platform = fields.required_enum("platform");
        let model_name = fields.required_text("model_name", MODEL_NAME);
        let os_version = fields.required_text("os_version", VERSION);
        let app_version = fields.text("app_version", VERSION);
        let push_token = fields.text("push_token", PUSH_TOKEN);
        let nickname = fields.text("nickname", NICKNAME);
        fields.finish().map_err(DomainError::Invalid)?;
        match (code, device_identifier, platform, model_name, os_version) {
            (Some(code), Some(device_identifier), Some(platform), Some(model_name), Some(os_version)) => Ok(Self {
                code,
                device_identifier,
                platform,
                model_name,
                os_version,
                app_version,
                push_token,
                nickname,
            }),
            _ => Err(DomainError::Invalid(Vec::new())),
        }
    }

    /// The push token, on platforms that have one.
    fn token(&self) -> Option<&str> {
        self.push_token.as_deref().filter(|_| self.platform != Platform::ThirdParty)
    }
}

/// The rows that a registration is decided by.
#[derive(Clone, Debug)]
pub struct RegistrationState {
    /// The invitation or deployment that the code belongs to.
    pub offer: Offer,
    /// User of the invitation.
    pub user: User,
    /// Claim of the device identifier, current or released.
    pub claim: Option<IdentifierClaim>,
    /// The device that the claim names, if its row still exists.
    pub claimed_device: Option<Device>,
    /// Open commands of that device.
    pub commands: Vec<Command>,
    /// The user's devices.
    pub held: Vec<Device>,
}

/// A registration that the rule allows.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The device. Its `credential_hash` must still be set by [`Registration::with_credential`].
    pub device: RowChange<Device>,
    /// Claim of its identifier.
    pub claim: RowChange<IdentifierClaim>,
    /// User of the device.
    pub user: RowChange<User>,
    /// The invitation, with one more use, unless this is a repeat.
    pub offer: RowChange<Offer>,
    /// The push token, if the app sent one.
    pub push_token: Option<String>,
    /// The deleted device of the same installation, whose credential is now invalid.
    pub replaced: Option<RowChange<Device>>,
    /// Commands of the previous enrolment, which can no longer be executed.
    pub removed: Vec<RowChange<Command>>,
    /// The events; none if the registration only repeats a lost response.
    pub events: Vec<Event>,
}

impl Registration {
    /// True if it only repeats a lost response.
    #[must_use]
    pub fn is_repeat(&self) -> bool {
        self.events.is_empty()
    }

    /// The change, without the push token. A repeat after a lost response changes the device's credential only.
    #[must_use]
    pub fn change(&self) -> ChangeSet {
        if self.is_repeat() {
            return ChangeSet { devices: vec![self.device.clone()], ..ChangeSet::default() };
        }
        ChangeSet {
            events: self.events.clone(),
            user: Some(self.user.clone()),
            devices: [&self.device].into_iter().chain(&self.replaced).cloned().collect(),
            claims: vec![self.claim.clone()],
            commands: self.removed.clone(),
            offers: vec![self.offer.clone()],
            ..ChangeSet::default()
        }
    }

    /// The registration with the hash of the device's new credential.
    #[must_use]
    pub fn with_credential(mut self, hash: Hash) -> Self {
        self.device.after.credential_hash = hash;
        self
    }
}

/// A refused registration, and what must still be committed.
#[derive(Debug)]
pub struct RefusedRegistration {
    /// Why it was refused.
    pub error: DomainError,
    /// Set if the device belongs to another user: the attempt is recorded, and counts against the code.
    pub change: Option<Box<ChangeSet>>,
}

impl From<DomainError> for RefusedRegistration {
    fn from(error: DomainError) -> Self {
        Self { error, change: None }
    }
}

/// Decides on a registration request.
///
/// - A repeat with the same code and identifier, within [`REPEAT_WITHIN`] and before the first check-in, replaces a
///   lost response: same device, new credential, no further use of the code, no event. Not with a code that was revoked
///   or superseded, or after a change of the user's address or number.
/// - If a device of the same user has the identifier, it is re-enrolled in place, with an open code.
/// - If no current device has the identifier, a new device is created, if the user has fewer than [`DEVICE_LIMIT`]. If
///   a deleted device had the identifier, the new one has the next epoch.
///
/// A device with a pending wipe or factory reset cannot register: it must be erased first, or an admin must cancel
/// that. The code stays valid meanwhile.
///
/// # Errors
/// `UserSuspended`, `UserLocked`, `UserDeleted`; `CodeUsed`, `CodeExpired`, `CodeSuperseded`, `CodeRevoked`;
/// `IdentifierHeld`, with a change to commit (see [`refuse_registration`]); `DeviceBlocked`; `ErasurePending`;
/// `DeviceLimitReached`, with the devices.
pub fn register(
    found: &RegistrationState,
    application: &RegistrationRequest,
    new_id: DeviceId,
    context: &EventContext,
) -> Result<Registration, RefusedRegistration> {
    found.user.require_app_access()?;
    let held_claim = found.claim.as_ref().filter(|claim| claim.held);
    let device = found.claimed_device.as_ref();
    match (held_claim, device) {
        (Some(claim), Some(device)) if claim.user_id == found.user.user_id => {
            if device.blocked.is_some() {
                return Err(DomainError::DeviceBlocked.into());
            }
            if is_repeat(found, device, context.at) {
                return Ok(repeat(found, claim, device));
            }
            found.offer.require_open(context.at)?;
            require_not_to_be_erased(Some(device), context.at)?;
            Ok(re_enrol(found, claim, device, application, context))
        }
        (Some(_), _) => {
            found.offer.require_open(context.at)?;
            let counted = refuse_registration(&found.offer, context);
            Err(RefusedRegistration { error: DomainError::IdentifierHeld, change: Some(Box::new(counted)) })
        }
        (None, _) => {
            // At the limit, a used code is refused for the limit, which says more than `CodeUsed`.
            let usable = found.offer.require_open(context.at);
            if matches!(usable, Ok(()) | Err(DomainError::CodeUsed)) {
                require_below_limit(&found.user, &found.held)?;
            }
            usable?;
            require_not_to_be_erased(device, context.at)?;
            Ok(enrol(found, application, new_id, context))
        }
    }
}

/// Checks that the user may have one more device than those `held`.
fn require_below_limit(user: &User, held: &[Device]) -> Result<(), DomainError> {
    if user.device_ids.len() >= DEVICE_LIMIT {
        return Err(DomainError::DeviceLimitReached(held.iter().map(HeldDevice::from).collect()));
    }
    Ok(())
}

/// The epoch of a new device; the first is 1.
fn next_epoch(claim: Option<&IdentifierClaim>) -> u32 {
    claim.map_or(1, |claim| claim.epoch + 1)
}

/// The claim of a new device's identifier; `before` is an earlier device's claim.
fn claim_for(before: Option<&IdentifierClaim>, device: &Device) -> RowChange<IdentifierClaim> {
    let version = before.map_or(1, |claim| claim.version);
    RowChange { before: before.cloned(), after: IdentifierClaim { version, ..IdentifierClaim::of(device) } }
}

/// Checks that the installation has no pending wipe, whether its device is deleted or not.
fn require_not_to_be_erased(known: Option<&Device>, now: Time) -> Result<(), DomainError> {
    let pending = known.is_some_and(|device| find_pending_command(device, CommandKind::Wipe, now).is_some());
    if pending { Err(DomainError::ErasurePending) } else { Ok(()) }
}

fn is_repeat(found: &RegistrationState, device: &Device, now: Time) -> bool {
    let Offer { invitation_id, purpose, revoked_at, superseded_at, .. } = &found.offer;
    // A newer code supersedes a used one as well, but that is not recorded on the used one's row.
    let newest = found.user.newest_invitation(*purpose) == Some(*invitation_id);
    let ended = revoked_at.is_some() || superseded_at.is_some() || !newest;
    // A changed address ends open codes. A used code must not be repeated either: it may be known at the old address.
    let readdressed_at = found.user.email_changed_at.max(found.user.mobile_changed_at);
    !ended
        && device.enrolment.as_ref().is_some_and(|enrolment| {
            let in_time = enrolment.at.is_some_and(|at| now < at.plus(REPEAT_WITHIN) && readdressed_at <= Some(at));
            enrolment.invitation_id == *invitation_id && in_time
        })
}

fn repeat(found: &RegistrationState, claim: &IdentifierClaim, device: &Device) -> Registration {
    Registration {
        device: unchanged(device),
        claim: unchanged(claim),
        user: unchanged(&found.user),
        offer: unchanged(&found.offer),
        push_token: None,
        replaced: None,
        removed: Vec::new(),
        events: Vec::new(),
    }
}

fn unchanged<T: Clone>(row: &T) -> RowChange<T> {
    RowChange { before: Some(row.clone()), after: row.clone() }
}

fn re_enrol(
    found: &RegistrationState,
    claim: &IdentifierClaim,
    device: &Device,
    application: &RegistrationRequest,
    context: &EventContext,
) -> Registration {
    let epoch = device.epoch + 1;
    let replaced = apply_to_all(device, &found.commands, Trigger::Replaced, context);
    let mut after = described(replaced.device, application, context);
    after.epoch = epoch;
    after.erased = None;
    after.pin_failures = 0;
    after.failed = None;
    after.unconfirmed = None;
    after.usage_sequence = None;
    after.config = None;
    after.served = None;
    after.enrolment = Some(enrolment(found, context));
    after.push_endpoint.clone_from(&device.push_endpoint);
    let claim_after = IdentifierClaim { epoch, ..claim.clone() };
    let event = context.event(EventType::DeviceReEnrolled).with_device(device.device_id, device.user_id);
    let mut event = found.offer.named_in(event);
    event.add_change("epoch", device.epoch, epoch);
    Registration {
        device: RowChange { before: Some(device.clone()), after: with_configuration(found, after) },
        claim: RowChange { before: Some(claim.clone()), after: claim_after },
        user: user_with(&found.user, device.device_id, context),
        offer: invitation_used(found, context),
        push_token: application.token().map(str::to_owned),
        replaced: None,
        removed: replaced.commands,
        events: [event].into_iter().chain(replaced.events).collect(),
    }
}

fn enrol(
    found: &RegistrationState,
    application: &RegistrationRequest,
    new_id: DeviceId,
    context: &EventContext,
) -> Registration {
    let epoch = next_epoch(found.claim.as_ref());
    let user = user_with(&found.user, new_id, context);
    let mut device = with_configuration(found, new_device(&user.after, application, new_id, epoch, context));
    device.enrolment = Some(enrolment(found, context));
    let claim = claim_for(found.claim.as_ref(), &device);
    let event = context.event(EventType::DeviceRegistered).with_device(new_id, found.user.user_id);
    let event = found.offer.named_in(event);
    let old =
        found.claimed_device.as_ref().map(|old| (old, apply_to_all(old, &found.commands, Trigger::Replaced, context)));
    let (replaced, removed, events) = match old {
        None => (None, Vec::new(), Vec::new()),
        Some((old, removed)) => {
            let after = Device { replaced: true, ..removed.device };
            (Some(RowChange::from(old.clone(), after)), removed.commands, removed.events)
        }
    };
    Registration {
        device: RowChange { before: None, after: device },
        claim,
        user,
        offer: invitation_used(found, context),
        push_token: application.token().map(str::to_owned),
        replaced,
        removed,
        events: [event].into_iter().chain(events).collect(),
    }
}

/// A new device of a user, still without a credential.
fn new_device(
    user: &User,
    application: &RegistrationRequest,
    device_id: DeviceId,
    epoch: u32,
    context: &EventContext,
) -> Device {
    let blank = Device {
        workspace_id: context.workspace_id,
        device_id,
        user_id: user.user_id,
        device_identifier: application.device_identifier.clone(),
        platform: application.platform,
        model_name: String::new(),
        os_version: String::new(),
        app_version: None,
        nickname: None,
        created_at: context.at,
        epoch,
        credential_hash: Hash::of(""),
        enrolment: None,
        replaced: false,
        user_status: user.status(),
        commands: Vec::new(),
        failed: None,
        unconfirmed: None,
        erased: None,
        pin_failures: 0,
        check_in_minutes: None,
        usage_sequence: None,
        config: None,
        served: None,
        last_login_at: None,
        blocked: None,
        deleted: None,
        push: Push::of_token(false, context.at),
        push_endpoint: None,
        push_token_hash: None,
        version: 1,
        stored: Stored::default(),
    };
    described(blank, application, context)
}

/// Registers a simulated device, for trials: no app holds its credential. `claim` is the claim of its identifier, if a
/// device has or had it; `services` are the credential services that know the device.
///
/// # Errors
/// `UserSuspended`, `UserLocked`, `UserDeleted`; `IdentifierHeld`, or a field error if one of the user's own devices
/// has the identifier; `DeviceLimitReached`, with the devices `held`.
pub fn simulate(
    user: &User,
    held: &[Device],
    claim: Option<&IdentifierClaim>,
    application: &RegistrationRequest,
    device_id: DeviceId,
    services: BTreeMap<ServiceKind, Service>,
    context: &EventContext,
) -> Result<(Device, ChangeSet), DomainError> {
    user.require_app_access()?;
    match claim.filter(|claim| claim.held) {
        Some(claim) if claim.user_id == user.user_id => {
            let detail = "is that of a phone that the user has";
            return Err(DomainError::field("custom_sdk_installation_id", "taken", detail));
        }
        Some(_) => return Err(DomainError::IdentifierHeld),
        None => {}
    }
    require_below_limit(user, held)?;
    let user = user_with(user, device_id, context);
    let device = new_device(&user.after, application, device_id, next_epoch(claim), context);
    let event = context.event(EventType::DeviceRegistered).with_device(device_id, device.user_id);
    let attached = (!services.is_empty()).then(|| DeviceAttachments { services, ..DeviceAttachments::empty(&device) });
    let change = ChangeSet {
        user: Some(user),
        claims: vec![claim_for(claim, &device)],
        devices: vec![RowChange::new(device.clone())],
        attachments: attached.into_iter().map(RowChange::new).collect(),
        ..ChangeSet::with_event(event)
    };
    Ok((device, change))
}

fn described(mut device: Device, application: &RegistrationRequest, context: &EventContext) -> Device {
    device.model_name.clone_from(&application.model_name);
    device.os_version.clone_from(&application.os_version);
    device.app_version.clone_from(&application.app_version);
    if application.nickname.is_some() {
        device.nickname.clone_from(&application.nickname);
    }
    let token_hash = application.token().map(Hash::of);
    let settled = token_hash.is_some() && token_hash == device.push_token_hash && device.push.reason.in_use();
    if !settled {
        device.push = Push::of_token(token_hash.is_some(), context.at);
    }
    device.push_token_hash = token_hash;
    device
}

fn enrolment(found: &RegistrationState, context: &EventContext) -> Enrolment {
    Enrolment { invitation_id: found.offer.invitation_id, at: Some(context.at) }
}

/// A registration by a deployment orders the download of the configuration.
fn with_configuration(found: &RegistrationState, device: Device) -> Device {
    match found.offer.purpose {
        Purpose::Deploy => device.with_download_ordered(),
        Purpose::Invite | Purpose::Unknown(_) => device,
    }
}

fn user_with(user: &User, device_id: DeviceId, context: &EventContext) -> RowChange<User> {
    let mut after = user.clone();
    after.device_ids.insert(device_id);
    after.registered_at.get_or_insert(context.at);
    RowChange::from(user.clone(), after)
}

fn invitation_used(found: &RegistrationState, context: &EventContext) -> RowChange<Offer> {
    let mut after = found.offer.clone();
    after.used += 1;
    if after.used >= after.devices {
        after.used_at = Some(context.at);
    }
    RowChange { before: Some(found.offer.clone()), after }
}
