//! `$default`: handles requests without a matching route, including methods that a path does not support.

use domain::error::Error;
use lambda::{Reply, Request};

use crate::routes;
use crate::state::AppState;

/// Replies 405 with `Allow` if the path exists with other methods, else 404.
///
/// # Errors
/// `RouteNotFound`.
pub async fn handle(_state: &AppState, request: Request) -> Result<Reply, Error> {
    routes::refuse(&request)
}
