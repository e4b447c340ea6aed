//! A user never has more than three devices, also with concurrent registrations.

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::{Answer, Bench, Tenant};

const AT_ONCE: usize = 64;

async fn register_concurrently(bench: &Bench, code: &str, prefix: &str) -> Vec<Answer> {
    join_all((0..AT_ONCE).map(|n| {
        let identifier = format!("{prefix}-{n}");
        async move { bench.register(code, &identifier).await }
    }))
    .await
}

async fn devices_of_user(bench: &Bench, tenant: &Tenant, user: &str) -> Vec<Value> {
    let answer = bench.get(&format!("/users/{user}"), &tenant.key).await.expect(200);
    answer.body["devices"].as_array().cloned().unwrap_or_default()
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status.as_u16() == status).count()
}

async fn race_for_three_devices(rounds: usize) {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Race").await;
    for round in 0..rounds {
        let user = bench.user(&tenant, &format!("three-{round}")).await;
        let code = bench.invite(&tenant, &user, 1).await;
        let _first = bench.register(&code, &format!("first-{round}")).await.expect(201);
        let code = bench.invite(&tenant, &user, 3).await;
        let answers = register_concurrently(&bench, &code, &format!("three-{round}")).await;
        assert_eq!((count(&answers, 201), count(&answers, 409)), (2, 62), "round {round}");
        for refused in answers.iter().filter(|answer| answer.status == 409) {
            assert_eq!(refused.code(), "device_limit_reached");
            assert_eq!(refused.body["devices"].as_array().map(Vec::len), Some(3));
        }
        assert_eq!(devices_of_user(&bench, &tenant, &user).await.len(), 3);
    }
}

#[tokio::test]
async fn of_64_concurrent_registrations_beside_one_device_exactly_two_succeed() {
    race_for_three_devices(10).await;
}

#[tokio::test]
#[ignore = "a hundred rounds"]
async fn of_64_concurrent_registrations_beside_one_device_exactly_two_succeed_a_hundred_times() {
    race_for_three_devices(100).await;
}

async fn race_for_one_device(rounds: usize) {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Race").await;
    for round in 0..rounds {
        let user = bench.user(&tenant, &format!("one-{round}")).await;
        let code = bench.invite(&tenant, &user, 1).await;
        let answers = register_concurrently(&bench, &code, &format!("one-{round}")).await;
        assert_eq!((count(&answers, 201), count(&answers, 410)), (1, 63), "round {round}");
        assert_eq!(devices_of_user(&bench, &tenant, &user).await.len(), 1);
    }
}

#[tokio::test]
async fn of_64_concurrent_registrations_by_an_invitation_for_one_exactly_one_succeeds() {
    race_for_one_device(10).await;
}

#[tokio::test]
#[ignore = "a hundred rounds"]
async fn of_64_concurrent_registrations_by_an_invitation_for_one_exactly_one_succeeds_a_hundred_times() {
    race_for_one_device(100).await;
}

/// Registers and deletes concurrently: at most three devices at any time, and afterwards as many free slots as
/// devices are missing.
async fn race_with_deletions(rounds: usize) {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Race").await;
    for round in 0..rounds {
        let user = bench.user(&tenant, &format!("del-{round}")).await;
        let code = bench.invite(&tenant, &user, 3).await;
        let mut ids = Vec::new();
        for n in 0..3 {
            let answer = bench.register(&code, &format!("del-{round}-{n}")).await.expect(201);
            ids.push(answer.body["device"]["device_id"].as_str().unwrap().to_owned());
        }
        let code = bench.invite(&tenant, &user, 3).await;
        let deletes = join_all(ids.iter().map(|id| {
            let path = format!("/devices/{id}");
            let (bench, tenant) = (&bench, &tenant);
            async move { bench.delete(&path, &tenant.key).await.expect(200) }
        }));
        let prefix = format!("new-{round}");
        let (deleted, registered) = futures::join!(deletes, register_concurrently(&bench, &code, &prefix));
        assert_eq!(deleted.len(), 3);
        let came_in = count(&registered, 201);
        assert!(came_in <= 3, "round {round}: {came_in} registered");
        assert_eq!(devices_of_user(&bench, &tenant, &user).await.len(), came_in);
        // Every free slot can be used.
        let code = bench.invite(&tenant, &user, 3).await;
        for n in came_in..3 {
            let _fills = bench.register(&code, &format!("fill-{round}-{n}")).await.expect(201);
        }
        let full = bench.register(&code, &format!("over-{round}")).await.expect(409);
        assert_eq!(full.code(), "device_limit_reached");
    }
}

#[tokio::test]
async fn during_deletions_there_are_at_most_three_devices_and_no_slot_is_lost() {
    race_with_deletions(10).await;
}

#[tokio::test]
#[ignore = "a hundred rounds"]
async fn during_deletions_there_are_at_most_three_devices_and_no_slot_is_lost_a_hundred_times() {
    race_with_deletions(100).await;
}

#[tokio::test]
async fn a_repeated_registration_does_not_use_the_code_again() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Repeat").await;
    let user = bench.user(&tenant, "ada").await;
    let code = bench.invite(&tenant, &user, 1).await;
    let first = bench.register(&code, "phone").await.expect(201);
    let repeated = bench.register(&code, "phone").await.expect(201);
    assert_eq!(first.body["device"]["device_id"], repeated.body["device"]["device_id"]);
    assert_eq!(bench.check_in(&first.get("credential")).await.status, 401, "only the newer credential is valid");
    let _ok = bench.check_in(&repeated.get("credential")).await.expect(200);
    let late = bench.register(&code, "phone").await;
    assert_eq!(
        (late.status.as_u16(), late.code()),
        (410, "code_used"),
        "after the first check-in a new code is needed"
    );
    let registered = bench.event_types(&tenant).await.into_iter().filter(|kind| kind == "device.registered").count();
    assert_eq!(registered, 1);
}

/// With an open code, at most five requests for an identifier of another user are answered as such, however many
/// are sent concurrently.
async fn race_for_held_identifier(rounds: usize) {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Race").await;
    for round in 0..rounds {
        let (_device, _credential) = bench.phone(&tenant, &format!("holder-{round}")).await;
        let user = bench.user(&tenant, &format!("asks-{round}")).await;
        let code = bench.invite(&tenant, &user, 3).await;
        let identifier = format!("holder-{round}-phone");
        let mut answers = join_all((0..20).map(|_| bench.register(&code, &identifier))).await;
        // Rejected registrations are sent again.
        for _ in 0..6 {
            answers.push(bench.register(&code, &identifier).await);
        }
        let held = answers.iter().filter(|answer| answer.code() == "identifier_held").count();
        assert_eq!(held, 5, "round {round}");
        let spent = bench.register(&code, &format!("own-{round}")).await;
        assert_eq!((spent.status.as_u16(), spent.code()), (410, "code_revoked"));
        let shown = bench.get(&format!("/users/{user}/invitations"), &tenant.key).await.expect(200);
        let shown = &shown.body["items"][0];
        assert_eq!((&shown["status"], &shown["refused_registrations"]), (&json!("revoked"), &json!(5)));
        bench.drain().await;
        let events = bench.get(&format!("/events?user_id={user}&limit=100"), &tenant.key).await.expect(200);
        let refused = events.body["items"].as_array().unwrap();
        let refused = refused.iter().filter(|event| event["event_type"] == "device.refused").count();
        assert_eq!(refused, 5, "each has its event");
    }
}

#[tokio::test]
async fn of_20_concurrent_registrations_of_anothers_identifier_five_are_recorded() {
    race_for_held_identifier(3).await;
}

#[tokio::test]
#[ignore = "a hundred rounds"]
async fn of_20_concurrent_registrations_of_anothers_identifier_five_are_recorded_a_hundred_times() {
    race_for_held_identifier(100).await;
}
