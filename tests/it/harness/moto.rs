//! moto's server: an S3 and a CloudFront by others, in Python, which `tests/run` installs into target/python.
//!
//! One process for all tests of this binary, because starting it takes seconds: buckets and distributions are the
//! test's own. It ends with this process, however that ends: it serves until the pipe to its standard input closes.
//! Never checks a signature; what needs that asks `s3`.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::aws::{self, Client, text_of};

/// The running server.
pub struct Moto {
    address: SocketAddr,
    /// Holds the pipe that keeps it alive.
    _child: Child,
}

impl Moto {
    /// The one server of this process.
    #[track_caller]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Moto> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    #[track_caller]
    fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new("python3");
        command
            .arg(root.join("tests/setup/serve_moto.py"))
            .env("PYTHONPATH", packages())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .expect("python3 starts: run tests/run setup");
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut errors = child.stderr.take().unwrap();
        let mut line = String::new();
        let _ = lines.read_line(&mut line);
        let Some(address) = line.trim_end().strip_prefix("listening on http://") else {
            let mut why = String::new();
            let _ = errors.read_to_string(&mut why);
            panic!("moto does not start; run tests/run setup\n{why}");
        };
        // It writes a line for each request, which nobody reads but the pipe must not hold.
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        Self {
            address: address.parse().expect("an address"),
            _child: child,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as an URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a command needs to find it, and nothing else.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        aws::environment(&self.endpoint())
    }

    /// Sends its S3 single requests.
    pub fn s3(&self) -> Client {
        Client::new("s3", self.address)
    }

    /// Sends its CloudFront single requests.
    pub fn cloudfront(&self) -> Client {
        Client::new("cloudfront", self.address)
    }

    /// Makes a bucket that no other test has, and names it; `s3::store_url` makes it a store.
    #[track_caller]
    pub fn new_bucket(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let bucket = format!("releases-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let response = self.s3().send("PUT", &format!("/{bucket}"), &[], "");
        assert_eq!(response.status, 200, "{response:?}");
        bucket
    }

    /// Makes a distribution in front of an origin, and says its id.
    #[track_caller]
    pub fn new_distribution(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let reference = COUNT.fetch_add(1, Ordering::Relaxed);
        let config = format!(
            "<DistributionConfig xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\">\
             <CallerReference>distribution {reference}</CallerReference>\
             <Origins><Quantity>1</Quantity><Items><Origin><Id>origin</Id>\
             <DomainName>origin.example.com</DomainName>\
             <CustomOriginConfig><HTTPPort>80</HTTPPort><HTTPSPort>443</HTTPSPort>\
             <OriginProtocolPolicy>https-only</OriginProtocolPolicy></CustomOriginConfig>\
             </Origin></Items></Origins>\
             <DefaultCacheBehavior><TargetOriginId>origin</TargetOriginId>\
             <ViewerProtocolPolicy>redirect-to-https</ViewerProtocolPolicy></DefaultCacheBehavior>\
             <Comment>a test</Comment><Enabled>true</Enabled></DistributionConfig>"
        );
        let fields = [("content-type", "application/xml")];
        let response = self
            .cloudfront()
            .send("POST", "/2020-05-31/distribution", &fields, config);
        assert_eq!(response.status, 201, "{response:?}");
        text_of(&response, "Id").expect("a distribution has an id")
    }
}

/// Where `tests/setup/python_tools.sh` installs.
fn packages() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
        PathBuf::from,
    );
    target.join("python")
}
