//! Where devices are: regions by their share, POPs by their weight within a region.
//!
//! Owns the one distribution of places that both engines share. Never decides which cache node of a POP answers.

use super::chance::{Alias, Dice};
use crate::edge::policy::topology::{Region, Topology};

/// The distribution.
#[derive(Clone, Debug)]
pub struct Places {
    regions: Alias,
    shares: Vec<f64>,
    pops: Vec<(Alias, Vec<u16>)>,
    /// The share of the whole fleet that is at each POP, by the region (as an index) that its devices live in.
    at_pop: Vec<Vec<(usize, f64)>>,
}

impl Places {
    /// Of a fleet; without an edge there are regions only.
    #[must_use]
    pub fn new(regions: &[(Region, f64)], topology: Option<&Topology>) -> Self {
        let anywhere = [(Region::NorthAmerica, 1.0)];
        let regions = if regions.is_empty() {
            &anywhere
        } else {
            regions
        };
        let sum: f64 = regions.iter().map(|region| region.1).sum();
        let shares: Vec<f64> = regions.iter().map(|region| region.1 / sum).collect();
        let mut pops = Vec::new();
        let mut at_pop = vec![Vec::new(); topology.map_or(0, |topology| topology.pops.len())];
        if let Some(topology) = topology {
            for (index, (region, _)) in regions.iter().enumerate() {
                let near = topology.pops_for(*region);
                let weights: Vec<f64> = near.iter().map(|pop| pop.1).collect();
                let all: f64 = weights.iter().sum();
                for &(pop, weight) in &near {
                    at_pop[pop].push((index, shares[index] * weight / all));
                }
                let names = near.iter().map(|pop| pop.0 as u16).collect();
                pops.push((Alias::new(&weights), names));
            }
        }
        Self {
            regions: Alias::new(&shares),
            shares,
            pops,
            at_pop,
        }
    }

    /// The share of each region.
    #[must_use]
    pub fn region_shares(&self) -> &[f64] {
        &self.shares
    }

    /// By POP: which regions its devices live in, and the share of the whole fleet.
    #[must_use]
    pub fn at_pop(&self) -> &[Vec<(usize, f64)>] {
        &self.at_pop
    }

    /// The region (as an index) and the POP of one device. The POP has dice of its own, so that the fleet is the same with
    /// and without an edge.
    pub fn draw(&self, dice: &mut Dice, pop_dice: &mut Dice) -> (u8, u16) {
        let region = self.regions.sample(dice);
        let pop = self
            .pops
            .get(region)
            .map_or(0, |(alias, names)| names[alias.sample(pop_dice)]);
        (region as u8, pop)
    }
}
