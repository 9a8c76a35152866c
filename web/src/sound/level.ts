/** How loud sound is. */

/** The one context of the page; browsers let it run after the first touch or key (see `wake`). */
let shared: AudioContext | null = null;

export function context(): AudioContext {
    shared ??= new AudioContext({ latencyHint: "interactive" });
    return shared;
}

/** Call it from every gesture: a context that was made before the first one sleeps. */
export function wake(): void {
    if (shared?.state === "suspended") void shared.resume().catch(() => undefined);
}

const FLOOR_DB = -60;
const CEILING_DB = -12;

/** 0 (silence) … 1 (loud), for the eye: even steps in decibels. */
export function loudness(db: number): number {
    return Math.min(1, Math.max(0, (db - FLOOR_DB) / (CEILING_DB - FLOOR_DB)));
}

/** dB of full scale, RMS. */
export function decibels(samples: Float32Array): number {
    let sum = 0;
    for (const sample of samples) sum += sample * sample;
    return 10 * Math.log10(sum / Math.max(1, samples.length) + 1e-10);
}

/** Calls `heard` with the level of a track, dB, twenty times a second. Returns what ends it. */
export function listen(track: MediaStreamTrack, heard: (db: number) => void): () => void {
    const source = context().createMediaStreamSource(new MediaStream([track]));
    const analyser = context().createAnalyser();
    analyser.fftSize = 2048;
    source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const timer = setInterval(() => {
        analyser.getFloatTimeDomainData(samples);
        heard(decibels(samples));
    }, 50);
    return () => {
        clearInterval(timer);
        source.disconnect();
    };
}
