//! Adds the current names of actors to replies.

use aws::Table;
use domain::WorkspaceId;
use domain::error::Error;
use domain::models::actor::Actor;
use serde::Serialize;
use serde_json::Value;

/// Fields that hold an actor.
const HOLDERS: [&str; 6] = ["actor", "by", "created_by", "queued_by", "revoked_by", "set_by"];

/// Fields that hold what callers sent, which is not searched for actors.
const SENT: [&str; 6] = ["changes", "custom_metadata", "filter", "overrides", "parameters", "private"];

/// Adds to each actor in the views its current name, as `name` beside `id`.
///
/// # Errors
/// Those of the reads.
pub(crate) async fn name_actors(
    table: &Table,
    workspace: WorkspaceId,
    views: impl IntoIterator<Item = impl Serialize>,
) -> Result<Vec<Value>, Error> {
    let views: Result<Vec<Value>, _> = views.into_iter().map(serde_json::to_value).collect();
    let mut views = views.map_err(|e| Error::internal("writing a view", e))?;
    let mut actors = Vec::new();
    for view in &mut views {
        each_actor(view, &mut |held| actors.extend(serde_json::from_value::<Actor>(held.clone())));
    }
    let names = table.actor_names(workspace, &actors).await?;
    for view in &mut views {
        each_actor(view, &mut |held| {
            if let Some(name) = held["id"].as_str().and_then(|id| names.get(id)) {
                held["name"] = name.clone().into();
            }
        });
    }
    Ok(views)
}

/// As [`name_actors`], for one view.
///
/// # Errors
/// Those of the reads.
pub(crate) async fn with_names(table: &Table, workspace: WorkspaceId, view: impl Serialize) -> Result<Value, Error> {
    Ok(name_actors(table, workspace, [view]).await?.pop().unwrap_or_default())
}

fn each_actor(value: &mut Value, found: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut().filter(|(name, _)| !SENT.contains(&name.as_str())) {
                if HOLDERS.contains(&name.as_str()) && value.is_object() {
                    found(value);
                } else {
                    each_actor(value, found);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_actor(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_actor_is_found_wherever_it_stands_but_in_what_callers_have_sent() {
        let mut view = json!({
            "actor": {"type": "key", "id": "1"},
            "changes": {"blocked": {"before": null, "after": {"by": {"type": "key", "id": "2"}}}},
            "history": [{"by": {"type": "member", "id": "3"}}, {"by": null}],
        });
        let mut ids = Vec::new();
        each_actor(&mut view, &mut |held| ids.push(held["id"].as_str().unwrap().to_owned()));
        assert_eq!(ids, ["1", "3"]);
    }
}
