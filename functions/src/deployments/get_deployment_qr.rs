//! `GET /deployments/{deployment_id}/qr`: for a phone that is at hand.

use aws::{Commit, retry_on_conflict};
use domain::error::{DomainError, Error};
use domain::rules::deployments::qr_shown;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::{HeaderName, StatusCode};

use crate::description::{OperationDoc, schema_of};
use crate::pages::qr;
use crate::state::AppState;

/// Supported media types, the default first.
const TYPES: [&str; 2] = ["image/svg+xml", "image/png"];

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Get a deployment's QR code")
        .detail(
            "For a phone that is at hand. Whoever sees the code can register a phone, so each call is \
         recorded as an event.",
        )
        .answer(
            200,
            "The QR code, by `Accept`.",
            TYPES.iter().map(|media_type| (*media_type, schema_of::<String>())).collect(),
        )
        .refuses([
            DomainError::NotAcceptable(TYPES.join(" or ")),
            DomainError::CodeExpired,
            DomainError::CodeUsed,
            DomainError::CodeSuperseded,
            DomainError::CodeRevoked,
        ])
}

/// Returns the QR code of the deployment's link, as SVG or PNG by `Accept`, with `no-store`. Whoever sees it can
/// register a phone, so each call but HEAD is recorded as an event.
///
/// # Errors
/// `NotFound`; `NotAcceptable`; `CodeExpired`, `CodeUsed`, `CodeSuperseded` or `CodeRevoked` if the link is no longer
/// valid.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let public_url = state.public_url()?;
    let accept = request.http.header("accept").unwrap_or("*/*");
    let wanted = lambda::accept::best_match(accept, &TYPES).ok_or(DomainError::NotAcceptable(TYPES.join(" or ")))?;
    retry_on_conflict(table, || async {
        let deployment = super::load_deployment(table, &request).await?;
        let event = qr_shown(&deployment, &request.new_event_context())?;
        let code = table.invitation_code(deployment.invitation_id).await?.ok_or(DomainError::CodeExpired)?;
        if !request.http.is_head {
            table.commit(Commit::with_event(&event).require_unchanged(&deployment)).await?;
        }
        let link = super::redirect::link(public_url, &code);
        let picture = match wanted {
            "image/png" => qr::png(&link)?,
            _ => qr::svg(&link)?.into_bytes(),
        };
        let reply = Reply::new(StatusCode::OK, wanted, picture);
        Ok(reply.with(HeaderName::from_static("cache-control"), "no-store"))
    })
    .await
}
