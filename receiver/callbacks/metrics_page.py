"""The page of ``/metrics``, rendered by prometheus_client.

Rule 1: it has the service's counts, the metrics that the user registered with prometheus_client,
        and the ``process_*`` of the service, in the format that the Accept header prefers.
Rule 2: one process serves the global registry of prometheus_client, of which ``process_*`` is a
        part.
Rule 3: any of several workers answers for all. The service's counts are the sum in the
        `Folder`; ``process_*`` have the label ``pid``, one for each worker that runs; the user's
        metrics are in the folder that ``PROMETHEUS_MULTIPROC_DIR`` names (multiprocess mode of
        prometheus_client), which ``receiver serve`` sets. Without that folder they are left out:
        alternating values of several workers would look like a reset at each scrape.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from receiver.callbacks.asgi_messages import refuse
from receiver.callbacks.metrics_endpoint import PATH
from receiver.callbacks.metrics_folder import Folder
from receiver.observability.metrics import (
    FAMILIES,
    PROCESS,
    USER_FOLDER,
    Counts,
    Family,
    Snapshot,
    add_up,
)

log = logging.getLogger("receiver")

Snapshots = Callable[[], Iterable[Snapshot]]


class ServiceCollector:
    """The service's counts, for a registry of prometheus_client.

    Parameters:
        snapshots: returns the counts of each worker.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots

    def collect(self) -> Iterator[Metric]:
        """Return the sum of the counts, without cells of another version."""
        total = add_up(self._snapshots())
        for family in FAMILIES:
            cells = sorted(
                (labels, cell)
                for labels, cell in total.get(family.name, ())
                if (len(labels), len(cell)) == (len(family.labels), family.cells)
            )
            yield _histogram(family, cells) if family.bounds else _counter(family, cells)
        yield from _processes(total)


class UserCollector:
    """The metrics of user code in all workers.

    Parameters:
        folder: the value of `USER_FOLDER`. A file there that cannot be read, as after a full disk,
            leaves out these metrics only.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        registry = CollectorRegistry()
        self._collector = MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterator[Metric]:
        """Return the metrics, summed over the workers."""
        try:
            yield from list(self._collector.collect())  # type: ignore[no-untyped-call]
        except Exception as error:  # of prometheus_client: of any type
            log.warning(
                "metrics of user code are left out: a file in %s=%s cannot be read (%s); remove "
                "the files in it and restart",
                USER_FOLDER,
                self._folder,
                type(error).__name__,
            )


_Cells = list[tuple[tuple[str, ...], list[float]]]


def _counter(family: Family, cells: _Cells) -> Metric:
    metric = CounterMetricFamily(family.name, family.about, labels=family.labels)
    for labels, cell in cells:
        metric.add_metric(labels, cell[0])
    return metric


def _histogram(family: Family, cells: _Cells) -> Metric:
    metric = HistogramMetricFamily(family.name, family.about, labels=family.labels)
    for labels, cell in cells:
        buckets, count = [], 0.0
        for bound, more in zip((*map(str, family.bounds), "+Inf"), cell[:-1], strict=True):
            count += more
            buckets.append((bound, count))
        metric.add_metric(labels, buckets, sum_value=cell[-1])
    return metric


def process_snapshot() -> Snapshot:
    """Return the ``process_*`` of this process, labelled with its id."""
    pid = (str(os.getpid()),)
    return {
        sample.name: [(pid, [sample.value])]
        for metric in _process_metrics()
        for sample in metric.samples
    }


def _process_metrics() -> Iterable[Metric]:
    return ProcessCollector(registry=CollectorRegistry()).collect()


def _processes(total: Snapshot) -> Iterator[Metric]:
    if not any(name.startswith(PROCESS) for name in total):
        return
    for own in _process_metrics():
        metric = Metric(own.name, own.documentation, own.type)
        for sample in own.samples:
            for labels, cell in sorted(total.get(sample.name, ())):
                if len(labels) == len(cell) == 1:
                    metric.add_sample(sample.name, {"pid": labels[0]}, cell[0])
        yield metric


def registry(snapshots: Snapshots, *, several: bool, user_folder: str = "") -> CollectorRegistry:
    """Return a registry with all metrics of the page.

    Parameters:
        snapshots: see `ServiceCollector`.
        several: whether there are other workers.
        user_folder: the value of `USER_FOLDER`.
    """
    registry = CollectorRegistry()
    registry.register(ServiceCollector(snapshots))
    if not several:
        registry.register(REGISTRY)
    elif user_folder and Path(user_folder).is_dir():
        registry.register(UserCollector(user_folder))
    elif user_folder:
        log.warning(
            "metrics of user code are left out: %s=%s is not a folder; create it and restart",
            USER_FOLDER,
            user_folder,
        )
    return registry


class MetricsPage:
    """Answers at ``/metrics``.

    Parameters:
        counts: of this process.
        path: the folder of the workers; None if there is one worker only.
        user_folder: the value of `USER_FOLDER`; it is set before prometheus_client is imported.

    Attributes:
        folder: of the workers.
    """

    def __init__(self, counts: Counts, path: Path | None, user_folder: str | None = None) -> None:
        several = path is not None
        given = os.environ.get(USER_FOLDER, "") if user_folder is None else user_folder
        self.folder = Folder(
            counts, path, describe=process_snapshot if several else dict, ended=self._forget_gauges
        )
        self._user_folder = given
        self._wsgi = make_wsgi_app(registry(self.folder.read, several=several, user_folder=given))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            await refuse(scope, receive, send, 405, ((b"allow", b"GET"),))
            return
        answer = await asyncio.to_thread(self._render, scope)  # it reads files
        await answer(scope, receive, send)

    def _render(self, scope: Scope) -> Response:
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": PATH, "QUERY_STRING": ""}
        for name, value in scope["headers"]:
            if name in (b"accept", b"accept-encoding"):
                key = f"HTTP_{name.decode().upper().replace('-', '_')}"
                environ[key] = value.decode("latin-1")
        headers: dict[str, str] = {}
        body = b"".join(self._wsgi(environ, lambda _, sent: headers.update(sent)))
        return Response(body, headers=headers)

    def _forget_gauges(self, pid: int) -> None:
        """Remove the user's gauges of a worker that ended: they describe a running one."""
        if self._user_folder:
            mark_process_dead(pid, self._user_folder)  # type: ignore[no-untyped-call]
