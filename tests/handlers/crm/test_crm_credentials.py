"""Options of connectors: credentials, URLs, forms of a number, identifiers."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.crm.connectors import CONNECTORS, connector_of
from handlers.crm.contacts import Number, identifiers, number_forms
from handlers.crm.credentials import code, expand, reveal
from handlers.crm.zoho import _accounts_url
from receiver import DeclarationError, Secret
from receiver.upstream import UpstreamRefused
from tests.handlers.crm.connected import CRMS


@pytest.mark.parametrize("name", CRMS)
def test_unencrypted_urls_are_refused(name: str) -> None:
    for url in ("http://crm.example.com", "ftp://crm.example.com", "crm.example.com", "http://["):
        with pytest.raises(DeclarationError, match="url="):
            CRMS[name][1](url)


@pytest.mark.parametrize("name", CRMS)
@pytest.mark.parametrize("token", ["", "two\nlines", "gr\u00fcn", 7])
def test_invalid_tokens_are_refused(name: str, token: Any) -> None:
    with pytest.raises(DeclarationError):
        CRMS[name][1]("https://crm.example.com", token=token)


def test_a_token_may_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_TOKEN", "token-of-the-environment")
    assert reveal("$CRM_TOKEN", "X: token") == "token-of-the-environment"
    assert reveal(Secret("secret-of-the-program"), "X: token") == "secret-of-the-program"
    monkeypatch.delenv("CRM_TOKEN")
    with pytest.raises(DeclarationError, match="CRM_TOKEN is not set: export it"):
        reveal("$CRM_TOKEN", "X: token")


@pytest.mark.parametrize("options", [
    {"domain": "example"}, {"token": "", "refresh_token": "1000.refresh"}, {"token": ""},
    {"modules": ["Contacts/search"]}, {"forms": ["phone"]}, {"forms": []}, {"forms": "e164"},
    {"key_field": "Key=1"}, {"fields": ["a,b"]},
])  # fmt: skip
def test_zoho_refuses(options: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match=r"^Zoho"):
        CRMS["zoho"][1]("https://crm.example.com", **options)


@pytest.mark.parametrize(("name", "missing"), [
    ("zoho", "refresh_token"), ("salesforce", "client_id"),
])  # fmt: skip
def test_a_missing_secret_is_named(name: str, missing: str) -> None:
    with pytest.raises(DeclarationError, match=f": {missing} is missing: set {missing}, "):
        CRMS[name][1]("https://crm.example.com", token="", client_secret="x")


def test_an_unknown_region_of_hubspot() -> None:
    with pytest.raises(DeclarationError, match="region='Germany'"):
        CRMS["hubspot"][1]("https://crm.example.com", region="Germany")


@pytest.mark.parametrize("name", CONNECTORS)
def test_a_request_that_no_caller_waits_for_has_longer_than_a_callback(name: str) -> None:
    connector: Any = connector_of(name)
    assert connector.defaults.timeout > 2  # seconds that the PBX waits by default


@pytest.mark.parametrize("options", [
    {"version": "60"}, {"version": "v60.0/../.."}, {"objects": ["Contact(Id)"]},
    {"fields": ["Id) LIMIT 1"]}, {"owner_fields": ["Id&x"]}, {"token": "", "client_id": "c"},
])  # fmt: skip
def test_salesforce_refuses(options: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match=r"^Salesforce"):
        CRMS["salesforce"][1]("https://crm.example.com", **options)


@pytest.mark.parametrize("options", [
    {"search": {}}, {"search": "phone"}, {"search": {"phone": "e164"}},
    {"search": {"a b": ["e164"]}},
    {"database": "two words"}, {"fields": ["-"]}, {"owner_fields": [""]},
])  # fmt: skip
def test_odoo_refuses(options: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match=r"^Odoo"):
        CRMS["odoo"][1]("https://crm.example.com", **options)


def test_search_keys_fall_back_to_the_digits() -> None:
    berlin, extension = Number.parse("030 23125000", "DE"), Number.parse("101")
    assert berlin.search_keys(("e164", "national")) == ("+493023125000", "03023125000")
    assert extension.search_keys(("e164", "national")) == ("101",)
    assert extension.search_keys(("e164", "digits")) == ("101",)
    assert Number.parse("anonymous").search_keys(("typed",)) == ()


@pytest.mark.parametrize(("body", "expected"), [
    (b'{"code": "INVALID_TOKEN", "message": "x"}', "INVALID_TOKEN"),
    (b'[{"errorCode": "INVALID_SESSION_ID"}]', "INVALID_SESSION_ID"),
    (b'{"data": [{"code": "DUPLICATE_DATA"}]}', "DUPLICATE_DATA"),
    (b'{"name": "odoo.exceptions.AccessError"}', "odoo.exceptions.AccessError"),
    (b'{"status": "error", "category": "MISSING_SCOPES"}', "MISSING_SCOPES"),
    (b'{"name": "Grace"}', ""), (b'{"error": "no user Grace Hopper"}', ""),
    (b'{"code": 7}', ""), (b"[]", ""), (b"[7]", ""), (b"<html>", ""), (b"", ""), (b"\xff", ""),
])  # fmt: skip
def test_only_the_error_code_is_extracted(body: bytes, expected: str) -> None:
    assert code(UpstreamRefused("refused", status=400, body=body)) == expected


@pytest.mark.parametrize(("domain", "accounts"), [
    ("eu", "https://accounts.zoho.eu"), ("ca", "https://accounts.zohocloud.ca"),
])  # fmt: skip
def test_each_data_centre_of_zoho_has_its_accounts_url(domain: str, accounts: str) -> None:
    assert _accounts_url(domain) == accounts


def test_identifiers_and_number_forms() -> None:
    assert identifiers(["Owner.Email"], "X") == ["Owner.Email"]
    assert number_forms(["e164"], "X") == ("e164",)
    for name in ("", "1a", "a b", "a'", "ä", "a\n"):
        with pytest.raises(DeclarationError):
            identifiers([name], "X")


def test_a_variable_in_quotes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_TOKEN", "'hunter2'")
    with pytest.raises(
        DeclarationError, match="HubSpot: token: the environment variable CRM_TOKEN is in quot"
    ):
        reveal("$CRM_TOKEN", "HubSpot: token")
    with pytest.raises(DeclarationError, match="CRM_TOKEN is in quotes") as caught:
        expand("Token $CRM_TOKEN", "Rest: headers")
    assert "hunter2" not in str(caught.value)
