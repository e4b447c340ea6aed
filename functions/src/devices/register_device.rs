//! `POST /devices`: a phone registers with the code of an invitation.

use aws::rows::CodeOwner;
use aws::{Commit, Devices, Invitations, PushTokens};
use domain::DeviceId;
use domain::change::Change;
use domain::device::PushToken;
use domain::refusal::{Failure, Refusal};
use domain::registration::{Application, Drawn, Refused, Registration, register};
use domain::secret::{DeviceCredential, Hash, is_code};
use lambda::{Reply, Request};
use lambda_http::http::StatusCode;
use serde_json::json;

use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::{object, text, thing};
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Register a device")
        .detail(
            "A phone registers with the code of an invitation or a deployment. The credential is shown this once; a \
             repeat with the same code and identifier, within 15 minutes and until the first check-in, gives a new one \
             for the same device, unless the code was taken back or replaced. A code that was refused five times \
             because another user holds the device is taken back.",
        )
        .body(|fields| drop(Application::read(fields)))
        .answers(
            201,
            "The device, and its credential.",
            object([("device", thing("DeviceSeen")), ("credential", text())]),
        )
        .refuses([
            Refusal::CodeUnknown,
            Refusal::CodeExpired,
            Refusal::CodeUsed,
            Refusal::CodeSuperseded,
            Refusal::CodeRevoked,
        ])
        .refuses([
            Refusal::DeviceLimitReached(Vec::new()),
            Refusal::IdentifierHeld,
            Refusal::DeviceBlocked,
            Refusal::ErasurePending,
        ])
        .refuses([Refusal::UserSuspended, Refusal::UserLocked, Refusal::UserDeleted])
}

/// Answers 201 with the device and its credential, which is shown this once.
///
/// # Errors
/// See [`register`]; `CodeUnknown` for a code that is nobody's.
pub async fn handle(store: &(impl Devices + Invitations + PushTokens), request: Request) -> Result<Reply, Failure> {
    let application = Application::read(request.body()?)?;
    if !is_code(&application.code) {
        return Err(Refusal::CodeUnknown.into());
    }
    attempts(store, || attempt(store, &request, &application)).await
}

async fn attempt(
    store: &(impl Devices + Invitations + PushTokens),
    request: &Request,
    application: &Application,
) -> Result<Reply, Failure> {
    let owner = store.code_owner(&Hash::of(&application.code)).await?.ok_or(Refusal::CodeUnknown)?;
    let found = store.registration(&owner, &application.device_identifier).await?.ok_or(Refusal::CodeUnknown)?;
    let act = request.act(owner.workspace_id, found.invitation.actor());
    let drawn = Drawn { device_id: DeviceId(request.moment.draw()) };
    match register(&found, application, &drawn, &act) {
        Ok(registration) => commit(store, request, &owner, registration).await,
        Err(Refused { refusal, change }) => {
            if let Some(change) = change {
                store.commit(Commit::changing(act.event_id, &change)).await?;
            }
            Err(refusal.into())
        }
    }
}

async fn commit(
    store: &(impl Devices + PushTokens),
    request: &Request,
    owner: &CodeOwner,
    registration: Registration,
) -> Result<Reply, Failure> {
    let moment = request.moment;
    let (id, epoch) = (registration.device.after.device_id, registration.device.after.epoch);
    let credential = DeviceCredential::new(moment.random, owner.workspace_id, id, epoch);
    let registration = registration.with_credential(credential.hash());
    let recorded = Change { events: registration.events.clone(), ..Change::default() };
    let mut commit = Commit::changing(moment.event_id(), &recorded)
        .edited(&registration.device)
        .edited(&registration.claim)
        .edited(&registration.invitation);
    if let Some(replaced) = &registration.replaced {
        commit = commit.edited(replaced);
    }
    for removed in &registration.removed {
        commit = commit.edited(removed);
    }
    // Even where the user's row stays as it is, the registration rests on it.
    commit = match &registration.user.before {
        Some(before) if !registration.events.is_empty() => commit.touch(before, &registration.user.after),
        _ => commit,
    };
    if !registration.events.is_empty() {
        commit = commit.forget_code(&registration.invitation.after);
        commit = with_token(store, commit, &registration, request).await?;
    }
    store.commit(commit).await?;
    let name = registration.user.after.name();
    let device = views::device(&registration.device.after, Some(&name), moment.now);
    Ok(Reply::json(StatusCode::CREATED, &json!({"device": device, "credential": credential.reveal()})))
}

/// The commit with the push token that the app has sent, or without the one of before.
async fn with_token(
    store: &impl PushTokens,
    commit: Commit,
    registration: &Registration,
    request: &Request,
) -> Result<Commit, Failure> {
    let device = &registration.device.after;
    let before = match &registration.device.before {
        Some(known) => store.push_token(known.workspace_id, known.device_id).await?,
        None => None,
    };
    let token = registration.token.clone();
    let after = token.map(|token| PushToken::given(device, token, before.as_ref(), request.moment.now));
    Ok(match (before, after) {
        (Some(before), Some(after)) => commit.edit(&before, &after),
        (Some(before), None) => commit.delete(&before),
        (None, Some(after)) => commit.put(&after),
        (None, None) => commit,
    })
}
