//! A server and a phone, as the engine sees them.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use plenary_driver::{Failure, Options, run, wire};
use plenary_media::leg::InactivityLimits;
use plenary_media::messages::{Command, Event, Id, PROTOCOL_VERSION, Welcome};

/// No answer takes this long.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub fn id(name: &str) -> Id {
    Id::new(name).expect("an id")
}

pub fn options(name: &str, ports: (u16, u16)) -> Options {
    let socket = std::env::temp_dir().join(format!("plenary-{name}-{}.sock", std::process::id()));
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Options {
        socket,
        rtp_address: loopback,
        public_address: loopback,
        rtp_ports: ports,
        webrtc_port: None,
        threads: 2,
        orphan_timeout: PATIENCE,
        inactivity: InactivityLimits {
            first: PATIENCE,
            later: PATIENCE,
        },
    }
}

pub fn start(options: Options) -> JoinHandle<Result<(), Failure>> {
    std::thread::spawn(move || run(&options))
}

pub struct Server {
    pub stream: UnixStream,
    pub received: Vec<u8>,
    pub welcome: Welcome,
}

impl Server {
    pub fn connect(path: &Path, engine: &str, acked: u64) -> Server {
        let begin = Instant::now();
        let mut stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) => assert!(begin.elapsed() < PATIENCE, "{error}"),
            }
            std::thread::yield_now();
        };
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let hello = Command::Hello {
            version: PROTOCOL_VERSION,
            engine: engine.into(),
            acked,
        };
        send(&mut stream, &[hello]);
        let mut received = Vec::new();
        let frame = frame(&mut stream, &mut received);
        let [welcome]: [Welcome; 1] = rmp_serde::from_slice(&frame).expect("a welcome");
        Server {
            stream,
            received,
            welcome,
        }
    }

    pub fn send(&mut self, commands: &[Command]) {
        send(&mut self.stream, commands);
    }

    /// Events until one for which `is_last`.
    pub fn until(&mut self, is_last: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        while !events.iter().any(&is_last) {
            let frame = frame(&mut self.stream, &mut self.received);
            events.extend(rmp_serde::from_slice::<Vec<Event>>(&frame).expect("events"));
        }
        events
    }
}

pub fn send(stream: &mut UnixStream, commands: &[Command]) {
    let packed: Vec<Vec<u8>> = commands
        .iter()
        .map(|command| rmp_serde::to_vec_named(command).expect("msgpack"))
        .collect();
    let mut frame = Vec::new();
    wire::write_frame(&mut frame, packed.iter().map(Vec::as_slice));
    stream.write_all(&frame).expect("the engine listens");
}

pub fn frame(stream: &mut UnixStream, received: &mut Vec<u8>) -> Vec<u8> {
    loop {
        if let Some(frame) = wire::next_frame(received).expect("a frame") {
            return frame;
        }
        let mut chunk = [0; 65_536];
        let length = stream.read(&mut chunk).expect("an answer");
        assert!(length > 0, "the engine has closed the connection");
        received.extend_from_slice(&chunk[..length]);
    }
}

pub fn offer(phone: &UdpSocket) -> String {
    let port = phone.local_addr().expect("bound").port();
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    )
}
