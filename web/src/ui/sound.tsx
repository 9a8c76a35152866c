/** Choosing and testing microphone and speaker; in the lobby and, in a dialog, in the room. */
import { useEffect, useState } from "preact/hooks";
import { microphoneNotice, microphoneWords, troubleNotice } from "../call/words";
import { announce } from "./announcer";
import { type House, ownLoudness } from "./house";
import { MicrophoneIcon, SpeakerIcon } from "./icons";

const BARS = 36;
const BAR_MS = 60;

export function MicrophoneCheck({ house }: { house: House }) {
    const { microphone } = house;
    const { words, works } = microphoneWords(microphone.peak_db.value);
    const on = microphone.state.value === "on";
    useEffect(() => {
        if (works) announce("The microphone works");
    }, [works]);
    return (
        <section class="check microphone" aria-labelledby="microphone-title">
            <h2 id="microphone-title">
                <MicrophoneIcon /> Microphone
            </h2>
            <MicrophoneTrouble house={house} />
            {on ? (
                <>
                    <DevicePicker
                        label="Microphone"
                        devices={microphone.devices.value}
                        chosen={microphone.chosen.value}
                        choose={(id) => void microphone.choose(id)}
                    />
                    <Voice house={house} />
                    <p class={works ? "hint good" : "hint"}>
                        {microphone.interrupted.value ? "Another program holds the microphone" : words}
                    </p>
                </>
            ) : (
                <button
                    type="button"
                    class="quiet turn-on"
                    disabled={microphone.state.value === "asking"}
                    onClick={() => void house.call.withMicrophone()}
                >
                    {microphone.state.value === "asking" ? "Waiting for your permission…" : "Turn on microphone"}
                </button>
            )}
        </section>
    );
}

export function MicrophoneTrouble({ house }: { house: House }) {
    const error = house.microphone.error.value;
    if (!error) return null;
    const notice =
        error === "insecure"
            ? troubleNotice({ status: 0, code: "insecure", detail: "" })
            : microphoneNotice(error, !house.call.isIn.value);
    return (
        <div class="trouble" role="alert">
            <strong>{notice.title}</strong>
            <p>{notice.text}</p>
        </div>
    );
}

export function SpeakerCheck({ house }: { house: House }) {
    const { speaker } = house;
    useEffect(() => void speaker.look(), [speaker]);
    return (
        <section class="check" aria-labelledby="speaker-title">
            <h2 id="speaker-title">
                <SpeakerIcon /> Speaker
            </h2>
            <div class="beside">
                {speaker.devices.value.length > 0 && (
                    <DevicePicker
                        label="Speaker"
                        devices={speaker.devices.value}
                        chosen={speaker.chosen.value}
                        choose={(id) => void speaker.choose(id)}
                    />
                )}
                <button type="button" class="quiet" onClick={() => speaker.test()}>
                    Test sound
                </button>
            </div>
        </section>
    );
}

type Picker = { label: string; devices: readonly MediaDeviceInfo[]; chosen: string; choose: (id: string) => void };

function DevicePicker({ label, devices, chosen, choose }: Picker) {
    const known = devices.some((device) => device.deviceId === chosen);
    const hasDefault = devices.some((device) => device.deviceId === "default");
    return (
        <select aria-label={label} value={known ? chosen : ""} onChange={(event) => choose(event.currentTarget.value)}>
            {!hasDefault && <option value="">Chosen by the system</option>}
            {devices.map((device, at) => (
                <option key={device.deviceId} value={device.deviceId === "default" ? "" : device.deviceId}>
                    {device.label || `${label} ${at + 1}`}
                </option>
            ))}
        </select>
    );
}

/** The own voice as it was in the last two seconds. */
function Voice({ house }: { house: House }) {
    const [bars, setBars] = useState<readonly number[]>(() => Array(BARS).fill(0));
    useEffect(() => {
        const timer = setInterval(() => setBars((before) => [...before.slice(1), ownLoudness(house)]), BAR_MS);
        return () => clearInterval(timer);
    }, [house]);
    const now = bars[BARS - 1] ?? 0;
    return (
        <>
            <meter class="unseen" aria-label="Loudness of your voice" min={0} max={100} value={Math.round(now * 100)} />
            <div class="voice-bars" aria-hidden="true">
                {bars.map((bar, at) => (
                    <i key={at} style={{ transform: `scaleY(${0.06 + 0.94 * bar})` }} />
                ))}
            </div>
        </>
    );
}
