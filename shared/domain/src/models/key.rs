//! API keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::error::DomainError;
use crate::ids::{KeyId, WorkspaceId};
use crate::input::Fields;
use crate::models::actor::{Actor, Creator};
use crate::permission::{Permission, Permissions};
use crate::secret::{ApiKeySecret, Hash};
use crate::stored::Stored;
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule};

/// A key's name.
pub const NAME: TextRule = TextRule::new(Form::Line, 1, 100);

/// A key. Its secret is shown once and not stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiKey {
    /// The workspace that it gives access to.
    pub workspace_id: WorkspaceId,
    /// Its identifier.
    pub key_id: KeyId,
    /// The public part of the key, which identifies it.
    pub short: String,
    /// Hash of the key.
    pub secret_hash: Hash,
    /// A name for people.
    pub name: String,
    /// Its permissions.
    pub permissions: Permissions,
    /// Creation time.
    pub created_at: Time,
    /// Who created it.
    pub created_by: Creator,
    /// For a key that was created by a key: the short parts of the chain of keys before it, the direct creator
    /// last. It ends with each of them. Empty for keys of earlier releases.
    #[serde(rename = "makers", default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<String>,
    /// Expiry time; `None` for no expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Time and actor of its revocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

/// The revocation of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revoked {
    /// Time of the revocation.
    pub at: Time,
    /// Who revoked it.
    pub by: Actor,
}

string_enum! {
    /// A key's status.
    KeyStatus {
        /// Valid.
        Active = "active",
        /// Expired.
        Expired = "expired",
        /// Revoked, or a key of the chain before it was.
        Revoked = "revoked",
    }
}

/// The keys of a chain, by their short parts.
pub type AncestorKeys = BTreeMap<String, ApiKey>;

impl ApiKey {
    /// Checks a presented key against the stored one, its own validity only.
    ///
    /// # Errors
    /// `CredentialInvalid` for an unknown key or a wrong secret, `CredentialRevoked`, `CredentialExpired`.
    pub fn authenticate(found: Option<Self>, presented: &ApiKeySecret, now: Time) -> Result<Self, DomainError> {
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

    /// Its status, with the chain of keys before it: its own if it has ended, else theirs. A missing key of the
    /// chain counts as revoked.
    #[must_use]
    pub fn status(&self, ancestors: &AncestorKeys, now: Time) -> KeyStatus {
        let of_makers =
            self.ancestors.iter().map(|short| ancestors.get(short).map_or(KeyStatus::Revoked, |m| m.own_status(now)));
        let over = |status: &KeyStatus| *status != KeyStatus::Active;
        std::iter::once(self.own_status(now)).chain(of_makers).find(over).unwrap_or(KeyStatus::Active)
    }

    /// Its own revocation, or the one of a key of the chain before it.
    #[must_use]
    pub fn effective_revocation<'a>(&'a self, ancestors: &'a AncestorKeys) -> Option<&'a Revoked> {
        let of_makers = self.ancestors.iter().filter_map(|short| ancestors.get(short)?.revoked.as_ref());
        self.revoked.iter().chain(of_makers).min_by_key(|revoked| revoked.at)
    }
}

impl KeyStatus {
    /// Checks that the status is active.
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

/// The data of a new key.
#[derive(Clone, Debug, PartialEq)]
pub struct NewKey {
    /// A name for people.
    pub name: String,
    /// Its permissions.
    pub permissions: Permissions,
    /// Expiry time; `None` for the creator's own.
    pub expires_at: Option<Time>,
}

impl NewKey {
    /// Reads the fields of a new key.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn read(mut fields: Fields, now: Time) -> Result<Self, DomainError> {
        let name = fields.required_text("name", NAME);
        let permissions = fields.required_enum_list::<Permission>("permissions");
        let expires_at = fields.time("expires_at");
        if expires_at.is_some_and(|expires_at| expires_at <= now) {
            fields.add_error("expires_at", "out_of_range", "must be in the future");
        }
        fields.finish().map_err(DomainError::Invalid)?;
        let permissions = permissions.into_iter().flatten().collect();
        Ok(Self { name: name.unwrap_or_default(), permissions, expires_at })
    }
}
