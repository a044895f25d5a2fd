//! What a server has used: processor time and memory, read from `/proc`.
//!
//! Owns the reading of those files. Never decides when to look.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::Failure;

/// Whose use is counted: all processes of one server, or one thread of this program.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Below `/proc`; each has a `stat`.
    folders: Vec<PathBuf>,
    /// A thread has none of its own.
    has_memory: bool,
}

/// Processor time by thread, in nanoseconds: for costs below a clock tick, of which `cpu` may lose two.
#[derive(Clone, Default, Debug)]
pub struct Threads(BTreeMap<PathBuf, u64>);

impl Threads {
    /// What was used since then. What threads used that ended meanwhile is missing.
    pub fn since(&self, before: &Self) -> Duration {
        let used = self.0.iter().map(|(thread, nanos)| {
            nanos.saturating_sub(before.0.get(thread).copied().unwrap_or_default())
        });
        Duration::from_nanos(used.sum())
    }
}

/// Resident memory in bytes.
#[derive(Clone, Copy, Default, Debug)]
pub struct Memory {
    /// Heap and stacks; pages that processes share are counted once.
    pub anonymous: u64,
    /// The same with the mapped pages of files, which the kernel can take back at any time.
    pub resident: u64,
}

impl Subject {
    /// The process `pid` and its children. Call it once they have all started.
    pub fn process_tree(pid: u32) -> Result<Self, Failure> {
        let mut folders = vec![PathBuf::from(format!("/proc/{pid}"))];
        for entry in fs::read_dir("/proc")? {
            let folder = entry?.path();
            // A process that ends while we look is nobody's child here.
            let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
            let is_process = folder
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes()[0].is_ascii_digit());
            if is_process && field_after_name(&stat, 4) == Some(u64::from(pid)) && stays(&folder) {
                folders.push(folder);
            }
        }
        Ok(Self {
            folders,
            has_memory: true,
        })
    }

    /// The calling thread.
    #[must_use]
    pub fn this_thread() -> Self {
        let thread = rustix::thread::gettid().as_raw_nonzero();
        Self {
            folders: vec![PathBuf::from(format!("/proc/self/task/{thread}"))],
            has_memory: false,
        }
    }

    /// Processor time of each thread that is running, to the nanosecond.
    pub fn threads(&self) -> Result<Threads, Failure> {
        let mut threads = Threads::default();
        for folder in &self.folders {
            for task in fs::read_dir(folder.join("task")).map_err(|error| gone(folder, &error))? {
                let task = task?.path();
                // A thread that ends while we look has its time in what `cpu` says.
                let stat = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
                let nanos = stat.split(' ').next().and_then(|it| it.parse().ok());
                threads.0.insert(task, nanos.unwrap_or_default());
            }
        }
        Ok(threads)
    }

    /// Processor time in user and kernel mode since the start, ended threads too.
    pub fn cpu(&self) -> Result<Duration, Failure> {
        let mut ticks = 0;
        for folder in &self.folders {
            let stat =
                fs::read_to_string(folder.join("stat")).map_err(|error| gone(folder, &error))?;
            let (Some(user), Some(system)) =
                (field_after_name(&stat, 14), field_after_name(&stat, 15))
            else {
                return Err(format!("{}/stat has no times in it", folder.display()).into());
            };
            ticks += user + system;
        }
        Ok(Duration::from_millis(
            ticks * 1000 / rustix::param::clock_ticks_per_second(),
        ))
    }

    /// Resident memory now; zero for a thread, which has none of its own.
    pub fn memory(&self) -> Result<Memory, Failure> {
        let mut memory = Memory::default();
        for folder in self.folders.iter().filter(|_| self.has_memory) {
            let rollup = fs::read_to_string(folder.join("smaps_rollup"))
                .map_err(|error| gone(folder, &error))?;
            // Proportional shares: a worker shares most of its heap with the master that forked it.
            memory.anonymous += kilobytes(&rollup, "Pss_Anon:");
            memory.resident += kilobytes(&rollup, "Pss:");
        }
        Ok(memory)
    }
}

/// nginx's cache loader ends by itself after a minute, having done nothing.
fn stays(folder: &std::path::Path) -> bool {
    let title = fs::read(folder.join("cmdline")).unwrap_or_default();
    !String::from_utf8_lossy(&title).contains("cache loader")
}

/// Kernel memory of all TCP sockets of this machine, both ends.
pub fn kernel_socket_bytes() -> Result<u64, Failure> {
    let text = fs::read_to_string("/proc/net/sockstat")?;
    let pages = text
        .lines()
        .find_map(|line| {
            line.strip_prefix("TCP:")?
                .split_once(" mem ")?
                .1
                .split(' ')
                .next()?
                .parse::<u64>()
                .ok()
        })
        .ok_or("/proc/net/sockstat has no line about TCP memory")?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// Connections that are open at a local port, as the kernel lists them: asking the server would cost it time.
pub fn connections_at(port: u16) -> Result<usize, Failure> {
    const ESTABLISHED: &str = "01";
    let wanted = format!(":{port:04X}");
    let sockets = fs::read_to_string("/proc/net/tcp")?;
    let is_ours = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next().unwrap_or_default();
        local.ends_with(&wanted) && fields.nth(1) == Some(ESTABLISHED)
    };
    Ok(sockets.lines().filter(is_ours).count())
}

/// The value of `Name:  123 kB` in bytes; zero where there is no such line.
pub fn kilobytes(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| {
            line.strip_prefix(name)?
                .split_whitespace()
                .next()?
                .parse::<u64>()
                .ok()
        })
        .unwrap_or_default()
        * 1024
}

/// A field of `/proc/PID/stat` by its number in proc(5). The second is a name that may contain anything.
fn field_after_name(stat: &str, number: usize) -> Option<u64> {
    stat.rsplit_once(") ")?
        .1
        .split(' ')
        .nth(number - 3)?
        .parse()
        .ok()
}

fn gone(folder: &std::path::Path, error: &std::io::Error) -> Failure {
    format!("a server died: cannot read {}: {error}", folder.display()).into()
}
