"""The API over TLS, with a certificate of the test's own: a page may use the microphone only so."""

import re
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
from pages import a_house

from plenary.config import Config, ConfigError, Settings


def a_certificate(folder: Path, name: str = "server") -> tuple[str, str]:
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
            "-out", str(cert), "-keyout", str(key),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return str(cert), str(key)


async def test_the_page_and_the_api_are_served_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cert, key = a_certificate(tmp_path)
    async with a_house(tmp_path / "data", monkeypatch, http_cert=cert, http_key=key) as house:
        trusted = ssl.create_default_context(cafile=cert)
        async with httpx.AsyncClient(base_url=house.base.replace("http", "https"), verify=trusted) as rest:
            assert (await rest.get("/ping")).json() == {"message": "pong"}
        async with httpx.AsyncClient(base_url=house.base) as plain:
            with pytest.raises(httpx.HTTPError):
                await plain.get("/ping")


def test_a_certificate_that_can_not_be_used_is_named(tmp_path: Path):
    """The option, the file, and what is wrong with it."""
    (cert, key), (_, other_key) = a_certificate(tmp_path), a_certificate(tmp_path, "other")
    missing, garbage, locked = str(tmp_path / "none.pem"), tmp_path / "garbage.pem", str(tmp_path / "locked.key")
    garbage.write_text("no certificate")
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", key, "-passout", "pass:secret", "-out", locked],
        check=True,
        capture_output=True,
    )
    damaged = {name: tmp_path / f"damaged.{name}" for name in ("pem", "key")}
    for name, whole in (("pem", cert), ("key", key)):
        first, *_, last = Path(whole).read_text().splitlines()
        damaged[name].write_text(f"{first}\nAAAA\n{last}\n")
    for given, wrong in (
        ((cert, ""), "--http-cert and --http-key are needed together"),
        (("", key), "--http-cert and --http-key are needed together"),
        ((missing, key), f"--http-cert: {missing} can't be read: No such file"),
        ((cert, missing), f"--http-key: {missing} can't be read: No such file"),
        ((str(garbage), key), f"--http-cert: {garbage} holds no certificate"),
        ((key, key), f"--http-cert: {key} holds no certificate"),
        ((cert, cert), f"--http-key: {cert} holds no private key"),
        ((cert, other_key), f"--http-key: {other_key} is the key of another certificate than {cert}"),
        ((cert, locked), f"--http-key: {locked} is locked with a password"),
        ((str(damaged["pem"]), key), f"--http-cert: {damaged['pem']} is damaged"),
        ((cert, str(damaged["key"])), f"--http-key: {damaged['key']} is damaged"),
    ):
        with pytest.raises(ConfigError, match=re.escape(wrong)):
            Config.from_settings(Settings(http_cert=given[0], http_key=given[1]))
    made = Config.from_settings(Settings(http_cert=cert, http_key=key))
    assert made.tls is not None
