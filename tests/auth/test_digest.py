"""Digest on values: the RFC's own examples, nonces, stale, and httpx as the other end."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.auth import Accepted, AuthRequest, AuthResult, Digest, NonceUse, Refused
from receiver.auth import digest as digests
from receiver.auth.digest import NONCE_LIFE, Algorithm, parse_parameters, response_hash
from receiver.credentials import Credentials, Secret
from tests.growth import is_steep

KNOWN = Credentials("newuser", Secret("newpassword"), Secret("x"))
OLD = Credentials("olduser", Secret("oldpassword"), Secret("x"))
NOW = 1_800_000_000.0
TARGET = "/action/8000/pick?from=101&to=888"


PUBLIC = "/ivr/action/8000/pick"


def make(key: bytes = b"key", *algorithms: Algorithm, uri_without_query: bool = False) -> Digest:
    counter = itertools.count()
    return Digest(
        [KNOWN, OLD],
        nonce_key=key,
        entropy=lambda n: next(counter).to_bytes(n, "big"),
        algorithms=algorithms or ("MD5",),
        uri_without_query=uri_without_query,
    )


def challenge_of(digest: Digest, now: float = NOW) -> str:
    return digest.challenges(now)[0]


def header(challenge: str, known: Credentials = KNOWN, /, **changes: str | None) -> str:
    """Return a client's header; ``changes`` are made before the hash, `None` leaves one out."""
    asked = parse_parameters(challenge.removeprefix("Digest "))
    assert asked is not None
    sent: dict[str, str | None] = {
        "username": known.username,
        "realm": asked["realm"],
        "nonce": asked["nonce"],
        "uri": TARGET,
        "cnonce": "c",
        "nc": "00000001",
        "qop": "auth",
        "algorithm": asked["algorithm"],
        **changes,
    }
    parameters = {k: v for k, v in sent.items() if v is not None}
    algorithm: Algorithm = "SHA-256" if asked["algorithm"] == "SHA-256" else "MD5"
    parameters.setdefault(
        "response",
        response_hash(
            algorithm,
            method="POST",
            username=parameters.get("username", ""),
            password=known.password.reveal(),
            parameters={"realm": "", "uri": "", "nonce": "", "cnonce": "", "nc": "", **parameters},
        ),
    )
    return "Digest " + ", ".join(f'{key}="{value}"' for key, value in parameters.items())


def check(
    digest: Digest, *authorization: str, now: float = NOW, target: str = TARGET
) -> AuthResult:
    return digest.check(AuthRequest("POST", target, authorization, PUBLIC), now)


def is_let_in(result: AuthResult) -> bool:
    return isinstance(result, Accepted)


def test_challenges_in_the_one_form_that_every_client_survives() -> None:
    result = check(make())
    assert isinstance(result, Refused)
    parameters = parse_parameters(result.challenges[0].removeprefix("Digest "))
    assert parameters is not None
    nonce = parameters["nonce"]
    assert result.challenges == (
        f'Digest realm="callbacks", nonce="{nonce}", algorithm=MD5, qop="auth"',
    )
    assert len(nonce) == 43
    assert set(nonce) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("known", [KNOWN, OLD])
@pytest.mark.parametrize(
    "changes", [{}, {"qop": None, "nc": None, "cnonce": None}, {"nc": "0000000A"}]
)
def test_the_right_password_is_accepted(
    algorithm: Algorithm, known: Credentials, changes: dict[str, str | None]
) -> None:
    digest = make(b"key", algorithm)
    assert is_let_in(check(digest, header(challenge_of(digest), known, **changes)))


def test_the_algorithm_may_be_left_out_if_it_is_md5() -> None:
    digest = make()
    assert is_let_in(check(digest, header(challenge_of(digest), algorithm=None)))


def test_another_machine_with_the_same_key_accepts_the_nonce() -> None:
    assert is_let_in(check(make(), header(challenge_of(make())), now=NOW + 1))


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        (TARGET, TARGET),
        ("/ivr" + TARGET, TARGET),
        ("https://ivr.example/ivr" + TARGET, TARGET),
        ("http://ivr.example:8000" + TARGET, TARGET),
        ("/action/8000/pick?", "/action/8000/pick"),
        ("/a?n=%c3%bc", "/a?n=%c3%bc"),
        ("/a?n=b\\c", "/a?n=b\\c"),
        ("/a,b;c=d?e='f'", "/a,b;c=d?e='f'"),
        ("https://ivr.example", "/"),
    ],
)
def test_accepts_every_honest_form_of_the_uri(uri: str, target: str) -> None:
    digest = make()
    assert is_let_in(check(digest, header(challenge_of(digest), uri=uri), target=target))


@pytest.mark.parametrize(
    "uri",
    [
        "/",
        "/action/8000/pick",
        TARGET + "&input=9",
        "/other" + TARGET,
        "//x" + TARGET,
        "ftp:" + TARGET,
    ],
)
def test_a_header_for_another_url_is_a_bad_request(uri: str) -> None:
    digest = make()
    result = check(digest, header(challenge_of(digest), uri=uri))
    assert result == Refused("a Digest header for another URL", status=400)


@pytest.mark.parametrize(
    "uri", ["/action/8000/pick", "https://ivr.example.com/ivr/action/8000/pick", PUBLIC, TARGET]
)
def test_a_uri_without_the_query_is_accepted_where_it_is_declared(uri: str) -> None:
    digest = make(uri_without_query=True)
    assert is_let_in(check(digest, header(challenge_of(digest), uri=uri)))
    wrong = Credentials("newuser", Secret("wrong"), Secret(""))
    assert refusal(digest, header(challenge_of(digest), wrong, uri=uri)).wrong


@pytest.mark.parametrize("uri", ["/", "/action/8000", "/action/8000/pick?", TARGET + "&x=1", "/x"])
def test_no_other_uri_is_accepted_there(uri: str) -> None:
    digest = make(uri_without_query=True)
    result = check(digest, header(challenge_of(digest), uri=uri))
    assert result == Refused("a Digest header for another URL", status=400)


def refusal(digest: Digest, sent: str, now: float = NOW) -> Refused:
    result = check(digest, sent, now=now)
    assert isinstance(result, Refused)
    assert result.status == 401
    assert result.challenges[0].startswith('Digest realm="callbacks", nonce="')
    return result


@pytest.mark.parametrize(
    ("known", "changes"),
    [
        (Credentials("newuser", Secret("wrong"), Secret("")), {}),
        (Credentials("unknown", Secret("newpassword"), Secret("")), {}),
        (Credentials("newuser", Secret("oldpassword"), Secret("")), {}),
        (KNOWN, {"response": "0" * 32}),
        (KNOWN, {"response": "ü\ud800"}),
        (KNOWN, {"realm": "other"}),
        (KNOWN, {"algorithm": "SHA-256"}),
        (KNOWN, {"algorithm": "MD5-sess"}),
    ],
)
def test_wrong_credentials_are_never_stale(known: Credentials, changes: dict[str, str]) -> None:
    digest = make()
    for nonce in (challenge_of(digest), challenge_of(digest, NOW - 1e6), challenge_of(make(b"x"))):
        assert "stale" not in refusal(digest, header(nonce, known, **changes)).challenges[0]


@pytest.mark.parametrize(
    "challenge",
    [
        lambda: challenge_of(make(), NOW - NONCE_LIFE - 1),
        lambda: challenge_of(make(), NOW + 60),
        lambda: challenge_of(make(b"another action")),
        lambda: challenge_of(make()).replace('nonce="A', 'nonce="B'),
        lambda: 'Digest realm="callbacks", nonce="", algorithm=MD5',
        lambda: 'Digest realm="callbacks", nonce="rubbish!", algorithm=MD5',
        lambda: 'Digest realm="callbacks", nonce="AAAA", algorithm=MD5',
    ],
)
def test_right_credentials_with_a_bad_nonce_are_stale(challenge: Callable[[], str]) -> None:
    assert refusal(make(), header(challenge())).challenges[0].endswith(", stale=true")


def test_a_nonce_lives_its_life() -> None:
    digest = make()
    sent = header(challenge_of(digest))
    assert is_let_in(check(digest, sent, now=NOW + NONCE_LIFE))
    assert "stale=true" in refusal(digest, sent, now=NOW + NONCE_LIFE + 1).challenges[0]


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 1),
        ({"nc": "0000000A"}, 10),
        ({"qop": None, "nc": None, "cnonce": None}, 0),
        # Without qop the response proves nothing about nc: a captured one could have any.
        ({"qop": None, "nc": "00000007", "cnonce": None}, 0),
        ({"qop": None, "nc": "no count", "cnonce": "c"}, 0),
    ],
)
def test_what_is_good_once_is_handed_on(changes: dict[str, str | None], count: int) -> None:
    digest = make()
    challenge = challenge_of(digest)
    nonce = (parse_parameters(challenge.removeprefix("Digest ")) or {})["nonce"]
    result = check(digest, header(challenge, KNOWN, **changes), now=NOW + 1)
    assert result == Accepted(NonceUse(nonce, count, NOW))


def test_what_was_used_before_is_stale_and_no_failure() -> None:
    refused = make().refuse("used", NOW, stale=True)
    assert (refused.reason, refused.wrong) == ("used", False)
    assert refused.challenges[0].endswith(", stale=true")


def test_only_wrong_credentials_count_as_wrong() -> None:
    digest = make()
    challenge = challenge_of(digest)
    stranger = Credentials("unknown", Secret("newpassword"), Secret(""))
    assert refusal(digest, header(challenge, stranger)).wrong
    assert not refusal(digest, header(challenge, realm="other")).wrong
    assert not refusal(digest, header(challenge), now=NOW + 1e6).wrong
    assert not refusal(digest, "Bearer x").wrong


@pytest.mark.parametrize("algorithms", [("SHA-256",), ("MD5", "SHA-256")])
def test_other_algorithms_on_demand(algorithms: tuple[Algorithm, ...]) -> None:
    """Two lines have one nonce, for some clients answer the one with the nonce of the other."""
    digest = make(b"key", *algorithms)
    challenges = digest.challenges(NOW)
    parameters = [parse_parameters(text.removeprefix("Digest ")) or {} for text in challenges]
    assert tuple(one["algorithm"] for one in parameters) == algorithms
    assert len({one["nonce"] for one in parameters}) == 1
    assert check(digest).challenges != challenges  # type: ignore[union-attr]
    for challenge in challenges:
        assert is_let_in(check(digest, header(challenge)))
    if "MD5" not in algorithms:
        refused = check(digest, header(challenge_of(make()), algorithm=None))
        assert isinstance(refused, Refused)


def test_an_unknown_user_costs_the_work_of_a_wrong_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Counted, for a clock would tell how busy this machine is."""
    done: list[str] = []
    for name in ("response_hash", "_octets"):
        real = getattr(digests, name)

        def counted(*args: object, name: str = name, real: Any = real, **more: object) -> object:
            done.append(name)
            return real(*args, **more)

        monkeypatch.setattr(digests, name, counted)
    digest = make()
    work = []
    for known in (Credentials("unknown", Secret("x"), Secret("")), KNOWN):
        sent = header(challenge_of(digest), known, response="0" * 32)
        done.clear()
        refusal(digest, sent)
        work.append(list(done))
    assert work[0] == work[1] != []


@pytest.mark.parametrize(
    "changes",
    [
        {"username": None},
        {"realm": None},
        {"nonce": None},
        {"uri": None},
        {"nc": None},
        {"nc": "1"},
        {"nc": "00000000"},
        {"nc": "0000000g"},
        {"cnonce": None},
        {"cnonce": ""},
        {"qop": "auth-int"},
    ],
)
def test_an_incomplete_header_is_a_bad_request(changes: dict[str, str | None]) -> None:
    digest = make()
    result = check(digest, header(challenge_of(digest), KNOWN, **changes))
    assert result == Refused("a Digest header that cannot be read", status=400)


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


QUOTED_TARGETS = ['"', "\\", '\\"', '"\\', "\\\\", '"a"&x=\\n', "\\a", '""']


@pytest.mark.parametrize("text", QUOTED_TARGETS)
@pytest.mark.parametrize("scheme", ["", "https://ivr.example"])
def test_accepts_a_target_with_quotes_that_was_escaped_after_it_was_hashed(
    text: str, scheme: str
) -> None:
    """libcurl sends such targets from 8.19.0 on."""
    digest, target = make(), f"{TARGET}&from_name={text}"
    uri = scheme + target
    sent = header(challenge_of(digest), uri=uri)
    assert sent.count(f'uri="{uri}"') == 1
    sent = sent.replace(f'uri="{uri}"', f'uri="{escaped(uri)}"')
    assert is_let_in(check(digest, sent, target=target))
    for other in (TARGET, target + "x", target.replace("101", "102")):
        result = check(digest, sent, target=other)
        assert result == Refused("a Digest header for another URL", status=400)
    assert not is_let_in(check(digest, sent, target=escaped(target)))
    result = check(digest, sent.replace('nc="00000001"', 'nc="00000002"'), target=target)
    assert isinstance(result, Refused)
    assert result.wrong


UNESCAPED_TARGETS = [
    *QUOTED_TARGETS,
    '"a" <1>, uri="b',
    '", nc="00000001',
    '", x="',
    '", opaque="1',
]


@pytest.mark.parametrize("text", UNESCAPED_TARGETS)
@pytest.mark.parametrize("scheme", ["", "https://ivr.example"])
def test_accepts_a_target_with_quotes_that_was_not_escaped(text: str, scheme: str) -> None:
    """libcurl before 8.19.0, Java, neon, POCO and cpp-httplib send such targets."""
    digest, target = make(), f"{TARGET}&from_name={text}"
    sent = header(challenge_of(digest), uri=scheme + target)
    assert is_let_in(check(digest, sent, target=target))
    for other in (TARGET, target + "x", target.replace("101", "102")):
        assert not is_let_in(check(digest, sent, target=other))
    wrong = check(digest, sent.replace('cnonce="', 'cnonce="0'), target=target)
    assert isinstance(wrong, Refused)
    assert wrong.wrong


@pytest.mark.parametrize("text", QUOTED_TARGETS)
def test_the_hash_is_over_what_names_the_target(text: str) -> None:
    """The two forms are not valid with each other's hash."""
    digest, target = make(), f"{TARGET}&from_name={text}"
    sent = header(challenge_of(digest), uri=escaped(target))
    result = check(digest, sent, target=target)
    assert isinstance(result, Refused)
    assert result.wrong


@pytest.mark.parametrize(
    "rest",
    ["=,=", "a", "a=", 'a="', 'a="b" c', "a=1, a=2", "a=1, A=2", 'a="b"c', "x" * 12_000, "a=b c=d"],
)
def test_a_broken_header_is_a_bad_request(rest: str) -> None:
    assert parse_parameters(rest) is None
    assert check(make(), "Digest " + rest) == Refused(
        "a Digest header that cannot be read", status=400
    )


@pytest.mark.parametrize("scheme", ["Digest", "Basic", "Bearer"])
def test_a_header_that_is_too_long_is_not_read(scheme: str) -> None:
    assert check(make(), f"{scheme} {'x' * 12_288}") == Refused(
        "an Authorization header over 12288 characters", status=400
    )
    assert parse_parameters("a=" + "x" * 12_287) is None


def test_other_credentials_get_a_challenge() -> None:
    assert refusal(make(), "Bearer x").reason == "other credentials"
    assert check(make(), "Digest a=b", "Digest a=b") == Refused(
        "more than one Authorization header", status=400
    )


def test_parameters_in_every_form() -> None:
    text = ' ,username="a\\"b,c" ,nc=00000001,\turi="/a\\b?c=d,e" , OPAQUE="" , '
    assert parse_parameters(text) == {
        "username": 'a"b,c',
        "nc": "00000001",
        "uri": "/a\\b?c=d,e",
        "opaque": "",
    }
    assert parse_parameters("") == {}


@given(st.text(max_size=80))
def test_any_header_is_refused_and_none_raises(text: str) -> None:
    assert isinstance(check(make(), "Digest " + text), Refused)


@given(
    st.dictionaries(st.from_regex("[a-z]{1,8}", fullmatch=True), st.text('ab\\" ,=', max_size=8))
)
def test_what_is_quoted_is_read_back(parameters: dict[str, str]) -> None:
    parameters.pop("uri", None)
    quoted = {k: v.replace("\\", "\\\\").replace('"', '\\"') for k, v in parameters.items()}
    text = ", ".join(f'{key}="{value}"' for key, value in quoted.items())
    assert parse_parameters(text) == parameters


RFC = {
    "realm": "http-auth@example.org",
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "uri": "/dir/index.html",
    "nc": "00000001",
    "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    "qop": "auth",
}


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: Algorithm, response: str) -> None:
    assert response == response_hash(
        algorithm, method="GET", username="Mufasa", password="Circle of Life", parameters=RFC
    )


def test_the_example_of_rfc_2069_as_corrected() -> None:
    response = response_hash(
        "MD5",
        method="GET",
        username="Mufasa",
        password="CircleOfLife",
        parameters={
            "realm": "testrealm@host.com",
            "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            "uri": "/dir/index.html",
        },
    )
    assert response == "1949323746fe6a43ef61f9606e7febea"


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_httpx_as_the_other_end(algorithm: Algorithm) -> None:
    digest = make(b"key", algorithm)
    flow = httpx.DigestAuth(KNOWN.username, KNOWN.password.reveal()).auth_flow(
        httpx.Request("POST", "https://ivr.example" + TARGET)
    )
    next(flow)
    challenge = {"WWW-Authenticate": challenge_of(digest)}
    request = httpx.Request("POST", "https://ivr.example" + TARGET)
    sent = flow.send(httpx.Response(401, headers=challenge, request=request))
    assert is_let_in(check(digest, sent.headers["Authorization"]))


@pytest.mark.parametrize(
    ("piece", "end"), [("a=", '"'), ('a="', ""), ("a ", ""), ('a="\\', ""), ("a", '"')]
)
def test_a_header_of_any_form_is_parsed_in_linear_time(piece: str, end: str) -> None:
    """A search takes sixteen times as long for four times the length."""
    short, long = (piece * (length // len(piece)) + end for length in (12_000, 48_000))
    assert parse_parameters(long) is None
    assert not is_steep(partial(parse_parameters, short), partial(parse_parameters, long), 10, 5e-4)
