//! The saturated origin: how its bytes are shared out among downloads.
//!
//! Owns capped processor sharing. Every download of a line class runs at the same rate, the line's or the fair share of
//! what is left, so a class needs one number: how many bytes any of its downloads has got by now (its virtual time). A
//! download is done when the virtual time reaches its mark; adding one and finding the next one to end costs a step in a
//! heap, however many run. Never refuses anybody: admission is its user's.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Downloads by line class.
#[derive(Debug)]
pub struct Sharing {
    classes: Vec<Class>,
    /// Bytes per µs.
    capacity: f64,
    /// Bytes per µs of all classes together.
    rate: f64,
    open: u64,
    now: u64,
    next: Option<(u64, usize)>,
}

#[derive(Debug)]
struct Class {
    /// Bytes per µs that the line takes.
    line: f64,
    /// Bytes per µs that each download gets.
    rate: f64,
    /// Bytes that a download has got since the class was last empty.
    virtual_bytes: f64,
    /// Marks (bits of a positive `f64`, which sort like the number) and who.
    ends: BinaryHeap<Reverse<(u64, u32)>>,
}

/// The level of a cup that is filled with `capacity` by tubes of `(line rate, count)`, ascending by rate; infinite when
/// every tube may run full.
#[must_use]
pub fn water_level(capacity: f64, lines: impl Iterator<Item = (f64, u64)> + Clone) -> f64 {
    let mut count: u64 = lines.clone().map(|line| line.1).sum();
    let mut left = capacity;
    for (rate, number) in lines {
        if rate * count as f64 > left {
            return left / count as f64;
        }
        left -= rate * number as f64;
        count -= number;
    }
    f64::INFINITY
}

impl Sharing {
    /// For line classes with these rates (bit/s, ascending) and a capacity in bytes/s.
    #[must_use]
    pub fn new(lines_bps: &[f64], capacity_bytes_per_s: f64) -> Self {
        let classes = lines_bps
            .iter()
            .map(|bps| Class {
                line: bps / 8e6,
                rate: bps / 8e6,
                virtual_bytes: 0.0,
                ends: BinaryHeap::new(),
            })
            .collect();
        Self {
            classes,
            capacity: capacity_bytes_per_s / 1e6,
            rate: 0.0,
            open: 0,
            now: 0,
            next: None,
        }
    }

    /// How many downloads run.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open
    }

    /// Bytes per µs that all downloads together get now.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// How many bytes a download of a class has got at a moment since the class was last empty, if nothing changed since.
    #[must_use]
    pub fn virtual_bytes(&self, class: usize, at: u64) -> f64 {
        let class = &self.classes[class];
        class.virtual_bytes + class.rate * at.saturating_sub(self.now) as f64
    }

    /// When the next download ends, if nothing changes.
    #[must_use]
    pub fn next_at(&self) -> Option<u64> {
        self.next.map(|next| next.0)
    }

    /// Lets time pass. The caller never passes over [`Self::next_at`].
    pub fn advance(&mut self, to: u64) {
        let micros = to.saturating_sub(self.now) as f64;
        if micros > 0.0 && self.open > 0 {
            for class in &mut self.classes {
                class.virtual_bytes += class.rate * micros;
            }
        }
        self.now = self.now.max(to);
    }

    /// Another capacity from now on.
    pub fn set_capacity(&mut self, bytes_per_s: f64) {
        let capacity = bytes_per_s / 1e6;
        if capacity.to_bits() != self.capacity.to_bits() {
            self.capacity = capacity;
            self.settle();
        }
    }

    /// A download of `bytes` starts now.
    pub fn start(&mut self, class: usize, bytes: f64, who: u32) {
        let class = &mut self.classes[class];
        if class.ends.is_empty() {
            // Small numbers keep their fractions.
            class.virtual_bytes = 0.0;
        }
        let mark = class.virtual_bytes + bytes.max(0.0);
        class.ends.push(Reverse((mark.to_bits(), who)));
        self.open += 1;
        self.settle();
    }

    /// Takes the download that ends at [`Self::next_at`]; time has advanced to there.
    pub fn finish(&mut self) -> Option<u32> {
        let (_, class) = self.next?;
        let Reverse((_, who)) = self.classes[class].ends.pop()?;
        self.open -= 1;
        self.settle();
        Some(who)
    }

    /// Takes a download out before its end. Looks through its class, so it is for classes of few.
    pub fn cancel(&mut self, class: usize, who: u32) {
        let ends = &mut self.classes[class].ends;
        let before = ends.len();
        ends.retain(|end| end.0.1 != who);
        self.open -= (before - ends.len()) as u64;
        self.settle();
    }

    /// Rates and the next end, after a change.
    fn settle(&mut self) {
        let wanted: f64 = self
            .classes
            .iter()
            .map(|c| c.line * c.ends.len() as f64)
            .sum();
        let level = if wanted <= self.capacity {
            f64::INFINITY
        } else {
            let lines = self.classes.iter().map(|c| (c.line, c.ends.len() as u64));
            water_level(self.capacity, lines)
        };
        self.rate = wanted.min(self.capacity);
        self.next = None;
        for (index, class) in self.classes.iter_mut().enumerate() {
            class.rate = class.line.min(level);
            if let Some(Reverse((mark, _))) = class.ends.peek() {
                let left = (f64::from_bits(*mark) - class.virtual_bytes).max(0.0);
                let at = self.now.saturating_add((left / class.rate).ceil() as u64);
                if self.next.is_none_or(|next| at < next.0) {
                    self.next = Some((at, index));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(sharing: &mut Sharing) -> Vec<(u64, u32)> {
        let mut ends = Vec::new();
        while let Some(at) = sharing.next_at() {
            sharing.advance(at);
            if let Some(who) = sharing.finish() {
                ends.push((at, who));
            }
        }
        ends
    }

    #[test]
    fn an_idle_origin_sends_at_the_rate_of_the_line() {
        let mut sharing = Sharing::new(&[8e6, 80e6], 1e9);
        sharing.start(0, 1e6, 1);
        sharing.start(1, 1e6, 2);
        assert_eq!(drain(&mut sharing), [(100_000, 2), (1_000_000, 1)]);
    }

    #[test]
    fn a_full_origin_shares_fairly_and_a_slow_line_leaves_the_rest_to_others() {
        // 3 MB/s for lines of 1 MB/s, 10 MB/s, 10 MB/s: 1 MB/s each at first.
        let mut sharing = Sharing::new(&[4e6, 80e6], 3e6);
        sharing.start(0, 1e6, 1);
        sharing.start(1, 2.5e6, 2);
        sharing.start(1, 5e6, 3);
        // The slow one takes 0.5 MB/s; 1.25 MB/s each are left, and all end together after 2 s but the third, which has
        // 2.5 MB left and 3 MB/s for itself.
        assert_eq!(
            drain(&mut sharing),
            [(2_000_000, 1), (2_000_000, 2), (2_833_334, 3)]
        );
    }

    #[test]
    fn a_new_instance_speeds_up_what_runs() {
        let mut sharing = Sharing::new(&[80e6], 1e6);
        sharing.start(0, 2e6, 1);
        sharing.advance(1_000_000);
        sharing.set_capacity(2e6);
        assert_eq!(drain(&mut sharing), [(1_500_000, 1)]);
    }

    #[test]
    fn the_water_level_uses_all_of_the_capacity() {
        let lines = [(1.0, 5), (2.0, 3), (10.0, 2)];
        let level = water_level(20.0, lines.into_iter());
        let used: f64 = lines
            .iter()
            .map(|(rate, n)| rate.min(level) * f64::from(*n as u32))
            .sum();
        assert!((used - 20.0).abs() < 1e-9, "{level}");
        assert!(water_level(31.0, lines.into_iter()).is_infinite());
    }
}
