//! The text of a Terraform module's own files, evaluated by terraform without any provider.
//!
//! Some files of a module hold nothing but variables and what follows from them; a policy is such a text. Copied beside
//! each other they are a module that terraform plans in no time, with the module's own validations: neither the provider
//! nor the network is needed. Never copies a file that has a resource: then terraform asks for the provider, and fails.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Map, Value};

/// What `local.NAME` is of the files of `terraform/modules/MODULE`, with these variables.
#[track_caller]
pub fn local(module: &str, files: &[&str], variables: &Value, name: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("terraform/modules")
        .join(module);
    for file in files {
        std::fs::copy(from.join(file), folder.path().join(file)).unwrap();
    }
    let question = format!("output \"answer\" {{\n  value = local.{name}\n}}\n");
    std::fs::write(folder.path().join("question.tf"), question).unwrap();
    let values = variables.to_string();
    std::fs::write(folder.path().join("terraform.tfvars.json"), values).unwrap();
    run(
        folder.path(),
        &["plan", "-input=false", "-lock=false", "-out=plan"],
    );
    let shown = run(folder.path(), &["show", "-json", "plan"]);
    let plan: Map<String, Value> = serde_json::from_str(&shown).unwrap();
    let answer = &plan["planned_values"]["outputs"]["answer"];
    assert!(
        !answer["value"].is_null(),
        "terraform does not know it yet: {answer}"
    );
    answer["value"].clone()
}

#[track_caller]
fn run(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("terraform");
    command
        .args(arguments)
        .current_dir(folder)
        .env("CHECKPOINT_DISABLE", "1")
        .env("TF_IN_AUTOMATION", "1")
        .env("TF_CLI_CONFIG_FILE", "/dev/null")
        .stdin(Stdio::null());
    let output = command
        .output()
        .expect("terraform starts: run tests/run setup");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "terraform {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}
