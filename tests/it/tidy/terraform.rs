//! House rules for Terraform: what a module takes and gives stands in its README, and each input says what it allows.
//!
//! Owns no knowledge of AWS: it reads blocks as `terraform fmt` leaves them, which is why it need not parse HCL (a
//! top-level block begins at the left margin and ends with a `}` there). Never runs terraform; `infrastructure.rs` does.

use std::collections::BTreeSet;

use super::sources::{SourceFile, repository};
use super::{findings_in, is_none};

/// A top-level block of a `.tf` file.
struct Block<'a> {
    /// Numbered from 1.
    line: usize,
    /// Such as `variable`.
    kind: &'a str,
    /// The last of its labels, such as `aliases`.
    name: &'a str,
    body: Vec<&'a str>,
}

impl Block<'_> {
    /// An argument or block of this one, not of one within it.
    fn has(&self, argument: &str) -> bool {
        self.body.iter().any(|line| {
            line.strip_prefix("  ")
                .and_then(|rest| rest.strip_prefix(argument))
                .is_some_and(|rest| rest.starts_with([' ', '=', '{']))
        })
    }
}

fn blocks(file: &SourceFile) -> Vec<Block<'_>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let mut is_open = false;
    for (line, text) in file.lines() {
        if is_open && text == "}" {
            is_open = false;
        } else if is_open {
            found.last_mut().unwrap().body.push(text);
        } else if let Some(head) = text.strip_suffix('{')
            && !text.starts_with([' ', '#'])
        {
            let mut words = head.split_whitespace();
            let kind = words.next().unwrap_or("");
            let name = words.last().unwrap_or("").trim_matches('"');
            found.push(Block {
                line,
                kind,
                name,
                body: Vec::new(),
            });
            is_open = true;
        }
    }
    found
}

fn is_module_file(file: &SourceFile) -> bool {
    file.path.starts_with("terraform/") && file.has_extension("tf")
}

/// Every input says its type and what it is; every rule says what it allows; every output says what it is.
fn undescribed(file: &SourceFile) -> Vec<String> {
    if !is_module_file(file) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for block in blocks(file) {
        let wanted: &[&str] = match block.kind {
            "variable" => &["description", "type"],
            "output" => &["description"],
            _ => &[],
        };
        for argument in wanted.iter().filter(|argument| !block.has(argument)) {
            found.push(format!(
                "{}:{}: {} `{}` has no {argument}",
                file.path, block.line, block.kind, block.name
            ));
        }
        let count = |start: &str| {
            let is_start = |line: &&&str| line.trim_start().starts_with(start);
            block.body.iter().filter(is_start).count()
        };
        if count("validation {") != count("error_message") && block.kind == "variable" {
            found.push(format!(
                "{}:{}: a validation of `{}` does not say what is allowed",
                file.path, block.line, block.name
            ));
        }
    }
    found
}

/// A file of Terraform begins as every source does: by saying what it is.
fn headless(file: &SourceFile) -> Vec<String> {
    let is_hcl = file.has_extension("tf") || file.has_extension("hcl");
    if !is_hcl || !(file.path.starts_with("terraform/") || file.path.starts_with("packer/")) {
        return Vec::new();
    }
    if file.text.starts_with("# ") {
        return Vec::new();
    }
    vec![format!(
        "{}:1: the `#` header is missing: what the file owns, what it never does",
        file.path
    )]
}

/// What would tie the files to one account, or give away one: ids of policies that CloudFront manages (they are found
/// by name), account numbers, keys.
fn literals(file: &SourceFile) -> Vec<String> {
    let is_test = file.path.starts_with("terraform/tests/");
    let mut found = Vec::new();
    for block in [file].into_iter().filter(|file| is_module_file(file)) {
        for (line, text) in block.lines() {
            let code = text.split_once(" # ").map_or(text, |(code, _)| code);
            if text.trim_start().starts_with('#') {
                continue;
            }
            for word in code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
                let why = if is_uuid(word) {
                    "an id of something that is found by its name"
                } else if word.starts_with("AKIA") && word.len() == 20 {
                    "an access key"
                } else if word.len() == 12 && word.bytes().all(|b| b.is_ascii_digit()) && !is_test {
                    "the number of an account"
                } else {
                    continue;
                };
                found.push(format!("{}:{line}: `{word}` is {why}", file.path));
            }
        }
    }
    found
}

fn is_uuid(word: &str) -> bool {
    let lengths: Vec<usize> = word.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && word.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// The folders that are modules: with a `variables.tf` or `outputs.tf`, and not the examples, whose inputs explain
/// themselves where they are copied from.
fn module_folders(files: &[SourceFile]) -> BTreeSet<&str> {
    files
        .iter()
        .filter(|file| is_module_file(file) && !file.path.starts_with("terraform/examples/"))
        .filter_map(|file| file.path.rsplit_once('/'))
        .map(|(folder, _)| folder)
        .collect()
}

/// The names in the first cells of the tables below a heading.
fn listed<'a>(readme: &'a SourceFile, heading: &str) -> BTreeSet<&'a str> {
    let mut is_below = false;
    let mut names = BTreeSet::new();
    for line in readme.text.lines() {
        if let Some(title) = line.trim_start_matches('#').strip_prefix(' ')
            && line.starts_with('#')
        {
            is_below = title.trim() == heading;
        } else if is_below
            && let Some(cell) = line.strip_prefix('|').and_then(|row| row.split('|').next())
            && let Some(name) = cell
                .trim()
                .strip_prefix('`')
                .and_then(|c| c.strip_suffix('`'))
        {
            names.insert(name);
        }
    }
    names
}

/// Inputs and outputs that a module has and its README does not list, and the other way round.
fn unlisted(files: &[SourceFile]) -> Vec<String> {
    let mut found = Vec::new();
    for folder in module_folders(files) {
        let readme_path = format!("{folder}/README.md");
        let Some(readme) = files.iter().find(|file| file.path == readme_path) else {
            found.push(format!("{readme_path} is missing"));
            continue;
        };
        for (kind, heading) in [("variable", "Inputs"), ("output", "Outputs")] {
            let there: BTreeSet<&str> = files
                .iter()
                .filter(|file| is_module_file(file))
                .filter(|file| file.path.rsplit_once('/').is_some_and(|(f, _)| f == folder))
                .flat_map(blocks)
                .filter(|block| block.kind == kind)
                .map(|block| block.name)
                .collect();
            let told = listed(readme, heading);
            for name in there.difference(&told) {
                found.push(format!("{readme_path}: {heading} does not list `{name}`"));
            }
            for name in told.difference(&there) {
                found.push(format!(
                    "{readme_path}: {heading} lists `{name}`, which is gone"
                ));
            }
        }
    }
    found
}

#[test]
fn every_input_and_output_of_terraform_is_described() {
    is_none(&findings_in(&repository(), undescribed));
}

#[test]
fn an_input_without_words_is_found() {
    let of =
        |text: &str| undescribed(&SourceFile::imagined("terraform/modules/x/v.tf", text)).len();
    let whole = "variable \"a\" {\n  description = \"A.\"\n  type        = string\n}\n";
    assert_eq!(of(whole), 0);
    assert_eq!(of("variable \"a\" {\n  type = string\n}\n"), 1);
    assert_eq!(of("variable \"a\" {\n  nullable = false\n}\n"), 2);
    assert_eq!(of("output \"a\" {\n  value = 1\n}\n"), 1);
    let mute = "  validation {\n    condition = true\n  }\n}\n";
    assert_eq!(of(&whole.replace("}\n", mute)), 1);
}

#[test]
fn every_file_of_terraform_and_packer_begins_by_saying_what_it_is() {
    is_none(&findings_in(&repository(), headless));
}

#[test]
fn a_file_without_a_header_is_found() {
    let of = |path: &str, text: &str| headless(&SourceFile::imagined(path, text)).len();
    assert_eq!(of("terraform/main.tf", "locals {}\n"), 1);
    assert_eq!(of("packer/x.pkr.hcl", "source \"x\" {}\n"), 1);
    assert_eq!(of("terraform/main.tf", "# What it is.\nlocals {}\n"), 0);
    assert_eq!(of("terraform/README.md", "Words\n"), 0);
}

#[test]
fn no_file_of_terraform_names_an_account_a_key_or_a_managed_policys_id() {
    is_none(&findings_in(&repository(), literals));
}

#[test]
fn an_id_an_account_and_a_key_are_found() {
    let of = |text: &str| literals(&SourceFile::imagined("terraform/main.tf", text)).len();
    let id = concat!("658327ea-f89d-4fab-", "a63d-7e88639e58f6");
    assert_eq!(of(&format!("x = \"{id}\"\n")), 1);
    assert_eq!(of(&format!("# such as {id}\n")), 0);
    assert_eq!(of("x = \"arn:aws:iam::123456789012:role/x\"\n"), 1);
    assert_eq!(of(concat!("x = \"AKIA", "ABCDEFGHIJKLMNOP\"\n")), 1);
    assert_eq!(of("x = \"a-b-c-d-e\"\n"), 0);
}

#[test]
fn every_module_lists_its_inputs_and_outputs_and_no_others() {
    is_none(&unlisted(&repository()));
}

#[test]
fn a_gap_in_a_table_and_a_left_over_are_found() {
    let module = |readme: &str| {
        unlisted(&[
            SourceFile::imagined(
                "terraform/modules/x/variables.tf",
                "variable \"a\" {\n}\n\nvariable \"b\" {\n}\n",
            ),
            SourceFile::imagined("terraform/modules/x/README.md", readme),
        ])
    };
    let row = |name: &str| format!("| `{name}` | words |\n");
    let both = format!("## Inputs\n\n{}{}", row("a"), row("b"));
    assert!(module(&both).is_empty());
    assert_eq!(module(&format!("## Inputs\n{}", row("a"))).len(), 1);
    assert_eq!(module(&format!("{both}{}", row("c"))).len(), 1);
    assert_eq!(module(&format!("{both}## Outputs\n{}", row("c"))).len(), 1);
    assert_eq!(
        module(&format!("## Cost\n{}{}", row("a"), row("b"))).len(),
        2
    );
}
