"""Measure the source tree: ``python -m tests.measure [PATH …]`` lists idioms and long functions.

`tests.test_measure` asserts the limits.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.test_layers import LAYERS, MODULES, ours

ROOT = Path(__file__).parent.parent
SOURCE = ("receiver", "handlers")
TEXTS = (*SOURCE, "tests", "examples", "README.md", "CHANGELOG.md", ".ci")
SUFFIXES = {".py", ".md", ".txt", ".js", ".html", ".css", ".toml", ".yml", ".service", ""}
WRITTEN_ELSEWHERE = {"node_modules", "samples", "measure.py", "package-lock.json"}
WRITTEN_ELSEWHERE |= {"__pycache__"}

# Phrases of translated English; each names a person where there is a process, or a figure of
# speech where the field has a term.
IDIOMS = (
    r"told",
    r"nobody",
    r"somebody",
    r"whoever",
    r"whatever",
    r"shall",
    r"stands(?! for)",
    r"stand(?= in| at| where| there| once)",
    r"stood",
    r"who asks",
    r"who comes",
    r"comes? in",
    r"let in",
    r"of (?:its|their|one's|his|our|your) own",
    r"of (?:ours|theirs)",
    r"there (?:is|are) none",
    r"so many",
    r"turned away",
    r"kept waiting",
    r"he|him|his",
    r"in order(?! to)",
    r"out of order",
    r"for good",
    r"to be had",
    r"besides",
    r"whence|lest|thereby",
    r"in vain",
    r"at will",
    r"beforehand",
    r"goes by",
    r"says so",
    r"what becomes of",
    r"makes? room",
    r"is asked|are asked",
    r"has its say|last word",
    r"a caller falls",
    r"by (?:itself|themselves)",
    r"as (?:it|they) (?:came|comes?)",
    r"what (?:is there|there is)",
    r"what (?:comes|waits|follows)",
    r"for which there",
    r"the other one",
    r"all the same",
    r"on (?:its|their) way",
    r"go(?:es)? on|went on|going on",
    r"anybody|everybody",
    r"for ever",
    r"so often",
    r"be had",
    r"in hand",
    r"anew",
    r"taken to be",
    r"past the (?:event )?loop",
)
PHRASE = re.compile(rf"\b(?:{'|'.join(IDIOMS)})\b", re.IGNORECASE)

# A docstring begins with a verb or with a noun, not with a clause or a reference to another text.
OPENING = re.compile(
    r'"""(?:As|Has|How|Is|Neither|Nor|Not|Of|That|Those|What|When|Where|Which|Who|Whose|Why)\b'
)

# Nouns of the field that end in -ing.
NOUNS = {"testing", "recording", "masking", "tracing", "content_coding", "settings"}
# A module of the command line is named after its command.
COMMANDS = "cli"


def texts(*paths: str) -> Iterator[Path]:
    """The files that people read, below ``paths``."""
    for path in (ROOT / name for name in paths or TEXTS):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            known = file.suffix in SUFFIXES and file.is_file()
            if (
                known
                and not WRITTEN_ELSEWHERE & set(file.parts)
                and "__pycache__" not in file.parts
            ):
                yield file


def idioms(*paths: str) -> list[str]:
    """Each idiom below ``paths``, as ``file:line: text``."""
    return [
        f"{file.relative_to(ROOT)}:{number}: {found[0]}"
        for file in texts(*paths)
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1)
        for found in (*PHRASE.finditer(line), *OPENING.finditer(line))
    ]


def gerunds() -> list[str]:
    """Modules and packages with a part of their name that ends in -ing."""
    return [
        name
        for name in MODULES
        if name.rpartition(".")[2].endswith("ing") and name.rpartition(".")[2] not in NOUNS
    ]


def ambiguous() -> dict[str, list[str]]:
    """Basenames of several modules, apart from those of commands."""
    by_name = defaultdict(list)
    for name in MODULES:
        if not name.startswith(f"{COMMANDS}."):
            by_name[name.rpartition(".")[2]].append(name)
    return {base: names for base, names in by_name.items() if len(names) > 1}


def packages() -> set[str]:
    return {str(path.parent) for path in MODULES.values() if path.name == "__init__.py"}


def top_level() -> list[str]:
    """Modules of ``receiver`` that are in no package, without ``__main__``."""
    return [
        name
        for name, path in MODULES.items()
        if "." not in name and path.name != "__init__.py" and name != "__main__"
    ]


def package_cycles() -> set[str]:
    """Packages that import each other in a circle."""
    rest: dict[str, set[str]] = defaultdict(set)
    for module in MODULES:
        package = module.partition(".")[0]
        rest[package] |= {name.partition(".")[0] for name in ours(module)} - {package}
    while free := {name for name, others in rest.items() if not others & rest.keys()}:
        rest = {name: others for name, others in rest.items() if name not in free}
    return set(rest)


def long_functions(limit: int, *paths: str) -> list[str]:
    """Functions with more lines than ``limit``, as ``file:line: name (lines)``."""
    found = []
    for file in texts(*paths or SOURCE):
        if file.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > limit:
                    where = f"{file.relative_to(ROOT)}:{node.lineno}"
                    found.append(f"{where}: {node.name} ({lines})")
    return found


def lines(*paths: str) -> dict[str, int]:
    """The lines of each Python file below ``paths``."""
    files = (file for file in texts(*paths or SOURCE) if file.suffix == ".py")
    return {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in files}


def main(paths: list[str]) -> None:
    for line in [*idioms(*paths), *long_functions(45, *paths)]:
        print(line)
    sizes = lines(*paths)
    print(f"{len(idioms(*paths))} idioms; {sum(sizes.values())} lines in {len(sizes)} files")
    if not paths:
        print(
            f"{len(packages())} packages, {len(LAYERS)} levels, {len(top_level())} modules in none"
        )
        print("in a circle:", *(package_cycles() or ["none"]))
        print("gerunds:", *(gerunds() or ["none"]))
        print("ambiguous:", *(ambiguous() or ["none"]))
        print("longer than 300 lines:", *(name for name in sizes if sizes[name] > 300))


if __name__ == "__main__":
    main(sys.argv[1:])
