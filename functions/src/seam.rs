//! Seam's phones API: its own published clients drive Handset by it. Each resource is one
//! operation; what it does is done by the same rules as everywhere else, and said in Seam's words.

mod paging;
pub mod seam_devices;
pub mod seam_events;
pub mod seam_phones;
pub mod seam_user_identities;
pub mod seam_webhooks;
pub mod seam_workspaces;
mod views;

use std::collections::BTreeSet;

use aws::Table;
use aws::{DeviceDetails, DeviceFilter};
use domain::DeviceId;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::device::{Device, Status};
use domain::models::event::Event;
use domain::models::webhook::{PHONE_DEACTIVATED, Webhook};
use domain::models::workspace::Settings;
use lambda::reply::{LIST_BODY_LIMIT, wire_size};
use lambda::{AuthorizedRequest, Reply, Request};
use serde_json::{Value, json};

use self::views::SeamViewContext;
use crate::users::changes::UserPlan;

/// The verbs that current and older clients use between them, each with how a refusal names them.
#[derive(Clone, Copy, Debug)]
enum Verbs {
    /// To read.
    GetPost,
    /// To make.
    Post,
    /// To change.
    PatchPost,
    /// To end.
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

    /// The parameters of a call that uses one of them.
    fn parameters(self, request: &AuthorizedRequest) -> Result<Fields, DomainError> {
        self.parameters_of(&request.http)
    }

    /// The parameters of a request that uses one of them.
    fn parameters_of(self, request: &Request) -> Result<Fields, DomainError> {
        if self.named().split(',').any(|verb| request.method.as_str() == verb) {
            lambda::seam::parameters(request)
        } else {
            Err(DomainError::OnlyMethods(self.named().to_owned()))
        }
    }
}

/// What a webhook is told of an event: the end of a phone, if it names both, in Seam's words with all of our own beside.
pub(crate) fn event_payload(webhook: &Webhook, event: &Event) -> Value {
    let name = webhook.name_of(event);
    let mut told = views::event(event, name);
    if name == PHONE_DEACTIVATED
        && webhook.receives_own_name(event)
        && let (Some(told), Value::Object(ours)) = (told.as_object_mut(), event.to_public_json())
    {
        for (name, value) in ours {
            told.entry(name).or_insert(value);
        }
    }
    told
}

/// The part of the path after the resource's own name.
fn route<'a>(request: &'a AuthorizedRequest, resource: &str) -> &'a str {
    route_of(&request.http, resource)
}

/// The same, of a request.
fn route_of<'a>(request: &'a Request, resource: &str) -> &'a str {
    let path = request.raw_path.trim_matches('/');
    path.strip_prefix(resource).map(|path| path.trim_matches('/')).unwrap_or_default()
}

/// True for what Seam calls a phone, while it is there.
fn is_phone(device: &Device) -> bool {
    device.deleted.is_none() && device.platform.is_phone()
}

/// Reads an identifier in capitals or not (RFC 9562, section 4).
fn any_case<T>(parse: impl Fn(&str) -> Option<T>) -> impl Fn(&str) -> Option<T> {
    move |text| parse(&text.to_ascii_lowercase())
}

/// An identifier that must be there.
fn required_id<T>(fields: &mut Fields, name: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    fields.require(name);
    fields.id(name, any_case(parse))
}

/// What is faulty of the parameters, or else a value that must have been read from them.
fn whole<T>(fields: Fields, read: Option<T>) -> Result<T, DomainError> {
    fields.finish().map_err(DomainError::Invalid)?;
    read.ok_or(DomainError::Invalid(Vec::new()))
}

/// The phone of an identifier, deleted ones too.
async fn phone(table: &Table, request: &AuthorizedRequest, id: DeviceId) -> Result<DeviceDetails, Error> {
    let whole = table.device_details(request.workspace(), id).await?;
    let whole = whole.filter(|whole| whole.device.platform.is_phone());
    Ok(whole.ok_or(DomainError::NotFound("device"))?)
}

/// The phone that `device_id` names, if it is there.
async fn phone_there(table: &Table, request: &AuthorizedRequest, mut fields: Fields) -> Result<DeviceDetails, Error> {
    let id = required_id(&mut fields, "device_id", DeviceId::parse);
    let whole = phone(table, request, whole(fields, id)?).await?;
    if whole.device.deleted.is_some() { Err(DomainError::NotFound("device").into()) } else { Ok(whole) }
}

/// What the workspace has settled.
async fn settings(table: &Table, request: &AuthorizedRequest) -> Result<Settings, Error> {
    let workspace = table.workspace(request.workspace()).await?.ok_or(DomainError::NotFound("workspace"))?;
    Ok(workspace.settings)
}

/// A list in one reply, since Seam's clients know no pages of it.
#[derive(Debug, Default)]
struct Listing {
    items: Vec<Value>,
    bytes: usize,
}

impl Listing {
    /// Takes one more.
    ///
    /// # Errors
    /// A fault if the reply would be larger than a reply may be.
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

/// Adds those of some devices that are phones to a list, in their order.
async fn list_phones(
    table: &Table,
    request: &AuthorizedRequest,
    settings: &Settings,
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

/// The most devices that one call looks at.
const LOOK_MOST: usize = 20_000;

/// Adds all phones of the workspace to a list, the newest first.
///
/// # Errors
/// A fault if there are more than [`LOOK_MOST`].
async fn list_all_phones(
    table: &Table,
    request: &AuthorizedRequest,
    settings: &Settings,
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

/// How many phones are read at once.
const PAGE: usize = 100;

/// Which devices are there.
fn there() -> DeviceFilter {
    DeviceFilter { status: Some(Status::Active), ..DeviceFilter::default() }
}

/// The reply of a change of a user, once it is made.
async fn done(table: &Table, plan: UserPlan) -> Result<Reply, Error> {
    if let Some(commit) = plan.commit() {
        table.commit(commit).await?;
    }
    Ok(lambda::seam::ok(json!({})))
}
