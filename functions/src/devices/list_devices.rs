//! `GET /devices`.

use std::collections::BTreeSet;

use aws::{DeviceFilter, ListBasis};
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::listing::Sort;
use domain::models::device::{Device, MODEL_NAME, VERSION};
use domain::search::Query;
use domain::{DeviceId, UserId};
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::paging::{Paging, times};
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("List devices")
        .detail("Newest first, those that `search` finds, or by `sort`; last logins are sorted by day. Deleted devices are listed \
             until they are purged.")
        .lists::<views::DeviceListItem>(|fields| drop(read_sorted(fields)))
        .refuses([DomainError::SortNotAvailable])
}

/// Returns a page of devices, newest first, those found by `search`, or by `sort`. Deleted devices are included until
/// purged. `total` is their number, if the filter is counted.
///
/// # Errors
/// Every invalid field of the query; `CursorInvalid`, `SortNotAvailable`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (paging, filter) = Paging::read(&request, read_sorted)?;
    let ListBasis { workspace, derived, total } = table.basis_of_devices(request.workspace(), &filter).await?;
    let workspace = workspace.ok_or(DomainError::NotFound("workspace"))?;
    let filter = DeviceFilter { derived, ..filter };
    let (limit, start) = (paging.limit, paging.start.clone());
    let page = table.list_devices(request.workspace(), &filter, limit, start, request.now()).await?;
    let names = table.user_names(request.workspace(), &page.items).await?;
    let devices: BTreeSet<DeviceId> = page.items.iter().map(|device| device.device_id).collect();
    let attachments = table.attachments_to_show(request.workspace(), &devices).await?;
    let view = |device: &Device| {
        let name = names.get(&device.user_id).cloned();
        let known = attachments.get(&device.device_id);
        views::DeviceListItem::new(device, known, name, &workspace.settings, request.now())
    };
    paging.with_total(total).reply_named(table, request.workspace(), &page, view).await
}

/// Reads the filters and the order of the list.
pub(crate) fn read_sorted(fields: &mut Fields) -> DeviceFilter {
    let filter = read(fields);
    DeviceFilter { sort: Sort::read(fields), ..filter }
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
        model_name: fields.text("model_name", MODEL_NAME),
        os_version: fields.text("os_version", VERSION),
        app_version: fields.text("app_version", VERSION),
        os_version_below: fields.text("os_version_below", VERSION),
        app_version_below: fields.text("app_version_below", VERSION),
        push_reason: fields.enum_value("push_reason"),
        created: times(fields, "created_since", "created_before"),
        last_login: times(fields, "last_login_since", "last_login_before"),
        search: Query::read(fields),
        sort: None,
        derived: None,
    }
}
