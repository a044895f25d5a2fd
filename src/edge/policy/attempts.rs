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
    use super::super::testing::{behaviour, rows};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How often the origin is asked when every attempt fails like this, and the status in the end.
    fn exhausted(attempts: u32, method: &Method, failure: Failure) -> (u32, u16) {
        let link = OriginLink {
            connection_attempts: attempts,
            ..behaviour().origin
        };
        let mut plan = Attempts::new(&link, method);
        for asked in 1.. {
            if let Next::GiveUp(failure) = plan.failed(failure, SECOND) {
                return (asked, failure.status());
            }
        }
        unreachable!("the loop ends with an answer");
    }

    /// Attempts as configured, method, what happens to each; attempts made, status, name in the log.
    const E10: &str = "
        T48 refused      | 3 | GET     | Connect            | 3 | 502 | OriginConnectError
        T48 refused      | 2 | GET     | Connect            | 2 | 502 | OriginConnectError
        T48 refused      | 1 | GET     | Connect            | 1 | 502 | OriginConnectError
        T48 zero is one  | 0 | GET     | Connect            | 1 | 502 | OriginConnectError
        T48 nothing sent | 3 | POST    | Connect            | 3 | 502 | OriginConnectError
        T48 no name      | 3 | GET     | Name               | 3 | 502 | OriginDnsError
        T49 unreached    | 3 | GET     | ConnectTimeout     | 3 | 504 | OriginConnectError
        T49 nothing sent | 3 | PUT     | ConnectTimeout     | 3 | 504 | OriginConnectError
        T50 no answer    | 3 | GET     | ReadTimeout        | 3 | 504 | OriginCommError
        T50 no answer    | 3 | HEAD    | ReadTimeout        | 3 | 504 | OriginCommError
        T50 not twice    | 3 | POST    | ReadTimeout        | 1 | 504 | OriginCommError
        T50 not twice    | 3 | OPTIONS | ReadTimeout        | 1 | 504 | OriginCommError
        T51 lost         | 3 | GET     | Lost               | 3 | 502 | OriginReadError
        T51 not twice    | 3 | DELETE  | Lost               | 1 | 502 | OriginReadError
        T51 no HTTP      | 3 | GET     | Invalid            | 1 | 502 | OriginInvalidResponseError
        T53 large head   | 3 | GET     | HeadTooLarge       | 1 | 502 | OriginHeaderTooBigError
        T53 other range  | 3 | GET     | ContentRangeLength | 1 | 502 | OriginContentRangeLengthError
        T53 over 50 GB   | 3 | GET     | TooLarge           | 1 | 502 | OriginError
        T50 out of time  | 3 | GET     | Completion         | 1 | 504 | OriginCommError
    ";

    const FAILURES: [Failure; 10] = [
        Failure::Name,
        Failure::Connect,
        Failure::ConnectTimeout,
        Failure::Lost,
        Failure::ReadTimeout,
        Failure::Invalid,
        Failure::HeadTooLarge,
        Failure::ContentRangeLength,
        Failure::TooLarge,
        Failure::Completion,
    ];

    #[test]
    fn e10_attempts() {
        for [row, attempts, method, failure, asked, status, name] in rows::<7>(E10) {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let failure = FAILURES
                .into_iter()
                .find(|known| format!("{known:?}") == failure)
                .unwrap();
            let found = exhausted(attempts.parse().unwrap(), &method, failure);
            let expected = (asked.parse().unwrap(), status.parse().unwrap());
            assert_eq!(found, expected, "{row}: {method} {failure:?}");
            assert_eq!(failure.detailed_result_type(), name, "{row}: {failure:?}");
        }
    }

    #[test]
    fn e10_the_completion_timeout_spans_all_attempts() {
        let mut link = behaviour().origin;
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
}
