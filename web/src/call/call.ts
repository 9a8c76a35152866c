/** The person's own call: carries out what the machine of `link.ts` decides, and tells it what happened. */
import { computed, effect, signal, untracked } from "@preact/signals";
import type { Answer, Api, Invitation, Problem, You } from "../api";
import type { Microphone } from "../sound/microphone";
import type { Speaker } from "../sound/speaker";
import { Booking } from "./booking";
import { type Effect, isIn, type Link, type LinkEvent, step } from "./link";
import { Peer } from "./peer";
import type { SeatStore } from "./seat";

/** An answer that was under way when the mute was changed has come by then. */
const SETTLING_MS = 1_000;

export class Call {
    readonly link = signal<Link>({ at: "out", trouble: null });
    readonly isIn = computed(() => isIn(this.link.value));
    /** What the server says of this call. */
    readonly you = signal<You | null>(null);
    /** REST path of the call. */
    readonly location = signal<string | null>(null);
    readonly id = computed(() => this.location.value?.split("/").pop() ?? null);
    /** What the person wants; the server and the track follow. Changed by `mute`. */
    readonly muted = signal(false);
    readonly mutedByAnother = signal(false);
    /** He has chosen to come without a microphone. */
    readonly listening = signal(false);
    /** The key is held down: heard, although muted. */
    readonly pushed = signal(false);
    /** What is sent; null: nothing. */
    readonly track = signal<MediaStreamTrack | null>(null);
    readonly silent = computed(() => !this.track.value || (this.muted.value && !this.pushed.value));
    readonly peer = signal<Peer | null>(null);
    /** When he came in, by `performance.now()`. */
    readonly since_ms = signal<number | null>(null);
    /** The conference has let him in, at least once in this call. */
    private admitted = false;
    /** Why it is over, in terms of `endingNotice`; empty: it is not. */
    readonly ending = computed(() => {
        const link = this.link.value;
        if (link.at !== "over") return "";
        return link.why === "flow_ended" && !this.admitted ? "turned_away" : link.why;
    });

    readonly speaks: boolean;
    private readonly booking = new Booking((path) => this.api.leave(path));
    private timer: ReturnType<typeof setTimeout> | undefined;
    /** Ends what an earlier try still waits for. */
    private attempt = new AbortController();
    private muting: Promise<unknown> = Promise.resolve();
    private mutings = 0;
    /** Until then the server may still tell of what was before. */
    private settled_ms = 0;

    constructor(
        private readonly api: Api,
        private readonly invitation: Invitation,
        private readonly seat: SeatStore,
        private readonly microphone: Microphone,
        private readonly speaker: Speaker,
    ) {
        this.speaks = invitation.scopes.includes("publish");
        this.muted.value = seat.value.muted;
        microphone.onTrack = (track) => this.send(track);
        effect(() => {
            const silent = this.silent.value;
            if (this.track.value) this.track.value.enabled = !silent;
            untracked(() => this.tellMute(silent));
        });
        addEventListener("online", () => this.happened({ is: "moved" }));
        onOtherNetwork(() => this.happened({ is: "moved" }));
    }

    /** Into the conference, with the microphone unless he only `listens`. */
    async join(listens: boolean): Promise<void> {
        this.listening.value = listens;
        this.seat.save({ listening: listens });
        if (!listens && this.speaks && !this.track.value && !(await this.withMicrophone())) return;
        if (listens) this.withoutMicrophone();
        this.admitted = false;
        this.happened({ is: "join" });
    }

    /** Back into the seat, after the page was loaded anew. The microphone follows when it is there. */
    async return(): Promise<void> {
        this.listening.value = this.seat.value.listening;
        this.booking.book(Promise.resolve(this.seat.value.call));
        this.happened({ is: "return" });
        if (this.speaks && !this.listening.value) await this.withMicrophone();
    }

    leave(): void {
        this.happened({ is: "leave" });
    }

    withoutMicrophone(): void {
        this.microphone.stop();
        this.send(null);
    }

    async withMicrophone(): Promise<boolean> {
        this.listening.value = false;
        const track = await this.microphone.start();
        if (!track) return false;
        this.send(track);
        this.seat.save({ listening: false });
        return true;
    }

    mute(muted: boolean, bySomebodyElse = false): void {
        this.mutedByAnother.value = bySomebodyElse;
        this.muted.value = muted;
        this.seat.save({ muted });
    }

    async digits(digits: string): Promise<void> {
        if (this.location.value) await this.api.digits(this.location.value, digits);
    }

    /** What the server says of us, from whoever asked it. */
    told(you: You): void {
        if (you.call_id !== this.id.value) return;
        this.you.value = you;
        if (you.state === "in_room" || you.state === "after") this.admitted = true;
        if (this.since_ms.value === null && you.state === "in_room") this.since_ms.value = performance.now();
        this.happened({ is: "told", you });
        // Muted by somebody else: so be it. Heard although muted, after the seat was taken anew: once more.
        if (this.mutings > 0 || performance.now() < this.settled_ms || !you.can_unmute) return;
        if (you.muted && !this.silent.value) this.mute(true, true);
        else if (!you.muted && this.silent.value) this.tellMute(true);
    }

    private happened(event: LinkEvent): void {
        const [next, effects] = step(this.link.value, event);
        this.link.value = next;
        for (const each of effects) this.carryOut(each);
        if (next.at === "over") this.withoutMicrophone();
    }

    private carryOut(what: Effect): void {
        switch (what.do) {
            case "wait":
                clearTimeout(this.timer);
                if (what.ms !== null) this.timer = setTimeout(() => this.happened({ is: "timeout" }), what.ms);
                return;
            case "post":
                this.booking.book(this.post(what.again));
                return;
            case "patch":
                void this.patch();
                return;
            case "ask":
                void this.ask();
                return;
            case "delete":
                this.booking.giveBack();
                return;
            case "close":
                this.close();
                return;
            case "forget":
                this.seat.renew();
                this.since_ms.value = null;
                return;
        }
    }

    /** The path of the call that the server has let in, though he may have left meanwhile. */
    private async post(again: boolean): Promise<string | null> {
        const signal = this.newAttempt();
        const { free } = this.booking;
        const peer = this.newPeer();
        const offer = await peer?.offer().catch(() => null);
        await free;
        if (signal.aborted) return null;
        if (!peer || !offer) {
            this.happened({ is: "refused", problem: { status: 0, code: "no_webrtc", detail: "" } });
            return null;
        }
        const { id, name } = this.seat.value;
        const conference = this.invitation.conference_id;
        const asked = this.invitation.name ? "" : name;
        const got = await this.api.join(conference, offer, id, asked, again);
        const call = got.ok ? got.value.location : null;
        if (signal.aborted) return call;
        if (call) {
            this.location.value = call;
            this.seat.save({ call });
        }
        void this.answered(got.ok ? { ok: true, value: got.value.answer } : got);
        return call;
    }

    /** In place of the one before; null: this browser has none. */
    private newPeer(): Peer | null {
        this.peer.value?.close();
        try {
            const peer = new Peer(
                this.speaks,
                this.track.value,
                (what) => peer === this.peer.value && this.happened({ is: what }),
                (stream) => this.speaker.play(stream),
            );
            this.peer.value = peer;
        } catch {
            this.peer.value = null;
        }
        return this.peer.value;
    }

    private async patch(): Promise<void> {
        const signal = this.newAttempt();
        const [peer, location] = [this.peer.value, this.location.value];
        const offer = await peer?.offer(true).catch(() => null);
        if (signal.aborted) return;
        const lost: Problem = { status: 0, code: "media_lost", detail: "" };
        const got =
            offer && location ? await this.api.restart(location, offer, signal) : { ok: false as const, problem: lost };
        if (!signal.aborted) await this.answered(got);
    }

    private async answered(got: Answer<string>): Promise<void> {
        if (!got.ok) {
            this.happened({ is: "refused", problem: got.problem });
            return;
        }
        try {
            await this.peer.value?.accept(got.value);
            this.happened({ is: "answered" });
        } catch {
            const problem: Problem = { status: 0, code: "no_common_codec", detail: "" };
            this.happened({ is: "refused", problem });
        }
    }

    private async ask(): Promise<void> {
        const signal = this.newAttempt();
        const { conference_id } = this.invitation;
        const got = await this.api.participants(conference_id, this.id.value, null, signal);
        if (!signal.aborted) this.happened({ is: "told", you: got.ok ? got.value.you : null });
    }

    private close(): void {
        this.newAttempt();
        this.peer.value?.close();
        this.peer.value = null;
        this.location.value = null;
        this.you.value = null;
        this.pushed.value = false;
        this.speaker.play(null);
    }

    private newAttempt(): AbortSignal {
        this.attempt.abort();
        this.attempt = new AbortController();
        return this.attempt.signal;
    }

    private send(track: MediaStreamTrack | null): void {
        if (this.track.value !== track) this.track.value?.stop();
        this.track.value = track;
        void this.peer.value?.send(track).catch(() => undefined);
    }

    /** One request after the other, so that the last wish is the one that stands. */
    private tellMute(silent: boolean): void {
        if (!this.speaks || !this.location.value) return;
        this.mutings += 1;
        this.muting = this.muting.then(async () => {
            const location = this.location.value;
            if (location && silent === this.silent.value) await this.api.mute(location, silent);
            this.settled_ms = performance.now() + SETTLING_MS;
            this.mutings -= 1;
        });
    }
}

/** Network Information API: Chromium on phones tells when Wi-Fi gives way to mobile data. `type` is unknown elsewhere. */
function onOtherNetwork(moved: () => void): void {
    const { connection } = navigator as Navigator & { connection?: EventTarget & { readonly type?: string } };
    let before = connection?.type;
    connection?.addEventListener("change", () => {
        const now = connection.type;
        if (now !== before && now !== "none") moved();
        before = now;
    });
}
