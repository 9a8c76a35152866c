//! The media engine around its sans-I/O core: sockets, threads, the tick, recording files, the control socket.
//!
//! ```text
//! server ◀─ Unix socket ─▶ control thread ─ batches of orders ─▶ media threads (sockets, tick) ─▶ peers
//!                             ▲    ▲                               │        │
//!                             │    └────────── notices ────────────┘        └─ audio ─▶ writer thread ─▶ files
//!                             └───────────────────────── ends of recordings ─────────────────┘
//! ```
//!
//! [`run`] is the door. Each media thread owns whole rooms and their legs. A leg that joins a room of another
//! thread is handed over with its sockets, as a message. A media thread with a large room has another beside it, its
//! `post`, that sends what listeners share.
#![deny(unsafe_code)]

mod control;
mod handshakes;
mod histogram;
mod jobs;
mod journal;
mod pacing;
mod ports;
mod post;
mod prompts;
mod recording;
mod seats;
mod server;
#[allow(unsafe_code)]
pub mod sys;
mod webrtc;
pub mod wire;
mod worker;

use std::fmt;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;
use std::time::Duration;

use plenary_media::engine::Config;
use plenary_media::leg::InactivityLimits;
use plenary_transport::dtls::Identity;

use control::{Control, Thread};
use jobs::{JOBS_MAX, Notice};
use ports::Ports;
use recording::{Report, write_recordings};
use server::Listener;
use sys::{Bell, Signals};
use worker::Worker;

/// Media threads: more than any machine has cores to feed.
pub const MAX_THREADS: usize = 256;

/// How the engine is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Of the control socket.
    pub socket: PathBuf,
    /// The RTP sockets are bound to this.
    pub rtp_address: IpAddr,
    /// Stands in SDP.
    pub public_address: IpAddr,
    /// RTP and RTCP ports, both ends included.
    pub rtp_ports: (u16, u16),
    /// UDP and TCP port for browsers of the first media thread; each other has the next. `None`: no browsers.
    pub webrtc_port: Option<u16>,
    pub threads: usize,
    /// Without a server for this long, the engine ends.
    pub orphan_timeout: Duration,
    pub inactivity: InactivityLimits,
}

/// Why the engine did not run to its end; a sentence.
#[derive(Debug)]
pub enum Failure {
    /// The options can't be used on this machine: to start again won't help.
    Options(String),
    /// The operating system has refused something, or we have made a mistake.
    System(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Options(sentence) | Failure::System(sentence)) = self;
        f.write_str(sentence)
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::System(error.to_string())
    }
}

/// Runs the engine until `shutdown`, SIGTERM, SIGINT or the orphan timeout. RTP is bound to `rtp_address` only.
///
/// # Errors
/// [`Failure::Options`] before anything runs, [`Failure::System`] then or later.
pub fn run(options: &Options) -> Result<(), Failure> {
    if !(1..=MAX_THREADS).contains(&options.threads) {
        return Err(Failure::Options(format!(
            "the number of threads is 1 to {MAX_THREADS}"
        )));
    }
    let (first, last) = options.rtp_ports;
    let start = u16::from_be_bytes(sys::entropy());
    let ports = Ports::new(options.rtp_address, first, last, start).ok_or_else(|| {
        Failure::Options(format!(
            "{first}-{last} holds no even port and the odd one above it"
        ))
    })?;
    UdpSocket::bind((options.rtp_address, 0)).map_err(|error| {
        let address = options.rtp_address;
        Failure::Options(format!("the RTP address {address} can't be used: {error}"))
    })?;
    let gates = match options.webrtc_port {
        Some(port) => {
            let (bound, public) = (options.rtp_address, options.public_address);
            webrtc::open(bound, public, port, options.threads).map_err(Failure::Options)?
        }
        None => Vec::new(),
    };
    let takes_browsers = !gates.is_empty();
    let listener = Listener::bind(&options.socket).map_err(|error| {
        let path = options.socket.display();
        let sentence = format!("the control socket {path} can't be used: {error}");
        match error.kind() {
            // A path that is too long for a socket.
            io::ErrorKind::InvalidInput => Failure::Options(sentence),
            _ => Failure::System(sentence),
        }
    })?;
    sys::raise_file_limit();
    let signals = Signals::new()?;

    let bell = Arc::new(Bell::new()?);
    let (notices, heard) = channel();
    let (writer, tasks) = channel();
    let written = {
        let (notices, bell) = (notices.clone(), bell.clone());
        let report = move |report| {
            let (event, abandoned) = match report {
                Report::Ended(event) => (event, None),
                Report::Failed(event, recording, of) => {
                    (event, Some(Notice::Abandoned { recording, of }))
                }
            };
            drop(notices.send(Notice::Events(vec![event])));
            drop(abandoned.map(|notice| notices.send(notice)));
            bell.ring();
        };
        thread::Builder::new()
            .name("recordings".into())
            .spawn(move || write_recordings(&tasks, report))?
    };

    let identity = Identity::new().map_err(io::Error::other)?;
    let config = Config {
        public_address: options.public_address,
        inactivity: options.inactivity,
        stopwatch: Some(sys::monotonic),
        identity: Some(Arc::new(identity)),
    };
    let origin = sys::monotonic();
    let mut threads = Vec::new();
    let mut gates = gates.into_iter();
    for number in 0..options.threads {
        let (jobs, queue) = sync_channel(JOBS_MAX);
        let own_bell = Arc::new(Bell::new()?);
        let links = worker::Links {
            jobs: queue,
            bell: own_bell.clone(),
            notices: notices.clone(),
            control: bell.clone(),
            writer: writer.clone(),
            gate: gates.next(),
        };
        let worker = Worker::new(config.clone(), origin, links)?;
        let (notices, control) = (notices.clone(), bell.clone());
        let work = move || {
            // One bad leg is caught at the leg. Whatever gets here is worse, and only a fresh engine helps.
            if catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
                drop(notices.send(Notice::Died));
                control.ring();
            }
        };
        let handle = thread::Builder::new()
            .name(format!("media {number}"))
            .spawn(work)?;
        threads.push(Thread {
            jobs,
            bell: own_bell,
            handle,
        });
    }
    let links = control::Links {
        listener,
        signals,
        threads,
        notices: heard,
        bell,
        writer,
        ports,
        takes_browsers,
        orphan_timeout: options.orphan_timeout,
    };
    if Control::new(links).run(written) {
        Ok(())
    } else {
        Err(Failure::System(
            "a media thread has panicked: a mistake of ours".into(),
        ))
    }
}
