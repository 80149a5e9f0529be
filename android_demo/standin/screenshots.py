"""Pictures of the running stand-in for the documentation; needs Chromium.

    python -m android_demo.standin.screenshots docs/android

The blocks are measured first, so that times are predicted. screen.png is the page, budgets.png the phone under three
budgets, auto.png under "auto" while the battery falls.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from android_demo.standin.screen import Screen
from android_demo.standin.server import Server
from eas_sdk.bank.atomic import write_atomically

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PHONE, PAGE = (420, 850), (960, 850)
"""Widths and heights, in pixels."""

SETTLE_S = 3.0
"""Frames are classified for so long before each picture: times and percentiles are those of the network shown."""

PATIENCE_S = 600.0
TASK = "birds"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    options = parser.parse_args()
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise SystemExit(f"error: taking pictures needs one of {', '.join(BROWSERS)}, and none is installed")
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as storage:
        screen = Screen(Path(storage))
        server = Server(screen, 0)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            for name, picture in pictures(screen, server.url, browser).items():
                content = io.BytesIO()
                picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=255).save(content, "PNG", optimize=True)
                write_atomically(options.folder / f"{name}.png", [content.getvalue()])
        finally:
            server.shutdown()
            screen.close()


def pictures(screen: Screen, url: str, browser: str) -> dict[str, Image.Image]:
    """Name -> picture."""
    screen.measure(True)
    until(lambda: screen.state()["info"]["table"] is not None)
    low, high = screen.state()["info"]["tasks"][TASK]["madds"]
    low_ms, high_ms = screen.state()["info"]["tasks"][TASK]["ms"]

    def shown(size: tuple[int, int] = PHONE) -> Image.Image:
        time.sleep(SETTLE_S)
        return shot(browser, url if size == PAGE else f"{url}?phone", size)

    budgets = []
    for unit, value in (("madds", low), ("ms", (low_ms + high_ms) / 2), ("madds", high)):
        wished(screen, unit, value)
        budgets.append(shown())
    auto = []
    for battery in (1.0, 0.35, 0.1):
        screen.set_device({"battery": battery})
        wished(screen, "auto", 0)
        auto.append(shown())
    return {"budgets": beside(budgets), "auto": beside(auto), "screen": shown(PAGE)}


def wished(screen: Screen, unit: str, value: float) -> None:
    """Wish, and wait until the network that follows has answered."""
    screen.wish(TASK, unit, value)
    time.sleep(SETTLE_S)

    def runs() -> bool:
        state: dict[str, Any] = screen.state()
        return bool(state["network"] and state["network"]["task"] == TASK and state["top"])

    until(runs)


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit("error: the stand-in does not get there")
        time.sleep(0.1)


def shot(browser: str, url: str, size: tuple[int, int]) -> Image.Image:
    """What a browser shows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.png"
        window = f"--window-size={size[0]},{size[1]}"
        command = (browser, *QUIET, f"--user-data-dir={folder}/profile", window, "--virtual-time-budget=2000")
        subprocess.run([*command, f"--screenshot={path}", url], check=True, capture_output=True, timeout=120)
        with Image.open(path) as picture:
            image: Image.Image = picture.convert("RGB")
            return image


def beside(parts: list[Image.Image]) -> Image.Image:
    """Pictures in a row."""
    whole = Image.new("RGB", (sum(part.width for part in parts), max(part.height for part in parts)))
    left = 0
    for part in parts:
        whole.paste(part, (left, 0))
        left += part.width
    return whole


if __name__ == "__main__":
    main()
