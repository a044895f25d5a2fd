//! Every command on a bucket: one story, told to a directory and to two servers of S3, and the same answers.
//!
//! Never looks at how a store keeps what it is given; only what commands print and end with counts here.

use std::path::Path;

use serde_json::Value;

use crate::harness::cli::{self, Ran};
use crate::harness::fixture::bytes;
use crate::harness::moto::Moto;
use crate::harness::s3::{S3Server, store_url};

/// A store as commands are told of it.
struct Told {
    store: String,
    environment: Vec<(&'static str, String)>,
}

impl Told {
    #[track_caller]
    fn run(&self, args: &[&str]) -> Ran {
        let output = cli::command(args)
            .args(["--store", &self.store])
            .envs(self.environment.iter().cloned())
            .output()
            .unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Two versions of two files each; one of the first goes in parts.
fn write_input(desk: &Path) {
    for (version, image_bytes) in [("1.0", (8 << 20) + 1000), ("1.1", 1000)] {
        let folder = desk.join(version).join("docs");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("read me.txt"), version).unwrap();
        let image = desk.join(version).join("system.img");
        std::fs::write(image, bytes(1, image_bytes)).unwrap();
    }
}

/// Every command that changes or reads a store, with some that are refused.
fn story(desk: &Path) -> Vec<Vec<String>> {
    let path = |version: &str| desk.join(version).to_str().unwrap().to_owned();
    let commands = [
        "publish agent 1.0 {1.0} --channel stable --notes first --json",
        "publish agent 1.0 {1.0} --json",
        "publish agent 1.0 {1.1} --json",
        "publish agent 1.1 {1.1} --dry-run --json",
        "publish agent 1.1 {1.1} --json",
        "publish other 1.1 {1.1} --channel beta --json",
        "releases --json",
        "promote agent 1.1 --to stable --reason soaked --json",
        "promote agent 1.1 --to stable --json",
        "promote agent 9.9 --to stable --json",
        "channels --json",
        "show agent 1.1 --json",
        "show agent 9.9 --json",
        "rollback agent --channel stable --json",
        "retire agent 1.0 --reason leaks --json",
        "promote agent 1.1 --to stable --json",
        "verify --json",
        "prune --keep 1 --dry-run --json",
        "publish agent 1.2 {1.0} --channel stable --json",
        "promote agent 1.2 --to next --json",
        "promote agent 1.2 --to stable --json",
        "retire agent 1.0 --reason leaks --json",
        "publish agent 1.0 {1.0} --json",
        "releases agent --json",
        "prune --keep 1 --json",
        "verify --json",
        "channels nobody --json",
    ];
    let words = |line: &str| {
        let line = line
            .replace("{1.0}", &path("1.0"))
            .replace("{1.1}", &path("1.1"));
        line.split(' ').map(str::to_owned).collect()
    };
    commands.into_iter().map(words).collect()
}

/// Times are those of the moment; digests of documents with times in them are theirs.
fn without_moments(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let url = fields.get("url").and_then(Value::as_str);
            if url.is_some_and(|url| url.ends_with("/release.json")) {
                fields.insert("sha256".to_owned(), Value::Null);
            }
            for (name, value) in fields {
                if name.ends_with("_at") && value.is_string() {
                    *value = Value::Null;
                }
                without_moments(value);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(without_moments),
        _ => {}
    }
}

fn outcome(told: &Told, args: &[String]) -> (Option<i32>, Value) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ran = told.run(&args);
    let mut document = serde_json::from_str(&ran.stdout).unwrap_or(Value::Null);
    without_moments(&mut document);
    assert_eq!(
        ran.code == Some(0),
        !document.is_null(),
        "{args:?}: {}{}",
        ran.stdout,
        ran.stderr
    );
    (ran.code, document)
}

#[test]
fn every_command_answers_for_a_bucket_as_for_a_directory() {
    let desk = tempfile::tempdir().unwrap();
    write_input(desk.path());
    let (server, moto) = (S3Server::start(), Moto::shared());
    let directory = Told {
        store: desk.path().join("store").to_str().unwrap().to_owned(),
        environment: Vec::new(),
    };
    let buckets = [
        Told {
            store: server.store_url("deep/in/a_bucket"),
            environment: server.environment(),
        },
        Told {
            store: store_url(&moto.new_bucket(), ""),
            environment: moto.environment(),
        },
    ];
    let story = story(desk.path());
    let tell = |told: &Told| {
        told.run(&["init"]).ok();
        let outcomes = story.iter().map(|args| outcome(told, args));
        outcomes.collect::<Vec<_>>()
    };
    let (expected, found) = std::thread::scope(|scope| {
        let found = buckets.each_ref().map(|told| scope.spawn(|| tell(told)));
        (tell(&directory), found.map(|bucket| bucket.join().unwrap()))
    });
    for (told, found) in buckets.iter().zip(found) {
        for ((args, expected), found) in story.iter().zip(&expected).zip(&found) {
            assert_eq!(found, expected, "{args:?} on {}", told.store);
        }
    }
    let codes: Vec<_> = expected.iter().filter_map(|(code, _)| *code).collect();
    for code in [0, 3, 4] {
        assert!(
            codes.contains(&code),
            "the story never ends with {code}: {codes:?}"
        );
    }
    assert_eq!(server.uploads(), [""; 0]);
}

#[test]
fn what_a_person_reads_names_the_bucket() {
    let server = S3Server::start();
    let told = |bucket: &str| Told {
        store: store_url(bucket, "one"),
        environment: server.environment(),
    };
    let ran = told(server.bucket()).run(&["show", "agent", "1.0"]);
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    let ran = told("another").run(&["releases"]);
    assert!(ran.stderr.contains("s3://another/one"), "{}", ran.stderr);
}

#[test]
fn without_credentials_the_usual_places_are_named() {
    let server = S3Server::start();
    let mut environment = server.environment();
    environment.retain(|(name, _)| !name.contains("KEY"));
    let told = Told {
        store: server.store_url(""),
        environment,
    };
    let ran = told.run(&["releases"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("credentials"), "{}", ran.stderr);
    assert!(ran.stderr.contains("AWS_ACCESS_KEY_ID"), "{}", ran.stderr);
}
