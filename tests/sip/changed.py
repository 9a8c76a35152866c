"""Messages with other headers: what only tests have to make."""

from collections.abc import Iterable

from plenary.sip.message import HeaderValue, Message, Request, Response, header_key


def with_fields(message: Message, fields: Iterable[tuple[str, HeaderValue]], *, without: str = "") -> Message:
    """The message with these fields after its own, of which those named `without` are left out."""
    kept = [field for field in message.headers if header_key(field[0]) != header_key(without)]
    headers = (*kept, *((name, str(value)) for name, value in fields))
    if isinstance(message, Request):
        return Request(message.method, message.uri_text, headers, message.body)
    assert isinstance(message, Response)
    return Response(message.status, message.reason, headers, message.body)
