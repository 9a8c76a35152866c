/** What changes without being looked at is said to screen readers. */
import { signal } from "@preact/signals";

const said = signal<readonly string[]>([]);
/** Enough that what comes at the same time is read one after the other. */
const KEPT = 3;

export function announce(text: string): void {
    said.value = [...said.peek().slice(1 - KEPT), text];
}

/** What was said is true no more. */
export function hush(): void {
    said.value = [];
}

export function Announcer() {
    return (
        <div class="unseen" role="log" aria-live="polite" aria-relevant="additions">
            {said.value.map((text, at) => (
                <p key={`${at}-${text}`}>{text}</p>
            ))}
        </div>
    );
}
