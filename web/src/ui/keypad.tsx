/** Keys for menus and PINs. They sound here, and are sent one by one in their order. */
import { useEffect, useRef, useState } from "preact/hooks";
import { isKey, KEYS, type Key, LETTERS, SPOKEN } from "../sound/keys";
import { Dialog } from "./dialog";
import type { House } from "./house";

/** As many of those pressed last are shown. */
const SHOWN = 16;
/** It may be a PIN: only the last key is to be read, and nothing this long after it. */
const FORGOTTEN_MS = 4_000;

export function Keypad({ house, close }: { house: House; close: () => void }) {
    const [pressed, setPressed] = useState("");
    const sending = useRef<Promise<void>>(Promise.resolve());
    useEffect(() => {
        const timer = setTimeout(() => setPressed(""), FORGOTTEN_MS);
        return () => clearTimeout(timer);
    }, [pressed]);
    const press = (key: Key) => {
        house.speaker.key(key);
        setPressed((before) => (before + key).slice(-SHOWN));
        sending.current = sending.current.then(() => house.call.digits(key));
    };
    return (
        <Dialog title="Keypad" close={close} onKey={(key) => isKey(key) && press(key)}>
            <output class="pressed" aria-label="Keys pressed">
                {pressed ? "•".repeat(pressed.length - 1) + pressed.slice(-1) : <span>Type or tap</span>}
            </output>
            <div class="keys">
                {KEYS.map((key) => (
                    <button key={key} type="button" aria-label={SPOKEN[key] ?? key} onClick={() => press(key)}>
                        <b>{key}</b>
                        <small aria-hidden="true">{LETTERS[key] ?? ""}</small>
                    </button>
                ))}
            </div>
        </Dialog>
    );
}
