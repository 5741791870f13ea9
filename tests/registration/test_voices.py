"""Synthesizers: any command, piper, espeak-ng; their limits and errors; the cache."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from receiver import RegistrationError, Settings, SettingsError, Speech
from receiver.errors import DeclarationError
from receiver.pbx.audio import examine
from receiver.registration import voices
from receiver.registration.synthesizers import run
from receiver.registration.voices import Voices, cache_folder
from tests.recordings import samples_of, script, wav

PYTHON = sys.executable
SAYS = f"Path(sys.argv[-1]).write_bytes({wav([1, 2, 3])!r})\n"
COUNTS = "open(__file__ + '.log', 'a').write(Path(sys.argv[1]).read_text())\n" + SAYS


def command(folder: Path, body: str = COUNTS, ends: str = "{text_file} {out}") -> Settings:
    environ = {"RECEIVER_VOICE_COMMAND": f"{script(folder, body)} {ends}"}
    return Settings.read(environ, dotenv=None)


def said(folder: Path) -> list[str]:
    """The texts that the command was run with."""
    log = folder / "say-it.py.log"
    return log.read_text().splitlines() if log.exists() else []


# Any command ---------------------------------------------------------------------------------


def test_a_recording_is_made_once_for_each_text_and_voice(tmp_path: Path) -> None:
    settings, cache = command(tmp_path), tmp_path / "cache"
    first = Voices(settings, cache=cache).spoken(Speech("Good  morning"))
    assert first.synthesizer == "command"
    assert list(samples_of(first.data)[:3]) == [1, 2, 3]
    assert Voices(settings, cache=cache).speak(Speech("Good morning")) == first.data
    assert said(tmp_path) == ["Good morning"]
    for other in (Speech("Good evening"), Speech("Good morning", "de")):
        Voices(settings, cache=cache).speak(other)
    assert said(tmp_path) == ["Good morning", "Good evening", "Good morning"]


def test_equal_sounds_of_two_voices_are_two_files(tmp_path: Path) -> None:
    """A PBX that stores a file by its digest would show the name of the first one."""
    made = Voices(command(tmp_path), cache=tmp_path / "cache")
    assert made.speak(Speech("Hello", "en")) != made.speak(Speech("Hello", "en-gb"))


def test_another_command_makes_another_recording(tmp_path: Path) -> None:
    for ends in ("{text_file} {out}", "{text_file} again {out}"):
        Voices(command(tmp_path, ends=ends), cache=tmp_path).speak(Speech("Hello"))
    assert said(tmp_path) == ["Hello", "Hello"]


def test_a_damaged_recording_is_made_again(tmp_path: Path) -> None:
    settings, cache = command(tmp_path), tmp_path / "cache"
    data = Voices(settings, cache=cache).speak(Speech("Hello"))
    (file,) = cache.iterdir()
    file.write_bytes(data[:-1])
    assert Voices(settings, cache=cache).speak(Speech("Hello")) == data
    assert file.read_bytes() == data


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    settings, blocked = command(tmp_path), tmp_path / "file"
    blocked.write_text("no folder")
    for _ in range(2):
        Voices(settings, cache=blocked / "cache").speak(Speech("Hello"))
    assert said(tmp_path) == ["Hello", "Hello"]


def test_a_failed_write_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    Voices(command(tmp_path), cache=tmp_path / "cache").speak(Speech("Hello"))
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_recordings_not_used_for_the_longest_time_are_deleted(tmp_path: Path) -> None:
    settings, cache = command(tmp_path), tmp_path / "cache"
    size = len(Voices(settings, cache=cache).speak(Speech("One")))
    (one,) = cache.iterdir()
    os.utime(one, (1, 1))
    part = cache / "killed.part"
    part.write_bytes(bytes(size))
    os.utime(part, (2, 2))
    made = Voices(settings, cache=cache, max_cache=2 * size)
    made.speak(Speech("One"))  # so it is used
    made.speak(Speech("Two"))
    assert not part.exists()
    (two,) = set(cache.iterdir()) - {one}
    os.utime(one, (3, 3))
    made.speak(Speech("Six"))
    assert one not in (files := set(cache.iterdir()))
    assert two in files
    assert len(files) == 2


@pytest.mark.parametrize("text", ["-v", "--help", "$(touch x); `id` && {out}", "a 'b' \"c\" \\"])
def test_a_text_is_neither_an_option_nor_seen_by_a_shell(tmp_path: Path, text: str) -> None:
    body = (
        "assert len(sys.argv) == 3, sys.argv\n"
        "assert sys.stdin.read() == Path(sys.argv[1]).read_text()\n"
    )
    Voices(command(tmp_path, body + COUNTS), cache=tmp_path / "c").speak(Speech(text))
    assert said(tmp_path) == [text]


def test_the_voice_is_an_argument_and_the_result_may_be_printed(tmp_path: Path) -> None:
    body = f"assert sys.argv[1] == 'de'\nsys.stdout.buffer.write({wav([7])!r})\n"
    settings = command(tmp_path, body, "{voice}")
    assert Voices(settings, cache=tmp_path / "c").speak(Speech("Hallo", "de"))


def test_a_program_gets_no_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_SECRET", "6d0f2c9ab17e4583f4c8d25e90ab3716")
    body = "assert not [name for name in os.environ if name.startswith('RECEIVER_')]\n"
    Voices(command(tmp_path, body + SAYS), cache=tmp_path / "c").speak(Speech("Hello"))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (
            "sys.exit('no voice\\x1b[31m of that name')",
            r'failed with status 1 \("no voice\\x1b\[31m of that name"\): correct RECEIVER_VOICE_C',
        ),
        ("", "wrote nothing: correct RECEIVER_VOICE_COMMAND"),
        ("Path(sys.argv[-1]).write_text('no sound')", "made cannot be used: .* not a WAV file"),
    ],
)
def test_a_command_that_fails(tmp_path: Path, body: str, problem: str) -> None:
    with pytest.raises(RegistrationError, match=problem):
        Voices(command(tmp_path, body), cache=tmp_path / "c").speak(Speech("Hello"))
    assert not (tmp_path / "c").exists()


def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    settings = Settings(voice_command=("/no/such/say-it", "{out}"))
    with pytest.raises(RegistrationError, match=r"say-it does not start .No such file.*install it"):
        Voices(settings, cache=tmp_path).speak(Speech("Hello"))


def test_a_command_that_never_ends_is_killed(tmp_path: Path) -> None:
    arguments = script(tmp_path, "time.sleep(600)").split()
    with pytest.raises(RegistrationError, match=r"took more than 0.5 s: try"):
        run(arguments, "Hello", "try another", seconds=0.5)


@pytest.mark.parametrize("where", ["sys.stdout.buffer", "sys.stderr.buffer"])
def test_a_command_that_writes_without_end_is_killed_with_its_children(
    tmp_path: Path, where: str
) -> None:
    body = (
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "Path(__file__ + '.pid').write_text(str(child.pid))\n"
        f"while True: {where}.write(bytes(65536))"
    )
    with pytest.raises(RegistrationError, match="wrote more than 100000 bytes"):
        run(script(tmp_path, body).split(), "Hello", "try another", max_bytes=100_000)
    child = Path(f"/proc/{(tmp_path / 'say-it.py.pid').read_text()}/stat")
    ends = time.monotonic() + 60
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_command_that_writes_too_much_and_ends(tmp_path: Path) -> None:
    arguments = script(tmp_path, "sys.stdout.buffer.write(bytes(200000))").split()
    with pytest.raises(RegistrationError, match="wrote more than 100000 bytes"):
        run(arguments, "Hello", "try another", max_bytes=100_000)


@pytest.mark.parametrize("text", ["'say-it {out}", "say-it --out={out}", "say-it {txt}"])
def test_a_template_that_cannot_work_is_an_error_of_the_setting(text: str) -> None:
    with pytest.raises(SettingsError, match="RECEIVER_VOICE_COMMAND is not a command such as"):
        Settings.read({"RECEIVER_VOICE_COMMAND": text}, dotenv=None)


# Programs ------------------------------------------------------------------------------------


def test_espeak_ng_speaks(program: Callable[[str], str], tmp_path: Path) -> None:
    program("espeak-ng")
    made = Voices(Settings(), cache=tmp_path)
    short, long = (made.spoken(Speech(text)) for text in ("-h", "Welcome to Acme. Press one."))
    assert short.synthesizer.startswith("espeak-ng 1.")
    lengths = [examine("a.wav", one.data) for one in (short, long)]
    assert [one.rate for one in lengths] == [16_000, 16_000]
    assert 0.1 < lengths[0].seconds < 1 < lengths[1].seconds < 10


def test_an_unknown_voice_of_espeak_ng(program: Callable[[str], str], tmp_path: Path) -> None:
    program("espeak-ng")
    problem = 'failed with status 1 .".*voice does not exist.*: espeak-ng --voices lists the voices'
    with pytest.raises(RegistrationError, match=problem):
        Voices(Settings(), cache=tmp_path).speak(Speech("Hello", "klingonese"))


def fake(folder: Path, name: str, body: str, interpreter: str = PYTHON) -> None:
    """Put a program into a folder of PATH."""
    file = folder / name
    file.write_text(f"#!{interpreter}\nimport sys\nfrom pathlib import Path\n{body}")
    file.chmod(0o755)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, with the only programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    return folder


PIPER = f"""
assert sys.argv[1] == "--model" and sys.argv[3] == "--output_file"
Path(sys.argv[4]).write_bytes({wav([1, 2] * 50, 22_050)!r})
Path(__file__ + ".log").write_text(sys.argv[2] + "|" + sys.stdin.read())
"""


def test_piper_with_a_model(alone: Path, tmp_path: Path) -> None:
    fake(alone, "piper", PIPER)
    model = tmp_path / "en_US-lessac.onnx"
    model.write_bytes(b"model")
    made = Voices(Settings(voice_model=model), cache=tmp_path / "c").spoken(Speech("--cuda"))
    assert made.synthesizer == "piper  en_US-lessac.onnx 5"
    assert examine("a.wav", made.data).rate == 16_000
    assert (alone / "piper.log").read_text() == f"{model}|--cuda\n"


def test_piper_with_a_folder_of_models(alone: Path, tmp_path: Path) -> None:
    fake(alone, "piper", PIPER)
    (tmp_path / "de_DE-thorsten.onnx").write_bytes(b"model")
    made = Voices(Settings(voice_model=tmp_path), cache=tmp_path / "c")
    made.speak(Speech("Hallo", "piper:de_DE-thorsten"))
    assert (alone / "piper.log").read_text().startswith(f"{tmp_path / 'de_DE-thorsten.onnx'}|")
    with pytest.raises(RegistrationError, match=r"no voice .*/en\.onnx: python -m piper.download_"):
        made.speak(Speech("Hello"))


def test_without_a_synthesizer_one_error_says_what_to_install(alone: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        Voices(Settings(), cache=tmp_path).speak(Speech("Hello"))
    for text in ("apt install espeak-ng", "[piper]", "RECEIVER_VOICE_MODEL", "RECEIVER_VOICE_COMM"):
        assert text in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_synthesizer_that_is_named_and_missing(alone: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="synthesizer piper of the voice 'piper:en' cannot be"):
        Voices(Settings(), cache=tmp_path).speak(Speech("Hello", "piper:en"))


@pytest.mark.parametrize("interpreter", [PYTHON, "/no/such/python"])
def test_an_espeak_ng_that_does_not_run_is_not_used(
    alone: Path, tmp_path: Path, interpreter: str
) -> None:
    fake(alone, "espeak-ng", "sys.exit(1)", interpreter)
    with pytest.raises(SettingsError, match="no synthesizer for spoken prompts"):
        Voices(Settings(), cache=tmp_path).speak(Speech("Hello"))


class Third:
    """A synthesizer of another distribution."""

    version = "7"

    def __init__(self, settings: Settings) -> None:
        pass

    def synthesize(self, text: str, voice: str) -> bytes:
        return wav([len(text), len(voice)])


def broken(settings: Settings) -> Any:
    raise RuntimeError("its key is missing")


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    def points(group: str) -> list[EntryPoint]:
        assert group == "receiver.voices"
        made = {"third": "Third", "zebra": "broken"}
        return [EntryPoint(name, f"{__name__}:{one}", group) for name, one in made.items()]

    monkeypatch.setitem(sys.modules, __name__, sys.modules[Third.__module__])
    monkeypatch.setattr(voices, "entry_points", points)


@pytest.mark.usefixtures("others")
def test_a_synthesizer_of_another_distribution(tmp_path: Path) -> None:
    made = Voices(Settings(), cache=tmp_path)
    data, synthesizer = made.spoken(Speech("Hello", "en-us"))
    assert (list(samples_of(data)[:2]), synthesizer) == ([5, 5], "third 7")
    assert list(samples_of(made.speak(Speech("Hello", "third:en")))[:2]) == [5, 2]
    with pytest.raises(RegistrationError, match=r"zebra .* is broken: RuntimeError: its key is"):
        made.speak(Speech("Hello", "zebra:en"))


def test_what_is_no_speech_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="is empty"):
        Voices(Settings(), cache=tmp_path).speak(Speech(""))


# The cache folder ----------------------------------------------------------------------------

HOME = Path("/home/ann")


@pytest.mark.parametrize(
    ("environ", "platform", "folder"),
    [
        ({}, "linux", HOME / ".cache"),
        ({"XDG_CACHE_HOME": "/var/cache/ann"}, "linux", Path("/var/cache/ann")),
        ({"XDG_CACHE_HOME": "relative"}, "linux", HOME / ".cache"),
        ({}, "darwin", HOME / "Library/Caches"),
        ({}, "win32", HOME / "AppData/Local"),
        ({"LOCALAPPDATA": "/ann/local"}, "win32", Path("/ann/local")),
    ],
)
def test_the_cache_folder(environ: dict[str, str], platform: str, folder: Path) -> None:
    assert cache_folder(environ, platform, HOME) == folder / "portsip-receiver" / "speech"


def test_a_user_without_a_home_has_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert cache_folder() is None
    for _ in range(2):
        Voices(command(tmp_path)).speak(Speech("Hello"))
    assert said(tmp_path) == ["Hello", "Hello"]
