//! A device's commands.

use std::collections::BTreeSet;

use chrono::Duration;
use domain::DeviceId;
use domain::models::command::{Command, CommandKind};
use domain::models::device::{DeviceWithCommands, PushToken};
use domain::models::usage::UsageScope;
use domain::states::CommandState;

use super::{Case, TestStore, command, invited, list_all_pages, new_id, nothing, set_open_commands, usage};

#[tokio::test]
async fn a_device_is_read_with_its_open_commands() {
    let store = &TestStore::start().await;
    let case = Case::new(store);
    let mut user = case.user("ada").await;
    let mut phones = Vec::new();
    for identifier in ["one", "two", "three"] {
        let device = case.device(&mut user, identifier).await;
        let over = command(&case, &device, CommandKind::Lock, CommandState::Succeeded);
        case.put(&over).await;
        let kinds = CommandKind::ALL.iter().filter(|_| identifier != "two");
        let open: Vec<Command> =
            kinds.map(|kind| command(&case, &device, *kind, CommandState::Delivered)).rev().collect();
        let device = if open.is_empty() { device } else { set_open_commands(&case, &device, &open).await };
        phones.push(DeviceWithCommands { device, open_commands: open });
    }
    phones.sort_by_key(|phone| phone.device.device_id);
    let table = &store.table;
    assert_eq!(table.devices_with_commands(case.workspace, &user.device_ids).await.expect("the call succeeds"), phones);
    for phone in &phones {
        assert_eq!(
            table.open_commands(&phone.device).await.expect("the call succeeds"),
            phone.open_commands,
            "in the row's order"
        );
    }
    let some: BTreeSet<DeviceId> = [phones[0].device.device_id, DeviceId(new_id(case.now))].into();
    assert_eq!(
        table.devices_with_commands(case.workspace, &some).await.expect("the call succeeds"),
        phones[..1],
        "without deleted rows"
    );
    assert_eq!(table.devices_with_commands(case.workspace, &BTreeSet::new()).await.expect("the call succeeds"), []);
    let other = Case::new(store);
    assert_eq!(table.devices_with_commands(other.workspace, &user.device_ids).await.expect("the call succeeds"), []);
    let command = &phones[0].open_commands[0];
    let found = table.command(case.workspace, command.device_id, command.command_id).await.expect("the call succeeds");
    assert_eq!(found.as_ref(), Some(command));
    let elsewhere = phones[1].device.device_id;
    assert_eq!(table.command(case.workspace, elsewhere, command.command_id).await.expect("the call succeeds"), None);
    assert_eq!(
        table.command(other.workspace, command.device_id, command.command_id).await.expect("the call succeeds"),
        None
    );
}

#[tokio::test]
async fn commands_and_invitations_are_read_newest_first_without_others() {
    let store = &TestStore::start().await;
    let mut case = Case::new(store);
    let mut user = case.user("ada").await;
    let device = case.device(&mut user, "phone").await;
    case.put(&PushToken::new_for(&device, "token".to_owned(), None, case.now)).await;
    case.put(&usage(&case, UsageScope::User(user.user_id), "2026-11", 1)).await;
    let (mut commands, mut invitations) = (Vec::new(), Vec::new());
    for at in 0..7 {
        commands.push(command(&case, &device, CommandKind::Lock, CommandState::Canceled));
        case.put(&commands[at]).await;
        invitations.push(invited(&case, &user, 1, Duration::days(7)).0);
        case.put(&invitations[at]).await;
        case.later(Duration::seconds(1));
    }
    commands.reverse();
    invitations.reverse();
    let (case, device, user) = (&case, &device, &user);
    for limit in [1, 2, 100] {
        let page =
            |start| async move { case.table.list_commands(case.workspace, device.device_id, limit, start).await };
        // Newer commands are added between the pages, and older ones change.
        let mut changes = commands.iter().rev();
        let found = list_all_pages(page, || {
            let newer = command(case, device, CommandKind::Lock, CommandState::Queued);
            let old = changes.next().expect("there are fewer pages than commands").clone();
            async move {
                if limit == 1 {
                    case.put(&newer).await;
                    case.edit(&old, &Command { deferrals: 9, ..old.clone() }).await;
                }
            }
        })
        .await;
        let ids = |commands: &[Command]| commands.iter().map(|command| command.command_id).collect::<Vec<_>>();
        assert!(ids(&found).ends_with(&ids(&commands)), "pages of {limit}: {found:?}");
        let page = |start| async move { case.table.list_invitations(case.workspace, user.user_id, limit, start).await };
        assert_eq!(list_all_pages(page, nothing).await, invitations, "pages of {limit}");
    }
    let (table, nobody) = (case.table, Case::new(store));
    let none = table.list_commands(nobody.workspace, device.device_id, 10, None).await.expect("the call succeeds");
    assert_eq!(none.items, []);
    let none = table.list_invitations(nobody.workspace, user.user_id, 10, None).await.expect("the call succeeds");
    assert_eq!(none.items, []);
}
