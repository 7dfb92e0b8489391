"""Ctrl-C: once stops cleanly, twice aborts; never in the middle of publishing a result."""

from __future__ import annotations

import contextlib
import signal
import threading
import types
from collections.abc import Iterator


class Interrupts:
    """Turns SIGINT into a flag, except where `guard` allows it to break in.

    Does nothing outside the main thread, or where somebody else handles SIGINT.
    """

    def __init__(self) -> None:
        self.count = 0
        self._open = False
        self._before: object = None

    def __enter__(self) -> Interrupts:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _handle(self, _number: int, _frame: types.FrameType | None) -> None:
        self.count += 1
        if self._open or self.count > 1:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Let an interrupt break into what runs inside: the user's code."""
        if self.count:
            raise KeyboardInterrupt
        self._open = True
        try:
            yield
        finally:
            self._open = False
