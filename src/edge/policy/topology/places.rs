//! E-9: the places of the model: cities with POPs, regional edge caches, Regions of Origin Shield.
//!
//! Owns the tables. Never claims to be the network of today: AWS publishes neither which POP uses which regional edge
//! cache nor how many POPs a city has, so that the mapping is by nearness.

use super::Region;
use super::Region::{
    AfricaMiddleEast, AsiaPacific, Europe, India, Japan, NorthAmerica, Oceania, SouthAmerica,
};

/// A city with POPs.
#[derive(Debug)]
pub(super) struct City {
    /// The code of its airport, as in POP names.
    pub(super) code: &'static str,
    pub(super) region: Region,
    /// The AWS Region of the nearest regional edge cache.
    pub(super) regional: &'static str,
}

/// 13 regional edge caches, as many as AWS counts (fact 55): the 12 Regions of Origin Shield, which stands on one
/// (fact 56), and Northern California. The count is documented; that the 13th is this one is an assumption.
pub(super) const REGIONALS: [(&str, Region); 13] = [
    ("us-east-1", NorthAmerica),
    ("us-east-2", NorthAmerica),
    ("us-west-1", NorthAmerica),
    ("us-west-2", NorthAmerica),
    ("sa-east-1", SouthAmerica),
    ("eu-central-1", Europe),
    ("eu-west-1", Europe),
    ("eu-west-2", Europe),
    ("ap-south-1", India),
    ("ap-northeast-2", AsiaPacific),
    ("ap-southeast-1", AsiaPacific),
    ("ap-northeast-1", Japan),
    ("ap-southeast-2", Oceania),
];

/// Where Origin Shield is offered (fact 56): everywhere above but in California.
pub(super) const SHIELD_REGIONS: [&str; 12] = [
    "us-east-1",
    "us-east-2",
    "us-west-2",
    "ap-south-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "sa-east-1",
];

/// Which Region AWS advises for an origin where Origin Shield is not offered (fact 56).
pub(super) const SHIELD_SUBSTITUTES: [(&str, &str); 8] = [
    ("us-west-1", "us-west-2"),
    ("af-south-1", "eu-west-1"),
    ("ap-east-1", "ap-southeast-1"),
    ("ca-central-1", "us-east-1"),
    ("eu-south-1", "eu-central-1"),
    ("eu-west-3", "eu-west-2"),
    ("eu-north-1", "eu-west-2"),
    ("me-south-1", "ap-south-1"),
];

const fn city(code: &'static str, region: Region, regional: &'static str) -> City {
    City {
        code,
        region,
        regional,
    }
}

/// Cities with POPs, the larger first within a region.
pub(super) const CITIES: &[City] = &[
    city("IAD", NorthAmerica, "us-east-1"),
    city("LAX", NorthAmerica, "us-west-1"),
    city("JFK", NorthAmerica, "us-east-1"),
    city("ORD", NorthAmerica, "us-east-2"),
    city("DFW", NorthAmerica, "us-east-2"),
    city("SFO", NorthAmerica, "us-west-1"),
    city("ATL", NorthAmerica, "us-east-1"),
    city("SEA", NorthAmerica, "us-west-2"),
    city("MIA", NorthAmerica, "us-east-1"),
    city("IAH", NorthAmerica, "us-east-2"),
    city("YTO", NorthAmerica, "us-east-2"),
    city("BOS", NorthAmerica, "us-east-1"),
    city("DEN", NorthAmerica, "us-west-2"),
    city("PHX", NorthAmerica, "us-west-1"),
    city("MSP", NorthAmerica, "us-east-2"),
    city("EWR", NorthAmerica, "us-east-1"),
    city("PHL", NorthAmerica, "us-east-1"),
    city("QRO", NorthAmerica, "us-east-2"),
    city("HIO", NorthAmerica, "us-west-2"),
    city("YUL", NorthAmerica, "us-east-1"),
    city("DTW", NorthAmerica, "us-east-2"),
    city("SLC", NorthAmerica, "us-west-2"),
    city("CMH", NorthAmerica, "us-east-2"),
    city("TPA", NorthAmerica, "us-east-1"),
    city("MCI", NorthAmerica, "us-east-2"),
    city("BNA", NorthAmerica, "us-east-2"),
    city("JAX", NorthAmerica, "us-east-1"),
    city("PIT", NorthAmerica, "us-east-2"),
    city("YVR", NorthAmerica, "us-west-2"),
    city("FRA", Europe, "eu-central-1"),
    city("LHR", Europe, "eu-west-2"),
    city("CDG", Europe, "eu-west-2"),
    city("AMS", Europe, "eu-central-1"),
    city("MXP", Europe, "eu-central-1"),
    city("MAD", Europe, "eu-west-2"),
    city("TXL", Europe, "eu-central-1"),
    city("ARN", Europe, "eu-central-1"),
    city("WAW", Europe, "eu-central-1"),
    city("VIE", Europe, "eu-central-1"),
    city("DUB", Europe, "eu-west-1"),
    city("MAN", Europe, "eu-west-2"),
    city("MUC", Europe, "eu-central-1"),
    city("FCO", Europe, "eu-central-1"),
    city("ZRH", Europe, "eu-central-1"),
    city("BRU", Europe, "eu-west-2"),
    city("CPH", Europe, "eu-central-1"),
    city("HAM", Europe, "eu-central-1"),
    city("MRS", Europe, "eu-central-1"),
    city("IST", Europe, "eu-central-1"),
    city("TLV", Europe, "eu-central-1"),
    city("LIS", Europe, "eu-west-1"),
    city("PRG", Europe, "eu-central-1"),
    city("OTP", Europe, "eu-central-1"),
    city("BUD", Europe, "eu-central-1"),
    city("ATH", Europe, "eu-central-1"),
    city("HEL", Europe, "eu-central-1"),
    city("OSL", Europe, "eu-west-2"),
    city("DUS", Europe, "eu-central-1"),
    city("SOF", Europe, "eu-central-1"),
    city("ZAG", Europe, "eu-central-1"),
    city("PMO", Europe, "eu-central-1"),
    city("SIN", AsiaPacific, "ap-southeast-1"),
    city("ICN", AsiaPacific, "ap-northeast-2"),
    city("HKG", AsiaPacific, "ap-southeast-1"),
    city("TPE", AsiaPacific, "ap-northeast-1"),
    city("BKK", AsiaPacific, "ap-southeast-1"),
    city("CGK", AsiaPacific, "ap-southeast-1"),
    city("KUL", AsiaPacific, "ap-southeast-1"),
    city("MNL", AsiaPacific, "ap-southeast-1"),
    city("SGN", AsiaPacific, "ap-southeast-1"),
    city("HAN", AsiaPacific, "ap-southeast-1"),
    city("NRT", Japan, "ap-northeast-1"),
    city("KIX", Japan, "ap-northeast-1"),
    city("BOM", India, "ap-south-1"),
    city("DEL", India, "ap-south-1"),
    city("MAA", India, "ap-south-1"),
    city("HYD", India, "ap-south-1"),
    city("BLR", India, "ap-south-1"),
    city("CCU", India, "ap-south-1"),
    city("PNQ", India, "ap-south-1"),
    city("GRU", SouthAmerica, "sa-east-1"),
    city("GIG", SouthAmerica, "sa-east-1"),
    city("EZE", SouthAmerica, "sa-east-1"),
    city("SCL", SouthAmerica, "sa-east-1"),
    city("BOG", SouthAmerica, "us-east-1"),
    city("FOR", SouthAmerica, "sa-east-1"),
    city("LIM", SouthAmerica, "sa-east-1"),
    city("DXB", AfricaMiddleEast, "ap-south-1"),
    city("JNB", AfricaMiddleEast, "eu-west-1"),
    city("FJR", AfricaMiddleEast, "ap-south-1"),
    city("BAH", AfricaMiddleEast, "ap-south-1"),
    city("CPT", AfricaMiddleEast, "eu-west-1"),
    city("LOS", AfricaMiddleEast, "eu-west-1"),
    city("NBO", AfricaMiddleEast, "ap-south-1"),
    city("SYD", Oceania, "ap-southeast-2"),
    city("MEL", Oceania, "ap-southeast-2"),
    city("AKL", Oceania, "ap-southeast-2"),
    city("PER", Oceania, "ap-southeast-1"),
];
