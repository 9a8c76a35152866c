/** The hall: everybody in his seat, and who speaks in the light. The list beside it says the same in words. */
import type { Participant } from "../api";
import { namesInWords } from "../call/words";
import type { House } from "./house";
import { Seats, seatOf } from "./seats";

export function Stage({ house }: { house: House }) {
    const people = house.roster.participants.value;
    const total = house.roster.total.value;
    const unknown = Array.from({ length: total - people.length }, (_, at) => ({
        key: `unknown-${at}`,
        label: "",
        kind: "unknown",
    }));
    return (
        <section class="stage" aria-label="The hall">
            <Seats seats={[...people.map(seatOf), ...unknown]} />
            <Floor people={people} alone={total === 1} />
        </section>
    );
}

/** Who has the floor. */
function Floor({ people, alone }: { people: readonly Participant[]; alone: boolean }) {
    const speakers = people.filter((each) => each.talking && !each.muted);
    const others = speakers.filter((each) => !each.you).map((each) => each.name || "Somebody");
    const names = others.length < speakers.length ? ["You", ...others] : others;
    if (names.length === 0)
        return (
            <p class="floor">
                <span>{alone ? "Nobody else is here yet" : "Nobody is speaking"}</span>
            </p>
        );
    return (
        <p class="floor">
            <strong>{namesInWords(names)}</strong>
            <span>{names.length > 1 || names[0] === "You" ? "are speaking" : "is speaking"}</span>
        </p>
    );
}
