//! Where a command finds credentials, region and endpoint of S3, and that no credential is ever printed.
//!
//! Each of the usual places is played by a file or a server on loopback; the machine's own are never asked. What the
//! commands do with the bucket then is the test of `s3_cli`.

use crate::cli_sandbox::Ran;
use crate::harness::aws::{KEY_ID, REGION, SECRET};
use crate::harness::upstream::{Step, Upstream, message, ok};
use crate::s3_cli::{Bench, run};

/// A token that a temporary credential has beside its secret.
const TOKEN: &str = "headwater+tests/token+that/no/output/may/show";

#[test]
fn credentials_region_and_endpoint_come_from_a_profile() {
    let bench = Bench::new();
    let credentials = bench.sandbox.write(
        "credentials",
        format!("[ci]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"),
    );
    let endpoint = bench.server.endpoint();
    let general = format!("[profile ci]\nregion = {REGION}\nendpoint_url = {endpoint}\n");
    let special = format!(
        "[profile ci]\nregion = {REGION}\nendpoint_url = http://127.0.0.1:9\nservices = local\n[services local]\n\
         s3 =\n  endpoint_url = {endpoint}\n"
    );
    for config in [general, special] {
        let config = bench.sandbox.write("config", config);
        let variables = [
            ("AWS_PROFILE", "ci"),
            ("AWS_CONFIG_FILE", config.to_str().unwrap()),
            ("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap()),
        ];
        let ran = run(
            &bench.sandbox,
            &variables,
            &["init", "--store", "s3://releases"],
        );
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
}

#[test]
fn credentials_come_from_a_program_that_a_profile_names() {
    let bench = Bench::new();
    let document = bench.sandbox.write(
        "document.json",
        format!(
            "{{\"Version\": 1, \"AccessKeyId\": \"{KEY_ID}\", \"SecretAccessKey\": \"{SECRET}\", \
             \"SessionToken\": \"{TOKEN}\", \"Expiration\": \"2999-01-01T00:00:00Z\"}}"
        ),
    );
    let config = bench.sandbox.write(
        "config",
        format!(
            "[default]\nregion = {REGION}\ncredential_process = /bin/cat {}\n",
            document.display()
        ),
    );
    let endpoint = bench.server.endpoint();
    let variables = [
        ("AWS_CONFIG_FILE", config.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_S3", &endpoint),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("HEADWATER_LOG", "trace"),
    ];
    let ran = run(
        &bench.sandbox,
        &variables,
        &["init", "--store", "s3://releases"],
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_no_secret(&ran);
}

#[test]
fn without_credentials_the_places_are_named_where_they_could_be() {
    let bench = Bench::new();
    let endpoint = bench.server.endpoint();
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_REGION", REGION),
    ];
    let ran = run(
        &bench.sandbox,
        &variables,
        &["releases", "--store", "s3://releases"],
    );
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    for place in ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "role"] {
        assert!(ran.stderr.contains(place), "{}", ran.stderr);
    }
    assert_eq!(
        bench.server.asked(),
        [],
        "nothing is asked without a signature"
    );
}

#[test]
fn credentials_that_the_server_does_not_accept_are_reported_as_such() {
    let bench = Bench::new();
    bench.server.forget_credentials();
    let unknown = bench.run(&["releases"]);
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("InvalidAccessKeyId"),
        "{}",
        unknown.stderr
    );
    bench.server.expire_credentials();
    let expired = bench.run(&["releases"]);
    assert_eq!(expired.code, 1);
    assert!(expired.stderr.contains("expired"), "{}", expired.stderr);
    bench.server.renew_credentials();
    let wrong = bench.run_with(
        &[("AWS_SECRET_ACCESS_KEY", "another+secret")],
        &["releases"],
    );
    assert_eq!(wrong.code, 1);
    assert!(
        wrong.stderr.contains("does not accept these credentials"),
        "{}",
        wrong.stderr
    );
    for ran in [unknown, expired, wrong] {
        assert_no_secret(&ran);
    }
}

#[test]
fn an_endpoint_that_is_none_is_refused_without_repeating_a_password() {
    let bench = Bench::new();
    let variables = [
        ("AWS_ENDPOINT_URL", "http://somebody:hush@127.0.0.1:9"),
        ("AWS_REGION", REGION),
    ];
    let ran = run(
        &bench.sandbox,
        &variables,
        &["releases", "--store", "s3://releases"],
    );
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("AWS_ENDPOINT_URL"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hush"), "{}", ran.stderr);
}

#[test]
fn a_configured_endpoint_can_be_ignored() {
    let bench = Bench::new();
    let endpoint = bench.server.endpoint();
    let ignoring = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
    ];
    // Without it there is AWS, which needs a region.
    let ran = run(
        &bench.sandbox,
        &ignoring,
        &["releases", "--store", "s3://releases"],
    );
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("no region is known"), "{}", ran.stderr);
}

/// A server that gives what the places of roles give, by path.
fn place(answers: Vec<(&'static str, String)>) -> Upstream {
    Upstream::start(move |seen| {
        let found = answers.iter().find(|(path, _)| *path == seen.target);
        match found {
            Some((_, body)) => ok(
                "x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n",
                body.as_bytes(),
            ),
            None => vec![Step::Send(message("404 Not Found", "", b""))],
        }
    })
}

/// What a role is given.
fn role_credentials() -> String {
    format!(
        "{{\"Code\": \"Success\", \"AccessKeyId\": \"{KEY_ID}\", \"SecretAccessKey\": \"{SECRET}\", \"Token\": \
         \"{TOKEN}\", \"Expiration\": \"2999-01-01T00:00:00Z\", \"LastUpdated\": \"2026-01-01T00:00:00Z\", \"Type\": \
         \"AWS-HMAC\"}}"
    )
}

#[test]
fn credentials_come_from_the_role_of_a_container() {
    let bench = Bench::new();
    let role = place(vec![("/role", role_credentials())]);
    let endpoint = bench.server.endpoint();
    let address = format!("http://{}/role", role.address);
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &address),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", TOKEN),
        ("HEADWATER_LOG", "trace"),
    ];
    let ran = run(
        &bench.sandbox,
        &variables,
        &["init", "--store", "s3://releases"],
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let asked = role.seen();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].field("authorization").as_deref(), Some(TOKEN));
    assert_no_secret(&ran);
}

#[test]
fn credentials_and_region_come_from_the_instance() {
    let bench = Bench::new();
    let role = place(vec![
        ("/latest/api/token", TOKEN.to_owned()),
        (
            "/latest/meta-data/iam/security-credentials/",
            "origin".to_owned(),
        ),
        (
            "/latest/meta-data/iam/security-credentials/origin",
            role_credentials(),
        ),
        ("/latest/meta-data/placement/region", "no region".to_owned()),
    ]);
    let asks_for_region = || {
        let seen = role.seen();
        seen.iter().any(|seen| seen.target.ends_with("/region"))
    };
    let endpoint = bench.server.endpoint();
    let address = format!("http://{}", role.address);
    let instance = [
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", address.as_str()),
        ("HEADWATER_LOG", "trace"),
    ];
    let elsewhere = [&instance[..], &[("AWS_ENDPOINT_URL", endpoint.as_str())]].concat();
    let ran = run(
        &bench.sandbox,
        &elsewhere,
        &["init", "--store", "s3://releases"],
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_no_secret(&ran);
    assert!(!asks_for_region(), "another server needs no region");
    // AWS itself does; this one can be no part of a host name, so that nobody outside is asked.
    let ran = run(
        &bench.sandbox,
        &instance,
        &["init", "--store", "s3://releases"],
    );
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("the region"), "{}", ran.stderr);
    assert!(asks_for_region());
    assert_no_secret(&ran);
}

#[test]
fn no_output_shows_a_credential_however_much_is_logged() {
    let bench = Bench::new();
    bench.sandbox.write("tool", "a tool");
    let variables = [("HEADWATER_LOG", "trace"), ("AWS_SESSION_TOKEN", TOKEN)];
    for arguments in [
        &["init"][..],
        &["publish", "agent", "1.0", "tool", "--channel", "stable"],
        &["releases"],
        &["verify"],
        &["prune", "--keep", "1"],
        &["config", "show"],
    ] {
        let ran = bench.run_with(&variables, arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        assert_no_secret(&ran);
    }
}

#[track_caller]
fn assert_no_secret(ran: &Ran) {
    for (name, text) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
        for hidden in [KEY_ID, SECRET, TOKEN, "another+secret"] {
            let shown = text.lines().find(|line| line.contains(hidden));
            assert_eq!(shown, None, "{name} shows a credential");
        }
    }
}
