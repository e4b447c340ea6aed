//! `PUT /users/{user_id}/networks/{provider}`: status report of a carrier.

use aws::retry_on_conflict;
use domain::Time;
use domain::error::{DomainError, Error};
use domain::models::network;
use domain::rules::change::ChangeSet;
use domain::rules::networks;
use lambda::{AuthorizedRequest, Reply};

use crate::commits::commit_change;
use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Report a carrier's network of a user")
        .detail("A report that is older than the last one changes nothing.")
        .body(|fields| drop(network::read("verizon", fields, Time::EPOCH)))
        .field("status", "Status of the network.")
        .field("reason", "Reason for that status.")
        .with_etag()
        .shows::<views::Network>("The network.")
        .refuses([DomainError::UserDeleted])
}

/// Stores a carrier's report and returns the network. A report older than the stored one changes nothing.
///
/// # Errors
/// Every invalid field of the provider's name and of the body; `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let provider = request.http.path("provider").to_owned();
    let report = network::read(&provider, request.http.body()?, request.now())?;
    retry_on_conflict(table, || async {
        let user = super::load_user(table, &request).await?;
        let event_context = request.new_event_context();
        let change = networks::reported(&user, &provider, &report, &event_context)?;
        let committed = commit_change(table, change.as_ref(), &event_context).await?;
        let user = committed.with_new_version(change.and_then(ChangeSet::into_user).unwrap_or(user));
        let known = user.networks.get(&provider).unwrap_or(&report);
        Ok(Reply::ok_versioned(&views::Network::new(&provider, known, request.now()), user.version))
    })
    .await
}
