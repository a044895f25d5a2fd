//! What a load test is aimed at: a channel of a server, by the channel document's URL or by name.
//!
//! Never makes a request.

use super::Edge;
use super::{ChannelName, Product};
use crate::device::DeviceError;
use crate::model::Locator;

/// A channel of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    pub(super) edge: Edge,
    /// Whose update.
    pub product: Product,
    /// Which channel the devices follow.
    pub channel: ChannelName,
}

/// Why there is nothing to aim at.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The part before the path is no server.
    #[error(transparent)]
    Server(#[from] DeviceError),
    /// The path is that of something else.
    #[error(
        "`{path}` is not the path of a channel document: write http://host/channels/PRODUCT/CHANNEL.json"
    )]
    NotAChannel {
        /// What was written.
        path: String,
    },
    /// Only a server was named.
    #[error("`{url}` names no channel")]
    NoChannel {
        /// What was written.
        url: String,
    },
    /// The channel was named twice.
    #[error("`{url}` names a channel already")]
    TwoChannels {
        /// What was written.
        url: String,
    },
}

impl Target {
    /// Reads `http://host[:port]/channels/PRODUCT/CHANNEL.json`, or a server beside a channel that was `named`.
    pub fn parse(url: &str, named: Option<(Product, ChannelName)>) -> Result<Self, TargetError> {
        let (server, path) = split(url);
        let edge = Edge::parse(server)?;
        let (product, channel) = match (path, named) {
            ("" | "/", Some(named)) => named,
            ("" | "/", None) => return Err(TargetError::NoChannel { url: url.into() }),
            (_, Some(_)) => return Err(TargetError::TwoChannels { url: url.into() }),
            (path, None) => match Locator::from_url_path(path.as_bytes()) {
                Some(Locator::Channel(product, channel)) => (product, channel),
                _ => return Err(TargetError::NotAChannel { path: path.into() }),
            },
        };
        Ok(Self {
            edge,
            product,
            channel,
        })
    }

    /// The URL of the channel document.
    #[must_use]
    pub fn url(&self) -> String {
        let locator = Locator::Channel(self.product.clone(), self.channel.clone());
        self.edge.url(&locator)
    }
}

/// The server and the path; what is no URL stays whole, for the parser of servers to refuse.
fn split(url: &str) -> (&str, &str) {
    let authority = url.find("://").map_or(0, |at| at + 3);
    match url[authority..].find('/') {
        Some(at) if authority > 0 => url.split_at(authority + at),
        _ => (url, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named() -> (Product, ChannelName) {
        let (product, channel) = (Product::parse("agent"), ChannelName::parse("stable"));
        (product.unwrap(), channel.unwrap())
    }

    #[test]
    fn a_channel_document_and_a_server_with_names_are_the_same_target() {
        let by_url = Target::parse("http://host:81/channels/agent/stable.json", None).unwrap();
        for server in ["http://host:81", "http://host:81/"] {
            assert_eq!(Target::parse(server, Some(named())).unwrap(), by_url);
        }
        assert_eq!(by_url.url(), "http://host:81/channels/agent/stable.json");
    }

    #[test]
    fn anything_else_is_refused() {
        let refused = |url: &str, named| Target::parse(url, named).expect_err(url).to_string();
        let says = [
            ("http://host", None, "names no channel"),
            ("http://host/", None, "names no channel"),
            (
                "http://host/channels/agent/stable.json",
                Some(named()),
                "already",
            ),
            (
                "http://host/artifacts/agent/1/release.json",
                None,
                "not the path of a channel",
            ),
            (
                "http://host/channels/agent/stable/tool",
                None,
                "not the path of a channel",
            ),
            (
                "http://host/channels/agent/stable.json?x",
                None,
                "not the path of a channel",
            ),
            (
                "http://user@host/channels/agent/stable.json",
                None,
                "user name",
            ),
            (
                "ftp://host/channels/agent/stable.json",
                None,
                "neither http nor https",
            ),
            ("host/channels/agent/stable.json", None, "not a URL"),
            ("", Some(named()), "not a URL"),
        ];
        for (url, named, part) in says {
            let text = refused(url, named);
            assert!(text.contains(part), "{url}: {text}");
        }
    }
}
