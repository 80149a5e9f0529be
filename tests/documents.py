"""The documents of this repository, the code in them, and the commands that they and the help texts give."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from eas_sdk.cli.app import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    page for folder in (".", "docs", "examples", "examples/ios", "android_demo") for page in ROOT.glob(f"{folder}/*.md")
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(text: str, language: str) -> list[str]:
    """The fenced code blocks of one language ("" for none)."""
    return [code for name, code in FENCE.findall(text) if name == language]


def inline(text: str) -> list[str]:
    """The inline code outside fenced blocks, with whitespace as single spaces."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", FENCE.sub("", text))]


def command_lines(text: str) -> list[str]:
    """Lines of the blocks without a language that begin with the name of a program, without comments."""
    lines = [line for code in blocks(text, "") for line in code.splitlines()]
    return [line.partition(" #")[0].strip() for line in lines if re.match(r"(\./)?[a-z]\w* +[\w.:'-]", line)]


def help_commands(command: click.Command = cli) -> Iterator[str]:
    """The examples in a command's help, and in those of the commands under it."""
    for line in (command.help or "").splitlines():
        if re.match(r"(eas|torchrun) ", line.strip()):
            example = re.split(r" {2,}", line.strip())[0]  # what follows says what it does
            yield from example.split(" && ")
    for under in command.commands.values() if isinstance(command, click.Group) else ():
        yield from help_commands(under)


def eas_commands(text: str) -> Iterator[tuple[str, bool]]:
    """Command lines of `eas`, and whether each is whole: inline code may leave out what a command needs."""
    for code in blocks(text, ""):
        for line in code.splitlines():
            yield from ((part.strip(), True) for part in line.split("&&") if part.strip().startswith("eas "))
    yield from ((code, False) for code in inline(text) if code.startswith("eas "))


def context(command: click.Command) -> click.Context:
    """click keeps the help option that it makes first, so it has to be the one of the real command line."""
    return click.Context(command, help_option_names=["-h", "--help"])


def command_fault(line: str, whole: bool) -> str:
    """Why the real command line would refuse `line`; "" where it would not."""
    try:
        command: click.Command = cli
        at = context(cli)
        _, words, _ = cli.make_parser(at).parse_args(shlex.split(line, comments=True)[1:])
        while words and isinstance(command, click.Group):
            found = command.get_command(at, words[0])
            if found is None:
                return f"no command {words[0]!r}"
            command, at, words = found, context(found), words[1:]
        if isinstance(command, click.Group):
            return "" if command is cli or not whole else "its command is missing"
        if whole:
            command.make_context(command.name, words, parent=context(cli))
        else:
            command.make_parser(at).parse_args(words)
    except click.BadOptionUsage as error:  # an option without its value
        return error.format_message() if whole else ""
    except click.UsageError as error:
        return error.format_message()
    return ""
