//! Creates a workspace and its first key. There is no route: IAM decides who may invoke it.

use aws::{Commit, Table, retry_on_conflict};
use domain::error::{DomainError, Error};
use domain::models::event::EventType;
use domain::models::key::ApiKey;
use domain::models::workspace::{NAME, Workspace};
use domain::permission::Permission;
use domain::secret::ApiKeySecret;
use domain::{KeyId, WorkspaceId};
use serde_json::{Value, json};

use crate::state::AppState;
use crate::triggers::Run;

/// Reads `{name, sandbox?, workspace_id?}` and returns `{workspace_id, key_id, key}`. The key has all permissions and
/// is shown only once. With a `workspace_id` chosen by the caller, a repeated invocation creates nothing.
///
/// # Errors
/// Every invalid field of the event; `AlreadyCreated`.
pub async fn handle(state: &AppState, run: Run) -> Result<Value, Error> {
    let table = state.table()?;
    let mut fields = run.fields()?;
    let name = fields.required_text("name", NAME);
    let sandbox = fields.boolean("sandbox").unwrap_or(false);
    let wanted = fields.id("workspace_id", WorkspaceId::parse);
    fields.finish().map_err(DomainError::Invalid)?;
    let name = name.unwrap_or_default();
    let workspace_id = wanted.unwrap_or_else(|| WorkspaceId(run.id_source.new_id()));
    retry_on_conflict(table, || attempt(table, &run, workspace_id, &name, sandbox)).await
}

async fn attempt(
    table: &Table,
    run: &Run,
    workspace_id: WorkspaceId,
    name: &str,
    sandbox: bool,
) -> Result<Value, Error> {
    if table.workspace(workspace_id).await?.is_some() {
        return Err(DomainError::AlreadyCreated(workspace_id.to_string()).into());
    }
    let event_context = run.new_event_context(workspace_id);
    let workspace = Workspace::new(workspace_id, name.to_owned(), sandbox, event_context.at);
    let secret = ApiKeySecret::new(run.id_source.random, sandbox);
    let key = ApiKey {
        workspace_id,
        key_id: KeyId(run.id_source.new_id()),
        short: secret.short.clone(),
        secret_hash: secret.hash(),
        name: "First key".to_owned(),
        permissions: Permission::ALL.iter().copied().collect(),
        created_at: event_context.at,
        created_by: event_context.creator(),
        ancestors: Vec::new(),
        expires_at: None,
        revoked: None,
        version: 1,
        stored: domain::stored::Stored::default(),
    };
    let mut event = event_context.event(EventType::WorkspaceCreated);
    event.key_id = Some(key.key_id);
    event.add_change("sandbox", Value::Null, sandbox);
    table.commit(Commit::with_event(&event).put(&workspace).put(&key)).await?;
    Ok(json!({"workspace_id": workspace_id, "key_id": key.key_id, "key": secret.reveal()}))
}
