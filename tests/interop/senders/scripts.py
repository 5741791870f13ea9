"""Clients in other languages, each run by a script.

Rule 1: a script answers each line, a JSON description of what to send, with a line: the JSON text
        of all it read. It serves many cases, for starting node takes longer than sending.
Rule 2: A script that fails ends, so that its error is not mistaken for a refused callback.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.interop.senders.sent import TIMEOUT, Need, Sent

FOLDER = Path(__file__).parent.parent

LWP = Need("LWP", ("perl", "-MLWP", "-MJSON::PP", "-e1"), "apt-get install libwww-perl")
PHP_CURL = Need(
    "PHP's curl",
    ("php", "-r", "exit(extension_loaded('curl') ? 0 : 1);"),
    "apt-get install php-cli php-curl",
)
NODE = Need("node", ("node", "--version"), "apt-get install nodejs npm")
NODE_MODULES = Need(
    "tests/interop/node_modules",
    ("test", "-e", str(FOLDER / "node_modules" / ".package-lock.json")),
    "npm ci --prefix tests/interop",
)


class Script:
    """A script that is started when it is first asked, and again after it failed.

    Raises:
        RuntimeError: the script failed; with what it wrote to its standard error.
    """

    def __init__(self, *command: str) -> None:
        self._command = command
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, sent: Sent, client: str = "") -> bytes:
        process = self._process = self._process or self._start()
        assert process.stdin
        assert process.stdout
        watch = threading.Timer(TIMEOUT, process.kill)
        watch.start()
        try:
            process.stdin.write(sent.as_json(client=client) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            raise RuntimeError(f"{self._command} failed: {self.close()}")
        return str(json.loads(line)).encode()

    def _start(self) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def close(self) -> str:
        """End it; gives what it wrote to its standard error."""
        process, self._process = self._process, None
        return process.communicate(timeout=TIMEOUT)[1] if process else ""


_SCRIPTS = FOLDER / "scripts"
lwp = Script("perl", str(_SCRIPTS / "lwp.pl"))
php_curl = Script("php", str(_SCRIPTS / "php_curl.php"))
_node = Script("node", str(_SCRIPTS / "node.mjs"))


def node(client: str) -> Callable[[Sent], bytes]:
    """One of node's clients, by its name in ``node.mjs``."""
    return partial(_node, client=client)


def close_all() -> None:
    """End those that were started."""
    for script in (lwp, php_curl, _node):
        script.close()
