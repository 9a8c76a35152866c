import assert from "node:assert/strict";
import test from "node:test";
import { mostImportant } from "../src/call/banner";
import { counters, figures, verdict } from "../src/call/quality";
import { changes } from "../src/call/roster";
import {
    door,
    duration,
    endingNotice,
    initials,
    microphoneNotice,
    microphoneWords,
    namesInWords,
    troubleNotice,
} from "../src/call/words";
import { KEYS, tonesOf } from "../src/sound/keys";
import { HEIGHT, hall, SEATS_MAX, WIDTH } from "../src/ui/hemicycle";

const SERVER = { codec: "opus", sample_rate_hz: 48000, mouth_to_ear_ms: 121, loss_percent: 0, words: "good" } as const;
const HERE = { loss_percent: 0, concealed_percent: 0, buffer_ms: 40, round_trip_ms: 12 };

test("quality is said in plain words, with the delay where it is known", () => {
    assert.equal(verdict(HERE, SERVER).words, "Good, about 160 ms behind");
    assert.equal(verdict(HERE, null).words, "Good");
    assert.equal(verdict(null, null).words, "Measuring…");
    assert.equal(verdict(null, null, true).words, "Can't be measured");
    assert.equal(verdict(HERE, null, true).words, "Good");
    assert.equal(verdict(HERE, { ...SERVER, mouth_to_ear_ms: 640 }).words, "Poor, about 680 ms behind");
});

test("the worst of what page and server see counts, and there is advice", () => {
    assert.equal(verdict({ ...HERE, concealed_percent: 5 }, SERVER).grade, "fair");
    assert.match(verdict({ ...HERE, concealed_percent: 5 }, SERVER).advice, /to you/);
    assert.match(verdict(HERE, { ...SERVER, loss_percent: 12 }).advice, /you say/);
    assert.equal(verdict(HERE, { ...SERVER, words: "bad" }).grade, "poor");
    assert.equal(verdict(HERE, SERVER).advice, "");
});

test("figures are what happened between two looks at the counters", () => {
    const inbound = { type: "inbound-rtp", kind: "audio", silentConcealedSamples: 0 };
    const pair = {
        type: "candidate-pair",
        nominated: true,
        state: "succeeded",
        currentRoundTripTime: 0.02,
        timestamp: 0,
    };
    const before = counters([
        {
            ...inbound,
            timestamp: 0,
            packetsReceived: 100,
            packetsLost: 0,
            totalSamplesReceived: 96_000,
            jitterBufferDelay: 1,
            jitterBufferEmittedCount: 96_000,
        },
    ]);
    const now = counters([
        {
            ...inbound,
            timestamp: 1000,
            packetsReceived: 145,
            packetsLost: 5,
            totalSamplesReceived: 144_000,
            concealedSamples: 4_800,
            jitterBufferDelay: 2_401,
            jitterBufferEmittedCount: 144_000,
        },
        pair,
    ]);
    assert.ok(before && now);
    assert.deepEqual(figures(before, now), {
        loss_percent: 10,
        concealed_percent: 10,
        buffer_ms: 50,
        round_trip_ms: 20,
    });
    assert.equal(counters([pair]), null);
});

test("every trouble, ending and fault of a microphone has words of its own, and unknown ones have some", () => {
    for (const code of ["unreachable", "media_blocked", "conference_full", "token_in_use", "no_webrtc", "insecure"])
        assert.notEqual(troubleNotice({ status: 0, code, detail: "" }).title, "That did not work");
    assert.equal(troubleNotice({ status: 400, code: "new", detail: "Because." }).text, "Because.");
    for (const why of ["left", "kicked", "conference_deleted", "token_expired"])
        assert.notEqual(endingNotice(why).title, "Your call has ended");
    assert.match(endingNotice("left").title, /left/);
    for (const why of ["flow_ended", "turned_away"])
        assert.doesNotMatch(endingNotice(why).title + endingNotice(why).text, /conference (is over|has ended)/);
    assert.match(endingNotice("turned_away").title, /not let in/);
    assert.doesNotMatch(endingNotice("hangup").title, /left/, "a call that others have ended");
    assert.equal(endingNotice("token_expired").again, false);
    assert.equal(endingNotice("new").again, true);
    for (const error of ["NotAllowedError", "NotFoundError", "NotReadableError", "other"]) {
        assert.match(microphoneNotice(error, true).text, /join and only listen/);
        assert.doesNotMatch(microphoneNotice(error, false).text, /join/, "who is inside has joined");
    }
});

test("the large button at the door says what it does: without a microphone one can only listen", () => {
    const join = { words: "Join", listens: false, choice: true };
    const listen = { words: "Join and only listen", listens: true, choice: false };
    assert.deepEqual(door(true, true, null), join);
    assert.deepEqual(door(true, false, null), join, "not asked for yet");
    for (const error of ["NotAllowedError", "NotFoundError", "NotReadableError", "insecure", "ended"])
        assert.deepEqual(door(true, false, error), listen);
    assert.deepEqual(door(true, true, "NotFoundError"), join, "there is one all the same");
    assert.deepEqual(door(false, false, "NotAllowedError"), { words: "Join", listens: true, choice: false });
});

test("one banner at a time, the most important one", () => {
    const none = {
        lost: false,
        sound_blocked: false,
        no_microphone: false,
        muted_by_another: false,
        microphone_taken: false,
        unheard: false,
        server_away: false,
    };
    assert.equal(mostImportant(none), null);
    assert.equal(mostImportant({ ...none, unheard: true, muted_by_another: true }), "muted_by_another");
    assert.equal(mostImportant({ ...none, server_away: true, unheard: true }), "unheard");
    assert.equal(mostImportant({ ...none, muted_by_another: true, sound_blocked: true }), "sound_blocked");
    const all = Object.fromEntries(Object.keys(none).map((each) => [each, true])) as Record<keyof typeof none, boolean>;
    assert.equal(mostImportant(all), "lost");
});

test("the sound check says whether it hears a voice", () => {
    assert.equal(microphoneWords(null).works, false);
    assert.equal(microphoneWords(-70).works, false);
    assert.match(microphoneWords(-45).words, /quiet/);
    assert.match(microphoneWords(-20).words, /good/);
    assert.match(microphoneWords(-1).words, /loud/);
});

test("names are short in a seat and whole in a sentence", () => {
    assert.deepEqual(["Ann Baker", "Ann Maria Baker", "bob", "+49 30 901820", "Émile", "", "👋 Zoë"].map(initials), [
        "AB",
        "AB",
        "B",
        "20",
        "É",
        "",
        "Z",
    ]);
    assert.equal(namesInWords(["Ann"]), "Ann");
    assert.equal(namesInWords(["Ann", "Bob", "Eve"]), "Ann, Bob and Eve");
    assert.equal(namesInWords(["Ann", "Bob", "Eve", "Joe", "Sue"]), "Ann, Bob and 3 others");
    assert.equal(namesInWords(["Ann", "Bob"], 3), "Ann, Bob and 1 other");
    assert.deepEqual([0, 65, 3_600 + 61].map(duration), ["00:00", "01:05", "1:01:01"]);
});

test("who came and who left is seen by comparing two lists, without oneself", () => {
    const person = (id: string, you = false) =>
        ({ id, name: id, kind: "web", role: "", talking: false, muted: false, level_dbfs: null, you }) as const;
    assert.deepEqual(changes([person("ann"), person("bob")], [person("bob"), person("eve"), person("me", true)]), {
        came: ["eve"],
        left: ["ann"],
    });
});

test("keys sound as in ITU-T Q.23", () => {
    assert.deepEqual(tonesOf("1"), [697, 1209]);
    assert.deepEqual(tonesOf("5"), [770, 1336]);
    assert.deepEqual(tonesOf("#"), [941, 1477]);
    assert.equal(new Set(KEYS.map((key) => tonesOf(key).join())).size, 12);
});

test("in a hall of any size nobody sits on another, or outside the picture, or on the words in the middle", () => {
    for (let count = 0; count <= SEATS_MAX + 3; count += 1) {
        const { radius, taken, empty } = hall(count);
        assert.equal(taken.length, Math.min(count, SEATS_MAX));
        const all = [...taken, ...empty];
        all.forEach((a, at) => {
            assert.ok(
                a.x - radius >= 0 && a.x + radius <= WIDTH && a.y - radius >= 0 && a.y + radius <= HEIGHT,
                `${count}`,
            );
            assert.ok(Math.hypot(a.x - WIDTH / 2, a.y - 194) - radius > 76, `${count}: on the words`);
            for (const b of all.slice(at + 1))
                assert.ok(Math.hypot(a.x - b.x, a.y - b.y) >= 2 * radius - 0.01, `${count}: ${at}`);
        });
    }
});
