//! What is taken out as comma-separated values.

use std::borrow::Cow;

use domain::input::Fields;
use domain::models::event::EventType;
use domain::rules::exports::{Choice, IDS_LIMIT, both, given_out, harmless};
use proptest::prelude::*;
use serde_json::json;

use crate::common::{context, named};

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
        "-1",
        "-2+3+cmd|' /C calc'!A0",
        "@SUM(1+1)",
        "\n",
        "\tx",
        "＝1",
        "＋1",
        "－1",
        "＠x",
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
    // After what a spreadsheet passes over, and after every sign by which one may separate cells.
    let within = [
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        (" =1", " '=1"),
        (" +491701234567", " '+491701234567"),
        ("\u{A0}=1", "\u{A0}'=1"),
        ("\u{3000}\u{FEFF}@x", "\u{3000}\u{FEFF}'@x"),
        ("\u{200B}=1", "\u{200B}'=1"),
        ("\u{AD}=1", "\u{AD}'=1"),
        ("\u{0}=1", "\u{0}'=1"),
        (" ＝1", " '＝1"),
        ("+491701234567\n=1", "'+491701234567\n'=1"),
        ("x;=cmd|' /C calc'!A0;y", "x;'=cmd|' /C calc'!A0;y"),
        ("=1+1;=2", "'=1+1;'=2"),
        ("x,=1", "x,'=1"),
        ("x\t=1", "x\t'=1"),
        ("x|-1", "x|'-1"),
        ("x\n@SUM(A1)", "x\n'@SUM(A1)"),
        ("x\r\n=1", "x\r\n'=1"),
        ("x; \u{200B} =1", "x; \u{200B} '=1"),
        ("x;\"=1\";y", "x;\"'=1\";y"),
        ("x;\"\"=1", "x;\"\"'=1"),
        ("x;;=1", "x;;'=1"),
        ("x;＝1", "x;'＝1"),
        ("x;+49 170 1234567", "x;'+49 170 1234567"),
        ("{\"a\":[\"b\",\"-c\"]}", "{\"a\":[\"b\",\"'-c\"]}"),
        ("x =cmd|' /C calc'!A0", "x '=cmd|' /C calc'!A0"),
        ("x @SUM(A1:A9) y", "x '@SUM(A1:A9) y"),
        ("x \"=A1\"", "x \"'=A1\""),
    ];
    for (cell, wanted) in within {
        assert_eq!(harmless(cell), wanted, "{cell:?}");
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
        "Jean - Paul",
        "a => b",
        "call +49 170 1234567 or -5",
        "x;'=1",
        "a;b,c|d",
        "Smith, Ann",
    ];
    for cell in stays {
        assert!(matches!(harmless(cell), Cow::Borrowed(same) if same == cell), "{cell:?}");
    }
}

/// What is left of a cell once a spreadsheet has taken off what it does not show, and quotes.
fn shown(cell: &str) -> &str {
    let unseen = |c: char| c == '\u{FEFF}' || c == '\u{200B}' || c == '"';
    cell.trim_start_matches(|c: char| c.is_whitespace() || c.is_control() || unseen(c))
}

proptest! {
    #[test]
    fn no_cell_begins_as_a_formula_wherever_a_spreadsheet_separates_and_none_loses_anything(
        cell in "[ \t\r\n\u{A0}\u{FEFF}=+@＝＋－＠\\-0-9a-z()*#.,;|\"]{0,12}|\\PC{0,8}"
    ) {
        let made = harmless(&cell);
        let number = |text: &str| text.starts_with('+') && text.len() > 3 && text[1..].chars().all(|c| c.is_ascii_digit() || " *#-()./".contains(c));
        for pieces in [',', ';', '|', '\t', '\n', '\r'].map(|separator| made.split(separator)) {
            // Quotes at the very beginning are written as quotes.
            for piece in pieces.filter(|piece| !made.starts_with(piece) || !piece.trim_start().starts_with('"')) {
                let formula = shown(piece).starts_with(|c| "=+-@＝＋－＠".contains(c));
                prop_assert!(!formula || number(&made), "{made:?}");
            }
        }
        // Nothing else is changed, and twice does no more than once.
        let bare = |text: &str| text.replace('\'', "");
        prop_assert_eq!(bare(&made), bare(&cell));
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
    let mut fields = Fields::from_query(pairs);
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
    let many: Vec<String> = (0..=IDS_LIMIT).map(|at| format!("id{at}")).collect();
    assert_eq!(choice(&[("ids", &many.join(","))]).unwrap_err(), [("ids".to_owned(), "too_many")]);
}

#[test]
fn the_record_of_an_export_says_what_and_how_many_and_names_nobody() {
    let chosen = choice(&[("columns", "email"), ("ids", "id1,id2")]).unwrap();
    let event = given_out("users", &chosen, &[], true, &context(1));
    let after: Vec<_> = event.changes.iter().map(|(name, change)| (name.as_str(), change.after.clone())).collect();
    assert_eq!(after, [("columns", json!(["email"])), ("ids", json!(2)), ("kind", json!("users"))]);
    let all = given_out("events", &choice(&[]).unwrap(), &["since".to_owned()], true, &context(1));
    assert_eq!(all.changes["filters"].after, json!(["since"]));
    assert!(!all.changes.contains_key("ids"));
}

#[test]
fn a_filter_beside_named_things_is_a_fault_each() {
    let faults = both(&["status".to_owned(), "search".to_owned()]);
    assert_eq!(named(&faults), ["status", "search"].map(|field| (field.to_owned(), "too_many")));
    assert_eq!(both(&[]), []);
    let most: Vec<String> = (0..IDS_LIMIT).map(|at| format!("id{at}")).collect();
    assert_eq!(choice(&[("ids", &most.join(","))]).unwrap().ids, Some(most), "so many may be named");
}

#[test]
fn an_export_that_goes_on_is_recorded_as_that() {
    let all = choice(&[]).unwrap();
    let kinds = [true, false].map(|first| given_out("users", &all, &[], first, &context(1)).event_type);
    assert_eq!(kinds, [EventType::ExportStarted, EventType::ExportContinued]);
}
