//! `config/origin.toml` explains every key; it never says what is not so.

use std::collections::BTreeMap;
use std::path::Path;

use headwater::config::{Config, Flags, Resolved, schema};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/origin.toml");

fn load(path: &Path) -> Resolved {
    Resolved::load(Some(path), &BTreeMap::new(), &Flags::default()).unwrap()
}

#[test]
fn it_loads_to_exactly_the_defaults() {
    let loaded = load(Path::new(FILE)).config;
    assert_eq!(format!("{loaded:#?}"), format!("{:#?}", Config::default()));
}

#[test]
fn it_has_every_key_in_its_section_with_an_explanation_above() {
    let text = std::fs::read_to_string(FILE).unwrap();
    for key in schema::KEYS {
        let (section, name) = key.name.split_once('.').unwrap();
        let start = text
            .find(&format!("\n[{section}]\n"))
            .unwrap_or_else(|| panic!("no [{section}]"));
        let body = &text[start + 1..];
        let body = &body[..body.find("\n[").unwrap_or(body.len())];
        let lines: Vec<&str> = body.lines().collect();
        let at = lines
            .iter()
            .position(|line| {
                line.trim_start_matches("# ")
                    .starts_with(&format!("{name} = "))
            })
            .unwrap_or_else(|| panic!("no `{}`", key.name));
        assert!(
            lines[at - 1].starts_with("# "),
            "`{}` is not explained",
            key.name
        );
        if let Some(variable) = key.variable {
            assert!(
                body.contains(variable),
                "`{}` does not name {variable}",
                key.name
            );
        }
    }
}

#[test]
fn its_limits_are_the_schemas() {
    let text = std::fs::read_to_string(FILE).unwrap();
    for rule in [
        schema::CONNECTIONS_MAX,
        schema::HEAD_BYTES_MAX,
        schema::HEAD_FIELDS_MAX,
        schema::URI_BYTES_MAX,
        schema::RANGES_MAX,
        schema::OPEN_ARTIFACTS_MAX,
        schema::STORE_READS_MAX,
        schema::CACHE_MEMORY_BYTES,
        schema::CACHE_DISK_BYTES,
        schema::READ_AHEAD_BLOCKS,
    ] {
        // In what stands above the key, without line breaks, and the words for large numbers of bytes left out.
        let name = rule.key.split_once('.').unwrap().1;
        let (above, _value) = text.split_once(&format!("\n{name} = ")).unwrap();
        let (_, above) = above.rsplit_once("\n\n").unwrap();
        let above = above.replace("\n# ", " ");
        let above = above.replace(" (32 MiB)", "").replace(" (256 MiB)", "");
        let limits = format!("{} to {}", rule.min, rule.max);
        assert!(above.contains(&limits), "`{}`: {limits}", rule.key);
    }
}
