//! What the server and the engine say to each other.
//!
//! Every message is a map with `type`; the variants here are those maps, field for field. The driver puts
//! them in msgpack frames and numbers the events. Nothing here is trusted to be sensible beyond its shape:
//! an [`Id`] has 1 to 64 characters, everything else is checked where it is used.

mod values;

use std::fmt;

use plenary_codec::{Codec, Rate};
use serde::{Deserialize, Serialize};

pub use values::{Id, Pcm};

/// Version of this protocol, in `hello` and `welcome`.
pub const PROTOCOL_VERSION: u32 = 2;

/// What `apply_sdp` carries (RFC 3264).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SdpKind {
    Offer,
    Answer,
}

/// How a leg's packets travel: as a phone's (RTP, SRTP by SDES, DTLS-SRTP), or as a browser's (ICE and DTLS-SRTP).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    #[default]
    Rtp,
    Webrtc,
}

/// What is done about a phone that offers SRTP, and about one that does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    Never,
    #[default]
    Optional,
    Required,
}

/// A sine for `play`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToneSpec {
    pub frequency_hz: f64,
    pub duration_ms: u32,
    pub level_dbfs: f64,
}

/// What a leg and its peer have agreed on by handshakes: lines as in SDP, for an engine that goes on after this one and for
/// nobody else's eyes. `Debug` doesn't show them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LegKeys(pub String);

impl fmt::Debug for LegKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LegKeys(..)")
    }
}

/// What is done to what a leg says before it is mixed, and to what it hears. A server that knows fewer of them leaves the
/// others as they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Switches {
    pub noise_suppression: bool,
    pub normaliser: bool,
    /// Noise is told from voices: it is not mixed, and who talks is told.
    pub voice_activity: bool,
    /// Of what it hears: without it, what is above full scale is cut.
    pub limiter: bool,
}

impl Default for Switches {
    fn default() -> Switches {
        Switches {
            noise_suppression: false,
            normaliser: false,
            voice_activity: true,
            limiter: true,
        }
    }
}

/// On what terms a leg is opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LegTerms {
    pub transport: Transport,
    pub srtp: Encryption,
    /// Encoding names, in order of preference; unknown ones count for nothing.
    pub codecs: Vec<String>,
    #[serde(flatten)]
    pub switches: Switches,
    /// What an engine before this one said last of the call: our offer goes on from there.
    pub like: Option<String>,
    /// What that engine told last in `leg_keyed`: the peer is sent to and understood with these keys, unless it makes new ones.
    pub keys: Option<LegKeys>,
}

impl Default for LegTerms {
    fn default() -> LegTerms {
        LegTerms {
            transport: Transport::default(),
            srtp: Encryption::default(),
            codecs: Codec::ALL.map(|codec| codec.name().to_owned()).into(),
            switches: Switches::default(),
            like: None,
            keys: None,
        }
    }
}

const fn narrow() -> u32 {
    Rate::Narrow.hz()
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
        #[serde(flatten)]
        terms: LegTerms,
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
    /// Whether nobody in its room hears what the leg says.
    SetMuted {
        leg: Id,
        muted: bool,
    },
    SetProcessing {
        leg: Id,
        #[serde(flatten)]
        switches: Switches,
    },
    /// `rate` is 8,000, 16,000 or 48,000.
    LoadPrompt {
        prompt: Id,
        #[serde(default = "narrow")]
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
    /// Exactly one of `room` and `leg`; `rate` is 8,000, 16,000 or 48,000; limits of 0 mean none.
    StartRecording {
        recording: Id,
        #[serde(default)]
        room: Option<Id>,
        #[serde(default)]
        leg: Option<Id>,
        path: String,
        #[serde(default = "narrow")]
        rate: u32,
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
            Command::SetMuted { leg, .. } => ("set_muted", text(leg)),
            Command::SetProcessing { leg, .. } => ("set_processing", text(leg)),
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
    /// The phone offers none, and may not do without.
    EncryptionRequired,
    /// The phone wants it, and we are told not to.
    EncryptionRefused,
    /// No port for browsers is configured.
    WebrtcOff,
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
        stats: Box<LegStats>,
    },
    LegJoined {
        leg: Id,
        room: Id,
    },
    /// The keys are agreed with the peer (and ICE is through); again after each restart of ICE.
    LegConnected {
        leg: Id,
    },
    /// A handshake has given keys. The server keeps them, in memory only, for an engine after this one.
    LegKeyed {
        leg: Id,
        keys: LegKeys,
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

/// How a leg's packets travel, as it was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransportKind {
    Rtp,
    /// SRTP with keys out of SDP.
    Srtp,
    /// SRTP with keys out of DTLS, without ICE.
    Dtls,
    Webrtc,
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
    /// How long its packets wait in the jitter buffer, beyond the wait for the tick; smoothed. `None` until one was played.
    pub buffer_ms: Option<f64>,
    /// From a packet's arrival to the tick that mixes it, smoothed. `None` until one was played.
    pub tick_wait_ms: Option<f64>,
    /// What the tick of this leg takes before its packets can leave, smoothed.
    pub mix_us: f64,
    /// What sending the packets of this leg's tick takes, smoothed.
    pub send_us: f64,
    /// Packets dropped because they came from an address that is not the peer's.
    pub strangers: u64,
    pub malformed: u64,
    pub level_dbfs: f64,
    pub talking: bool,
    /// Encoding name of what it is sent; `None` before one is agreed on.
    pub codec: Option<String>,
    /// Of what it sends, which may be another one that it has offered. `None` until a packet was played.
    pub heard_codec: Option<String>,
    pub sample_rate_hz: Option<u32>,
    pub transport: Option<TransportKind>,
    /// Sound that was played slower or faster than it was said.
    pub stretched_ms: u64,
    /// Lost sound that came back by forward error correction.
    pub fec_ms: u64,
    /// Ticks without sound of it while it was saying something.
    pub starved: u64,
    /// The delay that the jitter buffer wants to have.
    pub target_ms: f64,
    /// What decoding a frame of it takes, smoothed; `None` while nothing is decoded.
    pub decode_us: Option<f64>,
    /// What encoding a frame for it takes, smoothed; `None` while what it hears is encoded for others as well.
    pub encode_us: Option<f64>,
    /// What was lost of what the peer has sent in the last seconds; `None` before anything has come.
    pub loss_percent: Option<f64>,
    /// What the peer lost of ours in the last seconds, by its own report.
    pub loss_out_percent: Option<f64>,
    pub noise_suppression: bool,
    pub normaliser: bool,
    pub voice_activity: bool,
    pub limiter: bool,
    /// What the normaliser adds now.
    pub gain_db: Option<f64>,
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
    /// Frames of voices that were decoded.
    pub decodes: u64,
    /// Frames that were encoded; each may have been sent to many.
    pub encodes: u64,
    /// Frames that were sent without being encoded once more.
    pub shared_encodes: u64,
    /// Ticks of legs without sound of them while they were saying something; of the legs that there are.
    pub starved: u64,
    /// Datagrams on the ports for browsers that were for no leg.
    pub webrtc_strangers: u64,
    /// Datagrams of browsers that a slow connection or a busy thread had no room for.
    pub webrtc_lost: u64,
    /// TCP connections of browsers that are open.
    pub webrtc_connections: u64,
    /// Packets for listeners of large rooms that there was no time to send, and RTCP reports whose port is taken.
    pub unsent: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LegSnapshot {
    pub leg: Id,
    pub room: Option<Id>,
    pub direction: Direction,
    /// An offer and its answer are complete.
    pub negotiated: bool,
    pub plays: Vec<Id>,
    #[serde(default)]
    pub muted: bool,
    /// As in `leg_keyed`.
    #[serde(default)]
    pub keys: Option<LegKeys>,
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
