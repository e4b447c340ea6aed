//! `PATCH /workspace`.

use aws::{Commit, Table, retry_on_conflict};
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::device::Device;
use domain::models::event::Event;
use domain::models::workspace::{SilentRule, Workspace, WorkspaceEdit};
use domain::rules::change::{ChangeSet, RowChange};
use domain::rules::context::EventContext;
use domain::rules::workspaces::update;
use lambda::{AuthorizedRequest, Reply};

use crate::context::Origin;
use crate::description::OperationDoc;
use crate::jobs::silent_rule;
use crate::settings::{OperatorSettings, Settings};
use crate::state::AppState;
use crate::views;

/// Maximum number of devices in a preview.
const PREVIEW: usize = 100;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Change the workspace")
        .detail(
            "`null` resets a setting to the deployment's default. With `dry_run` nothing is changed, and `preview` \
             shows the devices that the rule for silent devices would apply to now; that needs `devices:read`. \
             Setting the rule needs `devices:manage`: the rule acts in the name of whoever set it, and is paused \
             when they lose that permission.",
        )
        .body(|mut fields| drop(read(&mut fields)))
        .with_etag()
        .shows::<views::ChangedWorkspace>("The workspace.")
}

/// Returns the workspace. A setting of `null` is reset to the deployment's default. With `dry_run` nothing is
/// changed, and `preview` (`{devices, more}`) contains the devices to which the rule for silent devices would apply
/// now.
///
/// # Errors
/// Every invalid field of the body; `PermissionMissing` for the rule for silent devices, or its preview;
/// `VersionMismatch`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let Settings { operator, senders, .. } = &state.settings;
    let table = state.table()?;
    let mut fields = request.http.body()?;
    let (edit, dry_run) = read(&mut fields);
    senders.check(&edit, &mut fields);
    operator.messages.check(&edit, &mut fields);
    fields.finish().map_err(DomainError::Invalid)?;
    edit.require_made_by(&request.caller, dry_run)?;
    retry_on_conflict(table, || async {
        let before = table.workspace(request.workspace()).await?.ok_or(DomainError::NotFound("workspace"))?;
        request.http.check_version(before.version)?;
        let context = &request.new_event_context();
        let changed = update(&before, &edit, context);
        if dry_run {
            let version = before.version;
            let after = changed.map_or(before, |(after, _)| after);
            return Ok(would_be(table, &request, &after, operator).await?.with_etag(version));
        }
        let Some((after, event)) = changed else {
            // An earlier try may have ended before the job was stopped.
            silent_rule::settle_job(table, &Origin::of_request(&request), &before).await?;
            return Ok(changed_to(&before, operator));
        };
        let after = commit(table, &Origin::of_request(&request), context, before, after, event).await?;
        Ok(changed_to(&after, operator))
    })
    .await
}

/// Commits the change. A job of the rule for silent devices ends with its rule.
async fn commit(
    table: &Table,
    origin: &Origin,
    context: &EventContext,
    before: Workspace,
    after: Workspace,
    event: Event,
) -> Result<Workspace, Error> {
    let is_other_rule = before.settings.silent_devices != after.settings.silent_devices;
    let canceled = if is_other_rule { silent_rule::cancel_job(table, &before, context).await? } else { None };
    let mut change = ChangeSet::with_event(event);
    change.workspace = Some(RowChange::from(before, after.clone()));
    if let Some(canceled) = canceled {
        change.events.extend(canceled.events);
        change.job = canceled.job;
    }
    let after = table.commit(Commit::from_changes(context.event_id, &change)).await?.with_new_version(after);
    // After the reply, nothing more is done.
    silent_rule::settle_job(table, origin, &after).await?;
    Ok(after)
}

fn changed_to(workspace: &Workspace, operator: &OperatorSettings) -> Reply {
    let view = views::ChangedWorkspace::Changed(views::Workspace::new(workspace, operator));
    Reply::ok_versioned(&view, workspace.version)
}

fn read(fields: &mut Fields) -> (WorkspaceEdit, bool) {
    let dry_run = fields.boolean("dry_run").unwrap_or(false);
    (WorkspaceEdit::read(fields), dry_run)
}

async fn would_be(
    table: &Table,
    request: &AuthorizedRequest,
    after: &Workspace,
    operator: &OperatorSettings,
) -> Result<Reply, Error> {
    let preview = match &after.settings.silent_devices {
        Some(rule) => preview(table, request, rule).await?,
        None => views::SilentDevices::default(),
    };
    let workspace = views::Workspace::new(after, operator);
    Ok(Reply::ok(&views::ChangedWorkspace::Preview(views::WorkspacePreview { workspace, preview })))
}

async fn preview(table: &Table, request: &AuthorizedRequest, rule: &SilentRule) -> Result<views::SilentDevices, Error> {
    let filter = silent_rule::silent(rule, request.now());
    let page = table.list_devices(request.workspace(), &filter, PREVIEW, None, request.now()).await?;
    let names = table.user_names(request.workspace(), &page.items).await?;
    let view = |device: &Device| views::DeviceSummary::new(device, names.get(&device.user_id).cloned(), request.now());
    Ok(views::SilentDevices { devices: page.items.iter().map(view).collect(), more: page.next.is_some() })
}
