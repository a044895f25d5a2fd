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

#[cfg(test)]
mod tests {
    use super::super::distribution::testing;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How often the origin is asked when every attempt fails like this, and the status in the end.
    fn exhausted(attempts: u32, method: &Method, failure: Failure) -> (u32, u16) {
        let link = OriginLink {
            connection_attempts: attempts,
            ..testing::behaviour().origin
        };
        let mut plan = Attempts::new(&link, method);
        for asked in 1.. {
            if let Next::GiveUp(failure) = plan.failed(failure, SECOND) {
                return (asked, failure.status());
            }
        }
        unreachable!("the loop ends with an answer");
    }

    #[test]
    fn e10_attempts() {
        use Failure::{
            Connect, ConnectTimeout, ContentRangeLength, HeadTooLarge, Invalid, Lost, Name,
            ReadTimeout, TooLarge,
        };
        for (row, attempts, method, failure, expected) in [
            (
                "T48 no connection: tried as often as configured",
                3,
                Method::GET,
                Connect,
                (3, 502),
            ),
            ("T48 twice", 2, Method::GET, Connect, (2, 502)),
            ("T48 once", 1, Method::GET, Connect, (1, 502)),
            (
                "T48 a number that is none is 1",
                0,
                Method::GET,
                Connect,
                (1, 502),
            ),
            (
                "T48 nothing was sent: any method",
                3,
                Method::POST,
                Connect,
                (3, 502),
            ),
            ("T48 no name", 3, Method::GET, Name, (3, 502)),
            (
                "T49 no connection in time",
                3,
                Method::GET,
                ConnectTimeout,
                (3, 504),
            ),
            ("T49 any method", 3, Method::PUT, ConnectTimeout, (3, 504)),
            (
                "T50 no answer in time",
                3,
                Method::GET,
                ReadTimeout,
                (3, 504),
            ),
            ("T50 HEAD as GET", 3, Method::HEAD, ReadTimeout, (3, 504)),
            (
                "T50 no other method twice",
                3,
                Method::POST,
                ReadTimeout,
                (1, 504),
            ),
            (
                "T50 no other method twice",
                3,
                Method::OPTIONS,
                ReadTimeout,
                (1, 504),
            ),
            ("T51 a lost connection", 3, Method::GET, Lost, (3, 502)),
            (
                "T51 not what may have been done already",
                3,
                Method::DELETE,
                Lost,
                (1, 502),
            ),
            ("T51 no HTTP", 3, Method::GET, Invalid, (1, 502)),
            (
                "T53 a header block that is too large",
                3,
                Method::GET,
                HeadTooLarge,
                (1, 502),
            ),
            (
                "T53 the range is not the announced one",
                3,
                Method::GET,
                ContentRangeLength,
                (1, 502),
            ),
            ("T53 more than 50 GB", 3, Method::GET, TooLarge, (1, 502)),
        ] {
            let found = exhausted(attempts, &method, failure);
            assert_eq!(found, expected, "{row}: {failure:?}");
        }
    }

    #[test]
    fn e10_the_completion_timeout_spans_all_attempts() {
        let mut link = testing::behaviour().origin;
        let unlimited = Attempts::new(&link, &Method::GET);
        assert_eq!(
            unlimited.time_left(Duration::MAX),
            None,
            "T50 none by default"
        );
        link.completion_timeout = Some(5 * SECOND);
        let mut plan = Attempts::new(&link, &Method::GET);
        assert_eq!(plan.time_left(2 * SECOND), Some(3 * SECOND), "T50");
        assert_eq!(
            plan.failed(Failure::Connect, 4 * SECOND),
            Next::Again,
            "T50"
        );
        let ended = plan.failed(Failure::Connect, 5 * SECOND);
        assert_eq!(ended, Next::GiveUp(Failure::Completion), "T50 used up");
        assert_eq!(Failure::Completion.status(), 504, "T50");
    }

    #[test]
    fn e10_every_failure_has_a_name_for_the_log() {
        for (row, failure, expected) in [
            ("T48", Failure::Name, "OriginDnsError"),
            ("T48", Failure::Connect, "OriginConnectError"),
            ("T49", Failure::ConnectTimeout, "OriginConnectError"),
            ("T50", Failure::ReadTimeout, "OriginCommError"),
            ("T51", Failure::Lost, "OriginReadError"),
            ("T51", Failure::Invalid, "OriginInvalidResponseError"),
            ("T53", Failure::HeadTooLarge, "OriginHeaderTooBigError"),
            (
                "T53",
                Failure::ContentRangeLength,
                "OriginContentRangeLengthError",
            ),
        ] {
            assert_eq!(
                failure.detailed_result_type(),
                expected,
                "{row} {failure:?}"
            );
        }
    }
}
