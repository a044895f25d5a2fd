//! R17, R18: which URLs name something, and that no spelling leads out of the published releases.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::harness::fixture::{self, BASE};
use crate::harness::origin::{Origin, Setup, StoreDir};
use crate::harness::table::each_row;
use crate::harness::wire::{Conn, Response};

const SECRET: &str = "this is outside of every release";

/// A target as raw bytes, so that what no URL may hold can be sent as well.
fn get_raw(origin: &Origin, target: &[u8]) -> Response {
    let mut conn = Conn::open(origin.data);
    conn.send([b"GET ", target, b" HTTP/1.1\r\nHost: x\r\n\r\n"].concat());
    conn.response("GET")
}

/// A store with files where traversal would look for them.
fn store_with_bait() -> Arc<StoreDir> {
    let store = StoreDir::with_files(&[("tiny", b"hello"), ("a/b/c", b"deep")]);
    let root = store.path();
    for bait in [
        "secret",
        "artifacts/secret",
        "artifacts/agent/secret",
        "artifacts/agent/1.0.0/unlisted",
        "artifacts/agent/1.0.0/a/unlisted",
        "artifacts/agent/1.0.0/.hidden",
        "artifacts/agent/1.0.0/.tmpA1b2C3",
        "artifacts/agent/1.0.0/tiny.tmp",
        "artifacts/agent/1.0.0-evil/secret",
        "artifacts/agent-evil/1.0.0/secret",
        "channels/agent/secret",
        "channels/agent/.tmpA1b2C3",
        ".headwater/secret",
        ".headwater/tmp/secret",
    ] {
        let path = root.join(bait);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, SECRET).unwrap();
    }
    let beside = format!("{}-sibling", root.display());
    symlink(root.join("secret"), store.artifact("1.0.0", "link")).unwrap();
    symlink("/etc", store.artifact("1.0.0", "etc")).unwrap();
    symlink(beside, store.artifact("1.0.0", "dangling")).unwrap();
    symlink(root.join("artifacts/agent"), root.join("artifacts/linked")).unwrap();
    store
}

#[test]
fn no_spelling_of_a_path_leads_out_of_a_release() {
    let origin = Setup::new().store(&store_with_bait()).start();
    let ups = [
        "..",
        ".",
        "%2e%2e",
        "%2E%2E",
        ".%2e",
        "%2e.",
        "%252e%252e",
        "%c0%ae%c0%ae",
        "%e0%80%ae%e0%80%ae",
        "%uff0e%uff0e",
        "..;",
        "..%00",
        "..%5c..",
        "%5c..%5c",
        "..%2f",
        "..%252f",
        "....//",
        "%ef%bc%8e%ef%bc%8e",
    ];
    let mut targets: Vec<String> = Vec::new();
    for up in ups {
        for depth in 1..8 {
            let climb = format!("{up}/").repeat(depth);
            for goal in ["secret", "etc/passwd", "agent/secret", ".headwater/secret"] {
                targets.push(format!("{BASE}{climb}{goal}"));
            }
            targets.push(format!("/{climb}secret"));
            targets.push(format!("/artifacts/{climb}secret"));
            targets.push(format!("/channels/agent/{climb}secret"));
            targets.push(format!("http://x{BASE}{climb}secret"));
            targets.push(format!("/artifacts/agent/{climb}agent/1.0.0/tiny"));
        }
    }
    targets.extend(
        [
            "/artifacts/agent/1.0.0/..%2f..%2fsecret",
            "/artifacts/agent/1.0.0/%2e%2e%2f%2e%2e%2fsecret",
            "/artifacts/agent/1.0.0/..%5c..%5csecret",
            "/artifacts/agent/1.0.0\\..\\..\\secret",
            "/artifacts/agent/1.0.0-evil/secret",
            "/artifacts/agent-evil/1.0.0/secret",
            "/secret",
            "//secret",
            "/./secret",
            "/artifacts/secret",
            "/artifacts/agent/secret",
            "/.headwater/secret",
            "/.headwater/tmp/secret",
            "/channels/agent/secret",
            "//etc/passwd",
            "/etc/passwd",
            "///etc/passwd",
            "/%2fetc/passwd",
            "/%2Fetc%2Fpasswd",
            "file:///etc/passwd",
            "/artifacts/agent/1.0.0/%2fetc%2fpasswd",
        ]
        .map(String::from),
    );
    let mut conn = origin.connect();
    for target in &targets {
        conn.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let response = conn.response("GET");
        assert!(
            matches!(response.status, 400 | 404),
            "{target}: {response:?}"
        );
        assert!(
            !String::from_utf8_lossy(&response.body).contains("outside"),
            "{target}"
        );
        if response.says_close() {
            conn = origin.connect();
        }
    }
    origin.assert_alive();
}

#[test]
fn what_no_release_lists_is_not_served() {
    let origin = Setup::new().store(&store_with_bait()).start();
    for name in [
        "unlisted",
        "a/unlisted",
        ".hidden",
        ".tmpA1b2C3",
        "tiny.tmp",
        "link",
        "etc/passwd",
        "dangling",
        "retired.json",
        "a",
        "a/b",
        "a/b/",
        "tiny/",
        "tiny/x",
        "a/b/c/d",
        "Tiny",
        "TINY",
        "release.json/",
        "release.json/x",
        "",
    ] {
        let response = origin.get(&format!("{BASE}{name}"), "");
        assert_eq!(response.status, 404, "{name}");
    }
    for target in [
        "/artifacts/linked/1.0.0/tiny",
        "/artifacts/agent",
        "/artifacts/agent/1.0.0",
        "/artifacts/",
        "/channels/",
    ] {
        assert_eq!(origin.get(target, "").status, 404, "{target}");
    }
    assert_eq!(origin.get(&fixture::url("a/b/c"), "").body, b"deep");
}

#[test]
fn one_artifact_has_one_url_up_to_percent_encoding() {
    let rows: &[(&[u8], u16)] = &[
        (b"/artifacts/agent/1.0.0/tiny", 200),
        (b"/artifacts/agent/1.0.0/%74iny", 200),
        (b"/artifacts/agent/1.0.0/%74%69%6E%79", 200),
        (b"/artifacts/agent/1.0.0/%74%69%6e%79", 200),
        (b"/artifacts/%61gent/1.0.0/tiny", 200),
        (b"/artifacts/agent/1%2E0.0/tiny", 200),
        (b"/artifacts/agent/1.0.0/a/b/c", 200),
        (b"/artifacts/agent/1.0.0/a%2Fb%2Fc", 404),
        (b"/artifacts/agent/1.0.0/a/b%2fc", 404),
        (b"/artifacts/agent%2F1.0.0/tiny", 404),
        (b"/artifacts/agent/1.0.0//tiny", 404),
        (b"/artifacts/agent//1.0.0/tiny", 404),
        (b"//artifacts/agent/1.0.0/tiny", 404),
        (b"/artifacts/agent/1.0.0/a//b/c", 404),
        (b"/artifacts/agent/1.0.0/tiny/", 404),
        (b"/artifacts/agent/1.0.0/./tiny", 404),
        (b"/artifacts/agent/1.0.0/a/../tiny", 404),
        (b"/artifacts/agent/1.0.0/%2574iny", 404),
        (b"/artifacts/agent/1.0.0/tiny%00", 404),
        (b"/artifacts/agent/1.0.0/tiny%20", 404),
        (b"/artifacts/agent/1.0.0/tiny;x=1", 404),
        (b"/artifacts/agent/1.0.0/tiny%3Fx", 404),
        (b"/ARTIFACTS/agent/1.0.0/tiny", 404),
        (
            b"/artifacts/agent/1.0.0/libfoo_1%253a2.0%2Bb1~rc1_amd64.deb",
            200,
        ),
        (
            b"/artifacts/agent/1.0.0/libfoo_1%253a2.0+b1~rc1_amd64.deb",
            200,
        ),
        (
            b"/artifacts/agent/1.0.0/libfoo_1%253a2.0+b1%7Erc1_amd64.deb",
            200,
        ),
        (
            b"/artifacts/agent/1.0.0/libfoo_1%3a2.0+b1~rc1_amd64.deb",
            404,
        ),
        (
            b"/artifacts/agent/1.0.0/libfoo_1%253a2.0%20b1~rc1_amd64.deb",
            404,
        ),
        (b"/artifacts/agent/1.0.0/with%20space.bin", 200),
        (b"/artifacts/agent/1.0.0/with+space.bin", 404),
        (
            "/artifacts/agent/1.0.0/na%C3%AFve-%E6%97%A5%E6%9C%AC.txt".as_bytes(),
            200,
        ),
        (
            b"/artifacts/agent/1.0.0/na%EFve-%E6%97%A5%E6%9C%AC.txt",
            404,
        ),
    ];
    let origin = Origin::shared();
    let name = |row: &(&[u8], u16)| String::from_utf8_lossy(row.0).into_owned();
    each_row(rows, name, |(target, status)| {
        assert_eq!(get_raw(&origin, target).status, *status);
    });
}

#[test]
fn no_path_is_a_server_error() {
    let origin = Origin::shared();
    let long = "s".repeat(300);
    let targets: Vec<Vec<u8>> = [
        format!("{BASE}%00"),
        format!("{BASE}tiny%00.txt"),
        format!("{BASE}{long}"),
        format!("{BASE}{long}/{long}/{long}"),
        format!("/{}", "a/".repeat(3_900)),
        format!("{BASE}{}", "x/".repeat(3_900)),
        format!("/artifacts/{long}/1.0.0/tiny"),
        format!("/channels/{long}/stable.json"),
        format!("/channels/agent/{long}.json"),
        format!("{BASE}%"),
        format!("{BASE}%4"),
        format!("{BASE}%zz"),
        format!("{BASE}%u0074iny"),
        format!("{BASE}%ff%fe"),
        format!("{BASE}%ed%a0%80"),
        format!("{BASE}%f4%90%80%80"),
        format!("{BASE}%0d%0aSet-Cookie:%20a=b"),
        format!("{BASE}%7f"),
        format!("{BASE}%5c"),
        format!("{BASE}con"),
        format!("{BASE}*"),
        "/channels/agent/.json".into(),
        "/channels/agent/stable".into(),
        "/channels/agent/stable/".into(),
        "/channels//stable.json".into(),
        "/channels/AGENT/stable.json".into(),
        "/?".into(),
        "/%".into(),
    ]
    .map(String::into_bytes)
    .into();
    let raw = [
        &b"/\xff\xfe"[..],
        b"/artifacts/agent/1.0.0/\xc3\xaf",
        b"/<script>",
        b"/\"quoted\"",
        b"/{a}",
        b"/a|b",
        b"/^",
    ];
    for target in targets.iter().map(Vec::as_slice).chain(raw) {
        let response = get_raw(&origin, target);
        let shown = String::from_utf8_lossy(&target[..target.len().min(80)]).into_owned();
        assert!(
            matches!(response.status, 400 | 404 | 414),
            "{shown}: {response:?}"
        );
    }
    origin.assert_alive();
}

#[test]
fn nothing_of_a_request_comes_back_in_an_answer() {
    let origin = Origin::shared();
    for target in [
        "/artifacts/agent/1.0.0/%0d%0aX-Marker:%20marker",
        "/channels/agent/stable/%0d%0aX-Marker:%20marker",
        "/marker",
        "//marker.example/%2e%2e",
        "/marker?marker",
        "/artifacts/agent/1.0.0/tiny?marker",
        "http://marker.example/",
        "/channels/agent/stable/tiny?marker",
    ] {
        let fields = "X-Marker: marker\r\nOrigin: http://marker\r\n\
                      X-Forwarded-Host: marker\r\nReferer: marker\r\n";
        for method in ["GET", "POST"] {
            let mut conn = origin.connect();
            conn.send(format!(
                "{method} {target} HTTP/1.1\r\nHost: marker.example\r\n{fields}\r\n"
            ));
            let response = conn.response(method);
            let text = format!(
                "{:?} {}",
                response.fields,
                String::from_utf8_lossy(&response.body)
            );
            assert!(
                !text.to_lowercase().contains("marker"),
                "{method} {target}: {text}"
            );
        }
    }
}

#[test]
fn a_redirect_never_leaves_the_host() {
    let origin = Origin::shared();
    for target in [
        "//evil.example/channels/agent/stable/tiny",
        "/channels/agent/stable//evil.example",
        "/channels//evil.example/tiny",
        "/channels/agent/stable/%2f%2fevil.example",
        "/channels/agent/stable/%5cevil.example",
        "//evil.example",
        "//evil.example/..",
        "/channels/agent/stable/tiny",
        "/channels/agent/stable/a/b/c",
        "/channels/agent/stable/release.json",
    ] {
        let response = origin.get(target, "");
        match response.field("location") {
            Some(location) => {
                assert_eq!(response.status, 302, "{target}");
                assert!(
                    location.starts_with("/artifacts/agent/1.0.0/"),
                    "{target}: {location}"
                );
            }
            None => assert_eq!(response.status, 404, "{target}"),
        }
    }
}

#[test]
fn a_fifo_or_a_link_in_place_of_an_artifact_blocks_nothing() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let store = StoreDir::with_files(&[
        ("tiny", b"hello"),
        ("fifo", b"bytes"),
        ("link", b"bytes"),
        ("dir", b"bytes"),
    ]);
    let [fifo, link, dir] = ["fifo", "link", "dir"].map(|name| store.artifact("1.0.0", name));
    for path in [&fifo, &link, &dir] {
        fs::remove_file(path).unwrap();
    }
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    fs::write(store.path().join("outside"), b"bytes").unwrap();
    symlink(store.path().join("outside"), &link).unwrap();
    fs::create_dir(&dir).unwrap();
    let origin = Setup::new().threads(1).store(&store).start();
    for name in ["fifo", "link", "dir"] {
        for _ in 0..5 {
            let mut conn = origin.connect();
            let asked = Instant::now();
            conn.send(format!("GET {BASE}{name} HTTP/1.1\r\nHost: x\r\n\r\n"));
            if let Ok(response) = conn.try_response("GET") {
                assert!(
                    matches!(response.status, 404 | 500 | 503),
                    "{name}: {response:?}"
                );
            }
            assert!(asked.elapsed() < Duration::from_secs(5), "{name} blocked");
            // The one thread still serves.
            assert_eq!(origin.get(&fixture::url("tiny"), "").body, b"hello");
        }
    }
    origin.assert_alive();
}
