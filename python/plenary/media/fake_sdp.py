"""Session descriptions as the fake engine needs them (RFC 8866, RFC 3264): one audio stream of G.711."""

import ipaddress
from dataclasses import dataclass

from .messages import Direction, LegRefusal

MINE: dict[str, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
"""What we may do when the peer says what it wants to do (RFC 3264 section 6.1)."""
_NAMES = {"0": "PCMU/8000", "8": "PCMA/8000"}


class UnusableSdp(Exception):
    """The peer's SDP can't be used."""

    def __init__(self, reason: LegRefusal, detail: str) -> None:
        super().__init__(detail)
        self.reason: LegRefusal = reason
        self.detail = detail


@dataclass(frozen=True)
class Peer:
    """What the peer's session description says."""

    codecs: list[str]
    """Payload types of the G.711 codecs that it takes, in its order."""
    telephone_event: str | None
    direction: str
    media: list[str]
    """Its m-lines: kind, port, protocol, formats."""


def read_sdp(sdp: str) -> Peer:
    lines = sdp.splitlines()
    if not lines or lines[0] != "v=0" or any(line and line[1:2] != "=" for line in lines):
        raise UnusableSdp("malformed_sdp", "a session description starts with v=0 and has lines of type=value")
    direction, address, codecs, events, media = "sendrecv", "", list[str](), None, list[str]()
    rtpmaps = dict(_NAMES)
    formats: list[str] = []
    in_audio = False
    for line in lines:
        kind, value = line[:1], line[2:]
        if kind == "m":
            words = value.split()
            if len(words) < 4 or not words[1].split("/")[0].isdigit():
                raise UnusableSdp("malformed_sdp", f"m={value}")
            media.append(value)
            in_audio = words[0] == "audio" and not formats and words[1] != "0"
            formats = words[3:] if in_audio else formats
        elif kind == "c" and (in_audio or not media):
            address = value.rpartition(" ")[2].partition("/")[0]
        elif kind == "a" and value in MINE and (in_audio or not media):
            direction = value
        elif kind == "a" and value.startswith("rtpmap:") and in_audio:
            payload_type, _, name = value.removeprefix("rtpmap:").partition(" ")
            rtpmaps[payload_type] = name.upper().removesuffix("/1")
    if not formats:
        raise UnusableSdp("no_common_codec", "no audio is offered")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise UnusableSdp("malformed_sdp", "no c= line with an IP address") from None
    for payload_type in formats:
        name = rtpmaps.get(payload_type, "")
        if _NAMES.get(payload_type) == name:
            codecs.append(payload_type)
        elif name == "TELEPHONE-EVENT/8000":
            events = payload_type
    if not codecs:
        raise UnusableSdp("no_common_codec", "neither PCMU nor PCMA is offered")
    return Peer(codecs, events, direction, media)


def write_sdp(peer: Peer, port: int, version: int) -> str:
    """Our side of what `peer` wants: the answer to its offer, or an offer to one that we imagine."""
    formats = [*peer.codecs, *([peer.telephone_event] if peer.telephone_event else [])]
    audio = [f"m=audio {port} RTP/AVP {' '.join(formats)}"]
    audio += [f"a=rtpmap:{codec} {_NAMES[codec]}" for codec in peer.codecs if codec in _NAMES]
    if peer.telephone_event:
        audio += [f"a=rtpmap:{peer.telephone_event} telephone-event/8000", f"a=fmtp:{peer.telephone_event} 0-15"]
    audio += ["a=ptime:20", f"a={MINE[peer.direction]}"]
    lines = ["v=0", f"o=- {port} {version} IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    accepted = False
    for media in peer.media:
        kind, offered_port, protocol, rest = media.split(maxsplit=3)
        if kind == "audio" and offered_port != "0" and not accepted:
            lines += audio
            accepted = True
        else:
            lines.append(f"m={kind} 0 {protocol} {rest}")
    return "\r\n".join(lines) + "\r\n"
