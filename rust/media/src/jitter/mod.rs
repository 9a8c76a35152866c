//! Playout buffer of one stream of any codec: coded packets in as they come, one frame out at every tick.
//!
//! ```text
//! packets (coded, by timestamp) ─▶ decoder ─▶ tape (decoded: past, and what waits) ─▶ frame
//!                      what is missing: FEC, redundancy, gap ─┘      └─ stretch: pitch periods in or out
//! ```
//!
//! **Media time.** What arrives is sorted by its timestamp, in units of 1/48,000 s whatever the codec. `next` is the media
//! time at which the tape ends and the next packet begins; the *cursor*, `next` less what waits on the tape, is what is
//! heard next. Packets stay coded until a tick needs them, so silence of G.711, which shows on its bytes, is never
//! decoded: it is a number of samples behind the tape's end, the *hush*.
//!
//! **Delay.** `arrival - timestamp` of a packet, its *transit*, differs from that of others by jitter alone. Of the
//! transits of the last 2.5 s the worst but one per hundred is what the cursor has to allow for: the *headroom* is the time
//! between such a packet's arrival and the tick that first needs one of its samples. On a clean network a packet waits
//! for the next tick and nothing more. Since ticks come every 20 ms, headroom comes and goes by what packets and ticks have
//! in common, the *grid*: 20 ms for packets of 20 ms. Too little asks for a step of it more, a whole step too much lets it
//! go: at once where it is silent, else by pitch periods where the voice resembles itself ([`stretch`]). The same rule
//! follows a drifting clock, for drift is a transit that changes slowly. A window of seconds also forgets a storm.
//!
//! **Rise.** A packet that comes after its tick, when nothing later has been played yet, is still played: the cursor goes
//! back to it. So the first late packet raises the delay at once, and no word is lost; a lone one is given back later.
//!
//! **Losses.** While packets get lost ([`losses`]) one more packet is kept in hand. Then the one after a gap is there when
//! the gap begins, with its FEC (Opus), or as the other side to fill the gap from ([`gap`]). Otherwise Opus conceals by
//! itself, and for the others what was heard goes on, and fades. When nothing newer has come either, the sender has
//! probably stopped: after 60 ms (at once if the last frame was quiet) silence follows until something comes again.

mod buffer;
mod delays;
mod gap;
mod losses;
mod packets;
mod pitch;
mod recurrence;
mod silences;
mod stretch;
mod tape;

pub use buffer::{JitterBuffer, JitterStats, Playout};
