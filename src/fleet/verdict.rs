//! What a comparison shows, in sentences: where the edge helps, where it does not, and where the money is.
//!
//! Owns the words. Never rounds a result in its favour: what an edge makes dearer is said in the same sentence.

use super::comparison::{Comparison, Run};
use super::cost::Cost;
use super::outcome::Front;
use super::rows::{front_name, print_usd};
use super::units::{as_f64, print_count, print_number, print_rate, print_size};
use crate::edge::policy::limits::Limits;

/// What each is about, and the sentences; none when only one side was run.
#[must_use]
pub fn verdict(comparison: &Comparison) -> Vec<(&'static str, String)> {
    let (Some(without), Some(with)) = (comparison.behind(Front::None), comparison.with_edge())
    else {
        return Vec::new();
    };
    let mut sentences = vec![
        ("Load", load(without, with)),
        ("Instances", instances(comparison, without, with)),
        ("Cost", money(without, with)),
    ];
    sentences.extend(quota(comparison, with).map(|told| ("Quota", told)));
    sentences.extend(devices(without, with).map(|told| ("Failed or late devices", told)));
    sentences
}

fn load(without: &Run, with: &Run) -> String {
    let (before, after) = (&without.summary.origin, &with.summary.origin);
    format!(
        "The origin sends {} {} and {} {}: {}. Its requests go from {} to {}.",
        print_size(before.bytes),
        front_name(without.front),
        print_size(after.bytes),
        front_name(with.front),
        factor(as_f64(before.bytes), as_f64(after.bytes)),
        print_count(before.requests),
        print_count(after.requests),
    )
}

fn factor(before: f64, after: f64) -> String {
    if after <= 0.0 {
        "nothing is left".to_owned()
    } else if before >= after {
        format!("{} times less", print_number(before / after))
    } else {
        format!("{} times more", print_number(after / before.max(1.0)))
    }
}

fn instances(comparison: &Comparison, without: &Run, with: &Run) -> String {
    let kind = &comparison.request.scenario.origin.instance_type;
    let (before, after) = (&without.summary.origin, &with.summary.origin);
    format!(
        "The demand of the busiest five minutes needs {} {kind} {} and {} {}. The group, which reacts minutes late, had at most \
         {} and {}.",
        print_count(before.instances_needed),
        front_name(without.front),
        print_count(after.instances_needed),
        front_name(with.front),
        print_count(before.instances_peak),
        print_count(after.instances_peak),
    )
}

fn money(without: &Run, with: &Run) -> String {
    let (before, after) = (&without.summary.cost_usd, &with.summary.cost_usd);
    let bytes_out = |cost: &Cost| cost.transfer_out + cost.cloudfront_transfer;
    let requests = after.cloudfront_requests + after.origin_shield;
    format!(
        "At list price, always-free amounts taken off, the run costs {} {} and {} {} ({}). Transfer to the devices is {} and {} ({}), requests to the edge \
         add {}; the rest is instances ({} and {}) and the load balancer ({} and {}).",
        print_usd(before.total),
        front_name(without.front),
        print_usd(after.total),
        front_name(with.front),
        change(before.total, after.total),
        print_usd(bytes_out(before)),
        print_usd(bytes_out(after)),
        change(bytes_out(before), bytes_out(after)),
        print_usd(requests),
        print_usd(before.ec2_hours),
        print_usd(after.ec2_hours),
        print_usd(before.alb),
        print_usd(after.alb),
    )
}

/// Only when the mean alone is above what a distribution may send by default (fact 60 of CloudFront's quotas: 150 Gb/s
/// and 250,000 requests per second, raised on request).
fn quota(comparison: &Comparison, with: &Run) -> Option<String> {
    let limits = Limits::default();
    let window = comparison.request.scenario.window.as_secs_f64().max(1.0);
    let rate = with.summary.edge.mean_gbps * 1e9;
    let requests = as_f64(with.summary.edge.requests) / window;
    let above = [
        rate / as_f64(limits.bits_per_second),
        requests / as_f64(limits.requests_per_second),
    ];
    let most = above.into_iter().fold(0.0, f64::max);
    (most > 1.0).then(|| {
        format!(
            "Over the window the edge sends {} and answers {} requests/s on average: {} times what one distribution may do by \
             default ({} and {} requests/s). Ask AWS to raise the quota before such a release, spread it over a longer window \
             or over several distributions; the simulation goes on as if it had been raised.",
            print_rate(rate),
            print_number(requests),
            print_number(most),
            print_rate(as_f64(limits.bits_per_second)),
            print_count(limits.requests_per_second),
        )
    })
}

/// A change in percent, with its direction as a word.
#[must_use]
pub fn change(before: f64, after: f64) -> String {
    if before <= 0.0 {
        return if after > 0.0 {
            "all of it new"
        } else {
            "the same"
        }
        .to_owned();
    }
    let percent = (after / before - 1.0) * 100.0;
    if percent.abs() < 0.5 {
        "the same".to_owned()
    } else if percent < 0.0 {
        format!("{:.0} % less", -percent)
    } else {
        format!("{percent:.0} % more")
    }
}

/// Only when some device was failed or late on either side.
fn devices(without: &Run, with: &Run) -> Option<String> {
    let (before, after) = (&without.summary.fleet, &with.summary.fleet);
    if before.failed + before.late + after.failed + after.late == 0 {
        return None;
    }
    Some(format!(
        "{} failed and {} were late {}, {} and {} {}.",
        print_count(before.failed),
        print_count(before.late),
        front_name(without.front),
        print_count(after.failed),
        print_count(after.late),
        front_name(with.front),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_dearer_is_said_as_such() {
        assert_eq!(change(100.0, 73.0), "27 % less");
        assert_eq!(change(100.0, 127.0), "27 % more");
        assert_eq!(change(100.0, 100.4), "the same");
        assert_eq!(change(0.0, 5.0), "all of it new");
        assert_eq!(change(0.0, 0.0), "the same");
        assert_eq!(factor(10.0, 20.0), "2 times more");
        assert_eq!(factor(10.0, 0.0), "nothing is left");
    }
}
