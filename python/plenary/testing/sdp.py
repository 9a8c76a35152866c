"""A virtual phone's session descriptions (RFC 8866, RFC 3264): one audio stream of G.711 with telephone events."""

from dataclasses import dataclass

from .rtp import STATIC_TYPES, TELEPHONE_EVENT

TYPES = {codec: payload_type for payload_type, codec in STATIC_TYPES.items()}
MIRRORED = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}


class BadSdp(ValueError):
    """The peer's session description has no audio that the phone could use."""


@dataclass(frozen=True)
class Media:
    """What one side says about its audio."""

    host: str
    port: int
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    """In order of preference."""
    telephone_event: int | None = TELEPHONE_EVENT
    """Payload type, None if it takes no keys (RFC 4733)."""
    direction: str = "sendrecv"

    def write(self, version: int) -> str:
        """As SDP. `version` rises with each change (RFC 3264 section 8)."""
        types = [TYPES[codec] for codec in self.codecs]
        types += [] if self.telephone_event is None else [self.telephone_event]
        family = "IP6" if ":" in self.host else "IP4"
        lines = [
            "v=0",
            f"o=phone {self.port} {version} IN {family} {self.host}",
            "s=-",
            f"c=IN {family} {self.host}",
            "t=0 0",
            f"m=audio {self.port} RTP/AVP {' '.join(map(str, types))}",
            *(f"a=rtpmap:{TYPES[codec]} {codec}/8000" for codec in self.codecs),
        ]
        if self.telephone_event is not None:
            lines += [f"a=rtpmap:{self.telephone_event} telephone-event/8000", f"a=fmtp:{self.telephone_event} 0-15"]
        return "\r\n".join([*lines, "a=ptime:20", f"a={self.direction}"]) + "\r\n"


def read(sdp: str) -> Media:
    """The first audio stream of `sdp`. Raises BadSdp."""
    host, port, direction, types = "", 0, "sendrecv", list[str]()
    names = {str(payload_type): codec for payload_type, codec in STATIC_TYPES.items()}
    in_audio, in_session = False, True
    for line in sdp.splitlines():
        kind, _, value = line.partition("=")
        if kind == "m":
            words = value.split()
            in_session, in_audio = False, len(words) > 3 and words[0] == "audio" and not types
            if in_audio and words[1].isdecimal():
                port, types = int(words[1]), words[3:]
        elif not (in_audio or in_session):
            continue
        elif kind == "c":
            host = value.rpartition(" ")[2]
        elif kind == "a" and value in MIRRORED:
            direction = value
        elif kind == "a" and value.startswith("rtpmap:"):
            payload_type, _, name = value.removeprefix("rtpmap:").partition(" ")
            names[payload_type] = name.partition("/")[0].upper()
    codecs = tuple(codec for codec in (names.get(each, "") for each in types) if codec in TYPES)
    if not host or not port or not codecs:
        raise BadSdp(f"no audio of G.711 in {sdp!r}")
    events = next((int(each) for each in types if names.get(each) == "TELEPHONE-EVENT"), None)
    return Media(host, port, codecs, events, direction)


def answer(mine: Media, offer: Media) -> Media:
    """My answer to `offer`: its codecs that I have, in its order (RFC 3264 section 6.1). Raises BadSdp."""
    codecs = tuple(codec for codec in offer.codecs if codec in mine.codecs)
    if not codecs:
        raise BadSdp(f"none of {offer.codecs} is a codec of this phone")
    events = offer.telephone_event if mine.telephone_event is not None else None
    return Media(mine.host, mine.port, codecs, events, MIRRORED[offer.direction])
