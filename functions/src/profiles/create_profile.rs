//! `POST /profiles`.

use aws::{Commit, Table};
use domain::ProfileId;
use domain::error::{DomainError, Error};
use domain::models::profile::{NewProfile, Profile};
use domain::models::workspace::Workspace;
use domain::rules::profiles::create;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;

use super::{displaced, workspace};
use crate::description::OperationDoc;
use crate::idempotency::{IdempotencyKey, IdempotencyOutcome};

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
    let once = IdempotencyKey::of(&request)?;
    once.run_once(table, &request, || attempt(table, &request, &once, &new)).await
}

async fn attempt(
    table: &Table,
    request: &AuthorizedRequest,
    once: &IdempotencyKey,
    new: &NewProfile,
) -> Result<Reply, Error> {
    let before = workspace(table, request).await?;
    let expired_row_present = match once.look_up(table, request).await? {
        IdempotencyOutcome::New { expired_row_present } => expired_row_present,
        IdempotencyOutcome::Made(made) => {
            let id = ProfileId::parse(&made).ok_or(DomainError::NotFound("profile"))?;
            let profile = table.profile(request.workspace(), id).await?.ok_or(DomainError::NotFound("profile"))?;
            return Ok(shown(&profile, &before));
        }
    };
    if table.is_profile_name_taken(request.workspace(), &new.name).await? {
        return Err(DomainError::ProfileNameTaken.into());
    }
    let made = create(&before, new.clone(), ProfileId(request.http.id_source.new_id()), &request.new_event_context());
    let mut commit = Commit::with_event(&made.event).put(&made.profile).edit(&before, &made.workspace);
    if let Some(old) = displaced(table, &before, &made.workspace).await? {
        commit = commit.bump_version(&old, &old);
    }
    table.commit(once.remember(commit, request, &made.profile.profile_id.to_string(), expired_row_present)).await?;
    Ok(shown(&made.profile, &made.workspace))
}

fn shown(profile: &Profile, workspace: &Workspace) -> Reply {
    Reply::json(StatusCode::CREATED, &views::Profile::new(profile, workspace)).with_etag(profile.version)
}
