//! Carriers' reports on a user's networks, and the indicator that sums them up.

use crate::clock::Time;
use crate::error::DomainError;
use crate::models::event::EventType;
use crate::models::network::{
    Indicator, NETWORK_LIMIT, Network, NetworkReason, Provisioning, REPEAT_INTERVAL, indicator,
};
use crate::models::user::User;
use crate::rules::change::{ChangeSet, RowChange};
use crate::rules::context::EventContext;

/// Records a carrier's report on a user's network; `None` if it contains nothing new, or is older than the known one.
///
/// # Errors
/// `UserDeleted`; a field error of `provider` if the user would have more than [`NETWORK_LIMIT`].
pub fn reported(
    user: &User,
    provider: &str,
    report: &Network,
    context: &EventContext,
) -> Result<Option<ChangeSet>, DomainError> {
    user.require_not_deleted()?;
    let before = user.networks.get(provider);
    // A report without a date gets the current time. If only its time is new, it is recorded once per interval, to show
    // that the carrier still says so.
    let repeated = |before: &Network| {
        *report == Network { status_at: report.status_at, ..before.clone() }
            && report.status_at == context.at
            && report.status_at < before.status_at.plus(REPEAT_INTERVAL)
    };
    let known = |before: &Network| before == report || before.reported_at() > report.reported_at() || repeated(before);
    if before.is_some_and(known) {
        return Ok(None);
    }
    if before.is_none() && user.networks.len() >= NETWORK_LIMIT {
        let detail = format!("a user has at most {NETWORK_LIMIT} networks");
        return Err(DomainError::field("provider", "too_many", detail));
    }
    let mut after = user.clone();
    after.networks.insert(provider.to_owned(), report.clone());
    let mut event = context.event(EventType::UserNetworkChanged).with_user(user.user_id);
    let text = |word: Option<&'static str>| word.map_or(serde_json::Value::Null, Into::into);
    event.add_change("provider", serde_json::Value::Null, provider);
    event.add_change("network.status", text(before.map(|b| b.status.as_str())), report.status.as_str());
    event.add_change(
        "network.reason",
        text(before.and_then(|b| b.reason).map(NetworkReason::as_str)),
        text(report.reason.map(NetworkReason::as_str)),
    );
    event.add_change(
        "network.mdn_provisioning",
        text(before.and_then(|b| b.mdn_provisioning).map(Provisioning::as_str)),
        text(report.mdn_provisioning.map(Provisioning::as_str)),
    );
    let date = |at: Option<Time>| at.map_or(serde_json::Value::Null, |at| at.to_string().into());
    for (name, was, is) in [
        ("network.status_at", before.map(|b| b.status_at), Some(report.status_at)),
        ("network.last_seen_at", before.and_then(|b| b.last_seen_at), report.last_seen_at),
        ("network.last_archived_at", before.and_then(|b| b.last_archived_at), report.last_archived_at),
    ] {
        event.add_change(name, date(was), date(is));
    }
    Ok(Some(ChangeSet { user: Some(RowChange::from(user.clone(), after)), ..ChangeSet::with_event(event) }))
}

/// The most urgent indicator of a user's networks.
#[must_use]
pub fn user_indicator(user: &User, now: Time) -> Indicator {
    let lights = user.networks.iter().map(|(provider, network)| indicator(provider, network, now));
    lights.min().unwrap_or(Indicator::None)
}
