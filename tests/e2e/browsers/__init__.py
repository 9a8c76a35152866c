"""Real browsers under remote control, headless: Debian's Chromium and Firefox.

Both are driven by what they bring along, with no driver program in between and no WebSocket: Chromium by the DevTools
protocol over a pipe, Firefox by Marionette over TCP. `page.py` is what tests use of either.
"""

from .chromium import Chromium
from .firefox import Firefox
from .page import Page
from .wire import Wire, without_udp

__all__ = ["Chromium", "Firefox", "Page", "Wire", "without_udp"]
