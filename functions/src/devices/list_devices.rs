//! `GET /devices`.

use std::collections::BTreeSet;

use aws::{DeviceFilter, Page, Position, Table};
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::listing::{DeviceSort, Sort};
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
        .lists::<views::DeviceListItem>(|fields| drop(DeviceListing::read(fields)))
        .refuses([DomainError::SortNotAvailable])
}

/// Returns a page of devices, newest first, those found by `search`, or by `sort`. Deleted devices are included until
/// purged. `total` is their number, if the filter is counted.
///
/// # Errors
/// Every invalid field of the query; `CursorInvalid`, `SortNotAvailable`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let (paging, listing) = Paging::read(&request, DeviceListing::read)?;
    let page = listing.page(table, &request, paging.limit, paging.start.clone()).await?;
    let paging = paging.with_total(table.count_devices(request.workspace(), &listing.filter).await?);
    let names = table.user_names(request.workspace(), &page.items).await?;
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

/// What a list of devices shows, and in what order.
pub(crate) struct DeviceListing {
    pub filter: DeviceFilter,
    pub sort: Option<Sort<DeviceSort>>,
}

impl DeviceListing {
    pub fn read(fields: &mut Fields) -> Self {
        Self { filter: read(fields), sort: Sort::read(fields) }
    }

    /// A page of the list.
    pub async fn page(
        &self,
        table: &Table,
        request: &AuthorizedRequest,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Device>, Error> {
        let (workspace, now) = (request.workspace(), request.now());
        match self.sort {
            Some(sort) => table.sorted_devices(workspace, &self.filter, sort, limit, start, now).await,
            None => table.list_devices(workspace, &self.filter, limit, start, now).await,
        }
    }
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
        complete: false,
    }
}
