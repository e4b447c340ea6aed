//! What is issued to a phone, what services say of it, and what is wrong with it.

use chrono::Duration;
use domain::CredentialId;
use domain::error::DomainError;
use domain::models::command::{CommandKind, FailedCommand};
use domain::models::credential::{CREDENTIAL_LIMIT, ENDPOINT_LIMIT, Report, ServiceKind};
use domain::models::device::{Device, DeviceAttachments};
use domain::models::event::{Event, EventType};
use domain::models::push::PushReason;
use domain::models::restriction::Deleted;
use domain::models::workspace::{MinimumVersions, SilentAction, SilentRule, WorkspaceSettings};
use domain::rules::credentials::{issue, report, revoke};
use domain::rules::health::health;
use domain::states::Platform;
use serde_json::json;
use uuid::Uuid;

use crate::common::{at, attachments_of, context, fields};
use crate::fixture::Fixture;

fn device() -> Device {
    Fixture::new(1).register("phone", 0).unwrap().device.after
}

fn gone(device: &Device) -> Device {
    let end = Deleted { at: at(1), by: context(1).actor, purge_after: at(2) };
    Device { deleted: Some(end), ..device.clone() }
}

fn credential(n: u128) -> CredentialId {
    CredentialId(Uuid::from_u128(n))
}

#[test]
fn a_credential_is_issued_once_and_taken_once() {
    let device = device();
    let (one, event) = attachments_of(issue(&device, None, credential(1), &context(1)).unwrap().unwrap());
    assert_eq!((event.event_type, event.device_id), (EventType::DeviceCredentialIssued, Some(device.device_id)));
    assert_eq!(issue(&device, Some(&one), credential(1), &context(2)), Ok(None));
    let (two, _) = attachments_of(issue(&device, Some(&one), credential(2), &context(2)).unwrap().unwrap());
    let (after, event) = attachments_of(revoke(&device, Some(&two), credential(1), &context(3)).unwrap().unwrap());
    assert_eq!(event.event_type, EventType::DeviceCredentialRevoked);
    assert_eq!(after.credentials.into_keys().collect::<Vec<_>>(), [credential(2)]);
    assert_eq!(revoke(&device, Some(&one), credential(2), &context(3)), Ok(None));
}

#[test]
fn a_phone_holds_so_many_credentials_and_no_more() {
    let device = device();
    let mut held = DeviceAttachments::empty(&device);
    for n in 0..CREDENTIAL_LIMIT {
        held = attachments_of(issue(&device, Some(&held), credential(n as u128), &context(1)).unwrap().unwrap()).0;
    }
    assert_eq!(
        issue(&device, Some(&held), credential(0), &context(2)),
        Ok(None),
        "what it holds it may be given again"
    );
    let refused = issue(&device, Some(&held), credential(99), &context(2)).unwrap_err();
    assert!(matches!(refused, DomainError::Invalid(faults) if faults[0].code == "too_many"));
}

#[test]
fn nothing_is_issued_to_a_phone_that_is_gone() {
    let device = device();
    let gone = gone(&device);
    let services = Report::default();
    assert_eq!(issue(&gone, None, credential(1), &context(2)), Err(DomainError::DeviceDeleted));
    assert_eq!(revoke(&gone, None, credential(1), &context(2)), Err(DomainError::DeviceDeleted));
    assert_eq!(report(&gone, None, ServiceKind::AssaAbloy, &services, &context(2)), Err(DomainError::DeviceDeleted));
}

#[test]
fn a_report_stands_for_all_that_the_service_knows_and_a_problem_keeps_its_beginning() {
    let device = device();
    let read = |body| Report::read(fields(body)).unwrap();
    let broken = read(json!({"endpoints": [{"endpoint_id": "a", "is_active": true}], "problem": "no answer"}));
    let (first, event) =
        attachments_of(report(&device, None, ServiceKind::AssaAbloy, &broken, &context(1)).unwrap().unwrap());
    assert_eq!(event.changes["has_active_endpoint"].after, true);
    assert!(!serde_json::to_string(&event.to_public_json()).unwrap().contains("no answer"));
    assert_eq!(report(&device, Some(&first), ServiceKind::AssaAbloy, &broken, &context(2)), Ok(None));
    let other = read(json!({"endpoints": [], "problem": "no answer"}));
    let (second, _) =
        attachments_of(report(&device, Some(&first), ServiceKind::AssaAbloy, &other, &context(3)).unwrap().unwrap());
    let service = &second.services[&ServiceKind::AssaAbloy];
    assert!(service.endpoints.is_empty() && !service.is_active());
    assert_eq!(service.problem.as_ref().map(|problem| problem.since), Some(at(1)));
}

#[test]
fn what_is_wrong_is_told_with_since_when() {
    let mut device = device();
    device.push.reason = PushReason::EndpointReady;
    device.app_version = Some("4.1.9".to_owned());
    device.os_version = "16.7".to_owned();
    device.platform = Platform::Ios;
    device.last_login_at = Some(at(10));
    let settings = WorkspaceSettings {
        minimum_versions: MinimumVersions {
            app: Some("4.2".into()),
            ios: Some("17".into()),
            android: Some("14".into()),
        },
        silent_devices: Some(SilentRule { after_days: 7, action: SilentAction::Block }),
        ..WorkspaceSettings::default()
    };
    let codes = |device: &Device, settings: &WorkspaceSettings, days: i64| {
        let health = health(device, None, settings, at(10).plus(Duration::days(days)));
        let codes = |remarks: Vec<domain::rules::health::Issue>| {
            remarks.into_iter().map(|remark| remark.code).collect::<Vec<_>>()
        };
        (codes(health.errors), codes(health.warnings))
    };
    assert_eq!(codes(&device, &WorkspaceSettings::default(), 0), (vec![], vec![]));
    let old = vec!["app_version_too_old", "os_version_too_old"];
    assert_eq!(codes(&device, &settings, 7), (vec![], old.clone()));
    assert_eq!(codes(&device, &settings, 8), (vec![], [old.clone(), vec!["silent"]].concat()));
    let ill = Device {
        failed: Some(FailedCommand { kind: CommandKind::Lock, at: at(3) }),
        push: domain::models::push::Push { reason: PushReason::EndpointDisabled, since: at(5) },
        ..device.with_download_ordered()
    };
    let warnings = [vec!["push_not_in_use"], old, vec!["configuration_not_downloaded"]].concat();
    assert_eq!(codes(&ill, &settings, 0), (vec!["command_failed"], warnings));
    let told = health(&ill, None, &settings, at(10));
    assert_eq!((told.errors[0].created_at, told.warnings[0].created_at), (at(3), at(5)));
    assert_eq!(codes(&gone(&ill), &settings, 100), (vec![], vec![]));
    let other = Device {
        platform: Platform::ThirdParty,
        last_login_at: None,
        app_version: None,
        served: None,
        failed: None,
        unconfirmed: None,
        ..ill
    };
    assert_eq!(codes(&other, &settings, 100), (vec![], vec![]), "another maker's app");
}

#[test]
fn a_report_is_read_with_every_fault_named() {
    let read = |body| Report::read(fields(body));
    let endpoint = |id: &str, is_active: bool| json!({"endpoint_id": id, "is_active": is_active});
    let two = json!({"endpoints": [endpoint("a", true), endpoint("b", false)], "problem": "no answer"});
    let endpoints = [("a".to_owned(), true), ("b".to_owned(), false)].into();
    assert_eq!(read(two), Ok(Report { endpoints, problem: Some("no answer".to_owned()) }));
    let many =
        |count: usize| json!({"endpoints": (0..count).map(|n| endpoint(&n.to_string(), true)).collect::<Vec<_>>()});
    assert_eq!(read(many(ENDPOINT_LIMIT)).map(|report| report.endpoints.len()), Ok(ENDPOINT_LIMIT));
    for (body, told) in [
        (many(ENDPOINT_LIMIT + 1), vec![("endpoints", "too_many")]),
        (json!({}), vec![("endpoints", "missing")]),
        (json!({"endpoints": {}}), vec![("endpoints", "wrong_type")]),
        (json!({"endpoints": [7]}), vec![("endpoints.0", "wrong_type")]),
        (
            json!({"endpoints": [{}, {"endpoint_id": "a", "is_active": true, "x": 1}]}),
            vec![
                ("endpoints.0.endpoint_id", "missing"),
                ("endpoints.0.is_active", "missing"),
                ("endpoints.1.x", "unknown_field"),
            ],
        ),
        (
            json!({"endpoints": [endpoint("a", true), endpoint("a", true)]}),
            vec![("endpoints.1.endpoint_id", "repeated")],
        ),
        (json!({"endpoints": [], "problme": "x"}), vec![("problme", "unknown_field")]),
    ] {
        let expected: Vec<_> = told.into_iter().map(|(field, code)| (field.to_owned(), code)).collect();
        assert_eq!(crate::common::faults(read(body)), expected);
    }
}

#[test]
fn the_event_of_a_credential_names_it_and_a_phones_end_names_all_that_it_held() {
    let device = device();
    let none = DeviceAttachments::empty(&device);
    let (one, issued) = attachments_of(issue(&device, None, credential(1), &context(1)).unwrap().unwrap());
    let (_, revoked) = attachments_of(revoke(&device, Some(&one), credential(1), &context(2)).unwrap().unwrap());
    let id = json!(credential(1));
    let told = |event: &Event, field: &str| (event.changes[field].before.clone(), event.changes[field].after.clone());
    assert_eq!(told(&issued, "acs_credential_id"), (json!(null), id.clone()));
    assert_eq!(told(&revoked, "acs_credential_id"), (id.clone(), json!(null)));
    let mut end = context(3).event(EventType::DeviceDeleted);
    none.revoked_in(&mut end);
    assert!(end.changes.is_empty(), "it held none");
    one.revoked_in(&mut end);
    assert_eq!(told(&end, "acs_credential_ids"), (json!([id]), json!([])));
}
