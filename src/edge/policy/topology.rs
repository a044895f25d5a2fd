//! E-9: POP → regional edge cache → Origin Shield → origin.
//!
//! Owns the way a request takes and the choice of a node. Never holds a cache. The places are in `topology/places.rs`.

use std::collections::BTreeMap;

mod places;

use self::places::{CITIES, City, REGIONALS, SHIELD_REGIONS, SHIELD_SUBSTITUTES};

/// A price region of CloudFront (the columns of its price table).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Region {
    /// United States, Mexico, Canada.
    NorthAmerica,
    /// Europe, Israel, Türkiye.
    Europe,
    /// South Africa, Kenya, Nigeria, Middle East.
    AfricaMiddleEast,
    /// South America.
    SouthAmerica,
    /// Japan.
    Japan,
    /// Australia, New Zealand.
    Oceania,
    /// Hong Kong, Indonesia, Philippines, Singapore, South Korea, Taiwan, Thailand, Malaysia, Vietnam.
    AsiaPacific,
    /// India.
    India,
}

impl Region {
    /// All of them, the busiest first, each with its share of the world's viewers in percent: an assumption of the model.
    pub const SHARES: [(Self, u32); 8] = [
        (Self::NorthAmerica, 35),
        (Self::Europe, 27),
        (Self::AsiaPacific, 18),
        (Self::Japan, 5),
        (Self::India, 5),
        (Self::SouthAmerica, 5),
        (Self::AfricaMiddleEast, 3),
        (Self::Oceania, 2),
    ];

    /// Where viewers of this region go when it has no POP, the nearest first.
    fn neighbours(self) -> [Self; 3] {
        use Region::{AfricaMiddleEast, AsiaPacific, Europe, India, Japan, NorthAmerica, Oceania};
        match self {
            Self::NorthAmerica => [Self::SouthAmerica, Europe, AsiaPacific],
            Self::Europe => [NorthAmerica, AfricaMiddleEast, AsiaPacific],
            Self::AfricaMiddleEast | Self::India => [
                if self == India { AsiaPacific } else { India },
                Europe,
                NorthAmerica,
            ],
            Self::SouthAmerica => [NorthAmerica, Europe, AsiaPacific],
            Self::Japan | Self::Oceania => [
                AsiaPacific,
                if self == Japan { Oceania } else { Japan },
                NorthAmerica,
            ],
            Self::AsiaPacific => [Japan, NorthAmerica, Europe],
        }
    }
}

/// ⚙ How a node is chosen inside a POP or a regional edge cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// All requests for a key meet on one node (consistent hashing).
    ByKey,
    /// The connection decides: each node fills for itself.
    ByConnection,
}

/// What the edge looks like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopologySettings {
    /// How many POPs (1 to [`POPS_MAX`]).
    pub pops: usize,
    /// ⚙ Nodes in each POP, at least 1.
    pub nodes_per_pop: usize,
    /// ⚙ Nodes in each regional edge cache, at least 1.
    pub nodes_per_regional: usize,
    /// ⚙ How a node is chosen.
    pub placement: Placement,
    /// The Region of the Origin Shield, such as `eu-central-1`; none without one.
    pub shield: Option<String>,
}

/// The largest count of POPs that anyone has listed (fact 55).
pub const POPS_MAX: usize = 750;

/// ⚙ How unequal POPs of one region are: the k-th has a weight of `1 / k^s`. Between the 0.8 and 1.0 that the fleet model
/// sweeps.
const ZIPF_EXPONENT: f64 = 0.9;

/// A POP.
#[derive(Clone, PartialEq, Debug)]
pub struct Pop {
    /// As in `X-Amz-Cf-Pop`: `FRA56-P1`.
    pub name: String,
    /// For prices.
    pub region: Region,
    /// Its regional edge cache: an index into [`Topology::regionals`].
    pub regional: usize,
    /// Its share of the viewers of its region; all POPs of a region sum up to 1.
    pub weight: f64,
}

/// A regional edge cache.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Regional {
    /// The AWS Region it stands in: `eu-central-1`.
    pub name: &'static str,
    /// For prices.
    pub region: Region,
}

/// The built edge.
#[derive(Clone, Debug)]
pub struct Topology {
    /// All POPs, those of a region together, the busiest first.
    pub pops: Vec<Pop>,
    /// All regional edge caches that a POP uses or the shield stands on.
    pub regionals: Vec<Regional>,
    /// The regional edge cache that is the Origin Shield.
    pub shield: Option<usize>,
    /// The settings it was built from.
    pub settings: TopologySettings,
}

/// Why a topology cannot be built.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TopologyError {
    /// A count out of its limits.
    #[error("`{key}` is {value}; it must be {limits}")]
    Count {
        /// Which setting.
        key: &'static str,
        /// What was given.
        value: usize,
        /// What is allowed.
        limits: &'static str,
    },
    /// No Origin Shield can stand there (fact 56).
    #[error("Origin Shield is not offered in `{given}`; {hint}")]
    ShieldRegion {
        /// What was given.
        given: String,
        /// Which Region serves it, or the list.
        hint: String,
    },
}

impl Topology {
    /// Builds it. The same settings give the same edge.
    pub fn new(settings: TopologySettings) -> Result<Self, TopologyError> {
        check_counts(&settings)?;
        let shield = settings.shield.as_deref().map(check_shield).transpose()?;
        let places = place(settings.pops);
        let used = |name: &str| {
            shield == Some(name) || places.iter().any(|(city, _)| city.regional == name)
        };
        let regionals: Vec<Regional> = REGIONALS
            .iter()
            .filter(|(name, _)| used(name))
            .map(|&(name, region)| Regional { name, region })
            .collect();
        let index = |name: &str| regionals.iter().position(|regional| regional.name == name);
        let mut in_city: BTreeMap<&str, usize> = BTreeMap::new();
        let pops = places
            .iter()
            .filter_map(|&(city, weight)| {
                let nth = in_city.entry(city.code).or_default();
                *nth += 1;
                Some(Pop {
                    name: format!("{}{}-P1", city.code, 49 + *nth),
                    region: city.region,
                    regional: index(city.regional)?,
                    weight,
                })
            })
            .collect();
        Ok(Self {
            pops,
            shield: shield.and_then(index),
            regionals,
            settings,
        })
    }

    /// The POPs that serve the viewers of a region, each with its share of them: its own, or those of the nearest region
    /// that has any.
    #[must_use]
    pub fn pops_for(&self, region: Region) -> Vec<(usize, f64)> {
        let of = |region: Region| -> Vec<(usize, f64)> {
            let pops = self.pops.iter().enumerate();
            let here = pops.filter(|(_, pop)| pop.region == region);
            here.map(|(index, pop)| (index, pop.weight)).collect()
        };
        let candidates = [region].into_iter().chain(region.neighbours());
        let all = Region::SHARES.map(|(region, _)| region);
        candidates
            .chain(all)
            .map(of)
            .find(|pops| !pops.is_empty())
            .unwrap_or_default()
    }

    /// Whether a request from a POP's regional edge cache to the shield is an extra hop (fact 57), and so is charged.
    #[must_use]
    pub fn shield_hop(&self, pop: usize) -> bool {
        let regional = self.pops.get(pop).map(|pop| pop.regional);
        self.shield.is_some() && self.shield != regional
    }

    /// Which node of a place with `nodes` nodes handles a request.
    #[must_use]
    pub fn node(&self, nodes: usize, key_hash: u64, connection_hash: u64) -> usize {
        match self.settings.placement {
            _ if nodes <= 1 => 0,
            Placement::ByKey => jump(mix(key_hash), nodes),
            // The remainder is below `nodes`, and so fits.
            Placement::ByConnection => (mix(connection_hash) % nodes as u64) as usize,
        }
    }
}

fn check_counts(settings: &TopologySettings) -> Result<(), TopologyError> {
    let at_least_1 = |key, value| match value {
        0 => Err(TopologyError::Count {
            key,
            value,
            limits: "at least 1",
        }),
        _ => Ok(()),
    };
    at_least_1("nodes_per_pop", settings.nodes_per_pop)?;
    at_least_1("nodes_per_regional", settings.nodes_per_regional)?;
    if !(1..=POPS_MAX).contains(&settings.pops) {
        return Err(TopologyError::Count {
            key: "pops",
            value: settings.pops,
            limits: "1 to 750",
        });
    }
    Ok(())
}

fn check_shield(given: &str) -> Result<&'static str, TopologyError> {
    if let Some(name) = SHIELD_REGIONS.iter().find(|name| **name == given) {
        return Ok(name);
    }
    let substitute = SHIELD_SUBSTITUTES.iter().find(|(of, _)| *of == given);
    let hint = match substitute {
        Some((_, instead)) => format!("for an origin there use `{instead}`"),
        None => format!("it is in {}", SHIELD_REGIONS.join(", ")),
    };
    let given = given.to_owned();
    Err(TopologyError::ShieldRegion { given, hint })
}

/// Cities of so many POPs, region by region, each with its weight in its region.
fn place(pops: usize) -> Vec<(&'static City, f64)> {
    let shares = Region::SHARES.map(|(_, share)| f64::from(share));
    let counts = apportion(pops, &shares);
    let mut placed = Vec::with_capacity(pops);
    for ((region, _), count) in Region::SHARES.iter().zip(counts) {
        let cities: Vec<&City> = CITIES
            .iter()
            .filter(|city| city.region == *region)
            .collect();
        let by_city = apportion(count, &zipf(cities.len()));
        // The first POP of each city comes before the second of any: the busiest POPs are in different cities.
        let rounds = by_city.iter().copied().max().unwrap_or_default();
        let in_turn = (0..rounds).flat_map(|round| {
            let with_room = cities.iter().zip(&by_city);
            with_room.filter(move |(_, count)| **count > round)
        });
        let weights = zipf(count);
        let sum: f64 = weights.iter().sum();
        placed.extend(
            in_turn
                .zip(weights)
                .map(|((city, _), weight)| (*city, weight / sum)),
        );
    }
    placed
}

/// `1/1^s, 1/2^s, …`
fn zipf(len: usize) -> Vec<f64> {
    // Exact up to 2^53.
    (1..=len).map(|k| (k as f64).powf(-ZIPF_EXPONENT)).collect()
}

/// Divides `seats` in proportion to `weights`: each goes to the one that is furthest behind (Sainte-Laguë), the first of
/// equals.
fn apportion(seats: usize, weights: &[f64]) -> Vec<usize> {
    let mut won = vec![0_usize; weights.len()];
    for _ in 0..seats {
        let claim = |at: usize| weights[at] / (2 * won[at] + 1) as f64;
        let first =
            (0..weights.len()).reduce(|best, at| if claim(at) > claim(best) { at } else { best });
        if let Some(first) = first {
            won[first] += 1;
        }
    }
    won
}

/// Jump consistent hashing (Lamping and Veach, 2014): one more node takes `1/n` of the keys, and no key moves between the
/// others.
fn jump(mut key: u64, nodes: usize) -> usize {
    let (mut node, mut next) = (0, 0_u64);
    while next < nodes as u64 {
        node = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        // 31 random bits: exact as a float, and at least 1.
        let random = ((key >> 33) + 1) as f64;
        next = ((node + 1) as f64 * ((1_u64 << 31) as f64 / random)) as u64;
    }
    node as usize
}

/// The finaliser of `SplitMix64`: small or similar numbers become unlike.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
