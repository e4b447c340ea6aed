//! Webhooks: what they want, when they are called again, when they are switched off, and what signs their calls.

use std::collections::BTreeSet;

use chrono::Duration;
use domain::egress::EgressPolicy;
use domain::models::event::{Event, EventType};
use domain::models::webhook::{
    Attempt, DISABLE_AFTER, Delivery, DeliveryState, Disabled, Edit, EventSelection, LEASE_DURATION, RETENTION, Reason,
    SCHEDULE_ONLY_AFTER, SLOW_CALL, Secrets, Webhook, WebhookSettings, name_of, new_secret, retry_delay_after,
    sanitize_excerpt, signature,
};
use domain::{Time, WebhookId};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{at, context, fields, named};

fn webhook(types: &[&str]) -> Webhook {
    let mut fields = fields(json!({"url": "https://hooks.example.com/a?b=c", "event_types": types}));
    let settings = WebhookSettings::read(&mut fields, EventSelection::Known, EgressPolicy::Public);
    fields.finish().unwrap();
    Webhook::create(WebhookId(Uuid::from_u128(1)), settings, &context(0)).0
}

fn event(event_type: EventType, seconds: i64) -> Event {
    context(seconds).event(event_type)
}

fn failed(when: Time) -> Attempt {
    Attempt::with_response(when, 500, b"", 0)
}

fn taken(when: Time) -> Attempt {
    Attempt::with_response(when, 200, b"", 0)
}

/// The vector of the published verifiers' own tests.
#[test]
fn a_call_is_signed_as_the_published_verifiers_have_it() {
    let signed = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        br#"{"test": 2432232314}"#,
    );
    assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    for secret in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!", ""] {
        assert_eq!(signature(secret, "a", 1, b""), None, "{secret}");
    }
}

#[test]
fn a_new_secret_is_24_bytes_in_the_form_that_verifiers_take() {
    let secret = new_secret(|bytes| bytes.fill(0xff));
    assert_eq!(secret, format!("whsec_{}", "/".repeat(32)));
    assert!(signature(&secret, "a", 1, b"").is_some());
}

#[test]
fn earlier_secrets_sign_beside_the_newest_for_a_day_and_are_then_gone() {
    let count = |secrets: &Secrets, now: Time| secrets.signatures("id", 1, b"", now).split(' ').count();
    let secret = |n: u8| format!("whsec_{}", String::from(char::from(b'A' + n)).repeat(32));
    let first = Secrets::with_current(secret(0));
    assert_eq!(count(&first, at(0)), 1);
    let second = first.rotated(secret(1), at(0));
    let day = Duration::hours(24);
    assert_eq!(count(&second, at(0).plus(day - Duration::milliseconds(1))), 2);
    assert_eq!(count(&second, at(0).plus(day)), 1);
    let newest = second.signatures("id", 1, b"", at(0));
    assert!(newest.starts_with(&signature(&secret(1), "id", 1, b"").unwrap()));
    let third = second.rotated(secret(2), at(10));
    assert_eq!((count(&third, at(10)), count(&third, at(0).plus(day)), count(&third, at(10).plus(day))), (3, 2, 1));
    assert_eq!(third.valid_at(at(10).plus(day)), Secrets::with_current(secret(2)));
    // However often, the header stays short.
    let many = (3..20).fold(third, |secrets, n| secrets.rotated(secret(n), at(20)));
    assert_eq!((count(&many, at(20)), many.current.clone()), (4, secret(19)));
}

#[test]
fn the_schedule_is_the_one_that_is_promised() {
    let minutes = |minutes: i64| Some(Duration::minutes(minutes));
    let expected = [
        None,
        Some(Duration::seconds(5)),
        minutes(5),
        minutes(30),
        minutes(120),
        minutes(300),
        minutes(600),
        minutes(600),
        None,
    ];
    let waits: Vec<Option<Duration>> = (0..=8).map(retry_delay_after).collect();
    assert_eq!(waits, expected);
    assert_eq!(retry_delay_after(u32::MAX), None);
}

#[test]
fn a_delivery_goes_through_its_attempts_and_ends() {
    let (hook, event) = (webhook(&["*"]), event(EventType::UserCreated, 0));
    let lease = Uuid::from_u128;
    let mut delivery = Delivery::new_due(&hook, &event, at(0)).with_attempt_started(lease(1), at(0));
    assert_eq!((delivery.attempts, delivery.next_at), (1, Some(at(0).plus(LEASE_DURATION))));
    assert!(!delivery.is_due(at(0)) && delivery.is_due(at(0).plus(LEASE_DURATION)));
    let mut now = at(0);
    for attempt in 1..=8_u32 {
        assert_eq!((delivery.attempts, delivery.state), (attempt, DeliveryState::Pending));
        assert_eq!(delivery.with_attempt_result(lease(0), &taken(now)), None, "it is in other hands");
        let success = delivery.with_attempt_result(lease(attempt.into()), &taken(now)).unwrap();
        assert_eq!((success.state, success.next_at, success.lease), (DeliveryState::Succeeded, None, None));
        let failure = delivery.with_attempt_result(lease(attempt.into()), &failed(now)).unwrap();
        assert_eq!(failure.next_at, retry_delay_after(attempt).map(|wait| now.plus(wait)));
        assert_eq!(failure.retries_immediately(), attempt == 1);
        if attempt == 8 {
            assert_eq!(failure.state, DeliveryState::Failed);
            assert!(!failure.is_due(now.plus(Duration::days(365))));
            return;
        }
        now = failure.next_at.unwrap();
        assert!(failure.is_due(now) && !failure.is_due(now.minus(Duration::milliseconds(1))));
        delivery = failure.with_attempt_started(lease((attempt + 1).into()), now);
    }
}

#[test]
fn what_an_admin_asks_for_succeeds_or_changes_nothing_of_the_schedule() {
    let (hook, event) = (webhook(&["*"]), event(EventType::UserCreated, 0));
    let begun = Delivery::new_due(&hook, &event, at(0)).with_attempt_started(Uuid::from_u128(1), at(0));
    let pending = begun.with_attempt_result(Uuid::from_u128(1), &failed(at(0))).unwrap();
    let again = pending.with_redelivery_result(&failed(at(1)));
    assert_eq!((again.state, again.next_at, again.attempts), (pending.state, pending.next_at, pending.attempts));
    assert_eq!((again.redeliveries, again.last_attempt.unwrap().at), (1, at(1)));
    for before in [pending.clone(), pending.canceled(), Delivery { state: DeliveryState::Failed, ..pending }] {
        let success = before.with_redelivery_result(&taken(at(1)));
        assert_eq!((success.state, success.next_at), (DeliveryState::Succeeded, None));
        assert_eq!(before.with_redelivery_result(&failed(at(1))).state, before.state);
    }
    // One in the middle of an attempt is still that attempt's.
    assert!(
        begun.with_redelivery_result(&failed(at(1))).with_attempt_result(Uuid::from_u128(1), &taken(at(2))).is_some()
    );
}

#[test]
fn a_webhook_is_told_of_what_it_names_and_of_nothing_older_than_itself() {
    let phone = {
        let mut event = event(EventType::DeviceDeleted, 10);
        event.add_change("platform", "ios", Value::Null);
        event
    };
    let third_party = {
        let mut event = event(EventType::DeviceDeleted, 10);
        event.add_change("platform", "third_party", Value::Null);
        event
    };
    assert_eq!((name_of(&phone), name_of(&third_party)), ("phone.deactivated", "device.deleted"));
    for (types, name) in [
        (vec!["*"], "phone.deactivated"),
        (vec!["phone.deactivated", "device.deleted"], "phone.deactivated"),
        (vec!["device.deleted", "user.created"], "device.deleted"),
    ] {
        assert_eq!(webhook(&types).name_of(&phone), name, "{types:?}");
        assert_eq!(webhook(&types).name_of(&third_party), "device.deleted");
    }
    let user = event(EventType::UserCreated, 10);
    let wants = |types: &[&str], event: &Event| webhook(types).receives(event, at(10));
    for (types, expected) in [
        (vec!["*"], [true, true, true]),
        (vec!["phone.deactivated"], [true, false, false]),
        (vec!["device.deleted"], [true, true, false]),
        (vec!["user.created"], [false, false, true]),
        (vec!["user.deleted", "phone.deactivated"], [true, false, false]),
    ] {
        assert_eq!([&phone, &third_party, &user].map(|event| wants(&types, event)), expected, "{types:?}");
    }
    let every = webhook(&["*"]);
    assert!(!every.receives(&event(EventType::UserCreated, -1), at(10)), "older than the webhook");
    assert!(every.receives(&user, at(10).plus(RETENTION - Duration::milliseconds(1))));
    assert!(!every.receives(&user, at(10).plus(RETENTION)), "what became of it may be forgotten");
    let own = every.event(EventType::WebhookCreated, &context(0));
    assert!(!every.receives(&own, at(0)));
    let other = Webhook { webhook_id: WebhookId(Uuid::from_u128(2)), ..every.clone() };
    assert!(other.receives(&own, at(0)));
    let off = Webhook { disabled: Some(Disabled { at: at(0), reason: Reason::ByAdmin }), ..every.clone() };
    assert!(!off.receives(&user, at(10)));
    let elsewhere = Event { workspace_id: domain::WorkspaceId(Uuid::from_u128(99)), ..user };
    assert!(!every.receives(&elsewhere, at(10)));
}

#[test]
fn five_days_without_a_success_switch_a_webhook_off_and_it_is_written_to_only_when_that_changes() {
    let fine = webhook(&["*"]);
    let after =
        |webhook: &Webhook, attempt: Attempt, last: bool| webhook.after(&webhook.url, &attempt, last, &context(1));
    assert_eq!(after(&fine, taken(at(0)), true), None, "a success of a webhook that is fine writes nothing");
    let (failing, event) = after(&fine, failed(at(0)), true).unwrap();
    assert_eq!((failing.failing_since, event), (Some(at(0)), None));
    let nearly = at(0).plus(DISABLE_AFTER - Duration::milliseconds(1));
    assert_eq!(after(&failing, failed(nearly), true), None, "another failure writes nothing");
    let (well, _) = after(&failing, taken(nearly), true).unwrap();
    assert_eq!(well, fine);
    let over = at(0).plus(DISABLE_AFTER);
    assert_eq!(after(&failing, failed(over), false), None, "it may yet be taken");
    let (off, event) = after(&failing, failed(over), true).unwrap();
    assert_eq!(off.disabled, Some(Disabled { at: over, reason: Reason::Failing }));
    let event = event.unwrap();
    assert_eq!((event.event_type, event.webhook_id), (EventType::WebhookDisabled, Some(fine.webhook_id)));
    assert_eq!(after(&off, failed(over), true), None);
    assert_eq!(after(&off, Attempt::with_response(over, 410, b"", 1), true), None);
    // A redelivery that is taken clears the record, and switches nothing on.
    let (cleared, _) = after(&off, taken(over), false).unwrap();
    assert_eq!((cleared.disabled, cleared.failing_since), (off.disabled, None));
    let (gone, event) = after(&fine, Attempt::with_response(at(5), 410, b"", 1), false).unwrap();
    assert_eq!(gone.disabled, Some(Disabled { at: at(5), reason: Reason::Gone }));
    assert_eq!(event.unwrap().changes["reason"].after, "gone");
}

#[test]
fn what_an_earlier_address_answers_tells_nothing_of_a_webhook() {
    let failing = Webhook { failing_since: Some(at(0)), ..webhook(&["*"]) };
    let late = at(0).plus(DISABLE_AFTER);
    for attempt in [taken(late), failed(late), Attempt::with_response(late, 410, b"", 1)] {
        assert_eq!(failing.after("https://before.example.com", &attempt, true, &context(1)), None, "{attempt:?}");
    }
}

#[test]
fn after_a_minute_of_failures_the_schedule_alone_calls() {
    let failing = Webhook { failing_since: Some(at(0)), ..webhook(&["*"]) };
    let over = at(0).plus(SCHEDULE_ONLY_AFTER);
    assert!(failing.is_schedule_only(over));
    assert!(!failing.is_schedule_only(over.plus(-Duration::milliseconds(1))));
    assert!(!webhook(&["*"]).is_schedule_only(over));
    let due = Delivery::new_due(&failing, &event(EventType::UserCreated, 60), over);
    assert!(due.is_due(over) && due.attempts == 0 && due.lease.is_none());
}

#[test]
fn a_webhook_whose_last_call_was_slow_is_called_by_the_schedule_alone_until_a_call_is_quick() {
    let fine = webhook(&["*"]);
    let limit = SLOW_CALL.num_milliseconds();
    let took = |second: i64, milliseconds| Attempt { milliseconds, ..taken(at(second)) };
    let after = |webhook: &Webhook, attempt: Attempt| webhook.after(&webhook.url, &attempt, false, &context(1));
    assert_eq!(after(&fine, took(0, limit)), None);
    let (slow, event) = after(&fine, took(0, limit + 1)).unwrap();
    assert_eq!((slow.slow_since, slow.failing_since, event), (Some(at(0)), None, None));
    assert!(slow.is_schedule_only(at(0)) && !slow.is_well() && fine.is_well());
    assert_eq!(after(&slow, took(9, limit + 1)), None, "another slow call writes nothing");
    assert_eq!(after(&slow, took(9, limit)), Some((fine.clone(), None)));
    let timed_out = Attempt::without_response(at(0), "no_answer", 15_000);
    let (both, _) = after(&fine, timed_out).unwrap();
    assert_eq!((both.slow_since, both.failing_since), (Some(at(0)), Some(at(0))));
    let (failing, _) = after(&both, failed(at(20))).unwrap();
    assert_eq!((failing.slow_since, failing.failing_since), (None, Some(at(0))), "it fails, but quickly");
}

#[test]
fn another_address_and_switching_on_begin_with_a_clean_record() {
    let disabled = Some(Disabled { at: at(1), reason: Reason::Failing });
    let off = Webhook { disabled, failing_since: Some(at(0)), slow_since: Some(at(0)), ..webhook(&["*"]) };
    let edit = |body: Value| {
        let mut fields = fields(body);
        let edit = Edit::read(&mut fields, EgressPolicy::Public);
        fields.finish().unwrap();
        off.update(edit, &context(2))
    };
    let (on, event) = edit(json!({"enabled": true})).unwrap();
    assert_eq!((on.disabled, on.failing_since, on.slow_since), (None, None, None));
    assert_eq!(event.changes["enabled"].after, true);
    let (moved, event) = edit(json!({"url": "https://new.example.com/secret"})).unwrap();
    assert_eq!((moved.disabled, moved.failing_since, moved.slow_since), (disabled, None, None));
    assert_eq!(
        (&event.changes["host"].after, &event.changed_fields),
        (&json!("new.example.com"), &vec!["url".to_owned()])
    );
    for same in [json!({}), json!({"enabled": false}), json!({"url": off.url, "event_types": ["*", "*"]})] {
        assert_eq!(edit(same.clone()), None, "{same}");
    }
}

#[test]
fn every_fault_of_a_webhook_is_named() {
    let read = |body: Value, names: EventSelection| {
        let mut fields = fields(body);
        let settings = WebhookSettings::read(&mut fields, names, EgressPolicy::Public);
        fields.finish().map(|()| settings).map_err(|found| named(&found))
    };
    let url = "https://hooks.example.com/";
    let good = read(json!({"url": url}), EventSelection::Known).unwrap();
    assert_eq!((good.event_types, good.description), (vec!["*".to_owned()], None));
    let body = json!({"url": "https://10.0.0.1/", "event_types": ["user.created", "user.flown"], "description": ""});
    let told = read(body, EventSelection::Known).unwrap_err();
    let named: BTreeSet<String> = told.into_iter().map(|(field, _)| field).collect();
    assert_eq!(named, ["url", "event_types.1", "description"].map(str::to_owned).into());
    assert!(read(json!({"url": url, "event_types": ["user.flown"]}), EventSelection::Any).is_ok());
    for (body, field) in [
        (json!({}), "url"),
        (json!({"url": url, "event_types": []}), "event_types"),
        (json!({"url": url, "event_types": "user.created"}), "event_types"),
        (json!({"url": url, "event_types": [1]}), "event_types.0"),
        (json!({"url": url, "event_types": vec!["*"; 129]}), "event_types"),
        (json!({"url": 1}), "url"),
    ] {
        for names in [EventSelection::Known, EventSelection::Any] {
            let told = read(body.clone(), names).unwrap_err();
            assert!(told.iter().any(|(name, _)| name == field), "{body}: {told:?}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_a_receiver_replies_what_is_kept_of_it_is_short_and_harmless(reply: Vec<u8>) {
        let kept = sanitize_excerpt(&reply);
        prop_assert!(kept.len() <= 256);
        prop_assert!(kept.chars().all(domain::text::is_visible));
    }
}

#[test]
fn a_reply_that_turns_or_hides_text_does_not_do_so_where_it_is_shown() {
    let reply = "a\u{202e}b\u{200b}c\r\nd\u{1b}[31m".as_bytes();
    assert_eq!(sanitize_excerpt(reply), "a\u{fffd}b\u{fffd}c  d [31m");
    assert_eq!(sanitize_excerpt("\u{e4}".repeat(300).as_bytes()), "\u{e4}".repeat(128));
    assert_eq!(sanitize_excerpt(&[0xff; 300]).len(), 255);
}

#[test]
fn a_webhook_remembers_that_an_earlier_secret_signs_until_it_signs_no_more() {
    let (rotated, event) = webhook(&["*"]).rotated(&context(0));
    let until = at(24 * 60);
    assert_eq!(rotated, Webhook { earlier_secret_until: Some(until), ..webhook(&["*"]) });
    assert_eq!((event.event_type, event.webhook_id), (EventType::WebhookSecretRotated, Some(rotated.webhook_id)));
    assert_eq!(rotated.without_expired_secrets(at(24 * 60 - 1)), None);
    assert_eq!(rotated.without_expired_secrets(until), Some(webhook(&["*"])));
    assert_eq!(webhook(&["*"]).without_expired_secrets(until), None, "there is nothing to forget");
}

#[test]
fn an_answer_counts_as_taken_by_its_status_alone() {
    for (status, error) in [
        (199, Some("error_status")),
        (200, None),
        (299, None),
        (300, Some("redirected")),
        (399, Some("redirected")),
        (400, Some("error_status")),
        (410, Some("gone")),
        (503, Some("error_status")),
    ] {
        let attempt = Attempt::with_response(at(1), status, b"so", 7);
        assert_eq!((attempt.error.as_deref(), attempt.status), (error, Some(status)));
        assert_eq!((attempt.succeeded(), attempt.reply.as_str(), attempt.milliseconds), (error.is_none(), "so", 7));
    }
    let unanswered = Attempt::without_response(at(1), "timeout", 7);
    assert_eq!(
        (unanswered.succeeded(), unanswered.status, unanswered.error.as_deref()),
        (false, None, Some("timeout"))
    );
}

#[test]
fn what_became_of_a_delivery_says_what_was_answered_last_and_leaves_no_attempt_open() {
    let (hook, event) = (webhook(&["*"]), event(EventType::UserCreated, 0));
    let lease = Uuid::from_u128(1);
    let begun = Delivery::new_due(&hook, &event, at(0)).with_attempt_started(lease, at(0));
    let answer = Attempt { milliseconds: 2_000, ..failed(at(0)) };
    let pending = begun.with_attempt_result(lease, &answer).unwrap();
    let next = at(0).plus(Duration::seconds(2) + retry_delay_after(1).unwrap());
    let expected = Delivery { last_attempt: Some(answer), lease: None, next_at: Some(next), ..begun.clone() };
    assert_eq!(pending, expected, "the wait begins when the call has ended");
    let taken_meanwhile = begun.with_redelivery_result(&taken(at(1)));
    let expected = Delivery {
        state: DeliveryState::Succeeded,
        last_attempt: Some(taken(at(1))),
        redeliveries: 1,
        lease: None,
        next_at: None,
        ..begun.clone()
    };
    assert_eq!(taken_meanwhile, expected);
    assert_eq!(
        taken_meanwhile.with_attempt_result(lease, &failed(at(2))),
        None,
        "its own attempt has nothing more to say"
    );
    let canceled = Delivery { state: DeliveryState::Canceled, lease: None, next_at: None, ..begun.clone() };
    assert_eq!((begun.canceled(), taken_meanwhile.canceled()), (canceled, taken_meanwhile));
}

#[test]
fn a_webhook_names_so_many_types_and_a_secret_that_is_over_is_not_kept() {
    let named = |count: usize| {
        let types: Vec<String> = (0..count).map(|n| format!("user.n{n}")).collect();
        let mut fields = fields(json!({"url": "https://hooks.example.com/", "event_types": types}));
        let settings = WebhookSettings::read(&mut fields, EventSelection::Any, EgressPolicy::Public);
        fields.finish().map(|()| settings.event_types.len()).map_err(|faults| faults[0].code)
    };
    assert_eq!((named(128), named(129)), (Ok(128), Err("too_many")));
    let rotated = Secrets::with_current("whsec_a".to_owned()).rotated("whsec_b".to_owned(), at(0));
    let over = at(24 * 60);
    let kept = |now| rotated.rotated("whsec_c".to_owned(), now).earlier.len();
    assert_eq!((kept(over.minus(Duration::milliseconds(1))), kept(over)), (2, 1));
}
