//! Cache policies and origin request policies: those that AWS manages, by name, and the file's own.
//!
//! Owns what a policy may say and the order of its TTLs. Never says which behaviour uses it: `distribution.rs`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use http::HeaderName;

use super::document::Block;
use super::rules;
use crate::config::reading::{Setting, nearest, read_header};
use crate::edge::policy::distribution::{CachePolicy, Forwarding};
use crate::edge::policy::freshness::Ttl;
use crate::edge::policy::key::{KeyParts, Selection};

const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(31_536_000);

/// Policies by name.
pub(super) struct Policies<T>(BTreeMap<String, T>);

impl<T: Clone> Policies<T> {
    /// The policy that a behaviour names.
    pub(super) fn find(&self, setting: &Setting) -> Result<T, String> {
        let name = super::document::read_text(setting, "the name of a policy")?;
        self.0.get(&name).cloned().ok_or_else(|| {
            let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
            match nearest(&name, &names, |name| name) {
                Some(near) => format!("is `{name}`, which is no policy; did you mean `{near}`?"),
                None => format!(
                    "is `{name}`, which is no policy; there are `{}`",
                    names.join("`, `")
                ),
            }
        })
    }

    fn add(&mut self, name: String, block: &Block<'_>, policy: T) {
        match self.0.entry(name) {
            Entry::Vacant(free) => {
                free.insert(policy);
            }
            Entry::Occupied(_) => {
                block.problem("is the name of a policy that AWS manages; choose another one");
            }
        }
    }
}

/// The managed cache policies (fact 5) and every `[cache_policy.NAME]`.
pub(super) fn read_cache_policies(root: &mut Block<'_>) -> Policies<CachePolicy> {
    let optimized = Ttl {
        min: Duration::from_secs(1),
        default: DAY,
        max: YEAR,
    };
    let none = Duration::ZERO;
    let disabled = Ttl {
        min: none,
        default: none,
        max: none,
    };
    let managed = [
        ("CachingOptimized", optimized, true),
        ("CachingOptimizedForUncompressedObjects", optimized, false),
        ("CachingDisabled", disabled, false),
    ];
    let managed = managed.map(|(name, ttl, compresses)| {
        let key = KeyParts {
            gzip: compresses,
            brotli: compresses,
            ..KeyParts::default()
        };
        let name = name.to_owned();
        (name.clone(), CachePolicy { name, ttl, key })
    });
    let mut policies = Policies(BTreeMap::from(managed));
    for (name, mut block) in root.named("cache_policy") {
        let policy = CachePolicy {
            name: name.clone(),
            ttl: ttl(&mut block),
            key: key_parts(&mut block),
        };
        policies.add(name, &block, policy);
    }
    policies
}

/// What is left out follows the rest (fact 4): a default below the minimum is the minimum, a maximum below the default
/// is the default.
fn ttl(block: &mut Block<'_>) -> Ttl {
    let min = block.seconds(&rules::MIN_TTL);
    let default = if block.is_set(rules::DEFAULT_TTL.key) {
        block.seconds(&rules::DEFAULT_TTL)
    } else {
        block.seconds(&rules::DEFAULT_TTL).max(min)
    };
    let max = if block.is_set(rules::MAX_TTL.key) {
        block.seconds(&rules::MAX_TTL)
    } else {
        block.seconds(&rules::MAX_TTL).max(default)
    };
    if min > default || default > max {
        block.problem(&format!(
            "has min_ttl {}, default_ttl {} and max_ttl {}; none may be above the next",
            min.as_secs(),
            default.as_secs(),
            max.as_secs()
        ));
    }
    Ttl { min, default, max }
}

fn key_parts(block: &mut Block<'_>) -> KeyParts {
    KeyParts {
        query: selection(
            &mut block.block("query_strings_config"),
            "query_string_behavior",
        ),
        headers: headers(&mut block.block("headers_config")),
        cookies: selection(&mut block.block("cookies_config"), "cookie_behavior"),
        gzip: block.switch("enable_accept_encoding_gzip", false),
        brotli: block.switch("enable_accept_encoding_brotli", false),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    None,
    Whitelist,
    AllExcept,
    All,
}

fn selection(config: &mut Block<'_>, key: &'static str) -> Selection {
    let words = [
        ("none", Which::None),
        ("whitelist", Which::Whitelist),
        ("allExcept", Which::AllExcept),
        ("all", Which::All),
    ];
    let which = config.one_of(key, &words, Which::None);
    let items = config.texts("items");
    check_items(config, which, items.len());
    match which {
        Which::None => Selection::None,
        Which::Whitelist => Selection::Only(items),
        Which::AllExcept => Selection::AllExcept(items),
        Which::All => Selection::All,
    }
}

fn headers(config: &mut Block<'_>) -> Vec<HeaderName> {
    let words = [("none", Which::None), ("whitelist", Which::Whitelist)];
    let which = config.one_of("header_behavior", &words, Which::None);
    header_items(config, which)
}

fn header_items(config: &mut Block<'_>, which: Which) -> Vec<HeaderName> {
    let items = config.texts("items");
    check_items(config, which, items.len());
    let mut names = Vec::new();
    for item in items {
        match read_header(&item).map(|name| name.parse()) {
            Ok(Ok(name)) => names.push(name),
            Ok(Err(_)) => config.problem_at("items", &format!("has `{item}`, which is no header")),
            Err(what) => config.problem_at("items", &format!("has one that {what}")),
        }
    }
    names
}

/// A list where none is used, and none where one is needed, are both somebody's mistake.
fn check_items(config: &mut Block<'_>, which: Which, count: usize) {
    let wants_items = matches!(which, Which::Whitelist | Which::AllExcept);
    if wants_items && count == 0 {
        config.problem("selects by a list and has no `items`");
    } else if !wants_items && count > 0 {
        config.problem_at("items", "is of no use with `none` or `all`");
    }
}

/// The managed origin request policies that this edge can follow, and every `[origin_request_policy.NAME]`.
pub(super) fn read_request_policies(root: &mut Block<'_>) -> Policies<Forwarding> {
    let all_viewer = Forwarding {
        all_headers: true,
        headers: Vec::new(),
        cookies: true,
        query: true,
    };
    let referer = Forwarding {
        headers: vec![http::header::USER_AGENT, http::header::REFERER],
        ..Forwarding::default()
    };
    let mut policies = Policies(BTreeMap::from([
        ("AllViewerExceptHostHeader".to_owned(), all_viewer),
        ("UserAgentRefererHeaders".to_owned(), referer),
    ]));
    for (name, mut block) in root.named("origin_request_policy") {
        let policy = forwarding(&mut block);
        policies.add(name, &block, policy);
    }
    policies
}

fn forwarding(block: &mut Block<'_>) -> Forwarding {
    let all_or_none = [("none", false), ("all", true)];
    let mut config = block.block("headers_config");
    let words = [
        ("none", Which::None),
        ("whitelist", Which::Whitelist),
        ("allViewer", Which::All),
    ];
    let which = config.one_of("header_behavior", &words, Which::None);
    Forwarding {
        all_headers: which == Which::All,
        headers: header_items(&mut config, which),
        cookies: block
            .block("cookies_config")
            .one_of("cookie_behavior", &all_or_none, false),
        query: block.block("query_strings_config").one_of(
            "query_string_behavior",
            &all_or_none,
            false,
        ),
    }
}
