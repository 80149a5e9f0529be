"""A thread that does one piece of work every now and then, and never keeps alive whom it works for.

It does not run on in a forked child: there, a worker is closed.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

from eas_sdk.processes import renew_in_children


class Worker:
    """Calls `work` every `poll_s` seconds, and when asked to, until closed or until the owner of `work` is gone.

    Args:
        work: a bound method, held weakly, that raises nothing; its argument is whether somebody asked.
        poll_s: seconds between two calls, at least; as many as a thread can wait where it is more.
        name: of the thread.
    """

    def __init__(self, work: Callable[[bool], None], poll_s: float, name: str) -> None:
        self._inbox = inbox = _Inbox()
        self._thread = threading.Thread(
            target=_loop,
            args=(weakref.WeakMethod(work, lambda _: inbox.close()), inbox, min(poll_s, threading.TIMEOUT_MAX)),
            name=name,
            daemon=True,
        )
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether it has been told to end."""
        return self._inbox.closed

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Have the work done soon."""
        if not self._inbox.woken:  # so that who wakes often takes no lock
            self._inbox.put()

    def run(self, *, wait: bool) -> None:
        """Have the work done once from now on; waits until it is, except on the worker's own thread."""
        ticket = self._inbox.put(asked=True)
        if wait and threading.current_thread() is not self._thread:
            self._inbox.wait(ticket)

    def close(self) -> None:
        """End the thread, and wait for that, except on the worker's own thread. May be called again."""
        self._inbox.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()


class _Inbox:
    """What the worker's thread is told, and how far it has come."""

    def __init__(self) -> None:
        self.condition = threading.Condition()  # over a lock that may be taken twice: a collection closes from anywhere
        self.woken = self.closed = False
        self.asked = self.done = 0
        renew_in_children(self)

    def renew(self) -> None:
        """In a forked child, where the thread does not run."""
        self.condition = threading.Condition()
        self.closed = True

    def put(self, *, asked: bool = False) -> int:
        with self.condition:
            self.woken = True
            self.asked += asked
            self.condition.notify_all()
            return self.asked

    def close(self) -> None:
        with self.condition:
            self.closed = True
            self.condition.notify_all()

    def wait(self, ticket: int) -> None:
        with self.condition:
            self.condition.wait_for(lambda: self.done >= ticket or self.closed)


def _loop(find: Callable[[], Callable[[bool], None] | None], inbox: _Inbox, poll_s: float) -> None:
    try:
        while True:
            with inbox.condition:
                inbox.condition.wait_for(lambda: inbox.woken or inbox.closed, poll_s)
                if inbox.closed:
                    return
                ticket, inbox.woken = inbox.asked, False
            work = find()
            if work is None:
                return
            work(ticket > inbox.done)
            del work
            with inbox.condition:
                inbox.done = ticket
                inbox.condition.notify_all()
    finally:
        inbox.close()
