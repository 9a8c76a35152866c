/**
 * The person's microphone: asked for, chosen, measured, lost and found again.
 *
 * What is sent is a clone of what is captured: the capture is never muted, so that the page can say "you are muted" to
 * somebody who speaks.
 */
import { signal } from "@preact/signals";
import { keep, kept } from "../storage";
import { listen } from "./level";

export type MicrophoneState = "off" | "asking" | "on";

const CHOSEN = "plenary.microphone";
/** A voice counts as loud for this long after it was. */
const PEAK_MS = 3_000;

export class Microphone {
    readonly state = signal<MicrophoneState>("off");
    /** Name of the DOMException of the last try, "insecure", or "ended" (unplugged). */
    readonly error = signal<string | null>(navigator.mediaDevices ? null : "insecure");
    readonly devices = signal<readonly MediaDeviceInfo[]>([]);
    /** A deviceId; "": the system's choice. */
    readonly chosen = signal(kept("local", CHOSEN) ?? "");
    /** dB of full scale. */
    readonly level_db = signal(-100);
    /** The loudest of the last seconds. */
    readonly peak_db = signal<number | null>(null);
    /** The system holds it back, for a phone call for example. */
    readonly interrupted = signal(false);
    /** Told of every track that is to be sent from now on; null: none. */
    onTrack: (track: MediaStreamTrack | null) => void = () => undefined;

    private capture: MediaStreamTrack | null = null;
    private starting: Promise<MediaStreamTrack | null | undefined> | null = null;
    /** Ends what is being started. */
    private wanted = new AbortController();
    private looks = 0;
    private stopListening: (() => void) | null = null;
    private peaks: { readonly at_ms: number; readonly db: number }[] = [];

    constructor() {
        navigator.mediaDevices?.addEventListener("devicechange", () => void this.look());
    }

    /** Whether it can be had without asking. If there is none, or it was refused for good, `error` says so. */
    async isAllowed(): Promise<boolean> {
        void this.look();
        try {
            const status = await navigator.permissions.query({ name: "microphone" as PermissionName });
            const heed = () => this.foresee("NotAllowedError", status.state === "denied");
            status.onchange = heed;
            heed();
            return status.state === "granted";
        } catch {
            return false; // Firefox before 131 and old Safari do not know the name
        }
    }

    /** Returns the track to send; null: there is none, and `error` says why; undefined: it was stopped meanwhile. */
    start(): Promise<MediaStreamTrack | null | undefined> {
        this.starting ??= this.ask();
        return this.starting;
    }

    private async ask(): Promise<MediaStreamTrack | null | undefined> {
        if (!navigator.mediaDevices) return null;
        const { signal } = this.wanted;
        this.state.value = "asking";
        try {
            const track = await capture(this.chosen.value);
            if (signal.aborted) {
                track.stop();
                return undefined;
            }
            this.use(track);
            this.error.value = null;
            void this.look();
            return track.clone();
        } catch (error) {
            if (signal.aborted) return undefined;
            this.stop();
            this.error.value = error instanceof DOMException ? error.name : "unknown";
            return null;
        } finally {
            if (!signal.aborted) this.starting = null;
        }
    }

    stop(): void {
        this.wanted.abort();
        this.wanted = new AbortController();
        this.starting = null;
        this.release();
        this.state.value = "off";
    }

    /** Another one, at once. */
    async choose(id: string): Promise<void> {
        this.chosen.value = id;
        keep("local", CHOSEN, id);
        if (this.state.value !== "on") return;
        const track = await this.start();
        if (track !== undefined) this.onTrack(track);
    }

    private use(track: MediaStreamTrack): void {
        this.release();
        this.capture = track;
        this.state.value = "on";
        this.interrupted.value = track.muted;
        track.onmute = () => {
            this.interrupted.value = true;
        };
        track.onunmute = () => {
            this.interrupted.value = false;
        };
        track.onended = () => void this.replace();
        this.stopListening = listen(track, (db) => this.heard(db));
    }

    private release(): void {
        this.stopListening?.();
        this.stopListening = null;
        if (this.capture) {
            this.capture.onended = null;
            this.capture.stop();
        }
        this.capture = null;
        this.peaks = [];
        this.peak_db.value = null;
        this.level_db.value = -100;
    }

    /** It was unplugged: the system's choice takes its place. */
    private async replace(): Promise<void> {
        this.chosen.value = "";
        const track = await this.start();
        if (track === undefined) return;
        if (!track) this.error.value = "ended";
        this.onTrack(track);
    }

    private heard(db: number): void {
        const at_ms = performance.now();
        this.level_db.value = Math.round(db);
        this.peaks = this.peaks.filter((peak) => at_ms - peak.at_ms < PEAK_MS && peak.db > db);
        this.peaks.push({ at_ms, db });
        this.peak_db.value = Math.round(this.peaks[0]?.db ?? db);
    }

    private async look(): Promise<void> {
        if (!navigator.mediaDevices) return;
        this.looks += 1;
        const look = this.looks;
        const all = await navigator.mediaDevices.enumerateDevices();
        if (look !== this.looks) return; // what was there before the last change
        const inputs = all.filter((device) => device.kind === "audioinput");
        // Before it is allowed, they have no deviceId.
        this.devices.value = inputs.filter((device) => device.deviceId !== "");
        this.foresee("NotFoundError", inputs.length === 0 && this.state.value !== "on");
    }

    /** An error that is known without a try, for as long as its reason is there. */
    private foresee(error: string, isThere: boolean): void {
        if (isThere) this.error.value ??= error;
        else if (this.error.value === error) this.error.value = null;
    }
}

async function capture(id: string): Promise<MediaStreamTrack> {
    const processing = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    const ask = (device: MediaTrackConstraints) =>
        navigator.mediaDevices.getUserMedia({ audio: { ...processing, ...device } });
    let stream: MediaStream;
    try {
        stream = await ask(id ? { deviceId: { exact: id } } : {});
    } catch (error) {
        // The one that was chosen last week is at home.
        if (!(error instanceof DOMException) || error.name !== "OverconstrainedError") throw error;
        stream = await ask({});
    }
    const [track] = stream.getAudioTracks();
    if (!track) throw new DOMException("no track", "NotFoundError");
    return track;
}
