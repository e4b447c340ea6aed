//! `POST /devices/me/check-in`: login of the app.

use aws::Login;
use aws::{Commit, Table, retry_on_conflict};
use domain::Time;
use domain::error::Error;
use domain::models::actor::Actor;
use domain::models::device::Device;
use domain::models::login_day::is_first_of_day;
use domain::rules::cadence::{Cadence, THROTTLED_FOR};
use domain::rules::check_in::{CheckIn, CheckInReport, CheckInState, CheckInUser, authenticate, check_in, needs};
use domain::secret::DeviceCredential;
use lambda::{Reply, Request, device_credential};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Check in")
        .detail(
            "The app's login. The answer says whether the device may be used, which commands it must carry out, whether it \
             is to download its configuration, and when to check in again.",
        )
        .body(|fields| drop(CheckInReport::read(fields)))
        .shows::<views::CheckInResult>("What the device may and must do.")
}

/// Returns whether the device may be used (`access`), what it must do, and when it checks in again. A blocked device
/// gets 200 with `device_blocked`. If only the time has changed, the cost is one write of one unit and no read; the first
/// check-in of the device's day also moves the day of its last login, and of its user's.
///
/// # Errors
/// Every invalid field of the body; `CredentialMissing`, `CredentialInvalid`; `ReEnrol` if the device was registered
/// again, replaced or wiped since.
pub async fn handle(state: &AppState, request: Request) -> Result<Reply, Error> {
    let table = state.table()?;
    let credential = device_credential(&request)?;
    let report = CheckInReport::read(request.body()?)?;
    let outcome = retry_on_conflict(table, || attempt(table, &request, &credential, &report)).await;
    // Asked after a failure too, so that a throttle gets the time of its own request.
    let throttled = table.was_throttled_within(THROTTLED_FOR, request.now());
    let CheckedIn { before, after } = outcome?;
    let cadence = Cadence { default_minutes: state.settings.operator.check_in_minutes, throttled };
    Ok(Reply::ok(&views::CheckInResult::new(&before, &after, cadence, request.now())))
}

/// A device that has checked in.
struct CheckedIn {
    /// As it was, with the commands that were pending.
    before: Device,
    /// As the check-in left it.
    after: Device,
}

impl CheckedIn {
    fn without_change(device: Device) -> Self {
        Self { before: device.clone(), after: device }
    }
}

async fn attempt(
    table: &Table,
    request: &Request,
    credential: &DeviceCredential,
    report: &CheckInReport,
) -> Result<CheckedIn, Error> {
    match table.record_login(credential, report, request.now()).await? {
        Login::Recorded(before) => Ok(CheckedIn::without_change(*before)),
        Login::NotRecorded(found) => {
            let device = authenticate(found.map(|device| *device), credential)?;
            check_in_by_rule(table, request, device, report).await
        }
    }
}

async fn check_in_by_rule(
    table: &Table,
    request: &Request,
    device: Device,
    report: &CheckInReport,
) -> Result<CheckedIn, Error> {
    let now = request.now();
    let found = load_state(table, &device, report, now).await?;
    let event_context = request.new_event_context(device.workspace_id, Actor::Device(device.device_id));
    let (mut change, token) = match check_in(&device, report, &found, &event_context) {
        CheckIn::AccessDenied => return Ok(CheckedIn::without_change(device)),
        CheckIn::OnlyTime if table.record_login_time(&device, now, event_context.event_id).await? => {
            return Ok(CheckedIn::without_change(device));
        }
        CheckIn::OnlyTime => return Err(Error::Conflict),
        CheckIn::Changed { change, token } => (change, token),
    };
    if let Some(token) = token {
        let before = table.push_token(device.workspace_id, device.device_id).await?;
        change.push_token = token.of_row(before, change.device_after(&device), now);
    }
    let after = change.device_after(&device).clone();
    let mut commit = Commit::from_changes(event_context.event_id, &change);
    let logged_in = after.last_login_at == Some(now);
    if logged_in && change.user.is_none() && is_first_of_day(device.device_id, device.last_login_at, now) {
        commit = commit.record_last_seen(device.workspace_id, device.user_id, now);
    }
    table.commit(commit).await?;
    Ok(CheckedIn { before: device, after })
}

/// Loads what the rule needs.
async fn load_state(table: &Table, device: &Device, report: &CheckInReport, now: Time) -> Result<CheckInState, Error> {
    let needs = needs(device, report, now);
    let mut found = CheckInState::default();
    if needs.commands {
        found.commands = table.open_commands(device).await?;
    }
    if needs.user {
        found.user = load_user(table, device).await?;
    }
    if needs.settings {
        let workspace = table.workspace(device.workspace_id).await?;
        found.settings = workspace.map(|workspace| workspace.settings);
    }
    Ok(found)
}

async fn load_user(table: &Table, device: &Device) -> Result<Option<CheckInUser>, Error> {
    let Some(user) = table.user(device.workspace_id, device.user_id).await? else {
        return Ok(None);
    };
    let mut other_devices = table.devices(device.workspace_id, &user.device_ids).await?;
    other_devices.retain(|other| other.device_id != device.device_id);
    Ok(Some(CheckInUser { user, other_devices }))
}
