//! `POST /profiles`.

use aws::{Commit, Table};
use domain::ProfileId;
use domain::error::{DomainError, Error};
use domain::models::profile::{NewProfile, Profile};
use domain::models::workspace::Workspace;
use domain::rules::profiles;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;

use super::{displaced, workspace};
use crate::description::OperationDoc;
use crate::idempotency::{Creation, create_once};

use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Create a profile")
        .detail(
            "The settings must satisfy the schema, if there is one. The first profile of a workspace becomes \
         its default.",
        )
        .body(|fields| drop(NewProfile::read(fields)))
        .idempotent()
        .answers::<views::Profile>(201, "The profile.")
        .with_header("etag", "The profile's version, for `If-Match`.")
        .refuses([DomainError::ProfileNameTaken])
}

/// Returns 201 with the profile. The first profile of a workspace becomes its default.
///
/// # Errors
/// Every invalid field of the body, of the schema, and of the settings checked by the schema; `ProfileNameTaken`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let new = NewProfile::read(request.http.body()?)?;
    create_once(table, &request, || create(table, &request, &new), |id| repeat(table, &request, id)).await
}

async fn repeat(table: &Table, request: &AuthorizedRequest, id: String) -> Result<Reply, Error> {
    let id = ProfileId::parse(&id).ok_or(DomainError::NotFound("profile"))?;
    let profile = table.profile(request.workspace(), id).await?.ok_or(DomainError::NotFound("profile"))?;
    Ok(shown(&profile, &workspace(table, request).await?))
}

async fn create(table: &Table, request: &AuthorizedRequest, new: &NewProfile) -> Result<Creation<Reply>, Error> {
    let before = workspace(table, request).await?;
    if table.is_profile_name_taken(request.workspace(), &new.name).await? {
        return Err(DomainError::ProfileNameTaken.into());
    }
    let id = ProfileId(request.http.id_source.new_id());
    let made = profiles::create(&before, new.clone(), id, &request.new_event_context());
    let mut commit = Commit::with_event(&made.event).put(&made.profile).edit(&before, &made.workspace);
    if let Some(old) = displaced(table, &before, &made.workspace).await? {
        commit = commit.bump_version(&old, &old);
    }
    Ok(Creation { id: id.to_string(), commit, result: shown(&made.profile, &made.workspace) })
}

fn shown(profile: &Profile, workspace: &Workspace) -> Reply {
    Reply::json(StatusCode::CREATED, &views::Profile::new(profile, workspace)).with_etag(profile.version)
}
