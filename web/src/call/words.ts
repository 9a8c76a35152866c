/** What the page says when something does not work, and when it is over: a title, a sentence that helps, and what can be done. Pure. */
import type { Problem } from "../api";
import type { Ending } from "./link";

export type Notice = { readonly title: string; readonly text: string; readonly again: boolean };

/** By code: of a problem of the server, or of the page's own ("unreachable", "media_blocked", "no_webrtc"). */
const TROUBLES: Readonly<Record<string, readonly [title: string, text: string]>> = {
    unreachable: ["The server does not answer", "Check that you are online, then try again."],
    media_blocked: [
        "Your network lets no sound through",
        "The page loads, but the connection for sound is blocked. This is usual in some offices and hotels. Try another network, for example your phone's, or switch off a VPN.",
    ],
    webrtc_off: ["No browsers here", "This server takes calls by phone only."],
    engine_away: ["Just a moment", "The server is getting its sound ready. Try again in a few seconds."],
    server_busy: ["The server is busy", "Try again in a few seconds."],
    server_ending: ["The server is restarting", "Try again in a few seconds."],
    unavailable: ["The server is not ready", "Try again in a few seconds."],
    no_ports: ["The server is full", "All its lines are taken. Try again a little later."],
    too_many_calls: ["The server is full", "All its lines are taken. Try again a little later."],
    conference_full: ["The conference is full", "As many are inside as it takes. Try again when someone has left."],
    conference_not_ready: ["Not yet", "The conference has not been opened. Try again in a moment."],
    token_in_use: [
        "This link is in use",
        "As many people as it is meant for are inside already. Ask the person who invited you for a link of your own.",
    ],
    too_many_joins: ["Too many tries", "Wait a few seconds, then try again."],
    bad_name: ["That name does not work", "Choose a shorter one, of letters and digits."],
    no_common_codec: [
        "Your browser and the server have no sound format in common",
        "Use a current version of Firefox, Chrome, Edge or Safari.",
    ],
    no_webrtc: [
        "This browser can't make calls",
        "Use a current version of Firefox, Chrome, Edge or Safari. Pages that open inside another app often can't either: open the link in your browser.",
    ],
    insecure: [
        "This page is not secure",
        "Browsers give a microphone only to pages whose address begins with https. Ask the person who invited you for such a link.",
    ],
};

const ENDINGS: Readonly<Record<string, readonly [title: string, text: string, again: boolean]>> = {
    left: ["You have left", "The others are told. You can come back as long as the conference goes on.", true],
    hangup: ["Your call was ended", "You can come back as long as the conference goes on.", true],
    flow_ended: ["Your call has ended", "All that was planned for it is done. The conference may go on.", true],
    turned_away: [
        "You were not let in",
        "Your call was ended at the door. If you were asked for a number, it may have been a wrong one: try again.",
        true,
    ],
    kicked: ["You were taken out of the conference", "Someone who runs it has ended your call.", false],
    conference_deleted: ["The conference has ended", "Everyone has been let go. Thank you for coming.", false],
    conference_terminated: ["The conference has ended", "It is over, and this link opens nothing any more.", false],
    conference_terminating: ["The conference is ending", "Nobody is let in any more.", false],
    conference_timeout: ["The conference has ended", "Its time was up.", false],
    conference_not_found: ["There is no such conference", "It may have ended long ago. Ask for a new link.", false],
    peer_left: ["The other side has left", "The conversation is over.", false],
    server_stopped: ["The server was stopped", "Try again in a minute.", true],
    media_lost: ["The connection was lost", "Nothing was heard from you for a while.", true],
    token_expired: ["This link has expired", "Ask the person who invited you for a new one.", false],
    token_revoked: ["This link has been withdrawn", "Ask the person who invited you for a new one.", false],
    token_wrong_conference: [
        "This link is for another conference",
        "Ask the person who invited you for the right one.",
        false,
    ],
    invalid_credentials: [
        "This link does not work",
        "It may have been cut off. Copy it whole, or ask for a new one.",
        false,
    ],
    authentication_required: [
        "This link does not work",
        "It may have been cut off. Copy it whole, or ask for a new one.",
        false,
    ],
};

export function troubleNotice(problem: Problem): Notice {
    const known = TROUBLES[problem.code];
    if (known) return { title: known[0], text: known[1], again: true };
    return { title: "That did not work", text: problem.detail || "Try again in a moment.", again: true };
}

export function endingNotice(why: Ending): Notice {
    const [title, text, again] = ENDINGS[why] ?? ["Your call has ended", "You can try to come back.", true];
    return { title, text, again };
}

/** What the large button at the door says and does, and whether there is a choice beside it. */
export function door(speaks: boolean, hasMicrophone: boolean, microphoneError: string | null) {
    const unable = speaks && !hasMicrophone && microphoneError !== null;
    return { words: unable ? "Join and only listen" : "Join", listens: unable || !speaks, choice: speaks && !unable };
}

/** Why there is no microphone, by the name of the DOMException of `getUserMedia`; at the door one can go without. */
export function microphoneNotice(error: string, atDoor: boolean): Notice {
    const { title, text } = microphoneWant(error);
    return { title, text: atDoor ? `${text} You can also join and only listen.` : text, again: true };
}

function microphoneWant(error: string): { readonly title: string; readonly text: string } {
    switch (error) {
        case "NotAllowedError":
        case "SecurityError":
            return {
                title: "The microphone is not allowed",
                text: "Click the lock or the microphone beside the page's address, allow the microphone, and try again.",
            };
        case "NotFoundError":
        case "OverconstrainedError":
            return {
                title: "No microphone found",
                text: "Plug one in, or connect your headset, and try again.",
            };
        case "NotReadableError":
        case "AbortError":
            return {
                title: "The microphone is busy",
                text: "Another program, perhaps another call, holds it. Close that one and try again.",
            };
        case "ended":
            return {
                title: "The microphone is gone",
                text: "It was unplugged or switched off. Connect it again, or turn on another one.",
            };
        default:
            return { title: "The microphone does not work", text: "Try again." };
    }
}

/** What to say below the meter of one's own voice. `peak_db`: the loudest of the last seconds, dB of full scale. */
export function microphoneWords(peak_db: number | null): { readonly words: string; readonly works: boolean } {
    if (peak_db === null || peak_db < -52) return { words: "Say something to test it", works: false };
    if (peak_db < -38) return { words: "Very quiet: come closer to the microphone", works: true };
    if (peak_db > -3) return { words: "Very loud: move away from the microphone a little", works: true };
    return { words: "Sounds good: we can hear you", works: true };
}

export function initials(name: string): string {
    const words = name
        .trim()
        .split(/\s+/)
        .filter((word) => /[\p{L}\p{N}]/u.test(word));
    if (/^\+?[\d\s()/-]+$/.test(name.trim())) return name.replace(/\D/g, "").slice(-2);
    const first = [...(words[0] ?? "")].find((letter) => /[\p{L}\p{N}]/u.test(letter)) ?? "";
    const last =
        words.length > 1 ? ([...(words[words.length - 1] ?? "")].find((l) => /[\p{L}\p{N}]/u.test(l)) ?? "") : "";
    return (first + last).toUpperCase();
}

/** "Ann", "Ann and Bob", "Ann, Bob and 3 others". */
export function namesInWords(names: readonly string[], total: number = names.length): string {
    const shown = names.slice(0, total > 3 ? 2 : 3);
    const others = total - shown.length;
    if (others > 0) return `${shown.join(", ")} and ${others} ${others === 1 ? "other" : "others"}`;
    const last = shown[shown.length - 1] ?? "";
    return shown.length > 1 ? `${shown.slice(0, -1).join(", ")} and ${last}` : last;
}

export function duration(seconds: number): string {
    const pad = (value: number) => String(Math.floor(value)).padStart(2, "0");
    const hours = Math.floor(seconds / 3600);
    const rest = `${pad((seconds % 3600) / 60)}:${pad(seconds % 60)}`;
    return hours > 0 ? `${hours}:${rest}` : rest;
}
