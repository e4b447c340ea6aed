//! Client deployment: bringing each user's configuration onto their phones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Time;
use crate::ids::{InvitationId, ProfileId};
use crate::text::{Form, TextRule};
use crate::words::words;

/// The name by which a phone logs in to the telephone system.
pub const SIP_USER_NAME: TextRule = TextRule::new(Form::Word, 1, 64);
/// The account at a service beside, for which the phone is set up.
pub const SERVICE_ACCOUNT: TextRule = TextRule::new(Form::Line, 1, 64);
/// The most bytes of a user's own settings, as JSON.
pub const OVERRIDES_LIMIT: usize = 4 * 1024;

words! {
    /// What only a user's configuration may tell.
    SecretKind {
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
    /// The user's own settings, which come before all others.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub overrides: Map<String, Value>,
    /// Which secrets are set, each since when. What they are stands elsewhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<SecretKind, Time>,
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
    /// True if there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
