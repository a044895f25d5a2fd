//! `headwater simulate` as a user runs it: every shipped scenario, the JSON document, refusals, and that a seed decides.

use std::path::PathBuf;

use serde_json::Value;

use crate::cli_sandbox::Sandbox;

const SCENARIOS: [&str; 5] = [
    "desktop-app",
    "iot-fleet",
    "phone-os",
    "staged-release",
    "synchronised-cron",
];

fn scenario(name: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = root.join(format!("config/scenarios/{name}.toml"));
    path.to_str().unwrap().to_owned()
}

fn has(document: &Value, keys: &[&str]) {
    for key in keys {
        assert!(
            document.get(key).is_some(),
            "`{key}` is missing from {document}"
        );
    }
}

/// The keys that the document promises of each run.
fn is_a_run(run: &Value) {
    has(run, &["origin", "edge", "fleet", "cost_usd"]);
    has(
        &run["origin"],
        &[
            "requests",
            "bytes",
            "mean_gbps",
            "peak_gbps",
            "peak_requests_per_s",
            "instances_needed",
        ],
    );
    has(
        &run["edge"],
        &[
            "requests",
            "bytes",
            "hit_ratio",
            "byte_hit_ratio",
            "collapsed",
        ],
    );
    has(
        &run["fleet"],
        &["updated", "failed", "t50_s", "t90_s", "t99_s"],
    );
    has(
        &run["cost_usd"],
        &[
            "ec2_hours",
            "alb",
            "transfer_out",
            "cloudfront_transfer",
            "cloudfront_requests",
            "origin_shield",
            "total",
        ],
    );
}

#[test]
fn every_shipped_scenario_runs_to_its_end() {
    let sandbox = Sandbox::new();
    let mut files = std::fs::read_dir(PathBuf::from(scenario("x")).parent().unwrap()).unwrap();
    assert!(files.all(|file| {
        let name = file.unwrap().file_name().into_string().unwrap();
        SCENARIOS.contains(&name.trim_end_matches(".toml"))
    }));
    for name in SCENARIOS {
        let path = scenario(name);
        let document = sandbox.json(&["simulate", &path, "--devices", "300", "--json"]);
        assert_eq!(document["scenario"], name);
        for side in ["without_edge", "with_edge"] {
            is_a_run(&document[side]);
            let fleet = &document[side]["fleet"];
            let all = fleet["updated"].as_u64().unwrap() + fleet["failed"].as_u64().unwrap();
            assert_eq!(all, 300, "{name} {side}: {fleet}");
        }
    }
}

#[test]
fn the_document_has_the_promised_keys_and_says_what_it_is() {
    let sandbox = Sandbox::new();
    let document = sandbox.json(&["simulate", "--devices", "500", "--json"]);
    assert_eq!(
        (&document["scenario"], &document["seed"]),
        (&"desktop-app".into(), &1.into())
    );
    is_a_run(&document["without_edge"]);
    is_a_run(&document["with_edge"]);
    is_a_run(&document["with_edge_without_shield"]);
    let what = document["simulation"].as_str().unwrap();
    assert!(
        what.contains("simulation") && what.contains("not CloudFront"),
        "{what}"
    );
    let parameters = document["parameters"].as_array().unwrap();
    let unpublished = parameters
        .iter()
        .filter(|one| one["basis"] == "unpublished")
        .count();
    assert!(
        unpublished >= 10,
        "{unpublished} values that AWS does not publish are told"
    );
    let origin = |side: &str| document[side]["origin"]["bytes"].as_u64().unwrap();
    assert!(origin("with_edge") <= origin("with_edge_without_shield"));
    assert!(origin("with_edge_without_shield") < origin("without_edge"));
}

#[test]
fn sides_that_were_not_asked_for_are_null() {
    let sandbox = Sandbox::new();
    let run = |flags: &[&str]| {
        sandbox.json(&[&["simulate", "--devices", "200", "--json"], flags].concat())
    };
    let nulls = |document: &Value| {
        ["without_edge", "with_edge", "with_edge_without_shield"]
            .map(|side| document[side].is_null())
    };
    assert_eq!(nulls(&run(&["--edge", "off"])), [false, true, true]);
    assert_eq!(nulls(&run(&["--edge", "on"])), [true, false, false]);
    assert_eq!(nulls(&run(&["--shield", "on"])), [false, false, true]);
    let unshielded = run(&["--shield", "off"]);
    assert_eq!(nulls(&unshielded), [false, false, true]);
    let both = run(&[]);
    assert_eq!(unshielded["with_edge"], both["with_edge_without_shield"]);
    assert_eq!(both["with_edge"]["cost_usd"]["transfer_out"], 0.0);
}

#[test]
fn a_scenario_without_a_shield_runs_without_one_unless_it_is_asked_for() {
    let sandbox = Sandbox::new();
    let text = "name = \"plain\"\ndescription = \"x\"\ndevices = 200\n[edge]\nshield = \"off\"\n";
    sandbox.write("plain.toml", text);
    let without = sandbox.json(&["simulate", "plain.toml", "--json"]);
    assert!(without["with_edge"].is_object());
    assert!(without["with_edge_without_shield"].is_null());
    let with = sandbox.json(&["simulate", "plain.toml", "--shield", "on", "--json"]);
    assert_ne!(with["with_edge"]["origin"], without["with_edge"]["origin"]);
}

#[test]
fn the_same_seed_prints_the_same_bytes_and_another_one_others() {
    let sandbox = Sandbox::new();
    let run = |seed| sandbox.done(&["simulate", "--devices", "2000", "--json", "--seed", seed]);
    let first = run("7");
    assert_eq!(first, run("7"));
    assert_ne!(
        first.replace("\"seed\": 7", ""),
        run("8").replace("\"seed\": 8", "")
    );
}

#[test]
fn flags_change_the_scenario() {
    let sandbox = Sandbox::new();
    let document = sandbox.json(&[
        "simulate",
        "--devices",
        "100",
        "--artifact-size",
        "5MB",
        "--window",
        "1h",
        "--edge",
        "off",
        "--json",
    ]);
    assert_eq!(
        (&document["devices"], &document["window_s"]),
        (&100.into(), &3600.0.into())
    );
    let bytes = document["without_edge"]["origin"]["bytes"]
        .as_f64()
        .unwrap();
    assert!(
        (5e8..6e8).contains(&bytes),
        "100 devices fetch 5 MB each: {bytes}"
    );
    let mean = document["without_edge"]["origin"]["mean_gbps"]
        .as_f64()
        .unwrap();
    assert!((mean - bytes * 8.0 / 3600.0 / 1e9).abs() < 1e-9, "{mean}");
}

#[test]
fn the_text_labels_itself_and_is_all_there_is_on_a_pipe() {
    let ran = Sandbox::new().run(&["simulate", "--devices", "500"]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (0, ""),
        "a bar is for terminals"
    );
    assert!(ran.stdout.starts_with("A simulation."), "{}", ran.stdout);
    for line in [
        "WITHOUT EDGE",
        "WITH EDGE AND SHIELD",
        "$ CloudFront transfer",
        "Not published by AWS",
        "\nCost: ",
    ] {
        assert!(ran.stdout.contains(line), "no `{line}` in {}", ran.stdout);
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_the_way_out() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "wrong.toml",
        "name = \"x\"\ndescription = \"x\"\ndevises = 5\n[edge]\nshield = \"eu-north-1\"\n",
    );
    sandbox.write("prices.toml", "as_of = 5\n");
    for (name, arguments) in [
        ("file", &["simulate", "wrong.toml"] as &[&str]),
        ("missing", &["simulate", "no.toml"]),
        ("devices", &["simulate", "--devices", "0"]),
        ("size", &["simulate", "--artifact-size", "5 quarts"]),
        ("window", &["simulate", "--window", "6"]),
        (
            "folder",
            &[
                "simulate",
                "--devices",
                "1",
                "--report",
                "no/such/folder.html",
            ],
        ),
    ] {
        let ran = sandbox.run(arguments);
        let text = format!("$ headwater {}\n{}", arguments.join(" "), ran.transcript());
        insta::assert_snapshot!(name, text);
    }
    let prices = sandbox.run(&["simulate", "--prices", "prices.toml"]);
    assert_eq!(prices.code, 2, "{}", prices.stderr);
    assert!(
        prices
            .stderr
            .contains("prices.toml:1: `as_of` is 5; it has to be a text"),
        "{}",
        prices.stderr
    );
}

#[test]
fn prices_from_a_file_change_the_bill_alone() {
    let sandbox = Sandbox::new();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("config/prices.toml")).unwrap();
    let dearer = text.replace("hour = 0.0225", "hour = 1.0225");
    assert_ne!(text, dearer);
    sandbox.write("same.toml", &text);
    sandbox.write("dearer.toml", &dearer);
    let run = |flags: &[&str]| {
        sandbox.json(
            &[
                &["simulate", "--devices", "100", "--edge", "off", "--json"],
                flags,
            ]
            .concat(),
        )
    };
    let embedded = run(&[]);
    assert_eq!(embedded, run(&["--prices", "same.toml"]));
    let dear = run(&["--prices", "dearer.toml"]);
    let alb = |document: &Value| {
        document["without_edge"]["cost_usd"]["alb"]
            .as_f64()
            .unwrap()
    };
    assert!(
        alb(&dear) >= alb(&embedded) + 6.0,
        "a dollar more for each of six hours or more"
    );
    assert_eq!(
        dear["without_edge"]["origin"],
        embedded["without_edge"]["origin"]
    );
}
