//! The servers that the S3 tests stand on: that they refuse what S3 refuses, and that the proxy breaks what it says
//! and keeps out what a policy does.
//!
//! Raw requests only. A server that took a conditional write without looking would make every test of two publishers
//! pass for the wrong reason; it fails here.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::aws::{self, Client, text_of};
use crate::harness::fault::{Fault, FaultProxy, every, next};
use crate::harness::fixture::bytes;
use crate::harness::moto::Moto;
use crate::harness::policy::{Policy, Wish, gate};
use crate::harness::s3::S3Server;
use crate::harness::wire::{Broken, Conn, Response};

/// One bucket of one server.
struct Bucket<'a> {
    client: Client,
    name: &'a str,
}

impl Bucket<'_> {
    #[track_caller]
    fn send(&self, method: &str, key: &str, fields: &[(&str, &str)], body: &[u8]) -> Response {
        let target = format!("/{}/{key}", self.name);
        self.client.send(method, &target, fields, body)
    }

    #[track_caller]
    fn put(&self, key: &str, fields: &[(&str, &str)], body: &str) -> Response {
        self.send("PUT", key, fields, body.as_bytes())
    }

    #[track_caller]
    fn assert_is(&self, key: &str, body: &str) {
        let response = self.send("GET", key, &[], b"");
        assert_eq!(
            (response.status, &*response.body),
            (200, body.as_bytes()),
            "{response:?}"
        );
    }

    /// Uploads `body` in one part and completes it under these conditions.
    #[track_caller]
    fn multipart(&self, key: &str, fields: &[(&str, &str)], body: &str) -> Response {
        let begun = self.send("POST", &format!("{key}?uploads="), &[], b"");
        let upload = text_of(&begun, "UploadId").expect("an upload has an id");
        let part = format!("{key}?partNumber=1&uploadId={upload}");
        let part = self.send("PUT", &part, &[], body.as_bytes());
        assert_eq!(part.status, 200, "{part:?}");
        let xml = format!(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Part>\
             <PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
            part.need("etag")
        );
        let whole = format!("{key}?uploadId={upload}");
        self.send("POST", &whole, fields, xml.as_bytes())
    }
}

/// Both servers, each with an empty bucket.
fn each_server(check: impl Fn(&Bucket)) {
    let server = S3Server::start();
    check(&Bucket {
        client: server.client(),
        name: server.bucket(),
    });
    let moto = Moto::shared();
    check(&Bucket {
        client: moto.s3(),
        name: &moto.new_bucket(),
    });
}

#[test]
fn both_servers_refuse_to_create_what_is_there() {
    each_server(|bucket| {
        let new = &[("if-none-match", "*")];
        assert_eq!(bucket.put("a/b", new, "first").status, 200);
        assert_eq!(bucket.put("a/b", new, "second").status, 412);
        bucket.assert_is("a/b", "first");
        assert_eq!(bucket.multipart("a/b", new, "second").status, 412);
        bucket.assert_is("a/b", "first");
        assert_eq!(bucket.multipart("a/c", new, "parts").status, 200);
        assert_eq!(bucket.multipart("a/c", new, "others").status, 412);
        assert_eq!(bucket.put("a/c", new, "second").status, 412);
        bucket.assert_is("a/c", "parts");
    });
}

#[test]
fn both_servers_replace_only_what_was_named() {
    each_server(|bucket| {
        let first = bucket.put("a", &[], "first");
        let tag = first.need("etag");
        let second = bucket.put("a", &[("if-match", tag)], "second");
        assert_eq!(second.status, 200, "{second:?}");
        assert_eq!(bucket.put("a", &[("if-match", tag)], "third").status, 412);
        bucket.assert_is("a", "second");
        let absent = bucket.put("absent", &[("if-match", tag)], "x").status;
        assert!(matches!(absent, 404 | 412), "{absent}");
        assert_eq!(bucket.send("GET", "absent", &[], b"").status, 404);
    });
}

#[test]
fn both_servers_read_only_what_was_named() {
    each_server(|bucket| {
        let first = bucket.put("a", &[], "first");
        let named = [("if-match", first.need("etag")), ("range", "bytes=1-2")];
        let part = bucket.send("GET", "a", &named, b"");
        assert_eq!((part.status, &*part.body), (206, &b"ir"[..]), "{part:?}");
        assert_eq!(bucket.put("a", &[], "second").status, 200);
        assert_eq!(bucket.send("GET", "a", &named, b"").status, 412);
        assert_eq!(bucket.send("DELETE", "a", &named[..1], b"").status, 412);
        bucket.assert_is("a", "second");
    });
}

#[test]
fn the_server_in_process_refuses_strangers_and_those_who_came_too_late() {
    let server = S3Server::start();
    let list = format!("/{}?list-type=2", server.bucket());
    let code = |client: Client| {
        let response = client.send("GET", &list, &[], "");
        (response.status, text_of(&response, "Code"))
    };
    let refused = |status, code: &str| (status, Some(code.to_owned()));
    assert_eq!(code(server.client()), (200, None));
    assert_eq!(
        code(server.client().secret("another")),
        refused(403, "SignatureDoesNotMatch")
    );
    server.expire_credentials();
    assert_eq!(code(server.client()), refused(400, "ExpiredToken"));
    server.forget_credentials();
    assert_eq!(code(server.client()), refused(403, "InvalidAccessKeyId"));
    server.renew_credentials();
    assert_eq!(code(server.client()), (200, None));
    let unsigned = Conn::open(server.address()).get(&list, "");
    assert_eq!(unsigned.status, 403);
}

#[test]
fn the_server_in_process_records_what_it_was_asked() {
    let server = S3Server::start();
    let bucket = Bucket {
        client: server.client(),
        name: server.bucket(),
    };
    bucket.put("a%20b/c", &[("if-none-match", "*")], "12345");
    bucket.multipart("parts", &[], "part");
    bucket.send("GET", "none", &[("range", "bytes=0-0")], b"");
    let operations: Vec<_> = server.asked().iter().map(|asked| asked.operation).collect();
    let parts = [
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
    ];
    assert_eq!(
        operations,
        [&["PutObject"], &parts[..], &["GetObject"]].concat()
    );
    let put = &server.asked()[0];
    assert_eq!((&*put.key, put.body_bytes), ("a b/c", 5));
    assert_eq!(put.if_none_match.as_deref(), Some("*"));
    assert_eq!(put.status, Some(200));
    let get = &server.asked()[4];
    assert_eq!(
        (get.range.as_deref(), get.status),
        (Some("bytes=0-0"), Some(404))
    );
    assert_eq!(server.keys(), ["a b/c", "parts"]);
    server.forget();
    assert_eq!((server.count("PutObject"), server.asked().len()), (0, 0));
}

#[test]
fn the_server_in_process_knows_its_unfinished_uploads() {
    let server = S3Server::start();
    let bucket = Bucket {
        client: server.client(),
        name: server.bucket(),
    };
    let sha256 = [("x-amz-checksum-algorithm", "SHA256")];
    let begun = bucket.send("POST", "big?uploads=", &sha256, b"");
    let upload = text_of(&begun, "UploadId").unwrap();
    let part = format!("big?partNumber=1&uploadId={upload}");
    assert_eq!(bucket.put(&part, &[], "bytes").status, 400, "no checksum");
    let wrong = [(
        "x-amz-checksum-sha256",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    )];
    assert_eq!(
        bucket.put(&part, &wrong, "bytes").status,
        400,
        "another checksum"
    );
    let right = "J3CJ2RwL308uaGK6fkoHYFEZQx9dE/cm3TUrBvGyBqk=";
    let sent = bucket.put(&part, &[("x-amz-checksum-sha256", right)], "bytes");
    assert_eq!(sent.status, 200, "{sent:?}");
    assert_eq!(server.uploads(), ["big"]);
    let listed = bucket.send("GET", &format!("big?uploadId={upload}"), &[], b"");
    assert_eq!(text_of(&listed, "ChecksumSHA256").as_deref(), Some(right));
    assert_eq!(text_of(&listed, "ETag").as_deref(), sent.field("etag"));
    server.age_uploads(Duration::from_secs(86_400));
    let uploads = bucket.send("GET", "?uploads=&prefix=b", &[], b"");
    assert_eq!(text_of(&uploads, "UploadId"), Some(upload.clone()));
    assert_eq!(server.keys(), [""; 0]);
    let target = format!("big?uploadId={upload}");
    assert_eq!(bucket.send("DELETE", &target, &[], b"").status, 204);
    assert_eq!(bucket.send("DELETE", &target, &[], b"").status, 404);
    assert_eq!(server.uploads(), [""; 0]);
}

#[test]
fn moto_has_distributions() {
    let moto = Moto::shared();
    let ids = [moto.new_distribution(), moto.new_distribution()];
    assert_ne!(ids[0], ids[1]);
    let target = format!("/2020-05-31/distribution/{}", ids[0]);
    let found = moto.cloudfront().send("GET", &target, &[], "");
    assert_eq!(text_of(&found, "Id").as_deref(), Some(&*ids[0]));
}

/// A server with one large object, and a proxy before it.
fn broken_way() -> (S3Server, FaultProxy, Vec<u8>) {
    let server = S3Server::start();
    let body = bytes(1, 1 << 20);
    let target = format!("/{}/big", server.bucket());
    server.client().send("PUT", &target, &[], &body);
    let proxy = FaultProxy::before(server.address());
    (server, proxy, body)
}

fn get_through(proxy: &FaultProxy) -> Response {
    Client::new("s3", proxy.address()).send("GET", "/releases/big", &[], "")
}

#[test]
fn the_proxy_passes_everything_on_unless_told_otherwise() {
    let (server, proxy, body) = broken_way();
    assert!(get_through(&proxy).body == body);
    let bucket = Bucket {
        client: Client::new("s3", proxy.address()),
        name: server.bucket(),
    };
    assert_eq!(bucket.multipart("parts", &[], "bytes").status, 200);
    bucket.assert_is("parts", "bytes");
    let moto = Moto::shared();
    let through = FaultProxy::before(moto.address());
    let bucket = Bucket {
        client: Client::new("s3", through.address()),
        name: &moto.new_bucket(),
    };
    assert_eq!(bucket.multipart("parts", &[], "bytes").status, 200);
    bucket.assert_is("parts", "bytes");
    assert_eq!((proxy.faults(), through.faults()), (0, 0));
    let seen = &proxy.passed()[0];
    assert_eq!(
        (seen.operation, &*seen.key, seen.status),
        ("GetObject", "big", Some(200))
    );
}

#[test]
fn the_proxy_answers_errors_as_s3_does_as_often_as_told() {
    let (server, proxy, body) = broken_way();
    server.forget();
    proxy.inject(
        next(1, Fault::Error(503, "SlowDown"))
            .operation("GetObject")
            .after(1),
    );
    proxy.inject(every(Fault::Error(404, "NoSuchBucket")).key("other"));
    let statuses = [(); 3].map(|()| get_through(&proxy).status);
    assert_eq!(statuses, [200, 503, 200]);
    assert_eq!(server.count("GetObject"), 2);
    assert_eq!((proxy.count("GetObject"), proxy.faults()), (3, 1));
    proxy.heal();
    proxy.inject(every(Fault::Error(400, "ExpiredToken")));
    let refused = get_through(&proxy);
    assert_eq!(text_of(&refused, "Code").as_deref(), Some("ExpiredToken"));
    proxy.heal();
    assert!(get_through(&proxy).body == body);
}

#[test]
fn the_proxy_breaks_bodies() {
    let (_server, proxy, mut body) = broken_way();
    proxy.inject(next(1, Fault::Flip(700_000)));
    body[700_000] ^= 1;
    assert!(get_through(&proxy).body == body);
    body[700_000] ^= 1;
    for (fault, kept) in [(Fault::Cut(500_000), 500_000), (Fault::Cut(0), 0)] {
        proxy.inject(next(1, fault));
        let mut conn = signed_get(&proxy);
        match conn.try_response("GET") {
            Err(Broken::Cut { body: part, .. }) => assert!(part == body[..kept]),
            other => panic!("{fault:?}: {other:?}"),
        }
    }
    for fault in [Fault::Reset, Fault::Lost] {
        proxy.inject(next(1, fault));
        let outcome = signed_get(&proxy).try_response("GET");
        let is_reset = matches!(outcome, Err(Broken::Closed { by_reset: true }));
        assert!(is_reset, "{fault:?}: {outcome:?}");
    }
    let statuses: Vec<_> = proxy.passed().iter().map(|one| one.status).collect();
    let ok = Some(200);
    assert_eq!(
        statuses,
        [ok, ok, ok, None, ok],
        "only Reset hides it from S3"
    );
}

/// A request on a connection that may break.
fn signed_get(proxy: &FaultProxy) -> Conn {
    Client::new("s3", proxy.address()).begin("GET", "/releases/big", &[], "")
}

#[test]
fn the_proxy_delays_slows_and_hangs() {
    let (_server, proxy, body) = broken_way();
    let pause = Duration::from_millis(20);
    for (fault, least) in [
        (Fault::Delay(pause), pause),
        (Fault::Slow(pause), 16 * pause),
    ] {
        proxy.inject(next(1, fault));
        let start = Instant::now();
        assert!(get_through(&proxy).body == body);
        assert!(start.elapsed() >= least, "{fault:?}");
    }
    proxy.inject(next(1, Fault::Hang));
    let mut conn = signed_get(&proxy);
    proxy.await_faults(3);
    assert!(!conn.is_closed_within(pause));
    assert!(
        get_through(&proxy).body == body,
        "only the one request hangs"
    );
}

#[test]
fn the_proxy_refuses_connections_and_comes_back_on_the_same_port() {
    let (_server, proxy, body) = broken_way();
    let mut idle = TcpStream::connect(proxy.address()).unwrap();
    assert!(get_through(&proxy).body == body);
    proxy.refuse();
    let refused = TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(!matches!(idle.read(&mut [0]), Ok(1)), "its connections end");
    proxy.heal();
    assert!(get_through(&proxy).body == body);
}

#[test]
fn the_environment_of_a_command_names_the_endpoint_and_no_file_of_this_machine() {
    let environment = aws::environment("http://127.0.0.1:1");
    let value = |name: &str| {
        environment
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| &**v)
    };
    assert_eq!(value("AWS_ENDPOINT_URL"), Some("http://127.0.0.1:1"));
    for name in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        assert_eq!(value(name), Some("/dev/null"));
    }
}

/// A policy of these statements.
fn policy(statements: &serde_json::Value) -> Policy {
    Policy::parse(&json!({ "Version": "2012-10-17", "Statement": statements }))
}

#[test]
fn a_policy_allows_what_a_statement_names_and_none_refuses() {
    let policy = policy(&json!([
        { "Effect": "Allow", "Action": ["s3:GetObject", "s3:Put*"], "Resource": "arn:aws:s3:::b/a?c/*" },
        { "Effect": "Deny", "Action": "s3:*", "Resource": "*/secret/*" },
    ]));
    let allows =
        |action, key: &str| policy.allows(&Wish::new(action, &format!("arn:aws:s3:::{key}")));
    assert!(allows("s3:GetObject", "b/abc/x"));
    assert!(
        allows("s3:getobject", "b/abc/x/y"),
        "actions have no case, a star has slashes"
    );
    assert!(allows("s3:PutObject", "b/a-c/"));
    assert!(!allows("s3:DeleteObject", "b/abc/x"));
    assert!(
        !allows("s3:GetObject", "b/ac/x"),
        "a question mark is one character"
    );
    assert!(!allows("s3:GetObject", "b/ABC/x"), "names have case");
    assert!(
        !allows("s3:GetObject", "xb/abc/x"),
        "a pattern is about the whole name"
    );
    assert!(!allows("s3:GetObject", "b/abc/secret/x"), "a refusal wins");
}

#[test]
fn a_condition_about_what_is_not_known_does_not_hold() {
    let list = |operator: &str, value: &str| {
        let condition = json!({ operator: { "s3:prefix": value } });
        policy(&json!([
            { "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*", "Condition": condition },
        ]))
    };
    let wish = Wish::new("s3:ListBucket", "arn:aws:s3:::b");
    for (operator, value, prefix, is_allowed) in [
        ("StringLike", "a/*", Some("a/b/"), true),
        ("StringLike", "a/*", Some("a-b/"), false),
        ("StringLike", "a/*", None, false),
        ("StringEquals", "a/*", Some("a/b/"), false),
        ("StringEquals", "a/", Some("a/"), true),
        ("StringNotEquals", "a/", Some("a/"), false),
        ("StringNotEquals", "a/", None, true),
        ("Null", "true", None, true),
        ("Null", "true", Some("a/"), false),
        ("NumericLessThan", "1.2", Some("1.1"), true),
        ("NumericLessThan", "1.2", Some("1.2"), false),
    ] {
        let mut wish = wish.clone();
        if let Some(prefix) = prefix {
            wish = wish.with("s3:prefix", prefix);
        }
        let found = list(operator, value).allows(&wish);
        assert_eq!(found, is_allowed, "{operator} {value} of {prefix:?}");
    }
}

#[test]
fn a_policy_that_the_tests_could_misread_is_not_judged() {
    let wish = Wish::new("s3:GetObject", "arn:aws:s3:::b/x").with("s3:prefix", "x");
    for statement in [
        json!({ "Effect": "Allow", "NotAction": "s3:DeleteObject", "Resource": "*" }),
        json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/${aws:username}" }),
        json!({ "Effect": "allow", "Action": "s3:GetObject", "Resource": "*" }),
        json!({
            "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*",
            "Condition": { "StringLikeIfExists": { "s3:prefix": "x" } },
        }),
    ] {
        let policy = policy(&json!([statement]));
        let judged = std::panic::catch_unwind(|| policy.allows(&wish));
        assert!(judged.is_err(), "{statement}");
    }
}

#[test]
fn what_a_policy_does_not_allow_reaches_no_server() {
    let server = S3Server::start();
    let proxy = FaultProxy::before(server.address());
    let own = json!({ "Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::releases/own/*" });
    proxy.inject(gate(&policy(&json!([own]))));
    let client = Client::new("s3", proxy.address());
    assert_eq!(client.send("PUT", "/releases/own/x", &[], "x").status, 200);
    assert_eq!(
        client.send("PUT", "/releases/others/x", &[], "x").status,
        403
    );
    assert_eq!(client.send("GET", "/releases/own/x", &[], "").status, 403);
    assert_eq!(server.keys(), ["own/x"]);
    assert_eq!(server.asked().len(), 1);
}
