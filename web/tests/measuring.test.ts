import assert from "node:assert/strict";
import test from "node:test";
import {
    FIRST_ASKED_MS,
    type Figure,
    type Found,
    GIVEN_UP_MS,
    givenUp,
    look,
    type Measuring,
} from "../src/call/measuring";

const LOOK_MS = 1_000;

/** A page that looks once a second, on a clock of its own. */
class Watch {
    now_ms = 5_000;
    readonly asked_ms: number[] = [];
    private measuring: Measuring | null = null;

    /** For so long it stands like this. */
    pass(ms: number, inside: boolean, found: Found = {}): this {
        for (const end_ms = this.now_ms + ms; this.now_ms < end_ms; this.now_ms += LOOK_MS) {
            const { now, ask } = look(this.measuring, inside, found, this.now_ms);
            this.measuring = now;
            if (ask) this.asked_ms.push(this.now_ms);
        }
        return this;
    }

    get givenUp(): Figure[] {
        return [...givenUp(this.measuring, this.now_ms)];
    }
}

test("the server is not asked for figures before one is in the room, and not before it has some", () => {
    const watch = new Watch().pass(60_000, false);
    assert.deepEqual(watch.asked_ms, []);
    const in_ms = watch.now_ms;
    watch.pass(10_000, true);
    assert.deepEqual(
        watch.asked_ms.map((ms) => ms - in_ms),
        [3_000, 6_000, 9_000],
    );
    assert.equal(watch.asked_ms[0], in_ms + FIRST_ASKED_MS);
});

test("after a break the server may be another one, which has no figures yet", () => {
    const watch = new Watch().pass(10_000, true).pass(1_000, false);
    const back_ms = watch.now_ms;
    watch.pass(4_000, true);
    assert.equal(watch.asked_ms.filter((ms) => ms >= back_ms)[0], back_ms + FIRST_ASKED_MS);
});

test("a figure without a value is given up after a while, and not before", () => {
    const found = { mouth_to_ear: null, round_trip: 12, codec: undefined };
    const watch = new Watch().pass(GIVEN_UP_MS - LOOK_MS, true, found);
    assert.deepEqual(watch.givenUp, []);
    watch.pass(LOOK_MS, true, found);
    assert.deepEqual(watch.givenUp, ["mouth_to_ear", "codec"]);
});

test("time outside does not count", () => {
    const watch = new Watch().pass(10 * GIVEN_UP_MS, false, { codec: null }).pass(1_000, true, { codec: null });
    assert.deepEqual(watch.givenUp, []);
    watch.pass(GIVEN_UP_MS, true, { codec: null }).pass(1_000, false, { codec: null });
    assert.deepEqual(watch.givenUp, []);
});

test("a figure that comes late is shown, and waited for anew when it goes", () => {
    const watch = new Watch().pass(2 * GIVEN_UP_MS, true, { codec: null });
    assert.deepEqual(watch.givenUp, ["codec"]);
    watch.pass(1_000, true, { codec: "opus" });
    assert.deepEqual(watch.givenUp, []);
    watch.pass(GIVEN_UP_MS - LOOK_MS, true, { codec: null });
    assert.deepEqual(watch.givenUp, []);
});

test("nothing is missing that makes no sense: who comes to somebody alone is waited for from then on", () => {
    const watch = new Watch()
        .pass(10 * GIVEN_UP_MS, true, {})
        .pass(GIVEN_UP_MS - LOOK_MS, true, { mouth_to_ear: null });
    assert.deepEqual(watch.givenUp, []);
    watch.pass(LOOK_MS, true, { mouth_to_ear: null });
    assert.deepEqual(watch.givenUp, ["mouth_to_ear"]);
});
