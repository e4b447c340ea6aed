//! `GET /devices/{device_id}/commands`.
use domain::DeviceId;
use domain::error::{DomainError, Error};
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::description::schema::thing;
use crate::paging::Paging;
use crate::state::AppState;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List a device's commands")
        .detail("The newest first, each with its history.")
        .lists(thing("Command"), |_| ())
}

/// Answers with a page of the device's commands, the newest first, each with its history.
///
/// # Errors
/// Every fault of the query; `NotFound`, `CursorInvalid`.
pub async fn handle(state: &AppState, call: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let id = call.request.path_id("device_id", "device", DeviceId::parse)?;
    let (paging, ()) = Paging::read(&call, |_| ())?;
    table.device(call.workspace(), id).await?.ok_or(DomainError::NotFound("device"))?;
    let page = table.list_commands(call.workspace(), id, paging.limit, paging.start.clone()).await?;
    paging.reply_named(table, call.workspace(), &page, views::command).await
}
