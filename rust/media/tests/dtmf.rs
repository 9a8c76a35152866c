//! Digits as RFC 4733 says.

use std::time::Duration;

use plenary_media::dtmf::{
    Digit, DigitReceiver, DigitSender, DigitsRefused, EventPacket, QUEUE_MAX,
};
use plenary_media::rtp::RtpTime;
use proptest::prelude::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn packet(event: u8, end: bool, duration: u16) -> [u8; 4] {
    let [high, low] = duration.to_be_bytes();
    [event, if end { 0x8a } else { 0x0a }, high, low]
}

/// Everything that the sender sends until it is idle: tick by tick.
fn sent(digits: &str, duration: Duration, pause: Duration) -> Vec<Option<EventPacket>> {
    let mut sender = DigitSender::new();
    sender.queue(digits, duration, pause).expect("digits");
    let mut out = Vec::new();
    while !sender.is_idle() {
        out.push(sender.tick(RtpTime(out.len() as u32 * 160), 8_000));
    }
    out
}

fn digits_in(packets: &[Option<EventPacket>], heard: impl Fn(usize) -> bool) -> Vec<Digit> {
    let mut receiver = DigitReceiver::new();
    let mut digits = Vec::new();
    for n in 0..packets.len() + 50 {
        let now = ms(n as u64 * 20);
        if let Some(Some(packet)) = packets.get(n)
            && heard(n)
        {
            receiver.receive(packet.timestamp, 8_000, &packet.payload, now);
        }
        digits.extend(std::iter::from_fn(|| receiver.poll(now)));
    }
    digits
}

/// Section 2.5.1: one marker, one timestamp, growing durations, the end three times.
#[test]
fn a_digit_is_sent_as_the_rfc_draws_it() {
    let packets: Vec<_> = sent("5", ms(100), ms(40)).into_iter().flatten().collect();
    let durations: Vec<_> = packets
        .iter()
        .map(|p| u16::from_be_bytes([p.payload[2], p.payload[3]]))
        .collect();
    assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
    assert_eq!(
        packets
            .iter()
            .map(|p| p.payload[1] >> 7)
            .collect::<Vec<_>>(),
        [0, 0, 0, 0, 1, 1, 1]
    );
    assert_eq!(
        packets.iter().map(|p| p.marker).collect::<Vec<_>>(),
        [true, false, false, false, false, false, false]
    );
    assert!(
        packets
            .iter()
            .all(|p| p.timestamp == RtpTime(0) && p.payload[0] == 5)
    );
}

#[test]
fn what_is_sent_is_what_is_received() {
    let packets = sent("0123456789*#ABCDd", ms(90), ms(60));
    let digits = digits_in(&packets, |_| true);
    assert_eq!(
        digits.iter().map(|digit| digit.digit).collect::<String>(),
        "0123456789*#ABCDD"
    );
    assert!(digits.iter().all(|digit| digit.duration == ms(100)));
}

#[test]
fn lost_packets_change_no_digit() {
    let packets = sent("1123", ms(100), ms(100));
    for lost in 0..5 {
        let digits = digits_in(&packets, |n| n % 5 != lost);
        assert_eq!(
            digits.iter().map(|digit| digit.digit).collect::<String>(),
            "1123",
            "{lost}"
        );
    }
}

#[test]
fn a_digit_whose_ends_are_all_lost_ends_by_itself_once() {
    let packets = sent("7", ms(100), ms(0));
    let digits = digits_in(&packets, |n| n < 3);
    assert_eq!(
        digits,
        [Digit {
            digit: '7',
            duration: ms(60)
        }]
    );
}

#[test]
fn a_new_digit_ends_the_last_and_old_packets_are_ignored() {
    let mut receiver = DigitReceiver::new();
    receiver.receive(RtpTime(u32::MAX), 8_000, &packet(1, false, 160), ms(0));
    receiver.receive(RtpTime(2_000), 8_000, &packet(2, true, 320), ms(20));
    receiver.receive(RtpTime(u32::MAX), 8_000, &packet(1, true, 800), ms(40));
    let digits: Vec<_> = std::iter::from_fn(|| receiver.poll(ms(40)))
        .map(|digit| digit.digit)
        .collect();
    assert_eq!(digits, ['1', '2']);
}

#[test]
fn events_that_are_no_digits_are_ignored() {
    let mut receiver = DigitReceiver::new();
    for payload in [
        &packet(16, true, 160)[..],
        &packet(255, true, 160),
        &[],
        &[1, 0x80, 0],
    ] {
        receiver.receive(RtpTime(0), 8_000, payload, ms(0));
    }
    assert_eq!(receiver.poll(ms(1_000)), None);
}

#[test]
fn the_queue_takes_digits_only_and_a_hundred_of_them() {
    let mut sender = DigitSender::new();
    assert_eq!(
        sender.queue("12x", ms(100), ms(100)),
        Err(DigitsRefused::NotADigit('x'))
    );
    assert!(sender.is_idle());
    assert_eq!(
        sender.queue(&"1".repeat(QUEUE_MAX + 1), ms(100), ms(100)),
        Err(DigitsRefused::TooMany)
    );
    assert_eq!(
        sender.queue(&"1".repeat(QUEUE_MAX), ms(100), ms(100)),
        Ok(())
    );
    assert_eq!(
        sender.queue("1", ms(100), ms(100)),
        Err(DigitsRefused::TooMany)
    );
}

#[test]
fn durations_are_bounded() {
    assert_eq!(sent("1", ms(0), ms(0)).iter().flatten().count(), 4);
    assert_eq!(sent("1", Duration::MAX, Duration::MAX).len(), 400 + 2 + 498);
}

#[test]
fn the_queue_goes_round() {
    let mut sender = DigitSender::new();
    for _ in 0..5 {
        sender.queue(&"9".repeat(60), ms(40), ms(0)).expect("room");
        while !sender.is_idle() {
            sender.tick(RtpTime(0), 8_000);
        }
    }
}

proptest! {
    #[test]
    fn no_packets_panic(packets in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..8)), 0..100)) {
        let mut receiver = DigitReceiver::new();
        for (n, (timestamp, payload)) in packets.iter().enumerate() {
            receiver.receive(RtpTime(*timestamp), 8_000, payload, ms(n as u64));
            let _ = receiver.poll(ms(n as u64));
        }
    }
}

/// RFC 4733, section 2.1: events have the clock of the audio beside them.
#[test]
fn a_digit_lasts_as_long_at_the_clock_of_opus() {
    let (mut sender, mut receiver) = (DigitSender::new(), DigitReceiver::new());
    let (duration, pause) = (Duration::from_millis(200), Duration::ZERO);
    sender.queue("7", duration, pause).expect("a digit");
    while let Some(packet) = sender.tick(RtpTime(960), 48_000) {
        receiver.receive(packet.timestamp, 48_000, &packet.payload, Duration::ZERO);
    }
    let digit = receiver.poll(Duration::ZERO).expect("a digit");
    assert_eq!((digit.digit, digit.duration), ('7', duration));
}
