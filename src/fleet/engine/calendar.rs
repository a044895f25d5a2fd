//! A calendar queue: events in the order of time.
//!
//! Owns the order. Events far ahead lie unsorted in the bucket of their second; a bucket is sorted when its turn comes.
//! That is one append and a share of a small sort per event, where a heap of millions would miss the cache at every
//! level. Events of the same microsecond come in the order of their payload, never in the order of their making, so a
//! run can be repeated.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// 2²⁰ µs: about a second, so that buckets of a large fleet hold some hundred events.
const BUCKET_BITS: u32 = 20;

/// Events of type `T` by time in microseconds.
#[derive(Debug)]
pub struct Calendar<T> {
    buckets: Vec<Vec<(u64, T)>>,
    /// The bucket that is being emptied.
    current: usize,
    /// Its events, the next one last.
    sorted: Vec<(u64, T)>,
    /// Events that were added to it, or to an earlier one, since it was sorted.
    near: BinaryHeap<Reverse<(u64, T)>>,
    end: u64,
}

impl<T: Copy + Ord> Calendar<T> {
    /// Empty. Events after `end` are dropped: nobody will see them.
    #[must_use]
    pub fn new(end: u64) -> Self {
        let count = (end >> BUCKET_BITS) as usize + 1;
        Self {
            buckets: (0..count).map(|_| Vec::new()).collect(),
            current: 0,
            sorted: Vec::new(),
            near: BinaryHeap::new(),
            end,
        }
    }

    /// Adds an event.
    pub fn push(&mut self, at: u64, event: T) {
        if at > self.end {
            return;
        }
        let bucket = (at >> BUCKET_BITS) as usize;
        if bucket <= self.current {
            self.near.push(Reverse((at, event)));
        } else {
            self.buckets[bucket].push((at, event));
        }
    }

    /// The time of the next event.
    pub fn next_at(&mut self) -> Option<u64> {
        while self.sorted.is_empty() && self.near.is_empty() {
            if self.current + 1 >= self.buckets.len() {
                return None;
            }
            self.current += 1;
            self.sorted = std::mem::take(&mut self.buckets[self.current]);
            self.sorted.sort_unstable_by(|a, b| b.cmp(a));
        }
        let sorted = self.sorted.last().map(|event| event.0);
        let near = self.near.peek().map(|event| event.0.0);
        match (sorted, near) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        self.next_at()?;
        let near_first = match (self.sorted.last(), self.near.peek()) {
            (Some(sorted), Some(Reverse(near))) => near < sorted,
            (sorted, _) => sorted.is_none(),
        };
        if near_first {
            self.near.pop().map(|Reverse(event)| event)
        } else {
            self.sorted.pop()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn events_come_in_order_whenever_they_were_added() {
        let mut dice =
            crate::fleet::engine::chance::stream(3, super::super::chance::Purpose::Fleet);
        let mut calendar = Calendar::new(20_000_000);
        let mut model = std::collections::BTreeSet::new();
        for id in 0_u32..2_000 {
            let at = dice.random_range(0..20_000_000);
            calendar.push(at, id);
            model.insert((at, id));
        }
        let mut now = 0;
        let mut id = 2_000;
        while let Some(event) = calendar.pop() {
            assert_eq!(Some(event), model.pop_first());
            assert!(event.0 >= now);
            now = event.0;
            if id < 5_000 {
                let at = now + dice.random_range(0..3_000_000);
                calendar.push(at, id);
                if at <= 20_000_000 {
                    model.insert((at, id));
                }
                id += 1;
            }
        }
        assert!(model.is_empty());
    }
}
