"""The trace of a simulated call, without secrets."""

from __future__ import annotations

import pytest

from receiver.pbx.callback_trace import Exchange, Outcome, Step, render


def exchange(
    *headers: tuple[str, str],
    url: str = "http://h/action",
    body: bytes = b"",
    status: int | None = 200,
    answer: bytes = b"",
) -> Exchange:
    return Exchange("POST", url, headers, body, status, (("a", "b"),), answer, 0.1)


def step(*exchanges: Exchange, outcome: Outcome | None = None) -> Step:
    outcome = outcome or Outcome("repeated")
    return Step("press", "DTMF", "22", "pick", exchanges, outcome, 0.0123, 2.0)


def test_a_step_as_text() -> None:
    one = exchange(("Host", "h"), body=b'{"from":"101"}', answer=b'{"status_code":200}')
    assert render(step(one, outcome=Outcome("forwarded", "222"))) == [
        'the caller presses 22: the PBX asks the DTMF action URL "pick"',
        "  > POST http://h/action",
        "  > Host: h",
        "  >",
        '  > {"from":"101"}',
        "  < 200",
        "  < a: b",
        "  <",
        '  < {"status_code":200}',
        "  = forwarded to 222 (12 ms, the PBX waits 2000 ms)",
    ]


def test_a_step_without_a_callback() -> None:
    arrival = Step("arrival", "CALLER", "", None, (), Outcome("menu"), 0.0, None)
    assert render(arrival) == [
        "the call arrives: no CALLER action URL matches",
        "  = the IVR continues with its own rules",
    ]


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome("hung up"), "hung up"),
        (Outcome("repeated"), "the prompt is repeated"),
        (Outcome("failed", "HTTP status 500"), "failed: HTTP status 500"),
    ],
)
def test_endings(outcome: Outcome, text: str) -> None:
    assert render(step(outcome=outcome))[-1].startswith(f"  = {text} (")


def test_no_answer() -> None:
    assert "  < (no answer)" in render(step(exchange(status=None)))


DIGEST = 'Digest username="hunter22", realm="r", uri="/x", response="cafe\\"cafe", nc=00000001'


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Authorization", "Basic aHVudGVyMg==", "Basic ***"),
        ("authorization", "Bearer hunter2", "Bearer ***"),
        ("Authorization", "hunter2", "***"),
        (
            "Authorization",
            DIGEST,
            'Digest username="***", realm="r", uri="/x", response="***", nc=00000001',
        ),
        ("X-Key", "hunter2", "***"),
        ("X-Key", "two words", "***"),
        ("Content-Type", "application/json", "application/json"),
    ],
)
def test_secrets_are_masked_unless_asked_for(name: str, value: str, shown: str) -> None:
    one = step(exchange((name, value)))
    assert f"  > {name}: {shown}" in render(one)
    assert f"  > {name}: {value}" in render(one, secrets=True)


def test_credentials_in_the_url_are_masked() -> None:
    one = step(exchange(url="http://joe:hunter2@h/a@b?c=d@e"))
    assert render(one)[1] == "  > POST http://***@h/a@b?c=d@e"
    assert render(one, secrets=True)[1] == "  > POST http://joe:hunter2@h/a@b?c=d@e"


def test_a_long_body_is_cut() -> None:
    shown = render(step(exchange(answer=b"x" * 5000)))
    assert shown[-2] == f"  < {'x' * 2000} … (5000 bytes)"


def test_what_was_sent_cannot_move_the_cursor() -> None:
    text = "\n".join(render(step(exchange(answer=b"\x1b[2J\x07\r\nhi\x00"))))
    assert text.replace("\n", "").isprintable()
    assert "\\x1b[2J" in text


def test_no_repr_shows_secrets_or_digits() -> None:
    one = exchange(("Authorization", "Bearer hunter2"), url="http://h/?input=4711", body=b"4711")
    pressed = Step("press", "DTMF", "4711", "pick", (one,), Outcome("forwarded", "4711"), 0.0, 2.0)
    assert "4711" not in repr(pressed)
    assert repr(Outcome("failed", "HTTP status 500")) == "Outcome('failed', HTTP status 500)"
    assert "hunter2" not in repr(pressed)


@pytest.mark.parametrize(
    ("outcome", "ends"),
    [("forwarded", True), ("hung up", True), ("repeated", False), ("failed", False)],
)
def test_what_ends_a_call(outcome: str, ends: bool) -> None:
    assert Outcome(outcome).ends_call is ends


@pytest.mark.parametrize(
    ("digits", "number", "shown"),
    [
        ("472193", "2193", "••••"),
        ("472193", "0721", "••••"),
        ("7", "7", "•"),
        ("472193", "222", "222"),
        ("", "222", "222"),
    ],
)
def test_a_sensitive_step_shows_no_digits(digits: str, number: str, shown: str) -> None:
    sent = exchange(
        ("Authorization", f'Digest username="u", uri="/a?input={digits}"'),
        ("X-Key", "k"),
        url=f"http://h/a?input={digits}",
        body=f'{{"input":"{digits}"}}'.encode(),
        answer=f'{{"destination":"{number}"}}'.encode(),
    )
    outcome = Outcome("forwarded", number)
    one = Step("press", "DTMF", digits, "pin", (sent,), outcome, 0.01, 2.0, sensitive=True)
    lines = render(one, secrets=True)
    assert lines[1:4] == [
        "  > POST http://h/a?***",
        "  > Authorization: Digest ***",
        "  > X-Key: k",
    ]
    assert lines[-1].startswith(f"  = forwarded to {shown} (")
    assert lines.count("  > ***") == lines.count("  < ***") == 1
    assert one.text.startswith(f"the caller presses {'•' * len(digits)}:")


def test_a_failure_of_a_sensitive_step_is_shown() -> None:
    failed = Outcome("failed", "the status is 401")
    one = Step("press", "DTMF", "4", "pin", (), failed, 0.01, 2.0, sensitive=True)
    assert one.result == "failed: the status is 401"


def test_keys_are_unmatched_if_no_action_url_and_no_rule_takes_them() -> None:
    menu = Step("press", "DTMF", "7", None, (), Outcome("menu"), 0.0, None)
    assert menu.is_unmatched
    assert not Step("press", "DTMF", "7", None, (), Outcome("menu"), 0.0, None, "7").is_unmatched
    assert not step().is_unmatched
