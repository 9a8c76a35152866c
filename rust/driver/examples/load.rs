//! Loads a running engine with calls and prints what that costs it, as JSON.
//!
//! `load --socket PATH --pid PID [--legs N] [--room-size R] [--seconds S] [--talkers T] [--codecs NAME,NAME]
//! [--receive-only] [--rows] [--step K]`: N legs in rooms of R, of which T (3) talk; the codecs (PCMU) are dealt to the
//! legs of a room in turn. With `--receive-only` who does not talk sends nothing at all, with `--rows` everyone hears the
//! first talker at a loudness of his own. With `--step` K legs come at a time and a line is printed each time, until all
//! are there or the engine is late twice. The engine gets its commands over its control socket as from a server; µcores are
//! user and system time of the process PID. Pin the engine and this program to different cores.

#[path = "traffic/engine.rs"]
mod engine;
mod traffic;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use engine::{Server, cpu_s, id, resident_bytes};
use plenary_codec::Codec;
use plenary_driver::sys;
use plenary_media::engine::PHASES;
use plenary_media::messages::{Command, EngineStats, Event, Id, LegStats, LegTerms};
use traffic::{Findings, Plan, Traffic, payload_type};

const MAX_LEGS: usize = 12_000;
const MAX_SECONDS: u64 = 60;
/// Legs opened by one frame, one frame each 20 ms.
const LEGS_PER_FRAME: usize = 100;
/// The same of Opus, whose newcomers are encoded for one by one for some ticks: 500 a second, as many as a door
/// lets in.
const OPUS_LEGS_PER_FRAME: usize = 10;
/// Time in which jitter buffers and caches settle, and streams come together.
const SETTLING: Duration = Duration::from_secs(2);
/// How much quieter each listener hears the first talker than the one before him.
const ROW_STEP: f64 = 0.0005;

fn leg_id(number: usize) -> Id {
    id(&format!("leg-{number}"))
}

fn room_id(number: usize) -> Id {
    id(&format!("room-{number}"))
}

fn offer(address: SocketAddr, codec: Codec, sends: bool) -> String {
    let (pt, name, clock) = (payload_type(codec), codec.name(), codec.clock_hz());
    let channels = match codec.sdp_channels() {
        1 => String::new(),
        channels => format!("/{channels}"),
    };
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 {}\r\nt=0 0\r\nm=audio {} RTP/AVP {pt}\r\n\
         a=rtpmap:{pt} {name}/{clock}{channels}\r\na=rtcp-mux\r\na={}\r\n",
        address.ip(),
        address.port(),
        if sends { "sendrecv" } else { "recvonly" }
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

fn open_rooms(server: &mut Server, rooms: usize) -> io::Result<()> {
    let open: Vec<Command> = (0..rooms)
        .map(|room| Command::OpenRoom {
            room: room_id(room),
        })
        .collect();
    server.send(&open)
}

/// Opens legs and lets them join their rooms.
fn set_up(
    server: &mut Server,
    traffic: &mut Traffic,
    numbers: Range<usize>,
    rows: bool,
) -> io::Result<()> {
    let end = numbers.end;
    let at_once = match traffic.plan().codecs.contains(&Codec::Opus) {
        true => OPUS_LEGS_PER_FRAME,
        false => LEGS_PER_FRAME,
    };
    for first in numbers.step_by(at_once) {
        let numbers = first..(first + at_once).min(end);
        let mut commands = Vec::new();
        for number in numbers.clone() {
            let plan = traffic.plan();
            let (leg, room) = (leg_id(number), room_id(plan.room(number)));
            let sdp = offer(
                traffic.address(number)?,
                plan.codec(number),
                plan.sends(number),
            );
            commands.push(Command::OpenLeg {
                leg: leg.clone(),
                sdp: Some(sdp),
                room_hint: Some(room.clone()),
                terms: LegTerms::default(),
            });
            commands.push(Command::Join {
                leg: leg.clone(),
                room: room.clone(),
            });
            if rows && plan.seat(number) > 0 {
                commands.push(Command::SetGain {
                    room,
                    listener: leg,
                    speaker: Some(leg_id(number - plan.seat(number))),
                    gain: 1.0 - ROW_STEP * plan.seat(number) as f64,
                });
            }
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
            traffic.add(SocketAddr::from(([127, 0, 0, 1], port)));
        }
        // Who is in already talks and hears the others come.
        traffic.run(Duration::from_millis(20));
    }
    Ok(())
}

fn tear_down(server: &mut Server, legs: usize, rooms: usize) -> io::Result<()> {
    for first in (0..legs).step_by(LEGS_PER_FRAME) {
        let numbers = first..(first + LEGS_PER_FRAME).min(legs);
        let close: Vec<Command> = numbers
            .clone()
            .map(|number| Command::CloseLeg {
                leg: leg_id(number),
            })
            .collect();
        server.send(&close)?;
        let mut closed = 0;
        server.until(|event| {
            closed += usize::from(matches!(event, Event::LegClosed { .. }));
            (closed == numbers.len()).then_some(())
        })?;
    }
    let rooms: Vec<Command> = (0..rooms)
        .map(|room| Command::CloseRoom {
            room: room_id(room),
        })
        .collect();
    server.send(&rooms)?;
    server.send(&[Command::Ack { seq: u64::MAX }])
}

/// What the engine said of itself before and after the time that counts.
struct Told {
    legs: (Vec<LegStats>, Vec<LegStats>),
    engine: (EngineStats, EngineStats),
}

impl Told {
    fn grown(&self, what: fn(&LegStats) -> u64) -> u64 {
        let total = |legs: &[LegStats]| legs.iter().map(what).sum::<u64>();
        total(&self.legs.1).saturating_sub(total(&self.legs.0))
    }

    fn counted(&self, what: fn(&EngineStats) -> u64) -> u64 {
        what(&self.engine.1) - what(&self.engine.0)
    }

    /// Ticks of all rooms; their threads tick each of the phases in turn.
    fn room_ticks(&self, rooms: usize) -> f64 {
        let ticks = self.counted(|engine| engine.ticks) / self.engine.1.threads.max(1);
        ticks as f64 / PHASES as f64 * rooms as f64
    }

    /// Mean over the legs that have such a figure; 0 if none has.
    fn mean(&self, what: fn(&LegStats) -> Option<f64>) -> f64 {
        let values: Vec<f64> = self.legs.1.iter().filter_map(what).collect();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    }
}

/// JSON by hand: numbers only.
fn print(figures: &[(&str, f64)]) {
    let fields: Vec<String> = figures
        .iter()
        .map(|(name, value)| match value.is_finite() {
            true => format!("\"{name}\": {value:.3}"),
            false => format!("\"{name}\": null"),
        })
        .collect();
    println!("{{{}}}", fields.join(", "));
}

fn phones_found(found: &Findings) -> [(&'static str, f64); 11] {
    [
        ("packets_sent", found.sent as f64),
        ("packets_received", found.received as f64),
        ("packets_lost", found.lost as f64),
        ("phones_short", found.phones_short as f64),
        ("longest_gap_ms", found.longest_gap_ms),
        ("jitter_ms_p99", found.jitter_ms_p99),
        ("delay_ms_p50", found.delay_ms_p50),
        ("delay_ms_p99", found.delay_ms_p99),
        ("bursts_heard", found.bursts_heard as f64),
        ("voices_heard", found.voices_heard as f64),
        ("listened", found.listened as f64),
    ]
}

/// The engine's own; counts of frames are those of one room in one tick.
fn engine_told(told: &Told, room_ticks: f64) -> [(&'static str, f64); 19] {
    let engine = &told.engine.1;
    let a_tick = |what| told.counted(what) as f64 / room_ticks;
    [
        (
            "engine_received",
            told.grown(|leg| leg.packets_received) as f64,
        ),
        ("engine_lost", told.grown(|leg| leg.lost) as f64),
        ("engine_late", told.grown(|leg| leg.late) as f64),
        ("concealed_ms", told.grown(|leg| leg.concealed_ms) as f64),
        ("starved", told.grown(|leg| leg.starved) as f64),
        ("ticks", told.counted(|engine| engine.ticks) as f64),
        (
            "late_ticks",
            told.counted(|engine| engine.late_ticks) as f64,
        ),
        ("unsent", told.counted(|engine| engine.unsent) as f64),
        ("tick_us_p50", engine.tick_us_p50),
        ("tick_us_p99", engine.tick_us_p99),
        ("decodes_a_tick", a_tick(|engine| engine.decodes)),
        ("encodes_a_tick", a_tick(|engine| engine.encodes)),
        ("shared_a_tick", a_tick(|engine| engine.shared_encodes)),
        ("mix_us", told.mean(|leg| Some(leg.mix_us))),
        ("send_us", told.mean(|leg| Some(leg.send_us))),
        ("decode_us", told.mean(|leg| leg.decode_us)),
        ("encode_us", told.mean(|leg| leg.encode_us)),
        (
            "tick_wait_ms",
            told.mean(|leg| leg.tick_wait_ms.filter(|_| leg.talking)),
        ),
        (
            "buffer_ms",
            told.mean(|leg| leg.buffer_ms.filter(|_| leg.talking)),
        ),
    ]
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let given = |name: &str| arguments.iter().position(|argument| argument == name);
    let option = |name: &str| given(name).and_then(|at| arguments.get(at + 1));
    let number = |name: &str, default| {
        option(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (Some(socket), Some(pid)) = (option("--socket"), option("--pid")) else {
        return Err(io::Error::other("give --socket PATH and --pid PID"));
    };
    let names = option("--codecs").map_or("PCMU", String::as_str);
    let codecs: Option<Vec<Codec>> = names.split(',').map(Codec::from_name).collect();
    let legs = (number("--legs", 1_000) as usize).clamp(1, MAX_LEGS);
    let seconds = number("--seconds", 10).clamp(1, MAX_SECONDS);
    let plan = Plan {
        room_size: (number("--room-size", 10) as usize).max(1),
        talkers: number("--talkers", 3) as usize,
        codecs: codecs.ok_or_else(|| io::Error::other("unknown codec"))?,
        receive_only: given("--receive-only").is_some(),
    };
    let rooms = legs.div_ceil(plan.room_size);
    sys::raise_file_limit();

    let step = (number("--step", legs as u64) as usize).clamp(1, legs);

    let mut server = Server::connect(socket)?;
    let mut traffic = Traffic::new(plan)?;
    let empty = resident_bytes(pid)?;
    open_rooms(&mut server, rooms)?;
    let mut here = 0;
    while here < legs {
        let coming = here..(here + step).min(legs);
        let (_, alone) = server.stats()?;
        let begin = sys::monotonic();
        let rows = given("--rows").is_some();
        set_up(&mut server, &mut traffic, coming.clone(), rows)?;
        here = coming.end;
        let joining_s = (sys::monotonic() - begin).as_secs_f64();
        let (_, joined) = server.stats()?;
        let late = joined.late_ticks - alone.late_ticks;
        traffic.run(SETTLING);
        let mut measured = measure(&mut server, &mut traffic, pid, seconds)?;
        if step < legs && is_late(&measured) {
            measured = measure(&mut server, &mut traffic, pid, seconds)?;
        }
        let is_late = is_late(&measured);
        let (cores, found, told) = measured;
        let room_ticks = told.room_ticks(rooms);
        let memory = resident_bytes(pid)? - empty;
        let mut figures = vec![
            ("legs", here as f64),
            ("cores", cores),
            ("ucore_per_leg", cores / here as f64 * 1e6),
            ("bytes_per_leg", memory / here as f64),
            ("joining_s", joining_s),
            ("late_while_joining", late as f64),
        ];
        figures.extend(phones_found(&found));
        figures.extend(engine_told(&told, room_ticks));
        print(&figures);
        if step < legs && is_late {
            break;
        }
    }
    tear_down(&mut server, here, rooms)
}

/// Cores that the engine needs, what the phones found, what the engine told.
type Measured = (f64, Findings, Told);

fn is_late((_, found, told): &Measured) -> bool {
    told.counted(|engine| engine.late_ticks) > 0 || found.phones_short > 0
}

fn measure(
    server: &mut Server,
    traffic: &mut Traffic,
    pid: &str,
    seconds: u64,
) -> io::Result<Measured> {
    let before = server.stats()?;
    traffic.reset();
    let begin = (sys::monotonic(), cpu_s(pid)?);
    traffic.run(Duration::from_secs(seconds));
    let cores = (cpu_s(pid)? - begin.1) / (sys::monotonic() - begin.0).as_secs_f64();
    let found = traffic.findings();
    let after = server.stats()?;
    let told = Told {
        legs: (before.0, after.0),
        engine: (before.1, after.1),
    };
    Ok((cores, found, told))
}
