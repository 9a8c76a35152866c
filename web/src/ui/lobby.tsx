/** Before the door: who is inside, sound check, join. */
import { useEffect } from "preact/hooks";
import type { Participant } from "../api";
import { isFirst } from "../call/link";
import { door, namesInWords, troubleNotice } from "../call/words";
import { type House, ownLoudness } from "./house";
import { EarIcon } from "./icons";
import { Seats, type SeatView, seatOf } from "./seats";
import { MicrophoneCheck, SpeakerCheck } from "./sound";

const NAME_MAX = 60;

export function Lobby({ house }: { house: House }) {
    const { invitation, call, microphone } = house;
    const link = call.link.value;
    const joining = isFirst(link);
    const { words, listens, choice } = door(call.speaks, call.track.value !== null, microphone.error.value);
    useEffect(() => {
        if (!call.speaks) return;
        // Not if he has meanwhile gone in without.
        void microphone.isAllowed().then((yes) => yes && call.link.peek().at === "out" && void call.withMicrophone());
    }, [call, microphone]);
    const join = (form: HTMLFormElement, listens: boolean) => {
        if (!invitation.name) house.seat.save({ name: String(new FormData(form).get("name")).trim() });
        void house.speaker.resume();
        void call.join(listens);
    };
    return (
        <div class="lobby">
            <div class="welcome">
                <p class="eyebrow">You are invited to</p>
                <h1 tabIndex={-1}>{invitation.conference_name || "A conference"}</h1>
                <Inside house={house} />
                <HallFromOutside house={house} />
            </div>
            <form
                class="card"
                onSubmit={(event) => {
                    event.preventDefault();
                    join(event.currentTarget, listens || event.submitter?.getAttribute("name") === "listens");
                }}
            >
                {link.at === "out" && link.trouble && <Trouble code={link.trouble.code} detail={link.trouble.detail} />}
                {invitation.name ? (
                    <p class="as">
                        You join as <strong>{invitation.name}</strong>
                    </p>
                ) : (
                    <label class="field">
                        <span>Your name</span>
                        <input
                            name="name"
                            defaultValue={house.name}
                            required
                            pattern=".*\S.*"
                            maxLength={NAME_MAX}
                            autoComplete="name"
                        />
                    </label>
                )}
                {call.speaks ? (
                    <MicrophoneCheck house={house} />
                ) : (
                    <p class="listener">
                        <EarIcon /> This link is for listening: you hear everyone, and nobody hears you.
                    </p>
                )}
                <SpeakerCheck house={house} />
                <div class="go">
                    <button type="submit" class="primary" disabled={joining}>
                        {joining ? STEPS[link.at === "connecting" ? "connecting" : "asking"] : words}
                    </button>
                    {choice && (
                        <button type="submit" name="listens" class="link" disabled={joining}>
                            Join without a microphone
                        </button>
                    )}
                </div>
            </form>
        </div>
    );
}

const STEPS = { asking: "Asking for a seat…", connecting: "Connecting the sound…" };

function Trouble({ code, detail }: { code: string; detail: string }) {
    const notice = troubleNotice({ status: 0, code, detail });
    return (
        <div class="trouble" role="alert">
            <strong>{notice.title}</strong>
            <p>{notice.text}</p>
        </div>
    );
}

function Inside({ house }: { house: House }) {
    const { people, total } = othersInside(house);
    const names = people.map((each) => each.name || "somebody");
    if (total === 0) return <p class="lead">Nobody is inside yet. You will be the first.</p>;
    if (names.length === 0) return <p class="lead">{total === 1 ? "One person is" : `${total} people are`} inside.</p>;
    return (
        <p class="lead">
            <span class="pulse" aria-hidden="true" /> {namesInWords(names, total)} {total === 1 ? "is" : "are"} inside.
        </p>
    );
}

/** Who is inside, and the seat that waits for him who looks in: it lights up when he tests his voice. */
function HallFromOutside({ house }: { house: House }) {
    const { people, total } = othersInside(house);
    const waiting: SeatView = { key: "you", label: "You", kind: "waiting you", glow: ownLoudness(house) };
    const unknown = Array.from({ length: total - people.length }, (_, at) => ({
        key: `unknown-${at}`,
        label: "",
        kind: "unknown",
    }));
    return <Seats seats={[...people.map(seatOf), ...unknown, waiting]} />;
}

/** Without oneself, who may be half inside already. */
function othersInside({ roster }: House): { readonly people: readonly Participant[]; readonly total: number } {
    const all = roster.participants.value;
    const people = all.filter((each) => !each.you);
    return { people, total: roster.total.value - (all.length - people.length) };
}
