"""Imports point down only, and the pure modules do no I/O and read no clock."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "receiver"

# From the ground up. Packages of one row do not import each other, except in the first row;
# modules that are no package may, where that is no circle.
LAYERS = (
    "errors calls call_context replies masks mask_entries credentials text phone_numbers execution",
    "auth observability",
    "storage upstream settings settings_parsers",
    "pbx background",
    "declarations",
    "dispatch simulator",
    "callbacks registration",
    "server recording",
    "app assembly",
    "console config",
    "dev testing",
    "cli __main__",
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names.split()}

# The modules without I/O, clocks and randomness, by package.
PURE_MODULES = {
    "": ("auth call_context calls credentials errors mask_entries masks replies text"),
    "auth": (
        "basic bearer browser_sessions client_address digest entropy known_secrets probe_token "
        "replay_window scheme secret_header throttle"
    ),
    "callbacks": "content_coding event_parser http_limits lenient_json parser",
    "config": "document line_numbers options problems types values",
    "declarations": (
        "action_options actions announcement call_events call_flow desired_ivr event_actions "
        "fallbacks ivr ivr_fields ivr_menu labels limits missing_action number_list office_hours "
        "source_location speech"
    ),
    "dispatch": "latency_margin repeat_guard session session_key",
    "execution": "kinds",
    "observability": "callback_record log_throttle metrics",
    "pbx": (
        "audio callback_request callback_trace checks disa_pin fields "
        "models models_events models_ivr models_shared resample resource_types"
    ),
    "phone_numbers": "notation numbers",
    "recording": "format masking placeholders upstream_answers",
    "registration": (
        "changes compare compare_ivr desired diagnosis event_urls failover_rules failover_switch "
        "findings imported imported_action_urls imported_prompts imported_python imported_toml "
        "lints match ownership plan_file plans reachability render sequence urls"
    ),
    "simulator": (
        "behaviour blob_store collection conditions event_records events fault_plan flow hours "
        "ivr_rules logins model validation"
    ),
    "testing": "load_report",
    "upstream": "circuit_breaker decompression",
}
PURE = tuple(
    f"{package}.{name}".strip(".")
    for package, names in PURE_MODULES.items()
    for name in names.split()
)
FORBIDDEN = {"starlette", "uvicorn", "httpx", "asyncio", "redis", "os", "time", "random", "socket"}
FORBIDDEN |= {"datetime", "threading", "subprocess", "secrets", "logging", "click"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name: path for path in sorted(ROOT.rglob("*.py")) if (name := name_of(path))}


def imports(path: Path) -> Iterator[str]:
    """Dotted names; for ``from package import module`` its module, if that is local."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                ours = whole.removeprefix("receiver.") in MODULES
                yield whole if ours else str(node.module)


def runtime_imports(path: Path) -> set[str]:
    """The packages that a module imports, without those of type annotations."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    return found


def ours(module: str) -> Iterator[str]:
    """The modules of this package that ``module`` imports."""
    for imported in imports(MODULES[module]):
        assert imported != "receiver", f"{module} imports the public names"
        assert not imported.startswith("handlers"), f"{module} imports {imported}"
        if imported.startswith("receiver."):
            yield imported.removeprefix("receiver.")


def test_every_package_has_its_layer() -> None:
    assert {name.partition(".")[0] for name in MODULES} == set(LEVEL)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module: str) -> None:
    package = module.partition(".")[0]
    for imported in ours(module):
        target = imported.partition(".")[0]
        if target == package:
            continue
        siblings = LEVEL[target] == 0 or not (ROOT / target).is_dir()
        lower = LEVEL[target] < LEVEL[package] or (siblings and LEVEL[target] == LEVEL[package])
        assert lower or package == "__main__", f"{module} imports {imported}"


def test_no_module_imports_itself_in_a_circle() -> None:
    rest = {name: {other for other in ours(name) if other != name} for name in MODULES}
    while free := {name for name, others in rest.items() if not others & rest.keys()}:
        rest = {name: others for name, others in rest.items() if name not in free}
    assert not rest


def test_production_imports_no_tool_of_development() -> None:
    production = [name for name in MODULES if LEVEL[name.partition(".")[0]] < LEVEL["dev"]]
    tools = ("simulator", "dev", "testing")
    for module in production:
        if not module.startswith(tools):
            assert not [name for name in ours(module) if name.startswith(tools)], module


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_do_no_io(module: str) -> None:
    assert not runtime_imports(MODULES[module]) & FORBIDDEN


def test_handlers_know_the_public_names_only() -> None:
    for path in (ROOT.parent / "handlers").rglob("*.py"):
        assert path.name != "__init__.py"
        for imported in imports(path):
            known = imported == "receiver.upstream" or not imported.startswith("receiver.")
            assert known, f"{path} imports {imported}"
