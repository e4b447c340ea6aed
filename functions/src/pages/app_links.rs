//! `GET /.well-known/…`: the two files that tell phones that our links open the app.

use domain::error::{DomainError, Error};
use lambda::{Reply, Request};
use lambda_http::http::{HeaderName, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::description::OperationDoc;
use crate::settings::App;
use crate::state::AppState;

/// A file in the form of its platform.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum LinksFile {
    Apple(Map<String, Value>),
    Google(Vec<Map<String, Value>>),
}

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Get the app's links")
        .detail("The files of Apple and Google by which phones learn that these links open the app.")
        .shows::<LinksFile>("The file.")
        .refuses([DomainError::RouteNotFound])
}

/// Replies with Apple's or Google's file, by path.
///
/// # Errors
/// `RouteNotFound` if the platform's app is not configured.
pub async fn handle(state: &AppState, request: Request) -> Result<Reply, Error> {
    let request = &request;
    let app = &state.settings.app;
    let file = if request.raw_path.ends_with("/assetlinks.json") { android(app) } else { apple(app) };
    let file = file.ok_or(DomainError::RouteNotFound)?;
    let file = serde_json::to_vec(&file).map_err(|e| Error::internal("writing the app's links", e))?;
    let reply = Reply::new(StatusCode::OK, "application/json", file);
    Ok(reply.with(HeaderName::from_static("cache-control"), "public, max-age=3600"))
}

/// "Supporting associated domains", Apple Developer Documentation.
fn apple(app: &App) -> Option<LinksFile> {
    let id = app.ios_app_id.as_ref()?;
    let components = [json!({"/": "/i/*", "comment": "invitations"}), json!({"/": "/r/*", "comment": "deployments"})];
    let links = json!({"details": [{"appIDs": [id], "components": components}]});
    Some(LinksFile::Apple(Map::from_iter([("applinks".to_owned(), links)])))
}

/// "Verify Android App Links", Android Developers.
fn android(app: &App) -> Option<LinksFile> {
    let package = app.android_package.as_ref()?;
    let target = json!({
        "namespace": "android_app",
        "package_name": package,
        "sha256_cert_fingerprints": app.android_fingerprints,
    });
    let relation = json!(["delegate_permission/common.handle_all_urls"]);
    Some(LinksFile::Google(vec![Map::from_iter([("relation".to_owned(), relation), ("target".to_owned(), target)])]))
}
