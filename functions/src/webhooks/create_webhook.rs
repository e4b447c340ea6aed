//! `POST /webhooks`.

use aws::{Idempotency, Webhooks};
use domain::outside::Reach;
use domain::refusal::{Failure, Refusal};
use domain::webhook::{Names, Settings};
use lambda::{Call, Reply};
use lambda_http::http::StatusCode;

use crate::attempts::{Once, attempts};
use crate::views;

/// Answers 201 with the webhook and, in `secret`, what signs its calls: it is shown this once.
///
/// # Errors
/// Every fault of the body; `TooManyWebhooks`; `AlreadyCreated` for a repeated call.
pub async fn handle(store: &(impl Webhooks + Idempotency), call: Call, reach: Reach) -> Result<Reply, Failure> {
    let mut fields = call.request.body()?;
    let settings = Settings::read(&mut fields, Names::Known, reach);
    fields.finish().map_err(Refusal::Invalid)?;
    let once = Once::of(&call)?;
    let (webhook, secret) = attempts(store, || super::made(store, &call, &once, settings.clone())).await?;
    let mut view = views::webhook(&webhook);
    view["secret"] = secret.into();
    Ok(Reply::json(StatusCode::CREATED, &view).versioned(webhook.version))
}
