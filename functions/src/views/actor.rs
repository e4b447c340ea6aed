//! Who did something, and the restrictions that they impose on devices and users.

use domain::models::{actor, restriction};
use domain::{Time, TokenId};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use uuid::Uuid;

/// Who did something.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Actor {
    /// Kind of actor.
    #[serde(rename = "type")]
    #[schemars(schema_with = "kinds")]
    kind: &'static str,
    /// Identifier of the actor. `system` has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Uuid")]
    id: Option<Uuid>,
    /// Current name of the actor. Only replies to reads have it.
    // `crate::actors` adds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    name: Option<String>,
}

fn kinds(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "x-extensible-enum": actor::Actor::KINDS})
}

impl From<actor::Actor> for Actor {
    fn from(actor: actor::Actor) -> Self {
        Self { kind: actor.kind(), id: actor.id(), name: None }
    }
}

/// Who created something, and with which personal access token, if any.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Creator {
    #[serde(flatten)]
    actor: Actor,
    /// Personal access token that was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TokenId")]
    token_id: Option<TokenId>,
}

impl From<actor::Creator> for Creator {
    fn from(creator: actor::Creator) -> Self {
        Self { actor: creator.actor.into(), token_id: creator.token_id }
    }
}

/// A block, a suspension or a lock.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Restriction {
    /// Start of the restriction.
    at: Time,
    /// Who imposed it.
    by: Actor,
    /// Reason that was given.
    reason: Option<String>,
}

impl From<&restriction::Restriction> for Restriction {
    fn from(restriction: &restriction::Restriction) -> Self {
        Self { at: restriction.at, by: restriction.by.into(), reason: restriction.reason.clone() }
    }
}
