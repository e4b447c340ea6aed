//! Admins: people at the console, who prove themselves by a token of the OIDC issuer.

use serde::{Deserialize, Serialize};

use crate::access::{Permissions, Role};
use crate::clock::Time;
use crate::error::DomainError;
use crate::event::{Event, EventContext, EventType, Maker};
use crate::ids::{MemberId, WorkspaceId};
use crate::key::{self, Key};
use crate::stored::Stored;
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule};
use crate::webhook::{self, Webhook};
use crate::workspace::Workspace;

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
    /// Since when.
    pub created_at: Time,
    /// By whom.
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

/// The event when a workspace adds a person, who has yet to accept it.
#[must_use]
pub fn add(member: &Member, context: &EventContext) -> Event {
    event(EventType::MemberAdded, member, context)
}

/// The membership once its person accepts it, the workspace with one admin more if it makes one, and the event;
/// `None` if it was accepted before.
#[must_use]
pub fn accept(workspace: &Workspace, member: &Member, context: &EventContext) -> Option<(Workspace, Member, Event)> {
    if !member.pending {
        return None;
    }
    let mut workspace = workspace.clone();
    if member.role == Role::Admin {
        workspace.admin_count += 1;
    }
    let after = Member { pending: false, accepted_at: Some(context.at), ..member.clone() };
    let mut event = context.event(EventType::MemberChanged);
    event.member_id = Some(member.member_id);
    event.change("status", member.status().as_str(), after.status().as_str());
    Some((workspace, after, event))
}

/// The event when a person declines a membership, which then is gone.
///
/// # Errors
/// `MembershipAccepted` if they have accepted it: then it is for an admin of the workspace to remove them.
pub fn decline(member: &Member, context: &EventContext) -> Result<Event, DomainError> {
    if member.pending {
        Ok(event(EventType::MemberRemoved, member, context))
    } else {
        Err(DomainError::MembershipAccepted)
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

/// What a member's removal changes besides their own row.
#[derive(Clone, Debug, PartialEq)]
pub struct Removal {
    /// The workspace.
    pub workspace: Workspace,
    /// The keys that end, before and after it.
    pub keys: Vec<(Key, Key)>,
    /// The webhooks that are switched off, before and after it.
    pub webhooks: Vec<(Webhook, Webhook)>,
    /// What happened.
    pub events: Vec<Event>,
}

/// A member leaves. With `revoke`, what they have made ends with them: their keys are revoked, and their webhooks
/// switched off, which whoever is left may switch on again with another secret.
///
/// # Errors
/// `LastAdmin` if nobody would be left to manage the workspace; `TooManyMade` if more would end than a commit holds.
pub fn remove(
    workspace: &Workspace,
    member: &Member,
    made: &CreatedByMember,
    revoke: bool,
    context: impl Fn() -> EventContext,
) -> Result<Removal, DomainError> {
    let mut workspace = workspace.clone();
    if member.role == Role::Admin && !member.pending {
        if workspace.admin_count <= 1 {
            return Err(DomainError::LastAdmin);
        }
        workspace.admin_count -= 1;
    }
    let mut removal = Removal {
        workspace,
        keys: Vec::new(),
        webhooks: Vec::new(),
        events: vec![event(EventType::MemberRemoved, member, &context())],
    };
    if !revoke {
        return Ok(removal);
    }
    let count = made.keys.len() + made.webhooks.len();
    if count > MADE_LIMIT {
        return Err(DomainError::TooManyMade(count));
    }
    for key in &made.keys {
        if let Some((after, event)) = key::revoke(key, &context()) {
            removal.keys.push((key.clone(), after));
            removal.events.push(event);
        }
    }
    for webhook in &made.webhooks {
        if let Some((after, event)) = webhook.update(webhook::Edit::switch_off(), &context()) {
            removal.webhooks.push((webhook.clone(), after));
            removal.events.push(event);
        }
    }
    Ok(removal)
}

fn event(event_type: EventType, member: &Member, context: &EventContext) -> Event {
    let mut event = context.event(event_type);
    event.member_id = Some(member.member_id);
    event.change("role", serde_json::Value::Null, member.role.as_str());
    event
}
