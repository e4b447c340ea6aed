//! `POST /devices`: registration of a phone with the code of an offer.

use aws::{Commit, Table, retry_on_conflict};
use domain::error::{DomainError, Error};
use domain::models::device::{Device, PushToken};
use domain::rules::registration::{RefusedRegistration, Registration, RegistrationRequest, register};
use domain::secret::{DeviceCredential, Hash, is_code};
use domain::{DeviceId, EventId};
use lambda::{Reply, Request};
use lambda_http::http::StatusCode;

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Register a device")
        .detail(
            "A phone registers with the code of an invitation or a deployment. The credential is shown this once. \
             Repeating the call with the same code and identifier, within 15 minutes and before the first check-in, \
             gives a new credential for the same device, unless the code was revoked or replaced. A code that was \
             refused five times because another user holds the device is revoked.",
        )
        .body(|fields| drop(RegistrationRequest::read(fields)))
        .answers::<views::RegisteredDevice>(201, "The device, and its credential.")
        .refuses([
            DomainError::CodeUnknown,
            DomainError::CodeExpired,
            DomainError::CodeUsed,
            DomainError::CodeSuperseded,
            DomainError::CodeRevoked,
        ])
        .refuses([
            DomainError::DeviceLimitReached(Vec::new()),
            DomainError::IdentifierHeld,
            DomainError::DeviceBlocked,
            DomainError::ErasurePending,
        ])
        .refuses([DomainError::UserSuspended, DomainError::UserLocked, DomainError::UserDeleted])
}

/// Returns 201 with the device and its credential, which is shown only once.
///
/// # Errors
/// See [`register`]; every invalid field of the body; `CodeUnknown` for an unknown code.
pub async fn handle(state: &AppState, request: Request) -> Result<Reply, Error> {
    let table = state.table()?;
    let application = RegistrationRequest::read(request.body()?)?;
    if !is_code(&application.code) {
        return Err(DomainError::CodeUnknown.into());
    }
    retry_on_conflict(table, || attempt(table, &request, &application)).await
}

async fn attempt(table: &Table, request: &Request, application: &RegistrationRequest) -> Result<Reply, Error> {
    let owner = table.offer_of_code(&Hash::of(&application.code)).await?.ok_or(DomainError::CodeUnknown)?;
    let found = table.registration(&owner, &application.device_identifier).await?.ok_or(DomainError::CodeUnknown)?;
    let event_context = request.new_event_context(owner.workspace_id, found.offer.actor());
    let new_id = DeviceId(request.id_source.new_id());
    match register(&found, application, new_id, &event_context) {
        Ok(registration) => commit(table, request, event_context.event_id, registration).await,
        Err(RefusedRegistration { error, change }) => {
            if let Some(change) = change {
                table.commit(Commit::from_changes(event_context.event_id, &change)).await?;
            }
            Err(error.into())
        }
    }
}

async fn commit(
    table: &Table,
    request: &Request,
    event_id: EventId,
    registration: Registration,
) -> Result<Reply, Error> {
    let id_source = request.id_source;
    let Device { workspace_id, device_id, epoch, .. } = registration.device.after;
    let credential = DeviceCredential::new(id_source.random, workspace_id, device_id, epoch);
    let registration = registration.with_credential(credential.hash());
    let mut commit = Commit::from_changes(event_id, &registration.change());
    if !registration.is_repeat() {
        commit = with_push_token(table, commit, &registration, request).await?;
    }
    table.commit(commit).await?;
    let user_name = registration.user.after.name();
    let device = views::DeviceSummary::new(&registration.device.after, Some(user_name), id_source.now);
    let view = views::RegisteredDevice { device, credential: credential.reveal() };
    Ok(Reply::json(StatusCode::CREATED, &view))
}

/// Adds the push token that the app has sent, or deletes the earlier one if it sent none.
async fn with_push_token(
    table: &Table,
    commit: Commit,
    registration: &Registration,
    request: &Request,
) -> Result<Commit, Error> {
    let device = &registration.device.after;
    let before = match &registration.device.before {
        Some(known) => table.push_token(known.workspace_id, known.device_id).await?,
        None => None,
    };
    let token = registration.push_token.clone();
    let after = token.map(|token| PushToken::new_for(device, token, before.as_ref(), request.now()));
    Ok(match (before, after) {
        (Some(before), Some(after)) => commit.edit(&before, &after),
        (Some(before), None) => commit.delete(&before),
        (None, Some(after)) => commit.put(&after),
        (None, None) => commit,
    })
}
