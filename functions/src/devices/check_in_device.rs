//! `POST /devices/me/check-in`: the app's login.

use aws::stores::Login;
use aws::{Commit, Devices, PushTokens};
use domain::check_in::{CheckIn, Report, authenticate, check_in, user_must_follow};
use domain::device::{Device, PushToken};
use domain::event::Actor;
use domain::refusal::Failure;
use domain::secret::DeviceCredential;
use lambda::{Reply, Request, device_credential};
use serde_json::json;

use crate::attempts::attempts;

/// Answers with what the device may do, and what it must do. When nothing but the time has
/// changed, this is one write of one unit, and no read; once in a quarter of an hour the user's
/// "last seen" follows by a write of its own.
///
/// # Errors
/// `CredentialMissing`, `CredentialInvalid`; `ReEnrol` if the device was registered anew since.
pub async fn handle(store: &(impl Devices + PushTokens), request: Request) -> Result<Reply, Failure> {
    let credential = device_credential(&request)?;
    let report = Report::read(request.body()?)?;
    attempts(store, || attempt(store, &request, &credential, &report)).await
}

async fn attempt(
    store: &(impl Devices + PushTokens),
    request: &Request,
    credential: &DeviceCredential,
    report: &Report,
) -> Result<Reply, Failure> {
    match store.note_login(credential, report, request.moment.now).await? {
        Login::Noted(before) => {
            follow(store, &before, request).await?;
            Ok(reply(&before))
        }
        Login::More(found) => {
            let device = authenticate(found.map(|device| *device), credential)?;
            more(store, request, credential, &device, report).await
        }
    }
}

async fn more(
    store: &(impl Devices + PushTokens),
    request: &Request,
    credential: &DeviceCredential,
    device: &Device,
    report: &Report,
) -> Result<Reply, Failure> {
    let act = request.act(device.workspace_id, Actor::Device(device.device_id));
    let (after, token, event) = match check_in(device, report, &act) {
        CheckIn::Shut => return Ok(reply(device)),
        CheckIn::OnlyTime => return only_time(store, request, credential).await,
        CheckIn::Changed { device, token, event } => (device, token, event),
    };
    let mut commit = Commit::of(&event).edit(device, &after);
    if let Some(token) = token {
        let before = store.push_token(device.workspace_id, device.device_id).await?;
        let after = PushToken::given(device, token, before.as_ref(), act.at);
        commit = match &before {
            Some(before) => commit.edit(before, &after),
            None => commit.put(&after),
        };
    }
    store.commit(commit).await?;
    follow(store, device, request).await?;
    Ok(reply(&after))
}

/// Notes the time of a device that has said nothing new.
async fn only_time(store: &impl Devices, request: &Request, credential: &DeviceCredential) -> Result<Reply, Failure> {
    match store.note_login(credential, &Report::default(), request.moment.now).await? {
        Login::Noted(before) => {
            follow(store, &before, request).await?;
            Ok(reply(&before))
        }
        Login::More(_) => Err(Failure::LostRace),
    }
}

async fn follow(store: &impl Devices, before: &Device, request: &Request) -> Result<(), Failure> {
    let now = request.moment.now;
    if user_must_follow(before.last_login_at, now) {
        store.note_seen(before.workspace_id, before.user_id, now).await?;
    }
    Ok(())
}

fn reply(device: &Device) -> Reply {
    let commands: Vec<_> = device
        .commands
        .iter()
        .map(
            |command| json!({"command_id": command.command_id, "kind": command.kind, "expires_at": command.expires_at}),
        )
        .collect();
    Reply::ok(&json!({"access": device.access(), "commands": commands, "download_config": false}))
}
