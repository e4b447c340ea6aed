//! Sources, their users, and what a sync stages.

use aws::store::staging;
use aws::{Commit, StagedRowsOf};
use chrono::Duration;
use domain::error::Error;
use domain::models::source::{DataSource, SourceKind, SourceSettings};
use domain::models::user::User;
use domain::{JobId, SourceId, WorkspaceId};
use serde_json::json;

use super::{Case, TestStore, list_all_pages, new_id, nothing};

fn source(case: &Case<'_>, name: &str) -> DataSource {
    let body = json!({"name": name, "mapping": {"username": "login", "external_id": "id"}});
    let mut fields = domain::input::Fields::from_json(body.as_object().cloned().unwrap_or_default());
    let settings = SourceSettings::read_new(&mut fields, SourceKind::Csv, &[]);
    DataSource::create(SourceKind::Csv, SourceId(new_id(case.now)), settings, &case.context()).0
}

fn user_of(case: &Case<'_>, source: &DataSource, username: &str, name: &str) -> User {
    let mut user = case.new_user(username);
    user.source = domain::models::user::Source::Csv;
    user.provenance.source_id = Some(source.source_id);
    user.provenance.external_id = Some(name.to_owned());
    user
}

#[tokio::test]
async fn a_source_is_read_with_its_users_and_its_upload() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let (one, two) = (source(&case, "one"), source(&case, "two"));
    case.put(&one).await;
    case.later(Duration::seconds(1));
    let two = DataSource { created_at: case.now, ..two };
    case.put(&two).await;
    let mut users = Vec::new();
    for n in 0..5 {
        case.later(Duration::seconds(1));
        let user = user_of(&case, &one, &format!("of-one-{n}"), &format!("E-{n}"));
        case.put(&user).await;
        users.insert(0, user);
    }
    case.put(&user_of(&case, &two, "of-two", "E-0")).await;
    let case = &case;
    assert_eq!(case.table.source(case.workspace, one.source_id).await.expect("the call succeeds"), Some(one.clone()));
    assert_eq!(case.table.source(WorkspaceId(new_id(case.now)), one.source_id).await.expect("the call succeeds"), None);
    let missing_source = SourceId(new_id(case.now));
    let there = case.table.sources(case.workspace, &[missing_source, two.source_id]).await.expect("the call succeeds");
    assert_eq!(there, std::slice::from_ref(&two));
    for limit in [1, 100] {
        let page = |start| async move { case.table.list_sources(case.workspace, limit, start).await };
        assert_eq!(list_all_pages(page, nothing).await, [two.clone(), one.clone()]);
        let id = one.source_id;
        let page = |start| async move { case.table.users_of_source(case.workspace, id, limit, start).await };
        assert_eq!(list_all_pages(page, nothing).await, users);
    }
    // Parts come in the order of their numbers, without those of another upload.
    let (upload, other) = (new_id(case.now), new_id(case.now));
    for (upload_id, number) in [(upload, 10), (upload, 2), (other, 1), (upload, 1)] {
        let bytes = aws::bytes(&vec![u8::try_from(number).unwrap_or(0); 200 * 1024]);
        let (workspace_id, source_id) = (case.workspace, one.source_id);
        case.put(&staging::UploadPart { workspace_id, source_id, upload_id, number, bytes, at: case.now }).await;
    }
    let id = one.source_id;
    let page = |start| async move { case.table.upload_parts(case.workspace, id, upload, start).await };
    let parts = list_all_pages(page, nothing).await;
    assert_eq!(parts.iter().map(|part| (part.number, part.bytes[0])).collect::<Vec<_>>(), [(1, 1), (2, 2), (10, 10)]);
    // A token is stored and deleted.
    let keep = Commit::without_event(case.id()).put_source_token(id, "a token");
    case.table.commit(keep).await.expect("the commit succeeds");
    assert_eq!(case.table.source_token(id).await.expect("the call succeeds").as_deref(), Some("a token"));
    case.table.commit(Commit::without_event(case.id()).delete_source_token(id)).await.expect("the removal succeeds");
    assert_eq!(case.table.source_token(id).await.expect("the call succeeds"), None);
}

#[tokio::test]
async fn an_external_id_is_unique_within_its_source() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let (one, two) = (source(&case, "one"), source(&case, "two"));
    let (ada, bob) = (user_of(&case, &one, "ada", "E-1"), user_of(&case, &two, "bob", "E-1"));
    case.put(&ada).await;
    case.put(&bob).await;
    let same = user_of(&case, &one, "eve", "E-1");
    let refused = case.table.commit(Commit::without_event(case.id()).put(&same)).await;
    assert!(matches!(refused, Err(Error::Conflict)), "{refused:?}");
    let names = [
        ("ADA".to_owned(), None),
        ("nobody".to_owned(), Some("E-1".to_owned())),
        ("bob".to_owned(), Some("E-2".to_owned())),
    ];
    let claimed = case.table.find_claimed(case.workspace, one.source_id, &names).await.expect("the call succeeds");
    let whom = |user: &Option<User>| user.as_ref().map(|user| user.username.clone());
    let claimed: Vec<_> = claimed.iter().map(|c| (whom(&c.by_username), whom(&c.by_external_id))).collect();
    let ada_there = || Some("ada".to_owned());
    assert_eq!(claimed, [(ada_there(), None), (None, ada_there()), (Some("bob".to_owned()), None)]);
    // After a rename the former name is free.
    let mut renamed = ada.clone();
    renamed.provenance.external_id = Some("E-3".to_owned());
    case.table.commit(Commit::without_event(case.id()).edit(&ada, &renamed)).await.expect("the name is free");
    case.put(&same).await;
}

#[tokio::test]
async fn a_sources_own_username_finds_its_user_in_that_source_only() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let (one, two) = (source(&case, "one"), source(&case, "two"));
    let mut ada = user_of(&case, &one, "by-hand", "E-1");
    ada.provenance.source_username = Some("Ada".to_owned());
    case.put(&ada).await;
    let known = async |source: &DataSource, name: &str| {
        let names = [(name.to_owned(), None)];
        let claimed =
            case.table.find_claimed(case.workspace, source.source_id, &names).await.expect("the call succeeds");
        claimed[0].by_source_username.as_ref().map(|user| user.username.clone())
    };
    let there = Some("by-hand".to_owned());
    assert_eq!((known(&one, "ADA").await, known(&two, "ada").await), (there.clone(), None));
    assert_eq!(known(&one, "by-hand").await, None, "by their own name they are found by that");
    // Another user known by the name is no conflict, and a user who takes the name again is no longer known by it.
    let mut eve = user_of(&case, &one, "eve", "E-2");
    eve.provenance.source_username = Some("ada".to_owned());
    case.put(&eve).await;
    assert_eq!(known(&one, "ada").await, Some("eve".to_owned()));
    let mut again = eve.clone();
    again.provenance.source_username = None;
    case.table.commit(Commit::without_event(case.id()).edit(&eve, &again)).await.expect("the write succeeds");
    assert_eq!(known(&one, "ada").await, None);
}

#[tokio::test]
async fn staged_rows_are_read_and_removed_by_their_job() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let source_id = SourceId(new_id(case.now));
    let stage =
        |job_id| staging::StagedKey { workspace_id: case.workspace, source_id, job_id, attempt: new_id(case.now) };
    let (one, other) = (stage(JobId(new_id(case.now))), stage(JobId(new_id(case.now))));
    for stage in [one, other] {
        for number in 0..95 {
            let rows = aws::bytes(&[7, 0, 255]);
            case.put(&staging::StagedRows { stage, number, rows, at: case.now }).await;
        }
        let keys = staging::StagedKeys::bytes_of(&[1, u64::MAX, 7 << 40]);
        case.put(&staging::StagedKeys { stage, number: 0, keys, at: case.now }).await;
    }
    let rows = case.table.staged_rows(one, 94).await.expect("the call succeeds").map(|staged| staged.rows.into_vec());
    assert_eq!(rows, Some(vec![7, 0, 255]));
    assert_eq!(case.table.staged_rows(one, 95).await.expect("the call succeeds"), None);
    let hashes = case.table.staged_keys(one, 0).await.expect("the call succeeds").map(|staged| staged.hashes());
    assert_eq!(hashes, Some(vec![1, u64::MAX, 7 << 40]));
    let leavings = StagedRowsOf::Job(one.job_id);
    let mut removed = 0;
    loop {
        let keys = case.table.staged_row_keys(case.workspace, source_id, &leavings).await.expect("the call succeeds");
        if keys.is_empty() {
            break;
        }
        removed += keys.len();
        case.table.commit(Commit::without_event(case.id()).delete_rows(&keys)).await.expect("the removal succeeds");
    }
    assert_eq!(removed, 96);
    assert!(case.table.staged_rows(other, 0).await.expect("the call succeeds").is_some(), "another job's stay");
}
