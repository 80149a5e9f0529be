"""The stand-in of the screen, over HTTP as a browser uses it: tasks, sliders, battery, heat, the benchmark."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import random_bundle
from PIL import Image
from sizes import LARGE, SMALL, runtime_of_sizes

import eas_sdk
from eas_sdk.errors import InputError, MissingDependency

pytest.importorskip("ai_edge_litert")

from android_demo import standin
from android_demo.standin.frames import network_input
from android_demo.standin.scenes import HELD_S, SIDE, Pictures, Webcam, webcam
from android_demo.standin.screen import Screen
from android_demo.standin.server import Server

PATIENCE_S = 30.0
ASSETS = Path(eas_sdk.__file__).parent / "assets"


class Browser:
    """What the page does."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **headers: str) -> bytes:
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            content: bytes = answer.read()
            return content

    def state(self) -> dict[str, Any]:
        state = json.loads(self.get("state"))
        assert isinstance(state, dict)
        return state

    def post(self, path: str, body: object, kind: str = "application/json") -> dict[str, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.loads(answer.read())  # type: ignore[no-any-return]

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first state for which something holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds(state := self.state()):
            assert time.monotonic() < deadline, state
            time.sleep(0.02)
        return state


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    made = Screen(tmp_path_factory.mktemp("storage"), bundle="emoji")
    yield made
    made.close()


@pytest.fixture
def browser(screen: Screen) -> Iterator[Browser]:
    server = Server(screen, 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield Browser(server.url)
    screen.set_device({"battery": 1.0, "thermal": "none", "charging": False, "slowdown": 1.0})
    server.shutdown()
    server.server_close()
    thread.join()


def running(task: str, least: float, most: float) -> Callable[[dict[str, Any]], bool]:
    """Whether such a network has answered."""

    def holds(state: dict[str, Any]) -> bool:
        network = state["network"]
        return bool(network and network["task"] == task and least <= network["madds"] <= most and state["top"])

    return holds


def test_a_moved_slider_leads_to_another_network_that_predicts(browser: Browser) -> None:
    browser.post("wish", {"task": "birds", "unit": "madds", "value": 4e6})
    small = browser.until(running("birds", 3e6, 4e6))
    switches = small["switch_count"]
    browser.post("wish", {"task": "birds", "unit": "madds", "value": 12e6})
    large = browser.until(lambda s: running("birds", 8e6, 12e6)(s) and s["switch_count"] > switches)
    last = large["switches"][-1]
    parts = sum(last[name] for name in ("decide_ms", "slice_ms", "write_ms", "load_ms", "first_ms"))
    assert 0 < parts <= last["total_ms"]
    assert {label for label, _ in large["top"]} <= set(large["network"]["labels"])


def test_the_task_changes_what_is_told_apart_and_what_the_camera_sees(browser: Browser) -> None:
    browser.post("wish", {"task": "vehicles", "unit": "madds", "value": 6e6})
    state = browser.until(
        lambda s: running("vehicles", 3e6, 6e6)(s) and s["shown"] in s["info"]["tasks"]["vehicles"]["labels"]
    )
    assert {label for label, _ in state["top"]} <= set(state["info"]["tasks"]["vehicles"]["labels"])


def test_auto_follows_battery_and_heat(browser: Browser) -> None:
    browser.post("wish", {"task": "birds", "unit": "auto", "value": 0})
    full = browser.until(running("birds", 10e6, 20e6))
    assert "no rule holds" in full["update"]["reason"]
    browser.post("device", {"battery": 0.1})
    low = browser.until(running("birds", 3e6, 6e6))
    assert "battery nearly empty" in low["update"]["reason"]
    browser.post("device", {"battery": 1.0, "thermal": "critical"})
    assert "critical heat" in browser.until(running("birds", 3e6, 3.6e6))["update"]["reason"]


def test_the_benchmark_shows_progress_stops_and_keeps_what_it_has(browser: Browser, screen: Screen) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        browser.get("latency.json")
    browser.post("measure", {"on": True})
    state = browser.until(lambda s: s["measuring"] is not None and s["measuring"]["done"] > 2)
    assert 2 < state["measuring"]["done"] < state["measuring"]["total"]
    frames = browser.state()["frames"]
    browser.post("measure", {"on": False})
    stopped = browser.until(lambda s: s["measuring"] is None)
    assert "what is measured is kept" in stopped["said"]
    assert stopped["frames"] <= frames + 2, "frames do not disturb the measurement"
    assert len(json.loads(browser.get("latency.json"))["segments"]) > 2
    browser.until(lambda s: s["frames"] > stopped["frames"])


def test_a_network_s_file_that_was_damaged_is_written_anew(
    browser: Browser, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eas_demo.files import NetworkFiles

    whole, left = NetworkFiles._write, [1]

    def damaged(self: NetworkFiles, graph: Any, path: Path, *more: Any) -> None:
        whole(self, graph, path, *more)
        if left:
            left.pop()
            path.write_bytes(path.read_bytes()[:2000])

    monkeypatch.setattr(NetworkFiles, "_write", damaged)
    browser.post("wish", {"task": "play", "unit": "madds", "value": 9.5e6})
    state = browser.until(running("play", 6e6, 9.5e6))
    assert not left
    assert state["update"]["error"] == ""


def test_networks_of_different_sizes_follow_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bundle").mkdir()
    runtime = runtime_of_sizes(tmp_path / "bundle")
    monkeypatch.setattr("eas_sdk.load", lambda path: runtime)
    screen = Screen(tmp_path)
    try:
        for value, size in ((4e5, SMALL), (2.2e6, LARGE), (4e5, SMALL)):
            screen.wish("tools", "madds", value)
            deadline = time.monotonic() + PATIENCE_S
            while not (
                (state := screen.state())["network"] and state["network"]["input_size"] == size and state["top"]
            ):
                assert time.monotonic() < deadline, state
                time.sleep(0.02)
            assert {label for label, _ in state["top"]} <= set(runtime.labels("tools"))
            assert state["update"]["error"] == ""
    finally:
        screen.close()


def test_frames_are_pictures(browser: Browser) -> None:
    browser.until(lambda s: s["frames"] > 0)
    with Image.open(io.BytesIO(browser.get("frame.jpg"))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (SIDE, SIDE))
    assert b"<title>eas_sdk demo</title>" in browser.get("")


@pytest.mark.parametrize(
    ("path", "body", "part"),
    [
        ("wish", {"task": "brids", "unit": "madds", "value": 1}, "the task is one of"),
        ("wish", {"task": "birds", "unit": "hours", "value": 1}, "the unit is one of"),
        ("wish", {"task": "birds", "unit": "madds", "value": "x"}, "a number of 0 or more"),
        ("device", {"battery": 7}, "battery is a share"),
        ("device", {"slowdown": 0.1}, "slowdown"),
        ("device", {"parrots": 1}, "parrots"),
        ("wish", b"{", "JSON"),
        ("wish", b"[]", "object"),
    ],
)
def test_wishes_that_cannot_be_are_told(browser: Browser, path: str, body: object, part: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        browser.post(path, body)
    assert caught.value.code == 400
    assert part in json.loads(caught.value.read())["error"]


def test_other_pages_are_refused(browser: Browser) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        browser.get("state", Host="example.org")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        browser.post("device", b'{"battery": 0.1}', "text/plain")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        browser.get("etc/passwd")
    assert browser.state()["device"]["battery"] == 1.0


def test_the_network_gets_the_middle_square_scaled() -> None:
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 20:60] = 255
    image = network_input(wide, 16)
    assert (image.shape, image.dtype) == ((1, 16, 16, 3), np.float32)
    assert (image == 1).all()


def test_the_camera_shows_what_ships_for_the_tasks() -> None:
    drawings = Pictures.shipped(eas_sdk.load("emoji").tasks)
    assert len({drawings.frame("birds", time_s, 1).shown for time_s in range(30)}) > 5
    assert (drawings.frame("birds", 0.0, 1).pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all(), "on white"
    photos = Pictures.shipped([f.name for f in (ASSETS / "photos").iterdir()])
    seen = photos.frame("dogs", 1.0, 7)
    assert seen.number == 7
    assert seen.pixels.shape == (SIDE, SIDE, 3)
    assert not (seen.pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all(), "a photo fills the frame"
    assert len({photos.frame("no such task", HELD_S * i, 1).shown for i in range(20)}) > 5, "of all tasks"


def test_the_camera_shows_a_folder_of_one_s_own(tmp_path: Path) -> None:
    def write(*places: str, grey: int) -> None:
        path = tmp_path.joinpath(*places)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (50, 40), (grey, grey, grey)).save(path)

    with pytest.raises(InputError, match="holds none"):
        Pictures.of(tmp_path, ["birds"])
    write("birds", "owl.png", grey=10)
    write("birds", "duck", "a.jpg", grey=20)
    write("garden", "rose.png", grey=30)
    write("me.png", grey=40)
    (tmp_path / "birds" / "broken.png").write_bytes(b"no picture")
    write(".hidden", "x.png", grey=50)
    pictures = Pictures.of(tmp_path, ["birds", "tools"])
    shown = {pictures.frame("birds", HELD_S * i, 1).shown for i in range(3)}
    assert shown == {"owl", "duck"}, "what cannot be read is passed over"
    everything = {pictures.frame("tools", HELD_S * i, 1).shown for i in range(6)}
    assert everything == {"owl", "duck", "garden", "me"}


def test_a_bundle_of_things_that_no_picture_shows_runs_and_the_page_says_so(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    bundle = random_bundle(tmp_path / "bundle", {"gears": ("cog", "worm"), "birds": ("duck", "owl")})
    screen = Screen(tmp_path / "storage", bundle=str(bundle))
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not (state := screen.state())["top"]:
            assert time.monotonic() < deadline, state
            time.sleep(0.02)
        assert {label for label, _ in state["top"]} == {"cog", "worm"}
        assert "none is of 'gears'" in state["scene"]
        assert "--pictures" in state["scene"]
        screen.wish("birds", "auto", 0)
        assert screen.state()["scene"] == "Pictures that come with the package are held before the camera."
    finally:
        screen.close()


STUB = """
const made = {}, element = () => ({options: [], children: [], classList: {toggle() {}}, nextElementSibling: {},
  add() {}, addEventListener() {}});
const document = {getElementById: id => made[id] ||= element(), createElement: element, querySelectorAll: () => []};
const location = {search: ""}, fetch = () => new Promise(() => {}), addEventListener = () => {};
const Option = function () {};
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node runs the page's script")
@pytest.mark.parametrize(
    ("wish", "budget", "place", "value"),
    [
        (("madds", 6e6), "6.00M", 125, "6.00M"),
        (("ms", 2.5), "2.5 ms", 750, "2.50 ms"),
        (("auto", 0), "50%", 500, "50%"),
        (("auto", 0), "15% and 33 ms", 150, "15% and 33 ms"),
        (("auto", 0), "12.00M", 250, "12.00M"),
    ],
)
def test_the_slider_stands_where_its_value_is(
    screen: Screen, wish: tuple[str, float], budget: str, place: float, value: str
) -> None:
    page = (Path(standin.__file__).parent / "page.html").read_text(encoding="utf-8")
    unit, wished = wish
    state = screen.state() | {
        "info": {"tasks": {"birds": {"madds": [4e6, 20e6], "ms": [1, 3]}}, "table": None},
        "wish": {"task": "birds", "unit": unit, "value": wished},
        "network": {"madds": 8e6, "memory_bytes": 1, "input_size": 64, "labels": [], "predicted_ms": None, "units": []},
        **{"switches": [], "top": [], "p50_ms": None, "p95_ms": None},
    }
    state["update"] = {"budget": budget, "scale": 1}
    script = page.split("<script>")[1].split("</script>")[0]
    shown = f"state = {json.dumps(state)}; show();"
    said = "console.log(JSON.stringify([made.slider.value, made.value.textContent])); process.exit();"
    done = subprocess.run(["node", "-e", STUB + script + shown + said], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout or "null") == [pytest.approx(place), value], done.stderr


def test_a_webcam_gives_its_middle_square_and_its_last_frame_where_it_fails() -> None:
    class Capture:
        """OpenCV's, of which there is none here."""

        def __init__(self) -> None:
            self.frames = [(True, np.full((30, 50, 3), (0, 0, 200), np.uint8)), (False, None)]

        def read(self) -> object:
            return self.frames.pop(0)

    camera = Webcam(Capture())
    for number in (1, 2):
        seen = camera.frame("birds", 0.0, number)
        assert (seen.number, seen.shown, seen.pixels.shape) == (number, "", (SIDE, SIDE, 3))
        assert (seen.pixels == (200, 0, 0)).all(), "RGB, where OpenCV has BGR"


def test_a_webcam_that_is_not_there_is_told_in_one_line() -> None:
    """Neither is there OpenCV everywhere, nor a camera of this number."""
    with pytest.raises((MissingDependency, InputError), match=r"pip install opencv-python|no camera 73"), webcam(73):
        pass


def test_the_command_says_where_the_page_is(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "android_demo.standin", "--no-browser", "--port", "0", "--storage", str(tmp_path))
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.split()[3]
        assert json.loads(urllib.request.urlopen(url + "state", timeout=PATIENCE_S).read())["wish"]
        process.terminate()
