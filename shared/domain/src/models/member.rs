//! Members: people who use the console, signed in by a token of the OIDC issuer.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::ids::{MemberId, WorkspaceId};
use crate::models::actor::Creator;
use crate::models::key::ApiKey;
use crate::models::webhook::Webhook;
use crate::permission::{Permissions, Role};
use crate::stored::Stored;
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule};

/// An issuer: an `https` URL, the `iss` of a token.
pub const ISSUER: TextRule = TextRule::new(Form::Ascii, 8, 255);

/// A subject: OpenID Connect allows 255 ASCII characters in `sub`.
pub const SUBJECT: TextRule = TextRule::new(Form::Ascii, 1, 255);

/// A member's name for people.
pub const NAME: TextRule = TextRule::new(Form::Line, 1, 100);

/// A person's membership of one workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The membership's identifier.
    pub member_id: MemberId,
    /// The OIDC issuer of the person.
    pub issuer: String,
    /// The person's subject at the issuer.
    pub subject: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The person's role.
    pub role: Role,
    /// Creation time.
    pub created_at: Time,
    /// Who created it.
    pub created_by: Creator,
    /// True until the person accepts; until then the membership gives no access. One of an earlier release is
    /// accepted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// When the person accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Time>,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

string_enum! {
    /// A membership's status.
    MemberStatus {
        /// Not yet accepted.
        Pending = "pending",
        /// Accepted.
        Active = "active",
    }
}

impl Member {
    /// Its status.
    #[must_use]
    pub fn status(&self) -> MemberStatus {
        if self.pending { MemberStatus::Pending } else { MemberStatus::Active }
    }

    /// The role's permissions.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        if self.pending { Permissions::new() } else { self.role.permissions() }
    }
}

/// The accepted ones of a person's memberships.
#[must_use]
pub fn accepted(memberships: Vec<Member>) -> Vec<Member> {
    memberships.into_iter().filter(|member| !member.pending).collect()
}

/// A signed-in person, across all workspaces.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The OIDC issuer.
    pub issuer: String,
    /// The subject at the issuer.
    pub subject: String,
    /// The accepted memberships.
    pub memberships: Vec<Member>,
}

impl Identity {
    /// The person's membership of a workspace.
    #[must_use]
    pub fn member_of(&self, workspace: WorkspaceId) -> Option<&Member> {
        self.memberships.iter().find(|member| member.workspace_id == workspace)
    }
}

/// The most keys and webhooks that end in the commit that removes their creator: each needs its row and an
/// event, and a commit has at most 100 items.
pub const CREATED_LIMIT: usize = 40;

/// What a member created and that would outlast the membership.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreatedByMember {
    /// Valid keys.
    pub keys: Vec<ApiKey>,
    /// Webhooks, including disabled ones.
    pub webhooks: Vec<Webhook>,
}
