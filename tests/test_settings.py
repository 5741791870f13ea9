"""The RECEIVER_* variables."""

import re
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest

from receiver.credentials import Secret
from receiver.errors import SettingsError
from receiver.settings import Settings, unknown_settings

SECRET = "6d0f2c9ab17e4583f4c8d25e90ab3716"


def read(**variables: str) -> Settings:
    return Settings.read({f"RECEIVER_{k.upper()}": v for k, v in variables.items()}, None)


@pytest.mark.parametrize("name", ["secret", "pbx_password", "store", "public_url", "epoch"])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_that_docker_keeps_are_an_error(name: str, quote: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{name: f"{quote}{SECRET}{quote}"})
    assert str(caught.value).startswith(f"RECEIVER_{name.upper()} is in quotes, which are part of")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("quotes", ["“”", "„“", "‘’", "«»"])
def test_quotes_of_a_word_processor_are_an_error(quotes: str) -> None:
    with pytest.raises(SettingsError, match="RECEIVER_PBX_PASSWORD is in quotes"):
        read(pbx_password=SECRET.join(quotes))


@pytest.mark.parametrize("text", [f'"{SECRET}', f"{SECRET}'", f"\"{SECRET}'", f'a"{SECRET}"'])
def test_other_quotes_are_part_of_a_secret(text: str) -> None:
    assert read(secret=text).secret == Secret(text)


def test_quotes_in_the_dotenv_file_are_removed(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(f'RECEIVER_SECRET="{SECRET}"\n')
    assert Settings.read({}, dotenv).secret == Secret(SECRET)


def test_an_empty_environment_gives_the_defaults() -> None:
    assert read() == Settings()
    assert read(secret="", margin="") == Settings()


# The text of each variable, and the value of its setting.
VARIABLES: dict[str, tuple[str, object]] = {
    "secret": (SECRET, Secret(SECRET)),
    "epoch": ("3", 3),
    "public_url": ("https://ivr.example/calls/", "https://ivr.example/calls"),
    "allowed_sources": (
        "203.0.113.7, 2001:db8::/48",
        (ip_network("203.0.113.7"), ip_network("2001:db8::/48")),
    ),
    "trusted_proxies": ("10.0.0.1", (ip_network("10.0.0.1"),)),
    "store": ("redis://:hunter2@cache/0", Secret("redis://:hunter2@cache/0")),
    "jobs": ("/var/lib/jobs.db", Secret("/var/lib/jobs.db")),
    "pbx_url": ("https://pbx.example:8887", "https://pbx.example:8887"),
    "pbx_token": ("t", Secret("t")),
    "pbx_username": ("admin", "admin"),
    "pbx_password": ("p", Secret("p")),
    "pbx_domain": ("example.com", "example.com"),
    "pbx_tenant": ("12", "12"),
    "pbx_ca": ("/etc/ca.pem", Path("/etc/ca.pem")),
    "pbx_insecure": ("yes", True),
    "pbx_version": (" 22.2.19 ", "22.2.19"),
    "number_format": ("E164", "e164"),
    "guard": ("true", True),
    "margin": ("0.25", 0.25),
    "threads": ("8", 8),
    "handover": ("false", False),
    "worker_memory": ("512", 512),
    "log_caller_data": ("on", True),
    "log_format": ("JSON", "json"),
    "metrics": ("1", True),
    "metrics_folder": ("/run/metrics", Path("/run/metrics")),
    "tracing": ("true", True),
    "console": ("0.0.0.0:9000", "0.0.0.0:9000"),
    "record": ("/var/calls", Path("/var/calls")),
    "record_caller_data": ("true", True),
    "record_fields": ("lifecyclestage, owner_id,", ("lifecyclestage", "owner_id")),
    "record_megabytes": ("7", 7),
    "voice_command": ("say-it 'a b' {out}", ("say-it", "a b", "{out}")),
    "voice_model": ("/voices/en.onnx", Path("/voices/en.onnx")),
}


def test_every_variable_is_read() -> None:
    assert list(VARIABLES) == [field.name for field in fields(Settings)]
    found = read(**{name: text for name, (text, _) in VARIABLES.items()})
    assert found == Settings(**{name: value for name, (_, value) in VARIABLES.items()})  # type: ignore[arg-type]
    assert all(value != getattr(Settings(), name) for name, (_, value) in VARIABLES.items())


@pytest.mark.parametrize(
    ("variable", "text", "problem"),
    [
        ("allowed_sources", "pbx.example.com:80", "host names, without scheme and port, as in"),
        ("allowed_sources", "10.0.0.1/8", "did you mean 10.0.0.0/8"),
        ("allowed_sources", ", ,", "it names no address; it takes"),
        ("log_format", "xml", "is not one of text, json"),
        ("record", "~no-such-user/x", "starts with ~ of an unknown user"),
        ("trusted_proxies", "*", "neither an address nor a network"),
        ("secret", "short", "is too short or too regular"),
        ("public_url", "ivr.example", "is not a URL"),
        ("public_url", "ftp://ivr.example", "is not a URL"),
        ("public_url", "http://", "is not a URL"),
        ("public_url", "http://x:99999", "is not a URL"),
        ("public_url", "http://[", "is not a URL"),
        ("public_url", "http://x/?a=b", "no user, password, ? or #"),
        ("public_url", "http://x/?", "no user, password, ? or #"),
        ("public_url", "http://x/#a", "no user, password, ? or #"),
        ("pbx_url", "https://admin:hush@pbx", "no user, password, ? or #"),
        ("pbx_ca", "~no-such-user/x", "starts with ~ of an unknown user"),
        ("secret", "\udcff\udcfe6d0f2c9ab17e4583f4c8d25e90ab3716", "not UTF-8"),
        ("pbx_username", "a\x1b[31m", "control characters"),
        ("public_url", "http://x y.example", "some HTTP clients cannot send"),
        ("public_url", "https://ü.example", "some HTTP clients cannot send"),
        ("public_url", "https://x.example/ü", "some HTTP clients cannot send"),
        ("public_url", "https://x.example/a b", "some HTTP clients cannot send"),
        ("public_url", "https://x.example/a/../b", "some HTTP clients cannot send"),
        ("public_url", "https://x.example/%2e%2e/b", "some HTTP clients cannot send"),
        ("public_url", "https://x.example/a//b", "some HTTP clients cannot send"),
        ("public_url", "http://x\\y", "some HTTP clients cannot send"),
        ("pbx_insecure", "maybe", "neither true nor false"),
        ("pbx_version", "22", "not the version of a PBX such as 22.2"),
        ("pbx_version", "v22.2", "not the version of a PBX"),
        ("pbx_version", "٢٢.2", "not the version of a PBX"),
        ("pbx_version", "22.2.1.1.1", "not the version of a PBX"),
        ("margin", "2", "from 0 to less than 1"),
        ("margin", "nan", "from 0 to less than 1"),
        ("margin", "x", "from 0 to less than 1"),
        ("epoch", "0", "from 1 to 1000000"),
        ("epoch", "1000001", "from 1 to 1000000"),
        ("threads", "0", "from 1 to 1000"),
        ("threads", "x", "from 1 to 1000"),
        ("threads", "9" * 5000, "from 1 to 1000"),
    ],
)
def test_an_invalid_value_is_an_error_that_does_not_contain_it(
    variable: str, text: str, problem: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(problem)) as caught:
        read(**{variable: text})
    assert f"RECEIVER_{variable.upper()}" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.read(
            {"RECEIVER_SECRET": "short", "RECEIVER_MARGIN": "2", "RECEIVER_NORTH_PBX_CA": "~x-/y"},
            None,
            pbx="north",
            needed=("secret", "public_url", "pbx_ca", "pbx_account"),
        )
    assert [problem.split()[0] for problem in caught.value.problems] == [
        "RECEIVER_SECRET",
        "RECEIVER_MARGIN",
        "RECEIVER_NORTH_PBX_CA",
        "RECEIVER_PUBLIC_URL",
        "the",
    ]
    assert str(caught.value).splitlines() == list(caught.value.problems)


def test_an_account_is_a_token_or_a_name_with_a_password() -> None:
    assert read(pbx_token="t").need("pbx_account")
    assert read(pbx_username="a", pbx_password="p").need("pbx_account")
    with pytest.raises(SettingsError, match="the PBX needs a token or an account"):
        read(pbx_username="a").need("pbx_account")


def test_a_folder_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read(record="calls").record == tmp_path / "calls"
    assert read(metrics_folder="run/metrics").metrics_folder == tmp_path / "run" / "metrics"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read(record="~/calls").record == tmp_path / "calls"


def test_false_is_false() -> None:
    assert read(pbx_insecure="No", log_caller_data="0") == Settings()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        f"# x\nRECEIVER_SECRET='{SECRET}'\nexport RECEIVER_MARGIN=0.1\nRECEIVER_PBX_DOMAIN=a\n"
    )
    settings = Settings.read({"RECEIVER_PBX_DOMAIN": "b"}, file)
    assert settings == Settings(secret=Secret(SECRET), margin=0.1, pbx_domain="b")
    assert Settings.read({}, tmp_path / "none") == Settings()


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_PBX_DOMAIN", "example.com")
    assert Settings.read(dotenv=None).pbx_domain == "example.com"


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"RECEIVER_SECRET=\xff")
    with pytest.raises(SettingsError, match=r"\.env is not text in UTF-8"):
        Settings.read({}, file)
    file.write_bytes(b"\xef\xbb\xbfRECEIVER_PBX_DOMAIN=a")
    assert Settings.read({}, file).pbx_domain == "a"


def test_values_set_in_code_are_checked() -> None:
    with pytest.raises(
        SettingsError, match=r"RECEIVER_SECRET is too short or too regular.*: create one with"
    ):
        Settings(secret=Secret("x"))
    with pytest.raises(SettingsError, match="must be a Secret"):
        Settings(secret="0123456789abcdef")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="RECEIVER_MARGIN"):
        Settings(margin=5)


def test_urls_with_ip_addresses() -> None:
    for url in ("http://10.0.0.5:8000", "http://[::1]:8000/a-b._~", "https://pbx_1.example"):
        assert read(public_url=url).public_url == url


def test_a_missing_setting_is_an_error_with_advice() -> None:
    with pytest.raises(SettingsError, match=r"RECEIVER_SECRET is not set: create one with"):
        read().need("secret")
    with pytest.raises(SettingsError, match=r"RECEIVER_PUBLIC_URL is not set: set it to"):
        read(secret=SECRET).need("secret", "public_url")
    assert read(secret=SECRET).need("secret").secret == Secret(SECRET)


def test_misspelt_settings_are_found_and_other_variables_are_ignored() -> None:
    environ = {"RECEIVER_PUBLICURL": "x", "RECEIVER_SERVICE_HOST": "10.0.0.1", "PATH": "/"}
    assert unknown_settings(environ) == {"RECEIVER_PUBLICURL": "RECEIVER_PUBLIC_URL"}


def test_secrets_are_not_printed() -> None:
    assert SECRET not in repr(read(secret=SECRET, pbx_password=SECRET))


def test_the_number_format_of_the_app_and_of_each_pbx() -> None:
    found = {
        "RECEIVER_NUMBER_FORMAT": "E164-without-plus",
        "RECEIVER_NORTH_NUMBER_FORMAT": "national",
    }
    assert Settings.read(found, None).number_format == "e164-without-plus"
    assert Settings.read(found, None, pbx="north").number_format == "national"
    assert Settings.read(found, None, pbx="south").number_format == "e164-without-plus"
    assert Settings.read({}, None).number_format == "automatic"
    with pytest.raises(
        SettingsError, match="RECEIVER_NUMBER_FORMAT is not one of automatic, e164, "
    ):
        Settings.read({"RECEIVER_NUMBER_FORMAT": "+49"}, None)
