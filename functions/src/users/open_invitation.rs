//! `GET /i/{code}`: page of an invitation's link; `POST /i/{code}`: its button.

use aws::{Table, retry_on_conflict};
use domain::error::{DomainError, Error};
use domain::models::offer::{Offer, Purpose};
use domain::rules::offers::count_opening;
use domain::secret::is_code;
use domain::states::InvitationStatus;
use lambda::{Reply, Request};
use lambda_http::http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::commits::commit_change;
use crate::description::OperationDoc;
use crate::pages::invitation_page;
use crate::settings::App;
use crate::state::AppState;
use crate::users::offers::find_by_code;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Open an invitation's link")
        .detail("A page without anything about the user. Only its button, which sends POST, counts as opening.")
        .page(200, "The page, with the button that leads to the app.")
        .page(303, "Redirect to the app.")
        .with_header("location", "Address of the app.")
        .page(404, "The code is unknown.")
        .page(410, "The invitation is no longer valid.")
}

/// Returns a page without data about the user. Only the button counts as opening, since mail services and messengers
/// fetch links before people do.
///
/// # Errors
/// `Unavailable`. An unknown or invalid code is shown as a page, not as an error.
pub async fn handle(state: &AppState, request: Request) -> Result<Reply, Error> {
    let table = state.table()?;
    let public_url = state.public_url()?;
    let app = &state.settings.app;
    let code = request.path("code").to_owned();
    if !is_code(&code) {
        return Ok(invitation_page::unknown());
    }
    retry_on_conflict(table, || async {
        let Some(invitation) = find_by_code(table, &code, Purpose::Invite).await? else {
            return Ok(invitation_page::unknown());
        };
        match invitation.status(request.now()) {
            InvitationStatus::Open => {}
            over => return Ok(invitation_page::over(over)),
        }
        if request.method == Method::POST {
            return redirect_to_app(table, &request, &invitation, &code, app).await;
        }
        invitation_page::open(&format!("{public_url}/i/{code}"), app)
    })
    .await
}

/// Counts the opening and redirects the phone to the app.
async fn redirect_to_app(
    table: &Table,
    request: &Request,
    invitation: &Offer,
    code: &str,
    app: &App,
) -> Result<Reply, Error> {
    let event_context = request.new_event_context(invitation.workspace_id, invitation.actor());
    commit_change(table, Some(&count_opening(invitation, &event_context)), &event_context).await?;
    let location = HeaderValue::from_str(&format!("{}://i/{code}", app.scheme));
    let location = location.map_err(|_| DomainError::RouteNotFound)?;
    let mut reply = Reply::page(StatusCode::SEE_OTHER, String::new());
    reply.headers.push((HeaderName::from_static("location"), location));
    Ok(reply)
}
