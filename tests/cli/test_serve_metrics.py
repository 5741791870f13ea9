"""``/metrics`` of ``receiver serve`` with two workers: the service's and the user's are sums."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from receiver.callbacks.metrics_endpoint import IDENTITY
from receiver.callbacks.operator_access import operator_token
from tests.served import Service
from tests.support import SECRET

APP = """
import os
from prometheus_client import Counter
from receiver import Call, Forward, Ivr, Receiver, Reply

orders = Counter("orders", "Orders that callers placed.")
ivr = Ivr("8000")

@ivr.dtmf("1", auth=None, fallback=Forward("0"))
async def pick(call: Call) -> Reply:
    orders.inc()
    return Forward(str(os.getpid()))

app = Receiver(ivr)
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    (tmp_path / "myapp.py").write_text(APP)
    environ = {"RECEIVER_SECRET": SECRET.reveal(), "RECEIVER_METRICS": "true"}
    service = Service.begin(tmp_path, "myapp:app", "--workers 2", environ)
    service.wait(2)
    yield service
    service.end()


def value(page: str, name: str) -> float:
    found = re.search(rf"^{name}(?:\{{.*\}})? (.*)$", page, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_the_metrics_of_two_workers_are_one_page(service: Service) -> None:
    head = {"Authorization": f"Bearer {operator_token(IDENTITY, SECRET, 1).reveal()}"}
    pids, sent = set[str](), 0
    while len(pids) < 2 and sent < 500:
        sent += 1
        answer = httpx.post(f"{service.url}/action/8000/pick", json={"input": "1"})
        pids.add(answer.json()["destination"])
    assert len(pids) == 2
    counted = 0.0
    while counted < sent:  # the other worker leaves its counts once a second
        page = httpx.get(f"{service.url}/metrics", headers=head).text
        assert value(page, "orders_total") == sent
        counted = value(page, "receiver_callbacks_total")
    assert counted == sent
    processes = set(re.findall(r'^process_open_fds\{pid="(\d+)"\}', page, re.MULTILINE))
    assert processes == pids
    assert str(os.getpid()) not in processes
