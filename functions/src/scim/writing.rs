//! Creating, changing and deleting users.

use aws::{Commit, Table, UsernameClaims, retry_on_conflict};
use domain::UserId;
use domain::error::{DomainError, Error};
use domain::models::user::User;
use domain::rules::lifecycle::require_rename_allowed;
use domain::rules::provenance::require_no_source;
use domain::rules::scim::change;
use domain::rules::scim::change::{CreatedScimUser, DELETION_REASON, NewScimUser, ScimUserEdit, is_renamed};
use domain::rules::scim::document::{Document, ScimUserRecord, location};
use domain::rules::scim::patch;
use domain::rules::scim::schema::{PATCH_OP, USER};
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;

use super::{add_header, header_matches_version, load_user, read_body, read_projection, user_reply};
use crate::context::ActionContext;
use crate::state::AppState;
use crate::users::changes::complete_edit;
use crate::users::deletion::{self, DeleteRequest};
use crate::users::edits::{claims_of_new, claims_of_rename};

/// The document after a change, from the one before it. Called again after a conflict.
type DocumentEdit<'a> = dyn Fn(&Document) -> Result<Document, DomainError> + Sync + 'a;

/// Creates a user: 201 with `Location`.
pub(super) async fn create(table: &Table, request: &AuthorizedRequest, base_url: &str) -> Result<Reply, Error> {
    let projection = read_projection(request)?;
    let document = Document::read(&read_body(request, USER)?).map_err(DomainError::Invalid)?;
    let new = NewScimUser::read(&document)?;
    let record = retry_on_conflict(table, || create_user(table, request, &new)).await?;
    let mut reply = user_reply(StatusCode::CREATED, &record, &projection, base_url);
    add_header(&mut reply, "location", &location(record.user.user_id, base_url));
    Ok(reply)
}

async fn create_user(table: &Table, request: &AuthorizedRequest, new: &NewScimUser) -> Result<ScimUserRecord, Error> {
    let claims = claims_of_new(table, request.workspace(), &new.user.username).await?;
    if let Some(external_id) = &new.external_id {
        require_external_id_free(table, request, external_id, None).await?;
    }
    let event_context = request.new_event_context();
    let id = UserId(request.http.id_source.new_id());
    let CreatedScimUser { record, change } = change::create(new.clone(), id, &event_context)?;
    let commit = Commit::from_changes(event_context.event_id, &change).claim_username(&claims, id);
    table.commit(commit.put_scim_attributes(None, record.scim_attributes.as_ref())).await?;
    Ok(record)
}

/// Checks that no user other than `user` has this `externalId`.
async fn require_external_id_free(
    table: &Table,
    request: &AuthorizedRequest,
    external_id: &str,
    user: Option<UserId>,
) -> Result<(), Error> {
    let holder = table.id_of_external_id(request.workspace(), external_id).await?;
    if holder.is_some() && holder != user { Err(DomainError::ExternalIdTaken.into()) } else { Ok(()) }
}

/// Replaces a user with the one in the body.
pub(super) async fn replace(
    state: &AppState,
    request: &AuthorizedRequest,
    base_url: &str,
    id: &str,
) -> Result<Reply, Error> {
    let replacement = Document::read(&read_body(request, USER)?).map_err(DomainError::Invalid)?;
    change_with_reply(state, request, base_url, id, &|before| Ok(replacement.clone().replacing(before))).await
}

/// Applies PATCH operations to a user: all of them, or none.
pub(super) async fn patch(
    state: &AppState,
    request: &AuthorizedRequest,
    base_url: &str,
    id: &str,
) -> Result<Reply, Error> {
    let body = read_body(request, PATCH_OP)?;
    change_with_reply(state, request, base_url, id, &|before| patch::apply(before, id, &body)).await
}

/// Loads a user to change or delete.
///
/// # Errors
/// `NotFound`; `VersionMismatch` if `If-Match` names another version; `HeldByOtherSource` if the user belongs to a
/// source that still exists.
async fn load_for_change(table: &Table, request: &AuthorizedRequest, id: &str) -> Result<ScimUserRecord, Error> {
    let record = load_user(table, request, id).await?;
    if header_matches_version(request, "if-match", &record) == Some(false) {
        return Err(DomainError::VersionMismatch.into());
    }
    let source_exists = match record.user.provenance.source_id {
        Some(id) => table.source(request.workspace(), id).await?.is_some(),
        None => false,
    };
    require_no_source(&record.user, source_exists)?;
    Ok(record)
}

/// Changes a user and returns the user.
async fn change_with_reply(
    state: &AppState,
    request: &AuthorizedRequest,
    base_url: &str,
    id: &str,
    edit: &DocumentEdit<'_>,
) -> Result<Reply, Error> {
    let projection = read_projection(request)?;
    let record = retry_on_conflict(state.table()?, || change_user(state, request, id, edit)).await?;
    Ok(user_reply(StatusCode::OK, &record, &projection, base_url))
}

async fn change_user(
    state: &AppState,
    request: &AuthorizedRequest,
    id: &str,
    edit: &DocumentEdit<'_>,
) -> Result<ScimUserRecord, Error> {
    let context = ActionContext::of_request(state, request)?;
    let table = context.table;
    let record = load_for_change(table, request, id).await?;
    let before = Document::from_record(&record);
    let edit = ScimUserEdit::read(&before, &edit(&before)?)?;
    let claims = check_uniqueness(table, request, &record.user, &edit).await?;
    let devices = table.devices_with_commands(record.user.workspace_id, &record.user.device_ids).await?;
    require_rename_allowed(is_renamed(&record.user, &edit), !devices.is_empty(), request.caller.may_wipe())?;
    let new_id = || context.new_command_id();
    let Some(updated) = change::update(&record, &devices, &edit, &new_id, &context.event_context)? else {
        return Ok(record);
    };
    let (change, commit) = complete_edit(&context, updated.change, claims.as_ref(), &record.user).await?;
    let commit = commit.put_scim_attributes(record.scim_attributes.as_ref(), updated.scim_attributes.as_ref());
    let committed = table.commit(commit).await?;
    let user = committed.with_new_version(change.into_user().unwrap_or(record.user));
    Ok(ScimUserRecord { user, scim_attributes: updated.scim_attributes, updated_at: Some(context.event_context.at) })
}

/// Checks that no other user has the new `userName` and `externalId`. Returns the claims of a new username.
async fn check_uniqueness(
    table: &Table,
    request: &AuthorizedRequest,
    user: &User,
    edit: &ScimUserEdit,
) -> Result<Option<UsernameClaims>, Error> {
    let new_username = edit.user.username.as_ref().filter(|_| is_renamed(user, edit));
    let claims = claims_of_rename(table, user, new_username).await?;
    if let Some(Some(external_id)) = &edit.external_id {
        require_external_id_free(table, request, external_id, Some(user.user_id)).await?;
    }
    Ok(claims)
}

/// Deletes a user with their devices, without a wipe: only an admin can order one.
pub(super) async fn delete(state: &AppState, request: &AuthorizedRequest, id: &str) -> Result<Reply, Error> {
    let table = state.table()?;
    retry_on_conflict(table, || async {
        let context = ActionContext::of_request(state, request)?;
        let record = load_for_change(table, request, id).await?;
        let plan = deletion::delete(&context, &record.user, &DeleteRequest::without_wipe(DELETION_REASON)).await?;
        if let Some(commit) = plan.to_commit() {
            table.commit(commit).await?;
        }
        Ok(lambda::scim::empty(StatusCode::NO_CONTENT))
    })
    .await
}
