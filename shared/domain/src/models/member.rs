//! Admins: people at the console, who prove themselves by a token of the OIDC issuer.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::ids::{MemberId, WorkspaceId};
use crate::models::actor::Maker;
use crate::models::key::Key;
use crate::models::webhook::Webhook;
use crate::permission::{Permissions, Role};
use crate::stored::Stored;
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule};

/// An issuer's identifier: an `https` URL, as tokens have it in `iss`.
pub const ISSUER: TextRule = TextRule::new(Form::Ascii, 8, 255);

/// A subject: OpenID Connect allows 255 ASCII characters in `sub`.
pub const SUBJECT: TextRule = TextRule::new(Form::Ascii, 1, 255);

/// A name that helps people to tell members apart.
pub const NAME: TextRule = TextRule::new(Form::Line, 1, 100);

/// A person's membership of one workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The membership's identifier.
    pub member_id: MemberId,
    /// Who vouches for the person.
    pub issuer: String,
    /// Who the person is, to the issuer.
    pub subject: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the person may do.
    pub role: Role,
    /// Time of its creation.
    pub created_at: Time,
    /// Who created it.
    pub created_by: Maker,
    /// True until the person has accepted: till then it counts for nothing. One that an earlier release has stored
    /// is accepted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// When the person accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Time>,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

string_enum! {
    /// Whether a membership counts.
    MemberStatus {
        /// The person has not accepted it.
        Pending = "pending",
        /// It counts.
        Active = "active",
    }
}

impl Member {
    /// Whether it counts.
    #[must_use]
    pub fn status(&self) -> MemberStatus {
        if self.pending { MemberStatus::Pending } else { MemberStatus::Active }
    }

    /// What the person may do by it.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        if self.pending { Permissions::new() } else { self.role.permissions() }
    }
}

/// Those of a person's memberships that count.
#[must_use]
pub fn accepted(memberships: Vec<Member>) -> Vec<Member> {
    memberships.into_iter().filter(|member| !member.pending).collect()
}

/// A person who has proved who they are to the issuer, over all workspaces.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Who vouches for them.
    pub issuer: String,
    /// Who they are, to the issuer.
    pub subject: String,
    /// Where they are a member and have accepted it.
    pub memberships: Vec<Member>,
}

impl Identity {
    /// Their membership of a workspace.
    #[must_use]
    pub fn member_of(&self, workspace: WorkspaceId) -> Option<&Member> {
        self.memberships.iter().find(|member| member.workspace_id == workspace)
    }
}

/// The most keys and webhooks that end in the commit that removes whoever made them: each takes its row and its event,
/// and a commit has at most 100 items.
pub const MADE_LIMIT: usize = 40;

/// What a member has made and that outlasts them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreatedByMember {
    /// Their keys that are good.
    pub keys: Vec<Key>,
    /// Their webhooks, those that are switched off too.
    pub webhooks: Vec<Webhook>,
}
