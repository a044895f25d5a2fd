//! What must not outlive this program: child processes and the working directory, also when it is interrupted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::Failure;

/// What is there now.
struct Left {
    children: Vec<Pid>,
    directory: Option<PathBuf>,
}

static LEFT: Mutex<Left> = Mutex::new(Left {
    children: Vec::new(),
    directory: None,
});

fn left() -> MutexGuard<'static, Left> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers a child that was started.
pub fn child_started(pid: Pid) {
    left().children.push(pid);
}

/// Forgets a child that was waited for, before its number can be another's.
pub fn child_ended(pid: Pid) {
    left().children.retain(|child| *child != pid);
}

/// Remembers the working directory.
pub fn directory_created(path: &Path) {
    left().directory = Some(path.to_owned());
}

/// From here on SIGINT and SIGTERM clean up and end the program.
pub fn on_signals() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut interrupt, mut terminate) = {
        use tokio::signal::unix::{SignalKind, signal};
        let _context = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        )
    };
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        let left = left();
        for child in &left.children {
            // SIGTERM and not SIGKILL: a master takes its workers along. It may be gone already.
            let _ = kill_process(*child, Signal::TERM);
        }
        if let Some(directory) = &left.directory {
            let _ = fs::remove_dir_all(directory);
        }
        std::process::exit(130);
    });
    Ok(())
}
