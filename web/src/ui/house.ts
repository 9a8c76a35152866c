/** All that the page is made of, put together once the link turned out to be good. */
import { effect, signal } from "@preact/signals";
import type { Api, Invitation } from "../api";
import { Call } from "../call/call";
import { Measurements } from "../call/measurements";
import { Roster } from "../call/roster";
import { SeatStore } from "../call/seat";
import { loudness } from "../sound/level";
import { Microphone } from "../sound/microphone";
import { Speaker } from "../sound/speaker";
import { keep, kept } from "../storage";
import { announce, hush } from "./announcer";
import { stayAwake } from "./awake";

const SHORTCUTS = "plenary.shortcuts";
/** Louder than this is speech; for half a second, and it was meant. */
const SPEAKING_DB = -38;
const SPEAKING_MS = 500;
/** The hint stays for this long. */
const HINT_MS = 4_000;

export class House {
    readonly microphone = new Microphone();
    readonly speaker = new Speaker();
    readonly call: Call;
    readonly roster: Roster;
    readonly measurements: Measurements;
    /** Single keys do something (WCAG 2.1.4: they can be switched off). */
    readonly shortcuts = signal(kept("local", SHORTCUTS) !== "off");
    /** He speaks although he is muted. */
    readonly unheard = signal(false);

    private constructor(
        readonly api: Api,
        readonly invitation: Invitation,
        readonly seat: SeatStore,
    ) {
        this.call = new Call(api, invitation, seat, this.microphone, this.speaker);
        this.roster = new Roster(api, invitation, this.call);
        this.measurements = new Measurements(api, this.call, this.roster);
        this.watchForUnheardSpeech();
        this.announceChanges();
        stayAwake(this.call.isIn);
    }

    static async open(api: Api, invitation: Invitation): Promise<House> {
        const house = new House(api, invitation, await SeatStore.open(invitation.conference_id));
        if (house.seat.value.call) void house.call.return();
        return house;
    }

    get name(): string {
        return this.invitation.name || this.seat.value.name;
    }

    setShortcuts(on: boolean): void {
        this.shortcuts.value = on;
        keep("local", SHORTCUTS, on ? "on" : "off");
    }

    private watchForUnheardSpeech(): void {
        let since_ms: number | null = null;
        let hint: ReturnType<typeof setTimeout> | undefined;
        effect(() => {
            const loud = this.microphone.level_db.value > SPEAKING_DB;
            if (!this.call.muted.value || this.call.pushed.value || !this.call.isIn.value) {
                since_ms = null;
                clearTimeout(hint);
                this.unheard.value = false;
                return;
            }
            if (!loud) return;
            const now_ms = performance.now();
            since_ms = since_ms !== null && now_ms - since_ms < 2 * SPEAKING_MS ? since_ms : now_ms;
            if (now_ms - since_ms < SPEAKING_MS) return;
            this.unheard.value = true;
            since_ms = now_ms;
            clearTimeout(hint);
            hint = setTimeout(() => {
                this.unheard.value = false;
            }, HINT_MS);
        });
    }

    private announceChanges(): void {
        effect(() => {
            const { came, left } = this.roster.change.value;
            if (!this.call.isIn.peek()) return;
            if (came.length) announce(`${came.join(", ")} came in`);
            if (left.length) announce(`${left.join(", ")} left`);
        });
        let wasUp = false;
        effect(() => {
            const { at } = this.call.link.value;
            if (at === "up" && !wasUp) announce("Connected");
            if (wasUp && at !== "up" && this.call.isIn.value) announce("Connection lost, trying again");
            wasUp = at === "up";
            // The page that says why it is over is all that is left to be read.
            if (at === "over") hush();
        });
        effect(() => {
            const muted = this.call.muted.value;
            if (this.call.isIn.peek()) announce(muted ? "You are muted" : "You can be heard");
        });
    }
}

/** 0 … 1 of the own voice. */
export function ownLoudness(house: House): number {
    return loudness(house.microphone.level_db.value);
}
