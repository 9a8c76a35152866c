//! The engine with real sockets, threads and files, as a server sees it.

mod browsers;
mod harness;
mod page;

use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;

use harness::{PATIENCE, Server, id, offer, options, start};
use plenary_driver::{Failure, Options, run};
use plenary_media::messages::{Command, Event, LegRefusal, LegTerms, SdpKind};

#[test]
fn a_leg_moves_to_the_thread_of_its_room_with_its_sockets() {
    let options = options("move", (31_400, 31_419));
    let (path, engine) = (options.socket.clone(), start(options));
    let mut server = Server::connect(&path, "", 0);
    let phone = UdpSocket::bind("127.0.0.1:0").expect("a port");
    phone.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let open = |room| Command::OpenRoom { room: id(room) };
    server.send(&[open("one"), open("two")]);
    let leg = id("leg");
    server.send(&[Command::OpenLeg {
        leg: leg.clone(),
        sdp: Some(offer(&phone)),
        room_hint: Some(id("one")),
        terms: LegTerms::default(),
    }]);
    for room in ["one", "two", "one"] {
        server.send(&[Command::Join {
            leg: leg.clone(),
            room: id(room),
        }]);
        let joined = Event::LegJoined {
            leg: leg.clone(),
            room: id(room),
        };
        server.until(|event| *event == joined);
        // Something from before may wait; after this many packets it is what the new thread sends.
        for _ in 0..20 {
            phone.recv(&mut [0; 200]).expect("a packet every 20 ms");
        }
    }
    server.send(&[Command::CloseLeg { leg }]);
    server.until(|event| matches!(event, Event::LegClosed { .. }));
    server.send(&[Command::Shutdown {}]);
    engine.join().expect("no panic").expect("no error");
    assert!(!path.exists());
}

#[test]
fn legs_that_come_while_others_go_in_one_batch_are_whole_and_every_port_is_given_back() {
    const LEGS: usize = 20;
    let options = options("churn", (31_440, 31_440 + 4 * LEGS as u16 - 1));
    let (path, engine) = (options.socket.clone(), start(options));
    let mut server = Server::connect(&path, "", 0);
    let phone = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let hall = id("hall");
    server.send(&[Command::OpenRoom { room: hall.clone() }]);
    let name = |round: usize, n: usize| id(&format!("{round}-{n}"));
    // Twice as many pairs as legs: a leg whose port is not given back is missed in the third round.
    for round in 0..4 {
        let mut batch = Vec::new();
        for n in 0..LEGS {
            if round > 0 {
                let leg = name(round - 1, n);
                batch.push(Command::CloseLeg { leg });
            }
            batch.push(Command::OpenLeg {
                leg: name(round, n),
                sdp: Some(offer(&phone)),
                room_hint: Some(hall.clone()),
                terms: LegTerms::default(),
            });
        }
        server.send(&batch);
        let mut batch: Vec<Command> = (0..LEGS)
            .map(|n| Command::Join {
                leg: name(round, n),
                room: hall.clone(),
            })
            .collect();
        batch.push(Command::GetStats { request: id("now") });
        server.send(&batch);
        let events = server.until(|event| matches!(event, Event::Stats { .. }));
        let count = |is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
        assert_eq!(
            count(|event| matches!(event, Event::LegAnswered { .. })),
            LEGS
        );
        assert_eq!(
            count(|event| matches!(event, Event::LegJoined { .. })),
            LEGS
        );
        let closed = count(|event| matches!(event, Event::LegClosed { .. }));
        assert_eq!(closed, if round > 0 { LEGS } else { 0 });
    }
    server.send(&[Command::Shutdown {}]);
    engine.join().expect("no panic").expect("no error");
}

#[test]
fn a_leg_with_rtcp_mux_leaves_its_rtcp_port_closed_until_its_peer_wants_it_again() {
    let options = options("mux", (31_436, 31_437));
    let (path, engine) = (options.socket.clone(), start(options));
    let mut server = Server::connect(&path, "", 0);
    let phone = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let (alone, muxed) = (offer(&phone), offer(&phone) + "a=rtcp-mux\r\n");
    let leg = id("leg");
    server.send(&[Command::OpenLeg {
        leg: leg.clone(),
        sdp: Some(muxed.clone()),
        room_hint: None,
        terms: LegTerms::default(),
    }]);
    let mut port_is_open = |sdp: Option<&String>| {
        let again = sdp.map(|sdp| Command::ApplySdp {
            leg: leg.clone(),
            kind: SdpKind::Offer,
            sdp: sdp.clone(),
        });
        // Statistics are told after everything else of the batch before has been done.
        let request = id("done");
        server.send(&again.into_iter().collect::<Vec<Command>>());
        server.send(&[Command::GetStats { request }]);
        server.until(|event| matches!(event, Event::Stats { .. }));
        UdpSocket::bind(("127.0.0.1", 31_437)).is_err()
    };
    assert!(!port_is_open(None));
    assert!(port_is_open(Some(&alone)));
    assert!(!port_is_open(Some(&muxed)));
    server.send(&[Command::Shutdown {}]);
    engine.join().expect("no panic").expect("no error");
}

#[test]
fn two_engines_share_a_range_of_ports_and_count_only_their_own_legs() {
    const LEGS: usize = 20;
    let ports = (31_540, 31_540 + 4 * LEGS as u16 + 19);
    let mut engines = ["here", "there"].map(|name| {
        let options = options(name, ports);
        let (path, engine) = (options.socket.clone(), start(options));
        (Server::connect(&path, "", 0), engine)
    });
    let phone = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for (server, _) in &mut engines {
        let open = |n| Command::OpenLeg {
            leg: id(&format!("leg {n}")),
            sdp: Some(offer(&phone)),
            room_hint: None,
            terms: LegTerms::default(),
        };
        let mut batch: Vec<Command> = (0..LEGS).map(open).collect();
        batch.push(Command::GetStats { request: id("now") });
        server.send(&batch);
        let events = server.until(|event| matches!(event, Event::Stats { .. }));
        let answered = |event: &&Event| matches!(event, Event::LegAnswered { .. });
        assert_eq!(events.iter().filter(answered).count(), LEGS);
        let counted = |event: &Event| {
            matches!(event, Event::Stats { legs, engine, .. }
                if legs.len() == LEGS && engine.legs == LEGS as u64)
        };
        assert!(events.iter().any(counted));
    }
    for (mut server, engine) in engines {
        server.send(&[Command::Shutdown {}]);
        engine.join().expect("no panic").expect("no error");
    }
}

#[test]
fn a_server_that_comes_back_finds_what_it_left_and_misses_no_event() {
    let options = options("back", (31_420, 31_423));
    let (path, engine) = (options.socket.clone(), start(options));
    let mut first = Server::connect(&path, "", 0);
    let phone = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let open = |name| Command::OpenLeg {
        leg: id(name),
        sdp: Some(offer(&phone)),
        room_hint: None,
        terms: LegTerms::default(),
    };
    first.send(&[
        Command::OpenRoom { room: id("room") },
        open("a"),
        open("b"),
        open("c"),
    ]);
    let all = first.until(|event| matches!(event, Event::LegRefused { .. }));
    let no_ports = |event: &Event| {
        matches!(
            event,
            Event::LegRefused {
                reason: LegRefusal::NoPorts,
                ..
            }
        )
    };
    assert!(
        all.iter().any(no_ports),
        "two pairs of ports are enough for two legs"
    );
    let known = first.welcome.engine.clone();
    drop(first);

    let mut second = Server::connect(&path, &known, 1);
    assert_eq!(second.welcome.engine, known);
    assert_eq!(second.welcome.snapshot.legs.len(), 2);
    assert_eq!(second.welcome.snapshot.rooms, [id("room")]);
    second.send(&[Command::GetStats { request: id("now") }]);
    let again = second.until(|event| matches!(event, Event::Stats { .. }));
    // Three events were there, one of which it had.
    assert_eq!(again.len(), 3);

    let mut third = Server::connect(&path, "another engine", 99);
    let held = third.until(|event| matches!(event, Event::Stats { .. }));
    // All that it holds: the first was acknowledged by the second server.
    assert_eq!(held.len(), 3);
    third.send(&[Command::Shutdown {}]);
    engine.join().expect("no panic").expect("no error");
}

#[test]
fn a_socket_in_use_is_left_alone_and_a_stale_one_replaced() {
    let first = options("stale", (31_424, 31_427));
    let path: PathBuf = first.socket.clone();
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    let engine = start(first.clone());
    let mut server = Server::connect(&path, "", 0);
    let error = run(&first)
        .expect_err("one engine listens already")
        .to_string();
    assert!(error.contains("control socket"), "{error}");
    // The attempt has not cost the first engine its server.
    server.send(&[Command::GetStats {
        request: id("still there"),
    }]);
    server.until(|event| matches!(event, Event::Stats { .. }));
    server.send(&[Command::Shutdown {}]);
    engine.join().expect("no panic").expect("no error");
}

#[test]
fn what_cannot_be_used_is_named() {
    let good = options("named", (31_428, 31_431));
    let cases = [
        (
            Options {
                threads: 0,
                ..good.clone()
            },
            "threads",
        ),
        (
            Options {
                rtp_ports: (31_429, 31_430),
                ..good.clone()
            },
            "31429-31430",
        ),
        (
            Options {
                rtp_address: IpAddr::from([192, 0, 2, 1]),
                ..good.clone()
            },
            "192.0.2.1",
        ),
        (
            Options {
                socket: format!("/tmp/{}", "x".repeat(200)).into(),
                ..good.clone()
            },
            "xxx",
        ),
    ];
    for (options, named) in cases {
        let failure = run(&options).expect_err("it can't be used");
        assert!(
            matches!(&failure, Failure::Options(sentence) if sentence.contains(named)),
            "{failure}"
        );
    }
    // The folder may be there at the next start.
    let no_folder = Options {
        socket: "/no/such/folder/x".into(),
        ..good
    };
    let failure = run(&no_folder).expect_err("it can't be used");
    assert!(
        matches!(&failure, Failure::System(sentence) if sentence.contains("/no/such/folder/x")),
        "{failure}"
    );
}
