//! Check-in: the app's login.

use crate::clock::Time;
use crate::device::{Device, DeviceAccess, PUSH_TOKEN, Platform, VERSION};
use crate::event::{Act, Event, EventType};
use crate::input::Fields;
use crate::push::Push;
use crate::refusal::Refusal;
use crate::secret::{DeviceCredential, Hash};

/// How far a user's "last seen" may lag behind the devices'.
pub const LAST_SEEN_LAG: chrono::Duration = chrono::Duration::minutes(15);

/// What an app says of itself at check-in; what it leaves out has not changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// See [`Device::os_version`].
    pub os_version: Option<String>,
    /// See [`Device::app_version`].
    pub app_version: Option<String>,
    /// The platform's push token.
    pub push_token: Option<String>,
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// Every fault of the fields.
    pub fn read(mut fields: Fields) -> Result<Self, Refusal> {
        let os_version = fields.text("os_version", VERSION);
        let app_version = fields.text("app_version", VERSION);
        let push_token = fields.text("push_token", PUSH_TOKEN);
        fields.finish().map_err(Refusal::Invalid)?;
        Ok(Self { os_version, app_version, push_token })
    }
}

/// What a check-in does beyond noting the time.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckIn {
    /// The device may do nothing; nothing of what it said is noted.
    Shut,
    /// Nothing but the time is new, although what was said could not be compared in one write.
    OnlyTime,
    /// Something about it changed.
    Changed {
        /// The device after.
        device: Box<Device>,
        /// The new push token.
        token: Option<String>,
        /// What happened.
        event: Box<Event>,
    },
}

/// Proves a device by the row that its credential names.
///
/// # Errors
/// `ReEnrol` for a credential of an older enrolment, `CredentialInvalid` for any other that is not
/// the row's own.
pub fn authenticate(device: Option<Device>, credential: &DeviceCredential) -> Result<Device, Refusal> {
    let device = device.ok_or(Refusal::CredentialInvalid)?;
    if credential.epoch < device.epoch {
        return Err(Refusal::ReEnrol);
    }
    if credential.epoch != device.epoch || device.credential_hash != credential.hash() {
        return Err(Refusal::CredentialInvalid);
    }
    if device.replaced {
        return Err(Refusal::ReEnrol);
    }
    Ok(device)
}

/// Decides on a check-in of which more than the time is to be noted, or that is not allowed.
#[must_use]
pub fn check_in(device: &Device, report: &Report, act: &Act) -> CheckIn {
    if device.access() != DeviceAccess::Allowed {
        return CheckIn::Shut;
    }
    let confirmed = device.enrolment.is_some();
    let kind = if confirmed { EventType::DeviceConfirmed } else { EventType::DeviceUpdated };
    let mut event = act.event(kind).about_device(device.device_id, device.user_id);
    let mut after = device.clone();
    after.enrolment = None;
    after.last_login_at = Some(act.at);
    if let Some(version) = &report.os_version {
        event.change("os_version", device.os_version.as_str(), version.as_str());
        after.os_version.clone_from(version);
    }
    if let Some(version) = &report.app_version {
        event.change("app_version", device.app_version.clone(), version.as_str());
        after.app_version = Some(version.clone());
    }
    let token = new_token(device, report);
    if let Some(token) = &token {
        event.change_of("push_token");
        after.push_token_hash = Some(Hash::of(token));
        after.push = Push::of_token(true, act.at);
    }
    if !confirmed && event.changes.is_empty() && event.changed_fields.is_empty() {
        return CheckIn::OnlyTime;
    }
    CheckIn::Changed { device: Box::new(after), token, event: Box::new(event) }
}

fn new_token(device: &Device, report: &Report) -> Option<String> {
    let token = report.push_token.as_ref().filter(|_| device.platform != Platform::ThirdParty)?;
    (device.push_token_hash.as_ref() != Some(&Hash::of(token))).then(|| token.clone())
}

/// True if the user's "last seen" must follow, given when the device had come before: with the
/// first check-in of each quarter of an hour, so that it is never further behind than that.
#[must_use]
pub fn user_must_follow(before: Option<Time>, now: Time) -> bool {
    let quarter = |time: Time| time.millis().div_euclid(LAST_SEEN_LAG.num_milliseconds());
    before.is_none_or(|before| quarter(before) != quarter(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_follows_within_a_quarter_of_an_hour_however_often_the_device_comes() {
        let start = Time::parse("2026-11-21T08:00:00Z").unwrap();
        for minutes in [1, 7, 10, 14, 15, 40] {
            let mut seen = start;
            let mut before = None;
            for step in 0..100 {
                let now = start.plus(chrono::Duration::minutes(minutes * step));
                if user_must_follow(before, now) {
                    seen = now;
                }
                assert!(now.millis() - seen.millis() < LAST_SEEN_LAG.num_milliseconds(), "every {minutes} minutes");
                before = Some(now);
            }
        }
    }
}
