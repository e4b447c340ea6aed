//! How many messages go out, to whom, and what they call people.

use std::collections::BTreeMap;

use chrono::Duration;
use domain::error::DomainError;
use domain::error::{MessageLimit, RetryAfter};
use domain::models::message_limits::{
    DailyCount, DailyQuota, MessagePolicy, QUOTA_SHARDS, RECIPIENT_DAILY, Recipient, RecipientHistory, SendingRates,
};
use domain::models::offer::{Channel, Purpose};
use domain::models::user::User;
use domain::models::workspace::{WorkspaceEdit, WorkspaceSettings};
use domain::rules::change::RowChange;
use domain::{Time, WorkspaceId};
use serde_json::json;

use crate::common::{at, fields, user};

fn time(text: &str) -> Time {
    Time::parse(text).unwrap()
}

fn reached(user: &User) -> Recipient {
    Recipient::of(user, Purpose::Invite, Channel::Email).unwrap()
}

fn with_email(email: &str) -> User {
    User { email: Some(email.to_owned()), mobile: Some("+491701234567".to_owned()), ..user() }
}

/// Sends at these moments, each in seconds; answers with those that may not go, and until when each has to wait.
fn sent_at(seconds: &[i64]) -> Vec<(i64, i64)> {
    let recipient = reached(&with_email("ann@example.com"));
    let begin = at(0);
    let (mut row, mut refused) = (None, Vec::new());
    for second in seconds {
        let now = begin.plus(Duration::seconds(*second));
        match RecipientHistory::with_one_more(row.clone(), &recipient, now) {
            Ok(RowChange { before, after }) => {
                assert_eq!(before, row);
                row = Some(after);
            }
            Err(DomainError::TooManyMessages(RetryAfter { limit: MessageLimit::Recipient, until, seconds })) => {
                assert_eq!(until, now.plus(Duration::seconds(seconds)), "the time and the wait are one");
                refused.push((*second, seconds));
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    refused
}

#[test]
fn a_recipient_gets_one_message_of_a_kind_a_minute_and_five_within_a_day() {
    const DAY: i64 = 24 * 60 * 60;
    assert_eq!(sent_at(&[0, 0, 1, 59, 60]), [(0, 60), (1, 59), (59, 1)]);
    assert_eq!(sent_at(&[0, 60, 120, 180, 240, 300]), [(300, DAY - 300)]);
    // The window slides: the sixth waits for the first, the seventh for the second.
    let hours = [0, 1, 2, 3, 4].map(|hour| hour * 3600);
    assert_eq!(
        sent_at(&[&hours[..], &[DAY - 1, DAY, DAY + 60, DAY + 3600]].concat()),
        [(DAY - 1, 1), (DAY + 60, 3540)]
    );
    // What is refused counts for nothing.
    assert_eq!(sent_at(&[0, 30, 60, 90, 120]), [(30, 30), (90, 30)]);
    assert_eq!(RECIPIENT_DAILY, 5);
}

#[test]
fn a_wait_is_told_in_whole_seconds_and_never_too_short() {
    let now = at(0);
    for (millis, seconds) in [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2), (-5000, 0)] {
        assert_eq!(
            RetryAfter::new(MessageLimit::Recipient, now.plus(Duration::milliseconds(millis)), now).seconds,
            seconds
        );
    }
}

#[test]
fn a_recipient_is_one_address_or_number_whoever_has_it_and_of_one_workspace_kind_and_channel() {
    let ann = reached(&with_email("ann@example.com"));
    let other = User { user_id: domain::UserId(uuid::Uuid::from_u128(99)), ..with_email("Ann@Example.COM") };
    assert_eq!(reached(&other), ann);
    assert_ne!(reached(&with_email("anna@example.com")), ann);
    let elsewhere = User { workspace_id: WorkspaceId(uuid::Uuid::from_u128(98)), ..with_email("ann@example.com") };
    assert_ne!(reached(&elsewhere).hash, ann.hash);
    let user = with_email("ann@example.com");
    let deployed = Recipient::of(&user, Purpose::Deploy, Channel::Email).unwrap();
    assert_eq!((deployed.hash.clone(), deployed.purpose), (ann.hash.clone(), Purpose::Deploy));
    let texted = Recipient::of(&user, Purpose::Invite, Channel::Sms).unwrap();
    assert_ne!(texted.hash, ann.hash);
    let kept = RecipientHistory::with_one_more(None, &texted, at(0)).unwrap().after;
    assert_eq!((kept.recipient, kept.channel, kept.purpose), (texted.hash, Channel::Sms, Purpose::Invite));
    let nowhere = User { email: None, mobile: None, ..user };
    assert_eq!(Recipient::of(&nowhere, Purpose::Invite, Channel::Email), None);
    assert_eq!(Recipient::of(&nowhere, Purpose::Invite, Channel::Sms), None);
}

fn quota(per_day: u32) -> DailyQuota {
    let workspace_id = user().workspace_id;
    DailyQuota { workspace_id, channel: Channel::Email, day: "2026-11-23".to_owned(), per_day }
}

#[test]
fn the_parts_of_a_day_hold_the_quota_together_to_the_message() {
    for per_day in [0, 1, 15, 16, 17, 100, 1000] {
        let quota = quota(per_day);
        let shards: Vec<u8> = (0..QUOTA_SHARDS).collect();
        let mut rows = BTreeMap::<u8, DailyCount>::new();
        let mut sent = 0;
        loop {
            let found: Vec<DailyCount> = rows.values().cloned().collect();
            let first = usize::try_from(sent % 7).unwrap();
            let order: Vec<u8> = shards.iter().cycle().skip(first).take(shards.len()).copied().collect();
            let Some(RowChange { before, after }) = quota.with_one_more(&found, &order) else {
                break;
            };
            assert_eq!(before.as_ref(), rows.get(&after.shard), "it rests on what was read");
            assert_eq!(after.count, before.map_or(0, |row| row.count) + 1);
            rows.insert(after.shard, after);
            sent += 1;
            assert!(sent <= per_day, "{per_day}");
        }
        assert_eq!(sent, per_day);
        assert_eq!(rows.values().map(|row| row.count).sum::<u32>(), per_day);
    }
    assert_eq!(quota(1).with_one_more(&[], &[1]), None, "the only one is in the first part");
}

#[test]
fn a_day_is_over_at_midnight_in_utc() {
    for (now, until, wait) in [
        ("2026-11-23T08:00:00Z", "2026-11-24T00:00:00Z", 16 * 3600),
        ("2026-12-31T23:59:59.5Z", "2027-01-01T00:00:00Z", 1),
        ("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z", 24 * 3600),
    ] {
        let expected = RetryAfter { limit: MessageLimit::Workspace, until: time(until), seconds: wait };
        assert_eq!(quota(1).quota_error(time(now)), DomainError::TooManyMessages(expected));
    }
}

#[test]
fn a_workspace_has_the_operators_quota_or_less() {
    let policy = MessagePolicy { emails_per_day: 100, texts_per_day: 10, calling_codes: Vec::new() };
    let settings = |emails, texts| WorkspaceSettings {
        emails_per_day: emails,
        texts_per_day: texts,
        ..WorkspaceSettings::default()
    };
    for (set, emails, texts) in [
        (settings(None, None), 100, 10),
        (settings(Some(99), Some(0)), 99, 0),
        // The operator has come down since.
        (settings(Some(101), Some(11)), 100, 10),
    ] {
        assert_eq!((policy.per_day(Channel::Email, &set), policy.per_day(Channel::Sms, &set)), (emails, texts));
    }
    let faulty = |body| {
        let mut fields = fields(body);
        let edit = WorkspaceEdit::read(&mut fields);
        policy.check(&edit, &mut fields);
        fields.finish().err().unwrap_or_default().into_iter().map(|fault| (fault.field, fault.code)).collect::<Vec<_>>()
    };
    assert_eq!(faulty(json!({"emails_per_day": 100, "texts_per_day": 0})), []);
    assert_eq!(faulty(json!({"emails_per_day": null})), []);
    let above = faulty(json!({"emails_per_day": 101, "texts_per_day": 11}));
    assert!(above.iter().all(|(_, code)| *code == "out_of_range"));
    assert_eq!(above.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(), ["emails_per_day", "texts_per_day"]);
}

#[test]
fn texts_go_to_the_calling_codes_that_the_operator_named() {
    let policy = |codes: &[&str]| MessagePolicy {
        calling_codes: codes.iter().map(|code| (*code).to_owned()).collect(),
        ..MessagePolicy::default()
    };
    let some = policy(&["+49", "+1212"]);
    for (number, allowed) in
        [("+491701234567", true), ("+12125550100", true), ("+14255550100", false), ("+882161234567", false)]
    {
        let expected = if allowed { Ok(()) } else { Err(DomainError::CallingCodeNotAllowed) };
        assert_eq!(some.require_texts_allowed(number), expected, "{number}");
    }
    assert_eq!(policy(&[]).require_texts_allowed("+491701234567"), Err(DomainError::TextsOff));
}

#[test]
fn nobody_is_greeted_by_what_looks_like_a_link() {
    let called = |first: Option<&str>, last: Option<&str>, username: &str| {
        let text = |name: Option<&str>| name.map(str::to_owned);
        User { first_name: text(first), last_name: text(last), username: username.to_owned(), ..user() }.greeting_name()
    };
    for name in [
        "Ada",
        "Zoë Ångström",
        "J.R.",
        "J. R. R. Tolkien",
        "Anna-Lena",
        "O'Neil",
        "Dr. Ada",
        "Jean Luc",
        "李小龙",
        "Ада",
        "Ann (IT)",
        "Nr. 5",
        "A.B.",
        "St. John",
    ] {
        assert_eq!(called(Some(name), None, "u").as_deref(), Some(name));
    }
    for link in [
        "http://evil.example/x",
        "HTTPS:\u{2f}\u{2f}evil",
        "win at evil.com",
        "evil.com/now",
        "www.evil",
        "Ada www.evil.com",
        "Ada.Adler",
        "ada@example.com",
        "Ada @handle",
        "mailto:ada",
        "tel:+49170",
        "javascript:alert(1)",
        "evil\u{3002}com",
        "evil\u{ff0e}com",
        "ｅｖｉｌ．ｃｏｍ",
        "evil\u{2024}com",
        "ev\u{ad}il.c\u{ad}om",
        "evil.\u{200d}com",
        "пример.рф",
        "192.168.10.1",
        "//evil",
        "\\\\evil\\share",
        "Call +49 170 1234567",
        "0900-123-456",
    ] {
        assert_eq!(called(Some(link), None, "u"), None, "{link}");
    }
    // Without a first name the whole name counts, and without any the username.
    assert_eq!(called(None, Some("Adler"), "ada").as_deref(), Some("Adler"));
    assert_eq!(called(None, None, "ada").as_deref(), Some("ada"));
    assert_eq!(called(None, None, "ada@example.com"), None);
    assert_eq!(called(None, Some("evil.com"), "ada"), None);
}

#[test]
fn what_went_to_a_recipient_is_forgotten_after_a_day() {
    let recipient = reached(&with_email("ann@example.com"));
    let one = RecipientHistory::with_one_more(None, &recipient, at(0)).unwrap().after;
    let two = RecipientHistory::with_one_more(Some(one), &recipient, at(1)).unwrap().after;
    let day = 24 * 60;
    let later = RecipientHistory::with_one_more(Some(RecipientHistory { version: 7, ..two }), &recipient, at(day))
        .unwrap()
        .after;
    assert_eq!((later.at, later.version), (vec![at(1), at(day)], 7));
}

#[test]
fn all_runs_together_send_as_fast_as_each_channels_rate_allows_and_no_faster() {
    for (emails_per_second, texts_per_second, runs) in [(14, 20, 14), (1, 20, 2), (200, 20, 200), (3, 1, 3)] {
        let rates = SendingRates { emails_per_second, texts_per_second };
        assert_eq!(rates.runs(), runs);
        for (channel, rate) in [(Channel::Email, emails_per_second), (Channel::Sms, texts_per_second)] {
            let time = rates.time_per_message(&channel);
            let sent_in = |time: Duration| f64::from(runs) * 1000.0 / time.num_milliseconds() as f64;
            assert!(sent_in(time) <= f64::from(rate), "{rates:?} {channel:?}");
            assert!(sent_in(time - Duration::milliseconds(1)) > f64::from(rate) || rate == 1, "{rates:?} {channel:?}");
        }
    }
    // Beyond, SNS throttles texts.
    let slow = SendingRates { emails_per_second: 200, texts_per_second: 1 };
    assert_eq!(slow.time_per_message(&Channel::Sms), Duration::seconds(10));
}
