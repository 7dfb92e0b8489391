"""The program of a worker process: executes the calls it is sent, one after another."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import queue
import signal
import sys
import threading
import time
import types
from collections.abc import Iterator
from multiprocessing.connection import Client, Connection
from typing import Any


class _Forward(io.TextIOBase):
    """A text stream that sends what is printed to the process that started the run."""

    def __init__(self, worker: _Worker, name: str) -> None:
        self._worker = worker
        self._name = name
        self._buffer = ""

    def write(self, text: str) -> int:
        self._buffer += text
        if "\n" in text or "\r" in text or len(self._buffer) > 8192:
            self.flush()
        return len(text)

    def flush(self) -> None:
        if self._buffer:
            text, self._buffer = self._buffer, ""
            self._worker.send(("print", self._name, text))

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        """Return the real stream: what native code and child processes print goes there."""
        return 1 if self._name == "stdout" else 2


class _Worker:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._steps: dict[int, Any] = {}
        self._stack: Any = None
        self._guarded = False
        self._cancel = False

    def send(self, message: Any) -> None:
        with self._lock:
            self._connection.send(message)

    def _read(self) -> None:
        """Receive messages; the end of the connection is the end of the process."""
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                os._exit(0)
            if message[0] == "cancel":
                self._cancel = True
                self._interrupt()
            else:
                self._queue.put(message)

    def _interrupt(self) -> None:
        if hasattr(signal, "pthread_kill"):
            # A real signal wakes the main thread from a blocking call.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        else:
            import _thread

            _thread.interrupt_main()

    def _on_interrupt(self, _number: int, _frame: types.FrameType | None) -> None:
        if self._guarded and self._cancel:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        self._guarded = True
        try:
            yield
        finally:
            self._guarded = False

    def run(self) -> None:
        signal.signal(signal.SIGINT, self._on_interrupt)
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            kind, *rest = self._queue.get()
            if kind == "run":
                self._open(*rest)
            elif kind == "step":
                number, data = rest
                self._steps[number] = data
            else:
                self._call(*rest)

    def _open(self, settings: Any) -> None:
        from zenlib.stack import open_stack

        self._cancel = False
        try:
            self._stack = open_stack(settings)
        except Exception as error:  # noqa: BLE001 - reported with the first call
            self._stack = error

    def _call(self, number: int, call: Any) -> None:
        from zenlib import engine

        started_us, clock = engine.now_us(), time.perf_counter_ns()
        try:
            if isinstance(self._stack, Exception):
                raise self._stack
            step = self._step(number)
            if step is None:
                return
            self.send(("running",))  # from here on counts the step's timeout
            done = engine.execute(call, step, self._stack, self._guard)
            answer: Any = ("done", done)
        except KeyboardInterrupt:
            answer = ("cancelled", started_us)
        except BaseException as error:  # noqa: BLE001 - whatever the step raised goes to the run
            took_us = (time.perf_counter_ns() - clock) // 1000
            failure = engine.failure_of(error)
            answer = ("error", _pickled(error), failure, (started_us, took_us))
        sys.stdout.flush()
        sys.stderr.flush()
        self.send(answer)

    def _step(self, number: int) -> Any:
        """Return a step; None after asking for it again in another form."""
        found = self._steps[number]
        if isinstance(found, bytes):
            try:
                found = self._steps[number] = pickle.loads(found)  # noqa: S301 - from our parent
            except (ImportError, AttributeError) as error:
                self.send(("by_value", str(error)))
                return None
        return found


def _pickled(error: BaseException) -> bytes | None:
    """Return an exception as bytes, if it survives the journey."""
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps(error)
        pickle.loads(data)  # noqa: S301 - our own bytes: some exceptions can be written, not read
    except Exception:  # noqa: BLE001 - the record of the failure says what there is to say
        return None
    return data


def main() -> None:
    """Connect to the process that started this one, and serve it until it goes away."""
    hello = json.loads(sys.stdin.readline())
    sys.path[:] = hello["path"]
    connection = Client(hello["address"], authkey=bytes.fromhex(hello["authkey"]))
    lifeline = sys.stdin.buffer
    sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115 - a step must not read the lifeline

    def watch() -> None:
        lifeline.read()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    worker = _Worker(connection)
    sys.stdout = _Forward(worker, "stdout")
    sys.stderr = _Forward(worker, "stderr")
    worker.run()


if __name__ == "__main__":
    # By its proper name, so that classes pickled here are found under the same name there.
    from zenlib.orchestrators import pool_worker

    pool_worker.main()
