//! Phones that encrypt: who is heard, who is refused, what strangers achieve.

mod kept;
#[allow(dead_code)]
#[path = "../simulation/mod.rs"]
mod simulation;

use std::net::SocketAddr;

use plenary_codec::{Codec, OpusSettings};
use plenary_media::engine::Entrance;
use plenary_media::messages::{
    Command, Encryption, Event, LegKeys, LegRefusal, LegStats, LegTerms, SdpKind, TransportKind,
};
use plenary_transport::demux::{self, Kind};
use plenary_transport::dtls::{Endpoint, Fingerprint, Identity, Output, Role};
use plenary_transport::sdes;
use plenary_transport::srtp::Session;
use simulation::{AMPLITUDE, Simulation, entropy, id, level, sdp};

const ANN: f64 = 440.0;
const BOB: f64 = 650.0;
const KEY: &str =
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";

fn with_keys(offer: String) -> String {
    offer.replace("RTP/AVP", "RTP/SAVP") + KEY
}

fn line<'a>(sdp: &'a str, start: &str) -> &'a str {
    let found = sdp.lines().find_map(|line| line.strip_prefix(start));
    found.unwrap_or_else(|| panic!("no {start} in {sdp}"))
}

fn answer(room: &Simulation) -> String {
    let answers = room.events.iter().rev().find_map(|event| match event {
        Event::LegAnswered { sdp, .. } => Some(sdp.clone()),
        _ => None,
    });
    answers.expect("an answer")
}

/// The phone's end of the keys that an offer of [`KEY`] was answered with.
fn session(answer: &str) -> Box<Session> {
    let ours = sdes::parse(line(KEY.trim_end(), "a=crypto:")).expect("a key");
    let theirs = sdes::parse(line(answer, "a=crypto:")).expect("a key");
    Box::new(Session::new(ours.master, theirs.master))
}

/// Ann encrypts with keys out of SDP, bob does not.
fn room() -> Simulation {
    let mut room = Simulation::room(&[("bob", BOB)]);
    let opus = OpusSettings::default();
    room.phone_offering("ann", ANN, Codec::Pcmu, opus, with_keys);
    room.phones.get_mut("ann").expect("a phone").srtp = Some(session(&answer(&room)));
    room.join("ann");
    room.run_ms(500);
    room
}

fn hear_each_other(room: &mut Simulation) {
    room.heard("ann");
    let bob = room.listen("bob", 300);
    let ann = room.heard("ann");
    for (heard, hz) in [(ann, BOB), (bob, ANN)] {
        let amplitude = level(&heard, hz);
        assert!(
            (amplitude - AMPLITUDE).abs() < 0.05 * AMPLITUDE,
            "{amplitude}"
        );
    }
}

fn stats(room: &Simulation, name: &str) -> LegStats {
    let mut all = room.engine.stats().into_iter();
    all.find(|stats| stats.leg == id(name)).expect("a leg")
}

#[test]
fn a_phone_with_keys_out_of_sdp_is_in_the_room_as_any_other() {
    let mut room = room();
    hear_each_other(&mut room);
    assert_eq!(stats(&room, "ann").transport, Some(TransportKind::Srtp));
    assert_eq!(stats(&room, "bob").transport, Some(TransportKind::Rtp));
    // An offer with the same key (hold, and back) changes nothing.
    for direction in ["sendonly", "sendrecv"] {
        let sdp = with_keys(sdp(room.phones["ann"].address, direction, "0 101"));
        let (leg, kind) = (id("ann"), SdpKind::Offer);
        room.command(Command::ApplySdp { leg, kind, sdp });
        room.run_ms(200);
    }
    hear_each_other(&mut room);
}

#[test]
fn what_is_not_authentic_is_counted_and_heard_by_nobody() {
    let mut room = room();
    let (key, address) = (room.phones["ann"].key, room.phones["ann"].address);
    room.phones.get_mut("ann").expect("a phone").silent = true;
    room.run_ms(500);
    room.heard("bob");
    for _ in 0..20 {
        let packet = room.phones.get_mut("ann").expect("a phone").packet();
        room.engine
            .receive(key, &packet.expect("a packet"), address, room.now);
        room.run_ms(20);
    }
    assert_eq!(stats(&room, "ann").strangers, 20);
    assert!(room.heard("bob").iter().all(|sample| *sample == 0));
}

#[test]
fn an_encrypting_phone_may_change_its_address_at_once() {
    let mut room = room();
    let elsewhere = SocketAddr::from(([203, 0, 113, 9], 6_000));
    let ann = room.phones.get_mut("ann").expect("a phone");
    ann.address = elsewhere;
    let packet = ann.packet().expect("a packet");
    let (key, sealed) = (ann.key, ann.seal(packet).expect("there are keys"));
    room.engine.receive(key, &sealed, elsewhere, room.now);
    // That all that is sent goes there is checked with every packet.
    room.run_ms(200);
    hear_each_other(&mut room);
}

/// Ann's phone, with DTLS by `identity`; `attributes` go into its offer too. Who it expects.
fn dtls_phone(
    room: &mut Simulation,
    identity: &Identity,
    role: Role,
    attributes: &str,
) -> Fingerprint {
    let offer = |offer: String| {
        let fingerprint = identity.fingerprint();
        let setup = role.as_str();
        offer.replace("RTP/AVP", "UDP/TLS/RTP/SAVP")
            + &format!("a=fingerprint:{fingerprint}\r\na=setup:{setup}\r\n{attributes}")
    };
    room.phone_offering("ann", ANN, Codec::Pcmu, OpusSettings::default(), offer);
    let remote = Fingerprint::parse(line(&answer(room), "a=fingerprint:"));
    remote.expect("a fingerprint")
}

fn begin(room: &mut Simulation, identity: &Identity, role: Role, remote: Fingerprint) {
    let endpoint = Endpoint::new(identity, role, remote, room.now).expect("an endpoint");
    room.phones.get_mut("ann").expect("a phone").dtls = Some(endpoint);
    room.join("ann");
    room.run_ms(1_000);
}

/// RFC 5763.
#[test]
fn a_phone_with_dtls_is_heard_after_the_handshake() {
    for role in [Role::Active, Role::Passive] {
        let mut room = Simulation::room(&[("bob", BOB)]);
        let identity = Identity::new().expect("OpenSSL works");
        let remote = dtls_phone(&mut room, &identity, role, "a=rtcp-mux\r\n");
        begin(&mut room, &identity, role, remote);
        let connected = Event::LegConnected { leg: id("ann") };
        let told = room.events.iter().filter(|event| **event == connected);
        assert_eq!(told.count(), 1);
        assert_eq!(stats(&room, "ann").transport, Some(TransportKind::Dtls));
        hear_each_other(&mut room);
    }
}

/// One who begins a handshake with a port that it has found, as far as it gets: whether it was answered with one.
fn intrude(
    room: &mut Simulation,
    mallory: &Identity,
    remote: Fingerprint,
    from: SocketAddr,
) -> bool {
    let (key, now) = (room.phones["ann"].key, room.now);
    let mut endpoint = Endpoint::new(mallory, Role::Active, remote, now).expect("OpenSSL");
    let mut answered = false;
    // Until we have nothing more to say to him.
    for _ in 0..5 {
        while let Some(output) = endpoint.poll(now) {
            if let Output::Transmit(datagram) = output {
                room.engine.receive(key, &datagram, from, now);
            }
        }
        let packets = &mut room.engine.output().packets;
        for (_, bytes) in packets.iter() {
            answered |= message(bytes) == Some(SERVER_HELLO);
            endpoint.receive(bytes);
        }
        packets.clear();
    }
    room.engine.receive(key, &[22; 100], from, now);
    answered
}

const SERVER_HELLO: u8 = 2;

/// The type of a message of a handshake in clear (RFC 6347, section 4.2.2).
fn message(datagram: &[u8]) -> Option<u8> {
    let is_handshake = datagram.first() == Some(&22);
    datagram.get(13).copied().filter(|_| is_handshake)
}

fn stranger(n: u32) -> SocketAddr {
    SocketAddr::from((std::net::Ipv4Addr::from(0xcb00_7100 + n), 5_000))
}

/// Anybody can send the first message of a handshake to a port, and what follows without the right certificate.
#[test]
fn few_handshakes_of_strangers_begin_and_they_do_not_spoil_that_of_the_phone() {
    let mut room = Simulation::room(&[("bob", BOB)]);
    let identity = Identity::new().expect("OpenSSL works");
    let mallory = Identity::new().expect("OpenSSL works");
    let remote = dtls_phone(&mut room, &identity, Role::Active, "a=rtcp-mux\r\n");
    for _ in 0..2 {
        let begun = (1..=20).filter(|n| intrude(&mut room, &mallory, remote, stranger(*n)));
        assert_eq!(begun.count(), 3, "in five seconds");
        room.run_ms(5_000);
    }
    begin(&mut room, &identity, Role::Active, remote);
    hear_each_other(&mut room);
}

/// Its address is another one than it believes.
#[test]
fn a_phone_behind_a_nat_gets_in_though_a_stranger_tries_again_and_again() {
    let mut room = Simulation::room(&[("bob", BOB)]);
    let identity = Identity::new().expect("OpenSSL works");
    let mallory = Identity::new().expect("OpenSSL works");
    let remote = dtls_phone(&mut room, &identity, Role::Active, "a=rtcp-mux\r\n");
    let mut begun = 0;
    for port in 1..=20 {
        let mut from = stranger(1);
        from.set_port(port);
        begun += usize::from(intrude(&mut room, &mallory, remote, from));
    }
    assert_eq!(begun, 1);
    room.phones.get_mut("ann").expect("a phone").address = stranger(2);
    begin(&mut room, &identity, Role::Active, remote);
    hear_each_other(&mut room);
}

/// RFC 6347, section 4.2.1.
#[test]
fn who_writes_addresses_that_are_not_his_begins_nothing() {
    let mut room = Simulation::room(&[("bob", BOB)]);
    let identity = Identity::new().expect("OpenSSL works");
    let remote = dtls_phone(&mut room, &identity, Role::Active, "a=rtcp-mux\r\n");
    let (key, now) = (room.phones["ann"].key, room.now);
    let mut endpoint = Endpoint::new(&identity, Role::Active, remote, now).expect("OpenSSL");
    let Some(Output::Transmit(hello)) = endpoint.poll(now) else {
        panic!("the active side sends first");
    };
    for n in 1..=200 {
        room.engine.receive(key, &hello, stranger(n), now);
        let packets = &mut room.engine.output().packets;
        for (packet, bytes) in packets.iter() {
            assert!(message(bytes) != Some(SERVER_HELLO) && bytes.len() <= hello.len());
            assert_eq!(packet.to, stranger(n));
        }
        packets.clear();
    }
    room.phones.get_mut("ann").expect("a phone").address = stranger(201);
    begin(&mut room, &identity, Role::Active, remote);
    hear_each_other(&mut room);
}

/// Ann shakes hands on the port of RTCP as well; how many reports she understands in 30 s.
fn reports(room: &mut Simulation, identity: &Identity, remote: Fingerprint) -> usize {
    let (key, mut port) = (room.phones["ann"].key, room.phones["ann"].address);
    port.set_port(port.port() + 1);
    let mut endpoint = Endpoint::new(identity, Role::Active, remote, room.now).expect("OpenSSL");
    let (mut session, mut reports, mut plain) = (None, 0, Vec::new());
    for _ in 0..1_500 {
        while let Some(output) = endpoint.poll(room.now) {
            match output {
                Output::Transmit(datagram) => {
                    room.engine.receive_rtcp(key, &datagram, port, room.now);
                }
                Output::Connected(keys) => session = Some(keys),
                Output::Failed(error) => panic!("{error}"),
            }
        }
        room.run_ms(20);
        let ann = room.phones.get_mut("ann").expect("a phone");
        for datagram in ann.rtcp.drain(..) {
            match &mut session {
                Some(keys) if demux::kind(&datagram) == Kind::Media => {
                    let opened = keys.unprotect_rtcp(&datagram, &mut plain);
                    reports += usize::from(opened.is_ok());
                }
                _ => endpoint.receive(&datagram),
            }
        }
    }
    reports
}

/// RFC 5764 section 4.2: without rtcp-mux RTCP has keys of its own.
#[test]
fn rtcp_on_its_own_port_has_a_handshake_of_its_own() {
    let mut room = Simulation::room(&[("bob", BOB)]);
    let identity = Identity::new().expect("OpenSSL works");
    let remote = dtls_phone(&mut room, &identity, Role::Active, "");
    begin(&mut room, &identity, Role::Active, remote);
    let reports = reports(&mut room, &identity, remote);
    assert!(reports >= 3, "{reports} in 30 s");
    let keys = told_keys(&room).expect("keys");
    assert_eq!(keys.0.matches("crypto:").count(), 4, "two of each port");
}

#[test]
fn rtcp_that_gets_a_port_of_its_own_in_the_call_gets_keys_of_its_own() {
    let identity = Identity::new().expect("OpenSSL works");
    let (mut room, _) = dtls_room(&identity);
    let remote = Fingerprint::parse(line(&answer(&room), "a=fingerprint:"));
    let muxed =
        with_dtls(&identity, "actpass")(sdp(room.phones["ann"].address, "sendrecv", "0 101"));
    let own = muxed.replace("a=rtcp-mux\r\n", "");
    for (sdp, masters) in [(own, 4), (muxed, 2)] {
        let (leg, kind) = (id("ann"), SdpKind::Offer);
        room.command(Command::ApplySdp { leg, kind, sdp });
        if masters == 4 {
            let reports = reports(&mut room, &identity, remote.expect("a fingerprint"));
            assert!(reports >= 3, "{reports} in 30 s");
        }
        hear_each_other(&mut room);
        let keys = room.engine.leg_snapshots().into_iter();
        let keys = keys.filter_map(|leg| leg.keys).next().expect("keys");
        assert_eq!(keys.0.matches("crypto:").count(), masters);
    }
}

fn told_keys(room: &Simulation) -> Option<LegKeys> {
    room.events.iter().rev().find_map(|event| match event {
        Event::LegKeyed { keys, .. } => Some(keys.clone()),
        _ => None,
    })
}

fn with_dtls(identity: &Identity, setup: &str) -> impl FnOnce(String) -> String {
    let lines = format!(
        "a=fingerprint:{}\r\na=setup:{setup}\r\na=rtcp-mux\r\n",
        identity.fingerprint()
    );
    move |sdp| sdp.replace("RTP/AVP", "UDP/TLS/RTP/SAVP") + &lines
}

/// Ann in the room by DTLS, who was the client; and what is told of her keys.
fn dtls_room(identity: &Identity) -> (Simulation, LegKeys) {
    let mut room = Simulation::room(&[("bob", BOB)]);
    let remote = dtls_phone(&mut room, identity, Role::Active, "a=rtcp-mux\r\n");
    begin(&mut room, identity, Role::Active, remote);
    let keys = told_keys(&room).expect("keys");
    let mut snapshots = room.engine.leg_snapshots().into_iter();
    let ann = snapshots.find(|snapshot| snapshot.leg == id("ann"));
    assert_eq!(ann.expect("a leg").keys.as_ref(), Some(&keys));
    (room, keys)
}

#[test]
fn what_the_listener_wants_and_the_phone_does_not_is_refused() {
    let mut room = Simulation::room(&[]);
    let address = SocketAddr::from(([198, 51, 100, 1], 4_000));
    let clear = sdp(address, "sendrecv", "0");
    let cases = [
        (
            Encryption::Required,
            clear.clone(),
            LegRefusal::EncryptionRequired,
        ),
        (
            Encryption::Never,
            with_keys(clear),
            LegRefusal::EncryptionRefused,
        ),
    ];
    for (srtp, offer, expected) in cases {
        let terms = LegTerms {
            srtp,
            ..LegTerms::default()
        };
        let entropy = entropy(1);
        let entrance = Entrance::Port(10_000);
        let (leg, now) = (id("x"), room.now);
        let opened = room
            .engine
            .open_leg(&leg, Some(&offer), &terms, entrance, entropy, now);
        assert!(opened.is_none());
        let refused = room.engine.output().events.pop();
        let Some(Event::LegRefused { reason, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(reason, expected);
    }
}
