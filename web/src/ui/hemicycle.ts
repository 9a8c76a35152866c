/**
 * Where people sit: rows of a half circle, as in an assembly. Pure geometry.
 *
 * All seats have one size, the largest with which everybody finds a place on one or more arcs; the arcs keep the middle
 * free for words. Each arc takes people in proportion to its length, so that the gaps are alike, and they are counted
 * off from left to right across all arcs, so that a newcomer moves nobody far.
 */

/** In units of the picture: `WIDTH` wide, the middle of the circle at (WIDTH / 2, BASE). */
export type Place = { readonly x: number; readonly y: number };
/** `taken`: for each who is there a place, from left to right. `empty`: those that stay free, on both sides of them. */
export type Hall = { readonly radius: number; readonly taken: readonly Place[]; readonly empty: readonly Place[] };

export const WIDTH = 400;
export const HEIGHT = 228;
/** Who comes after these has no seat in the picture, only a line in the list. */
export const SEATS_MAX = 120;

/** The lowest a seat's middle may be. */
const BASE = 194;
const OUTER = 164;
const INNER = 106;
/** Of one arc alone. */
const ONLY = 144;
const RADIUS_MAX = 29;
const ROWS_MAX = 6;
/** Fewer rows are calmer: one more is for seats that are larger by this factor. */
const WORTH_A_ROW = 1.12;
/** From one middle to the next, in radii: along an arc, and from arc to arc. */
const GAP = 2.2;
/** A hall has no fewer seats than this, or one less, so that a few sit in the very middle. */
const SEATS_MIN = 8;

export function hall(count: number): Hall {
    const people = Math.min(count, SEATS_MAX);
    const wanted = Math.max(people, SEATS_MIN - (people % 2));
    const [arcs, radius] = roomiest(wanted);
    const total = sum(arcs);
    const seats: { readonly angle: number; readonly arc: number }[] = [];
    arcs.forEach((arc, row) => {
        const left = wanted - seats.length;
        const here = row === arcs.length - 1 ? left : Math.min(left, Math.round((wanted * arc) / total));
        for (let i = 0; i < here; i += 1) seats.push({ angle: (Math.PI * i) / Math.max(1, here - 1), arc });
    });
    // From the left (0) to the right (π).
    seats.sort((a, b) => a.angle - b.angle || b.arc - a.arc);
    const places = seats.map(({ angle, arc }) => ({
        x: WIDTH / 2 - arc * Math.cos(angle),
        y: BASE - arc * Math.sin(angle),
    }));
    const first = Math.floor((wanted - people) / 2);
    const taken = places.slice(first, first + people);
    return { radius, taken, empty: [...places.slice(0, first), ...places.slice(first + people)] };
}

/** The arcs that allow the largest seats, and the radius of these. */
function roomiest(wanted: number): readonly [arcs: readonly number[], radius: number] {
    let best: readonly [readonly number[], number] = [[ONLY], 0];
    for (let rows = 1; rows <= ROWS_MAX; rows += 1) {
        const apart = rows === 1 ? Number.POSITIVE_INFINITY : (OUTER - INNER) / (rows - 1);
        const arcs = rows === 1 ? [ONLY] : Array.from({ length: rows }, (_, row) => OUTER - row * apart);
        // Every arc has one gap less than seats.
        const along = (Math.PI * sum(arcs)) / Math.max(1, wanted - rows);
        const radius = Math.min(RADIUS_MAX, apart / GAP, along / GAP);
        if (radius > best[1] * WORTH_A_ROW) best = [arcs, radius];
    }
    return best;
}

function sum(values: readonly number[]): number {
    return values.reduce((total, value) => total + value, 0);
}
