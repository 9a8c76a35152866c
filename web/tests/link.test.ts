import assert from "node:assert/strict";
import test from "node:test";
import type { Problem, You } from "../src/api";
import { BLOCKED_MS, type Effect, type Link, type LinkEvent, step } from "../src/call/link";

const problem = (code: string): Problem => ({ status: 0, code, detail: "" });
const you = (changes: Partial<You> = {}): You => ({
    call_id: "",
    state: "in_room",
    muted: false,
    can_unmute: true,
    reconnect: false,
    recorded: false,
    reason: "",
    ...changes,
});
const OUT: Link = { at: "out", trouble: null };
const UP: Link = { at: "up" };
const refused = (code: string): LinkEvent => ({ is: "refused", problem: problem(code) });
const told = (changes: Partial<You> = {}): LinkEvent => ({ is: "told", you: you(changes) });
const over = (reason: string) => told({ state: "over", reason });

/** The state after all of `events`, and what was to be done on the way. */
function after(link: Link, ...events: LinkEvent[]): { link: Link; done: Effect[] } {
    const done: Effect[] = [];
    let now = link;
    for (const event of events) {
        const [next, effects] = step(now, event);
        now = next;
        done.push(...effects);
    }
    return { link: now, done };
}

const verbs = (effects: readonly Effect[]) => effects.map((each) => each.do).filter((each) => each !== "wait");

test("who joins is asked in, connected, and inside", () => {
    const { link, done } = after(OUT, { is: "join" }, { is: "answered" }, { is: "up" });
    assert.deepEqual(link, UP);
    assert.deepEqual(verbs(done), ["post"]);
});

test("a network that lets no media through in time is named, and the seat given back", () => {
    const { link, done } = after(OUT, { is: "join" }, { is: "answered" }, { is: "timeout" });
    assert.deepEqual(link, { at: "out", trouble: problem("media_blocked") });
    assert.deepEqual(verbs(done), ["post", "delete", "close", "forget"]);
    assert.ok(done.some((each) => each.do === "wait" && each.ms === BLOCKED_MS));
});

test("what the server refuses at the first try is told at the door", () => {
    assert.deepEqual(after(OUT, { is: "join" }, refused("conference_full")).link, {
        at: "out",
        trouble: problem("conference_full"),
    });
});

test("a link that has expired is the end, whenever it is noticed", () => {
    for (const events of [[{ is: "join" }], [{ is: "return" }]] as LinkEvent[][])
        assert.deepEqual(after(OUT, ...events, refused("token_expired")).link, { at: "over", why: "token_expired" });
});

test("lost media is sought by an ICE restart, then by a new connection in the same seat", () => {
    const restart = after(UP, { is: "down" });
    assert.deepEqual(verbs(restart.done), ["patch"]);
    assert.deepEqual(after(restart.link, { is: "answered" }, { is: "up" }).link, UP);
    assert.deepEqual(verbs(after(restart.link, { is: "answered" }, { is: "timeout" }).done), ["post"]);
    assert.deepEqual(verbs(after(restart.link, refused("media_lost")).done), ["post"]);
});

test("another network is a reason for an ICE restart before anything is lost", () => {
    assert.deepEqual(verbs(after(UP, { is: "moved" }).done), ["patch"]);
});

test("who was inside waits for ever, each time a little longer", () => {
    let { link } = after(UP, { is: "down" }, refused("unreachable"));
    const pauses: (number | null)[] = [];
    for (let i = 0; i < 7; i += 1) {
        const tried = after(link, { is: "timeout" }, refused("unreachable"));
        assert.equal(tried.link.at, "waiting");
        pauses.push(...tried.done.flatMap((each) => (each.do === "wait" && each.ms !== null ? [each.ms] : [])));
        link = tried.link;
    }
    assert.deepEqual(pauses, [500, 1_000, 2_000, 4_000, 4_000, 4_000, 4_000]);
});

test("a network that is back ends the waiting at once", () => {
    const { link } = after(UP, { is: "down" }, refused("unreachable"));
    assert.deepEqual(verbs(after(link, { is: "moved" }).done), ["post"]);
});

test("media that comes back by itself while waiting is good enough", () => {
    assert.deepEqual(after(UP, { is: "down" }, refused("unreachable"), { is: "up" }).link, UP);
});

test("a server whose engine was started again gets a new connection at once", () => {
    assert.deepEqual(verbs(after(UP, told({ reconnect: true })).done), ["post"]);
});

test("who was taken out while his network was gone does not walk in again", () => {
    const gone = after(UP, { is: "down" }, refused("call_over"));
    assert.deepEqual(verbs(gone.done), ["patch", "ask"]);
    assert.deepEqual(after(gone.link, over("kicked")).link, { at: "over", why: "kicked" });
    assert.deepEqual(verbs(after(gone.link, over("media_lost")).done), ["post"]);
    assert.deepEqual(verbs(after(gone.link, { is: "told", you: null }).done), ["post"]);
    assert.deepEqual(verbs(after(gone.link, { is: "timeout" }).done), ["post"]);
});

test("the end of the conference is the end, in every state of the way", () => {
    const inside: Link[] = [UP, { at: "restarting" }, { at: "restarted" }, { at: "waiting", tries: 1 }];
    for (const link of inside)
        assert.deepEqual(after(link, over("conference_deleted")).link, { at: "over", why: "conference_deleted" });
});

test("who leaves hangs up, and can come again to a seat of his own", () => {
    const left = after(UP, { is: "leave" });
    assert.deepEqual(left.link, { at: "over", why: "left" });
    assert.deepEqual(verbs(left.done), ["delete", "close", "forget"]);
    assert.deepEqual(verbs(after(left.link, { is: "join" }).done), ["post"]);
});

test("who leaves hangs up wherever he is on the way, also before the server has answered", () => {
    const ways: Link[] = [
        { at: "asking", again: false, tries: 0 },
        { at: "asking", again: true, tries: 3 },
        { at: "connecting", again: true, tries: 3 },
        { at: "restarting" },
        { at: "waiting", tries: 9 },
        { at: "wondering", tries: 0 },
    ];
    for (const link of ways) assert.deepEqual(verbs(after(link, { is: "leave" }).done), ["delete", "close", "forget"]);
});

test("who learns while he asks again that he was taken out does not stay in a new call", () => {
    const asking = after(UP, told({ reconnect: true }));
    const { link, done } = after(asking.link, over("kicked"));
    assert.deepEqual(link, { at: "over", why: "kicked" });
    assert.deepEqual(verbs(done), ["delete", "close", "forget"]);
});

test("every state bears every event", () => {
    const states: Link[] = [
        OUT,
        { at: "asking", again: false, tries: 0 },
        { at: "asking", again: true, tries: 3 },
        { at: "connecting", again: false, tries: 0 },
        { at: "connecting", again: true, tries: 3 },
        UP,
        { at: "restarting" },
        { at: "restarted" },
        { at: "waiting", tries: 9 },
        { at: "wondering", tries: 0 },
        { at: "over", why: "left" },
    ];
    const events: LinkEvent[] = [
        ...(["join", "return", "answered", "up", "down", "moved", "timeout", "leave"] as const).map((is) => ({ is })),
        ...["unreachable", "token_expired", "call_over", "media_lost", "something_new"].map(refused),
        told(),
        told({ reconnect: true }),
        over("kicked"),
        over("media_lost"),
        { is: "told", you: null },
    ];
    for (const state of states)
        for (const event of events) {
            const [next, effects] = step(state, event);
            // Who is on his way is either waited for by a request, or by a deadline.
            const busy = effects.some((each) => each.do === "post" || each.do === "patch" || each.do === "ask");
            if (next !== state && next.at === "waiting")
                assert.ok(effects.some((each) => each.do === "wait" && each.ms));
            if (next !== state && next.at === "asking") assert.ok(busy);
        }
});
