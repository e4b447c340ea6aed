//! What whoever made something may do today: work that goes on without them goes on in their name, and only as
//! long as they could do it themselves.

use aws::{Commit, Table};
use domain::error::{DomainError, Error};
use domain::models::actor::{Actor, Maker};
use domain::permission::{Permission, Permissions};
use domain::rules::access::Caller;
use domain::{Time, WorkspaceId};
use lambda::AuthorizedRequest;

/// A commit that makes what outlasts its call, in the name of a member. Their version goes up with it, so that it
/// and their removal, which is shown all that they have made, never pass each other by.
///
/// # Errors
/// `CredentialInvalid` if they are removed already; those of the reads.
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

/// What a maker may do now: nothing by a key or a token that is over, and nothing as a member who was removed.
/// Handset itself, and what acts by its own code, may do everything that it does.
///
/// # Errors
/// Those of the reads.
pub(crate) async fn permissions_now(
    table: &Table,
    workspace: WorkspaceId,
    maker: Maker,
    now: Time,
) -> Result<Permissions, Error> {
    Ok(match maker.actor {
        Actor::Key(id) => {
            let Some(key) = table.key_by_id(workspace, id).await? else { return Ok(Permissions::new()) };
            Caller::still_may(&key, &table.makers_of(&key).await?, now)
        }
        Actor::Member(id) => match (table.member_by_id(workspace, id).await?, maker.token_id) {
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
        // What they began goes on with the release that knows who they are.
        Actor::Unknown(..) => return Err(Error::unavailable("the maker", "another release knows who it is")),
    })
}
