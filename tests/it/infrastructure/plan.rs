//! What Terraform would make: the plans of `terraform/tests/edge_enabled.tftest.hcl`, one for each world.
//!
//! Owns how terraform is run for the Rust tests: on a copy, with the provider that `tests/setup/terraform.sh` set up,
//! AWS mocked, so that neither a network nor credentials are needed. Made once for this process, because it takes
//! seconds. Never judges a plan; that is `infrastructure.rs`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

/// The test file whose runs are planned.
const TESTS: &str = "tests/edge_enabled.tftest.hcl";

/// Everything one run would make.
#[derive(Debug)]
pub(super) struct Plan {
    resources: BTreeMap<String, Resource>,
}

/// One resource of a plan.
#[derive(Debug)]
pub(super) struct Resource {
    /// Such as `module.edge[0].aws_cloudfront_distribution.this`.
    pub address: String,
    /// Such as `aws_cloudfront_distribution`.
    pub kind: String,
    /// Its arguments; those that only AWS knows are mocked.
    pub after: Value,
}

impl Plan {
    /// CloudFront in front, a private origin behind it.
    #[track_caller]
    pub fn with_edge() -> &'static Self {
        Self::of("with_edge")
    }

    /// A public origin that asks CloudFront for a secret, in a header of another name.
    #[track_caller]
    pub fn with_a_secret() -> &'static Self {
        Self::of("with_a_secret")
    }

    /// The same origin on a public load balancer.
    #[track_caller]
    pub fn without_edge() -> &'static Self {
        Self::of("without_edge")
    }

    #[track_caller]
    fn of(run: &str) -> &'static Self {
        static PLANS: OnceLock<BTreeMap<String, Plan>> = OnceLock::new();
        PLANS
            .get_or_init(make)
            .get(run)
            .unwrap_or_else(|| panic!("{TESTS} has no run `{run}`"))
    }

    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources.values()
    }

    /// All of one type.
    pub fn all(&self, kind: &str) -> Vec<&Resource> {
        self.resources()
            .filter(|resource| resource.kind == kind)
            .collect()
    }

    /// The only one of its type, below an address.
    #[track_caller]
    pub fn one(&self, below: &str, kind: &str) -> &Resource {
        let found: Vec<_> = self
            .resources()
            .filter(|resource| resource.kind == kind && resource.address.starts_with(below))
            .collect();
        assert_eq!(found.len(), 1, "{kind} below {below}: {found:#?}");
        found[0]
    }

    /// By its whole address.
    #[track_caller]
    pub fn at(&self, address: &str) -> &Resource {
        self.resources
            .get(address)
            .unwrap_or_else(|| panic!("no {address} in {:#?}", self.resources.keys()))
    }
}

impl Resource {
    /// An argument by its JSON pointer.
    #[track_caller]
    pub fn value(&self, pointer: &str) -> &Value {
        self.after
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{} has no {pointer}: {:#}", self.address, self.after))
    }

    #[track_caller]
    pub fn number(&self, pointer: &str) -> u64 {
        let value = self.value(pointer);
        value
            .as_u64()
            .or_else(|| value.as_str()?.parse().ok())
            .unwrap_or_else(|| panic!("{}{pointer} is no number: {value}", self.address))
    }

    #[track_caller]
    pub fn text(&self, pointer: &str) -> &str {
        let value = self.value(pointer);
        value
            .as_str()
            .unwrap_or_else(|| panic!("{}{pointer} is no text: {value}", self.address))
    }

    /// The blocks of one kind, in their order.
    #[track_caller]
    pub fn blocks(&self, name: &str) -> &[Value] {
        self.after
            .get(name)
            .and_then(Value::as_array)
            .unwrap_or_else(|| panic!("{} has no blocks {name}", self.address))
    }
}

/// A line of `terraform test -json`. The provider's schema, by far the most of it, is read over.
#[derive(Deserialize)]
struct Message {
    #[serde(rename = "@message", default)]
    text: String,
    #[serde(rename = "@testrun", default)]
    run: String,
    test_plan: Option<Changes>,
    diagnostic: Option<Value>,
}

#[derive(Deserialize)]
struct Changes {
    #[serde(default)]
    resource_changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    address: String,
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "change")]
    made: After,
}

#[derive(Deserialize)]
struct After {
    after: Value,
}

#[track_caller]
fn make() -> BTreeMap<String, Plan> {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    copy(&root.join("terraform"), folder.path());
    run(folder.path(), &["init", "-backend=false", "-no-color"]);
    let filter = format!("-filter={TESTS}");
    let output = run(folder.path(), &["test", "-json", "-verbose", &filter]);
    output.lines().fold(BTreeMap::new(), |mut plans, line| {
        let message: Message = serde_json::from_str(line).unwrap();
        if let Some(changes) = message.test_plan {
            plans.insert(message.run, plan_of(changes));
        }
        plans
    })
}

fn plan_of(changes: Changes) -> Plan {
    let resources = changes
        .resource_changes
        .into_iter()
        .filter(|change| change.mode == "managed")
        .map(|change| Resource {
            address: change.address,
            kind: change.kind,
            after: change.made.after,
        })
        .map(|resource| (resource.address.clone(), resource))
        .collect();
    Plan { resources }
}

/// Without what an earlier `terraform init` by hand left in the tree.
fn copy(from: &Path, into: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let path = into.join(&name);
        if name == ".terraform" || name == ".terraform.lock.hcl" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&path).unwrap();
            copy(&entry.path(), &path);
        } else {
            std::fs::copy(entry.path(), &path).unwrap();
        }
    }
}

#[track_caller]
fn run(folder: &Path, arguments: &[&str]) -> String {
    let settings = set_up().join("terraformrc");
    assert!(
        settings.is_file(),
        "no {}: run tests/run setup",
        settings.display()
    );
    let mut command = Command::new("terraform");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("TF_") || name.starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    let output = command
        .arg(format!("-chdir={}", folder.display()))
        .args(arguments)
        .env("TF_CLI_CONFIG_FILE", settings)
        .env("TF_IN_AUTOMATION", "1")
        .env("CHECKPOINT_DISABLE", "1")
        .output()
        .expect("terraform starts: run tests/run setup");
    let text = String::from_utf8(output.stdout).unwrap();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        panic!(
            "terraform {arguments:?} failed\n{}\n{errors}",
            complaints(&text)
        );
    }
    text
}

/// What went wrong, without the plans.
fn complaints(text: &str) -> String {
    let of = |line: &str| -> String {
        let Ok(message) = serde_json::from_str::<Message>(line) else {
            return line.to_owned();
        };
        match message.diagnostic {
            Some(diagnostic) => format!("{}\n{diagnostic:#}", message.text),
            None => message.text,
        }
    };
    text.lines().map(of).collect::<Vec<_>>().join("\n")
}

/// Where `tests/setup/terraform.sh` leaves the provider.
fn set_up() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
        PathBuf::from,
    );
    target.join("terraform")
}
