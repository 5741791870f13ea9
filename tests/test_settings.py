"""The RECEIVER_* variables."""

import re
from ipaddress import ip_network
from pathlib import Path

import pytest

from receiver.errors import SettingsError
from receiver.secrets import Secret
from receiver.settings import Settings, unknown_settings

SECRET = "0123456789abcdef"


def read(**variables: str) -> Settings:
    return Settings.read({f"RECEIVER_{k.upper()}": v for k, v in variables.items()}, None)


def test_an_empty_environment_gives_the_defaults() -> None:
    assert read() == Settings()
    assert read(secret="", margin="") == Settings()


def test_every_variable_is_read(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    assert read(
        secret=SECRET,
        epoch="3",
        public_url="https://ivr.example/calls/",
        allowed_sources="203.0.113.7, 2001:db8::/48",
        trusted_proxies="10.0.0.1",
        store="redis://:hunter2@cache/0",
        pbx_url="https://pbx.example:8887",
        pbx_token="t",
        pbx_username="admin",
        pbx_password="p",
        pbx_domain="example.com",
        pbx_ca=str(ca),
        pbx_insecure="yes",
        margin="0.25",
        threads="8",
        log_caller_data="on",
        log_format="JSON",
        metrics="1",
        metrics_folder=str(tmp_path),
        tracing="true",
        record=str(tmp_path),
        record_caller_data="true",
        record_megabytes="7",
    ) == Settings(
        secret=Secret(SECRET),
        epoch=3,
        public_url="https://ivr.example/calls",
        allowed_sources=(ip_network("203.0.113.7"), ip_network("2001:db8::/48")),
        trusted_proxies=(ip_network("10.0.0.1"),),
        store=Secret("redis://:hunter2@cache/0"),
        pbx_url="https://pbx.example:8887",
        pbx_token=Secret("t"),
        pbx_username="admin",
        pbx_password=Secret("p"),
        pbx_domain="example.com",
        pbx_ca=ca,
        pbx_insecure=True,
        margin=0.25,
        threads=8,
        log_caller_data=True,
        log_format="json",
        metrics=True,
        metrics_folder=tmp_path,
        tracing=True,
        record=tmp_path,
        record_caller_data=True,
        record_megabytes=7,
    )


@pytest.mark.parametrize(
    ("variable", "text", "problem"),
    [
        ("allowed_sources", "pbx.example.com", "neither an address nor a network; it takes"),
        ("allowed_sources", "10.0.0.1/8", "did you mean 10.0.0.0/8"),
        ("allowed_sources", ", ,", "there is none"),
        ("log_format", "xml", "is none of people, json"),
        ("metrics_folder", "relative", "is not the whole path of a folder that exists"),
        ("metrics_folder", "/nowhere/at/all", "is not the whole path of a folder"),
        ("trusted_proxies", "*", "neither an address nor a network"),
        ("secret", "short", "has 5 characters and needs at least 16"),
        ("public_url", "ivr.example", "is not a URL"),
        ("public_url", "ftp://ivr.example", "is not a URL"),
        ("public_url", "http://", "is not a URL"),
        ("public_url", "http://x:99999", "is not a URL"),
        ("public_url", "http://[", "is not a URL"),
        ("public_url", "http://x/?a=b", "no user, password, ? or #"),
        ("public_url", "http://x/?", "no user, password, ? or #"),
        ("public_url", "http://x/#a", "no user, password, ? or #"),
        ("pbx_url", "https://admin:hush@pbx", "no user, password, ? or #"),
        ("pbx_ca", "/there/is/no/such.pem", "a file that does not exist"),
        ("pbx_ca", "~nobody-here/x", "a file that does not exist"),
        ("pbx_ca", "x" * 5000, "a file that does not exist"),
        ("secret", "\udcff\udcfe0123456789abcdef", "not UTF-8"),
        ("pbx_username", "a\x1b[31m", "control characters"),
        ("public_url", "http://x y.example", "not every client can send"),
        ("public_url", "https://ü.example", "not every client can send"),
        ("public_url", "https://x.example/ü", "not every client can send"),
        ("public_url", "https://x.example/a b", "not every client can send"),
        ("public_url", "https://x.example/a/../b", "not every client can send"),
        ("public_url", "https://x.example/%2e%2e/b", "not every client can send"),
        ("public_url", "https://x.example/a//b", "not every client can send"),
        ("public_url", "http://x\\y", "not every client can send"),
        ("pbx_insecure", "maybe", "neither true nor false"),
        ("margin", "2", "from 0 to below 1"),
        ("margin", "nan", "from 0 to below 1"),
        ("margin", "x", "from 0 to below 1"),
        ("epoch", "0", "from 1 to 1000000"),
        ("epoch", "1000001", "from 1 to 1000000"),
        ("threads", "0", "from 1 to 1000"),
        ("threads", "x", "from 1 to 1000"),
        ("threads", "9" * 5000, "from 1 to 1000"),
    ],
)
def test_a_wrong_value_is_named_and_not_shown(variable: str, text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(problem)) as caught:
        read(**{variable: text})
    assert f"RECEIVER_{variable.upper()}" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_false_is_false() -> None:
    assert read(pbx_insecure="No", log_caller_data="0") == Settings()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        f"# ours\nRECEIVER_SECRET='{SECRET}'\nexport RECEIVER_MARGIN=0.1\nRECEIVER_PBX_DOMAIN=a\n"
    )
    settings = Settings.read({"RECEIVER_PBX_DOMAIN": "b"}, file)
    assert settings == Settings(secret=Secret(SECRET), margin=0.1, pbx_domain="b")
    assert Settings.read({}, tmp_path / "none") == Settings()


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_PBX_DOMAIN", "example.com")
    assert Settings.read(dotenv=None).pbx_domain == "example.com"


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"RECEIVER_SECRET=\xff")
    with pytest.raises(SettingsError, match=r"\.env cannot be read as text in UTF-8"):
        Settings.read({}, file)
    file.write_bytes(b"\xef\xbb\xbfRECEIVER_PBX_DOMAIN=a")
    assert Settings.read({}, file).pbx_domain == "a"


def test_what_is_set_in_code_is_checked_too() -> None:
    with pytest.raises(SettingsError, match="RECEIVER_SECRET has 1 characters"):
        Settings(secret=Secret("x"))
    with pytest.raises(SettingsError, match="is a Secret"):
        Settings(secret="0123456789abcdef")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="RECEIVER_MARGIN"):
        Settings(margin=5)


def test_addresses_are_urls_too() -> None:
    for url in ("http://10.0.0.5:8000", "http://[::1]:8000/a-b._~", "https://pbx_1.example"):
        assert read(public_url=url).public_url == url


def test_what_is_needed_is_asked_for_with_its_cure() -> None:
    with pytest.raises(SettingsError, match=r"RECEIVER_SECRET is not set: make one with"):
        read().need("secret")
    with pytest.raises(SettingsError, match=r"RECEIVER_PUBLIC_URL is not set: set it to"):
        read(secret=SECRET).need("secret", "public_url")
    assert read(secret=SECRET).need("secret").secret == Secret(SECRET)


def test_likely_misspellings_are_found_and_strangers_left_alone() -> None:
    environ = {"RECEIVER_PUBLICURL": "x", "RECEIVER_SERVICE_HOST": "10.0.0.1", "PATH": "/"}
    assert unknown_settings(environ) == {"RECEIVER_PUBLICURL": "RECEIVER_PUBLIC_URL"}


def test_secrets_are_not_printed() -> None:
    assert SECRET not in repr(read(secret=SECRET, pbx_password=SECRET))
