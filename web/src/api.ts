/** What the page asks its server. Every answer is a value or a problem; nothing here throws. */

/** RFC 9457, and `code` "unreachable" (status 0) where no answer came at all. */
export type Problem = { readonly status: number; readonly code: string; readonly detail: string };
export type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };

export type Scope = "join" | "publish" | "roster" | "digits" | "mute_others";

/** What the link is good for. */
export type Invitation = {
    readonly conference_id: string;
    readonly conference_name: string;
    readonly conference_status: string;
    readonly name: string;
    readonly role: string;
    readonly scopes: readonly Scope[];
    readonly webrtc: boolean;
};

export type Participant = {
    readonly id: string;
    readonly name: string;
    readonly kind: "web" | "phone";
    readonly role: string;
    readonly talking: boolean;
    readonly muted: boolean;
    readonly level_dbfs: number | null;
    readonly you: boolean;
};

export type You = {
    readonly call_id: string;
    readonly state: "connecting" | "entering" | "in_room" | "after" | "over";
    readonly muted: boolean;
    readonly can_unmute: boolean;
    readonly reconnect: boolean;
    readonly recorded: boolean;
    readonly reason: string;
};

export type Roster = {
    readonly version: string;
    readonly total: number;
    readonly participants: readonly Participant[];
    readonly you: You | null;
};

/** Milliseconds; null where nothing was measured. */
export type ServerQuality = {
    readonly codec: string | null;
    readonly sample_rate_hz: number | null;
    readonly mouth_to_ear_ms: number | null;
    readonly loss_percent: number | null;
    readonly words: "excellent" | "good" | "fair" | "poor" | "bad" | null;
};

/** A server that has not answered after this long is away. */
const REQUEST_MS = 8_000;
/** A try to come back: the next one may have a better network. */
export const RETURN_REQUEST_MS = 4_000;
/** What a long poll waits for. Below what proxies usually allow. */
const POLL_S = 25;

export class Api {
    constructor(private readonly token: string) {}

    invitation(): Promise<Answer<Invitation>> {
        return this.json("GET", "/v1.0/join");
    }

    /** POSTs an offer; `location` is the call that later requests name. Can't be taken back: see `Booking`. */
    async join(
        conference: string,
        offer: string,
        seat: string,
        name: string,
        again: boolean,
    ): Promise<Answer<{ answer: string; location: string }>> {
        const query = name ? `?name=${encodeURIComponent(name)}` : "";
        const got = await this.fetch("POST", `/v1.0/conferences/${conference}/join${query}`, {
            sdp: offer,
            headers: { Seat: seat },
            patience_ms: again ? RETURN_REQUEST_MS : REQUEST_MS,
        });
        if (!got.ok) return got;
        const location = got.value.headers.get("Location");
        const answer = await text(got.value);
        if (!answer.ok) return answer;
        if (!location) return unreachable();
        return {
            ok: true,
            value: { answer: answer.value, location: new URL(location, window.location.href).pathname },
        };
    }

    /** PATCHes an offer of an ICE restart. */
    async restart(location: string, offer: string, signal: AbortSignal): Promise<Answer<string>> {
        const got = await this.fetch("PATCH", location, { sdp: offer, signal, patience_ms: RETURN_REQUEST_MS });
        return got.ok ? text(got.value) : got;
    }

    /** Also while the page is closing. */
    async leave(location: string): Promise<void> {
        await this.fetch("DELETE", location, { keepalive: true });
    }

    /** Who is there; with `since`, once it is different from then. */
    participants(
        conference: string,
        call: string | null,
        since: string | null,
        signal: AbortSignal,
    ): Promise<Answer<Roster>> {
        const query = new URLSearchParams();
        if (call) query.set("call_id", call);
        if (since) {
            query.set("since", since);
            query.set("wait_s", String(POLL_S));
        }
        return this.json("GET", `/v1.0/conferences/${conference}/participants?${query}`, {
            signal,
            patience_ms: REQUEST_MS + (since ? POLL_S * 1000 : 0),
        });
    }

    mute(location: string, muted: boolean): Promise<Answer<You>> {
        return this.json("POST", `${location}/${muted ? "mute" : "unmute"}`);
    }

    async digits(location: string, digits: string): Promise<Answer<null>> {
        const got = await this.fetch("POST", `${location}/digits`, { json: { digits } });
        return got.ok ? { ok: true, value: null } : got;
    }

    quality(location: string): Promise<Answer<ServerQuality>> {
        return this.json("GET", `${location}/quality`);
    }

    async muteOther(participant: string): Promise<Answer<null>> {
        const got = await this.fetch("POST", `/v1.0/conferencecalls/${participant}/mute`);
        return got.ok ? { ok: true, value: null } : got;
    }

    private async json<T>(method: string, path: string, options: Options = {}): Promise<Answer<T>> {
        const got = await this.fetch(method, path, options);
        if (!got.ok) return got;
        try {
            return { ok: true, value: (await got.value.json()) as T };
        } catch {
            return unreachable();
        }
    }

    private async fetch(method: string, path: string, options: Options = {}): Promise<Answer<Response>> {
        const headers: Record<string, string> = { Authorization: `Bearer ${this.token}`, ...options.headers };
        const request: RequestInit = { method, headers, cache: "no-store", keepalive: options.keepalive ?? false };
        if (options.sdp !== undefined) {
            headers["Content-Type"] = "application/sdp";
            request.body = options.sdp;
        } else if (options.json !== undefined) {
            headers["Content-Type"] = "application/json";
            request.body = JSON.stringify(options.json);
        }
        const impatience = new AbortController();
        request.signal = impatience.signal;
        const abort = () => impatience.abort();
        const timer = setTimeout(abort, options.patience_ms ?? REQUEST_MS);
        options.signal?.addEventListener("abort", abort);
        try {
            const response = await fetch(path, request);
            return response.ok ? { ok: true, value: response } : { ok: false, problem: await problemOf(response) };
        } catch {
            return unreachable();
        } finally {
            clearTimeout(timer);
            options.signal?.removeEventListener("abort", abort);
        }
    }
}

type Options = {
    readonly headers?: Record<string, string>;
    readonly sdp?: string;
    readonly json?: unknown;
    readonly signal?: AbortSignal;
    readonly patience_ms?: number;
    readonly keepalive?: boolean;
};

async function problemOf(response: Response): Promise<Problem> {
    const { status } = response;
    try {
        const { code, detail } = (await response.json()) as Partial<Problem>;
        return { status, code: code ?? `http_${status}`, detail: detail ?? "" };
    } catch {
        // A proxy in between: it speaks for a server that is away.
        return { status, code: status >= 500 ? "unreachable" : `http_${status}`, detail: "" };
    }
}

async function text(response: Response): Promise<Answer<string>> {
    try {
        return { ok: true, value: await response.text() };
    } catch {
        return unreachable();
    }
}

function unreachable(): { ok: false; problem: Problem } {
    return { ok: false, problem: { status: 0, code: "unreachable", detail: "" } };
}
