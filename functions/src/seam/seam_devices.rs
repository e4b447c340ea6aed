//! `/devices/get`, `/devices/list` and `/devices/update`: phones as Seam devices.

use std::collections::BTreeMap;

use aws::{Table, retry_on_conflict};
use domain::DeviceId;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::device::{Edit, NICKNAME};
use domain::permission::Permission;
use domain::rules::devices;
use domain::text::{Form, TextRule};
use lambda::{AuthorizedRequest, Reply};
use serde_json::{Map, Value, json};

use super::paging::Paging;
use super::views::{self, SeamViewContext, device_type};
use super::{
    Listing, PAGE, Verbs, any_case, finish, list_all_phones, list_phones, phone_there, required_id, route, settings,
    there,
};
use crate::commits::commit_change;
use crate::devices::update_device::read_metadata_of;
use crate::state::AppState;

/// Maximum number of identifiers in `device_ids`.
const IDS_MOST: usize = 1000;
/// A device type or a device identifier.
const KIND: TextRule = TextRule::new(Form::Ascii, 1, 64);

/// Returns one device or a list of them, or updates one.
///
/// # Errors
/// `RouteNotFound`, `OnlyMethods`; every invalid field of the parameters; `NotFound`; `PermissionMissing` for a
/// change without `devices:manage`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    match route(&request, "devices") {
        "get" => get(table, &request).await,
        "list" => list(table, &request).await,
        "update" => update(table, &request).await,
        _ => Err(DomainError::RouteNotFound.into()),
    }
}

async fn get(table: &Table, request: &AuthorizedRequest) -> Result<Reply, Error> {
    let details = phone_there(table, request, Verbs::GetPost.parameters(request)?).await?;
    Ok(lambda::seam::ok(json!({"device": views::device_of(&details, request.now())})))
}

/// All matching phones, or a page of them, which may be short.
async fn list(table: &Table, request: &AuthorizedRequest) -> Result<Reply, Error> {
    let mut fields = Verbs::GetPost.parameters(request)?;
    let paging = Paging::read(request, &mut fields, PAGE, &["device_type", "device_ids", "custom_metadata_has"]);
    let kind = fields.text("device_type", KIND);
    let ids = fields.texts_or_empty("device_ids", KIND);
    if ids.len() > IDS_MOST {
        fields.add_error("device_ids", "too_many", format!("must be at most {IDS_MOST}"));
    }
    let has = fields.object("custom_metadata_has").map(Fields::into_values);
    fields.finish().map_err(DomainError::Invalid)?;
    let has = has.transpose().map_err(DomainError::Invalid)?.unwrap_or_default();
    let start = paging.start()?;
    let settings = settings(table, request).await?;
    let wanted = |known: &SeamViewContext<'_>| {
        let of_kind = kind.as_deref().is_none_or(|kind| kind == device_type(known.device.platform));
        (of_kind && has_all(known, &has)).then(|| views::device(known))
    };
    let mut listing = Listing::default();
    let next = if !ids.is_empty() {
        // Identifiers in a foreign format match nothing.
        let named = ids.iter().filter_map(|id| any_case(DeviceId::parse)(id)).collect();
        let devices = table.devices_to_show(request.workspace(), &named).await?;
        list_phones(table, request, &settings, &devices, &mut listing, wanted).await?;
        None
    } else if paging.is_asked_for() {
        let limit = paging.limit.unwrap_or(PAGE);
        let page = table.list_devices(request.workspace(), &there(), limit, start, request.now()).await?;
        list_phones(table, request, &settings, &page.items, &mut listing, wanted).await?;
        page.next
    } else {
        list_all_phones(table, request, &settings, &mut listing, wanted).await?;
        None
    };
    let pagination = paging.pagination(next.as_ref());
    Ok(lambda::seam::ok(json!({"devices": listing.items, "pagination": pagination})))
}

/// True if the custom metadata has all of these values, compared as text, since a query has no booleans.
fn has_all(known: &SeamViewContext<'_>, has: &Map<String, Value>) -> bool {
    let none = BTreeMap::new();
    let values = known.attachments.map_or(&none, |known| &known.metadata);
    has.iter().all(|(key, wanted)| {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        values.get(key).is_some_and(|value| text(value) == text(wanted))
    })
}

/// `name` is the nickname; `null` removes it.
async fn update(table: &Table, request: &AuthorizedRequest) -> Result<Reply, Error> {
    request.caller.require(Permission::DevicesManage)?;
    let mut fields = Verbs::PatchPost.parameters(request)?;
    let id = required_id(&mut fields, "device_id", DeviceId::parse);
    let edit = Edit { nickname: fields.text_edit("name", NICKNAME), metadata: read_metadata_of(&mut fields) };
    let id = finish(fields, id)?;
    retry_on_conflict(table, || async {
        let details = super::phone(table, request, id).await?;
        if details.device.deleted.is_some() {
            return Err(DomainError::NotFound("device").into());
        }
        let event_context = request.new_event_context();
        let change = devices::edit(&details.device, details.attachments.as_ref(), &edit, &event_context)?;
        commit_change(table, change.as_ref(), &event_context).await?;
        Ok(lambda::seam::ok(json!({})))
    })
    .await
}
