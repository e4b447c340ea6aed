//! Deleting a user with their devices.

use domain::error::Error;
use domain::input::Fields;
use domain::models::device::Device;
use domain::models::user::User;
use domain::rules::devices::DeviceToDelete;
use domain::rules::lifecycle::{self, Deletion};
use domain::text::REASON;
use serde::{Deserialize, Serialize};

use crate::context::ActionContext;
use crate::users::changes::UserPlan;
use crate::users::offers::newest_offers;

/// Parameters of a deletion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeleteRequest {
    /// True to delete a user whose devices were never wiped.
    pub without_wipe: bool,
    /// Reason for the deletion.
    pub reason: Option<String>,
}

impl DeleteRequest {
    /// For an interface that has no wipe (SCIM, Seam); `reason` says so.
    pub fn without_wipe(reason: &str) -> Self {
        Self { without_wipe: true, reason: Some(reason.to_owned()) }
    }
}

/// Reads `without_wipe` and `reason`. Without a wipe, a reason is required.
pub(crate) fn read_delete(fields: &mut Fields) -> DeleteRequest {
    let without_wipe = fields.boolean("without_wipe").unwrap_or(false);
    let reason = fields.text("reason", REASON);
    if without_wipe && reason.is_none() && !fields.is_sent("reason") {
        fields.add_error("reason", "missing", "is required to delete without a wipe");
    }
    DeleteRequest { without_wipe, reason }
}

/// Deletes a user: see [`lifecycle::delete`].
///
/// # Errors
/// `WipeFirst`; `Internal` if the identifier claim of a device is missing.
pub(crate) async fn delete(
    context: &ActionContext<'_>,
    user: &User,
    wanted: &DeleteRequest,
) -> Result<UserPlan, Error> {
    let table = context.table;
    let devices = table.devices(user.workspace_id, &user.device_ids).await?;
    let retention = context.settings().await?.retention(context.operator.retention);
    let leaving = to_delete(context, user, &devices).await?;
    let offers = newest_offers(table, user).await?;
    let wanted = Deletion { without_wipe: wanted.without_wipe, reason: wanted.reason.clone(), retention };
    let change = lifecycle::delete(user, &leaving, &offers, &wanted, &context.event_context)?;
    UserPlan::carried_through(context, change, user, devices).await
}

/// The user's devices with their claims, unconfirmed wipes and attachments.
async fn to_delete(context: &ActionContext<'_>, user: &User, devices: &[Device]) -> Result<Vec<DeviceToDelete>, Error> {
    let table = context.table;
    let claims = table.identifier_claims(devices).await?;
    let wipes = table.unconfirmed_wipes(devices).await?;
    let mut attachments = table.attachments(user.workspace_id, &user.device_ids).await?;
    let with_rows = |device: &Device| {
        let id = device.device_id;
        let claim = claims.iter().find(|claim| claim.device_id == id)?.clone();
        let unconfirmed = wipes.iter().find(|wipe| wipe.device_id == id).cloned();
        Some(DeviceToDelete { device: device.clone(), claim, unconfirmed, attachments: attachments.remove(&id) })
    };
    let leaving: Option<Vec<_>> = devices.iter().map(with_rows).collect();
    leaving.ok_or_else(|| Error::internal("deleting a user", "a device's claim is not there"))
}
