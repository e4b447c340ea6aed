//! `POST /webhooks`.

use aws::{Idempotency, Webhooks};
use domain::outside::Reach;
use domain::refusal::{Failure, Refusal};
use domain::webhook::{Names, Settings};
use lambda::{Call, Reply};
use lambda_http::http::StatusCode;

use crate::attempts::{Before, Once, attempts};
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
    attempts(store, || attempt(store, &call, &once, &settings)).await
}

async fn attempt(
    store: &(impl Webhooks + Idempotency),
    call: &Call,
    once: &Once,
    settings: &Settings,
) -> Result<Reply, Failure> {
    let forgotten = match once.before(store, call).await? {
        Before::New { forgotten } => forgotten,
        Before::Made(made) => return Err(Refusal::AlreadyCreated(made).into()),
    };
    let (webhook, secret, commit) = super::made(store, call, settings.clone()).await?;
    store.commit(once.remember(commit, call, &webhook.webhook_id.to_string(), forgotten)).await?;
    let mut view = views::webhook(&webhook);
    view["secret"] = secret.into();
    Ok(Reply::json(StatusCode::CREATED, &view).versioned(webhook.version))
}
