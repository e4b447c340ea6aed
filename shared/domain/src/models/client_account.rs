//! A user's account in client deployment, and the secrets of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Time;
use crate::ids::{InvitationId, ProfileId};
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule};

/// The name by which a phone logs in to the telephone system.
pub const SIP_USER_NAME: TextRule = TextRule::new(Form::Word, 1, 64);

/// The account at a service beside, for which the phone is set up.
pub const SERVICE_ACCOUNT: TextRule = TextRule::new(Form::Line, 1, 64);

/// The most bytes of a user's own settings, as JSON.
pub const OVERRIDES_LIMIT: usize = 4 * 1024;

string_enum! {
    /// What only a user's configuration may tell.
    stored SecretKind {
        /// The password of the client.
        ClientPassword = "client_password",
        /// The password at the telephone system.
        PbxSipPassword = "pbx_sip_password",
        /// The password at the telephone system for those who work from afar.
        TeleworkerSipPassword = "teleworker_sip_password",
        /// The PIN of the voice mail.
        VoicemailPin = "voicemail_pin",
    }
}

/// What client deployment knows of a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientAccount {
    /// The user's profile; else the workspace's default holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_id: Option<ProfileId>,
    /// See [`SIP_USER_NAME`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip_user_name: Option<String>,
    /// See [`SERVICE_ACCOUNT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// The user's own settings, which come before all others. Stored as text, as a profile's are.
    #[serde(default, with = "crate::models::profile::as_text", skip_serializing_if = "Map::is_empty")]
    pub overrides: Map<String, Value>,
    /// Which secrets are set, each since when. What they are stands elsewhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<SecretKind, Time>,
    /// What the versions of the user's configurations are salted with, from the first one on: whoever
    /// has only the versions, in what was published or once the user is purged, learns nothing by trying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_salt: Option<String>,
    /// The newest deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<InvitationId>,
    /// When one of the user's phones last got a configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_at: Option<Time>,
    /// When one of the user's phones last said that it has put a configuration in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downloaded_at: Option<Time>,
    /// When the user was taken out of client deployment, until the next deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Time>,
}

impl ClientAccount {
    /// The profile that holds for the user: their own, or else the workspace's default.
    #[must_use]
    pub fn profile(&self, default: Option<ProfileId>) -> Option<ProfileId> {
        self.profile_id.or(default)
    }

    /// True if there is nothing to tell.
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
