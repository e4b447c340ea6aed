//! `POST /webhooks`.

use aws::{Idempotency, Members, Webhooks};
use domain::access::Permission;
use domain::outside::Reach;
use domain::refusal::{Failure, Refusal};
use domain::webhook::{Names, Settings};
use lambda::{Call, Reply};
use lambda_http::http::StatusCode;

use crate::attempts::Once;
use crate::description::schema::{and, text};
use crate::description::{About, things};
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Create a webhook")
        .detail(
            "Events are sent to its URL, signed as Standard Webhooks have it; it takes `events:read` too. The secret that \
             signs is shown this once.",
        )
        .body(|mut fields| drop(Settings::read(&mut fields, Names::Known, Reach::Public)))
        .once()
        .answers(201, "The webhook, and its secret.", and(things::webhook(), [("secret", text())]))
        .with_header("etag", "The webhook's version, for `If-Match`.")
        .refuses([
            Refusal::TooManyWebhooks,
            Refusal::AlreadyCreated(String::new()),
            Refusal::PermissionMissing(Permission::EventsRead),
        ])
}

/// Answers 201 with the webhook and, in `secret`, what signs its calls: it is shown this once.
///
/// # Errors
/// `PermissionMissing` without `events:read` too; every fault of the body; `TooManyWebhooks`; `AlreadyCreated` for a repeated call.
pub async fn handle(
    store: &(impl Webhooks + Members + Idempotency),
    call: Call,
    reach: Reach,
) -> Result<Reply, Failure> {
    // Whoever is told of events can read them.
    call.caller.require(Permission::EventsRead)?;
    let mut fields = call.request.body()?;
    let settings = Settings::read(&mut fields, Names::Known, reach);
    fields.finish().map_err(Refusal::Invalid)?;
    let once = Once::of(&call)?;
    let (webhook, secret) = once.attempts(store, &call, || super::made(store, &call, &once, settings.clone())).await?;
    let mut view = views::webhook(&webhook);
    view["secret"] = secret.into();
    Ok(Reply::json(StatusCode::CREATED, &view).versioned(webhook.version))
}
