//! Sources: what is read of them, whom a row means, and what becomes of users with and without one.

use domain::models::event::{Event, EventType};
use domain::models::job::ItemChange;
use domain::models::provenance::Field;
use domain::models::source::data::{PAGE_LIMIT, Row, Rows, comparison_marker, key_hash, read};
use domain::models::source::{
    DataSource, Delimiter, KeyField, Part, SourceKind, SourceSettings, SyncRequest, TokenChange, VanishPolicy,
};
use domain::models::user::{Source, User, UserEdit};
use domain::rules::lifecycle;
use domain::rules::sync::{
    MatchCandidates, MatchedUser, apply, create, has_row, has_vanished, match_user, too_many_vanish, vanish,
};
use domain::{CommandId, DomainError, JobId, SourceId, UserId};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{at, context, faults, fields, user};

fn source_of(kind: SourceKind, body: Value) -> DataSource {
    let mut fields = fields(body);
    let settings = SourceSettings::read_new(&mut fields, kind, &[]);
    fields.finish().unwrap();
    DataSource::create(kind, SourceId(Uuid::from_u128(7)), settings, &context(0)).0
}

fn file(mapping: &Value) -> DataSource {
    source_of(SourceKind::Csv, json!({"name": "File", "mapping": mapping}))
}

pub fn page(items: &str) -> DataSource {
    let body = json!({"name": "HR", "mapping": {"username": "login", "number": "/ext/0", "external_id": "id"},
        "url": "https://hr.example.com/", "format": "json", "items": items, "key_field": "external_id", "token": "t"});
    source_of(SourceKind::Http, body)
}

pub fn people() -> DataSource {
    file(&json!({"username": "login", "first_name": "first", "email": "mail", "number": "ext"}))
}

pub fn rows(source: &DataSource, text: &str) -> Rows {
    read(source, text.as_bytes()).unwrap()
}

fn garbage(source: &DataSource, bytes: &[u8]) -> &'static str {
    read(source, bytes).unwrap_err().code
}

pub fn row(source: &DataSource, line: &str) -> Row {
    let mut read = rows(source, &format!("login,first,mail,ext\n{line}\n"));
    let row = read.rows.remove(0);
    assert_eq!(row.faults, []);
    row
}

#[test]
fn a_file_is_read_whatever_its_line_ends_quotes_and_marks_and_lines_are_counted_as_editors_count() {
    let source = people();
    for text in [
        "login,first,mail,ext\nada,\"Ada, \"\"A\"\"\",,1\n\nbob,Bob,,2",
        "\u{feff}login,first,mail,ext\r\nada,\"Ada, \"\"A\"\"\",,1\r\n\r\nbob,Bob,,2\r\n",
        "ext,mail,first,login,other\n1,,\"Ada, \"\"A\"\"\",ada,x\n\n2,,Bob,bob,x\n",
        "login,first,mail,ext\rada,\"Ada, \"\"A\"\"\",,1\r\rbob,Bob,,2\r",
    ] {
        let read = rows(&source, text);
        let lines: Vec<(u32, &str, Option<&str>)> =
            read.rows.iter().map(|row| (row.line, row.username(), row.value("first_name"))).collect();
        assert_eq!(lines, [(2, "ada", Some("Ada, \"A\"")), (4, "bob", Some("Bob"))], "{text:?}");
        assert!(read.rows.iter().all(|row| row.values.contains_key("email") && row.value("email").is_none()));
        assert_eq!((read.keys.len(), read.nameless), (2, 0));
    }
    let semicolons = DataSource { delimiter: Delimiter::Semicolon, ..people() };
    assert_eq!(rows(&semicolons, "login;first;mail;ext\nada;A,B;;\n").rows[0].value("first_name"), Some("A,B"));
    // A quote that opens no cell is one.
    assert_eq!(rows(&source, "login,first,mail,ext\nada,5\" pipe,,1\n").rows[0].value("first_name"), Some("5\" pipe"));
    // A cell of two lines.
    let read = rows(&people(), "login,first,mail,ext\r\nada,\"A\r\nB\",,\r\nbob,,,\r\n");
    assert_eq!((read.rows[0].line, read.rows[1].line), (2, 4));
    assert_eq!(
        (read.rows[0].faults[0].field.as_str(), read.rows[0].faults[0].code.as_str()),
        ("first_name", "control_character")
    );
}

#[test]
fn a_row_of_empty_cells_is_an_empty_line_whatever_the_emptiness_is_made_of() {
    let source = people();
    let empty = [
        ",,,",
        "\"\",\"\",,",
        " , ,\t,",
        "\u{a0},\u{3000},,",
        "\u{feff},,,",
        "\u{200b},\u{ad},\u{2060},\u{3164}",
        ",",
        ",,,,,,",
        "   ",
        "\"\"",
        "\u{a0}",
        "\u{1a}",
        "\u{2800},,,\u{0}",
        // As programs write an empty text in quotes of their own.
        "\"\"\"\",,,",
        "'',\"=\"\"\"\"\",\u{fffc},",
    ];
    for line in empty {
        for text in [
            format!("login,first,mail,ext\nada,Ada,,1\n{line}\nbob,Bob,,2\n{line}\n"),
            format!("login,first,mail,ext\r\n{line}\r\nada,Ada,,1\r\nbob,Bob,,2\r\n{line}"),
        ] {
            let read = rows(&source, &text);
            let users: Vec<&str> = read.rows.iter().map(Row::username).collect();
            assert_eq!((users, read.nameless, read.keys.len()), (vec!["ada", "bob"], 0, 2), "{text:?}");
            assert_eq!(read.rows[1].line, 4, "and the lines are counted all the same");
        }
        assert_eq!(garbage(&source, format!("login,first,mail,ext\n{line}\n").as_bytes()), "empty", "{line:?}");
    }
    let text = r#"{"people": [{"login": "ada", "id": 7}, {}, {"login": "", "id": null}, null, {"login": "\u00a0\u200b", "x": {"y": [" "]}}, {"login": "bob", "id": 8}]}"#;
    let read = rows(&page("/people"), text);
    let lines: Vec<(u32, &str)> = read.rows.iter().map(|row| (row.line, row.username())).collect();
    assert_eq!((lines, read.nameless), (vec![(1, "ada"), (6, "bob")], 0));
    // What holds anything is a row, even if it does not tell whose.
    assert_eq!(rows(&source, "login,first,mail,ext,other\nada,,,,\n,,,,x\n").nameless, 1);
    assert_eq!(rows(&source, "login,first,mail,ext\nada,,,\n,Bob,,\n").nameless, 1);
    assert_eq!(rows(&page("/people"), r#"{"people": [{"id": 7}, {"age": 0}]}"#).nameless, 1);
    // A cell that shows nothing is empty, and takes its field away.
    let read = rows(&source, "login,first,mail,ext\nada,\u{200b},\u{a0},1\n");
    assert_eq!((read.rows[0].faults.len(), read.rows[0].values["first_name"].as_ref()), (0, None));
}

#[test]
fn garbage_and_half_a_file_are_refused_as_a_whole() {
    let (csv, json) = (people(), page("/people"));
    let head = "login,first,mail,ext\n";
    for (text, code) in [
        (String::new(), "column_missing"),
        ("<html>".into(), "column_missing"),
        (head.into(), "empty"),
        (format!("{head}ada,Ada,\n"), "uneven_rows"),
        (format!("{head}ada,Ada,,1,2\n"), "uneven_rows"),
        (format!("{head}ada,\"Ada,,1\n"), "cut_off"),
        (format!("{head}ada,\"Ada\"\",,1\n"), "cut_off"),
        (format!("login,{head}ada,ada,Ada,,1\n"), "column_repeated"),
        (format!("{}\n", "x,".repeat(600)), "too_many_columns"),
        (format!("{head}{}", "a,,,\n".repeat(50_001)), "too_many_rows"),
    ] {
        assert_eq!(garbage(&csv, text.as_bytes()), code, "{text:.60}");
    }
    let many_groups = format!("{{\"people\": [{}{{}}]}}", "{\"\":0},".repeat(200_000));
    let many_values = format!("{{\"people\": [{}0]}}", "0,".repeat(1_200_000));
    for (text, code) in [
        ("", "cut_off"),
        ("{\"people\": [{\"login\": \"ada\"", "cut_off"),
        ("<html>", "not_json"),
        ("{\"people\": [1]}", "not_objects"),
        (many_groups.as_str(), "too_many_values"),
        (many_values.as_str(), "too_many_values"),
        ("{\"people\": []}", "empty"),
        ("{\"people\": {}}", "items_missing"),
        ("[]", "items_missing"),
    ] {
        assert_eq!(garbage(&json, text.as_bytes()), code, "{text:.60}");
    }
    assert_eq!(garbage(&csv, b"login,first,mail,ext\n\xff,,,\n"), "invalid_encoding");
    assert_eq!(garbage(&csv, b"\xff\xfel\0o\0g\0"), "invalid_encoding");
    assert_eq!(garbage(&json, "[".repeat(100_000).as_bytes()), "not_json");
}

#[test]
fn json_gives_texts_numbers_and_what_a_pointer_leads_to() {
    let text = r#"{"people": [{"login": "ada", "id": 7, "ext": [12]}, {"login": "bob", "id": "8", "ext": null},
        {"login": {"a": 1}, "id": true, "ext": [[]]}]}"#;
    let read = rows(&page("/people"), text);
    assert_eq!((read.rows[0].external_id(), read.rows[0].value("number")), (Some("7"), Some("12")));
    assert_eq!((read.rows[1].line, read.rows[1].value("number")), (2, None));
    let told: Vec<&str> = read.rows[2].faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!((told, read.nameless), (vec!["external_id", "number", "username", "username"], 1));
}

#[test]
fn rows_for_the_same_user_are_faults_each_and_say_nothing_of_whom() {
    let read = rows(&people(), "login,first,mail,ext\nAda,,,\nbob,,,\nada,,,\n \u{ff21}DA,,,\n\u{e4}da,,,\n");
    let repeated: Vec<(u32, Vec<&str>)> =
        read.rows.iter().map(|row| (row.line, row.faults.iter().map(|f| f.code.as_str()).collect())).collect();
    let twice = vec!["repeated"];
    assert_eq!(repeated, [(2, twice.clone()), (3, vec![]), (4, twice.clone()), (5, twice), (6, vec![])]);
    assert_eq!(read.rows[0].faults[0].detail, "also appears in rows 4, 5");
    assert!(read.rows[0].values.is_empty(), "what is faulty keeps nothing");
    assert_eq!(read.keys.len(), 3, "and its user has not vanished");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_whatever_make_a_fault_of_ours(bytes in prop::collection::vec(any::<u8>(), 0..300), quotes in "[a\",;\r\n\u{e9}]{0,80}") {
        let _read = (read(&people(), &bytes), read(&page(""), &bytes));
        let _read = read(&people(), format!("login,first,mail,ext\n{quotes}").as_bytes());
        let _read = read(&file(&json!({"username": "login"})), format!("login\n{quotes}").as_bytes());
    }
}

pub fn new_id() -> CommandId {
    CommandId(Uuid::from_u128(5))
}

pub fn types(events: &[Event]) -> Vec<EventType> {
    events.iter().map(|event| event.event_type).collect()
}

pub fn of_source(source: &DataSource, line: &str) -> User {
    create(source, &row(source, line), UserId(Uuid::from_u128(11)), &context(0)).user.unwrap().after
}

fn found(user: &User) -> MatchCandidates {
    MatchCandidates { by_username: Some(user.clone()), ..MatchCandidates::default() }
}

#[test]
fn a_row_means_its_user_or_somebody_new_and_nobody_of_another_source() {
    let source = people();
    let line = row(&source, "ada,Ada,,");
    assert_eq!(match_user(&source, &line, &MatchCandidates::default()), Ok(MatchedUser::New));
    let own = of_source(&source, "ada,Ada,,");
    assert_eq!((own.source, own.provenance.source_id), (Source::Csv, Some(source.source_id)));
    assert_eq!(match_user(&source, &line, &found(&own)), Ok(MatchedUser::User(Box::new(own.clone()))));
    assert_eq!(match_user(&source, &line, &found(&user())), Ok(MatchedUser::User(Box::new(user()))), "made by hand");
    let mut foreign = own;
    foreign.provenance.source_id = Some(SourceId(Uuid::from_u128(8)));
    let held = MatchCandidates { other_source: foreign.provenance.source_id, ..found(&foreign) };
    assert_eq!(match_user(&source, &line, &held), Err(DomainError::HeldByOtherSource));
    assert!(
        matches!(match_user(&source, &line, &found(&foreign)), Ok(MatchedUser::User(_))),
        "the other source is gone"
    );
    let mut pushed = user();
    pushed.source = Source::Scim;
    assert_eq!(match_user(&source, &line, &found(&pushed)), Err(DomainError::HeldByOtherSource));
    let mut named = user();
    named.provenance.external_id = Some("00u1".to_owned());
    assert_eq!(
        match_user(&source, &line, &found(&named)),
        Err(DomainError::HeldByOtherSource),
        "a provider has named them"
    );
    // By a name of the source's own.
    let source = page("");
    let line = rows(&source, r#"[{"login": "ada", "id": "E-1"}]"#).rows.remove(0);
    let named = create(&source, &line, UserId(Uuid::from_u128(11)), &context(0)).user.unwrap().after;
    let both = MatchCandidates { by_external_id: Some(named.clone()), ..MatchCandidates::default() };
    assert_eq!(
        match_user(&source, &line, &both),
        Ok(MatchedUser::User(Box::new(named.clone()))),
        "whatever the username is"
    );
    let taken = MatchCandidates { by_username: Some(user()), ..both };
    assert_eq!(match_user(&source, &line, &taken), Err(DomainError::UsernameTaken));
    let mut other_name = named;
    other_name.provenance.external_id = Some("E-2".to_owned());
    assert_eq!(match_user(&source, &line, &found(&other_name)), Err(DomainError::UsernameTaken));
}

#[test]
fn a_row_changes_what_it_says_but_for_what_was_set_by_hand() {
    let source = people();
    let before = of_source(&source, "ada,Ada,ada@example.com,1");
    let same = row(&source, "ada,Ada,ada@example.com,1");
    assert_eq!(apply(&source, &before, &[], &same, &new_id, &context(1)), Ok(None));
    let other = row(&source, "ada,Bea,,2");
    let (change, called) = apply(&source, &before, &[], &other, &new_id, &context(1)).unwrap().unwrap();
    let after = change.user.unwrap().after;
    assert_eq!((called, after.first_name.as_deref(), after.email.as_deref()), (ItemChange::Updated, Some("Bea"), None));
    assert_eq!((after.last_name.as_deref(), after.number.as_deref()), (None, Some("2")));
    assert_eq!(types(&change.events), [EventType::UserUpdated]);
    assert_eq!(change.events[0].source_id, Some(source.source_id));
    assert!(!change.events[0].to_public_json().to_string().contains("Bea"));
    let by_hand = UserEdit { first_name: Some(Some("By Hand".to_owned())), ..UserEdit::default() };
    let held = lifecycle::update(&before, &[], &by_hand, &new_id, &context(1)).unwrap().unwrap().user.unwrap().after;
    let (change, _) = apply(&source, &held, &[], &other, &new_id, &context(2)).unwrap().unwrap();
    assert_eq!(change.user.unwrap().after.first_name.as_deref(), Some("By Hand"));
    let release = UserEdit { release: [Field::FirstName].into(), ..UserEdit::default() };
    let released = lifecycle::update(&held, &[], &release, &new_id, &context(3)).unwrap().unwrap().user.unwrap().after;
    let (change, _) = apply(&source, &released, &[], &other, &new_id, &context(4)).unwrap().unwrap();
    assert_eq!(change.user.unwrap().after.first_name.as_deref(), Some("Bea"));
}

#[test]
fn a_user_made_by_hand_is_taken_in_with_what_they_have_and_gets_what_they_lack() {
    let source = people();
    let line = row(&source, "ada,Other,other@example.com,4711");
    let (change, called) = apply(&source, &user(), &[], &line, &new_id, &context(1)).unwrap().unwrap();
    let after = change.user.unwrap().after;
    assert_eq!(
        (called, after.source, after.provenance.source_id),
        (ItemChange::Adopted, Source::Csv, Some(source.source_id))
    );
    assert_eq!((after.first_name.as_deref(), after.email.as_deref()), (Some("Ada"), Some("ada@example.com")));
    assert_eq!(after.number.as_deref(), Some("4711"));
    assert_eq!(after.provenance.by_hand, [Field::Email, Field::FirstName].into());
    assert_eq!(apply(&source, &after, &[], &line, &new_id, &context(2)), Ok(None), "once");
}

#[test]
fn whoever_has_no_row_has_vanished_once_and_is_back_as_they_were() {
    let suspends = DataSource { policy: VanishPolicy::Suspend, ..people() };
    let user = of_source(&suspends, "ada,Ada,,");
    let line = row(&suspends, "ada,Ada,,");
    let keys = [key_hash(KeyField::Username, "\u{ff21}DA")];
    assert!(has_row(&suspends, &user, &keys) && !has_vanished(&suspends, &user, &keys));
    assert!(has_vanished(&suspends, &user, &[]));
    // Another name of the same letters is somebody else's; but not where an earlier release, to which they were one,
    // has staged the rows.
    let named = of_source(&suspends, "\u{e4}da,Ada,,");
    let mut staged = vec![key_hash(KeyField::Username, "ada"), comparison_marker()];
    staged.sort_unstable();
    assert!(has_vanished(&suspends, &named, &staged));
    assert!(has_row(&suspends, &named, &[key_hash(KeyField::Username, "ada")]));
    let change = vanish(&suspends, &user, &[], &context(1)).unwrap().unwrap();
    assert_eq!(types(&change.events), [EventType::UserVanished, EventType::UserSuspended]);
    let gone = change.user.unwrap().after;
    assert_eq!((gone.provenance.vanished_at, gone.suspended_by_source.as_ref().unwrap().at), (Some(at(1)), at(1)));
    assert!(!has_vanished(&suspends, &gone, &[]), "once");
    assert_eq!(vanish(&suspends, &gone, &[], &context(2)), Ok(None));
    let (change, called) = apply(&suspends, &gone, &[], &line, &new_id, &context(3)).unwrap().unwrap();
    assert_eq!(
        (called, types(&change.events)),
        (ItemChange::Reappeared, vec![EventType::UserReappeared, EventType::UserActivated])
    );
    assert_eq!(User { version: user.version, ..change.user.unwrap().after }, user, "as they were");
    // An admin has suspended them as well, before or after: that stays.
    let held = lifecycle::suspend(&gone, &[], None, &context(5)).unwrap().unwrap().user.unwrap().after;
    let (change, _) = apply(&suspends, &held, &[], &line, &new_id, &context(6)).unwrap().unwrap();
    assert_eq!(types(&change.events), [EventType::UserReappeared, EventType::UserUpdated]);
    let back = change.user.unwrap().after;
    assert!(back.suspended.is_some() && back.suspended_by_source.is_none());
    let held = lifecycle::suspend(&user, &[], None, &context(5)).unwrap().unwrap().user.unwrap().after;
    let change = vanish(&suspends, &held, &[], &context(6)).unwrap().unwrap();
    assert_eq!(types(&change.events), [EventType::UserVanished, EventType::UserUpdated]);
    let both = change.user.unwrap().after;
    assert!(both.suspended.is_some() && both.suspended_by_source.is_some());
    let active = lifecycle::activate(&both, &[], &context(7)).unwrap().unwrap().user.unwrap().after;
    assert!(!active.is_suspended(), "an admin lifts both");
    let flags = DataSource { policy: VanishPolicy::Flag, ..suspends };
    let flagged = vanish(&flags, &user, &[], &context(7)).unwrap().unwrap().user.unwrap().after;
    assert!(!flagged.is_suspended());
}

#[test]
fn ten_or_more_and_more_than_the_share_do_not_vanish_at_once() {
    let source = people();
    for (vanishing, users, too_many) in
        [(9, 9, false), (10, 10, true), (30, 100, false), (31, 100, true), (10, 34, false)]
    {
        assert_eq!(too_many_vanish(&source, vanishing, users), too_many, "{vanishing} of {users}");
    }
    assert!(!too_many_vanish(&DataSource { vanish_limit_percent: 100, ..source }, 50, 50));
}

#[test]
fn a_token_goes_with_its_host_and_no_event_says_what_it_or_the_url_is() {
    let source = page("");
    let edit = |body: Value| {
        let mut fields = fields(body);
        let edit = SourceSettings::read_edit(&mut fields, &source, &[]);
        fields.finish().unwrap();
        source.update(edit, &context(1)).unwrap()
    };
    assert_eq!(edit(json!({"name": "HR"})), None);
    for (body, token, set) in [
        (json!({"url": "https://hr.example.com/more"}), TokenChange::Unchanged, true),
        (json!({"url": "https://hr.example.com:444/"}), TokenChange::Removed, false),
        (json!({"url": "https://other.example.com/"}), TokenChange::Removed, false),
        (json!({"url": "https://other.example.com/", "token": "new"}), TokenChange::Set("new".into()), true),
        (json!({"token": null}), TokenChange::Removed, false),
    ] {
        let (after, event, change) = edit(body.clone()).unwrap();
        assert_eq!((change, after.page.unwrap().token_set), (token, set), "{body}");
        let told = json!(event).to_string();
        assert!(!told.contains("example.com") && !told.contains("\"new\""), "{told}");
    }
}

#[test]
fn parts_make_a_file_in_any_order_and_a_sync_takes_it_once() {
    let source = people();
    let part = |number, is_last| Part { upload_id: Uuid::from_u128(1), number, is_last };
    let wanted = |dry_run| SyncRequest { job_id: JobId(Uuid::from_u128(4)), user_ids: None, dry_run, may_wipe: false };
    assert_eq!(source.begin_sync(wanted(false), false, &context(0)).unwrap_err(), DomainError::NothingUploaded);
    let one = source.with_part(&part(3, true), at(0)).unwrap();
    assert_eq!(faults(one.with_part(&part(4, false), at(0))), [("last".to_owned(), "conflicting")]);
    assert_eq!(faults(one.with_part(&part(2, true), at(0))), [("last".to_owned(), "conflicting")]);
    let two = one.with_part(&part(1, false), at(0)).unwrap().with_part(&part(1, false), at(0)).unwrap();
    assert!(!two.upload.as_ref().unwrap().is_complete());
    let all = two.with_part(&part(2, false), at(0)).unwrap();
    assert!(all.upload.as_ref().unwrap().is_ready(at(0)));
    assert!(!all.upload.as_ref().unwrap().is_ready(at(2 * 24 * 60)), "not for ever");
    assert_eq!(all.begin_sync(wanted(false), true, &context(0)).unwrap_err(), DomainError::SyncRunning);
    let (tried, _) = all.begin_sync(wanted(true), false, &context(0)).unwrap();
    let (done, change) = tried.begin_sync(wanted(false), false, &context(0)).unwrap();
    assert_eq!(change.job.unwrap().after.cursor.as_deref(), Some(""));
    assert_eq!(done.begin_sync(wanted(false), false, &context(0)).unwrap_err(), DomainError::NothingUploaded);
    let pushed = source_of(SourceKind::Scim, json!({"name": "IdP"}));
    assert_eq!(pushed.begin_sync(wanted(false), false, &context(0)).unwrap_err(), DomainError::SourcePushed);
    assert_eq!(pushed.with_part(&part(1, true), at(0)).unwrap_err(), DomainError::SourceNotUploaded);
}

pub fn by_hand(user: &User, username: &str) -> User {
    let edit = UserEdit { username: Some(username.to_owned()), ..UserEdit::default() };
    lifecycle::update(user, &[], &edit, &new_id, &context(1)).unwrap().unwrap().user.unwrap().after
}

#[test]
fn a_user_who_is_renamed_by_hand_is_still_known_by_the_sources_own_name() {
    let source = people();
    let line = row(&source, "ada,Ada,,");
    let renamed = by_hand(&by_hand(&of_source(&source, "ada,Ada,,"), "bea"), "cleo");
    assert_eq!(renamed.provenance.source_username.as_deref(), Some("ada"));
    let known = MatchCandidates { by_source_username: Some(renamed.clone()), ..MatchCandidates::default() };
    assert_eq!(match_user(&source, &line, &known), Ok(MatchedUser::User(Box::new(renamed.clone()))));
    assert_eq!(apply(&source, &renamed, &[], &line, &new_id, &context(2)), Ok(None), "what was set by hand stays");
    assert!(has_row(&source, &renamed, &rows(&source, "login,first,mail,ext\nada,,,\n").keys));
    // Somebody else may have the name by now, unless it is to be the user's again.
    let taken = MatchCandidates { by_username: Some(user()), ..known };
    assert_eq!(match_user(&source, &line, &taken), Ok(MatchedUser::User(Box::new(renamed.clone()))));
    let release = UserEdit { release: [Field::Username].into(), ..UserEdit::default() };
    let released =
        lifecycle::update(&renamed, &[], &release, &new_id, &context(3)).unwrap().unwrap().user.unwrap().after;
    let (change, _) = apply(&source, &released, &[], &line, &new_id, &context(4)).unwrap().unwrap();
    let back = change.user.unwrap().after;
    assert_eq!((back.username.as_str(), back.provenance.source_username), ("ada", None));
    let taken = MatchCandidates { by_source_username: Some(released), ..taken };
    assert_eq!(match_user(&source, &line, &taken), Err(DomainError::UsernameTaken));
    // A row of the name that was given by hand is theirs once there is none of the other.
    let line = row(&source, "cleo,Cleo,,");
    let both = MatchCandidates { has_other_row: true, ..found(&renamed) };
    assert_eq!(match_user(&source, &line, &both), Err(DomainError::UsernameTaken));
    assert_eq!(match_user(&source, &line, &found(&renamed)), Ok(MatchedUser::User(Box::new(renamed.clone()))));
    assert!(has_row(&source, &renamed, &rows(&source, "login,first,mail,ext\ncleo,,,\n").keys));
    let (change, _) = apply(&source, &renamed, &[], &line, &new_id, &context(5)).unwrap().unwrap();
    assert_eq!(change.user.unwrap().after.provenance.source_username, None);
    assert_eq!(change.events[0].changed_fields, ["first_name", "source_username"]);
    // Back by hand, or only with other capitals, is nothing to note.
    assert_eq!(by_hand(&renamed, "ADA").provenance.source_username, None);
    assert_eq!(by_hand(&user(), "bea").provenance.source_username, None, "nobody's but their own");
}

#[test]
fn whoever_has_any_row_has_not_vanished_by_whatever_name_they_are_known() {
    let by_name = people();
    let old = of_source(&by_name, "ada,Ada,,");
    // The source goes by names of its own from now on, and knows none of its users yet.
    let source = DataSource { source_id: by_name.source_id, ..page("") };
    for (text, knows) in [
        (r#"[{"login": "ada", "id": "E-1"}]"#, true),
        (r#"[{"login": "ada", "id": "E-1", "ext": [[]]}]"#, true),
        (r#"[{"login": "bob", "id": "E-1"}]"#, false),
    ] {
        assert_eq!(has_row(&source, &old, &rows(&source, text).keys), knows, "{text}");
    }
    let mut named = old;
    named.provenance.external_id = Some("E-1".to_owned());
    for (text, knows) in [
        (r#"[{"login": "bob", "id": "E-1"}]"#, true),
        (r#"[{"login": "ada", "id": "E-2", "ext": [[]]}]"#, true),
        (r#"[{"login": "ada", "id": "E-2"}]"#, false),
    ] {
        assert_eq!(has_row(&source, &named, &rows(&source, text).keys), knows, "{text}");
    }
    // By the username, a row that cannot be used is known by the other name too.
    let source = DataSource { key: KeyField::Username, ..source };
    assert!(has_row(&source, &named, &rows(&source, r#"[{"login": "bob", "id": "E-1", "ext": [[]]}]"#).keys));
    assert!(!has_row(&source, &named, &rows(&source, r#"[{"login": "bob", "id": "E-1"}]"#).keys));
}

#[test]
fn what_a_schedule_may_erase_is_said_for_itself_and_a_url_is_shown_without_its_query() {
    let source = page("");
    assert!(!source.renames_may_wipe);
    let edited = |source: &DataSource, body: Value| {
        let mut fields = fields(body);
        let edit = SourceSettings::read_edit(&mut fields, source, &[]);
        fields.finish().unwrap();
        source.update(edit, &context(1)).unwrap()
    };
    let anew = |source: &DataSource, body: Value| {
        let (after, _, token) = edited(source, body).unwrap();
        (source.widens_erasure(&after, &token), after)
    };
    assert!(!anew(&source, json!({"url": "https://hr.example.com/other"})).0);
    let (erases, may) = anew(&source, json!({"renames_may_wipe": true}));
    assert!(erases && may.renames_may_wipe);
    for (body, erases) in [
        (json!({"name": "Other"}), false),
        (json!({"every_hours": 6}), true),
        (json!({"vanish_policy": "delete"}), false),
        (json!({"url": "https://hr.example.com/other"}), true),
        (json!({"items": "/people"}), true),
        (json!({"mapping": {"username": "x", "external_id": "id"}}), true),
        (json!({"token": "other"}), true),
        (json!({"url": "https://hr.example.com/other", "renames_may_wipe": false}), false),
    ] {
        let (anew, after) = anew(&may, body.clone());
        let kept = after.renames_may_wipe == body.get("renames_may_wipe").is_none();
        assert_eq!((anew, kept), (erases, true), "{body}");
    }
    let (_, hidden) = anew(&source, json!({"url": "https://hr.example.com/people?key=marker"}));
    let shown = hidden.page.as_ref().unwrap().display_url();
    assert_eq!(shown, "https://hr.example.com/people?\u{2026}");
    assert_eq!(edited(&hidden, json!({"url": shown})), None);
    let (_, named) = anew(&hidden, json!({"url": shown, "name": "Other"}));
    assert_eq!(named.page, hidden.page);
    let mut other = fields(json!({"url": "https://hr.example.com/other?\u{2026}"}));
    let _edit = SourceSettings::read_edit(&mut other, &hidden, &[]);
    assert!(other.finish().is_err());
}

fn read_new(kind: SourceKind, body: Value) -> Result<DataSource, DomainError> {
    let mut fields = fields(body);
    let settings = SourceSettings::read_new(&mut fields, kind, &[]);
    fields.finish().map_err(DomainError::Invalid)?;
    Ok(DataSource::create(kind, SourceId(Uuid::from_u128(7)), settings, &context(0)).0)
}

#[test]
fn a_source_takes_what_belongs_to_its_kind_and_names_the_rest() {
    let mapping = json!({"username": "login"});
    let page = json!({"name": "HR", "mapping": mapping, "url": "https://hr.example.com/", "format": "json",
        "vanish_limit_percent": 40, "vanish_policy": "delete", "every_hours": 6, "delimiter": "semicolon"});
    let read = read_new(SourceKind::Http, page.clone()).unwrap();
    assert_eq!(
        (read.vanish_limit_percent, read.policy, read.delimiter),
        (40, VanishPolicy::Delete, Delimiter::Semicolon)
    );
    assert_eq!((read.page.as_ref().unwrap().every_hours, read.due_at), (Some(6), Some(at(0))));
    assert_eq!(read.due_after(at(1)), Some(at(1 + 6 * 60)));
    assert_eq!((people().due_after(at(1)), people().due_at), (None, None));
    assert_eq!(people().vanish_limit_percent, 30);
    let told = |kind, body: &Value| faults(read_new(kind, body.clone()));
    let fault = |field: &str, code| (field.to_owned(), code);
    let file = told(SourceKind::Csv, &page);
    assert_eq!(file, ["url", "format", "every_hours"].map(|field| fault(field, "not_allowed")));
    let pushed = told(SourceKind::Scim, &page);
    let others = ["mapping", "delimiter", "url", "format", "every_hours"];
    assert_eq!(pushed, others.map(|field| fault(field, "not_allowed")));
    assert_eq!(told(SourceKind::Csv, &json!({})), ["name", "mapping"].map(|field| fault(field, "missing")));
    let needed = ["name", "mapping", "url", "format"];
    assert_eq!(told(SourceKind::Http, &json!({})), needed.map(|field| fault(field, "missing")));
    let by_id = json!({"name": "HR", "mapping": mapping, "key_field": "external_id"});
    assert_eq!(told(SourceKind::Csv, &by_id), [fault("mapping.external_id", "missing")]);
    let mut edit = fields(json!({"key_field": "external_id"}));
    let settings = SourceSettings::read_edit(&mut edit, &people(), &[]);
    assert_eq!(faults(people().update(settings, &context(1))), [fault("mapping.external_id", "missing")]);
    let mut edit = fields(json!({"name": null, "kind": "http"}));
    let _edit = SourceSettings::read_edit(&mut edit, &people(), &[]);
    assert_eq!(
        crate::common::named(&edit.finish().unwrap_err()),
        [fault("name", "missing"), fault("kind", "not_allowed")]
    );
}

#[test]
fn the_event_of_an_edit_of_a_source_says_which_fields_it_changes() {
    let source = page("");
    let edited = |body: Value| {
        let mut fields = fields(body);
        let edit = SourceSettings::read_edit(&mut fields, &source, &[]);
        fields.finish().unwrap();
        source.update(edit, &context(1)).unwrap()
    };
    for (body, names, changes) in [
        (json!({"name": "Other"}), vec!["name"], vec![]),
        (json!({"mapping": {"username": "x", "external_id": "id"}}), vec!["mapping"], vec![]),
        (json!({"url": "https://hr.example.com/more"}), vec!["url"], vec![]),
        (json!({"items": "/people"}), vec!["items"], vec![]),
        (json!({"token": "other"}), vec!["token"], vec![]),
        (json!({"format": "csv"}), vec![], vec!["format"]),
        (json!({"every_hours": 6}), vec![], vec!["every_hours"]),
        (json!({"key_field": "username"}), vec![], vec!["key_field"]),
        (json!({"vanish_policy": "delete"}), vec![], vec!["vanish_policy"]),
        (json!({"vanish_limit_percent": 50}), vec![], vec!["vanish_limit_percent"]),
        (json!({"renames_may_wipe": true}), vec![], vec!["renames_may_wipe"]),
        (json!({"delimiter": "semicolon"}), vec![], vec!["delimiter"]),
    ] {
        let (after, event, _) = edited(body.clone()).unwrap();
        assert_eq!(event.changed_fields, names, "{body}");
        assert_eq!(event.changes.keys().collect::<Vec<_>>(), changes, "{body}");
        assert_eq!((event.source_id, after.updated_at), (Some(source.source_id), at(1)));
        let due_at = if body.get("every_hours").is_some() { Some(at(1)) } else { source.due_at };
        assert_eq!(after.due_at, due_at, "{body}");
    }
    let without = DataSource {
        page: source.page.clone().map(|page| domain::models::source::Page { token_set: false, ..page }),
        ..source.clone()
    };
    let mut body = fields(json!({"token": null}));
    let edit = SourceSettings::read_edit(&mut body, &without, &[]);
    assert_eq!(without.update(edit, &context(1)), Ok(None), "there is none to forget");
}

#[test]
fn a_part_that_is_said_to_be_the_last_is_so_again() {
    let part = |number, is_last| Part { upload_id: Uuid::from_u128(1), number, is_last };
    let last = people().with_part(&part(2, true), at(0)).unwrap();
    let again = last.with_part(&part(2, true), at(1)).unwrap();
    assert_eq!(again, last, "it came twice");
    let whole = again.with_part(&part(1, false), at(1)).unwrap();
    assert!(whole.upload.unwrap().is_complete());
    let other = Part { upload_id: Uuid::from_u128(2), ..part(1, true) };
    let anew = again.with_part(&other, at(2)).unwrap().upload.unwrap();
    assert_eq!((anew.upload_id, anew.started_at, anew.is_complete()), (other.upload_id, at(2), true), "another file");
}

#[test]
fn a_row_that_only_calls_its_user_otherwise_says_so_in_an_event() {
    let source = page("");
    let line = |login: &str, id: &str| rows(&source, &json!([{"login": login, "id": id}]).to_string()).rows.remove(0);
    let ada = create(&source, &line("ada", "E-1"), UserId(Uuid::from_u128(11)), &context(0)).user.unwrap().after;
    let (change, called) = apply(&source, &ada, &[], &line("ada", "E-2"), &new_id, &context(1)).unwrap().unwrap();
    assert_eq!((called, types(&change.events)), (ItemChange::Updated, vec![EventType::UserUpdated]));
    assert_eq!(change.events[0].changed_fields, ["external_id"]);
    let after = change.user_after().unwrap();
    assert_eq!(after.provenance.external_id.as_deref(), Some("E-2"));
    // By hand they are called what the source calls them now.
    let renamed = by_hand(&ada, "bea");
    let (change, _) = apply(&source, &renamed, &[], &line("bea", "E-1"), &new_id, &context(2)).unwrap().unwrap();
    assert_eq!(
        (types(&change.events), change.events[0].changed_fields.clone()),
        (vec![EventType::UserUpdated], vec!["source_username".to_owned()])
    );
    let mut foreign = ada;
    foreign.provenance.source_id = Some(SourceId(Uuid::from_u128(8)));
    let (change, called) = apply(&source, &foreign, &[], &line("ada", "E-1"), &new_id, &context(1)).unwrap().unwrap();
    assert_eq!((called, types(&change.events)), (ItemChange::Adopted, vec![EventType::UserUpdated]));
}

#[test]
fn who_is_deleted_has_not_vanished_and_who_is_of_another_source_neither() {
    let source = people();
    let ada = of_source(&source, "ada,Ada,,");
    assert!(has_vanished(&source, &ada, &[]));
    let deletion = lifecycle::Deletion { without_wipe: true, reason: None, retention: chrono::Duration::days(1) };
    let gone = lifecycle::delete(&ada, &[], &[], &deletion, &context(1)).unwrap().unwrap().user.unwrap().after;
    let mut foreign = ada;
    foreign.provenance.source_id = Some(SourceId(Uuid::from_u128(8)));
    assert!(!has_vanished(&source, &gone, &[]) && !has_vanished(&source, &foreign, &[]));
}

#[test]
fn a_name_of_the_sources_own_keeps_users_of_one_username_apart() {
    let by_id = page("");
    let by_name = DataSource { key: KeyField::Username, ..page("") };
    let line = |source: &DataSource, login: &str, id: Option<&str>| {
        rows(source, &json!([{"login": login, "id": id}]).to_string()).rows.remove(0)
    };
    let known = |id: Option<&str>| {
        let mut ada = create(&by_id, &line(&by_id, "ada", Some("E-1")), UserId(Uuid::from_u128(11)), &context(0))
            .user
            .unwrap()
            .after;
        ada.provenance.external_id = id.map(str::to_owned);
        ada
    };
    let told = |source: &DataSource, user: &User, id: &str, found: MatchCandidates| {
        match_user(source, &line(source, "ada", Some(id)), &found)
            .map(|match_user| match_user == MatchedUser::User(Box::new(user.clone())))
    };
    let [one, other, unnamed] = [known(Some("E-1")), known(Some("E-2")), known(None)];
    let named = |user: &User| MatchCandidates { by_source_username: Some(user.clone()), ..MatchCandidates::default() };
    for found in [found, named] {
        assert_eq!(told(&by_id, &one, "E-1", found(&one)), Ok(true));
        assert_eq!(told(&by_id, &unnamed, "E-1", found(&unnamed)), Ok(true), "it has not been called yet");
        assert_eq!(told(&by_id, &other, "E-1", found(&other)), Err(DomainError::UsernameTaken));
        assert_eq!(told(&by_name, &other, "E-1", found(&other)), Ok(true), "names alone tell");
        let else_named = User { user_id: UserId(Uuid::from_u128(12)), ..one.clone() };
        let both = MatchCandidates { by_external_id: Some(else_named), ..found(&unnamed) };
        assert_eq!(told(&by_name, &unnamed, "E-1", both), Err(DomainError::ExternalIdTaken));
    }
}

#[test]
fn a_page_holds_so_many_groups_and_values_of_which_those_without_anything_are_no_rows() {
    assert_eq!(PAGE_LIMIT, 8_388_608);
    let page = page("");
    let read = |empty: &str, count: usize| {
        let text = format!("[{}{}]", format!("{empty},").repeat(count), r#"{"login": "ada", "id": 1}"#);
        read(&page, text.as_bytes()).map(|read| read.rows[0].line).map_err(|garbage| garbage.code)
    };
    // The list itself and the row are two groups more, and the row holds two values.
    assert_eq!(read("{}", 149_998), Ok(149_999));
    assert_eq!(read("{}", 149_999), Err("too_many_values"));
    assert_eq!(read("\"\"", 999_997), Ok(999_998));
    assert_eq!(read("\"\"", 999_998), Err("too_many_values"));
    for signs in ["{".repeat(160_000), ",".repeat(1_000_001)] {
        let text = json!([{"login": "ada", "id": 1, "note": format!("\"{signs}\\")}]).to_string();
        assert_eq!(rows(&page, &text).rows.len(), 1, "signs within a text are none of its own");
    }
}

#[test]
fn a_list_of_rows_has_so_many_and_a_line_of_names_so_many_columns() {
    let items = |count: usize| garbage(&page(""), format!("[{}]", vec!["1"; count].join(",")).as_bytes());
    assert_eq!([50_000, 50_001, 50_002].map(items), ["not_objects", "too_many_rows", "too_many_rows"]);
    let wide = |names: &str, cells: usize| {
        let text = format!("login{names}\nada{}\n", ",".repeat(cells));
        read(&file(&json!({"username": "login"})), text.as_bytes()).map(|read| read.rows.len()).map_err(|e| e.code)
    };
    assert_eq!(wide(&",x".repeat(499), 499), Ok(1));
    for more in [500, 501, 998, 5_000] {
        assert_eq!(wide(&",x".repeat(more), more), Err("too_many_columns"), "{more} and the first");
    }
    assert_eq!(wide(&format!(",{}", "x".repeat(2_000)), 1), Ok(1));
    assert_eq!(wide(&format!(",\"{}\"", ",".repeat(900)), 1), Ok(1), "a name in quotes is one, whatever it holds");
}

#[test]
fn a_row_of_every_field_makes_a_user_who_has_them_all() {
    let fields = Field::ALL.iter().map(|field| field.as_str());
    let mapping: serde_json::Map<String, Value> = fields.map(|name| (name.to_owned(), name.into())).collect();
    let source = file(&json!(mapping));
    let cells = [
        ("username", "ada"),
        ("first_name", "Ada"),
        ("last_name", "Adler"),
        ("email", "ada@example.com"),
        ("mobile", "+491701234567"),
        ("number", "4711"),
        ("service_level", "gold"),
        ("sip_user_name", "ada.sip"),
        ("service_account", "ada at work"),
    ];
    assert_eq!(cells.len(), Field::ALL.len());
    let text = [cells.map(|(name, _)| name), cells.map(|(_, cell)| cell)].map(|line| line.join(",")).join("\n");
    let row = rows(&source, &text).rows.remove(0);
    let made = create(&source, &row, UserId(Uuid::from_u128(11)), &context(0)).user.unwrap().after;
    for (name, cell) in cells {
        assert_eq!(made.field(Field::parse(name).unwrap()), Some(cell), "{name}");
    }
    assert_eq!(apply(&source, &made, &[], &row, &new_id, &context(1)), Ok(None), "an edit by it says the same");
}

#[test]
fn what_an_earlier_release_has_staged_is_found_by_the_same_hashes() {
    use domain::models::source::data::{former_key_hash, unnamed_hash};
    let hashes = [
        key_hash(KeyField::Username, "Ada"),
        key_hash(KeyField::ExternalId, "E-1"),
        unnamed_hash("Ada"),
        comparison_marker(),
        former_key_hash("\u{e4}da").unwrap(),
    ];
    assert_eq!(
        hashes.map(|hash| format!("{hash:016x}")),
        ["04a4be12aec33ef3", "5981ba7bd96b1b2a", "db94373234a8e6bf", "6da2374140f2143b", "04a4be12aec33ef3",]
    );
}
