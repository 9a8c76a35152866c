/** How good the connection is: figures out of RTCStats, and what to say of them. Pure. */
import type { ServerQuality } from "../api";

/** Counters as they stand at one moment, out of `RTCPeerConnection.getStats()`. */
export type Counters = {
    readonly at_ms: number;
    readonly packets: number;
    readonly lost: number;
    /** Samples, of which `concealed` were made up because their packets had not come. */
    readonly samples: number;
    readonly concealed: number;
    /** Seconds that all samples together have waited in the jitter buffer, and how many have left it. */
    readonly waited_s: number;
    readonly emitted: number;
    readonly round_trip_ms: number | null;
};

/** Of the last seconds. Null where nothing was measured. */
export type Figures = {
    readonly loss_percent: number | null;
    readonly concealed_percent: number | null;
    readonly buffer_ms: number | null;
    readonly round_trip_ms: number | null;
};

export type Grade = "good" | "fair" | "poor";
export type Verdict = { readonly grade: Grade | null; readonly words: string; readonly advice: string };

type Stat = { readonly type: string; readonly timestamp: number } & Record<string, unknown>;

/** Null until something was received. Chromium and Firefox name the same things (webrtc-stats), but not all of them. */
export function counters(stats: Iterable<Stat>): Counters | null {
    let inbound: Stat | undefined;
    let round_trip_s: number | null = null;
    let remote_s: number | null = null;
    for (const stat of stats) {
        if (stat.type === "inbound-rtp" && stat.kind === "audio") inbound = stat;
        if (stat.type === "candidate-pair" && stat.nominated === true && stat.state === "succeeded")
            round_trip_s = number(stat.currentRoundTripTime);
        if (stat.type === "remote-inbound-rtp" && stat.kind === "audio") remote_s = number(stat.roundTripTime);
    }
    if (!inbound) return null;
    const round_trip = round_trip_s ?? remote_s;
    return {
        at_ms: inbound.timestamp,
        packets: number(inbound.packetsReceived) ?? 0,
        lost: number(inbound.packetsLost) ?? 0,
        samples: number(inbound.totalSamplesReceived) ?? 0,
        concealed: (number(inbound.concealedSamples) ?? 0) - (number(inbound.silentConcealedSamples) ?? 0),
        waited_s: number(inbound.jitterBufferDelay) ?? 0,
        emitted: number(inbound.jitterBufferEmittedCount) ?? 0,
        round_trip_ms: round_trip === null ? null : round_trip * 1000,
    };
}

/** What happened between two moments. */
export function figures(before: Counters, now: Counters): Figures {
    const packets = now.packets - before.packets;
    const lost = Math.max(0, now.lost - before.lost);
    const samples = now.samples - before.samples;
    const emitted = now.emitted - before.emitted;
    return {
        loss_percent: packets + lost > 0 ? (100 * lost) / (packets + lost) : null,
        concealed_percent: samples > 0 ? (100 * Math.max(0, now.concealed - before.concealed)) / samples : null,
        buffer_ms: emitted > 0 ? (1000 * (now.waited_s - before.waited_s)) / emitted : null,
        round_trip_ms: now.round_trip_ms,
    };
}

/** Conversation suffers from here on (ITU-T G.114), and is hard from there on. */
const DELAY_FAIR_MS = 300;
const DELAY_POOR_MS = 500;
/** Of sound that had to be made up: heard by the attentive, heard by all. */
const GAPS_FAIR_PERCENT = 3;
const GAPS_POOR_PERCENT = 8;

/**
 * The worse of what the page sees and what the server sees, in plain words. The server does not know how long this
 * browser keeps sound back before it plays it: that is added. `givenUp`: nothing was measured for too long.
 */
export function verdict(here: Figures | null, server: ServerQuality | null, givenUp = false): Verdict {
    const delay_ms = server?.mouth_to_ear_ms == null ? null : server.mouth_to_ear_ms + (here?.buffer_ms ?? 0);
    const behind = delay_ms === null ? "" : `, about ${roundedDelay(delay_ms)} ms behind`;
    const hearing = gapGrade(here?.concealed_percent ?? here?.loss_percent ?? null);
    const speaking = gapGrade(server?.loss_percent ?? null);
    const delay = delay_ms === null ? null : delay_ms > DELAY_POOR_MS ? 2 : delay_ms > DELAY_FAIR_MS ? 1 : 0;
    const score = server?.words ? { excellent: 0, good: 0, fair: 1, poor: 2, bad: 2 }[server.words] : null;
    const known = [hearing, speaking, delay, score].filter((value) => value !== null);
    if (known.length === 0) return { grade: null, words: givenUp ? "Can't be measured" : "Measuring…", advice: "" };
    const worst = Math.max(...known);
    const grade = (["good", "fair", "poor"] as const)[worst] ?? "poor";
    return { grade, words: `${WORDS[grade]}${behind}`, advice: worst === 0 ? "" : advice(hearing, speaking, delay) };
}

const WORDS: Record<Grade, string> = { good: "Good", fair: "Fair", poor: "Poor" };

function advice(hearing: number | null, speaking: number | null, delay: number | null): string {
    if (hearing) return "Some of what the others say does not get through to you. A better network would help.";
    if (speaking) return "Some of what you say does not get through to the others. A better network would help.";
    if (delay) return "The way to the others is long: leave a short pause before you speak.";
    return "The sound may not be clear.";
}

function gapGrade(percent: number | null): number | null {
    if (percent === null) return null;
    return percent > GAPS_POOR_PERCENT ? 2 : percent > GAPS_FAIR_PERCENT ? 1 : 0;
}

/** Nobody hears 3 ms: to tens. */
function roundedDelay(ms: number): number {
    return Math.max(10, Math.round(ms / 10) * 10);
}

function number(value: unknown): number | null {
    return typeof value === "number" && Number.isFinite(value) ? value : null;
}
