//! Admins: people at the console, who prove themselves by a token of the OIDC issuer.

use serde::{Deserialize, Serialize};

use crate::access::Role;
use crate::clock::Time;
use crate::event::{Act, Actor, Event, EventType};
use crate::ids::{MemberId, WorkspaceId};
use crate::refusal::Refusal;
use crate::stored::Stored;
use crate::text::{Form, TextRule};
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
    pub created_by: Actor,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

/// A person who has proved who they are to the issuer, over all workspaces.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// Who vouches for them.
    pub issuer: String,
    /// Who they are, to the issuer.
    pub subject: String,
    /// Where they are a member; never empty.
    pub memberships: Vec<Member>,
}

impl Person {
    /// Their membership of a workspace.
    #[must_use]
    pub fn member_of(&self, workspace: WorkspaceId) -> Option<&Member> {
        self.memberships.iter().find(|member| member.workspace_id == workspace)
    }
}

/// The workspace and the event when a member joins.
#[must_use]
pub fn add(workspace: &Workspace, member: &Member, act: &Act) -> (Workspace, Event) {
    let mut workspace = workspace.clone();
    if member.role == Role::Admin {
        workspace.admin_count += 1;
    }
    (workspace, event(EventType::MemberAdded, member, act))
}

/// The workspace and the event when a member leaves.
///
/// # Errors
/// `LastAdmin` if nobody would be left to manage the workspace.
pub fn remove(workspace: &Workspace, member: &Member, act: &Act) -> Result<(Workspace, Event), Refusal> {
    let mut workspace = workspace.clone();
    if member.role == Role::Admin {
        if workspace.admin_count <= 1 {
            return Err(Refusal::LastAdmin);
        }
        workspace.admin_count -= 1;
    }
    Ok((workspace, event(EventType::MemberRemoved, member, act)))
}

fn event(event_type: EventType, member: &Member, act: &Act) -> Event {
    let mut event = act.event(event_type);
    event.member_id = Some(member.member_id);
    event.change("role", serde_json::Value::Null, member.role.as_str());
    event
}
