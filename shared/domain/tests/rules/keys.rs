//! A key never outlives nor exceeds whoever makes it, and what a member has made can end with them.

use domain::error::DomainError;
use domain::limits::MAKERS_LIMIT;
use domain::models::actor::{Actor, Creator};
use domain::models::event::EventType;
use domain::models::key::{AncestorKeys, ApiKey, KeyStatus, NewKey, Revoked};
use domain::models::member;
use domain::models::member::{CREATED_LIMIT, CreatedByMember, Member};
use domain::models::webhook::{EventSelection, Webhook, WebhookSettings};
use domain::permission::{Permission, Role};
use domain::rules::access::Caller;
use domain::rules::context::EventContext;
use domain::rules::keys;
use domain::rules::members;
use domain::secret::{ApiKeySecret, Hash};
use domain::{KeyId, MemberId, Time, TokenId, WebhookId};
use serde_json::json;
use uuid::Uuid;

use crate::common::{at, context, faults, fields};
use crate::workspace::workspace;

fn secret(number: u8) -> ApiKeySecret {
    let short = String::from(char::from(b'A' + number)).repeat(8);
    ApiKeySecret::parse(&format!("seam_{short}_123456789123456789123456")).unwrap()
}

pub fn caller(actor: Actor, permissions: &[Permission]) -> Caller {
    Caller {
        workspace_id: context(0).workspace_id,
        actor,
        token_id: None,
        permissions: permissions.iter().copied().collect(),
    }
}

fn new(expires_at: Option<Time>) -> NewKey {
    NewKey { name: "a program".to_owned(), permissions: [Permission::DevicesRead].into(), expires_at }
}

/// The key that a key makes, or that a member does.
fn made(number: u8, expires_at: Option<Time>, creator: Option<&ApiKey>) -> Result<ApiKey, DomainError> {
    let id = |number: u8| Uuid::from_u128(u128::from(number));
    let actor = creator.map_or(Actor::Member(MemberId(id(90))), |creator| Actor::Key(creator.key_id));
    let caller = caller(actor, &[Permission::DevicesRead, Permission::WorkspaceManage]);
    let context = EventContext { actor, ..context(0) };
    keys::create(new(expires_at), KeyId(id(number)), &secret(number), &caller, creator, &context).map(|(key, _)| key)
}

fn with(keys: &[&ApiKey]) -> AncestorKeys {
    keys.iter().map(|key| (key.short.clone(), (*key).clone())).collect()
}

fn revoked(key: &ApiKey, minutes: i64) -> ApiKey {
    ApiKey { revoked: Some(Revoked { at: at(minutes), by: Actor::System }), ..key.clone() }
}

#[test]
fn a_key_that_a_key_makes_expires_no_later() {
    let day = made(1, Some(at(60)), None).unwrap();
    assert_eq!(made(2, None, Some(&day)).unwrap().expires_at, Some(at(60)), "for as long as its maker");
    assert_eq!(made(2, Some(at(30)), Some(&day)).unwrap().expires_at, Some(at(30)));
    assert_eq!(made(2, Some(at(60)), Some(&day)).unwrap().expires_at, Some(at(60)));
    let later = made(2, Some(at(61)), Some(&day));
    assert_eq!(faults(later.map(drop)), [("expires_at".to_owned(), "out_of_range")]);
    let duration = made(1, None, None).unwrap();
    assert_eq!(made(2, None, Some(&duration)).unwrap().expires_at, None);
    assert_eq!(made(2, Some(at(61)), Some(&duration)).unwrap().expires_at, Some(at(61)));
}

#[test]
fn a_key_ends_with_each_key_that_it_came_from() {
    let first = made(1, None, None).unwrap();
    let second = made(2, Some(at(60)), Some(&first)).unwrap();
    let third = made(3, Some(at(30)), Some(&second)).unwrap();
    assert_eq!((first.ancestors.len(), &second.ancestors), (0, &vec![first.short.clone()]));
    assert_eq!(third.ancestors, [first.short.clone(), second.short.clone()]);
    let ancestors = with(&[&first, &second]);
    assert_eq!(third.status(&ancestors, at(29)), KeyStatus::Active);
    assert_eq!(third.status(&ancestors, at(30)), KeyStatus::Expired);
    for over in [with(&[&revoked(&first, 5), &second]), with(&[&first, &revoked(&second, 5)]), with(&[&first])] {
        assert_eq!(third.status(&over, at(10)), KeyStatus::Revoked);
        assert_eq!(Caller::of_key(third.clone(), &over, at(10)), Err(DomainError::CredentialRevoked));
        assert!(Caller::still_may(&third, &over, at(10)).is_empty());
    }
    assert_eq!(third.status(&with(&[&first, &second]), at(60)), KeyStatus::Expired);
    let short = ApiKey { expires_at: Some(at(5)), ..second.clone() };
    assert_eq!(Caller::of_key(third.clone(), &with(&[&first, &short]), at(10)), Err(DomainError::CredentialExpired));
    let both = with(&[&revoked(&first, 7), &revoked(&second, 5)]);
    assert_eq!(third.effective_revocation(&both).map(|revoked| revoked.at), Some(at(5)), "when it ended");
    assert_eq!(
        (third.effective_revocation(&ancestors), first.status(&AncestorKeys::new(), at(0))),
        (None, KeyStatus::Active)
    );
    assert_eq!(Caller::still_may(&third, &ancestors, at(29)), third.permissions);
}

#[test]
fn so_many_keys_come_from_one_another_and_no_more() {
    let mut newest = made(0, None, None).unwrap();
    for number in 1..=u8::try_from(MAKERS_LIMIT).unwrap() {
        newest = made(number, None, Some(&newest)).unwrap();
    }
    assert_eq!(newest.ancestors.len(), MAKERS_LIMIT);
    assert_eq!(made(9, None, Some(&newest)), Err(DomainError::TooManyMakers));
}

#[test]
fn a_token_makes_no_key_and_nobody_gives_what_they_do_not_hold() {
    let member = Actor::Member(MemberId(Uuid::from_u128(5)));
    let create =
        |caller: &Caller| keys::create(new(None), KeyId(Uuid::from_u128(1)), &secret(1), caller, None, &context(0));
    let holds = caller(member, &[Permission::DevicesRead]);
    let by_token = Caller { token_id: Some(TokenId(Uuid::from_u128(6))), ..holds.clone() };
    assert_eq!(create(&by_token).unwrap_err(), DomainError::TokenMakesNoKeys);
    let lacks = caller(member, &[Permission::WorkspaceManage]);
    assert_eq!(create(&lacks).unwrap_err(), DomainError::PermissionNotHeld(Permission::DevicesRead));
    let (key, event) = create(&holds).unwrap();
    assert_eq!((key.created_by, event.key_id), (context(0).creator(), Some(key.key_id)));
}

#[test]
fn a_presented_key_is_good_by_its_secret_until_it_is_over() {
    let key = made(1, Some(at(60)), None).unwrap();
    let other = ApiKey { secret_hash: Hash::of("another"), ..key.clone() };
    let authenticate = |found: Option<&ApiKey>, minutes| ApiKey::authenticate(found.cloned(), &secret(1), at(minutes));
    assert_eq!(authenticate(Some(&key), 59), Ok(key.clone()));
    assert_eq!(authenticate(Some(&key), 60), Err(DomainError::CredentialExpired));
    assert_eq!(authenticate(Some(&revoked(&key, 1)), 2), Err(DomainError::CredentialRevoked));
    for unknown in [None, Some(&other)] {
        assert_eq!(authenticate(unknown, 0), Err(DomainError::CredentialInvalid));
    }
}

#[test]
fn who_made_something_by_a_token_is_remembered_with_it() {
    let (id, token_id) = (MemberId(Uuid::from_u128(5)), TokenId(Uuid::from_u128(6)));
    let by_token = EventContext { actor: Actor::Member(id), token_id: Some(token_id), ..context(0) };
    assert_eq!(json!(by_token.creator()), json!({"type": "member", "id": id, "token_id": token_id}));
    for creator in [by_token.creator(), context(0).creator(), Actor::System.into()] {
        assert_eq!(serde_json::from_value::<Creator>(json!(creator)).unwrap(), creator);
    }
    assert_eq!(json!(Creator::from(Actor::System)), json!(Actor::System), "as it was stored before");
}

fn admin(number: u128) -> Member {
    Member {
        workspace_id: context(0).workspace_id,
        member_id: MemberId(Uuid::from_u128(number)),
        issuer: "https://issuer.example".to_owned(),
        subject: "anna".to_owned(),
        name: None,
        role: Role::Admin,
        created_at: at(0),
        created_by: Actor::System.into(),
        pending: true,
        accepted_at: None,
        version: 1,
        stored: domain::stored::Stored::default(),
    }
}

#[test]
fn a_membership_counts_for_nothing_until_its_person_accepts_it() {
    let (before, pending) = (workspace(), admin(5));
    assert!(pending.permissions().is_empty() && member::accepted(vec![pending.clone()]).is_empty());
    assert_eq!(members::add(&pending, &context(0)).event_type, EventType::MemberAdded);
    let (after, accepted, event) = members::accept(&before, &pending, &context(3)).unwrap();
    assert_eq!((after.admin_count, before.admin_count), (2, 1));
    assert_eq!((accepted.pending, accepted.accepted_at), (false, Some(at(3))));
    assert_eq!(accepted.permissions(), Role::Admin.permissions());
    assert_eq!(member::accepted(vec![accepted.clone(), pending.clone()]), std::slice::from_ref(&accepted));
    assert_eq!(
        (&event.changes["status"].before, &event.changes["status"].after),
        (&json!("pending"), &json!("active"))
    );
    assert_eq!(members::accept(&after, &accepted, &context(4)), None, "twice is once");
    assert_eq!(members::decline(&accepted, &context(4)), Err(DomainError::MembershipAccepted));
    assert_eq!(members::decline(&pending, &context(4)).unwrap().event_type, EventType::MemberRemoved);
    let viewer = Member { role: Role::Viewer, ..pending };
    assert_eq!(members::accept(&before, &viewer, &context(3)).unwrap().0, before);
}

#[test]
fn who_has_not_accepted_is_no_admin_to_leave_or_to_be_left() {
    let remove = |admins, member: &Member| {
        let before = domain::models::workspace::Workspace { admin_count: admins, ..workspace() };
        members::remove(&before, member, &CreatedByMember::default(), false, || context(1))
            .map(|removal| removal.workspace.admin_count)
    };
    let (pending, accepted) = (admin(5), Member { pending: false, ..admin(5) });
    assert_eq!((remove(1, &pending), remove(0, &pending)), (Ok(1), Ok(0)));
    assert_eq!((remove(2, &accepted), remove(1, &accepted)), (Ok(1), Err(DomainError::LastAdmin)));
}

#[test]
fn what_a_member_made_ends_with_them_if_that_is_asked() {
    let before = domain::models::workspace::Workspace { admin_count: 2, ..workspace() };
    let leaves = Member { pending: false, ..admin(5) };
    let url = json!({"url": "https://hooks.example.com/"});
    let settings = WebhookSettings::read(&mut fields(url), EventSelection::Known, domain::egress::EgressPolicy::Public);
    let (webhook, _) = Webhook::create(WebhookId(Uuid::from_u128(7)), settings, &context(0));
    let key = made(1, None, None).unwrap();
    let made = CreatedByMember { keys: vec![key.clone()], webhooks: vec![webhook.clone()] };
    let kept = members::remove(&before, &leaves, &made, false, || context(1)).unwrap();
    assert_eq!((kept.keys.len(), kept.webhooks.len(), kept.events.len()), (0, 0, 1));
    let ended = members::remove(&before, &leaves, &made, true, || context(1)).unwrap();
    let types: Vec<EventType> = ended.events.iter().map(|event| event.event_type).collect();
    assert_eq!(types, [EventType::MemberRemoved, EventType::KeyRevoked, EventType::WebhookUpdated]);
    assert!(ended.keys[0].0 == key && ended.keys[0].1.revoked.is_some());
    assert!(ended.webhooks[0].0 == webhook && ended.webhooks[0].1.disabled.is_some());
    let many = |count| CreatedByMember { keys: vec![key.clone(); count], webhooks: vec![webhook.clone()] };
    assert!(members::remove(&before, &leaves, &many(CREATED_LIMIT - 1), true, || context(1)).is_ok());
    let refused = members::remove(&before, &leaves, &many(CREATED_LIMIT), true, || context(1));
    assert_eq!(refused, Err(DomainError::TooManyMade(CREATED_LIMIT + 1)));
    assert!(members::remove(&before, &leaves, &many(CREATED_LIMIT), false, || context(1)).is_ok());
}

#[test]
fn a_new_key_is_read_with_every_fault_named() {
    let read = |body| NewKey::read(fields(body), at(10));
    let ok = json!({"name": "a program", "permissions": ["users:read", "devices:read"], "expires_at": at(11)});
    let permissions = [Permission::DevicesRead, Permission::UsersRead].into();
    assert_eq!(read(ok), Ok(NewKey { name: "a program".to_owned(), permissions, expires_at: Some(at(11)) }));
    for over in [at(9), at(10)] {
        let body = json!({"name": "a program", "permissions": ["users:read"], "expires_at": over});
        assert_eq!(faults(read(body)), [("expires_at".to_owned(), "out_of_range")]);
    }
    let expected = [("name", "missing"), ("permissions", "missing")];
    assert_eq!(faults(read(json!({}))), expected.map(|(field, code)| (field.to_owned(), code)));
}
