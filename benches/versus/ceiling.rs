//! The least that a server of bytes can cost: one thread that answers whatever is asked with fixed bytes from memory.
//!
//! It parses nothing, opens nothing and maps nothing. What a real server takes above this is its own doing.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::Failure;
use crate::cores::Cores;
use crate::usage::Subject;

/// What a long body is made of, again and again: small enough for a core's own cache.
const BLOCK_BYTES: usize = 256 << 10;

/// How soon the thread notices that it should end.
const TICK: Duration = Duration::from_millis(100);

/// Marks the listener among the sockets.
const LISTENER: u64 = u64::MAX;

/// A running ceiling server for bodies of one size; dropping it stops it.
#[derive(Debug)]
pub struct Ceiling {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its thread.
    pub subject: Subject,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ceiling {
    /// Starts a thread on the servers' core.
    pub fn start(cores: Cores, body_bytes: u64) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let thread = thread::spawn(move || {
            let begin = cores.use_server().map(|()| Subject::this_thread());
            // Without a receiver nobody is left to serve; an error while serving shows as a broken connection.
            if ready.send(begin).is_ok() {
                let _ = Serving::new(body_bytes).run(&listener, &stopped);
            }
        });
        let subject = started.recv()??;
        Ok(Self {
            address,
            subject,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The answer, and who is being answered.
struct Serving {
    /// The head and the first block of the body, so that a short answer is one call.
    wire: Vec<u8>,
    head_bytes: usize,
    answer_bytes: u64,
    clients: Vec<Option<Client>>,
}

struct Client {
    socket: TcpStream,
    /// Bytes of the answer that are still to be sent.
    left: u64,
}

impl Serving {
    fn new(body_bytes: u64) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\nServer: ceiling\r\nContent-Type: application/octet-stream\r\nContent-Length: {body_bytes}\r\n\r\n"
        );
        let head_bytes = head.len();
        let block = usize::try_from(body_bytes)
            .unwrap_or(usize::MAX)
            .min(BLOCK_BYTES);
        let mut wire = head.into_bytes();
        wire.resize(head_bytes + block, b'x');
        Self {
            wire,
            head_bytes,
            answer_bytes: head_bytes as u64 + body_bytes,
            clients: Vec::new(),
        }
    }

    fn run(&mut self, listener: &TcpListener, stop: &AtomicBool) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            listener,
            epoll::EventData::new_u64(LISTENER),
            epoll::EventFlags::IN,
        )?;
        let tick = Timespec::try_from(TICK).map_err(io::Error::other)?;
        let mut events = Vec::with_capacity(128);
        while !stop.load(Ordering::Relaxed) {
            events.clear();
            epoll::wait(
                &epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&tick),
            )?;
            for event in &events {
                let data = event.data;
                if data.u64() == LISTENER {
                    let (socket, _peer) = listener.accept()?;
                    socket.set_nonblocking(true)?;
                    socket.set_nodelay(true)?;
                    let data = epoll::EventData::new_u64(self.clients.len() as u64);
                    epoll::add(&epoll, &socket, data, epoll::EventFlags::IN)?;
                    self.clients.push(Some(Client { socket, left: 0 }));
                } else {
                    let index = usize::try_from(data.u64()).map_err(io::Error::other)?;
                    self.serve(index, &epoll)?;
                }
            }
        }
        Ok(())
    }

    /// Takes a request if none is being answered, then sends what the socket takes.
    fn serve(&mut self, index: usize, epoll: &rustix::fd::OwnedFd) -> io::Result<()> {
        let Some(client) = self.clients[index].as_mut() else {
            return Ok(());
        };
        let was_sending = client.left > 0;
        if !was_sending {
            let mut request = [0; 4096];
            match rustix::net::recv(&client.socket, &mut request, RecvFlags::empty()) {
                Err(Errno::AGAIN) => return Ok(()),
                Err(_) | Ok((_, 0)) => {
                    self.clients[index] = None;
                    return Ok(());
                }
                Ok(_) => client.left = self.answer_bytes,
            }
        }
        while client.left > 0 {
            let sent =
                usize::try_from(self.answer_bytes - client.left).map_err(io::Error::other)?;
            let block = self.wire.len() - self.head_bytes;
            let from = if sent < self.wire.len() {
                sent
            } else {
                self.head_bytes + (sent - self.head_bytes) % block
            };
            let to = usize::try_from(client.left)
                .unwrap_or(usize::MAX)
                .saturating_add(from)
                .min(self.wire.len());
            match rustix::net::send(&client.socket, &self.wire[from..to], SendFlags::NOSIGNAL) {
                Ok(count) => client.left -= count as u64,
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    self.clients[index] = None;
                    return Ok(());
                }
            }
        }
        if was_sending != (client.left > 0) {
            let interest = if client.left > 0 {
                epoll::EventFlags::OUT
            } else {
                epoll::EventFlags::IN
            };
            epoll::modify(
                epoll,
                &client.socket,
                epoll::EventData::new_u64(index as u64),
                interest,
            )?;
        }
        Ok(())
    }
}
