/** The rows of seats as a picture. What it shows is said in words elsewhere. */
import type { Participant } from "../api";
import { initials } from "../call/words";
import { HEIGHT, hall, SEATS_MAX, WIDTH } from "./hemicycle";

export type SeatView = {
    readonly key: string;
    readonly label: string;
    readonly kind: string;
    /** 0 … 1: lit by the voice, from moment to moment. */
    readonly glow?: number;
};

/** Smaller seats carry no letters. */
const LETTERS_MIN = 11;

export function seatOf(person: Participant): SeatView {
    const kind = [person.muted ? "muted" : person.talking ? "talks" : "", person.you ? "you" : ""].join(" ");
    return { key: person.id, label: person.you ? "You" : initials(person.name), kind };
}

export function Seats({ seats }: { seats: readonly SeatView[] }) {
    const { radius, taken, empty } = hall(seats.length);
    return (
        <svg class="seats" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true" focusable="false">
            {empty.map(({ x, y }) => (
                <circle key={`${x}`} class="empty" cx={x} cy={y} r={radius * 0.9} />
            ))}
            {seats.slice(0, SEATS_MAX).map((seat, at) => {
                const { x, y } = taken[at] ?? { x: 0, y: 0 };
                const glow =
                    seat.glow === undefined
                        ? {}
                        : { transform: `scale(${0.8 + 0.35 * seat.glow})`, opacity: seat.glow };
                return (
                    <g key={seat.key} class={`seat ${seat.kind}`} style={{ transform: `translate(${x}px, ${y}px)` }}>
                        <circle class="glow" r={radius * 1.28} style={glow} />
                        <circle class="disc" r={radius} />
                        {radius >= LETTERS_MIN && <text style={{ fontSize: `${radius * 0.66}px` }}>{seat.label}</text>}
                    </g>
                );
            })}
        </svg>
    );
}
