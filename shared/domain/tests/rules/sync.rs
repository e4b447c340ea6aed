//! Usernames that a source hands on from one user to another: who gives one up, and what they are called meanwhile.

use domain::models::event::EventType;
use domain::models::provenance::Field;
use domain::models::restriction::Restriction;
use domain::models::source::DataSource;
use domain::models::source::data::{KeyHash, Row};
use domain::models::user::{NewUser, User, UserEdit};
use domain::rules::change::{ChangeSet, RowChange};
use domain::rules::lifecycle;
use domain::rules::sync::{
    MatchCandidates, changed_fields, concerns_phones, edit_of, has_row_of, holder_of_username, is_adopted, is_renamed,
    may_be_renamed, owner, park, release_username, row_takes_username, without,
};
use domain::{DomainError, SourceId, UserId};
use serde_json::json;
use uuid::Uuid;

use crate::common::{context, faults, fields, user};
use crate::sources::{by_hand, new_id, of_source, page, people, row, rows, types};

/// A source that calls its users by names of its own.
fn named_set() -> DataSource {
    page("")
}

fn line(login: &str, id: &str) -> Row {
    rows(&named_set(), &json!([{"login": login, "id": id}]).to_string()).rows.remove(0)
}

fn person(number: u128, login: &str, id: &str) -> User {
    let user_id = UserId(Uuid::from_u128(number));
    domain::rules::sync::create(&named_set(), &line(login, id), user_id, &context(0)).user.unwrap().after
}

fn gone(user: &User) -> User {
    lifecycle::delete(user, &[], &[], &deletion(), &context(1)).unwrap().unwrap().user.unwrap().after
}

fn deletion() -> lifecycle::Deletion {
    lifecycle::Deletion { without_wipe: true, reason: None, retention: chrono::Duration::days(30) }
}

#[test]
fn a_rows_owner_is_whom_its_source_knows_by_its_key_and_whoever_else_has_its_name_is_in_the_way() {
    let [own, other, former] = [person(1, "ada", "E-1"), person(2, "bea", "E-2"), person(3, "cleo", "E-3")];
    let found = |id: Option<&User>, name: Option<&User>, source_name: Option<&User>| MatchCandidates {
        by_external_id: id.cloned(),
        by_username: name.cloned(),
        by_source_username: source_name.cloned(),
        ..MatchCandidates::default()
    };
    let (by_id, by_name) = (named_set(), people());
    let all = found(Some(&own), Some(&other), Some(&former));
    assert_eq!((owner(&by_id, &all), holder_of_username(&by_id, &all)), (Some(&own), Some(&other)));
    assert_eq!((owner(&by_name, &all), holder_of_username(&by_name, &all)), (Some(&former), Some(&other)));
    let renamed = found(Some(&own), Some(&own), Some(&former));
    assert_eq!(holder_of_username(&by_id, &renamed), Some(&former), "whom the source knew by it");
    let nobody = found(Some(&own), Some(&own), None);
    assert_eq!(holder_of_username(&by_id, &nobody), None, "nobody is in their own way");
    let left = found(Some(&gone(&own)), Some(&gone(&other)), None);
    assert_eq!((owner(&by_id, &left), holder_of_username(&by_id, &left)), (None, None), "who is deleted has no name");
    assert_eq!((owner(&by_name, &nobody), holder_of_username(&by_name, &nobody)), (None, Some(&own)));

    let held = MatchCandidates { other_source: Some(SourceId(Uuid::from_u128(9))), has_other_row: true, ..all.clone() };
    assert_eq!(without(&held, &other), found(Some(&own), None, Some(&former)));
    assert_eq!(without(&held, &former), found(Some(&own), Some(&other), None));
    assert_eq!(without(&held, &own), all, "a user's own row still means them");
}

#[test]
fn a_user_gives_up_a_name_that_their_own_row_takes_from_them() {
    let source = named_set();
    let ada = person(1, "ada", "E-1");
    let gives = |user: &User, login: &str, name: &str| row_takes_username(&source, user, &line(login, "E-1"), name);
    assert!(gives(&ada, "bea", "ada") && gives(&ada, "bea", "ADA"));
    assert!(!gives(&ada, "ada", "ada") && !gives(&ada, "ADA", "ada"), "it is still theirs");
    assert!(gives(&ada, "bea", "cleo"), "they have not got it any more, though the source knew them by it");
    let held = by_hand(&by_hand(&ada, "other"), "ada");
    assert!(!may_be_renamed(&held) && may_be_renamed(&ada));
    assert!(!gives(&held, "bea", "ada"), "what was set by hand stays");
    assert!(gives(&held, "bea", "cleo"));
    let mut foreign = ada.clone();
    foreign.provenance.source_id = Some(SourceId(Uuid::from_u128(8)));
    for other in [foreign, gone(&ada), user()] {
        assert!(!gives(&other, "bea", "ada") && !gives(&other, "bea", "cleo"), "{other:?}");
    }
}

#[test]
fn a_row_concerns_phones_if_it_renames_its_user_or_lifts_a_suspension() {
    let source = people();
    let ada = of_source(&source, "ada,Ada,,");
    let [same, renames, edits] = ["ada,Ada,,", "bea,Ada,,", "Ada,Bea,,1"].map(|text| row(&source, text));
    let told = |user: &User, row: &Row| (is_renamed(&source, user, row), concerns_phones(&source, user, row));
    assert_eq!((told(&ada, &same), told(&ada, &edits)), ((false, false), (false, false)));
    assert_eq!(told(&ada, &renames), (true, true));
    assert_eq!((is_adopted(&source, &ada), is_adopted(&source, &user())), (false, true));
    assert_eq!(told(&user(), &renames), (false, false), "who is taken in keeps their name");
    let hold = Some(Restriction { at: context(0).at, by: context(0).actor, reason: None });
    assert_eq!(told(&User { suspended_by_source: hold.clone(), ..ada.clone() }, &same), (false, true));
    assert_eq!(told(&User { suspended: hold, ..ada }, &same), (false, false), "an admin's is not the row's to lift");
}

#[test]
fn a_user_between_two_names_has_one_that_nobody_else_can_have() {
    let source = named_set();
    let ada = person(1, "ada", "E-1");
    let mut event = context(2).event(EventType::UserUpdated).with_user(ada.user_id);
    event.source_id = Some(source.source_id);
    event.add_changed_field("username");
    let parked = User { username: "ada (renaming 000000000001)".to_owned(), ..ada.clone() };
    let change = ChangeSet { user: Some(RowChange::from(ada.clone(), parked.clone())), ..ChangeSet::with_event(event) };
    assert_eq!(park(&source, &ada, &context(2)), Some(change));
    assert_eq!(park(&source, &parked, &context(3)), None, "once");
    assert_eq!(park(&source, &gone(&ada), &context(2)), None);
    let typed = NewUser::read(fields(json!({"username": parked.username})));
    assert_eq!(faults(typed), [("username".to_owned(), "invalid_format")]);
}

#[test]
fn a_user_without_a_row_leaves_their_name_to_the_row_that_has_it() {
    let source = named_set();
    let leaves = |user: &User, name: &str| release_username(&source, user, name, &[], &new_id, &context(2));
    let ada = person(0xabc, "ada", "E-1");
    let change = leaves(&ada, "Ada").unwrap().unwrap();
    assert_eq!(change.user_after().unwrap().username, "ada.left-000000000abc");
    assert!(change.user_after().unwrap().provenance.by_hand.is_empty(), "nobody did it by hand");
    assert_eq!(change.user_after().unwrap().provenance.source_username, None, "the source does not know them by it");
    assert_eq!(
        (types(&change.events), change.events[0].source_id),
        (vec![EventType::UserUpdated], Some(source.source_id))
    );
    let long = leaves(&person(1, &"x".repeat(64), "E-1"), &"x".repeat(64)).unwrap().unwrap();
    assert_eq!(long.user_after().unwrap().username, format!("{}.left-000000000001", "x".repeat(40)));
    let spaced = User { username: "ada b".to_owned(), ..ada.clone() };
    let change = leaves(&spaced, "ada b").unwrap().unwrap();
    assert_eq!(change.user_after().unwrap().username, "adab.left-000000000abc");

    let renamed = by_hand(&ada, "bea");
    assert_eq!(renamed.provenance.source_username.as_deref(), Some("ada"));
    let change = leaves(&renamed, "ada").unwrap().unwrap();
    let mut after = renamed.clone();
    after.provenance.source_username = None;
    assert_eq!(change.user, Some(RowChange::from(renamed, after.clone())), "they keep the name that they have");
    assert_eq!(change.events[0].changed_fields, ["source_username"]);
    assert_eq!(
        (types(&change.events), change.events[0].source_id),
        (vec![EventType::UserUpdated], Some(source.source_id))
    );
    assert_eq!(leaves(&after, "ada"), Ok(None), "they have given it up already");
    assert_eq!(leaves(&gone(&ada), "ada"), Err(DomainError::UserDeleted));
}

#[test]
fn a_source_has_a_row_of_a_username_whatever_its_key() {
    let keys = |source: &DataSource, text: &str| -> Vec<KeyHash> { rows(source, text).keys };
    for keys in [
        keys(&people(), "login,first,mail,ext\nada,,,\ncleo,,,\n"),
        keys(&named_set(), r#"[{"login": "ada", "id": "E-1"}, {"login": "cleo", "id": "E-3"}]"#),
    ] {
        assert!(has_row_of("ada", &keys) && has_row_of("CLEO", &keys) && !has_row_of("bea", &keys));
    }
    assert!(!has_row_of("ada", &[]));
}

#[test]
fn the_fields_that_a_change_changes_are_named_and_a_new_users_are_all_that_they_have() {
    let (source, ada) = (named_set(), person(1, "ada", "E-1"));
    let edit = UserEdit { email: Some(Some("a@example.com".to_owned())), ..edit_of(&line("bea", "E-1")) };
    let edited = lifecycle::update(&ada, &[], &edit, &new_id, &context(1)).unwrap().unwrap();
    assert_eq!(changed_fields(&edited), ["username", "email"]);
    let created = domain::rules::sync::create(&source, &line("ada", "E-1"), ada.user_id, &context(0));
    assert_eq!(changed_fields(&created), ["username", "external_id"]);
    let mut called = ada.clone();
    called.provenance.external_id = Some("E-2".to_owned());
    let change = ChangeSet { user: Some(RowChange::from(ada.clone(), called)), ..ChangeSet::default() };
    assert_eq!(changed_fields(&change), ["external_id"]);
    let same = ChangeSet { user: Some(RowChange::from(ada.clone(), ada.clone())), ..ChangeSet::default() };
    assert_eq!((changed_fields(&same), changed_fields(&ChangeSet::default())), (vec![], vec![]));
    assert!(!ada.provenance.by_hand.contains(&Field::Username));
}
