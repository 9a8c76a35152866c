"""Decisions. An event enters, `Switch` decides, commands leave: no I/O, no clock, no asyncio in here.

Read `events`, `commands` and `resources` first: they are the vocabulary that every other package speaks. Then `switch`,
the one door, and the machines behind it: `conference`, `conferencecall`, `recording`, and `call` with what it is made
of: `session` (offers and answers, the leg in the engine), `runner` and `flow` (which action comes next), `actions`
(what each does). They share a `world`; `limits` holds every limit, with its reason.
"""
