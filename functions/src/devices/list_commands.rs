//! `GET /devices/{device_id}/commands`.

use domain::DeviceId;
use domain::error::{DomainError, Error};
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::paging::Paging;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List a device's commands")
        .detail("Newest first, each with its history.")
        .lists::<views::Command>(|_| ())
}

/// Returns a page of the device's commands, newest first, each with its history.
///
/// # Errors
/// Every invalid field of the query; `NotFound`, `CursorInvalid`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let id = request.http.path_id("device_id", "device", DeviceId::parse)?;
    let (paging, ()) = Paging::read(&request, |_| ())?;
    table.device(request.workspace(), id).await?.ok_or(DomainError::NotFound("device"))?;
    let page = table.list_commands(request.workspace(), id, paging.limit, paging.start.clone()).await?;
    paging.reply_named(table, request.workspace(), &page, views::Command::from).await
}
