//! What an origin tells systemd, on a datagram socket as systemd has one: sd_notify(3).
//!
//! Never asks whether systemd believes it; a booted image shows that elsewhere.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::origin::{Origin, Setup};
use crate::harness::process::Process;
use crate::harness::wire::Conn;
use crate::harness::{PATIENCE, poll};
use crate::harness::{aws, fixture};

const ALIVE: &str = "WATCHDOG=1\n";

/// The manager's end of the socket.
struct Manager {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        Self { socket, folder }
    }

    /// An origin that this manager hears of.
    fn setup(&self) -> Setup {
        let socket = self.folder.path().join("notify");
        Setup::new().env("NOTIFY_SOCKET", socket.to_str().unwrap())
    }

    /// The same, under a watchdog that expects a message twice in a second.
    fn watching(&self) -> Setup {
        self.setup().env("WATCHDOG_USEC", "1000000")
    }

    /// The next message, `None` when there is none within that time.
    fn hear(&self, within: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(within)).unwrap();
        let mut bytes = [0; 4096];
        let count = self.socket.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..count].to_vec()).unwrap())
    }

    /// The next message that is not about being alive.
    #[track_caller]
    fn next(&self) -> String {
        loop {
            let message = self.hear(PATIENCE).expect("the origin says something");
            if message != ALIVE {
                return message;
            }
        }
    }

    #[track_caller]
    fn await_ready(&self, origin: &Origin) {
        let message = self.next();
        let wanted = format!(" on {}, admin on {}\n", origin.data, origin.admin);
        assert!(
            message.starts_with("READY=1\nSTATUS=serving ") && message.ends_with(&wanted),
            "{message}"
        );
    }
}

#[test]
fn an_origin_that_says_it_is_ready_answers_and_names_its_store_and_addresses() {
    let manager = Manager::new();
    let origin = manager.setup().start();
    manager.await_ready(&origin);
    assert_eq!(origin.get(&fixture::url("tiny"), "").status, 200);
    assert_eq!(origin.admin_get("/readyz").status, 200);
}

#[test]
fn an_origin_whose_bucket_is_away_has_started_and_is_not_ready_for_a_balancer() {
    let manager = Manager::new();
    // Bound and never accepted from: a place where nobody answers, and no other process can take its port.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let environment = aws::environment(&format!("http://{}", nobody.local_addr().unwrap()));
    let origin = manager
        .setup()
        .bucket("s3://updates.example/prod", environment)
        .start();
    // A start that waited for S3 would be ended by systemd, and take what memory and disk still hold with it.
    let message = manager.next();
    let wanted = "READY=1\nSTATUS=serving s3://updates.example/prod on ";
    assert!(message.starts_with(wanted), "{message}");
    assert_eq!(origin.admin_get("/readyz").status, 503);
}

#[test]
fn an_origin_that_cannot_start_never_says_that_it_is_ready() {
    let manager = Manager::new();
    let sandbox = crate::cli_sandbox::Sandbox::new();
    sandbox.done(&["init"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = sandbox.command(&["serve", "--listen", &address, "--admin", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", manager.folder.path().join("notify"));
    assert!(!command.output().unwrap().status.success());
    // The process has ended: whatever it had to say would be here.
    assert_eq!(manager.hear(Duration::from_millis(1)), None);
}

#[test]
fn a_drain_begins_with_the_word_that_it_is_stopping() {
    let manager = Manager::new();
    let origin = manager
        .setup()
        .config("[server]\ndrain_delay = \"10m\"\ndrain_grace = \"5m\"\n")
        .start();
    manager.await_ready(&origin);
    origin.terminate();
    assert_eq!(
        manager.next(),
        "STOPPING=1\nSTATUS=draining, for 900s at most\n"
    );
    origin.assert_alive();
    // A reload during the drain must not make it ready again.
    origin.signal(Signal::HUP);
    poll(PATIENCE, "the signal has arrived", || {
        let log = origin.log();
        log.iter()
            .any(|l| l.contains("nothing to read"))
            .then_some(())
    });
    origin.terminate();
    origin.await_exit(PATIENCE);
    assert_eq!(manager.hear(Duration::from_millis(1)), None);
}

#[test]
fn a_reload_is_told_with_its_time_and_its_outcome() {
    let manager = Manager::new();
    let secrets = manager.folder.path().join("secrets");
    fs::write(&secrets, "first-secret-value-0001").unwrap();
    let origin = manager
        .setup()
        .config(&format!("[server]\norigin_secrets_path = {secrets:?}\n"))
        .start();
    manager.await_ready(&origin);
    let mut before = 0;
    for (text, end) in [
        ("second-secret-value-0002", String::new()),
        (
            "short",
            "; new origin secrets were refused, see the log".into(),
        ),
        ("third-secret-value-0003", String::new()),
    ] {
        fs::write(&secrets, text).unwrap();
        origin.signal(Signal::HUP);
        let message = manager.next();
        let time = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        let time: u64 = time
            .unwrap_or_else(|| panic!("{message}"))
            .trim_end()
            .parse()
            .unwrap();
        assert!(time > before, "{time} after {before}");
        before = time;
        let message = manager.next();
        assert!(message.starts_with("READY=1\nSTATUS=serving "), "{message}");
        let wanted = format!("admin on {}{end}\n", origin.admin);
        assert!(message.ends_with(&wanted), "{text}: {message}");
        assert!(!message.contains("secret-value"), "{message}");
    }
}

#[test]
fn a_hangup_while_it_starts_is_obeyed_once_it_has_started() {
    let manager = Manager::new();
    let secrets = manager.folder.path().join("secrets");
    fs::write(&secrets, "first-secret-value-0001").unwrap();
    // Asked, and never answers: whoever asks has read its secrets and does not serve yet.
    let bucket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", bucket.local_addr().unwrap());
    let sandbox = crate::cli_sandbox::Sandbox::new();
    let store = "s3://updates.example/prod";
    let mut command = sandbox.command(&["serve", "--store", store, "--listen", "127.0.0.1:0"]);
    command
        .args(["--admin", "127.0.0.1:0"])
        .envs(aws::environment(&address))
        .env("NOTIFY_SOCKET", manager.folder.path().join("notify"))
        .env("HEADWATER_ORIGIN_SECRETS_PATH", &secrets);
    let mut origin = Process::start("headwater", command);
    let question = bucket.accept().unwrap();
    fs::write(&secrets, "second-secret-value-0002").unwrap();
    origin.signal(Signal::HUP);
    drop((question, bucket));
    assert!(manager.next().starts_with("READY=1\n"));
    assert!(manager.next().starts_with("RELOADING=1\n"));
    assert!(manager.next().starts_with("READY=1\n"));
    origin.assert_running();
}

#[test]
fn a_serving_thread_that_is_stuck_ends_the_messages_that_all_is_well() {
    let manager = Manager::new();
    let release = manager.folder.path().join("go-on");
    let origin = manager
        .watching()
        .env(
            "HEADWATER_PAUSE_AT",
            format!("worker.accepted:{}", release.display()),
        )
        .start();
    manager.await_ready(&origin);
    for _ in 0..3 {
        assert_eq!(manager.hear(PATIENCE).as_deref(), Some(ALIVE));
    }
    // Whichever thread accepts this connection stands still with it.
    let mut stuck = origin.connect();
    poll(PATIENCE, "a thread is stuck", || {
        release.with_extension("reached").exists().then_some(())
    });
    while manager.hear(Duration::from_millis(1)).is_some() {}
    // The thread may have beaten since the last message, but not after the next one.
    let quiet = Duration::from_secs(3);
    if manager.hear(quiet).is_some() {
        assert_eq!(manager.hear(quiet), None, "the watchdog is misled");
    }
    // The other thread still serves, so that nothing but the watchdog would have noticed.
    assert_eq!(origin.get("/healthz", "").status, 200);
    fs::write(&release, "").unwrap();
    assert_eq!(manager.hear(PATIENCE).as_deref(), Some(ALIVE));
    stuck.assert_usable();
}

#[test]
fn an_origin_that_drains_says_that_it_is_alive_until_its_last_download() {
    let manager = Manager::new();
    let origin = manager.watching().start();
    manager.await_ready(&origin);
    let mut running = Conn::open_narrow(origin.data, 8 * 1024);
    let target = fixture::url("big");
    running.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_eq!(running.head().status, 200);
    origin.terminate();
    assert!(manager.next().starts_with("STOPPING=1\n"));
    // One thread has nothing to finish and ends; it must not be taken for one that is stuck.
    for _ in 0..4 {
        assert_eq!(manager.hear(PATIENCE).as_deref(), Some(ALIVE));
    }
    let len = fixture::body("big").len() as u64;
    assert_eq!(running.drain_body(len, |_| {}), Ok(()));
    assert_eq!(origin.await_exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_watchdog_that_is_meant_for_another_process_gets_no_messages() {
    let manager = Manager::new();
    let origin = manager.watching().env("WATCHDOG_PID", "1").start();
    manager.await_ready(&origin);
    assert_eq!(manager.hear(Duration::from_secs(2)), None);
}
