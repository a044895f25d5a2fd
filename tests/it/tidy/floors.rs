//! The floors: a module imports only from strictly lower floors, or from itself.
//!
//! Owns the table of floors; ARCHITECTURE.md describes it. Never looks at names that a macro pastes together: this
//! crate has none.

use std::collections::BTreeSet;

use super::sources::{SourceFile, Token};

/// Each module at the top of the crate and the floor it stands on. A new module takes its place here first.
const FLOORS: [(&str, u8); 20] = [
    ("model", 0),
    ("config", 1),
    ("telemetry", 1),
    ("crash", 1),
    ("store", 2),
    ("http", 2),
    ("aws", 2),
    ("catalog", 3),
    ("cdn", 3),
    ("edge::policy", 3),
    ("edge::settings", 3),
    ("server", 4),
    ("publish", 4),
    ("device", 4),
    ("edge::proxy", 4),
    ("fleet", 4),
    ("assembly", 5),
    ("cli", 6),
    ("lib", 7),
    ("main", 7),
];

/// Folders whose modules, their rooms, stand on floors of their own. The folder's own file is a map and imports nothing.
const HOUSES: [&str; 1] = ["edge"];

/// Imports along one floor that are wanted, each for a reason: here the settings of an edge are the shapes of its
/// policy, filled from a file. A floor between the two would have let `edge::settings` read everything on floor 3.
const DOORS: [(&str, &str); 1] = [("edge::settings", "edge::policy")];

fn floor_of(module: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, floor)| *floor)
}

/// The module of the table that a path begins with: its first segment, or its first two inside a house.
fn own_module(path: &[String]) -> String {
    match path {
        [house, room, ..] if HOUSES.contains(&house.as_str()) => format!("{house}::{room}"),
        [first, ..] => first.clone(),
        [] => String::new(),
    }
}

/// Every import of `file` that does not go strictly downwards.
pub(super) fn violations(file: &SourceFile) -> Vec<String> {
    let module = module_path(&file.path);
    let own = match file.path.as_str() {
        "src/main.rs" => "main".to_owned(),
        "src/lib.rs" => "lib".to_owned(),
        _ => own_module(&module),
    };
    if HOUSES.contains(&own.as_str()) {
        return file
            .tokens()
            .iter()
            .filter(|token| matches!(token.text.as_str(), "use" | "crate" | "headwater"))
            .map(|token| token.line)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|line| {
                format!(
                    "{}:{line}: `{own}` is the map of its rooms; only they import",
                    file.path
                )
            })
            .collect();
    }
    let Some(floor) = floor_of(&own) else {
        return vec![format!(
            "{}:1: module `{own}` has no floor; add it to FLOORS in tests/it/tidy/floors.rs",
            file.path
        )];
    };
    let mut found = Vec::new();
    for (target, line) in imports(&module, &file.tokens()) {
        if target == own || DOORS.contains(&(own.as_str(), target.as_str())) {
            continue;
        }
        let why = match floor_of(&target) {
            None => format!("`{target}` is no module with a floor"),
            Some(other) if other >= floor => format!(
                "`{own}` (floor {floor}) imports `{target}` (floor {other}); only lower floors may be imported"
            ),
            Some(_) => continue,
        };
        found.push(format!("{}:{line}: {why}", file.path));
    }
    found
}

/// `src/server/emit.rs` is `server::emit`; the two roots are empty.
fn module_path(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    let mut segments: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if matches!(
        segments.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        segments.pop();
    }
    segments
}

/// The modules of the table that the code names, by `crate::`, `super::` or the crate's own name.
fn imports(module: &[String], tokens: &[Token]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    // Modules written inside the file: `super` counts them too. Each with the depth of its brace.
    let mut inline: Vec<usize> = Vec::new();
    let mut depth = 0;
    let text = |index: usize| tokens.get(index).map_or("", |token| token.text.as_str());
    for (index, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => {
                depth += 1;
                if index >= 2 && text(index - 2) == "mod" {
                    inline.push(depth);
                }
            }
            "}" => {
                inline.pop_if(|opened_at| *opened_at == depth);
                depth -= 1;
            }
            "crate" | "headwater"
                if text(index + 1) == "::" && !continues_a_path(tokens, index) =>
            {
                found.extend(targets(&tokens[index + 2..], ""));
            }
            "super" if !continues_a_path(tokens, index) => {
                let mut after = index;
                let mut ups = 0;
                while text(after) == "super" && text(after + 1) == "::" {
                    ups += 1;
                    after += 2;
                }
                // Higher up than the file's own module: the roots of the crate, or of a house.
                let above = (module.len() + inline.len()).checked_sub(ups);
                match (above, module.first()) {
                    (Some(0), _) if ups > 0 => found.extend(targets(&tokens[after..], "")),
                    (Some(1), Some(house)) if ups > 0 && HOUSES.contains(&house.as_str()) => {
                        found.extend(targets(&tokens[after..], house));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    found
}

/// Whether the token goes on a path that an earlier token began (`self::super::` begins nowhere else).
fn continues_a_path(tokens: &[Token], index: usize) -> bool {
    index >= 2
        && tokens[index - 1].text == "::"
        && tokens[index - 2].text != "self"
        && tokens[index - 2]
            .text
            .starts_with(|first: char| first.is_alphabetic())
}

/// What the tokens after `crate::` name, or after `crate::edge::` when that is the `house`: one module, or one for each
/// element of a braced list. A house is followed by its room, or by a list of rooms.
fn targets(after: &[Token], house: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut depth = 0;
    let mut starts_an_element = true;
    for (index, token) in after.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => starts_an_element = true,
            name if depth <= 1 && starts_an_element => {
                let goes_on = after.get(index + 1).is_some_and(|next| next.text == "::");
                if house.is_empty() && HOUSES.contains(&name) && goes_on {
                    found.extend(targets(&after[index + 2..], name));
                } else if house.is_empty() {
                    found.push((name.to_owned(), token.line));
                } else {
                    found.push((format!("{house}::{name}"), token.line));
                }
                starts_an_element = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, text: &str) -> Vec<String> {
        violations(&SourceFile::imagined(path, text))
    }

    #[test]
    fn imports_of_lower_floors_and_of_itself_are_legal() {
        let text = "use crate::model::Digest;\nuse crate::{http::{plan, Plan}, store};\nuse super::limits;\n\
                    mod tests { use super::*; use super::super::Server; }\npub(crate) fn f() { crate::server::g() }";
        assert_eq!(of("src/server/emit.rs", text), Vec::<String>::new());
    }

    #[test]
    fn an_import_upwards_is_found_with_its_line() {
        let found = of("src/store/disk.rs", "\nuse crate::catalog::Release;\n");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("src/store/disk.rs:2:"), "{found:?}");
        assert!(found[0].contains("floor 3"), "{found:?}");
    }

    #[test]
    fn an_import_sideways_is_found() {
        assert_eq!(
            of("src/server/mod.rs", "use crate::publish::Mode;").len(),
            1
        );
    }

    #[test]
    fn every_element_of_a_braced_import_is_looked_at() {
        let found = of(
            "src/http/plan.rs",
            "use crate::{model::{Digest, range}, server::{a, b}, cli};",
        );
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn a_path_in_the_middle_of_code_is_found() {
        let text = "fn f() { let x = g(crate::cli::run()); }";
        assert_eq!(of("src/model/names.rs", text).len(), 1);
    }

    #[test]
    fn a_path_by_super_is_found_from_a_file_and_from_a_module_inside_it() {
        assert_eq!(
            of("src/store/mod.rs", "use super::catalog::Release;").len(),
            1
        );
        assert_eq!(
            of("src/store/disk.rs", "use super::super::catalog::R;").len(),
            1
        );
        let inside = "fn f() {} mod tests { fn g() { super::super::super::cli::run() } }";
        assert_eq!(of("src/store/disk.rs", inside).len(), 1);
        let after = "mod tests { fn g() {} } use super::super::cli;";
        assert_eq!(of("src/store/disk.rs", after).len(), 1);
    }

    #[test]
    fn a_module_without_a_floor_is_found_as_importer_and_as_import() {
        assert_eq!(of("src/helpers.rs", "").len(), 1);
        assert_eq!(of("src/server/mod.rs", "use crate::helpers::x;").len(), 1);
        assert_eq!(of("src/server/mod.rs", "use crate::*;").len(), 1);
    }

    #[test]
    fn the_binary_may_import_the_library_by_its_name() {
        assert!(of("src/main.rs", "fn main() { headwater::cli::main() }").is_empty());
        assert_eq!(of("src/cli/mod.rs", "use headwater::main::x;").len(), 1);
    }

    /// Whether each of these imports is found, from each of these files.
    fn rooms(rows: &[(&str, &str, usize)]) {
        for (path, text, expected) in rows {
            let found = of(path, text);
            assert_eq!(found.len(), *expected, "{path}: {text}: {found:?}");
        }
    }

    #[test]
    fn a_room_of_a_house_stands_on_a_floor_of_its_own() {
        rooms(&[
            (
                "src/edge/policy/cache.rs",
                "use crate::edge::proxy::Viewer;",
                1,
            ),
            ("src/edge/policy/mod.rs", "use super::proxy::Viewer;", 1),
            (
                "src/edge/policy/cache.rs",
                "use super::super::proxy::Viewer;",
                1,
            ),
            ("src/edge/policy/cache.rs", "use super::freshness::Ttl;", 0),
            (
                "src/edge/policy/cache.rs",
                "use crate::edge::policy::Moment;",
                0,
            ),
            (
                "src/edge/policy/cache.rs",
                "use crate::catalog::Release;",
                1,
            ),
            (
                "src/edge/policy/cache.rs",
                "use crate::{http, model::Digest};",
                0,
            ),
            (
                "src/edge/proxy/fill.rs",
                "use crate::edge::policy::Moment;",
                0,
            ),
            (
                "src/edge/proxy/fill.rs",
                "use super::super::policy::Moment;",
                0,
            ),
            (
                "src/edge/proxy/fill.rs",
                "use crate::edge::{policy, settings};",
                0,
            ),
            ("src/edge/proxy/fill.rs", "use super::engine::Engine;", 0),
            ("src/edge/proxy/fill.rs", "use crate::fleet::Outcome;", 1),
            (
                "src/fleet/engine/exact.rs",
                "use crate::edge::policy::cache::Cache;",
                0,
            ),
            (
                "src/fleet/engine/exact.rs",
                "use crate::edge::proxy::Viewer;",
                1,
            ),
            (
                "src/fleet/mod.rs",
                "use crate::{edge::{policy::Moment, proxy::Viewer}, model};",
                1,
            ),
            ("src/server/mod.rs", "use crate::edge::proxy::Viewer;", 1),
            ("src/catalog/mod.rs", "use crate::edge::policy::Moment;", 1),
            (
                "src/cli/edge.rs",
                "use crate::edge::{proxy::engine::Engine, settings};",
                0,
            ),
        ]);
    }

    #[test]
    fn settings_may_read_the_policy_but_not_the_other_way_round() {
        rooms(&[
            (
                "src/edge/settings.rs",
                "use super::policy::distribution::Distribution;",
                0,
            ),
            (
                "src/edge/settings.rs",
                "use crate::edge::policy::freshness::Ttl;",
                0,
            ),
            ("src/edge/settings.rs", "use crate::config::Raw;", 0),
            (
                "src/edge/settings.rs",
                "use super::proxy::engine::Parameters;",
                1,
            ),
            ("src/edge/settings.rs", "use crate::catalog::Release;", 1),
            (
                "src/edge/policy/mod.rs",
                "use super::settings::Settings;",
                1,
            ),
        ]);
    }

    #[test]
    fn a_house_itself_neither_imports_nor_is_imported() {
        rooms(&[
            ("src/edge/mod.rs", "pub mod policy;\npub mod proxy;", 0),
            (
                "src/edge/mod.rs",
                "pub mod policy;\npub use crate::model::Clock;",
                1,
            ),
            ("src/edge/mod.rs", "use super::model::Clock;", 1),
            ("src/edge/mod.rs", "pub use self::policy::Moment;", 1),
            ("src/edge/mod.rs", "pub use policy::Moment;", 1),
            ("src/cli/mod.rs", "use crate::edge;", 1),
            ("src/cli/mod.rs", "use crate::edge::cellar::x;", 1),
            ("src/edge/cellar.rs", "", 1),
        ]);
    }
}
