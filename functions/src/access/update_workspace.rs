//! `PATCH /workspace`.

use aws::DeviceFilter;
use aws::{Commit, Table};
use domain::UserId;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::device::Status;
use domain::models::workspace::{SilentRule, Workspace, WorkspaceEdit};
use domain::rules::workspaces::update;
use lambda::{AuthorizedRequest, Reply};
use serde_json::{Value, json};

use crate::description::OperationDoc;
use crate::description::schema::thing;
use crate::retry::retry_on_conflict;
use crate::settings::{Defaults, Settings};
use crate::state::AppState;
use crate::views;

/// How many devices a preview shows.
const PREVIEW: usize = 100;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Change the workspace")
        .detail(
            "A setting of `null` goes back to what the deployment says. With `dry_run` nothing is changed, and \
             `preview` shows the devices that the rule for silent devices would befall now, which takes \
             `devices:read`. To set that rule takes `devices:manage`: it acts in the name of whoever set it, and \
             pauses once they may no longer do what it does.",
        )
        .body(|mut fields| drop(read(&mut fields)))
        .versioned()
        .shows("The workspace.", json!({"anyOf": [thing("Workspace"), thing("WorkspaceTried")]}))
}

/// Answers with the workspace; a setting of `null` goes back to what the deployment says. With
/// `dry_run` nothing is changed, and `preview` shows the devices that the rule for silent devices
/// would befall now: `{devices, more}`.
///
/// # Errors
/// Every fault of the body; `PermissionMissing` for a rule for devices, or its preview; `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let Settings { defaults, senders, .. } = &state.settings;
    let table = state.table()?;
    let mut fields = request.http.body()?;
    let (edit, dry_run) = read(&mut fields);
    senders.check(&edit, &mut fields);
    defaults.messages.check(&edit, &mut fields);
    fields.finish().map_err(DomainError::Invalid)?;
    edit.require_made_by(&request.caller, dry_run)?;
    retry_on_conflict(table, || async {
        let before = table.workspace(request.workspace()).await?.ok_or(DomainError::NotFound("workspace"))?;
        request.http.check_version(before.version)?;
        let changed = update(&before, &edit, &request.event_context());
        if dry_run {
            let version = before.version;
            let after = changed.map_or(before, |(after, _)| after);
            return Ok(would_be(table, &request, &after, defaults).await?.versioned(version));
        }
        let Some((after, event)) = changed else {
            return Ok(Reply::thing(&views::workspace(&before, defaults), before.version));
        };
        let after = table.commit(Commit::of(&event).edit(&before, &after)).await?.now(after);
        Ok(Reply::thing(&views::workspace(&after, defaults), after.version))
    })
    .await
}

fn read(fields: &mut Fields) -> (WorkspaceEdit, bool) {
    let dry_run = fields.boolean("dry_run").unwrap_or(false);
    (WorkspaceEdit::read(fields), dry_run)
}

async fn would_be(
    table: &Table,
    request: &AuthorizedRequest,
    after: &Workspace,
    defaults: &Defaults,
) -> Result<Reply, Error> {
    let mut view = views::workspace(after, defaults);
    view["preview"] = match &after.settings.silent_devices {
        Some(rule) => preview(table, request, rule).await?,
        None => json!({"devices": [], "more": false}),
    };
    Ok(Reply::ok(&view))
}

async fn preview(table: &Table, request: &AuthorizedRequest, rule: &SilentRule) -> Result<Value, Error> {
    let filter = silent(rule, request.now());
    let page = table.list_devices(request.workspace(), &filter, PREVIEW, None, request.now()).await?;
    let ids = page.items.iter().map(|device| device.user_id).collect::<std::collections::BTreeSet<UserId>>();
    let users = table.users(request.workspace(), &ids).await?;
    let shown = |device| views::device(device, views::name_of(&users, device.user_id).as_deref(), request.now());
    let devices: Vec<Value> = page.items.iter().map(shown).collect();
    Ok(json!({"devices": devices, "more": page.next.is_some()}))
}

/// The devices that the rule befalls: those that are there, are not blocked, and have not come for
/// so long. What has never come is not silent.
pub(crate) fn silent(rule: &SilentRule, now: domain::Time) -> DeviceFilter {
    DeviceFilter {
        status: Some(Status::Active),
        blocked: Some(false),
        last_login_before: Some(rule.silent_before(now)),
        ..DeviceFilter::default()
    }
}
