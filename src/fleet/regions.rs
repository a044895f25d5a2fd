//! The price regions by name: as a key in files and as people call them.
//!
//! Owns these names only; which countries a region has stands at [`Region`].

use crate::edge::policy::topology::Region;

/// Every region: its key in a file, itself, its name.
pub const REGIONS: [(&str, Region, &str); 8] = [
    ("north_america", Region::NorthAmerica, "North America"),
    ("europe", Region::Europe, "Europe"),
    (
        "africa_middle_east",
        Region::AfricaMiddleEast,
        "Africa, Middle East",
    ),
    ("south_america", Region::SouthAmerica, "South America"),
    ("japan", Region::Japan, "Japan"),
    ("oceania", Region::Oceania, "Australia, New Zealand"),
    ("asia_pacific", Region::AsiaPacific, "Asia-Pacific"),
    ("india", Region::India, "India"),
];

/// A value for each region.
#[derive(Clone, PartialEq, Debug)]
pub struct PerRegion<T>([T; REGIONS.len()]);

impl<T> PerRegion<T> {
    /// Makes one of what `value` says for each region's key.
    pub fn of(mut value: impl FnMut(&'static str) -> T) -> Self {
        Self(REGIONS.map(|(key, _region, _name)| value(key)))
    }

    /// The value for a region.
    #[must_use]
    pub fn at(&self, region: Region) -> &T {
        let Self(values) = self;
        let at = REGIONS
            .iter()
            .position(|(_key, other, _name)| *other == region);
        &values[at.unwrap_or_default()]
    }
}
