//! House rules as plain tests that read the sources.
//!
//! Owns the rules that neither rustc, clippy nor rustfmt can check. Each rule is a function from a file to findings,
//! and has a test that hands it a file which breaks it; a rule that cannot fail is never added. The floors of the
//! modules are in `floors.rs`, the rows of the edge in `rows.rs`, the rules of Terraform in `terraform.rs`, what a file
//! and a token are in `sources.rs`.

mod floors;
mod rows;
mod sources;
mod terraform;

use sources::{SourceFile, Token, lines_of, repository, top_level};

/// More than this and a file has probably found a second owner.
const SOURCE_LINES_MAX: usize = 600;

/// What two documents side by side still show on a laptop.
const MARKDOWN_COLUMNS_MAX: usize = 120;

/// The files at the root of the repository: each of them, and no other.
const ROOT_FILES: [&str; 15] = [
    ".checkov.yaml",
    ".editorconfig",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "DECISIONS.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml",
];

/// The only folders there may be. A new one needs a decision, not an accident.
const ROOT_FOLDERS: [&str; 7] = [
    ".ci",
    "benches",
    "config",
    "packer",
    "src",
    "terraform",
    "tests",
];

/// The files whose purpose is what a clippy ban is about.
const BANS_LIFTED_IN: [&str; 5] = [
    "src/config/raw.rs", // the environment
    "src/crash.rs",      // the environment, in the tests' builds only
    "src/assembly.rs",   // the clock
    "src/store/",        // renames that the contract's verbs allow
    "src/device/",       // a verified artifact is renamed into place
];

/// Written in halves, so that this file does not break its own rule.
const LOOSE_ENDS: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
];

/// Folders of somebody's machine, and hosts that a proxy may replace.
const FOREIGN: [&str; 11] = [
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("bash_", "jobs"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("files.", "pythonhosted.org"),
    concat!("registry.", "npmjs.org"),
    concat!("proxy.", "golang.org"),
    concat!("deb.", "debian.org"),
];

fn is_none(findings: &[String]) {
    assert!(
        findings.is_empty(),
        "{} findings:\n{}",
        findings.len(),
        findings.join("\n")
    );
}

fn rust_files() -> Vec<SourceFile> {
    let mut files = repository();
    files.retain(SourceFile::is_rust);
    files
}

fn findings_in(files: &[SourceFile], rule: fn(&SourceFile) -> Vec<String>) -> Vec<String> {
    files.iter().flat_map(rule).collect()
}

fn program_files() -> Vec<SourceFile> {
    let mut files = rust_files();
    files.retain(SourceFile::is_program);
    files
}

// ---- sources --------------------------------------------------------------------------------------------------------

#[test]
fn every_module_imports_only_from_lower_floors() {
    is_none(&findings_in(&program_files(), floors::violations));
}

/// A program file that fits on two screens shows its borders by itself; a longer one must state them.
const UNBOUNDED_LINES_MAX: usize = 120;

#[test]
fn every_row_of_the_edge_is_cited_by_a_test() {
    is_none(&rows::missing(&rust_files()));
}

/// A header is two clauses at least; in a longer program file it also draws a line: what the file never does, or what
/// only it does.
fn header(file: &SourceFile) -> Vec<String> {
    let text: String = file
        .text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let sentences = text
        .as_bytes()
        .windows(2)
        .filter(|pair| matches!(pair[0], b'.' | b':' | b';') && pair[1].is_ascii_whitespace())
        .count();
    let draws_a_line = ["never", "only", "nothing", "alone"]
        .iter()
        .any(|word| text.to_lowercase().contains(word));
    let mut found = Vec::new();
    if sentences < 2 {
        found.push(format!(
            "{}:1: the `//!` header needs two clauses: what the file is, what it owns",
            file.path
        ));
    } else if file.is_program() && !draws_a_line && file.lines().count() > UNBOUNDED_LINES_MAX {
        found.push(format!(
            "{}:1: the `//!` header does not say what the file never does",
            file.path
        ));
    }
    found
}

#[test]
fn every_source_begins_by_saying_what_it_owns() {
    is_none(&findings_in(&rust_files(), header));
}

#[test]
fn a_missing_short_or_boundless_header_is_found() {
    let with = |text: &str| header(&SourceFile::imagined("src/x.rs", text)).len();
    assert_eq!(with("fn f() {}\n"), 1);
    assert_eq!(with("//! The range module.\nfn f() {}\n"), 1);
    assert_eq!(with("//! Parses ranges.\n//! Owns their grammar.\n"), 0);
    let body = "\n".repeat(UNBOUNDED_LINES_MAX);
    let owns = format!("//! Parses ranges.\n//! Owns their grammar.\n{body}");
    assert_eq!(with(&owns), 1);
    let draws_a_line = format!("//! Parses ranges.\n//! Never does I/O.\n{body}");
    assert_eq!(with(&draws_a_line), 0);
    assert_eq!(with("\n//! Parses ranges.\n//! Never does I/O.\n"), 1);
}

fn length(file: &SourceFile) -> Vec<String> {
    let lines = file.text.lines().count();
    if lines <= SOURCE_LINES_MAX {
        return Vec::new();
    }
    vec![format!(
        "{}: {lines} lines; at most {SOURCE_LINES_MAX}: which part has an owner of its own?",
        file.path
    )]
}

#[test]
fn no_source_is_longer_than_one_owner_needs() {
    is_none(&findings_in(&rust_files(), length));
}

#[test]
fn a_source_of_one_line_too_many_is_found() {
    let of = |lines| length(&SourceFile::imagined("src/x.rs", &"\n".repeat(lines))).len();
    assert_eq!(of(SOURCE_LINES_MAX), 0);
    assert_eq!(of(SOURCE_LINES_MAX + 1), 1);
}

fn loose_ends(file: &SourceFile) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (line, text) in file.lines() {
        for word in text.split(|c| !is_word(c)) {
            if LOOSE_ENDS.contains(&word) {
                found.push(format!("{}:{line}: `{word}`", file.path));
            }
        }
    }
    found
}

#[test]
fn nothing_is_left_for_later() {
    is_none(&findings_in(&repository(), loose_ends));
}

#[test]
fn a_note_for_later_is_found_in_a_comment_and_as_a_word_only() {
    let note = format!(
        "// {}: write it\nlet {}Z = 1;\n",
        LOOSE_ENDS[0], LOOSE_ENDS[2]
    );
    let found = loose_ends(&SourceFile::imagined("benches/x.sh", &note));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("benches/x.sh:1:"), "{found:?}");
}

/// A sequence of tokens, the places where it is legal (a file, or a folder with its slash), and why.
struct Confined {
    sequence: &'static [&'static str],
    legal_in: &'static [&'static str],
    why: &'static str,
}

impl Confined {
    fn violations(&self, file: &SourceFile, tokens: &[Token]) -> Vec<String> {
        let legal = self.legal_in.iter().any(|place| {
            file.path == *place || place.ends_with('/') && file.path.starts_with(place)
        });
        if legal {
            return Vec::new();
        }
        lines_of(tokens, self.sequence)
            .into_iter()
            .map(|line| {
                format!(
                    "{}:{line}: `{}`: {}",
                    file.path,
                    self.sequence.concat(),
                    self.why
                )
            })
            .collect()
    }
}

/// Rules for every Rust file.
const EVERYWHERE: [Confined; 5] = [
    Confined {
        sequence: &["unsafe"],
        legal_in: &["src/store/mapping.rs"],
        why: "only the file mapping is audited for it",
    },
    Confined {
        sequence: &["todo", "!"],
        legal_in: &[],
        why: "what is merged is finished",
    },
    Confined {
        sequence: &["unimplemented", "!"],
        legal_in: &[],
        why: "what is merged is finished",
    },
    Confined {
        sequence: &["#", "[", "ignore"],
        legal_in: &[],
        why: "a test that does not run proves nothing",
    },
    Confined {
        sequence: &["should_panic"],
        legal_in: &[],
        why: "any panic passes it; assert on an error value",
    },
];

/// Rules for the program, not for its tests and benches.
const IN_THE_PROGRAM: [Confined; 5] = [
    Confined {
        sequence: &["print", "!"],
        legal_in: &["src/cli/output.rs"],
        why: "printing has one owner",
    },
    Confined {
        sequence: &["println", "!"],
        legal_in: &["src/cli/output.rs"],
        why: "printing has one owner",
    },
    Confined {
        sequence: &["eprint", "!"],
        legal_in: &["src/cli/output.rs"],
        why: "printing has one owner",
    },
    Confined {
        sequence: &["eprintln", "!"],
        legal_in: &["src/cli/output.rs"],
        why: "printing has one owner",
    },
    Confined {
        sequence: &["clippy", "::", "disallowed_methods"],
        legal_in: &BANS_LIFTED_IN,
        why: "clippy.toml bans these calls outside their owners",
    },
];

fn confined(file: &SourceFile) -> Vec<String> {
    let tokens = file.tokens();
    let program: &[Confined] = if file.is_program() {
        &IN_THE_PROGRAM
    } else {
        &[]
    };
    EVERYWHERE
        .iter()
        .chain(program)
        .flat_map(|rule| rule.violations(file, &tokens))
        .collect()
}

#[test]
fn what_belongs_to_one_file_stays_there() {
    is_none(&findings_in(&rust_files(), confined));
}

#[test]
fn each_confined_sequence_is_found_elsewhere_and_only_there() {
    for rule in EVERYWHERE.iter().chain(&IN_THE_PROGRAM) {
        // The bracket is closed, so that the text is Rust to its last token.
        let close = if rule.sequence.contains(&"[") {
            "]"
        } else {
            ""
        };
        let text = format!("fn f() {{ {}{close} }}", rule.sequence.concat());
        let found = confined(&SourceFile::imagined("src/model/x.rs", &text));
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        for place in rule.legal_in {
            let path = if place.ends_with('/') {
                format!("{place}x.rs")
            } else {
                (*place).to_owned()
            };
            assert!(
                confined(&SourceFile::imagined(&path, &text)).is_empty(),
                "{path}: {text}"
            );
        }
    }
    let printing = SourceFile::imagined("benches/x.rs", "fn f() { println!() }");
    assert!(confined(&printing).is_empty());
}

// ---- the repository -------------------------------------------------------------------------------------------------

fn root_findings(names: &[String]) -> Vec<String> {
    let strangers = names
        .iter()
        .map(String::as_str)
        .filter(|name| !ROOT_FILES.contains(name) && !ROOT_FOLDERS.contains(name))
        .map(|name| format!("`{name}` does not belong at the root of the repository"));
    let missing = ROOT_FILES
        .iter()
        .filter(|wanted| !names.iter().any(|name| name == *wanted))
        .map(|wanted| format!("`{wanted}` is missing from the root of the repository"));
    strangers.chain(missing).collect()
}

#[test]
fn the_root_holds_only_what_the_design_names() {
    is_none(&root_findings(&top_level()));
}

#[test]
fn a_stranger_and_a_gap_at_the_root_are_found() {
    let mut names = ROOT_FILES.map(str::to_owned).to_vec();
    assert!(root_findings(&names).is_empty());
    names.push("scripts".to_owned());
    assert_eq!(root_findings(&names).len(), 1);
    names.retain(|name| name != "LICENSE");
    assert_eq!(root_findings(&names).len(), 2);
}

fn foreign_places(file: &SourceFile) -> Vec<String> {
    // Cargo writes the registry into its lock file; deny.toml says that no other is allowed.
    if file.path == "Cargo.lock" || file.path == "deny.toml" {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (line, text) in file.lines() {
        for place in FOREIGN.iter().filter(|place| text.contains(**place)) {
            found.push(format!(
                "{}:{line}: `{place}` exists on one machine only",
                file.path
            ));
        }
    }
    found
}

#[test]
fn no_file_names_a_place_on_one_machine() {
    is_none(&findings_in(&repository(), foreign_places));
}

#[test]
fn a_path_of_one_machine_is_found() {
    let text = format!("cd {}someone\n", FOREIGN[0]);
    assert_eq!(
        foreign_places(&SourceFile::imagined("tests/x.sh", &text)).len(),
        1
    );
}

/// A key is documented by a comment on its line or right above it; commented-out keys (`# key = 1`) are keys too.
fn undocumented_keys(file: &SourceFile) -> Vec<String> {
    if !file.path.starts_with("config/") || !file.has_extension("toml") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut above = "";
    for (line, text) in file.lines() {
        let key = text.strip_prefix("# ").unwrap_or(text);
        let name = key.split('=').next().unwrap_or("").trim_end();
        let is_key = text.contains('=')
            && !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if is_key && !text.contains(" # ") && !above.starts_with("# ") {
            found.push(format!("{}:{line}: `{name}` has no comment", file.path));
        }
        above = text;
    }
    found
}

#[test]
fn every_configuration_key_is_explained() {
    is_none(&findings_in(&repository(), undocumented_keys));
}

#[test]
fn a_key_without_an_explanation_is_found() {
    let text = "[server]\n# Where devices connect.\nlisten = \"x\"\nadmin = \"y\"\n\n# threads = 1\nlog = 1 # Text.\n";
    let found = undocumented_keys(&SourceFile::imagined("config/x.toml", text));
    assert_eq!(found.len(), 2, "{found:?}");
}

/// Tables cannot be wrapped, and neither can a word that is longer than a line.
fn wide_lines(file: &SourceFile) -> Vec<String> {
    if !file.has_extension("md") {
        return Vec::new();
    }
    file.lines()
        .filter(|(_, text)| {
            text.chars().count() > MARKDOWN_COLUMNS_MAX
                && !text.starts_with('|')
                && text.chars().take(MARKDOWN_COLUMNS_MAX).any(|c| c == ' ')
        })
        .map(|(line, _)| {
            format!(
                "{}:{line}: wider than {MARKDOWN_COLUMNS_MAX} columns",
                file.path
            )
        })
        .collect()
}

#[test]
fn documents_wrap_at_120_columns() {
    is_none(&findings_in(&repository(), wide_lines));
}

#[test]
fn a_wide_line_is_found_unless_it_cannot_be_wrapped() {
    let wide = "ab ".repeat(41);
    let of = |line: &str| wide_lines(&SourceFile::imagined("x.md", line)).len();
    assert_eq!(of(&wide), 1);
    assert_eq!(of(&format!("| {wide} |")), 0);
    assert_eq!(of(&"a".repeat(200)), 0);
    assert_eq!(of(&"ä".repeat(120)), 0);
}

/// A comment that sends its reader to a document must name one that is here.
fn dangling_citations(file: &SourceFile) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_uppercase() || c == '_' || c == '-';
    let mut found = Vec::new();
    for (line, text) in file.lines() {
        for (at, _) in text.match_indices(".md") {
            let name = text[..at].rsplit(|c| !is_name(c)).next().unwrap_or("");
            let cited = format!("{name}.md");
            if !name.is_empty() && !ROOT_FILES.contains(&cited.as_str()) {
                found.push(format!("{}:{line}: there is no {cited}", file.path));
            }
        }
    }
    found
}

#[test]
fn every_cited_document_is_here() {
    is_none(&findings_in(&repository(), dangling_citations));
}

#[test]
fn a_citation_of_a_missing_document_is_found() {
    let missing = concat!("MANUAL", ".md");
    let text = format!("// See {missing} and CONTRIBUTING.md, x.md.\n");
    let found = dangling_citations(&SourceFile::imagined("src/x.rs", &text));
    assert_eq!(found.len(), 1, "{found:?}");
}

/// A dependency says why it is here on its own line, or its group (lines without a gap) does in its first.
fn unexplained_dependencies(file: &SourceFile) -> Vec<String> {
    if file.path != "Cargo.toml" {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut in_dependencies = false;
    let mut group_is_explained = false;
    for (line, text) in file.lines() {
        if text.starts_with('[') {
            in_dependencies = text.ends_with("dependencies]");
            group_is_explained = false;
        } else if text.is_empty() {
            group_is_explained = false;
        } else if text.starts_with('#') {
            group_is_explained = true;
        } else if in_dependencies && !group_is_explained && !text.contains(" # ") {
            found.push(format!(
                "{}:{line}: nothing says why `{text}` is here",
                file.path
            ));
        }
    }
    found
}

#[test]
fn every_dependency_says_why_it_is_here() {
    is_none(&findings_in(&repository(), unexplained_dependencies));
}

#[test]
fn a_dependency_without_a_reason_is_found() {
    let text = "[dependencies]\n# HTTP.\nhyper = \"1\"\n\nrand = \"1\"\nurl = \"1\" # links\n\n[lints]\nx = 1\n";
    let found = unexplained_dependencies(&SourceFile::imagined("Cargo.toml", text));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("rand"), "{found:?}");
}
