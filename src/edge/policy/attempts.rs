//! E-10: what is tried again when the origin fails, and what a viewer gets when nothing helps.
//!
//! Owns the order of attempts (facts 46, 47, 49) and the names of failures. Never waits and never opens a connection.

use std::time::Duration;

use http::Method;

use super::distribution::OriginLink;

/// How an attempt failed before the head of an answer was there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Failure {
    /// The origin's name has no address.
    Name,
    /// No connection: refused, unreachable.
    Connect,
    /// No connection within the connection timeout.
    ConnectTimeout,
    /// The connection was lost while the request was sent or the answer awaited.
    Lost,
    /// No byte of an answer within the read timeout.
    ReadTimeout,
    /// What came is no HTTP answer.
    Invalid,
    /// The answer's header block is too large (fact 42).
    HeadTooLarge,
    /// A range was asked for, and `Content-Length` and `Content-Range` disagree (fact 35).
    ContentRangeLength,
    /// `Content-Length` above what can be cached in one answer (fact 34).
    TooLarge,
    /// The completion timeout of the origin was used up.
    Completion,
}

impl Failure {
    /// The status that the viewer gets. AWS names 502 and 504; which of them an oversized head gets, it does not say.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::ConnectTimeout | Self::ReadTimeout | Self::Completion => 504,
            Self::Name
            | Self::Connect
            | Self::Lost
            | Self::Invalid
            | Self::HeadTooLarge
            | Self::ContentRangeLength
            | Self::TooLarge => 502,
        }
    }

    /// For `x-edge-detailed-result-type`.
    #[must_use]
    pub fn detailed_result_type(self) -> &'static str {
        match self {
            Self::Name => "OriginDnsError",
            Self::Connect | Self::ConnectTimeout => "OriginConnectError",
            Self::Lost => "OriginReadError",
            Self::ReadTimeout | Self::Completion => "OriginCommError",
            Self::Invalid => "OriginInvalidResponseError",
            Self::HeadTooLarge => "OriginHeaderTooBigError",
            Self::ContentRangeLength => "OriginContentRangeLengthError",
            Self::TooLarge => "OriginError",
        }
    }

    /// Whether the same request may have another outcome, and does no harm twice.
    fn is_retried(self, is_read: bool) -> bool {
        match self {
            // Nothing was sent: any method may try again.
            Self::Name | Self::Connect | Self::ConnectTimeout => true,
            Self::Lost | Self::ReadTimeout => is_read,
            Self::Invalid
            | Self::HeadTooLarge
            | Self::ContentRangeLength
            | Self::TooLarge
            | Self::Completion => false,
        }
    }
}

/// What follows a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Try again, at once.
    Again,
    /// Answer with the status of this failure.
    GiveUp(Failure),
}

/// The attempts of one request to the origin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempts {
    left: u32,
    is_read: bool,
    completion_timeout: Option<Duration>,
}

impl Attempts {
    /// Before the first attempt.
    #[must_use]
    pub fn new(link: &OriginLink, method: &Method) -> Self {
        Self {
            left: link.connection_attempts.max(1),
            is_read: matches!(*method, Method::GET | Method::HEAD),
            completion_timeout: link.completion_timeout,
        }
    }

    /// One attempt failed, `elapsed` after the first one began.
    pub fn failed(&mut self, failure: Failure, elapsed: Duration) -> Next {
        self.left = self.left.saturating_sub(1);
        if self.time_left(elapsed) == Some(Duration::ZERO) {
            return Next::GiveUp(Failure::Completion);
        }
        if self.left == 0 || !failure.is_retried(self.is_read) {
            return Next::GiveUp(failure);
        }
        Next::Again
    }

    /// What is left of the completion timeout; none when there is no such timeout.
    #[must_use]
    pub fn time_left(&self, elapsed: Duration) -> Option<Duration> {
        Some(self.completion_timeout?.saturating_sub(elapsed))
    }
}
