//! `PUT /devices/{device_id}/credential-services/{service}`: report of a credential service about the phone.

use domain::error::{DomainError, Error};
use domain::models::credential::{Report, ServiceKind};
use domain::rules::credentials::report;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Report what a credential service knows of a device")
        .detail(
            "Each report replaces the one before. A problem is shown among the device's warnings until a report \
             without one.",
        )
        .body(|fields| drop(Report::read(fields)))
        .with_etag()
        .shows::<views::Device>("The device.")
        .refuses([DomainError::DeviceDeleted])
}

/// Reads `{endpoints: [{endpoint_id, is_active}], problem?}`, which replaces the service's last report, and returns
/// the device. A problem is shown among the device's warnings until a report without one.
///
/// # Errors
/// Every invalid field of the body; `NotFound`, also for an unknown service; `DeviceDeleted`, `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let kind = request.http.path_id("service", "credential_service", ServiceKind::parse)?;
    let reported = Report::read(request.http.body()?)?;
    super::change(state, &request, |details, context| {
        report(&details.device, details.attachments.as_ref(), kind, &reported, context)
    })
    .await
}
