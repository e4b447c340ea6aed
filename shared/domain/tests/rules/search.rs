//! Finding users as one types.

use domain::models::user::User;
use domain::search::{Query, WORD_LIMIT};
use proptest::prelude::*;

use crate::common::user;

fn finds(typed: &str, user: &User) -> bool {
    Query::parse(typed).is_some_and(|query| query.matches(&user.search_words()))
}

#[test]
fn a_user_is_found_by_the_beginning_of_any_word_whatever_its_capitals_and_accents() {
    let user = User {
        username: "z.angstrom".to_owned(),
        first_name: Some("Zoë Marie".to_owned()),
        last_name: Some("Ångström-O'Neil".to_owned()),
        email: Some("zoe@clinic.example.com".to_owned()),
        number: Some("*21# 4711".to_owned()),
        ..user()
    };
    for typed in ["zo", "MARIE", "ang", "Ångström", "o'neil", "z.ang", "clin", "zoe@clinic", "marie ång", "4711"] {
        assert!(finds(typed, &user), "{typed}");
    }
    for typed in ["oe", "zoe bob", "linic", "4712", "zoez"] {
        assert!(!finds(typed, &user), "{typed}");
    }
}

#[test]
fn a_mobile_number_is_found_as_it_is_typed_with_or_without_its_plus_and_spaces() {
    let user = User { number: Some("030 / 90 18-20".to_owned()), ..user() };
    for typed in ["+49", "49170", "+49 170", "49 170 12", "+49 (170) 123-45 67", "+491701234567", "030", "03090 18"] {
        assert!(finds(typed, &user), "{typed}");
    }
    assert!(!finds("+49 171", &user) && !finds("+491701234567 8", &user));
}

#[test]
fn a_username_of_digits_is_found_as_it_is_written() {
    let user = User { username: "0815-47.11".to_owned(), ..user() };
    for typed in ["0815", "0815-", "0815-4", "0815-47.11", "08154711", "47"] {
        assert!(finds(typed, &user), "{typed}");
    }
}

/// A name of as many words as fit.
fn crowded(letter: char) -> Option<String> {
    let words: Vec<String> = (0..16).map(|n| format!("{letter}{n}")).collect();
    Some(words.join(" "))
}

#[test]
fn a_name_of_many_words_never_crowds_out_the_numbers_or_the_username() {
    let user = User {
        first_name: crowded('f'),
        last_name: crowded('l'),
        username: "grace.hopper".to_owned(),
        number: Some("4711".to_owned()),
        ..user()
    };
    assert_eq!(user.search_words().len(), WORD_LIMIT);
    for typed in ["+49 170 1234567", "4711", "grace", "hopper", "grace.hopper"] {
        assert!(finds(typed, &user), "{typed}");
    }
}

proptest! {
    #[test]
    fn whatever_a_user_is_called_they_have_few_words_and_are_found_by_number_and_username(
        username in "[a-z0-9]{1,12}([.-][a-z0-9]{1,8}){0,3}",
        first_name in prop::option::of("\\PC{1,64}"),
        last_name in prop::option::of("([a-zé]{1,3} ){0,20}[a-z]"),
        cut in 1..12usize,
    ) {
        let user = User { username: username.clone(), first_name, last_name, ..user() };
        let words = user.search_words();
        prop_assert!(words.len() <= WORD_LIMIT);
        let mobile = user.mobile.unwrap();
        for typed in [&mobile[..=cut], &mobile[1..=cut], username.as_str()] {
            let query = Query::parse(typed).unwrap();
            prop_assert!(query.matches(&words), "{} in {:?}", typed, words);
            prop_assert!(query.first_match(&words).is_some());
        }
    }
}

#[test]
fn what_is_looked_up_is_the_longest_word_and_a_thing_is_listed_under_the_first_that_it_finds() {
    let query = Query::parse("an adler 4").unwrap();
    assert_eq!(query.leading(), "adler");
    let words = ["adlerberg", "adlers", "anna", "zadler"].map(str::to_owned).into();
    assert_eq!(query.first_match(&words), Some("adlerberg"));
    assert_eq!(Query::parse("x").unwrap().first_match(&words), None);
    assert_eq!(Query::parse("+49 170").unwrap().leading(), "49170");
}
