//! `GET /openapi.json`: the published description, for programs.

use lambda::Reply;
use lambda_http::http::{HeaderName, StatusCode};

use crate::description::OperationDoc;
use crate::description::schema::any_object;

/// The description as it is checked in; `tests/` holds it against the operations.
pub(crate) const DESCRIPTION: &str = include_str!("../../../infra/openapi/openapi.json");

/// It changes with a release only.
pub(crate) const CACHE: &str = "public, max-age=300";

/// What the operation says of itself.
#[must_use]
pub fn about() -> OperationDoc {
    OperationDoc::new("Get this description")
        .detail("OpenAPI 3.1: every operation, what it takes, what it answers, and why it refuses.")
        .shows("The description.", any_object())
}

/// Answers with the description, which is the same for everyone.
#[must_use]
pub fn handle() -> Reply {
    Reply::new(StatusCode::OK, "application/json", DESCRIPTION)
        .with(HeaderName::from_static("cache-control"), CACHE)
        .with(HeaderName::from_static("access-control-allow-origin"), "*")
}
