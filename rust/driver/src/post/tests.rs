//! A post whose thread is the test's own, so that what it sends in which part is known.

use super::*;
use crate::pacing::tests::tick;
use plenary_media::engine::PHASES;

/// A post whose thread is this one, and the socket of its legs.
struct Desk {
    post: Post,
    round: Round,
    socket: Arc<UdpSocket>,
    now: Duration,
    sent: Vec<Vec<u8>>,
}

impl Desk {
    fn new() -> Desk {
        let (post, round) = pair();
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket").into();
        Desk {
            post,
            round,
            socket,
            now: Duration::ZERO,
            sent: Vec::new(),
        }
    }

    /// A tick of a room of 2,000, of which each tenth talks.
    fn tick(&mut self) {
        let socket = &self.socket;
        self.post.spread(tick(2_000), self.now, |_| Some(socket));
        self.now += SUB_TICK * PHASES as u32;
    }

    /// A packet of a leg's own, three bytes: sent at once, or behind another.
    fn own(&mut self, leg: u64) {
        let mut packets = Outbox::default();
        let key = LegKey::from_u64(leg);
        let to = self.socket.local_addr().expect("bound");
        packets.push(key, Port::Rtp, to, |bytes| bytes.extend(own(leg)));
        let done = self.post.done();
        for (packet, bytes) in packets.iter() {
            if self.post.holds(key, done) {
                self.post.chase(packet, bytes);
            } else {
                self.sent.push(bytes.to_vec());
            }
        }
        self.post.send_chase(self.now);
    }

    /// The post gets time for what it has been told, and for so many parts.
    fn parts(&mut self, parts: usize) {
        let sent = &mut self.sent;
        let mut send = |_: &UdpSocket, _, bytes: &[u8]| sent.push(bytes.to_vec());
        while let Ok(mail) = self.round.mails.try_recv() {
            self.round.take(mail, &mut send);
        }
        (0..parts).for_each(|_| self.round.part(&mut send));
    }
}

fn own(leg: u64) -> [u8; 3] {
    [leg as u8; 3]
}

fn shared(leg: u64) -> Vec<u8> {
    leg.to_be_bytes().into()
}

#[test]
fn a_ticks_shared_packets_are_sent_over_eight_parts_and_their_buffer_comes_back() {
    let mut desk = Desk::new();
    for ticks in 1..4 {
        desk.tick();
        desk.parts(PHASES);
        assert_eq!(desk.sent.len(), 1_800 * ticks);
        assert_eq!(desk.post.done(), ticks as u64);
    }
    assert!(desk.round.pacer.is_empty() && desk.post.spare.try_recv().is_ok());
    assert_eq!(desk.post.lost(), 0);
}

#[test]
fn who_begins_to_talk_has_his_own_packets_after_the_last_shared_one_however_late_that_is() {
    let mut desk = Desk::new();
    desk.tick();
    desk.parts(1);
    for _ in 0..2 {
        desk.own(1_999);
        desk.own(10);
        desk.tick();
    }
    let talkers = desk.sent.iter().filter(|bytes| **bytes == own(10));
    assert_eq!(
        talkers.count(),
        2,
        "who has always talked waits for nothing"
    );
    desk.parts(3 * PHASES);
    let of_his = |bytes: &&Vec<u8>| **bytes == shared(1_999) || **bytes == own(1_999);
    let his: Vec<usize> = desk.sent.iter().filter(of_his).map(Vec::len).collect();
    assert_eq!(his, [8, 3, 8, 3, 8]);
    desk.own(1_999);
    assert_eq!(desk.sent.last().expect("sent at once"), &own(1_999));
}

#[test]
fn who_shares_again_has_that_after_his_own_even_if_the_post_is_behind() {
    let mut desk = Desk::new();
    for _ in 0..2 {
        desk.tick();
        desk.own(11);
    }
    desk.tick();
    desk.parts(3 * PHASES);
    let of_his = |bytes: &&Vec<u8>| **bytes == shared(11) || **bytes == own(11);
    let his: Vec<usize> = desk.sent.iter().filter(of_his).map(Vec::len).collect();
    assert_eq!(his, [8, 3, 8, 3, 8]);
    assert!(desk.post.is_idle());
}

#[test]
fn a_post_that_is_behind_loses_packets_and_counts_them_and_is_given_others_later() {
    let mut desk = Desk::new();
    (0..5).for_each(|_| desk.tick());
    assert_eq!(desk.post.lost(), 1_800, "60 ms after the first, not more");
    desk.own(1_999);
    assert_eq!((desk.sent.len(), desk.post.lost()), (0, 1_801));
    desk.parts(4 * PHASES);
    desk.tick();
    desk.parts(PHASES);
    assert_eq!((desk.sent.len(), desk.post.lost()), (5 * 1_800, 1_801));
}

#[test]
fn a_leg_that_goes_to_another_thread_has_its_packet_at_once_and_one_that_closes_has_none() {
    let mut desk = Desk::new();
    desk.tick();
    desk.parts(1);
    desk.sent.clear();
    let [moves, closes] = [1_999, 1_998].map(LegKey::from_u64);
    assert!(desk.post.part(moves, true) && desk.post.part(closes, false));
    assert!(!desk.post.part(closes, false), "it is known no more");
    desk.parts(0);
    assert_eq!(desk.sent, [shared(1_999)]);
    desk.parts(PHASES);
    assert!(!desk.sent.contains(&shared(1_998)));
    let held = Arc::strong_count(&desk.socket) - 1;
    assert_eq!(held, 1_800 - 2, "the post has let go of both sockets");
}

#[test]
fn the_thread_sends_what_it_is_given_and_ends_with_its_owner() {
    let phone = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").expect("a socket"));
    let mut post = Post::open().expect("a thread");
    let (leg, to) = (LegKey::from_u64(1), phone.local_addr().expect("bound"));
    let mut packets = Outbox::default();
    packets.spread(true);
    packets.push(leg, Port::Rtp, to, |bytes| bytes.extend(b"sound"));
    packets.share(leg);
    post.spread(packets, sys::monotonic(), |_| Some(&socket));
    let mut heard = [0; 9];
    assert_eq!(phone.recv(&mut heard).expect("a packet"), 5);
    drop(post);
    assert_eq!(Arc::strong_count(&socket), 1);
}
