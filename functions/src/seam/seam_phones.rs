//! `/phones/…`: listing, reading, deactivating and simulating phones.

use aws::{Commit, Table, retry_on_conflict};
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::credential::{Service, ServiceKind};
use domain::models::device::{Device, IDENTIFIER, MODEL_NAME, VERSION};
use domain::models::workspace::WorkspaceSettings;
use domain::permission::Permission;
use domain::rules::registration::{RegistrationRequest, simulate};
use domain::states::Platform;
use domain::{CredentialId, DeviceId, UserId};
use lambda::{AuthorizedRequest, Reply};
use serde_json::json;

use super::views::{self, SeamViewContext};
use super::{
    Listing, Verbs, any_case, finish, list_all_phones, list_phones, phone, phone_there, required_id, route, settings,
};
use crate::commits::commit_change;
use crate::context::ActionContext;
use crate::devices::actions::delete;
use crate::idempotency::{Creation, create_once};
use crate::state::AppState;

/// Returns one phone or all of them, or deactivates or simulates one.
///
/// # Errors
/// `RouteNotFound`, `OnlyMethods`; every invalid field of the parameters; `NotFound`; `PermissionMissing` for a
/// change without `devices:manage`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    match route(&request, "phones") {
        "list" => list(table, &request).await,
        "get" => get(table, &request).await,
        "deactivate" => deactivate(state, &request).await,
        "simulate/create_sandbox_phone" => create_sandbox_phone(table, &request).await,
        _ => Err(DomainError::RouteNotFound.into()),
    }
}

async fn get(table: &Table, request: &AuthorizedRequest) -> Result<Reply, Error> {
    let details = phone_there(table, request, Verbs::GetPost.parameters(request)?).await?;
    Ok(lambda::seam::ok(json!({"phone": views::phone_of(&details, request.now())})))
}

/// All phones of the workspace, of a user, or with a credential. Empty for an unknown user or credential.
async fn list(table: &Table, request: &AuthorizedRequest) -> Result<Reply, Error> {
    let mut fields = Verbs::GetPost.parameters(request)?;
    let owner = fields.id("owner_user_identity_id", any_case(UserId::parse));
    let credential = fields.id("acs_credential_id", any_case(CredentialId::parse));
    fields.finish().map_err(DomainError::Invalid)?;
    let settings = settings(table, request).await?;
    let mut listing = Listing::default();
    let wanted = |known: &SeamViewContext<'_>| {
        let holds = |id| known.attachments.is_some_and(|held| held.credentials.contains_key(&id));
        let wanted = owner.is_none_or(|owner| known.device.user_id == owner) && credential.is_none_or(holds);
        wanted.then(|| views::phone(known))
    };
    let named = match (owner, credential) {
        (None, None) => None,
        (_, Some(credential)) => Some(table.devices_with_credential(request.workspace(), credential).await?),
        (Some(owner), None) => {
            Some(table.user(request.workspace(), owner).await?.map(|u| u.device_ids).unwrap_or_default())
        }
    };
    match named {
        Some(ids) => {
            let devices = table.devices_to_show(request.workspace(), &ids).await?;
            list_phones(table, request, &settings, &devices, &mut listing, wanted).await?;
        }
        None => list_all_phones(table, request, &settings, &mut listing, wanted).await?,
    }
    Ok(lambda::seam::ok(json!({"phones": listing.items})))
}

/// Deletes a phone: it loses access at once, and what was issued to it is revoked. Repeated calls succeed as long as
/// the phone's row exists.
async fn deactivate(state: &AppState, request: &AuthorizedRequest) -> Result<Reply, Error> {
    request.caller.require(Permission::DevicesManage)?;
    let mut fields = Verbs::DeletePost.parameters(request)?;
    let id = required_id(&mut fields, "device_id", DeviceId::parse);
    let id = finish(fields, id)?;
    let table = state.table()?;
    retry_on_conflict(table, || async {
        let details = phone(table, request, id).await?;
        let context = ActionContext::of_request(state, request)?;
        let change = delete(&context, &details, None).await?;
        commit_change(table, change.as_ref(), &context.event_context).await?;
        Ok(lambda::seam::ok(json!({})))
    })
    .await
}

/// Parameters of a simulated phone in a sandbox workspace.
struct Sandbox {
    user_id: UserId,
    application: RegistrationRequest,
    assa_abloy: Option<Service>,
}

impl Sandbox {
    fn read(request: &AuthorizedRequest) -> Result<Self, DomainError> {
        let mut fields = Verbs::Post.parameters(request)?;
        let user_id = required_id(&mut fields, "user_identity_id", UserId::parse);
        let identifier = fields.text("custom_sdk_installation_id", IDENTIFIER);
        let (platform, model_name, os_version) = read_phone_metadata(&mut fields);
        let (app_version, assa_abloy) = read_assa_abloy_metadata(&mut fields);
        let application = RegistrationRequest {
            code: String::new(),
            device_identifier: identifier.unwrap_or_else(|| request.http.id_source.new_id().to_string()),
            platform,
            model_name,
            os_version,
            app_version,
            push_token: None,
            nickname: None,
        };
        Ok(Self { user_id: finish(fields, user_id)?, application, assa_abloy })
    }
}

/// Seam's names of the phones' operating systems.
static SYSTEMS: [(&str, Platform); 2] = [("android", Platform::Android), ("ios", Platform::Ios)];

fn read_phone_metadata(fields: &mut Fields) -> (Platform, String, String) {
    let mut given = fields.object("phone_metadata").unwrap_or_else(|| Fields::from_json(serde_json::Map::new()));
    let platform = given.choice("operating_system", &SYSTEMS).map(|(_, platform)| platform);
    let model_name = given.text("device_model", MODEL_NAME);
    let os_version = given.text("os_version", VERSION);
    // The manufacturer is accepted but not stored, since the model name implies it.
    let _maker = given.text("device_manufacturer", MODEL_NAME);
    fields.take_errors_of("phone_metadata", given);
    (
        platform.unwrap_or(Platform::Android),
        model_name.unwrap_or_else(|| "Samsung Galaxy S10".to_owned()),
        os_version.unwrap_or_else(|| "10".to_owned()),
    )
}

/// Maximum of an endpoint number.
const ENDPOINT_NUMBERS: i64 = i64::MAX;

fn read_assa_abloy_metadata(fields: &mut Fields) -> (Option<String>, Option<Service>) {
    let Some(mut given) = fields.object("assa_abloy_metadata") else {
        return (None, None);
    };
    let app_version = given.text("application_version", VERSION).unwrap_or_else(|| "1.0.0".to_owned());
    let endpoint = given.integer("seos_tsm_endpoint_id", 0, ENDPOINT_NUMBERS).unwrap_or(1);
    fields.take_errors_of("assa_abloy_metadata", given);
    let service = Service { endpoints: [(endpoint.to_string(), true)].into(), problem: None };
    (Some(app_version), Some(service))
}

async fn create_sandbox_phone(table: &Table, request: &AuthorizedRequest) -> Result<Reply, Error> {
    request.caller.require(Permission::DevicesManage)?;
    let wanted = Sandbox::read(request)?;
    let workspace = table.workspace(request.workspace()).await?.ok_or(DomainError::NotFound("workspace"))?;
    if !workspace.sandbox {
        return Err(DomainError::field("", "not_sandbox", "Phones are simulated in a sandbox workspace only").into());
    }
    // Retries create the same phone.
    let id = DeviceId(request.http.id_source.new_id());
    let create = || simulated(table, request, &wanted, id, &workspace.settings);
    create_once(table, request, create, async |id| {
        let id = DeviceId::parse(&id).ok_or(DomainError::NotFound("device"))?;
        let details = phone(table, request, id).await?;
        Ok(lambda::seam::ok(json!({"phone": views::phone_of(&details, request.now())})))
    })
    .await
}

async fn simulated(
    table: &Table,
    request: &AuthorizedRequest,
    wanted: &Sandbox,
    id: DeviceId,
    settings: &WorkspaceSettings,
) -> Result<Creation<Reply>, Error> {
    let user = table.user(request.workspace(), wanted.user_id).await?.filter(|user| user.deleted.is_none());
    let user = user.ok_or(DomainError::NotFound("user_identity"))?;
    let held: Vec<Device> = table.devices(request.workspace(), &user.device_ids).await?;
    let claim = table.identifier_claim(request.workspace(), &wanted.application.device_identifier).await?;
    let event_context = request.new_event_context();
    let services = wanted.assa_abloy.iter().map(|service| (ServiceKind::AssaAbloy, service.clone())).collect();
    let application = &wanted.application;
    let (device, change) = simulate(&user, &held, claim.as_ref(), application, id, services, &event_context)?;
    let commit = Commit::from_changes(event_context.event_id, &change);
    let attachments = change.attachments.first().map(|attached| &attached.after);
    let known = SeamViewContext { device: &device, attachments, settings, now: request.now() };
    let result = lambda::seam::ok(json!({"phone": views::phone(&known)}));
    Ok(Creation { id: id.to_string(), commit, result })
}
