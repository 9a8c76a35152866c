import asyncio
from collections.abc import Generator

import pytest
from serving import Serving

from plenary.testing.coroutines import pytest_pyfunc_call

__all__ = ["pytest_pyfunc_call"]


@pytest.fixture(scope="module")
def server_of_module(tmp_path_factory: pytest.TempPathFactory) -> Generator[Serving]:
    server = Serving(tmp_path_factory.mktemp("shared") / "data")
    asyncio.run(server.start())
    yield server
    asyncio.run(server.end())


@pytest.fixture
def server(server_of_module: Serving) -> Serving:
    """A server that the tests of one file share: each makes conferences of its own."""
    server_of_module.connect()
    return server_of_module
