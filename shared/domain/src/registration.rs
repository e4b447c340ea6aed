//! Registering a device with a code.

use crate::change::{Change, Edited};
use crate::clock::Time;
use crate::command::{Command, CommandKind, Stimulus, apply_to_all, pending_for};
use crate::device::{
    DEVICE_LIMIT, Device, Enrolment, IDENTIFIER, IdentifierClaim, MODEL_NAME, NICKNAME, PUSH_TOKEN, Platform,
    REPEAT_WITHIN, VERSION,
};
use crate::event::{Act, Event, EventType};
use crate::ids::DeviceId;
use crate::input::Fields;
use crate::invitation::{Invitation, Purpose, refuse_registration};
use crate::push::Push;
use crate::refusal::Refusal;
use crate::secret::Hash;
use crate::stored::Stored;
use crate::text::{Form, TextRule};
use crate::user::User;

const CODE: TextRule = TextRule::new(Form::Ascii, 1, 64);

/// What an app sends to register.
#[derive(Clone, Debug, PartialEq)]
pub struct Application {
    /// The code of an invitation.
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

impl Application {
    /// Reads an application.
    ///
    /// # Errors
    /// Every fault of the fields.
    pub fn read(mut fields: Fields) -> Result<Self, Refusal> {
        let code = fields.required_text("code", CODE);
        let device_identifier = fields.required_text("device_identifier", IDENTIFIER);
        let platform = fields.required_word("platform");
        let model_name = fields.required_text("model_name", MODEL_NAME);
        let os_version = fields.required_text("os_version", VERSION);
        let app_version = fields.text("app_version", VERSION);
        let push_token = fields.text("push_token", PUSH_TOKEN);
        let nickname = fields.text("nickname", NICKNAME);
        fields.finish().map_err(Refusal::Invalid)?;
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
            _ => Err(Refusal::Invalid(Vec::new())),
        }
    }

    /// The push token, on the platforms that have one.
    fn token(&self) -> Option<&str> {
        self.push_token.as_deref().filter(|_| self.platform != Platform::ThirdParty)
    }
}

/// What the rule needs to know.
#[derive(Clone, Debug)]
pub struct Found {
    /// The invitation that the code belongs to.
    pub invitation: Invitation,
    /// Its user.
    pub user: User,
    /// Who holds the identifier, or held it last.
    pub claim: Option<IdentifierClaim>,
    /// The device that the claim names, if its row is still there.
    pub claimed: Option<Device>,
    /// The open commands of that device.
    pub commands: Vec<Command>,
    /// The devices that the user holds.
    pub held: Vec<Device>,
}

/// What is drawn for a registration.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// The identifier of a device that is new.
    pub device_id: DeviceId,
}

/// A registration that the rule allows.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The device, whose `credential_hash` is still to be set by [`Registration::with_credential`].
    pub device: Edited<Device>,
    /// Its identifier's claim.
    pub claim: Edited<IdentifierClaim>,
    /// Its user.
    pub user: Edited<User>,
    /// The invitation.
    pub invitation: Edited<Invitation>,
    /// The push token, if the app sent one.
    pub token: Option<String>,
    /// The deleted device of the same installation, whose credential ends now.
    pub replaced: Option<Edited<Device>>,
    /// Commands of the enrolment before, which nobody will do any more.
    pub removed: Vec<Edited<Command>>,
    /// What happened; nothing when a lost answer is made up for.
    pub events: Vec<Event>,
}

impl Registration {
    /// The registration with what is kept of the device's new credential.
    #[must_use]
    pub fn with_credential(mut self, hash: Hash) -> Self {
        self.device.after.credential_hash = hash;
        self
    }
}

/// What a refusal leaves behind, if anything.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// An attempt on another user's device is on the record, and counts against the code.
    pub change: Option<Box<Change>>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, change: None }
    }
}

/// Decides on an application.
///
/// - A repeat with the same code and identifier within [`REPEAT_WITHIN`] and before the first check-in
///   makes up for a lost answer: the same device, a new credential, no further use of the code, no further
///   event. Not by a code that was taken back, or that a newer one has replaced.
/// - An identifier that the same user holds is enrolled anew in its own place, by a fresh code.
/// - An identifier whose device was deleted comes back as a new device with the next epoch.
/// - Else it is a new device, if the user holds fewer than [`DEVICE_LIMIT`].
///
/// No phone registers its way around an order to erase itself: it does that first, or an admin takes
/// the order back. Its code stays good meanwhile.
///
/// # Errors
/// `UserSuspended`, `UserLocked`, `UserDeleted`; `CodeUsed`, `CodeExpired`, `CodeSuperseded`;
/// `IdentifierHeld`, with a change to commit (see [`refuse_registration`]); `DeviceBlocked`; `ErasurePending`; `DeviceLimitReached`, with
/// the devices.
pub fn register(found: &Found, application: &Application, drawn: &Drawn, act: &Act) -> Result<Registration, Refused> {
    found.user.require_usable()?;
    let holder = found.claim.as_ref().filter(|claim| claim.held);
    let device = found.claimed.as_ref();
    match (holder, device) {
        (Some(claim), Some(device)) if claim.user_id == found.user.user_id => {
            if device.blocked.is_some() {
                return Err(Refusal::DeviceBlocked.into());
            }
            if is_repeat(found, device, act.at) {
                return Ok(repeat(found, claim, device));
            }
            found.invitation.require_open(act.at)?;
            require_not_to_be_erased(Some(device), act.at)?;
            Ok(re_enrol(found, claim, device, application, act))
        }
        (Some(_), _) => {
            found.invitation.require_open(act.at)?;
            let counted = refuse_registration(&found.invitation, act);
            Err(Refused { refusal: Refusal::IdentifierHeld, change: Some(Box::new(counted)) })
        }
        (None, _) => {
            // Of a code that is used up by a user who is at the limit, the limit is the news.
            let usable = found.invitation.require_open(act.at);
            let at_limit = found.user.device_ids.len() >= DEVICE_LIMIT;
            if at_limit && matches!(usable, Ok(()) | Err(Refusal::CodeUsed)) {
                return Err(Refusal::DeviceLimitReached(found.held.clone()).into());
            }
            usable?;
            require_not_to_be_erased(device, act.at)?;
            Ok(enrol(found, application, drawn, act))
        }
    }
}

/// Lets pass an installation that is not told to erase itself, deleted or not.
fn require_not_to_be_erased(known: Option<&Device>, now: Time) -> Result<(), Refusal> {
    let pending = known.is_some_and(|device| pending_for(device, CommandKind::Wipe, now).is_some());
    if pending { Err(Refusal::ErasurePending) } else { Ok(()) }
}

fn is_repeat(found: &Found, device: &Device, now: Time) -> bool {
    let Invitation { invitation_id, purpose, revoked_at, superseded_at, .. } = &found.invitation;
    // A newer one replaces a code that is used up as well, although nothing on its row says so.
    let newest = found.user.newest_invitation(*purpose) == Some(*invitation_id);
    let ended = revoked_at.is_some() || superseded_at.is_some() || !newest;
    // Another address ends what is open; what is used up would be known where the user is no longer reached.
    let readdressed_at = found.user.email_changed_at.max(found.user.mobile_changed_at);
    !ended
        && device.enrolment.as_ref().is_some_and(|enrolment| {
            let in_time = enrolment.at.is_some_and(|at| now < at.plus(REPEAT_WITHIN) && readdressed_at <= Some(at));
            enrolment.invitation_id == *invitation_id && in_time
        })
}

fn repeat(found: &Found, claim: &IdentifierClaim, device: &Device) -> Registration {
    Registration {
        device: unchanged(device),
        claim: unchanged(claim),
        user: unchanged(&found.user),
        invitation: unchanged(&found.invitation),
        token: None,
        replaced: None,
        removed: Vec::new(),
        events: Vec::new(),
    }
}

fn unchanged<T: Clone>(row: &T) -> Edited<T> {
    Edited { before: Some(row.clone()), after: row.clone() }
}

fn re_enrol(
    found: &Found,
    claim: &IdentifierClaim,
    device: &Device,
    application: &Application,
    act: &Act,
) -> Registration {
    let epoch = device.epoch + 1;
    let removed = apply_to_all(device, &found.commands, Stimulus::Replaced, act);
    let mut after = described(removed.device, application, act);
    after.epoch = epoch;
    after.erased = None;
    after.pin_failures = 0;
    after.failed = None;
    after.unconfirmed = None;
    after.usage_sequence = None;
    after.config = None;
    after.served = None;
    after.enrolment = Some(enrolment(found, act));
    after.push_endpoint.clone_from(&device.push_endpoint);
    let claim_after = IdentifierClaim { epoch, ..claim.clone() };
    let event = act.event(EventType::DeviceReEnrolled).about_device(device.device_id, device.user_id);
    let mut event = found.invitation.named_in(event);
    event.change("epoch", device.epoch, epoch);
    Registration {
        device: Edited { before: Some(device.clone()), after: with_configuration(found, after) },
        claim: Edited { before: Some(claim.clone()), after: claim_after },
        user: user_with(&found.user, device.device_id, act),
        invitation: invitation_used(found, act),
        token: application.token().map(str::to_owned),
        replaced: None,
        removed: removed.commands,
        events: [event].into_iter().chain(removed.events).collect(),
    }
}

fn enrol(found: &Found, application: &Application, drawn: &Drawn, act: &Act) -> Registration {
    let epoch = found.claim.as_ref().map_or(1, |claim| claim.epoch + 1);
    let user = user_with(&found.user, drawn.device_id, act);
    let mut device = with_configuration(found, new_device(&user.after, application, drawn.device_id, epoch, act));
    device.enrolment = Some(enrolment(found, act));
    let claim = IdentifierClaim {
        version: found.claim.as_ref().map_or(1, |claim| claim.version),
        ..IdentifierClaim::of(&device)
    };
    let event = act.event(EventType::DeviceRegistered).about_device(drawn.device_id, found.user.user_id);
    let event = found.invitation.named_in(event);
    let old = found.claimed.as_ref().map(|old| (old, apply_to_all(old, &found.commands, Stimulus::Replaced, act)));
    let (replaced, removed, events) = match old {
        None => (None, Vec::new(), Vec::new()),
        Some((old, removed)) => {
            let after = Device { replaced: true, ..removed.device };
            (Some(Edited::from(old.clone(), after)), removed.commands, removed.events)
        }
    };
    Registration {
        device: Edited { before: None, after: device },
        claim: Edited { before: found.claim.clone(), after: claim },
        user,
        invitation: invitation_used(found, act),
        token: application.token().map(str::to_owned),
        replaced,
        removed,
        events: [event].into_iter().chain(events).collect(),
    }
}

/// A device of a user, before it has a credential.
fn new_device(user: &User, application: &Application, device_id: DeviceId, epoch: u32, act: &Act) -> Device {
    let blank = Device {
        workspace_id: act.workspace_id,
        device_id,
        user_id: user.user_id,
        device_identifier: application.device_identifier.clone(),
        platform: application.platform,
        model_name: String::new(),
        os_version: String::new(),
        app_version: None,
        nickname: None,
        created_at: act.at,
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
        usage_sequence: None,
        config: None,
        served: None,
        last_login_at: None,
        blocked: None,
        deleted: None,
        push: Push::of_token(false, act.at),
        push_endpoint: None,
        push_token_hash: None,
        version: 1,
        stored: Stored::default(),
    };
    described(blank, application, act)
}

/// A simulated phone: it stands where a registered one would, and no app holds its credential.
#[derive(Clone, Debug)]
pub struct Simulated {
    /// The phone.
    pub device: Device,
    /// Its identifier's claim.
    pub claim: Edited<IdentifierClaim>,
    /// Its user, who holds it.
    pub user: User,
    /// What happened.
    pub event: Event,
}

/// Registers a phone that does not exist, for trying things out. `claim` is that of its identifier,
/// if a phone has or had it.
///
/// # Errors
/// `UserSuspended`, `UserLocked`, `UserDeleted`; `IdentifierHeld`, or a fault of the identifier if a phone of the
/// user's own has it; `DeviceLimitReached`, with the devices that are `held`.
pub fn simulate(
    user: &User,
    held: &[Device],
    claim: Option<&IdentifierClaim>,
    application: &Application,
    device_id: DeviceId,
    act: &Act,
) -> Result<Simulated, Refusal> {
    user.require_usable()?;
    match claim.filter(|claim| claim.held) {
        Some(claim) if claim.user_id == user.user_id => {
            let detail = "is that of a phone that the user has";
            return Err(Refusal::field("custom_sdk_installation_id", "taken", detail));
        }
        Some(_) => return Err(Refusal::IdentifierHeld),
        None => {}
    }
    if user.device_ids.len() >= DEVICE_LIMIT {
        return Err(Refusal::DeviceLimitReached(held.to_vec()));
    }
    let user = user_with(user, device_id, act).after;
    let epoch = claim.map_or(1, |claim| claim.epoch + 1);
    let device = new_device(&user, application, device_id, epoch, act);
    let event = act.event(EventType::DeviceRegistered).about_device(device_id, user.user_id);
    let after = IdentifierClaim { version: claim.map_or(1, |claim| claim.version), ..IdentifierClaim::of(&device) };
    Ok(Simulated { claim: Edited { before: claim.cloned(), after }, device, user, event })
}

fn described(mut device: Device, application: &Application, act: &Act) -> Device {
    device.model_name.clone_from(&application.model_name);
    device.os_version.clone_from(&application.os_version);
    device.app_version.clone_from(&application.app_version);
    if application.nickname.is_some() {
        device.nickname.clone_from(&application.nickname);
    }
    let token_hash = application.token().map(Hash::of);
    let settled = token_hash.is_some() && token_hash == device.push_token_hash && device.push.reason.in_use();
    if !settled {
        device.push = Push::of_token(token_hash.is_some(), act.at);
    }
    device.push_token_hash = token_hash;
    device
}

fn enrolment(found: &Found, act: &Act) -> Enrolment {
    Enrolment { invitation_id: found.invitation.invitation_id, at: Some(act.at) }
}

/// Whoever registers by a deployment wants the configuration.
fn with_configuration(found: &Found, device: Device) -> Device {
    match found.invitation.purpose {
        Purpose::Deploy => device.forced(),
        Purpose::Invite | Purpose::Unknown(_) => device,
    }
}

fn user_with(user: &User, device_id: DeviceId, act: &Act) -> Edited<User> {
    let mut after = user.clone();
    after.device_ids.insert(device_id);
    after.registered_at.get_or_insert(act.at);
    Edited::from(user.clone(), after)
}

fn invitation_used(found: &Found, act: &Act) -> Edited<Invitation> {
    let mut after = found.invitation.clone();
    after.used += 1;
    if after.used >= after.devices {
        after.used_at = Some(act.at);
    }
    Edited { before: Some(found.invitation.clone()), after }
}
