"""The page of ``/metrics``: its formats, and what is on it with one worker and with several."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from receiver.callbacks.metrics_folder import Folder
from receiver.callbacks.metrics_page import (
    MetricsPage,
    ServiceCollector,
    process_snapshot,
    registry,
)
from receiver.observability.metrics import (
    CALLBACKS,
    DROPPED,
    FAMILIES,
    LAG,
    STAGE,
    Counts,
    Snapshot,
)

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def service_page(*snapshots: Snapshot) -> str:
    shown = CollectorRegistry()
    shown.register(ServiceCollector(lambda: snapshots))
    return generate_latest(shown).decode()


def fetch(page: MetricsPage, accept: str = "*/*") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(page)
    return httpx.AsyncClient(
        transport=transport, base_url="http://service", headers={"Accept": accept}
    )


async def text_of(page: MetricsPage, accept: str = "*/*") -> str:
    async with fetch(page, accept) as http:
        return (await http.get("/metrics")).text


# the service's counts ------------------------------------------------------------------------


def test_counters_and_histograms() -> None:
    counts = Counts()
    for _ in range(2):
        counts.add(CALLBACKS, ("8000/pick", "call", "handled"))
    for seconds in (0.0, 0.001, 0.002, 7.0):
        counts.observe(LAG, (), seconds)
    lines = service_page(counts.snapshot()).splitlines()
    line = 'receiver_callbacks_total{action="8000/pick",decision="call",reason="handled"} 2.0'
    assert line in lines
    assert "# TYPE receiver_callbacks_total counter" in lines
    assert "# TYPE receiver_event_loop_lag_seconds histogram" in lines
    assert 'receiver_event_loop_lag_seconds_bucket{le="0.001"} 2.0' in lines
    assert 'receiver_event_loop_lag_seconds_bucket{le="0.005"} 3.0' in lines
    assert 'receiver_event_loop_lag_seconds_bucket{le="2.5"} 3.0' in lines
    assert 'receiver_event_loop_lag_seconds_bucket{le="+Inf"} 4.0' in lines
    assert "receiver_event_loop_lag_seconds_sum 7.003" in lines
    assert "receiver_event_loop_lag_seconds_count 4.0" in lines


@pytest.mark.parametrize("accept", ["*/*", OPEN_METRICS])
async def test_every_family_is_read_as_it_was_counted(accept: str) -> None:
    counts, label = Counts(), 'a "quoted" \\ name\n'
    for family in FAMILIES:
        counts.add(family, tuple(label for _ in family.labels))
    text = await text_of(MetricsPage(counts, None), accept)
    found = {one.name: one for one in (parse if accept == "*/*" else parse_open)(text)}
    for family in FAMILIES:
        samples = found[family.name.removesuffix("_total")].samples
        assert {"le", *family.labels} >= {name for one in samples for name in one.labels}
        assert all(one.labels[name] == label for one in samples for name in family.labels)
        assert max(one.value for one in samples) == 1.0


async def test_the_format_is_the_one_that_is_asked_for() -> None:
    async with fetch(MetricsPage(Counts(), None)) as http:
        plain = await http.get("/metrics")
        openly = await http.get("/metrics", headers={"Accept": OPEN_METRICS})
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert openly.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert openly.text.endswith("# EOF\n")
    assert not plain.text.endswith("# EOF\n")


def test_workers_add_up() -> None:
    one, two = Counts(), Counts()
    one.add(DROPPED)
    two.add(DROPPED)
    two.observe(LAG, (), 0.5)
    text = service_page(one.snapshot(), two.snapshot())
    assert "receiver_log_lines_dropped_total 2.0" in text
    assert "receiver_event_loop_lag_seconds_count 1.0" in text


def test_cells_of_another_version_are_left_out() -> None:
    strange: Snapshot = {
        LAG.name: [((), [1.0, math.inf])],
        DROPPED.name: [(("a",), [1.0])],
        "process_open_fds": [(("1", "2"), [1.0]), (("3",), [1.0, 2.0]), (("4",), [5.0])],
        "what": [],
    }
    text = service_page(strange)
    assert "receiver_event_loop_lag_seconds_count" not in text
    assert not re.search(r"^receiver_log", text, re.MULTILINE)
    assert re.findall(r"^process_open_fds.*", text, re.MULTILINE) == [
        'process_open_fds{pid="4"} 5.0'
    ]


# the user's metrics and the process ----------------------------------------------------------


@pytest.fixture
def user_counter() -> Iterator[Counter]:
    counter = Counter("orders_total", "Orders that callers placed.")
    yield counter
    REGISTRY.unregister(counter)


async def test_one_worker_serves_the_global_registry(user_counter: Counter) -> None:
    user_counter.inc(3)
    lines = (await text_of(MetricsPage(Counts(), None))).splitlines()
    assert "orders_total 3.0" in lines
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)
    assert f"# TYPE {DROPPED.name} counter" in lines


async def test_with_several_workers_the_metrics_of_one_are_left_out(
    user_counter: Counter, tmp_path: Path
) -> None:
    page = MetricsPage(Counts(), tmp_path)
    page.folder.write()
    text = await text_of(page)
    page.folder.close()
    assert "orders_total" not in text
    (memory,) = re.findall(r"^process_resident_memory_bytes(.*) ", text, re.MULTILINE)
    assert memory == f'{{pid="{os.getpid()}"}}'


async def test_each_running_worker_has_its_process(tmp_path: Path) -> None:
    other = Folder(
        Counts(), tmp_path, describe=lambda: {"process_open_fds": [(("99999999",), [7.0])]}
    )
    other.write()
    page = MetricsPage(Counts(), tmp_path)
    text = await text_of(page)
    assert 'process_open_fds{pid="99999999"} 7.0' in text
    assert f'process_open_fds{{pid="{os.getpid()}"}}' in text
    assert "# TYPE process_cpu_seconds_total counter" in text
    assert "# TYPE process_open_fds gauge" in text
    other.close()
    page.folder.write()
    assert 'pid="99999999"' not in await text_of(page)
    page.folder.close()


def test_a_process_describes_itself() -> None:
    found = process_snapshot()
    assert found["process_open_fds"][0][0] == (str(os.getpid()),)
    assert {"process_cpu_seconds_total", "process_start_time_seconds"} <= found.keys()


WORKER = """
import sys, time
from prometheus_client import Counter, Gauge
Counter("orders_total", "Orders that callers placed.").inc(2)
Gauge("lines_open", "Lines in use.", multiprocess_mode="livesum").set(5)
print("counted", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def users(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two processes with metrics of a user, in a folder ``user``."""
    (tmp_path / "user").mkdir()
    pipe = subprocess.PIPE
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "user")}
    made = [
        subprocess.Popen([sys.executable, "-c", WORKER], stdin=pipe, stdout=pipe, env=environ)
        for _ in range(2)
    ]
    for one in made:
        assert one.stdout
        assert one.stdout.readline() == b"counted\n"
    yield made
    for one in made:
        one.communicate()


async def test_the_user_metrics_of_several_workers_add_up(
    users: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """The workers share the folder that ``receiver serve`` names; gauges end with their worker."""
    page = MetricsPage(Counts(), tmp_path, str(tmp_path / "user"))
    text = await text_of(page)
    assert "orders_total 4.0" in text
    assert "lines_open 10.0" in text
    users[0].communicate()
    (tmp_path / f"{users[0].pid}-x.lock").touch()  # of a worker that ended
    page.folder.write()
    text = await text_of(page)
    page.folder.close()
    assert "orders_total 4.0" in text
    assert "lines_open 5.0" in text


def test_a_missing_folder_of_user_metrics_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shown = registry(list, several=True, user_folder=str(tmp_path / "gone"))
    assert b"receiver_callbacks" in generate_latest(shown)
    assert f"PROMETHEUS_MULTIPROC_DIR={tmp_path / 'gone'} is not a folder" in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"\x10", b"\x40" + bytes(7) + b"\x04" + bytes(3) + b"\xff" * 200]
)
def test_a_damaged_file_of_user_metrics_leaves_out_only_these(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "counter_1.db").write_bytes(content)
    shown = registry(list, several=True, user_folder=str(tmp_path))
    assert "receiver_callbacks_total" in generate_latest(shown).decode()
    assert "metrics of user code are left out" in caplog.text


def test_stage_labels_are_in_every_bucket() -> None:
    counts = Counts()
    counts.observe(STAGE, ("8000/pick", "whole"), 0.2)
    assert (
        'receiver_stage_budget_ratio_bucket{action="8000/pick",le="0.25",stage="whole"} 1.0'
        in service_page(counts.snapshot())
    )
