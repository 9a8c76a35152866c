"""The settings of the trunk become credentials that hold for it alone."""

import pytest

from plenary.config import Config, ConfigError, Settings
from plenary.sip.config import Credentials

LOGIN = {"sip_trunk_user": "ours", "sip_trunk_password": "secret"}


@pytest.mark.parametrize(
    ("settings", "credentials"),
    [
        ({}, None),
        (LOGIN | {"sip_trunk": "sip.example.com"}, Credentials("ours", "secret", "sip.example.com")),
        (LOGIN | {"sip_trunk": "[2001:db8::1]:5080"}, Credentials("ours", "secret", "2001:db8::1", 5080)),
        (
            LOGIN | {"sip_trunk": "192.0.2.1:5070", "sip_trunk_realm": "theirs"},
            Credentials("ours", "secret", "192.0.2.1", 5070, "theirs"),
        ),
    ],
)
def test_the_trunk_has_a_host_and_may_have_a_port_and_a_realm(settings, credentials):
    assert Config.from_settings(Settings(**settings)).sip_trunk == credentials


@pytest.mark.parametrize(
    "settings",
    [
        LOGIN,
        {"sip_trunk": "sip.example.com"},
        LOGIN | {"sip_trunk": "ann@sip.example.com"},
        LOGIN | {"sip_trunk": "sip.example.com:0"},
        LOGIN | {"sip_trunk": "sip.example.com;lr"},
        LOGIN | {"sip_trunk": "two words"},
    ],
)
def test_a_password_without_a_host_that_it_is_for_is_refused(settings):
    with pytest.raises(ConfigError, match="--sip-trunk"):
        Config.from_settings(Settings(**settings))
