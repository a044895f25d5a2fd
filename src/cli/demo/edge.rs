//! `headwater demo --edge`: an edge in front of the origin, and devices at three POPs before and after a promote.
//!
//! Owns that story: first misses, then hits, an old channel until its lifetime ends, a purge that ends it everywhere at
//! once. Origin, edge and devices are the real ones; the images are made up, and the purge is handed to the edge without
//! its API and takes effect at once, where CloudFront's takes seconds. Never explains the edge's rules: `headwater edge`
//! does.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use tokio_util::sync::CancellationToken;

use super::{CHANNEL, End, IMAGE, PATIENCE, PRODUCT, Running, Serving, failed, make_image};
use crate::assembly::{self, Desk, Edge};
use crate::catalog::{Artifact, Channel};
use crate::cdn::{Change, PurgeSet, Redirects};
use crate::cli::Failure;
use crate::cli::failure::Exit;
use crate::cli::output::{Column, Output, size, table};
use crate::config::{Channels, Flags, StoreLocation};
use crate::device::through::Pop;
use crate::device::{Client, Unwatched, Watcher};
use crate::edge::settings::{Settings, keys};
use crate::model::{ChannelName, NameError, Product, ReleaseId, Version};
use crate::publish::{Mode, PublishRequest, Publisher, Silent};

/// Large enough to be told from a document, small enough for a demo that ends in seconds.
const IMAGE_BYTES: usize = 4 * 1024 * 1024;

/// What a device is told of first, what it is told of late, and what it is told of at once.
const VERSIONS: [&str; 3] = ["1.0.0", "1.1.0", "1.2.0"];

const POPS: usize = 3;

/// Long enough to see an old copy, short enough to wait for its end.
const CHANNEL_MAX_AGE: Duration = Duration::from_secs(3);

/// How often a POP is asked again whose copy should be over.
const AGAIN: Duration = Duration::from_millis(200);

/// A copy that outlives its lifetime by so many looks is a defect of the edge.
const LOOKS_MAX: usize = 50;

/// Tells the story and, unless it is to be told `once`, goes on serving.
pub(super) fn tell(
    once: bool,
    output: Output,
    directory: &Path,
    stop: &CancellationToken,
) -> Result<End, Failure> {
    let stage = Stage::new(directory)?;
    let published = async {
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(None),
            published = stage.publish(output) => published.map(Some),
        }
    };
    let Some(artifacts) = assembly::block_on(published)?? else {
        return Ok(End::Interrupted);
    };
    let channels = Channels {
        max_age: CHANNEL_MAX_AGE,
        // So that the end of its lifetime is the end of a copy.
        stale_while_revalidate: Duration::ZERO,
        ..crate::config::Config::default().channels
    };
    let origin = Serving::start(&stage.store, channels)?;
    let edge = Front::start(&origin.url)?;
    output.result(&format!(
        "origin     listening on {}\nedge       listening on {}, POPs 0 to {}\n",
        origin.url,
        edge.url,
        POPS - 1
    ))?;
    let mut tour = Tour::new(&stage, &origin, &edge, artifacts);
    let told = async {
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(End::Interrupted),
            told = tour.go(output) => told.map(|()| End::Told),
        }
    };
    if let End::Interrupted = assembly::block_on(told)?? {
        return Ok(End::Interrupted);
    }
    output.result(&tour.report())?;
    if !once {
        let url = &edge.url;
        output.result(&format!(
            "
try        curl -sD - -H 'X-Edge-Pop: 0' {url}/channels/{PRODUCT}/{CHANNEL}.json
           headwater verify --store {} --through {url} --pops 0,1,2

serving until Ctrl-C
",
            stage.store_path.display()
        ))?;
        assembly::block_on(stop.cancelled())?;
    }
    edge.running.stop()?;
    origin.stop()?;
    Ok(End::Told)
}

/// The names and places of the story.
struct Stage {
    directory: PathBuf,
    store_path: PathBuf,
    store: StoreLocation,
    product: Product,
    channel: ChannelName,
    ids: Vec<ReleaseId>,
}

impl Stage {
    fn new(directory: &Path) -> Result<Self, Failure> {
        let names = || -> Result<_, NameError> {
            let product = Product::parse(PRODUCT)?;
            let mut ids = Vec::new();
            for version in VERSIONS {
                let (product, version) = (product.clone(), Version::parse(version)?);
                ids.push(ReleaseId { product, version });
            }
            Ok((product, ChannelName::parse(CHANNEL)?, ids))
        };
        let (product, channel, ids) = names().map_err(|error| Failure::new(Exit::Failed, error))?;
        let store_path = directory.join("store");
        let store = StoreLocation::Directory(store_path.clone());
        assembly::create_store(&store)?;
        Ok(Self {
            directory: directory.to_owned(),
            store_path,
            store,
            product,
            channel,
            ids,
        })
    }

    fn publisher(&self) -> Result<Publisher, Failure> {
        Ok(assembly::publisher(&self.store)?)
    }

    /// Publishes every release, and promotes the first. Says which artifact each of them has.
    async fn publish(&self, output: Output) -> Result<Vec<Artifact>, Failure> {
        let publisher = self.publisher()?;
        let mut artifacts = Vec::new();
        for (id, seed) in self.ids.iter().zip(1..) {
            let folder = self.directory.join(id.version.as_str());
            let path = folder.join(IMAGE);
            let made = path.clone();
            let made = tokio::task::spawn_blocking(move || {
                std::fs::create_dir_all(&folder)?;
                make_image(&made, IMAGE_BYTES, seed)
            });
            made.await
                .map_err(std::io::Error::other)
                .and_then(|made| made)
                .map_err(failed("make an image"))?;
            let request = PublishRequest {
                id: id.clone(),
                paths: vec![path],
                platforms: Vec::new(),
                notes: Some("made by `headwater demo --edge`".to_owned()),
                mode: Mode::Commit,
            };
            let done = publisher.publish(request, Arc::new(Silent)).await?;
            artifacts.extend(done.release.artifacts);
        }
        output.result(&format!(
            "published  {PRODUCT} {}, each with `{IMAGE}` of {}\n",
            VERSIONS.join(", "),
            size(IMAGE_BYTES as u64)
        ))?;
        let moved = publisher.promote(&self.ids[0], &self.channel, None).await?;
        let line = crate::cli::promote::describe(&moved.channel);
        output.result(&format!("promoted   {line}"))?;
        Ok(artifacts)
    }
}

/// The edge, on a thread of its own.
struct Front {
    url: String,
    desk: Desk,
    running: Running,
}

impl Front {
    fn start(origin: &str) -> Result<Self, Failure> {
        let flags = Flags::default()
            .with(keys::ORIGIN_URL, "--origin", Some(origin.to_owned()))
            .with(keys::LISTEN, "--listen", Some("127.0.0.1:0".to_owned()))
            .with(keys::POPS, "--pops", Some(POPS.to_string()));
        let mut settings = Settings::load(None, &flags)?;
        // Who ends a demo does not want to wait for the downloads of others.
        settings.listener.drain_grace = Duration::from_secs(1);
        let edge = Edge::bind(settings, None)?;
        let (url, desk) = (format!("http://{}", edge.listen_address()?), edge.desk());
        let running = Running::start("edge", move |until| edge.run(until))?;
        Ok(Self { url, desk, running })
    }
}

/// One request of a device.
struct Row {
    step: &'static str,
    pop: usize,
    what: String,
    status: u16,
    x_cache: String,
    age: String,
    /// What a channel said.
    version: String,
}

/// Notes the answers of one device.
#[derive(Default)]
struct Notes(Mutex<Vec<(String, u16, HeaderMap)>>);

impl Watcher for Notes {
    fn start(&self, _size: u64, _have: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn request(&self, _what: &str, _status: u16, _bytes: u64, _took: Duration) {}

    fn answered(&self, what: &str, status: u16, headers: &HeaderMap, _took: Duration) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push((what.to_owned(), status, headers.clone()));
    }
}

/// The story under way.
struct Tour<'a> {
    stage: &'a Stage,
    origin: &'a Serving,
    edge: &'a Front,
    artifacts: Vec<Artifact>,
    rows: Vec<Row>,
    devices: usize,
}

impl<'a> Tour<'a> {
    fn new(
        stage: &'a Stage,
        origin: &'a Serving,
        edge: &'a Front,
        artifacts: Vec<Artifact>,
    ) -> Self {
        Self {
            stage,
            origin,
            edge,
            artifacts,
            rows: Vec::new(),
            devices: 0,
        }
    }

    async fn go(&mut self, output: Output) -> Result<(), Failure> {
        for pop in 0..POPS {
            self.update("first", pop).await?;
        }
        for pop in 0..POPS {
            self.update("second", pop).await?;
        }
        output.result(
            "devices    the first at each POP found it empty, though not every cache behind it; the second did not\n",
        )?;

        self.promote(1, output, "without a purge").await?;
        let late = self.until_new(1).await?;
        output.result(&format!(
            "devices    POP 0 had the old channel when asked {late} time(s) more, until its {} s were over\n",
            CHANNEL_MAX_AGE.as_secs()
        ))?;

        // Every POP has the channel of this moment, and would keep it.
        for pop in 0..POPS {
            self.check("before", pop).await?;
        }
        let channel = self.promote(2, output, "and purged at the edge").await?;
        self.await_origin(channel.revision).await?;
        let purged = self.purge(&channel);
        for pop in 0..POPS {
            let channel = self.update("purged", pop).await?;
            self.insist_on(2, &channel)?;
        }
        output.result(&format!(
            "devices    every POP has the new channel at once: {purged} copies were purged\n"
        ))
    }

    /// A device of no memory at a POP: the channel, the release, the artifact.
    async fn update(&mut self, step: &'static str, pop: usize) -> Result<Channel, Failure> {
        let notes = Arc::new(Notes::default());
        let client = self.client(pop, notes.clone())?;
        let (stage, device) = (self.stage, self.devices);
        self.devices += 1;
        let channel = client.check(&stage.product, &stage.channel).await?;
        let release = client.release_document(&stage.product, &channel.release);
        let release = release.await?;
        let place = stage
            .ids
            .iter()
            .position(|it| it.version == release.version);
        let Some(artifact) = place.and_then(|at| self.artifacts.get(at)) else {
            return Err(odd(format!("a device was told of {}", release.version)));
        };
        let folder = stage.directory.join(format!("device-{device}"));
        std::fs::create_dir_all(&folder).map_err(failed("make a folder for a device"))?;
        client.download(&release.id(), artifact, &folder).await?;
        self.note(step, pop, &notes, &channel);
        Ok(channel)
    }

    /// A device at a POP that only asks what is current.
    async fn check(&mut self, step: &'static str, pop: usize) -> Result<Channel, Failure> {
        let notes = Arc::new(Notes::default());
        let client = self.client(pop, notes.clone())?;
        let (product, channel) = (&self.stage.product, &self.stage.channel);
        let channel = client.check(product, channel).await?;
        self.note(step, pop, &notes, &channel);
        Ok(channel)
    }

    fn client(&self, pop: usize, watcher: Arc<dyn Watcher>) -> Result<Client, Failure> {
        let pop = Pop::Named(pop.to_string());
        Ok(Client::at(&self.edge.url, &pop, PATIENCE, watcher)?)
    }

    fn note(&mut self, step: &'static str, pop: usize, notes: &Notes, channel: &Channel) {
        let mut notes = notes.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (what, status, headers) in notes.drain(..) {
            let field = |name| {
                let value = headers.get(name).and_then(|value| value.to_str().ok());
                value.unwrap_or("-").to_owned()
            };
            self.rows.push(Row {
                step,
                pop,
                status,
                x_cache: field("x-cache"),
                age: field("age"),
                version: match what.as_str() {
                    "channel" => channel.release.version.to_string(),
                    _ => String::new(),
                },
                what,
            });
        }
    }

    async fn promote(&self, to: usize, output: Output, how: &str) -> Result<Channel, Failure> {
        let publisher = self.stage.publisher()?;
        let moved = publisher
            .promote(&self.stage.ids[to], &self.stage.channel, None)
            .await?;
        let line = crate::cli::promote::describe(&moved.channel);
        output.result(&format!("promoted   {}, {how}\n", line.trim_end()))?;
        Ok(moved.channel)
    }

    /// Asks one POP until it has release `to`; says how often it had not.
    async fn until_new(&mut self, to: usize) -> Result<usize, Failure> {
        for looks in 0..LOOKS_MAX {
            let channel = self.check("promoted", 0).await?;
            if channel.release.version == self.stage.ids[to].version {
                return Ok(looks);
            }
            let age = self.rows.last().and_then(|row| row.age.parse().ok());
            let left = CHANNEL_MAX_AGE.saturating_sub(Duration::from_secs(age.unwrap_or(0)));
            tokio::time::sleep(left.max(AGAIN)).await;
        }
        Err(odd("a copy of the channel outlives its lifetime".to_owned()))
    }

    /// A purge that overtakes the origin would bring the old document back.
    async fn await_origin(&self, revision: u64) -> Result<(), Failure> {
        let client = Client::new(&self.origin.url, PATIENCE, Arc::new(Unwatched))?;
        for _ in 0..LOOKS_MAX {
            let (product, channel) = (&self.stage.product, &self.stage.channel);
            if client.check(product, channel).await?.revision >= revision {
                return Ok(());
            }
            tokio::time::sleep(AGAIN).await;
        }
        Err(odd("the origin does not notice the promote".to_owned()))
    }

    fn purge(&self, channel: &Channel) -> usize {
        let set = PurgeSet::of(&Change::Channel {
            product: &channel.product,
            channel: &channel.channel,
            redirects: Redirects::Any,
        });
        self.edge.desk.purge(&set.paths())
    }

    fn insist_on(&self, to: usize, channel: &Channel) -> Result<(), Failure> {
        let (is, should) = (&channel.release.version, &self.stage.ids[to].version);
        if is == should {
            return Ok(());
        }
        Err(odd(format!(
            "after a purge, a device is told of {is} instead of {should}"
        )))
    }

    fn report(&self) -> String {
        let header = [
            ("DEVICE", Column::Left),
            ("POP", Column::Right),
            ("REQUEST", Column::Left),
            ("STATUS", Column::Right),
            ("X-CACHE", Column::Left),
            ("AGE", Column::Right),
            ("CHANNEL SAYS", Column::Left),
        ];
        let cells = |row: &Row| {
            vec![
                row.step.to_owned(),
                row.pop.to_string(),
                row.what.clone(),
                row.status.to_string(),
                row.x_cache.clone(),
                row.age.clone(),
                row.version.clone(),
            ]
        };
        let stats = self.edge.desk.stats();
        format!(
            "\n{}\nin all     {} requests of devices, {} of the edge to the origin\n           {} to devices, {} from the origin\n",
            table(&header, self.rows.iter().map(cells)),
            self.rows.len(),
            stats.books.origin_requests,
            size(stats.books.viewer_bytes),
            size(stats.origin_bytes),
        )
    }
}

fn odd(what: String) -> Failure {
    Failure::new(Exit::Failed, what)
}
