//! The contestants: Debian's nginx and Headwater, one core each, on the same files.
//!
//! Owns how each is configured, started and stopped. Never measures.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::cores::Cores;
use crate::site::Site;
use crate::usage::Subject;
use crate::{Failure, cleanup};

/// Connections that either server accepts at once: above the most that any scenario opens.
pub(crate) const CONNECTIONS_MAX: usize = 20_000;

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often nginx is started on another port when somebody else took the one that was free.
const PORT_ATTEMPTS: usize = 5;

/// What nginx does about files that are not in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileReads {
    /// The worker waits for the disk, as in Debian's default configuration.
    InWorker,
    /// `aio threads`: a pool of threads waits.
    InThreads,
}

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where an origin's operators connect.
    pub admin: Option<SocketAddr>,
    /// Whose processor time and memory it is.
    pub subject: Subject,
}

impl Server {
    /// Starts nginx with one worker.
    pub fn nginx(site: &Site, cores: &Cores, reads: FileReads) -> Result<Self, Failure> {
        Self::on_a_free_port("nginx", site, cores, |prefix, address| {
            nginx_command(prefix, &nginx_files(site, address, reads))
        })
    }

    /// Starts a server that cannot choose a port and say which: when this one is taken meanwhile, it ends and is
    /// started on another.
    pub(crate) fn on_a_free_port(
        name: &str,
        site: &Site,
        cores: &Cores,
        command_for: impl Fn(&Path, SocketAddr) -> Result<Command, Failure>,
    ) -> Result<Self, Failure> {
        let mut last = String::new();
        for _ in 0..PORT_ATTEMPTS {
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
            let prefix = tempfile::tempdir_in(site.scratch())?.keep();
            let log = prefix.join("stderr.log");
            let mut command = command_for(&prefix, address)?;
            command.stdout(Stdio::null()).stderr(File::create(&log)?);
            let child = cores
                .spawn_server(&mut command)
                .map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => missing(name),
                    _ => format!("cannot start {name}: {error}"),
                })?;
            let mut server = Self::adopt(child, address)?;
            match server.wait_until_ready() {
                Ok(()) => return Ok(server),
                Err(error) => {
                    let log = fs::read_to_string(&log).unwrap_or_default();
                    last = format!("{error}\n{log}");
                }
            }
        }
        Err(format!("{name} does not start: {last}").into())
    }

    /// Starts Headwater with one serving thread.
    pub fn headwater(site: &Site, cores: &Cores) -> Result<Self, Failure> {
        Self::that_says_where(site, cores, origin_command(site)?)
    }

    /// The same, on the client's core: an origin whose cache is what is measured.
    pub fn headwater_beside_the_client(site: &Site, cores: &Cores) -> Result<Self, Failure> {
        Self::that_says_where(site, &cores.swapped(), origin_command(site)?)
    }

    /// Starts a command of Headwater that prints where it listens, and for an origin where operators connect.
    pub(crate) fn that_says_where(
        site: &Site,
        cores: &Cores,
        mut command: Command,
    ) -> Result<Self, Failure> {
        let prefix = tempfile::tempdir_in(site.scratch())?.keep();
        let (output, log) = (prefix.join("stdout"), prefix.join("stderr.log"));
        command
            .stdout(File::create(&output)?)
            .stderr(File::create(&log)?);
        let child = cores.spawn_server(&mut command)?;
        let mut server = Self::adopt(child, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        server
            .find_addresses(&output)
            .and_then(|()| server.wait_until_ready())
            .map_err(|error| {
                format!(
                    "headwater does not start: {error}\n{}",
                    fs::read_to_string(&log).unwrap_or_default()
                )
            })?;
        Ok(server)
    }

    /// Headwater says where it listens once it does, all of it at once.
    fn find_addresses(&mut self, output: &Path) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(output)?;
            if let Some((line, rest)) = text.split_once('\n') {
                let address = line
                    .strip_prefix("listening on http://")
                    .ok_or_else(|| format!("it printed `{line}`"))?;
                self.address = address.parse()?;
                let admin = rest.trim_end().strip_prefix("admin on http://");
                self.admin = admin.map(str::parse).transpose()?;
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("ended with {status}").into());
            }
            if Instant::now() > deadline {
                return Err("does not say where it listens".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn adopt(child: Child, address: SocketAddr) -> Result<Self, Failure> {
        let subject = Subject::process_tree(child.id())?;
        cleanup::child_started(Pid::from_child(&child));
        Ok(Self {
            child,
            address,
            admin: None,
            subject,
        })
    }

    /// Waits for any HTTP answer, then finds the processes that give it.
    fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("ended with {status}").into());
            }
            if answers(self.address) {
                self.subject = Subject::process_tree(self.child.id())?;
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err("does not answer".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        // SIGTERM first: nginx's master takes its worker along. Both may be gone already, which is as well.
        let _ = kill_process(pid, Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            thread::sleep(Duration::from_millis(5));
        }
        cleanup::child_ended(pid);
    }
}

/// An origin with one serving thread, over a store that `place` names.
pub(crate) fn headwater_from(
    site: &Site,
    cores: &Cores,
    place: &impl Fn(&mut Command),
) -> Result<Server, Failure> {
    let mut command = command_without_store(site)?;
    place(&mut command);
    Server::that_says_where(site, cores, command)
}

fn origin_command(site: &Site) -> Result<Command, Failure> {
    let mut command = command_without_store(site)?;
    command.arg("--store").arg(site.store());
    Ok(command)
}

fn command_without_store(site: &Site) -> Result<Command, Failure> {
    let config = site.scratch().join("origin.toml");
    fs::write(
        &config,
        format!("[limits]\nconnections_max = {CONNECTIONS_MAX}\n"),
    )?;
    let mut command = Command::new(site.headwater());
    command.args(["serve", "--threads", "1", "--access-log", "off"]);
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.arg("--config").arg(&config);
    Ok(command)
}

fn answers(address: SocketAddr) -> bool {
    let ask = || -> io::Result<[u8; 5]> {
        let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.write_all(
            b"GET /healthz HTTP/1.1\r\nHost: origin.example\r\nConnection: close\r\n\r\n",
        )?;
        let mut start = [0; 5];
        socket.read_exact(&mut start)?;
        Ok(start)
    };
    ask().is_ok_and(|start| start == *b"HTTP/")
}

/// What nginx calls itself, for the record.
pub fn nginx_version() -> Result<String, Failure> {
    let output = Command::new(system_program("nginx"))
        .arg("-v")
        .output()
        .map_err(|_missing| missing("nginx"))?;
    Ok(String::from_utf8_lossy(&output.stderr)
        .trim()
        .trim_start_matches("nginx version: ")
        .to_owned())
}

fn missing(name: &str) -> String {
    let package = if name == "varnish" {
        "varnish"
    } else {
        "nginx-light"
    };
    format!("{name} is not installed; on Debian: apt-get install {package} (or choose with --only)")
}

/// Debian keeps servers where only root's search path looks.
pub(crate) fn system_program(name: &str) -> PathBuf {
    let system = Path::new("/usr/sbin").join(name);
    if system.exists() { system } else { name.into() }
}

/// What is said to every nginx here: one worker, nothing logged, files sent by the kernel, and everything that it writes
/// below `prefix`. `http` is what its job adds.
pub(crate) fn nginx_command(prefix: &Path, http: &str) -> Result<Command, Failure> {
    let config = prefix.join("nginx.conf");
    // A master that root started gives its worker to another user, who may not read a private directory.
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let text = format!(
        r"daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile {nofile};
pid {prefix}/nginx.pid;
error_log {prefix}/error.log warn;
events {{ worker_connections {CONNECTIONS_MAX}; }}
http {{
    access_log off;
    server_tokens off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=10000 inactive=1h;
    open_file_cache_valid 1h;
    open_file_cache_min_uses 1;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
{http}}}
",
        prefix = prefix.display(),
        nofile = CONNECTIONS_MAX * 2,
    );
    fs::write(&config, text)?;
    let mut command = Command::new(system_program("nginx"));
    command.arg("-p").arg(prefix).arg("-c").arg(&config);
    Ok(command)
}

/// The files as a careful operator serves them, with the header fields that Headwater answers with.
fn nginx_files(site: &Site, address: SocketAddr, reads: FileReads) -> String {
    let aio = if reads == FileReads::InThreads {
        "aio threads;"
    } else {
        ""
    };
    let digest = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    format!(
        r#"    default_type application/octet-stream;
    {aio}
    server {{
        listen {address} backlog=4096;
        root {store};
        location /artifacts/ {{
            add_header Cache-Control "public, max-age=31536000, immutable";
            add_header Repr-Digest "{digest}";
            add_header Cache-Tag "product:bench,release:bench/1.0.0";
            add_header X-Content-Type-Options nosniff;
        }}
    }}
"#,
        store = site.store().display(),
    )
}
