/** Microphone, speaker and keys, while inside. */
import { Dialog } from "./dialog";
import type { House } from "./house";
import { MicrophoneCheck, SpeakerCheck } from "./sound";

export function Settings({ house, close }: { house: House; close: () => void }) {
    return (
        <Dialog title="Sound" close={close}>
            {house.call.speaks && <MicrophoneCheck house={house} />}
            <SpeakerCheck house={house} />
            {house.call.speaks && (
                <label class="switch with-keys">
                    <input
                        type="checkbox"
                        checked={house.shortcuts.value}
                        onChange={(event) => house.setShortcuts(event.currentTarget.checked)}
                    />
                    <span>
                        Keys of the keyboard: <kbd>M</kbd> mutes, <kbd>Space</kbd> held down while muted lets you speak
                    </span>
                </label>
            )}
        </Dialog>
    );
}
