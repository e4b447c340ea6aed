//! `GET /.well-known/…`: the two files by which phones learn that our links open the app.

use domain::error::{DomainError, Error};
use lambda::{Reply, Request};
use lambda_http::http::{HeaderName, StatusCode};
use serde_json::{Value, json};

use crate::description::OperationDoc;
use crate::description::schema::{any_object, array};
use crate::settings::App;
use crate::state::AppState;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Get the app's links")
        .detail("The two files by which phones learn that our links open the app, of Apple and of Google.")
        .shows("The file.", json!({"anyOf": [any_object(), array(any_object())]}))
        .refuses([DomainError::RouteNotFound])
}

/// Answers with Apple's file or Google's, by the path.
///
/// # Errors
/// `RouteNotFound` if the platform's app is not set up.
pub async fn handle(state: &AppState, request: Request) -> Result<Reply, Error> {
    let request = &request;
    let app = &state.settings.app;
    let file = if request.raw_path.ends_with("/assetlinks.json") { android(app) } else { apple(app) };
    let file = file.ok_or(DomainError::RouteNotFound)?;
    let reply = Reply::new(StatusCode::OK, "application/json", file.to_string());
    Ok(reply.with(HeaderName::from_static("cache-control"), "public, max-age=3600"))
}

/// "Supporting associated domains", Apple Developer Documentation.
fn apple(app: &App) -> Option<Value> {
    let id = app.ios_app_id.as_ref()?;
    let components = [json!({"/": "/i/*", "comment": "invitations"}), json!({"/": "/r/*", "comment": "deployments"})];
    Some(json!({"applinks": {"details": [{"appIDs": [id], "components": components}]}}))
}

/// "Verify Android App Links", Android Developers.
fn android(app: &App) -> Option<Value> {
    let package = app.android_package.as_ref()?;
    Some(json!([{
        "relation": ["delegate_permission/common.handle_all_urls"],
        "target": {
            "namespace": "android_app",
            "package_name": package,
            "sha256_cert_fingerprints": app.android_fingerprints,
        },
    }]))
}
