/** Keys of a telephone and their tones (ITU-T Q.23). Pure. */

export const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"] as const;
export type Key = (typeof KEYS)[number];

export const LETTERS: Readonly<Record<string, string>> = {
    "2": "ABC",
    "3": "DEF",
    "4": "GHI",
    "5": "JKL",
    "6": "MNO",
    "7": "PQRS",
    "8": "TUV",
    "9": "WXYZ",
    "0": "+",
};

export const SPOKEN: Readonly<Record<string, string>> = { "*": "star", "#": "pound" };

const ROWS_HZ = [697, 770, 852, 941];
const COLUMNS_HZ = [1209, 1336, 1477];

export function tonesOf(key: Key): readonly [row_hz: number, column_hz: number] {
    const at = KEYS.indexOf(key);
    return [ROWS_HZ[Math.floor(at / 3)] ?? 0, COLUMNS_HZ[at % 3] ?? 0];
}

export function isKey(text: string): text is Key {
    return (KEYS as readonly string[]).includes(text);
}
