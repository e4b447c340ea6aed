//! Keys, members and personal access tokens. None shows its secret, but once when it is created.

use domain::models::key::{self, AncestorKeys, KeyStatus};
use domain::models::member::{self, MemberStatus};
use domain::models::token::{self, TokenStatus};
use domain::models::workspace;
use domain::permission::{Permission, Permissions, Role};
use domain::{KeyId, MemberId, Time, TokenId, WorkspaceId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::views::{Actor, Creator, Webhook};

/// An API key, without its secret.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Key {
    /// Identifier of the key.
    key_id: KeyId,
    /// Name of the key.
    name: String,
    /// The part of the key that identifies it.
    short: String,
    /// What the key may do.
    permissions: Vec<Permission>,
    /// Status of the key.
    status: KeyStatus,
    /// Time of the creation.
    created_at: Time,
    /// Who created the key.
    created_by: Creator,
    /// Time of the expiry; `null` for never.
    expires_at: Option<Time>,
    /// Time of the revocation.
    revoked_at: Option<Time>,
    /// Who revoked the key.
    revoked_by: Option<Actor>,
}

/// A new API key, with its secret.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct NewKey {
    #[serde(flatten)]
    pub view: Key,
    /// The key itself, shown this once.
    pub key: String,
}

/// A person who signs in.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Member {
    /// Identifier of the member.
    member_id: MemberId,
    /// OpenID Connect issuer, exactly as tokens name it.
    issuer: String,
    /// The person's identifier at the issuer.
    subject: String,
    /// Name of the person.
    name: Option<String>,
    /// The person's role in the workspace.
    role: Role,
    /// Status of the membership.
    status: MemberStatus,
    /// Time of the creation.
    created_at: Time,
    /// Who added the member.
    created_by: Creator,
    /// Time at which the person accepted; `null` until then, and for members of an earlier release.
    accepted_at: Option<Time>,
}

/// A member who was removed, with what they created.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RemovedMember {
    #[serde(flatten)]
    pub member: Member,
    /// Keys that they created and that were valid.
    pub keys: Vec<Key>,
    /// Webhooks that they created.
    pub webhooks: Vec<Webhook>,
}

/// A person's membership of a workspace, as they see it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Membership {
    /// Identifier of the workspace.
    workspace_id: WorkspaceId,
    /// Name of the workspace.
    workspace_name: Option<String>,
    /// Identifier of the member.
    member_id: MemberId,
    /// The person's role in the workspace.
    role: Role,
    /// Status of the membership.
    status: MemberStatus,
    /// Time of the creation.
    created_at: Time,
    /// Time at which the person accepted; `null` until then, and for memberships of an earlier release.
    accepted_at: Option<Time>,
}

/// A personal access token, without its secret.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Token {
    /// Identifier of the token.
    token_id: TokenId,
    /// Name of the token.
    name: String,
    /// The part of the token that identifies it.
    short: String,
    /// Workspaces that the token opens.
    workspace_ids: Vec<WorkspaceId>,
    /// What the token is narrowed to; `null` for everything that the person may do.
    permissions: Option<Vec<Permission>>,
    /// Status of the token.
    status: TokenStatus,
    /// Time of the creation.
    created_at: Time,
    /// Time of the expiry.
    expires_at: Time,
    /// Time of the revocation.
    revoked_at: Option<Time>,
}

/// A new personal access token, with its secret.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct NewToken {
    #[serde(flatten)]
    pub view: Token,
    /// The token itself, shown this once.
    pub token: String,
}

/// A member's personal access token, as one workspace sees it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct MemberToken {
    /// Identifier of the token.
    token_id: TokenId,
    /// Name of the token.
    name: String,
    /// The part of the token that identifies it.
    short: String,
    /// What the token is narrowed to; `null` for everything that the person may do.
    permissions: Option<Vec<Permission>>,
    /// Status of the token in this workspace.
    status: TokenStatus,
    /// Time of the creation.
    created_at: Time,
    /// Time of the expiry.
    expires_at: Time,
    /// Time of the revocation.
    revoked_at: Option<Time>,
    /// Who revoked the token for this workspace.
    revoked_by: Option<Actor>,
}

impl Key {
    /// `ancestors` are the keys that this one comes from: it ends with them.
    pub fn new(key: &key::ApiKey, ancestors: &AncestorKeys, now: Time) -> Self {
        let revoked = key.effective_revocation(ancestors);
        Self {
            key_id: key.key_id,
            name: key.name.clone(),
            short: key.short.clone(),
            permissions: listed(&key.permissions),
            status: key.status(ancestors, now),
            created_at: key.created_at,
            created_by: key.created_by.into(),
            expires_at: key.expires_at,
            revoked_at: revoked.map(|revoked| revoked.at),
            revoked_by: revoked.map(|revoked| revoked.by.into()),
        }
    }
}

impl From<&member::Member> for Member {
    fn from(member: &member::Member) -> Self {
        Self {
            member_id: member.member_id,
            issuer: member.issuer.clone(),
            subject: member.subject.clone(),
            name: member.name.clone(),
            role: member.role,
            status: member.status(),
            created_at: member.created_at,
            created_by: member.created_by.into(),
            accepted_at: member.accepted_at,
        }
    }
}

impl Membership {
    pub fn new(member: &member::Member, workspace: Option<&workspace::Workspace>) -> Self {
        Self {
            workspace_id: member.workspace_id,
            workspace_name: workspace.map(|workspace| workspace.name.clone()),
            member_id: member.member_id,
            role: member.role,
            status: member.status(),
            created_at: member.created_at,
            accepted_at: member.accepted_at,
        }
    }
}

impl Token {
    pub fn new(token: &token::Token, now: Time) -> Self {
        Self {
            token_id: token.token_id,
            name: token.name.clone(),
            short: token.short.clone(),
            workspace_ids: token.workspace_ids.iter().copied().filter(|id| token.gives_access_to(*id)).collect(),
            permissions: token.permissions.as_ref().map(listed),
            status: token.status(now),
            created_at: token.created_at,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
        }
    }
}

impl MemberToken {
    /// Shows nothing of other workspaces that the token opens.
    pub fn new(token: &token::Token, workspace: WorkspaceId, now: Time) -> Self {
        let lost = token.lost_access_to(workspace);
        Self {
            token_id: token.token_id,
            name: token.name.clone(),
            short: token.short.clone(),
            permissions: token.permissions.as_ref().map(listed),
            status: token.status_in(workspace, now),
            created_at: token.created_at,
            expires_at: token.expires_at,
            revoked_at: lost.map(|lost| lost.at).or(token.revoked_at),
            revoked_by: lost.map(|lost| lost.by.into()),
        }
    }
}

fn listed(permissions: &Permissions) -> Vec<Permission> {
    permissions.iter().copied().collect()
}
