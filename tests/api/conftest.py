import pytest

from plenary.testing.coroutines import pytest_pyfunc_call

from .fake import Client, FakeServer

__all__ = ["pytest_pyfunc_call"]


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def client(server: FakeServer) -> Client:
    return Client(server)
