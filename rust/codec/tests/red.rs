//! RED (RFC 2198): what a payload holds, and that no payload does harm.

use plenary_codec::red::{self, Block, MAX_BLOCKS};
use proptest::prelude::*;

/// The payload of section 3: headers, the last of one byte, then the data.
fn payload(redundant: &[(u8, u16, Vec<u8>)], primary: (u8, &[u8])) -> Vec<u8> {
    let mut payload = Vec::new();
    for (pt, offset, data) in redundant {
        let word = 1 << 31
            | u32::from(*pt) << 24
            | u32::from(*offset) << 10
            | u32::try_from(data.len()).expect("short");
        payload.extend(word.to_be_bytes());
    }
    payload.push(primary.0);
    for (_, _, data) in redundant {
        payload.extend(data);
    }
    payload.extend(primary.1);
    payload
}

fn is_malformed(payload: &[u8]) -> bool {
    red::parse(payload).is_err()
}

#[test]
fn blocks_come_as_they_stand_the_primary_last() {
    let payload = payload(
        &[(111, 1_920, vec![1, 2]), (111, 960, vec![3])],
        (111, &[4, 5, 6]),
    );
    let blocks: Vec<Block<'_>> = red::parse(&payload).expect("well formed").collect();
    let seen: Vec<_> = blocks
        .iter()
        .map(|block| (block.pt, block.timestamp_offset, block.data))
        .collect();
    assert_eq!(
        seen,
        [
            (111, 1_920, &[1, 2][..]),
            (111, 960, &[3]),
            (111, 0, &[4, 5, 6])
        ]
    );
}

#[test]
fn a_payload_may_hold_the_primary_only_and_that_may_be_empty() {
    let blocks: Vec<Block<'_>> = red::parse(&[0]).expect("well formed").collect();
    assert_eq!(
        blocks,
        [Block {
            pt: 0,
            timestamp_offset: 0,
            data: &[]
        }]
    );
}

#[test]
fn what_reaches_beyond_the_payload_is_malformed() {
    assert!(is_malformed(&[]));
    assert!(is_malformed(&[0xef, 0, 0]), "a header that is cut off");
    assert!(is_malformed(&[0xef, 0, 0, 1]), "no last header");
    assert!(
        is_malformed(&[0xef, 0, 0, 1, 111]),
        "a block that is cut off"
    );
    assert!(is_malformed(&[0xff; 1_500]), "headers only");
}

#[test]
fn there_are_at_most_so_many_blocks() {
    let block = (0, 160, vec![7]);
    let full = vec![block.clone(); MAX_BLOCKS - 1];
    assert_eq!(
        red::parse(&payload(&full, (0, &[7])))
            .expect("well formed")
            .count(),
        MAX_BLOCKS
    );
    assert!(is_malformed(&payload(&vec![block; MAX_BLOCKS], (0, &[7]))));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(blocks) = red::parse(&payload) {
            let total: usize = blocks.clone().map(|block| block.data.len()).sum();
            let headers = 4 * (blocks.count() - 1) + 1;
            prop_assert_eq!(total + headers, payload.len());
        }
    }

    #[test]
    fn what_was_put_together_comes_apart(
        redundant in proptest::collection::vec((0..128_u8, 0..1_u16 << 14, proptest::collection::vec(any::<u8>(), 0..300)), 0..MAX_BLOCKS),
        pt in 0..128_u8,
        primary in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let payload = payload(&redundant, (pt, &primary));
        let blocks: Vec<Block<'_>> = red::parse(&payload).expect("well formed").collect();
        let (last, earlier) = blocks.split_last().expect("the primary");
        prop_assert_eq!((last.pt, last.timestamp_offset, last.data), (pt, 0, &primary[..]));
        for (block, (pt, offset, data)) in earlier.iter().zip(&redundant) {
            prop_assert_eq!((block.pt, block.timestamp_offset, block.data), (*pt, *offset, &data[..]));
        }
        prop_assert_eq!(earlier.len(), redundant.len());
    }
}
