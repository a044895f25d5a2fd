//! Every file under `config/`: the program reads it, and there is no secret in any.
//!
//! Walks the folder, so that a new file without a reader is found. What a file means is tested elsewhere; that of
//! `production.toml` here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater::config::{AccessLog, Config, ConfigError, Flags, Resolved, StoreLocation};
use headwater::edge::settings::Settings;
use headwater::fleet::cost::Prices;
use headwater::fleet::scenario::Scenario;

use crate::cli_sandbox::{Ran, Sandbox};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
const PRODUCTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/production.toml");

/// What an instance's boot says at least.
const INSTANCE: [(&str, &str); 2] = [
    ("HEADWATER_STORE", "s3://updates.example/prod"),
    ("HEADWATER_ADMIN", "10.0.1.17:8081"),
];

fn files() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new(FOLDER), &mut found);
    found.sort();
    assert!(found.len() > 5, "{found:?}");
    found
}

/// Reads a file as the program would, by its place; or says why it does not.
fn load(path: &Path) -> Result<(), String> {
    let told = |error: &dyn std::error::Error| headwater::telemetry::chain(error);
    let prices = Prices::embedded().unwrap();
    let name = path.strip_prefix(FOLDER).unwrap_or(path);
    match name.to_str().unwrap() {
        "origin.toml" | "production.toml" => {
            Resolved::load(Some(path), &BTreeMap::from(INSTANCE), &Flags::default())
                .map(drop)
                .map_err(|e| told(&e))
        }
        "edge.toml" => Settings::load(Some(path), &Flags::default())
            .map(drop)
            .map_err(|e| told(&e)),
        "prices.toml" => Prices::load(path).map(drop).map_err(|e| told(&e)),
        scenario if scenario.starts_with("scenarios/") && path.extension().unwrap() == "toml" => {
            Scenario::load(path, &prices.instances)
                .map(drop)
                .map_err(|e| told(&e))
        }
        other => Err(format!("nothing in the program reads `{other}`")),
    }
}

#[test]
fn the_program_reads_every_file() {
    for path in files() {
        assert_eq!(load(&path), Ok(()), "{}", path.display());
    }
}

#[test]
fn a_file_that_nothing_reads_is_found() {
    for stranger in ["production.toml.bak", "staging.toml", "scenarios/readme.md"] {
        let refused = load(&Path::new(FOLDER).join(stranger)).unwrap_err();
        assert!(refused.contains("nothing in the program"), "{refused}");
    }
}

/// Settings that hold a credential or could: a key that says so, or a value that looks like one of AWS.
fn secrets_in(place: &str, value: &toml::Value, found: &mut String) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                secrets_in(&format!("{place}.{key}"), value, found);
            }
        }
        toml::Value::Array(values) => {
            for value in values {
                secrets_in(place, value, found);
            }
        }
        toml::Value::String(text) => {
            let key = place.rsplit('.').next().unwrap_or(place);
            // The name of a header and a path lead to a secret and are none.
            let is_reference = key.ends_with("_header") || key.ends_with("_path");
            let says_so = ["secret", "password", "token", "credential", "private_key"];
            let is_named = says_so.iter().any(|word| key.contains(word)) && !is_reference;
            let is_of_header = place.contains("custom_header.value");
            let is_key_id = ["AKIA", "ASIA"]
                .iter()
                .any(|start| text.find(start).is_some_and(|at| text.len() >= at + 20));
            if (is_named && !text.is_empty()) || is_of_header || is_key_id {
                let _ = writeln!(found, "{place}");
            }
        }
        _ => {}
    }
}

#[test]
fn no_file_holds_a_secret() {
    let mut found = String::new();
    for path in files() {
        let value = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        secrets_in(&path.display().to_string(), &value, &mut found);
    }
    assert_eq!(found, "");
}

#[test]
fn a_secret_in_a_file_is_found() {
    for text in [
        "[server]\norigin_secrets = [\"0123456789abcdef\"]\n",
        "[[origin]]\ncustom_header = [{ name = \"x-origin-secret\", value = \"0123456789abcdef\" }]\n",
        "[store]\nendpoint_url = \"https://AKIAIOSFODNN7EXAMPLE:x@host\"\n",
        "api_token = \"x\"\n",
    ] {
        let mut found = String::new();
        secrets_in("x", &toml::from_str(text).unwrap(), &mut found);
        assert_eq!(found.lines().count(), 1, "{text}: {found}");
    }
    let text = "[server]\norigin_secrets = []\norigin_secrets_path = \"/run/s\"\norigin_secret_header = \"x\"\n";
    let mut found = String::new();
    secrets_in("x", &toml::from_str(text).unwrap(), &mut found);
    assert_eq!(found, "");
}

// ---- production.toml ------------------------------------------------------------------------------------------------

fn production() -> Config {
    let environment = BTreeMap::from(INSTANCE);
    Resolved::load(Some(Path::new(PRODUCTION)), &environment, &Flags::default())
        .unwrap()
        .config
}

#[test]
fn without_a_store_the_image_serves_nothing_and_says_what_is_missing() {
    let nothing = BTreeMap::new();
    let refused = Resolved::load(Some(Path::new(PRODUCTION)), &nothing, &Flags::default());
    let Err(ConfigError::Invalid { problems }) = refused else {
        panic!("{refused:?}");
    };
    let line = 1 + std::fs::read_to_string(PRODUCTION)
        .unwrap()
        .lines()
        .position(|line| line == "path = \"\"")
        .unwrap();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [format!(
            "{PRODUCTION}:{line}: `store.path` is left open; HEADWATER_STORE or --store has to name a directory or \
             s3://BUCKET[/PREFIX]"
        )]
    );
    // In a directory that has a store where the default would look for it.
    let sandbox = Sandbox::new();
    sandbox.done(&["init"]);
    let mut command = sandbox.command(&["serve", "--config", PRODUCTION]);
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.env("HEADWATER_STORE", ""); // as a service manager leaves it behind
    let ran = Ran::of(command.output().unwrap());
    assert_eq!((ran.code, &*ran.stdout), (2, ""), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("`store.path` is left open"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_check_names_what_a_file_leaves_open_and_calls_it_valid() {
    let sandbox = Sandbox::new();
    let said = sandbox.done(&["config", "check", PRODUCTION]);
    assert!(
        said.starts_with(&format!("`{PRODUCTION}` is valid\n  ")),
        "{said}"
    );
    assert!(
        said.contains("`store.path` is left open; HEADWATER_STORE"),
        "{said}"
    );
    // Beside a fault it is one problem more.
    sandbox.write("bad.toml", "[store]\npath = \"\"\n[server]\nthreads = 0\n");
    let ran = sandbox.run(&["config", "check", "bad.toml"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    let both = ["bad.toml:2: `store.path`", "bad.toml:4: `server.threads`"];
    assert!(
        both.iter().all(|line| ran.stderr.contains(line)),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_image_drains_and_closes_in_the_order_of_what_stands_before_it() {
    let config = production();
    let StoreLocation::S3(bucket) = &config.store else {
        panic!("{:?}", config.store);
    };
    assert_eq!(bucket.to_string(), "s3://updates.example/prod");
    let seconds = Duration::from_secs;
    // Two tries within CloudFront's read time-out (fact 47).
    assert!(2 * bucket.request_timeout < seconds(30));
    // CloudFront's keep-alive 60 s < the balancer's idle time-out 65 s < ours (facts 48, 85).
    assert!(config.limits.idle_timeout > seconds(65));
    // Two health checks of 10 s; a deregistration delay of 300 s (fact 86).
    assert!(config.server.drain_delay >= seconds(2 * 10));
    assert_eq!(config.server.drain_grace, seconds(300));
    assert_eq!(config.server.access_log, AccessLog::Json);
    assert_eq!(config.server.listen, "0.0.0.0:8080".parse().unwrap());
    assert!(config.server.origin_secrets.is_empty());
}

#[test]
fn what_differs_in_the_image_has_a_reason_with_a_fact() {
    let text = std::fs::read_to_string(PRODUCTION).unwrap();
    let mut above = String::new();
    let mut keys = 0;
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            above.push_str(comment);
        } else if line.contains(" = ") {
            keys += 1;
            let is_open = line == "path = \"\"";
            assert!(above.contains("fact") || is_open, "`{line}` cites no fact");
            above.clear();
        } else {
            above.clear();
        }
    }
    assert!(keys >= 8, "{keys}");
}

#[test]
fn show_says_of_each_value_of_the_image_where_it_comes_from() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["config", "show", PRODUCTION]);
    command.envs(INSTANCE);
    command.env(
        "HEADWATER_ORIGIN_SECRETS_PATH",
        "/run/headwater/origin-secrets",
    );
    command.env("HEADWATER_CACHE_PATH", "/var/cache/headwater");
    let shown = Ran::of(command.output().unwrap()).stdout;
    let source = |row: &str| {
        let rest = shown.lines().find_map(|line| line.strip_prefix(row));
        let rest = rest.unwrap_or_else(|| panic!("no `{row}` in\n{shown}"));
        rest.trim_start().trim_start_matches("# ").to_owned()
    };
    for (row, wanted) in [
        ("path = \"s3://updates.example/prod\" ", "HEADWATER_STORE"),
        ("admin = \"10.0.1.17:8081\" ", "HEADWATER_ADMIN"),
        (
            "origin_secrets_path = \"/run/headwater/origin-secrets\"",
            "HEADWATER_ORIGIN_SECRETS_PATH",
        ),
        (
            "disk_path = \"/var/cache/headwater\" ",
            "HEADWATER_CACHE_PATH",
        ),
        ("store_stale_max = \"24h\" ", "default"),
    ] {
        assert_eq!(source(row), wanted, "{row}");
    }
    let text = std::fs::read_to_string(PRODUCTION).unwrap();
    for (at, line) in text.lines().enumerate() {
        if line.contains(" = ") && !line.starts_with('#') && !overridden(line) {
            assert_eq!(
                source(&format!("{line} ")),
                format!("{PRODUCTION}:{}", at + 1)
            );
        }
    }
}

/// By [`INSTANCE`].
fn overridden(line: &str) -> bool {
    line.starts_with("path = ") || line.starts_with("admin = ")
}
