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
                // Five to a site: `FRA50-P1` to `FRA50-P5`, then `FRA51-P1`.
                let name = format!("{}{}-P{}", city.code, 50 + *nth / 5, 1 + *nth % 5);
                *nth += 1;
                Some(Pop {
                    name,
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
            Placement::ByConnection => {
                let node = mix(connection_hash) % nodes as u64;
                usize::try_from(node).unwrap_or_default() // It is below `nodes`, and so fits.
            }
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
    let ranks = std::iter::successors(Some(1.0_f64), |rank| Some(rank + 1.0));
    ranks
        .take(len)
        .map(|rank| rank.powf(-ZIPF_EXPONENT))
        .collect()
}

/// Divides `seats` in proportion to `weights`: each goes to the one that is furthest behind (Sainte-Laguë), the first of
/// equals.
fn apportion(seats: usize, weights: &[f64]) -> Vec<usize> {
    let mut won = vec![0; weights.len()];
    let mut divisors = vec![1.0; weights.len()];
    for _ in 0..seats {
        let claim = |at: usize| weights[at] / divisors[at];
        let first =
            (0..weights.len()).reduce(|best, at| if claim(at) > claim(best) { at } else { best });
        if let Some(first) = first {
            won[first] += 1;
            divisors[first] += 2.0;
        }
    }
    won
}

/// Jump consistent hashing (Lamping and Veach, 2014): one more node takes `1/n` of the keys, and no key moves between the
/// others.
fn jump(mut key: u64, nodes: usize) -> usize {
    let (mut node, mut next) = (0, 0);
    while next < nodes {
        node = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        // The paper divides by a random number of 31 bits; in whole numbers the result is the same and certain.
        let random = u128::from((key >> 33) + 1);
        let jumped = (node as u128 + 1) * (1 << 31) / random;
        next = usize::try_from(jumped).unwrap_or(usize::MAX);
    }
    node
}

/// The finaliser of `SplitMix64`: small or similar numbers become unlike.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pops: usize) -> TopologySettings {
        TopologySettings {
            pops,
            nodes_per_pop: 1,
            nodes_per_regional: 1,
            placement: Placement::ByKey,
            shield: None,
        }
    }

    fn behind_shield(shield: &str) -> Result<Topology, TopologyError> {
        let shield = Some(shield.to_owned());
        Topology::new(TopologySettings {
            shield,
            ..settings(100)
        })
    }

    fn count(topology: &Topology, region: Region) -> usize {
        let in_region = |pop: &&Pop| pop.region == region;
        topology.pops.iter().filter(in_region).count()
    }

    #[test]
    fn pops_are_spread_over_the_regions_by_their_shares() {
        let topology = Topology::new(settings(600)).unwrap();
        assert_eq!(topology.pops.len(), 600);
        for (region, share) in Region::SHARES {
            let exact = 6 * usize::try_from(share).unwrap();
            let count = count(&topology, region);
            assert!(count.abs_diff(exact) <= 1, "{region:?}: {count} of {exact}");
        }
        assert_eq!(
            Region::SHARES.map(|(_, share)| share).iter().sum::<u32>(),
            100
        );
    }

    #[test]
    fn any_count_of_pops_gives_names_of_its_own_and_weights_that_sum_up_to_1() {
        for pops in [1, 2, 7, 13, 100, 333, POPS_MAX] {
            let topology = Topology::new(settings(pops)).unwrap();
            let names: std::collections::BTreeSet<&str> =
                topology.pops.iter().map(|pop| pop.name.as_str()).collect();
            assert_eq!(names.len(), pops);
            for (region, _) in Region::SHARES {
                let weights = topology.pops_for(region);
                let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
                assert!((sum - 1.0).abs() < 1e-9, "{region:?} of {pops}: {sum}");
                assert!(weights.windows(2).all(|pair| pair[0].1 > pair[1].1));
            }
        }
    }

    #[test]
    fn pop_names_look_like_cloudfronts() {
        let topology = Topology::new(settings(POPS_MAX)).unwrap();
        for pop in &topology.pops {
            let (code, rest) = pop.name.split_at(3);
            let (site, unit) = rest.split_once("-P").unwrap_or_default();
            let is_code = code.bytes().all(|byte| byte.is_ascii_uppercase());
            let is_site = site.len() == 2 && site.parse::<u8>().is_ok();
            let is_unit = matches!(unit, "1" | "2" | "3" | "4" | "5");
            assert!(is_code && is_site && is_unit, "{}", pop.name);
        }
        let has = |name: &str| topology.pops.iter().any(|pop| pop.name == name);
        assert!(has("FRA50-P1") && has("NRT50-P1") && has("GRU50-P1"));
    }

    #[test]
    fn viewers_of_a_region_without_pops_go_to_a_neighbour() {
        let topology = Topology::new(settings(2)).unwrap();
        let regions: Vec<Region> = topology.pops.iter().map(|pop| pop.region).collect();
        assert_eq!(regions, [Region::NorthAmerica, Region::Europe]);
        assert_eq!(topology.pops_for(Region::SouthAmerica), [(0, 1.0)]);
        assert_eq!(topology.pops_for(Region::AfricaMiddleEast), [(1, 1.0)]);
        assert_eq!(topology.pops_for(Region::Japan), [(0, 1.0)]);
    }

    #[test]
    fn every_city_has_a_regional_edge_cache_and_every_shield_stands_on_one() {
        let is_regional = |name: &str| REGIONALS.iter().any(|(regional, _)| *regional == name);
        for city in CITIES {
            assert!(is_regional(city.regional), "{}", city.code);
        }
        for name in SHIELD_REGIONS {
            assert!(is_regional(name), "{name}");
        }
        for (of, instead) in SHIELD_SUBSTITUTES {
            assert!(SHIELD_REGIONS.contains(&instead), "{of}");
            assert!(!SHIELD_REGIONS.contains(&of), "{of}");
        }
        let codes: std::collections::BTreeSet<&str> = CITIES.iter().map(|city| city.code).collect();
        assert_eq!(codes.len(), CITIES.len());
        assert_eq!(
            Topology::new(settings(POPS_MAX)).unwrap().regionals.len(),
            13
        );
    }

    #[test]
    fn only_the_regionals_that_are_used_exist_and_the_shield_is_one_of_them() {
        let one = Topology::new(settings(1)).unwrap();
        assert_eq!(one.regionals.len(), 1);
        let shielded = Topology::new(TopologySettings {
            shield: Some("sa-east-1".to_owned()),
            ..settings(1)
        });
        let shielded = shielded.unwrap();
        let shield = &shielded.regionals[shielded.shield.unwrap()];
        assert_eq!((shield.name, shielded.regionals.len()), ("sa-east-1", 2));
    }

    #[test]
    fn a_shield_stands_only_where_it_is_offered_and_the_message_says_where_instead() {
        let message = |region: &str| behind_shield(region).unwrap_err().to_string();
        assert_eq!(
            message("us-west-1"),
            "Origin Shield is not offered in `us-west-1`; for an origin there use `us-west-2`"
        );
        assert!(message("eu-central-2").ends_with("eu-west-1, eu-west-2, sa-east-1"));
        for region in SHIELD_REGIONS {
            assert!(behind_shield(region).is_ok(), "{region}");
        }
    }

    #[test]
    fn the_way_to_the_shield_is_an_extra_hop_only_from_other_regionals() {
        let topology = behind_shield("eu-central-1").unwrap();
        let hop = |code: &str| {
            let is_there = |pop: &Pop| pop.name.starts_with(code);
            topology.shield_hop(topology.pops.iter().position(is_there).unwrap())
        };
        assert!(
            !hop("FRA"),
            "T46: its own regional edge cache is the shield"
        );
        assert!(hop("IAD") && hop("LHR"), "T46");
        assert!(
            !Topology::new(settings(9)).unwrap().shield_hop(0),
            "T46: without one"
        );
    }

    #[test]
    fn counts_out_of_their_limits_are_refused_by_name() {
        let refused = |settings: TopologySettings| Topology::new(settings).unwrap_err().to_string();
        assert_eq!(refused(settings(0)), "`pops` is 0; it must be 1 to 750");
        assert_eq!(refused(settings(751)), "`pops` is 751; it must be 1 to 750");
        let nodes_per_pop = 0;
        let none = TopologySettings {
            nodes_per_pop,
            ..settings(1)
        };
        assert_eq!(refused(none), "`nodes_per_pop` is 0; it must be at least 1");
        let nodes_per_regional = 0;
        let none = TopologySettings {
            nodes_per_regional,
            ..settings(1)
        };
        assert_eq!(
            refused(none),
            "`nodes_per_regional` is 0; it must be at least 1"
        );
    }

    #[test]
    fn one_more_node_takes_its_share_of_the_keys_and_moves_no_other() {
        let topology = Topology::new(settings(1)).unwrap();
        let keys = 20_000_u64;
        for nodes in 1..16 {
            let node = |nodes, key| topology.node(nodes, key, 0);
            let moved: Vec<u64> = (0..keys)
                .filter(|key| node(nodes, *key) != node(nodes + 1, *key))
                .collect();
            assert!(
                moved.iter().all(|key| node(nodes + 1, *key) == nodes),
                "to the new one only"
            );
            let expected = keys / (nodes as u64 + 1);
            let count = moved.len() as u64;
            assert!(
                count.abs_diff(expected) < expected / 10,
                "{count} of {expected}"
            );
        }
    }

    #[test]
    fn by_key_the_connection_does_not_matter_and_the_other_way_round() {
        let by_key = Topology::new(settings(1)).unwrap();
        let placement = Placement::ByConnection;
        let by_connection = Topology::new(TopologySettings {
            placement,
            ..settings(1)
        });
        let by_connection = by_connection.unwrap();
        for seed in 0..1_000 {
            assert_eq!(by_key.node(8, 5, seed), by_key.node(8, 5, 0));
            assert_eq!(by_connection.node(8, seed, 5), by_connection.node(8, 0, 5));
        }
        let mut used: Vec<usize> = (0..1_000).map(|c| by_connection.node(8, 0, c)).collect();
        used.sort_unstable();
        used.dedup();
        assert_eq!(used, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(by_key.node(1, 99, 99), 0);
    }
}
