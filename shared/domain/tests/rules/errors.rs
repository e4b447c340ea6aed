//! What people and programs are told of a refusal.

use domain::error::{DomainError, HeldDevice};
use domain::error::{MessageLimit, RetryAfter};
use domain::input::{FieldError, Fields};
use domain::limits::BODY_LIMIT;
use domain::search::Query;

use crate::common::at;
use crate::fixture::Fixture;

#[test]
fn a_refusal_says_in_whole_sentences_how_many_of_what() {
    let devices =
        |count: u32| -> Vec<HeldDevice> { Fixture::with_phones(count).held().iter().map(HeldDevice::from).collect() };
    let faults = |count: usize| vec![FieldError::new("a", "taken", "is taken"); count];
    let too_large = format!("The body is larger than {} KiB.", BODY_LIMIT / 1024);
    for (error, sentence) in [
        (DomainError::TooLarge, too_large.as_str()),
        (DomainError::Invalid(faults(1)), "One field is invalid."),
        (DomainError::Invalid(faults(2)), "2 fields are invalid."),
        (
            DomainError::WipeFirst(devices(1)),
            "1 device of the user was never wiped. Wipe it first, or delete without a wipe and give a reason.",
        ),
        (
            DomainError::WipeFirst(devices(2)),
            "2 devices of the user were never wiped. Wipe them first, or delete without a wipe and give a reason.",
        ),
    ] {
        assert_eq!(error.to_string(), sentence);
    }
}

#[test]
fn each_limit_of_messages_has_a_code_and_a_sentence_of_its_own() {
    let error = |limit| DomainError::TooManyMessages(RetryAfter::new(limit, at(1), at(0)));
    let [one, all] = [MessageLimit::Recipient, MessageLimit::Workspace].map(error);
    assert_eq!((one.code(), all.code()), ("too_many_messages".to_owned(), "daily_quota_reached".to_owned()));
    assert!(one.to_string().contains("one such message a minute") && all.to_string().contains("today"));
    assert_eq!(DomainError::UserDeleted.code(), "user_deleted");
}

#[test]
fn what_is_searched_for_holds_a_letter_or_a_digit() {
    let read = |text: &str| {
        let mut fields = Fields::from_query(vec![("search".to_owned(), text.to_owned())]);
        let query = Query::read(&mut fields);
        (query, fields.finish().err().unwrap_or_default().first().map(|fault| fault.code))
    };
    assert_eq!(read("Zoë"), (Query::parse("zoe"), None));
    assert_eq!(read("--"), (None, Some("invalid_format")));
    assert_eq!(read(""), (None, None));
}
