/** How good the connection is: a word on the page, figures behind it. */
import { useState } from "preact/hooks";
import { verdict } from "../call/quality";
import { Dialog } from "./dialog";
import type { House } from "./house";
import { SignalIcon } from "./icons";

const BARS = { good: 3, fair: 2, poor: 1 } as const;

export function Connection({ house }: { house: House }) {
    const [open, setOpen] = useState(false);
    const { call } = house;
    const figures = call.peer.value?.figures.value ?? null;
    const server = call.serverQuality.value;
    const { grade, words, advice } = verdict(figures, server);
    return (
        <>
            <button type="button" class={`quality ${grade ?? ""}`} onClick={() => setOpen(true)}>
                <SignalIcon bars={grade ? BARS[grade] : 0} />
                <span>
                    <span class="unseen">Connection: </span>
                    {words}
                </span>
            </button>
            {open && (
                <Dialog title="Connection" close={() => setOpen(false)}>
                    <p class={`verdict ${grade ?? ""}`}>{words}</p>
                    {advice && <p>{advice}</p>}
                    <dl class="figures">
                        <Figure name="From your mouth to their ears" value={server?.mouth_to_ear_ms} unit="ms" />
                        <Figure name="To the server and back" value={figures?.round_trip_ms} unit="ms" />
                        <Figure name="Kept back here against gaps" value={figures?.buffer_ms} unit="ms" />
                        <Figure name="Lost on the way to you" value={figures?.loss_percent} unit="%" digits={1} />
                        <Figure name="Lost on the way from you" value={server?.loss_percent} unit="%" digits={1} />
                        <div>
                            <dt>Sound</dt>
                            <dd>
                                {server?.codec ? soundInWords(server.codec, server.sample_rate_hz) : "not known yet"}
                            </dd>
                        </div>
                    </dl>
                </Dialog>
            )}
        </>
    );
}

function Figure({
    name,
    value,
    unit,
    digits = 0,
}: {
    name: string;
    value: number | null | undefined;
    unit: string;
    digits?: number;
}) {
    return (
        <div>
            <dt>{name}</dt>
            <dd>{value === null || value === undefined ? "not measured yet" : `${value.toFixed(digits)} ${unit}`}</dd>
        </div>
    );
}

function soundInWords(codec: string, rate_hz: number | null): string {
    const name = codec.toLowerCase() === "opus" ? "Opus" : codec;
    return rate_hz ? `${name}, ${rate_hz / 1000} kHz` : name;
}
