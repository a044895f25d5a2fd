//! `headwater demo`: all of it at work on one machine, in a directory of its own.
//!
//! Owns the story: publish, promote, serve, and a device that breaks off half-way, resumes, verifies and asks again.
//! Every part of it is the real one; only the image is made up. Never puts anything in front of the origin: the story
//! with an edge is in `demo/edge.rs`.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::failure::Exit;
use super::output::{Bar, Column, Output, size, table};
use super::{Context, Failure};
use crate::assembly::{self, AssemblyError, Origin};
use crate::catalog::Release;
use crate::config::{Channels, Config, StoreLocation};
use crate::device::{self, Ask, Choice, Client, GetRequest, Patience, Watcher};
use crate::model::{
    ArtifactName, ChannelName, Locator, NameError, Platform, Product, ReleaseId, Version,
};
use crate::publish::{Mode, PublishRequest};

mod edge;

/// Publish, serve, fetch, resume and verify, on this machine and in a minute
#[derive(Args, Debug)]
#[command(after_help = "\
Publishes this program and a made-up image of 64 MiB, starts an origin on free loopback ports, and acts as a device: \
checks the channel, breaks a download off half-way, resumes it, verifies the digest and asks again. Then serves until \
Ctrl-C. Everything happens in one temporary directory, which is removed at the end.

With --edge, an edge is in front of the origin, and devices at three of its POPs follow a channel: first misses, then \
hits, a promote without a purge, one with.

Examples:
  headwater demo
  headwater demo --edge --once")]
pub(super) struct Typed {
    /// End after the story instead of serving until Ctrl-C
    #[arg(long)]
    once: bool,

    /// Put an edge in front of the origin, and devices at three POPs behind it
    #[arg(long)]
    edge: bool,
}

/// Large enough for a progress bar to be seen, small enough for any temporary directory.
const IMAGE_BYTES: usize = 64 * 1024 * 1024;
/// Any number but zero.
const IMAGE_SEED: u64 = 0x4865_6164_7761_7465;
const IMAGE: &str = "image.bin";
const PRODUCT: &str = "demo";
const CHANNEL: &str = "stable";
/// Nothing on loopback takes this long; a demo that hangs should say so.
const PATIENCE: Patience = Patience {
    stall_timeout: Duration::from_secs(10),
    retries_max: 1,
};

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let stop = assembly::cancelled_by_signals()?;
        let directory = tempfile::Builder::new()
            .prefix("headwater-demo-")
            .tempdir()
            .map_err(failed("create a temporary directory"))?;
        let outcome = if self.edge {
            edge::tell(self.once, context.output, directory.path(), &stop)
        } else {
            self.tell(context.output, directory.path(), &stop)
        };
        // Also after an interruption and an error: the demo leaves nothing behind.
        let removed = directory
            .close()
            .map_err(failed("remove the temporary directory"));
        match outcome {
            Ok(End::Told) => removed,
            Ok(End::Interrupted) => removed.and(Err(Failure::new(Exit::Failed, "interrupted"))),
            Err(failure) => Err(failure),
        }
    }

    fn tell(
        &self,
        output: Output,
        directory: &Path,
        stop: &CancellationToken,
    ) -> Result<End, Failure> {
        let stage = Stage::new(directory)?;
        let story = async {
            tokio::select! {
                biased;
                () = stop.cancelled() => Ok(None),
                release = publish(&stage, output) => release.map(Some),
            }
        };
        let Some(release) = assembly::block_on(story)?? else {
            return Ok(End::Interrupted);
        };
        let origin = Serving::start(&stage.store, Config::default().channels)?;
        output.result(&format!(
            "origin     listening on {}, admin on {}\n",
            origin.url, origin.admin_url
        ))?;
        let story = async {
            tokio::select! {
                biased;
                () = stop.cancelled() => Ok(None),
                device = update(&stage, &origin.url, &release, output) => device.map(Some),
            }
        };
        let Some(requests) = assembly::block_on(story)?? else {
            return Ok(End::Interrupted);
        };
        output.result(&format!("\n{}", requests_table(&requests)))?;
        output.result(&origin.lines_to_try(&release))?;
        if !self.once {
            output.result("\nserving until Ctrl-C\n")?;
            assembly::block_on(stop.cancelled())?;
        }
        origin.stop()?;
        Ok(End::Told)
    }
}

/// How the demo ended.
enum End {
    /// With the whole story.
    Told,
    /// By a signal before its end.
    Interrupted,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot {action}")]
struct DemoError {
    action: &'static str,
    source: io::Error,
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> Failure {
    move |source| Failure::new(Exit::Failed, DemoError { action, source })
}

/// The names and places of the demo.
struct Stage {
    id: ReleaseId,
    channel: ChannelName,
    image: ArtifactName,
    program: PathBuf,
    image_path: PathBuf,
    store: StoreLocation,
    device: PathBuf,
}

impl Stage {
    fn new(directory: &Path) -> Result<Self, Failure> {
        let names = || -> Result<_, NameError> {
            let product = Product::parse(PRODUCT)?;
            let version = Version::parse(env!("CARGO_PKG_VERSION"))?;
            Ok((
                ReleaseId { product, version },
                ChannelName::parse(CHANNEL)?,
                ArtifactName::parse(IMAGE)?,
            ))
        };
        let (id, channel, image) = names().map_err(|error| Failure::new(Exit::Failed, error))?;
        let store = StoreLocation::Directory(directory.join("store"));
        assembly::create_store(&store)?;
        Ok(Self {
            id,
            channel,
            image,
            program: std::env::current_exe().map_err(failed("find this program's own file"))?,
            image_path: directory.join(IMAGE),
            store,
            device: directory.join("device"),
        })
    }
}

/// The release engineer: publishes this program and an image, and promotes them.
async fn publish(stage: &Stage, output: Output) -> Result<Release, Failure> {
    let path = stage.image_path.clone();
    let made = tokio::task::spawn_blocking(move || make_image(&path, IMAGE_BYTES, IMAGE_SEED));
    let made = made.await;
    made.map_err(io::Error::other)
        .and_then(|made| made)
        .map_err(failed("make an image"))?;
    let program = stage
        .program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let runs_on =
        ArtifactName::parse(&program).map_err(|error| Failure::new(Exit::Failed, error))?;
    let request = PublishRequest {
        id: stage.id.clone(),
        paths: vec![stage.program.clone(), stage.image_path.clone()],
        platforms: vec![(runs_on, Platform::of_this_machine())],
        notes: Some("made by `headwater demo`".to_owned()),
        mode: Mode::Commit,
    };
    let publisher = assembly::publisher(&stage.store)?;
    let bar = output.bar();
    let done = publisher.publish(request, bar.clone()).await?;
    bar.finish();
    let bytes = done
        .release
        .artifacts
        .iter()
        .map(|artifact| artifact.size)
        .sum();
    output.result(&format!(
        "published  {} with `{program}` and `{IMAGE}`, {}\n",
        stage.id,
        size(bytes)
    ))?;
    let moved = publisher.promote(&stage.id, &stage.channel, None).await?;
    output.result(&format!(
        "promoted   {}",
        super::promote::describe(&moved.channel)
    ))?;
    Ok(done.release)
}

/// Bytes that no file system or network can compress away, the same in every run.
fn make_image(path: &Path, bytes: usize, seed: u64) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1024 * 1024, File::create_new(path)?);
    let mut state = seed;
    for _ in 0..bytes / 8 {
        // xorshift64 (Marsaglia 2003): random enough for a demo and as fast as the disk.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes())?;
    }
    file.flush()
}

/// The device: breaks off half-way, resumes, verifies, asks again.
async fn update(
    stage: &Stage,
    url: &str,
    release: &Release,
    output: Output,
) -> Result<Vec<Request>, Failure> {
    let request = GetRequest {
        from: url.to_owned(),
        product: stage.id.product.clone(),
        channel: stage.channel.clone(),
        choice: Choice::Named(stage.image.clone()),
        output: stage.device.clone(),
        retries_max: PATIENCE.retries_max,
        stall_timeout: PATIENCE.stall_timeout,
    };
    std::fs::create_dir_all(&stage.device).map_err(failed("make a folder for the device"))?;

    let half = CancellationToken::new();
    let witness = Witness::new(output, Some(half.clone()));
    tokio::select! {
        biased;
        () = half.cancelled() => {} // drops the download, and its connection with it
        got = device::get(request.clone(), witness.clone()) => {
            got?;
            let whole = "the download ended before it could be broken off";
            return Err(Failure::new(Exit::Failed, whole));
        }
    }
    let mut requests = witness.requests("breaks off");
    output.result("device     checked the channel, broke the download off half-way\n")?;

    let witness = Witness::new(output, None);
    let got = device::get(request, witness.clone()).await?;
    requests.extend(witness.requests("resumes"));
    output.result(&format!(
        "device     resumed: {} kept, {} fetched\nverified   sha256 {}\n",
        size(got.bytes_resumed),
        size(got.bytes_transferred),
        got.sha256
    ))?;

    let witness = Witness::new(output, None);
    let client = Client::new(url, PATIENCE, witness.clone())?;
    let image = Locator::Artifact(release.id(), stage.image.clone());
    let answer = client.fetch(&image, Ask::UnlessIs(got.sha256)).await;
    let status = answer
        .map_err(|error| Failure::new(Exit::Failed, error))?
        .status();
    requests.extend(witness.requests("asks again"));
    if status != http::StatusCode::NOT_MODIFIED {
        let odd =
            format!("asked again for what it has, the device was answered {status} instead of 304");
        return Err(Failure::new(Exit::Failed, odd));
    }
    Ok(requests)
}

/// One request of the device.
struct Request {
    step: &'static str,
    what: String,
    status: u16,
    bytes: u64,
    took: Duration,
}

/// Watches a download: draws the bar, notes the requests, and says when half of the bytes are here.
struct Witness {
    bar: Arc<Bar>,
    half: Option<CancellationToken>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    size: u64,
    have: u64,
    requests: Vec<(String, u16, u64, Duration)>,
}

impl Witness {
    fn new(output: Output, half: Option<CancellationToken>) -> Arc<Self> {
        Arc::new(Self {
            bar: output.bar(),
            half,
            seen: Mutex::default(),
        })
    }

    fn look<T>(&self, at: impl FnOnce(&mut Seen) -> T) -> T {
        // Nothing in here can panic half-way; if it did, the numbers would still be numbers.
        at(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the requests seen so far, and the bar off the screen.
    fn requests(&self, step: &'static str) -> Vec<Request> {
        self.bar.finish();
        let requests = self.look(|seen| std::mem::take(&mut seen.requests));
        let named = requests
            .into_iter()
            .map(|(what, status, bytes, took)| Request {
                step,
                what,
                status,
                bytes,
                took,
            });
        named.collect()
    }
}

impl Watcher for Witness {
    fn start(&self, size: u64, have: u64) {
        Watcher::start(&*self.bar, size, have);
        self.look(|seen| (seen.size, seen.have) = (size, have));
    }

    fn advance(&self, bytes: u64) {
        Watcher::advance(&*self.bar, bytes);
        let is_half = self.look(|seen| {
            seen.have += bytes;
            seen.have >= seen.size / 2
        });
        if let Some(half) = self.half.as_ref().filter(|_token| is_half) {
            half.cancel();
        }
    }

    fn request(&self, what: &str, status: u16, bytes: u64, took: Duration) {
        self.look(|seen| seen.requests.push((what.to_owned(), status, bytes, took)));
    }
}

fn requests_table(requests: &[Request]) -> String {
    let header = [
        ("DEVICE", Column::Left),
        ("REQUEST", Column::Left),
        ("STATUS", Column::Right),
        ("BYTES", Column::Right),
        ("TIME", Column::Right),
    ];
    let cells = |request: &Request| {
        vec![
            request.step.to_owned(),
            request.what.clone(),
            request.status.to_string(),
            request.bytes.to_string(),
            format!("{:.1} ms", request.took.as_secs_f64() * 1000.0),
        ]
    };
    let total = Request {
        step: "in all",
        what: format!("{} requests", requests.len()),
        status: 0,
        bytes: requests.iter().map(|request| request.bytes).sum(),
        took: requests.iter().map(|request| request.took).sum(),
    };
    let mut last = cells(&total);
    last[2].clear(); // a sum of requests has no status
    table(&header, requests.iter().map(cells).chain([last]))
}

/// A server, on a thread of its own.
struct Running {
    shutdown: CancellationToken,
    thread: Option<std::thread::JoinHandle<Result<(), AssemblyError>>>,
}

/// The origin.
struct Serving {
    url: String,
    admin_url: String,
    running: Running,
}

impl Serving {
    fn start(store: &StoreLocation, channels: Channels) -> Result<Self, Failure> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut config = Config {
            store: store.clone(),
            channels,
            ..Config::default()
        };
        (config.server.listen, config.server.admin) = (free, free);
        // Who ends a demo does not want to wait for the downloads of others.
        config.server.drain_grace = Duration::from_secs(1);
        let origin = Origin::bind(config)?;
        let (url, admin_url) = (
            format!("http://{}", origin.listen_address()?),
            format!("http://{}", origin.admin_address()?),
        );
        let running = Running::start("origin", move |until| origin.run(until))?;
        Ok(Self {
            url,
            admin_url,
            running,
        })
    }

    fn lines_to_try(&self, release: &Release) -> String {
        let (url, admin) = (&self.url, &self.admin_url);
        let path = |name: &str| {
            let name = ArtifactName::parse(name).ok()?;
            Some(Locator::Artifact(release.id(), name).to_url_path())
        };
        let image = path(IMAGE).unwrap_or_default();
        format!(
            "
try        curl {url}/channels/{PRODUCT}/{CHANNEL}.json
           curl -I {url}{image}
           curl -r 0-99 -o /dev/null -D - {url}{image}
           curl -L -o /tmp/{IMAGE} {url}/channels/{PRODUCT}/{CHANNEL}/{IMAGE}
           curl {admin}/metrics
"
        )
    }

    fn stop(self) -> Result<(), Failure> {
        self.running.stop()
    }
}

impl Running {
    fn start(
        name: &str,
        serve: impl FnOnce(&CancellationToken) -> Result<(), AssemblyError> + Send + 'static,
    ) -> Result<Self, Failure> {
        let shutdown = CancellationToken::new();
        let until = shutdown.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || serve(&until))
            .map_err(failed("start a server's thread"))?;
        Ok(Self {
            shutdown,
            thread: Some(thread),
        })
    }

    fn stop(mut self) -> Result<(), Failure> {
        self.shutdown.cancel();
        match self.thread.take().map(std::thread::JoinHandle::join) {
            Some(Ok(served)) => Ok(served?),
            Some(Err(_panic)) => Err(Failure::new(Exit::Failed, "a server's thread panicked")),
            None => Ok(()),
        }
    }
}

/// Also when the story ends early: the directory that the origin reads is removed next.
impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
