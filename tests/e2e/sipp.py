"""sipp as a scripted phone. A scenario is a list of steps; what is not in it, or comes late, fails the run."""

import asyncio
import re
import shutil
from pathlib import Path
from xml.sax.saxutils import escape

RUN_S = 30

SDP = """v=0
o=user1 53655765 2353687637 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio [media_port] RTP/AVP {formats}
{attributes}"""

HEADERS = """Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
From: sipp <sip:sipp@[local_ip]:[local_port]>;tag=[pid]SIPpTag00[call_number]
Call-ID: [call_id]
Contact: <sip:sipp@[local_ip]:[local_port]>
Max-Forwards: 70"""


def is_installed() -> bool:
    return shutil.which("sipp") is not None


def sdp(formats: str = "0", attributes: str = "a=sendrecv") -> str:
    return SDP.format(formats=formats, attributes=attributes)


def send(
    method: str, cseq: int, body: str = "", to_tag: str = "", content_type: str = "application/sdp", extra: str = ""
):
    """A request. `to_tag` is `[peer_tag_param]` within a dialog."""
    uri = "[next_url]" if to_tag and method != "CANCEL" else "sip:[service]@[remote_ip]:[remote_port]"
    head = f"{method} {uri} SIP/2.0\n{HEADERS}\nTo: <sip:[service]@[remote_ip]:[remote_port]>{to_tag}\n"
    head += f"CSeq: {cseq} {method}\n" + (f"{extra}\n" if extra else "")
    head += f"Content-Type: {content_type}\n" if body else ""
    text = f"{head}Content-Length: [len]\n\n{body}"
    retrans = "" if method == "ACK" else ' retrans="500"'
    return f"<send{retrans}><![CDATA[\n{text}\n]]></send>"


def receive(status: int, optional: bool = False) -> str:
    return f'<recv response="{status}" rrs="true" optional="{str(optional).lower()}"/>'


def receive_request(method: str) -> str:
    return f'<recv request="{method}"/>'


def answer_ok() -> str:
    return """<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>"""


def pause(milliseconds: int) -> str:
    return f'<pause milliseconds="{milliseconds}"/>'


PROVISIONAL = [receive(100, True), receive(180, True), receive(183, True)]
IN_DIALOG = "[peer_tag_param]"
ACK = send("ACK", 1, to_tag=IN_DIALOG)
BYE = [send("BYE", 9, to_tag=IN_DIALOG), receive(200)]


def scenario(name: str, *steps: str | list[str]) -> str:
    flat = [line for step in steps for line in ([step] if isinstance(step, str) else step)]
    lines = "\n".join(flat)
    return f'<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="{escape(name)}">\n{lines}\n</scenario>\n'


async def run(folder: Path, name: str, text: str, user: str, target: str, *options: str) -> None:
    """Runs a scenario once against `user` at `target`. Raises AssertionError with what sipp says, if it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}.xml"
    file.write_text(text)
    process = await asyncio.create_subprocess_exec(
        "sipp", target, "-sf", file.name, "-s", user, "-i", "127.0.0.1", "-m", "1", "-nostdin", "-timeout", f"{RUN_S}s",
        "-timeout_error", "-trace_err", "-error_file", f"{file.stem}.errors", *options,
        cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    errors = (folder / f"{file.stem}.errors").read_text() if (folder / f"{file.stem}.errors").exists() else ""
    assert process.returncode == 0, f"{name}: status {process.returncode}\n{errors}\n{output.decode()[-2500:]}"
