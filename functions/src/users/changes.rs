//! Changes of a user: the decision of a rule, completed with what follows from it.

use aws::{Commit, UserWithDevices, UsernameClaims};
use domain::EventId;
use domain::error::{DomainError, Error};
use domain::models::command::CommandRequest;
use domain::models::device::{Device, DeviceWithCommands};
use domain::models::offer::Offer;
use domain::models::user::User;
use domain::rules::change::ChangeSet;
use domain::rules::context::EventContext;
use domain::rules::lifecycle::{NewId, is_readdressed, postpone_due_offer, take_due_offer};
use domain::rules::offers::revoke_open;

use crate::context::ActionContext;
use crate::users::offers::{newest_offers, offer_after_rename};

/// A decided change of a user, before its commit.
pub(crate) struct UserPlan {
    /// The change; `None` if there is nothing to do.
    pub change: Option<ChangeSet>,
    /// Claims of the new username, if the change sets one.
    pub claims: Option<UsernameClaims>,
    /// The user as read.
    pub user: User,
    /// The devices that the user holds and those left behind, as read. Empty for an offer, which does not show them.
    pub devices: Vec<Device>,
    event_id: EventId,
}

impl UserPlan {
    /// A change with no follow-up.
    pub fn of(context: &ActionContext<'_>, change: Option<ChangeSet>, user: &User, devices: Vec<Device>) -> Self {
        Self { change, claims: None, user: user.clone(), devices, event_id: context.event_context.event_id }
    }

    /// A change of a user who holds these devices, completed by [`carry_through`].
    ///
    /// # Errors
    /// Those of the reads.
    pub async fn carried_through(
        context: &ActionContext<'_>,
        change: Option<ChangeSet>,
        user: &User,
        mut devices: Vec<Device>,
    ) -> Result<Self, Error> {
        devices.extend(context.table.devices_to_show(user.workspace_id, &user.left_device_ids).await?);
        let change = match change {
            Some(change) => Some(carry_through(context, change).await?),
            None => None,
        };
        Ok(Self::of(context, change, user, devices))
    }

    /// The commit; `None` if there is nothing to write.
    pub fn to_commit(&self) -> Option<Commit> {
        Some(build_commit(self.event_id, self.change.as_ref()?, self.claims.as_ref(), &self.user))
    }

    /// The invitation or deployment that the change creates.
    pub fn new_offer(&self) -> Option<&Offer> {
        self.change.as_ref().and_then(ChangeSet::new_offer)
    }

    /// The user and their devices after the change.
    pub fn after(&self) -> UserWithDevices {
        let Some(change) = &self.change else {
            return UserWithDevices::of(self.user.clone(), &self.devices);
        };
        let devices: Vec<Device> = self.devices.iter().map(|device| change.device_after(device).clone()).collect();
        UserWithDevices::of(change.user_after().unwrap_or(&self.user).clone(), &devices)
    }
}

fn build_commit(event_id: EventId, change: &ChangeSet, claims: Option<&UsernameClaims>, user: &User) -> Commit {
    let commit = Commit::from_changes(event_id, change);
    match claims {
        Some(claims) => commit.claim_username(claims, user.user_id),
        None => commit,
    }
}

/// Completes an edit of a user with [`carry_through`] and creates its commit. `claims` are those of the new username,
/// if the edit sets one.
///
/// # Errors
/// Those of the reads.
pub(crate) async fn complete_edit(
    context: &ActionContext<'_>,
    change: ChangeSet,
    claims: Option<&UsernameClaims>,
    user: &User,
) -> Result<(ChangeSet, Commit), Error> {
    let change = carry_through(context, change).await?;
    let commit = build_commit(context.event_context.event_id, &change, claims, user);
    Ok((change, commit))
}

/// Changes a user by a rule that also reads the devices that they hold.
///
/// # Errors
/// Those of the rule.
pub(crate) async fn change(
    context: &ActionContext<'_>,
    user: &User,
    rule: impl Fn(&User, &[Device], &EventContext) -> Result<Option<ChangeSet>, DomainError>,
) -> Result<UserPlan, Error> {
    let devices = context.table.devices(user.workspace_id, &user.device_ids).await?;
    let change = rule(user, &devices, &context.event_context)?;
    UserPlan::carried_through(context, change, user, devices).await
}

/// A rule that orders a command for each of a user's phones.
pub(crate) type OrderRule = fn(
    &User,
    &[DeviceWithCommands],
    &CommandRequest,
    NewId<'_>,
    &EventContext,
) -> Result<Option<ChangeSet>, DomainError>;

/// Orders a command for a user's phones; for a deleted user, for the phones left behind.
///
/// # Errors
/// Those of the rule.
pub(crate) async fn order(
    context: &ActionContext<'_>,
    user: &User,
    wanted: &CommandRequest,
    rule: OrderRule,
) -> Result<UserPlan, Error> {
    let is_deleted = user.deleted.is_some();
    let ids = if is_deleted { &user.left_device_ids } else { &user.device_ids };
    let phones = context.table.devices_with_commands(user.workspace_id, ids).await?;
    let change = rule(user, &phones, wanted, &|| context.new_command_id(), &context.event_context)?;
    // A deleted user holds no phones.
    let devices = phones.into_iter().filter(|_| !is_deleted).map(|phone| phone.device).collect();
    UserPlan::carried_through(context, change, user, devices).await
}

/// Completes a change of a user. A new e-mail address or mobile number revokes the open invitation and deployment. If
/// an offer is due after a rename and the user may use the app, a deployment or an invitation is added, provided that
/// there is something to restore and an e-mail address to send it to. That happens with the rename itself, or later
/// with the change that lets the user in again. If a message limit forbids the offer, it is postponed.
///
/// # Errors
/// Those of the reads.
pub(crate) async fn carry_through(context: &ActionContext<'_>, mut change: ChangeSet) -> Result<ChangeSet, Error> {
    if let Some(user) = change.user.as_ref().and_then(|user| user.before.clone())
        && is_readdressed(&change)
    {
        revoke_open(&mut change, &newest_offers(context.table, &user).await?, &context.event_context);
    }
    let Some(due) = take_due_offer(&mut change, context.origin.may_deploy, &context.event_context) else {
        return Ok(change);
    };
    // On the heap: together with the future of a sync or a job it would overflow a small stack.
    match Box::pin(offer_after_rename(context, &due, &change)).await {
        Ok(Some(offered)) => Ok(change.then(offered)),
        Ok(None) => Ok(change),
        Err(Error::Refused(DomainError::TooManyMessages(wait))) => {
            postpone_due_offer(&mut change, due, wait.until);
            Ok(change)
        }
        Err(failure) => Err(failure),
    }
}
