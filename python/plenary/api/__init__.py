"""The REST API: routes, checks, errors, OpenAPI. It decides nothing about calls: it asks the core and reads the store.

`create_app(ApiDeps(...))` is an ASGI application; `deps` says what it needs.
"""

from .app import create_app
from .deps import ApiDeps, LogTail, RecordingFile, RecordingFiles, Views
from .metrics import Metrics

__all__ = ["ApiDeps", "LogTail", "Metrics", "RecordingFile", "RecordingFiles", "Views", "create_app"]
