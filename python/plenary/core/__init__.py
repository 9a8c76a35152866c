"""Decisions. An event enters, `Switch` decides, commands leave: no I/O, no clock, no asyncio in here.

Read `events`, `commands` and `resources` first: they are the vocabulary that every other package speaks.
"""
