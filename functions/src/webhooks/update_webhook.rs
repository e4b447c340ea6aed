//! `PATCH /webhooks/{webhook_id}`.

use aws::{Commit, Webhooks};
use domain::access::Permission;
use domain::outside::Reach;
use domain::refusal::{Failure, Refusal};
use domain::webhook::Edit;
use lambda::{Call, Reply};

use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Change a webhook")
        .detail("`enabled` switches it on again, or off; what happened while it was off is not made up for.")
        .body(|mut fields| drop(Edit::read(&mut fields, Reach::Public)))
        .versioned()
        .shows("The webhook.", thing("Webhook"))
        .refuses([Refusal::PermissionMissing(Permission::EventsRead)])
}

/// Answers with the webhook. `enabled` switches it on again, or off; what happened while it was off is not
/// made up for.
///
/// # Errors
/// `PermissionMissing` without `events:read` too; every fault of the body; `NotFound`, `VersionMismatch`.
pub async fn handle(store: &impl Webhooks, call: Call, reach: Reach) -> Result<Reply, Failure> {
    // Whoever is told of events can read them.
    call.caller.require(Permission::EventsRead)?;
    attempts(store, || async {
        let webhook = super::wanted(store, &call).await?;
        let mut fields = call.request.body()?;
        let edit = Edit::read(&mut fields, reach);
        fields.finish().map_err(Refusal::Invalid)?;
        let Some((after, event)) = webhook.update(edit, &call.act()) else {
            return Ok(Reply::thing(&views::webhook(&webhook), webhook.version));
        };
        store.commit(Commit::of(&event).edit(&webhook, &after)).await?;
        Ok(Reply::thing(&views::webhook(&after), webhook.version + 1))
    })
    .await
}
