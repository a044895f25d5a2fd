//! The floors: a module imports only from strictly lower floors, or from itself.
//!
//! Owns the table of floors; ARCHITECTURE.md describes it. Never looks at names that a macro pastes together: this
//! crate has none.

use super::sources::{SourceFile, Token};

/// Each module at the top of the crate and the floor it stands on. A new module takes its place here first.
const FLOORS: [(&str, u8); 19] = [
    ("model", 0),
    ("config", 1),
    ("telemetry", 1),
    ("crash", 1),
    ("store", 2),
    ("http", 2),
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

fn floor_of(module: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, floor)| *floor)
}

/// Every import of `file` that does not go strictly downwards.
pub(super) fn violations(file: &SourceFile) -> Vec<String> {
    let module = module_path(&file.path);
    let own = match (file.path.as_str(), module.first()) {
        ("src/main.rs", _) => "main".to_owned(),
        (_, Some(first)) => first.clone(),
        (_, None) => "lib".to_owned(),
    };
    let Some(floor) = floor_of(&own) else {
        return vec![format!(
            "{}:1: module `{own}` has no floor; add it to FLOORS in tests/it/tidy/floors.rs",
            file.path
        )];
    };
    let mut found = Vec::new();
    for (target, line) in imports(&module, &file.tokens()) {
        if target == own {
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

/// The modules at the top of the crate that the code names, by `crate::`, `super::` or the crate's own name.
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
                found.extend(targets(&tokens[index + 2..]));
            }
            "super" if !continues_a_path(tokens, index) => {
                let mut after = index;
                let mut ups = 0;
                while text(after) == "super" && text(after + 1) == "::" {
                    ups += 1;
                    after += 2;
                }
                if ups > 0 && ups == module.len() + inline.len() {
                    found.extend(targets(&tokens[after..]));
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

/// The first names after `crate::`: one, or each element of a braced list.
fn targets(after: &[Token]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut depth = 0;
    let mut starts_an_element = true;
    for token in after {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => starts_an_element = true,
            name if depth <= 1 && starts_an_element => {
                found.push((name.to_owned(), token.line));
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
}
