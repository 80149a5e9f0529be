"""What holds for every command: help, versions, errors in one line, one JSON object, quiet ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result

import eas_sdk
from eas_sdk.cli.app import cli

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    *("info", "specialize", "predict", "export", "demo", "evaluate"),
    *("lut", "bench", "device", "data", "import", "check", "train", "diagnose", "study", "rounds"),
)

# What the console script does, where importing some packages fails as if they were not installed.
BLOCKED = """
import sys
blocked, sys.argv = set(sys.argv[1].split(",")), ["eas", *sys.argv[2:]]
class Blocker:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker)
from eas_sdk.cli import main
main()
"""


def process(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run Python with the arguments, on this checkout."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "EAS_DEBUG": ""}
    arguments = [sys.executable, *command]
    return subprocess.run(arguments, capture_output=True, text=True, env=environment, check=False, **options)  # type: ignore[call-overload, no-any-return]


def assert_one_line_error(result: Result | subprocess.CompletedProcess[str], *parts: str) -> None:
    code = result.exit_code if isinstance(result, Result) else result.returncode
    assert (code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    for part in parts:
        assert part in line


def test_the_help_names_all_commands_with_examples(eas) -> None:
    result = eas("--help")
    assert result.exit_code == 0
    listed = [line.split()[0] for line in result.stdout.partition("Commands:\n")[2].splitlines()]
    assert listed == list(COMMANDS)
    assert "eas predict photo.jpg" in result.stdout
    assert "..." not in result.stdout.partition("Commands:\n")[2], "a summary is cut off"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(eas, command: str) -> None:
    result = eas(command, "--help")
    assert result.exit_code == 0
    assert f"\n    eas {command}" in result.stdout, "an example"
    assert max(len(line) for line in result.stdout.partition("Examples:")[0].splitlines()) <= 80
    assert result.stdout == eas(command, "-h").stdout
    undocumented = [p.name for p in cli.commands[command].params if p.param_type_name == "option" and not p.help]
    assert undocumented == []


def test_version(eas) -> None:
    assert eas("--version").stdout == f"eas_sdk {eas_sdk.__version__}\n"
    done = process("-m", "eas_sdk.cli", "--version")
    assert (done.returncode, done.stdout) == (0, f"eas_sdk {eas_sdk.__version__}\n")


@pytest.mark.parametrize("package", ["click", "rich", "PIL"])
def test_without_the_extra_one_line_names_it(package: str) -> None:
    assert_one_line_error(
        process("-c", BLOCKED, package, "info"), package, "pip install 'elastic-architecture-search[cli]'"
    )


@pytest.mark.parametrize(("package", "command"), [("torch", "train"), ("platformdirs", "data")])
def test_without_the_packages_of_training_one_line_names_the_extra(
    package: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EAS_CACHE", raising=False)
    done = process("-c", BLOCKED, package, command, cwd=tmp_path)
    assert_one_line_error(done, package, "pip install 'elastic-architecture-search[train]'")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["specialize", "brids", "1M"], ["'brids'", "did you mean 'birds'?"]),
        (["predict", "x.png", "--task", "brids", "--budget", "1M"], ["'brids'", "did you mean 'birds'?"]),
        (["evaluate", "--tasks", "birds,tool"], ["'tool'", "did you mean 'tools'"]),
        (["specialize", "birds", "much"], ["'much'", "'4M'", "'350k'"]),
        (["specialize", "birds", "10"], ["got 10", "476248"]),
        (["predict", "x.png", "--task", "birds", "--budget", "0"], ["'0'"]),
        (["demo", "--out", "picture.jpg"], ["picture.jpg", ".png"]),
        (["demo", "--out", "no/such/folder/picture.png"], ["no/such/folder/picture.png"]),
        (["demo", "--images", "nowhere"], ["nowhere", "superclass/label.png"]),
    ],
)
def test_what_the_user_got_wrong_is_told_in_one_line(eas, bundle: Path, arguments: list[str], parts: list[str]) -> None:
    assert_one_line_error(eas(*arguments, "--bundle", bundle), *parts)
    assert_one_line_error(eas(*arguments, "--bundle", bundle, "--json"), *parts)


def test_a_bundle_that_is_missing_cut_or_altered(eas, bundle: Path, tmp_path: Path) -> None:
    assert_one_line_error(eas("info", "--bundle", tmp_path / "no.safetensors"), "no.safetensors", "No such file")
    assert_one_line_error(eas("info", "--bundle", tmp_path), str(tmp_path), "folder")
    data = bytearray(bundle.read_bytes())
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(data[: len(data) // 2])
    assert_one_line_error(eas("specialize", "birds", "1M", "--bundle", broken), str(broken), "cut")
    data[-1] ^= 1
    broken.write_bytes(data)
    assert_one_line_error(eas("evaluate", "--bundle", broken), str(broken), "altered")


def test_usage_errors_have_the_same_exit_code(eas) -> None:
    for arguments in ([], ["nonsense"], ["predict"], ["specialize", "birds"], ["info", "--nonsense"]):
        result = eas(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Usage: eas" in result.stderr


def test_debug_shows_where_an_error_arose(eas, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("specialize", "brids", "1M", "--bundle", bundle)
    by_option = eas("--debug", *arguments)
    monkeypatch.setenv("EAS_DEBUG", "1")
    for result in (by_option, eas(*arguments)):
        assert result.exit_code == 2
        assert "Traceback" in result.stderr
        assert "TaskError" in result.stderr
        assert result.stderr.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["info"],
        ["specialize", "birds", "1M"],
        ["predict", "{images}/birds/owl.png", "--task", "birds", "--budget", "1M"],
        ["predict", "{images}/birds/owl.png", "missing.png", "--task", "birds", "--budget", "1M"],
        ["evaluate", "--images", "{images}", "--budgets", "2"],
        ["demo", "--images", "{images}", "--out", "{out}"],
    ],
)
def test_json_is_one_object_and_nothing_else(
    eas, bundle: Path, drawings: Path, tmp_path: Path, arguments: list[str]
) -> None:
    filled = [a.format(images=drawings, out=tmp_path / "demo.png") for a in arguments]
    result = eas(*filled, "--bundle", bundle, "--json")
    assert isinstance(json.loads(result.stdout), dict)
    assert result.stdout.isascii()
    assert eas(*filled, "--bundle", bundle).stdout.lstrip()[:1] != "{"


@pytest.mark.skipif(os.name != "posix", reason="pipes and signals of POSIX")
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_closed_pipe_ends_the_command_quietly(bundle: Path, flags: list[str]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "eas_sdk.cli", "info", "--bundle", str(bundle), *flags]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    os.close(write_end)
    assert done.stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="pipes and signals of POSIX")
def test_ctrl_c_ends_a_command_with_130(bundle: Path, drawings: Path) -> None:
    arguments = ["evaluate", "--bundle", str(bundle), "--images", str(drawings), "--budgets", "1000"]
    # With this option Python tells what it has imported, and thereby when the command is at work.
    command = [sys.executable, "-X", "importtime", "-m", "eas_sdk.cli", *arguments]
    # Under a job that runs in the background SIGINT is ignored, and children inherit that.
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    finally:
        signal.signal(signal.SIGINT, heard)
    with running:
        assert running.stderr is not None
        while not (line := running.stderr.readline()).rstrip().endswith("rich.progress"):
            assert line, "the command ended by itself"
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=60)
    assert (running.returncode, output) == (130, "")
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == "interrupted"


def test_control_characters_of_a_file_name_do_not_reach_the_terminal(
    eas, bundle: Path, drawings: Path, tmp_path: Path
) -> None:
    try:
        named = tmp_path / "a\x1b[31m.png"
        named.write_bytes((drawings / "birds" / "owl.png").read_bytes())
    except OSError:
        pytest.skip("this file system does not allow such a name")
    broken = tmp_path / "b\x1b[31m.png"
    broken.write_bytes(b"")
    result = eas("predict", named, broken, "--task", "birds", "--budget", "1M", "--bundle", bundle)
    assert "[31m.png" in result.stdout
    assert "[31m.png" in result.stderr
    assert "\x1b" not in result.output
