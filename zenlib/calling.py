"""Calling a step's function, whatever kind it is: plain, coroutine, generator, asynchronous generator."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from typing import Any


def run_function(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Call a step's function; a coroutine is run to its end, also below a running event loop."""
    value = fn(*args, **kwargs)
    if inspect.iscoroutine(value):
        return _run_coroutine(value)
    if isinstance(value, AsyncIterator):
        return _iterate(value)
    return value


def _run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    # A notebook's loop runs in this thread and cannot be entered again: use another thread.
    outcome: list[Any] = []
    copied = contextvars.copy_context()

    def target() -> None:
        try:
            outcome.append((copied.run(asyncio.run, coroutine), None))
        except BaseException as error:  # noqa: BLE001 - carried over to the waiting thread
            outcome.append((None, error))

    thread = threading.Thread(target=target, name="zenlib-async-step")
    thread.start()
    thread.join()
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def _iterate(values: AsyncIterator[Any]) -> Iterator[Any]:
    """Yield from an asynchronous generator, one element at a time."""
    with asyncio.Runner() as runner:
        while True:
            try:
                yield runner.run(_next(values))
            except StopAsyncIteration:
                return


async def _next(values: AsyncIterator[Any]) -> Any:
    return await anext(values)
