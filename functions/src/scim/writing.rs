//! Creating, changing and deleting users.

use aws::{Commit, Table, UsernameClaims};
use domain::UserId;
use domain::error::{DomainError, Error};
use domain::models::user::User;
use domain::rules::lifecycle::require_rename_allowed;
use domain::rules::provenance::require_no_source;
use domain::rules::scim::change;
use domain::rules::scim::change::{DELETED, ScimCreated, ScimUserNew, ScimUserWrite, is_renamed};
use domain::rules::scim::document::{Document, ScimUserRecord, location};
use domain::rules::scim::patch;
use domain::rules::scim::schema::{PATCH_OP, USER};
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;

use super::listing::require_version;
use super::{body, found, projection, shown, with};
use crate::context::ActionContext;
use crate::retry::retry_on_conflict;
use crate::state::AppState;
use crate::users::changes::complete_edit;
use crate::users::deletion::{self, DeleteRequest};
use crate::users::edits::{claims_of_new, claims_of_rename};

/// Creates a user: 201 with `Location`.
pub(super) async fn create(table: &Table, request: &AuthorizedRequest, base: &str) -> Result<Reply, Error> {
    let projection = projection(request)?;
    let document = Document::read(&body(request, USER)?).map_err(DomainError::Invalid)?;
    let new = ScimUserNew::read(&document)?;
    let person = retry_on_conflict(table, || make(table, request, &new)).await?;
    let mut reply = shown(StatusCode::CREATED, &person, &projection, base);
    with(&mut reply, "location", &location(person.user.user_id, base));
    Ok(reply)
}

async fn make(table: &Table, request: &AuthorizedRequest, new: &ScimUserNew) -> Result<ScimUserRecord, Error> {
    let claims = claims_of_new(table, request.workspace(), &new.user.username).await?;
    if let Some(external_id) = &new.external_id {
        require_free(table, request, external_id, None).await?;
    }
    let event_context = request.new_event_context();
    let id = UserId(request.http.id_source.new_id());
    let ScimCreated { person, change } = change::create(new.clone(), id, &event_context)?;
    let commit = Commit::from_changes(event_context.event_id, &change).claim_username(&claims, id);
    table.commit(commit.put_scim_attributes(None, person.kept.as_ref())).await?;
    Ok(person)
}

/// Checks that no other user has this `externalId`.
async fn require_free(
    table: &Table,
    request: &AuthorizedRequest,
    external_id: &str,
    user: Option<UserId>,
) -> Result<(), Error> {
    let holder = table.id_of_external_id(request.workspace(), external_id).await?;
    if holder.is_some() && holder != user { Err(DomainError::ExternalIdTaken.into()) } else { Ok(()) }
}

/// Replaces the user with the body.
pub(super) async fn replace(
    state: &AppState,
    request: &AuthorizedRequest,
    base: &str,
    id: &str,
) -> Result<Reply, Error> {
    let given = Document::read(&body(request, USER)?).map_err(DomainError::Invalid)?;
    changed(state, request, base, id, &|before| Ok(given.clone().replacing(before))).await
}

/// Applies patch operations to a user: all of them, or none.
pub(super) async fn patch(state: &AppState, request: &AuthorizedRequest, base: &str, id: &str) -> Result<Reply, Error> {
    let operations = body(request, PATCH_OP)?;
    changed(state, request, base, id, &|before| patch::apply(before, id, &operations)).await
}

/// The user named by the path, checked against `If-Match`. A user of an existing source is refused.
async fn to_be_changed(table: &Table, request: &AuthorizedRequest, id: &str) -> Result<ScimUserRecord, Error> {
    let person = found(table, request, id).await?;
    require_version(request, &person)?;
    let is_there = match person.user.provenance.source_id {
        Some(id) => table.source(request.workspace(), id).await?.is_some(),
        None => false,
    };
    require_no_source(&person.user, is_there)?;
    Ok(person)
}

/// Changes a user and returns them.
async fn changed(
    state: &AppState,
    request: &AuthorizedRequest,
    base: &str,
    id: &str,
    to: &(dyn Fn(&Document) -> Result<Document, DomainError> + Sync),
) -> Result<Reply, Error> {
    let projection = projection(request)?;
    let person = retry_on_conflict(state.table()?, || change_one(state, request, id, to)).await?;
    Ok(shown(StatusCode::OK, &person, &projection, base))
}

async fn change_one(
    state: &AppState,
    request: &AuthorizedRequest,
    id: &str,
    to: &(dyn Fn(&Document) -> Result<Document, DomainError> + Sync),
) -> Result<ScimUserRecord, Error> {
    let action = ActionContext::of_request(state, request)?;
    let table = action.table;
    let person = to_be_changed(table, request, id).await?;
    let before = Document::of(&person);
    let wanted = ScimUserWrite::read(&before, &to(&before)?)?;
    let claims = names_free(table, request, &person.user, &wanted).await?;
    let phones = table.devices_with_commands(person.user.workspace_id, &person.user.device_ids).await?;
    require_rename_allowed(is_renamed(&person.user, &wanted), !phones.is_empty(), request.caller.may_wipe())?;
    let new_id = || action.new_command_id();
    let Some(updated) = change::update(&person, &phones, &wanted, &new_id, &action.event)? else {
        return Ok(person);
    };
    let (change, commit) = complete_edit(&action, updated.change, claims.as_ref(), &person.user).await?;
    let committed = table.commit(commit.put_scim_attributes(person.kept.as_ref(), updated.kept.as_ref())).await?;
    let user = committed.with_new_version(change.into_user().unwrap_or(person.user));
    Ok(ScimUserRecord { user, kept: updated.kept, updated_at: Some(action.event.at) })
}

/// Checks that nobody else has the new username and `externalId`. Returns the claims of a new username.
async fn names_free(
    table: &Table,
    request: &AuthorizedRequest,
    user: &User,
    wanted: &ScimUserWrite,
) -> Result<Option<UsernameClaims>, Error> {
    let renamed = wanted.edit.username.as_ref().filter(|_| is_renamed(user, wanted));
    let claims = claims_of_rename(table, user, renamed).await?;
    if let Some(Some(external_id)) = &wanted.external_id {
        require_free(table, request, external_id, Some(user.user_id)).await?;
    }
    Ok(claims)
}

/// Deletes a user with their devices, without a wipe: only an admin can order one.
pub(super) async fn delete(state: &AppState, request: &AuthorizedRequest, id: &str) -> Result<Reply, Error> {
    let table = state.table()?;
    retry_on_conflict(table, || async {
        let action = ActionContext::of_request(state, request)?;
        let person = to_be_changed(table, request, id).await?;
        let plan = deletion::delete(&action, &person.user, &DeleteRequest::without_wipe(DELETED)).await?;
        if let Some(commit) = plan.to_commit() {
            table.commit(commit).await?;
        }
        Ok(lambda::scim::empty(StatusCode::NO_CONTENT))
    })
    .await
}
