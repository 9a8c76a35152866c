"""Lets pytest run coroutines: `from plenary.testing.coroutines import pytest_pyfunc_call` in a conftest.py."""

import asyncio
import inspect
from typing import Any

TEST_TIMEOUT_S = 30.0
"""A test that waits for what never comes fails after this."""


def pytest_pyfunc_call(pyfuncitem: Any) -> bool | None:
    """Each coroutine runs in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    asyncio.run(asyncio.wait_for(pyfuncitem.obj(**arguments), TEST_TIMEOUT_S))
    return True
