//! A peer of ours against a browser, in simulated time over a simulated network.

mod network;
mod offers;

use std::time::Duration;

use network::{ALL, Browser, HOME, MOBILE, Network, address, host};
use plenary_transport::webrtc::{Outgoing, Output, Peer, Proto};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_browser_connects_by_udp_and_each_hears_the_other() {
    connects_and_hears(Proto::Udp);
}

#[test]
fn a_browser_whose_network_blocks_udp_connects_by_tcp() {
    connects_and_hears(Proto::Tcp);
}

fn connects_and_hears(proto: Proto) {
    let mut network = Network::connected(proto);
    network.talk(50);
    let ours: Vec<_> = network
        .browser
        .heard
        .iter()
        .map(|packet| packet.payload[0])
        .collect();
    let theirs: Vec<_> = network
        .heard
        .iter()
        .map(|packet| packet.payload[0])
        .collect();
    assert_eq!(ours, Vec::from_iter(0..50));
    assert_eq!(theirs, Vec::from_iter(0..50));
    let first = &network.browser.heard[0].header;
    assert!(first.marker && *first.ssrc == network.peer.ssrc() && first.timestamp == 0);
    assert!(
        network
            .heard
            .iter()
            .all(|packet| packet.pt == 111 && packet.payload.len() == 40)
    );
}

/// RFC 4733: keys that are pressed in a page come as packets of another payload type on the same stream.
#[test]
fn telephone_events_come_through_as_they_are() {
    let mut network = Network::connected(Proto::Udp);
    network.talk(3);
    network.say(110, 3 * 960, &[5, 10, 3, 192]);
    network.run(SECOND);
    let last = network.heard.last().expect("packets");
    assert_eq!(
        (last.pt, last.timestamp, &last.payload[..]),
        (110, 3 * 960, &[5, 10, 3, 192][..])
    );
}

#[test]
fn a_packet_leaves_in_the_call_that_sends_it() {
    let mut network = Network::connected(Proto::Udp);
    for seq in 0..100 {
        let packet = Outgoing {
            pt: 111,
            seq,
            timestamp: u32::from(seq) * 960,
            marker: false,
            payload: &[1; 60],
        };
        assert!(network.peer.send(packet, network.now));
        let sent = std::iter::from_fn(|| network.peer.poll());
        let media = sent.filter(
            |output| matches!(output, Output::Transmit { bytes, .. } if bytes[1] & 0x7f == 111),
        );
        assert_eq!(media.count(), 1, "packet {seq}");
    }
}

#[test]
fn nothing_is_sent_before_the_keys_are_there() {
    let mut network = Network::answered(Proto::Udp);
    let packet = Outgoing {
        pt: 111,
        seq: 0,
        timestamp: 0,
        marker: false,
        payload: &[1],
    };
    assert!(!network.peer.send(packet, network.now) && network.peer.poll().is_none());
}

#[test]
fn a_network_that_is_lost_and_comes_back_needs_nothing_but_the_checks_of_the_browser() {
    let mut network = Network::connected(Proto::Udp);
    network.down = true;
    network.run(8 * SECOND);
    let heard = network.peer.last_heard().expect("it was connected");
    assert!(network.now - heard > 7 * SECOND, "silence is seen");
    network.down = false;
    network.run(4 * SECOND);
    network.heard.clear();
    network.talk(10);
    assert_eq!(network.heard.len(), 10);
    assert!(!network.disconnected);
}

/// RFC 8839, section 4.4.1.1: new credentials, the same DTLS connection.
#[test]
fn a_browser_that_changes_its_network_goes_on_after_an_ice_restart() {
    let mut network = Network::connected(Proto::Udp);
    let (ufrag, ssrc) = (network.peer.ufrag().to_owned(), network.peer.ssrc());
    network.talk(5);
    network.browser.add_address(MOBILE);
    let offer = network.browser.offer_restart();
    assert!(network.peer.is_same_page(&offer));
    let answer = network
        .peer
        .restart(&offer, network.now)
        .expect("an answer");
    assert!(network.peer.ufrag() != ufrag && !network.peer.is_connected());
    network.browser.take(&answer);
    network.browser.lose_address(HOME);
    network.run(2 * SECOND);
    assert_eq!((network.connected, network.peer.ssrc()), (2, ssrc));
    network.heard.clear();
    network.browser.heard.clear();
    network.talk(10);
    assert_eq!((network.heard.len(), network.browser.heard.len()), (10, 10));
}

#[test]
fn an_offer_of_another_page_is_not_of_this_peer() {
    let network = Network::connected(Proto::Udp);
    let offer = Browser::new(HOME, Proto::Udp, Duration::ZERO).offer();
    assert!(!network.peer.is_same_page(&offer));
    assert!(
        network.peer.is_same_page("no offer"),
        "what can't be read is not of another"
    );
    assert!(Peer::accept(&host(), &ALL, &offer, network.now).is_ok());
}

#[test]
fn a_page_that_closes_its_connection_says_so() {
    let mut network = Network::connected(Proto::Udp);
    drop(network.browser.rtc.close());
    network.run(SECOND);
    assert!(network.disconnected && !network.peer.is_connected());
}

#[test]
fn a_peer_that_is_closed_says_goodbye_and_takes_nothing_more() {
    let mut network = Network::connected(Proto::Udp);
    network.peer.close(network.now);
    network.run(SECOND);
    assert!(!network.browser.rtc.is_connected() || !network.browser.rtc.is_alive());
    let seen = network.peer.last_heard();
    network.run(5 * SECOND);
    assert_eq!(network.peer.last_heard(), seen);
}

#[test]
fn round_trip_and_loss_are_measured() {
    let mut network = Network::connected(Proto::Udp);
    network.talk(250);
    network.talk(250);
    let stats = network.peer.stats();
    let trip = stats.round_trip.expect("reports").as_millis();
    // 10 ms there, 10 ms back, and the steps of the simulation.
    assert!((20..=35).contains(&trip), "{trip} ms");
    assert!(!network.losses.is_empty() && network.losses.iter().all(|loss| *loss == 0.0));
}

#[test]
fn strangers_are_counted_and_change_nothing() {
    let mut network = Network::connected(Proto::Udp);
    let seen = std::mem::take(&mut network.seen);
    let before = network.peer.stats().strangers;
    let media: Vec<_> = seen
        .into_iter()
        .filter(|datagram| datagram[0] > 19)
        .collect();
    for datagram in &media {
        network
            .peer
            .receive(Proto::Udp, datagram, address("203.0.113.1:1"), network.now);
    }
    assert_eq!(network.peer.stats().strangers, before + media.len() as u64);
    network.talk(5);
    assert_eq!(network.heard.len(), 5);
}

#[test]
fn what_was_heard_once_is_not_heard_again() {
    let mut network = Network::connected(Proto::Udp);
    network.talk(20);
    for datagram in std::mem::take(&mut network.seen) {
        network
            .peer
            .receive(Proto::Udp, &datagram, address(HOME), network.now);
    }
    network.run(SECOND);
    assert_eq!(network.heard.len(), 20);
    assert!(network.peer.is_connected());
}

/// Who knows the address of a peer can send packets in its name, but not seal them.
#[test]
fn forged_streams_take_the_place_of_no_stream_that_was_heard() {
    let unnamed = |offer: String| {
        let lines = offer.split_inclusive("\r\n");
        lines.filter(|line| !line.starts_with("a=ssrc")).collect()
    };
    let offers: [fn(String) -> String; 2] = [|offer| offer, unnamed];
    for offer in offers {
        let mut network = Network::answered_to(Proto::Udp, offer);
        network.run(2 * SECOND);
        network.talk(10);
        for n in 10..20_u8 {
            network.say(111, u32::from(n) * 960, &[n; 40]);
        }
        let mut sent = network.take_flying();
        // The newest first: a stream that began anew with it would take the others for packets of long ago.
        sent.reverse();
        let now = network.now;
        for datagram in sent {
            for ssrc in 1..=10 {
                let forged = [&[0x80, 111, 0, 1, 0, 0, 0, 1, 0, 0, 0, ssrc][..], &[0; 60]].concat();
                network
                    .peer
                    .receive(Proto::Udp, &forged, address(HOME), now);
            }
            network
                .peer
                .receive(Proto::Udp, &datagram, address(HOME), now);
        }
        network.run(SECOND);
        assert_eq!(network.heard.len(), 20);
    }
}
