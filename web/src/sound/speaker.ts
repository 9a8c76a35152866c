/** What the person hears: the conference, the test sound, the tones of keys. */
import { signal } from "@preact/signals";
import { keep, kept } from "../storage";
import { type Key, tonesOf } from "./keys";
import { context, wake } from "./level";

const CHOSEN = "plenary.speaker";
const KEY_S = 0.14;

export class Speaker {
    readonly devices = signal<readonly MediaDeviceInfo[]>([]);
    readonly chosen = signal(kept("local", CHOSEN) ?? "");
    /** The browser wants a touch or a key before it lets the page sound. */
    readonly blocked = signal(false);
    readonly canChoose = "setSinkId" in HTMLMediaElement.prototype;
    private readonly conference = element();
    private readonly own = element();
    private ownInput: MediaStreamAudioDestinationNode | null = null;

    constructor() {
        navigator.mediaDevices?.addEventListener("devicechange", () => void this.look());
    }

    /** Plays the conference; null: nothing any more. */
    play(stream: MediaStream | null): void {
        this.conference.srcObject = stream;
        this.blocked.value = false;
        if (stream) void this.resume();
    }

    /** Also from a gesture, if it was blocked. */
    async resume(): Promise<void> {
        wake();
        void this.direct();
        try {
            await this.conference.play();
            this.blocked.value = false;
        } catch (error) {
            this.blocked.value = error instanceof DOMException && error.name === "NotAllowedError";
        }
    }

    async choose(id: string): Promise<void> {
        this.chosen.value = id;
        keep("local", CHOSEN, id);
        await this.direct();
    }

    /** Three rising notes. */
    test(): void {
        [392, 523.25, 659.25].forEach((hz, at) => {
            this.sound([hz], at * 0.22, 0.42, 0.16);
        });
    }

    key(key: Key): void {
        this.sound(tonesOf(key), 0, KEY_S, 0.1);
    }

    async look(): Promise<void> {
        if (!this.canChoose || !navigator.mediaDevices) return;
        const all = await navigator.mediaDevices.enumerateDevices();
        this.devices.value = all.filter((device) => device.kind === "audiooutput" && device.deviceId !== "");
    }

    private sound(tones_hz: readonly number[], in_s: number, length_s: number, gain: number): void {
        wake();
        const input = this.input();
        const from = context().currentTime + in_s + 0.01;
        const volume = context().createGain();
        volume.gain.setValueAtTime(0, from);
        volume.gain.linearRampToValueAtTime(gain, from + 0.012);
        volume.gain.setTargetAtTime(0, from + length_s * 0.6, length_s * 0.12);
        volume.connect(input);
        for (const hz of tones_hz) {
            const tone = context().createOscillator();
            tone.frequency.value = hz;
            tone.connect(volume);
            tone.start(from);
            tone.stop(from + length_s);
        }
    }

    private input(): MediaStreamAudioDestinationNode {
        if (!this.ownInput) {
            this.ownInput = context().createMediaStreamDestination();
            this.own.srcObject = this.ownInput.stream;
        }
        void this.own.play().catch(() => undefined);
        return this.ownInput;
    }

    private async direct(): Promise<void> {
        if (!this.canChoose) return;
        try {
            await Promise.all([this.conference.setSinkId(this.chosen.value), this.own.setSinkId(this.chosen.value)]);
        } catch {
            this.chosen.value = ""; // unplugged: the system's choice
        }
    }
}

function element(): HTMLAudioElement {
    const audio = document.createElement("audio");
    audio.autoplay = true;
    audio.setAttribute("playsinline", "");
    document.body.append(audio);
    return audio;
}
