import pytest
from engines import Engine, fake, native

from plenary.testing.coroutines import pytest_pyfunc_call
from plenary.testing.engine import has_native_engine

__all__ = ["pytest_pyfunc_call"]


@pytest.fixture(params=["fake", "native"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Both engines pass the same tests; without a build of the native one, its turn is skipped."""
    if request.param == "native" and not has_native_engine():
        pytest.skip("the native engine is not built")
    return fake if request.param == "fake" else native
