//! The packets that listeners of one mix class share.
//!
//! A class has a [`Stream`] for each format in which it is heard: one change of rate, one encode, packets for all
//! who *follow* it. An encoder and the decoder at the other end share a memory, so nobody may simply be given the
//! packets of another encoder. Who leaves a stream (he talks, or hears something else) takes a clone of its coder
//! along and goes on in that. Who comes has a coder of his own, and gives it up
//!
//! * to one that is quiet, if he has heard nothing at all so far;
//! * to a stream that nobody follows, which goes on in his;
//! * to one of Opus when both coders have heard the same for a while: what an encoder heard before no longer shows then;
//! * to one of G.722 when it is quiet as well: two of its encoders come together slowly, and it costs little to wait;
//! * to one of G.711 as soon as the filters before both have heard the same.
//!
//! G.711 at the rate of the room has no memory, and none of this.

use plenary_codec::{Codec, Frame, MAX_PAYLOAD, Rate};
use plenary_voice::Limiter;

use crate::coder::{Coder, Format};
use crate::leg::Leg;
use crate::output::{Counts, Output};

/// Frames that a newcomer must have heard as the stream has before he may follow it; three make two encoders of Opus
/// alike, and one more the filters before them.
const SETTLED: u16 = 4;
/// Quiet frames in a row that make two encoders of G.722 alike.
const QUIET: u16 = 3;
/// Largest magnitude of a sample in a quiet frame: -54 dBFS, the noise of a good line.
const QUIET_PEAK: u16 = 64;
/// Frames after which a stream that nobody follows is dropped (5 s).
const UNUSED: u16 = 250;

#[derive(Debug)]
pub struct Stream {
    coder: Coder,
    /// Who follows it has got its last packet; counted anew in each tick.
    followers: u32,
    following: u32,
    unused: u16,
    quiet: u16,
    done: bool,
    /// Last sample of the frame before.
    last: i16,
    pcm: Frame,
    coded: Box<[u8; MAX_PAYLOAD]>,
    len: usize,
}

impl Stream {
    fn new(format: Format) -> Stream {
        Stream {
            coder: Coder::new(format),
            followers: 0,
            following: 0,
            unused: 0,
            quiet: 0,
            done: false,
            last: 0,
            pcm: Frame::silence(format.rate),
            coded: Box::new([0; MAX_PAYLOAD]),
            len: 0,
        }
    }

    /// Whether a leg that has a coder of its own may have this tick's packet of the stream instead.
    fn admits(&mut self, leg: &mut Leg, rate: Rate) -> bool {
        if self.coder.format().is_plain(rate) {
            return true;
        }
        if leg.is_fresh() {
            return self.quiet >= QUIET;
        }
        if self.followers == 0 && self.following == 0 && !self.done {
            if let Some((coder, last)) = leg.give_coder() {
                (self.coder, self.last) = (*coder, last);
                self.quiet = 0;
            }
            return true;
        }
        let quiet = self.coder.format().codec != Codec::G722 || self.quiet >= QUIET;
        quiet && leg.settled() >= SETTLED
    }

    /// Makes this tick's packet of what the class hears, unless it is made already.
    fn run(&mut self, heard: &Frame, effort: u8, counts: &mut Counts) {
        if std::mem::replace(&mut self.done, true) {
            counts.shared_encodes += 1;
            return;
        }
        if self.coder.convert(heard, &mut self.pcm) {
            crate::mixer::add_tail(&mut self.pcm, self.last);
        }
        self.last = self.pcm.last().copied().unwrap_or(0);
        self.len = self.coder.encode(&self.pcm, effort, &mut self.coded);
        counts.encodes += 1;
        if self.coder.format().remembers() {
            let quiet = self.pcm.iter().all(|s| s.unsigned_abs() <= QUIET_PEAK);
            self.quiet = if quiet {
                self.quiet.saturating_add(1)
            } else {
                0
            };
        }
    }

    fn begin_tick(&mut self) {
        self.followers = std::mem::take(&mut self.following);
        self.unused = if self.followers == 0 {
            self.quiet = 0;
            self.unused.saturating_add(1)
        } else {
            0
        };
        self.done = false;
    }
}

/// How one mix class hears its room: what goes on from tick to tick.
#[derive(Debug, Default)]
pub struct Streams {
    pub limiter: Limiter,
    streams: Vec<Stream>,
}

impl Streams {
    pub fn begin_tick(&mut self) {
        self.streams.iter_mut().for_each(Stream::begin_tick);
        self.streams.retain(|stream| stream.unused < UNUSED);
    }

    /// The coder of a stream, as it was after the last tick.
    pub fn coder(&self, format: &Format) -> Option<&Coder> {
        let stream = self.streams.iter().find(|it| it.coder.format() == format);
        stream.map(|stream| &stream.coder)
    }

    /// This tick's packet for a leg that hears what the class hears: what was heard at the leg's rate, and its payload.
    /// Nothing if the leg has to go on with a coder of its own.
    pub fn share(
        &mut self,
        leg: &mut Leg,
        heard: &Frame,
        output: &mut Output,
    ) -> Option<(&Frame, &[u8])> {
        let format = leg.format();
        let at = self.position(format);
        let stream = &mut self.streams[at];
        if leg.follows() != Some(&format) && !stream.admits(leg, heard.rate()) {
            return None;
        }
        stream.run(heard, output.effort, &mut output.counts);
        stream.following += 1;
        if !format.is_plain(heard.rate()) {
            leg.follow(format);
        }
        Some((&stream.pcm, &stream.coded[..stream.len]))
    }

    fn position(&mut self, format: Format) -> usize {
        let known = self
            .streams
            .iter()
            .position(|it| *it.coder.format() == format);
        known.unwrap_or_else(|| {
            self.streams.push(Stream::new(format));
            self.streams.len() - 1
        })
    }
}
