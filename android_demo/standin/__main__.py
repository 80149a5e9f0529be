"""`python -m android_demo.standin`: opens the page and serves it until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from pathlib import Path

from android_demo.standin.screen import Screen
from android_demo.standin.server import Server
from eas_sdk.cache import cache_folder
from eas_sdk.errors import EasError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m android_demo.standin", description=__doc__)
    parser.add_argument("--port", type=int, default=8765, help="of the page; 0 for any (default: %(default)s)")
    parser.add_argument("--bundle", help="a bundle file (default: the embedded one)")
    parser.add_argument("--threads", type=int, default=1, help="of an inference (default: %(default)s)")
    parser.add_argument("--storage", type=Path, help="the app's storage (default: a folder in the cache)")
    parser.add_argument("--no-browser", action="store_true", help="do not open the page")
    options = parser.parse_args()
    storage = options.storage or cache_folder() / "standin"
    try:
        screen = Screen(storage, threads=options.threads, bundle=options.bundle)
        server = Server(screen, options.port)
    except (EasError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"the demo's screen: {server.url} (Ctrl-C ends it)", flush=True)
    if not options.no_browser:
        webbrowser.open(server.url)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()
        screen.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
