//! The one account of the tests: its key, the environment of commands that use it, and raw signed requests.
//!
//! Never lets a machine's own AWS configuration in. Requests are signed by `object_store` and sent as bytes, so that a
//! test can ask a server something that no client of ours would.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use object_store::StaticCredentialProvider;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody};

use super::wire::{Conn, Response};

/// Who asks.
pub const KEY_ID: &str = "AKIAHEADWATERTESTKEY";

/// What no output may ever show.
pub const SECRET: &str = "headwater/tests+secret/that/no/output/may/show";

/// Where everything is.
pub const REGION: &str = "us-east-1";

/// What a command needs to find `endpoint` as this account, and to find nothing else. `cli::command` has removed what
/// the machine says about AWS; what is here also keeps its files and its instance role away.
pub fn environment(endpoint: &str) -> Vec<(&'static str, String)> {
    [
        ("AWS_ACCESS_KEY_ID", KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_REGION", REGION),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

/// The account as code that runs in this process wants it.
pub fn credentials() -> Arc<StaticCredentialProvider<AwsCredential>> {
    Arc::new(StaticCredentialProvider::new(credential(SECRET)))
}

fn credential(secret: &str) -> AwsCredential {
    AwsCredential {
        key_id: KEY_ID.into(),
        secret_key: secret.into(),
        token: None,
    }
}

/// Sends single requests to one server.
pub struct Client {
    address: SocketAddr,
    service: &'static str,
    secret: String,
}

impl Client {
    /// Asks `service` (as signatures name it: `s3`, `cloudfront`) at `address`.
    pub fn new(service: &'static str, address: SocketAddr) -> Self {
        Self {
            address,
            service,
            secret: SECRET.into(),
        }
    }

    /// Signs with another secret.
    pub fn secret(mut self, secret: &str) -> Self {
        self.secret = secret.into();
        self
    }

    /// One signed request on a connection of its own.
    #[track_caller]
    pub fn send(
        &self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Response {
        self.begin(method, target, fields, body).response(method)
    }

    /// Sends a signed request and leaves the answer on the wire.
    #[track_caller]
    pub fn begin(
        &self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Conn {
        let body = body.as_ref();
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("http://{}{target}", self.address));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let payload = HttpRequestBody::from(Bytes::copy_from_slice(body));
        let mut request: HttpRequest = request.body(payload).unwrap();
        AwsAuthorizer::new(&credential(&self.secret), self.service, REGION)
            .try_authorize(&mut request, None)
            .unwrap();
        let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        let host = self.address.to_string();
        let length = body.len().to_string();
        let own = [
            ("host", host.as_bytes()),
            ("content-length", length.as_bytes()),
            ("connection", b"close"),
        ];
        let signed = request.headers().iter();
        let signed = signed
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .filter(|(name, _)| *name != "host");
        for (name, value) in own.into_iter().chain(signed) {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        let mut conn = Conn::open(self.address);
        conn.send(bytes);
        conn
    }
}

/// What stands between `<tag>` and `</tag>` in a small answer.
pub fn text_of(response: &Response, tag: &str) -> Option<String> {
    let xml = String::from_utf8_lossy(&response.body);
    let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
    let (text, _) = rest.split_once(&format!("</{tag}>"))?;
    Some(text.replace("&quot;", "\"").replace("&#34;", "\""))
}
