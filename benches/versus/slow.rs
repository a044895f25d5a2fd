//! The third question: what do thousands of slow downloads of a large artifact cost in memory?
//!
//! Every connection reads a few KiB each second, so that the server holds all of them half-way at once. Memory that
//! the kernel can take back (mapped files) is shown but not judged; memory of the kernel's sockets is shown too.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::cores::Cores;
use crate::servers::{FileReads, Server};
use crate::site::{self, Served, Site};
use crate::table::{self, Table};
use crate::usage::{Memory, kernel_socket_bytes};
use crate::{Contestant, Failure, Options};

/// What everybody downloads.
const ARTIFACT_BYTES: u64 = 256 << 20;

/// How often each connection reads its share.
const BEAT: Duration = Duration::from_secs(1);

/// What a segment carries on the Internet. Loopback's 64 KiB would make a nearly full window wait for probe timers,
/// which no real slow client does.
const SEGMENT_BYTES: u32 = 1448;

/// What a client's kernel may hold of a download. In the world it is the client's memory; here both ends are this
/// machine's, and 5,000 buffers that grow freely reach its limit for all of TCP, after which the kernel, and no longer
/// the server, decides who gets bytes.
const RECEIVE_BUFFER_BYTES: usize = 16 << 10;

/// Descriptors beside the connections: logs, the store, the runtime.
const SPARE_DESCRIPTORS: u64 = 1000;

/// What one server needed.
struct Sample {
    idle: Memory,
    peak: Memory,
    kernel_bytes: u64,
    cpu_share: f64,
    body_bytes: u64,
}

/// Measures each server alone and prints the table.
pub fn run(options: &Options, site: &Site, cores: &Cores) -> Result<(), Failure> {
    raise_descriptor_limit(options.slow_connections as u64 + SPARE_DESCRIPTORS)?;
    let files = site.publish("3.0.0", &[("slow.bin".to_owned(), ARTIFACT_BYTES)])?;
    let headings = "server|anon MiB before|anon MiB|KiB/download|resident MiB\
                    |kernel sockets MiB|CPU %|delivered MiB|promise";
    let mut table = Table::new(headings);
    let mut reference = None;
    for (who, name) in [
        (Contestant::Nginx, "nginx"),
        (Contestant::Headwater, "headwater"),
    ] {
        if !options.has(who) {
            continue;
        }
        let server = match who {
            Contestant::Nginx => Server::nginx(site, cores, FileReads::InWorker)?,
            _ => Server::headwater(site, cores)?,
        };
        let sample =
            measure(options, &server, &files[0]).map_err(|error| format!("{name}: {error}"))?;
        let promise = match (who, reference) {
            (Contestant::Headwater, Some(limit)) if sample.peak.anonymous <= limit => "≤ nginx met",
            (Contestant::Headwater, Some(_)) => "≤ nginx MISSED",
            _ => "",
        };
        if who == Contestant::Nginx {
            reference = Some(sample.peak.anonymous);
        }
        let each = (sample.peak.anonymous - sample.idle.anonymous.min(sample.peak.anonymous))
            / options.slow_connections as u64;
        table.row([
            name.to_owned(),
            table::mebibytes(sample.idle.anonymous),
            table::mebibytes(sample.peak.anonymous),
            table::mebibytes(each * 1024),
            table::mebibytes(sample.peak.resident),
            table::mebibytes(sample.kernel_bytes),
            table::figure(sample.cpu_share * 100.0),
            table::mebibytes(sample.body_bytes),
            promise.to_owned(),
        ]);
    }
    println!(
        "{} downloads of {}, each reading {} KiB/s, for {} s; peaks.\n\n{table}",
        options.slow_connections,
        table::size(ARTIFACT_BYTES),
        options.slow_rate_kib,
        options.slow_seconds,
    );
    Ok(())
}

fn measure(options: &Options, server: &Server, file: &Served) -> Result<Sample, Failure> {
    site::warm(&file.file)?;
    let idle = server.subject.memory()?;
    let kernel_before = kernel_socket_bytes()?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: origin.example\r\n\r\n",
        file.url_path
    );
    let mut downloads = Vec::with_capacity(options.slow_connections);
    for _ in 0..options.slow_connections {
        downloads.push((open(server.address, request.as_bytes())?, 0));
    }
    let mut share = vec![0; options.slow_rate_kib << 10];
    let (mut peak, mut kernel_bytes) = (Memory::default(), 0);
    let (started, cpu_before) = (Instant::now(), server.subject.cpu()?);
    for beat in 1..=options.slow_seconds {
        for (socket, received) in &mut downloads {
            *received += take(socket, &mut share)?;
        }
        thread::sleep((started + BEAT * beat).saturating_duration_since(Instant::now()));
        let now = server.subject.memory()?;
        peak.anonymous = peak.anonymous.max(now.anonymous);
        peak.resident = peak.resident.max(now.resident);
        kernel_bytes = kernel_bytes.max(kernel_socket_bytes()?.saturating_sub(kernel_before));
    }
    let cpu = server.subject.cpu()?.saturating_sub(cpu_before);
    // A server that does not keep up with slow clients has not been given the load that is reported.
    let enough = share.len() as u64 * u64::from(options.slow_seconds) / 2;
    let behind = downloads
        .iter()
        .filter(|(_, received)| *received < enough)
        .count();
    if behind > 0 {
        let all = downloads.len();
        return Err(format!("{behind} of {all} downloads got less than half their pace").into());
    }
    Ok(Sample {
        idle,
        peak,
        kernel_bytes,
        cpu_share: cpu.as_secs_f64() / started.elapsed().as_secs_f64(),
        body_bytes: downloads.iter().map(|(_, received)| received).sum(),
    })
}

fn open(address: SocketAddr, request: &[u8]) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_tcp_mss(SEGMENT_BYTES)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.connect_timeout(&address.into(), Duration::from_secs(10))?;
    socket.set_nonblocking(true)?;
    let socket = TcpStream::from(socket);
    io::Write::write_all(&mut &socket, request)?;
    Ok(socket)
}

/// Discards one beat's share and says how many bytes there were.
fn take(socket: &TcpStream, share: &mut [u8]) -> io::Result<u64> {
    match rustix::net::recv(socket, share, RecvFlags::TRUNC) {
        Ok((_, 0)) => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "a slow download was cut",
        )),
        Ok((_, count)) => Ok(count as u64),
        Err(Errno::AGAIN) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// For this process and, by inheritance, for the servers it starts.
pub fn raise_descriptor_limit(needed: u64) -> Result<(), Failure> {
    let limit = getrlimit(Resource::Nofile);
    let enough = |bound: Option<u64>| bound.is_none_or(|bound| bound >= needed);
    if enough(limit.current) {
        return Ok(());
    }
    let maximum = if enough(limit.maximum) {
        limit.maximum
    } else {
        Some(needed)
    };
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).map_err(|error| {
        format!("{needed} descriptors are needed and the hard limit is {:?}: {error}; raise it with `ulimit -Hn`", limit.maximum)
    })?;
    Ok(())
}
