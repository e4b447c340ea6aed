//! Carriers' networks, and the indicator light that shows the state of one.

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::error::DomainError;
use crate::input::Fields;
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule};

/// A provider's name as used in URLs: `verizon`, `att`.
pub const PROVIDER: TextRule = TextRule::new(Form::Ascii, 1, 32);

/// The provider whose users opt in by replying to a message.
pub const VERIZON: &str = "verizon";

/// The most networks of one user.
pub const NETWORK_LIMIT: usize = 8;

/// A network that was last seen or archived more than this many days ago gets an orange light.
pub const QUIET_AFTER_DAYS: i64 = 30;

/// A network with its last activity before this time is quiet.
#[must_use]
pub fn quiet_before(now: Time) -> Time {
    now.minus(Duration::days(QUIET_AFTER_DAYS))
}

string_enum! {
    /// A network's status as the carrier reports it.
    stored NetworkStatus {
        /// The carrier has reported nothing.
        NoStatus = "no_status",
        /// No data comes from it.
        NotCommunicating = "not_communicating",
        /// Disabled.
        Disabled = "disabled",
        /// Enabled.
        Enabled = "enabled",
        /// Verizon: requested.
        NewRequest = "new_request",
        /// Verizon: the opt-in message was sent to the user.
        OptInSent = "opt_in_sent",
        /// Verizon: the user has replied.
        OptInResponseReceived = "opt_in_response_received",
        /// Verizon: the user's reply was not valid.
        InvalidOptInResponse = "invalid_opt_in_response",
        /// Verizon: being provisioned.
        PendingProvisioning = "pending_provisioning",
        /// Verizon: could not be provisioned.
        UnableToProvision = "unable_to_provision",
    }
}

impl NetworkStatus {
    /// True for the states that only Verizon reports.
    #[must_use]
    pub fn is_verizon_only(self) -> bool {
        !matches!(self, Self::NoStatus | Self::NotCommunicating | Self::Disabled | Self::Enabled)
    }
}

string_enum! {
    /// The carrier's reason for a status.
    stored NetworkReason {
        /// The carrier does not know the number.
        InvalidNumber = "invalid_number",
        /// The subscriber has a message block, which must be removed.
        MessageBlock = "message_block",
    }
}

string_enum! {
    /// Provisioning of the mobile directory number.
    stored Provisioning {
        /// Not provisioned.
        Disabled = "disabled",
        /// In progress.
        Pending = "pending",
        /// Provisioned.
        Enabled = "enabled",
    }
}

/// A user's network of one provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Its status.
    pub status: NetworkStatus,
    /// Date of the status, as the carrier reports it.
    pub status_at: Time,
    /// Reason of the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<NetworkReason>,
    /// Provisioning of the mobile directory number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mdn_provisioning: Option<Provisioning>,
    /// When the carrier last saw the subscriber on the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Time>,
    /// When the carrier last archived a message of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_archived_at: Option<Time>,
}

impl Network {
    /// When the network was last seen or archived, whichever was later; for a carrier that reports neither, the
    /// date of the last status.
    #[must_use]
    pub fn last_activity_at(&self) -> Time {
        self.last_seen_at.max(self.last_archived_at).unwrap_or(self.status_at)
    }

    /// The newest time in the report: it was made then or later.
    pub(crate) fn reported_at(&self) -> Time {
        self.last_activity_at().max(self.status_at)
    }
}

/// Reads a carrier's report `{status, status_at?, reason?, mdn_provisioning?, last_seen_at?,
/// last_archived_at?}` for a provider.
///
/// # Errors
/// An invalid provider name, and every invalid field.
pub fn read(provider: &str, mut fields: Fields, now: Time) -> Result<Network, DomainError> {
    if let Err((code, detail)) = check_provider(provider) {
        fields.add_error("provider", code, detail);
    }
    let status = fields.required_enum::<NetworkStatus>("status");
    if status.is_some_and(|status| status.is_verizon_only() && provider != VERIZON) {
        fields.add_error("status", "unknown_value", "only valid for Verizon");
    }
    let status_at = read_past_time(&mut fields, "status_at", now).unwrap_or(now);
    let reason = fields.enum_value("reason");
    let mdn_provisioning = fields.enum_value("mdn_provisioning");
    let last_seen_at = read_past_time(&mut fields, "last_seen_at", now);
    let last_archived_at = read_past_time(&mut fields, "last_archived_at", now);
    fields.finish().map_err(DomainError::Invalid)?;
    let status = status.unwrap_or(NetworkStatus::NoStatus);
    Ok(Network { status, status_at, reason, mdn_provisioning, last_seen_at, last_archived_at })
}

fn read_past_time(fields: &mut Fields, name: &str, now: Time) -> Option<Time> {
    let at = fields.time(name);
    if at.is_some_and(|at| at > now.plus(CLOCK_LEEWAY)) {
        fields.add_error(name, "out_of_range", "must not be in the future");
    }
    at
}

/// How far a carrier's clock may be ahead.
const CLOCK_LEEWAY: Duration = Duration::minutes(5);

/// How often a repeated report without a date moves the date of the last status.
pub(crate) const REPEAT_INTERVAL: Duration = Duration::days(1);

fn check_provider(name: &str) -> Result<(), (&'static str, String)> {
    PROVIDER.read(name)?;
    match name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        true => Ok(()),
        false => Err(("invalid_format", "may contain only lower-case letters, digits and _".to_owned())),
    }
}

string_enum! {
    /// The light of a network, or the most urgent one of a user's networks; declared in that order.
    Indicator {
        /// Action is needed.
        Red = "red",
        /// No sign of life for long.
        Orange = "orange",
        /// Working.
        Green = "green",
        /// No light.
        None = "none",
    }
}

/// A network's light: the first that fits.
///
/// - red: Verizon, and provisioning is not enabled, whatever the status;
/// - orange: the network was last seen or archived more than [`QUIET_AFTER_DAYS`] days ago;
/// - green: provisioning is enabled, and the network is not disabled.
#[must_use]
pub fn indicator(provider: &str, network: &Network, now: Time) -> Indicator {
    let provisioned = network.mdn_provisioning == Some(Provisioning::Enabled);
    if provider == VERIZON && !provisioned {
        Indicator::Red
    } else if network.last_activity_at() < quiet_before(now) {
        Indicator::Orange
    } else if provisioned && network.status != NetworkStatus::Disabled {
        Indicator::Green
    } else {
        Indicator::None
    }
}

/// The text for a network's light: its status or what to do, and the date of its last status.
#[must_use]
pub fn tooltip(provider: &str, network: &Network, now: Time) -> String {
    let status = name(network.status);
    let text = match indicator(provider, network, now) {
        Indicator::Red => red_reason(network),
        Indicator::Orange => format!("{status}, not seen for over {QUIET_AFTER_DAYS} days"),
        Indicator::Green if network.status != NetworkStatus::Enabled => format!("{status}, provisioning enabled"),
        Indicator::Green | Indicator::None => status.to_owned(),
    };
    format!("{text} \u{2013} {}", network.status_at.day())
}

/// Why a Verizon network is red. An invalid number comes first, since nothing else helps.
fn red_reason(network: &Network) -> String {
    match (network.reason, network.status) {
        (Some(NetworkReason::InvalidNumber), _) => "Invalid number".to_owned(),
        (Some(NetworkReason::MessageBlock), _) => "Remove message block".to_owned(),
        // These statuses do not explain why the number is not provisioned.
        (
            None | Some(NetworkReason::Unknown(_)),
            status @ (NetworkStatus::NoStatus | NetworkStatus::NotCommunicating | NetworkStatus::Enabled),
        ) => {
            format!("{}, provisioning not enabled", name(status))
        }
        (None | Some(NetworkReason::Unknown(_)), status) => name(status).to_owned(),
    }
}

pub(crate) fn name(status: NetworkStatus) -> &'static str {
    match status {
        NetworkStatus::NoStatus => "No status",
        NetworkStatus::NotCommunicating => "Not communicating",
        NetworkStatus::Disabled => "Disabled",
        NetworkStatus::Enabled => "Enabled",
        NetworkStatus::NewRequest => "New request",
        NetworkStatus::OptInSent => "Opt-in sent",
        NetworkStatus::OptInResponseReceived => "Opt-in response received",
        NetworkStatus::InvalidOptInResponse => "Invalid opt-in response",
        NetworkStatus::PendingProvisioning => "Pending provisioning",
        NetworkStatus::UnableToProvision => "Unable to provision",
        NetworkStatus::Unknown(word) => word.as_str(),
    }
}
