//! A load generator that costs little: kept-alive HTTP/1.1 connections on one thread, bodies discarded in the kernel.
//!
//! Owns the client's half of every comparison: requests, what a right answer looks like, latencies. Never starts or
//! judges a server. One wrong answer ends the run with an error, because a figure that contains one means nothing.
//!
//! The trick: `recv` with `MSG_TRUNC` on a TCP socket throws the bytes away instead of copying them. The buffer it is
//! given only says how many; its pages are never touched, so they are never even allocated.

#![allow(
    dead_code,
    reason = "each bench that includes this file uses its own part of it"
)]

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

/// Enough for any head here together with a 1 KiB body, so that a small answer costs one `recv`; little enough that the
/// copied part of a large one does not count.
const HEAD_BYTES_MAX: usize = 4096;

/// The most that one call discards. It bounds how long one connection keeps the others waiting.
const DISCARD_BYTES_MAX: usize = 1 << 20;

/// How many sockets one `epoll_wait` reports.
const EVENTS_MAX: usize = 128;

/// A server that says nothing for so long is broken. Longer than reading a cold gigabyte from a slow disk.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Connections that all ask for the same thing.
#[derive(Clone, Debug)]
pub struct Group {
    /// Which server.
    pub address: SocketAddr,
    /// The URL path.
    pub path: String,
    /// The first byte asked for and how many; `None` asks for the whole object.
    pub range: Option<(u64, u64)>,
    /// How many body bytes a right answer has.
    pub body_bytes: u64,
    /// How many connections ask at the same time.
    pub connections: usize,
    /// What a connection does after its answer.
    pub repeat: Repeat,
}

/// What a connection does after its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeat {
    /// It asks again.
    Forever,
    /// It closes.
    Once,
}

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so long.
    Elapsed(Duration),
    /// After so many body bytes of all groups together.
    BodyBytes(u64),
    /// When every connection that asks once has its answer, or after so long.
    OnceDone(Duration),
}

/// What one group did in one run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Body bytes that arrived, those of unfinished answers too.
    pub body_bytes: u64,
    /// From sending each request to the last byte of its answer, in nanoseconds, sorted.
    pub latencies_ns: Vec<u64>,
}

impl Tally {
    /// Answers that arrived completely.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.latencies_ns.len() as u64
    }

    /// The latency that `percent` of the answers stayed within; zero without answers.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.latencies_ns.len() * percent / 100)
            .min(self.latencies_ns.len().saturating_sub(1));
        Duration::from_nanos(self.latencies_ns.get(rank).copied().unwrap_or_default())
    }
}

/// What all groups did in one run.
#[derive(Clone, Debug)]
pub struct Report {
    /// In the order the groups were given.
    pub tallies: Vec<Tally>,
    /// How long the run took.
    pub elapsed: Duration,
}

/// Open connections, each with a request under way.
#[derive(Debug)]
pub struct Load {
    epoll: OwnedFd,
    groups: Vec<Member>,
    connections: Vec<Option<Connection>>,
    /// Where heads land.
    scratch: Vec<u8>,
    /// Says how much to discard; never touched.
    discard: Vec<u8>,
}

/// A group with its request in wire form and how many of its connections are still open.
#[derive(Debug)]
struct Member {
    group: Group,
    request: Vec<u8>,
    open: usize,
    tally: Tally,
}

#[derive(Debug)]
struct Connection {
    socket: TcpStream,
    member: usize,
    asked_at: Instant,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Waiting for the end of the head; what has arrived of it (nearly always nothing).
    Head(Vec<u8>),
    /// So many body bytes are still to come.
    Body(u64),
}

/// What one look at a socket led to.
enum Seen {
    /// There is more to come.
    Pending,
    /// The answer is complete.
    Answered,
}

impl Load {
    /// Connects everything and sends the first requests.
    pub fn connect(groups: Vec<Group>) -> io::Result<Self> {
        let mut load = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            groups: Vec::new(),
            connections: Vec::new(),
            scratch: vec![0; HEAD_BYTES_MAX],
            discard: vec![0; DISCARD_BYTES_MAX],
        };
        for (member, group) in groups.into_iter().enumerate() {
            let request = request_of(&group);
            for _ in 0..group.connections {
                let connection = Connection::open(group.address, member, &request)?;
                let data = epoll::EventData::new_u64(load.connections.len() as u64);
                epoll::add(&load.epoll, &connection.socket, data, epoll::EventFlags::IN)?;
                load.connections.push(Some(connection));
            }
            load.groups.push(Member {
                open: group.connections,
                group,
                request,
                tally: Tally::default(),
            });
        }
        Ok(load)
    }

    /// Keeps all connections busy until `until`. May be called again: connections stay as they are in between.
    pub fn run(&mut self, until: Until) -> io::Result<Report> {
        for member in &mut self.groups {
            member.tally = Tally::default();
        }
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let silence = Timespec::try_from(SILENCE_MAX).map_err(io::Error::other)?;
        let started = Instant::now();
        while !self.is_over(until, started.elapsed()) {
            events.clear();
            epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&silence),
            )?;
            if events.is_empty() {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "no server said anything for 20 s",
                ));
            }
            for event in &events {
                let index = usize::try_from(event.data.u64()).map_err(io::Error::other)?;
                self.visit(index)?;
            }
        }
        let elapsed = started.elapsed();
        let tallies = self.groups.iter_mut().map(|member| {
            let mut tally = std::mem::take(&mut member.tally);
            tally.latencies_ns.sort_unstable();
            tally
        });
        Ok(Report {
            tallies: tallies.collect(),
            elapsed,
        })
    }

    fn is_over(&self, until: Until, elapsed: Duration) -> bool {
        if self.groups.iter().all(|member| member.open == 0) {
            return true;
        }
        match until {
            Until::Elapsed(time) => elapsed >= time,
            Until::BodyBytes(bytes) => {
                self.groups
                    .iter()
                    .map(|member| member.tally.body_bytes)
                    .sum::<u64>()
                    >= bytes
            }
            Until::OnceDone(time) => {
                let asks_once = |member: &&Member| member.group.repeat == Repeat::Once;
                elapsed >= time
                    || self
                        .groups
                        .iter()
                        .filter(asks_once)
                        .all(|member| member.open == 0)
            }
        }
    }

    /// Takes what one socket has, and asks again after a complete answer.
    fn visit(&mut self, index: usize) -> io::Result<()> {
        let Some(connection) = self.connections[index].as_mut() else {
            return Ok(());
        };
        let member = &mut self.groups[connection.member];
        match connection.take(member, &mut self.scratch, &mut self.discard)? {
            Seen::Pending => {}
            Seen::Answered => {
                let took = u64::try_from(connection.asked_at.elapsed().as_nanos())
                    .map_err(io::Error::other)?;
                member.tally.latencies_ns.push(took);
                match member.group.repeat {
                    Repeat::Forever => connection.ask(&member.request)?,
                    Repeat::Once => {
                        member.open -= 1;
                        self.connections[index] = None; // closing the socket takes it out of the epoll set
                    }
                }
            }
        }
        Ok(())
    }
}

impl Connection {
    fn open(address: SocketAddr, member: usize, request: &[u8]) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, SILENCE_MAX)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut connection = Self {
            socket,
            member,
            asked_at: Instant::now(),
            phase: Phase::Body(0),
        };
        connection.ask(request)?;
        Ok(connection)
    }

    fn ask(&mut self, request: &[u8]) -> io::Result<()> {
        self.asked_at = Instant::now();
        self.phase = Phase::Head(Vec::new());
        let sent = rustix::net::send(&self.socket, request, SendFlags::NOSIGNAL)?;
        if sent == request.len() {
            Ok(())
        } else {
            Err(io::Error::other(
                "a request did not fit the socket's buffer",
            ))
        }
    }

    /// One `recv`, and a second one when the first brought the head of a longer answer.
    fn take(
        &mut self,
        member: &mut Member,
        scratch: &mut [u8],
        discard: &mut [u8],
    ) -> io::Result<Seen> {
        if let Phase::Head(before) = &mut self.phase {
            let Some(count) = receive(&self.socket, scratch, RecvFlags::empty())? else {
                return Ok(Seen::Pending);
            };
            before.extend_from_slice(&scratch[..count]);
            let Some((head_bytes, body_bytes)) = parse_head(before, &member.group)? else {
                return Ok(Seen::Pending);
            };
            let arrived = (before.len() - head_bytes) as u64;
            if arrived > body_bytes {
                return Err(io::Error::other(
                    "more bytes arrived than Content-Length announced",
                ));
            }
            member.tally.body_bytes += arrived;
            self.phase = Phase::Body(body_bytes - arrived);
        }
        if let Phase::Body(left) = &mut self.phase
            && *left > 0
        {
            let most = usize::try_from(*left)
                .unwrap_or(usize::MAX)
                .min(discard.len());
            let Some(count) = receive(&self.socket, &mut discard[..most], RecvFlags::TRUNC)? else {
                return Ok(Seen::Pending);
            };
            member.tally.body_bytes += count as u64;
            *left -= count as u64;
        }
        Ok(if matches!(self.phase, Phase::Body(0)) {
            Seen::Answered
        } else {
            Seen::Pending
        })
    }
}

/// What a socket has, `None` when it has nothing now. The end of the stream is an error here.
fn receive(socket: &TcpStream, buffer: &mut [u8], flags: RecvFlags) -> io::Result<Option<usize>> {
    match rustix::net::recv(socket, buffer, flags) {
        Ok((_, 0)) => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the server closed a connection in use",
        )),
        Ok((_, count)) => Ok(Some(count)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn request_of(group: &Group) -> Vec<u8> {
    let range = group.range.map_or_else(String::new, |(first, len)| {
        format!("Range: bytes={first}-{}\r\n", first + len - 1)
    });
    format!(
        "GET {} HTTP/1.1\r\nHost: origin.example\r\nUser-Agent: headwater-bench\r\nAccept: */*\r\n{range}\r\n",
        group.path
    )
    .into_bytes()
}

/// The length of a complete head and of its body; an answer that is not the one asked for is an error.
fn parse_head(bytes: &[u8], group: &Group) -> io::Result<Option<(usize, u64)>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head_bytes) = response.parse(bytes).map_err(io::Error::other)?
    else {
        return Ok(None);
    };
    let wanted = if group.range.is_some() { 206 } else { 200 };
    let length = response
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"))
        .and_then(|field| std::str::from_utf8(field.value).ok()?.parse::<u64>().ok());
    if response.code != Some(wanted) || length != Some(group.body_bytes) {
        return Err(io::Error::other(format!(
            "{}: status {} and length {length:?}, where {wanted} and {} were due",
            group.path,
            response.code.unwrap_or_default(),
            group.body_bytes
        )));
    }
    Ok(Some((head_bytes, group.body_bytes)))
}
