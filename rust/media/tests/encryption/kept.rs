//! Calls that another engine takes up: keys go on, and who has recorded them gains nothing that lasts.

use super::*;

/// Another engine after the death of `room`'s, which was told `keys`, and ann's phone in it with what it had. It answers
/// with the description that `edit` makes of a clear one, and begins a handshake anew if `dtls` says how.
fn after_death(
    mut room: Simulation,
    keys: Option<LegKeys>,
    edit: impl FnOnce(String) -> String,
    dtls: Option<(&Identity, Role)>,
) -> Simulation {
    let mut next = Simulation::room(&[("bob", BOB)]);
    let terms = LegTerms {
        like: Some(answer(&room)),
        keys,
        ..LegTerms::default()
    };
    let entropy = entropy(7);
    let (leg, now) = (id("ann"), next.now);
    let entrance = Entrance::Port(10_000);
    let opened = next
        .engine
        .open_leg(&leg, None, &terms, entrance, entropy, now);
    let mut ann = room.phones.remove("ann").expect("a phone");
    ann.key = opened.expect("an offer");
    let (kind, sdp) = (SdpKind::Answer, edit(sdp(ann.address, "sendrecv", "0 101")));
    if let Some((identity, role)) = dtls {
        let offer = match next.engine.output().events.last() {
            Some(Event::LegOffered { sdp, .. }) => sdp,
            other => panic!("{other:?}"),
        };
        let remote = Fingerprint::parse(line(offer, "a=fingerprint:")).expect("a fingerprint");
        ann.srtp = None;
        ann.dtls = Endpoint::new(identity, role, remote, now).ok();
    }
    next.phones.insert("ann", ann);
    next.command(Command::ApplySdp { leg, kind, sdp });
    next.join("ann");
    next.run_ms(500);
    next
}

#[test]
fn keys_out_of_sdp_outlive_their_engine() {
    let room = room();
    assert_eq!(told_keys(&room), None, "they are in the description");
    hear_each_other(&mut after_death(room, None, with_keys, None));
}

/// He may be first at the port of the next engine, which can't know what the last one has heard.
#[test]
fn who_has_recorded_a_call_of_an_hour_does_not_keep_it_after_the_death_of_its_engine() {
    let mut room = room();
    let ann = room.phones.get_mut("ann").expect("a phone");
    let mut say = || {
        let packet = ann.packet().expect("a packet");
        let sealed = ann.seal(packet).expect("keys");
        ann.seq = ann.seq.wrapping_add(16_384);
        sealed
    };
    let recorded: Vec<_> = (0..12).map(|_| say()).collect();
    ann.silent = true;
    let mut next = after_death(room, None, with_keys, None);
    let (now, ann) = (next.now, next.phones.get_mut("ann").expect("a phone"));
    ann.silent = false;
    next.engine.receive(ann.key, &recorded[1], stranger(1), now);
    for _ in 0..4 {
        let packet = ann.packet().expect("a packet");
        let sealed = ann.seal(packet).expect("keys");
        next.engine.receive(ann.key, &sealed, ann.address, now);
    }
    for packet in &recorded[..3] {
        next.engine.receive(ann.key, packet, stranger(1), now);
    }
    // That all that is sent goes to her is checked with every packet.
    next.run_ms(200);
    hear_each_other(&mut next);
}

/// Phones that were tried make no new one, whatever fingerprint they are offered.
#[test]
fn keys_of_a_handshake_outlive_their_engine() {
    for setup in ["active", "actpass"] {
        let identity = Identity::new().expect("OpenSSL works");
        let (room, keys) = dtls_room(&identity);
        let mut next = after_death(room, Some(keys.clone()), with_dtls(&identity, setup), None);
        hear_each_other(&mut next);
        assert_eq!(told_keys(&next), None, "none are new");
        let snapshots = next.engine.leg_snapshots();
        assert!(snapshots.iter().any(|leg| leg.keys.as_ref() == Some(&keys)));
    }
}

/// They have shown by then that they keep their keys: who still begins a handshake is none of them.
#[test]
fn strangers_begin_no_handshakes_for_the_whole_call_where_keys_were_kept() {
    let (identity, mallory) = (Identity::new(), Identity::new());
    let (identity, mallory) = (identity.expect("OpenSSL"), mallory.expect("OpenSSL"));
    for silent in [false, true] {
        let (mut room, keys) = dtls_room(&identity);
        room.phones.get_mut("ann").expect("a phone").silent = silent;
        let mut next = after_death(room, Some(keys), with_dtls(&identity, "active"), None);
        let mut begins = |n| {
            let begins = intrude(&mut next, &mallory, identity.fingerprint(), stranger(n));
            next.run_ms(30_000);
            begins
        };
        assert!(begins(1), "it may be the phone");
        assert_eq!(begins(2), silent, "nothing has shown what keys it has");
    }
}

/// RFC 8842 section 5.1: a new fingerprint, a new association.
#[test]
fn a_phone_may_make_new_keys_with_the_next_engine() {
    for (setup, role) in [("active", Role::Active), ("passive", Role::Passive)] {
        let identity = Identity::new().expect("OpenSSL works");
        let (room, keys) = dtls_room(&identity);
        let edit = with_dtls(&identity, setup);
        let mut next = after_death(room, Some(keys.clone()), edit, Some((&identity, role)));
        hear_each_other(&mut next);
        assert!(told_keys(&next).is_some_and(|new| new != keys));
    }
}

#[test]
fn keys_are_not_kept_for_another_certificate_nor_if_they_can_not_be_read() {
    let (identity, other) = (Identity::new(), Identity::new());
    let (identity, other) = (identity.expect("OpenSSL"), other.expect("OpenSSL"));
    let broken = ["", "sha-256 00", "crypto:1 x", "\n\n\n\n\n\n"].map(|text| text.to_owned());
    let (_, keys) = dtls_room(&identity);
    let cut = (0..keys.0.len())
        .step_by(7)
        .map(|end| keys.0[..end].to_owned());
    let cases = broken.into_iter().chain(cut).map(|text| (text, &identity));
    for (text, shown) in cases.chain([(keys.0.clone(), &other)]) {
        let mut phones = Simulation::room(&[]);
        dtls_phone(&mut phones, &identity, Role::Active, "");
        let next = after_death(
            phones,
            Some(LegKeys(text)),
            with_dtls(shown, "active"),
            None,
        );
        assert_eq!(stats(&next, "ann").packets_sent, 0);
    }
    assert!(
        !format!(
            "{:?}",
            LegTerms {
                keys: Some(keys),
                ..LegTerms::default()
            }
        )
        .contains("inline")
    );
}
