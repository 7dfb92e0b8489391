"""Warm worker processes: started when first needed, kept for the next run, replaced when they die.

Each worker is a fresh interpreter (no fork: a child of a process with threads may hang), which
connects back over an authenticated local socket or pipe. Its standard input is a lifeline: when
this process goes away, however it dies, the worker sees the end of the file and exits.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from zenlib.errors import WorkerDied

START_S = 60.0
"""How long a new worker may take to connect."""

IDLE_LIMIT = 16
"""How many idle workers are kept."""


_START = """
import json, sys
hello = json.loads(sys.stdin.readline())
sys.path[:] = hello["path"]
from zenlib.orchestrators.pool_worker import main
main(hello)
"""
"""The program of a worker. It gets this process's path by its standard input: a PYTHONPATH would
be inherited by whatever programs the steps start."""


def _listener(authkey: bytes) -> Listener:
    try:
        return Listener(backlog=1, authkey=authkey)
    except OSError:  # the temporary folder's path may be too long for a local socket
        return Listener(("127.0.0.1", 0), "AF_INET", backlog=1, authkey=authkey)


class Worker:
    """One worker process, used by one lane at a time."""

    def __init__(self) -> None:
        authkey = secrets.token_bytes(32)
        self._listener = _listener(authkey)
        command = [sys.executable, "-c", _START]
        flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        self.environment = environment()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            creationflags=flags,  # a Ctrl-C of the terminal goes to this process only, which
            start_new_session=os.name == "posix",  # then decides what becomes of its workers
        )
        address = self._listener.address
        hello = {"address": address, "authkey": authkey.hex(), "path": sys.path}
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # died at once: `connect` says so
            self.process.stdin.write(json.dumps(hello).encode() + b"\n")
            self.process.stdin.flush()
        self.connection: Connection | None = None
        self.steps: set[int] = set()
        """The steps that the worker has already been sent, by their number."""
        self.run_id = ""
        """The run whose setting the worker has."""

    def connect(self) -> Connection:
        """Return the connection, waiting for the worker to start.

        Raises:
            WorkerDied: it ended before it connected, or did not connect in time.
        """
        if self.connection is None:
            watcher = threading.Thread(target=self._watch_start, daemon=True)
            watcher.start()
            try:
                self.connection = self._listener.accept()
            except (OSError, EOFError, AuthenticationError) as error:
                late = f"it did not connect within {START_S:g} s" if self.alive else ""
                self.kill()
                raise WorkerDied(
                    f"a worker process did not start: {late or self.how_it_ended()}"
                ) from error
            finally:
                self._listener.close()
        return self.connection

    def _watch_start(self) -> None:
        """Unblock `accept` when the worker dies before it connects, or takes too long."""
        end = time.monotonic() + START_S
        while self.connection is None and time.monotonic() < end:
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        else:
            if self.connection is not None:
                return
        with contextlib.suppress(Exception):
            # Closing a listener does not wake up `accept` everywhere; a failed greeting does.
            Client(self._listener.address, authkey=b"wake").close()

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self.process.poll() is None

    def send(self, message: Any) -> None:
        """Send a message to the worker.

        Raises:
            OSError: the worker is gone.
        """
        self.connect().send(message)

    def how_it_ended(self) -> str:
        """Return in words how the process ended."""
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            return "it no longer answers"
        if code >= 0:
            return f"it exited with code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hints = {
            "SIGKILL": "killed (SIGKILL); often the system's memory ran out",
            "SIGSEGV": "it crashed in native code (SIGSEGV)",
            "SIGABRT": "it aborted in native code (SIGABRT)",
            "SIGBUS": "it crashed in native code (SIGBUS)",
        }
        return hints.get(name, f"it was ended by {name}")

    def kill(self) -> None:
        """End the process at once, with what it started in its own session."""
        if self.alive:
            if os.name == "posix":
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
        self.process.wait()
        self._release()

    def stop(self) -> None:
        """Let an idle process end."""
        self._release()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.kill()

    def _release(self) -> None:
        if self.connection is not None:
            self.connection.close()
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        self._listener.close()


def environment() -> int:
    """Return a number that changes when a worker started earlier would see another world.

    That is: another working directory, path, environment variable, or edited project module.
    """
    libraries = tuple(
        {str(Path(sysconfig.get_path(name))) for name in ("stdlib", "purelib", "platlib")}
    )
    stamps = []
    for name, module in [*sys.modules.items()]:
        file = getattr(module, "__file__", None)
        if file and not file.startswith(libraries) and name != "__main__":
            with contextlib.suppress(OSError):
                stamps.append((name, Path(file).stat().st_mtime_ns))
    return hash(
        (
            os.getcwd(),  # noqa: PTH109 - a text, and it may have been deleted
            tuple(sys.path),
            tuple(sorted(os.environ.items())),
            tuple(sorted(stamps)),
        )
    )


class Pool:
    """The idle workers of this process."""

    def __init__(self) -> None:
        self._idle: list[Worker] = []
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def idle(self) -> int:
        """Return how many warm workers would be found."""
        return len(self._idle) if os.getpid() == self._pid else 0

    def acquire(self) -> Worker:
        """Return a connected worker, an idle one if there is one of this environment."""
        wanted = environment()
        with self._lock:
            if os.getpid() != self._pid:  # a forked child must leave its parent's workers alone
                self._idle, self._pid = [], os.getpid()
            while self._idle:
                worker = self._idle.pop()
                if worker.alive and worker.environment == wanted:
                    return worker
                worker.stop()
        worker = Worker()
        worker.connect()
        return worker

    def release(self, worker: Worker) -> None:
        """Keep a worker for later."""
        with self._lock:
            if worker.alive and len(self._idle) < IDLE_LIMIT and os.getpid() == self._pid:
                self._idle.append(worker)
                return
        worker.stop()

    def close(self) -> None:
        """Stop all idle workers."""
        with self._lock:
            idle, self._idle = self._idle, []
        if os.getpid() != self._pid:
            return
        for worker in idle:
            worker.stop()


POOL = Pool()
"""The workers are kept for the life of the process, whichever stack a run is on."""

atexit.register(POOL.close)
