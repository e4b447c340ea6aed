//! Search words, in the partitions of this release and in the one of the release before.

use std::collections::BTreeSet;

use aws::{Commit, DeviceFilter, UserFilter};
use domain::UserId;
use domain::models::user::User;
use serde_json::{Value, json};
use testkit::rows;

use super::{Case, TestStore, list_all_pages, nothing, search_query};

/// The stored rows of search words of a workspace.
fn words(case: &Case<'_>) -> Vec<Value> {
    let of_workspace = format!("WORD#{}#", case.workspace);
    let stored = rows::all(&case.store.bench, rows::MAIN).into_iter();
    stored.filter(|(key, _)| key.starts_with(&of_workspace)).map(|(_, row)| row).collect()
}

/// Puts a word where the release before has it.
fn put_former(case: &Case<'_>, row: &Value) {
    let former: Vec<&str> = row["pk"].as_str().expect("a text").split('#').take(3).collect();
    rows::put(&case.store.bench, rows::MAIN, &json!({"pk": former.join("#"), "sk": row["sk"]}), &[]);
}

/// Puts some words back where the release before has them: of three, one is in both places, and one stays.
fn move_back(case: &Case<'_>) {
    for (number, row) in words(case).into_iter().enumerate().filter(|(number, _)| number % 3 > 0) {
        put_former(case, &row);
        if number % 3 == 1 {
            rows::remove(&case.store.bench, rows::MAIN, &row);
        }
    }
}

async fn found_users(case: &Case<'_>, text: &str, limit: usize) -> Vec<UserId> {
    let filter = &UserFilter { search: Some(search_query(text)), ..UserFilter::default() };
    let page = |start| async move { case.table.list_users(case.workspace, filter, limit, start, case.now).await };
    list_all_pages(page, nothing).await.into_iter().map(|found| found.user.user_id).collect()
}

#[tokio::test]
async fn a_search_finds_each_once_wherever_its_words_are_and_reindex_moves_them() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let mut users = Vec::new();
    for number in 0..20 {
        let mut user = case.user(&format!("anna{number:02}")).await;
        let _device = case.device(&mut user, &format!("anna-phone-{number}")).await;
        users.push(user);
    }
    let case = &case;
    let expected: BTreeSet<UserId> = users.iter().map(|user| user.user_id).collect();
    let stored: BTreeSet<String> = words(case).iter().map(Value::to_string).collect();
    let find_all = || async {
        for (text, limit) in [("anna", 1), ("ann", 7), ("a", 100), ("example", 3)] {
            let found = found_users(case, text, limit).await;
            assert_eq!(found.len(), expected.len(), "{text} in pages of {limit}");
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "{text} in pages of {limit}");
            let filter = &DeviceFilter { search: Some(search_query(text)), ..DeviceFilter::default() };
            let page =
                |start| async move { case.table.list_devices(case.workspace, filter, limit, start, case.now).await };
            let found = list_all_pages(page, nothing).await;
            let once: BTreeSet<UserId> = found.iter().map(|device| device.user_id).collect();
            assert_eq!((found.len(), once), (expected.len(), expected.clone()), "phones of {text}, pages of {limit}");
        }
    };
    find_all().await;
    move_back(case);
    find_all().await;
    let workspace = json!({"workspace_id": case.workspace});
    let answer = store.bench.stack.invoke("reindex", workspace.clone()).await.expect("the run succeeds");
    assert_eq!(answer["cursor"], Value::Null);
    assert_eq!(
        words(case).iter().map(Value::to_string).collect::<BTreeSet<_>>(),
        stored,
        "only at this release's keys"
    );
    find_all().await;
}

#[tokio::test]
async fn a_word_that_a_user_no_longer_has_is_nowhere() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let user = case.user("anna").await;
    for row in words(&case) {
        put_former(&case, &row);
    }
    let renamed = User { first_name: Some("Zora".to_owned()), ..user.clone() };
    let commit = Commit::without_event(case.id()).edit(&user, &renamed);
    let renamed = case.table.commit(commit).await.expect("no conflict").with_new_version(renamed);
    let stored = |word: &str| {
        words(&case).iter().filter(|row| row["sk"].as_str().is_some_and(|sk| sk.starts_with(word))).count()
    };
    assert_eq!((stored("ada#"), stored("zora#")), (0, 1));
    assert!(stored("anna#") > 0, "unchanged words stay where they are");

    let mut commit = Commit::without_event(case.id()).delete(&renamed);
    for former in case.table.former_index_rows(&renamed).await.expect("the call succeeds") {
        commit = commit.remove(&former);
    }
    let _deleted = case.table.commit(commit).await.expect("no conflict");
    assert_eq!(words(&case), Vec::<Value>::new());
}
