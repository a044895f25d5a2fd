//! Bad input and a damaged store: what is refused, what is found, what stays as it was.

use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use headwater::model::{Digest, Product};
use headwater::publish::{Damage, ErrorKind, Mode, Progress, PublishError, PublishRequest, Silent};
use headwater::store::disk::DirectoryStore;

use crate::harness::{PATIENCE, poll};
use crate::support::engineer::{Engineer, publisher_to, request, tree};
use crate::support::mount::Mount;

async fn refusal(engineer: &Engineer, path: &Path) -> PublishError {
    let before = tree(engineer.store.path());
    let request = request("agent", "1.0", &[path]);
    let error = engineer
        .publisher
        .publish(request, Arc::new(Silent))
        .await
        .unwrap_err();
    assert_eq!(tree(engineer.store.path()), before, "{error}");
    error
}

#[tokio::test]
async fn links_and_special_files_are_refused_by_name() {
    let engineer = Engineer::new();
    let target = engineer.files(&[("target", b"x")]);
    let folder = |name: &str| engineer.files(&[]).join(name);
    let link = folder("link");
    symlink(target.join("target"), &link).unwrap();
    let folder_link = folder("folder-link");
    symlink(&target, &folder_link).unwrap();
    let fifo = folder("fifo");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let socket = folder("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (path, what) in [
        (&link, "a symbolic link"),
        (&folder_link, "a symbolic link"),
        (&fifo, "a FIFO"),
        (&socket, "a socket"),
        (&"/dev/null".into(), "a device"),
    ] {
        let error = refusal(&engineer, path).await;
        assert_eq!(error.kind(), ErrorKind::Usage);
        let text = error.to_string();
        assert!(
            text.contains(what) && text.contains(path.to_str().unwrap()),
            "{text}"
        );
    }
    // The same inside a folder.
    let error = refusal(&engineer, fifo.parent().unwrap()).await;
    assert!(error.to_string().contains("a FIFO"), "{error}");
}

#[tokio::test]
async fn names_outside_the_rules_are_refused_with_the_rule() {
    let engineer = Engineer::new();
    for name in ["release.json", "retired.json", "back\\slash", "new\nline"] {
        let folder = engineer.files(&[(name, b"x")]);
        let error = refusal(&engineer, &folder).await;
        assert_eq!(error.kind(), ErrorKind::Usage, "{name:?}");
    }
    let folder = engineer.files(&[]);
    std::fs::write(folder.join(std::ffi::OsStr::from_bytes(b"\xff")), "x").unwrap();
    assert_eq!(refusal(&engineer, &folder).await.kind(), ErrorKind::Usage);
    assert!(matches!(
        refusal(&engineer, &engineer.files(&[])).await,
        PublishError::NoFiles
    ));
    let error = refusal(&engineer, Path::new("/none/at/all")).await;
    assert!(error.to_string().contains("/none/at/all"), "{error}");
}

#[tokio::test]
async fn two_files_for_one_name_are_refused() {
    let engineer = Engineer::new();
    let one = engineer.files(&[("a", b"1"), ("b/c", b"2")]);
    for other in [
        engineer.files(&[("a", b"1")]),
        engineer.files(&[("b", b"1")]),
    ] {
        let request = request("agent", "1.0", &[&one, &other]);
        let error = engineer
            .publisher
            .publish(request, Arc::new(Silent))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    }
}

/// Changes an input when the first of its bytes have been read.
struct Meddler(std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>);

/// Changes an input when it has been scanned and not yet been read.
struct EarlyMeddler(Meddler);

impl Progress for EarlyMeddler {
    fn total(&self, _files: u64, _bytes: u64) {
        self.0.advance(0);
    }
    fn advance(&self, _bytes: u64) {}
}

impl Progress for Meddler {
    fn total(&self, _files: u64, _bytes: u64) {}
    fn advance(&self, _bytes: u64) {
        if let Some(meddle) = self.0.lock().unwrap().take() {
            meddle();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_that_changes_while_it_is_read_is_refused() {
    type Meddle = fn(&Path);
    let append: Meddle = |path| {
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"more").unwrap();
    };
    let truncate: Meddle = |path| {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(10).unwrap();
    };
    let overwrite: Meddle = |path| {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"new", 0).unwrap();
    };
    let replace: Meddle = |path| {
        let other = path.with_extension("new");
        std::fs::copy(path, &other).unwrap();
        std::fs::rename(other, path).unwrap();
    };
    let steps = [append, truncate, overwrite, replace];
    for (meddle, size) in steps
        .iter()
        .flat_map(|meddle| [(*meddle, 64 << 20), (*meddle, 99)])
    {
        let engineer = Engineer::new();
        // Long ago, so that a write now has another time whatever the clock's grain.
        let folder = engineer.files(&[("a", &vec![1; size])]);
        let path = folder.join("a");
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        let meddler = Meddler(std::sync::Mutex::new(Some(Box::new(move || meddle(&path)))));
        let progress: Arc<dyn Progress> = if size > 99 {
            Arc::new(meddler)
        } else {
            Arc::new(EarlyMeddler(meddler))
        };
        let request = request("agent", "1.0", &[&folder]);
        let error = engineer
            .publisher
            .publish(request, progress)
            .await
            .unwrap_err();
        assert!(
            matches!(error, PublishError::InputChanged { .. }),
            "{error}"
        );
        assert!(tree(&engineer.stored("artifacts")).is_empty());
        assert!(
            tree(&engineer.stored(".headwater/tmp"))
                .keys()
                .all(|name| name.ends_with("alive"))
        );
    }
}

#[tokio::test]
async fn every_kind_of_damage_is_found_and_named_and_the_rest_still_looked_at() {
    let engineer = Engineer::new();
    let files: &[(&str, &[u8])] = &[
        ("cut", b"bytes"),
        ("flipped", b"bytes"),
        ("gone", b"bytes"),
        ("whole", b"bytes"),
    ];
    for version in ["1.0", "2.0", "3.0"] {
        engineer.publish("agent", version, files).await.unwrap();
    }
    engineer.promote("agent", "2.0", "beta").await.unwrap();
    engineer.promote("agent", "3.0", "stable").await.unwrap();
    assert_eq!(engineer.damage().await, []);
    std::fs::write(engineer.stored("artifacts/agent/1.0/cut"), "byt").unwrap();
    std::fs::write(engineer.stored("artifacts/agent/1.0/flipped"), "bytEs").unwrap();
    std::fs::remove_file(engineer.stored("artifacts/agent/1.0/gone")).unwrap();
    let document = engineer.stored("artifacts/agent/2.0/release.json");
    let whole = std::fs::read(&document).unwrap();
    std::fs::write(&document, &whole[..whole.len() / 2]).unwrap();
    std::fs::write(engineer.stored("channels/agent/stable.json"), "").unwrap();
    let damage = engineer.damage().await;
    let keys: Vec<_> = damage.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "artifacts/agent/1.0/cut",
            "artifacts/agent/1.0/flipped",
            "artifacts/agent/1.0/gone",
            "artifacts/agent/2.0/release.json",
            "channels/agent/beta.json",
            "channels/agent/stable.json",
        ]
    );
    assert!(
        damage[0].1.contains('3') && damage[0].1.contains('5'),
        "{}",
        damage[0].1
    );
    for digest in [Digest::of(b"bytes"), Digest::of(b"bytEs")] {
        assert!(damage[1].1.contains(&digest.to_hex()), "{}", damage[1].1);
    }
}

#[tokio::test]
async fn a_half_written_release_document_is_not_published_over() {
    let engineer = Engineer::new();
    engineer
        .publish("agent", "1.0", &[("a", b"1")])
        .await
        .unwrap();
    let document = engineer.stored("artifacts/agent/1.0/release.json");
    std::fs::write(&document, "{ \"schema\": 1, \"prod").unwrap();
    let before = tree(engineer.store.path());
    let error = engineer
        .publish("agent", "1.0", &[("a", b"1")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(
        error
            .to_string()
            .contains("artifacts/agent/1.0/release.json"),
        "{error}"
    );
    assert_eq!(tree(engineer.store.path()), before);
}

#[tokio::test]
async fn a_release_with_a_missing_or_cut_artifact_is_not_called_unchanged() {
    let files: &[(&str, &[u8])] = &[("a", b"bytes"), ("b", b"bytes")];
    let meddles: [fn(&Path); 2] = [
        |path| std::fs::remove_file(path).unwrap(),
        |path| std::fs::write(path, "byt").unwrap(),
    ];
    for meddle in meddles {
        let engineer = Engineer::new();
        engineer.publish("agent", "1.0", files).await.unwrap();
        meddle(&engineer.stored("artifacts/agent/1.0/b"));
        let before = tree(&engineer.stored("artifacts"));
        let folder = engineer.files(files);
        for mode in [Mode::DryRun, Mode::Commit] {
            let request = PublishRequest {
                mode,
                ..request("agent", "1.0", &[&folder])
            };
            let publish = engineer.publisher.publish(request, Arc::new(Silent));
            let error = publish.await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
            let text = error.to_string();
            assert!(text.contains("`artifacts/agent/1.0/b`"), "{text}");
        }
        assert_eq!(tree(&engineer.stored("artifacts")), before);
    }
}

/// Three releases of which the second has an unreadable document, and a second product.
async fn with_a_damaged_document(document: &str) -> Engineer {
    let engineer = Engineer::new();
    for version in ["1.0", "2.0", "3.0"] {
        engineer
            .publish("agent", version, &[("a", b"1")])
            .await
            .unwrap();
    }
    engineer.publish("zeta", "1", &[("a", b"1")]).await.unwrap();
    engineer.promote("agent", "1.0", "beta").await.unwrap();
    engineer.promote("zeta", "1", "stable").await.unwrap();
    std::fs::write(engineer.stored(document), "{ \"schema\": 1, \"prod").unwrap();
    engineer
}

fn keys(damage: &[Damage]) -> Vec<&str> {
    damage.iter().map(|damage| damage.key.as_str()).collect()
}

#[tokio::test]
async fn a_damaged_document_hides_no_other_release() {
    for document in ["release.json", "retired.json"] {
        let document = format!("artifacts/agent/2.0/{document}");
        let engineer = with_a_damaged_document(&document).await;
        let listed = engineer.publisher.releases(None).await.unwrap();
        let ids = listed.found.iter().map(|listed| listed.release.id());
        let ids: Vec<_> = ids.map(|id| id.to_string()).collect();
        assert_eq!(ids, ["agent 1.0", "agent 3.0", "zeta 1"]);
        assert_eq!(keys(&listed.damage), [document]);
    }
}

#[tokio::test]
async fn a_damaged_channel_hides_no_other_channel_and_no_release() {
    let engineer = with_a_damaged_document("channels/agent/stable.json").await;
    let channels = engineer.publisher.channels(None).await.unwrap();
    let names = channels
        .found
        .iter()
        .map(|channel| channel.channel.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["beta", "stable"]);
    assert_eq!(keys(&channels.damage), ["channels/agent/stable.json"]);
    let listed = engineer.publisher.releases(None).await.unwrap();
    assert_eq!(listed.found.len(), 4);
    assert_eq!(keys(&listed.damage), ["channels/agent/stable.json"]);
    let product = Product::parse("agent").unwrap();
    std::fs::write(engineer.stored("channels/agent/beta.json"), "").unwrap();
    let channels = engineer.publisher.channels(Some(&product)).await.unwrap();
    assert_eq!((channels.found.len(), channels.damage.len()), (0, 2));
}

#[tokio::test]
async fn a_release_without_a_readable_document_is_not_retired() {
    let document = "artifacts/agent/2.0/release.json";
    let engineer = with_a_damaged_document(document).await;
    let before = tree(&engineer.stored("artifacts"));
    let error = engineer.retire("agent", "2.0").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    assert!(error.to_string().contains(document), "{error}");
    assert_eq!(tree(&engineer.stored("artifacts")), before);
}

#[tokio::test]
async fn a_document_with_a_newer_schema_is_a_failure_and_not_damage() {
    let documents = [
        "artifacts/agent/2.0/release.json",
        "artifacts/agent/2.0/retired.json",
        "channels/agent/beta.json",
    ];
    for document in documents {
        let engineer = with_a_damaged_document(document).await;
        std::fs::write(engineer.stored(document), "{ \"schema\": 2, \"x\": [] }").unwrap();
        let before = tree(&engineer.stored("artifacts"));
        let publisher = &engineer.publisher;
        let silent = Arc::new(Silent);
        for error in [
            publisher.releases(None).await.unwrap_err(),
            publisher.prune(1, Mode::Commit).await.unwrap_err(),
            publisher.verify(None, None, silent).await.unwrap_err(),
            engineer.retire("agent", "2.0").await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Failed, "{error}");
            assert!(error.to_string().contains(document), "{error}");
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.contains("use a newer headwater"), "{source}");
        }
        assert_eq!(tree(&engineer.stored("artifacts")), before);
    }
}

#[tokio::test]
async fn prune_leaves_a_damaged_release_alone_and_does_the_rest() {
    for document in ["release.json", "retired.json"] {
        let document = format!("artifacts/agent/2.0/{document}");
        let engineer = with_a_damaged_document(&document).await;
        for version in ["4.0", "5.0"] {
            let files: &[(&str, &[u8])] = &[("a", b"1")];
            engineer.publish("agent", version, files).await.unwrap();
        }
        std::fs::write(engineer.stored("artifacts/agent/2.0/not-listed"), "x").unwrap();
        std::fs::write(engineer.stored("artifacts/zeta/1/not-listed"), "x").unwrap();
        let before = tree(&engineer.stored("artifacts/agent/2.0"));
        for mode in [Mode::DryRun, Mode::Commit] {
            let pruned = engineer.publisher.prune(1, mode).await.unwrap();
            let retired: Vec<_> = pruned.retired.iter().map(ToString::to_string).collect();
            assert_eq!(retired, ["agent 3.0", "agent 4.0"]);
            let litter = [("artifacts/zeta/1/not-listed".to_owned(), 1)];
            assert_eq!(pruned.litter, litter);
            assert_eq!(keys(&pruned.damage), [document.as_str()]);
        }
        assert_eq!(tree(&engineer.stored("artifacts/agent/2.0")), before);
    }
}

#[tokio::test]
async fn prune_retires_nothing_that_a_damaged_channel_may_name() {
    let engineer = with_a_damaged_document("channels/agent/stable.json").await;
    engineer.publish("zeta", "2", &[("a", b"1")]).await.unwrap();
    engineer.publish("zeta", "3", &[("a", b"1")]).await.unwrap();
    std::fs::write(engineer.stored("artifacts/agent/2.0/not-listed"), "x").unwrap();
    let pruned = engineer.publisher.prune(1, Mode::Commit).await.unwrap();
    let retired: Vec<_> = pruned.retired.iter().map(ToString::to_string).collect();
    assert_eq!(retired, ["zeta 2"]);
    assert_eq!(pruned.litter[0].0, "artifacts/agent/2.0/not-listed");
    assert_eq!(keys(&pruned.damage), ["channels/agent/stable.json"]);
}

#[tokio::test]
async fn a_release_that_is_retired_during_a_verification_is_not_damaged() {
    let engineer = Arc::new(Engineer::new());
    let names = ["a", "b", "c", "d", "e"];
    let files = names.map(|name| (name, name.as_bytes()));
    engineer.publish("agent", "1.0", &files).await.unwrap();
    let folder = engineer.stored("artifacts/agent/1.0");
    let retire = move || {
        let mark = r#"{ "schema": 1, "retired_at": "2026-11-22T10:00:00Z", "reason": "x" }"#;
        std::fs::write(folder.join("retired.json"), mark).unwrap();
        std::fs::remove_file(folder.join("e")).unwrap();
    };
    let meddler = Meddler(std::sync::Mutex::new(Some(Box::new(retire))));
    let found = engineer
        .publisher
        .verify(None, None, Arc::new(meddler))
        .await
        .unwrap();
    assert!(!engineer.stored("artifacts/agent/1.0/e").exists());
    assert_eq!(found.damage, []);
}

/// A write that was under way when the publish failed ends a moment later, and gives its space back only then.
fn await_room(path: &Path, bytes: u64) {
    poll(PATIENCE, "the disk has its room again", || {
        let disk = rustix::fs::statvfs(path).unwrap();
        (disk.f_bfree * disk.f_frsize >= bytes).then_some(())
    });
}

#[tokio::test]
async fn a_full_disk_fails_clearly_and_the_repeat_succeeds_when_there_is_room() {
    let disk = Mount::tmpfs("24m");
    let store = Arc::new(DirectoryStore::init(disk.path().join("store")).unwrap());
    let publisher = publisher_to(Arc::clone(&store));
    let engineer = Engineer::new();
    let folder = engineer.files(&[("large", &vec![1; 9 << 20]), ("small", &vec![2; 3 << 20])]);
    let filler = disk.path().join("filler");
    for room in [11, 4, 1] {
        std::fs::write(&filler, vec![0; (24 - room) << 20]).unwrap();
        let request = request("agent", "1.0", &[&folder]);
        let error = publisher
            .publish(request, Arc::new(Silent))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.to_string().contains("No space left"), "{source}");
        assert!(tree(&store.path().join("artifacts")).is_empty());
        std::fs::remove_file(&filler).unwrap();
        await_room(disk.path(), 23 << 20);
    }
    let request = request("agent", "1.0", &[&folder]);
    publisher.publish(request, Arc::new(Silent)).await.unwrap();
    assert!(
        publisher
            .verify(None, None, Arc::new(Silent))
            .await
            .unwrap()
            .damage
            .is_empty()
    );
}

#[tokio::test]
async fn a_read_only_store_is_listed_verified_and_rehearsed_but_not_written() {
    let engineer = Engineer::new();
    engineer
        .publish("agent", "1.0", &[("a", b"1")])
        .await
        .unwrap();
    let view = Mount::read_only(engineer.store.path(), &engineer.files(&[]).join("view"));
    let store = Arc::new(DirectoryStore::open(view.path()).unwrap());
    let publisher = publisher_to(store);
    assert_eq!(publisher.releases(None).await.unwrap().found.len(), 1);
    assert!(
        publisher
            .verify(None, None, Arc::new(Silent))
            .await
            .unwrap()
            .damage
            .is_empty()
    );
    publisher.prune(0, Mode::DryRun).await.unwrap();
    let folder = engineer.files(&[("a", b"2")]);
    let mut request = request("agent", "2.0", &[&folder]);
    let error = publisher
        .publish(request.clone(), Arc::new(Silent))
        .await
        .unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert!(
        source.to_string().contains("Read-only file system"),
        "{source}"
    );
    request.mode = Mode::DryRun;
    publisher.publish(request, Arc::new(Silent)).await.unwrap();
}
