"""``receiver simulate``: a PBX for any client, and one clear line for what is wrong."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import urllib.request
from dataclasses import replace
from typing import Any

import httpx
import pytest
from click.testing import Result

from receiver.cli import main
from receiver.cli import simulate as module
from receiver.cli.simulate import simulate
from receiver.simulator.api import Api
from receiver.simulator.behaviour import VERSIONS, Behaviour
from tests.command_line import CliRunner

ALONE = """
from receiver.cli import main
from receiver.cli.simulate import simulate
main.add_command(simulate)
main()
"""


class Served:
    """The arguments of a server that was not started."""

    api: Api
    where: tuple[str, int]

    def __call__(self, api: Any, host: str, port: int) -> None:
        self.api, self.where = api, (host, port)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    found = Served()
    monkeypatch.setitem(main.commands, "simulate", simulate)
    monkeypatch.setattr(module, "serve", found)
    return found


def run(options: str = "") -> Result:
    return CliRunner().invoke(main, ["simulate", *shlex.split(options)], catch_exceptions=False)


async def ask(api: Api, token: str, path: str = "/ivrs", **more: Any) -> httpx.Response:
    transport = httpx.ASGITransport(api)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://pbx/api") as client:
        method = "POST" if more else "GET"
        return await client.request(method, path, headers=headers, **more)


@pytest.mark.allow_secrets
async def test_a_token_is_generated_if_none_is_given(served: Served) -> None:
    done = run()
    assert done.exit_code == 0
    assert served.where == ("127.0.0.1", 8887)
    assert "RECEIVER_PBX_URL=http://127.0.0.1:8887\n" in done.output
    token = re.search(r"^RECEIVER_PBX_TOKEN=(\S+)  # generated", done.output, re.MULTILINE)
    assert token is not None
    assert (await ask(served.api, token[1])).status_code == 200
    assert (await ask(served.api, "other")).status_code == 401
    assert served.api.pbx.behaviour == Behaviour()


async def test_a_token_that_is_given_is_not_printed(served: Served) -> None:
    done = run("--token the-token --host ::1 --ivr 8000 --ivr 8001=Sales")
    assert "the-token" not in done.output
    assert "RECEIVER_PBX_URL=http://[::1]:8887\n" in done.output
    assert "IVRs: 8000, 8001" in done.output
    names = [ivr["name"] for ivr in (await ask(served.api, "the-token")).json()["items"]]
    assert names == ["Receptionist 8000", "Sales"]


async def test_an_account_signs_in(served: Served) -> None:
    done = run("--username ann --password right --domain acme")
    assert "TOKEN" not in done.output
    assert "right" not in done.output
    data = {"username": "ann", "password": "right", "domain": "acme"}
    assert (await ask(served.api, "", "/auth/sign_in", json=data)).status_code == 200


@pytest.mark.allow_secrets
def test_every_switch_has_an_option(served: Served) -> None:
    options = {
        "version": "22.2",
        "blanks": "null",
        "nulls": "ignored",
        "secrets": "masked",
        "ids": "decimal",
        "skip_origin": 1,
        "update": "replacing",
        "digests": "prefixed",
        "created": 200,
        "appended": 202,
        "destroyed": 200,
        "token_life": 60,
        "rate": 5,
        "quota": 3,
    }
    text = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in options.items())
    assert run(f"{text} --pin-length 4 12").exit_code == 0
    wanted = replace(Behaviour(), pin_length=(4, 12), **options)  # type: ignore[arg-type]
    assert served.api.pbx.behaviour == wanted


@pytest.mark.parametrize("version", VERSIONS)
def test_an_initial_ivr_has_the_defaults_of_the_pbx(served: Served, version: str) -> None:
    assert run(f"--token t --version {version} --ivr 8000").exit_code == 0
    (ivr,) = served.api.pbx.ivrs
    assert ivr["enable_pin"] is True


async def test_faults_are_planned(served: Served) -> None:
    run('--token t --fault "GET /ivrs 1 refuse=502" --fault "GET /ivrs 2 garbage=empty"')
    answers = [await ask(served.api, "t") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [502, 200, 200]
    assert [len(answer.content) > 0 for answer in answers] == [True, False, True]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("--fault 'POST /ivrs'", 'Error: the fault "POST /ivrs" is not of the form'),
        ("--ivr 12", 'Error: --ivr "12": extension_number has 2 characters'),
        ("--ivr 8000 --ivr 8000", 'Error: --ivr "8000": extension_number is taken already'),
        ("--username ann", "Error: an account needs both"),
        ("--pin-length 10 4", "Error: --pin-length needs the minimum first"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(served: Served, options: str, problem: str) -> None:
    done = run(options)
    assert (done.exit_code, len(done.output.splitlines())) == (2, 1)
    assert done.output.startswith(problem)


@pytest.mark.parametrize("options", ["--version 21.0", "--port 70000", "--rate -1", "--created x"])
def test_choices(served: Served, options: str) -> None:
    done = run(options)
    assert done.exit_code == 2
    assert f"Invalid value for '{options.split(maxsplit=1)[0]}'" in done.output


def test_it_serves_any_client() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ALONE, "simulate", "--port", "0", "--token", "t", "--ivr", "8000"],
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline().startswith("A simulated PBX 22.6, tenant ")
            for line in process.stderr:
                if url := re.search(r"serving on (http://\S+)", line):
                    break
            assert url is not None
            request = urllib.request.Request(
                f"{url[1]}/api/ivrs", headers={"Authorization": "Bearer t"}
            )
            with urllib.request.urlopen(request, timeout=120) as answer:
                assert b'"extension_number":"8000"' in answer.read()
        finally:
            process.terminate()
            process.communicate(timeout=120)
