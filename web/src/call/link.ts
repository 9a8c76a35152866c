/**
 * The way of a page into a conference, and back into its seat, as a machine without I/O.
 *
 *   out ──join──▶ asking ──answered──▶ connecting ──up──▶ up ──leave, over──▶ over
 *    ▲              │ refused             │ timeout         │ down, moved
 *    └──────────────┴─────────────────────┘                 ▼
 *                                                       restarting ──answered──▶ restarted ──up──▶ up
 *                                                           │ failed                 │ timeout
 *                   asking (again) ◀──timeout, moved── waiting ◀────────────────────┘
 *
 * A connection that was lost is tried with an ICE restart first (RFC 8445 section 2.4: same call, same keys), then with
 * a new connection for the same seat. Who was inside once is never thrown back to the door by a bad network: he waits.
 * Each state has one deadline, set as it is entered by the effect `wait`; the machine holds no clock.
 */
import type { Problem, You } from "../api";

/** Why it is over: "left" is the person's own wish, others are reasons of the server or codes of its problems. */
export type Ending = string;

export type Link =
    | { readonly at: "out"; readonly trouble: Problem | null }
    /** An offer was sent. `again`: he was inside before. */
    | { readonly at: "asking"; readonly again: boolean; readonly tries: number }
    /** Answered; no media yet. */
    | { readonly at: "connecting"; readonly again: boolean; readonly tries: number }
    | { readonly at: "up" }
    | { readonly at: "restarting" }
    | { readonly at: "restarted" }
    /** Until the next try. */
    | { readonly at: "waiting"; readonly tries: number }
    /** The call is gone; the server is asked why. */
    | { readonly at: "wondering"; readonly tries: number }
    | { readonly at: "over"; readonly why: Ending };

export type LinkEvent =
    | { readonly is: "join" }
    /** The page was loaded anew. */
    | { readonly is: "return" }
    | { readonly is: "answered" }
    | { readonly is: "refused"; readonly problem: Problem }
    /** Media flows. */
    | { readonly is: "up" }
    /** It does so no more. */
    | { readonly is: "down" }
    /** The network is another one, or back. */
    | { readonly is: "moved" }
    | { readonly is: "timeout" }
    | { readonly is: "told"; readonly you: You | null }
    | { readonly is: "leave" };

export type Effect =
    | { readonly do: "post"; readonly again: boolean }
    | { readonly do: "patch" }
    /** Hangs up, also a call that the server is only just letting in. */
    | { readonly do: "delete" }
    /** Asks the server for `you`; answered by `told`. */
    | { readonly do: "ask" }
    /** Ends the connection. */
    | { readonly do: "close" }
    /** Forgets the seat: the next join is a new one. */
    | { readonly do: "forget" }
    /** `timeout` after so many ms, in place of the one before; null: none. */
    | { readonly do: "wait"; readonly ms: number | null };

/** A network that lets media through does so within this time. */
export const BLOCKED_MS = 8_000;
/** Of somebody who has been inside: his network lets media through. */
export const RETURN_MS = 4_000;
/** Of a restart: then a new connection is the better try. */
export const RESTART_MS = 2_500;
/** Between tries, by their number; the last one for ever: the person may leave at any time. */
const PAUSES_MS = [200, 500, 1_000, 2_000, 4_000];

/** Problems that no try can cure. */
const FINAL = new Set([
    "authentication_required",
    "invalid_credentials",
    "token_expired",
    "token_revoked",
    "token_wrong_conference",
    "conference_not_found",
    "conference_terminated",
    "conference_terminating",
]);
const GONE = new Set(["call_not_found", "call_over"]);
/** Ends that were nobody's wish: he goes back in. */
const UNWANTED = new Set(["media_lost"]);

export function isFinal(problem: Problem): boolean {
    return FINAL.has(problem.code);
}

/** Whether the person is, or will be again without doing anything, in the conference. */
export function isIn(link: Link): boolean {
    return link.at !== "out" && link.at !== "over" && !isFirst(link);
}

/** Whether he is on his way in for the first time. */
export function isFirst(link: Link): boolean {
    return (link.at === "asking" || link.at === "connecting") && !link.again;
}

export function step(link: Link, event: LinkEvent): readonly [Link, readonly Effect[]] {
    if (link.at === "out" || link.at === "over") return atTheDoor(link, event);
    switch (event.is) {
        case "leave":
            return hungUp({ at: "over", why: "left" });
        case "told":
            return told(link, event.you);
        case "refused":
            return refused(link, event.problem);
        case "answered":
            if (link.at === "asking")
                return [{ ...link, at: "connecting" }, [wait(link.again ? RETURN_MS : BLOCKED_MS)]];
            return link.at === "restarting" ? [{ at: "restarted" }, [wait(RESTART_MS)]] : [link, []];
        case "up":
            return link.at === "connecting" || link.at === "restarted" || link.at === "waiting"
                ? [{ at: "up" }, [wait(null)]]
                : [link, []];
        case "down":
        case "moved":
            return event.is === "moved" && link.at === "waiting" ? askAgain(link.tries) : lost(link, event.is);
        case "timeout":
            if (link.at === "waiting" || link.at === "wondering") return askAgain(link.tries);
            return link.at === "restarted" ? askAgain(0) : lost(link, "timeout");
        case "join":
        case "return":
            return [link, []];
    }
}

function atTheDoor(link: Link, event: LinkEvent): readonly [Link, readonly Effect[]] {
    if (event.is !== "join" && event.is !== "return") return [link, []];
    const again = event.is === "return";
    return [{ at: "asking", again, tries: 0 }, [wait(null), { do: "post", again }]];
}

function lost(link: Link, how: "down" | "moved" | "timeout"): readonly [Link, readonly Effect[]] {
    if (link.at === "up") return [{ at: "restarting" }, [wait(null), { do: "patch" }]];
    if (link.at !== "connecting" || how === "moved") return [link, []];
    if (link.again) return pause(link.tries);
    const trouble = { status: 0, code: "media_blocked", detail: "" };
    return hungUp({ at: "out", trouble });
}

function refused(link: Link, problem: Problem): readonly [Link, readonly Effect[]] {
    if (link.at !== "asking" && link.at !== "restarting") return [link, []];
    if (isFinal(problem)) return over(problem.code);
    if (GONE.has(problem.code)) return [{ at: "wondering", tries: 0 }, [wait(RESTART_MS), { do: "ask" }]];
    if (link.at === "restarting") return problem.code === "unreachable" ? pause(0) : askAgain(0);
    if (link.again) return pause(link.tries);
    return [{ at: "out", trouble: problem }, [wait(null), { do: "close" }]];
}

function told(link: Link, you: You | null): readonly [Link, readonly Effect[]] {
    // Who is asking may be let in all the same, into a new call.
    if (you?.state === "over" && !UNWANTED.has(you.reason))
        return link.at === "asking" ? hungUp({ at: "over", why: you.reason }) : over(you.reason);
    if (link.at === "wondering") return askAgain(link.tries);
    const inside = link.at === "up" || link.at === "restarting" || link.at === "restarted";
    return inside && (you?.reconnect || you?.state === "over") ? askAgain(0) : [link, []];
}

function hungUp(next: Link): readonly [Link, readonly Effect[]] {
    return [next, [wait(null), { do: "delete" }, { do: "close" }, { do: "forget" }]];
}

function over(why: Ending): readonly [Link, readonly Effect[]] {
    return [{ at: "over", why }, [wait(null), { do: "close" }, { do: "forget" }]];
}

function askAgain(tries: number): readonly [Link, readonly Effect[]] {
    return [{ at: "asking", again: true, tries: tries + 1 }, [wait(null), { do: "post", again: true }]];
}

function pause(tries: number): readonly [Link, readonly Effect[]] {
    return [{ at: "waiting", tries }, [wait(PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)] ?? null)]];
}

function wait(ms: number | null): Effect {
    return { do: "wait", ms };
}
