//! Personal access tokens.

use std::collections::BTreeSet;

use chrono::Duration;
use domain::models::actor::Actor;
use domain::models::event::EventType;
use domain::models::member::{Identity, Member};
use domain::models::token::{MAX_LIFETIME, NewToken, Token, TokenStatus, WORKSPACE_LIMIT};
use domain::permission::{Permission, Permissions, Role};
use domain::rules::access::{Caller, NoWorkspace, Proof};
use domain::rules::context::EventContext;
use domain::rules::tokens;
use domain::secret::AccessToken;
use domain::{DomainError, MemberId, TokenId, WorkspaceId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{at, context, fields};

fn letters(bytes: &mut [u8]) {
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::try_from(at * 7 % 256).unwrap();
    }
}

fn workspace(number: u128) -> WorkspaceId {
    WorkspaceId(Uuid::from_u128(number))
}

fn member(number: u128, role: Role) -> Member {
    Member {
        workspace_id: workspace(number),
        member_id: MemberId(Uuid::from_u128(100 + number)),
        issuer: "https://issuer.example".to_owned(),
        subject: "anna".to_owned(),
        name: None,
        role,
        created_at: at(0),
        created_by: Actor::System.into(),
        pending: false,
        accepted_at: None,
        version: 1,
        stored: domain::stored::Stored::default(),
    }
}

/// An admin in the first workspace, a viewer in the second.
fn person() -> Identity {
    let memberships = vec![member(1, Role::Admin), member(2, Role::Viewer)];
    Identity { issuer: "https://issuer.example".to_owned(), subject: "anna".to_owned(), memberships }
}

fn own(member: &Member) -> EventContext {
    EventContext { workspace_id: member.workspace_id, actor: Actor::Member(member.member_id), ..context(1) }
}

fn new(workspaces: &[u128], permissions: Option<&[Permission]>) -> NewToken {
    NewToken {
        name: "a program".to_owned(),
        workspace_ids: workspaces.iter().map(|number| workspace(*number)).collect(),
        permissions: permissions.map(|permissions| permissions.iter().copied().collect()),
        expires_at: at(60),
    }
}

fn made(workspaces: &[u128], permissions: Option<&[Permission]>) -> Token {
    let text = AccessToken::new(letters);
    tokens::create(new(workspaces, permissions), TokenId(Uuid::from_u128(7)), &text, &person(), at(1), own).0
}

fn read(body: Value) -> Result<NewToken, Vec<(String, &'static str)>> {
    NewToken::read(fields(body), &person(), at(0)).map_err(|error| match error {
        DomainError::Invalid(faults) => faults.into_iter().map(|fault| (fault.field, fault.code)).collect(),
        other => panic!("{other}"),
    })
}

fn body() -> Value {
    json!({"name": "n", "workspace_ids": [workspace(1)], "expires_at": at(1).to_string()})
}

#[test]
fn a_token_is_for_workspaces_that_its_maker_is_a_member_of_and_for_a_year_at_most() {
    let with = |name: &str, value: Value| {
        let mut body = body();
        body[name] = value;
        read(body)
    };
    assert!(read(body()).is_ok());
    let last = at(0).plus(MAX_LIFETIME);
    assert!(with("expires_at", json!(last)).is_ok());
    assert_eq!(with("permissions", json!(["users:read", "users:read"])).unwrap().permissions.unwrap().len(), 1);
    assert_eq!(with("permissions", Value::Null).unwrap().permissions, None);
    let many: Vec<WorkspaceId> = (1..=u128::try_from(WORKSPACE_LIMIT).unwrap() + 1).map(workspace).collect();
    let cases = [
        ("name", Value::Null, ("name", "missing")),
        ("workspace_ids", Value::Null, ("workspace_ids", "missing")),
        ("workspace_ids", json!([]), ("workspace_ids", "too_short")),
        ("workspace_ids", json!(workspace(1)), ("workspace_ids", "wrong_type")),
        ("workspace_ids", json!([workspace(1), 7]), ("workspace_ids", "wrong_type")),
        ("workspace_ids", json!([workspace(1), "x"]), ("workspace_ids.1", "invalid_format")),
        ("workspace_ids", json!([workspace(1), workspace(3)]), ("workspace_ids.1", "unknown_value")),
        ("workspace_ids", json!([workspace(1), workspace(1)]), ("workspace_ids", "repeated")),
        ("workspace_ids", json!(many), ("workspace_ids", "too_many")),
        ("workspace_ids", json!(many[1..]), ("workspace_ids.1", "unknown_value")),
        ("permissions", json!([]), ("permissions", "too_short")),
        ("permissions", json!(["everything"]), ("permissions.0", "unknown_value")),
        ("permissions", json!("users:read"), ("permissions", "wrong_type")),
        ("expires_at", Value::Null, ("expires_at", "missing")),
        ("expires_at", json!("soon"), ("expires_at", "invalid_format")),
        ("expires_at", json!(at(0)), ("expires_at", "out_of_range")),
        ("expires_at", json!(last.plus(Duration::milliseconds(1))), ("expires_at", "out_of_range")),
    ];
    for (field, value, (named, code)) in cases {
        let faults = with(field, value.clone()).unwrap_err();
        assert_eq!(faults.first(), Some(&(named.to_owned(), code)), "{field}: {value}");
    }
}

#[test]
fn a_token_is_good_from_its_making_to_its_end_and_only_by_its_own_secret() {
    let text = AccessToken::new(letters);
    let token = made(&[1], None);
    let authenticate = |token: &Token, text: &AccessToken, minutes| {
        Token::authenticate(Some(token.clone()), text, at(minutes)).map(|_| ())
    };
    assert_eq!(authenticate(&token, &text, 59), Ok(()));
    assert_eq!(authenticate(&token, &text, 60), Err(DomainError::CredentialExpired));
    let other = AccessToken::parse(&format!("seam_at1_{}_{}", text.short, "1".repeat(24))).unwrap();
    assert_eq!(authenticate(&token, &other, 59), Err(DomainError::CredentialInvalid));
    assert_eq!(Token::authenticate(None, &text, at(1)), Err(DomainError::CredentialInvalid));
    let (revoked, events) = tokens::revoke(&token, &person(), at(2), own).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(authenticate(&revoked, &text, 59), Err(DomainError::CredentialRevoked));
    assert_eq!(revoked.status(at(61)), TokenStatus::Revoked, "what was taken back did not end by itself");
    assert_eq!(tokens::revoke(&revoked, &person(), at(3), own), None);
}

#[test]
fn the_caller_is_the_member_that_the_person_is_now_cut_by_the_token() {
    let memberships = person().memberships;
    let all = made(&[1, 2], None);
    let of = |token: &Token, members: &[Member], wanted| Caller::of_token(token, members, wanted);
    for (number, role) in [(1, Role::Admin), (2, Role::Viewer)] {
        let caller = of(&all, &memberships, Some(workspace(number))).unwrap();
        assert_eq!(caller.actor, Actor::Member(MemberId(Uuid::from_u128(100 + number))));
        assert_eq!((caller.permissions, caller.token_id), (role.permissions(), Some(all.token_id)));
    }
    assert_eq!(of(&all, &memberships, None), Err(NoWorkspace::Unnamed), "which of the two?");
    let only = made(&[2], None);
    assert_eq!(of(&only, &memberships, None).unwrap().workspace_id, workspace(2));
    // A workspace that the token does not name is like one that nobody knows.
    for wanted in [1, 3] {
        assert_eq!(of(&only, &memberships, Some(workspace(wanted))), Err(NoWorkspace::NotAMember));
    }
    assert_eq!(of(&only, &memberships[..1], None), Err(NoWorkspace::NotAMember), "removed");
    let narrow = made(&[1, 2], Some(&[Permission::UsersRead, Permission::UsersManage]));
    let may = |number| of(&narrow, &memberships, Some(workspace(number))).unwrap().permissions;
    assert_eq!(may(1), Permissions::from([Permission::UsersRead, Permission::UsersManage]));
    assert_eq!(may(2), Permissions::from([Permission::UsersRead]), "a viewer manages nobody");
}

#[test]
fn whoever_names_no_workspace_may_choose_from_those_that_they_reach() {
    let workspaces = |proof: Proof| proof.callers().iter().map(|caller| caller.workspace_id).collect::<BTreeSet<_>>();
    let both = BTreeSet::from([workspace(1), workspace(2)]);
    assert_eq!(workspaces(Proof::Person(person())), both);
    let of = |token: Token| Proof::Token(Box::new(token), person().memberships);
    assert_eq!(workspaces(of(made(&[1, 2], None))), both);
    assert_eq!(workspaces(of(made(&[2], None))), BTreeSet::from([workspace(2)]));
    let cut = of(made(&[1, 2], Some(&[Permission::EventsRead]))).callers();
    assert!(cut.iter().all(|caller| caller.permissions == Permissions::from([Permission::EventsRead])));
    assert_eq!(of(made(&[1], None)).person(), Err(DomainError::MemberOnly));
    assert_eq!(Proof::Person(person()).person(), Ok(person()));
}

#[test]
fn a_workspace_that_shuts_a_token_out_is_closed_to_it_and_no_other_is() {
    let token = made(&[1, 2], None);
    let anna = &person().memberships[0];
    let (after, event) = tokens::shut_out(&token, anna, &context(2)).unwrap();
    assert_eq!((event.event_type, event.workspace_id), (EventType::TokenRevoked, workspace(1)));
    assert_eq!((event.token_id, event.member_id), (Some(token.token_id), Some(anna.member_id)));
    assert!(!after.gives_access_to(workspace(1)) && after.gives_access_to(workspace(2)));
    let status = |number| after.status_in(workspace(number), at(3));
    assert_eq!((status(1), status(2)), (TokenStatus::Revoked, TokenStatus::Active));
    assert_eq!(tokens::shut_out(&after, anna, &context(3)), None, "once");
    assert_eq!(after.memberships(&person().memberships), person().memberships[1..]);
    // Its person takes it back from where it is left.
    let (_, events) = tokens::revoke(&after, &person(), at(4), own).unwrap();
    assert_eq!(events.iter().map(|event| event.workspace_id).collect::<Vec<_>>(), [workspace(2)]);
}

#[test]
fn each_workspace_that_a_token_opens_is_told_of_it() {
    let text = AccessToken::new(letters);
    let new = new(&[1, 2], Some(&[Permission::UsersRead]));
    let (token, events) = tokens::create(new, TokenId(Uuid::from_u128(7)), &text, &person(), at(1), own);
    let told: Vec<_> = events.iter().map(|event| (event.event_type, event.workspace_id, event.actor)).collect();
    let actor = |number: u128| Actor::Member(MemberId(Uuid::from_u128(100 + number)));
    let created = EventType::TokenCreated;
    assert_eq!(told, [(created, workspace(1), actor(1)), (created, workspace(2), actor(2))]);
    for event in &events {
        assert_eq!((event.token_id, event.actor_token_id), (Some(token.token_id), None));
        assert_eq!(event.changes["permissions"].after, json!(["users:read"]));
        assert!(!json!(event).to_string().contains("a program"), "its name is its person's");
    }
}

#[test]
fn what_was_begun_by_a_token_goes_on_as_long_as_the_token_and_its_member_may() {
    let token = made(&[1], Some(&[Permission::UsersManage, Permission::UsersRead]));
    let (admin, viewer) = (member(1, Role::Admin), member(1, Role::Viewer));
    let may = |token: &Token, member: &Member, minutes| token.remaining_permissions(member, at(minutes));
    assert_eq!(may(&token, &admin, 59), Permissions::from([Permission::UsersManage, Permission::UsersRead]));
    assert_eq!(may(&token, &viewer, 59), Permissions::from([Permission::UsersRead]));
    let none = Permissions::new();
    assert_eq!(may(&token, &admin, 60), none, "expired");
    let (revoked, _) = tokens::revoke(&token, &person(), at(2), own).unwrap();
    assert_eq!(may(&revoked, &admin, 3), none, "taken back");
    let (out, _) = tokens::shut_out(&token, &admin, &context(2)).unwrap();
    assert_eq!(may(&out, &admin, 3), none, "shut out");
}
