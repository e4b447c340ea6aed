//! `DELETE /members/{member_id}`.

use aws::{Commit, Table, retry_on_conflict};
use domain::MemberId;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::limits::WEBHOOK_LIMIT;
use domain::models::actor::Actor;
use domain::models::key::{AncestorKeys, KeyStatus};
use domain::models::member::{CREATED_LIMIT, CreatedByMember, Member};
use domain::rules::change::ChangeSet;
use domain::rules::members::{Removal, remove};
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Remove a member")
        .detail(
            "The member loses access with this answer. The last admin cannot be removed. The answer lists the valid \
             keys and the webhooks that the member created; with `revoke`, these keys are revoked and these \
             webhooks disabled at the same time.",
        )
        .query(|mut fields| {
            let _revoke = read(&mut fields);
        })
        .shows::<views::RemovedMember>("The removed member, with what they created.")
        .refuses([DomainError::LastAdmin, DomainError::TooManyMade(CREATED_LIMIT + 1)])
}

/// Returns the member as they were, with the valid keys and the webhooks that they created. The member has no access
/// from this reply on. If `revoke` is true, the same commit revokes these keys and disables these webhooks.
///
/// # Errors
/// Every invalid field of the query; `NotFound`; `LastAdmin`; `TooManyMade`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let id = request.http.path_id("member_id", "member", MemberId::parse)?;
    let mut query = request.http.query()?;
    let revoke = read(&mut query);
    query.finish().map_err(DomainError::Invalid)?;
    retry_on_conflict(table, || async {
        let member = table.member_by_id(request.workspace(), id).await?.ok_or(DomainError::NotFound("member"))?;
        let before = table.workspace(request.workspace()).await?.ok_or(DomainError::NotFound("workspace"))?;
        let created = created_by_member(table, &request, &member).await?;
        let removal = remove(&before, &member, &created, revoke, || request.new_event_context())?;
        let Removal { workspace: after, keys, webhooks, events } = &removal;
        let change = ChangeSet { events: events.clone(), ..ChangeSet::default() };
        let mut commit =
            Commit::from_changes(request.http.id_source.event_id(), &change).delete(&member).edit(&before, after);
        for (before, after) in keys {
            commit = commit.edit(before, after);
        }
        for (before, after) in webhooks {
            commit = commit.edit(before, after);
        }
        table.commit(commit).await?;
        Ok(shown(&request, &member, &created, &removal))
    })
    .await
}

fn read(fields: &mut Fields) -> bool {
    fields.boolean("revoke").unwrap_or(false)
}

/// The active keys that a member created, and the webhooks created by the member or with one of their keys. These
/// keys descend from no other key.
async fn created_by_member(
    table: &Table,
    request: &AuthorizedRequest,
    member: &Member,
) -> Result<CreatedByMember, Error> {
    let creator = Actor::Member(member.member_id);
    let mut keys = table.keys_created_by(request.workspace(), creator).await?;
    let ancestors: Vec<Actor> = keys.iter().map(|key| Actor::Key(key.key_id)).chain([creator]).collect();
    keys.retain(|key| key.status(&AncestorKeys::new(), request.now()) == KeyStatus::Active);
    let mut webhooks = table.list_webhooks(request.workspace(), WEBHOOK_LIMIT, None).await?.items;
    webhooks.retain(|webhook| ancestors.contains(&webhook.created_by.actor));
    Ok(CreatedByMember { keys, webhooks })
}

fn shown(request: &AuthorizedRequest, member: &Member, created: &CreatedByMember, removal: &Removal) -> Reply {
    let ended = |key_id| removal.keys.iter().find(|(before, _)| before.key_id == key_id).map(|(_, after)| after);
    let keys = created
        .keys
        .iter()
        .map(|key| views::Key::new(ended(key.key_id).unwrap_or(key), &AncestorKeys::new(), request.now()));
    let off = |id| removal.webhooks.iter().find(|(before, _)| before.webhook_id == id).map(|(_, after)| after);
    let webhooks = created.webhooks.iter().map(|webhook| off(webhook.webhook_id).unwrap_or(webhook));
    Reply::ok(&views::RemovedMember {
        member: member.into(),
        keys: keys.collect(),
        webhooks: webhooks.map(views::Webhook::from).collect(),
    })
}
