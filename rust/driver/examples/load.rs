//! Loads a running engine with calls and prints what that costs it, as JSON.
//!
//! `load --socket PATH --pid PID [--legs N] [--room-size R] [--seconds S]`: N legs in rooms of R, three talkers
//! each. The engine gets its commands over its control socket as from a server; µcores are user and system
//! time of the process PID. Pin the engine and this program to different cores.

mod traffic;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use plenary_driver::{sys, wire};
use plenary_media::messages::{Command, EngineStats, Event, Id, LegStats, PROTOCOL_VERSION};
use traffic::Traffic;

const MAX_LEGS: usize = 8_000;
const MAX_SECONDS: u64 = 20;
/// Ticks of a second in /proc/PID/stat.
const CLOCK_TICKS: f64 = 100.0;
/// Legs opened by one frame.
const LEGS_PER_FRAME: usize = 100;
/// Time in which jitter buffers and caches settle.
const SETTLING: Duration = Duration::from_secs(2);

struct Server {
    stream: UnixStream,
    received: Vec<u8>,
}

impl Server {
    fn connect(path: &str) -> io::Result<Server> {
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

    fn send(&mut self, commands: &[Command]) -> io::Result<()> {
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
    fn until<T>(&mut self, mut done: impl FnMut(Event) -> Option<T>) -> io::Result<T> {
        loop {
            let frame = self.frame()?;
            let events: Vec<Event> = rmp_serde::from_slice(&frame).map_err(io::Error::other)?;
            if let Some(found) = events.into_iter().filter_map(&mut done).last() {
                return Ok(found);
            }
        }
    }

    fn stats(&mut self) -> io::Result<(Vec<LegStats>, EngineStats)> {
        self.send(&[Command::GetStats {
            request: id("load"),
        }])?;
        self.until(|event| match event {
            Event::Stats { legs, engine, .. } => Some((legs, engine)),
            _ => None,
        })
    }
}

fn id(name: &str) -> Id {
    Id::new(name).unwrap_or_else(|| unreachable!("{name} is an id"))
}

fn leg_id(number: usize) -> Id {
    id(&format!("leg-{number}"))
}

fn room_id(number: usize) -> Id {
    id(&format!("room-{number}"))
}

fn offer(address: SocketAddr) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 {}\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n\
         a=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n",
        address.ip(),
        address.port()
    )
}

fn port_of(sdp: &str) -> Option<u16> {
    sdp.lines().find_map(|line| {
        line.strip_prefix("m=audio ")?
            .split(' ')
            .next()?
            .parse()
            .ok()
    })
}

/// Opens the legs and lets them join their rooms.
fn set_up(
    server: &mut Server,
    traffic: &mut Traffic,
    legs: usize,
    room_size: usize,
) -> io::Result<()> {
    let rooms = legs.div_ceil(room_size);
    let open: Vec<Command> = (0..rooms)
        .map(|room| Command::OpenRoom {
            room: room_id(room),
        })
        .collect();
    server.send(&open)?;
    for first in (0..legs).step_by(LEGS_PER_FRAME) {
        let numbers = first..(first + LEGS_PER_FRAME).min(legs);
        let mut commands = Vec::new();
        for number in numbers.clone() {
            let (leg, room) = (leg_id(number), room_id(number / room_size));
            let sdp = Some(offer(traffic.address(number)?));
            commands.push(Command::OpenLeg {
                leg: leg.clone(),
                sdp,
                room_hint: Some(room.clone()),
            });
            commands.push(Command::Join { leg, room });
        }
        server.send(&commands)?;
        let mut answers: HashMap<Id, String> = HashMap::new();
        server.until(|event| {
            match event {
                Event::LegAnswered { leg, sdp, .. } => drop(answers.insert(leg, sdp)),
                Event::LegRefused { leg, detail, .. } => drop(answers.insert(leg, detail)),
                _ => {}
            }
            (answers.len() == numbers.len()).then_some(())
        })?;
        for number in numbers {
            let answer = answers.remove(&leg_id(number)).unwrap_or_default();
            let port = port_of(&answer).ok_or_else(|| io::Error::other(answer))?;
            traffic.add(SocketAddr::from(([127, 0, 0, 1], port)), room_size);
        }
    }
    Ok(())
}

/// User and system time of a process, in seconds.
fn cpu_s(pid: &str) -> io::Result<f64> {
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

fn resident_bytes(pid: &str) -> io::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line
        .and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
        .unwrap_or(0.0)
        * 1024.0)
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        arguments
            .iter()
            .position(|argument| argument == name)
            .and_then(|at| arguments.get(at + 1))
    };
    let number = |name: &str, default| {
        option(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (Some(socket), Some(pid)) = (option("--socket"), option("--pid")) else {
        return Err(io::Error::other("give --socket PATH and --pid PID"));
    };
    let legs = (number("--legs", 1_000) as usize).clamp(1, MAX_LEGS);
    let room_size = (number("--room-size", 10) as usize).max(1);
    let seconds = number("--seconds", 10).clamp(1, MAX_SECONDS);
    sys::raise_file_limit();

    let mut server = Server::connect(socket)?;
    let mut traffic = Traffic::new()?;
    let empty = resident_bytes(pid)?;
    set_up(&mut server, &mut traffic, legs, room_size)?;
    traffic.run(SETTLING);
    let (legs_before, before) = server.stats()?;
    traffic.reset();
    let begin = (sys::monotonic(), cpu_s(pid)?);
    let findings = traffic.run(Duration::from_secs(seconds));
    let cores = (cpu_s(pid)? - begin.1) / (sys::monotonic() - begin.0).as_secs_f64();
    let (legs_after, after) = server.stats()?;
    let memory = resident_bytes(pid)? - empty;

    let total =
        |stats: &[LegStats], what: fn(&LegStats) -> u64| stats.iter().map(what).sum::<u64>();
    let grown = |what: fn(&LegStats) -> u64| total(&legs_after, what) - total(&legs_before, what);
    println!(
        "{{\"legs\": {legs}, \"room_size\": {room_size}, \"seconds\": {seconds}, \"cores\": {cores:.3}, \
         \"ucore_per_leg\": {:.1}, \"delay_ms_p50\": {:.2}, \"delay_ms_p99\": {:.2}, \"bursts_heard\": {}, \
         \"packets_sent\": {}, \"packets_received\": {}, \"packets_lost\": {}, \"phones_short\": {}, \
         \"longest_gap_ms\": {:.1}, \"engine_received\": {}, \
         \"engine_lost\": {}, \"engine_late\": {}, \"concealed_ms\": {}, \"ticks\": {}, \"late_ticks\": {}, \
         \"tick_us_p50\": {}, \"tick_us_p99\": {}, \"bytes_per_leg\": {:.0}}}",
        cores / legs as f64 * 1e6,
        findings.delay_ms_p50,
        findings.delay_ms_p99,
        findings.bursts_heard,
        findings.sent,
        findings.received,
        findings.lost,
        findings.phones_short,
        findings.longest_gap_ms,
        grown(|leg| leg.packets_received),
        grown(|leg| leg.lost),
        grown(|leg| leg.late),
        grown(|leg| leg.concealed_ms),
        after.ticks - before.ticks,
        after.late_ticks - before.late_ticks,
        after.tick_us_p50,
        after.tick_us_p99,
        memory / legs as f64,
    );
    let close: Vec<Command> = (0..legs)
        .map(|number| Command::CloseLeg {
            leg: leg_id(number),
        })
        .collect();
    server.send(&close)?;
    let mut closed = 0;
    server.until(|event| {
        closed += usize::from(matches!(event, Event::LegClosed { .. }));
        (closed == legs).then_some(())
    })?;
    let rooms = 0..legs.div_ceil(room_size);
    server.send(
        &rooms
            .map(|room| Command::CloseRoom {
                room: room_id(room),
            })
            .collect::<Vec<_>>(),
    )?;
    server.send(&[Command::Ack { seq: u64::MAX }])
}
