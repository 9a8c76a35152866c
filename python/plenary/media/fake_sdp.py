"""Session descriptions as the fake engine needs them (RFC 8866, RFC 3264): one audio stream of a phone or browser."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

from .messages import Direction, Encryption, LegRefusal, Transport

MINE: dict[str, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
"""What we may do when the peer says what it wants to do (RFC 3264 section 6.1)."""
_STATIC = {"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000"}
_MAPS = {"PCMU": "PCMU/8000", "PCMA": "PCMA/8000", "G722": "G722/8000", "opus": "opus/48000/2"}
_EVENTS = "telephone-event/8000"

FINGERPRINT = "sha-256 " + ":".join(["00"] * 32)
"""Of a certificate that nobody has: nothing is ever encrypted here."""


class UnusableSdp(Exception):
    """The peer's SDP can't be used."""

    def __init__(self, reason: LegRefusal, detail: str) -> None:
        super().__init__(detail)
        self.reason: LegRefusal = reason
        self.detail = detail


@dataclass(frozen=True)
class Peer:
    """What the peer's session description says."""

    codecs: dict[str, str]
    """Payload type -> encoding name, of those that we have too, in its order."""
    telephone_event: str | None
    direction: str
    media: list[str]
    """Its m-lines: kind, port, protocol, formats."""
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    """Those of its audio (or of the session) that are given once: `mid`, `fingerprint`, `ice-ufrag`, `crypto` ..."""

    @property
    def protocol(self) -> str:
        return next((line.split()[2] for line in self.media if line.startswith("audio ")), "")

    @property
    def browser(self) -> bool:
        return "ice-ufrag" in self.attributes


def a_phone(codecs: Sequence[str]) -> Peer:
    """One that we imagine, to make it an offer."""
    types = {"opus": "111", "G722": "9", "PCMU": "0", "PCMA": "8"}
    formats = {types[codec]: codec for codec in codecs if codec in types}
    return Peer(formats, "101", "sendrecv", [f"audio 9 RTP/AVP {' '.join(formats)}"])


def read_sdp(sdp: str, codecs: Sequence[str]) -> Peer:
    """What `sdp` says, of its codecs those that are among `codecs`. Raises UnusableSdp."""
    lines = sdp.splitlines()
    if not lines or lines[0] != "v=0" or any(line and line[1:2] != "=" for line in lines):
        raise UnusableSdp("malformed_sdp", "a session description starts with v=0 and has lines of type=value")
    direction, address, events, media = "sendrecv", "", None, list[str]()
    rtpmaps, attributes = dict(_STATIC), dict[str, str]()
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
            rtpmaps[payload_type] = name
        elif kind == "a" and (in_audio or not media):
            name, _, what = value.partition(":")
            attributes[name] = what
    if not formats:
        raise UnusableSdp("no_common_codec", "no audio is offered")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise UnusableSdp("malformed_sdp", "no c= line with an IP address") from None
    wanted = {_MAPS[codec].upper(): codec for codec in codecs if codec in _MAPS}
    found: dict[str, str] = {}
    for payload_type in formats:
        name = rtpmaps.get(payload_type, "").upper()
        codec = wanted.get(name.removesuffix("/1"))
        if codec is not None:
            found[payload_type] = codec
        elif name == _EVENTS.upper():
            events = payload_type
    if not found:
        raise UnusableSdp("no_common_codec", f"none of {', '.join(codecs)} is offered")
    return Peer(found, events, direction, media, attributes)


def check_transport(peer: Peer, transport: Transport, srtp: Encryption) -> None:
    """Raises UnusableSdp for one that does not fit."""
    if transport == "webrtc":
        if not {"ice-ufrag", "ice-pwd", "fingerprint"} <= peer.attributes.keys():
            raise UnusableSdp("malformed_sdp", "a browser's offer has ice-ufrag, ice-pwd and fingerprint")
        return
    encrypted = "crypto" in peer.attributes or "fingerprint" in peer.attributes
    if srtp == "required" and not encrypted:
        raise UnusableSdp("encryption_required", "the phone offers no SRTP")
    if srtp == "never" and "SAVP" in peer.protocol:
        raise UnusableSdp("encryption_refused", "the phone offers SRTP only")


def write_sdp(peer: Peer, port: int, version: int) -> str:
    """Our side of what `peer` wants: the answer to its offer, or an offer to one that we imagine."""
    formats = [*peer.codecs, *([peer.telephone_event] if peer.telephone_event else [])]
    protocol = peer.protocol or "RTP/AVP"
    audio = [f"m=audio {port} {protocol} {' '.join(formats)}"]
    audio += [f"a=rtpmap:{payload_type} {_MAPS[codec]}" for payload_type, codec in peer.codecs.items()]
    if peer.telephone_event:
        audio += [f"a=rtpmap:{peer.telephone_event} {_EVENTS}", f"a=fmtp:{peer.telephone_event} 0-15"]
    audio += ["a=ptime:20", f"a={MINE[peer.direction]}"]
    lines = ["v=0", f"o=- {port} {version} IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    if peer.browser:
        mid = peer.attributes.get("mid", "0")
        lines += ["a=ice-lite", f"a=group:BUNDLE {mid}"]
        audio += [
            f"a=mid:{mid}",
            "a=rtcp-mux",
            f"a=ice-ufrag:fake{port}",
            f"a=ice-pwd:{'fake' * 6}",
            f"a=fingerprint:{FINGERPRINT}",
            "a=setup:passive",
            f"a=candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host",
            "a=end-of-candidates",
        ]
    elif "crypto" in peer.attributes:
        tag, suite, *_ = peer.attributes["crypto"].split()
        audio.append(f"a=crypto:{tag} {suite} inline:{'A' * 40}")
    elif "fingerprint" in peer.attributes:
        audio += [f"a=fingerprint:{FINGERPRINT}", "a=setup:passive"]
    accepted = False
    for media in peer.media:
        kind, offered_port, protocol, rest = media.split(maxsplit=3)
        if kind == "audio" and offered_port != "0" and not accepted:
            lines += audio
            accepted = True
        else:
            lines.append(f"m={kind} 0 {protocol} {rest}")
    return "\r\n".join(lines) + "\r\n"
