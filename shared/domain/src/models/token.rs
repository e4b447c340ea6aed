//! Personal access tokens: with one, a program acts for a person in the workspaces of which the person is a member.

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

/// The most workspaces of a token.
pub const WORKSPACE_LIMIT: usize = 20;

/// The longest lifetime of a token.
pub const MAX_LIFETIME: Duration = Duration::days(366);

/// How long an ended token is still listed.
pub const RETENTION: Duration = Duration::days(90);

/// A token. Its secret is shown once and not stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Its identifier.
    pub token_id: TokenId,
    /// The public part of the token, which identifies it.
    pub short: String,
    /// Hash of the token.
    pub secret_hash: Hash,
    /// The OIDC issuer of its person.
    pub issuer: String,
    /// The person's subject at the issuer.
    pub subject: String,
    /// A name for people.
    pub name: String,
    /// The workspaces that it was created for.
    pub workspace_ids: BTreeSet<WorkspaceId>,
    /// Restricts the person's permissions to these; `None` for no restriction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
    /// Creation time.
    pub created_at: Time,
    /// Expiry time.
    pub expires_at: Time,
    /// When its person revoked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
    /// Workspaces whose admins have revoked its access.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shut_out: Vec<LostAccess>,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

/// The end of a token's access to one workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LostAccess {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Time of the revocation.
    pub at: Time,
    /// Who revoked it.
    pub by: Actor,
}

string_enum! {
    /// A token's status.
    TokenStatus {
        /// Valid.
        Active = "active",
        /// Expired.
        Expired = "expired",
        /// Revoked.
        Revoked = "revoked",
    }
}

impl Token {
    /// Checks a presented token against the stored one.
    ///
    /// # Errors
    /// `CredentialInvalid` for an unknown token or a wrong secret, `CredentialRevoked`, `CredentialExpired`.
    pub fn authenticate(found: Option<Self>, presented: &AccessToken, now: Time) -> Result<Self, DomainError> {
        let token =
            found.filter(|token| token.secret_hash == presented.hash()).ok_or(DomainError::CredentialInvalid)?;
        match token.status(now) {
            TokenStatus::Active => Ok(token),
            TokenStatus::Expired => Err(DomainError::CredentialExpired),
            TokenStatus::Revoked => Err(DomainError::CredentialRevoked),
        }
    }

    /// Its status.
    #[must_use]
    pub fn status(&self, now: Time) -> TokenStatus {
        match self.revoked_at {
            Some(_) => TokenStatus::Revoked,
            None if self.expires_at <= now => TokenStatus::Expired,
            None => TokenStatus::Active,
        }
    }

    /// Its status in one of its workspaces.
    #[must_use]
    pub fn status_in(&self, workspace: WorkspaceId, now: Time) -> TokenStatus {
        if self.lost_access_to(workspace).is_some() { TokenStatus::Revoked } else { self.status(now) }
    }

    /// The end of its access to a workspace, if the workspace's admins have revoked it.
    #[must_use]
    pub fn lost_access_to(&self, workspace: WorkspaceId) -> Option<&LostAccess> {
        self.shut_out.iter().find(|end| end.workspace_id == workspace)
    }

    /// True if it gives access to the workspace.
    #[must_use]
    pub fn gives_access_to(&self, workspace: WorkspaceId) -> bool {
        self.workspace_ids.contains(&workspace) && self.lost_access_to(workspace).is_none()
    }

    /// The person's memberships that it gives access to. A person who was removed and added again does not
    /// regain access by an older token.
    #[must_use]
    pub fn memberships(&self, of_person: &[Member]) -> Vec<Member> {
        let opened =
            |member: &&Member| self.gives_access_to(member.workspace_id) && member.created_at <= self.created_at;
        of_person.iter().filter(opened).cloned().collect()
    }

    /// The permissions, restricted to the token's.
    #[must_use]
    pub fn restrict(&self, permissions: Permissions) -> Permissions {
        match &self.permissions {
            Some(own) => permissions.intersection(own).copied().collect(),
            None => permissions,
        }
    }

    /// The permissions that remain now for a job that was begun with this token; `member` is the person's
    /// present membership.
    #[must_use]
    pub fn remaining_permissions(&self, member: &Member, now: Time) -> Permissions {
        match self.status_in(member.workspace_id, now) {
            TokenStatus::Active => self.restrict(member.permissions()),
            TokenStatus::Expired | TokenStatus::Revoked => Permissions::new(),
        }
    }
}

/// The data of a new token.
#[derive(Clone, Debug, PartialEq)]
pub struct NewToken {
    /// A name for people.
    pub name: String,
    /// The workspaces that it is for.
    pub workspace_ids: BTreeSet<WorkspaceId>,
    /// Restricts the person's permissions to these; `None` for no restriction.
    pub permissions: Option<Permissions>,
    /// Expiry time.
    pub expires_at: Time,
}

impl NewToken {
    /// Reads the fields of a new token for a person.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn read(mut fields: Fields, person: &Identity, now: Time) -> Result<Self, DomainError> {
        let name = fields.required_text("name", NAME);
        let workspace_ids = read_workspaces(&mut fields, person);
        let permissions = fields.enum_list::<Permission>("permissions");
        let expires_at = fields.time("expires_at");
        fields.require("expires_at");
        match expires_at {
            Some(at) if at <= now => fields.add_error("expires_at", "out_of_range", "must be in the future"),
            Some(at) if at > now.plus(MAX_LIFETIME) => {
                fields.add_error(
                    "expires_at",
                    "out_of_range",
                    format!("must be within {} days", MAX_LIFETIME.num_days()),
                );
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

/// Reads the workspaces of a token; the person must be a member of each.
fn read_workspaces(fields: &mut Fields, person: &Identity) -> BTreeSet<WorkspaceId> {
    const FIELD: &str = "workspace_ids";
    let schema = || json!({"type": "array", "minItems": 1, "maxItems": WORKSPACE_LIMIT, "items": uuid()});
    let sent = fields.value_with_schema(FIELD, schema);
    fields.require(FIELD);
    let texts = match sent {
        Some(Value::Array(sent)) => {
            sent.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        }
        Some(_) => None,
        None => return BTreeSet::new(),
    };
    match texts {
        None => fields.add_error(FIELD, "wrong_type", "must be an array of strings"),
        Some(texts) if texts.is_empty() => fields.add_error(FIELD, "too_short", "must have at least one entry"),
        Some(texts) if texts.len() > WORKSPACE_LIMIT => {
            fields.add_error(FIELD, "too_many", format!("must be at most {WORKSPACE_LIMIT}"));
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
            None => fields.add_error(&field, "invalid_format", "must be a UUID in lower case with hyphens"),
            // A workspace that does not exist gives the same error.
            Some(id) if person.member_of(id).is_none() => {
                fields.add_error(&field, "unknown_value", "must be a workspace that you are a member of");
            }
            Some(id) => {
                ids.insert(id);
            }
        }
    }
    if texts.iter().collect::<BTreeSet<_>>().len() < texts.len() {
        fields.add_error(name, "repeated", "must not contain duplicates");
    }
    ids
}
