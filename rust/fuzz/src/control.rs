//! Streams: the server's control socket and browsers by TCP.

use plenary_driver::wire;

use crate::framing::{Deframer, FRAME_MAX, frame};
use crate::script::Script;

/// A stream of frames of the control socket, cut anywhere.
pub fn frames(data: &[u8]) {
    let (mut received, mut frames) = (Vec::new(), 0);
    for chunk in data.chunks(usize::from(data.first().copied().unwrap_or(0)) + 1) {
        received.extend_from_slice(chunk);
        while let Ok(Some(frame)) = wire::next_frame(&mut received) {
            frames += frame.len() + 4;
            message(&frame);
        }
    }
    assert!(frames + received.len() <= data.len());
    message(data);
}

fn message(frame: &[u8]) {
    let batch = wire::parse(frame);
    assert!(batch.commands.len() <= wire::MAX_MESSAGES);
    for command in batch.commands {
        // What was understood is understood again as we write it: NaN alone isn't equal to itself.
        let written = rmp_serde::to_vec_named(&[&command]).expect("commands can be written");
        let again = wire::parse(&written);
        assert_eq!(
            (again.commands.len(), again.mistakes),
            (1, vec![]),
            "{command:?}"
        );
    }
}

/// Datagrams in a stream (RFC 4571), cut anywhere.
pub fn datagrams(data: &[u8]) {
    let mut script = Script(data);
    let (mut whole, mut pieces) = (Vec::new(), Vec::new());
    let (mut at_once, mut by_pieces) = (Deframer::default(), Deframer::default());
    let mut stream: Vec<u8> = Vec::new();
    let mut broken = false;
    script.steps(256, |script| {
        let chunk = script.bytes();
        stream.extend_from_slice(chunk);
        let pushed = by_pieces.push(chunk, |datagram| {
            assert!(datagram.len() <= FRAME_MAX);
            pieces.push(datagram.to_vec());
            true
        });
        broken |= pushed.is_err();
        if broken {
            script.0 = &[];
        }
    });
    let pushed = at_once.push(&stream, |datagram| {
        whole.push(datagram.to_vec());
        true
    });
    let mut framed = Vec::new();
    whole
        .iter()
        .for_each(|datagram| frame(&mut framed, datagram));
    assert!(stream.starts_with(&framed));
    assert_eq!((pushed.is_err(), whole), (broken, pieces));
}
