/** Who is there: asked again and again, each question waiting at the server until something is different. */
import { computed, effect, signal } from "@preact/signals";
import type { Api, Invitation, Participant } from "../api";
import type { Call } from "./call";

/** After a question without an answer. */
const PAUSE_MS = [500, 1_000, 2_000, 5_000];

export type Change = { readonly came: readonly string[]; readonly left: readonly string[] };

export class Roster {
    readonly participants = signal<readonly Participant[]>([]);
    readonly total = signal(0);
    /** The server does not answer; the sound may well go on. */
    readonly away = signal(false);
    /** Names of who came and left with the last answer, without oneself. */
    readonly change = signal<Change>({ came: [], left: [] });
    private asking = new AbortController();

    constructor(
        private readonly api: Api,
        private readonly invitation: Invitation,
        private readonly call: Call,
    ) {
        // Another call, another question.
        const isOver = computed(() => call.link.value.at === "over");
        effect(() => {
            const id = call.id.value;
            const over = isOver.value;
            this.asking.abort();
            this.asking = new AbortController();
            if (!over) void this.ask(id, this.asking.signal);
        });
    }

    private async ask(id: string | null, signal: AbortSignal): Promise<void> {
        let since: string | null = null;
        let failures = 0;
        while (!signal.aborted) {
            const got = await this.api.participants(this.invitation.conference_id, id, since, signal);
            if (signal.aborted) return;
            this.away.value = !got.ok && failures > 0;
            if (!got.ok) {
                since = null;
                await sleep(PAUSE_MS[Math.min(failures, PAUSE_MS.length - 1)] ?? 0);
                failures += 1;
                continue;
            }
            failures = 0;
            since = got.value.version;
            this.change.value = changes(this.participants.peek(), got.value.participants);
            this.participants.value = got.value.participants;
            this.total.value = got.value.total;
            if (got.value.you) this.call.told(got.value.you);
        }
    }
}

export function changes(before: readonly Participant[], now: readonly Participant[]): Change {
    const others = (list: readonly Participant[], without: readonly Participant[]) => {
        const known = new Set(without.map((each) => each.id));
        return list.filter((each) => !each.you && !known.has(each.id)).map((each) => each.name);
    };
    return { came: others(now, before), left: others(before, now) };
}

function sleep(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
}
