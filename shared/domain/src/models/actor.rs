//! The actor of a change: a key, a member, a device, the holder of a code, or Handset itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::ids::{DeviceId, InvitationId, KeyId, MemberId, TokenId};
use crate::string_enum::UnknownValue;

/// Who made a change. Serialized as `type`, and `id` if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "WrittenActor", try_from = "WrittenActor")]
pub enum Actor {
    /// A program, by its key.
    Key(KeyId),
    /// A member, signed in at the console.
    Member(MemberId),
    /// The device itself.
    Device(DeviceId),
    /// A user, by the link in an invitation.
    Invitation(InvitationId),
    /// A user, by the link or the QR code of a deployment.
    Deployment(InvitationId),
    /// Handset itself: a schedule, or a report of a service.
    System,
    /// An actor type of another release.
    Unknown(UnknownValue, Option<Uuid>),
}

#[derive(Serialize, Deserialize)]
struct WrittenActor {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
}

impl Actor {
    /// The kinds of actor that this release knows.
    pub const KINDS: [&str; 6] = ["key", "member", "device", "invitation", "deployment", "system"];

    /// Kind of actor, one of [`Actor::KINDS`] or of another release.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Member(_) => "member",
            Self::Device(_) => "device",
            Self::Invitation(_) => "invitation",
            Self::Deployment(_) => "deployment",
            Self::System => "system",
            Self::Unknown(kind, _) => kind.as_str(),
        }
    }

    /// Identifier of the actor; Handset itself has none.
    #[must_use]
    pub const fn id(&self) -> Option<Uuid> {
        match self {
            Self::Key(id) => Some(id.0),
            Self::Member(id) => Some(id.0),
            Self::Device(id) => Some(id.0),
            Self::Invitation(id) | Self::Deployment(id) => Some(id.0),
            Self::System => None,
            Self::Unknown(_, id) => *id,
        }
    }
}

impl From<Actor> for WrittenActor {
    fn from(actor: Actor) -> Self {
        Self { kind: actor.kind().to_owned(), id: actor.id().map(|id| id.to_string().into()) }
    }
}

impl TryFrom<WrittenActor> for Actor {
    type Error = &'static str;

    fn try_from(written: WrittenActor) -> Result<Self, Self::Error> {
        let id = written.id.as_ref().and_then(Value::as_str).and_then(|id| Uuid::try_parse(id).ok());
        let (other, id) = (id, id.ok_or("no identifier"));
        Ok(match written.kind.as_str() {
            "key" => Self::Key(KeyId(id?)),
            "member" => Self::Member(MemberId(id?)),
            "device" => Self::Device(DeviceId(id?)),
            "invitation" => Self::Invitation(InvitationId(id?)),
            "deployment" => Self::Deployment(InvitationId(id?)),
            "system" => Self::System,
            kind => Self::Unknown(UnknownValue::new(kind).ok_or("not a word")?, other),
        })
    }
}

/// Who created something, and the personal access token that they used, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Creator {
    /// The key, member or other actor.
    #[serde(flatten)]
    pub actor: Actor,
    /// The personal access token that a member used, if they used one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<TokenId>,
}

impl From<Actor> for Creator {
    fn from(actor: Actor) -> Self {
        Self { actor, token_id: None }
    }
}
