//! `/webhooks/create`.

use aws::{Idempotency, Members, Webhooks};
use domain::access::Permission;
use domain::outside::Reach;
use domain::refusal::{Failure, Refusal};
use domain::webhook::{Names, Settings};
use lambda::{Call, Reply};
use serde_json::json;

use super::{Verbs, route};
use crate::attempts::Once;
use crate::webhooks::made;

/// Answers with a new webhook and its secret, which is shown this once. Types of events that Handset does
/// not have are taken, and never come.
///
/// # Errors
/// `RouteNotFound`, `OnlyMethods`; `PermissionMissing` without `events:read` too; every fault of the parameters; `TooManyWebhooks`; `AlreadyCreated` for a repeated call.
pub async fn handle(
    store: &(impl Webhooks + Members + Idempotency),
    call: Call,
    reach: Reach,
) -> Result<Reply, Failure> {
    if route(&call, "webhooks") != "create" {
        return Err(Refusal::RouteNotFound.into());
    }
    // Whoever is told of events can read them.
    call.caller.require(Permission::EventsRead)?;
    let mut fields = Verbs::Post.parameters(&call)?;
    let settings = Settings::read(&mut fields, Names::Any, reach);
    fields.finish().map_err(Refusal::Invalid)?;
    let once = Once::of(&call)?;
    let (webhook, secret) = once.attempts(store, &call, || made(store, &call, &once, settings.clone())).await?;
    let view = json!({
        "webhook_id": webhook.webhook_id,
        "url": webhook.url,
        "event_types": webhook.event_types,
        "secret": secret,
    });
    Ok(lambda::seam::ok(json!({"webhook": view})))
}
