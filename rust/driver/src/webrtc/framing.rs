//! Datagrams in a stream (RFC 4571): each behind its length, two bytes in network order.

/// Longest datagram that is taken from a stream: one that would have fitted into an Ethernet frame.
pub const FRAME_MAX: usize = 1_500;
/// Bytes of the length.
const HEAD: usize = 2;

/// A stream that holds something else than framed datagrams, or that nobody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// Takes a stream apart, however it was cut on its way. Keeps one unfinished frame at most.
#[derive(Debug, Default)]
pub struct Deframer {
    rest: Vec<u8>,
}

impl Deframer {
    /// Takes what comes next of the stream and hands each datagram that is whole to `each`, which says whether it wants more.
    ///
    /// # Errors
    /// [`Broken`] at a frame longer than [`FRAME_MAX`], or when no more is wanted; the stream is of no use then.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), Broken> {
        while !bytes.is_empty() {
            let lacks = match self.rest.first_chunk::<HEAD>() {
                None => HEAD - self.rest.len(),
                Some(head) => HEAD + length(*head)? - self.rest.len(),
            };
            if self.rest.is_empty()
                && let Some((head, body)) = bytes.split_first_chunk::<HEAD>()
                && let Some((frame, rest)) = body.split_at_checked(length(*head)?)
            {
                // The usual case, without a copy: the frame came whole.
                if !each(frame) {
                    return Err(Broken);
                }
                bytes = rest;
                continue;
            }
            let (next, rest) = bytes.split_at(lacks.min(bytes.len()));
            self.rest.extend_from_slice(next);
            bytes = rest;
            if let Some((head, frame)) = self.rest.split_first_chunk::<HEAD>()
                && length(*head)? == frame.len()
            {
                let wants_more = each(frame);
                self.rest.clear();
                if !wants_more {
                    return Err(Broken);
                }
            }
        }
        Ok(())
    }
}

fn length(head: [u8; HEAD]) -> Result<usize, Broken> {
    let length = usize::from(u16::from_be_bytes(head));
    if length <= FRAME_MAX {
        Ok(length)
    } else {
        Err(Broken)
    }
}

/// Appends a framed datagram to `stream`.
pub fn frame(stream: &mut Vec<u8>, datagram: &[u8]) {
    let length = u16::try_from(datagram.len()).unwrap_or(u16::MAX);
    stream.extend_from_slice(&length.to_be_bytes());
    stream.extend_from_slice(&datagram[..usize::from(length)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stream_that_is_cut_anywhere_gives_the_datagrams_that_went_in(
            datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            cuts in prop::collection::vec(1_usize..400, 0..60),
        ) {
            let mut stream = Vec::new();
            datagrams.iter().for_each(|datagram| frame(&mut stream, datagram));
            let (mut deframer, mut came, mut rest) = (Deframer::default(), Vec::new(), &stream[..]);
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (next, later) = rest.split_at(cut.min(rest.len()));
                let keep = |datagram: &[u8]| {
                    came.push(datagram.to_vec());
                    true
                };
                deframer.push(next, keep).expect("a good stream");
                rest = later;
            }
            prop_assert_eq!(came, datagrams);
        }

        #[test]
        fn any_stream_is_taken_apart_or_given_up_without_growing(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2_000), 0..20),
        ) {
            let mut deframer = Deframer::default();
            for chunk in chunks {
                let pushed = deframer.push(&chunk, |datagram| datagram.len() <= FRAME_MAX);
                prop_assert!(deframer.rest.len() <= HEAD + FRAME_MAX);
                if pushed.is_err() {
                    break;
                }
            }
        }
    }
}
