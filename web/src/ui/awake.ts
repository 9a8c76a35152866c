/** A phone that lies on the table must not go to sleep in the middle of a call. */
import { effect, type ReadonlySignal } from "@preact/signals";

export function stayAwake(inside: ReadonlySignal<boolean>): void {
    let lock: WakeLockSentinel | null = null;
    const take = async () => {
        if (!inside.value || document.hidden || !("wakeLock" in navigator)) return;
        try {
            lock = await navigator.wakeLock.request("screen");
        } catch {
            lock = null; // low battery
        }
    };
    effect(() => {
        if (inside.value) void take();
        else void lock?.release();
    });
    document.addEventListener("visibilitychange", () => void take());
}
