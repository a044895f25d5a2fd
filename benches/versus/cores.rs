//! Which processor core runs what: servers on one, the client on another.

use std::io;
use std::process::{Child, Command};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Failure;

/// The two cores of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    server: usize,
    client: usize,
    all: CpuSet,
}

impl Cores {
    /// The first two cores that this process may use.
    pub fn choose() -> Result<Self, Failure> {
        let all = sched_getaffinity(None)?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core));
        match (usable.next(), usable.next()) {
            (Some(server), Some(client)) => Ok(Self {
                server,
                client,
                all,
            }),
            _ => Err(
                "a comparison needs two processor cores: one for the server, one for the client"
                    .into(),
            ),
        }
    }

    /// Servers where clients run.
    #[must_use]
    pub fn swapped(&self) -> Self {
        Self {
            server: self.client,
            ..*self
        }
    }

    /// Puts the calling thread where clients run.
    pub fn use_client(&self) -> io::Result<()> {
        pin(self.client)
    }

    /// Puts the calling thread where servers run.
    pub fn use_server(&self) -> io::Result<()> {
        pin(self.server)
    }

    /// Lets the calling thread run anywhere again.
    pub fn use_all(&self) -> io::Result<()> {
        Ok(sched_setaffinity(None, &self.all)?)
    }

    /// Starts a process whose threads all stay on the server's core: a child inherits the cores of the thread that
    /// starts it, so this thread goes there for a moment.
    pub fn spawn_server(&self, command: &mut Command) -> io::Result<Child> {
        self.use_server()?;
        let child = command.spawn();
        self.use_client()?;
        child
    }
}

fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}
