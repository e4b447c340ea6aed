//! When a phone is told to check in next.

use std::ops::RangeInclusive;

use chrono::Duration;
use serde_json::{Value, json};
use testkit::faults::{Fault, FaultDuration, Faults, InjectedFault};
use testkit::{Answer, Bench, Setup, Tenant};

/// A tenth about 15 minutes, the operator's default.
const USUAL: RangeInclusive<u64> = 810..=990;
/// A tenth about a minute.
const SOON: RangeInclusive<u64> = 54..=66;
/// A tenth about an hour, four times the operator's default.
const AFTER_A_THROTTLE: RangeInclusive<u64> = 3240..=3960;

fn after(answer: &Answer) -> u64 {
    answer.body["check_in_after_seconds"].as_u64().unwrap()
}

async fn check_in(bench: &Bench, credential: &str) -> Answer {
    bench.check_in(credential).await.expect(200)
}

async fn started(setup: Setup) -> (Bench, Tenant) {
    let bench = setup.start().await;
    let tenant = bench.tenant("Cadence").await;
    (bench, tenant)
}

#[tokio::test]
async fn a_phone_is_told_the_operators_interval_always_the_same_whatever_access_it_has() {
    let (bench, tenant) = started(Setup::new()).await;
    let (device, credential) = bench.phone(&tenant, "ada").await;
    let first = after(&check_in(&bench, &credential).await);
    assert!(USUAL.contains(&first), "{first}");
    bench.advance(Duration::minutes(15));
    assert_eq!(after(&check_in(&bench, &credential).await), first);
    let _blocked = bench.post(&format!("/devices/{device}/block"), &tenant.key, json!({})).await.expect(200);
    let denied = check_in(&bench, &credential).await;
    assert_eq!((denied.get("access"), after(&denied)), ("device_blocked".to_owned(), first));
    let _deleted = bench.delete(&format!("/devices/{device}"), &tenant.key).await.expect(200);
    let deleted = check_in(&bench, &credential).await;
    assert_eq!((deleted.get("access"), after(&deleted)), ("deleted".to_owned(), first));
}

#[tokio::test]
async fn the_operators_interval_is_a_parameter() {
    let (bench, tenant) = started(Setup::new().parameter("CheckInMinutes", "60")).await;
    let (_device, credential) = bench.phone(&tenant, "ada").await;
    let told = after(&check_in(&bench, &credential).await);
    assert!((3240..=3960).contains(&told), "{told}");
    let workspace = bench.get("/workspace", &tenant.key).await.expect(200);
    assert_eq!(workspace.body["check_in_minutes"], 60);
}

#[tokio::test]
async fn a_workspaces_interval_reaches_each_phone_at_the_first_check_in_of_its_day() {
    let (bench, tenant) = started(Setup::new()).await;
    let (device, credential) = bench.phone(&tenant, "ada").await;
    let (_device, new) = bench.phone(&tenant, "bob").await;
    let first = after(&check_in(&bench, &credential).await);
    let version = async || bench.get(&format!("/devices/{device}"), &tenant.key).await.headers["etag"].clone();
    for (minutes, expected) in [(json!(60), 3240..=3960), (Value::Null, first..=first)] {
        let body = json!({"check_in_minutes": minutes});
        let _set = bench.patch("/workspace", &tenant.key, body).await.expect(200);
        let before = after(&check_in(&bench, &credential).await);
        assert_eq!(before == first, minutes != Value::Null, "a later check-in of a day reads nothing");
        bench.advance(Duration::days(1));
        for _ in 0..2 {
            let told = after(&check_in(&bench, &credential).await);
            assert!(expected.contains(&told), "{minutes}: {told}");
        }
        let etag = version().await;
        bench.advance(Duration::days(1));
        assert!(expected.contains(&after(&check_in(&bench, &credential).await)));
        assert_eq!(version().await, etag, "what is the same is not written again");
        if minutes != Value::Null {
            assert!(expected.contains(&after(&check_in(&bench, &new).await)), "the first one of all");
        }
    }
}

#[tokio::test]
async fn a_phone_comes_soon_while_a_command_or_a_configuration_waits_for_it() {
    let (bench, tenant) = started(Setup::new()).await;
    let (device, credential) = bench.phone(&tenant, "ada").await;
    let first = after(&check_in(&bench, &credential).await);
    let lock = bench.create_command(&tenant, &device, "lock").await;
    for state in ["queued", "delivered"] {
        let told = after(&check_in(&bench, &credential).await);
        assert!(SOON.contains(&told), "{state}: {told}");
    }
    let _blocked = bench.post(&format!("/devices/{device}/block"), &tenant.key, json!({})).await.expect(200);
    assert!(SOON.contains(&after(&check_in(&bench, &credential).await)), "a blocked phone as well");
    let _unblocked = bench.post(&format!("/devices/{device}/unblock"), &tenant.key, json!({})).await.expect(200);
    let _done = bench.report_command(&credential, &lock, "succeeded").await.expect(200);
    assert_eq!(after(&check_in(&bench, &credential).await), first);

    let user = bench.get(&format!("/devices/{device}"), &tenant.key).await.expect(200).get("user_id");
    let _deployment = bench.deploy(&tenant, &user).await;
    let path = format!("/users/{user}/force-config");
    let _forced = bench.post(&path, &tenant.key, json!({})).await.expect(200);
    let waits = check_in(&bench, &credential).await;
    assert_eq!(waits.body["download_config"], true);
    assert!(SOON.contains(&after(&waits)));
    let version = bench.download(&credential).await.expect(200).get("config_version");
    let installed = bench.check_in_with(&credential, json!({"config_version": version})).await.expect(200);
    assert_eq!(after(&installed), first);
}

#[tokio::test]
async fn for_five_minutes_after_a_throttle_phones_are_told_to_wait_longer() {
    let faults = Faults::new();
    let (bench, tenant) = started(Setup::new().with(faults.adjust())).await;
    let (device, credential) = bench.phone(&tenant, "ada").await;
    let (_device, other) = bench.phone(&tenant, "bob").await;
    let first = after(&check_in(&bench, &credential).await);
    let _other = check_in(&bench, &other).await;
    let throttle = |duration| {
        let (action, fault) = ("UpdateItem".to_owned(), Fault::Throttle);
        faults.watch("check-in-device", Some(InjectedFault { action, nth: 1, fault, duration }));
    };
    // The SDK's retry hides the first throttle; the second one ends the request.
    for (duration, status) in [(FaultDuration::Once, 200), (FaultDuration::Calls(3), 503)] {
        throttle(duration);
        let throttled = bench.check_in(&credential).await.expect(status);
        if status == 200 {
            assert!(AFTER_A_THROTTLE.contains(&after(&throttled)), "{}", after(&throttled));
        }
        bench.advance(Duration::seconds(299));
        assert!(AFTER_A_THROTTLE.contains(&after(&check_in(&bench, &other).await)), "another phone of the process");
        bench.advance(Duration::seconds(1));
        assert_eq!(after(&check_in(&bench, &credential).await), first);
    }
    throttle(FaultDuration::Once);
    let _lock = bench.create_command(&tenant, &device, "lock").await;
    let waits = after(&check_in(&bench, &credential).await);
    assert!((216..=264).contains(&waits) && waits < first, "{waits}");
}

#[tokio::test]
async fn an_interval_out_of_bounds_is_refused_and_changes_nothing() {
    let (bench, tenant) = started(Setup::new()).await;
    for wrong in [json!(4), json!(1441), json!("15"), json!(15.5)] {
        let refused = bench.patch("/workspace", &tenant.key, json!({"check_in_minutes": wrong})).await.expect(422);
        assert_eq!(refused.body["errors"][0]["field"], "check_in_minutes", "{wrong}");
    }
    let workspace = bench.get("/workspace", &tenant.key).await.expect(200).body;
    assert_eq!(workspace["check_in_minutes"], 15);
    for bound in [5, 1440] {
        let set = bench.patch("/workspace", &tenant.key, json!({"check_in_minutes": bound})).await.expect(200);
        assert_eq!(set.body["check_in_minutes"], bound);
    }
    let default = bench.patch("/workspace", &tenant.key, json!({"check_in_minutes": Value::Null})).await.expect(200);
    assert_eq!(default.body["check_in_minutes"], 15);
}
