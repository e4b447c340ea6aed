//! The documentation: short enough to be read, and without broken links.

use std::fs;
use std::path::{Path, PathBuf};

/// The most lines that a document may have.
const LIMITS: [(&str, usize); 2] = [("README.md", 150), ("infra/docs/architecture.md", 200)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every document, by its path from the root.
fn documents() -> Vec<String> {
    let mut all: Vec<String> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(str::to_owned).into();
    for folder in ["infra/docs", "infra/decisions"] {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        all.extend(names.filter(|name| name.ends_with(".md")).map(|name| format!("{folder}/{name}")));
    }
    all
}

/// A document's text without its examples.
fn prose(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

/// The anchor of a heading, as GitHub derives it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
}

/// The error of a document's link, if its target does not exist.
fn link_error(document: &str, link: &str) -> Option<String> {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let from = root().join(document);
    let to = if file.is_empty() { from } else { from.parent().unwrap().join(file) };
    if !to.exists() {
        return Some(format!("{document}: {link} leads to no file"));
    }
    let leads = heading.is_empty()
        || prose(&to).lines().any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#')) == heading);
    (!leads).then(|| format!("{document}: {link} leads to no heading"))
}

#[test]
fn the_readme_and_the_guides_are_short() {
    for (document, limit) in LIMITS {
        let lines = fs::read_to_string(root().join(document)).unwrap().lines().count();
        assert!(lines <= limit, "{document} has {lines} lines");
    }
}

#[test]
fn every_link_of_a_document_has_a_target() {
    let mut faults = Vec::new();
    let mut found = 0;
    for document in documents() {
        let text = prose(&root().join(&document));
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let own: Vec<&str> = links.filter(|link| !link.contains("://")).collect();
        found += own.len();
        faults.extend(own.iter().filter_map(|link| link_error(&document, link)));
    }
    assert!(found > 50, "{found} links are found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(link_error("README.md", "infra/docs/none.md").is_some_and(|fault| fault.contains("no file")));
    assert!(link_error("README.md", "infra/docs/api.md#none").is_some_and(|fault| fault.contains("no heading")));
}
