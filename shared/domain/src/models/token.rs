//! Personal access tokens: by them a program acts for a person who is a member of workspaces, as long as the
//! person is.

use std::collections::BTreeSet;

use chrono::Duration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Time;
use crate::error::DomainError;
use crate::ids::{TokenId, WorkspaceId};
use crate::input::Fields;
use crate::models::actor::Actor;
use crate::models::member::{Identity, Member};
use crate::permission::{Permission, Permissions};
use crate::secret::{AccessToken, Hash};
use crate::shape::uuid;
use crate::stored::Stored;
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule};

/// A token's name.
pub const NAME: TextRule = TextRule::new(Form::Line, 1, 100);

/// The most workspaces that a token opens.
pub const WORKSPACE_LIMIT: usize = 20;

/// The longest time for which a token is made.
pub const LIFE: Duration = Duration::days(366);

/// How long a token that is over is still shown.
pub const KEPT: Duration = Duration::days(90);

/// A token; the secret itself is shown once and not kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Its identifier.
    pub token_id: TokenId,
    /// The part of the token that names it.
    pub short: String,
    /// What is kept of the token.
    pub secret_hash: Hash,
    /// Who vouches for its person.
    pub issuer: String,
    /// Who its person is, to the issuer.
    pub subject: String,
    /// A name for people.
    pub name: String,
    /// The workspaces that it was made for.
    pub workspace_ids: BTreeSet<WorkspaceId>,
    /// What it lets through of what its person may; everything if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
    /// Time of its creation.
    pub created_at: Time,
    /// Time of its expiry.
    pub expires_at: Time,
    /// When its person took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
    /// The workspaces whose admins have shut it out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shut_out: Vec<LostAccess>,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

/// A token's end in one workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LostAccess {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Its time.
    pub at: Time,
    /// Who did it.
    pub by: Actor,
}

string_enum! {
    /// How a token stands.
    TokenStatus {
        /// It is good.
        Active = "active",
        /// Its time is over.
        Expired = "expired",
        /// It was taken back.
        Revoked = "revoked",
    }
}

impl Token {
    /// The token that a presented one is, if it is good now.
    ///
    /// # Errors
    /// `CredentialInvalid` for an unknown token or a wrong secret, `CredentialRevoked`, `CredentialExpired`.
    pub fn proved(found: Option<Self>, presented: &AccessToken, now: Time) -> Result<Self, DomainError> {
        let token =
            found.filter(|token| token.secret_hash == presented.hash()).ok_or(DomainError::CredentialInvalid)?;
        match token.status(now) {
            TokenStatus::Active => Ok(token),
            TokenStatus::Expired => Err(DomainError::CredentialExpired),
            TokenStatus::Revoked => Err(DomainError::CredentialRevoked),
        }
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self, now: Time) -> TokenStatus {
        match self.revoked_at {
            Some(_) => TokenStatus::Revoked,
            None if self.expires_at <= now => TokenStatus::Expired,
            None => TokenStatus::Active,
        }
    }

    /// How it stands for a workspace that it names.
    #[must_use]
    pub fn status_in(&self, workspace: WorkspaceId, now: Time) -> TokenStatus {
        if self.shut_out_of(workspace).is_some() { TokenStatus::Revoked } else { self.status(now) }
    }

    /// Its end in a workspace, if the workspace's admins have shut it out.
    #[must_use]
    pub fn shut_out_of(&self, workspace: WorkspaceId) -> Option<&LostAccess> {
        self.shut_out.iter().find(|end| end.workspace_id == workspace)
    }

    /// True if it names the workspace, whose admins have not shut it out.
    #[must_use]
    pub fn opens(&self, workspace: WorkspaceId) -> bool {
        self.workspace_ids.contains(&workspace) && self.shut_out_of(workspace).is_none()
    }

    /// Those of its person's memberships that it opens: who was removed and comes back as a member brings
    /// no older token along.
    #[must_use]
    pub fn memberships(&self, of_person: &[Member]) -> Vec<Member> {
        let opened = |member: &&Member| self.opens(member.workspace_id) && member.created_at <= self.created_at;
        of_person.iter().filter(opened).cloned().collect()
    }

    /// What is left of permissions.
    #[must_use]
    pub fn lets_through(&self, permissions: Permissions) -> Permissions {
        match &self.permissions {
            Some(own) => permissions.intersection(own).copied().collect(),
            None => permissions,
        }
    }

    /// What its person, who is this member now, still may by it, whoever holds it: work that was begun by it
    /// goes on only so long.
    #[must_use]
    pub fn still_may(&self, member: &Member, now: Time) -> Permissions {
        match self.status_in(member.workspace_id, now) {
            TokenStatus::Active => self.lets_through(member.permissions()),
            TokenStatus::Expired | TokenStatus::Revoked => Permissions::new(),
        }
    }
}

/// What a token is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct NewToken {
    /// A name for people.
    pub name: String,
    /// The workspaces that it is for.
    pub workspace_ids: BTreeSet<WorkspaceId>,
    /// What it lets through; everything if not set.
    pub permissions: Option<Permissions>,
    /// Time of its expiry.
    pub expires_at: Time,
}

impl NewToken {
    /// Reads the fields of a token for a person.
    ///
    /// # Errors
    /// Every fault of them.
    pub fn read(mut fields: Fields, person: &Identity, now: Time) -> Result<Self, DomainError> {
        let name = fields.required_text("name", NAME);
        let workspace_ids = read_workspaces(&mut fields, person);
        let permissions = fields.words::<Permission>("permissions");
        let expires_at = fields.time("expires_at");
        fields.require("expires_at");
        match expires_at {
            Some(at) if at <= now => fields.fault("expires_at", "out_of_range", "must be in the future"),
            Some(at) if at > now.plus(LIFE) => {
                fields.fault("expires_at", "out_of_range", format!("must be within {} days", LIFE.num_days()));
            }
            _ => {}
        }
        fields.finish().map_err(DomainError::Invalid)?;
        Ok(Self {
            name: name.unwrap_or_default(),
            workspace_ids,
            permissions: permissions.map(Permissions::from_iter),
            expires_at: expires_at.unwrap_or(now),
        })
    }
}

/// The workspaces of a token: each one that the person is a member of.
fn read_workspaces(fields: &mut Fields, person: &Identity) -> BTreeSet<WorkspaceId> {
    const FIELD: &str = "workspace_ids";
    let schema = || json!({"type": "array", "minItems": 1, "maxItems": WORKSPACE_LIMIT, "items": uuid()});
    let sent = fields.value_like(FIELD, schema);
    fields.require(FIELD);
    let texts = match sent {
        Some(Value::Array(sent)) => {
            sent.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        }
        Some(_) => None,
        None => return BTreeSet::new(),
    };
    match texts {
        None => fields.fault(FIELD, "wrong_type", "must be an array of texts"),
        Some(texts) if texts.is_empty() => fields.fault(FIELD, "too_short", "must name at least one"),
        Some(texts) if texts.len() > WORKSPACE_LIMIT => {
            fields.fault(FIELD, "too_many", format!("must be at most {WORKSPACE_LIMIT}"));
        }
        Some(texts) => return known_workspaces(fields, FIELD, &texts, person),
    }
    BTreeSet::new()
}

fn known_workspaces(fields: &mut Fields, name: &str, texts: &[String], person: &Identity) -> BTreeSet<WorkspaceId> {
    let mut ids = BTreeSet::new();
    for (at, text) in texts.iter().enumerate() {
        let field = format!("{name}.{at}");
        match WorkspaceId::parse(text) {
            None => fields.fault(&field, "invalid_format", "must be a UUID in lower case with hyphens"),
            // One that does not exist is like one that they are no member of.
            Some(id) if person.member_of(id).is_none() => {
                fields.fault(&field, "unknown_value", "must be a workspace that you are a member of");
            }
            Some(id) => {
                ids.insert(id);
            }
        }
    }
    if texts.iter().collect::<BTreeSet<_>>().len() < texts.len() {
        fields.fault(name, "repeated", "must name each workspace once");
    }
    ids
}
