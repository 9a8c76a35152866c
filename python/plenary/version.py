"""The version, from the installed package: one place to change it is `Cargo.toml` and `pyproject.toml`."""

from importlib.metadata import version

VERSION = version("plenary")
