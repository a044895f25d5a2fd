//! A proxy before a server that breaks what passes through it, by rules that a test sets while it runs.
//!
//! Owns what can go wrong between a client and S3 and the record of what passed. Never changes a request: the signature
//! holds, because the proxy's address is what the client signs. Its port stays its own while it refuses connections.

use std::io::{self, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::{PATIENCE, poll};

mod message;

use message::{Framing, Head, read_head};

/// What goes wrong with one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It waits before it goes on, unharmed.
    Delay(Duration),
    /// The server never sees it; the answer has this status, and this code in S3's XML.
    Error(u16, &'static str),
    /// The server never sees it; the connection is reset.
    Reset,
    /// The server answers, but the connection is reset instead: who asked cannot know what became of it.
    Lost,
    /// The connection is reset after so many bytes of the answer's body.
    Cut(u64),
    /// One bit of this byte of the answer's body is flipped; a shorter body passes unharmed.
    Flip(u64),
    /// The answer's body comes in blocks of 64 KiB with a pause before each.
    Slow(Duration),
    /// Nothing is answered, ever, on a connection that stays open.
    Hang,
}

type Fits = dyn Fn(&Passed) -> bool + Send + Sync;

/// Which requests a fault is for. Of several rules, the first that fits is used.
pub struct Rule {
    fault: Fault,
    fits: Vec<Box<Fits>>,
    skip: usize,
    times: Option<usize>,
}

/// One request that came, and what was done to it.
#[derive(Clone, Debug)]
pub struct Passed {
    /// As sent.
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// As AWS names it: `GetObject`, `UploadPart`, ….
    pub operation: &'static str,
    /// The key in the bucket; empty for requests about the bucket.
    pub key: String,
    /// What went wrong.
    pub fault: Option<Fault>,
    /// What was answered, `None` where nothing was.
    pub status: Option<u16>,
    /// When it had come whole.
    pub at: Instant,
    /// The fields of its head that say what its body has to be, in lower case.
    pub digests: Vec<String>,
}

/// A running proxy. Dropping it ends every connection through it.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Mutex<Option<Arc<TcpListener>>>,
    /// Keeps the port while nothing listens on it.
    _port: Socket,
}

struct Shared {
    upstream: SocketAddr,
    rules: Mutex<Vec<Rule>>,
    passed: Mutex<Vec<Passed>>,
    open: Mutex<Vec<(u64, TcpStream)>>,
    next: AtomicU64,
}

/// The fault is for every request, until [`FaultProxy::heal`].
pub fn every(fault: Fault) -> Rule {
    Rule {
        fault,
        fits: Vec::new(),
        skip: 0,
        times: None,
    }
}

/// The fault is for the next `times` requests that fit.
pub fn next(times: usize, fault: Fault) -> Rule {
    Rule {
        times: Some(times),
        ..every(fault)
    }
}

impl Rule {
    /// Only for requests of this operation, as AWS names it.
    pub fn operation(self, operation: &'static str) -> Self {
        self.when(move |passed| passed.operation == operation)
    }

    /// Only for requests about a key that contains `text`.
    pub fn key(self, text: &str) -> Self {
        let text = text.to_owned();
        self.when(move |passed| passed.key.contains(&text))
    }

    /// Only for requests that `fits` says.
    pub fn when(mut self, fits: impl Fn(&Passed) -> bool + Send + Sync + 'static) -> Self {
        self.fits.push(Box::new(fits));
        self
    }

    /// Not for the first `count` of them.
    pub fn after(mut self, count: usize) -> Self {
        self.skip = count;
        self
    }

    /// Whether it is for this request; counts.
    fn takes(&mut self, passed: &Passed) -> bool {
        if self.times == Some(0) || !self.fits.iter().all(|fits| fits(passed)) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if let Some(times) = &mut self.times {
            *times -= 1;
        }
        true
    }
}

impl FaultProxy {
    /// Starts one that passes everything on to `upstream`, unharmed.
    pub fn before(upstream: SocketAddr) -> Self {
        let port = reusing_socket();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        port.bind(&any.into()).unwrap();
        let address = port.local_addr().unwrap().as_socket().unwrap();
        let proxy = Self {
            address,
            shared: Arc::new(Shared {
                upstream,
                rules: Mutex::default(),
                passed: Mutex::default(),
                open: Mutex::default(),
                next: AtomicU64::new(0),
            }),
            listener: Mutex::new(None),
            _port: port,
        };
        proxy.accept();
        proxy
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as an URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a command needs to find it, and nothing else.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        super::aws::environment(&self.endpoint())
    }

    /// Adds a rule after those that are set.
    pub fn inject(&self, rule: Rule) {
        lock(&self.shared.rules).push(rule);
    }

    /// Drops every rule and accepts connections again. A request that hangs goes on hanging.
    pub fn heal(&self) {
        lock(&self.shared.rules).clear();
        self.accept();
    }

    /// Refuses connections from now on, and resets those that are open.
    pub fn refuse(&self) {
        if let Some(listener) = lock(&self.listener).take() {
            // Linux: a listening socket that is shut down refuses, and whoever waits in `accept` is told.
            SockRef::from(&*listener).shutdown(Shutdown::Both).unwrap();
        }
        self.reset_open();
    }

    /// Resets every open connection.
    pub fn reset_open(&self) {
        for (_, stream) in lock(&self.shared.open).drain(..) {
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Every request so far, in the order in which they came.
    pub fn passed(&self) -> Vec<Passed> {
        lock(&self.shared.passed).clone()
    }

    /// How many requests of this operation came, whatever became of them.
    pub fn count(&self, operation: &str) -> usize {
        let passed = lock(&self.shared.passed);
        let same = |passed: &&Passed| passed.operation == operation;
        passed.iter().filter(same).count()
    }

    /// How many requests met a fault.
    pub fn faults(&self) -> usize {
        let passed = lock(&self.shared.passed);
        passed.iter().filter(|one| one.fault.is_some()).count()
    }

    /// Waits until so many requests met a fault.
    #[track_caller]
    pub fn await_faults(&self, count: usize) {
        poll(PATIENCE, "requests that meet a fault", || {
            (self.faults() >= count).then_some(())
        });
    }

    fn accept(&self) {
        let mut slot = lock(&self.listener);
        if slot.is_some() {
            return;
        }
        let socket = reusing_socket();
        socket.bind(&self.address.into()).unwrap();
        socket.listen(128).unwrap();
        let listener = Arc::new(TcpListener::from(socket));
        *slot = Some(Arc::clone(&listener));
        let shared = Arc::clone(&self.shared);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let shared = Arc::clone(&shared);
                // Connections end in every way here: no outcome is looked at.
                std::thread::spawn(move || shared.serve(&stream));
            }
        });
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.refuse();
    }
}

impl Shared {
    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.open).push((id, client.try_clone()?));
        let outcome = self.exchange_all(client);
        if outcome.is_err() {
            SockRef::from(client).set_linger(Some(Duration::ZERO))?;
        }
        lock(&self.open).retain(|(open, _)| *open != id);
        outcome
    }

    /// One request after the other; an error resets the client's connection.
    fn exchange_all(&self, client: &TcpStream) -> io::Result<()> {
        let mut requests = BufReader::new(client.try_clone()?);
        let mut server: Option<BufReader<TcpStream>> = None;
        while let Some(head) = read_head(&mut requests)? {
            if head.expects_continue() {
                (&*client).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let mut request = head.bytes.clone();
            let framing = head.framing_of_request();
            framing.copy(&mut requests, |bytes| {
                request.extend_from_slice(bytes);
                Ok(())
            })?;
            let (number, fault) = self.note(&head);
            match fault {
                Some(Fault::Delay(pause)) => std::thread::sleep(pause),
                Some(Fault::Reset) => return Err(io::ErrorKind::ConnectionReset.into()),
                Some(Fault::Hang) => {
                    io::copy(&mut requests, &mut io::sink())?;
                    return Ok(());
                }
                Some(Fault::Error(status, code)) => {
                    (&*client).write_all(&message::error(status, code, head.method()))?;
                    self.answered(number, status);
                    continue;
                }
                _ => {}
            }
            let mut upstream = match server.take() {
                Some(open) => open,
                None => BufReader::new(TcpStream::connect(self.upstream)?),
            };
            upstream.get_ref().set_nodelay(true)?;
            upstream.get_ref().write_all(&request)?;
            let answer = message::read_answer(&mut upstream)?;
            self.answered(number, answer.status());
            if fault == Some(Fault::Lost) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            (&*client).write_all(&answer.bytes)?;
            let framing = answer.framing_of_answer(head.method());
            let mut harm = Harm { fault, at: 0 };
            framing.copy(&mut upstream, |bytes| harm.pass(bytes, client))?;
            if framing == Framing::ToTheEnd || !answer.keeps_open() || !head.keeps_open() {
                return client.shutdown(Shutdown::Write);
            }
            server = Some(upstream);
        }
        Ok(())
    }

    /// Records a request and says what goes wrong with it.
    fn note(&self, head: &Head) -> (usize, Option<Fault>) {
        let target = head.target().to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        let in_bucket = path.trim_start_matches('/').split_once('/');
        let key = in_bucket.map_or("", |(_, key)| key).to_owned();
        let mut passed = Passed {
            method: head.method().to_owned(),
            operation: super::s3::operation(head.method(), &key, query),
            digests: head.digests(),
            target: target.clone(),
            key,
            fault: None,
            status: None,
            at: Instant::now(),
        };
        let mut rules = lock(&self.rules);
        let rule = rules.iter_mut().find_map(|rule| {
            let takes = rule.takes(&passed);
            takes.then_some(rule.fault)
        });
        passed.fault = rule;
        drop(rules);
        let mut all = lock(&self.passed);
        all.push(passed);
        (all.len() - 1, rule)
    }

    fn answered(&self, number: usize, status: u16) {
        lock(&self.passed)[number].status = Some(status);
    }
}

/// What happens to the body of one answer, and how much of it passed.
struct Harm {
    fault: Option<Fault>,
    at: u64,
}

impl Harm {
    fn pass(&mut self, bytes: &[u8], mut client: &TcpStream) -> io::Result<()> {
        let from = self.at;
        self.at += bytes.len() as u64;
        match self.fault {
            Some(Fault::Cut(after)) if self.at > after => {
                let kept = usize::try_from(after - from).unwrap();
                client.write_all(&bytes[..kept])?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Some(Fault::Flip(at)) if (from..self.at).contains(&at) => {
                let mut bytes = bytes.to_vec();
                bytes[usize::try_from(at - from).unwrap()] ^= 1;
                client.write_all(&bytes)
            }
            Some(Fault::Slow(pause)) => {
                std::thread::sleep(pause);
                client.write_all(bytes)
            }
            _ => client.write_all(bytes),
        }
    }
}

fn reusing_socket() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // Both: one socket keeps the port, another listens on it.
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
