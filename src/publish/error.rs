//! Why an operation on releases and channels was not done.
//!
//! Owns the wording and whose fault each failure is. Never prints: a command line joins an error with its sources.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::catalog::DocumentError;
use crate::model::{ArtifactName, ChannelName, Digest, NameError, Product, ReleaseId};
use crate::store::{Key, StoreError};

/// Why an operation was not done. Each variant belongs to one exit code (see [`PublishError::kind`]).
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The store failed. Check the disk, the mount and the permissions that the source names.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file to be published cannot be read.
    #[error("cannot read `{path}`")]
    Input {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file to be published became another one meanwhile. Publish again when its writer is done.
    #[error("`{path}` changed while it was read: {what}; nothing was published")]
    InputChanged {
        /// Which one.
        path: PathBuf,
        /// What about it.
        what: &'static str,
    },
    /// Somebody else moves the channel all the time, or moved it where nobody meant to.
    #[error("channel `{channel}` of {product} was moved by somebody else meanwhile: {what}")]
    Contended {
        /// Whose channel.
        product: Product,
        /// Which one.
        channel: ChannelName,
        /// What to do.
        what: String,
    },
    /// A document in the store has a schema of later. It is not damaged: use a newer Headwater.
    #[error("cannot read `{key}`")]
    TooNew {
        /// Which one.
        key: Key,
        /// Its schema and ours; always [`DocumentError::TooNew`].
        source: DocumentError,
    },
    /// A store on another machine could not be reached for so long that others may have taken the reservation.
    #[error(
        "the reservation of {id} was lost, because the store could not be reached for too long; {way_out}"
    )]
    ReservationLost {
        /// Which release.
        id: ReleaseId,
        /// What was not done, and what to do.
        way_out: &'static str,
    },
    /// An artifact appeared under this publish's reservation.
    #[error("`{key}` is being written by another program, outside of this store's rules")]
    Intruder {
        /// Which object.
        key: Key,
    },

    /// A link, a device, a socket: only regular files are published.
    #[error("`{path}` is {what}; only regular files and folders of them can be published")]
    UnfitInput {
        /// Which one.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A file whose name no artifact can have.
    #[error("`{path}` cannot be published under its name")]
    InputName {
        /// Which one.
        path: PathBuf,
        /// The rule it breaks.
        source: NameError,
    },
    /// A file whose name is not UTF-8.
    #[error("`{path}` cannot be published under its name: it is not UTF-8")]
    InputNotUtf8 {
        /// Which one.
        path: PathBuf,
    },
    /// Two files for one artifact.
    #[error("both `{first}` and `{second}` would be artifact `{name}`")]
    DuplicateName {
        /// Which artifact.
        name: ArtifactName,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// An artifact that would have to be a file and a folder.
    #[error(
        "artifact `{name}` cannot stand beside `{below}`: a name is a file or a folder, not both"
    )]
    FileAndFolder {
        /// The file.
        name: ArtifactName,
        /// What would be below it.
        below: ArtifactName,
    },
    /// A release of nothing.
    #[error("there is no file to publish in the given paths")]
    NoFiles,
    /// A platform for an artifact that is not published.
    #[error("`--platform {name}=…` names no artifact of this release")]
    UnknownPlatform {
        /// The name.
        name: ArtifactName,
    },
    /// More files than a release document can list.
    #[error(
        "the release document of {files} files would have {bytes} bytes; allowed: {bytes_max}; \
         publish fewer files, or an archive of them"
    )]
    TooManyFiles {
        /// How many files.
        files: usize,
        /// How large it would be.
        bytes: u64,
        /// How large it may be.
        bytes_max: u64,
    },

    /// The version exists, and one of its artifacts has other bytes.
    #[error(
        "{id} is published with other bytes: artifact `{name}` has sha256 {published} there and {offered} here; \
         publish under a new version"
    )]
    OtherBytes {
        /// The release.
        id: ReleaseId,
        /// The first artifact that differs, by name.
        name: ArtifactName,
        /// In the store.
        published: Digest,
        /// On this machine.
        offered: Digest,
    },
    /// The version exists without this artifact.
    #[error(
        "{id} is published without artifact `{name}` (sha256 {offered}); publish under a new version"
    )]
    Added {
        /// The release.
        id: ReleaseId,
        /// The first artifact that it does not have.
        name: ArtifactName,
        /// On this machine.
        offered: Digest,
    },
    /// The version exists with one artifact more.
    #[error(
        "{id} is published with an artifact `{name}` (sha256 {published}) that is not given here; \
         publish under a new version"
    )]
    Missing {
        /// The release.
        id: ReleaseId,
        /// The first artifact that is not given.
        name: ArtifactName,
        /// In the store.
        published: Digest,
    },
    /// The release's bytes were taken away for good.
    #[error("{id} was retired at {retired_at} ({reason}); its version can never be used again")]
    Retired {
        /// The release.
        id: ReleaseId,
        /// When.
        retired_at: Timestamp,
        /// In the operator's words.
        reason: String,
    },
    /// A channel still needs the release.
    #[error(
        "{id} cannot be retired: channel `{channel}` names it as its {role}; promote another release first"
    )]
    Named {
        /// The release.
        id: ReleaseId,
        /// The channel.
        channel: ChannelName,
        /// "release" or "previous release".
        role: &'static str,
    },

    /// Nothing of that product is published.
    #[error("there is no release of {0} in this store")]
    NoProduct(Product),
    /// That version is not published.
    #[error(
        "there is no release {0} in this store; `headwater releases {product}` lists what there is",
        product = .0.product
    )]
    NoRelease(ReleaseId),
    /// That channel never pointed anywhere.
    #[error("{product} has no channel `{channel}`; `headwater promote` creates one")]
    NoChannel {
        /// Whose channel.
        product: Product,
        /// Which one.
        channel: ChannelName,
    },
    /// The channel never pointed anywhere else.
    #[error(
        "channel `{channel}` of {product} has no previous release to go back to; \
         `headwater promote {product} VERSION --to {channel}` names one"
    )]
    NoPrevious {
        /// Whose channel.
        product: Product,
        /// Which one.
        channel: ChannelName,
    },

    /// A document in the store cannot be used.
    #[error("`{key}` is damaged")]
    Document {
        /// Which one.
        key: Key,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// What is stored is not what was published.
    #[error("{id} is damaged: {what}; `headwater verify` looks at all of it")]
    Damaged {
        /// The release.
        id: ReleaseId,
        /// What is wrong, naming the object.
        what: String,
    },
}

/// Whose fault an error is, and so which exit code it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// The operation failed: I/O, a lost race that was retried too often. Exit code 1.
    Failed,
    /// The request makes no sense. Exit code 2.
    Usage,
    /// Doing it would break immutability or a channel. Exit code 3.
    Refused,
    /// No such product, version, channel. Exit code 4.
    NotFound,
    /// What is stored is not what was published. Exit code 5.
    Damaged,
}

impl PublishError {
    /// A document that was read and cannot be used: damaged, or only newer than this program.
    pub(super) fn unusable(key: Key, source: DocumentError) -> Self {
        match source {
            DocumentError::TooNew { .. } => Self::TooNew { key, source },
            _ => Self::Document { key, source },
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(_)
            | Self::Input { .. }
            | Self::InputChanged { .. }
            | Self::Contended { .. }
            | Self::TooNew { .. }
            | Self::ReservationLost { .. }
            | Self::Intruder { .. } => ErrorKind::Failed,
            Self::UnfitInput { .. }
            | Self::InputName { .. }
            | Self::InputNotUtf8 { .. }
            | Self::DuplicateName { .. }
            | Self::FileAndFolder { .. }
            | Self::NoFiles
            | Self::UnknownPlatform { .. }
            | Self::TooManyFiles { .. } => ErrorKind::Usage,
            Self::OtherBytes { .. }
            | Self::Added { .. }
            | Self::Missing { .. }
            | Self::Retired { .. }
            | Self::Named { .. } => ErrorKind::Refused,
            Self::NoProduct(_)
            | Self::NoRelease(_)
            | Self::NoChannel { .. }
            | Self::NoPrevious { .. } => ErrorKind::NotFound,
            Self::Document { .. } | Self::Damaged { .. } => ErrorKind::Damaged,
        }
    }
}
