//! Which signals end a process, and which one has it read its secrets again.
//!
//! Owns the handlers of SIGTERM, SIGINT and SIGHUP. Never decides what a drain or a reload does.

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{AssemblyError, system};

/// A token that the first SIGTERM or SIGINT cancels. A second one ends the process at once, whatever is in flight.
pub fn cancelled_by_signals() -> Result<CancellationToken, AssemblyError> {
    let runtime = runtime()?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (
            listen(SignalKind::terminate())?,
            listen(SignalKind::interrupt())?,
        )
    };
    let token = CancellationToken::new();
    let cancelled = token.clone();
    let wait = move || {
        runtime.block_on(async {
            next_of(&mut terminate, &mut interrupt).await;
            cancelled.cancel();
            next_of(&mut terminate, &mut interrupt).await;
        });
        std::process::exit(1);
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)
        .map_err(system("start the thread for signals"))?;
    Ok(token)
}

async fn next_of(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
}

/// SIGHUP, which no longer ends this process, and the runtime in which it is waited for.
pub(super) fn hangups() -> Result<(Runtime, Signal), AssemblyError> {
    let runtime = runtime()?;
    let hangups = {
        let _inside = runtime.enter();
        listen(SignalKind::hangup())?
    };
    Ok((runtime, hangups))
}

fn runtime() -> Result<Runtime, AssemblyError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start the runtime for signals"))
}

fn listen(kind: SignalKind) -> Result<Signal, AssemblyError> {
    signal(kind).map_err(system("listen for signals"))
}
