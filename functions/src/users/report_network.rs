//! `PUT /users/{user_id}/networks/{provider}`: a carrier's report.

use aws::{Commit, Users};
use domain::Time;
use domain::network;
use domain::refusal::{Failure, Refusal};
use lambda::{Call, Reply};

use crate::attempts::attempts;
use crate::description::About;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Report a carrier's network of a user")
        .detail("A report that is older than what is known changes nothing.")
        .body(|fields| drop(network::read("verizon", fields, Time::EPOCH)))
        .versioned()
        .shows("The network.", thing("Network"))
        .refuses([Refusal::UserDeleted])
}

/// Takes a carrier's report and answers with the network. A report that is older than what is known changes
/// nothing.
///
/// # Errors
/// Every fault of the provider's name and of the body; `NotFound`, `UserDeleted`, `VersionMismatch`.
pub async fn handle(store: &impl Users, call: Call) -> Result<Reply, Failure> {
    let provider = call.request.path("provider").to_owned();
    let report = network::read(&provider, call.request.body()?, call.now())?;
    attempts(store, || async {
        let mut user = super::wanted(store, &call).await?;
        if let Some((after, event)) = network::reported(&user, &provider, &report, &call.act())? {
            store.commit(Commit::of(&event).edit(&user, &after)).await?;
            user = after;
            user.version += 1;
        }
        let known = user.networks.get(&provider).unwrap_or(&report);
        Ok(Reply::thing(&views::network(&provider, known, call.now()), user.version))
    })
    .await
}
