//! Gates of two threads with real sockets on loopback, which hands over what is sent before the call returns.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use super::*;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NOW: Duration = Duration::from_secs(100);

fn gates(first: u16) -> [Gate; 2] {
    let gates = open(LOOPBACK, LOOPBACK, first, 2).expect("free ports");
    gates.try_into().unwrap_or_else(|_| panic!("two gates"))
}

fn key(number: u64) -> LegKey {
    LegKey::from_u64(number)
}

/// A binding request (RFC 8489) for `name`.
fn check(name: &str) -> Vec<u8> {
    let mut datagram = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    datagram.extend([7; 12]);
    let user = format!("{name}:browser");
    datagram.extend([0, 6, 0, user.len() as u8]);
    datagram.extend(user.as_bytes());
    datagram.resize(datagram.len().next_multiple_of(4), 0);
    datagram
}

/// What a gate hands over: the leg's number, how, and the first byte.
fn read_at(gate: &mut Gate, now: Duration) -> Vec<(u64, Proto, u8)> {
    let mut came = Vec::new();
    gate.read(now, Duration::ZERO, |one| {
        let Port::Webrtc(proto) = one.port else {
            panic!("a gate is of browsers");
        };
        came.push((one.leg.to_u64(), proto, one.datagram[0]));
    });
    came
}

fn read(gate: &mut Gate) -> Vec<(u64, Proto, u8)> {
    read_at(gate, NOW)
}

fn browser(gate: &Gate) -> UdpSocket {
    let socket = UdpSocket::bind((LOOPBACK, 0)).expect("a socket");
    socket.connect(gate.host().address).expect("an address");
    socket.set_nonblocking(true).expect("a socket");
    socket
}

#[test]
fn a_browser_is_heard_and_answered_by_udp() {
    let [mut gate, _] = gates(31_320);
    let browser = browser(&gate);
    assert!(gate.is_idle());
    let ticket = gate.admit(key(7), "ann");
    browser.send(&[128; 20]).expect("sent");
    assert_eq!(read(&mut gate), [], "nobody has said who that is");
    browser.send(&check("ann")).expect("sent");
    browser.send(&[128; 20]).expect("sent");
    assert_eq!(read(&mut gate), [(7, Proto::Udp, 0), (7, Proto::Udp, 128)]);
    let home = browser.local_addr().expect("bound");
    let packets: Vec<Vec<u8>> = (0..150).map(|n| vec![n; 30]).collect();
    gate.send(
        packets
            .iter()
            .map(|packet| (ticket, Proto::Udp, home, packet.as_slice())),
    );
    let mut buffer = [0; 100];
    for n in 0..150 {
        assert_eq!(
            (browser.recv(&mut buffer).expect("a packet"), buffer[0]),
            (30, n)
        );
    }
    assert_eq!(gate.counts().strangers, 1);
    gate.close(ticket);
    browser.send(&[128; 20]).expect("sent");
    assert!(gate.is_idle() && read(&mut gate).is_empty());
}

#[test]
fn a_leg_that_moves_keeps_its_port_and_may_come_back() {
    let [mut home, mut other] = gates(31_322);
    let browser = browser(&home);
    let ticket = home.admit(key(1), "ann");
    let place = browser.local_addr().expect("bound");
    let mut buffer = [0; 100];
    for round in 0..3 {
        home.part(ticket);
        other.receive_leg(ticket, key(2));
        browser.send(&check("ann")).expect("sent");
        assert_eq!(read(&mut home), [], "round {round}");
        assert_eq!(read(&mut other), [(2, Proto::Udp, 0)]);
        other.send([(ticket, Proto::Udp, place, &[9; 9][..])].into_iter());
        let (length, from) = browser.recv_from(&mut buffer).expect("a packet");
        assert_eq!(
            (length, from),
            (9, home.host().address),
            "from the port it knows"
        );
        other.rename(ticket, format!("ann{round}"));
        other.part(ticket);
        home.receive_leg(ticket, key(3));
        browser.send(&check("ann")).expect("sent");
        browser.send(&check(&format!("ann{round}"))).expect("sent");
        let came = read(&mut home);
        assert!(came.iter().all(|one| *one == (3, Proto::Udp, 0)) && !came.is_empty());
        home.rename(ticket, "ann".into());
    }
    home.part(ticket);
    other.receive_leg(ticket, key(4));
    other.close(ticket);
    read(&mut home);
    assert!(home.is_idle());
    assert_eq!(home.counts().lost + other.counts().lost, 0);
}

fn framed(datagram: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    framing::frame(&mut stream, datagram);
    stream
}

fn connect(gate: &Gate) -> TcpStream {
    let stream = TcpStream::connect(gate.host().address).expect("connected");
    stream.set_nodelay(true).expect("a socket");
    stream
}

#[test]
fn a_browser_is_heard_and_answered_by_tcp_also_when_its_leg_has_moved() {
    let [mut home, mut other] = gates(31_324);
    let ticket = home.admit(key(1), "ann");
    let mut browser = connect(&home);
    let place = browser.local_addr().expect("bound");
    let request = framed(&check("ann"));
    let (begin, end) = request.split_at(9);
    browser.write_all(begin).expect("written");
    assert_eq!(read(&mut home), []);
    browser.write_all(end).expect("written");
    browser.write_all(&framed(&[128; 20])).expect("written");
    assert_eq!(read(&mut home), [(1, Proto::Tcp, 0), (1, Proto::Tcp, 128)]);
    home.part(ticket);
    other.receive_leg(ticket, key(2));
    read(&mut home);
    browser.write_all(&framed(&[130; 20])).expect("written");
    read(&mut home);
    assert_eq!(read(&mut other), [(2, Proto::Tcp, 130)]);
    other.send([(ticket, Proto::Tcp, place, &[9; 9][..])].into_iter());
    read(&mut home);
    let mut buffer = [0; 11];
    browser.read_exact(&mut buffer).expect("a frame");
    assert_eq!(buffer[..3], [0, 9, 9]);
    other.close(ticket);
    read(&mut home);
    assert_eq!(
        (
            browser.read(&mut buffer).expect("closed"),
            home.counts().connections
        ),
        (0, 0)
    );
}

#[test]
fn a_connection_that_reads_slowly_loses_datagrams_and_no_other_does() {
    let [mut gate, _] = gates(31_326);
    let (slow, quick) = (gate.admit(key(1), "slow"), gate.admit(key(2), "quick"));
    let (mut lazy, mut eager) = (connect(&gate), connect(&gate));
    lazy.write_all(&framed(&check("slow"))).expect("written");
    eager.write_all(&framed(&check("quick"))).expect("written");
    assert_eq!(read(&mut gate).len(), 2);
    let lazy_place = lazy.local_addr().expect("bound");
    let eager_place = eager.local_addr().expect("bound");
    let (mut sent, mut buffer) = (0, [0; 1_002]);
    while gate.counts().lost == 0 {
        assert!(sent < 20_000, "it takes and takes");
        gate.send([(slow, Proto::Tcp, lazy_place, &[1; 1_000][..])].into_iter());
        gate.send([(quick, Proto::Tcp, eager_place, &[2; 1_000][..])].into_iter());
        eager.read_exact(&mut buffer).expect("a frame");
        sent += 1;
    }
    assert_eq!(buffer[2..], [2; 1_000]);
    lazy.read_exact(&mut buffer)
        .expect("what was kept is whole");
    assert_eq!((buffer[0], buffer[1], buffer[2]), (3, 232, 1));
}

#[test]
fn connections_without_a_name_or_without_a_word_are_closed() {
    let [mut gate, _] = gates(31_328);
    gate.admit(key(1), "ann");
    let (mut mute, mut stranger, mut ann) = (connect(&gate), connect(&gate), connect(&gate));
    stranger.write_all(&framed(&check("bob"))).expect("written");
    ann.write_all(&framed(&check("ann"))).expect("written");
    assert_eq!(read(&mut gate), [(1, Proto::Tcp, 0)]);
    let mut buffer = [0; 8];
    assert_eq!(stranger.read(&mut buffer).expect("closed"), 0);
    assert_eq!(gate.counts().connections, 2);
    read_at(&mut gate, NOW + Duration::from_secs(6));
    assert_eq!(mute.read(&mut buffer).expect("closed"), 0);
    read_at(&mut gate, NOW + Duration::from_secs(40));
    assert_eq!(ann.read(&mut buffer).expect("closed"), 0);
    assert_eq!(gate.counts().connections, 0);
}

#[test]
fn one_leg_has_a_few_connections_however_many_name_it() {
    let [mut gate, _] = gates(31_334);
    gate.admit(key(1), "eve");
    gate.admit(key(2), "ann");
    let mut all: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = connect(&gate);
            stream.write_all(&framed(&check("eve"))).expect("written");
            assert_eq!(read(&mut gate), [(1, Proto::Tcp, 0)]);
            stream
        })
        .collect();
    assert_eq!(gate.counts().connections, 16);
    assert_eq!(all[83].read(&mut [0; 8]).expect("closed"), 0);
    let newest = all.last_mut().expect("a hundred");
    newest.write_all(&framed(&[128; 20])).expect("written");
    assert_eq!(read(&mut gate), [(1, Proto::Tcp, 128)]);
    newest.write_all(&framed(&check("bob"))).expect("written");
    assert_eq!(read(&mut gate), []);
    assert_eq!(newest.read(&mut [0; 8]).expect("closed"), 0);
    let mut ann = connect(&gate);
    ann.write_all(&framed(&check("ann"))).expect("written");
    assert_eq!(read(&mut gate), [(2, Proto::Tcp, 0)]);
}

#[test]
fn what_all_connections_bring_in_a_turn_is_bounded_and_the_others_are_heard_in_the_next() {
    let [mut gate, _] = gates(31_336);
    gate.admit(key(1), "eve");
    gate.admit(key(2), "ann");
    let flood: Vec<u8> = (0..200).flat_map(|_| framed(&[128; 60])).collect();
    let mut eves: Vec<TcpStream> = (0..10).map(|_| connect(&gate)).collect();
    for eve in &mut eves {
        eve.write_all(&framed(&check("eve"))).expect("written");
        read(&mut gate);
    }
    let mut ann = connect(&gate);
    ann.write_all(&framed(&check("ann"))).expect("written");
    read(&mut gate);
    for eve in &mut eves {
        eve.write_all(&flood).expect("written");
    }
    ann.write_all(&framed(&[129; 60])).expect("written");
    let turns: Vec<Vec<(u64, Proto, u8)>> = (0..5).map(|_| read(&mut gate)).collect();
    assert!(turns.iter().all(|turn| turn.len() <= 512 + 256));
    assert_eq!(turns.iter().map(Vec::len).sum::<usize>(), 2_001);
    assert!(turns.concat().contains(&(2, Proto::Tcp, 129)));
}

#[test]
fn who_sends_nothing_but_crumbs_is_closed() {
    let [mut gate, _] = gates(31_338);
    gate.admit(key(1), "eve");
    let mut eve = connect(&gate);
    eve.write_all(&framed(&check("eve"))).expect("written");
    read(&mut gate);
    eve.write_all(&[0, 1, 128].repeat(5_000)).expect("written");
    assert!(read(&mut gate).len() <= 256);
    read(&mut gate);
    assert!(eve.read(&mut [0; 8]).is_ok_and(|length| length == 0) || eve.write(&[0]).is_err());
    assert_eq!(gate.counts().connections, 0);
    let mut stranger = connect(&gate);
    stranger
        .write_all(&[0, 1, 128].repeat(5_000))
        .expect("written");
    assert_eq!(read(&mut gate), []);
    assert_eq!(
        gate.counts().strangers,
        1,
        "nothing after the first was looked at"
    );
}

#[test]
fn of_many_connections_without_a_name_the_oldest_go() {
    let [mut gate, _] = gates(31_330);
    gate.admit(key(1), "ann");
    let all: Vec<TcpStream> = (0..100)
        .map(|_| {
            let stream = connect(&gate);
            read(&mut gate);
            stream
        })
        .collect();
    assert_eq!(gate.counts().connections, 64);
    let mut ann = all.last().expect("a hundred");
    ann.write_all(&framed(&check("ann"))).expect("written");
    assert_eq!(read(&mut gate), [(1, Proto::Tcp, 0)]);
}

#[test]
fn a_port_that_another_program_has_is_named() {
    let [_mine, _too] = gates(31_332);
    let refusal = open(LOOPBACK, LOOPBACK, 31_331, 2)
        .err()
        .expect("it is taken");
    assert!(
        refusal.starts_with("the WebRTC port 31332 can't be used: "),
        "{refusal}"
    );
    let refusal = open(LOOPBACK, LOOPBACK, 65_535, 2)
        .err()
        .expect("there is no such port");
    assert!(refusal.contains("do not suffice"), "{refusal}");
}
