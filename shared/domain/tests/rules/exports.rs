//! What is taken out as comma-separated values.

use std::borrow::Cow;

use domain::export::{Choice, NAMED_LIMIT, given_out, harmless};
use domain::input::Fields;
use proptest::prelude::*;
use serde_json::json;

use crate::common::{act, named};

#[test]
fn what_would_run_as_a_formula_gets_an_apostrophe_and_a_telephone_number_stays() {
    let runs = [
        "=1+1",
        "=cmd|' /C calc'!A0",
        "+1+1",
        "+1-1",
        "+SUM(A1:A9)",
        "+49170=1",
        "+49 170 12+34",
        "+491701234567\n=1",
        "-1",
        "-2+3+cmd|' /C calc'!A0",
        "@SUM(1+1)",
        "\t=1",
        "\r=1",
        "\n",
        "\tx",
        " =1",
        " +491701234567",
        "\u{A0}=1",
        "\u{3000}\u{FEFF}@x",
        "\u{200B}=1",
        "\u{0}=1",
        "＝1",
        "＋1",
        "－1",
        "＠x",
        " ＝1",
        "﹢49",
        "+",
        "=",
        "-",
        "@",
        "+x491701234567",
        "+12",
    ];
    for cell in runs {
        assert_eq!(harmless(cell), format!("'{cell}"), "{cell:?}");
    }
    let stays = [
        "",
        "Ada",
        "Zoë Ångström",
        "+491701234567",
        "+49 (170) 123-45.67/8",
        "+(49) 170",
        "+4711",
        "*21#",
        "*21*+491701234567#",
        "#31#0170",
        "0170 1234567",
        "(0170) 123",
        "a=1",
        "1-2",
        "ada@example.com",
        "'=1",
        "\"=1\"",
        "2026-11-23T08:00:00.000Z",
        "{\"a\":1}",
        " Ada",
    ];
    for cell in stays {
        assert!(matches!(harmless(cell), Cow::Borrowed(same) if same == cell), "{cell:?}");
    }
}

/// What is left of a cell once a spreadsheet has taken off what it does not show.
fn shown(cell: &str) -> &str {
    cell.trim_start_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\u{FEFF}' || c == '\u{200B}')
}

proptest! {
    #[test]
    fn no_cell_begins_as_a_formula_and_none_loses_anything(cell in "[ \t\r\n\u{A0}\u{FEFF}=+@＝＋－＠\\-0-9a-z()*#.]{0,12}|\\PC{0,8}") {
        let made = harmless(&cell);
        let marked = format!("'{cell}");
        prop_assert!(made == cell || made == marked);
        let number = |text: &str| text.len() > 3 && text[1..].chars().all(|c| c.is_ascii_digit() || " *#-()./".contains(c));
        let begins = shown(&made).chars().next();
        let formula = begins.is_some_and(|c| "=+-@＝＋－＠".contains(c));
        prop_assert!(!formula || (made.starts_with('+') && number(&made)), "{made:?}");
        // Twice does no more than once.
        prop_assert_eq!(harmless(&made), made.as_ref());
    }

    #[test]
    fn every_number_with_its_country_stays_what_it_is(number in "\\+[1-9][0-9]{6,14}", spaced in "\\+[1-9][0-9]( ?[0-9]{2,4}){2,4}") {
        prop_assert_eq!(harmless(&number), number.as_str());
        prop_assert_eq!(harmless(&spaced), spaced.as_str());
    }
}

const KNOWN: [&str; 3] = ["user_id", "email", "number"];

fn choice(query: &[(&str, &str)]) -> Result<Choice, Vec<(String, &'static str)>> {
    let pairs = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut fields = Fields::of_query(pairs);
    let choice = Choice::read(&mut fields, &KNOWN, |id| id.starts_with("id"));
    fields.finish().map(|()| choice).map_err(|faults| named(&faults))
}

#[test]
fn columns_are_all_or_those_that_were_chosen_in_their_order() {
    assert_eq!(choice(&[]).unwrap(), Choice { columns: KNOWN.to_vec(), ids: None });
    let some = choice(&[("columns", "number, user_id"), ("ids", "id1,id2")]).unwrap();
    assert_eq!(some.columns, ["number", "user_id"]);
    assert_eq!(some.ids.unwrap(), ["id1", "id2"]);
    let faults = choice(&[("columns", "x,email,email,y"), ("ids", "id1,x,id1")]).unwrap_err();
    let expected = [
        ("columns.0", "unknown_value"),
        ("columns.2", "repeated"),
        ("columns.3", "unknown_value"),
        ("ids", "repeated"),
        ("ids.1", "invalid_format"),
    ];
    assert_eq!(faults, expected.map(|(field, code)| (field.to_owned(), code)));
    let many: Vec<String> = (0..=NAMED_LIMIT).map(|at| format!("id{at}")).collect();
    assert_eq!(choice(&[("ids", &many.join(","))]).unwrap_err(), [("ids".to_owned(), "too_many")]);
}

#[test]
fn the_record_of_an_export_says_what_and_how_many_and_names_nobody() {
    let chosen = choice(&[("columns", "email"), ("ids", "id1,id2")]).unwrap();
    let event = given_out("users", &chosen, &[], true, &act(1));
    let after: Vec<_> = event.changes.iter().map(|(name, change)| (name.as_str(), change.after.clone())).collect();
    assert_eq!(after, [("columns", json!(["email"])), ("ids", json!(2)), ("kind", json!("users"))]);
    let all = given_out("events", &choice(&[]).unwrap(), &["since".to_owned()], true, &act(1));
    assert_eq!(all.changes["filters"].after, json!(["since"]));
    assert!(!all.changes.contains_key("ids"));
}
