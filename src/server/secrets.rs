//! What a request must present one of, exchanged while requests are answered.
//!
//! Owns the comparison, and that a change reaches every thread before its next request. Never reads a file: who starts
//! the server does (`assembly/service.rs`).

use std::sync::Arc;

use subtle::{Choice, ConstantTimeEq as _};
use tokio::sync::watch;

use crate::config::Secret;

/// The accepted secrets. Cloning gives another hold on the same ones.
#[derive(Clone, Debug)]
pub struct Secrets {
    accepted: watch::Sender<Arc<[Secret]>>,
    /// Invariant: never changes. An origin that asks for a secret asks for one until it ends.
    is_asked_for: bool,
}

impl Secrets {
    /// None asks for none, whatever replaces it later.
    #[must_use]
    pub fn new(accepted: Vec<Secret>) -> Self {
        Self {
            is_asked_for: !accepted.is_empty(),
            accepted: watch::Sender::new(accepted.into()),
        }
    }

    /// Whether a request needs one at all.
    #[must_use]
    pub fn is_asked_for(&self) -> bool {
        self.is_asked_for
    }

    /// From the next request of each thread on, these are accepted and no others.
    pub fn replace(&self, accepted: Vec<Secret>) {
        self.accepted.send_replace(accepted.into());
    }

    /// What one thread asks.
    #[must_use]
    pub fn guard(&self) -> Guard {
        let mut changes = self.accepted.subscribe();
        let accepted = Arc::clone(&changes.borrow_and_update());
        Guard {
            accepted,
            changes,
            is_asked_for: self.is_asked_for,
        }
    }
}

/// One thread's copy of the accepted secrets: a request costs a look at a counter, and no lock.
#[derive(Debug)]
pub struct Guard {
    accepted: Arc<[Secret]>,
    changes: watch::Receiver<Arc<[Secret]>>,
    is_asked_for: bool,
}

impl Guard {
    /// Compares with every secret, and each whole, so that the time taken tells nothing.
    pub fn admits(&mut self, presented: &[u8]) -> bool {
        if !self.is_asked_for {
            return true;
        }
        // An error says that nobody is left who could replace them.
        if self.changes.has_changed().unwrap_or(false) {
            self.accepted = Arc::clone(&self.changes.borrow_and_update());
        }
        let is_match = |found, secret: &Secret| found | secret.expose().ct_eq(presented);
        self.accepted.iter().fold(Choice::from(0), is_match).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "the-old-secret-0001";
    const NEW: &str = "the-new-secret-0002";

    fn parsed(texts: &[&str]) -> Vec<Secret> {
        let parse = |text: &&str| Secret::parse(text).unwrap();
        texts.iter().map(parse).collect()
    }

    #[test]
    fn a_replaced_set_holds_from_the_next_question_on() {
        let secrets = Secrets::new(parsed(&[OLD]));
        let mut guards = [secrets.guard(), secrets.guard()];
        assert!(guards[0].admits(OLD.as_bytes()) && !guards[0].admits(NEW.as_bytes()));
        secrets.replace(parsed(&[NEW]));
        for guard in &mut guards {
            assert!(guard.admits(NEW.as_bytes()) && !guard.admits(OLD.as_bytes()));
        }
        drop(secrets);
        assert!(
            guards[0].admits(NEW.as_bytes()),
            "with nobody to replace it"
        );
    }

    #[test]
    fn who_asks_for_a_secret_never_stops_asking() {
        let secrets = Secrets::new(parsed(&[OLD]));
        secrets.replace(Vec::new());
        assert!(!secrets.guard().admits(OLD.as_bytes()) && !secrets.guard().admits(b""));
        assert!(Secrets::new(Vec::new()).guard().admits(b""));
    }
}
