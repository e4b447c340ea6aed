//! `GET /devices/export`: the device list as comma-separated values.

use aws::{Page, Table};
use domain::DeviceId;
use domain::error::Error;
use domain::models::device::Device;
use lambda::{AuthorizedRequest, Reply};
use serde_json::Value;

use super::{ExportKind, ExportRequest};
use crate::actors::name_actors;
use crate::description::OperationDoc;
use crate::devices::list_devices;
use crate::state::AppState;
use crate::views;

static DEVICES: ExportKind = ExportKind {
    name: "devices",
    columns: &[
        ("device_id", "/device_id"),
        ("user_id", "/user_id"),
        ("user_name", "/user_name"),
        ("device_identifier", "/device_identifier"),
        ("platform", "/platform"),
        ("push_endpoint", "/push_endpoint"),
        ("model_name", "/model_name"),
        ("nickname", "/nickname"),
        ("display_name", "/display_name"),
        ("os_version", "/os_version"),
        ("app_version", "/app_version"),
        ("device_status", "/device_status"),
        ("status", "/status"),
        ("created_at", "/created_at"),
        ("last_login_at", "/last_login_at"),
        ("blocked_at", "/blocked/at"),
        ("blocked_by_type", "/blocked/by/type"),
        ("blocked_by_id", "/blocked/by/id"),
        ("blocked_by_name", "/blocked/by/name"),
        ("blocked_reason", "/blocked/reason"),
        ("erased_at", "/erased_at"),
        ("pin_failures", "/pin_failures"),
        ("push_in_use", "/push/in_use"),
        ("push_since", "/push/since"),
        ("push_reason", "/push/reason"),
        ("unconfirmed_wipe", "/unconfirmed_wipe/state"),
        ("deleted_at", "/deleted_at"),
        ("purge_after", "/purge_after"),
    ],
};

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    super::doc("Export devices", &DEVICES, |fields| drop(list_devices::read_sorted(fields)))
}

/// Replies with a part of the devices: those of `ids` that exist, in their order; else those that match the list's
/// filters, in its order.
///
/// # Errors
/// Every invalid query parameter; `CursorInvalid`, `SortNotAvailable`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let wanted =
        ExportRequest::read(&request, &DEVICES, |id| DeviceId::parse(id).is_some(), list_devices::read_sorted)?;
    if let Some(ids) = wanted.ids(DeviceId::parse) {
        let found = table.devices_to_show(request.workspace(), &ids.iter().copied().collect()).await?;
        let by_id = |id: &DeviceId| found.iter().find(|device| device.device_id == *id).cloned();
        let devices: Vec<Device> = ids.iter().filter_map(by_id).collect();
        return wanted.named(table, &request, &shown(table, &request, &devices).await?).await;
    }
    let page = |limit, start| {
        let (request, filter) = (&request, &wanted.filter);
        async move {
            let page = table.list_devices(request.workspace(), filter, limit, start, request.now()).await?;
            Ok(Page { items: shown(table, request, &page.items).await?, next: page.next, unreadable: page.unreadable })
        }
    };
    wanted.part(table, &request, page).await
}

/// The list's views of devices.
async fn shown(table: &Table, request: &AuthorizedRequest, devices: &[Device]) -> Result<Vec<Value>, Error> {
    let names = table.user_names(request.workspace(), devices).await?;
    let view = |device: &Device| views::DeviceSummary::new(device, names.get(&device.user_id).cloned(), request.now());
    name_actors(table, request.workspace(), devices.iter().map(view)).await
}
