//! From the channel to the artifact: what is chosen, what breaks the chain of trust, what a watcher hears of it, and
//! the steps of a call taken alone.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headwater::device::{
    self, Ask, Choice, Client, GetRequest, GotState, Patience, Unwatched, Watcher,
};
use headwater::model::{ArtifactName, Digest, Locator, Platform, Product, ReleaseId, Version};

use super::edge::{Content, Edge, File, Step, content};
use super::{BODY, chain, get, one_file, request};

#[tokio::test]
async fn an_empty_artifact_is_an_empty_file() {
    let edge = Edge::start(content(&[("empty", b"", None)]), []);
    let folder = tempfile::tempdir().unwrap();
    let got = get(&edge, folder.path()).await.unwrap();
    assert_eq!((got.state, got.size), (GotState::Downloaded, 0));
    assert_eq!(fs::read(folder.path().join("empty")).unwrap(), b"");
    assert_eq!(
        get(&edge, folder.path()).await.unwrap().state,
        GotState::Current
    );
}

#[tokio::test]
async fn the_artifact_is_chosen_by_being_alone_by_name_or_by_platform() {
    let files: [File<'_>; 3] = [
        ("linux/app", b"for linux", Some("linux/x86_64")),
        ("mac/app", b"for mac", Some("macos/aarch64")),
        ("notes.txt", b"notes", None),
    ];
    let edge = Edge::start(content(&files), []);
    let folder = tempfile::tempdir().unwrap();
    let chosen = async |choice| {
        let request = GetRequest {
            choice,
            ..request(&edge, folder.path())
        };
        device::get(request, Arc::new(Unwatched)).await
    };
    let error = chosen(Choice::Only).await.unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(
        error
            .to_string()
            .ends_with("name one of `linux/app`, `mac/app`, `notes.txt`"),
        "{error}"
    );

    let named = chosen(Choice::Named(ArtifactName::parse("notes.txt").unwrap()))
        .await
        .unwrap();
    assert_eq!(fs::read(named.path).unwrap(), b"notes");
    let error = chosen(Choice::Named(ArtifactName::parse("app").unwrap()))
        .await
        .unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(
        error.to_string().contains("`app`; it has `linux/app`"),
        "{error}"
    );

    let fitting = chosen(Choice::For(Platform::parse("linux/x86_64").unwrap()))
        .await
        .unwrap();
    assert_eq!(
        fitting.path,
        folder.path().join("app"),
        "the last segment of the name"
    );
    let error = chosen(Choice::For(Platform::parse("linux/riscv64").unwrap()))
        .await
        .unwrap_err();
    assert_eq!(error.exit_code(), 4, "{error}");
}

#[tokio::test]
async fn documents_that_break_the_chain_of_trust_are_refused() {
    let good = || content(&[("app.bin", b"abc", None)]);
    let replaced = |document: &[u8], from: &str, to: &str| {
        let text = String::from_utf8(document.to_vec()).unwrap();
        assert!(text.contains(from), "{text}");
        text.replace(from, to).into_bytes()
    };
    let channel = |from, to| Content {
        channel: replaced(&good().channel, from, to),
        ..good()
    };
    let cases = [
        (
            "other bytes",
            5,
            Content {
                release: replaced(&good().release, "app.bin", "app.bim"),
                ..good()
            },
        ),
        (
            "a newer schema",
            1,
            channel("\"schema\": 1", "\"schema\": 2"),
        ),
        ("another channel", 5, channel("\"stable\"", "\"beta\"")),
        (
            "another product",
            5,
            channel("\"product\": \"agent\"", "\"product\": \"other\""),
        ),
        (
            "a URL elsewhere",
            5,
            channel("/artifacts/agent/1.0.0/", "/artifacts/agent/1.0.1/"),
        ),
        (
            "a URL on another host",
            5,
            channel("/artifacts/", "http://elsewhere/artifacts/"),
        ),
        (
            "half a document",
            5,
            Content {
                channel: good().channel[..40].to_vec(),
                ..good()
            },
        ),
        (
            "no end",
            1,
            Content {
                channel: vec![b' '; 65 * 1024],
                ..good()
            },
        ),
    ];
    for (what, code, content) in cases {
        let edge = Edge::start(content, []);
        let folder = tempfile::tempdir().unwrap();
        let error = get(&edge, folder.path()).await.expect_err(what);
        assert_eq!(error.exit_code(), code, "{what}: {}", chain(&error));
        assert!(edge.asked().is_empty(), "{what}");
    }
}

#[tokio::test]
async fn the_watcher_hears_of_every_answer_and_every_byte() {
    #[derive(Default)]
    struct Notes(Mutex<(Vec<String>, u64)>);
    impl Watcher for Notes {
        fn start(&self, size: u64, have: u64) {
            self.0
                .lock()
                .unwrap()
                .0
                .push(format!("start {have}/{size}"));
        }
        fn advance(&self, bytes: u64) {
            self.0.lock().unwrap().1 += bytes;
        }
        fn request(&self, what: &str, status: u16, bytes: u64, _took: Duration) {
            self.0
                .lock()
                .unwrap()
                .0
                .push(format!("{what} {status} {bytes}"));
        }
    }
    let content = content(&[("app.bin", &BODY, None)]);
    let (channel, release) = (content.channel.len(), content.release.len());
    let edge = Edge::start(content, [Step::Cut(1000)]);
    let (folder, notes) = (tempfile::tempdir().unwrap(), Arc::new(Notes::default()));
    device::get(request(&edge, folder.path()), notes.clone())
        .await
        .unwrap();
    let (lines, bytes) = &*notes.0.lock().unwrap();
    let (size, rest) = (BODY.len(), BODY.len() - 1000);
    let expected = [
        format!("channel 200 {channel}"),
        format!("release 200 {release}"),
        format!("start 0/{size}"),
        "artifact 200 1000".into(),
        format!("artifact 206 {rest}"),
    ];
    assert_eq!(lines, &expected);
    assert_eq!(*bytes, size as u64);
}

#[tokio::test]
async fn the_steps_can_be_taken_alone_and_asked_conditionally() {
    let edge = one_file([Step::Raw(
        "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".into(),
    )]);
    let patience = Patience {
        stall_timeout: Duration::from_secs(20),
        retries_max: 0,
    };
    let client = Client::new(&edge.url(), patience, Arc::new(Unwatched)).unwrap();
    let id = ReleaseId {
        product: Product::parse("agent").unwrap(),
        version: Version::parse("1.0.0").unwrap(),
    };
    let locator = Locator::Artifact(id, ArtifactName::parse("app.bin").unwrap());
    let answer = client
        .fetch(&locator, Ask::UnlessIs(Digest::of(&BODY)))
        .await
        .unwrap();
    assert_eq!(answer.status(), 304);
    let etag = format!("\"{}\"", Digest::of(&BODY));
    assert_eq!(
        edge.artifact_requests()[0].field("if-none-match"),
        Some(etag.as_str())
    );

    let mut answer = client
        .fetch(
            &locator,
            Ask::Rest {
                offset: 10,
                of: Digest::of(&BODY),
            },
        )
        .await
        .unwrap();
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.chunk().await.unwrap().unwrap()[..5], BODY[10..15]);
}
