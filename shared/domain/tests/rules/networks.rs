//! Carriers' networks, and their lights.

use std::collections::BTreeMap;

use chrono::Duration;
use domain::models::event::EventType;
use domain::models::network::{
    Indicator, NETWORK_LIMIT, Network, NetworkReason, NetworkStatus, Provisioning, indicator, read, tooltip,
};
use domain::models::user::User;
use domain::rules::networks::{reported, user_indicator};
use domain::{DomainError, Time};
use serde_json::json;

use crate::common::{at, context, faults, fields, user, user_of};

const VERIZON: &str = "verizon";

fn now() -> Time {
    at(0).plus(Duration::days(100))
}

fn days_ago(days: i64) -> Time {
    now().minus(Duration::days(days))
}

fn network(status: NetworkStatus) -> Network {
    Network {
        status,
        status_at: at(0),
        reason: None,
        mdn_provisioning: None,
        last_seen_at: None,
        last_archived_at: None,
    }
}

/// Provider, status, reason, MDN provisioning, how many days ago the network was last seen; and the light and what it
/// says.
type Row = (&'static str, NetworkStatus, Option<NetworkReason>, Option<Provisioning>, i64, Indicator, &'static str);

#[test]
fn a_networks_light_is_the_first_that_fits_and_says_why_and_since_when() {
    use Indicator as I;
    use NetworkReason::{InvalidNumber, MessageBlock};
    use NetworkStatus as S;
    let (off, pending, on) = (Some(Provisioning::Disabled), Some(Provisioning::Pending), Some(Provisioning::Enabled));
    let quiet = "Enabled, not seen for over 30 days";
    let table: [Row; 33] = [
        // Verizon, and provisioning is not enabled: red, whatever else holds.
        (VERIZON, S::NewRequest, Some(InvalidNumber), None, 1, I::Red, "Invalid number"),
        (VERIZON, S::OptInSent, Some(InvalidNumber), None, 1, I::Red, "Invalid number"),
        (VERIZON, S::OptInSent, None, None, 1, I::Red, "Opt-in sent"),
        (VERIZON, S::InvalidOptInResponse, None, None, 1, I::Red, "Invalid opt-in response"),
        (VERIZON, S::OptInResponseReceived, None, off, 1, I::Red, "Opt-in response received"),
        (VERIZON, S::UnableToProvision, Some(MessageBlock), None, 1, I::Red, "Remove message block"),
        (VERIZON, S::UnableToProvision, None, off, 1, I::Red, "Unable to provision"),
        (VERIZON, S::Disabled, None, None, 1, I::Red, "Disabled"),
        (VERIZON, S::Disabled, None, off, 31, I::Red, "Disabled"),
        (VERIZON, S::NewRequest, None, None, 1, I::Red, "New request"),
        (VERIZON, S::PendingProvisioning, None, pending, 1, I::Red, "Pending provisioning"),
        (VERIZON, S::NoStatus, None, None, 1, I::Red, "No status, provisioning not enabled"),
        (VERIZON, S::NotCommunicating, None, off, 1, I::Red, "Not communicating, provisioning not enabled"),
        (VERIZON, S::Enabled, None, off, 1, I::Red, "Enabled, provisioning not enabled"),
        (VERIZON, S::Enabled, None, pending, 31, I::Red, "Enabled, provisioning not enabled"),
        (VERIZON, S::Enabled, None, None, 1, I::Red, "Enabled, provisioning not enabled"),
        (VERIZON, S::Enabled, Some(InvalidNumber), off, 1, I::Red, "Invalid number"),
        // The network has not been seen for long.
        (VERIZON, S::Enabled, None, on, 31, I::Orange, quiet),
        ("att", S::Enabled, None, on, 31, I::Orange, quiet),
        ("att", S::Enabled, None, off, 31, I::Orange, quiet),
        ("att", S::NoStatus, None, None, 31, I::Orange, "No status, not seen for over 30 days"),
        ("att", S::Disabled, None, on, 31, I::Orange, "Disabled, not seen for over 30 days"),
        // Provisioning is enabled, and the network not disabled.
        ("att", S::Enabled, None, on, 30, I::Green, "Enabled"),
        (VERIZON, S::Enabled, None, on, 1, I::Green, "Enabled"),
        (VERIZON, S::PendingProvisioning, None, on, 1, I::Green, "Pending provisioning, provisioning enabled"),
        ("att", S::NoStatus, None, on, 1, I::Green, "No status, provisioning enabled"),
        // There is nothing to say but where it stands.
        (VERIZON, S::Disabled, None, on, 1, I::None, "Disabled"),
        ("att", S::Disabled, None, on, 1, I::None, "Disabled"),
        ("att", S::Disabled, Some(InvalidNumber), off, 1, I::None, "Disabled"),
        ("att", S::Enabled, None, None, 1, I::None, "Enabled"),
        ("att", S::Enabled, None, off, 1, I::None, "Enabled"),
        ("att", S::NoStatus, None, pending, 1, I::None, "No status"),
        ("att", S::NotCommunicating, None, None, 1, I::None, "Not communicating"),
    ];
    for (provider, status, reason, mdn_provisioning, days, light, words) in table {
        let last_seen_at = Some(days_ago(days));
        let network = Network { reason, mdn_provisioning, last_seen_at, ..network(status) };
        let case = format!("{provider} {network:?} last seen {days} days ago");
        assert_eq!(indicator(provider, &network, now()), light, "{case}");
        assert_eq!(tooltip(provider, &network, now()), format!("{words} – 2026-11-23"), "{case}");
    }
}

#[test]
fn a_network_is_quiet_by_what_its_carrier_says_and_not_by_the_phones_check_ins() {
    // Days ago: last status, last seen, last archived.
    for (status, seen, archived, light) in [
        (30, None, None, Indicator::Green),
        (31, None, None, Indicator::Orange),
        (60, None, None, Indicator::Orange),
        (1, Some(60), None, Indicator::Orange),
        (1, None, Some(60), Indicator::Orange),
        (1, Some(60), Some(31), Indicator::Orange),
        (60, Some(60), Some(30), Indicator::Green),
        (60, Some(1), Some(60), Indicator::Green),
        (60, Some(1), None, Indicator::Green),
    ] {
        let network = Network {
            status_at: days_ago(status),
            mdn_provisioning: Some(Provisioning::Enabled),
            last_seen_at: seen.map(days_ago),
            last_archived_at: archived.map(days_ago),
            ..network(NetworkStatus::Enabled)
        };
        assert_eq!(indicator("att", &network, now()), light, "{status} {seen:?} {archived:?}");
        let networks = BTreeMap::from([("att".to_owned(), network)]);
        for app in [None, Some(now()), Some(days_ago(90))] {
            let user = User { last_seen_at: app, networks: networks.clone(), ..user() };
            assert_eq!(user_indicator(&user, now()), light, "{status} {seen:?} {archived:?}, app {app:?}");
        }
    }
}

#[test]
fn a_users_light_is_the_most_pressing_of_their_networks() {
    let of = |networks: &[(&str, Option<Provisioning>, i64)]| {
        let network = |provisioning, days| Network {
            mdn_provisioning: provisioning,
            last_seen_at: Some(days_ago(days)),
            ..network(NetworkStatus::Enabled)
        };
        let networks = networks.iter().map(|(name, on, days)| ((*name).to_owned(), network(*on, *days)));
        user_indicator(&User { networks: networks.collect(), ..user() }, now())
    };
    let (on, off) = (Some(Provisioning::Enabled), Some(Provisioning::Disabled));
    assert_eq!(of(&[]), Indicator::None);
    assert_eq!(of(&[("att", off, 1), ("tmobile", on, 1)]), Indicator::Green);
    assert_eq!(of(&[("att", on, 1), ("tmobile", on, 31)]), Indicator::Orange);
    assert_eq!(of(&[("att", on, 31), (VERIZON, off, 31)]), Indicator::Red);
    assert_eq!(of(&[("att", on, 1), (VERIZON, on, 31)]), Indicator::Orange);
}

#[test]
fn a_carriers_report_is_taken_once_and_an_older_one_changes_nothing() {
    let report = |status, minutes| Network { status_at: at(minutes), ..network(status) };
    let sent = report(NetworkStatus::OptInSent, 10);
    let (known, event) = user_of(reported(&user(), VERIZON, &sent, &context(20)).unwrap().unwrap());
    assert_eq!((event.event_type, event.user_id), (EventType::UserNetworkChanged, Some(known.user_id)));
    assert_eq!(event.changes["network.status"].after, "opt_in_sent");
    assert_eq!(reported(&known, VERIZON, &sent, &context(21)), Ok(None));
    assert_eq!(reported(&known, VERIZON, &report(NetworkStatus::NewRequest, 9), &context(21)), Ok(None));

    let enabled = Network { mdn_provisioning: Some(Provisioning::Enabled), ..report(NetworkStatus::Enabled, 11) };
    let (after, event) = user_of(reported(&known, VERIZON, &enabled, &context(22)).unwrap().unwrap());
    assert_eq!(after.networks[VERIZON], enabled);
    assert_eq!(event.changes["network.status"].before, "opt_in_sent");
    assert_eq!(
        event.changes.keys().collect::<Vec<_>>(),
        ["network.mdn_provisioning", "network.status", "network.status_at", "provider"]
    );
}

#[test]
fn a_carrier_that_still_says_the_same_is_heard_once_a_day() {
    let report = |minutes| Network { status_at: at(minutes), ..network(NetworkStatus::Enabled) };
    let day = 24 * 60;
    let (known, _) = user_of(reported(&user(), "att", &report(10), &context(10)).unwrap().unwrap());
    assert_eq!(reported(&known, "att", &report(11), &context(11)), Ok(None));
    assert_eq!(reported(&known, "att", &report(9 + day), &context(9 + day)), Ok(None));
    let (known, event) = user_of(reported(&known, "att", &report(10 + day), &context(10 + day)).unwrap().unwrap());
    assert_eq!(known.networks["att"].status_at, at(10 + day));
    assert_eq!(event.changes.keys().collect::<Vec<_>>(), ["network.status_at", "provider"]);
    // A report that says its date is news whenever it is a newer one.
    assert!(reported(&known, "att", &report(11 + day), &context(12 + day)).unwrap().is_some());
}

#[test]
fn reports_are_in_the_order_of_the_newest_that_they_tell_of() {
    let report = |status_at, seen| Network {
        status_at: at(status_at),
        last_seen_at: Some(at(seen)),
        ..network(NetworkStatus::Enabled)
    };
    let (known, _) = user_of(reported(&user(), "att", &report(10, 20), &context(30)).unwrap().unwrap());
    let (seen, event) = user_of(reported(&known, "att", &report(5, 25), &context(30)).unwrap().unwrap());
    assert_eq!(seen.networks["att"], report(5, 25));
    assert_eq!(event.changes["network.last_seen_at"].before, at(20).to_string());
    assert_eq!(reported(&known, "att", &report(15, 16), &context(30)), Ok(None));
    let archived = Network { last_archived_at: Some(at(26)), ..report(5, 25) };
    let (archived, event) = user_of(reported(&seen, "att", &archived, &context(30)).unwrap().unwrap());
    assert_eq!(event.changes["network.last_archived_at"].after, at(26).to_string());
    assert_eq!(reported(&archived, "att", &report(5, 25), &context(30)), Ok(None));
}

#[test]
fn a_user_has_at_most_eight_networks_and_those_can_still_be_reported() {
    assert_eq!(NETWORK_LIMIT, 8);
    let networks: BTreeMap<_, _> =
        (0..NETWORK_LIMIT).map(|n| (format!("carrier_{n}"), network(NetworkStatus::NoStatus))).collect();
    let full = User { networks, ..user() };
    let report = Network { status_at: at(5), ..network(NetworkStatus::Enabled) };
    assert_eq!(faults(reported(&full, "att", &report, &context(6))), [("provider".to_owned(), "too_many")]);
    let (after, _) = user_of(reported(&full, "carrier_3", &report, &context(6)).unwrap().unwrap());
    assert_eq!(after.networks.len(), NETWORK_LIMIT);

    let gone = domain::models::restriction::Deleted { at: at(0), by: context(0).actor, purge_after: at(0) };
    let deleted = User { deleted: Some(gone), ..full };
    assert_eq!(reported(&deleted, "carrier_3", &report, &context(6)), Err(DomainError::UserDeleted));
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
        "last_seen_at": "2026-11-23T08:01:00Z",
        "last_archived_at": "2026-11-23T08:02:00Z",
    });
    let expected = Network {
        status: NetworkStatus::UnableToProvision,
        status_at: at(0),
        reason: Some(NetworkReason::MessageBlock),
        mdn_provisioning: Some(Provisioning::Pending),
        last_seen_at: Some(at(1)),
        last_archived_at: Some(at(2)),
    };
    assert_eq!(read(VERIZON, fields(whole), now()), Ok(expected));
    let plain = read("att", fields(json!({"status": "enabled"})), now()).unwrap();
    assert_eq!(plain.status_at, now(), "a report without a time is of now");

    let soon = now().plus(Duration::minutes(5)).to_string();
    assert!(read("att", fields(json!({"status": "enabled", "status_at": soon})), now()).is_ok());
    let later = now().plus(Duration::minutes(6)).to_string();
    let bad = json!({
        "status_at": later, "reason": "x", "mdn_provisioning": 1, "last_seen_at": later, "last_archived_at": "soon",
    });
    let expected = [
        ("status", "missing"),
        ("status_at", "out_of_range"),
        ("reason", "unknown_value"),
        ("mdn_provisioning", "wrong_type"),
        ("last_seen_at", "out_of_range"),
        ("last_archived_at", "invalid_format"),
    ];
    assert_eq!(faults(read("att", fields(bad), now())), expected.map(|(field, code)| (field.to_owned(), code)));

    for (name, code) in [
        ("", "too_short"),
        ("Verizon", "invalid_format"),
        ("at&t", "invalid_format"),
        ("a b", "invalid_format"),
        (" att", "invalid_format"),
        (&"x".repeat(33), "too_long"),
    ] {
        let refused = faults(read(name, fields(json!({"status": "x"})), now()));
        let expected = [("provider", code), ("status", "unknown_value")];
        assert_eq!(refused, expected.map(|(field, code)| (field.to_owned(), code)), "{name:?}");
    }
}

#[test]
fn a_report_of_the_same_date_that_says_something_else_is_news() {
    let (known, _) = user_of(reported(&user(), "att", &network(NetworkStatus::Enabled), &context(1)).unwrap().unwrap());
    let (after, event) =
        user_of(reported(&known, "att", &network(NetworkStatus::Disabled), &context(2)).unwrap().unwrap());
    assert_eq!(after.networks["att"], network(NetworkStatus::Disabled));
    assert_eq!(event.changes["network.status"].before, "enabled");
}
