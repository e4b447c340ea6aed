//! Who may do what.

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::error::DomainError;
use crate::ids::{TokenId, WorkspaceId};
use crate::models::actor::Actor;
use crate::models::key::{AncestorKeys, Key, KeyStatus};
use crate::models::member::{Identity, Member};
use crate::models::token::Token;
use crate::permission::{Permission, Permissions};

/// What an operation asks of its caller. The permission table in `functions` gives each operation
/// exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A key or a member with this permission; a member also by a personal access token.
    Permission(Permission),
    /// A key or a member with any of these: which of them, the thing itself decides.
    AnyOf(&'static [Permission]),
    /// A person who has signed in, in whatever workspaces they are a member; no key, and no token of theirs.
    Person,
    /// Anyone who has signed in, be they a member of a workspace or not; no key, and no token of theirs.
    SignedIn,
    /// The device's own credential, checked in the operation's own read or write.
    Device,
    /// A code in the body or the path is the proof.
    Code,
    /// Anyone.
    Public,
    /// AWS alone: no route leads here, and IAM says who may invoke it.
    Internal,
}

/// A caller who has proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The one workspace in which the caller acts.
    pub workspace_id: WorkspaceId,
    /// Who it is, as events record it.
    pub actor: Actor,
    /// The personal access token by which a member calls, if they call by one.
    pub token_id: Option<TokenId>,
    /// What they may do.
    pub permissions: Permissions,
}

/// Why somebody who has proved who they are acts in no workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoWorkspace {
    /// They are a member of none, or not of the one that they have named.
    NotAMember,
    /// They are a member of several, and have named none.
    Unnamed,
}

/// How a caller has proved who they are: all that it takes to say where they act, and what they may do there.
#[derive(Clone, Debug, PartialEq)]
pub enum Proof {
    /// By a key, which is good for its own workspace.
    Key(Caller),
    /// By a personal access token, whose person is a member here.
    Token(Box<Token>, Vec<Member>),
    /// By signing in.
    Person(Identity),
}

impl Proof {
    /// The caller in the workspace that was asked for, or in the only one that there is. A key's is its own,
    /// whatever was asked for.
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

    /// The caller in each workspace that they may choose.
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

    /// The person, if they have signed in themselves.
    ///
    /// # Errors
    /// `MemberOnly` if they sent a key or a token.
    pub fn person(self) -> Result<Identity, DomainError> {
        match self {
            Self::Person(person) => Ok(person),
            Self::Key(_) | Self::Token(..) => Err(DomainError::MemberOnly),
        }
    }
}

impl Caller {
    /// The caller that a key stands for, which is good by itself.
    ///
    /// # Errors
    /// `CredentialRevoked` or `CredentialExpired`, if a key that it came from is over.
    pub fn of_key(key: Key, ancestors: &AncestorKeys, now: Time) -> Result<Self, DomainError> {
        key.status(ancestors, now).require_active()?;
        Ok(Self {
            workspace_id: key.workspace_id,
            actor: Actor::Key(key.key_id),
            token_id: None,
            permissions: key.permissions,
        })
    }

    /// What a key still may, whoever holds it: work that was begun under it goes on only so long.
    #[must_use]
    pub fn still_may(key: &Key, ancestors: &AncestorKeys, now: Time) -> Permissions {
        if key.status(ancestors, now) == KeyStatus::Active { key.permissions.clone() } else { Permissions::new() }
    }

    /// The caller that a verified token's person stands for: the member of the workspace that was
    /// asked for, or of the only one that they belong to.
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

    /// The caller that a good token stands for: its person as the member that they are now, with no more
    /// than the token lets through, in the workspace that was asked for, or in the only one that it opens.
    ///
    /// # Errors
    /// Those of [`Caller::of_member`]: a workspace that the token does not name is like one that its person is
    /// no member of.
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

    /// True if they may have phones wiped, or reset, which destroys what is on them as well.
    #[must_use]
    pub fn may_wipe(&self) -> bool {
        self.permissions.contains(&Permission::UsersWipe)
    }

    /// Lets the caller pass if they hold the permission.
    ///
    /// # Errors
    /// `PermissionMissing`.
    pub fn require(&self, permission: Permission) -> Result<(), DomainError> {
        if self.permissions.contains(&permission) { Ok(()) } else { Err(DomainError::PermissionMissing(permission)) }
    }

    /// Lets the caller pass if they hold one of the permissions.
    ///
    /// # Errors
    /// `PermissionMissing`, `PermissionsMissing` of several.
    pub fn require_any(&self, permissions: &'static [Permission]) -> Result<(), DomainError> {
        match permissions {
            [only] => self.require(*only),
            any if any.iter().any(|permission| self.permissions.contains(permission)) => Ok(()),
            any => Err(DomainError::PermissionsMissing(any)),
        }
    }
}

/// A public key of an OIDC issuer (RFC 7517), of the kinds that access tokens are signed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerKey {
    /// The key's name in a token's header.
    pub kid: String,
    /// The key itself.
    #[serde(flatten)]
    pub material: KeyMaterial,
}

/// The numbers of a public key, in base64url as the issuer publishes them.
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
        /// First coordinate.
        x: String,
        /// Second coordinate.
        y: String,
    },
}

/// The issuer's keys as last fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerKeys {
    /// The issuer, exactly as tokens name it.
    pub issuer: String,
    /// Its keys.
    pub keys: Vec<IssuerKey>,
    /// When they were fetched.
    pub fetched_at: Time,
}

impl IssuerKeys {
    /// For how long keys that could not be fetched again are believed. An issuer that has taken a key back is heard
    /// by then, and an outage of a night keeps nobody out.
    pub const BELIEVED: Duration = Duration::hours(24);

    /// True if the keys are this issuer's, and were fetched lately enough to be believed.
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
