"""Imports point down only, and nothing below the line does I/O or reads a clock."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "receiver"

# From the ground up; what stands in one row does not import each other. A package is one name
# where nothing above looks inside it.
LAYERS = (
    (
        "errors",
        "serving.framing",
        "printable",
        "auth.sources",
        "telemetry.seldom",
        "auth.throttle",
        "contexts",
        "telemetry.counts",
    ),
    ("dispatch.repeats", "dispatch.margins", "guard.deadman", "configuration.places"),
    ("calls", "replies", "entries", "secrets", "numbering"),
    ("callbacks.reading",),
    (
        "masks",
        "functions.manners",
        "ladders",
        "sessions.session",
        "sessions.keys",
        "telemetry.records",
        "recordings.lines",
    ),
    (
        "upstream.bodies",
        "upstream.budgets",
        "upstream.circuits",
        "configuration.shapes",
        "configuration.problems",
    ),
    ("callbacks.marks", "auth.scheme", "auth.counters", "simulator.behaviour", "simulator.trouble"),
    ("configuration.options",),
    ("limits", "auth.basic", "auth.bearer", "auth.digest", "auth.factor"),
    ("simulator.schema", "pbx.fields", "pbx.audio"),
    ("auth", "simulator.tables", "simulator.conditions", "simulator.faults", "simulator.uploads"),
    ("pbx.models", "pbx.models_shared", "simulator.collection", "simulator.hours"),
    ("registration.drift", "pbx.models_ivr", "pbx.checks", "simulator.callback"),
    ("receptionists",),
    ("actions",),
    (
        "ivrs",
        "registration.wanting",
        "simulator.trace",
        "recordings.masking",
        "configuration.reading",
        "console.flowmap",
    ),
    (
        "configuration.document",
        "registration.plans",
        "simulator.model",
        "simulator.logins",
        "recordings.standins",
    ),
    (
        "registration.steps",
        "registration.lints",
        "registration.printout",
        "guard.switching",
        "simulator.flow",
    ),
    # ---------------------------------------------------------- I/O above, none below
    ("telemetry.spools", "recordings.files", "console.destinations"),
    ("variables", "telemetry.logs", "testing.scenarios", "recordings.reading", "projects"),
    (
        "pbx.faults",
        "pbx.address",
        "functions.threads",
        "functions.attempts",
        "settings",
        "loader",
        "simulator.desk",
    ),
    (
        "serving.watchdog",
        "dispatch.eager",
        "serving.roundtrips",
        "serving.passing",
        "serving.joining",
    ),
    ("functions.loops", "upstream.witness", "upstream.requests"),
    ("functions.aside",),
    ("upstream.client", "upstream.lookups", "upstream.reloading", "onward"),
    ("upstream",),
    ("configuration.catalogue",),
    ("configuration.parts", "configuration.schema"),
    ("shared.patience",),
    ("shared.place", "shared.file", "shared.server", "serving.listening", "serving.accepting"),
    ("stores.store",),
    ("stores.memory", "stores.sqlite", "stores.redis"),
    ("stores.guarded",),
    ("stores", "sessions.shelf", "guard.leases"),
    ("sessions.memory", "sessions.sqlite", "sessions.redis", "sessions.sessions"),
    ("sessions", "dispatch.runs"),
    ("after.jobs", "after.bodies"),
    ("after.sqlite", "after.redis", "after.running"),
    ("after.soon", "after.lasting"),
    ("after.work",),
    ("after",),
    ("dispatch.live",),
    (
        "pbx.wire",
        "dispatch.dispatcher",
        "simulator.delivery",
        "simulator.gate",
        "simulator.calling",
    ),
    ("simulator.resources", "simulator.blobs", "simulator.tokens"),
    ("pbx.families", "simulator.line"),
    ("pbx.tokens",),
    ("pbx.requester",),
    ("pbx.collections", "pbx.uploads"),
    ("pbx.groups", "pbx.files"),
    ("pbx.client", "registration.probing"),
    ("pbx.visits",),
    ("registration.carrying", "pbx.accounts"),
    ("registration.reception",),
    ("registration.registrar",),
    ("registration.rotation", "registration.doctor", "guard.draining"),
    ("guard.guarding",),
    ("serving.room",),
    ("callbacks.exchange", "serving.timed", "telemetry.observing", "telemetry.tracing"),
    ("operators.health", "recordings.gathering", "serving.connections"),
    ("recordings.recorder", "console.telling"),
    ("callbacks.intake", "callbacks.admission", "serving.server", "simulator.api"),
    ("serving.working",),
    ("serving.supervising",),
    ("callbacks.endpoint", "operators.tokens"),
    ("operators.metrics",),
    ("callbacks.table",),
    ("assembly",),
    ("app", "replaying.network", "replaying.outcomes"),
    ("replaying.replay", "replaying.casting"),
    ("console.feed", "console.security", "console.pages", "console.callbacks"),
    ("console.web", "console.shapes", "console.login", "console.traffic", "console.standing"),
    ("configuration.building", "console.totals"),
    ("apps", "testing.faults", "testing.equipping", "testing.load"),
    ("testing.phone",),
    ("testing.playing",),
    ("testing",),
    ("pytest_plugin",),
    ("cli.common", "cli.demo_calls", "cli.resources_output", "cli.resources_table"),
    ("dev.messages",),
    ("dev.door", "dev.places", "dev.registering", "dev.views"),
    ("dev.reporting", "dev.process", "dev.watching", "dev.copying"),
    ("dev.child", "dev.reloading"),
    ("dev.clock", "dev.lines"),
    ("dev.calling",),
    ("dev.session", "console.live"),
    ("cli.resources_input", "cli.resources_files", "cli.several"),
    ("cli.watching",),
    ("cli.stage", "cli.resources", "cli.running", "cli.registering", "cli.simulating"),
    (
        "cli.dialing",
        "cli.rotating",
        "cli.doctoring",
        "cli.scraping",
        "cli.consoling",
        "cli.guarding",
        "cli.reviving",
        "cli.replaying",
        "cli.starting",
        "cli.configuring",
    ),
    ("cli.demo", "cli.rehearsing", "cli.developing"),
    ("cli",),
    ("__main__",),
)
PURE = LAYERS[:18]
FORBIDDEN = {"starlette", "uvicorn", "httpx", "asyncio", "redis", "os", "time", "random", "socket"}
FORBIDDEN |= {"datetime", "threading", "subprocess", "secrets", "logging", "click"}
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_empty(path: Path) -> bool:
    """Whether there is a docstring at most."""
    return len(ast.parse(path.read_text()).body) <= 1


MODULES = {name: path for path in sorted(ROOT.rglob("*.py")) if (name := name_of(path))}
EMPTY = {name for name, path in MODULES.items() if path.name == "__init__.py" and is_empty(path)}


def imports(path: Path) -> Iterator[str]:
    """Dotted names; for ``from package import module`` the module, if it is one of ours."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                ours = whole.removeprefix("receiver.") in MODULES
                yield whole if ours else str(node.module)


def test_every_module_has_its_place() -> None:
    assert set(MODULES) - EMPTY == set(LEVEL)


@pytest.mark.parametrize("module", sorted(set(MODULES) - EMPTY))
def test_imports_point_down(module: str) -> None:
    for imported in imports(MODULES[module]):
        assert not imported.startswith("handlers"), f"{module} imports {imported}"
        if imported.startswith("receiver."):
            target = imported.removeprefix("receiver.")
            assert target in LEVEL, f"{module} imports {imported}"
            assert LEVEL[target] < LEVEL[module], f"{module} imports {imported}"
        assert imported != "receiver", f"{module} imports the public names"


@pytest.mark.parametrize("module", sorted(name for row in PURE for name in row))
def test_below_the_line_there_is_no_io(module: str) -> None:
    found = {name.partition(".")[0] for name in imports(MODULES[module])} & FORBIDDEN
    assert not found


def test_handlers_know_the_public_names_only() -> None:
    for path in (ROOT.parent / "handlers").rglob("*.py"):
        assert path.name != "__init__.py"
        for imported in imports(path):
            known = imported == "receiver.upstream" or not imported.startswith("receiver.")
            assert known, f"{path} imports {imported}"
