"""`python -m android_demo.standin`: opens the page and serves it until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from contextlib import ExitStack
from pathlib import Path

from android_demo.standin.scenes import Pictures, Scene, webcam
from android_demo.standin.screen import Screen
from android_demo.standin.server import Server
from eas_sdk.bank import bundle as bundles
from eas_sdk.bank.shipped import bundle_file
from eas_sdk.cache import cache_folder
from eas_sdk.errors import EasError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m android_demo.standin", description=__doc__)
    parser.add_argument("--port", type=int, default=8765, help="of the page; 0 for any (default: %(default)s)")
    parser.add_argument("--bundle", help="a bundle: a file, or a shipped one by its name (default: the first of them)")
    seen = parser.add_mutually_exclusive_group()
    seen.add_argument("--pictures", type=Path, metavar="DIR", help="what is held before the camera (default: shipped)")
    seen.add_argument("--webcam", type=int, nargs="?", const=0, metavar="N", help="a real camera, by OpenCV")
    parser.add_argument("--threads", type=int, default=1, help="of an inference (default: %(default)s)")
    parser.add_argument("--storage", type=Path, help="the app's storage (default: a folder in the cache)")
    parser.add_argument("--no-browser", action="store_true", help="do not open the page")
    options = parser.parse_args()
    storage = options.storage or cache_folder() / "standin"
    with ExitStack() as stack:
        try:
            scene: Scene | None = None
            if options.webcam is not None:
                scene = stack.enter_context(webcam(options.webcam))
            elif options.pictures is not None:
                with bundle_file(options.bundle) as file:
                    scene = Pictures.of(options.pictures, [s.name for s in bundles.read(file).superclasses])
            screen = Screen(storage, threads=options.threads, bundle=options.bundle, scene=scene)
            stack.callback(screen.close)
            server = Server(screen, options.port)
            stack.callback(server.server_close)
        except (EasError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        return serve(server, options.no_browser)


def serve(server: Server, no_browser: bool) -> int:
    """Until Ctrl-C."""
    print(f"the demo's screen: {server.url} (Ctrl-C ends it)", flush=True)
    if not no_browser:
        webbrowser.open(server.url)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
