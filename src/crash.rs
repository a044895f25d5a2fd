//! Points at which a test can kill or stop the process.
//!
//! Compiled to nothing without the feature `failpoints`, which only the tests switch on. Owns two environment
//! variables, and so is, beside `config/raw.rs`, the second file that reads the environment: a crash point must work
//! in any module, before and without a configuration.
//!
//! - `HEADWATER_CRASH_AT=name` or `name:nth`: the process kills itself with SIGKILL when it comes to the point `name`
//!   for the nth time (from 1). No destructor, no flush: what a power button leaves, except for the page cache.
//! - `HEADWATER_PAUSE_AT=name:path`: the first thread that comes there creates `path.reached` and waits until `path`
//!   exists.

/// A place where a crash is worth testing. Names are `module.what-just-happened`.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn point(_name: &'static str) {}

/// A place where a crash is worth testing. Names are `module.what-just-happened`.
#[cfg(feature = "failpoints")]
pub fn point(name: &'static str) {
    armed::point(name);
}

#[cfg(feature = "failpoints")]
mod armed {
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    struct Crash {
        name: String,
        nth: u32,
        seen: AtomicU32,
    }

    struct Pause {
        name: String,
        path: PathBuf,
        is_over: AtomicBool,
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a crash point works in any module, before and without a configuration"
    )]
    fn setting(name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    static CRASH: LazyLock<Option<Crash>> = LazyLock::new(|| {
        let text = setting("HEADWATER_CRASH_AT")?;
        let (name, nth) = text.split_once(':').unwrap_or((&text, "1"));
        Some(Crash {
            name: name.to_owned(),
            nth: nth.parse().ok()?,
            seen: AtomicU32::new(0),
        })
    });

    static PAUSE: LazyLock<Option<Pause>> = LazyLock::new(|| {
        let text = setting("HEADWATER_PAUSE_AT")?;
        let (name, path) = text.split_once(':')?;
        Some(Pause {
            name: name.to_owned(),
            path: path.into(),
            is_over: AtomicBool::new(false),
        })
    });

    pub(super) fn point(name: &'static str) {
        if let Some(crash) = &*CRASH
            && crash.name == name
            && crash.seen.fetch_add(1, Ordering::SeqCst) + 1 == crash.nth
        {
            let _ = kill_process(getpid(), Signal::KILL);
        }
        if let Some(pause) = &*PAUSE
            && pause.name == name
            && !pause.is_over.swap(true, Ordering::SeqCst)
        {
            let mut reached = pause.path.clone().into_os_string();
            reached.push(".reached");
            let _ = std::fs::write(reached, "");
            while !pause.path.exists() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}
