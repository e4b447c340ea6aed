//! The output of `cargo run` when everything is ready.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::stack::{Stack, save_private};

/// The initial workspace and its first key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// The workspace.
    pub workspace_id: String,
    /// A key with every permission.
    pub key: String,
    /// The API's last URL.
    #[serde(default)]
    pub url: String,
    /// True if the demo data was created.
    #[serde(default)]
    pub demo: bool,
}

const FILE: &str = "workspace.json";

/// The workspace in the folder, or else a new one.
///
/// # Errors
/// What went wrong.
pub async fn workspace(stack: &Stack, folder: Option<&Path>) -> Result<Workspace, String> {
    let data = folder.and_then(|folder| std::fs::read(folder.join(FILE)).ok());
    let mut workspace = match data {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| format!("{FILE}: {error}"))?,
        None => new_workspace(stack).await?,
    };
    workspace.url = stack.url().to_owned();
    save(&workspace, folder)?;
    Ok(workspace)
}

/// Saves the workspace in the folder, readable by this user only.
///
/// # Errors
/// What went wrong.
pub fn save(workspace: &Workspace, folder: Option<&Path>) -> Result<(), String> {
    let Some(folder) = folder else { return Ok(()) };
    let written = json!(workspace).to_string();
    save_private(&folder.join(FILE), written.as_bytes()).map_err(|error| format!("{FILE}: {error}"))
}

async fn new_workspace(stack: &Stack) -> Result<Workspace, String> {
    let reply = stack.invoke("create-workspace", json!({ "name": "Local", "sandbox": false })).await?;
    let text = |field: &str| {
        reply[field].as_str().map(str::to_owned).ok_or_else(|| format!("create-workspace gave no {field}"))
    };
    Ok(Workspace { workspace_id: text("workspace_id")?, key: text("key")?, url: String::new(), demo: false })
}

/// The line for programs.
#[must_use]
pub fn line(workspace: &Workspace) -> Value {
    json!({ "url": workspace.url, "key": workspace.key, "workspace_id": workspace.workspace_id })
}

/// The screen for people.
#[must_use]
pub fn screen(workspace: &Workspace, folder: Option<&Path>) -> String {
    let Workspace { url, key, workspace_id, .. } = workspace;
    let data = folder.map_or_else(
        || "in memory, lost on exit (--data DIR keeps it)".to_owned(),
        |folder| folder.display().to_string(),
    );
    let mut screen = String::new();
    let person = r#"{"username":"ada","first_name":"Ada","last_name":"Adler","email":"ada@example.com"}"#;
    let _ = write!(
        screen,
        "\nHandset is ready.\n\n\
         \x20 API        {url}\n\
         \x20 Key        {key}\n\
         \x20 Workspace  {workspace_id}\n\
         \x20 Outbox     {url}/_local/outbox   e-mails, texts and pushes that were sent\n\
         \x20 Data       {data}\n\n\
         Try next:\n\n\
         \x20 export KEY={key}\n\
         \x20 curl -s {url}/users -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' \\\n\
         \x20   -d '{person}'\n\
         \x20 curl -s {url}/devices -H \"Authorization: Bearer $KEY\"\n\n\
         Requests are logged here. Ctrl-C stops.\n"
    );
    screen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_and_the_screen_say_where_and_with_what() {
        let workspace =
            Workspace { workspace_id: "w".into(), key: "seam_k".into(), url: "http://u".into(), demo: true };
        assert_eq!(line(&workspace), json!({"url": "http://u", "key": "seam_k", "workspace_id": "w"}));
        let screen = screen(&workspace, None);
        for part in ["http://u/_local/outbox", "seam_k", "curl -s http://u/devices"] {
            assert!(screen.contains(part), "{screen}");
        }
    }
}
