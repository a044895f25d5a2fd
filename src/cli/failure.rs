//! Why a command did not do what it was asked: the exit code, the error with its sources, and a way out.
//!
//! Owns the table of exit codes and the one place where a chain of errors becomes one line. Never prints.

use std::error::Error;
use std::io;

use super::output::printable;
use crate::assembly::AssemblyError;
use crate::config::ConfigError;
use crate::device::DeviceError;
use crate::edge::proxy::engine::EngineError;
use crate::fleet::document::DocumentError;
use crate::fleet::scenario::ChangeError;
use crate::publish::{Damage, ErrorKind, PublishError};
use crate::telemetry::{self, TelemetryError};

/// How a run ended. The numbers are a promise to scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// What was asked for is so now.
    Done = 0,
    /// It could not be done: I/O, the network, a lost race.
    Failed = 1,
    /// The command line or the configuration makes no sense.
    Usage = 2,
    /// Doing it would break immutability or a channel.
    Refused = 3,
    /// There is no such store, product, version, channel or artifact.
    NotFound = 4,
    /// What is stored or arrived is not what was published.
    Damaged = 5,
    /// The channel has moved, but the edge was not told, or has not said that it is done.
    Untold = 6,
}

impl Exit {
    /// The number that the process ends with.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    fn from_code(code: u8) -> Self {
        let all = [Self::Usage, Self::Refused, Self::NotFound, Self::Damaged];
        all.into_iter()
            .find(|exit| exit.code() == code)
            .unwrap_or(Self::Failed)
    }
}

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    pub(super) exit: Exit,
    error: Box<dyn Error + Send + Sync>,
    pub(super) details: Vec<String>,
    pub(super) hint: Option<String>,
}

impl Failure {
    pub(super) fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        Self {
            exit,
            error,
            details: Vec::new(),
            hint: None,
        }
    }

    /// Refuses to call a command done that met these documents and went on without them.
    pub(super) fn on_damage(damage: &[Damage]) -> Result<(), Self> {
        let subject = match damage.len() {
            0 => return Ok(()),
            1 => "a document in the store cannot be read".to_owned(),
            count => format!("{count} documents in the store cannot be read"),
        };
        let line = |Damage { key, what }: &Damage| printable(&format!("`{key}`: {what}"));
        Err(Self {
            details: damage.iter().map(line).collect(),
            ..Self::new(Exit::Damaged, subject)
        }
        .with_hint("restore the named files from a copy of the store"))
    }

    /// Names the way out, when this failure is of that kind.
    #[must_use]
    pub(super) fn hint_on(mut self, exit: Exit, hint: impl Into<String>) -> Self {
        if self.exit == exit && self.hint.is_none() {
            self.hint = Some(hint.into());
        }
        self
    }

    /// Says more, a line each.
    #[must_use]
    pub(super) fn with_details(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }

    /// Names the way out.
    #[must_use]
    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// The error and all its sources in one line.
    #[must_use]
    pub(super) fn chain(&self) -> String {
        telemetry::chain(&*self.error)
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let exit = match error.kind() {
            ErrorKind::Failed => Exit::Failed,
            ErrorKind::Usage => Exit::Usage,
            ErrorKind::Refused => Exit::Refused,
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::Damaged => Exit::Damaged,
        };
        Self::new(exit, error)
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        Self::new(Exit::from_code(error.exit_code()), error)
    }
}

impl From<AssemblyError> for Failure {
    fn from(error: AssemblyError) -> Self {
        let error = match error {
            AssemblyError::Secrets(error) => return Self::from(error),
            error => error,
        };
        match &error {
            AssemblyError::NoStore(path) => {
                let hint = format!(
                    "`headwater init --store {path}` creates it, and so does the first `headwater publish`"
                );
                Self::new(Exit::NotFound, error).hint_on(Exit::NotFound, hint)
            }
            AssemblyError::NoBucket(_) => Self::new(Exit::NotFound, error),
            AssemblyError::AwsSetting { .. } => {
                let hint = "`store.region` and `store.endpoint_url` override what the environment and the profile say";
                Self::new(Exit::Usage, error).with_hint(hint)
            }
            AssemblyError::Unconditional(_) => Self::new(Exit::Failed, error).with_hint(
                "two publishers would overwrite each other; use a server that refuses `If-None-Match` and `If-Match`, as S3 does",
            ),
            AssemblyError::Edge(EngineError::Topology(_) | EngineError::Origin(_)) => {
                Self::new(Exit::Usage, error)
            }
            AssemblyError::Edge(EngineError::Disk(..)) => {
                let hint = "`desk.disk` names the folder; without it, it is the system's for temporary files";
                Self::new(Exit::Failed, error).hint_on(Exit::Failed, hint)
            }
            AssemblyError::Log { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Self::new(Exit::NotFound, error)
            }
            _ => Self::new(Exit::Failed, error),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match &error {
            ConfigError::Invalid { problems } => {
                let details = problems.iter().map(ToString::to_string).collect();
                Self {
                    details,
                    ..Self::new(Exit::Usage, error)
                }
            }
            ConfigError::Unreadable { source, .. }
            | ConfigError::SecretsUnreadable { source, .. } => {
                let exit = match source.kind() {
                    io::ErrorKind::NotFound => Exit::NotFound,
                    _ => Exit::Failed,
                };
                Self::new(exit, error)
            }
        }
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Self {
        match &error {
            DocumentError::Invalid { problems, .. } => {
                let details = problems.iter().map(ToString::to_string).collect();
                Self {
                    details,
                    ..Self::new(Exit::Usage, error)
                }
            }
            DocumentError::Unreadable { source, .. } => {
                let exit = match source.kind() {
                    io::ErrorKind::NotFound => Exit::NotFound,
                    _ => Exit::Failed,
                };
                Self::new(exit, error)
            }
        }
    }
}

impl From<TelemetryError> for Failure {
    fn from(error: TelemetryError) -> Self {
        Self::new(Exit::Usage, error)
    }
}
