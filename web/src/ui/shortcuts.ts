/** M mutes; the space bar, held down while muted, lets one speak. */
import { useEffect } from "preact/hooks";
import type { House } from "./house";

export function useShortcuts(house: House, suspended: boolean): void {
    const { call } = house;
    useEffect(() => {
        if (suspended || !call.speaks) return;
        const down = (event: KeyboardEvent) => {
            if (!house.shortcuts.value || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
            if (event.key.toLowerCase() === "m" && !isTyping(event)) call.mute(!call.muted.value);
            if (event.key === " " && call.muted.value && !isControl(event)) {
                event.preventDefault();
                call.pushed.value = true;
            }
        };
        const release = () => {
            call.pushed.value = false;
        };
        const up = (event: KeyboardEvent) => {
            if (event.key !== " " || !call.pushed.value) return;
            event.preventDefault();
            release();
        };
        addEventListener("keydown", down);
        addEventListener("keyup", up);
        addEventListener("blur", release);
        return () => {
            removeEventListener("keydown", down);
            removeEventListener("keyup", up);
            removeEventListener("blur", release);
            release();
        };
    }, [house, call, suspended]);
}

function isTyping(event: KeyboardEvent): boolean {
    return event.target instanceof Element && event.target.matches("input, textarea, select");
}

/** Space already means something there. Not on the mute button, if only a click has left the focus on it. */
function isControl(event: KeyboardEvent): boolean {
    const { target } = event;
    return target instanceof Element && target.matches("input, select, a, button:not(.mute), .mute:focus-visible");
}
