"""`plenary demo`: a whole conference on this machine, from the first request to the last BYE, measured as it goes."""

from .story import run_demo

__all__ = ["run_demo"]
