"""Why a request of the API's user is refused.

    Refusal
    ├── Invalid        400: the request is wrong; `path` names the field
    ├── NotFound       404: no such resource, or it is another customer's
    ├── Unprocessable  422: understood, but it asks for what this server has not
    ├── WrongState     409: right request, wrong moment
    ├── LimitReached   429: a limit of this server; try with fewer or later
    └── Unavailable    503: the server cannot do it now (engine away, disk full)

Every refusal has a stable `code` for programs, a sentence for people, and says what to do where that is not obvious.
"""

from typing import ClassVar


class Refusal(Exception):
    """A request that is not carried out. Nothing has changed."""

    status: ClassVar[int] = 400

    def __init__(self, code: str, detail: str, path: str = "") -> None:
        super().__init__(detail)
        self.code = code
        """Stable, `lower_snake_case`: `conference_not_found`, `unknown_action`, ..."""
        self.detail = detail
        """One sentence that says what is wrong and what to do about it."""
        self.path = path
        """JSON pointer (RFC 6901) of the field at fault, empty if the whole request is."""


class Invalid(Refusal):
    """The request is wrong in itself."""

    status = 400


class NotFound(Refusal):
    """No such resource among this customer's."""

    status = 404


class Unprocessable(Refusal):
    """What it asks for is well-formed, and nothing that this server could do."""

    status = 422


class WrongState(Refusal):
    """The resource is in a state that does not allow this."""

    status = 409


class LimitReached(Refusal):
    """A limit of this server is reached."""

    status = 429


class Unavailable(Refusal):
    """The server cannot do this now."""

    status = 503
