//! Raw exchanges as rows: what is sent, which answers come back, how the connection ends.
//!
//! Never forgives an answer too many: that is how a smuggled request shows itself.

use std::net::SocketAddr;
use std::time::Duration;

use super::table::each_row;
use super::wire::{Broken, Conn, Response};

/// One exchange on a connection of its own.
pub struct Exchange {
    /// Cites the requirement.
    pub name: &'static str,
    /// The bytes sent, at once.
    pub send: Vec<u8>,
    /// The answers in order, as `GET 200, HEAD 404`. `GET 200|400` allows both; a `?` after the statuses allows the
    /// answer to be missing.
    pub answers: &'static str,
    /// What happens to the connection afterwards.
    pub end: End,
}

/// What happens to a connection after the answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It serves another request.
    Open,
    /// The origin ends it, without being asked to by a half-close.
    Closed,
    /// Both are right, as long as no answer is sent that was not asked for.
    Any,
}

/// How soon an origin that ends a connection does so. A lingering close takes a moment.
const CLOSES_WITHIN: Duration = Duration::from_secs(12);

/// A row of an exchange table.
pub fn row(
    name: &'static str,
    send: impl Into<Vec<u8>>,
    answers: &'static str,
    end: End,
) -> Exchange {
    Exchange {
        name,
        send: send.into(),
        answers,
        end,
    }
}

/// Runs all exchanges against `address`.
#[track_caller]
pub fn run_all(address: SocketAddr, rows: &[Exchange]) {
    each_row(rows, |row| row.name.to_owned(), |row| row.run(address));
}

impl Exchange {
    fn run(&self, address: SocketAddr) {
        let mut conn = Conn::open(address);
        // The origin may well refuse and close before everything is sent.
        let _ = conn.try_send(&self.send);
        if self.end == End::Any {
            conn.half_close_if_open();
        }
        let mut last = None;
        for expected in self.answers.split(", ").filter(|text| !text.is_empty()) {
            match expect_answer(&mut conn, expected) {
                Some(response) => last = Some(response),
                None => break,
            }
        }
        match self.end {
            End::Open => {
                if let Some(last) = last {
                    assert!(!last.says_close(), "says close: {last:?}");
                }
                conn.assert_usable();
            }
            End::Closed => {
                conn.assert_closed(CLOSES_WITHIN);
                // RFC 9112 §9.6: who closes after an answer says so in it.
                if let Some(last) = last
                    && last.status >= 400
                {
                    assert!(last.says_close() || last.minor == 0, "no close: {last:?}");
                }
            }
            End::Any => {
                conn.assert_closed(CLOSES_WITHIN);
            }
        }
    }
}

fn expect_answer(conn: &mut Conn, expected: &str) -> Option<Response> {
    let (method, statuses) = expected.split_once(' ').expect("`METHOD STATUS`");
    let (statuses, may_miss) = match statuses.strip_suffix('?') {
        Some(statuses) => (statuses, true),
        None => (statuses, false),
    };
    match conn.try_response(method) {
        Ok(response) => {
            let allowed = statuses
                .split('|')
                .any(|s| s.parse() == Ok(response.status));
            assert!(allowed, "expected {expected}, got {response:?}");
            Some(response)
        }
        Err(Broken::Closed { .. }) if may_miss => None,
        Err(broken) => panic!("expected {expected}, got {broken}"),
    }
}
