//! A peer of ours and a browser, handshaken, and somebody in between.

use std::time::Duration;

use plenary_transport::webrtc::{Outgoing, Proto};

use crate::network::{HOME, MOBILE, Network, address};
use crate::script::Script;

/// What the browser says: whatever else is heard was made up.
const SAID: [u8; 30] = [7; 30];

/// Datagrams while ICE and DTLS are under way.
pub fn handshake(data: &[u8]) {
    play(Network::answered(Proto::Udp), Script(data));
}

/// Datagrams to a peer that is connected, by UDP or TCP.
pub fn connected(data: &[u8]) {
    let mut script = Script(data);
    let proto = script.pick(&[Proto::Udp, Proto::Tcp]);
    let mut network = Network::connected(proto);
    network.say(111, 0, &SAID);
    play(network, script);
}

fn play(mut network: Network, mut script: Script) {
    let mut bent = 0;
    script.steps(96, |script| {
        let step = script.byte();
        let seen = &network.seen;
        let old = (!seen.is_empty())
            .then(|| &seen[seen.len() - 1 - usize::from(script.byte()) % seen.len()]);
        let place = address(if step & 8 == 0 { HOME } else { MOBILE });
        let proto = if step & 16 == 0 {
            Proto::Udp
        } else {
            Proto::Tcp
        };
        match (step & 7, old) {
            (0, _) => network.run(Duration::from_millis(u64::from(step >> 3) * 5)),
            (1, _) => network.say(111, u32::from(script.word()), &SAID),
            (2, _) => {
                let packet = Outgoing {
                    pt: script.byte(),
                    seq: script.word(),
                    timestamp: script.double(),
                    marker: step & 8 != 0,
                    payload: script.bytes(),
                };
                network.peer.send(packet, network.now);
            }
            (3, _) => {
                if script.byte() < 32 && network.peer.is_connected() {
                    let offer = network.browser.offer_restart();
                    let answer = network.peer.restart(&offer, network.now);
                    network.browser.take(&answer.expect("as good as the first"));
                }
            }
            (4, Some(old)) => {
                let old = old.clone();
                network.peer.receive(proto, &old, place, network.now);
            }
            (5 | 6, Some(old)) => {
                let datagram = script.bend(old);
                network.peer.receive(proto, &datagram, place, network.now);
                bent += 1;
            }
            _ => {
                let datagram = script.bytes();
                network.peer.receive(proto, datagram, place, network.now);
            }
        }
    });
    network.run(Duration::from_millis(100));
    assert!(
        network
            .heard
            .iter()
            .all(|packet| packet.payload[..] == SAID)
    );
    assert_eq!(
        network.peer.stats().dropped,
        0,
        "after {bent} bent datagrams"
    );
}
