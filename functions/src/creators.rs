//! Current permissions of creators: work that continues after a request runs in the name of the person or key that
//! started it, and only while they hold the permissions for it.

use aws::{Commit, Table};
use domain::error::{DomainError, Error};
use domain::models::actor::{Actor, Creator};
use domain::permission::{Permission, Permissions};
use domain::rules::access::Caller;
use domain::{Time, WorkspaceId};
use lambda::AuthorizedRequest;

use crate::context::Origin;

/// For a commit that creates something which outlasts the request, such as a key or webhook: if the caller is a member,
/// it increases the member's version. Removing a member lists everything that they made, so a concurrent removal then
/// conflicts.
///
/// # Errors
/// `CredentialInvalid` if the member is removed already; those of the reads.
pub(crate) async fn while_a_member(
    table: &Table,
    request: &AuthorizedRequest,
    commit: Commit,
) -> Result<Commit, Error> {
    let Actor::Member(id) = request.caller.actor else {
        return Ok(commit);
    };
    let member = table.member_by_id(request.workspace(), id).await?.ok_or(DomainError::CredentialInvalid)?;
    Ok(commit.bump_version(&member, &member))
}

/// Current permissions of a creator: none for an expired or revoked key or token, or a removed member; all for Handset
/// itself, devices, invitations and deployments.
///
/// # Errors
/// Those of the reads.
pub(crate) async fn permissions_now(
    table: &Table,
    workspace: WorkspaceId,
    creator: Creator,
    now: Time,
) -> Result<Permissions, Error> {
    Ok(match creator.actor {
        Actor::Key(id) => {
            let Some(key) = table.key_by_id(workspace, id).await? else { return Ok(Permissions::new()) };
            Caller::still_may(&key, &table.find_ancestors(&key).await?, now)
        }
        Actor::Member(id) => match (table.member_by_id(workspace, id).await?, creator.token_id) {
            (None, _) => Permissions::new(),
            (Some(member), None) => member.permissions(),
            (Some(member), Some(token)) => {
                let token = table.person_token(&member.issuer, &member.subject, token).await?;
                token.map(|token| token.remaining_permissions(&member, now)).unwrap_or_default()
            }
        },
        Actor::Device(_) | Actor::Invitation(_) | Actor::Deployment(_) | Actor::System => {
            Permission::ALL.iter().copied().collect()
        }
        // Work of an unknown kind of creator waits for a release that knows it.
        Actor::Unknown(..) => return Err(Error::unavailable("the creator", "another release knows who it is")),
    })
}

/// The context of the creator of a schedule or rule; `None` if the creator is unknown or lacks a permission.
///
/// # Errors
/// `Unavailable`.
pub(crate) async fn in_name_of(
    table: &Table,
    itself: &Origin,
    creator: Option<Creator>,
    needed: &[Permission],
) -> Result<Option<Origin>, Error> {
    let Some(creator) = creator else {
        return Ok(None);
    };
    let permissions = permissions_now(table, itself.workspace_id, creator, itself.now()).await?;
    let may = needed.iter().all(|needed| permissions.contains(needed));
    Ok(may.then(|| itself.in_name_of(creator)))
}
