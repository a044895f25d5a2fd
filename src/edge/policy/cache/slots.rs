//! E-12: which keys a cache knows, in the order of their last use, within its bytes.
//!
//! Owns the map from keys to slots, the list of recency and the sum of what is kept. Never decides what is kept, and never
//! gives up a slot with a fill that needs its object. Read next: `asking.rs`.

use std::hash::Hash;

use rustc_hash::FxHashMap;

use super::FillId;
use super::object::Object;

/// What an object counts at least, so that a flood of errors and empty bodies is bounded as well: about what the machine
/// itself needs for one entry. Anything larger counts its body, byte for byte.
pub const OBJECT_COST_MIN: u64 = 512;

/// No slot.
const NONE: usize = usize::MAX;

/// All that is known of one key.
#[derive(Debug)]
pub(super) struct Slot<K> {
    /// `None`: the slot is free.
    key: Option<K>,
    /// The object, fresh or stale, whole or in parts.
    pub(super) object: Option<Object>,
    /// A kept error. It stands beside a stale object, which may be good again when the error is over.
    ///
    /// Boxed, for it is rarely there, and a small slot is quick to find in memory.
    pub(super) error: Option<Box<Object>>,
    /// Fills in flight.
    pub(super) fills: Vec<FillId>,
    /// What object and error count; zero for a slot that is not in the list of recency.
    cost: u64,
    /// Bytes of their bodies.
    bytes: u64,
    newer: usize,
    older: usize,
}

impl<K> Slot<K> {
    /// Object and error.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Object> {
        self.object.iter().chain(self.error.as_deref())
    }
}

/// The slots of a cache.
#[derive(Debug)]
pub(super) struct Slots<K> {
    index: FxHashMap<K, usize>,
    entries: Vec<Slot<K>>,
    free: Vec<usize>,
    newest: usize,
    oldest: usize,
    cost: u64,
    bytes: u64,
}

impl<K> Default for Slots<K> {
    fn default() -> Self {
        Self {
            index: FxHashMap::default(),
            entries: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
            cost: 0,
            bytes: 0,
        }
    }
}

impl<K: Clone + Eq + Hash> Slots<K> {
    pub(super) fn find(&self, key: &K) -> Option<usize> {
        self.index.get(key).copied()
    }

    pub(super) fn find_or_make(&mut self, key: &K) -> usize {
        if let Some(at) = self.find(key) {
            return at;
        }
        let slot = Slot {
            key: Some(key.clone()),
            object: None,
            error: None,
            fills: Vec::new(),
            cost: 0,
            bytes: 0,
            newer: NONE,
            older: NONE,
        };
        let at = if let Some(at) = self.free.pop() {
            self.entries[at] = slot;
            at
        } else {
            self.entries.push(slot);
            self.entries.len() - 1
        };
        self.index.insert(key.clone(), at);
        at
    }

    pub(super) fn at(&self, at: usize) -> &Slot<K> {
        &self.entries[at]
    }

    pub(super) fn at_mut(&mut self, at: usize) -> &mut Slot<K> {
        &mut self.entries[at]
    }

    /// Every slot in use, in the order of their making.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &K, &Slot<K>)> {
        self.entries
            .iter()
            .enumerate()
            .filter_map(|(at, slot)| slot.key.as_ref().map(|key| (at, key, slot)))
    }

    /// What all objects count, the floor of [`OBJECT_COST_MIN`] included.
    pub(super) fn cost(&self) -> u64 {
        self.cost
    }

    /// Bytes of bodies.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes a slot the most recently used one, if it keeps anything.
    pub(super) fn touch(&mut self, at: usize) {
        if self.newest != at && self.entries[at].cost > 0 {
            self.unlink(at);
            self.link(at);
        }
    }

    /// Counts a slot again after its object or error changed.
    pub(super) fn changed(&mut self, at: usize) {
        let slot = &mut self.entries[at];
        let bytes: u64 = slot.kept().map(Object::bytes).sum();
        let cost: u64 = slot
            .kept()
            .map(|object| object.bytes().max(OBJECT_COST_MIN))
            .sum();
        let was_listed = slot.cost > 0;
        self.bytes = self.bytes - slot.bytes + bytes;
        self.cost = self.cost - slot.cost + cost;
        (slot.bytes, slot.cost) = (bytes, cost);
        match (was_listed, cost > 0) {
            (false, true) => self.link(at),
            (true, false) => self.unlink(at),
            _ => {}
        }
    }

    /// Frees a slot in which nothing is left.
    pub(super) fn tidy(&mut self, at: usize) {
        let slot = &mut self.entries[at];
        let is_unused = slot.cost == 0 && slot.fills.is_empty();
        if is_unused && let Some(key) = slot.key.take() {
            self.index.remove(&key);
            self.free.push(at);
        }
    }

    /// The least recently used slot but `except` whose object no fill needs.
    pub(super) fn evictable(&self, except: usize) -> Option<usize> {
        let mut at = self.oldest;
        while at != NONE {
            let slot = &self.entries[at];
            let is_pinned = slot.object.as_ref().is_some_and(|object| object.pins > 0);
            if at != except && !is_pinned {
                return Some(at);
            }
            at = slot.newer;
        }
        None
    }

    fn link(&mut self, at: usize) {
        let newest = self.newest;
        let slot = &mut self.entries[at];
        (slot.newer, slot.older) = (NONE, newest);
        match newest {
            NONE => self.oldest = at,
            newest => self.entries[newest].newer = at,
        }
        self.newest = at;
    }

    fn unlink(&mut self, at: usize) {
        let slot = &mut self.entries[at];
        let (newer, older) = (slot.newer, slot.older);
        (slot.newer, slot.older) = (NONE, NONE);
        match newer {
            NONE => self.newest = older,
            newer => self.entries[newer].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.entries[older].newer = newer,
        }
    }
}
