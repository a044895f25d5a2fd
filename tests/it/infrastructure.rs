//! Terraform's plan against the server's own configuration: what is promised on both sides of an interface is the same.
//!
//! Owns the sentences that join the two: times, ports, paths, headers, and what differs between the world with an edge
//! and the one without. The plan is in `infrastructure/plan.rs`; what a module makes by itself is tested by `terraform
//! test`. Nothing here ran against AWS.

mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headwater::config::{Config, Flags, Resolved};
use serde_json::{Value, json};

use plan::{Plan, Resource};

const YEAR: u64 = 365 * 24 * 60 * 60;

/// What the image runs.
fn production() -> Config {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/production.toml");
    let environment = BTreeMap::from([("HEADWATER_STORE", "s3://headwater")]);
    Resolved::load(Some(Path::new(file)), &environment, &Flags::default())
        .unwrap()
        .config
}

/// The model's distribution, in Terraform's words.
fn model() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/edge.toml");
    let text = std::fs::read_to_string(file).unwrap();
    serde_json::to_value(toml::from_str::<toml::Table>(&text).unwrap()).unwrap()
}

fn distribution() -> &'static Resource {
    let address = "module.edge[0].aws_cloudfront_distribution.this";
    Plan::with_edge().at(address)
}

fn cache_policy(kind: &str) -> &'static Resource {
    let address = format!("module.edge[0].aws_cloudfront_cache_policy.this[\"primary-{kind}\"]");
    Plan::with_edge().at(&address)
}

/// The origin that is the server, not the bucket behind it.
fn planned_origin() -> &'static Value {
    distribution()
        .blocks("origin")
        .iter()
        .find(|origin| origin["origin_id"] == "origin")
        .expect("an origin")
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs()
}

// ---- Lifetimes --------------------------------------------------------------------------------------------------------

#[test]
fn the_edge_keeps_channels_for_what_the_origin_says_and_never_longer_than_five_minutes() {
    let channels = production().channels;
    let policy = cache_policy("channels");
    let max_ttl = policy.number("/max_ttl");
    assert_eq!(policy.number("/min_ttl"), 0);
    assert!(seconds(channels.max_age) <= max_ttl);
    assert!(seconds(channels.max_age + channels.stale_while_revalidate) <= max_ttl);
    assert_eq!(policy.number("/default_ttl"), seconds(channels.max_age));
    assert_eq!(max_ttl, 300);
}

#[test]
fn the_edge_keeps_artifacts_for_the_year_that_the_origin_says() {
    let policy = cache_policy("artifacts");
    let said = format!("max-age={YEAR}");
    assert!(headwater::model::IMMUTABLE.contains(&said));
    assert_eq!(policy.number("/max_ttl"), YEAR);
    assert_eq!(policy.number("/default_ttl"), YEAR);
    assert_eq!(policy.number("/min_ttl"), 1);
}

#[test]
fn nothing_of_a_device_is_in_a_key() {
    let policies = Plan::with_edge().all("aws_cloudfront_cache_policy");
    assert_eq!(policies.len(), 2);
    for policy in policies {
        let key = policy.value("/parameters_in_cache_key_and_forwarded_to_origin/0");
        for (config, behavior) in [
            ("cookies_config", "cookie_behavior"),
            ("headers_config", "header_behavior"),
            ("query_strings_config", "query_string_behavior"),
        ] {
            assert_eq!(key[config][0][behavior], "none", "{}", policy.address);
        }
    }
    for policy in Plan::with_edge().all("aws_cloudfront_origin_request_policy") {
        assert_eq!(policy.text("/cookies_config/0/cookie_behavior"), "none");
        let queries = policy.text("/query_strings_config/0/query_string_behavior");
        assert_eq!(queries, "none");
    }
}

// ---- Headers ----------------------------------------------------------------------------------------------------------

#[test]
fn the_edge_reads_tags_in_the_header_that_the_origin_sends_them_in() {
    let header = production().server.cache_tag_header.unwrap();
    assert_eq!(
        distribution().text("/cache_tag_config/0/header_name"),
        header
    );
}

#[test]
fn the_secret_header_of_the_modules_is_the_origins() {
    let header = production().server.origin_secret_header;
    for file in [
        "variables.tf",
        "modules/edge/variables_origin.tf",
        "modules/origin/variables.tf",
        "modules/secret/variables.tf",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("terraform")
            .join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let is_default = |line: &str| {
            let line = line.trim();
            line.starts_with("default ") && line.ends_with(&format!("= \"{header}\""))
        };
        assert!(text.lines().any(is_default), "{file} has another header");
    }
}

/// The image refuses to start with a setting that it does not know, or a value with other characters.
#[test]
fn instances_are_told_what_the_image_takes_and_what_the_server_understands() {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/packer/files/usr/local/lib/headwater/configure"
    );
    let script = std::fs::read_to_string(script).unwrap();
    let (_, allowed) = script.split_once("readonly allowed=(").unwrap();
    let (allowed, _) = allowed.split_once(')').unwrap();
    let allowed: BTreeSet<&str> = allowed.split_whitespace().collect();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.,:/@=+*-".contains(c);
    assert!(script.contains(r"=~ ^[A-Za-z0-9_.,:/@=+*-]+$ "));
    for plan in [
        Plan::with_edge(),
        Plan::with_a_secret(),
        Plan::without_edge(),
    ] {
        let template = plan.one("module.origin", "aws_launch_template");
        let told = STANDARD.decode(template.text("/user_data")).unwrap();
        let told = String::from_utf8(told).unwrap();
        let told: BTreeMap<&str, &str> = told
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_once('=').unwrap())
            .collect();
        for (key, value) in &told {
            assert!(allowed.contains(key), "{key} is not for instances");
            assert!(
                !value.is_empty() && value.chars().all(is_plain),
                "{key}={value}"
            );
        }
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/production.toml");
        let config = Resolved::load(Some(Path::new(file)), &told, &Flags::default())
            .unwrap()
            .config;
        let header = told.get("HEADWATER_ORIGIN_SECRET_HEADER").copied();
        assert_eq!(
            config.server.origin_secret_header,
            header.unwrap_or("x-origin-secret")
        );
        assert_eq!(
            header.is_some(),
            told.contains_key("HEADWATER_SECRET_ARN"),
            "a secret without its header, or a header without a secret"
        );
    }
    let rule = Plan::with_a_secret().one("module.origin", "aws_lb_listener_rule");
    let edge = Plan::with_a_secret().at("module.edge[0].aws_cloudfront_distribution.this");
    let sent = edge
        .blocks("origin")
        .iter()
        .find(|origin| origin["origin_id"] == "origin");
    assert_eq!(
        rule.text("/condition/0/http_header/0/http_header_name"),
        "x-pass"
    );
    assert_eq!(sent.unwrap()["custom_header"][0]["name"], "x-pass");
}

#[test]
fn an_alarm_begins_where_the_composition_is_told() {
    let at = "module.observability.aws_cloudwatch_metric_alarm.origin[\"origin-bytes\"]";
    assert_eq!(
        Plan::with_a_secret().at(at).number("/threshold"),
        40_000_000_000
    );
    assert_eq!(
        Plan::with_edge().at(at).number("/threshold"),
        250_000_000_000
    );
}

/// The bucket keeps replaced versions for weeks; of leases a publish leaves thousands.
#[test]
fn leases_of_every_product_are_forgotten_after_a_day() {
    let plan = Plan::with_edge();
    let rules = plan.at("module.store.aws_s3_bucket_lifecycle_configuration.store");
    for product in ["agent", "firmware"] {
        let prefix = format!("artifacts/{product}/.headwater/");
        let of_leases = |rule: &&Value| rule.pointer("/filter/0/prefix") == Some(&json!(prefix));
        let rule = rules.blocks("rule").iter().find(of_leases);
        let rule = rule.unwrap_or_else(|| panic!("no rule for {prefix}"));
        assert_eq!(
            rule.pointer("/noncurrent_version_expiration/0/noncurrent_days"),
            Some(&json!(1))
        );
    }
}

// ---- Times ------------------------------------------------------------------------------------------------------------

/// Fact 85: whoever asks lets go first.
#[test]
fn connections_are_let_go_of_from_the_edge_to_the_origin() {
    let edge = planned_origin()["vpc_origin_config"][0]["origin_keepalive_timeout"]
        .as_u64()
        .unwrap();
    let balancer = Plan::with_edge()
        .one("module.origin", "aws_lb")
        .number("/idle_timeout");
    let origin = seconds(production().limits.idle_timeout);
    assert!(edge <= balancer, "{edge} <= {balancer}");
    assert!(balancer < origin, "{balancer} < {origin}");
}

#[test]
fn an_instance_that_leaves_has_time_for_the_downloads_it_carries() {
    let server = production().server;
    let group = Plan::with_edge().one("module.origin", "aws_lb_target_group");
    let check = group.value("/health_check/0");
    let noticed =
        check["interval"].as_u64().unwrap() * check["unhealthy_threshold"].as_u64().unwrap();
    assert!(
        seconds(server.drain_delay) >= noticed,
        "the door closes early"
    );

    let delay: u64 = group.number("/deregistration_delay");
    assert!(seconds(server.drain_grace) >= delay, "downloads are cut");
    let drain = seconds(server.drain_delay + server.drain_grace);
    let hook = Plan::with_edge().one("module.origin", "aws_autoscaling_lifecycle_hook");
    let heartbeat = hook.number("/heartbeat_timeout");
    assert!(drain < heartbeat, "{drain} < {heartbeat}");
    assert!(delay < heartbeat, "{delay} < {heartbeat}");
    assert!(drain <= delay + heartbeat);
}

#[test]
fn two_tries_of_s3_fit_into_one_wait_of_the_edge() {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/config/production.toml"
    ))
    .unwrap();
    assert!(text.contains("request_timeout = \"10s\""));
    let read = planned_origin()["vpc_origin_config"][0]["origin_read_timeout"]
        .as_u64()
        .unwrap();
    assert!(2 * 10 < read, "{read}");
}

// ---- Ports ------------------------------------------------------------------------------------------------------------

#[test]
fn the_load_balancer_asks_where_the_server_listens() {
    let server = production().server;
    let group = Plan::with_edge().one("module.origin", "aws_lb_target_group");
    assert_eq!(group.number("/port"), u64::from(server.listen.port()));
    let health = group.number("/health_check/0/port");
    assert_eq!(health, u64::from(server.admin.port()));
    assert_eq!(group.text("/health_check/0/path"), "/readyz");
    assert!(server.listen.ip().is_unspecified());
}

#[test]
fn instances_are_reached_by_the_load_balancer_alone_on_these_two_ports() {
    let server = production().server;
    for plan in [Plan::with_edge(), Plan::without_edge()] {
        let mut ports = BTreeSet::new();
        for rule in plan.all("aws_vpc_security_group_ingress_rule") {
            if rule.address.contains("module.origin") && rule.address.contains(".instances[") {
                assert!(rule.value("/cidr_ipv4").is_null(), "{}", rule.address);
                assert_eq!(rule.number("/from_port"), rule.number("/to_port"));
                ports.insert(rule.number("/from_port"));
            }
        }
        let listeners = [server.listen.port(), server.admin.port()].map(u64::from);
        assert_eq!(ports, BTreeSet::from(listeners));
    }
}

#[test]
fn with_the_edge_in_front_no_address_of_the_internet_is_let_in_anywhere() {
    let is_open = |rule: &&Resource| {
        rule.after["cidr_ipv4"] == "0.0.0.0/0" || rule.after["cidr_ipv6"] == "::/0"
    };
    let open = |plan: &'static Plan| -> Vec<&str> {
        plan.all("aws_vpc_security_group_ingress_rule")
            .into_iter()
            .filter(is_open)
            .map(|rule| rule.address.as_str())
            .collect()
    };
    assert_eq!(open(Plan::with_edge()), Vec::<&str>::new());
    assert_eq!(
        open(Plan::without_edge()),
        ["module.origin.aws_vpc_security_group_ingress_rule.public[0]"]
    );
    let groups = Plan::with_edge().all("aws_security_group");
    assert!(!groups.is_empty());
    for group in groups {
        let inline = &group.after["ingress"];
        let is_empty = inline.as_array().is_none_or(Vec::is_empty);
        assert!(is_empty, "{} has rules of its own", group.address);
    }
    let balancer = Plan::with_edge().one("module.origin", "aws_lb");
    assert_eq!(balancer.after["internal"], true);
}

/// One rule lets the edge in, by CloudFront's prefix list, on the listener's port.
#[test]
fn the_edge_is_let_in_by_one_rule() {
    let rules: Vec<_> = Plan::with_edge()
        .all("aws_vpc_security_group_ingress_rule")
        .into_iter()
        .filter(|rule| rule.address.starts_with("module.edge"))
        .collect();
    assert_eq!(rules.len(), 1, "{rules:#?}");
    assert!(rules[0].text("/prefix_list_id").starts_with("pl-"));
    assert_eq!(rules[0].number("/from_port"), 443);
    assert_eq!(rules[0].number("/to_port"), 443);
}

// ---- The model ----------------------------------------------------------------------------------------------------------

#[test]
fn the_model_asks_its_origin_as_the_planned_distribution_does() {
    let model = &model()["origin"][0];
    let planned = planned_origin();
    for key in ["connection_attempts", "connection_timeout"] {
        assert_eq!(model[key], planned[key], "{key}");
    }
    let vpc = &planned["vpc_origin_config"][0];
    for key in ["origin_read_timeout", "origin_keepalive_timeout"] {
        assert_eq!(model[key], vpc[key], "{key}");
    }
    assert_eq!(
        model["origin_shield"]["enabled"],
        planned["origin_shield"][0]["enabled"]
    );
    assert_eq!(
        model["origin_shield"]["origin_shield_region"],
        planned["origin_shield"][0]["origin_shield_region"]
    );
    let completion = "response_completion_timeout";
    assert!(model.get(completion).is_none(), "artifacts would be cut");
    let planned = planned.get(completion).unwrap_or(&Value::Null);
    assert!(planned.is_null() || *planned == json!(0), "{planned}");
}

#[test]
fn the_models_policies_are_the_planned_ones() {
    for kind in ["artifacts", "channels"] {
        let model = &model()["cache_policy"][kind];
        let planned = cache_policy(kind);
        for key in ["min_ttl", "default_ttl", "max_ttl"] {
            assert_eq!(model[key], planned.after[key], "{kind}: {key}");
        }
        let parameters = planned.value("/parameters_in_cache_key_and_forwarded_to_origin/0");
        for key in [
            "enable_accept_encoding_gzip",
            "enable_accept_encoding_brotli",
        ] {
            assert_eq!(model[key], parameters[key], "{kind}: {key}");
        }
        for (config, behavior) in [
            ("query_strings_config", "query_string_behavior"),
            ("headers_config", "header_behavior"),
            ("cookies_config", "cookie_behavior"),
        ] {
            assert_eq!(
                model[config][behavior], parameters[config][0][behavior],
                "{kind}: {config}"
            );
        }
    }
    let policies = model()["cache_policy"].as_object().unwrap().len();
    assert_eq!(policies, 2, "the model has policies that nobody plans");
}

/// The methods of a behaviour as a set: Terraform's own is one.
fn methods(behavior: &Value, key: &str) -> BTreeSet<String> {
    let list = behavior[key].as_array().unwrap();
    list.iter()
        .map(|method| method.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_models_behaviours_are_the_planned_ones_in_their_order() {
    let model = model();
    let modelled = model["ordered_cache_behavior"].as_array().unwrap();
    let planned = distribution().blocks("ordered_cache_behavior");
    assert_eq!(modelled.len(), planned.len());
    for (modelled, planned) in modelled.iter().zip(planned) {
        assert_eq!(modelled["path_pattern"], planned["path_pattern"]);
        let pattern = &planned["path_pattern"];
        assert_eq!(modelled["compress"], planned["compress"], "{pattern}");
        for key in ["allowed_methods", "cached_methods"] {
            assert_eq!(methods(modelled, key), methods(planned, key), "{pattern}");
        }
        // The plan's ids are invented, so that two policies may share one: the folder's name ties them instead.
        let folder = pattern.as_str().unwrap().trim_matches(['/', '*']);
        assert_eq!(modelled["cache_policy"], folder);
    }
    let modelled = &model["default_cache_behavior"];
    let planned = &distribution().blocks("default_cache_behavior")[0];
    assert_eq!(modelled["compress"], planned["compress"]);
    for key in ["allowed_methods", "cached_methods"] {
        assert_eq!(methods(modelled, key), methods(planned, key));
    }
    // That the planned one is CloudFront's own, found by its name, is tested in terraform/tests/edge.tftest.hcl.
    assert_eq!(modelled["cache_policy"], "CachingDisabled");
}

trait NullOrEmpty {
    fn is_null_or_empty(&self) -> bool;
}

impl NullOrEmpty for Value {
    /// An argument that is not set is null with one provider, and `""` with another.
    fn is_null_or_empty(&self) -> bool {
        self.is_null() || *self == json!("")
    }
}

#[test]
fn the_model_keeps_errors_as_long_as_the_planned_distribution_does() {
    let of = |responses: &[Value]| -> BTreeMap<u64, u64> {
        let entry = |response: &Value| {
            assert!(response.get("path_pattern").is_none());
            let page = response.get("response_page_path").unwrap_or(&Value::Null);
            assert!(page.is_null_or_empty(), "an updater must see the status");
            let code = response["error_code"].as_u64().unwrap();
            (code, response["error_caching_min_ttl"].as_u64().unwrap())
        };
        responses.iter().map(entry).collect()
    };
    let model = model();
    let modelled = of(model["custom_error_response"].as_array().unwrap());
    let planned = of(distribution().blocks("custom_error_response"));
    assert_eq!(modelled, planned);
    assert!(planned[&404] <= 10);
}

#[test]
fn the_model_reads_tags_as_the_planned_distribution_does() {
    assert_eq!(
        model()["distribution"]["cache_tag_header"],
        *distribution().value("/cache_tag_config/0/header_name")
    );
}

// ---- Both worlds --------------------------------------------------------------------------------------------------------

/// How many resources of each type there are below a module.
fn census(plan: &Plan) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for resource in plan.resources() {
        let module = resource
            .address
            .split('.')
            .nth(1)
            .unwrap_or("")
            .split('[')
            .next()
            .unwrap_or("");
        *counts
            .entry((module.to_owned(), resource.kind.clone()))
            .or_default() += 1;
    }
    counts
}

/// Everything outside the module edge that only one of the worlds has, or has more of.
#[test]
fn the_worlds_differ_in_the_edge_and_in_what_follows_from_it() {
    let with = census(Plan::with_edge());
    let without = census(Plan::without_edge());
    let mut differences = Vec::new();
    for key in with.keys().chain(without.keys()).collect::<BTreeSet<_>>() {
        let counts = (
            with.get(key).copied().unwrap_or(0),
            without.get(key).copied().unwrap_or(0),
        );
        if counts.0 != counts.1 && key.0 != "edge" {
            differences.push(format!("{}: {}: {} / {}", key.0, key.1, counts.0, counts.1));
        }
    }
    insta::assert_snapshot!(differences.join("\n"));
    assert!(without.keys().all(|(module, _)| module != "edge"));
}

/// Of what both worlds have, the arguments that are not the same: the place and the size of the origin, and what speaks
/// of the distribution.
#[test]
fn what_both_worlds_have_differs_in_named_arguments_only() {
    let without: BTreeMap<&str, &Resource> = Plan::without_edge()
        .resources()
        .map(|resource| (resource.address.as_str(), resource))
        .collect();
    let mut differences = Vec::new();
    for resource in Plan::with_edge().resources() {
        let Some(other) = without.get(resource.address.as_str()) else {
            continue;
        };
        let (Some(ours), Some(theirs)) = (resource.after.as_object(), other.after.as_object())
        else {
            continue;
        };
        for (argument, value) in ours {
            if theirs.get(argument).map(known) != Some(known(value)) {
                differences.push(format!("{} {argument}", resource.address));
            }
        }
    }
    insta::assert_snapshot!(differences.join("\n"));
}

/// A value without what only AWS knows, which is invented anew in each run: a word of eight letters and digits.
fn known(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() == 8 && text.chars().all(char::is_alphanumeric) => {
            Value::Null
        }
        Value::Array(items) => items.iter().map(known).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), known(value)))
            .collect(),
        other => other.clone(),
    }
}
