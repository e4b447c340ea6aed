//! `GET /devices`.

use std::collections::BTreeSet;

use aws::DeviceFilter;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::device::Device;
use domain::search::Query;
use domain::{DeviceId, UserId};
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::devices::user_names;
use crate::paging::Paging;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List devices")
        .detail("Newest first, or those that `search` finds. Deleted devices are listed until they are purged.")
        .lists::<views::DeviceListItem>(|fields| drop(read(fields)))
}

/// Returns a page of devices, newest first, or those found by `search`. Deleted devices are included until purged.
///
/// # Errors
/// Every invalid field of the query; `CursorInvalid`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (paging, filter) = Paging::read(&request, read)?;
    let start = paging.start.clone();
    let page = table.list_devices(request.workspace(), &filter, paging.limit, start, request.now()).await?;
    let names = user_names(table, request.workspace(), &page.items).await?;
    let devices: BTreeSet<DeviceId> = page.items.iter().map(|device| device.device_id).collect();
    let attachments = table.attachments_to_show(request.workspace(), &devices).await?;
    let workspace = table.workspace(request.workspace()).await?.ok_or(DomainError::NotFound("workspace"))?;
    let view = |device: &Device| {
        let name = names.get(&device.user_id).cloned();
        let known = attachments.get(&device.device_id);
        views::DeviceListItem::new(device, known, name, &workspace.settings, request.now())
    };
    paging.reply_named(table, request.workspace(), &page, view).await
}

/// Reads the filters of the list, which bulk calls also use.
pub(crate) fn read(fields: &mut Fields) -> DeviceFilter {
    DeviceFilter {
        user_id: fields.id("user_id", UserId::parse),
        status: fields.enum_value("status"),
        device_status: fields.enum_value("device_status"),
        blocked: fields.boolean("blocked"),
        platform: fields.enum_value("platform"),
        push_in_use: fields.boolean("push_in_use"),
        pending_command: fields.boolean("pending_command"),
        unconfirmed_wipe: fields.boolean("unconfirmed_wipe"),
        last_login_before: fields.time("last_login_before"),
        search: Query::read(fields),
    }
}
