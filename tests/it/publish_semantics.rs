//! What publish, promote, rollback, retire and prune promise, in process; never through the command line.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use headwater::model::{Digest, PIECE_BYTES, Platform, Product};
use headwater::publish::{ErrorKind, Mode, PublishState, Silent};
use headwater::store::Store as _;

use crate::support::engineer::{Counter, Engineer, artifact, publisher_to, request, tree};
use crate::support::release_id;

#[tokio::test]
async fn a_published_release_lists_what_was_given_and_stores_its_bytes() {
    let engineer = Engineer::new();
    let published = engineer
        .publish("agent", "1.0", &[("b/c.json", b"{}"), ("a", b"")])
        .await
        .unwrap();
    assert_eq!(published.state, PublishState::Published);
    let names: Vec<_> = published
        .release
        .artifacts
        .iter()
        .map(|a| a.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b/c.json"]);
    let json = published.release.artifact(&artifact("b/c.json")).unwrap();
    assert_eq!((json.size, json.sha256), (2, Digest::of(b"{}")));
    assert_eq!(json.content_type, "application/json");
    let stored = std::fs::read(engineer.stored("artifacts/agent/1.0/b/c.json")).unwrap();
    assert_eq!(stored, b"{}");
    let document = std::fs::read(engineer.stored("artifacts/agent/1.0/release.json")).unwrap();
    assert_eq!(document, published.release.to_json());
}

/// Sizes around the edges of a buffer, a piece and the small path.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digests_of_the_whole_and_of_every_piece_are_right_at_every_edge() {
    let engineer = Engineer::new();
    let piece = usize::try_from(PIECE_BYTES).unwrap();
    let source: Vec<u8> = (0..3_200_000_u32).flat_map(u32::to_le_bytes).collect();
    let sizes = [
        0,
        1,
        1 << 20,
        piece - 1,
        piece,
        piece + 1,
        2 * piece,
        3 * piece + 5,
    ];
    let files: Vec<_> = sizes
        .map(|size| (format!("{size:09}"), &source[..size]))
        .into();
    let files: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), *bytes))
        .collect();
    let folder = engineer.files(&files);
    let request = request("agent", "1.0", &[&folder]);
    let counter = Arc::new(Counter::default());
    let published = engineer
        .publisher
        .publish(request, counter.clone())
        .await
        .unwrap();
    for (stored, (name, bytes)) in published.release.artifacts.iter().zip(&files) {
        assert_eq!(stored.name.as_str(), *name);
        assert_eq!(stored.sha256, Digest::of(bytes), "{name}");
        let pieces: Vec<_> = bytes.chunks(piece).map(Digest::of).collect();
        assert_eq!(stored.pieces.sha256, pieces, "{name}");
        let path = engineer.stored(&format!("artifacts/agent/1.0/{name}"));
        assert!(std::fs::read(path).unwrap() == *bytes, "{name}");
    }
    let total: usize = sizes.iter().sum();
    assert_eq!(counter.files.load(Ordering::Relaxed), sizes.len() as u64);
    assert_eq!(counter.bytes.load(Ordering::Relaxed), total as u64);
    assert_eq!(counter.advanced.load(Ordering::Relaxed), total as u64);
    assert_eq!(engineer.damage().await, []);
}

#[tokio::test]
async fn the_same_bytes_again_change_nothing() {
    let engineer = Engineer::new();
    engineer
        .publish("agent", "1.0", &[("a", b"bytes")])
        .await
        .unwrap();
    let before = tree(engineer.store.path());
    let folder = engineer.files(&[("a", b"bytes")]);
    let mut request = request("agent", "1.0", &[&folder]);
    request.notes = Some("other notes do not count".into());
    request.platforms = vec![(artifact("a"), Platform::parse("linux/x86_64").unwrap())];
    let again = engineer
        .publisher
        .publish(request, Arc::new(Silent))
        .await
        .unwrap();
    assert_eq!(again.state, PublishState::Unchanged);
    assert_eq!(again.release.notes, None);
    assert_eq!(tree(engineer.store.path()), before);
}

#[tokio::test]
async fn other_bytes_are_refused_with_the_artifact_and_both_digests() {
    let engineer = Engineer::new();
    engineer
        .publish("agent", "1.0", &[("a", b"same"), ("b", b"bytes")])
        .await
        .unwrap();
    let before = tree(engineer.store.path());
    for (files, wanted) in [
        (
            &[("a", &b"same"[..]), ("b", b"other")][..],
            vec!["`b`", "other", "bytes"],
        ),
        (&[("a", b"same")], vec!["`b`", "bytes"]),
        (
            &[("a", b"same"), ("b", b"bytes"), ("c", b"more")],
            vec!["`c`", "more"],
        ),
    ] {
        let error = engineer.publish("agent", "1.0", files).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        let text = error.to_string();
        assert!(text.contains(wanted[0]), "{text}");
        for bytes in &wanted[1..] {
            assert!(
                text.contains(&Digest::of(bytes.as_bytes()).to_hex()),
                "{text}"
            );
        }
    }
    assert_eq!(tree(engineer.store.path()), before);
}

#[tokio::test]
async fn a_dry_run_hashes_and_writes_nothing() {
    let engineer = Engineer::new();
    let folder = engineer.files(&[("a", b"bytes")]);
    let mut request = request("agent", "1.0", &[&folder]);
    request.mode = Mode::DryRun;
    let before = tree(engineer.store.path());
    let would = engineer
        .publisher
        .publish(request.clone(), Arc::new(Silent))
        .await
        .unwrap();
    assert_eq!(would.state, PublishState::Published);
    assert_eq!(would.release.artifacts[0].sha256, Digest::of(b"bytes"));
    assert_eq!(tree(engineer.store.path()), before);
    engineer
        .publish("agent", "1.0", &[("a", b"bytes")])
        .await
        .unwrap();
    let would = engineer
        .publisher
        .publish(request, Arc::new(Silent))
        .await
        .unwrap();
    assert_eq!(would.state, PublishState::Unchanged);
}

#[tokio::test]
async fn a_platform_must_name_an_artifact_of_the_release() {
    let engineer = Engineer::new();
    let folder = engineer.files(&[("a", b"bytes")]);
    let mut request = request("agent", "1.0", &[&folder]);
    request.platforms = vec![(artifact("b"), Platform::parse("linux/x86_64").unwrap())];
    let error = engineer
        .publisher
        .publish(request.clone(), Arc::new(Silent))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    request.platforms[0].0 = artifact("a");
    let published = engineer
        .publisher
        .publish(request, Arc::new(Silent))
        .await
        .unwrap();
    assert!(published.release.artifacts[0].platform.is_some());
}

#[tokio::test]
async fn what_a_dead_publish_left_is_used_or_replaced_and_never_mixed_in() {
    let engineer = Engineer::new();
    for (path, bytes) in [
        ("same", "same"),
        ("other", "xxxxx"), // as long as the new bytes
        ("longer", "much longer than now"),
        ("not-given", "x"),
        ("folder", "was a file"),
        ("file/was", "below a folder"),
    ] {
        let path = engineer.stored(&format!("artifacts/agent/1.0/{path}"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let files: &[(&str, &[u8])] = &[
        ("same", b"same"),
        ("other", b"other"),
        ("longer", b"now"),
        ("folder/a", b"1"),
        ("file", b"2"),
    ];
    engineer.publish("agent", "1.0", files).await.unwrap();
    let undisturbed = Engineer::new();
    undisturbed.publish("agent", "1.0", files).await.unwrap();
    let artifacts = |engineer: &Engineer| tree(&engineer.stored("artifacts"));
    assert_eq!(artifacts(&engineer), artifacts(&undisturbed));
    assert_eq!(engineer.damage().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_publishers_of_the_same_bytes_agree_and_of_others_one_wins() {
    for (second, kind) in [(&b"one"[..], None), (b"two", Some(ErrorKind::Refused))] {
        let engineer = Arc::new(Engineer::new());
        let other = publisher_to(Arc::clone(&engineer.store));
        let large = vec![7; 5 << 20];
        let first = engineer.files(&[("a", b"one"), ("large", &large)]);
        let second = engineer.files(&[("a", second), ("large", &large)]);
        let requests = [&first, &second].map(|folder| request("agent", "1.0", &[folder]));
        let [one, two] = requests;
        let silent = || Arc::new(Silent);
        let (one, two) = tokio::join!(
            engineer.publisher.publish(one, silent()),
            other.publish(two, silent())
        );
        let mut published = 0;
        let mut rest = Vec::new();
        for result in [one, two] {
            match result {
                Ok(done) if done.state == PublishState::Published => published += 1,
                Ok(_) => rest.push(None),
                Err(error) => rest.push(Some(error.kind())),
            }
        }
        assert_eq!((published, rest), (1, vec![kind]));
        assert_eq!(engineer.damage().await, []);
    }
}

#[tokio::test]
async fn a_channel_moves_and_its_revision_only_grows() {
    let engineer = Engineer::new();
    for version in ["1.0", "2.0"] {
        engineer
            .publish("agent", version, &[("a", version.as_bytes())])
            .await
            .unwrap();
    }
    let first = engineer.promote("agent", "1.0", "stable").await.unwrap();
    assert!(first.changed && first.channel.revision == 1 && first.channel.previous.is_none());
    let second = engineer
        .promote("agent", "2.0", "stable")
        .await
        .unwrap()
        .channel;
    assert_eq!(second.revision, 2);
    assert_eq!(second.release.url, "/artifacts/agent/2.0/release.json");
    let document = std::fs::read(engineer.stored("artifacts/agent/2.0/release.json")).unwrap();
    assert_eq!(second.release.sha256, Digest::of(&document));
    let same = engineer.promote("agent", "2.0", "stable").await.unwrap();
    assert!(!same.changed);
    assert_eq!(same.channel, second);
    let back = engineer.rollback("agent", "stable").await.unwrap().channel;
    assert_eq!(back.revision, 3);
    assert_eq!(back.release, first.channel.release);
    assert_eq!(back.previous.unwrap(), second.release);
    assert_eq!(engineer.damage().await, []);
}

#[tokio::test]
async fn what_is_not_there_cannot_be_promoted_or_rolled_back_to() {
    let engineer = Engineer::new();
    let error = engineer
        .promote("agent", "1.0", "stable")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = engineer.rollback("agent", "stable").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    engineer
        .publish("agent", "1.0", &[("a", b"1")])
        .await
        .unwrap();
    engineer.promote("agent", "1.0", "stable").await.unwrap();
    let error = engineer.rollback("agent", "stable").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("headwater promote"), "{error}");
    let product = Product::parse("none").unwrap();
    assert_eq!(
        engineer
            .publisher
            .releases(Some(&product))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        engineer
            .publisher
            .show(&release_id("agent", "9"))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn a_damaged_release_is_not_promoted() {
    let engineer = Engineer::new();
    for version in ["1.0", "2.0", "3.0"] {
        engineer
            .publish("agent", version, &[("a", b"bytes")])
            .await
            .unwrap();
    }
    std::fs::write(engineer.stored("artifacts/agent/1.0/a"), "cut").unwrap();
    std::fs::remove_file(engineer.stored("artifacts/agent/2.0/a")).unwrap();
    std::fs::write(
        engineer.stored("artifacts/agent/3.0/release.json"),
        "{ \"schema\": 1,",
    )
    .unwrap();
    for version in ["1.0", "2.0", "3.0"] {
        let error = engineer
            .promote("agent", version, "stable")
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{version}: {error}");
    }
    assert!(
        engineer
            .publisher
            .channels(None)
            .await
            .unwrap()
            .found
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_promotes_of_one_channel_both_count() {
    let engineer = Engineer::new();
    for version in ["1.0", "2.0"] {
        engineer
            .publish("agent", version, &[("a", version.as_bytes())])
            .await
            .unwrap();
    }
    let (one, two) = tokio::join!(
        engineer.promote("agent", "1.0", "stable"),
        engineer.promote("agent", "2.0", "stable")
    );
    let mut revisions = [one, two].map(|moved| moved.unwrap().channel.revision);
    revisions.sort_unstable();
    assert_eq!(revisions, [1, 2]);
    let channel = engineer
        .publisher
        .channels(None)
        .await
        .unwrap()
        .found
        .remove(0);
    assert_eq!(channel.revision, 2);
    assert_ne!(channel.previous.unwrap().version, channel.release.version);
}

#[tokio::test]
async fn a_retired_release_keeps_its_name_and_loses_its_bytes() {
    let engineer = Engineer::new();
    engineer
        .publish("agent", "1.0", &[("a", b"1"), ("b/c", b"2")])
        .await
        .unwrap();
    engineer.retire("agent", "1.0").await.unwrap();
    let left: Vec<_> = tree(&engineer.stored("artifacts")).into_keys().collect();
    assert_eq!(left, ["agent/1.0/release.json", "agent/1.0/retired.json"]);
    engineer.retire("agent", "1.0").await.unwrap();
    let error = engineer
        .publish("agent", "1.0", &[("a", b"1")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let error = engineer
        .promote("agent", "1.0", "stable")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let error = engineer.retire("agent", "2.0").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let listed = engineer.publisher.releases(None).await.unwrap().found;
    assert_eq!(listed[0].retired.as_ref().unwrap().reason, "a test");
    assert_eq!(engineer.damage().await, []);
}

#[tokio::test]
async fn what_a_channel_names_is_not_retired() {
    let engineer = Engineer::new();
    for version in ["1.0", "2.0", "3.0"] {
        engineer
            .publish("agent", version, &[("a", version.as_bytes())])
            .await
            .unwrap();
        engineer.promote("agent", version, "stable").await.unwrap();
    }
    for version in ["2.0", "3.0"] {
        let error = engineer.retire("agent", version).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains("`stable`"), "{error}");
    }
    engineer.retire("agent", "1.0").await.unwrap();
}

#[tokio::test]
async fn prune_keeps_the_newest_and_what_channels_name_and_removes_litter() {
    let engineer = Engineer::new();
    for version in ["1.9.0", "1.10.0", "1.2.0", "1.1.0", "1.3.0"] {
        engineer
            .publish("agent", version, &[("a", version.as_bytes())])
            .await
            .unwrap();
    }
    engineer.promote("agent", "1.1.0", "old").await.unwrap();
    for (path, bytes) in [
        ("artifacts/agent/2.0.0/never-committed", "litter"),
        ("artifacts/agent/1.10.0/not-listed", "x"),
        ("artifacts/dead/1.0/a", "y"),
    ] {
        std::fs::create_dir_all(engineer.stored(path).parent().unwrap()).unwrap();
        std::fs::write(engineer.stored(path), bytes).unwrap();
    }
    let before = tree(&engineer.stored("artifacts"));
    let would = engineer.publisher.prune(2, Mode::DryRun).await.unwrap();
    assert_eq!(tree(&engineer.stored("artifacts")), before);
    let done = engineer.publisher.prune(2, Mode::Commit).await.unwrap();
    assert_eq!(would.retired, done.retired);
    assert_eq!(would.litter, done.litter);
    assert_eq!(would.bytes, done.bytes);
    assert_eq!(
        done.retired,
        ["1.2.0", "1.3.0"].map(|version| release_id("agent", version))
    );
    assert_eq!(done.bytes, 5 + 5 + 6 + 1 + 1);
    let left = tree(&engineer.stored("artifacts"));
    for version in ["1.1.0", "1.9.0", "1.10.0"] {
        assert!(
            left.contains_key(&format!("agent/{version}/a")),
            "{version}"
        );
    }
    assert_eq!(left.len(), 3 * 2 + 2 * 2);
    assert!(!engineer.stored("artifacts/dead").exists());
    let again = engineer.publisher.prune(2, Mode::Commit).await.unwrap();
    assert!(again.retired.is_empty() && again.litter.is_empty());
    assert_eq!(engineer.damage().await, []);
}

#[tokio::test]
async fn pruning_one_product_leaves_every_other_one_as_it_is() {
    let engineer = Engineer::new();
    for product in ["agent", "agent-beta"] {
        for version in ["1.0", "1.1"] {
            let published = engineer.publish(product, version, &[("a", b"bytes")]).await;
            published.unwrap();
        }
        let litter = engineer.stored(&format!("artifacts/{product}/1.1/not-listed"));
        std::fs::write(litter, "x").unwrap();
    }
    let agent = "agent".parse().unwrap();
    let prune = engineer.publisher.prune_product(&agent, 1, Mode::Commit);
    let pruned = prune.await.unwrap();
    assert_eq!(pruned.retired, [release_id("agent", "1.0")]);
    let litter = ("artifacts/agent/1.1/not-listed".to_owned(), 1);
    assert_eq!(pruned.litter, [litter]);
    let left = tree(&engineer.stored("artifacts"));
    for kept in ["1.0/a", "1.1/a", "1.1/not-listed"] {
        assert!(left.contains_key(&format!("agent-beta/{kept}")), "{kept}");
    }
    assert!(!left.contains_key("agent/1.0/a") && left.contains_key("agent/1.1/a"));
}

#[tokio::test]
async fn prune_leaves_a_publish_that_is_under_way_alone() {
    let engineer = Engineer::new();
    let path = engineer.stored("artifacts/agent/1.0/a");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "half").unwrap();
    let reservation = engineer.store.reserve("artifacts/agent/1.0").await.unwrap();
    let pruned = engineer.publisher.prune(0, Mode::Commit).await.unwrap();
    assert!(pruned.litter.is_empty() && path.exists());
    drop(reservation);
    assert_eq!(
        engineer
            .publisher
            .prune(0, Mode::Commit)
            .await
            .unwrap()
            .bytes,
        4
    );
    assert!(!path.exists());
}

#[tokio::test]
async fn releases_are_listed_oldest_first_with_their_channels() {
    let engineer = Engineer::new();
    for version in ["1.10.0", "1.9.0"] {
        engineer
            .publish("agent", version, &[("a", b"1")])
            .await
            .unwrap();
    }
    engineer.publish("zeta", "1", &[("a", b"1")]).await.unwrap();
    engineer.promote("agent", "1.10.0", "stable").await.unwrap();
    let listed = engineer.publisher.releases(None).await.unwrap().found;
    let names: Vec<_> = listed
        .iter()
        .map(|listed| listed.release.id().to_string())
        .collect();
    assert_eq!(names, ["agent 1.9.0", "agent 1.10.0", "zeta 1"]);
    assert_eq!(listed[1].channels[0].as_str(), "stable");
    let (shown, bytes) = engineer
        .publisher
        .show(&release_id("agent", "1.10.0"))
        .await
        .unwrap();
    assert_eq!(shown.release.to_json(), bytes);
}
