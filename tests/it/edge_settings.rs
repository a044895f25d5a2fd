//! `config/edge.toml` and files like it: defaults, limits at the edge and one past it, everything wrong at once.
//!
//! Reads settings through the library: what an edge then does with them is shown by the executable elsewhere.

use std::path::Path;
use std::time::Duration;

use headwater::config::{Channels, ConfigError, Flags};
use headwater::edge::policy::distribution::AllowedMethods;
use headwater::edge::policy::freshness::{Directives, Lifetime, Storage, lifetime};
use headwater::edge::policy::spans::FillRange;
use headwater::edge::settings::{Settings, keys};
use http::HeaderMap;
use http::header::CACHE_CONTROL;

use crate::cli_sandbox::Sandbox;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/edge.toml");

/// The least that describes a distribution.
const LEAST: &str = "\
[[origin]]
origin_id = \"o\"
url = \"http://o.example\"
[default_cache_behavior]
target_origin_id = \"o\"
cache_policy = \"CachingOptimized\"
";

fn with(text: &str, flags: &Flags) -> Result<Settings, Vec<String>> {
    Settings::parse(Path::new("edge.toml"), text, flags).map_err(|error| match &error {
        ConfigError::Invalid { problems } => problems.iter().map(ToString::to_string).collect(),
        _ => panic!("{error}"),
    })
}

#[track_caller]
fn read(text: &str) -> Settings {
    with(text, &Flags::default()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[track_caller]
fn problems(text: &str) -> Vec<String> {
    match with(text, &Flags::default()) {
        Ok(_) => panic!("there is no problem with {text}"),
        Err(problems) => problems,
    }
}

#[test]
fn the_file_is_what_applies_without_one() {
    let loaded = Settings::load(Some(Path::new(FILE)), &Flags::default()).unwrap();
    let built_in = Settings::load(None, &Flags::default()).unwrap();
    assert_eq!(format!("{loaded:#?}"), format!("{built_in:#?}"));
}

/// Keys whose value in the file is a choice for Headwater's own paths, not a default.
const CHOSEN: [&str; 19] = [
    "origin_id",
    "url",
    "enabled",
    "origin_shield_region",
    "min_ttl",
    "default_ttl",
    "max_ttl",
    "path_pattern",
    "target_origin_id",
    "cache_policy",
    "error_code",
    "error_caching_min_ttl",
    "connection_attempts",
    "connection_timeout",
    "origin_keepalive_timeout",
    "enable_accept_encoding_gzip",
    "enable_accept_encoding_brotli",
    "compress",
    "cache_tag_header", // checked below: "" is legal there too
];

#[test]
fn every_other_key_of_the_file_may_be_left_out() {
    let text = std::fs::read_to_string(FILE).unwrap();
    let whole = format!("{:#?}", read(&text));
    let mut tried = 0;
    for line in text.lines() {
        let Some((name, _value)) = line.split_once(" = ") else {
            continue;
        };
        if line.starts_with('#') || CHOSEN.contains(&name) {
            continue;
        }
        let without = text.replacen(&format!("\n{line}\n"), "\n", 1);
        assert_ne!(text, without, "{line}");
        assert_eq!(format!("{:#?}", read(&without)), whole, "without `{line}`");
        tried += 1;
    }
    assert!(tried > 35, "only {tried} keys");
    let without = text.replacen("cache_tag_header = \"cache-tag\"\n", "", 1);
    assert_eq!(format!("{:#?}", read(&without)), whole);
}

#[test]
fn the_keys_that_are_commented_out_are_keys() {
    let text = std::fs::read_to_string(FILE).unwrap();
    let text = text
        .replace(
            "# response_completion_timeout",
            "response_completion_timeout",
        )
        .replace("# origin_request_policy", "origin_request_policy")
        .replace("# path_pattern", "path_pattern");
    let settings = read(&text).distribution;
    let artifacts = settings.behaviour("/artifacts/a");
    assert_eq!(
        artifacts.origin.completion_timeout,
        Some(Duration::from_secs(300))
    );
    assert_eq!(artifacts.error_ttls.of(404), Duration::from_secs(1));
    let channels = settings.behaviour("/channels/a");
    assert_eq!(channels.error_ttls.of(404), Duration::from_secs(10));
    assert!(settings.default.forward.all_headers);
}

#[test]
fn the_built_in_distribution_keeps_artifacts_long_and_channels_short() {
    let settings = Settings::load(None, &Flags::default()).unwrap();
    let distribution = &settings.distribution;
    let seconds = |path: &str| {
        let ttl = distribution.behaviour(path).cache.ttl;
        (ttl.min.as_secs(), ttl.default.as_secs(), ttl.max.as_secs())
    };
    assert_eq!(
        seconds("/artifacts/agent/1.0.0/x"),
        (1, 31_536_000, 31_536_000)
    );
    assert_eq!(seconds("/channels/agent/stable.json"), (0, 30, 300));
    assert_eq!(seconds("/healthz"), (0, 0, 0));
    assert_eq!(settings.topology.shield.as_deref(), Some("eu-central-1"));
    assert!(distribution.behaviour("/artifacts/x").collapses());
}

#[test]
fn the_built_in_distribution_times_its_origin_as_production_does() {
    let settings = Settings::load(None, &Flags::default()).unwrap();
    let artifacts = settings.distribution.behaviour("/artifacts/x");
    let channels = settings.distribution.behaviour("/channels/x");
    let origin = &artifacts.origin;
    let seconds = |span: Duration| span.as_secs();
    assert_eq!(
        (
            origin.connection_attempts,
            seconds(origin.connection_timeout),
            seconds(origin.read_timeout),
            seconds(origin.keepalive_timeout),
            origin.completion_timeout,
        ),
        (2, 4, 30, 60, None)
    );
    for (behaviour, has_encodings) in [(artifacts, false), (channels, true)] {
        let key = &behaviour.cache.key;
        assert_eq!(
            (key.gzip, key.brotli, behaviour.compress),
            (has_encodings, has_encodings, has_encodings)
        );
        for status in [404, 500, 502, 503, 504] {
            assert_eq!(seconds(behaviour.error_ttls.of(status)), 1, "{status}");
        }
    }
}

#[test]
fn of_the_day_that_an_origin_allows_the_built_in_edge_bridges_five_minutes() {
    let settings = Settings::load(None, &Flags::default()).unwrap();
    let channels = settings
        .distribution
        .behaviour("/channels/agent/stable.json");
    let says = Channels::default().cache_control();
    let headers = HeaderMap::from_iter([(CACHE_CONTROL, says.parse().unwrap())]);
    let seconds = Duration::from_secs;
    assert_eq!(
        lifetime(&Directives::read(&headers), &channels.cache.ttl),
        Storage::Keep(Lifetime {
            fresh: seconds(30),
            stale_while_revalidate: seconds(30),
            stale_if_error: Some(seconds(300)),
            limit: seconds(300),
        }),
        "{says}"
    );
}

#[test]
fn each_managed_policy_is_known_by_name() {
    for (name, min, max, gzip) in [
        ("CachingOptimized", 1, 31_536_000, true),
        (
            "CachingOptimizedForUncompressedObjects",
            1,
            31_536_000,
            false,
        ),
        ("CachingDisabled", 0, 0, false),
    ] {
        let settings = read(&LEAST.replace("CachingOptimized", name));
        let cache = settings.distribution.default.cache;
        assert_eq!(
            (
                cache.ttl.min.as_secs(),
                cache.ttl.max.as_secs(),
                cache.key.gzip
            ),
            (min, max, gzip),
            "{name}"
        );
    }
}

#[test]
fn what_a_policy_leaves_out_follows_the_rest() {
    let ttl = |lines: &str| {
        let text = format!(
            "{}[cache_policy.p]\n{lines}",
            LEAST.replace("CachingOptimized", "p")
        );
        let ttl = read(&text).distribution.default.cache.ttl;
        (ttl.min.as_secs(), ttl.default.as_secs(), ttl.max.as_secs())
    };
    assert_eq!(ttl(""), (0, 86_400, 31_536_000));
    assert_eq!(ttl("min_ttl = 100000\n"), (100_000, 100_000, 31_536_000));
    let two_years = 2 * 31_536_000;
    assert_eq!(
        ttl(&format!("min_ttl = {two_years}\n")),
        (two_years, two_years, two_years)
    );
    assert_eq!(ttl("default_ttl = 0\nmax_ttl = 0\n"), (0, 0, 0));
}

#[test]
fn a_file_that_describes_no_distribution_leaves_it_to_the_built_in_one() {
    let settings = read("[desk]\npops = 2\n[listener]\nlisten = \"127.0.0.1:1\"\n");
    assert_eq!(settings.topology.pops, 2);
    assert_eq!(settings.distribution.ordered.len(), 2);
    let described = read(LEAST);
    assert_eq!(described.distribution.ordered.len(), 0);
    assert_eq!(described.topology.shield, None);
}

#[test]
fn a_path_pattern_is_matched_before_the_default_and_in_order() {
    let text = format!(
        "{LEAST}[[ordered_cache_behavior]]\npath_pattern = \"/a/*\"\ntarget_origin_id = \"o\"\n\
         cache_policy = \"CachingDisabled\"\nallowed_methods = [\"PUT\", \"POST\", \"PATCH\", \"OPTIONS\", \"HEAD\", \
         \"GET\", \"DELETE\"]\n[[ordered_cache_behavior]]\npath_pattern = \"/a/b\"\ntarget_origin_id = \"o\"\n\
         cache_policy = \"CachingOptimized\"\n"
    );
    let distribution = read(&text).distribution;
    assert_eq!(distribution.behaviour("/a/b").methods, AllowedMethods::All);
    assert_eq!(distribution.behaviour("/b").methods, AllowedMethods::Read);
}

#[test]
fn an_error_response_with_a_pattern_wins_over_one_without() {
    let text = format!(
        "{LEAST}[[ordered_cache_behavior]]\npath_pattern = \"/a/*\"\ntarget_origin_id = \"o\"\n\
         cache_policy = \"CachingOptimized\"\n\
         [[custom_error_response]]\nerror_code = 404\nerror_caching_min_ttl = 5\npath_pattern = \"/a/*\"\n\
         [[custom_error_response]]\nerror_code = 404\nerror_caching_min_ttl = 7\n"
    );
    let distribution = read(&text).distribution;
    let of = |path: &str| distribution.behaviour(path).error_ttls.of(404).as_secs();
    assert_eq!((of("/a/x"), of("/x")), (5, 7));
}

#[test]
fn a_flag_overrides_the_file_and_is_named_when_it_is_wrong() {
    let flags = Flags::default()
        .with(keys::POPS, "--pops", Some("750".into()))
        .with(keys::SHIELD, "--shield", Some("off".into()))
        .with(keys::ORIGIN_URL, "--origin", Some("http://[::1]:9".into()))
        .with(keys::LISTEN, "--listen", Some("[::1]:0".into()));
    let settings = with("[desk]\npops = 3\n", &flags).unwrap();
    assert_eq!(settings.topology.pops, 750);
    assert_eq!(settings.topology.shield, None);
    assert_eq!(settings.distribution.default.origin.url, "http://[::1]:9");
    assert_eq!(settings.listener.listen.to_string(), "[::1]:0");

    let wrong = Flags::default()
        .with(keys::POPS, "--pops", Some("many".into()))
        .with(keys::SHIELD, "--shield", Some("yes".into()))
        .with(keys::ORIGIN_URL, "--origin", Some("https://o".into()))
        .with(keys::LISTEN, "--listen", Some("here".into()));
    insta::assert_snapshot!("flags", with("", &wrong).unwrap_err().join("\n"));
}

#[test]
fn a_shield_without_a_region_is_refused_also_by_flag() {
    let flags = Flags::default().with(keys::SHIELD, "--shield", Some("on".into()));
    let problems = with(LEAST, &flags).unwrap_err();
    assert_eq!(
        problems,
        [
            "--shield: `origin.origin_shield.enabled` is on; `origin_shield_region` has to say in which AWS Region"
        ]
    );
}

#[test]
fn one_flag_cannot_name_two_origins() {
    let text = format!("{LEAST}[[origin]]\norigin_id = \"p\"\nurl = \"http://p\"\n");
    assert_eq!(
        read(&text).distribution.default.origin.url,
        "http://o.example"
    );
    let flags = Flags::default().with(keys::ORIGIN_URL, "--origin", Some("http://x".into()));
    let problems = with(&text, &flags).unwrap_err();
    assert!(
        problems[0].starts_with("--origin: `origin.url` is given for several"),
        "{problems:?}"
    );
}

/// Puts a line where its key belongs.
type Place<'a> = &'a dyn Fn(&str) -> String;

/// Each number at its limits, and one past each.
#[test]
fn every_limit_holds_at_the_edge_and_one_past_it() {
    let policy = |line: &str| {
        let text = LEAST.replace("CachingOptimized", "p");
        format!("{text}[cache_policy.p]\nmax_ttl = 3153600000\ndefault_ttl = 3153600000\n{line}")
    };
    let origin = |line: &str| LEAST.replace("url =", &format!("{line}url ="));
    let desk = |line: &str| format!("[desk]\n{line}");
    let limits = |line: &str| format!("[limits]\n{line}");
    let listener = |line: &str| format!("[listener]\n{line}");
    let cases: [(Place<'_>, &str, i64, i64); 16] = [
        (&origin, "connection_attempts", 1, 3),
        (&origin, "connection_timeout", 1, 10),
        (&origin, "origin_read_timeout", 1, 120),
        (&origin, "origin_keepalive_timeout", 1, 120),
        (
            &origin,
            "origin_read_timeout = 1\nresponse_completion_timeout",
            1,
            86_400,
        ),
        (&policy, "min_ttl", 0, 3_153_600_000),
        (&desk, "pops", 1, 750),
        (&desk, "nodes_per_pop", 1, 64),
        (&desk, "nodes_per_regional", 1, 64),
        (&desk, "fill_range", 1, 1 << 30),
        (&desk, "pop_cache_bytes", 0, 1 << 40),
        (&desk, "memory_bytes_max", 1 << 20, 1 << 40),
        (&desk, "memory_object_bytes_max", 0, 1 << 30),
        (&desk, "seed", 0, 4_294_967_295),
        (&limits, "requests_per_second", 1, 1_000_000_000),
        (&listener, "connections_max", 1, 1_000_000),
    ];
    for (place, key, min, max) in cases {
        for legal in [min, max] {
            read(&place(&format!("{key} = {legal}\n")));
        }
        for illegal in [min - 1, max + 1] {
            let problems = problems(&place(&format!("{key} = {illegal}\n")));
            let name = key.rsplit('\n').next().unwrap();
            assert_eq!(problems.len(), 1, "{key} = {illegal}: {problems:?}");
            assert!(
                problems[0].contains(name) && problems[0].contains("allowed: "),
                "{problems:?}"
            );
        }
    }
}

#[test]
fn an_enlargement_is_a_word_or_a_number_of_bytes() {
    let of = |value: &str| {
        read(&format!("[desk]\nfill_range = {value}\n"))
            .pop_cache
            .fill_range
    };
    assert_eq!(of("\"exact\""), FillRange::Exact);
    assert_eq!(of("\"whole\""), FillRange::Whole);
    assert_eq!(of("65536"), FillRange::Aligned(65_536));
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_line() {
    let text = "\
[distributon]
id = \"X\"
[distribution]
id = \"a b\"
domain = \"under_score\"
cache_tag_header = \"x y\"
[[origin]]
origin_id = \"o\"
url = \"http://o/path\"
connection_attempts = 4
conection_timeout = 3
origin_read_timeout = 60
response_completion_timeout = 59
custom_header = [{ name = \"Host\", value = \"x\" }, { name = \"x-a\" }, { name = \"x-b\", value = \"a\\u0007\" }]
[origin.origin_shield]
enabled = \"yes\"
origin_shield_region = \"eu-north-1\"
[[origin]]
origin_id = \"o\"
[cache_policy.p]
min_ttl = 10
default_ttl = 5
query_strings_config = { query_string_behavior = \"some\" }
headers_config = { header_behavior = \"whitelist\" }
cookies_config = { cookie_behavior = \"none\", items = [\"a\"] }
enable_accept_encoding_gzip = \"true\"
[cache_policy.CachingDisabled]
min_ttl = 1
[[ordered_cache_behavior]]
target_origin_id = \"orign\"
cache_policy = \"CachingOptimised\"
allowed_methods = [\"GET\"]
cached_methods = [\"GET\", \"HEAD\", \"OPTIONS\"]
[default_cache_behavior]
path_pattern = \"/x\"
target_origin_id = 5
[[custom_error_response]]
error_code = 418
error_caching_min_ttl = -1
[[custom_error_response]]
error_code = 404
path_pattern = \"/nowhere/*\"
[desk]
placement = \"by-luck\"
fill_range = \"half\"
stream_along = 1
disk = 3
invalidation_effective_p95 = \"1s\"
invalidation_completed_median = \"0s\"
memory_bytes_max = 3
[listener]
listen = \"localhost:80\"
drain_grace = 30
[limits]
requests_per_second = 0
colour = \"red\"
";
    insta::assert_snapshot!("problems", problems(text).join("\n"));
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let problems = problems("[desk]\npops = = 3\n");
    assert!(
        problems[0].starts_with("edge.toml:2: not TOML: "),
        "{problems:?}"
    );
}

#[test]
fn a_described_distribution_needs_an_origin_and_a_default_behaviour() {
    assert_eq!(
        problems("[cache_policy.p]\n"),
        [
            "edge.toml:1: `origin` is missing; a distribution has at least one [[origin]]",
            "edge.toml:1: `default_cache_behavior` is missing; every distribution has one",
        ]
    );
}

#[test]
fn a_wrong_file_or_flag_ends_the_command_before_it_listens() {
    let sandbox = Sandbox::new();
    sandbox.write("edge.toml", "[desk]\npops = 0\n");
    let ran = sandbox.run(&["edge", "--config", "edge.toml", "--origin", "ftp://x"]);
    insta::assert_snapshot!("command", ran.transcript());
    let missing = sandbox.run(&["edge", "--config", "nowhere.toml"]);
    assert_eq!(missing.code, 4, "{}", missing.transcript());
}
