//! What the server and the engine say to each other.
//!
//! Every message is a map with `type`; the variants here are those maps, field for field. The driver puts
//! them in msgpack frames and numbers the events. Nothing here is trusted to be sensible beyond its shape:
//! an [`Id`] has 1 to 64 characters, everything else is checked where it is used.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Version of this protocol, in `hello` and `welcome`.
pub const PROTOCOL_VERSION: u32 = 1;
/// Longest id in characters; ids are UUIDs in practice.
pub const MAX_ID_CHARS: usize = 64;

/// Name of a leg, room, play, recording, prompt or request, chosen by the server: 1 to 64 characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(Arc<str>);

impl Id {
    /// `None` if `name` is empty or longer than [`MAX_ID_CHARS`].
    pub fn new(name: &str) -> Option<Id> {
        let chars = name.chars().take(MAX_ID_CHARS + 1).count();
        (1..=MAX_ID_CHARS).contains(&chars).then(|| Id(name.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Borrow<str> for Id {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Id::new(&name).ok_or_else(|| de::Error::custom("an id has 1 to 64 characters"))
    }
}

/// Mono samples, on the wire as bytes: little-endian 16 bit.
#[derive(Clone, PartialEq)]
pub struct Pcm(pub Vec<i16>);

impl fmt::Debug for Pcm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pcm({} samples)", self.0.len())
    }
}

impl Serialize for Pcm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self
            .0
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Pcm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pcm, D::Error> {
        struct Bytes;

        impl<'de> Visitor<'de> for Bytes {
            type Value = Pcm;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes: 16 bit little-endian samples")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Pcm, E> {
                if bytes.len() % 2 == 1 {
                    return Err(E::custom("an odd number of bytes is no 16 bit audio"));
                }
                let samples = bytes
                    .chunks_exact(2)
                    .map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
                Ok(Pcm(samples.collect()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Pcm, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = items.next_element::<u8>()? {
                    bytes.push(byte);
                }
                self.visit_bytes(&bytes)
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

/// What `apply_sdp` carries (RFC 3264).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SdpKind {
    Offer,
    Answer,
}

/// A sine for `play`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToneSpec {
    pub frequency_hz: f64,
    pub duration_ms: u32,
    pub level_dbfs: f64,
}

/// From the server to the engine. An array of them is applied whole, between two ticks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    Hello {
        version: u32,
        engine: String,
        acked: u64,
    },
    Ack {
        seq: u64,
    },
    Shutdown {},
    /// `sdp` is the peer's offer; without one, we make the offer.
    OpenLeg {
        leg: Id,
        #[serde(default)]
        sdp: Option<String>,
        #[serde(default)]
        room_hint: Option<Id>,
    },
    ApplySdp {
        leg: Id,
        kind: SdpKind,
        sdp: String,
    },
    OfferLeg {
        leg: Id,
    },
    CloseLeg {
        leg: Id,
    },
    OpenRoom {
        room: Id,
    },
    CloseRoom {
        room: Id,
    },
    Join {
        leg: Id,
        room: Id,
    },
    Leave {
        leg: Id,
    },
    /// How loud `listener` hears `speaker`, 0 to 4; `speaker` of `None` means everyone not named otherwise.
    SetGain {
        room: Id,
        listener: Id,
        #[serde(default)]
        speaker: Option<Id>,
        gain: f64,
    },
    LoadPrompt {
        prompt: Id,
        rate: u32,
        pcm: Pcm,
    },
    Play {
        leg: Id,
        play: Id,
        #[serde(default)]
        prompt: Option<Id>,
        #[serde(default)]
        tone: Option<ToneSpec>,
        #[serde(default, rename = "loop")]
        looped: bool,
    },
    StopPlay {
        leg: Id,
        play: Id,
    },
    SendDigits {
        leg: Id,
        digits: String,
        duration_ms: u32,
        pause_ms: u32,
    },
    /// Exactly one of `room` and `leg`; limits of 0 mean none.
    StartRecording {
        recording: Id,
        #[serde(default)]
        room: Option<Id>,
        #[serde(default)]
        leg: Option<Id>,
        path: String,
        #[serde(default)]
        max_duration_ms: u64,
        #[serde(default)]
        end_of_silence_ms: u64,
    },
    StopRecording {
        recording: Id,
    },
    GetStats {
        request: Id,
    },
}

impl Command {
    /// The command's name and what it is about, for `command_failed`.
    pub fn label(&self) -> (&'static str, String) {
        let text = |id: &Id| id.as_str().to_owned();
        match self {
            Command::Hello { .. } => ("hello", String::new()),
            Command::Ack { .. } => ("ack", String::new()),
            Command::Shutdown {} => ("shutdown", String::new()),
            Command::OpenLeg { leg, .. } => ("open_leg", text(leg)),
            Command::ApplySdp { leg, .. } => ("apply_sdp", text(leg)),
            Command::OfferLeg { leg } => ("offer_leg", text(leg)),
            Command::CloseLeg { leg } => ("close_leg", text(leg)),
            Command::OpenRoom { room } => ("open_room", text(room)),
            Command::CloseRoom { room } => ("close_room", text(room)),
            Command::Join { leg, .. } => ("join", text(leg)),
            Command::Leave { leg } => ("leave", text(leg)),
            Command::SetGain { room, .. } => ("set_gain", text(room)),
            Command::LoadPrompt { prompt, .. } => ("load_prompt", text(prompt)),
            Command::Play { play, .. } => ("play", text(play)),
            Command::StopPlay { play, .. } => ("stop_play", text(play)),
            Command::SendDigits { leg, .. } => ("send_digits", text(leg)),
            Command::StartRecording { recording, .. } => ("start_recording", text(recording)),
            Command::StopRecording { recording } => ("stop_recording", text(recording)),
            Command::GetStats { request } => ("get_stats", text(request)),
        }
    }
}

/// What we may do on a leg (RFC 3264, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Sendrecv,
    Sendonly,
    Recvonly,
    Inactive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegRefusal {
    NoCommonCodec,
    MalformedSdp,
    NoPorts,
    UnknownLeg,
    WrongState,
    TooManyLegs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlayEnd {
    Finished,
    Stopped,
    UnknownPrompt,
    LegClosed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingEnd {
    Stopped,
    Duration,
    Silence,
    RoomClosed,
    LegClosed,
    DiskError,
    Shutdown,
}

/// From the engine to the server; the driver adds `seq`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    LegAnswered {
        leg: Id,
        sdp: String,
        direction: Direction,
    },
    LegOffered {
        leg: Id,
        sdp: String,
    },
    LegApplied {
        leg: Id,
        direction: Direction,
    },
    LegRefused {
        leg: Id,
        reason: LegRefusal,
        detail: String,
    },
    LegClosed {
        leg: Id,
        stats: LegStats,
    },
    LegJoined {
        leg: Id,
        room: Id,
    },
    Digit {
        leg: Id,
        digit: String,
        duration_ms: u32,
    },
    Talking {
        leg: Id,
        talking: bool,
    },
    /// No RTP for the inactivity limit; once, until packets come again.
    Inactive {
        leg: Id,
        silent_ms: u64,
    },
    PlayEnded {
        leg: Id,
        play: Id,
        reason: PlayEnd,
    },
    DigitsSent {
        leg: Id,
    },
    /// The first sound is written.
    RecordingStarted {
        recording: Id,
    },
    RecordingEnded {
        recording: Id,
        reason: RecordingEnd,
        duration_ms: u64,
        bytes: u64,
        detail: String,
    },
    Stats {
        request: Id,
        legs: Vec<LegStats>,
        engine: EngineStats,
    },
    CommandFailed {
        command: String,
        subject: String,
        reason: String,
    },
}

/// Counters and gauges of one leg since it was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LegStats {
    pub leg: Id,
    pub room: Option<Id>,
    pub packets_received: u64,
    pub packets_sent: u64,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub lost: u64,
    pub late: u64,
    pub duplicate: u64,
    pub reordered: u64,
    pub concealed_ms: u64,
    pub jitter_ms: f64,
    pub round_trip_ms: Option<f64>,
    /// What the jitter buffer holds.
    pub buffer_ms: f64,
    /// From a packet's arrival to the tick that mixes it, smoothed.
    pub tick_wait_ms: f64,
    /// What the tick of this leg takes before its packets can leave, smoothed.
    pub mix_us: f64,
    /// What sending the packets of this leg's tick takes, smoothed.
    pub send_us: f64,
    /// Packets dropped because they came from an address that is not the peer's.
    pub strangers: u64,
    pub malformed: u64,
    pub level_dbfs: f64,
    pub talking: bool,
}

/// Gauges of the whole engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineStats {
    pub legs: u64,
    pub rooms: u64,
    pub recordings: u64,
    pub ticks: u64,
    /// Ticks that began more than 5 ms late.
    pub late_ticks: u64,
    pub tick_us_p50: f64,
    pub tick_us_p99: f64,
    pub prompts_bytes: u64,
    pub threads: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LegSnapshot {
    pub leg: Id,
    pub room: Option<Id>,
    pub direction: Direction,
    /// An offer and its answer are complete.
    pub negotiated: bool,
    pub plays: Vec<Id>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordingSnapshot {
    pub recording: Id,
    pub path: String,
}

/// All that the engine holds, for a server that has just connected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub legs: Vec<LegSnapshot>,
    pub rooms: Vec<Id>,
    pub recordings: Vec<RecordingSnapshot>,
    pub prompts: Vec<Id>,
}

/// Answer to `hello`; the only message up without a `seq`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "welcome")]
pub struct Welcome {
    pub version: u32,
    /// Random, new with each process.
    pub engine: String,
    pub snapshot: Snapshot,
    /// Number of the newest event that follows at once; 0 if none does.
    pub last_seq: u64,
}
