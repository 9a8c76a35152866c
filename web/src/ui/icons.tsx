/** Pictures of the controls. They say nothing to a screen reader: the words beside them do. */
import type { ComponentChildren } from "preact";

function Icon({ children }: { children: ComponentChildren }) {
    return (
        <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
            {children}
        </svg>
    );
}

export const MicrophoneIcon = () => (
    <Icon>
        <rect x="9" y="3" width="6" height="11" rx="3" />
        <path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3" />
    </Icon>
);

export const MutedIcon = () => (
    <Icon>
        <path d="M9 9V6a3 3 0 0 1 6 0v5M14.2 13.4A3 3 0 0 1 9 11.5M5.5 11.5a6.5 6.5 0 0 0 10.8 4.9M18.3 13.2c.1-.5.2-1.1.2-1.7M12 18v3M4 4l16 16" />
    </Icon>
);

export const SpeakerIcon = () => (
    <Icon>
        <path d="M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11" />
    </Icon>
);

export const KeypadIcon = () => (
    <Icon>
        {[6, 12, 18].flatMap((y) =>
            [6, 12, 18].map((x) => <circle key={`${x}-${y}`} class="dot" cx={x} cy={y} r="1.6" />),
        )}
    </Icon>
);

export const SettingsIcon = () => (
    <Icon>
        <path d="M4 7h9M17 7h3M4 17h3M11 17h9" />
        <circle cx="15" cy="7" r="2" />
        <circle cx="9" cy="17" r="2" />
    </Icon>
);

export const LeaveIcon = () => (
    <Icon>
        <path d="M3.5 14.2c4.9-4.6 12.1-4.6 17 0l-2.2 2.5-3.2-1.3v-2.5a10 10 0 0 0-6.2 0v2.5l-3.2 1.3z" />
    </Icon>
);

export const PhoneIcon = () => (
    <Icon>
        <path d="M6 3.5h3l1.5 4-2 1.4a11 11 0 0 0 6.6 6.6l1.4-2 4 1.5v3a2 2 0 0 1-2.2 2A16.5 16.5 0 0 1 4 5.7a2 2 0 0 1 2-2.2z" />
    </Icon>
);

export const EarIcon = () => (
    <Icon>
        <path d="M7 10a5 5 0 1 1 10 0c0 3.2-3.2 3.8-3.2 7a3 3 0 0 1-5.5 1.7M9.8 10.2a2.3 2.3 0 0 1 4.4-1c.3 1.6-1.7 2-1.9 3.6" />
    </Icon>
);

export const CloseIcon = () => (
    <Icon>
        <path d="M6 6l12 12M18 6L6 18" />
    </Icon>
);

/** Bars of a connection: three are good. */
export function SignalIcon({ bars }: { bars: number }) {
    return (
        <Icon>
            {[0, 1, 2].map((bar) => (
                <path key={bar} class={bar < bars ? "bar on" : "bar"} d={`M${7 + bar * 5} ${19}V${14 - bar * 4.5}`} />
            ))}
        </Icon>
    );
}

/** The name of the house: seats around a speaker. */
export function Brand() {
    return (
        <p class="brand">
            <svg viewBox="0 0 32 20" aria-hidden="true" focusable="false">
                {[
                    [3, 17],
                    [6.8, 7.8],
                    [25.2, 7.8],
                    [29, 17],
                    [10.5, 17],
                    [16, 11.4],
                    [21.5, 17],
                ].map(([x, y]) => (
                    <circle key={`${x}-${y}`} cx={x} cy={y} r="2.5" />
                ))}
                <circle class="voice" cx="16" cy="3.6" r="2.5" />
            </svg>
            Plenary
        </p>
    );
}
