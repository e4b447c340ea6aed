//! The template's tables in the local DynamoDB.
//!
//! dynoxide finds the end of a table's stream by reading the complete stream at every write, so that after a
//! few thousand writes each takes longer than everything else. Two additional indexes in its file make this
//! fast; they do not change its responses.

use std::path::{Path, PathBuf};

use dynoxide::Database;
use dynoxide::actions::create_table::CreateTableRequest;
use dynoxide::actions::list_tables::ListTablesRequest;

use crate::template::Template;

/// For finding the last record, and for reading the records after another one.
const STREAM_INDEXES: &str = "
    CREATE INDEX IF NOT EXISTS _stream_records_by_number
        ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
    CREATE INDEX IF NOT EXISTS _stream_records_by_shard
        ON _stream_records (table_name, shard_id, CAST(sequence_number AS INTEGER));";

/// Opens the database, in a folder or in memory, with the template's tables.
///
/// # Errors
/// What could not be opened or created.
pub fn open(folder: Option<&Path>, template: &Template) -> Result<Database, String> {
    match folder {
        Some(folder) => {
            let file = folder.join("tables.sqlite");
            prepare(&file, template)?;
            make_private(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            at(&file)
        }
        None => in_memory(template),
    }
}

/// Created in a file first, since only a file can be given the indexes.
fn in_memory(template: &Template) -> Result<Database, String> {
    let file = std::env::temp_dir().join(format!("handset-{}.sqlite", crate::random_id()));
    let prepared = prepare(&file, template);
    let restored = prepared.and_then(|()| {
        let database = Database::memory().map_err(|error| error.to_string())?;
        database.restore_from(&file.to_string_lossy()).map_err(|error| error.to_string())?;
        Ok(database)
    });
    remove(&file);
    restored
}

/// Removes a file and SQLite's files next to it. Missing files and failures are ignored.
pub fn remove(file: &Path) {
    for file in [file.to_owned(), beside(file, "-wal"), beside(file, "-shm")] {
        let _ = std::fs::remove_file(file);
    }
}

/// Makes the file readable by this user only, since it contains codes and addresses. SQLite gives its other
/// files the same mode.
fn make_private(file: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn at(file: &Path) -> Result<Database, String> {
    Database::new(&file.to_string_lossy()).map_err(|error| format!("{}: {error}", file.display()))
}

/// Creates missing tables and indexes.
fn prepare(file: &Path, template: &Template) -> Result<(), String> {
    make_tables(&at(file)?, template)?;
    let connection = rusqlite::Connection::open(file).map_err(|error| error.to_string())?;
    connection.execute_batch(STREAM_INDEXES).map_err(|error| error.to_string())
}

fn make_tables(database: &Database, template: &Template) -> Result<(), String> {
    let existing = database.list_tables(ListTablesRequest::default()).map_err(|error| error.to_string())?;
    for table in &template.tables {
        let name = table["TableName"].as_str().unwrap_or_default();
        if !existing.table_names.iter().any(|existing| existing == name) {
            let request: CreateTableRequest =
                serde_json::from_value(table.clone()).map_err(|error| format!("{name}: {error}"))?;
            database.create_table(request).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::StackLocation;

    #[test]
    fn the_end_of_a_stream_is_found_by_an_index() {
        let given = [("PublicUrl", "http://x"), ("SenderAddress", "a@b.example")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let template = Template::read(crate::TEMPLATE, &StackLocation::default(), &given).unwrap();
        let file = std::env::temp_dir().join(format!("handset-test-{}.sqlite", crate::random_id()));
        prepare(&file, &template).unwrap();
        prepare(&file, &template).unwrap();
        let connection = rusqlite::Connection::open(&file).unwrap();
        // The queries of dynoxide.
        for (query, index) in [
            (
                "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records WHERE table_name = 'a'",
                "by_number",
            ),
            (
                "SELECT keys_json FROM _stream_records WHERE table_name = 'a' AND shard_id = 'b' AND CAST(sequence_number AS INTEGER) > 1 ORDER BY CAST(sequence_number AS INTEGER) ASC LIMIT 9",
                "by_shard",
            ),
        ] {
            let plan: String =
                connection.query_row(&format!("EXPLAIN QUERY PLAN {query}"), [], |row| row.get(3)).unwrap();
            assert!(plan.contains("USING") && plan.contains(index), "{plan}");
        }
        drop(connection);
        std::fs::remove_file(file).unwrap();
    }
}
