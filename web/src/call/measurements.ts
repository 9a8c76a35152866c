/** How good the connection is: carries out what `measuring.ts` decides. */
import { computed, effect, signal, untracked } from "@preact/signals";
import type { Api, ServerQuality } from "../api";
import type { Call } from "./call";
import { type Figure, type Found, givenUp, look, type Measuring } from "./measuring";
import { type Figures, type Verdict, verdict } from "./quality";
import type { Roster } from "./roster";

const LOOK_MS = 1_000;

export class Measurements {
    /** Of the last seconds; null: the server has none, or none yet. */
    readonly server = signal<ServerQuality | null>(null);
    /** These can't be measured, as far as one can tell. */
    readonly givenUp = signal<ReadonlySet<Figure>>(new Set());
    readonly here = computed<Figures | null>(() => this.call.peer.value?.figures.value ?? null);
    readonly verdict = computed<Verdict>(() =>
        verdict(this.here.value, this.server.value, this.givenUp.value.has("verdict")),
    );
    /** Nobody who could hear. */
    readonly alone = computed(() => this.roster.total.value <= 1);
    private readonly inside = computed(
        () => this.call.link.value.at === "up" && this.call.you.value?.state === "in_room" && !this.roster.away.value,
    );
    private measuring: Measuring | null = null;

    constructor(
        private readonly api: Api,
        private readonly call: Call,
        private readonly roster: Roster,
    ) {
        effect(() => {
            if (!this.inside.value) this.server.value = null;
            untracked(() => this.look());
        });
        setInterval(() => !document.hidden && this.look(), LOOK_MS);
    }

    private look(): void {
        const now_ms = performance.now();
        const { now, ask } = look(this.measuring, this.inside.peek(), this.found(), now_ms);
        this.measuring = now;
        this.givenUp.value = givenUp(now, now_ms);
        if (ask) void this.ask();
    }

    private found(): Found {
        const [here, server] = [this.here.peek(), this.server.peek()];
        return {
            round_trip: here?.round_trip_ms,
            buffer: here?.buffer_ms,
            loss_here: here?.loss_percent,
            codec: server?.codec,
            verdict: this.verdict.peek().grade,
            ...(this.call.track.peek() && { loss_there: server?.loss_percent }),
            ...(!this.alone.peek() && { mouth_to_ear: server?.mouth_to_ear_ms }),
        };
    }

    private async ask(): Promise<void> {
        const location = this.call.location.peek();
        if (!location) return;
        const got = await this.api.quality(location);
        if (got.ok && location === this.call.location.peek() && this.inside.peek()) this.server.value = got.value;
    }
}
