//! A device's commands.

use std::collections::BTreeSet;

use chrono::Duration;
use domain::DeviceId;
use domain::models::command::{Command, CommandKind};
use domain::models::device::{DeviceWithCommands, PushToken};
use domain::models::usage::UsageScope;
use domain::states::CommandState;

use super::{Place, TestStore, command, give, invited, new_id, nothing, usage, walk};

#[tokio::test]
async fn each_phone_comes_with_its_open_commands() {
    let store = &TestStore::start().await;
    let place = Place::new(store);
    let mut user = place.user("ada").await;
    let mut phones = Vec::new();
    for identifier in ["one", "two", "three"] {
        let device = place.device(&mut user, identifier).await;
        let over = command(&place, &device, CommandKind::Lock, CommandState::Succeeded);
        place.put(&over).await;
        let kinds = CommandKind::ALL.iter().filter(|_| identifier != "two");
        let open: Vec<Command> =
            kinds.map(|kind| command(&place, &device, *kind, CommandState::Delivered)).rev().collect();
        let device = if open.is_empty() { device } else { give(&place, &device, &open).await };
        phones.push(DeviceWithCommands { device, open });
    }
    phones.sort_by_key(|phone| phone.device.device_id);
    let table = &store.table;
    assert_eq!(table.phones(place.workspace, &user.device_ids).await.expect("it answers"), phones);
    for phone in &phones {
        assert_eq!(table.open_commands(&phone.device).await.expect("it answers"), phone.open, "in the row's order");
    }
    let some: BTreeSet<DeviceId> = [phones[0].device.device_id, DeviceId(new_id(place.now))].into();
    assert_eq!(table.phones(place.workspace, &some).await.expect("it answers"), phones[..1], "without what is gone");
    assert_eq!(table.phones(place.workspace, &BTreeSet::new()).await.expect("it answers"), []);
    let other = Place::new(store);
    assert_eq!(table.phones(other.workspace, &user.device_ids).await.expect("it answers"), []);
    let command = &phones[0].open[0];
    let found = table.command(place.workspace, command.device_id, command.command_id).await.expect("it answers");
    assert_eq!(found.as_ref(), Some(command));
    let elsewhere = phones[1].device.device_id;
    assert_eq!(table.command(place.workspace, elsewhere, command.command_id).await.expect("it answers"), None);
    assert_eq!(table.command(other.workspace, command.device_id, command.command_id).await.expect("it answers"), None);
}

#[tokio::test]
async fn commands_and_invitations_come_newest_first_and_alone() {
    let store = &TestStore::start().await;
    let mut place = Place::new(store);
    let mut user = place.user("ada").await;
    let device = place.device(&mut user, "phone").await;
    place.put(&PushToken::given(&device, "token".to_owned(), None, place.now)).await;
    place.put(&usage(&place, UsageScope::User(user.user_id), "2026-11", 1)).await;
    let (mut commands, mut invitations) = (Vec::new(), Vec::new());
    for at in 0..7 {
        commands.push(command(&place, &device, CommandKind::Lock, CommandState::Canceled));
        place.put(&commands[at]).await;
        invitations.push(invited(&place, &user, 1, Duration::days(7)).0);
        place.put(&invitations[at]).await;
        place.later(Duration::seconds(1));
    }
    commands.reverse();
    invitations.reverse();
    let (place, device, user) = (&place, &device, &user);
    for limit in [1, 2, 100] {
        let page =
            |start| async move { place.table.list_commands(place.workspace, device.device_id, limit, start).await };
        // Newer commands are added between the pages, and older ones change.
        let mut changes = commands.iter().rev();
        let found = walk(page, || {
            let newer = command(place, device, CommandKind::Lock, CommandState::Queued);
            let old = changes.next().expect("there are fewer pages than commands").clone();
            async move {
                if limit == 1 {
                    place.put(&newer).await;
                    place.edit(&old, &Command { deferrals: 9, ..old.clone() }).await;
                }
            }
        })
        .await;
        let ids = |commands: &[Command]| commands.iter().map(|command| command.command_id).collect::<Vec<_>>();
        assert!(ids(&found).ends_with(&ids(&commands)), "pages of {limit}: {found:?}");
        let page =
            |start| async move { place.table.list_invitations(place.workspace, user.user_id, limit, start).await };
        assert_eq!(walk(page, nothing).await, invitations, "pages of {limit}");
    }
    let (table, nobody) = (place.table, Place::new(store));
    let none = table.list_commands(nobody.workspace, device.device_id, 10, None).await.expect("it answers");
    assert_eq!(none.items, []);
    let none = table.list_invitations(nobody.workspace, user.user_id, 10, None).await.expect("it answers");
    assert_eq!(none.items, []);
}
