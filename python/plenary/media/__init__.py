"""The client of the media engine, which is a process of its own: `client` speaks with it, `process` starts it.

SDP is carried, never read. `_media` (compiled) is the engine; `fake` stands in for it in tests.
"""
