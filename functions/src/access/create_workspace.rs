//! Makes a workspace and its first key. There is no route: IAM says who may invoke it.

use aws::{Commit, Workspaces};
use domain::access::Permission;
use domain::event::EventType;
use domain::key::Key;
use domain::refusal::{Failure, Refusal};
use domain::secret::ApiKey;
use domain::workspace::{NAME, Settings, Workspace};
use domain::{KeyId, WorkspaceId};
use serde_json::{Value, json};

use crate::attempts::attempts;
use crate::triggers::Run;

/// Takes `{name, sandbox?, workspace_id?}` and answers with `{workspace_id, key_id, key}`; the
/// key may do everything, and is shown this once. With a `workspace_id` of the invoker's own, a
/// repeated invocation makes nothing again.
///
/// # Errors
/// Every fault of the event; `AlreadyCreated`.
pub async fn handle(store: &impl Workspaces, run: Run) -> Result<Value, Failure> {
    let mut fields = run.fields()?;
    let name = fields.required_text("name", NAME);
    let sandbox = fields.boolean("sandbox").unwrap_or(false);
    let wanted = fields.id("workspace_id", WorkspaceId::parse);
    fields.finish().map_err(Refusal::Invalid)?;
    let name = name.unwrap_or_default();
    let workspace_id = wanted.unwrap_or_else(|| WorkspaceId(run.moment.draw()));
    attempts(store, || attempt(store, &run, workspace_id, &name, sandbox)).await
}

async fn attempt(
    store: &impl Workspaces,
    run: &Run,
    workspace_id: WorkspaceId,
    name: &str,
    sandbox: bool,
) -> Result<Value, Failure> {
    if store.workspace(workspace_id).await?.is_some() {
        return Err(Refusal::AlreadyCreated(workspace_id.to_string()).into());
    }
    let act = run.act(workspace_id);
    let workspace = Workspace {
        workspace_id,
        name: name.to_owned(),
        sandbox,
        created_at: act.at,
        admin_count: 0,
        profile_count: 0,
        default_profile_id: None,
        settings: Settings::default(),
        silent_rule_at: None,
        silent_rule_cursor: None,
        silent_rule_by: None,
        silent_rule_paused_at: None,
        version: 1,
        stored: domain::stored::Stored::default(),
    };
    let secret = ApiKey::new(run.moment.random, sandbox);
    let key = Key {
        workspace_id,
        key_id: KeyId(run.moment.draw()),
        short: secret.short.clone(),
        secret_hash: secret.hash(),
        name: "First key".to_owned(),
        permissions: Permission::ALL.iter().copied().collect(),
        created_at: act.at,
        created_by: act.maker(),
        makers: Vec::new(),
        expires_at: None,
        revoked: None,
        version: 1,
        stored: domain::stored::Stored::default(),
    };
    let mut event = act.event(EventType::WorkspaceCreated);
    event.key_id = Some(key.key_id);
    event.change("sandbox", Value::Null, sandbox);
    store.commit(Commit::of(&event).put(&workspace).put(&key)).await?;
    Ok(json!({"workspace_id": workspace_id, "key_id": key.key_id, "key": secret.reveal()}))
}
