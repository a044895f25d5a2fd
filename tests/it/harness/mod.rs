//! What every test of the executable stands on.
//!
//! `cli` runs commands, `fixture` and `huge` make what is published, `origin` starts and kills servers,
//! `process` runs other programs that listen, `wire` speaks HTTP byte by byte, `script` runs raw exchanges, `proc` reads
//! what the kernel knows about a process, `table` runs rows. `s3` and `moto` are two servers of S3, `aws` is the account
//! that they know, `fault` stands before either and breaks what passes, `policy` says what may pass, `module` reads it
//! out of Terraform. Never imports the library under test. Read
//! `origin` first.

pub mod aws;
pub mod cli;
pub mod edge;
pub mod fault;
pub mod fixture;
pub mod huge;
pub mod module;
pub mod moto;
pub mod origin;
pub mod policy;
pub mod proc;
pub mod process;
pub mod s3;
pub mod script;
pub mod table;
pub mod upstream;
pub mod viewer;
pub mod wire;

use std::time::{Duration, Instant};

/// How long a test waits for something that should happen at once. Long, because it is only ever reached by a failure
/// and the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks `look` every few milliseconds until it finds something; panics after `within`.
#[track_caller]
pub fn poll<T>(within: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
