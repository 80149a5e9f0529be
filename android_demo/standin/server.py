"""The page's server, for this computer alone."""

from __future__ import annotations

import importlib.resources
import io
import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

from android_demo.standin.screen import Screen
from eas_sdk.errors import EasError, InputError

LONGEST_BODY = 10_000
HOSTS = ("127.0.0.1", "localhost")


class Server(ThreadingHTTPServer):
    """Serves one screen.

    Args:
        port: 0 for any that is free.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, screen: Screen, port: int) -> None:
        self.screen = screen
        super().__init__((HOSTS[0], port), Handler)

    @property
    def url(self) -> str:
        """Of the page."""
        return f"http://{HOSTS[0]}:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    """GET / (page), /state, /frame.jpg, /latency.json; POST /wish, /device, /measure with JSON."""

    server: Server

    def do_GET(self) -> None:
        """Pages and states."""
        if not self._is_local():
            return
        screen = self.server.screen
        match self.path.partition("?")[0]:
            case "/":
                page = (importlib.resources.files("android_demo.standin") / "page.html").read_bytes()
                self._answer(page, "text/html; charset=utf-8")
            case "/state":
                self._answer_json(screen.state())
            case "/frame.jpg":
                pixels = screen.newest_frame()
                if pixels is None:
                    self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "no frame yet")
                    return
                picture = io.BytesIO()
                Image.fromarray(pixels).save(picture, "JPEG", quality=85)
                self._answer(picture.getvalue(), "image/jpeg")
            case "/latency.json":
                try:
                    self._answer(screen.table_path.read_bytes(), "application/json")
                except FileNotFoundError:
                    self.send_error(HTTPStatus.NOT_FOUND, "no table yet: measure the blocks first")
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Wishes."""
        if not self._is_local():
            return
        screen = self.server.screen
        try:
            body = self._body()
            match self.path:
                case "/wish":
                    screen.wish(body.get("task"), body.get("unit"), body.get("value"))
                case "/device":
                    screen.set_device(body)
                case "/measure":
                    screen.measure(body.get("on") is True)
                case _:
                    self.send_error(HTTPStatus.NOT_FOUND)
                    return
        except EasError as error:
            self._answer_json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
            return
        self._answer_json({})

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def _is_local(self) -> bool:
        """Whether the request is for this host by name: other pages in the same browser cannot send such."""
        if (self.headers.get("Host") or "").partition(":")[0] in HOSTS:
            return True
        self.send_error(HTTPStatus.FORBIDDEN)
        return False

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length") or ""
        if not length.isdigit() or int(length) > LONGEST_BODY:
            raise InputError(f"a request has a length of at most {LONGEST_BODY} bytes; got {length!r}")
        if self.headers.get("Content-Type") != "application/json":  # which other pages may not send without asking
            raise InputError(f"a request is application/json; got {self.headers.get('Content-Type')!r}")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise InputError(f"a request is JSON; {error}") from None
        if not isinstance(body, dict):
            raise InputError(f"a request is an object; got {type(body).__name__}")
        return body

    def _answer_json(self, data: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._answer(json.dumps(data).encode(), "application/json", status)

    def _answer(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)
