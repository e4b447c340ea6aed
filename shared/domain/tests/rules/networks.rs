//! Carriers' networks, and their lights.

use std::collections::BTreeMap;

use chrono::Duration;
use domain::event::EventType;
use domain::network::{
    Indicator, NETWORK_LIMIT, Network, NetworkReason, NetworkStatus, Provisioning, indicator, read, reported, tooltip,
    user_indicator,
};
use domain::user::User;
use domain::{Refusal, Time};
use serde_json::json;

use crate::common::{act, at, faults, fields, user};

const VERIZON: &str = "verizon";

fn now() -> Time {
    at(0).plus(Duration::days(100))
}

fn seen(days: i64) -> User {
    User { last_seen_at: Some(now().minus(Duration::days(days))), ..user() }
}

fn network(status: NetworkStatus) -> Network {
    Network { status, status_at: at(0), reason: None, mdn_provisioning: None }
}

/// Provider, status, reason, MDN provisioning, days since the user was last seen; and the light
/// and what it says.
type Row =
    (&'static str, NetworkStatus, Option<NetworkReason>, Option<Provisioning>, Option<i64>, Indicator, &'static str);

#[test]
fn a_networks_light_is_the_first_that_fits_and_says_why_and_since_when() {
    use Indicator as I;
    use NetworkReason::{InvalidNumber, MessageBlock};
    use NetworkStatus as S;
    let quiet = "Enabled, not seen for over 30 days";
    let table: [Row; 27] = [
        // Verizon, and not enabled: red, whatever else holds.
        (VERIZON, S::NewRequest, Some(InvalidNumber), None, Some(1), I::Red, "Invalid number"),
        (VERIZON, S::OptInSent, Some(InvalidNumber), None, Some(1), I::Red, "Invalid number"),
        (VERIZON, S::OptInSent, None, None, Some(1), I::Red, "Opt-in sent"),
        (VERIZON, S::InvalidOptInResponse, None, None, Some(1), I::Red, "Invalid opt-in response"),
        (VERIZON, S::OptInResponseReceived, None, None, Some(1), I::Red, "Opt-in response received"),
        (VERIZON, S::UnableToProvision, Some(MessageBlock), None, Some(1), I::Red, "Message block to remove"),
        (VERIZON, S::UnableToProvision, None, None, Some(1), I::Red, "Unable to provision"),
        (VERIZON, S::Disabled, None, None, Some(1), I::Red, "Disabled"),
        (VERIZON, S::NewRequest, None, None, Some(1), I::Red, "New request"),
        (VERIZON, S::PendingProvisioning, None, None, Some(1), I::Red, "Pending provisioning"),
        (VERIZON, S::NoStatus, None, None, Some(1), I::Red, "No status"),
        (VERIZON, S::NotCommunicating, None, None, Some(1), I::Red, "Not communicating"),
        (VERIZON, S::Disabled, None, Some(Provisioning::Enabled), Some(31), I::Red, "Disabled"),
        // The user has not been seen for long.
        (VERIZON, S::Enabled, None, Some(Provisioning::Enabled), Some(31), I::Orange, quiet),
        ("att", S::Enabled, None, None, Some(31), I::Orange, quiet),
        ("att", S::NoStatus, None, None, Some(31), I::Orange, "No status, not seen for over 30 days"),
        ("att", S::Enabled, None, None, Some(30), I::Green, "Enabled"),
        // Provisioning is enabled.
        (VERIZON, S::Enabled, None, None, Some(1), I::Green, "Enabled"),
        (VERIZON, S::Enabled, None, None, None, I::Green, "Enabled"),
        ("att", S::Enabled, None, Some(Provisioning::Enabled), Some(1), I::Green, "Enabled"),
        ("att", S::Disabled, None, Some(Provisioning::Enabled), Some(1), I::Green, "Disabled, provisioning enabled"),
        ("att", S::NoStatus, None, Some(Provisioning::Enabled), Some(1), I::Green, "No status, provisioning enabled"),
        // There is nothing to say but where it stands.
        ("att", S::NoStatus, None, Some(Provisioning::Pending), Some(1), I::None, "No status"),
        ("att", S::NoStatus, None, None, None, I::None, "No status"),
        ("att", S::NotCommunicating, None, None, Some(1), I::None, "Not communicating"),
        ("att", S::Disabled, None, Some(Provisioning::Disabled), Some(1), I::None, "Disabled"),
        ("att", S::Disabled, Some(InvalidNumber), None, Some(1), I::None, "Disabled"),
    ];
    for (provider, status, reason, mdn_provisioning, days, light, words) in table {
        let user = days.map_or_else(user, seen);
        let network = Network { reason, mdn_provisioning, ..network(status) };
        let case = format!("{provider} {network:?} last seen {days:?} days ago");
        assert_eq!(indicator(&user, provider, &network, now()), light, "{case}");
        assert_eq!(tooltip(&user, provider, &network, now()), format!("{words} – 2026-11-23"), "{case}");
    }
}

#[test]
fn a_users_light_is_the_most_pressing_of_their_networks() {
    let of = |networks: &[(&str, NetworkStatus)], days| {
        let networks = networks.iter().map(|(provider, status)| ((*provider).to_owned(), network(*status)));
        user_indicator(&User { networks: networks.collect(), ..seen(days) }, now())
    };
    let (enabled, disabled) = (NetworkStatus::Enabled, NetworkStatus::Disabled);
    assert_eq!(of(&[], 1), Indicator::None);
    assert_eq!(of(&[("att", disabled), ("tmobile", enabled)], 1), Indicator::Green);
    assert_eq!(of(&[("att", enabled), (VERIZON, disabled)], 31), Indicator::Red);
    assert_eq!(of(&[("att", enabled), (VERIZON, enabled)], 31), Indicator::Orange);
}

#[test]
fn a_carriers_report_is_taken_once_and_an_older_one_changes_nothing() {
    let report = |status, minutes| Network { status_at: at(minutes), ..network(status) };
    let sent = report(NetworkStatus::OptInSent, 10);
    let (known, event) = reported(&user(), VERIZON, &sent, &act(20)).unwrap().unwrap();
    assert_eq!((event.event_type, event.user_id), (EventType::UserNetworkChanged, Some(known.user_id)));
    assert_eq!(event.changes["network.status"].after, "opt_in_sent");
    assert_eq!(reported(&known, VERIZON, &sent, &act(21)), Ok(None));
    assert_eq!(reported(&known, VERIZON, &report(NetworkStatus::NewRequest, 9), &act(21)), Ok(None));

    let enabled = Network { mdn_provisioning: Some(Provisioning::Enabled), ..report(NetworkStatus::Enabled, 11) };
    let (after, event) = reported(&known, VERIZON, &enabled, &act(22)).unwrap().unwrap();
    assert_eq!(after.networks[VERIZON], enabled);
    assert_eq!(event.changes["network.status"].before, "opt_in_sent");
    assert_eq!(event.changes.keys().collect::<Vec<_>>(), ["network.mdn_provisioning", "network.status", "provider"]);
}

#[test]
fn a_user_has_at_most_eight_networks_and_those_can_still_be_reported() {
    assert_eq!(NETWORK_LIMIT, 8);
    let networks: BTreeMap<_, _> =
        (0..NETWORK_LIMIT).map(|n| (format!("carrier_{n}"), network(NetworkStatus::NoStatus))).collect();
    let full = User { networks, ..user() };
    let report = Network { status_at: at(5), ..network(NetworkStatus::Enabled) };
    assert_eq!(faults(reported(&full, "att", &report, &act(6))), [("provider".to_owned(), "too_many")]);
    let (after, _) = reported(&full, "carrier_3", &report, &act(6)).unwrap().unwrap();
    assert_eq!(after.networks.len(), NETWORK_LIMIT);

    let gone = domain::device::Deleted { at: at(0), by: act(0).actor, purge_after: at(0) };
    let deleted = User { deleted: Some(gone), ..full };
    assert_eq!(reported(&deleted, "carrier_3", &report, &act(6)), Err(Refusal::UserDeleted));
}

#[test]
fn the_states_of_verizon_are_refused_for_every_other_carrier() {
    for status in NetworkStatus::ALL {
        let body = || fields(json!({"status": status.as_str()}));
        assert_eq!(read(VERIZON, body(), now()).unwrap().status, *status);
        let others = read("att", body(), now());
        match status {
            NetworkStatus::NoStatus
            | NetworkStatus::NotCommunicating
            | NetworkStatus::Disabled
            | NetworkStatus::Enabled => assert_eq!(others.unwrap().status, *status),
            _ => assert_eq!(faults(others), [("status".to_owned(), "unknown_value")], "{status}"),
        }
    }
}

#[test]
fn a_carriers_report_is_read_with_every_fault_named() {
    let whole = json!({
        "status": "unable_to_provision",
        "status_at": "2026-11-23T09:00:00+01:00",
        "reason": "message_block",
        "mdn_provisioning": "pending",
    });
    let expected = Network {
        status: NetworkStatus::UnableToProvision,
        status_at: at(0),
        reason: Some(NetworkReason::MessageBlock),
        mdn_provisioning: Some(Provisioning::Pending),
    };
    assert_eq!(read(VERIZON, fields(whole), now()), Ok(expected));
    let plain = read("att", fields(json!({"status": "enabled"})), now()).unwrap();
    assert_eq!(plain.status_at, now(), "a report without a time is of now");

    let soon = now().plus(Duration::minutes(5)).to_string();
    assert!(read("att", fields(json!({"status": "enabled", "status_at": soon})), now()).is_ok());
    let later = now().plus(Duration::minutes(6)).to_string();
    let bad = json!({"status_at": later, "reason": "x", "mdn_provisioning": 1});
    let expected = [
        ("status", "missing"),
        ("status_at", "out_of_range"),
        ("reason", "unknown_value"),
        ("mdn_provisioning", "wrong_type"),
    ];
    assert_eq!(faults(read("att", fields(bad), now())), expected.map(|(field, code)| (field.to_owned(), code)));

    for name in ["", "Verizon", "at&t", "a b", &"x".repeat(33)] {
        let refused = read(name, fields(json!({"status": "enabled"})), now());
        assert_eq!(refused, Err(Refusal::NotFound("network")), "{name:?}");
    }
}
