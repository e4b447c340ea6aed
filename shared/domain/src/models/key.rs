//! API keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::error::DomainError;
use crate::ids::{KeyId, WorkspaceId};
use crate::input::Fields;
use crate::models::actor::{Actor, Maker};
use crate::permission::{Permission, Permissions};
use crate::secret::{ApiKey, Hash};
use crate::stored::Stored;
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule};

/// A key's name.
pub const NAME: TextRule = TextRule::new(Form::Line, 1, 100);

/// A key; the secret itself is shown once and not kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// The workspace that it opens.
    pub workspace_id: WorkspaceId,
    /// Its identifier.
    pub key_id: KeyId,
    /// The part of the key that names it.
    pub short: String,
    /// What is kept of the key.
    pub secret_hash: Hash,
    /// A name for people.
    pub name: String,
    /// What it may do.
    pub permissions: Permissions,
    /// Time of its creation.
    pub created_at: Time,
    /// Who created it.
    pub created_by: Maker,
    /// If a key made it: that one's short part, after those of the keys that it came from in its turn. It ends with
    /// each of them. A key that an earlier release has stored has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub makers: Vec<String>,
    /// Until when; for ever if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When and by whom it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

/// A key's end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revoked {
    /// Its time.
    pub at: Time,
    /// Who did it.
    pub by: Actor,
}

string_enum! {
    /// How a key stands.
    KeyStatus {
        /// It is good.
        Active = "active",
        /// Its time is over.
        Expired = "expired",
        /// It was taken back, or the key that made it was.
        Revoked = "revoked",
    }
}

/// The keys that made others, by their short parts.
pub type Makers = BTreeMap<String, Key>;

impl Key {
    /// The key that a presented one is, if it is good now by itself.
    ///
    /// # Errors
    /// `CredentialInvalid` for an unknown key or a wrong secret, `CredentialRevoked`, `CredentialExpired`.
    pub fn proved(found: Option<Self>, presented: &ApiKey, now: Time) -> Result<Self, DomainError> {
        let key = found.filter(|key| key.secret_hash == presented.hash()).ok_or(DomainError::CredentialInvalid)?;
        key.own_status(now).require_active()?;
        Ok(key)
    }

    fn own_status(&self, now: Time) -> KeyStatus {
        match (&self.revoked, self.expires_at) {
            (Some(_), _) => KeyStatus::Revoked,
            (None, Some(expires_at)) if expires_at <= now => KeyStatus::Expired,
            (None, _) => KeyStatus::Active,
        }
    }

    /// How it stands, with the keys that it came from: as its own state says, if that is over, or else as theirs
    /// does. One that is not there any more counts as taken back.
    #[must_use]
    pub fn status(&self, makers: &Makers, now: Time) -> KeyStatus {
        let of_makers =
            self.makers.iter().map(|short| makers.get(short).map_or(KeyStatus::Revoked, |m| m.own_status(now)));
        let over = |status: &KeyStatus| *status != KeyStatus::Active;
        std::iter::once(self.own_status(now)).chain(of_makers).find(over).unwrap_or(KeyStatus::Active)
    }

    /// When and by whom it was taken back, be it with one of the keys that it came from.
    #[must_use]
    pub fn revoked_with<'a>(&'a self, makers: &'a Makers) -> Option<&'a Revoked> {
        let of_makers = self.makers.iter().filter_map(|short| makers.get(short)?.revoked.as_ref());
        self.revoked.iter().chain(of_makers).min_by_key(|revoked| revoked.at)
    }
}

impl KeyStatus {
    /// Lets pass what is good.
    ///
    /// # Errors
    /// `CredentialRevoked`, `CredentialExpired`.
    pub fn require_active(self) -> Result<(), DomainError> {
        match self {
            Self::Active => Ok(()),
            Self::Expired => Err(DomainError::CredentialExpired),
            Self::Revoked => Err(DomainError::CredentialRevoked),
        }
    }
}

/// What a key is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct NewKey {
    /// A name for people.
    pub name: String,
    /// What it may do.
    pub permissions: Permissions,
    /// Until when; for as long as whoever makes it if not set.
    pub expires_at: Option<Time>,
}

impl NewKey {
    /// Reads the fields of a key.
    ///
    /// # Errors
    /// Every fault of them.
    pub fn read(mut fields: Fields, now: Time) -> Result<Self, DomainError> {
        let name = fields.required_text("name", NAME);
        let permissions = fields.required_words::<Permission>("permissions");
        let expires_at = fields.time("expires_at");
        if expires_at.is_some_and(|expires_at| expires_at <= now) {
            fields.fault("expires_at", "out_of_range", "must be in the future");
        }
        fields.finish().map_err(DomainError::Invalid)?;
        let permissions = permissions.into_iter().flatten().collect();
        Ok(Self { name: name.unwrap_or_default(), permissions, expires_at })
    }
}
