/** The join page: `/join/<token>`. Asks what the link is good for, then shows lobby, room or why there is neither. */
import { signal } from "@preact/signals";
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { Api, type Problem } from "./api";
import { isFinal, isFirst } from "./call/link";
import { endingNotice, type Notice, troubleNotice } from "./call/words";
import { wake } from "./sound/level";
import { Announcer } from "./ui/announcer";
import { House } from "./ui/house";
import { Brand } from "./ui/icons";
import { Lobby } from "./ui/lobby";
import { Room } from "./ui/room";
import { Seats } from "./ui/seats";

type Opened = { readonly house: House } | { readonly problem: Problem } | null;

const opened = signal<Opened>(null);
const token = window.location.pathname.split("/").filter(Boolean)[1] ?? "";

async function open(): Promise<void> {
    opened.value = null;
    const api = new Api(token);
    if (!("RTCPeerConnection" in window)) {
        opened.value = { problem: ours("no_webrtc") };
        return;
    }
    const got = await api.invitation();
    if (!got.ok) opened.value = { problem: got.problem };
    else if (!got.value.webrtc) opened.value = { problem: ours("webrtc_off") };
    else if (got.value.conference_status !== "progressing") opened.value = { problem: ours("conference_terminated") };
    else opened.value = { house: await House.open(api, got.value) };
}

function ours(code: string): Problem {
    return { status: 0, code, detail: "" };
}

function App() {
    const now = opened.value;
    return (
        <>
            <header class="top">
                <Brand />
            </header>
            <main>
                {now === null && <p class="opening">Opening…</p>}
                {now && "problem" in now && <Closed problem={now.problem} />}
                {now && "house" in now && <Inside house={now.house} />}
            </main>
            <Announcer />
        </>
    );
}

function Inside({ house }: { house: House }) {
    const { call, invitation } = house;
    const link = call.link.value;
    const scene = link.at === "over" ? "over" : link.at === "out" || isFirst(link) ? "lobby" : "room";
    const title = `${invitation.conference_name || "Conference"} · Plenary`;
    const silent = scene === "room" && call.speaks && call.silent.value;
    useEffect(() => {
        document.title = silent ? `(muted) ${title}` : title;
    }, [silent, title]);
    // Who does not see the page is read its new headline.
    useEffect(() => document.querySelector<HTMLElement>("main h1")?.focus({ preventScroll: true }), [scene]);
    if (scene === "room") return <Room house={house} />;
    if (scene === "lobby") return <Lobby house={house} />;
    return (
        <Final
            notice={endingNotice(call.ending.value)}
            label="Join again"
            act={() => void call.join(house.seat.value.listening)}
        />
    );
}

function Closed({ problem }: { problem: Problem }) {
    const notice = isFinal(problem) ? endingNotice(problem.code) : troubleNotice(problem);
    return <Final notice={notice} label="Try again" act={() => void open()} />;
}

function Final({ notice, label, act }: { notice: Notice; label: string; act: () => void }) {
    return (
        <section class="final">
            <Seats seats={[]} />
            <h1 tabIndex={-1}>{notice.title}</h1>
            <p class="lead">{notice.text}</p>
            {notice.again && (
                <button type="button" class="primary" onClick={act}>
                    {label}
                </button>
            )}
        </section>
    );
}

// A page out of the browser's memory has lost its connection.
addEventListener("pageshow", (event) => event.persisted && window.location.reload());
for (const gesture of ["pointerdown", "keydown"]) addEventListener(gesture, wake, { passive: true });
const app = document.getElementById("app");
if (app) render(<App />, app);
void open();
