/** Inside: who is there, who speaks, and what one can do. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Participant } from "../api";
import { mostImportant } from "../call/banner";
import { duration } from "../call/words";
import { announce } from "./announcer";
import { Connection } from "./connection";
import type { House } from "./house";
import { KeypadIcon, LeaveIcon, MicrophoneIcon, MutedIcon, PhoneIcon, SettingsIcon } from "./icons";
import { Keypad } from "./keypad";
import { Settings } from "./settings";
import { useShortcuts } from "./shortcuts";
import { MicrophoneTrouble } from "./sound";
import { Stage } from "./stage";

export function Room({ house }: { house: House }) {
    const { call, invitation } = house;
    const [open, setOpen] = useState<"keypad" | "settings" | null>(null);
    const entering = call.you.value?.state === "entering";
    const leaving = call.you.value?.state === "after";
    useShortcuts(house, open !== null);
    const close = () => setOpen(null);
    // What he was asked for at the door was right: nobody else need see it.
    useEffect(() => setOpen((now) => (now === "keypad" && !entering ? null : now)), [entering]);
    return (
        <div class="room">
            <header class="room-head">
                <div>
                    <h1 tabIndex={-1}>{invitation.conference_name || "A conference"}</h1>
                    <p class="facts">
                        <Clock house={house} />
                        {call.you.value?.recorded && <span class="recorded">Being recorded</span>}
                    </p>
                </div>
                <Connection house={house} />
            </header>
            <TheBanner house={house} />
            <div class={call.link.value.at === "up" ? "hall" : "hall faded"}>
                {entering && <Entering open={() => setOpen("keypad")} house={house} />}
                {leaving && <Leaving />}
                {!entering && !leaving && <Stage house={house} />}
                {!entering && !leaving && <People house={house} />}
            </div>
            <Controls house={house} open={setOpen} />
            {open === "keypad" && <Keypad house={house} close={close} />}
            {open === "settings" && <Settings house={house} close={close} />}
        </div>
    );
}

function TheBanner({ house }: { house: House }) {
    const { call, speaker, roster, unheard, microphone } = house;
    const up = call.link.value.at === "up";
    const hasMicrophone = call.track.value !== null;
    const banner = mostImportant({
        lost: !up,
        sound_blocked: speaker.blocked.value,
        no_microphone: call.speaks && !hasMicrophone && !call.listening.value && microphone.error.value !== null,
        muted_by_another: call.mutedByAnother.value,
        microphone_taken: microphone.interrupted.value && hasMicrophone,
        unheard: unheard.value,
        server_away: roster.away.value,
    });
    switch (banner) {
        case null:
            return null;
        case "lost":
            return (
                <p class="banner bad" role="status">
                    <span class="spinner" aria-hidden="true" /> The connection was lost. You keep your seat: trying
                    again…
                </p>
            );
        case "sound_blocked":
            return (
                <button type="button" class="banner act" onClick={() => void speaker.resume()}>
                    Your browser holds the sound back. <b>Tap here to hear the others</b>
                </button>
            );
        case "no_microphone":
            return <MicrophoneTrouble house={house} />;
        case "muted_by_another":
            return <Said>A moderator has muted you: nobody hears you.</Said>;
        case "microphone_taken":
            return <Said>Something else holds your microphone. You are heard again as soon as it lets go.</Said>;
        case "unheard":
            return (
                <Said>
                    You are muted: nobody hears you.
                    {house.shortcuts.value && <span class="with-keys"> Press M to be heard.</span>}
                </Said>
            );
        case "server_away":
            return <Said>The server is not answering just now. Your sound goes on.</Said>;
    }
}

function Said({ children }: { children: ComponentChildren }) {
    return (
        <p class="banner" role="status">
            {children}
        </p>
    );
}

function Entering({ house, open }: { house: House; open: () => void }) {
    return (
        <section class="entering" aria-live="polite">
            <h2>Just outside the door</h2>
            <p>Listen: you may be greeted, or asked for a number.</p>
            {house.invitation.scopes.includes("digits") && (
                <button type="button" class="quiet" onClick={open}>
                    <KeypadIcon /> Open the keypad
                </button>
            )}
        </section>
    );
}

function Leaving() {
    return (
        <section class="entering" aria-live="polite">
            <h2>You are out of the room</h2>
            <p>Stay on the line for what is said to you.</p>
        </section>
    );
}

function Clock({ house }: { house: House }) {
    const [, tick] = useState(0);
    useEffect(() => {
        const timer = setInterval(() => tick((count) => count + 1), 1000);
        return () => clearInterval(timer);
    }, []);
    const since_ms = house.call.since_ms.value;
    if (since_ms === null) return null;
    return <span role="timer">{duration((performance.now() - since_ms) / 1000)}</span>;
}

function People({ house }: { house: House }) {
    const people = house.roster.participants.value;
    const total = house.roster.total.value;
    const sees = house.invitation.scopes.includes("roster");
    return (
        <section class="people" aria-labelledby="people-title">
            <h2 id="people-title">
                {total === 1 ? "One person" : `${total} people`} <span class="unseen">in the conference</span>
            </h2>
            {sees ? (
                <ul>
                    {people.map((person) => (
                        <Person key={person.id} person={person} house={house} />
                    ))}
                </ul>
            ) : (
                <p class="hint">With this link you don't see who they are.</p>
            )}
            {sees && total > people.length && <p class="hint">and {total - people.length} more</p>}
        </section>
    );
}

function Person({ person, house }: { person: Participant; house: House }) {
    const mayMute = house.invitation.scopes.includes("mute_others") && !person.you && !person.muted;
    const mutesOther = async () => {
        const got = await house.api.muteOther(person.id);
        announce(got.ok ? `${person.name} is muted` : `${person.name} could not be muted`);
    };
    const status = person.muted ? "muted" : person.talking ? "speaking" : "";
    return (
        <li class={`person ${status}`}>
            <span class="mark" aria-hidden="true">
                {person.muted ? <MutedIcon /> : <Waves />}
            </span>
            <span class="name">
                {person.name || "Somebody"}
                {person.you && <span class="tag">you</span>}
                {person.role === "moderator" && <span class="tag">moderator</span>}
                {person.role === "listener" && <span class="tag">listening</span>}
            </span>
            {person.kind === "phone" && (
                <span class="kind" title="by phone">
                    <PhoneIcon />
                    <span class="unseen">by phone</span>
                </span>
            )}
            <span class="unseen">{status}</span>
            {mayMute && (
                <button type="button" class="small" onClick={() => void mutesOther()}>
                    Mute<span class="unseen"> {person.name}</span>
                </button>
            )}
        </li>
    );
}

function Waves() {
    return (
        <span class="waves">
            <i />
            <i />
            <i />
        </span>
    );
}

function Controls({ house, open }: { house: House; open: (what: "keypad" | "settings") => void }) {
    const { call, invitation } = house;
    return (
        <nav class="controls" aria-label="Your call">
            {call.speaks && <MuteButton house={house} />}
            {invitation.scopes.includes("digits") && (
                <button type="button" class="control" onClick={() => open("keypad")}>
                    <KeypadIcon /> <span>Keypad</span>
                </button>
            )}
            <button type="button" class="control" onClick={() => open("settings")}>
                <SettingsIcon /> <span>Sound</span>
            </button>
            <button type="button" class="control leave" onClick={() => call.leave()}>
                <LeaveIcon /> <span>Leave</span>
            </button>
        </nav>
    );
}

function MuteButton({ house }: { house: House }) {
    const { call } = house;
    const ring = useRef<HTMLSpanElement>(null);
    const silent = call.silent.value;
    useEffect(
        () =>
            house.microphone.level_db.subscribe((db) => {
                const size = call.silent.peek() ? 0 : Math.min(1, Math.max(0, (db + 55) / 40));
                ring.current?.style.setProperty("transform", `scale(${1 + size * 0.25})`);
            }),
        [house, call],
    );
    if (!call.track.value) {
        return (
            <button type="button" class="control mute" onClick={() => void call.withMicrophone()}>
                <MutedIcon /> <span>Turn on microphone</span>
            </button>
        );
    }
    return (
        <button
            type="button"
            class={silent ? "control mute muted" : "control mute"}
            aria-keyshortcuts={house.shortcuts.value ? "M" : undefined}
            onClick={() => call.mute(!call.muted.value)}
        >
            <span class="ring" ref={ring} aria-hidden="true" />
            {silent ? <MutedIcon /> : <MicrophoneIcon />}
            <span>{call.pushed.value ? "Speaking" : silent ? "Unmute" : "Mute"}</span>
        </button>
    );
}
