"""handlers/crm/error_log.py."""

from __future__ import annotations

import pytest

from handlers.crm.error_log import _MAX_MESSAGES, LOG_INTERVAL, ErrorLog
from receiver import Unavailable


def test_an_equal_message_is_logged_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    errors = ErrorLog(lambda: now)
    refused = Unavailable("answered 403: MISSING_SCOPES")
    for _ in range(3):
        errors.warn("no record", refused)
    errors.warn("no task", refused)
    now = LOG_INTERVAL
    errors.warn("no record", refused)
    assert [record.getMessage() for record in caplog.records] == [
        "no record: answered 403: MISSING_SCOPES",
        "no task: answered 403: MISSING_SCOPES",
        "no record: answered 403: MISSING_SCOPES (omitted since the last message: 2)",
    ]


def test_of_other_exceptions_the_type_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    ErrorLog().warn("no record", ValueError("+4930123456"))
    assert caplog.messages == ["no record: ValueError"]


def test_the_least_recent_message_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    errors = ErrorLog(lambda: 0.0)
    for number in (*range(_MAX_MESSAGES + 1), 0):
        errors.warn(f"message {number}", ValueError())
    assert caplog.messages.count("message 0: ValueError") == 2
