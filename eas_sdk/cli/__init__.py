"""The `eas` command. It needs the extra `cli`."""

from __future__ import annotations

import importlib
import io
import sys
import warnings

from eas_sdk.errors import install_hint


def main() -> None:
    """Run the command line of this process; see `eas --help`.

    Exit codes: 0 done, 2 an error that is explained in one line, 130 interrupted.
    """
    try:
        for package in ("click", "rich", "PIL"):
            importlib.import_module(package)
    except ImportError as error:
        print(f"error: the eas command needs click, rich and Pillow ({error}); {install_hint('cli')}", file=sys.stderr)
        sys.exit(2)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what it says of damaged files, our errors say in one line
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks is shown escaped, not a reason to stop.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        from eas_sdk.cli.app import cli

        cli(prog_name="eas")
    except KeyboardInterrupt:  # during the imports; later ones are caught by `cli`
        sys.exit(130)
