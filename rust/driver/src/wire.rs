//! Frames of the control socket: length (u32, big-endian), then an array of messages in msgpack.

use std::io::Cursor;

use plenary_media::messages::Command;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Longest frame: a prompt of almost nine minutes.
pub const MAX_FRAME: usize = 16 * 1024 * 1024;
/// Messages in one frame.
pub const MAX_MESSAGES: usize = 65_536;
/// Arrays and maps within each other: a message needs three, deeper nesting only wears the stack out.
const MAX_DEPTH: usize = 16;
const LENGTH: usize = 4;

/// A frame of the server as it was understood.
#[derive(Debug, PartialEq)]
pub struct Batch {
    pub commands: Vec<Command>,
    /// A sentence for each message that is none.
    pub mistakes: Vec<String>,
}

/// The peer does not speak this protocol.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

/// Takes the next whole frame out of `received`; `None` if there is none yet.
pub fn next_frame(received: &mut Vec<u8>) -> Result<Option<Vec<u8>>, TooLong> {
    let Some(length) = received.first_chunk::<LENGTH>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_FRAME {
        return Err(TooLong);
    }
    if received.len() < LENGTH + length {
        return Ok(None);
    }
    let rest = received.split_off(LENGTH + length);
    let mut frame = std::mem::replace(received, rest);
    frame.drain(..LENGTH);
    Ok(Some(frame))
}

/// Reads the messages of a frame. One that is malformed does not keep the others from being done.
pub fn parse(frame: &[u8]) -> Batch {
    let mut batch = Batch {
        commands: Vec::new(),
        mistakes: Vec::new(),
    };
    let Some((count, mut rest)) = array(frame).filter(|(count, _)| *count <= MAX_MESSAGES) else {
        batch.mistakes.push(format!(
            "a frame is an array of at most {MAX_MESSAGES} messages"
        ));
        return batch;
    };
    for _ in 0..count {
        // The end of a message is found first, so that its content may be wrong in any way.
        let mut cursor = Cursor::new(rest);
        let mut skim = rmp_serde::Deserializer::new(&mut cursor);
        skim.set_max_depth(MAX_DEPTH);
        if let Err(error) = IgnoredAny::deserialize(&mut skim) {
            batch
                .mistakes
                .push(format!("the frame is cut off or no msgpack: {error}"));
            return batch;
        }
        let (message, after) = rest.split_at(cursor.position() as usize);
        rest = after;
        match rmp_serde::from_slice(message) {
            Ok(command) => batch.commands.push(command),
            Err(error) => batch.mistakes.push(error.to_string()),
        }
    }
    if !rest.is_empty() {
        batch
            .mistakes
            .push("the frame is longer than its array".into());
    }
    batch
}

/// Splits an array of msgpack into the number of its elements and the elements.
fn array(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match *bytes {
        [head @ 0x90..=0x9f, ref rest @ ..] => Some((usize::from(head & 0x0f), rest)),
        [0xdc, a, b, ref rest @ ..] => Some((usize::from(u16::from_be_bytes([a, b])), rest)),
        [0xdd, a, b, c, d, ref rest @ ..] => {
            Some((u32::from_be_bytes([a, b, c, d]) as usize, rest))
        }
        _ => None,
    }
}

/// Appends a frame of messages that are msgpack already.
pub fn write_frame<'a>(out: &mut Vec<u8>, messages: impl Iterator<Item = &'a [u8]>) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    out.extend_from_slice(&[0xdd, 0, 0, 0, 0]);
    let mut count = 0_u32;
    for message in messages {
        out.extend_from_slice(message);
        count += 1;
    }
    let length = (out.len() - start - LENGTH) as u32;
    out[start..start + LENGTH].copy_from_slice(&length.to_be_bytes());
    out[start + LENGTH + 1..start + LENGTH + 5].copy_from_slice(&count.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use plenary_media::messages::Id;

    fn leave(leg: &str) -> Command {
        Command::Leave {
            leg: Id::new(leg).expect("an id"),
        }
    }

    fn frame(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        write_frame(&mut out, messages.iter().map(Vec::as_slice));
        out
    }

    fn packed(command: &Command) -> Vec<u8> {
        rmp_serde::to_vec_named(command).expect("commands can be written")
    }

    #[test]
    fn frames_are_cut_out_of_a_stream_wherever_it_is_split() {
        let mut stream = frame(&[packed(&leave("a"))]);
        stream.extend(frame(&[packed(&leave("b")), packed(&leave("c"))]));
        let (mut received, mut commands) = (Vec::new(), Vec::new());
        for byte in stream {
            received.push(byte);
            while let Some(frame) = next_frame(&mut received).expect("short") {
                commands.extend(parse(&frame).commands);
            }
        }
        assert_eq!(commands, ["a", "b", "c"].map(leave));
        assert!(received.is_empty());
    }

    #[test]
    fn one_wrong_message_does_not_spoil_the_others() {
        let unknown = rmp_serde::to_vec(&[("type", "dance")]).expect("can be written");
        let endless = "x".repeat(65);
        let messages = [
            packed(&leave("a")),
            unknown,
            vec![0xc0],
            packed(&Command::Hello {
                version: 1,
                engine: endless,
                acked: 0,
            }),
        ];
        let batch = parse(&frame(&messages)[LENGTH..]);
        assert_eq!((batch.commands.len(), batch.mistakes.len()), (2, 2));
    }

    #[test]
    fn an_id_without_characters_or_with_too_many_is_a_mistake() {
        for length in [0, 65, 1_000] {
            let message = [("type", "leave".to_string()), ("leg", "x".repeat(length))];
            let map: std::collections::BTreeMap<_, _> = message.into();
            let message = rmp_serde::to_vec_named(&map).expect("can be written");
            assert_eq!(
                parse(&frame(&[message])[LENGTH..]).mistakes.len(),
                1,
                "{length}"
            );
        }
    }

    #[test]
    fn no_sequence_of_bytes_is_worse_than_a_mistake() {
        let good = frame(&[packed(&leave("a")), packed(&leave("b"))]);
        for cut in 0..good.len() {
            parse(&good[cut..]);
            parse(&good[LENGTH.min(cut)..cut]);
        }
        parse(&[0x91; 5_000]);
        assert_eq!(next_frame(&mut vec![0xff; 9]), Err(TooLong));
    }
}
