//! How values are read: what overrides what, every limit at the edge and one past it, all problems at once.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater::config::{
    AccessLog, CdnKind, Config, ConfigError, Flags, HIDDEN, Resolved, S3Location, Secret,
    StoreLocation, schema, wants_colours,
};

type Variables = BTreeMap<&'static str, &'static str>;

fn load(file: &str, variables: &Variables, flags: &Flags) -> Result<Resolved, Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("origin.toml");
    std::fs::write(&path, file).unwrap();
    Resolved::load(Some(&path), variables, flags).map_err(|error| match error {
        ConfigError::Invalid { problems } => {
            let place = format!("{}/", directory.path().display());
            problems
                .iter()
                .map(|problem| problem.to_string().replace(&place, ""))
                .collect()
        }
        _ => panic!("{error}"),
    })
}

fn file(text: &str) -> Result<Config, Vec<String>> {
    load(text, &Variables::new(), &Flags::default()).map(|resolved| resolved.config)
}

fn refusals(text: &str) -> String {
    file(text).unwrap_err().join("\n")
}

#[test]
fn a_flag_overrides_a_variable_which_overrides_the_file() {
    let text = "[server]\nlisten = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:2\"\nthreads = 3\n";
    let variables = Variables::from([
        ("HEADWATER_ADMIN", "127.0.0.1:22"),
        ("HEADWATER_THREADS", "33"),
        ("HEADWATER_STORE", ""),
    ]);
    let flags = Flags::default()
        .with(schema::THREADS, "--threads", Some("333".to_owned()))
        .with(schema::LISTEN.key, "--listen", None)
        .with_path(schema::STORE_PATH, "--store", None);
    let resolved = load(text, &variables, &flags).unwrap();
    let Config { server, store, .. } = &resolved.config;
    assert_eq!(server.listen.port(), 1, "only the file sets it");
    assert_eq!(server.admin.port(), 22, "the variable overrides the file");
    assert_eq!(server.threads.get(), 333, "the flag overrides both");
    assert_eq!(
        *store,
        StoreLocation::Directory("./headwater-store".into()),
        "set to nothing is not set"
    );
}

#[test]
fn show_says_where_each_value_comes_from_and_loads_to_the_same_again() {
    let text = "[server]\nthreads = 2\ndrain_delay = \"250ms\"\ncache_tag_header = \"\"\n[channels]\nmax_age = \"5m\"\n";
    let variables = Variables::from([
        ("HEADWATER_LISTEN", "[::]:80"),
        ("HEADWATER_ACCESS_LOG", "json"),
    ]);
    let flags =
        Flags::default().with_path(schema::STORE_PATH, "--store", Some("/srv/a \"b\"".into()));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("origin.toml");
    std::fs::write(&path, text).unwrap();
    let resolved = Resolved::load(Some(&path), &variables, &flags).unwrap();
    let shown = resolved.to_toml();
    insta::assert_snapshot!(
        "show",
        shown.replace(&*directory.path().to_string_lossy(), "[directory]")
    );
    let again = file(&shown).unwrap();
    assert_eq!(format!("{again:?}"), format!("{:?}", resolved.config));
}

#[test]
fn all_problems_are_reported_at_once_with_their_places() {
    let text = "\
listen = \"1.2.3.4:1\"
[sever]
listen = \"1.2.3.4:1\"
[store]
path = \"\"
[server]
listen = \"localhost:80\"
admin = 8081
threads = 0
access_log = true
origin_secrets = [\"short\", \"sixteen-or-more, with comma\"]
origin_secret_header = \"x y\"
cache_tag_header = [\"a\", 1]
drain_grace = \"25h\"
[limits]
head_bytes_max = 3_221_225_472
head_byte_max = 1
idle_timeout = 75
write_stall_timeout = \"soon\"
head_read_timeout = \"100500us\"
ranges_max = \"12\"
connections_max = 99999999999999999999
store_reads_max = -1
colour = \"blue\"
[channels]
max_age = \"1500ms\"
";
    let variables = Variables::from([
        ("HEADWATER_THREADS", "many"),
        ("HEADWATER_ORIGIN_SECRETS", "tiny"),
    ]);
    let flags = Flags::default().with(schema::ADMIN.key, "--admin", Some("here".to_owned()));
    let problems = load(text, &variables, &flags).unwrap_err();
    insta::assert_snapshot!("problems", problems.join("\n"));
}

#[test]
fn a_file_that_is_not_toml_is_refused_for_that_alone() {
    insta::assert_snapshot!("syntax", refusals("[server\nlisten = \nunknown = 1\n"));
}

#[test]
fn every_number_is_accepted_at_its_limits_and_refused_one_past_them() {
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
        let (section, name) = rule.key.split_once('.').unwrap();
        // What one key asks of another.
        let room = match name {
            "uri_bytes_max" => "head_bytes_max = 65536\n",
            "memory_bytes" => "read_ahead_blocks = 0\n",
            "read_ahead_blocks" => "memory_bytes = 1073741824\n",
            "disk_bytes" => "disk_path = \"/cache\"\n",
            _ => "",
        };
        let read = |number: i128| file(&format!("[{section}]\n{room}{name} = {number}\n"));
        let (min, max) = (rule.min as i128, rule.max as i128);
        for edge in [min, rule.default as i128, max] {
            assert!(read(edge).is_ok(), "{name} = {edge}");
        }
        for past in [min - 1, max + 1] {
            let refusal = read(past).unwrap_err().join("\n");
            assert!(
                refusal.contains(&format!("`{}` is {past}", rule.key)),
                "{refusal}"
            );
            assert!(refusal.contains("; allowed: "), "{refusal}");
        }
    }
}

#[test]
fn every_duration_is_accepted_at_its_limits_and_refused_one_step_past_them() {
    for rule in [
        schema::DRAIN_DELAY,
        schema::DRAIN_GRACE,
        schema::HEAD_READ_TIMEOUT,
        schema::IDLE_TIMEOUT,
        schema::WRITE_STALL_TIMEOUT,
        schema::STORE_STALE_MAX,
        schema::REQUEST_TIMEOUT,
        schema::CDN_TIMEOUT,
        schema::MAX_AGE,
        schema::STALE_WHILE_REVALIDATE,
        schema::STALE_IF_ERROR,
    ] {
        let (section, name) = rule.key.split_once('.').unwrap();
        let read = |span: Duration| {
            file(&format!(
                "[{section}]\n{name} = \"{}ms\"\n",
                span.as_millis()
            ))
        };
        let step = match rule.step {
            schema::Step::Millisecond => Duration::from_millis(1),
            schema::Step::Second => Duration::from_secs(1),
        };
        for edge in [rule.min, rule.default, rule.max] {
            assert!(read(edge).is_ok(), "{name} = {edge:?}");
        }
        assert!(
            read(rule.max + step).unwrap_err()[0].contains("; allowed: "),
            "{name}"
        );
        if let Some(past) = rule.min.checked_sub(step) {
            assert!(read(past).unwrap_err()[0].contains("; allowed: "), "{name}");
        }
    }
}

#[test]
fn threads_are_1_to_1024() {
    let read = |number: &str| file(&format!("[server]\nthreads = {number}\n"));
    assert_eq!(read("1").unwrap().server.threads.get(), 1);
    assert_eq!(read("1024").unwrap().server.threads.get(), 1024);
    assert!(read("0").is_err() && read("1025").is_err() && read("-1").is_err());
}

#[test]
fn the_uri_has_to_fit_into_the_head() {
    let sizes = |uri: usize, head: usize| {
        format!("[limits]\nuri_bytes_max = {uri}\nhead_bytes_max = {head}\n")
    };
    assert!(file(&sizes(8192, 8192)).is_ok());
    assert!(refusals(&sizes(8193, 8192)).contains("the head has to be at least as long"));
    // One of them alone contradicts the other's default, and is the one to blame.
    let blamed = refusals("[limits]\nuri_bytes_max = 65536\n");
    assert!(blamed.starts_with("origin.toml:2: "), "{blamed}");
}

#[test]
fn a_bucket_is_reached_as_the_other_keys_of_the_store_say() {
    let text = "[store]\npath = \"s3://updates/prod/\"\nregion = \"eu-west-1\"\nendpoint_url = \"http://minio:9000/\"\n\
                path_style = false\nrequest_timeout = \"5s\"\n";
    let Config { store, .. } = file(text).unwrap();
    let expected = S3Location {
        bucket: "updates".to_owned(),
        prefix: "prod".to_owned(),
        region: Some("eu-west-1".to_owned()),
        endpoint_url: Some("http://minio:9000".to_owned()),
        path_style: Some(false),
        request_timeout: Duration::from_secs(5),
    };
    assert_eq!(store, StoreLocation::S3(expected));
    assert_eq!(store.to_string(), "s3://updates/prod");
    // A directory on the command line leaves the rest of the file as it is, and `config show` shows it.
    let flags = Flags::default().with_path(schema::STORE_PATH, "--store", Some("copy".into()));
    let shown = load(text, &Variables::new(), &flags).unwrap().to_toml();
    for line in [
        "path = \"copy\"",
        "region = \"eu-west-1\"",
        "path_style = false",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(file(&shown).is_ok());
}

#[test]
fn the_memory_of_the_cache_holds_two_downloads_with_their_blocks_ahead() {
    let sizes = |blocks: usize, ahead: usize| {
        let bytes = blocks * schema::BLOCK_BYTES;
        format!("[cache]\nmemory_bytes = {bytes}\nread_ahead_blocks = {ahead}\n")
    };
    assert!(file(&sizes(34, 16)).is_ok());
    assert!(
        refusals(&sizes(33, 16)).contains("two downloads with so many blocks ahead need 142606336")
    );
}

#[test]
fn a_size_on_disk_needs_a_disk() {
    let bytes = 64 * schema::BLOCK_BYTES;
    let size = format!("[cache]\ndisk_bytes = {bytes}\n");
    assert!(refusals(&size).contains("`cache.disk_path` names no directory"));
    assert!(file(&format!("{size}disk_path = \"/cache\"\n")).is_ok());
    let variables = Variables::from([("HEADWATER_CACHE_PATH", "/cache")]);
    let cache = load(&size, &variables, &Flags::default())
        .unwrap()
        .config
        .cache;
    assert_eq!(cache.disk_path.as_deref(), Some("/cache".as_ref()));
}

#[test]
fn naming_a_distribution_is_enough_to_have_it_told() {
    let id = Variables::from([("HEADWATER_DISTRIBUTION_ID", "EDFDVBD6EXAMPLE")]);
    let resolved = load("", &id, &Flags::default()).unwrap();
    assert_eq!(resolved.config.cdn.kind, CdnKind::CloudFront);
    let line = format!(
        "{:<50} # HEADWATER_DISTRIBUTION_ID",
        "kind = \"cloudfront\""
    );
    assert!(resolved.to_toml().contains(&line), "{}", resolved.to_toml());
    // A file that switches it off contradicts whoever names one outside of it.
    let off = "[cdn]\nkind = \"none\"\n";
    let refusal = load(off, &id, &Flags::default()).unwrap_err().join("\n");
    assert!(
        refusal.starts_with("HEADWATER_DISTRIBUTION_ID: "),
        "{refusal}"
    );
    let both = format!("{off}distribution_id = \"EDFDVBD6EXAMPLE\"\n");
    assert_eq!(file(&both).unwrap().cdn.kind, CdnKind::None);
    assert!(
        refusals("[cdn]\nkind = \"cloudfront\"\n").contains("`cdn.distribution_id` has to name")
    );
}

#[test]
fn waiting_is_a_boolean_in_a_file_and_a_word_after_a_flag() {
    let flag =
        |text: &str| Flags::default().with(schema::CDN_WAIT, "--wait", Some(text.to_owned()));
    let wait =
        |flags: &Flags| load("", &Variables::new(), flags).map(|resolved| resolved.config.cdn.wait);
    assert_eq!(wait(&flag("true")), Ok(true));
    assert_eq!(wait(&Flags::default()), Ok(false));
    assert!(wait(&flag("yes")).is_err());
    assert!(file("[cdn]\nwait = true\n").unwrap().cdn.wait);
    assert!(file("[cdn]\nwait = \"true\"\n").is_err());
}

#[test]
fn both_listeners_cannot_have_one_port_unless_it_is_a_free_one() {
    let both = |port: u16| {
        format!("[server]\nlisten = \"127.0.0.1:{port}\"\nadmin = \"127.0.0.1:{port}\"\n")
    };
    assert!(file(&both(0)).is_ok());
    assert!(refusals(&both(9000)).contains("they have to be different"));
}

#[test]
fn a_key_in_the_wrong_place_is_told_its_right_one() {
    for (text, wanted) in [
        ("listen = \"127.0.0.1:1\"", "did you mean `server.listen`?"),
        (
            "[limits]\ndrain_grace = \"1s\"",
            "did you mean `server.drain_grace`?",
        ),
        (
            "[limits]\nidle_time_out = \"1s\"",
            "did you mean `limits.idle_timeout`?",
        ),
        ("[chanels]", "did you mean [channels]?"),
        (
            "[limits]\nfoo = 1",
            "`headwater config show` lists all of them",
        ),
        (
            "[zzz]",
            "there are [store], [cache], [cdn], [server], [limits], [channels]",
        ),
    ] {
        let refusal = refusals(text);
        assert!(refusal.contains(wanted), "{text}: {refusal}");
    }
}

#[test]
fn secrets_come_from_a_file_or_separated_by_commas_from_a_variable() {
    let exposed = |config: &Config| {
        config
            .server
            .origin_secrets
            .iter()
            .map(|secret| secret.expose().to_vec())
            .collect::<Vec<_>>()
    };
    let expected = vec![b"0123456789abcdef".to_vec(), b"fedcba9876543210".to_vec()];
    let config =
        file("[server]\norigin_secrets = [\"0123456789abcdef\", \"fedcba9876543210\"]\n").unwrap();
    assert_eq!(exposed(&config), expected);
    let variables = Variables::from([(
        "HEADWATER_ORIGIN_SECRETS",
        "0123456789abcdef, fedcba9876543210",
    )]);
    let resolved = load("", &variables, &Flags::default()).unwrap();
    assert_eq!(exposed(&resolved.config), expected);
}

#[test]
fn a_secret_has_16_to_256_visible_characters_and_there_are_up_to_4() {
    let legal = |text: &str| Secret::parse(text).is_ok();
    assert!(legal(&"s".repeat(16)) && legal(&"s".repeat(256)));
    assert!(!legal(&"s".repeat(15)) && !legal(&"s".repeat(257)));
    for other in [' ', ',', '\t', '\u{7f}', 'é'] {
        assert!(!legal(&format!("{}{other}", "s".repeat(16))), "{other:?}");
    }
    let read = |count| {
        file(&format!(
            "[server]\norigin_secrets = {:?}\n",
            vec!["s".repeat(16); count]
        ))
    };
    assert!(read(4).is_ok() && read(5).is_err());
}

#[test]
fn a_secret_is_never_printed() {
    let secret = "correct-horse-battery-staple";
    let resolved = load(
        &format!("[server]\norigin_secrets = [\"{secret}\"]\n"),
        &Variables::new(),
        &Flags::default(),
    );
    let resolved = resolved.unwrap();
    let shown = resolved.to_toml();
    assert!(shown.contains(HIDDEN) && !shown.contains(secret));
    assert!(!format!("{resolved:?}").contains(secret));
    assert!(
        file(&shown).is_err(),
        "a shown file must not become an origin whose secret is `{HIDDEN}`"
    );
    for wrong in [
        format!("[\"{secret} \"]"),
        format!("\"{secret}\""),
        format!("[[\"{secret}\"]]"),
    ] {
        let refusal = refusals(&format!("[server]\norigin_secrets = {wrong}\n"));
        assert!(!refusal.contains(secret), "{refusal}");
    }
}

#[test]
fn words_and_headers_are_read_as_documented() {
    let config =
        file("[server]\naccess_log = \"text\"\norigin_secret_header = \"X-Edge-Key\"\n").unwrap();
    assert_eq!(config.server.access_log, AccessLog::Text);
    assert_eq!(config.server.origin_secret_header, "x-edge-key");
    assert_eq!(
        file("[server]\ncache_tag_header = \"\"\n")
            .unwrap()
            .server
            .cache_tag_header,
        None
    );
    assert!(file("[server]\naccess_log = \"TEXT\"\n").is_err());
}

#[test]
fn show_has_every_key_in_the_order_of_the_schema() {
    let shown = load("", &Variables::new(), &Flags::default())
        .unwrap()
        .to_toml();
    let mut section = "";
    let mut keys = Vec::new();
    for line in shown.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix('[') {
            Some(name) => section = name.trim_end_matches(']'),
            None => keys.push(format!("{section}.{}", line.split(' ').next().unwrap())),
        }
    }
    assert_eq!(
        keys,
        schema::KEYS.iter().map(|key| key.name).collect::<Vec<_>>()
    );
}

#[test]
fn colours_are_switched_off_by_any_value_of_no_color() {
    assert!(wants_colours(&Variables::new()));
    assert!(
        wants_colours(&Variables::from([("NO_COLOR", "")])),
        "set to nothing is not set"
    );
    assert!(!wants_colours(&Variables::from([("NO_COLOR", "0")])));
}
