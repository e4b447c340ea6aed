//! Access: workspaces, keys, members, personal access tokens, the issuer's keys.

use aws::Commit;
use aws::store::tokens::TokenPlace;
use chrono::Duration;
use domain::models::actor::Actor;
use domain::models::key::{AncestorKeys, ApiKey};
use domain::models::member::Member;
use domain::models::token::Token;
use domain::permission::{Permission, Role};
use domain::rules::access::{IssuerKey, IssuerKeys, KeyMaterial};
use domain::secret::Hash;
use domain::{EventId, KeyId, MemberId, TokenId, WorkspaceId};

use super::{Case, TestStore, new_id, short};

#[tokio::test]
async fn keys_and_members_are_found_in_their_own_workspace_only() {
    let store = &TestStore::start().await;
    let (case, other) = (Case::new(store), Case::new(store));
    let key = ApiKey {
        workspace_id: case.workspace,
        key_id: KeyId(new_id(case.now)),
        short: short(),
        secret_hash: Hash::of("secret"),
        name: "reader".to_owned(),
        permissions: [Permission::DevicesRead].into(),
        created_at: case.now,
        created_by: Actor::System.into(),
        ancestors: Vec::new(),
        expires_at: None,
        revoked: None,
        version: 1,
        stored: domain::stored::Stored::default(),
    };
    case.put(&key).await;
    assert_eq!(store.table.key(&key.short).await.expect("the call succeeds"), Some(key.clone()));
    assert_eq!(store.table.key_by_id(case.workspace, key.key_id).await.expect("the call succeeds"), Some(key.clone()));
    assert_eq!(store.table.key_by_id(other.workspace, key.key_id).await.expect("the call succeeds"), None);
    assert_eq!(
        store.table.list_keys(case.workspace, 10, None).await.expect("the call succeeds").items,
        std::slice::from_ref(&key)
    );
    assert!(store.table.list_keys(other.workspace, 10, None).await.expect("the call succeeds").items.is_empty());

    let revoked = short();
    let created = ApiKey {
        key_id: KeyId(new_id(case.now)),
        short: short(),
        created_by: Actor::Key(key.key_id).into(),
        ancestors: vec![revoked, key.short.clone()],
        ..key.clone()
    };
    case.put(&created).await;
    let ancestors = AncestorKeys::from([(key.short.clone(), key.clone())]);
    assert_eq!(store.table.find_ancestors(&created).await.expect("the call succeeds"), ancestors, "the existing ones");
    assert_eq!(store.table.makers_of_all(&[key.clone(), created.clone()]).await.expect("the call succeeds"), ancestors);
    assert_eq!(store.table.find_ancestors(&key).await.expect("the call succeeds"), AncestorKeys::new());
    let by = |creator| store.table.keys_created_by(case.workspace, creator);
    assert_eq!(by(Actor::System).await.expect("the call succeeds"), std::slice::from_ref(&key));
    assert_eq!(by(Actor::Key(key.key_id)).await.expect("the call succeeds"), [created]);
    assert!(store.table.keys_created_by(other.workspace, Actor::System).await.expect("the call succeeds").is_empty());

    let subject = format!("person-{}", case.id());
    let member = |case: &Case<'_>| Member {
        workspace_id: case.workspace,
        member_id: MemberId(new_id(case.now)),
        issuer: "https://issuer.example".to_owned(),
        subject: subject.clone(),
        name: None,
        role: Role::Admin,
        created_at: case.now,
        created_by: Actor::System.into(),
        pending: false,
        accepted_at: None,
        version: 1,
        stored: domain::stored::Stored::default(),
    };
    let (here, there) = (member(&case), member(&other));
    case.put(&here).await;
    other.put(&there).await;
    let table = &store.table;
    let mut both = table.memberships(&here.issuer, &subject).await.expect("the call succeeds");
    both.sort_by_key(|member| member.member_id);
    assert_eq!(both, [here.clone(), there.clone()]);
    let page = table.list_memberships(&here.issuer, &subject, 1, None).await.expect("the call succeeds");
    let rest = table.list_memberships(&here.issuer, &subject, 1, page.next).await.expect("the call succeeds").items;
    let mut paged: Vec<Member> = page.items.into_iter().chain(rest).collect();
    paged.sort_by_key(|member| member.member_id);
    assert_eq!(paged, both);
    assert_eq!(
        table.membership(case.workspace, &here.issuer, &subject).await.expect("the call succeeds"),
        Some(here.clone())
    );
    assert_eq!(table.membership(case.workspace, &here.issuer, "nobody").await.expect("the call succeeds"), None);
    assert_eq!(
        table.member_by_id(case.workspace, here.member_id).await.expect("the call succeeds"),
        Some(here.clone())
    );
    assert_eq!(table.member_by_id(case.workspace, there.member_id).await.expect("the call succeeds"), None);
    assert_eq!(
        table.member_by_id(case.workspace, MemberId(key.key_id.0)).await.expect("the call succeeds"),
        None,
        "a key is no member"
    );
    assert_eq!(
        table.key_by_id(case.workspace, KeyId(here.member_id.0)).await.expect("the call succeeds"),
        None,
        "nor a member a key"
    );
    case.remove(&here).await;
    assert_eq!(table.list_members(case.workspace, 10, None).await.expect("the call succeeds").items, []);
    assert_eq!(table.memberships(&here.issuer, &subject).await.expect("the call succeeds"), [there]);
}

#[tokio::test]
async fn a_persons_tokens_are_found_by_issuer_and_subject_only() {
    let store = &TestStore::start().await;
    let (case, other) = (Case::new(store), Case::new(store));
    let (issuer, subject) = ("https://issuer.example", format!("person-{}", case.id()));
    let mut tokens = Vec::new();
    for workspaces in [vec![case.workspace], vec![case.workspace, other.workspace], vec![other.workspace]] {
        let token = Token {
            token_id: TokenId(new_id(case.now)),
            short: short(),
            secret_hash: Hash::of("secret"),
            issuer: issuer.to_owned(),
            subject: subject.clone(),
            name: "a program".to_owned(),
            workspace_ids: workspaces.into_iter().collect(),
            permissions: Some([Permission::UsersRead].into()),
            created_at: case.now,
            expires_at: case.now.plus(Duration::days(1)),
            revoked_at: None,
            shut_out: Vec::new(),
            version: 1,
            stored: domain::stored::Stored::default(),
        };
        let commit = Commit::without_event(EventId(new_id(case.now))).put(&token).put(&TokenPlace::of(&token));
        store.table.commit(commit).await.expect("the commit succeeds");
        tokens.push(token);
    }
    // Newest first.
    tokens.reverse();
    let table = &store.table;
    let list = async |subject: &str, workspace, limit, start| {
        table.list_tokens(issuer, subject, workspace, limit, start).await.expect("the call succeeds")
    };
    for token in &tokens {
        assert_eq!(table.token(&token.short).await.expect("the call succeeds").as_ref(), Some(token));
        let found = table.person_token(issuer, &subject, token.token_id).await.expect("the call succeeds");
        assert_eq!(found.as_ref(), Some(token));
        assert_eq!(table.person_token(issuer, "nobody", token.token_id).await.expect("the call succeeds"), None);
        assert_eq!(
            table.person_token("https://other.example", &subject, token.token_id).await.expect("the call succeeds"),
            None
        );
    }
    assert_eq!(table.token("nobodys0").await.expect("the call succeeds"), None);
    assert_eq!(list(&subject, None, 10, None).await.items, tokens);
    assert_eq!(list(&subject, Some(case.workspace), 10, None).await.items, tokens[1..]);
    assert_eq!(list(&subject, Some(other.workspace), 10, None).await.items, tokens[..2]);
    assert!(list("nobody", None, 10, None).await.items.is_empty());
    let first = list(&subject, None, 2, None).await;
    assert_eq!(first.items, tokens[..2]);
    let rest = list(&subject, None, 2, first.next).await;
    assert_eq!((rest.items, rest.next), (tokens[2..].to_vec(), None));
    // A list entry whose token was deleted first is skipped.
    let deletion = Commit::without_event(EventId(new_id(case.now))).delete(&tokens[0]);
    store.table.commit(deletion).await.expect("the removal succeeds");
    assert_eq!(table.person_token(issuer, &subject, tokens[0].token_id).await.expect("the call succeeds"), None);
    assert_eq!(list(&subject, None, 10, None).await.items, tokens[1..]);
}

#[tokio::test]
async fn workspaces_and_issuer_keys_are_read_as_stored() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    assert_eq!(store.table.workspace(case.workspace).await.expect("the call succeeds"), None);
    let workspace = case.workspace_row();
    case.put(&workspace).await;
    assert_eq!(store.table.workspace(case.workspace).await.expect("the call succeeds").as_ref(), Some(&workspace));
    let unknown = WorkspaceId(new_id(case.now));
    let several = store.table.workspaces(&[case.workspace, unknown].into()).await.expect("the call succeeds");
    assert_eq!(several, [workspace], "nothing for one that does not exist");
    for kid in ["one", "two"] {
        let material = KeyMaterial::Ec { x: "x".to_owned(), y: "y".to_owned() };
        let key = IssuerKey { kid: kid.to_owned(), material };
        let stored = IssuerKeys { issuer: "https://issuer.example".to_owned(), keys: vec![key], fetched_at: case.now };
        store.table.put_issuer_keys(&stored).await.expect("the call succeeds");
        assert_eq!(
            store.table.issuer_keys().await.expect("the call succeeds"),
            Some(stored),
            "newer tokens replace older ones in the page"
        );
    }
}
