/** One WebRTC connection: offers, answers, and the watch over whether media flows. */
import { signal } from "@preact/signals";
import { type Counters, counters, type Figures, figures } from "./quality";

const WATCH_MS = 250;
/**
 * The server sends a packet every 20 ms, of silence too: after this long without one the way is broken. A person whose
 * address has changed is to be heard again within 2 s, and what follows takes a round trip or two.
 */
const STALL_MS = 1_000;
/** Figures are those of this long. */
const WINDOW_MS = 5_000;

export class Peer {
    readonly figures = signal<Figures | null>(null);
    private readonly connection = new RTCPeerConnection({ bundlePolicy: "max-bundle", rtcpMuxPolicy: "require" });
    private readonly transceiver: RTCRtpTransceiver;
    private readonly watch: ReturnType<typeof setInterval>;
    private seen: Counters[] = [];
    private flowed_at_ms = 0;
    private stalled = true;

    /** Without `speaks` it only listens. `happened` is told of each change. */
    constructor(
        speaks: boolean,
        track: MediaStreamTrack | null,
        private readonly happened: (what: "up" | "down") => void,
        heard: (stream: MediaStream) => void,
    ) {
        const direction = speaks ? "sendrecv" : "recvonly";
        this.transceiver = this.connection.addTransceiver(track ?? "audio", { direction });
        this.connection.ontrack = (event) => heard(new MediaStream([event.track]));
        this.connection.onconnectionstatechange = () => {
            const state = this.connection.connectionState;
            if (state === "connected") this.happened("up");
            if (state === "disconnected" || state === "failed") this.happened("down");
        };
        this.watch = setInterval(() => void this.look().catch(() => undefined), WATCH_MS);
    }

    /** SDP. With `restart` one of an ICE restart. */
    async offer(restart = false): Promise<string> {
        await this.connection.setLocalDescription(await this.connection.createOffer({ iceRestart: restart }));
        return this.connection.localDescription?.sdp ?? "";
    }

    async accept(answer: string): Promise<void> {
        await this.connection.setRemoteDescription({ type: "answer", sdp: answer });
    }

    async send(track: MediaStreamTrack | null): Promise<void> {
        await this.transceiver.sender.replaceTrack(track);
    }

    close(): void {
        clearInterval(this.watch);
        this.connection.onconnectionstatechange = null;
        this.connection.ontrack = null;
        this.connection.close();
    }

    private async look(): Promise<void> {
        const now = counters((await this.connection.getStats()).values());
        if (!now || this.connection.connectionState === "closed") return;
        const last = this.seen[this.seen.length - 1];
        this.seen.push(now);
        while ((this.seen[0]?.at_ms ?? now.at_ms) < now.at_ms - WINDOW_MS) this.seen.shift();
        if (!last || now.packets > last.packets) {
            this.flowed_at_ms = performance.now();
            if (this.stalled && now.packets > 0) this.happened("up");
            this.stalled = false;
        } else if (!this.stalled && performance.now() - this.flowed_at_ms > STALL_MS) {
            this.stalled = true;
            this.happened("down");
        }
        const [first] = this.seen;
        if (first && first !== now) this.figures.value = figures(first, now);
    }
}
