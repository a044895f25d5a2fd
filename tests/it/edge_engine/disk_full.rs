//! A disk for bodies that is full: the viewers must not notice.
//!
//! Owns what is delivered and what is said when a body cannot be kept. The disk is a real one, of 4 MiB.

use std::io::Write;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;

use super::rig::{Gate, MIB, Origin, Setup, head, honest, pattern, until, whole};
use crate::support::mount::Mount;

/// What was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

// One thread, so that the log of this test is its own.
#[tokio::test]
async fn a_body_that_the_disk_cannot_take_arrives_whole_each_time_within_bounded_memory() {
    let lines = Lines::default();
    let writer = lines.clone();
    let logging = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(logging);
    let disk = Mount::tmpfs("4m");
    let body = pattern(32 * MIB);
    let origin = Origin::start(honest(body.clone()));
    let mut setup = Setup::of(&origin);
    setup.memory_object_max = MIB as u64;
    setup.disk = Some(disk.path().to_owned());
    let edge = setup.start().await;
    for nth in 1..=2 {
        // Both are attached before the disk is full: one reads along to the end, one goes away.
        let gate = Gate::default();
        let (held, sent) = (gate.clone(), body.clone());
        origin.now(move |_, stream| {
            let fields = "Cache-Control: max-age=60\r\n";
            head(stream, "200 OK", fields, sent.len());
            held.wait();
            stream.write_all(&sent).is_ok()
        });
        let (first, mut leaving) = (
            edge.open("GET", "/a", &[]).await,
            edge.open("GET", "/a", &[]).await,
        );
        gate.open();
        leaving.body_mut().frame().await.unwrap().unwrap();
        drop(leaving);
        let (mut first, mut got, mut peak) = (first.into_body(), Vec::new(), 0);
        while let Some(frame) = first.frame().await {
            let frame = frame.expect("no break in the middle");
            got.extend_from_slice(frame.data_ref().unwrap());
            peak = peak.max(edge.engine.memory_bytes());
        }
        assert!(got == body, "{nth}: {} bytes", got.len());
        assert!(peak <= 8 * MIB as u64, "{peak} bytes in memory");
        until("nothing is kept", || edge.engine.memory_bytes() == 0).await;
        assert_eq!(origin.count(), nth, "one fetch for both");
    }
    origin.now(honest(body.clone()));
    let ranged = whole(edge.open("GET", "/a", &[("range", "bytes=0-9")]).await).await;
    assert_eq!((ranged.body.as_slice(), origin.count()), (&body[..10], 3));
    let said = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(said.matches("cannot write bodies").count(), 1, "{said}");
}
