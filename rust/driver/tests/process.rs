//! The engine with real sockets, threads and files, as a server sees it.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use plenary_driver::{Failure, Options, run, wire};
use plenary_media::leg::InactivityLimits;
use plenary_media::messages::{Command, Event, Id, LegRefusal, PROTOCOL_VERSION, Welcome};

/// No answer takes this long.
const PATIENCE: Duration = Duration::from_secs(10);

fn id(name: &str) -> Id {
    Id::new(name).expect("an id")
}

fn options(name: &str, ports: (u16, u16)) -> Options {
    let socket = std::env::temp_dir().join(format!("plenary-{name}-{}.sock", std::process::id()));
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Options {
        socket,
        rtp_address: loopback,
        public_address: loopback,
        rtp_ports: ports,
        threads: 2,
        orphan_timeout: PATIENCE,
        inactivity: InactivityLimits {
            first: PATIENCE,
            later: PATIENCE,
        },
    }
}

fn start(options: Options) -> JoinHandle<Result<(), Failure>> {
    std::thread::spawn(move || run(&options))
}

struct Server {
    stream: UnixStream,
    received: Vec<u8>,
    welcome: Welcome,
}

impl Server {
    fn connect(path: &Path, engine: &str, acked: u64) -> Server {
        let begin = Instant::now();
        let mut stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) => assert!(begin.elapsed() < PATIENCE, "{error}"),
            }
            std::thread::yield_now();
        };
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let hello = Command::Hello {
            version: PROTOCOL_VERSION,
            engine: engine.into(),
            acked,
        };
        send(&mut stream, &[hello]);
        let mut received = Vec::new();
        let frame = frame(&mut stream, &mut received);
        let [welcome]: [Welcome; 1] = rmp_serde::from_slice(&frame).expect("a welcome");
        Server {
            stream,
            received,
            welcome,
        }
    }

    fn send(&mut self, commands: &[Command]) {
        send(&mut self.stream, commands);
    }

    /// Events until one for which `is_last`.
    fn until(&mut self, is_last: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        while !events.iter().any(&is_last) {
            let frame = frame(&mut self.stream, &mut self.received);
            events.extend(rmp_serde::from_slice::<Vec<Event>>(&frame).expect("events"));
        }
        events
    }
}

fn send(stream: &mut UnixStream, commands: &[Command]) {
    let packed: Vec<Vec<u8>> = commands
        .iter()
        .map(|command| rmp_serde::to_vec_named(command).expect("msgpack"))
        .collect();
    let mut frame = Vec::new();
    wire::write_frame(&mut frame, packed.iter().map(Vec::as_slice));
    stream.write_all(&frame).expect("the engine listens");
}

fn frame(stream: &mut UnixStream, received: &mut Vec<u8>) -> Vec<u8> {
    loop {
        if let Some(frame) = wire::next_frame(received).expect("a frame") {
            return frame;
        }
        let mut chunk = [0; 65_536];
        let length = stream.read(&mut chunk).expect("an answer");
        assert!(length > 0, "the engine has closed the connection");
        received.extend_from_slice(&chunk[..length]);
    }
}

fn offer(phone: &UdpSocket) -> String {
    let port = phone.local_addr().expect("bound").port();
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    )
}

#[test]
fn a_leg_moves_to_the_thread_of_its_room_with_its_sockets() {
    let options = options("move", (47_400, 47_419));
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
    let options = options("churn", (47_440, 47_440 + 4 * LEGS as u16 - 1));
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
fn two_engines_share_a_range_of_ports_and_count_only_their_own_legs() {
    const LEGS: usize = 20;
    let ports = (47_540, 47_540 + 4 * LEGS as u16 - 1);
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
    let options = options("back", (47_420, 47_423));
    let (path, engine) = (options.socket.clone(), start(options));
    let mut first = Server::connect(&path, "", 0);
    let phone = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let open = |name| Command::OpenLeg {
        leg: id(name),
        sdp: Some(offer(&phone)),
        room_hint: None,
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
    let first = options("stale", (47_424, 47_427));
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
    let good = options("named", (47_428, 47_431));
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
                rtp_ports: (47_429, 47_430),
                ..good.clone()
            },
            "47429-47430",
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
