//! Legs whose peers send nothing for long: they cost little, and miss nothing.

#[allow(dead_code)]
mod simulation;

use plenary_media::engine::tone;
use plenary_media::messages::{Event, ToneSpec};
use simulation::{AMPLITUDE, Simulation, id, level};

const ANN: f64 = 400.0;
const BOB: f64 = 900.0;

#[test]
fn who_has_sent_nothing_for_a_minute_hears_the_room_and_is_heard_as_soon_as_he_speaks() {
    let mut room = Simulation::room(&[("ann", ANN), ("bob", BOB)]);
    room.run_ms(1_000);
    room.phones.get_mut("ann").expect("a phone").silent = true;
    room.run_ms(60_000);
    assert!(level(&room.listen("ann", 500), BOB) > 0.9 * AMPLITUDE);
    assert!(level(&room.listen("bob", 500), ANN) < 0.01 * AMPLITUDE);

    room.events.clear();
    room.phones.get_mut("ann").expect("a phone").silent = false;
    room.run_ms(100);
    assert!(level(&room.listen("bob", 500), ANN) > 0.9 * AMPLITUDE);
    let talks = |event: &Event| {
        *event
            == Event::Talking {
                leg: id("ann"),
                talking: true,
            }
    };
    assert!(room.events.iter().any(talks));
}

#[test]
fn who_only_listens_for_long_gets_his_gain_his_play_and_his_voice_when_they_are_wanted() {
    const BEEP: f64 = 1_500.0;
    let mut room = Simulation::room(&[("ann", ANN), ("bob", BOB), ("joe", 0.0)]);
    for name in ["ann", "joe"] {
        room.phones.get_mut(name).expect("a phone").silent = true;
        room.re_offer(name, "recvonly");
    }
    room.run_ms(10_000);
    room.gain("ann", Some("bob"), 0.5);
    let heard = level(&room.listen("ann", 500), BOB) / AMPLITUDE;
    assert!((0.45..0.55).contains(&heard), "{heard}");
    assert!(level(&room.listen("joe", 500), BOB) > 0.9 * AMPLITUDE);

    room.run_ms(10_000);
    let spec = ToneSpec {
        frequency_hz: BEEP,
        duration_ms: 1_000,
        level_dbfs: -20.0,
    };
    let sound = tone(&spec).expect("a tone");
    room.engine.play(&id("ann"), &id("beep"), sound, false);
    let heard = room.listen("ann", 500);
    assert!(level(&heard, BEEP) > 1_000.0 && level(&heard, BOB) < 0.02 * AMPLITUDE);
    room.run_ms(1_000);
    assert!(level(&room.listen("ann", 500), BOB) > 0.45 * AMPLITUDE);

    room.run_ms(10_000);
    room.re_offer("ann", "sendrecv");
    room.phones.get_mut("ann").expect("a phone").silent = false;
    room.run_ms(200);
    assert!(level(&room.listen("bob", 500), ANN) > 0.9 * AMPLITUDE);
}
