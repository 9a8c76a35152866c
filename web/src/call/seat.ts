/**
 * The seat of this tab: a random name under which the server finds the call again when the page is loaded anew.
 *
 * It lives in sessionStorage, which a duplicated tab gets a copy of; a lock makes sure that only one of them has it.
 */
import { keep, kept } from "../storage";

export type Seat = {
    readonly id: string;
    /** REST path of the call in which he was inside when the page went away. */
    readonly call: string | null;
    readonly name: string;
    readonly muted: boolean;
    readonly listening: boolean;
};

/** Who comes back after longer than this has forgotten that he was in a call: he is asked first. */
const RETURN_MS = 60_000;
/** An old page that is still closing holds the lock for this long at most. */
const LOCK_MS = 700;

export class SeatStore {
    private constructor(
        private readonly key: string,
        private seat: Seat,
    ) {
        addEventListener("pagehide", () => this.save({}));
    }

    static async open(conference: string): Promise<SeatStore> {
        const key = `plenary.seat.${conference}`;
        const before = read(key);
        const seat = before && (await isOurs(before.id)) ? before : fresh();
        if (seat !== before) void isOurs(seat.id);
        return new SeatStore(key, seat);
    }

    get value(): Seat {
        return this.seat;
    }

    save(changes: Partial<Seat>): void {
        this.seat = { ...this.seat, ...changes };
        keep("session", this.key, JSON.stringify({ ...this.seat, at_ms: Date.now() }));
    }

    /** The next join is a new one. */
    renew(): void {
        const { name, muted, listening } = this.seat;
        this.save({ ...fresh(), name, muted, listening });
        void isOurs(this.seat.id);
    }
}

function fresh(): Seat {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const id = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return { id, call: null, name: "", muted: false, listening: false };
}

function read(key: string): Seat | null {
    try {
        const before = JSON.parse(kept("session", key) ?? "null") as (Seat & { at_ms: number }) | null;
        return before && { ...before, call: Date.now() - before.at_ms < RETURN_MS ? before.call : null };
    } catch {
        return null;
    }
}

/** Takes the seat's lock, which is held as long as the page lives. */
function isOurs(id: string): Promise<boolean> {
    const { locks } = navigator;
    if (!locks) return Promise.resolve(true);
    return new Promise((resolve) => {
        const signal = AbortSignal.timeout(LOCK_MS);
        locks
            .request(`plenary.${id}`, { signal }, () => {
                resolve(true);
                return new Promise(() => undefined);
            })
            .catch(() => resolve(false));
    });
}
