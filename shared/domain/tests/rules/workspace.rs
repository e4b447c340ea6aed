//! What a workspace settles for itself.

use std::collections::BTreeSet;

use chrono::Duration;
use domain::error::DomainError;
use domain::input::FieldError;
use domain::models::actor::{Actor, Creator};
use domain::models::job::{JobKind, NewJob, Selection};
use domain::models::workspace::{
    AllowedSenders, DEFAULT_PIN_LIMIT, MinimumVersions, SERVICE_LEVEL_LIMIT, SILENT_RULE_EVERY, SenderNotAllowed,
    SilentAction, SilentRule, Workspace, WorkspaceEdit, WorkspaceSettings,
};
use domain::permission::Permission;
use domain::rules::access::Caller;
use domain::rules::context::EventContext;
use domain::rules::jobs::begin_in_ranges;
use domain::rules::workspaces::{apply_silent_rule, pause_silent_rule, update};
use domain::{JobId, KeyId, MemberId, TokenId, WorkspaceId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{at, context, faults, fields, named};

pub fn workspace() -> Workspace {
    Workspace { admin_count: 1, ..Workspace::new(WorkspaceId(Uuid::from_u128(1)), "Fleet".to_owned(), false, at(0)) }
}

fn read(body: Value) -> Result<WorkspaceEdit, Vec<FieldError>> {
    let mut fields = fields(body);
    let edit = WorkspaceEdit::read(&mut fields);
    fields.finish().map(|()| edit)
}

/// The workspace after an edit that changes it, and what its event tells.
fn edited(before: &Workspace, body: Value, minutes: i64) -> (Workspace, domain::models::event::Event) {
    update(before, &read(body).unwrap(), &context(minutes)).unwrap()
}

#[test]
fn a_setting_is_taken_and_null_goes_back_to_what_the_deployment_says() {
    let body = json!({
        "name": "Field force",
        "retention_days": 90,
        "invitation_days": 14,
        "check_in_minutes": 60,
        "sender": "it@example.com",
        "sms_sender": "Handset",
        "emails_per_day": 500,
        "texts_per_day": 0,
        "silent_devices": {"after_days": 30, "action": "block"},
        "pin_limit": 5,
        "service_levels": ["gold", "silver", "gold"],
        "minimum_versions": {"app": "4.2", "ios": "17"},
    });
    let (after, _) = edited(&workspace(), body.clone(), 1);
    let settings = WorkspaceSettings {
        retention_days: Some(90),
        invitation_days: Some(14),
        check_in_minutes: Some(60),
        sender: Some("it@example.com".to_owned()),
        sms_sender: Some("Handset".to_owned()),
        emails_per_day: Some(500),
        texts_per_day: Some(0),
        silent_devices: Some(SilentRule { after_days: 30, action: SilentAction::Block }),
        pin_limit: Some(5),
        service_levels: BTreeSet::from(["gold".to_owned(), "silver".to_owned()]),
        minimum_versions: MinimumVersions { app: Some("4.2".to_owned()), ios: Some("17".to_owned()), android: None },
    };
    assert_eq!((after.name.as_str(), &after.settings), ("Field force", &settings));
    assert_eq!(update(&after, &read(body).unwrap(), &context(2)), None, "twice is once");
    let deployed = Duration::days(7);
    assert_eq!(after.settings.retention(deployed), Duration::days(90));
    assert_eq!(after.settings.invitation_lifetime(deployed), Duration::days(14));

    let back = json!({
        "retention_days": null,
        "invitation_days": null,
        "check_in_minutes": null,
        "sender": null,
        "sms_sender": null,
        "emails_per_day": null,
        "texts_per_day": null,
        "silent_devices": null,
        "pin_limit": null,
        "service_levels": null,
        "minimum_versions": null,
    });
    let (after, _) = edited(&after, back, 3);
    assert_eq!((after.settings.clone(), after.silent_rule_at), (WorkspaceSettings::default(), None));
    assert_eq!(after.settings.retention(deployed), deployed);
    assert_eq!(after.settings.invitation_lifetime(deployed), deployed);
    assert_eq!(update(&after, &read(json!({})).unwrap(), &context(4)), None);
}

#[test]
fn each_fault_of_an_edit_is_named() {
    let bad = json!({
        "name": null,
        "retention_days": 0,
        "invitation_days": "7",
        "check_in_minutes": 4,
        "sender": "it@localhost",
        "sms_sender": "Hand set",
        "silent_devices": {"after_days": 6, "action": "forget"},
        "pin_limit": 2,
        "service_levels": ["gold", 1, ""],
    });
    let expected = [
        ("name", "missing"),
        ("retention_days", "out_of_range"),
        ("invitation_days", "wrong_type"),
        ("check_in_minutes", "out_of_range"),
        ("sender", "invalid_format"),
        ("sms_sender", "invalid_format"),
        ("silent_devices.after_days", "out_of_range"),
        ("silent_devices.action", "unknown_value"),
        ("pin_limit", "out_of_range"),
        ("service_levels.1", "wrong_type"),
        ("service_levels.2", "too_short"),
    ];
    assert_eq!(named(&read(bad).unwrap_err()), expected.map(|(field, code)| (field.to_owned(), code)));
    let rule = json!({"silent_devices": {}});
    let expected = ["silent_devices.after_days", "silent_devices.action"].map(|field| (field.to_owned(), "missing"));
    assert_eq!(named(&read(rule).unwrap_err()), expected);
    let levels: Vec<String> = (0..=SERVICE_LEVEL_LIMIT).map(|n| format!("level {n}")).collect();
    let too_many = read(json!({"service_levels": levels, "silent_devices": true})).unwrap_err();
    let expected = [("silent_devices", "wrong_type"), ("service_levels", "too_many")];
    assert_eq!(named(&too_many), expected.map(|(field, code)| (field.to_owned(), code)));
}

#[test]
fn a_sender_is_one_that_the_operator_allows_and_is_sent_as_the_operator_writes_it() {
    let list = |senders: &[&str]| senders.iter().map(|sender| (*sender).to_owned()).collect();
    let allowed = AllowedSenders {
        email: list(&["phones@example.com", "IT@example.com"]),
        sms: list(&["Handset", "+491701234567"]),
    };
    let settings = |sender: Option<&str>, sms: Option<&str>| WorkspaceSettings {
        sender: sender.map(str::to_owned),
        sms_sender: sms.map(str::to_owned),
        ..WorkspaceSettings::default()
    };
    let chosen = settings(Some("it@EXAMPLE.com"), Some("handset"));
    assert_eq!((allowed.email(&chosen), allowed.sms(&chosen)), (Ok(Some("IT@example.com")), Ok(Some("Handset"))));
    let none = WorkspaceSettings::default();
    assert_eq!((allowed.email(&none), allowed.sms(&none)), (Ok(None), Ok(None)));
    // Of the same domain, and still nobody's to use.
    for strange in [settings(Some("ceo@example.com"), Some("Bank")), settings(Some("it@example.org"), Some("+4917012"))]
    {
        assert_eq!((allowed.email(&strange), allowed.sms(&strange)), (Err(SenderNotAllowed), Err(SenderNotAllowed)));
    }
    let faulty = |body: Value| {
        let mut fields = fields(body);
        let edit = WorkspaceEdit::read(&mut fields);
        allowed.check(&edit, &mut fields);
        let faults = fields.finish().err().unwrap_or_default();
        faults.into_iter().map(|fault| format!("{}: {}", fault.field, fault.code)).collect::<Vec<_>>()
    };
    let strange = json!({"sender": "ceo@example.com", "sms_sender": "Bank"});
    assert_eq!(faulty(strange), ["sender: sender_not_allowed", "sms_sender: sender_not_allowed"]);
    assert!(faulty(json!({"sender": "it@example.com", "sms_sender": "+49 170 1234567"})).is_empty());
    assert!(faulty(json!({"sender": null, "sms_sender": null})).is_empty());
}

#[test]
fn a_texts_sender_is_a_short_name_with_a_letter_or_a_number() {
    let sender = |text: &str| read(json!({"sms_sender": text})).map(|edit| edit.sms_sender.unwrap().unwrap());
    for (typed, kept) in [("Handset", "Handset"), ("4Fleet", "4Fleet"), ("+49 170 1234567", "+491701234567")] {
        assert_eq!(sender(typed).as_deref(), Ok(kept));
    }
    for bad in ["TwelveChars1", "12345", "Hand-set", "0170 1234567", "Zoë"] {
        assert_eq!(named(&sender(bad).unwrap_err()), [("sms_sender".to_owned(), "invalid_format")], "{bad}");
    }
}

#[test]
fn the_event_of_an_edit_names_addresses_without_showing_them() {
    let body = json!({"sender": "it@example.com", "sms_sender": "+49 170 1234567", "pin_limit": 5, "name": "Other"});
    let (after, event) = edited(&workspace(), body, 1);
    assert_eq!(event.changed_fields, ["sender", "sms_sender"]);
    assert_eq!(event.changes.keys().collect::<Vec<_>>(), ["name", "pin_limit"]);
    assert_eq!((&event.changes["pin_limit"].before, &event.changes["pin_limit"].after), (&Value::Null, &json!(5)));
    let told = serde_json::to_string(&event).unwrap();
    assert!(!told.contains("it@example.com") && !told.contains("+49170"), "{told}");
    let (_, event) = edited(&after, json!({"sender": null}), 2);
    assert_eq!((event.changed_fields.as_slice(), event.changes.len()), (["sender".to_owned()].as_slice(), 0));
}

#[test]
fn a_rule_for_silent_devices_is_due_at_once_then_each_day_and_never_without_the_rule() {
    let rule = |days: i64| json!({"silent_devices": {"after_days": days, "action": "delete"}});
    let (with_rule, _) = edited(&workspace(), rule(30), 5);
    assert_eq!(with_rule.silent_rule_at, Some(at(5)));
    let nothing_silent = apply_silent_rule(&with_rule, None, at(6));
    assert!(nothing_silent.job.is_none() && nothing_silent.events.is_empty());
    let rested = nothing_silent.workspace.unwrap().after;
    assert_eq!((rested.silent_rule_at, rested.silent_rule_job_id), (Some(at(6).plus(SILENT_RULE_EVERY)), None));
    let (renamed, _) = edited(&rested, json!({"name": "Other"}), 7);
    assert_eq!(renamed.silent_rule_at, rested.silent_rule_at, "another edit does not bring it forward");
    let (stricter, _) = edited(&rested, rule(7), 8);
    assert_eq!(stricter.silent_rule_at, Some(at(8)));
    let (without, _) = edited(&stricter, json!({"silent_devices": null}), 9);
    assert_eq!(without.silent_rule_at, None);
    let never = apply_silent_rule(&without, None, at(10)).workspace.unwrap().after;
    assert_eq!(never.silent_rule_at, None);

    let rule = SilentRule { after_days: 30, action: SilentAction::Block };
    assert_eq!(rule.silent_before(at(0).plus(Duration::days(30))), at(0));
    assert_eq!(rule.reason(), "silent for over 30 days");
}

#[test]
fn the_last_job_of_a_rule_for_silent_devices_is_known() {
    let (with_rule, _) = edited(&workspace(), json!({"silent_devices": {"after_days": 30, "action": "delete"}}), 5);
    let new = |id: u128| NewJob {
        job_id: JobId(Uuid::from_u128(id)),
        kind: JobKind::Devices,
        action: json!({}),
        action_name: "apply_silent_rule",
        selection: Selection::Filter(serde_json::Map::new()),
        dry_run: false,
    };
    let job = |id: u128, minutes| Some(begin_in_ranges(new(id), 10, &context(minutes)));
    let change = apply_silent_rule(&with_rule, job(6, 6), at(6));
    let begun_job = change.job.unwrap().after;
    let begun = change.workspace.unwrap().after;
    assert_eq!(
        (begun.silent_rule_job_id, begun.silent_rule_at),
        (Some(begun_job.job_id), Some(at(6).plus(SILENT_RULE_EVERY)))
    );
    assert_eq!(change.events.len(), 1, "the job's");
    assert!(begun_job.is_in_ranges(), "nobody waits for a first page");
    let rested = apply_silent_rule(&begun, None, at(7)).workspace.unwrap().after;
    assert_eq!(rested.silent_rule_job_id, begun.silent_rule_job_id, "it may still run");
    let (renamed, _) = edited(&begun, json!({"name": "Other"}), 8);
    assert_eq!(renamed.silent_rule_job_id, begun.silent_rule_job_id);
    let again = apply_silent_rule(&begun, job(9, 9), at(9)).workspace.unwrap().after;
    assert_eq!(again.silent_rule_job_id, Some(JobId(Uuid::from_u128(9))));
    let (off, _) = edited(&begun, json!({"silent_devices": null}), 10);
    assert_eq!(off.silent_rule_job_id, begun.silent_rule_job_id, "it may still have to be stopped");
}

#[test]
fn a_rule_that_blocks_or_deletes_devices_takes_the_right_to_do_so_and_its_preview_the_right_to_see_them() {
    let with = |permissions: &[Permission]| Caller {
        workspace_id: workspace().workspace_id,
        actor: context(0).actor,
        token_id: None,
        permissions: permissions.iter().copied().chain([Permission::WorkspaceManage]).collect(),
    };
    let (sees, manages) = (with(&[Permission::DevicesRead]), with(&[Permission::DevicesManage]));
    let missing = |permission| Err(DomainError::PermissionMissing(permission));
    for action in ["block", "delete"] {
        let edit = read(json!({"silent_devices": {"after_days": 30, "action": action}})).unwrap();
        assert_eq!(edit.require_made_by(&manages, false), Ok(()));
        for caller in [with(&[]), sees.clone()] {
            assert_eq!(edit.require_made_by(&caller, false), missing(Permission::DevicesManage));
        }
        assert_eq!(edit.require_made_by(&sees, true), Ok(()));
        assert_eq!(edit.require_made_by(&manages, true), missing(Permission::DevicesRead));
    }
    for other in [json!({"name": "Other"}), json!({"silent_devices": null})] {
        let edit = read(other).unwrap();
        assert_eq!(edit.require_made_by(&with(&[]), false), Ok(()));
        assert_eq!(edit.require_made_by(&with(&[]), true), missing(Permission::DevicesRead), "a rule that stands");
    }
}

#[test]
fn a_rule_for_silent_devices_is_whose_who_set_it_last() {
    let rule = |days: i64| read(json!({"silent_devices": {"after_days": days, "action": "delete"}})).unwrap();
    let by = |actor, token_id, minutes| EventContext { actor, token_id, ..context(minutes) };
    let key = by(Actor::Key(KeyId(Uuid::from_u128(3))), None, 1);
    let token_id = Some(TokenId(Uuid::from_u128(4)));
    let member = by(Actor::Member(MemberId(Uuid::from_u128(5))), token_id, 2);
    let (set, event) = update(&workspace(), &rule(30), &key).unwrap();
    assert_eq!(set.silent_rule_by, Some(Creator { actor: key.actor, token_id: None }));
    assert_eq!(event.changes["silent_rule_by"].after, json!(set.silent_rule_by));
    assert_eq!(update(&set, &rule(30), &key), None, "twice is once");
    let (renamed, _) = update(&set, &read(json!({"name": "Other"})).unwrap(), &member).unwrap();
    assert_eq!(renamed.silent_rule_by, set.silent_rule_by, "another edit leaves it theirs");

    let rested = apply_silent_rule(&set, None, at(2)).workspace.unwrap().after;
    let (taken_over, event) = update(&rested, &rule(30), &member).unwrap();
    assert_eq!(taken_over.silent_rule_by, Some(Creator { actor: member.actor, token_id }));
    assert_eq!(event.changes.keys().collect::<Vec<_>>(), ["silent_rule_by"]);
    assert_eq!(taken_over.silent_rule_at, rested.silent_rule_at, "the rule itself is the same");

    let (paused, event) = pause_silent_rule(&taken_over, &by(Actor::System, None, 3));
    assert_eq!((paused.silent_rule_at, paused.silent_rule_paused_at), (None, Some(at(3))));
    assert_eq!(paused.settings.silent_devices, taken_over.settings.silent_devices);
    assert_eq!(event.changes.keys().collect::<Vec<_>>(), ["silent_rule_paused"]);
    let (renamed, _) = update(&paused, &read(json!({"name": "Other"})).unwrap(), &key).unwrap();
    assert_eq!((renamed.silent_rule_at, renamed.silent_rule_paused_at), (None, Some(at(3))));
    let (set_anew, event) = update(&paused, &rule(30), &by(key.actor, None, 4)).unwrap();
    assert_eq!((set_anew.silent_rule_at, set_anew.silent_rule_paused_at), (Some(at(4)), None));
    assert_eq!(set_anew.silent_rule_by, set.silent_rule_by);
    assert_eq!(event.changes.keys().collect::<Vec<_>>(), ["silent_rule_by", "silent_rule_paused"]);
    let (off, _) = update(&paused, &read(json!({"silent_devices": null})).unwrap(), &key).unwrap();
    assert_eq!((off.silent_rule_by, off.silent_rule_paused_at, off.silent_rule_at), (None, None, None));
}

#[test]
fn so_many_wrong_pins_lock_a_user_as_the_workspace_says() {
    let locks =
        |pin_limit, failures| WorkspaceSettings { pin_limit, ..WorkspaceSettings::default() }.locks_at(failures);
    assert!(!locks(None, DEFAULT_PIN_LIMIT - 1) && locks(None, DEFAULT_PIN_LIMIT) && locks(None, 1_000_000));
    assert!(!locks(Some(3), 2) && locks(Some(3), 3));
    assert!(!locks(Some(0), 0) && !locks(Some(0), 1_000_000), "0 is never");
    for limit in [0, 3, 100] {
        assert_eq!(read(json!({"pin_limit": limit})).unwrap().pin_limit, Some(Some(limit)));
    }
    for limit in [-1, 1, 2, 101] {
        assert_eq!(named(&read(json!({"pin_limit": limit})).unwrap_err()), [("pin_limit".to_owned(), "out_of_range")]);
    }
}

#[test]
fn a_service_level_is_one_of_the_workspaces_own() {
    let service_levels = BTreeSet::from(["gold".to_owned()]);
    let settings = WorkspaceSettings { service_levels, ..WorkspaceSettings::default() };
    assert_eq!(settings.require_service_level("gold"), Ok(()));
    assert_eq!(faults(settings.require_service_level("Gold")), [("service_level".to_owned(), "unknown_value")]);
    assert_eq!(
        faults(WorkspaceSettings::default().require_service_level("gold")),
        [("service_level".to_owned(), "unknown_value")]
    );
}

#[test]
fn so_many_service_levels_and_versions_of_numbers_are_taken() {
    let levels: Vec<String> = (0..SERVICE_LEVEL_LIMIT).map(|n| format!("level {n}")).collect();
    let read_levels = read(json!({"service_levels": levels})).unwrap().service_levels.unwrap();
    assert_eq!(read_levels.len(), SERVICE_LEVEL_LIMIT);
    for good in ["4", "4.2", "17.5.1", "2026.11.23.1"] {
        assert!(read(json!({"minimum_versions": {"app": good}})).is_ok(), "{good}");
    }
    for bad in ["4.", ".4", "4..2", "4.x", "v4", "."] {
        let told = read(json!({"minimum_versions": {"ios": bad}})).unwrap_err();
        assert_eq!(named(&told), [("minimum_versions.ios".to_owned(), "invalid_format")], "{bad}");
    }
}
