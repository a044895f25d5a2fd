//! Scenario files: what is accepted, what is refused, and with which words. Never runs a simulation.

use super::*;
use crate::fleet::cost::Prices;
use crate::fleet::scenario::{Changes, Curve};

const FILES: [(&str, &str); 5] = [
    (
        "desktop-app",
        include_str!("../../../../config/scenarios/desktop-app.toml"),
    ),
    (
        "iot-fleet",
        include_str!("../../../../config/scenarios/iot-fleet.toml"),
    ),
    (
        "phone-os",
        include_str!("../../../../config/scenarios/phone-os.toml"),
    ),
    (
        "staged-release",
        include_str!("../../../../config/scenarios/staged-release.toml"),
    ),
    (
        "synchronised-cron",
        include_str!("../../../../config/scenarios/synchronised-cron.toml"),
    ),
];

fn instances() -> Vec<Instance> {
    Prices::embedded().unwrap().instances
}

fn parse(text: &str) -> Result<Scenario, DocumentError> {
    Scenario::parse("x.toml", text, &instances())
}

/// What is wrong with a scenario that consists of a name and `text`.
fn problems(text: &str) -> Vec<String> {
    let text = format!("name = \"x\"\ndescription = \"x\"\n{text}");
    match parse(&text) {
        Ok(_) => Vec::new(),
        Err(DocumentError::Invalid { problems, .. }) => {
            problems.iter().map(ToString::to_string).collect()
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn every_file_that_is_shipped_is_read_and_called_like_its_file() {
    for (name, text) in FILES {
        let scenario = Scenario::parse(name, text, &instances()).unwrap_or_else(|error| {
            let DocumentError::Invalid { problems, .. } = error else {
                panic!("{error}");
            };
            panic!("{problems:#?}")
        });
        assert_eq!(scenario.name, name);
    }
}

#[test]
fn every_file_that_is_shipped_admits_its_assumptions() {
    for (name, text) in FILES {
        assert!(text.contains("ssumption"), "{name}");
    }
}

#[test]
fn a_file_of_a_name_is_the_default_scenario() {
    let named = parse("name = \"desktop-app\"\ndescription = \"x\"\n").unwrap();
    let mut default = Scenario::embedded(&instances()).unwrap();
    default.description = "x".to_owned();
    assert_eq!(format!("{named:?}"), format!("{default:?}"));
}

#[test]
fn the_default_scenario_is_the_closed_form_with_three_flags() {
    let scenario = Scenario::embedded(&instances()).unwrap();
    let scenario = scenario
        .with(&Changes {
            devices: Some(1_000_000),
            artifact_bytes: Some(500_000_000),
            window: Some(Duration::from_secs(6 * 3600)),
        })
        .unwrap();
    assert!(
        scenario
            .release
            .artifacts
            .iter()
            .all(|artifact| artifact.bytes == 500_000_000)
    );
    let Curve::PhaseRandom { period, .. } = scenario.discovery.curve else {
        panic!("{:?}", scenario.discovery.curve);
    };
    assert_eq!(
        period, scenario.window,
        "discoveries are a plateau of one window"
    );
    let instances = 185.2e9 / (scenario.origin.target_utilisation * scenario.origin.baseline_bps);
    assert!((282.0..283.0).contains(&instances), "{instances}");
    assert!(
        scenario.origin.instances_max > 300,
        "the group can follow the demand"
    );
}

#[test]
fn a_window_stretches_every_time_of_the_discovery() {
    let staged = Scenario::parse("x", FILES[3].1, &instances()).unwrap();
    let changes = Changes {
        window: Some(Duration::from_secs(15 * 3600)),
        ..Changes::default()
    };
    let half = staged.with(&changes).unwrap();
    assert_eq!(
        half.discovery.stages[4],
        (Duration::from_secs(12 * 3600), 1.0)
    );
    assert_eq!(half.horizon, Duration::from_secs(48 * 3600));
    let Curve::PhaseRandom { period, jitter } = half.discovery.curve else {
        panic!();
    };
    assert_eq!((period.as_secs(), jitter.as_secs()), (3 * 3600, 150));
}

#[test]
fn changes_are_held_to_the_limits_of_the_file() {
    let default = Scenario::embedded(&instances()).unwrap();
    let refused = |changes: Changes| default.clone().with(&changes).unwrap_err().to_string();
    let none = Changes::default();
    assert_eq!(
        refused(Changes {
            devices: Some(0),
            ..none.clone()
        }),
        "`--devices` is 0; allowed: 1 to 10,000,000,000"
    );
    assert_eq!(
        refused(Changes {
            artifact_bytes: Some(50_000_000_001),
            ..none.clone()
        }),
        "`--artifact-size` is 50 GB; allowed: 1 B to 50 GB"
    );
    assert_eq!(
        refused(Changes {
            devices: Some(10_000_000_000),
            artifact_bytes: Some(5_000_000_000),
            ..none.clone()
        }),
        "`--devices` makes 10,000,000,000 devices fetch 5 GB each; allowed: 10 EB in all, so take fewer devices or \
         smaller artifacts"
    );
    let long = Some(Duration::from_secs(31 * 24 * 3600));
    assert_eq!(
        refused(Changes {
            window: long,
            ..none.clone()
        }),
        "`--window` is 744h; allowed: 1m to 720h"
    );
    let stretched = Some(Duration::from_secs(30 * 24 * 3600));
    assert_eq!(
        refused(Changes {
            window: stretched,
            ..none
        }),
        "`--window` stretches the horizon with it, which is 8640h; allowed: 1m to 2160h"
    );
}

#[test]
fn all_problems_are_told_at_once_with_their_lines() {
    let text = "\
devises = 5
window = 6
[release]
channel_bytes = \"2 quarts\"
[edge]
pops = 751
placment = \"by-key\"
shield = \"\"
[origin]
instance_type = \"m7g.larg\"
instances_min = 2000
";
    assert_eq!(
        problems(text),
        [
            "x.toml:3: `devises` is not a key; did you mean `devices`?",
            "x.toml:4: `window` is 6; it has to be a duration with a unit such as \"6h\", \"45m\" or \"250ms\"",
            "x.toml:6: `release.channel_bytes` is `2 quarts`; it has to be a size such as \"500MB\", \"1GiB\" or a whole \
             number of bytes",
            "x.toml:8: `edge.pops` is 751; allowed: 1 to 750",
            "x.toml:9: `edge.placment` is not a key; did you mean `edge.placement`?",
            "x.toml:10: `edge.shield` is empty",
            "x.toml:12: `origin.instance_type` is `m7g.larg`, which is not in the price table; did you mean `m7g.large`?",
            "x.toml:13: `origin.instances_min` is above `instances_max`; it has to be below",
        ]
    );
}

#[test]
fn a_section_that_does_not_exist_is_named() {
    assert_eq!(
        problems("[lines]\nmedian = \"1Mb/s\"\n"),
        ["x.toml:3: `lines` is not a key; did you mean `line`?"]
    );
}

#[test]
fn what_is_not_toml_is_told_alone() {
    let found = problems("devices = = 5\n");
    assert!(
        found
            .iter()
            .all(|line| line.starts_with("x.toml:3: not TOML")),
        "{found:?}"
    );
    assert!(!found.is_empty());
}

#[test]
fn a_scenario_without_a_name_is_refused() {
    let Err(DocumentError::Invalid { problems, .. }) = parse("devices = 5\n") else {
        panic!("accepted");
    };
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "x.toml:1: `description` is missing",
            "x.toml:1: `name` is missing"
        ]
    );
}

#[test]
fn shares_have_to_sum_up_to_one() {
    let half = "[release]\nartifacts = [{ name = \"a\", size = 5, share = 0.5 }]\n";
    assert_eq!(
        problems(half),
        [
            "x.toml:4: `release.artifacts` has shares that sum up to 0.500000; they have to sum up to 1"
        ]
    );
    assert_eq!(
        problems("[regions]\neurope = 0.9\n"),
        ["x.toml:3: [regions] has shares that sum up to 0.900000; they have to sum up to 1"]
    );
    assert_eq!(problems("[regions]\neurope = 1.0\n"), [""; 0]);
}

#[test]
fn more_bytes_than_can_be_counted_are_refused() {
    let row = "{ name = \"a\", size = \"5GB\", share = 1.0 }";
    let of = |devices: u64| format!("devices = {devices}\n[release]\nartifacts = [{row}]\n");
    assert_eq!(problems(&of(2_000_000_000)), [""; 0]);
    assert_eq!(
        problems(&of(2_000_000_001)),
        [
            "x.toml:3: `devices` makes 2,000,000,001 devices fetch 5 GB each; allowed: 10 EB in all, so take fewer \
             devices or smaller artifacts"
        ]
    );
}

#[test]
fn the_same_artifact_twice_is_refused() {
    let row = "{ name = \"a\", size = 5, share = 0.5 }";
    let twice = format!("[release]\nartifacts = [{row}, {row}]\n");
    assert_eq!(
        problems(&twice),
        ["x.toml:4: `release.artifacts` has `a` more than once"]
    );
}

#[test]
fn a_curve_brings_keys_of_its_own() {
    assert_eq!(
        problems("[discovery]\ncurve = \"cron\"\njitter = \"5m\"\n"),
        [
            "x.toml:3: `discovery.at` is missing",
            "x.toml:3: `discovery.period` is missing",
            "x.toml:3: `discovery.spread` is missing",
            "x.toml:5: `discovery.jitter` is not a key; there are push_share, diurnal_amplitude, stages, curve, at, \
             spread, period",
        ]
    );
    let ramp =
        "[discovery]\ncurve = \"ramp\"\nramp = \"5m\"\nsustained = \"1h\"\ndecay = \"30m\"\n";
    assert_eq!(problems(ramp), [""; 0]);
}

#[test]
fn stages_ascend_and_reach_everyone() {
    let stages = |rows: &str| problems(&format!("[discovery]\nstages = [{rows}]\n"));
    assert_eq!(
        stages("{ at = \"0h\", share = 0.5 }, { at = \"0h\", share = 1.0 }"),
        ["x.toml:4: `discovery.stages` has to ascend, in time and in share"]
    );
    assert_eq!(
        stages("{ at = \"0h\", share = 0.5 }"),
        ["x.toml:4: `discovery.stages` never reaches everyone; the last share has to be 1"]
    );
}

#[test]
fn what_two_keys_say_together_has_to_make_sense() {
    for (text, what) in [
        (
            "horizon = \"1h\"",
            "`horizon` is shorter than `window`; it has to be at least as long",
        ),
        (
            "[line]\nmedian = \"2Gb/s\"",
            "`line.median` is above `cap`; it has to be below",
        ),
        (
            "[transfer]\nbackoff = \"5h\"",
            "`transfer.backoff` is longer than `backoff_max`; it has to be shorter",
        ),
        (
            "[discovery]\njitter = \"7h\"",
            "`discovery.jitter` is longer than `period`; it has to be shorter",
        ),
        (
            "[edge]\nartifacts_ttl = { min = \"2s\", default = \"1s\", max = \"3s\" }",
            "`edge.artifacts_ttl` has to have min ≤ default ≤ max",
        ),
    ] {
        let found = problems(text);
        assert!(found.len() == 1 && found[0].ends_with(what), "{found:?}");
    }
}

#[test]
fn limits_hold_at_the_edge_and_one_past_it() {
    for (fits, breaks) in [
        ("devices = 1", "devices = 0"),
        ("devices = 10_000_000_000", "devices = 10_000_000_001"),
        ("window = \"1m\"", "window = \"59s\""),
        ("[edge]\npops = 750", "[edge]\npops = 751"),
        ("[edge]\nnodes_per_pop = 1", "[edge]\nnodes_per_pop = 0"),
        ("[transfer]\nrange = \"64KiB\"", "[transfer]\nrange = 65535"),
        (
            "[transfer]\nabort_probability = 0.95",
            "[transfer]\nabort_probability = 0.951",
        ),
        (
            "[discovery]\npush_share = 1",
            "[discovery]\npush_share = 1.01",
        ),
        (
            "[origin]\ninstances_max = 100_000",
            "[origin]\ninstances_max = 100_001",
        ),
    ] {
        assert_eq!(problems(fits), [""; 0], "{fits}");
        assert_eq!(problems(breaks).len(), 1, "{breaks}");
    }
}

#[test]
fn a_baseline_overrides_the_table() {
    let text = "name = \"x\"\ndescription = \"x\"\n[origin]\nbaseline = \"2Gb/s\"\n";
    let origin = parse(text).unwrap().origin;
    assert_eq!((origin.baseline_bps, origin.gateway_bps), (2e9, 5e9));
}
