"""Messages of the kinds that RFC 4475 describes, and what parsing makes of each.

The messages are our own; the RFC section says which difficulty each one has. `ACCEPT` is a message, `DROP` a refusal
with nobody to answer, a number the status of the answer. Add a case as one entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ACCEPT: Final = 0
DROP: Final = -1

SDP: Final = b"v=0\r\no=- 7 7 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"

_COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "l": "content-length", "m": "contact"}
_DEFAULTS = (
    "Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKtorture",
    "Max-Forwards: 70",
    "From: <sip:ann@phones.example>;tag=ann1",
    "To: <sip:lobby@rooms.example>",
    "Call-ID: torture@192.0.2.7",
)


@dataclass(frozen=True)
class Case:
    name: str
    section: str  # of RFC 4475
    verdict: int
    data: bytes


def _key(line: str) -> str:
    name = line.partition(":")[0].strip().lower()
    return _COMPACT.get(name, name)


def message(start: str, *lines: str, body: bytes = b"", omit: tuple[str, ...] = ()) -> bytes:
    """A start line, the usual headers except those that `lines` has or `omit` names, and the lines."""
    method = start.partition(" ")[0]
    given = {_key(line) for line in lines} | set(omit)
    usual = (*_DEFAULTS, f"CSeq: 1 {method}", f"Content-Length: {len(body)}")
    headers = [line for line in usual if _key(line) not in given]
    return "\r\n".join((start, *headers, *lines, "", "")).encode("utf-8", "surrogateescape") + body


OPTIONS = "OPTIONS sip:lobby@rooms.example SIP/2.0"
INVITE = "INVITE sip:lobby@rooms.example SIP/2.0"
REGISTER = "REGISTER sip:rooms.example SIP/2.0"
LONG = "long" * 60

CASES: Final = (
    Case(
        "folded, spaced, oddly cased and empty headers",
        "3.1.1.1",
        ACCEPT,
        message(
            "INVITE sip:lobby@rooms.example;flag SIP/2.0",
            "TO :\r\n sip:lobby@rooms.example ;   tag    = there1",
            'from   : "Ann \\\\\\""       <sip:ann@phones.example>\r\n  ;\r\n  tag = ann1',
            "MaX-fOrWaRdS: 0070",
            "cseq: 0007\r\n\tINVITE",
            "Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.7;branch=390torture",
            "v:  SIP  / 2.0  / TCP     edge.example   ;\r\n  branch  =   z9hG4bK9  ,"
            "\r\n SIP / 2.0 / UDP 192.0.2.8 ; branch=\r\n z9hG4bK8",
            "s :",
            "Novelty: a value\r\n that goes on",
            "Commas-Everywhere: ;;,,;;,;",
            "Route:\r\n <sip:edge.example;lr;other=1;flag>",
            'm:"Ann \\"\\"" <sip:ann@phones.example> ; flag =\r\n yes ;\r\n  second ; q = 0.33',
            body=SDP,
        ),
    ),
    Case(
        "every character that the grammar allows",
        "3.1.1.2",
        ACCEPT,
        message(
            "!Odd-Method0123456789_*+`.%indeed'~ "
            "sip:1_odd~(user!x)&is+it$/mad?,/;;*:&a+b=1,c!*d$e~f_(g'h)@rooms.example SIP/2.0",
            'To: "BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:1_odd~(user!x)@rooms.example>',
            "From: one~` two'+_ three*%!.- <sip:ann@phones.example>;odd''~+*_!.-%=\"всё\";tag=_a~1'+`*%!-.",
            "Call-ID: word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
            "extension-!.%*+_`'~:\ufeff大停電",
        ),
    ),
    Case(
        "escapes in the user part and in parameters",
        "3.1.1.3",
        ACCEPT,
        message(
            "INVITE sip:sips%3Aann%40phones.example@rooms.example SIP/2.0",
            "From: <sip:I%20am%20spaced@phones.example>;tag=ann1",
            "Contact:\r\n  <sip:a%6En@phones.example;%6C%72;n%61me=v%61lue%25%34%31>",
        ),
    ),
    Case(
        "escaped nulls",
        "3.1.1.4",
        ACCEPT,
        message(
            REGISTER,
            "To: sip:null-%00-null@rooms.example",
            "Contact: <sip:%00@phones.example>",
            "Contact: <sip:%00%00@phones.example>",
        ),
    ),
    Case(
        "percent signs that are not escapes",
        "3.1.1.5",
        ACCEPT,
        message(
            "RE%47IST%45R sip:rooms.example SIP/2.0",
            'To: "%Z%45" <sip:lobby@rooms.example>',
            "C%6Fntact: <sip:ann@phones.example>",
        ),
    ),
    Case(
        "no space between name and angle bracket",
        "3.1.1.6",
        ACCEPT,
        message(OPTIONS, "From: ann<sip:ann@phones.example>;tag=ann1"),
    ),
    Case(
        "long values",
        "3.1.1.7",
        ACCEPT,
        message(
            INVITE,
            f'To: "{LONG} {LONG}"<sip:lobby@rooms.example:6000;p1={LONG};p2={LONG}>',
            f"F: sip:{LONG}@phones.example;tag={LONG};{LONG}={LONG};flag",
            f"Call-ID: {LONG}",
            f"Unknown-{LONG}: {LONG}; {LONG}={LONG}",
            *(f"Via: SIP/2.0/TCP hop{hop}.example" for hop in range(33)),
            f"Via: SIP/2.0/TCP first.example;received=192.0.2.5;branch={LONG}",
        ),
    ),
    Case(
        "a second message in the tail of the datagram",
        "3.1.1.8",
        ACCEPT,
        message(REGISTER) + b"\r\n" + message(INVITE),
    ),
    Case(
        "parameters inside the user part",
        "3.1.1.9",
        ACCEPT,
        message("OPTIONS sip:lobby;par=u%40x@rooms.example SIP/2.0", "Accept: application/sdp,\r\n     text/plain"),
    ),
    Case(
        "Via with many transports",
        "3.1.1.10",
        ACCEPT,
        message(OPTIONS, *(f"Via: SIP/2.0/{name} h.example" for name in ("UDP", "SCTP", "TLS", "UNHEARD-OF", "TCP"))),
    ),
    Case(
        "a multipart body with binary parts",
        "3.1.1.11",
        ACCEPT,
        message(
            "MESSAGE sip:lobby@rooms.example SIP/2.0",
            "Content-Type: multipart/mixed;boundary=cut",
            body=b"--cut\r\n\r\nhi\r\n--cut\r\n\r\n" + bytes(range(256)) + b"\r\n--cut--\r\n",
        ),
    ),
    Case(
        "an unusual reason phrase", "3.1.1.12", ACCEPT, message("SIP/2.0 200 = 2**3 * 5**2 простое", "CSeq: 1 INVITE")
    ),
    Case("an empty reason phrase", "3.1.1.13", ACCEPT, message("SIP/2.0 100 ", "CSeq: 1 INVITE")),
    Case(
        "separators without anything between them",
        "3.1.2.1",
        400,
        message(INVITE, "Via: SIP/2.0/UDP 192.0.2.7;;,;,,", 'Contact: "Ann" <sip:ann@phones.example>;;;;'),
    ),
    Case("Content-Length greater than the body", "3.1.2.2", 400, message(INVITE, "Content-Length: 9999", body=SDP)),
    Case("a negative Content-Length", "3.1.2.3", 400, message(INVITE, "Content-Length: -999", body=SDP)),
    Case("a CSeq beyond 32 bits in a request", "3.1.2.4", 400, message(OPTIONS, "CSeq: 36893488147419103232 OPTIONS")),
    Case("Max-Forwards beyond 255", "3.1.2.4", 400, message(OPTIONS, "Max-Forwards: 300")),
    Case(
        "a CSeq beyond 32 bits in a response",
        "3.1.2.5",
        DROP,
        message("SIP/2.0 503 No", "CSeq: 92923948347723 OPTIONS"),
    ),
    Case("an open quote", "3.1.2.6", 400, message(INVITE, 'To: "Mr. Lobby <sip:lobby@rooms.example>')),
    Case("angle brackets around the Request-URI", "3.1.2.7", 400, message("INVITE <sip:lobby@rooms.example> SIP/2.0")),
    Case("a space within the Request-URI", "3.1.2.8", 400, message("INVITE sip:lobby@rooms.example; lr SIP/2.0")),
    Case("two spaces in the request line", "3.1.2.9", 400, message("INVITE  sip:lobby@rooms.example  SIP/2.0")),
    Case("spaces after the request line", "3.1.2.10", 400, message(OPTIONS + "  ")),
    Case(
        "headers in the Request-URI",
        "3.1.2.11",
        400,
        message("INVITE sip:lobby@rooms.example?Route=%3Csip:x%3E SIP/2.0"),
    ),
    Case("a Date in a local time zone", "3.1.2.12", ACCEPT, message(INVITE, "Date: Fri, 01 Jan 2010 16:00:00 EST")),
    Case(
        "a bare URI with headers as Contact",
        "3.1.2.13",
        400,
        message(REGISTER, "Contact: sip:ann@phones.example?Route=%3Csip:x%3E"),
    ),
    Case("spaces within angle brackets", "3.1.2.14", 400, message(OPTIONS, 'To: "Lobby" < sip:lobby@rooms.example >')),
    Case(
        "an unquoted name that needs quotes",
        "3.1.2.15",
        400,
        message(OPTIONS, "From: Bell, Ann <sip:ann@phones.example>;tag=1"),
    ),
    Case(
        "a version from the future",
        "3.1.2.16",
        505,
        message("OPTIONS sip:x@rooms.example SIP/7.0", "Via: SIP/7.0/UDP a.example"),
    ),
    Case("CSeq with another method", "3.1.2.17", 400, message(OPTIONS, "CSeq: 8 INVITE")),
    Case(
        "CSeq with another method, of an unknown one",
        "3.1.2.18",
        400,
        message("NEW sip:x@rooms.example SIP/2.0", "CSeq: 8 INVITE"),
    ),
    Case(
        "a status beyond three digits",
        "3.1.2.19",
        DROP,
        message("SIP/2.0 4294967301 better not break", "CSeq: 1 INVITE"),
    ),
    Case(
        "a branch that is only the magic cookie",
        "3.2.1",
        ACCEPT,
        message(OPTIONS, "Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK"),
    ),
    Case("no From, To and Call-ID", "3.3.1", 400, message(INVITE, omit=("from", "to", "call-id"))),
    Case("an unknown scheme in the Request-URI", "3.3.2", ACCEPT, message("OPTIONS unheardOf:opaque SIP/2.0")),
    Case(
        "a known scheme that is not for SIP", "3.3.3", ACCEPT, message("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0")
    ),
    Case(
        "unknown schemes in headers",
        "3.3.4",
        ACCEPT,
        message(REGISTER, "To: isbn:2983792873", "From: <http://www.phones.example>;tag=1", "Contact: <name:Ann>"),
    ),
    Case(
        "unknown option tags",
        "3.3.5",
        ACCEPT,
        message(OPTIONS, "Require: noOneHasThis, norThat", "Proxy-Require: orThat"),
    ),
    Case(
        "an unknown body type", "3.3.6", ACCEPT, message(INVITE, "Content-Type: application/unheard-of", body=b"<x/>")
    ),
    Case(
        "an unknown scheme of authorization", "3.3.7", ACCEPT, message(REGISTER, "Authorization: Unheard opaque=here")
    ),
    Case(
        "single headers that are there twice",
        "3.3.8",
        400,
        message(
            INVITE, *("CSeq: 5 INVITE", "CSeq: 59 INVITE", "Call-ID: one", "Call-ID: two", "To: <sip:a@b.example>")
        ),
    ),
    Case(
        "two different Content-Lengths",
        "3.3.9",
        400,
        message(OPTIONS, "Content-Length: 13", "Content-Length: 5", body=SDP),
    ),
    Case(
        "a 200 with a broadcast Via",
        "3.3.10",
        ACCEPT,
        message("SIP/2.0 200 OK", "Via: SIP/2.0/UDP 255.255.255.255", "CSeq: 1 INVITE"),
    ),
    Case("Max-Forwards of zero", "3.3.11", ACCEPT, message(OPTIONS, "Max-Forwards: 0")),
    Case("a parameter of the Contact", "3.3.12", ACCEPT, message(REGISTER, "Contact: sip:+1972@gw.example;unknown")),
    Case(
        "a parameter of the Contact's URI",
        "3.3.13",
        ACCEPT,
        message(REGISTER, "Contact: <sip:+1972@gw.example;unknown>"),
    ),
    Case(
        "headers in the Contact's URI", "3.3.14", ACCEPT, message(REGISTER, "M: <sip:ann@gw.example?Route=%3Csip:x%3E>")
    ),
    Case("an Accept without SDP", "3.3.15", ACCEPT, message(INVITE, "Accept: text/unheard-of", body=SDP)),
    Case(
        "an INVITE of RFC 2543",
        "3.4.1",
        ACCEPT,
        message(
            INVITE,
            "Via: SIP/2.0/UDP gw.example",
            "From: <sip:+1303@gw.example;user=phone>",
            "Record-Route: <sip:lobby@rooms.example;maddr=ss1.example>",
            omit=("max-forwards", "content-length"),
            body=SDP,
        ),
    ),
)

_ACCEPTED = """
    wsinv esc01 escnull lwsdisp longreq semiuri transports unreason noreason dblreq mpart01 intmeth esc02 badbranch
    inv2543 unkscm novelsc unksm2 bext01 invut regaut01 zeromf sdp01 bcast cparam01 cparam02 regescrt baddate
"""
_REFUSED = """
    badinv01 ncl scalar02 quotbal ltgtruri lwsruri escruri regbadct badaspec baddn mismatch01 mismatch02 clerr
    lwsstart trws insuf multi01 mcl01
"""
_DROPPED = "scalarlg bigcode test"

RFC4475: Final = {
    **dict.fromkeys(_ACCEPTED.split(), ACCEPT),
    **dict.fromkeys(_REFUSED.split(), 400),
    **dict.fromkeys(_DROPPED.split(), DROP),
    "badvers": 505,
}
"""The verdicts on the messages of the RFC itself, by the names of its archive; unknown methods, bodies, schemes and
options are for the endpoint to refuse."""
