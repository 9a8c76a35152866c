//! Browsers and the engine with real sockets and threads: what they hear of each other, whichever thread has the leg.

use std::time::Duration;

use plenary_driver::Options;
use plenary_media::messages::{Command, Event, Id, LegRefusal, LegTerms, SdpKind, Transport};

use crate::harness::{PATIENCE, Server, id, options, start};
use crate::page::{Page, share_of_tone};

fn open_leg(leg: &Id, offer: Option<String>, room: &str) -> Command {
    Command::OpenLeg {
        leg: leg.clone(),
        sdp: offer,
        room_hint: Some(id(room)),
        terms: LegTerms {
            transport: Transport::Webrtc,
            ..LegTerms::default()
        },
    }
}

fn join(leg: &Id, room: &str) -> Command {
    Command::Join {
        leg: leg.clone(),
        room: id(room),
    }
}

fn answered(server: &mut Server) -> Vec<Event> {
    server.until(|event| matches!(event, Event::LegAnswered { .. } | Event::LegRefused { .. }))
}

/// Runs `talk` with two browsers in one room, of which the second comes from another thread.
fn with_two(name: &str, port: u16, by_tcp: bool, talk: impl Fn(&mut Server, [Page; 2])) {
    let options = Options {
        webrtc_port: Some(port),
        ..options(name, (port + 10, port + 19))
    };
    let (path, engine) = (options.socket.clone(), start(options));
    let mut server = Server::connect(&path, "", 0);
    let open = |room| Command::OpenRoom { room: id(room) };
    server.send(&[open("one"), open("two")]);
    let [ann, bob] = [id("ann"), id("bob")];
    let mut pages = [Page::new(440.0, by_tcp), Page::new(650.0, by_tcp)];
    for ((leg, page), room) in [&ann, &bob].iter().zip(&mut pages).zip(["one", "two"]) {
        server.send(&[open_leg(leg, Some(page.offer()), room)]);
        page.take(&answered(&mut server));
        page.talk(PATIENCE, |page| page.connected);
        server.until(|event| {
            *event
                == Event::LegConnected {
                    leg: (*leg).clone(),
                }
        });
    }
    server.send(&[join(&ann, "one"), join(&bob, "one")]);
    server.until(|event| matches!(event, Event::LegJoined { leg, .. } if *leg == bob));
    talk(&mut server, pages);
    server.send(&[
        Command::CloseLeg { leg: ann },
        Command::CloseLeg { leg: bob },
    ]);
    let mut left = 2;
    while left > 0 {
        let events = server.until(|event| matches!(event, Event::LegClosed { .. }));
        let closed = |event: &&Event| matches!(event, Event::LegClosed { .. });
        left -= events.iter().filter(closed).count();
    }
    server.send(&[Command::Shutdown {}]);
    engine.join().expect("no panic").expect("no error");
}

/// Both talk for a while; then each has heard the other, and not itself.
fn hear_each_other([ann, bob]: [Page; 2]) -> [Page; 2] {
    let talk = |mut page: Page| {
        std::thread::spawn(move || {
            let end = page.sent + 150;
            page.talk(PATIENCE, |page| page.sent == end);
            page
        })
    };
    let pages = [talk(ann), talk(bob)].map(|thread| thread.join().expect("it talks"));
    for (page, (own, others)) in pages.iter().zip([(440.0, 650.0), (650.0, 440.0)]) {
        // Of the last 2 s, the 200 ms in which each sounds best: a busy machine may interrupt both.
        let end = &page.heard[page.heard.len() - 96_000..];
        let most = |hz| {
            let shares = end
                .chunks_exact(9_600)
                .map(|pcm| share_of_tone(pcm, 48_000.0, hz));
            shares.fold(0.0, f64::max)
        };
        let (mine, theirs) = (most(own), most(others));
        assert!(
            theirs > 0.8 && mine < 0.05,
            "{others} Hz: {theirs:.3}, {own} Hz: {mine:.3}"
        );
    }
    pages
}

#[test]
fn two_browsers_hear_each_other_though_their_legs_came_through_different_threads() {
    with_two("browsers", 31_700, false, |_, pages| {
        drop(hear_each_other(pages))
    });
}

#[test]
fn browsers_behind_networks_without_udp_hear_each_other() {
    with_two("no-udp", 31_730, true, |_, pages| {
        drop(hear_each_other(pages))
    });
}

#[test]
fn a_leg_that_has_moved_goes_on_after_an_ice_restart_and_after_a_reload() {
    with_two("restart", 31_760, false, |server, pages| {
        let bob = id("bob");
        let [ann, mut page] = hear_each_other(pages);
        let apply = |sdp| Command::ApplySdp {
            leg: bob.clone(),
            kind: SdpKind::Offer,
            sdp,
        };
        let connected = Event::LegConnected { leg: bob.clone() };
        server.send(&[apply(page.offer_restart())]);
        page.take(&answered(server));
        let begin = page.heard.len();
        page.talk(PATIENCE, |page| page.heard.len() > begin + 48_000);
        server.until(|event| *event == connected);
        let [ann, page] = hear_each_other([ann, page]);
        drop(page);
        let mut anew = Page::new(650.0, false);
        server.send(&[apply(anew.offer())]);
        anew.take(&answered(server));
        anew.talk(PATIENCE, |page| page.connected);
        server.until(|event| *event == connected);
        hear_each_other([ann, anew]);
    });
}

#[test]
fn a_browser_is_refused_with_its_reason() {
    let cases = [
        (
            None,
            Some(Page::new(440.0, false).offer()),
            LegRefusal::WebrtcOff,
        ),
        (
            Some(31_790),
            Some("v=0\r\n".into()),
            LegRefusal::NoCommonCodec,
        ),
        (
            Some(31_790),
            Some("nonsense".into()),
            LegRefusal::MalformedSdp,
        ),
        (Some(31_790), None, LegRefusal::WrongState),
    ];
    for (number, (webrtc_port, offer, expected)) in cases.into_iter().enumerate() {
        let options = Options {
            webrtc_port,
            ..options(&format!("refused-{number}"), (31_800, 31_819))
        };
        let (path, engine) = (options.socket.clone(), start(options));
        let mut server = Server::connect(&path, "", 0);
        server.send(&[open_leg(&id("leg"), offer, "room")]);
        let events = answered(&mut server);
        let is_expected = |event: &Event| matches!(event, Event::LegRefused { reason, .. } if *reason == expected);
        assert!(events.iter().any(is_expected), "{expected:?}: {events:?}");
        server.send(&[Command::Shutdown {}]);
        engine.join().expect("no panic").expect("no error");
    }
}

/// An engine with one page in its room, that talks; and one that is silent for so long is inactive.
fn with_one(name: &str, port: u16, later: Duration, talk: impl FnOnce(&mut Server, Id, Page)) {
    let mut options = Options {
        webrtc_port: Some(port),
        ..options(name, (port + 10, port + 19))
    };
    options.inactivity.later = later;
    let (path, engine) = (options.socket.clone(), start(options));
    let mut server = Server::connect(&path, "", 0);
    let (leg, mut page) = (id("leg"), Page::new(440.0, false));
    server.send(&[open_leg(&leg, Some(page.offer()), "room")]);
    page.take(&answered(&mut server));
    page.talk(PATIENCE, |page| page.sent > 50);
    talk(&mut server, leg, page);
    server.send(&[Command::Shutdown {}]);
    engine.join().expect("no panic").expect("no error");
}

#[test]
fn a_page_presses_keys_vanishes_and_finds_its_seat_again() {
    let later = Duration::from_secs(1);
    with_one("vanish", 31_820, later, |server, leg, mut page| {
        page.press(5);
        let is_digit = |event: &Event| matches!(event, Event::Digit { digit, .. } if digit == "5");
        server.until(is_digit);
        drop(page);
        server.until(|event| matches!(event, Event::Inactive { .. }));
        let mut anew = Page::new(440.0, false);
        let sdp = anew.offer();
        let kind = SdpKind::Offer;
        server.send(&[Command::ApplySdp { leg, kind, sdp }]);
        anew.take(&answered(server));
        anew.talk(PATIENCE, |page| page.connected);
        server.until(|event| matches!(event, Event::LegConnected { .. }));
    });
}

#[test]
fn a_page_that_says_goodbye_is_given_up_long_before_one_that_vanishes() {
    with_one("goodbye", 31_840, Duration::MAX, |server, _, mut page| {
        page.close();
        server.until(|event| matches!(event, Event::Inactive { .. }));
    });
}
