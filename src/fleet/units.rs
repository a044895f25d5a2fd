//! Sizes, rates and durations as people write and read them: `500MB`, `1GiB`, `60Mb/s`, `6h`.
//!
//! Owns both directions for the whole simulation. Never guesses: a size is in bytes (`B`), a rate in bits per second
//! (`b/s`), decimal and binary multiples have their own names, and case matters, because `Mb` is not `MB`.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::fmt::friendly::{Designator, Spacing, SpanParser, SpanPrinter};

/// What a size has to look like, for messages.
pub const SIZE_WANTED: &str = "a size such as \"500MB\", \"1GiB\" or a whole number of bytes";
/// What a rate has to look like, for messages.
pub const RATE_WANTED: &str = "a rate in bits per second such as \"60Mb/s\" or \"5Gb/s\"";
/// What a duration has to look like, for messages.
pub const DURATION_WANTED: &str = "a duration with a unit such as \"6h\", \"45m\" or \"250ms\"";

const SIZES: [(&str, f64); 9] = [
    ("B", 1.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
];

const RATES: [(&str, f64); 5] = [
    ("b/s", 1.0),
    ("kb/s", 1e3),
    ("Mb/s", 1e6),
    ("Gb/s", 1e9),
    ("Tb/s", 1e12),
];

/// Whole numbers up to here are exact in the arithmetic below: 9 PB.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Reads a size: a number and a unit, or a whole number of bytes.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    if let Ok(bytes) = text.parse() {
        return Some(bytes);
    }
    let bytes = scaled(text, &SIZES)?;
    if bytes.fract() != 0.0 || bytes > EXACT_MAX {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number between 0 and 2^53, checked above"
    )]
    Some(bytes as u64)
}

/// Reads a rate in bits per second: a number and a unit.
#[must_use]
pub fn parse_rate(text: &str) -> Option<f64> {
    scaled(text, &RATES)
}

/// Reads a duration: numbers and units.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    SpanParser::new().parse_unsigned_duration(text).ok()
}

/// Digits, perhaps a point and more digits, perhaps a space, a unit. No sign, no exponent, no infinity.
fn scaled(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_name, factor) = units.iter().find(|(name, _factor)| *name == unit)?;
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && number.ends_with(|c: char| c.is_ascii_digit());
    let value: f64 = number.parse().ok().filter(|_| is_number)?;
    Some(value * factor)
}

/// A size with a decimal unit: what network and price tables count in.
#[must_use]
pub fn print_size(bytes: u64) -> String {
    print_scaled(as_f64(bytes), &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// A size that somebody chose: in binary units when it is a whole number of them.
#[must_use]
pub fn print_chosen_size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    if bytes > 0 && bytes.is_multiple_of(MIB) && !bytes.is_multiple_of(1_000_000) {
        return format!("{} MiB", print_count(bytes / MIB));
    }
    print_size(bytes)
}

/// A rate in bits per second.
#[must_use]
pub fn print_rate(bits_per_second: f64) -> String {
    print_scaled(
        bits_per_second,
        &["b/s", "kb/s", "Mb/s", "Gb/s", "Tb/s", "Pb/s"],
    )
}

/// Up to four digits and a unit: `1.234 Mb/s`, `185.2 Gb/s`.
fn print_scaled(value: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{} {}", print_number(value), units[unit])
}

/// A number that is not negative, with the digits that mean something: three or four, groups of thousands in large ones.
#[must_use]
pub fn print_number(value: f64) -> String {
    if value >= 1000.0 {
        return print_count(round(value));
    }
    let decimals = match value {
        large if large >= 100.0 => 1,
        middle if middle >= 1.0 => 2,
        small if small >= 0.1 => 3,
        small if small >= 0.01 => 4,
        small if small >= 0.001 => 5,
        _ => 6,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A whole number in groups of three digits.
#[must_use]
pub fn print_count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in the units it is written in: `6h`, `2h 30m`.
#[must_use]
pub fn print_duration(span: Duration) -> String {
    let printer = SpanPrinter::new()
        .designator(Designator::Compact)
        .spacing(Spacing::BetweenUnits);
    SignedDuration::try_from(span).map_or_else(
        |_beyond_its_range| format!("{}s", span.as_secs()),
        |span| printer.duration_to_string(&span),
    )
}

/// A count as a number to calculate with; exact up to 2^53, and nothing here is known to more digits than that.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "counts above 2^53 are rounded in the sixteenth digit"
)]
pub fn as_f64(count: u64) -> f64 {
    count as f64
}

/// The nearest whole number; zero for anything negative.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` stops at the limits of the type, which is what is wanted"
)]
pub fn round(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_decimal_and_binary_units() {
        for (text, bytes) in [
            ("500000000", 500_000_000),
            ("500MB", 500_000_000),
            ("1GiB", 1 << 30),
            ("1.5 KiB", 1536),
            ("4kB", 4000),
            ("0B", 0),
            ("2TB", 2_000_000_000_000),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in [
            "",
            "MB",
            "5",
            "-5MB",
            "+5MB",
            "5mb",
            "5Mb",
            "5 M B",
            "5  MB",
            "1e3MB",
            ".5MB",
            "5.MB",
            "0.5B",
            "5MB ",
            "infMB",
            "1.2.3MB",
            "99999999TB",
        ] {
            let whole = text.parse::<u64>().ok();
            assert_eq!(parse_size(text), whole, "{text}");
        }
    }

    #[test]
    fn rates_are_in_bits_and_never_in_bytes() {
        assert_eq!(parse_rate("60Mb/s"), Some(6e7));
        assert_eq!(parse_rate("0.937 Gb/s"), Some(9.37e8));
        for text in ["60MB/s", "60", "60Mbps", "60Mb", "Mb/s", "-1Mb/s"] {
            assert_eq!(parse_rate(text), None, "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("6h"), Some(Duration::from_secs(21_600)));
        assert_eq!(parse_duration("1h 30m"), Some(Duration::from_secs(5_400)));
        for text in ["6", "", "-6h", "six hours"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn printed_values_keep_the_digits_that_mean_something() {
        assert_eq!(print_size(500_000_000), "500 MB");
        assert_eq!(print_size(999_960), "1 MB");
        assert_eq!(print_size(0), "0 B");
        assert_eq!(print_chosen_size(8 << 20), "8 MiB");
        assert_eq!(print_chosen_size(200_000_000_000), "200 GB");
        assert_eq!(print_rate(185.185e9), "185.2 Gb/s");
        assert_eq!(print_rate(1.5e6), "1.5 Mb/s");
        assert_eq!(print_count(1_234_567), "1,234,567");
        assert_eq!(print_count(999), "999");
        assert_eq!(print_number(0.001_48), "0.00148");
        assert_eq!(print_number(0.000_000_1), "0");
        assert_eq!(print_number(185.25), "185.2");
        assert_eq!(print_number(29_491.2), "29,491");
        assert_eq!(print_duration(Duration::from_secs(9_000)), "2h 30m");
    }
}
