//! E-9: POP → regional edge cache → Origin Shield → origin.
//!
//! Owns the table of places and the way a request takes. Never holds a cache.

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

/// ⚙ How a node is chosen inside a POP or a regional edge cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// All requests for a key meet on one node (consistent hashing).
    ByKey,
    /// The connection decides: each node fills for itself.
    ByConnection,
}

/// What the edge looks like.
#[derive(Clone, Debug)]
pub struct TopologySettings {
    /// How many POPs (1 to 750).
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
    /// All POPs.
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
    /// Builds it.
    pub fn new(settings: TopologySettings) -> Result<Self, TopologyError> {
        todo!("{settings:?}")
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
        todo!("{nodes} {key_hash} {connection_hash}")
    }
}
