//! The device against an edge that cuts, lies, stalls and forgets: what it asks for, what it keeps, how it ends.
//!
//! The only theme that calls the library, so that a test can look into the steps of one download. `device/edge.rs` is
//! the edge, `device/chain.rs` goes from the channel to the artifact, `device/machine.rs` has what needs the executable:
//! certificates of its own, a full disk.

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use headwater::device::{self, Choice, DeviceError, GetRequest, Got, GotState, Unwatched};
use headwater::model::{ChannelName, Digest, Product};
use tempfile::TempDir;

use edge::{Edge, Step, content};

mod chain;
pub mod edge;
mod machine;

/// Two pieces and a bit.
static BODY: LazyLock<Vec<u8>> =
    LazyLock::new(|| crate::harness::fixture::bytes(11, 2 * PIECE + 1000));
const PIECE: usize = 4 * 1024 * 1024;

fn one_file(script: impl IntoIterator<Item = Step>) -> Edge {
    Edge::start(content(&[("app.bin", &BODY, None)]), script)
}

fn request(edge: &Edge, output: &Path) -> GetRequest {
    GetRequest {
        from: edge.url(),
        product: Product::parse("agent").unwrap(),
        channel: ChannelName::parse("stable").unwrap(),
        choice: Choice::Only,
        output: output.to_owned(),
        retries_max: 2,
        stall_timeout: Duration::from_secs(20),
    }
}

async fn get(edge: &Edge, output: &Path) -> Result<Got, DeviceError> {
    device::get(request(edge, output), Arc::new(Unwatched)).await
}

/// A folder in which an earlier call left so much of the artifact.
fn left_behind(bytes: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(part_path(folder.path()), bytes).unwrap();
    folder
}

fn part_path(folder: &Path) -> std::path::PathBuf {
    folder.join(format!(
        ".app.bin.{}.part",
        &Digest::of(&BODY).to_hex()[..16]
    ))
}

#[track_caller]
fn assert_in_place(folder: &Path) {
    assert!(
        fs::read(folder.join("app.bin")).unwrap() == *BODY,
        "other bytes than the published ones"
    );
    assert_eq!(
        fs::read_dir(folder).unwrap().count(),
        1,
        "something is left beside the artifact"
    );
}

#[tokio::test]
async fn a_download_that_is_cut_anywhere_ends_with_the_published_bytes() {
    let cuts = [0, 1, PIECE - 2, 1, PIECE + 1, 0, 500];
    let edge = one_file(cuts.map(Step::Cut));
    let folder = tempfile::tempdir().unwrap();
    let got = get(&edge, folder.path()).await.unwrap();
    assert_in_place(folder.path());
    assert_eq!(got.sha256, Digest::of(&BODY));
    assert_eq!((got.state, got.bytes_resumed), (GotState::Downloaded, 0));
    assert_eq!(got.bytes_transferred, BODY.len() as u64, "no byte twice");
    let mut here = 0;
    let expected = cuts.iter().map(|cut| {
        let ask = if here == 0 {
            "whole".into()
        } else {
            format!("bytes={here}-")
        };
        here += cut;
        ask
    });
    let mut expected: Vec<_> = expected.collect();
    expected.push(format!("bytes={here}-"));
    assert_eq!(edge.asked(), expected);
}

#[tokio::test]
async fn every_request_for_a_part_is_bound_to_the_digest() {
    let edge = one_file([Step::Cut(100), Step::Flip(200)]);
    let folder = tempfile::tempdir().unwrap();
    get(&edge, folder.path()).await.unwrap();
    assert_in_place(folder.path());
    let etag = format!("\"{}\"", Digest::of(&BODY));
    for request in edge.artifact_requests() {
        let bound = request.field("range").map(|_| etag.as_str());
        assert_eq!(request.field("if-range"), bound, "{request:?}");
        assert_eq!(request.field("accept-encoding"), Some("identity"));
    }
}

#[tokio::test]
async fn a_second_call_takes_up_what_the_first_left() {
    let folder = left_behind(&BODY[..5_000_000]);
    let edge = one_file([]);
    let got = get(&edge, folder.path()).await.unwrap();
    assert_in_place(folder.path());
    assert_eq!(got.state, GotState::Resumed);
    assert_eq!(got.bytes_resumed, 5_000_000);
    assert_eq!(got.bytes_transferred, BODY.len() as u64 - 5_000_000);
    assert_eq!(edge.asked(), ["bytes=5000000-"]);
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_its_bytes_for_the_next() {
    let edge = one_file([Step::Stall(PIECE + 1000)]);
    let folder = tempfile::tempdir().unwrap();
    let first = tokio::spawn(device::get(
        request(&edge, folder.path()),
        Arc::new(Unwatched),
    ));
    wait_until(|| fs::metadata(part_path(folder.path())).is_ok_and(|m| m.len() > 1 << 20)).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    // A step that had begun ends on its own thread, and with it the lock.
    let got = loop {
        match get(&edge, folder.path()).await {
            Err(DeviceError::Busy { .. }) => tokio::task::yield_now().await,
            outcome => break outcome.unwrap(),
        }
    };
    assert_in_place(folder.path());
    assert_eq!(got.state, GotState::Resumed);
    assert!(got.bytes_resumed > 1 << 20, "{got:?}");
}

#[tokio::test]
async fn what_is_complete_on_disk_is_put_in_place_without_a_transfer() {
    let folder = left_behind(&BODY);
    let edge = one_file([]);
    let got = get(&edge, folder.path()).await.unwrap();
    assert_in_place(folder.path());
    assert_eq!((got.state, got.bytes_transferred), (GotState::Resumed, 0));
    assert!(edge.asked().is_empty());
}

#[tokio::test]
async fn an_artifact_in_place_is_not_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.bin"), &*BODY).unwrap();
    let edge = one_file([]);
    let got = get(&edge, folder.path()).await.unwrap();
    assert_eq!((got.state, got.bytes_transferred), (GotState::Current, 0));
    assert!(edge.asked().is_empty());
}

#[tokio::test]
async fn other_bytes_under_the_artifact_name_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mut older = BODY.clone();
    older[0] ^= 1;
    fs::write(folder.path().join("app.bin"), older).unwrap();
    let got = get(&one_file([]), folder.path()).await.unwrap();
    assert_eq!(got.state, GotState::Downloaded);
    assert_in_place(folder.path());
}

#[tokio::test]
async fn a_damaged_piece_is_fetched_again_and_nothing_but_it() {
    let edge = one_file([Step::Flip(PIECE + 5)]);
    let folder = tempfile::tempdir().unwrap();
    get(&edge, folder.path()).await.unwrap();
    assert_in_place(folder.path());
    assert_eq!(
        edge.asked(),
        ["whole", "bytes=4194304-8388607", "bytes=8388608-"]
    );
}

#[tokio::test]
async fn a_piece_that_stays_damaged_is_named_with_its_cache_and_the_good_ones_are_kept() {
    let edge = one_file([Step::Flip(PIECE + 5), Step::Flip(PIECE + 5)]);
    let folder = tempfile::tempdir().unwrap();
    let error = get(&edge, folder.path()).await.unwrap_err();
    assert_eq!(error.exit_code(), 5);
    let text = error.to_string();
    for part in [
        &*format!("{}/artifacts/agent/1.0.0/app.bin is damaged", edge.url()),
        "bytes 4194304-8388607",
        &Digest::of(&BODY[PIECE..2 * PIECE]).to_hex(),
        "X-Cache: Hit from cloudfront, X-Amz-Cf-Id: abc123==, Age: 77",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert_eq!(
        fs::metadata(part_path(folder.path())).unwrap().len(),
        PIECE as u64
    );
    assert!(!folder.path().join("app.bin").exists());
}

#[tokio::test]
async fn damage_on_disk_is_found_before_anything_is_asked_for() {
    let mut damaged = BODY[..2 * PIECE + 10].to_vec();
    damaged[PIECE + 1] ^= 1;
    let folder = left_behind(&damaged);
    let edge = one_file([]);
    let got = get(&edge, folder.path()).await.unwrap();
    assert_in_place(folder.path());
    assert_eq!(got.bytes_resumed, PIECE as u64);
    assert_eq!(edge.asked(), ["bytes=4194304-"]);
}

#[tokio::test]
async fn damage_in_the_unverified_tail_costs_one_piece() {
    let mut damaged = BODY[..PIECE + 10].to_vec();
    damaged[PIECE + 1] ^= 1;
    let folder = left_behind(&damaged);
    let edge = one_file([]);
    let got = get(&edge, folder.path()).await.unwrap();
    assert_in_place(folder.path());
    assert_eq!(got.bytes_resumed, PIECE as u64);
    assert_eq!(
        edge.asked(),
        ["bytes=4194314-", "bytes=4194304-8388607", "bytes=8388608-"]
    );
}

#[tokio::test]
async fn a_server_that_ignores_ranges_starts_over() {
    let folder = left_behind(&BODY[..5_000_000]);
    let edge = one_file([Step::Whole]);
    let got = get(&edge, folder.path()).await.unwrap();
    assert_in_place(folder.path());
    assert_eq!((got.state, got.bytes_resumed), (GotState::Downloaded, 0));
    assert_eq!(got.bytes_transferred, BODY.len() as u64);
}

#[tokio::test]
async fn a_server_without_ranges_that_always_breaks_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let edge = one_file(std::iter::repeat_n(Step::WholeCut(5_000_000), 99));
    let error = get(&edge, folder.path()).await.unwrap_err();
    assert!(matches!(error, DeviceError::Transfer { .. }), "{error}");
    assert_eq!(error.exit_code(), 1);
    // The first brought something new, so that its failure counts as the first in a row.
    assert_eq!(edge.asked().len(), 3);
    assert!(
        fs::metadata(part_path(folder.path())).unwrap().len() >= PIECE as u64,
        "kept for the next call"
    );
}

#[tokio::test]
async fn an_answer_for_another_part_is_never_appended() {
    let len = BODY.len();
    let other = |range: &str| {
        let head = format!("HTTP/1.1 206 Partial Content\r\n{range}Content-Length: 3\r\n\r\nxyz");
        Step::Raw(head)
    };
    for step in [
        other(&format!("Content-Range: bytes 0-2/{len}\r\n")),
        other(&format!(
            "Content-Range: bytes 5000001-{}/{len}\r\n",
            len - 1
        )),
        other(&format!(
            "Content-Range: bytes 5000000-{}/{}\r\n",
            len - 1,
            len + 1
        )),
        other(&format!("Content-Range: bytes 5000000-{}/*\r\n", len - 1)),
        other("Content-Range: nonsense\r\n"),
        other(""),
        Step::Raw("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n".into()),
        Step::Raw("HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n".into()),
    ] {
        let folder = left_behind(&BODY[..5_000_000]);
        let edge = one_file([step.clone()]);
        let got = get(&edge, folder.path()).await.unwrap();
        assert_in_place(folder.path());
        assert_eq!(edge.asked(), ["bytes=5000000-", "whole"], "{step:?}");
        assert_eq!(got.bytes_resumed, 0);
    }
}

#[tokio::test]
async fn silence_is_a_break_and_the_transfer_is_taken_up() {
    let edge = one_file([Step::Stall(1000), Step::Stall(0)]);
    let folder = tempfile::tempdir().unwrap();
    let mut request = request(&edge, folder.path());
    request.stall_timeout = Duration::from_secs(2);
    device::get(request, Arc::new(Unwatched)).await.unwrap();
    assert_in_place(folder.path());
    assert_eq!(edge.asked(), ["whole", "bytes=1000-", "bytes=1000-"]);
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut request = request(&one_file([]), folder.path());
    request.from = format!("http://{}", silent.local_addr().unwrap());
    request.stall_timeout = Duration::from_millis(100);
    let error = device::get(request, Arc::new(Unwatched)).await.unwrap_err();
    assert!(
        chain(&error).ends_with("given up after 3 tries: nothing arrived for 0.1 s"),
        "{}",
        chain(&error)
    );
}

#[tokio::test]
async fn a_body_without_an_end_is_broken_off_where_the_artifact_ends() {
    let folder = tempfile::tempdir().unwrap();
    let edge = one_file([Step::Endless(BODY.len())]);
    let got = get(&edge, folder.path()).await.unwrap();
    assert_in_place(folder.path());
    assert_eq!(got.bytes_transferred, BODY.len() as u64);

    let folder = tempfile::tempdir().unwrap();
    let edge = one_file([Step::Endless(2 * PIECE + 1), Step::Endless(2 * PIECE)]);
    let error = get(&edge, folder.path()).await.unwrap_err();
    assert_eq!(error.exit_code(), 5, "{error}");
    let kept = fs::metadata(part_path(folder.path())).unwrap().len();
    assert_eq!(kept, 2 * PIECE as u64);
}

#[tokio::test]
async fn a_length_that_cannot_be_right_is_damage_and_costs_nothing_that_is_here() {
    let folder = left_behind(&BODY[..5_000_000]);
    let portal = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX-Cache: Miss\r\n\r\nplease login";
    let error = get(&one_file([Step::Raw(portal.into())]), folder.path())
        .await
        .unwrap_err();
    assert_eq!(error.exit_code(), 5);
    let expected = format!(
        "it offers 12 bytes where {} were published (X-Cache: Miss)",
        BODY.len()
    );
    assert!(error.to_string().ends_with(&expected), "{error}");
    let got = get(&one_file([]), folder.path()).await.unwrap();
    assert_eq!(got.bytes_resumed, 5_000_000);
}

#[tokio::test]
async fn an_answer_without_a_length_is_read_to_its_end() {
    let edge = one_file([Step::Chunked]);
    let folder = tempfile::tempdir().unwrap();
    get(&edge, folder.path()).await.unwrap();
    assert_in_place(folder.path());

    let early = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned();
    let edge = one_file([Step::Raw(early)]);
    let folder = tempfile::tempdir().unwrap();
    get(&edge, folder.path()).await.unwrap();
    assert_in_place(folder.path());
    assert_eq!(edge.asked().len(), 2);
}

#[tokio::test]
async fn a_server_that_is_not_available_is_asked_again_and_then_given_up() {
    let busy = |status| {
        Step::Raw(format!(
            "HTTP/1.1 {status} X\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
        ))
    };
    for status in [500, 502, 503, 504, 429, 408] {
        let edge = one_file([busy(status)]);
        let folder = tempfile::tempdir().unwrap();
        get(&edge, folder.path()).await.unwrap();
        assert_eq!(edge.asked().len(), 2, "{status}");
    }
    let edge = one_file(std::iter::repeat_n(busy(503), 9));
    let folder = tempfile::tempdir().unwrap();
    let error = get(&edge, folder.path()).await.unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(
        chain(&error).contains("given up after 3 tries: the server answered with status 503"),
        "{}",
        chain(&error)
    );
    assert_eq!(edge.asked().len(), 3);
}

#[tokio::test]
async fn what_another_try_would_not_change_is_asked_for_once() {
    for (status, code) in [
        (404, 4),
        (410, 4),
        (403, 1),
        (400, 1),
        (302, 1),
        (304, 1),
        (206, 1),
    ] {
        let head =
            format!("HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
        let edge = one_file([Step::Raw(head)]);
        let folder = tempfile::tempdir().unwrap();
        let error = get(&edge, folder.path()).await.unwrap_err();
        assert_eq!(error.exit_code(), code, "{status}: {error}");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        assert_eq!(edge.asked().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn two_downloads_into_one_folder_do_not_mix() {
    let edge = one_file([Step::Stall(1000)]);
    let folder = tempfile::tempdir().unwrap();
    let mut slow = request(&edge, folder.path());
    slow.stall_timeout = Duration::from_secs(3);
    let first = tokio::spawn(device::get(slow, Arc::new(Unwatched)));
    wait_until(|| edge.asked().len() == 1).await;
    let refusal = get(&edge, folder.path()).await.unwrap_err();
    assert!(matches!(refusal, DeviceError::Busy { .. }), "{refusal}");
    assert_eq!(refusal.exit_code(), 1);
    first.await.unwrap().unwrap();
    assert_in_place(folder.path());
    assert_eq!(
        get(&edge, folder.path()).await.unwrap().state,
        GotState::Current
    );
}

#[tokio::test]
async fn an_output_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    fs::write(&file, b"x").unwrap();
    let error = get(&one_file([]), &file.join("below")).await.unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("a-file/below"), "{error}");

    fs::create_dir(folder.path().join("app.bin")).unwrap();
    let error = get(&one_file([]), folder.path()).await.unwrap_err();
    assert_eq!(
        chain(&error),
        format!(
            "cannot replace `{}`: is a directory",
            folder.path().join("app.bin").display()
        )
    );
}

#[tokio::test]
async fn a_server_that_does_not_listen_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let folder = tempfile::tempdir().unwrap();
    let mut request = request(&one_file([]), folder.path());
    request.from = format!("http://{address}");
    let error = device::get(request, Arc::new(Unwatched)).await.unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let expected =
        format!("cannot fetch http://{address}/channels/agent/stable.json: given up after 3 tries");
    assert!(chain(&error).starts_with(&expected), "{}", chain(&error));
}

/// A failure as a command line prints it: every level once.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Polls, because what happens on the other side of a socket or a disk has no signal for a test.
async fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + crate::harness::PATIENCE;
    while !holds() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "it never came to that"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
