/**
 * When to ask the server how the connection is, and when to stop hoping for a figure: a machine without I/O. Time is an
 * argument.
 */

export type Figure = "mouth_to_ear" | "round_trip" | "buffer" | "loss_here" | "loss_there" | "codec" | "verdict";
/** What was looked for, and found. A figure that makes no sense just now has no key; null is one that is missing. */
export type Found = Readonly<Partial<Record<Figure, unknown>>>;

export type Measuring = {
    /** In the room, with media that flows and a server that answers, without a break since then. */
    readonly since_ms: number;
    readonly asked_ms: number | null;
    readonly missing_since_ms: Readonly<Partial<Record<Figure, number>>>;
};

/**
 * The server asks its media engine every two seconds. Before the first answer it has nothing to tell of a call, and a
 * browser writes every refusal into its console.
 */
export const FIRST_ASKED_MS = 3_000;
const ASKED_EVERY_MS = 3_000;

/**
 * The slowest figure is a round trip that is measured by RTCP: a report there and a report back, each of which may take
 * 6.2 s to leave (RFC 3550 section 6.3.1). Then the server looks every 2 s and the page every 3 s: 17.4 s together.
 */
export const GIVEN_UP_MS = 20_000;

/** `inside`: in the room, with all that is needed to measure. `ask`: it is time to. */
export function look(
    before: Measuring | null,
    inside: boolean,
    found: Found,
    now_ms: number,
): { readonly now: Measuring | null; readonly ask: boolean } {
    if (!inside) return { now: null, ask: false };
    const { since_ms, asked_ms, missing_since_ms } = before ?? {
        since_ms: now_ms,
        asked_ms: null,
        missing_since_ms: {},
    };
    const ask = now_ms - since_ms >= FIRST_ASKED_MS && now_ms - (asked_ms ?? since_ms) >= ASKED_EVERY_MS;
    const missing: Partial<Record<Figure, number>> = {};
    for (const figure of Object.keys(found) as Figure[])
        if (found[figure] == null) missing[figure] = missing_since_ms[figure] ?? now_ms;
    return { now: { since_ms, asked_ms: ask ? now_ms : asked_ms, missing_since_ms: missing }, ask };
}

/** Those for which he need not wait any longer. They may come all the same. */
export function givenUp(measuring: Measuring | null, now_ms: number): ReadonlySet<Figure> {
    const all = Object.entries(measuring?.missing_since_ms ?? {}) as [Figure, number][];
    return new Set(all.filter(([, since_ms]) => now_ms - since_ms >= GIVEN_UP_MS).map(([figure]) => figure));
}
