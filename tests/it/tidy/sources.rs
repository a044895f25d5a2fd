//! The repository as the house rules see it: its files, and Rust sources as tokens with line numbers.
//!
//! Owns which files are ours and which are left-overs that `.gitignore` names. Never judges: rules are in `tidy.rs`.

use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// A file of the repository that is text.
#[derive(Clone, Debug)]
pub(super) struct SourceFile {
    /// Below the root, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl SourceFile {
    /// A file that exists only for a test of a rule.
    pub fn imagined(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    pub fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    pub fn has_extension(&self, wanted: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|extension| extension == wanted)
    }

    /// Part of the program, as opposed to its tests and benches.
    pub fn is_program(&self) -> bool {
        self.path.starts_with("src/")
    }

    /// Lines, numbered from 1 as compilers do.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// The code without comments and literals.
    pub fn tokens(&self) -> Vec<Token> {
        let stream: TokenStream = self
            .text
            .parse()
            .unwrap_or_else(|error| panic!("{} is not Rust: {error}", self.path));
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        tokens
    }
}

/// A word or a sign of the code, and its line.
#[derive(Clone, Debug)]
pub(super) struct Token {
    /// An identifier, one sign, or `::`; a literal is empty.
    pub text: String,
    /// Numbered from 1.
    pub line: usize,
}

/// The lines where `sequence` stands in `tokens`.
pub(super) fn lines_of(tokens: &[Token], sequence: &[&str]) -> Vec<usize> {
    tokens
        .windows(sequence.len())
        .filter(|window| {
            window
                .iter()
                .zip(sequence)
                .all(|(token, wanted)| token.text == *wanted)
        })
        .map(|window| window[0].line)
        .collect()
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut half_path_separator = false;
    for tree in stream {
        let line = tree.span().start().line;
        let mut push = |text: &str, line| {
            tokens.push(Token {
                text: text.to_owned(),
                line,
            });
        };
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                push(open, group.span_open().start().line);
                let end = group.span_close().start().line;
                flatten(group.stream(), tokens);
                tokens.push(Token {
                    text: close.to_owned(),
                    line: end,
                });
            }
            TokenTree::Ident(word) => push(&word.to_string(), line),
            TokenTree::Literal(_) => push("", line),
            TokenTree::Punct(sign) if sign.as_char() == ':' => {
                if half_path_separator {
                    half_path_separator = false;
                    push("::", line);
                } else if sign.spacing() == Spacing::Joint {
                    half_path_separator = true;
                } else {
                    push(":", line);
                }
            }
            TokenTree::Punct(sign) => push(&sign.as_char().to_string(), line),
        }
    }
}

/// Every text file of the repository, sorted by path.
pub(super) fn repository() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ignored = ignore_rules(root);
    let mut files = Vec::new();
    collect(root, "", &ignored, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(
        files.iter().any(|file| file.path == "src/lib.rs"),
        "the sources are not below {}",
        root.display()
    );
    files
}

/// The names directly below the root that are not left-overs, sorted.
pub(super) fn top_level() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ignored = ignore_rules(root);
    let mut names: Vec<String> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !is_ignored(name, &ignored))
        .collect();
    names.sort();
    names
}

/// The files themselves are asked, not git: a clone owned by another user makes git refuse.
fn ignore_rules(root: &Path) -> Vec<String> {
    let text = fs::read_to_string(root.join(".gitignore")).unwrap();
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// Knows the three forms that our `.gitignore` uses: `/name`, `*.suffix` and `name`, with or without a `/` at its end.
fn is_ignored(path: &str, rules: &[String]) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == ".git"
        || rules.iter().any(|rule| {
            let rule = rule.strip_suffix('/').unwrap_or(rule);
            if let Some(anchored) = rule.strip_prefix('/') {
                path == anchored
            } else if let Some(suffix) = rule.strip_prefix('*') {
                name.ends_with(suffix)
            } else {
                name == rule
            }
        })
}

fn collect(root: &Path, below: &str, ignored: &[String], files: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() {
            name
        } else {
            format!("{below}/{name}")
        };
        if is_ignored(&path, ignored) {
            continue;
        }
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            collect(root, &path, ignored, files);
        } else if kind.is_file() {
            // What is not UTF-8 is a fixture or a picture, and no rule is about those.
            if let Ok(text) = fs::read_to_string(entry.path()) {
                files.push(SourceFile { path, text });
            }
        }
    }
}

#[test]
fn comments_and_literals_are_no_tokens() {
    let file = SourceFile::imagined(
        "src/x.rs",
        "// unsafe\nfn f<'a>() { g(\"unsafe\", r#\"unsafe\"#, 'u'); /* unsafe */ }\n",
    );
    assert!(lines_of(&file.tokens(), &["unsafe"]).is_empty());
}

#[test]
fn a_sequence_is_found_on_the_line_where_it_starts() {
    let file = SourceFile::imagined("src/x.rs", "fn f() {\n    a::b!(\n);\n}\n");
    assert_eq!(lines_of(&file.tokens(), &["a", "::", "b", "!"]), [2]);
}

#[test]
fn each_form_of_ignore_rule_is_obeyed() {
    let rules = ["/target", "*.profraw", ".terraform/"].map(str::to_owned);
    for ignored in ["target", "a/b.profraw", "terraform/.terraform", ".git"] {
        assert!(is_ignored(ignored, &rules), "{ignored}");
    }
    for kept in ["src/target", "profraw", "terraform"] {
        assert!(!is_ignored(kept, &rules), "{kept}");
    }
}
