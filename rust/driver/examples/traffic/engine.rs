//! A running engine, as its server sees it, and what it costs.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use plenary_driver::wire;
use plenary_media::messages::{Command, EngineStats, Event, Id, LegStats, PROTOCOL_VERSION};

/// Ticks of a second in /proc/PID/stat.
const CLOCK_TICKS: f64 = 100.0;

pub struct Server {
    stream: UnixStream,
    received: Vec<u8>,
}

impl Server {
    pub fn connect(path: &str) -> io::Result<Server> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut server = Server {
            stream,
            received: Vec::new(),
        };
        server.send(&[Command::Hello {
            version: PROTOCOL_VERSION,
            engine: String::new(),
            acked: 0,
        }])?;
        server.frame()?;
        Ok(server)
    }

    pub fn send(&mut self, commands: &[Command]) -> io::Result<()> {
        let packed: Result<Vec<Vec<u8>>, _> =
            commands.iter().map(rmp_serde::to_vec_named).collect();
        let mut frame = Vec::new();
        wire::write_frame(
            &mut frame,
            packed.map_err(io::Error::other)?.iter().map(Vec::as_slice),
        );
        self.stream.write_all(&frame)
    }

    fn frame(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = [0; 65_536];
        loop {
            match wire::next_frame(&mut self.received) {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(_) => {
                    return Err(io::Error::other(
                        "the engine sends a frame that is too long",
                    ));
                }
            }
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::Error::other("the engine has closed the connection")),
                length => self.received.extend_from_slice(&chunk[..length]),
            }
        }
    }

    /// Reads events until `done` gives something.
    pub fn until<T>(&mut self, mut done: impl FnMut(Event) -> Option<T>) -> io::Result<T> {
        loop {
            let frame = self.frame()?;
            let events: Vec<Event> = rmp_serde::from_slice(&frame).map_err(io::Error::other)?;
            if let Some(found) = events.into_iter().filter_map(&mut done).last() {
                return Ok(found);
            }
        }
    }

    pub fn stats(&mut self) -> io::Result<(Vec<LegStats>, EngineStats)> {
        self.send(&[Command::GetStats {
            request: id("load"),
        }])?;
        self.until(|event| match event {
            Event::Stats { legs, engine, .. } => Some((legs, engine)),
            _ => None,
        })
    }
}

pub fn id(name: &str) -> Id {
    Id::new(name).unwrap_or_else(|| unreachable!("{name} is an id"))
}

/// User and system time of a process, in seconds.
pub fn cpu_s(pid: &str) -> io::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the program may hold anything; what counts comes after its parenthesis.
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(11)
        .take(2);
    Ok(fields
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        / CLOCK_TICKS)
}

pub fn resident_bytes(pid: &str) -> io::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line
        .and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
        .unwrap_or(0.0)
        * 1024.0)
}
