//! `/webhooks/create`.

use domain::error::{DomainError, Error};
use domain::models::webhook::{EventSelection, WebhookSettings};
use domain::permission::Permission;
use lambda::{AuthorizedRequest, Reply};
use serde_json::json;

use super::{Verbs, route};
use crate::state::AppState;
use crate::webhooks;

/// Returns a new webhook and its secret, which is shown only once. Event types that Handset does not have are
/// accepted but never sent.
///
/// # Errors
/// `RouteNotFound`, `OnlyMethods`; `PermissionMissing` also without `events:read`; every invalid field of the
/// parameters; `TooManyWebhooks`; `AlreadyCreated` for a repeated call.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let reach = state.webhook_policy();
    if route(&request, "webhooks") != "create" {
        return Err(DomainError::RouteNotFound.into());
    }
    // A webhook receives events, so its creator must be allowed to read them.
    request.caller.require(Permission::EventsRead)?;
    let mut fields = Verbs::Post.parameters(&request)?;
    let settings = WebhookSettings::read(&mut fields, EventSelection::Any, reach);
    fields.finish().map_err(DomainError::Invalid)?;
    let (webhook, secret) = webhooks::create(table, &request, settings).await?;
    let view = json!({
        "webhook_id": webhook.webhook_id,
        "url": webhook.url,
        "event_types": webhook.event_types,
        "secret": secret,
    });
    Ok(lambda::seam::ok(json!({"webhook": view})))
}
