/** What the room has to say: one thing at a time, the most important one. A small screen has no place for more. Pure. */

/** From what he must know, or do something about, to what only explains something. */
const BY_IMPORTANCE = [
    "lost",
    "sound_blocked",
    "no_microphone",
    "muted_by_another",
    "microphone_taken",
    "unheard",
    "server_away",
] as const;

export type Banner = (typeof BY_IMPORTANCE)[number];

export function mostImportant(there: Readonly<Record<Banner, boolean>>): Banner | null {
    return BY_IMPORTANCE.find((each) => there[each]) ?? null;
}
