//! Who may do what, by the text of a policy of IAM: the part of AWS's rules that our policies use.
//!
//! Written for these tests because the servers that they use enforce too little: s3s knows no policies, and moto (5.2)
//! takes every statement with a condition for a refusal of requests to S3. What it does not know (another element,
//! another operator) it refuses to judge, so that a policy cannot outgrow it unnoticed. Never knows a principal: a test
//! gives it the statements that are about whoever asks. It is not AWS.

use std::collections::BTreeSet;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::fault::{Fault, Passed, Rule, every};

/// What somebody wants to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    pub action: String,
    /// As policies name it.
    pub resource: String,
    /// What is known of the request, by the names of condition keys.
    pub facts: Vec<(String, String)>,
}

impl Wish {
    pub fn new(action: &str, resource: &str) -> Self {
        Self {
            action: action.to_owned(),
            resource: resource.to_owned(),
            facts: Vec::new(),
        }
    }

    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.facts.push((key.to_owned(), value.to_owned()));
        self
    }
}

/// A policy document.
#[derive(Clone, Debug)]
pub struct Policy(Vec<Value>);

impl Policy {
    #[track_caller]
    pub fn parse(document: &Value) -> Self {
        assert_eq!(document["Version"], "2012-10-17", "{document}");
        let statements = document["Statement"].as_array();
        Self(statements.expect("a list of statements").clone())
    }

    /// Every action that a statement names.
    pub fn actions(&self) -> BTreeSet<String> {
        let actions = self.0.iter().flat_map(|one| texts(&one["Action"]));
        actions.map(str::to_owned).collect()
    }

    /// The statements that are about this service, for a policy of a resource.
    pub fn about(&self, service: &str) -> Self {
        let is_about = |statement: &&Value| {
            let principal = &statement["Principal"];
            principal["AWS"] == "*" || principal["Service"] == service
        };
        Self(self.0.iter().filter(is_about).cloned().collect())
    }

    /// Whether it is allowed: by a statement, and refused by none. What no statement is about is refused.
    #[track_caller]
    pub fn allows(&self, wish: &Wish) -> bool {
        let applies = |effect: &str| {
            let statements = self.0.iter().filter(|one| one["Effect"] == effect);
            statements.filter(|one| is_about(one, wish)).count() > 0
        };
        let is_effect = |one: &Value| matches!(one["Effect"].as_str(), Some("Allow" | "Deny"));
        assert!(self.0.iter().all(is_effect), "an unknown effect");
        !applies("Deny") && applies("Allow")
    }
}

#[track_caller]
fn is_about(statement: &Value, wish: &Wish) -> bool {
    const KNOWN: [&str; 6] = [
        "Sid",
        "Effect",
        "Principal",
        "Action",
        "Resource",
        "Condition",
    ];
    let fields = statement.as_object().expect("a statement is an object");
    for field in fields.keys() {
        assert!(KNOWN.contains(&field.as_str()), "unknown: `{field}`");
    }
    let is_action = |pattern: &&str| {
        let (pattern, action) = (pattern.to_lowercase(), wish.action.to_lowercase());
        matches(&pattern, &action)
    };
    let is_resource = |pattern: &&str| matches(pattern, &wish.resource);
    texts(&statement["Action"]).iter().any(is_action)
        // Only a trust policy has none: it is about its role.
        && (statement["Resource"].is_null() || texts(&statement["Resource"]).iter().any(is_resource))
        && fields.get("Condition").is_none_or(|all| holds(all, wish))
}

/// All of the conditions have to be true; each of them for any of its values.
#[track_caller]
fn holds(conditions: &Value, wish: &Wish) -> bool {
    let operators = conditions.as_object().expect("conditions by operator");
    operators.iter().all(|(operator, keys)| {
        let keys = keys.as_object().expect("values by key");
        keys.iter().all(|(key, values)| {
            let fact = wish
                .facts
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(key));
            let fact = fact.map(|(_, value)| value.as_str());
            let values = texts(values);
            match (operator.as_str(), fact) {
                ("Null", fact) => values == [if fact.is_none() { "true" } else { "false" }],
                ("StringEquals" | "Bool", Some(fact)) => values.contains(&fact),
                ("StringNotEquals", fact) => fact.is_none_or(|fact| !values.contains(&fact)),
                ("StringLike", Some(fact)) => values.iter().any(|value| matches(value, fact)),
                ("NumericLessThan", Some(fact)) => {
                    let number = |text: &str| text.parse::<f64>().expect("a number");
                    values.iter().any(|value| number(fact) < number(value))
                }
                // What is not known of a request is no match.
                ("StringEquals" | "Bool" | "StringLike" | "NumericLessThan", None) => false,
                (operator, _) => panic!("unknown: `{operator}`"),
            }
        })
    })
}

/// One text or a list of them.
#[track_caller]
fn texts(value: &Value) -> Vec<&str> {
    let text = |value: &'_ Value| value.as_str().is_some();
    match value {
        Value::Array(values) if values.iter().all(text) => {
            values.iter().filter_map(Value::as_str).collect()
        }
        Value::String(text) => vec![text],
        other => panic!("neither a text nor a list of texts: {other}"),
    }
}

/// `*` is any number of characters, slashes too; `?` is one.
fn matches(pattern: &str, text: &str) -> bool {
    assert!(
        !pattern.contains("${"),
        "unknown: a variable in `{pattern}`"
    );
    let Some(at) = pattern.find(['*', '?']) else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(&pattern[..at]) else {
        return false;
    };
    let after = &pattern[at + 1..];
    if pattern.as_bytes()[at] == b'?' {
        let mut characters = rest.chars();
        return characters.next().is_some() && matches(after, characters.as_str());
    }
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.into_iter().any(|at| matches(after, &rest[at..]))
}

/// A gate for [`super::fault::FaultProxy`]: what the policy does not allow is answered 403 and reaches no server.
pub fn gate(policy: &Policy) -> Rule {
    let policy = Arc::new(policy.clone());
    every(Fault::Error(403, "AccessDenied")).when(move |passed| {
        let wishes = wishes_of(passed);
        !wishes.iter().all(|wish| policy.allows(wish))
    })
}

/// What a request to S3 or CloudFront asks permission for.
pub fn wishes_of(passed: &Passed) -> Vec<Wish> {
    let (path, query) = passed
        .target
        .split_once('?')
        .unwrap_or((&passed.target, ""));
    if let Some(rest) = path.strip_prefix("/2020-05-31/distribution/") {
        return vec![wish_of_cloudfront(rest, passed)];
    }
    let bucket = path
        .trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default();
    let bucket = format!("arn:aws:s3:::{bucket}");
    let key = &passed.key;
    let of_object = |action: &str| Wish::new(action, &format!("{bucket}/{key}"));
    match passed.operation {
        // Whoever may read but not list is told 403 of what is not there. S3 asks with the key as the prefix; it asks
        // only when the object is missing, this always: our commands look at both, and have to be allowed both.
        "GetObject" | "HeadObject" => vec![
            of_object("s3:GetObject"),
            Wish::new("s3:ListBucket", &bucket).with("s3:prefix", key),
        ],
        "PutObject" | "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => {
            vec![of_object("s3:PutObject")]
        }
        "DeleteObject" => vec![of_object("s3:DeleteObject")],
        "AbortMultipartUpload" => vec![of_object("s3:AbortMultipartUpload")],
        "ListParts" => vec![of_object("s3:ListMultipartUploadParts")],
        "ListObjectsV2" => {
            let mut wish = Wish::new("s3:ListBucket", &bucket);
            for (parameter, key) in [
                ("prefix", "s3:prefix"),
                ("delimiter", "s3:delimiter"),
                ("max-keys", "s3:max-keys"),
            ] {
                if let Some(value) = parameter_of(query, parameter) {
                    wish = wish.with(key, &value);
                }
            }
            vec![wish]
        }
        // It has no condition key for its prefix.
        "ListMultipartUploads" => vec![Wish::new("s3:ListBucketMultipartUploads", &bucket)],
        other => vec![Wish::new(&format!("s3:{other}"), &bucket)],
    }
}

/// `ID/invalidation`, or `ID/invalidation/ID`.
fn wish_of_cloudfront(rest: &str, passed: &Passed) -> Wish {
    let mut segments = rest.split('/');
    let distribution = segments.next().unwrap_or_default();
    let action = match (passed.method.as_str(), segments.next(), segments.next()) {
        ("POST", Some("invalidation"), None) => "cloudfront:CreateInvalidation",
        ("GET", Some("invalidation"), None) => "cloudfront:ListInvalidations",
        ("GET", Some("invalidation"), Some(_)) => "cloudfront:GetInvalidation",
        _ => "cloudfront:Other",
    };
    Wish::new(action, &distribution_arn(distribution))
}

/// A distribution of the account that the tests play.
pub fn distribution_arn(id: &str) -> String {
    format!("arn:aws:cloudfront::111122223333:distribution/{id}")
}

fn parameter_of(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })?;
    let value = value.replace('+', " ");
    Some(percent_decode_str(&value).decode_utf8_lossy().into_owned())
}
