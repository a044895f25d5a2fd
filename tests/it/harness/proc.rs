//! What the kernel knows about a process: memory, descriptors, processor time. Never asks the process itself.

use std::fs;
use std::time::Duration;

/// Memory of its own, in bytes: pages that are not of a file, so mappings of artifacts are not counted.
pub fn anonymous_bytes(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the process lives");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Anonymous:"))
        .expect("smaps_rollup has `Anonymous`");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

/// Open descriptors.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("the process lives")
        .count()
}

/// Processor time used so far, by all threads, in user and kernel.
pub fn processor_time(pid: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
    // The second field is the program's name in parentheses and may hold spaces; `utime` and `stime` are 14 and 15.
    let after_name = &text[text.rfind(')').unwrap() + 2..];
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // USER_HZ is 100 on every Linux that Rust supports.
    Duration::from_millis(ticks * 10)
}

/// Raises this process's limit on descriptors so that it can hold `wanted`; false where the hard limit forbids it.
pub fn raise_descriptor_limit(wanted: u64) -> bool {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return true;
    }
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        return false;
    }
    limit.current = Some(wanted);
    setrlimit(Resource::Nofile, limit).is_ok()
}

/// Whether the kernel still has the server's side of a loopback connection from `client` to `server` (ports) open for
/// both directions.
pub fn is_established(server: u16, client: u16) -> bool {
    const ESTABLISHED: &str = "01";
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel's table of connections");
    let (server, client) = (format!(":{server:04X}"), format!(":{client:04X}"));
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote, state) = (fields.next(), fields.next(), fields.next());
        local.is_some_and(|a| a.ends_with(&server))
            && remote.is_some_and(|a| a.ends_with(&client))
            && state == Some(ESTABLISHED)
    })
}

/// Whether the process behind the port `server` has read everything that came from the loopback ports `clients`.
pub fn has_read_all(server: u16, clients: &[u16]) -> bool {
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel's table of connections");
    let server = format!(":{server:04X}");
    let read: std::collections::HashSet<u16> = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, remote, _state, queues) = (
                fields.next()?,
                fields.next()?,
                fields.next()?,
                fields.next()?,
            );
            // `tx_queue:rx_queue`: bytes that nobody has read yet are in the second.
            let is_read = queues.ends_with(":00000000");
            let client = u16::from_str_radix(remote.rsplit(':').next()?, 16).ok()?;
            (local.ends_with(&server) && is_read).then_some(client)
        })
        .collect();
    clients.iter().all(|client| read.contains(client))
}
