//! `POST /_local/workspaces`: runs `create-workspace`, as an operator with IAM permission can.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::Invoke;

/// The route: `{name, sandbox?}` creates a workspace, and responds with 201, its identifier and its first key.
pub fn router(invoke: Invoke) -> Router {
    Router::new().route("/_local/workspaces", post(create)).with_state(invoke)
}

async fn create(State(invoke): State<Invoke>, Json(body): Json<Value>) -> Response {
    match invoke("create-workspace", body).await {
        Ok(made) => (StatusCode::CREATED, Json(made)).into_response(),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"detail": error}))).into_response(),
    }
}
