//! `GET /openapi.json`: the API description for programs.

use std::io::Read as _;

use domain::error::Error;
use flate2::read::GzDecoder;
use lambda::{Reply, Request};
use lambda_http::http::{HeaderName, StatusCode};
use serde_json::{Map, Value};

use crate::description::OperationDoc;
use crate::state::AppState;

/// The checked-in description, compressed by `build.rs`.
const COMPRESSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz"));

/// The description only changes with a release.
pub(crate) const CACHE: &str = "public, max-age=300";

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Get this description")
        .detail("OpenAPI 3.1: every operation with its input, its answers and its errors.")
        .shows::<Map<String, Value>>("The description.")
}

/// The published description.
///
/// # Errors
/// `Internal` if it cannot be decompressed.
pub(crate) fn description() -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    let read = GzDecoder::new(COMPRESSED).read_to_end(&mut text);
    read.map(|_| text).map_err(|e| Error::internal("reading the description", e))
}

/// Replies with the description, which is the same for everyone.
pub async fn handle(_state: &AppState, _request: Request) -> Result<Reply, Error> {
    Ok(Reply::new(StatusCode::OK, "application/json", description()?)
        .with(HeaderName::from_static("cache-control"), CACHE)
        .with(HeaderName::from_static("access-control-allow-origin"), "*"))
}
