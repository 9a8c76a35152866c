"""Where `--sip` listens, what phones are told of it, and what is refused before anything starts."""

from pathlib import Path

import pytest

from plenary.config import Config, ConfigError, Endpoint, Settings, check_file

USERS = ["ann:secret"]
HERE = "127.0.0.1"


def config(*sip: str, **others) -> Config:
    return Config.from_settings(Settings(sip=sip, sip_users=USERS, **others))


def test_each_has_a_policy_of_its_own_or_that_of_all():
    made = config("127.0.0.1:5060", "127.0.0.1:5061?srtp=required", "127.0.0.1:5062?srtp=never", sip_srtp="optional")
    assert [(one.at, one.srtp) for one in made.sip] == [
        (Endpoint(HERE, 5060), "optional"),
        (Endpoint(HERE, 5061), "required"),
        (Endpoint(HERE, 5062), "never"),
    ]
    assert [one.srtp for one in config("127.0.0.1:1", "127.0.0.1:2?srtp=never", sip_srtp="required").sip] == [
        "required",
        "never",
    ]


@pytest.mark.parametrize(
    ("sip", "given", "told", "media", "bound"),
    [
        (["127.0.0.1:5060"], "", [HERE], HERE, HERE),
        (["localhost:5060"], "", [HERE], HERE, HERE),
        (["127.0.0.1:5060"], "198.51.100.7", [HERE], "198.51.100.7", "198.51.100.7"),
        (["10.0.0.2:5060"], "", ["10.0.0.2"], "10.0.0.2", "10.0.0.2"),
        (["10.0.0.2:5060"], "198.51.100.7", ["198.51.100.7"], "198.51.100.7", "10.0.0.2"),
        (["0.0.0.0:5060"], "198.51.100.7", ["198.51.100.7"], "198.51.100.7", "0.0.0.0"),
        (["here.example:5060"], "198.51.100.7", ["198.51.100.7"], "198.51.100.7", "here.example"),
        (["127.0.0.1:5060", "10.0.0.2:5060"], "", [HERE, "10.0.0.2"], "10.0.0.2", "10.0.0.2"),
        (["10.0.0.2:5060", "10.0.0.2:5061"], "", ["10.0.0.2"] * 2, "10.0.0.2", "10.0.0.2"),
        (["10.0.0.2:5060", "192.168.0.2:5060"], "", ["10.0.0.2", "192.168.0.2"], "10.0.0.2", "0.0.0.0"),
        (["127.0.0.1:5060", "0.0.0.0:5061"], "198.51.100.7", [HERE, "198.51.100.7"], "198.51.100.7", "0.0.0.0"),
        (["[::1]:5060", "[2001:db8::1]:5060"], "", ["::1", "2001:db8::1"], "2001:db8::1", "2001:db8::1"),
    ],
)
def test_phones_are_told_what_leads_to_each(sip: list[str], given: str, told: list[str], media: str, bound: str):
    """Nothing from outside leads to loopback, whatever `--public-address` says. Media has one address for all."""
    made = config(*sip, public_address=given)
    assert [one.public_host for one in made.sip] == told
    assert (made.public_address, made.rtp_address) == (media, bound)


@pytest.mark.parametrize(
    ("sip", "names"),
    [
        ([], "0 addresses"),
        ([f"127.0.0.1:{port}" for port in range(5060, 5069)], "9 addresses are not 1 to 8"),
        (["127.0.0.1:5060", "127.0.0.1:5060?srtp=never"], "127.0.0.1:5060 and 127.0.0.1:5060 are the same"),
        (["localhost:5060", "127.0.0.1:5060"], "localhost:5060 and 127.0.0.1:5060 are the same"),
        (["0.0.0.0:5060", "127.0.0.1:5060"], "are the same"),
        (["127.0.0.1:5060", "[::1]:5061"], "IPv4 and IPv6"),
        (["127.0.0.1:5060?srtp=sometimes"], "'sometimes' is none of never, optional, required"),
        (["127.0.0.1:5060?srtp"], "'' is none of"),
        (["127.0.0.1:5060?transport=tcp"], "no parameter 'transport', only srtp"),
        (["127.0.0.1:5060?"], "no parameter ''"),
        (["127.0.0.1:5060;srtp=required"], "is not HOST:PORT or HOST:PORT"),
        (["127.0.0.1?srtp=required"], "is not HOST:PORT or HOST:PORT"),
        (["10.0.0.2:5060", "there.example:5060"], "is a name"),
    ],
)
def test_what_can_not_be_is_said(sip: list[str], names: str):
    with pytest.raises(ConfigError, match=r"^--sip: ") as error:
        config(*sip)
    assert names in str(error.value)


def test_port_0_is_another_one_each_time():
    assert len(config("127.0.0.1:0", "127.0.0.1:0").sip) == 2


def test_anybody_may_call_only_if_nobody_from_outside_can():
    """The default of `--sip-anonymous`."""
    assert Config.from_settings(Settings(sip=("127.0.0.1:5060", "localhost:5061"))).sip_anonymous
    with pytest.raises(ConfigError, match=r"--sip 10\.0\.0\.2:5060 can be reached from other machines"):
        Config.from_settings(Settings(sip=("127.0.0.1:5060", "10.0.0.2:5060")))
    assert not config("127.0.0.1:5060", "10.0.0.2:5060").sip_anonymous


@pytest.mark.parametrize(
    ("line", "is_right"),
    [
        ('sip = "127.0.0.1:5060"', True),
        ('sip = ["127.0.0.1:5060", "127.0.0.1:5061?srtp=required"]', True),
        ("sip = 5060", False),
        ("sip = [5060]", False),
    ],
)
def test_a_file_has_one_or_a_list(tmp_path: Path, line: str, is_right: bool):
    path = tmp_path / "plenary.toml"
    path.write_text(line)
    if is_right:
        assert check_file(path) == path
    else:
        with pytest.raises(ConfigError, match="a string in quotes, or a list of such"):
            check_file(path)
