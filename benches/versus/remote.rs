//! The seventh question: what does it cost that the store is a bucket?
//!
//! Warm: a core's throughput from blocks in memory against the same artifact from a directory. Cold: one download of
//! an artifact that nobody asked for before, through an origin, against the bare S3 client that reads it whole. The
//! origin and the bare client take turns on one core; the bucket and whoever receives are on the other.

use std::process::Command;
use std::time::{Duration, Instant};

use object_store::ObjectStoreExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};

use crate::bucket::{self, Bucket};
use crate::cores::Cores;
use crate::load::{Group, Load, Repeat, Until};
use crate::servers::{self, Server};
use crate::site::{self, Served, Site};
use crate::table::{self, Table};
use crate::{Failure, Options, median};

/// The artifact that is downloaded warm: it fits into the default memory for blocks.
const WARM_BYTES: u64 = 256 << 20;

/// How much of the directory's throughput per processor, and of the bare client's, is promised.
const PROMISED_SHARE: f64 = 0.7;

/// A cold download that takes longer is broken.
const COLD_MAX: Duration = Duration::from_secs(600);

/// Measures, alternating, and prints the table.
pub fn run(options: &Options, site: &Site, cores: &Cores) -> Result<(), Failure> {
    let cold_bytes = if options.test {
        64 << 20
    } else {
        options.s3_size
    };
    let files = site.publish(
        "7.0.0",
        &[("warm".into(), WARM_BYTES), ("cold".into(), cold_bytes)],
    )?;
    let (warm, cold) = (&files[0], &files[1]);
    let bucket = Bucket::serve(&site.store())?;
    let mut figures: [Vec<f64>; 4] = Default::default();
    for _ in 0..options.long_rounds() {
        let directory = Server::headwater(site, cores)?;
        site::warm(&warm.file)?;
        figures[0].push(per_core(options, &directory, warm)?);
        drop(directory);
        let origin = servers::headwater_from(site, cores, &over(&bucket))?;
        figures[1].push(per_core(options, &origin, warm)?);
        drop(origin);
        figures[2].push(bare(cores, &bucket, cold)?);
        let origin = servers::headwater_from(site, cores, &over(&bucket))?;
        figures[3].push(download(&origin, cold)?);
    }
    let of = |at: usize| median(figures[at].iter().copied());
    let mut table = Table::new("what|MB/s|share|promise");
    let rows = [
        ("warm, from a directory, per processor second", 0, None),
        (
            "warm, from blocks in memory, per processor second",
            1,
            Some(0),
        ),
        ("cold, the bare client", 2, None),
        ("cold, through an origin", 3, Some(2)),
    ];
    for (what, at, against) in rows {
        let share = against.map(|against| of(at) / of(against));
        let promise = share.map_or("", |share| {
            if share >= PROMISED_SHARE {
                "≥ 0.7 met"
            } else {
                "≥ 0.7 MISSED"
            }
        });
        let share = share.map_or(String::new(), table::figure);
        table.row([
            what.to_owned(),
            table::figure(of(at)),
            share,
            promise.to_owned(),
        ]);
    }
    println!(
        "{} warm on 16 connections, {} cold on one; medians of {} rounds.\n\n{table}",
        table::size(WARM_BYTES),
        table::size(cold_bytes),
        options.long_rounds()
    );
    Ok(())
}

/// The arguments and the environment of an origin over the bucket.
fn over(bucket: &Bucket) -> impl Fn(&mut Command) {
    let endpoint = format!("http://{}", bucket.address);
    move |command| {
        command.args(["--store", &format!("s3://{}", bucket::NAME)]);
        command.envs([
            ("AWS_ACCESS_KEY_ID", bucket::KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", bucket::SECRET),
            ("AWS_REGION", bucket::REGION),
            ("AWS_ENDPOINT_URL", &endpoint),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]);
    }
}

fn group(server: &Server, file: &Served, connections: usize, repeat: Repeat) -> Group {
    Group {
        address: server.address,
        path: file.url_path.clone(),
        range: None,
        body_bytes: file.bytes,
        connections,
        repeat,
    }
}

/// Megabytes for each second of the server's processor time, once everything is in memory.
#[expect(clippy::cast_precision_loss, reason = "bytes of a few seconds")]
fn per_core(options: &Options, server: &Server, file: &Served) -> Result<f64, Failure> {
    download(server, file)?;
    let mut load = Load::connect(vec![group(server, file, 16, Repeat::Forever)])?;
    load.run(Until::Elapsed(Duration::from_millis(300)))?;
    let before = server.subject.cpu()?;
    let report = load.run(Until::Elapsed(options.window()))?;
    let used = server.subject.cpu()?.saturating_sub(before);
    Ok(report.tallies[0].body_bytes as f64 / 1e6 / used.as_secs_f64())
}

/// Megabytes a second of one download.
#[expect(clippy::cast_precision_loss, reason = "bytes of a few seconds")]
fn download(server: &Server, file: &Served) -> Result<f64, Failure> {
    let mut load = Load::connect(vec![group(server, file, 1, Repeat::Once)])?;
    let report = load.run(Until::OnceDone(COLD_MAX))?;
    Ok(report.tallies[0].body_bytes as f64 / 1e6 / report.elapsed.as_secs_f64())
}

/// Megabytes a second of the client alone, on the server's core.
#[expect(clippy::cast_precision_loss, reason = "bytes of a few seconds")]
fn bare(cores: &Cores, bucket: &Bucket, file: &Served) -> Result<f64, Failure> {
    // reqwest asks for a provider even where nothing is encrypted; a second round finds the first one's.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client: AmazonS3 = AmazonS3Builder::new()
        .with_bucket_name(bucket::NAME)
        .with_region(bucket::REGION)
        .with_endpoint(format!("http://{}", bucket.address))
        .with_allow_http(true)
        .with_access_key_id(bucket::KEY_ID)
        .with_secret_access_key(bucket::SECRET)
        .build()?;
    let path = object_store::path::Path::from(file.url_path.trim_start_matches('/'));
    cores.use_server()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let began = Instant::now();
    let read = runtime.block_on(async {
        let mut read = 0;
        let mut stream = client.get(&path).await?.into_stream();
        while let Some(chunk) = std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
            read += chunk?.len() as u64;
        }
        Ok::<u64, object_store::Error>(read)
    });
    let took = began.elapsed();
    cores.use_client()?;
    let read = read?;
    if read != file.bytes {
        return Err(format!("the bare client read {read} of {} bytes", file.bytes).into());
    }
    Ok(read as f64 / 1e6 / took.as_secs_f64())
}
