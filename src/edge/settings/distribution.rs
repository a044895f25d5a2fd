//! The distribution: origins, behaviours by path pattern, error caching, quotas, in the words of Terraform.
//!
//! Owns which sections there are and how they refer to each other. Never applies a rule: `edge/policy` does.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};

use super::document::{Block, read_text};
use super::policies::{Policies, read_cache_policies, read_request_policies};
use super::rules;
use crate::config::reading::{Setting, nearest, read_count, read_header, text_of};
use crate::edge::policy::distribution::{
    AllowedMethods, Behaviour, CachePolicy, Distribution, Forwarding, OriginLink, PathPattern,
};
use crate::edge::policy::errors::ErrorTtls;
use crate::edge::policy::limits::Limits;
use crate::edge::policy::topology::{Placement, Topology, TopologyError, TopologySettings};

/// A file with one of these describes its distribution itself; without any, the built-in one applies.
const SECTIONS: [&str; 6] = [
    "origin",
    "cache_policy",
    "origin_request_policy",
    "default_cache_behavior",
    "ordered_cache_behavior",
    "custom_error_response",
];

/// What `[distribution]` has when it does not say.
const ID: &str = "EDFDVBD6EXAMPLE";
const DOMAIN: &str = "d111111abcdef8.cloudfront.net";
const CACHE_TAG_HEADER: HeaderName = HeaderName::from_static("cache-tag");

/// The statuses that a `custom_error_response` may name.
const ERROR_CODES: [u16; 11] = [400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504];

/// Reads the distribution, and the Region of the Origin Shield. `None` when a part without which there is none is
/// missing or wrong; what is wrong has been noted.
pub(super) fn read<'r>(
    root: &mut Block<'r>,
    built_in: impl FnOnce() -> Block<'r>,
) -> (Option<Distribution>, Option<String>) {
    let describes = SECTIONS.iter().any(|section| root.has(section));
    let (id, domain, cache_tag_header) = identity(&mut root.block("distribution"));
    let limits = limits(&mut root.block("limits"));
    let parts = if describes {
        parts(root)
    } else {
        parts(&mut leave_the_rest(built_in()))
    };
    for section in SECTIONS {
        root.mark(section);
    }
    let Parts { behaviours, shield } = parts;
    let distribution = behaviours.map(|(default, ordered)| Distribution {
        id,
        domain,
        ordered,
        default,
        cache_tag_header,
        limits,
    });
    (distribution, shield)
}

/// The built-in file's other sections are not asked for here, and not misspelt.
fn leave_the_rest(mut built_in: Block<'_>) -> Block<'_> {
    for section in ["distribution", "limits", "desk", "listener"] {
        built_in.mark(section);
    }
    built_in
}

struct Parts {
    behaviours: Option<(Behaviour, Vec<Behaviour>)>,
    shield: Option<String>,
}

fn parts(root: &mut Block<'_>) -> Parts {
    let origins = origins(root);
    let shield = shield(&origins);
    let known = Known {
        cache: read_cache_policies(root),
        requests: read_request_policies(root),
        origins,
    };
    let is_described = root.has("default_cache_behavior");
    let mut block = root.block("default_cache_behavior");
    if !is_described {
        block.problem("is missing; every distribution has one");
    }
    let default = is_described.then(|| known.behaviour(&mut block, PathPattern::new("*")));
    drop(block);
    let mut ordered = Vec::new();
    for mut block in root.blocks("ordered_cache_behavior") {
        let pattern = block.required("path_pattern", read_pattern);
        let behaviour = known.behaviour(
            &mut block,
            PathPattern::new(pattern.as_deref().unwrap_or("*")),
        );
        ordered.push((pattern.unwrap_or_default(), behaviour));
    }
    let mut default = default.flatten();
    error_ttls(root, default.as_mut(), &mut ordered);
    let ordered: Option<Vec<Behaviour>> = ordered
        .into_iter()
        .map(|(_, behaviour)| behaviour)
        .collect();
    Parts {
        behaviours: default.zip(ordered),
        shield,
    }
}

fn identity(block: &mut Block<'_>) -> (String, String, Option<HeaderName>) {
    let id = block.optional("id", |setting| {
        let wanted = "letters and digits such as EDFDVBD6EXAMPLE";
        let text = read_text(setting, wanted)?;
        let is_id = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_id
            .then_some(())
            .ok_or_else(|| format!("is `{text}`; it has to be {wanted}"))?;
        Ok(text)
    });
    let domain = block.optional("domain", |setting| {
        let wanted = "the name of a host such as updates.example.com";
        let text = read_text(setting, wanted)?;
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        let is_domain = text.len() <= 253 && text.bytes().all(is_host);
        is_domain
            .then_some(())
            .ok_or_else(|| format!("is `{text}`; it has to be {wanted}"))?;
        Ok(text.to_ascii_lowercase())
    });
    let tags = block.optional("cache_tag_header", |setting| {
        let text = text_of(setting, "the name of a header, or \"\" for none")?;
        if text.is_empty() {
            return Ok(None);
        }
        header_name(text).map(Some)
    });
    (
        id.unwrap_or_else(|| ID.to_owned()),
        domain.unwrap_or_else(|| DOMAIN.to_owned()),
        tags.unwrap_or(Some(CACHE_TAG_HEADER)),
    )
}

fn limits(block: &mut Block<'_>) -> Limits {
    Limits {
        requests_per_second: block.count(&rules::REQUESTS_PER_SECOND),
        bits_per_second: block.count(&rules::BITS_PER_SECOND),
    }
}

/// What a behaviour may refer to.
struct Known {
    origins: Vec<Origin>,
    cache: Policies<CachePolicy>,
    requests: Policies<Forwarding>,
}

/// One `[[origin]]`.
struct Origin {
    id: String,
    link: OriginLink,
    shield: Option<String>,
}

fn origins(root: &mut Block<'_>) -> Vec<Origin> {
    let mut blocks = root.blocks("origin");
    if blocks.is_empty() {
        let what = "is missing; a distribution has at least one [[origin]]";
        root.problem_at("origin", what);
    }
    let several = blocks.len() > 1;
    let mut origins: Vec<Origin> = Vec::new();
    for block in &mut blocks {
        let origin = origin(block);
        if several && origins.is_empty() && block.is_flagged("url") {
            let what = "is given for several origins at once; set each one's `url` in the file";
            block.problem_at("url", what);
        }
        if let Some(first) = origins.first()
            && first.shield != origin.shield
        {
            let what = "is not the first origin's; this edge has one Origin Shield for all of them";
            block.problem_at("origin_shield", what);
        }
        if origins.iter().any(|other| other.id == origin.id) {
            block.problem_at("origin_id", &format!("is `{}` a second time", origin.id));
        }
        origins.push(origin);
    }
    origins
}

fn shield(origins: &[Origin]) -> Option<String> {
    origins.first().and_then(|origin| origin.shield.clone())
}

fn origin(block: &mut Block<'_>) -> Origin {
    let id = block.required("origin_id", |setting| {
        read_text(setting, "a name that behaviours refer to")
    });
    let url = block.required("url", read_url);
    let read_timeout = block.seconds(&rules::READ_TIMEOUT);
    let completion = block.optional(rules::COMPLETION_TIMEOUT.key, |setting| {
        let seconds = read_count(setting, &rules::COMPLETION_TIMEOUT)?;
        Ok(Duration::from_secs(seconds as u64))
    });
    if let Some(completion) = completion
        && completion < read_timeout
    {
        let what = format!(
            "is {} s; it has to be at least `origin_read_timeout`, which is {} s",
            completion.as_secs(),
            read_timeout.as_secs()
        );
        block.problem_at(rules::COMPLETION_TIMEOUT.key, &what);
    }
    Origin {
        id: id.unwrap_or_default(),
        link: OriginLink {
            url: url.unwrap_or_default(),
            connection_attempts: u32::try_from(block.count(&rules::CONNECTION_ATTEMPTS))
                .unwrap_or(1),
            connection_timeout: block.seconds(&rules::CONNECTION_TIMEOUT),
            read_timeout,
            keepalive_timeout: block.seconds(&rules::KEEPALIVE_TIMEOUT),
            completion_timeout: completion,
            custom_headers: custom_headers(block),
        },
        shield: origin_shield(&mut block.block("origin_shield")),
    }
}

/// The Region stays in the file while the shield is off, so that `--shield on` has one.
fn origin_shield(block: &mut Block<'_>) -> Option<String> {
    let enabled = block.switch("enabled", false);
    let region = block.optional("origin_shield_region", read_region);
    if enabled && region.is_none() && !block.has("origin_shield_region") {
        block.problem_at(
            "enabled",
            "is on; `origin_shield_region` has to say in which AWS Region",
        );
    }
    region.filter(|_| enabled)
}

/// Checked also while the shield is off: `--shield on` must not be what finds it out.
fn read_region(setting: &Setting) -> Result<String, String> {
    let region = read_text(setting, "an AWS Region such as eu-central-1")?;
    let shielded = TopologySettings {
        pops: 1,
        nodes_per_pop: 1,
        nodes_per_regional: 1,
        placement: Placement::ByKey,
        shield: Some(region.clone()),
    };
    match Topology::new(shielded) {
        Ok(_) => Ok(region),
        Err(TopologyError::ShieldRegion { given, hint }) => Err(format!(
            "is `{given}`, where Origin Shield is not offered; {hint}"
        )),
        Err(other) => Err(other.to_string()),
    }
}

fn custom_headers(origin: &mut Block<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for mut block in origin.blocks("custom_header") {
        let name = block.required("name", |setting| {
            let text = read_text(setting, "the name of a header")?;
            let name = header_name(&text)?;
            if is_reserved(&name) {
                return Err(format!(
                    "is `{name}`; CloudFront does not let an origin's custom header have this name"
                ));
            }
            Ok(name)
        });
        // A value may be a secret: no message repeats it.
        let value = block.required("value", |setting| {
            let text = read_text(setting, "the value of the header")?;
            let value = HeaderValue::from_str(&text);
            value.map_err(|_invalid| "has a character that no header value has".to_owned())
        });
        headers.extend(name.zip(value).map(|(name, mut value)| {
            value.set_sensitive(true);
            (name, value)
        }));
    }
    if headers.len() > rules::CUSTOM_HEADERS_MAX {
        let what = format!(
            "has {} entries; allowed: up to {}",
            headers.len(),
            rules::CUSTOM_HEADERS_MAX
        );
        origin.problem_at("custom_header", &what);
    }
    headers
}

/// The names that CloudFront refuses for custom headers, because it or HTTP sets them.
fn is_reserved(name: &HeaderName) -> bool {
    const RESERVED: [&str; 22] = [
        "cache-control",
        "connection",
        "content-length",
        "cookie",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "max-forwards",
        "pragma",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "request-range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    let name = name.as_str();
    RESERVED.contains(&name)
        || name.starts_with("x-amz-")
        || name.starts_with("x-edge-")
        || name == "x-real-ip"
}

fn read_url(setting: &Setting) -> Result<String, String> {
    let wanted = "the URL of an origin such as http://127.0.0.1:8080, without a path";
    let text = read_text(setting, wanted)?;
    let refuse = |why: &str| Err(format!("is `{text}`{why}; it has to be {wanted}"));
    let Ok(uri) = text.parse::<Uri>() else {
        return refuse("");
    };
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return refuse(", and this edge speaks plain HTTP to its origin"),
        _ => return refuse(""),
    }
    let is_bare = uri.path() == "/" && uri.query().is_none();
    let host = uri
        .authority()
        .filter(|authority| !authority.as_str().contains('@') && !authority.host().is_empty());
    match host {
        Some(authority) if is_bare => Ok(format!("http://{authority}")),
        _ => refuse(""),
    }
}

impl Known {
    fn behaviour(&self, block: &mut Block<'_>, pattern: PathPattern) -> Option<Behaviour> {
        let origin = block.required("target_origin_id", |setting| self.origin(setting));
        let cache = block.required("cache_policy", |setting| self.cache.find(setting));
        let forward = block.optional("origin_request_policy", |setting| {
            self.requests.find(setting)
        });
        let methods = methods(block, "allowed_methods").unwrap_or(AllowedMethods::Read);
        let cached = methods_cached(block);
        if cached && methods == AllowedMethods::Read {
            let what = "has OPTIONS, which `allowed_methods` has not";
            block.problem_at("cached_methods", what);
        }
        let compress = block.switch("compress", false);
        Some(Behaviour {
            pattern,
            cache: cache?,
            methods,
            cache_options: cached,
            compress,
            forward: forward.unwrap_or_default(),
            error_ttls: ErrorTtls::default(),
            origin: origin?,
        })
    }

    fn origin(&self, setting: &Setting) -> Result<OriginLink, String> {
        let id = read_text(setting, "the `origin_id` of an [[origin]]")?;
        let found = self.origins.iter().find(|origin| origin.id == id);
        found.map(|origin| origin.link.clone()).ok_or_else(|| {
            let ids: Vec<&str> = self
                .origins
                .iter()
                .map(|origin| origin.id.as_str())
                .collect();
            match nearest(&id, &ids, |id| id) {
                Some(near) => format!("is `{id}`, which is no origin; did you mean `{near}`?"),
                None if ids.is_empty() => {
                    format!("is `{id}`, which is no origin; there is no `[[origin]]`")
                }
                None => format!(
                    "is `{id}`, which is no origin; there are `{}`",
                    ids.join("`, `")
                ),
            }
        })
    }
}

/// One of the three sets that CloudFront knows, in any order.
fn methods(block: &mut Block<'_>, key: &'static str) -> Option<AllowedMethods> {
    let sets: [(&[&str], AllowedMethods); 3] = [
        (&["GET", "HEAD"], AllowedMethods::Read),
        (&["GET", "HEAD", "OPTIONS"], AllowedMethods::ReadAndOptions),
        (
            &["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"],
            AllowedMethods::All,
        ),
    ];
    if !block.has(key) {
        block.mark(key);
        return None;
    }
    let mut given = block.texts(key);
    given.sort_unstable();
    given.dedup();
    let found = sets.iter().find(|(set, _)| *set == given);
    if found.is_none() {
        let what = "has to be [\"GET\", \"HEAD\"], these and \"OPTIONS\", or these and \"PUT\", \"POST\", \"PATCH\", \
                    \"DELETE\" too: CloudFront knows no other sets";
        block.problem_at(key, what);
    }
    found.map(|(_, methods)| *methods)
}

/// Whether answers to OPTIONS are cached too.
fn methods_cached(block: &mut Block<'_>) -> bool {
    match methods(block, "cached_methods") {
        None | Some(AllowedMethods::Read) => false,
        Some(AllowedMethods::ReadAndOptions) => true,
        Some(AllowedMethods::All) => {
            let what = "can only be [\"GET\", \"HEAD\"] or these and \"OPTIONS\": nothing else is ever cached";
            block.problem_at("cached_methods", what);
            false
        }
    }
}

fn read_pattern(setting: &Setting) -> Result<String, String> {
    let wanted = "a path such as /artifacts/*";
    let text = read_text(setting, wanted)?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.*$/~\"'@:+&?".contains(&byte);
    if text.len() > rules::PATTERN_CHARS_MAX {
        let (len, max) = (text.len(), rules::PATTERN_CHARS_MAX);
        return Err(format!("has {len} characters; allowed: up to {max}"));
    }
    if !text.bytes().all(legal) {
        return Err(format!(
            "is `{text}`; it has to be {wanted}, of the characters that CloudFront allows in it"
        ));
    }
    Ok(text)
}

/// `[[custom_error_response]]`: for every behaviour, or for the one with the same `path_pattern`, which is nearer and wins.
fn error_ttls(
    root: &mut Block<'_>,
    default: Option<&mut Behaviour>,
    ordered: &mut [(String, Option<Behaviour>)],
) {
    let mut everywhere = BTreeMap::new();
    let mut nearer: BTreeMap<String, BTreeMap<u16, Duration>> = BTreeMap::new();
    for mut block in root.blocks("custom_error_response") {
        let code = block.required("error_code", |setting| {
            read_count(setting, &rules::ERROR_CODE)
                .map(|code| u16::try_from(code).unwrap_or(0))
                .and_then(|code| {
                    let known = ERROR_CODES.contains(&code);
                    known.then_some(code).ok_or_else(|| {
                        let codes = ERROR_CODES.map(|code| code.to_string()).join(", ");
                        format!("is {code}; allowed: {codes}")
                    })
                })
        });
        let ttl = block.seconds(&rules::ERROR_TTL);
        let pattern = block.optional("path_pattern", read_pattern);
        let patterns = ordered.iter().map(|(pattern, _)| pattern.as_str());
        let has_behaviour = |wanted: &String| patterns.clone().any(|pattern| pattern == wanted);
        let list = match pattern {
            None => &mut everywhere,
            Some(pattern) if has_behaviour(&pattern) => nearer.entry(pattern).or_default(),
            Some(pattern) => {
                let what = format!("is `{pattern}`, which no [[ordered_cache_behavior]] has");
                block.problem_at("path_pattern", &what);
                continue;
            }
        };
        if let Some(code) = code
            && list.insert(code, ttl).is_some()
        {
            block.problem_at("error_code", &format!("is {code} a second time"));
        }
    }
    for (pattern, behaviour) in ordered {
        if let Some(behaviour) = behaviour {
            behaviour.error_ttls.by_status = everywhere.clone();
            let own = nearer.get(pattern.as_str()).cloned().unwrap_or_default();
            behaviour.error_ttls.by_status.extend(own);
        }
    }
    if let Some(default) = default {
        default.error_ttls.by_status = everywhere;
    }
}

fn header_name(text: &str) -> Result<HeaderName, String> {
    let name = read_header(text)?;
    name.parse()
        .map_err(|_invalid| format!("is `{name}`; it has to be the name of an HTTP header"))
}
