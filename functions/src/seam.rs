//! Seam's phones API, so that Seam's published clients work with Handset. Each resource is one operation; it applies
//! the same rules as the rest of the API, and answers in Seam's format.

mod paging;
pub mod seam_devices;
pub mod seam_events;
pub mod seam_phones;
pub mod seam_user_identities;
pub mod seam_webhooks;
pub mod seam_workspaces;
mod views;

pub(crate) use views::phone_deactivated;

use std::collections::BTreeSet;

use aws::Table;
use aws::{DeviceDetails, DeviceFilter};
use domain::DeviceId;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::device::{Device, Status};
use domain::models::workspace::WorkspaceSettings;
use lambda::reply::{LIST_BODY_LIMIT, wire_size};
use lambda::{AuthorizedRequest, Reply, Request};
use serde_json::{Value, json};

use self::views::SeamViewContext;
use crate::users::changes::UserPlan;

/// The methods that current and older clients use for a kind of call.
#[derive(Clone, Copy, Debug)]
enum Verbs {
    /// Reads.
    GetPost,
    /// Creates.
    Post,
    /// Changes.
    PatchPost,
    /// Deletes.
    DeletePost,
}

impl Verbs {
    fn named(self) -> &'static str {
        match self {
            Self::GetPost => "GET,POST",
            Self::Post => "POST",
            Self::PatchPost => "PATCH,POST",
            Self::DeletePost => "DELETE,POST",
        }
    }

    /// The parameters of a request that uses one of these methods.
    fn parameters(self, request: &AuthorizedRequest) -> Result<Fields, DomainError> {
        self.parameters_of(&request.http)
    }

    /// As [`Verbs::parameters`], for a request without an authorized caller.
    fn parameters_of(self, request: &Request) -> Result<Fields, DomainError> {
        if self.named().split(',').any(|verb| request.method.as_str() == verb) {
            lambda::seam::parameters(request)
        } else {
            Err(DomainError::OnlyMethods(self.named().to_owned()))
        }
    }
}

/// The path after the resource's name.
fn route<'a>(request: &'a AuthorizedRequest, resource: &str) -> &'a str {
    route_of(&request.http, resource)
}

/// As [`route`], for a request without an authorized caller.
fn route_of<'a>(request: &'a Request, resource: &str) -> &'a str {
    let path = request.raw_path.trim_matches('/');
    path.strip_prefix(resource).map(|path| path.trim_matches('/')).unwrap_or_default()
}

/// True for a phone in Seam's sense that is not deleted.
fn is_phone(device: &Device) -> bool {
    device.deleted.is_none() && device.platform.is_phone()
}

/// Accepts an identifier in upper case too (RFC 9562, section 4).
fn any_case<T>(parse: impl Fn(&str) -> Option<T>) -> impl Fn(&str) -> Option<T> {
    move |text| parse(&text.to_ascii_lowercase())
}

/// A required identifier.
fn required_id<T>(fields: &mut Fields, name: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    fields.require(name);
    fields.id(name, any_case(parse))
}

/// The value read from the parameters, or every invalid parameter.
fn finish<T>(fields: Fields, read: Option<T>) -> Result<T, DomainError> {
    fields.finish().map_err(DomainError::Invalid)?;
    read.ok_or(DomainError::Invalid(Vec::new()))
}

/// The phone with this identifier, even if it is deleted.
async fn phone(table: &Table, request: &AuthorizedRequest, id: DeviceId) -> Result<DeviceDetails, Error> {
    let details = table.device_details(request.workspace(), id).await?;
    let details = details.filter(|details| details.device.platform.is_phone());
    Ok(details.ok_or(DomainError::NotFound("device"))?)
}

/// The phone that `device_id` names, unless it is deleted.
async fn phone_there(table: &Table, request: &AuthorizedRequest, mut fields: Fields) -> Result<DeviceDetails, Error> {
    let id = required_id(&mut fields, "device_id", DeviceId::parse);
    let details = phone(table, request, finish(fields, id)?).await?;
    if details.device.deleted.is_some() { Err(DomainError::NotFound("device").into()) } else { Ok(details) }
}

/// The workspace's settings.
async fn settings(table: &Table, request: &AuthorizedRequest) -> Result<WorkspaceSettings, Error> {
    let workspace = table.workspace(request.workspace()).await?.ok_or(DomainError::NotFound("workspace"))?;
    Ok(workspace.settings)
}

/// A list in one reply, since Seam's clients do not page through it.
#[derive(Debug, Default)]
struct Listing {
    items: Vec<Value>,
    bytes: usize,
}

impl Listing {
    /// Appends an item.
    ///
    /// # Errors
    /// `Invalid` if the reply would become too large.
    fn push(&mut self, item: Value) -> Result<(), DomainError> {
        self.bytes += wire_size(&item.to_string()) + 1;
        if self.bytes > LIST_BODY_LIMIT {
            return Err(too_many());
        }
        self.items.push(item);
        Ok(())
    }
}

fn too_many() -> DomainError {
    DomainError::field("", "too_many", "The list is longer than a reply may be; ask for less of it by a filter")
}

/// Appends those of the devices that are phones, in their order.
async fn list_phones(
    table: &Table,
    request: &AuthorizedRequest,
    settings: &WorkspaceSettings,
    devices: &[Device],
    listing: &mut Listing,
    view: impl Fn(&SeamViewContext<'_>) -> Option<Value>,
) -> Result<(), Error> {
    let phones: Vec<&Device> = devices.iter().filter(|device| is_phone(device)).collect();
    let ids: BTreeSet<DeviceId> = phones.iter().map(|device| device.device_id).collect();
    let attachments = table.attachments_to_show(request.workspace(), &ids).await?;
    for device in phones {
        let known =
            SeamViewContext { device, attachments: attachments.get(&device.device_id), settings, now: request.now() };
        if let Some(item) = view(&known) {
            listing.push(item)?;
        }
    }
    Ok(())
}

/// Most devices that one call reads.
const LOOK_MOST: usize = 20_000;

/// Appends all phones of the workspace, newest first.
///
/// # Errors
/// `Invalid` if there are more than [`LOOK_MOST`].
async fn list_all_phones(
    table: &Table,
    request: &AuthorizedRequest,
    settings: &WorkspaceSettings,
    listing: &mut Listing,
    view: impl Fn(&SeamViewContext<'_>) -> Option<Value>,
) -> Result<(), Error> {
    let (mut start, mut looked_at) = (None, 0);
    while looked_at < LOOK_MOST {
        let page = table.list_devices(request.workspace(), &there(), PAGE, start, request.now()).await?;
        list_phones(table, request, settings, &page.items, listing, &view).await?;
        looked_at += PAGE;
        start = page.next;
        if start.is_none() {
            return Ok(());
        }
    }
    Err(too_many().into())
}

/// Devices per read.
const PAGE: usize = 100;

/// Filter for devices that are not deleted.
fn there() -> DeviceFilter {
    DeviceFilter { status: Some(Status::Active), ..DeviceFilter::default() }
}

/// Commits a change of a user, and replies.
async fn done(table: &Table, plan: UserPlan) -> Result<Reply, Error> {
    if let Some(commit) = plan.to_commit() {
        table.commit(commit).await?;
    }
    Ok(lambda::seam::ok(json!({})))
}
