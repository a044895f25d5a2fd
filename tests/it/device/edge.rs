//! A scripted edge on a raw socket: the documents of one release, and one scripted step for each artifact request.
//!
//! When the script is over it behaves: whole, ranges, `If-Range`. Keeps every request for the test to look at.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use headwater::catalog::{Artifact, Channel, Pieces, Pointer, Release};
use headwater::model::{
    ArtifactName, ChannelName, Digest, PIECE_BYTES, Platform, Product, ReleaseId, Version,
};
use jiff::Timestamp;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What happens to one request for an artifact.
#[derive(Clone, Debug)]
pub enum Step {
    /// The right answer.
    Honest,
    /// The right answer, and the connection breaks after so many bytes of the body.
    Cut(usize),
    /// The right answer but for one bit of the artifact's byte at this position.
    Flip(usize),
    /// The right answer up to so many bytes of the body, then silence until the client goes.
    Stall(usize),
    /// Always the whole, as a server without ranges.
    Whole,
    /// The whole, and the connection breaks after so many bytes of it.
    WholeCut(usize),
    /// The right answer, chunked.
    Chunked,
    /// So many of the artifact's bytes, then others, without a length and without an end.
    Endless(usize),
    /// These bytes, then the end of the connection.
    Raw(String),
}

/// What the edge serves.
pub struct Content {
    pub channel: Vec<u8>,
    pub release: Vec<u8>,
    pub artifacts: Vec<(String, Vec<u8>)>,
}

/// A running edge. It dies with the test process; its port is its own.
pub struct Edge {
    pub address: SocketAddr,
    play: Arc<Play>,
}

struct Play {
    content: Content,
    script: Mutex<VecDeque<Step>>,
    requests: Mutex<Vec<Request>>,
}

/// One request, its field names in lower case.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub fields: Vec<(String, String)>,
}

impl Request {
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// One artifact: its name, its bytes, perhaps what it runs on.
pub type File<'a> = (&'a str, &'a [u8], Option<&'a str>);

/// Release `agent 1.0.0` of these files, and the channel `stable` that names it.
pub fn content(files: &[File<'_>]) -> Content {
    let artifact = |(name, body, platform): &File<'_>| Artifact {
        name: ArtifactName::parse(name).unwrap(),
        size: body.len() as u64,
        sha256: Digest::of(body),
        content_type: "application/octet-stream".into(),
        platform: platform.map(|text| Platform::parse(text).unwrap()),
        pieces: Pieces {
            size: PIECE_BYTES,
            sha256: body
                .chunks(usize::try_from(PIECE_BYTES).unwrap())
                .map(Digest::of)
                .collect(),
        },
    };
    let id = ReleaseId {
        product: Product::parse("agent").unwrap(),
        version: Version::parse("1.0.0").unwrap(),
    };
    let at = Timestamp::from_second(1_800_000_000).unwrap();
    let artifacts = files.iter().map(artifact).collect();
    let release = Release::new(id.clone(), at, None, artifacts);
    let document = release.to_json();
    let pointer = Pointer::to(&release, &document);
    let name = ChannelName::parse("stable").unwrap();
    Content {
        channel: Channel::first(id.product, name, pointer, at, None).to_json(),
        release: document,
        artifacts: files
            .iter()
            .map(|(name, body, _)| ((*name).to_owned(), body.to_vec()))
            .collect(),
    }
}

impl Edge {
    /// Starts an edge of `content` that plays `script`.
    pub fn start(content: Content, script: impl IntoIterator<Item = Step>) -> Self {
        Self::start_with(content, script, None)
    }

    /// Starts one that speaks TLS.
    pub fn start_tls(content: Content, tls: ServerConfig) -> Self {
        Self::start_with(content, [], Some(Arc::new(tls)))
    }

    fn start_with(
        content: Content,
        script: impl IntoIterator<Item = Step>,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let play = Arc::new(Play {
            content,
            script: Mutex::new(script.into_iter().collect()),
            requests: Mutex::default(),
        });
        let edge = Self {
            address: listener.local_addr().unwrap(),
            play: Arc::clone(&play),
        };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (play, tls) = (Arc::clone(&play), tls.clone());
                // A client that goes away in the middle is what these tests are about: no outcome is looked at.
                thread::spawn(move || match tls {
                    None => play.serve(stream),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).unwrap();
                        play.serve(StreamOwned::new(connection, stream))
                    }
                });
            }
        });
        edge
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests for artifacts so far.
    pub fn artifact_requests(&self) -> Vec<Request> {
        let requests = self.play.requests.lock().unwrap().clone();
        requests
            .into_iter()
            .filter(|request| {
                request.path.starts_with("/artifacts/") && !is_document(&request.path)
            })
            .collect()
    }

    /// What was asked of the artifact, request by request: the `Range`, or "whole".
    pub fn asked(&self) -> Vec<String> {
        self.artifact_requests()
            .iter()
            .map(|request| request.field("range").unwrap_or("whole").to_owned())
            .collect()
    }
}

fn is_document(path: &str) -> bool {
    path.starts_with("/channels/") || path.ends_with("/release.json")
}

impl Play {
    /// Answers request after request; `None` ends the connection.
    fn serve(&self, stream: impl Read + Write) -> Option<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let request = read_request(&mut stream)?;
            self.requests.lock().unwrap().push(request.clone());
            if is_document(&request.path) {
                let document = if request.path.starts_with("/channels/") {
                    &self.content.channel
                } else {
                    &self.content.release
                };
                let fields = format!("Content-Length: {}", document.len());
                write_head(stream.get_mut(), "200 OK", &fields)?;
                write(stream.get_mut(), document)?;
                continue;
            }
            let name = request.path.strip_prefix("/artifacts/agent/1.0.0/")?;
            let mut artifacts = self.content.artifacts.iter();
            let (_, body) = artifacts.find(|(artifact, _)| artifact == name)?;
            let step = self.script.lock().unwrap().pop_front();
            play(
                stream.get_mut(),
                &step.unwrap_or(Step::Honest),
                &request,
                body,
            )?;
        }
    }
}

/// Plays one step; `None` ends the connection.
fn play(
    stream: &mut (impl Read + Write),
    step: &Step,
    request: &Request,
    body: &[u8],
) -> Option<()> {
    let trace = "X-Cache: Hit from cloudfront\r\nX-Amz-Cf-Id: abc123==\r\nAge: 77";
    let etag = format!("\"{}\"", Digest::of(body));
    let wanted = match step {
        Step::Whole | Step::WholeCut(_) => None,
        _ => range_of(request, &etag, body.len()),
    };
    let (first, last) = wanted.unwrap_or((0, body.len().saturating_sub(1)));
    let mut part = body.get(first..=last).unwrap_or_default().to_vec();
    if let Step::Flip(at) = step
        && let Some(byte) = at.checked_sub(first).and_then(|at| part.get_mut(at))
    {
        *byte ^= 1;
    }
    let status = if wanted.is_some() {
        "206 Partial Content"
    } else {
        "200 OK"
    };
    let content_range = match wanted {
        Some(_) => format!("\r\nContent-Range: bytes {first}-{last}/{}", body.len()),
        None => String::new(),
    };
    let fields = format!("ETag: {etag}\r\nAccept-Ranges: bytes\r\n{trace}{content_range}");
    let with_length = format!("{fields}\r\nContent-Length: {}", part.len());
    match step {
        Step::Honest | Step::Flip(_) | Step::Whole => {
            write_head(stream, status, &with_length)?;
            write(stream, &part)
        }
        Step::Cut(at) | Step::WholeCut(at) => {
            write_head(stream, status, &with_length)?;
            write(stream, &part[..*at.min(&part.len())])?;
            None
        }
        Step::Stall(at) => {
            write_head(stream, status, &with_length)?;
            write(stream, &part[..*at.min(&part.len())])?;
            let _ = stream.read(&mut [0]);
            None
        }
        Step::Chunked => {
            write_head(
                stream,
                status,
                &format!("{fields}\r\nTransfer-Encoding: chunked"),
            )?;
            for chunk in part.chunks(100_000) {
                write(stream, format!("{:x}\r\n", chunk.len()).as_bytes())?;
                write(stream, chunk)?;
                write(stream, b"\r\n")?;
            }
            write(stream, b"0\r\n\r\n")
        }
        Step::Endless(right) => {
            write_head(stream, "200 OK", &format!("{trace}\r\nConnection: close"))?;
            write(stream, &body[..*right])?;
            loop {
                write(stream, &[7; 4096])?;
            }
        }
        Step::Raw(bytes) => {
            write(stream, bytes.as_bytes())?;
            None
        }
    }
}

/// The first and last position that the request is for, when it still means these bytes (RFC 9110 §13.1.5).
fn range_of(request: &Request, etag: &str, len: usize) -> Option<(usize, usize)> {
    if request.field("if-range").is_some_and(|tag| tag != etag) {
        return None;
    }
    let (first, last) = request
        .field("range")?
        .strip_prefix("bytes=")?
        .split_once('-')?;
    let last = if last.is_empty() {
        len - 1
    } else {
        last.parse().ok()?
    };
    Some((first.parse().ok()?, last))
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut lines = reader.lines();
    let first = lines.next()?.ok()?;
    let path = first
        .strip_prefix("GET ")?
        .strip_suffix(" HTTP/1.1")?
        .to_owned();
    let mut fields = Vec::new();
    loop {
        let line = lines.next()?.ok()?;
        match line.split_once(": ") {
            Some((name, value)) => fields.push((name.to_ascii_lowercase(), value.to_owned())),
            None => return Some(Request { path, fields }),
        }
    }
}

fn write_head(stream: &mut impl Write, status: &str, fields: &str) -> Option<()> {
    write(
        stream,
        format!("HTTP/1.1 {status}\r\n{fields}\r\n\r\n").as_bytes(),
    )
}

fn write(stream: &mut impl Write, bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).ok()
}
