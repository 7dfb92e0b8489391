"""The program of a worker process: executes the calls it is sent, one after another."""

from __future__ import annotations

import codecs
import contextlib
import io
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

FLUSH_S = 0.05
"""How long what a step prints may wait for more, in seconds."""

PIECE = 32_768
"""How much of it is sent at once, in characters."""


class _Forward(io.TextIOBase):
    """A text stream that sends what is printed to the process that started the run.

    It sends a few large pieces instead of one for each line: what is printed waits at most
    `FLUSH_S` seconds, or until there is more than `PIECE` of it.
    """

    def __init__(self, worker: _Worker, name: str) -> None:
        self._worker = worker
        self._name = name
        self._pid = os.getpid()
        self._parts: list[str] = []
        self._size = 0
        self._lock = threading.RLock()
        self._waiting = threading.Event()
        self.buffer = _Bytes(self)
        threading.Thread(target=self._tick, daemon=True).start()

    def write(self, text: str) -> int:
        if os.getpid() != self._pid:  # a forked child must not speak on its parent's connection
            os.write(self.fileno(), text.encode("utf-8", "backslashreplace"))
            return len(text)
        with self._lock:
            self._parts.append(text)
            self._size += len(text)
        if self._size > PIECE:
            self.flush()
        else:
            self._waiting.set()
        return len(text)

    def flush(self) -> None:
        if os.getpid() != self._pid:
            return
        with self._lock:
            if self._parts:
                text, self._parts, self._size = "".join(self._parts), [], 0
                self._worker.send(("print", self._name, text))

    def _tick(self) -> None:
        while self._waiting.wait():
            time.sleep(FLUSH_S)
            self._waiting.clear()
            self.flush()

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


class _Bytes(io.BufferedIOBase):
    """What `print` leaves out: bytes for a stream of text, as UTF-8."""

    def __init__(self, text: _Forward) -> None:
        self._text = text
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def write(self, data: Any, /) -> int:
        self._text.write(self._decoder.decode(bytes(data)))
        return len(data)

    def flush(self) -> None:
        self._text.flush()

    def writable(self) -> bool:
        return True


class _Worker:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._steps: dict[int, Any] = {}
        self._stack: Any = None
        self._guarded = False
        self._cancel = False
        self._sending = 0
        self._late = False
        self._environ = dict(os.environ)
        self.streams: tuple[Any, Any] = sys.stdout, sys.stderr
        try:
            self._folder: str | None = os.getcwd()  # noqa: PTH109 - a text for chdir
        except FileNotFoundError:  # the folder of the process that started this one was deleted
            self._folder = None

    def send(self, message: Any) -> None:
        """Send a message whole: an interrupt waits until it is on its way."""
        here = threading.current_thread() is threading.main_thread()
        self._sending += here
        try:
            with self._lock:
                self._connection.send(message)
        finally:
            self._sending -= here
        if here and self._late:
            self._late = False
            raise KeyboardInterrupt

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
            if self._sending:
                self._late = True
                return
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
        from zenlib import engine, execution

        started_us, clock = execution.now_us(), time.perf_counter_ns()
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
            failure = execution.failure_of(error)
            answer = ("error", _pickled(error), failure, (started_us, took_us))
        self._tidy_up()
        self.send(answer)

    def _tidy_up(self) -> None:
        """Take back what a step changed and the next one must not see: folder, environment."""
        for stream in self.streams:
            stream.flush()
        sys.stdout, sys.stderr = self.streams
        if dict(os.environ) != self._environ:
            os.environ.clear()
            os.environ.update(self._environ)
        if self._folder is not None:
            with contextlib.suppress(OSError):  # it was deleted meanwhile
                os.chdir(self._folder)

    def _step(self, number: int) -> Any:
        """Return a step; None after asking for it again in another form."""
        found = self._steps[number]
        if isinstance(found, bytes):
            try:
                step, classes = pickle.loads(found)  # noqa: S301 - from our parent
                vars(sys.modules["__main__"]).update(classes)
                found = self._steps[number] = step
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


def main(hello: dict[str, Any]) -> None:
    """Connect to the process that started this one, and serve it until it goes away.

    Args:
        hello: the address to connect to, and the key of the connection.
    """
    address = hello["address"]
    address = tuple(address) if isinstance(address, list) else address
    connection = Client(address, authkey=bytes.fromhex(hello["authkey"]))
    lifeline = sys.stdin.buffer
    sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115 - a step must not read the lifeline

    def watch() -> None:
        lifeline.read()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    worker = _Worker(connection)
    sys.stdout = _Forward(worker, "stdout")
    sys.stderr = _Forward(worker, "stderr")
    worker.streams = sys.stdout, sys.stderr
    worker.run()
