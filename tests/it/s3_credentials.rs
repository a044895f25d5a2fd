//! Where a command finds credentials, region and endpoint of S3, and that no credential is ever printed.
//!
//! Each of the usual places is played by a file or a server on loopback; the machine's own are never asked. What the
//! commands do with the bucket then is the test of `s3_cli`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use crate::cli_sandbox::Ran;
use crate::harness::aws::{KEY_ID, REGION, SECRET};
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

/// Answers `GET` and `PUT` by path, as the places of roles do, until it is dropped; keeps what was asked.
struct Place {
    endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Place {
    fn new(answers: Vec<(&'static str, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        // Ends with the process: it waits for a connection that never comes.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut head = String::new();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                while !head.ends_with("\r\n\r\n") && lines.read_line(&mut head).unwrap_or(0) > 0 {}
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                noted.lock().unwrap().push(head);
                let body = answers.iter().find(|(name, _)| *name == path);
                let (status, body) =
                    body.map_or(("404 Not Found", ""), |(_, body)| ("200 OK", body));
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\ncontent-length: {}\r\n\
                     connection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { endpoint, asked }
    }

    fn asked(&self) -> String {
        self.asked.lock().unwrap().concat()
    }
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
    let place = Place::new(vec![("/role", role_credentials())]);
    let (endpoint, role) = (bench.server.endpoint(), format!("{}/role", place.endpoint));
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &role),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", TOKEN),
        ("HEADWATER_LOG", "trace"),
    ];
    let ran = run(
        &bench.sandbox,
        &variables,
        &["init", "--store", "s3://releases"],
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(place.asked().contains(TOKEN), "{}", place.asked());
    assert_no_secret(&ran);
}

#[test]
fn credentials_and_region_come_from_the_instance() {
    let bench = Bench::new();
    let place = Place::new(vec![
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
    let endpoint = bench.server.endpoint();
    let instance = [
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", place.endpoint.as_str()),
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
    assert!(
        !place.asked().contains("region"),
        "another server needs no region: {}",
        place.asked()
    );
    // AWS itself does; this one can be no part of a host name, so that nobody outside is asked.
    let ran = run(
        &bench.sandbox,
        &instance,
        &["init", "--store", "s3://releases"],
    );
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("the region"), "{}", ran.stderr);
    assert!(
        place.asked().contains("placement/region"),
        "{}",
        place.asked()
    );
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
