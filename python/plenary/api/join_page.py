"""The join page: files that were built from `web/`, held in memory and served to browsers.

The address of the page holds a token, so nothing is told of it to other sites, and nothing is loaded from any.
"""

from pathlib import Path

from .problems import Problem
from .reply import Reply

FILE_MAX = 4 * 1024 * 1024
"""Bytes: the page's own script has a hundredth of that."""

_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
    ".txt": "text/plain",
}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "media-src 'self' blob: mediastream:",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_PAGE_HEADERS = {
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}
_ASSET_HEADERS = {"cache-control": "public, max-age=31536000, immutable", "content-security-policy": _POLICY}
"""The name of an asset has a hash of what is in it, so it never changes. A worker has a policy of its own."""


class JoinPage:
    """`folder` has `index.html` and `assets/`; None: the page was not built."""

    def __init__(self, folder: Path | None) -> None:
        self._page = b""
        self._assets: dict[str, tuple[str, bytes]] = {}
        if folder is None or not (folder / "index.html").is_file():
            return
        self._page = (folder / "index.html").read_bytes()
        for path in sorted((folder / "assets").iterdir()) if (folder / "assets").is_dir() else []:
            if path.suffix in _TYPES and path.is_file() and path.stat().st_size <= FILE_MAX:
                self._assets[path.name] = (_TYPES[path.suffix], path.read_bytes())

    def page(self, token: str) -> Reply:  # noqa: ARG002
        """The page asks by itself what its token is good for."""
        if not self._page:
            raise Problem("route_not_found", "The join page was not built into this server ('make web').")
        return Reply(self._page, media_type=_TYPES[".html"], headers=_PAGE_HEADERS)

    def asset(self, name: str) -> Reply:
        found = self._assets.get(name)
        if found is None:
            raise Problem("route_not_found", "There is no such file.")
        return Reply(found[1], media_type=found[0], headers=_ASSET_HEADERS)
