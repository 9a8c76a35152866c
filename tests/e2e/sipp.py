"""sipp as a scripted phone. A scenario is a list of steps; what is not in it, or comes late, fails the run."""

import asyncio
import re
import shutil
from pathlib import Path
from xml.sax.saxutils import escape

from serving import until

from ports import free_port, free_ports, is_bound

RUN_S = 15
MEDIA_PORTS = 4
"""sipp takes RTP and RTCP of audio, and of video whether there is any or not."""

SDP = """v=0
o=user1 53655765 2353687637 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio [media_port] RTP/AVP {formats}
{attributes}
"""

VIA = "Via: SIP/2.0/UDP [local_ip]:[local_port];branch={branch}"

HEADERS = """From: sipp <sip:sipp@[local_ip]:[local_port]>;tag=[pid]SIPpTag00[call_number]
Call-ID: [call_id]
Contact: <sip:sipp@[local_ip]:[local_port]>
Max-Forwards: 70"""

TARGET = "sip:[service]@[remote_ip]:[remote_port]"

Steps = str | list[str]


def is_installed() -> bool:
    return shutil.which("sipp") is not None


def sdp(formats: str = "0", direction: str = "sendrecv") -> str:
    return SDP.format(formats=formats, attributes=f"a={direction}")


def _send(text: str, attributes: str = "") -> str:
    return f"<send{attributes}><![CDATA[\n{text}\n]]></send>"


def send(
    method: str,
    cseq: int,
    body: str = "",
    in_dialog: bool = False,
    content_type: str = "application/sdp",
    branch: str = "[branch]",
) -> str:
    """A request. One within a dialog goes to the peer's Contact."""
    uri, tag = ("[next_url]", "[peer_tag_param]") if in_dialog else (TARGET, "")
    lines = [f"{method} {uri} SIP/2.0", VIA.format(branch=branch), HEADERS, f"To: <{TARGET}>{tag}"]
    lines += [f"CSeq: {cseq} {method}", *([f"Content-Type: {content_type}"] if body else []), "Content-Length: [len]"]
    retrans = "" if method == "ACK" else ' retrans="500"'
    return _send("\n".join([*lines, "", body]), retrans)


def acknowledge_refusal(cseq: int = 1) -> str:
    """The ACK of a refusal belongs to the transaction of the INVITE (RFC 3261 section 17.1.1.3)."""
    lines = [f"ACK {TARGET} SIP/2.0", "[last_Via:]", HEADERS, f"To: <{TARGET}>[peer_tag_param]", f"CSeq: {cseq} ACK"]
    return _send("\n".join([*lines, "Content-Length: 0", "", ""]))


def cancel(cseq: int = 1) -> str:
    """Right after a provisional answer to the INVITE, whose Via it has to have (section 9.1)."""
    lines = [f"CANCEL {TARGET} SIP/2.0", f"Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch-{CANCEL_AFTER}]"]
    lines += [HEADERS, f"To: <{TARGET}>", f"CSeq: {cseq} CANCEL", "Content-Length: 0", "", ""]
    return _send("\n".join(lines))


CANCEL_AFTER = 2
"""How many steps before the CANCEL the INVITE was."""


def receive(status: int, optional: bool = False) -> str:
    return f'<recv response="{status}" rrs="true" optional="{str(optional).lower()}"/>'


def expect(method: str) -> str:
    """A request of the server."""
    return f'<recv request="{method}" rrs="true"/>'


def answer(status: int, reason: str, body: str = "") -> str:
    """To the request that came last."""
    lines = [f"SIP/2.0 {status} {reason}", "[last_Via:]", "[last_From:]", f"[last_To:]{'' if status == 100 else TAG}"]
    lines += ["[last_Call-ID:]", "[last_CSeq:]", "Contact: <sip:uas@[local_ip]:[local_port]>"]
    lines += [*(["Content-Type: application/sdp"] if body else []), "Content-Length: [len]", "", body]
    return _send("\n".join(lines))


TAG = ";tag=[pid]SIPpTag01[call_number]"


def answer_in_dialog(status: int = 200, reason: str = "OK", body: str = "") -> str:
    return answer(status, reason, body).replace(TAG, "")


def pause(milliseconds: int) -> str:
    return f'<pause milliseconds="{milliseconds}"/>'


PROVISIONAL = [receive(100, True), receive(180, True), receive(183, True)]
ACK = send("ACK", 1, in_dialog=True)
BYE = [send("BYE", 90, in_dialog=True), receive(200)]
CALL = [send("INVITE", 1, sdp()), *PROVISIONAL, receive(200), ACK]
"""Call, and be answered."""


def refused(status: int, body: str) -> list[str]:
    """A call that is not let in."""
    return [send("INVITE", 1, body), *PROVISIONAL, receive(status), acknowledge_refusal()]


def scenario(name: str, *steps: Steps) -> str:
    flat = [line for step in steps for line in ([step] if isinstance(step, str) else step)]
    lines = "\n".join(flat)
    return f'<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="{escape(name)}">\n{lines}\n</scenario>\n'


async def call(folder: Path, name: str, server: str, user: str, *steps: Steps) -> None:
    """Calls `user` at `server`. Raises AssertionError with what sipp says, if anything is not as in the steps."""
    await _run(folder, name, scenario(name, *steps), free_port(), server, "-s", user)


class Called:
    """A phone that is called: `async with Called(...) as phone`, then have somebody call `phone.address`."""

    def __init__(self, folder: Path, name: str, *steps: Steps) -> None:
        self._port = free_port()
        self._name, self._folder = name, folder
        self._scenario = scenario(name, *steps)
        self.address = f"uas@127.0.0.1:{self._port}"

    async def __aenter__(self) -> "Called":
        self._run = asyncio.create_task(_run(self._folder, self._name, self._scenario, self._port))
        await until(lambda: is_bound(self._port) or self._run.done(), "sipp listens")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Waits until all steps were made, unless something has failed already."""
        if kind is not None:
            self._run.cancel()
        await asyncio.gather(self._run, return_exceptions=kind is not None)


async def _run(folder: Path, name: str, text: str, port: int, *options: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}.xml"
    file.write_text(text)
    errors, messages = file.with_suffix(".errors"), file.with_suffix(".messages")
    process = await asyncio.create_subprocess_exec(
        "sipp", *options, "-sf", file.name, "-i", "127.0.0.1", "-p", str(port),
        "-mp", str(free_ports(MEDIA_PORTS)), "-m", "1", "-nostdin", "-timeout", f"{RUN_S}s", "-timeout_error",
        "-trace_err", "-error_file", errors.name, "-trace_msg", "-message_file", messages.name,
        cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    said = "\n".join(file.read_text(errors="replace") for file in (errors, messages) if file.exists())
    assert process.returncode == 0, f"{name}: status {process.returncode}\n{said}\n{output.decode()[-1500:]}"
