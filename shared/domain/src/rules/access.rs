//! Authorization: who may do what.

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::error::DomainError;
use crate::ids::{TokenId, WorkspaceId};
use crate::models::actor::Actor;
use crate::models::key::{AncestorKeys, ApiKey, KeyStatus};
use crate::models::member::{Identity, Member};
use crate::models::token::Token;
use crate::permission::{Permission, Permissions};

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The workspace in which the caller acts.
    pub workspace_id: WorkspaceId,
    /// The caller, as events record it.
    pub actor: Actor,
    /// The personal access token that a member uses, if any.
    pub token_id: Option<TokenId>,
    /// The caller's permissions.
    pub permissions: Permissions,
}

/// Why an authenticated person has no workspace to act in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoWorkspace {
    /// They are a member of none, or not of the requested one.
    NotAMember,
    /// They are a member of several, and have requested none.
    Unnamed,
}

/// How a caller has authenticated, with the data that determines their workspaces and permissions.
#[derive(Clone, Debug, PartialEq)]
pub enum Proof {
    /// With a key, valid in its own workspace only.
    Key(Caller),
    /// With a personal access token; with its person's memberships.
    Token(Box<Token>, Vec<Member>),
    /// By signing in.
    Person(Identity),
}

impl Proof {
    /// The caller in the requested workspace, or in the only possible one. A key always acts in its own, whatever is
    /// requested.
    ///
    /// # Errors
    /// Those of [`Caller::of_member`].
    pub fn caller(&self, wanted: Option<WorkspaceId>) -> Result<Caller, NoWorkspace> {
        match self {
            Self::Key(caller) => Ok(caller.clone()),
            Self::Token(token, memberships) => Caller::of_token(token, memberships, wanted),
            Self::Person(person) => Caller::of_member(&person.memberships, wanted),
        }
    }

    /// The caller in each workspace that they may act in.
    #[must_use]
    pub fn callers(&self) -> Vec<Caller> {
        match self {
            Self::Key(caller) => vec![caller.clone()],
            Self::Token(token, memberships) => {
                token.memberships(memberships).iter().map(|member| Caller::member(member).by(token)).collect()
            }
            Self::Person(person) => person.memberships.iter().map(Caller::member).collect(),
        }
    }

    /// The person, if they have signed in.
    ///
    /// # Errors
    /// `MemberOnly` for a key or a personal access token.
    pub fn person(self) -> Result<Identity, DomainError> {
        match self {
            Self::Person(person) => Ok(person),
            Self::Key(_) | Self::Token(..) => Err(DomainError::MemberOnly),
        }
    }
}

impl Caller {
    /// The caller for a key that is itself authenticated.
    ///
    /// # Errors
    /// `CredentialRevoked` or `CredentialExpired` if the key, or one that it was created with, has ended.
    pub fn of_key(key: ApiKey, ancestors: &AncestorKeys, now: Time) -> Result<Self, DomainError> {
        key.status(ancestors, now).require_active()?;
        Ok(Self {
            workspace_id: key.workspace_id,
            actor: Actor::Key(key.key_id),
            token_id: None,
            permissions: key.permissions,
        })
    }

    /// The permissions that a key still has; none once it has ended. Work that was started with a key continues only
    /// with these.
    #[must_use]
    pub fn still_may(key: &ApiKey, ancestors: &AncestorKeys, now: Time) -> Permissions {
        if key.status(ancestors, now) == KeyStatus::Active { key.permissions.clone() } else { Permissions::new() }
    }

    /// The caller for a person who has signed in: the member of the requested workspace, or of the only one that they
    /// belong to.
    ///
    /// # Errors
    /// See [`NoWorkspace`].
    pub fn of_member(found: &[Member], wanted: Option<WorkspaceId>) -> Result<Self, NoWorkspace> {
        let member = match (wanted, found) {
            (Some(wanted), found) => found.iter().find(|member| member.workspace_id == wanted),
            (None, [only]) => Some(only),
            (None, []) => None,
            (None, _) => return Err(NoWorkspace::Unnamed),
        };
        member.map(Self::member).ok_or(NoWorkspace::NotAMember)
    }

    /// The caller for a valid personal access token: its person's current membership, limited to the token's
    /// permissions, in the requested workspace, or in the only one that it gives access to.
    ///
    /// # Errors
    /// Those of [`Caller::of_member`]: a workspace that the token does not include counts as one that its person is not
    /// a member of.
    pub fn of_token(token: &Token, found: &[Member], wanted: Option<WorkspaceId>) -> Result<Self, NoWorkspace> {
        Ok(Self::of_member(&token.memberships(found), wanted)?.by(token))
    }

    fn member(member: &Member) -> Self {
        Self {
            workspace_id: member.workspace_id,
            actor: Actor::Member(member.member_id),
            token_id: None,
            permissions: member.permissions(),
        }
    }

    fn by(self, token: &Token) -> Self {
        Self { token_id: Some(token.token_id), permissions: token.restrict(self.permissions), ..self }
    }

    /// True if they may wipe devices, or reset them, which deletes the data on them as well.
    #[must_use]
    pub fn may_wipe(&self) -> bool {
        self.permissions.contains(&Permission::UsersWipe)
    }

    /// Checks that the caller has the permission.
    ///
    /// # Errors
    /// `PermissionMissing`.
    pub fn require(&self, permission: Permission) -> Result<(), DomainError> {
        if self.permissions.contains(&permission) { Ok(()) } else { Err(DomainError::PermissionMissing(permission)) }
    }

    /// Checks that the caller has one of the permissions.
    ///
    /// # Errors
    /// `PermissionMissing` for a single permission, `PermissionsMissing` for several.
    pub fn require_any(&self, permissions: &'static [Permission]) -> Result<(), DomainError> {
        match permissions {
            [only] => self.require(*only),
            any if any.iter().any(|permission| self.permissions.contains(permission)) => Ok(()),
            any => Err(DomainError::PermissionsMissing(any)),
        }
    }
}

/// A public key of an OIDC issuer (RFC 7517), of a kind that signs access tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerKey {
    /// Identifier of the key in a token's header.
    pub kid: String,
    /// The key parameters.
    #[serde(flatten)]
    pub material: KeyMaterial,
}

/// The parameters of a public key, in base64url, as the issuer publishes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kty")]
pub enum KeyMaterial {
    /// For RS256.
    #[serde(rename = "RSA")]
    Rsa {
        /// Modulus.
        n: String,
        /// Exponent.
        e: String,
    },
    /// For ES256: on the curve P-256.
    #[serde(rename = "EC")]
    Ec {
        /// The x coordinate.
        x: String,
        /// The y coordinate.
        y: String,
    },
}

/// The issuer's keys as last fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerKeys {
    /// The issuer, exactly as in the tokens.
    pub issuer: String,
    /// The issuer's keys.
    pub keys: Vec<IssuerKey>,
    /// Time of the fetch.
    pub fetched_at: Time,
}

impl IssuerKeys {
    /// How long keys are trusted if they cannot be fetched again. Within this time the issuer's removal of a key takes
    /// effect, and an outage overnight blocks nobody.
    pub const BELIEVED: Duration = Duration::hours(24);

    /// True if these are this issuer's keys, and were fetched recently enough to be trusted.
    #[must_use]
    pub fn vouch_for(&self, issuer: &str, now: Time) -> bool {
        self.issuer == issuer && now < self.fetched_at.plus(Self::BELIEVED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::Role;

    #[test]
    fn each_role_may_what_the_table_says() {
        use Permission as P;
        let table: [(P, [bool; 4]); 10] = [
            (P::DevicesRead, [true; 4]),
            (P::UsersRead, [true; 4]),
            (P::DeploymentsRead, [true; 4]),
            (P::EventsRead, [true; 4]),
            (P::DevicesManage, [false, true, true, true]),
            (P::UsersManage, [false, true, true, true]),
            (P::UsersWipe, [false, false, true, true]),
            (P::DeploymentsManage, [false, false, true, true]),
            (P::NetworksReport, [false, false, false, true]),
            (P::WorkspaceManage, [false, false, false, true]),
        ];
        assert_eq!(table.len(), P::ALL.len());
        for (permission, expected) in table {
            let held = [Role::Viewer, Role::Helpdesk, Role::DeviceAdmin, Role::Admin]
                .map(|role| role.permissions().contains(&permission));
            assert_eq!(held, expected, "{permission}");
        }
    }
}
