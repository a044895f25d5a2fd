//! The caches in front of the origin: nginx's `proxy_cache`, Varnish, and `headwater edge`; one core each, like every
//! server here.
//!
//! Owns how each is configured: as a careful operator sets it up for large immutable files, so that it collapses
//! requests and streams. Never measures.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::cores::Cores;
use crate::servers::{Server, nginx_command, system_program};
use crate::site::Site;
use crate::{Contestant, Failure, Options};

/// A cache, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Front {
    /// Devices speak to the origin.
    Direct,
    /// `headwater edge`: POPs, regional caches, Origin Shield.
    Edge,
    /// nginx with `proxy_cache` and `proxy_cache_lock`: an object is kept whole, and a miss of a range fetches all of it.
    Nginx,
    /// The same with `slice`: parts are kept, and each costs a subrequest.
    NginxSlice,
    /// Varnish, everything in memory.
    Varnish,
}

impl Front {
    /// Those that take part, in the order of their turns.
    pub fn chosen(options: &Options) -> Vec<Self> {
        let all = [
            (Self::Edge, Contestant::Headwater),
            (Self::Nginx, Contestant::Nginx),
            (Self::NginxSlice, Contestant::Nginx),
            (Self::Varnish, Contestant::Varnish),
        ];
        let chosen = all.into_iter().filter(|(_, who)| options.has(*who));
        chosen.map(|(front, _)| front).collect()
    }

    /// Starts it with an empty cache in front of `origin`; `None` for none.
    pub fn start(
        self,
        site: &Site,
        cores: &Cores,
        origin: SocketAddr,
    ) -> Result<Option<Server>, Failure> {
        match self {
            Self::Direct => Ok(None),
            Self::Edge => edge(site, cores, origin).map(Some),
            Self::Nginx => nginx(site, cores, origin, "").map(Some),
            Self::NginxSlice => nginx(site, cores, origin, SLICES).map(Some),
            Self::Varnish => varnish(site, cores, origin).map(Some),
        }
    }
}

impl fmt::Display for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Direct => "none",
            Self::Edge => "headwater edge",
            Self::Nginx => "nginx proxy_cache",
            Self::NginxSlice => "nginx, slice 1m",
            Self::Varnish => "varnish",
        })
    }
}

/// What Varnish calls itself, for the record.
pub fn varnish_version() -> Option<String> {
    let output = Command::new(system_program("varnishd")).arg("-V").output();
    let text = String::from_utf8_lossy(&output.ok()?.stderr).into_owned();
    let (_, rest) = text.split_once('(')?;
    Some(rest.split_once(" revision")?.0.replace('-', "/"))
}

fn edge(site: &Site, cores: &Cores, origin: SocketAddr) -> Result<Server, Failure> {
    let mut command = Command::new(site.headwater());
    command
        .args(["edge", "--listen", "127.0.0.1:0", "--origin"])
        .arg(format!("http://{origin}"));
    Server::that_says_where(site, cores, command)
}

fn nginx(site: &Site, cores: &Cores, origin: SocketAddr, slices: &str) -> Result<Server, Failure> {
    Server::on_a_free_port("nginx", site, cores, |prefix, address| {
        nginx_command(prefix, &nginx_cache(prefix, address, origin, slices))
    })
}

/// The size of nginx's own example. The other way of keeping parts, `proxy_cache_key` with `$http_range`, would fetch
/// what a resumed download asks for a second time.
const SLICES: &str = "location /artifacts/ {
            slice 1m;
            proxy_cache_key $uri$slice_range;
            proxy_set_header Connection \"\";
            proxy_set_header Range $slice_range;
            proxy_cache_valid 200 206 1h;
            proxy_pass http://origin;
        }";

fn nginx_cache(prefix: &Path, address: SocketAddr, origin: SocketAddr, slices: &str) -> String {
    format!(
        r#"    proxy_cache_path {prefix}/cache levels=1:2 keys_zone=edge:32m max_size=16g inactive=1h use_temp_path=off;
    upstream origin {{
        server {origin};
        keepalive 64;
    }}
    server {{
        listen {address} backlog=4096;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_cache edge;
        proxy_cache_lock on;
        proxy_cache_lock_timeout 60s;
        proxy_cache_lock_age 60s;
        proxy_cache_use_stale updating;
        add_header X-Cache $upstream_cache_status;
        {slices}
        location / {{
            proxy_cache_key $uri;
            proxy_pass http://origin;
        }}
    }}
"#,
        prefix = prefix.display(),
    )
}

/// Everything in memory, and as many threads as there may be devices: each waits in one.
fn varnish(site: &Site, cores: &Cores, origin: SocketAddr) -> Result<Server, Failure> {
    Server::on_a_free_port("varnish", site, cores, |prefix, address| {
        let vcl = prefix.join("headwater.vcl");
        fs::write(&vcl, varnish_config(origin))?;
        let mut command = Command::new(system_program("varnishd"));
        command.arg("-F").arg("-n").arg(prefix.join("work"));
        command.args(["-j", "none", "-T", "none", "-s", "malloc,4G", "-a"]);
        command.arg(address.to_string()).arg("-f").arg(&vcl);
        for parameter in [
            "thread_pools=1",
            "thread_pool_min=100",
            "thread_pool_max=5000",
            "listen_depth=4096",
        ] {
            command.args(["-p", parameter]);
        }
        Ok(command)
    })
}

fn varnish_config(origin: SocketAddr) -> String {
    format!(
        r#"vcl 4.1;
backend origin {{ .host = "{host}"; .port = "{port}"; }}
sub vcl_deliver {{
    if (obj.hits > 0) {{ set resp.http.X-Cache = "HIT"; }} else {{ set resp.http.X-Cache = "MISS"; }}
}}
"#,
        host = origin.ip(),
        port = origin.port(),
    )
}
