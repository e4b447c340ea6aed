//! A user's account in client deployment, and its secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Time;
use crate::ids::{InvitationId, ProfileId};
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule};

/// The user name of a phone at the telephone system.
pub const SIP_USER_NAME: TextRule = TextRule::new(Form::Word, 1, 64);

/// The account at an additional service for which the phone is configured.
pub const SERVICE_ACCOUNT: TextRule = TextRule::new(Form::Line, 1, 64);

/// The most bytes of a user's own settings (overrides), as JSON.
pub const OVERRIDES_LIMIT: usize = 4 * 1024;

string_enum! {
    /// Kinds of secrets, which only a user's own configuration contains.
    stored SecretKind {
        /// The password of the client.
        ClientPassword = "client_password",
        /// The SIP password at the telephone system.
        PbxSipPassword = "pbx_sip_password",
        /// The SIP password for teleworkers.
        TeleworkerSipPassword = "teleworker_sip_password",
        /// The voice mail PIN.
        VoicemailPin = "voicemail_pin",
    }
}

/// A user's data in client deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientAccount {
    /// The user's profile; without one, the workspace's default applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_id: Option<ProfileId>,
    /// See [`SIP_USER_NAME`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip_user_name: Option<String>,
    /// See [`SERVICE_ACCOUNT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// The user's own settings, which override all others. Stored as text, as a profile's are.
    #[serde(default, with = "crate::models::profile::as_text", skip_serializing_if = "Map::is_empty")]
    pub overrides: Map<String, Value>,
    /// Which secrets are set, with the time of each. The values are stored in another row.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<SecretKind, Time>,
    /// Salt of the versions of the user's configurations, set with the first one: without the salt, a
    /// configuration's content cannot be guessed from a version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_salt: Option<String>,
    /// The latest deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<InvitationId>,
    /// When one of the user's phones last received a configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_at: Option<Time>,
    /// When one of the user's phones last reported a configuration as installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downloaded_at: Option<Time>,
    /// When the user was removed from client deployment; cleared by the next deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Time>,
}

impl ClientAccount {
    /// The profile that applies to the user: their own, or else the workspace's default.
    #[must_use]
    pub fn profile(&self, default: Option<ProfileId>) -> Option<ProfileId> {
        self.profile_id.or(default)
    }

    /// True if nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl SecretKind {
    pub(crate) fn rule(self) -> TextRule {
        match self {
            Self::VoicemailPin => TextRule::new(Form::Ascii, 4, 16),
            Self::ClientPassword | Self::PbxSipPassword | Self::TeleworkerSipPassword | Self::Unknown(_) => {
                TextRule::new(Form::Ascii, 1, 128)
            }
        }
    }
}

/// A user's secrets.
pub type UserSecrets = BTreeMap<SecretKind, String>;
