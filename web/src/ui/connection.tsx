/** How good the connection is: a word on the page, figures behind it. */
import { useState } from "preact/hooks";
import type { ServerQuality } from "../api";
import type { Figure } from "../call/measuring";
import { Dialog } from "./dialog";
import type { House } from "./house";
import { SignalIcon } from "./icons";

const BARS = { good: 3, fair: 2, poor: 1 } as const;

export function Connection({ house }: { house: House }) {
    const [open, setOpen] = useState(false);
    const { verdict, here, server, givenUp, alone } = house.measurements;
    const { grade, words, advice } = verdict.value;
    const silent = house.call.track.value ? "" : "you send no sound";
    const row = (figure: Figure, value: string | null, otherwise = "") =>
        value ?? (otherwise || (givenUp.value.has(figure) ? "can't be measured" : "not measured yet"));
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
                        <Row name="From your mouth to their ears">
                            {row(
                                "mouth_to_ear",
                                ms(server.value?.mouth_to_ear_ms),
                                alone.value ? "nobody else is here" : "",
                            )}
                        </Row>
                        <Row name="To the server and back">{row("round_trip", ms(here.value?.round_trip_ms))}</Row>
                        <Row name="Kept back here against gaps">{row("buffer", ms(here.value?.buffer_ms))}</Row>
                        <Row name="Lost on the way to you">{row("loss_here", percent(here.value?.loss_percent))}</Row>
                        <Row name="Lost on the way from you">
                            {row("loss_there", percent(server.value?.loss_percent), silent)}
                        </Row>
                        <Row name="Sound">{row("codec", sound(server.value))}</Row>
                    </dl>
                </Dialog>
            )}
        </>
    );
}

function Row({ name, children }: { name: string; children: string }) {
    return (
        <div>
            <dt>{name}</dt>
            <dd>{children}</dd>
        </div>
    );
}

type Measured = number | null | undefined;

function ms(value: Measured): string | null {
    return value == null ? null : `${value.toFixed(0)} ms`;
}

function percent(value: Measured): string | null {
    return value == null ? null : `${value.toFixed(1)} %`;
}

function sound(server: ServerQuality | null): string | null {
    if (!server?.codec) return null;
    const name = server.codec.toLowerCase() === "opus" ? "Opus" : server.codec;
    return server.sample_rate_hz ? `${name}, ${server.sample_rate_hz / 1000} kHz` : name;
}
