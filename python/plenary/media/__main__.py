"""Process of the media engine: `python -m plenary.media --socket PATH ...`."""

import argparse
import sys

from plenary.media import _media
from plenary.media.errors import STATUS_UNUSABLE


def _port_range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and int(first) <= int(last) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no range of ports like 20000-29999")
    return int(first), int(last)


def main() -> int:
    """Runs the engine; gives the status of the process."""
    parser = argparse.ArgumentParser(prog="plenary.media", description="Media engine of Plenary.")
    parser.add_argument("--socket", required=True, help="Unix socket on which the server is awaited")
    parser.add_argument("--rtp-address", default="127.0.0.1", help="IP address that RTP is bound to")
    parser.add_argument("--public-address", help="IP address in SDP (default: that of RTP)")
    parser.add_argument("--rtp-ports", type=_port_range, default=(20000, 29999), help="FIRST-LAST")
    parser.add_argument(
        "--webrtc-port", type=int, default=0, help="UDP and TCP port for browsers, one per thread from here (0: none)"
    )
    parser.add_argument("--threads", type=int, default=1, help="media threads")
    parser.add_argument("--orphan-timeout-s", type=float, default=30.0, help="seconds without a server until it ends")
    parser.add_argument(
        "--inactivity-first-s", type=float, default=30.0, help="seconds a peer may take for its first packet"
    )
    parser.add_argument("--inactivity-later-s", type=float, default=15.0, help="seconds a peer may be silent later")
    arguments = parser.parse_args()
    try:
        _media.run(
            socket=arguments.socket,
            rtp_address=arguments.rtp_address,
            public_address=arguments.public_address or arguments.rtp_address,
            rtp_port_first=arguments.rtp_ports[0],
            rtp_port_last=arguments.rtp_ports[1],
            webrtc_port=arguments.webrtc_port,
            threads=arguments.threads,
            orphan_timeout_s=arguments.orphan_timeout_s,
            inactivity_first_s=arguments.inactivity_first_s,
            inactivity_later_s=arguments.inactivity_later_s,
        )
    except (ValueError, OverflowError) as error:
        sys.stderr.write(f"plenary.media: {error}\n")
        return STATUS_UNUSABLE
    except OSError as error:
        sys.stderr.write(f"plenary.media: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
