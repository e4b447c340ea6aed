//! The documentation: short enough to be read, without broken links, and with names that exist in the code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The most lines that a document may have.
const LIMITS: [(&str, usize); 2] = [("README.md", 150), ("infra/docs/architecture.md", 200)];

/// Beginnings of names of CloudFormation.
const CLOUDFORMATION_PREFIXES: [&str; 2] = ["AWS::", "Fn::"];

/// The file of the example in CONTRIBUTING, which is not in the sources.
const EXAMPLE_FILE: &str = "functions/src/devices/rename_device.rs";

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

/// The code spans of a document, outside of its examples.
fn code_spans(document: &str) -> Vec<String> {
    let text = prose(&root().join(document));
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Reads the sources below a folder, by their path from the root.
fn read_sources(folder: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = format!("{folder}/{}", entry.unwrap().file_name().into_string().unwrap());
        if root().join(&path).is_dir() {
            read_sources(&path, found);
        } else if path.ends_with(".rs") {
            let text = fs::read_to_string(root().join(&path)).unwrap();
            found.insert(path, text);
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a line declares this name, as an item, a constant of a type, or a variant.
fn declares(line: &str, name: &str) -> bool {
    let words: Vec<&str> = line.split(|c| !is_word(c)).filter(|word| !word.is_empty()).collect();
    let item = words.windows(2).any(|pair| {
        matches!(pair[0], "fn" | "struct" | "enum" | "trait" | "const" | "static" | "type" | "mod" | "union")
            && pair[1] == name
    });
    let after = line.trim_start().strip_prefix(name).map(str::trim_start);
    item || after.is_some_and(|after| after.is_empty() || after.starts_with([',', '(', '{', '=']))
}

/// Whether a source is that of a type or module of this name, or holds methods of it.
fn belongs_to(path: &str, text: &str, owner: &str) -> bool {
    let of_owner = |line: &str| {
        let line = line.trim_start();
        (line.starts_with("impl") || declares(line, owner)) && line.split(|c| !is_word(c)).any(|word| word == owner)
    };
    path.trim_end_matches(".rs").split('/').any(|part| part == owner) || text.lines().any(of_owner)
}

/// Whether a source declares `owner::name`.
fn is_declared(path: &str, sources: &BTreeMap<String, String>) -> bool {
    let parts: Vec<&str> = path.split("::").collect();
    let (owner, name) = (parts[parts.len() - 2], parts[parts.len() - 1]);
    sources.iter().any(|(path, text)| belongs_to(path, text, owner) && text.lines().any(|line| declares(line, name)))
}

/// Names of the form `owner::name` in a document that no source declares.
fn unknown_names(document: &str, sources: &BTreeMap<String, String>) -> Vec<String> {
    let spans = code_spans(document);
    let named = spans
        .iter()
        .map(|span| span.trim_end_matches("()"))
        .filter(|span| span.contains("::") && span.chars().all(|c| is_word(c) || c == ':') && !span.ends_with("::"))
        .filter(|span| !CLOUDFORMATION_PREFIXES.iter().any(|prefix| span.starts_with(prefix)));
    let unknown = named.filter(|span| !is_declared(span, sources));
    unknown.map(|span| format!("{document}: no source declares {span}")).collect()
}

/// Paths in a document that lead to no file or folder. A source may be named by the end of its path.
fn unknown_paths(document: &str, sources: &BTreeMap<String, String>) -> Vec<String> {
    let is_ours = |path: &str| ["functions/", "shared/", "infra/", "tests/"].iter().any(|root| path.starts_with(root));
    let spans = code_spans(document);
    let paths = spans.iter().filter(|span| (span.ends_with(".rs") || is_ours(span)) && !span.contains([' ', '<', '*']));
    let each = paths.flat_map(|span| match span.split_once('{').zip(span.split_once('}')) {
        Some(((before, _), (_, after))) => {
            let names = &span[before.len() + 1..span.len() - after.len() - 1];
            names.split(',').map(|name| format!("{before}{name}{after}")).collect()
        }
        None => vec![span.clone()],
    });
    let exists =
        |path: &str| root().join(path).exists() || sources.keys().any(|source| source.ends_with(&format!("/{path}")));
    let wrong = each.filter(|path| path != EXAMPLE_FILE && !exists(path));
    wrong.map(|path| format!("{document}: {path} does not exist")).collect()
}

#[test]
fn every_name_and_path_of_code_in_a_document_exists() {
    let mut all = BTreeMap::new();
    for folder in ["functions", "shared", "infra/local", "tests"] {
        read_sources(folder, &mut all);
    }
    let of_product: BTreeMap<_, _> = all
        .clone()
        .into_iter()
        .filter(|(path, _)| path.starts_with("functions/") || path.starts_with("shared/"))
        .collect();
    let documents =
        documents().into_iter().filter(|document| !["README.md", "CHANGELOG.md"].contains(&document.as_str()));
    let faults: Vec<String> = documents
        .flat_map(|document| [unknown_names(&document, &of_product), unknown_paths(&document, &all)].concat())
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(is_declared("Commit::from_changes", &of_product) && !is_declared("Commit::from_nothing", &of_product));
}
