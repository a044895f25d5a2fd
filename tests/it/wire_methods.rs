//! R7 to R11: methods, and the metadata of every kind of answer.
//!
//! The strict reader already refuses, on every answer of every test: a missing or vague Content-Length, a missing Date,
//! Transfer-Encoding, Content-Encoding, Set-Cookie, Vary, and doubled fields.

use std::time::SystemTime;

use crate::harness::fixture::{self, ARTIFACTS, BASE, CHANNEL};
use crate::harness::origin::{Origin, Setup};
use crate::harness::table::each_row;
use crate::harness::wire::{Conn, Head, Response, check_date};

const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const POINTER: &str = "public, max-age=30, stale-while-revalidate=30, stale-if-error=86400";

/// Every kind of path and what GET answers to it.
const PATHS: [(&str, u16); 12] = [
    ("/artifacts/agent/1.0.0/tiny", 200),
    ("/artifacts/agent/1.0.0/empty", 200),
    ("/artifacts/agent/1.0.0/piece-plus-one", 200),
    ("/artifacts/agent/1.0.0/release.json", 200),
    ("/channels/agent/stable.json", 200),
    ("/channels/agent/stable/tiny", 302),
    ("/healthz", 200),
    ("/", 404),
    ("/artifacts/agent/1.0.0/missing", 404),
    ("/artifacts/agent/9.9.9/release.json", 404),
    ("/channels/agent/missing.json", 404),
    ("/channels/agent/stable/missing", 404),
];

/// RFC 9457: a fixed sentence for the client, never a path or an inner error.
#[track_caller]
fn assert_is_problem(response: &Response, target: &str) {
    assert_eq!(response.need("content-type"), "application/problem+json");
    let document: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
    assert_eq!(document["status"], response.status, "{document}");
    assert!(document["title"].is_string(), "{document}");
    let text = document.to_string();
    assert!(text.len() < 500, "{text}");
    for leak in [target, "/tmp", "os error", "No such file"] {
        assert!(
            leak.len() < 2 || !text.contains(leak),
            "{text} tells of {leak}"
        );
    }
}

/// The head without what may differ from second to second.
fn comparable(head: &Head) -> Vec<(String, String)> {
    let is_steady = |(name, _): &&(String, String)| !name.eq_ignore_ascii_case("date");
    let mut fields: Vec<_> = head.fields.iter().filter(is_steady).cloned().collect();
    fields.sort();
    fields
}

#[test]
fn head_answers_exactly_the_fields_of_get_for_every_kind_of_path() {
    let origin = Origin::shared();
    let conditions = [
        "",
        "If-None-Match: *\r\n",
        "If-Match: \"other\"\r\n",
        "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n",
        "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\n",
    ];
    for (path, status) in PATHS {
        for fields in conditions {
            let get = origin.get(path, fields);
            let head = origin.request("HEAD", path, fields);
            assert_eq!(head.status, get.status, "{path} {fields}");
            assert_eq!(comparable(&head), comparable(&get), "{path} {fields}");
            assert!(
                !fields.is_empty() || get.status == status,
                "{path}: {get:?}"
            );
        }
    }
}

#[test]
fn head_ignores_range() {
    let origin = Origin::shared();
    for range in ["bytes=0-1", "bytes=99-", "bytes=0-1,3-4"] {
        let fields = format!("Range: {range}\r\n");
        let head = origin.request("HEAD", &fixture::url("tiny"), &fields);
        // RFC 9110 §14.2: Range is defined for GET.
        assert_eq!(head.status, 200, "{range}");
        assert_eq!(head.need("content-length"), "5");
        assert_eq!(head.field("content-range"), None);
    }
}

#[test]
fn every_other_method_is_refused_with_allow() {
    let origin = Origin::shared();
    let known = ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"];
    let unknown = ["PROPFIND", "PURGE", "get", "Get", "GETX", "M-SEARCH"];
    for (path, _) in PATHS {
        for method in known.into_iter().chain(unknown) {
            let response = origin.request(method, path, "");
            let is_501 = response.status == 501 && unknown.contains(&method);
            assert!(
                response.status == 405 || is_501,
                "{method} {path}: {response:?}"
            );
            if response.status == 405 {
                assert_eq!(response.need("allow"), "GET, HEAD", "{method} {path}");
            }
            assert_is_problem(&response, path);
            let lifetime = response.field("cache-control").unwrap_or("no-store");
            assert!(
                !lifetime.contains("immutable"),
                "{method} {path}: {lifetime}"
            );
        }
    }
}

#[test]
fn trace_never_echoes_and_connect_never_tunnels() {
    let origin = Origin::shared();
    let fields = "X-Secret: abracadabra\r\nMax-Forwards: 0\r\n";
    let response = origin.request("TRACE", &fixture::url("tiny"), fields);
    assert_eq!(response.status, 405);
    assert!(!String::from_utf8_lossy(&response.body).contains("abracadabra"));
    let mut conn = origin.connect();
    let authority = origin.admin;
    conn.send(format!(
        "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"
    ));
    let response = conn.response("CONNECT");
    assert!(matches!(response.status, 400 | 405 | 501), "{response:?}");
    let mut conn = origin.connect();
    conn.send("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
    let response = conn.response("OPTIONS");
    assert!(matches!(response.status, 400 | 405), "{response:?}");
}

#[test]
fn every_artifact_carries_the_metadata_of_its_bytes() {
    let origin = Origin::shared();
    let published = origin.get(&fixture::url("release.json"), "");
    for artifact in ARTIFACTS.iter() {
        let response = origin.get(&fixture::url(artifact.name), "");
        assert_eq!(response.status, 200, "{}", artifact.name);
        assert!(response.body == artifact.body, "{}", artifact.name);
        let expected = [
            ("content-length", artifact.body.len().to_string()),
            ("accept-ranges", "bytes".into()),
            ("etag", fixture::etag(&artifact.body)),
            ("cache-control", IMMUTABLE.into()),
            ("repr-digest", fixture::repr_digest(&artifact.body)),
            ("x-content-type-options", "nosniff".into()),
            ("last-modified", published.need("last-modified").into()),
        ];
        for (name, value) in expected {
            assert_eq!(response.need(name), value, "{name} of {}", artifact.name);
        }
        let tags = response.need("cache-tag");
        assert!(tags.contains("product:agent"), "{tags}");
        assert!(tags.contains("release:agent/1.0.0"), "{tags}");
        assert!(response.need("content-type").contains('/'));
    }
    let html = origin.get(&fixture::url("index.html"), "");
    assert!(
        html.need("content-type").starts_with("text/html"),
        "{html:?}"
    );
}

#[test]
fn the_release_document_is_as_immutable_as_its_artifacts() {
    let origin = Origin::shared();
    let response = origin.get(&fixture::url("release.json"), "");
    assert_eq!(response.status, 200);
    assert_eq!(response.need("cache-control"), IMMUTABLE);
    assert!(
        response
            .need("content-type")
            .starts_with("application/json")
    );
    assert_eq!(response.need("etag"), fixture::etag(&response.body));
    let document: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(document["schema"], 1);
    assert_eq!(
        document["artifacts"].as_array().unwrap().len(),
        ARTIFACTS.len()
    );
    // DESIGN: Last-Modified is `published_at`, the same on every instance.
    let published: jiff::Timestamp = document["published_at"].as_str().unwrap().parse().unwrap();
    let modified = httpdate::parse_http_date(response.need("last-modified")).unwrap();
    let seconds = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(
        i64::try_from(seconds.as_secs()).unwrap(),
        published.as_second()
    );
}

#[test]
fn the_channel_document_names_its_release_and_is_short_lived() {
    let origin = Origin::shared();
    let response = origin.get(CHANNEL, "");
    assert_eq!(response.status, 200);
    assert_eq!(response.need("cache-control"), POINTER);
    assert!(
        response
            .need("content-type")
            .starts_with("application/json")
    );
    assert!(response.need("etag").starts_with('"'));
    let document: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(document["release"]["version"], "1.0.0");
    let url = document["release"]["url"].as_str().unwrap();
    let release = origin.get(url, "");
    let sha256 = document["release"]["sha256"].as_str().unwrap();
    assert_eq!(fixture::etag(&release.body), format!("\"{sha256}\""));
    let again = origin.get(
        CHANNEL,
        &format!("If-None-Match: {}\r\n", response.need("etag")),
    );
    assert_eq!(again.status, 304);
    assert_eq!(again.need("cache-control"), POINTER);
}

#[test]
fn a_channel_redirects_to_the_artifact_of_its_release() {
    let origin = Origin::shared();
    for artifact in ARTIFACTS.iter() {
        let target = format!("/channels/agent/stable/{}", fixture::escape(artifact.name));
        let response = origin.get(&target, "");
        assert_eq!(response.status, 302, "{target}");
        assert_eq!(response.need("location"), fixture::url(artifact.name));
        assert_eq!(response.need("cache-control"), POINTER);
    }
}

#[test]
fn lifetimes_belong_to_the_status() {
    let origin = Origin::shared();
    let page = fixture::url("page");
    let old = "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\n";
    let rows = [
        ("200", "GET", page.clone(), "", 200, IMMUTABLE),
        ("HEAD", "HEAD", page.clone(), "", 200, IMMUTABLE),
        (
            "206",
            "GET",
            page.clone(),
            "Range: bytes=0-9\r\n",
            206,
            IMMUTABLE,
        ),
        (
            "206 of two ranges",
            "GET",
            page.clone(),
            "Range: bytes=0-9,20-29\r\n",
            206,
            IMMUTABLE,
        ),
        (
            "304",
            "GET",
            page.clone(),
            "If-None-Match: *\r\n",
            304,
            IMMUTABLE,
        ),
        (
            "404",
            "GET",
            format!("{BASE}missing"),
            "",
            404,
            "public, max-age=1",
        ),
        (
            "404 elsewhere",
            "GET",
            "/favicon.ico".into(),
            "",
            404,
            "public, max-age=1",
        ),
        ("health", "GET", "/healthz".into(), "", 200, "no-store"),
    ];
    each_row(
        &rows,
        |row| row.0.into(),
        |(_, method, target, fields, status, lifetime)| {
            let response = origin.request(method, target, fields);
            assert_eq!(response.status, *status);
            assert_eq!(response.need("cache-control"), *lifetime);
        },
    );
    for (method, fields, status) in [
        ("GET", "If-Match: \"x\"\r\n", 412),
        ("GET", old, 412),
        ("GET", "Range: bytes=9999-\r\n", 416),
        ("POST", "", 405),
    ] {
        let response = origin.request(method, &page, fields);
        assert_eq!(response.status, status, "{fields}");
        let lifetime = response.field("cache-control").unwrap_or("");
        assert!(!lifetime.contains("immutable"), "{status}: {lifetime}");
        let age = lifetime
            .split_once("max-age=")
            .map_or("0", |(_, rest)| rest);
        let age: u64 = age.split(',').next().unwrap().trim().parse().unwrap();
        assert!(age <= 60, "{status}: {lifetime}");
    }
}

#[test]
fn errors_are_problem_documents_with_a_fixed_sentence() {
    let origin = Origin::shared();
    let page = fixture::url("page");
    for (method, target, fields, status) in [
        ("GET", "/nowhere/secret-name", "", 404),
        ("GET", &*format!("{BASE}secret-name"), "", 404),
        ("GET", &*page, "If-Match: \"secret-name\"\r\n", 412),
        ("GET", &*page, "Range: bytes=9999-\r\n", 416),
        ("POST", &*page, "", 405),
        ("GET", &*page, "Content-Length: secret-name\r\n", 400),
    ] {
        let response = origin.request(method, target, fields);
        assert_eq!(response.status, status, "{target} {fields}");
        assert_is_problem(&response, target);
        assert!(!String::from_utf8_lossy(&response.body).contains("secret-name"));
        assert_eq!(response.need("x-content-type-options"), "nosniff");
    }
}

#[test]
fn the_server_field_tells_no_version_and_dates_are_true() {
    let origin = Origin::shared();
    for (path, _) in PATHS {
        let response = origin.get(path, "");
        if let Some(server) = response.field("server") {
            assert!(!server.bytes().any(|b| b.is_ascii_digit()), "{server}");
        }
        assert_eq!(response.field("x-powered-by"), None);
        let date = httpdate::parse_http_date(response.need("date")).unwrap();
        let age = SystemTime::now().duration_since(date).unwrap_or_default();
        assert!(age.as_secs() <= 5, "{path}: a Date of {age:?} ago");
        if let Some(modified) = response.field("last-modified") {
            check_date(modified).unwrap();
            // RFC 9110 §8.8.2.1: never later than Date.
            assert!(
                httpdate::parse_http_date(modified).unwrap() <= date,
                "{path}"
            );
        }
    }
}

#[test]
fn a_query_changes_nothing() {
    let origin = Origin::shared();
    for query in [
        "?",
        "?x",
        "?a=b&c=d",
        "?/../..",
        "?%00",
        "?a?b",
        "?versionId=null",
        "?é",
    ] {
        let response = origin.get(&(fixture::url("tiny") + query), "");
        if query.is_ascii() {
            assert_eq!(
                (response.status, &*response.body),
                (200, &b"hello"[..]),
                "{query}"
            );
        } else {
            // RFC 3986: not a URI at all; both reading it leniently and refusing it are safe.
            assert!(matches!(response.status, 200 | 400), "{query}");
        }
    }
}

#[test]
fn artifacts_are_never_compressed_on_the_way() {
    let origin = Origin::shared();
    for name in ["index.html", "notes.json", "big"] {
        let fields = "Accept-Encoding: gzip, br, zstd, deflate\r\nTE: trailers, gzip\r\n";
        let response = origin.get(&fixture::url(name), fields);
        // The strict reader refuses Content-Encoding, Vary and Transfer-Encoding.
        assert!(response.body == fixture::body(name), "{name}");
        assert_eq!(response.need("etag"), fixture::etag(fixture::body(name)));
    }
    let refused = "Accept: image/png;q=1, */*;q=0\r\nAccept-Encoding: identity;q=0\r\n";
    assert_eq!(origin.get(&fixture::url("tiny"), refused).status, 200);
}

#[test]
fn two_instances_and_a_restart_answer_with_the_same_metadata() {
    let shared = Origin::shared();
    let other = Setup::new().threads(1).start();
    for target in [
        &*fixture::url("page"),
        &*fixture::url("release.json"),
        CHANNEL,
    ] {
        let (one, two) = (shared.get(target, ""), other.get(target, ""));
        assert_eq!(one.status, 200, "{target}");
        assert_eq!(comparable(&one), comparable(&two), "{target}");
        assert_eq!(one.body.len(), two.body.len(), "{target}");
    }
}

#[test]
fn with_origin_secrets_only_those_who_know_one_are_served() {
    let origin = Setup::new()
        .config(
            "[server]\n\
             origin_secrets = [\"first-secret-value-0001\", \"second-secret-value-0002\"]\n\
             origin_secret_header = \"X-Origin-Verify\"\n",
        )
        .start();
    let tiny = fixture::url("tiny");
    let rows = [
        ("none", "", 403),
        (
            "the first",
            "X-Origin-Verify: first-secret-value-0001\r\n",
            200,
        ),
        (
            "the second",
            "x-origin-verify: second-secret-value-0002\r\n",
            200,
        ),
        (
            "a wrong one",
            "X-Origin-Verify: first-secret-value-0002\r\n",
            403,
        ),
        (
            "a prefix",
            "X-Origin-Verify: first-secret-value-000\r\n",
            403,
        ),
        (
            "a longer one",
            "X-Origin-Verify: first-secret-value-00011\r\n",
            403,
        ),
        ("an empty one", "X-Origin-Verify:\r\n", 403),
        (
            "other capitals",
            "X-Origin-Verify: FIRST-SECRET-VALUE-0001\r\n",
            403,
        ),
        (
            "another header",
            "X-Other: first-secret-value-0001\r\n",
            403,
        ),
    ];
    each_row(
        &rows,
        |row| row.0.into(),
        |(_, fields, status)| {
            for method in ["GET", "HEAD"] {
                for target in [&*tiny, CHANNEL, "/channels/agent/stable/tiny"] {
                    let response = origin.request(method, target, fields);
                    let is_redirect = *status == 200 && target.ends_with("stable/tiny");
                    assert_eq!(
                        response.status,
                        if is_redirect { 302 } else { *status },
                        "{target}"
                    );
                }
            }
            // A missing artifact must not be told from one that is there.
            let missing = origin.get(&format!("{BASE}missing"), fields);
            assert_eq!(missing.status, if *status == 200 { 404 } else { 403 });
        },
    );
    let refused = origin.get(&tiny, "");
    assert_is_problem(&refused, &tiny);
    assert!(!refused.need("cache-control").contains("immutable"));
    assert_eq!(origin.get("/healthz", "").status, 200);
    assert_eq!(origin.admin_get("/readyz").status, 200);
    let log = origin.log().join("\n");
    assert!(!log.contains("secret-value"), "a secret in the log");
}

#[test]
fn the_cache_tag_header_is_named_by_the_configuration() {
    let origin = Setup::new()
        .config("[server]\ncache_tag_header = \"Edge-Cache-Tag\"\n")
        .start();
    let response = origin.get(&fixture::url("tiny"), "");
    assert!(response.need("edge-cache-tag").contains("product:agent"));
    assert_eq!(response.field("cache-tag"), None);
}

#[test]
fn the_lifetime_of_a_channel_is_configured() {
    let origin = Setup::new()
        .config(
            "[channels]\nmax_age = \"5s\"\n\
             stale_while_revalidate = \"6s\"\nstale_if_error = \"1h\"\n",
        )
        .start();
    let expected = "public, max-age=5, stale-while-revalidate=6, stale-if-error=3600";
    for target in [CHANNEL, "/channels/agent/stable/tiny"] {
        assert_eq!(
            origin.get(target, "").need("cache-control"),
            expected,
            "{target}"
        );
    }
}

#[test]
fn the_admin_listener_serves_health_and_nothing_of_the_store() {
    let origin = Origin::shared();
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/artifacts/agent/1.0.0/tiny", 404),
        ("/channels/agent/stable.json", 404),
        ("/", 404),
    ] {
        let response = origin.admin_get(path);
        assert_eq!(response.status, status, "{path}");
        if status == 200 {
            assert_eq!(response.need("cache-control"), "no-store", "{path}");
        }
    }
    for path in ["/readyz", "/metrics"] {
        assert_eq!(origin.get(path, "").status, 404, "{path} is not public");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        let mut conn = Conn::open(origin.admin);
        let response = conn.request("POST", path, "");
        assert_eq!(response.status, 405, "{path}");
        assert_eq!(response.need("allow"), "GET, HEAD", "{path}");
        let head = Conn::open(origin.admin).request("HEAD", path, "");
        assert_eq!(head.status, 200, "{path}");
    }
}
