//! An origin in this process, for benches that measure what is in front of it.
//!
//! Owns its store, its thread and its end. Never measures.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use headwater::assembly::{self, Origin};
use headwater::config::{Config, StoreLocation};
use headwater::model::{ChannelName, Product, ReleaseId, Version};
use headwater::publish::{Mode, PublishRequest, Silent};
use tokio_util::sync::CancellationToken;

use crate::sample;

/// An origin on its own thread.
pub struct Running {
    /// Where devices connect.
    pub address: SocketAddr,
    shutdown: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Publishes files of these names and sizes as `bench 1.0.0`, channel `stable`, and serves them with one thread.
    pub fn start(folder: &Path, files: &[(&str, u64)]) -> Self {
        let location = StoreLocation::Directory(folder.join("store"));
        publish(&location, &folder.join("input"), files);
        let mut config = Config {
            store: location,
            ..Config::default()
        };
        config.server.listen = (Ipv4Addr::LOCALHOST, 0).into();
        config.server.admin = (Ipv4Addr::LOCALHOST, 0).into();
        config.server.threads = NonZeroUsize::MIN;
        let origin = Origin::bind(config).expect("free ports and a store");
        let address = origin.listen_address().expect("a bound listener");
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let thread = thread::spawn(move || origin.run(&stop).expect("an origin that serves"));
        Self {
            address,
            shutdown,
            thread: Some(thread),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("an origin that ends in peace");
        }
    }
}

fn publish(location: &StoreLocation, input: &Path, files: &[(&str, u64)]) {
    std::fs::create_dir(input).expect("a folder");
    for (name, bytes) in files {
        sample::write_file(&input.join(name), *bytes, *bytes).expect("an input file");
    }
    assembly::create_store(location).expect("a new store");
    let publisher = assembly::publisher(location).expect("a publisher");
    let request = PublishRequest {
        id: ReleaseId {
            product: Product::parse("bench").expect("a legal name"),
            version: Version::parse("1.0.0").expect("a legal name"),
        },
        paths: vec![input.to_owned()],
        platforms: Vec::new(),
        notes: None,
        mode: Mode::Commit,
    };
    let id = request.id.clone();
    let channel = ChannelName::parse("stable").expect("a legal name");
    assembly::block_on(async {
        let release = publisher.publish(request, Arc::new(Silent)).await;
        release.expect("a publish");
        let moved = publisher.promote(&id, &channel, None).await;
        moved.expect("a promotion");
    })
    .expect("a runtime");
}
