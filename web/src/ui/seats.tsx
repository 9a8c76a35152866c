/** The rows of seats as a picture. What it shows is said in words elsewhere. */
import type { Participant } from "../api";
import { initials } from "../call/words";
import { HEIGHT, hall, type Place, SEATS_MAX, WIDTH } from "./hemicycle";

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
    const placed = seats.slice(0, SEATS_MAX).map((seat, at) => ({ seat, at: across(taken[at]) }));
    return (
        <svg class="seats" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true" focusable="false">
            {/* Below all seats: the light of one does not lie upon his neighbours. */}
            <g>
                {placed.map(({ seat, at }) => (
                    <g key={seat.key} class={`seat ${seat.kind}`} style={at}>
                        <circle class="glow" r={radius * 1.28} style={lit(seat.glow)} />
                    </g>
                ))}
            </g>
            {empty.map(({ x, y }) => (
                <circle key={`${x}`} class="empty" cx={x} cy={y} r={radius * 0.9} />
            ))}
            {placed.map(({ seat, at }) => (
                <g key={seat.key} class={`seat ${seat.kind}`} style={at}>
                    <circle class="disc" r={radius} />
                    {radius >= LETTERS_MIN && <text style={{ fontSize: `${radius * 0.66}px` }}>{seat.label}</text>}
                </g>
            ))}
        </svg>
    );
}

function across(place: Place | undefined) {
    return { transform: `translate(${place?.x ?? 0}px, ${place?.y ?? 0}px)` };
}

function lit(glow: number | undefined) {
    return glow === undefined ? {} : { transform: `scale(${0.8 + 0.35 * glow})`, opacity: glow };
}
