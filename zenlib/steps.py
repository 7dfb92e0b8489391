"""`@step`: a function that, called inside a pipeline, becomes a node of its plan.

Importing this module and decorating functions loads nothing but a few small standard modules:
signatures are read when a pipeline is first planned.
"""

from __future__ import annotations

import contextvars

from zenlib.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path
    from types import ModuleType
    from typing import Any, Generic, ParamSpec, Protocol, TypeVar
    from typing import overload as overload

    P = ParamSpec("P")
    R = TypeVar("R")
    T = TypeVar("T")
    Hook = Callable[..., object]

    class _Tracer(Protocol):
        def call(self, step: Step[..., Any], args: Any, kwargs: Any) -> Any: ...
        def map(self, step: Step[..., Any], args: Any, kwargs: Any, how: str) -> Any: ...

    class _Typed(Generic[P, R]):
        pass

else:
    # `typing` costs as much to import as all the rest together, and decorating needs none of it.
    P = R = T = None

    class _Typed:
        def __class_getitem__(cls, _):
            return cls

    def overload(fn):
        """Do nothing: overloads are for type checkers."""
        return fn


tracer: contextvars.ContextVar[_Tracer | None] = contextvars.ContextVar("tracer", default=None)
"""The pipeline that is being traced, if any."""


class Retry:
    """When and how often a step that failed is tried again.

    Args:
        times: how many further tries, at most.
        on: the errors that are worth another try; all `Exception`s if not given. A time-out and
            a dead worker count as `TimeoutError` and `ChildProcessError`.
        delay: seconds before the first further try.
        backoff: each wait is this many times the one before.
        max_delay: no wait is longer, in seconds.
        jitter: each wait is changed at random by up to this share of it (0 to 1), so that steps
            that failed together do not come back together.

    >>> Retry(3, on=(ConnectionError,), delay=2.0).wait_s(2, 0.5)
    4.0
    """

    __slots__ = ("backoff", "delay", "jitter", "max_delay", "on", "times")

    def __init__(
        self,
        times: int = 3,
        *,
        on: Sequence[type[BaseException]] | type[BaseException] = (Exception,),
        delay: float = 1.0,
        backoff: float = 2.0,
        max_delay: float = 60.0,
        jitter: float = 0.1,
    ) -> None:
        self.times = times
        self.on = (on,) if isinstance(on, type) else tuple(on)
        self.delay = delay
        self.backoff = backoff
        self.max_delay = max_delay
        self.jitter = jitter
        if times < 0 or delay < 0 or max_delay < 0 or backoff < 1 or not 0 <= jitter <= 1:
            raise Invalid(
                f"{self!r}: times, delay and max_delay must not be negative, backoff must be at "
                "least 1 and jitter between 0 and 1"
            )
        for kind in self.on:
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise Invalid(f"Retry(on=...) takes exception classes, not {kind!r}")

    def __repr__(self) -> str:
        return f"Retry(times={self.times}, delay={self.delay}, backoff={self.backoff})"

    def wait_s(self, attempt: int, random: float) -> float:
        """Return the seconds to wait after failed try number `attempt` (1, 2, …).

        Args:
            attempt: the number of the try that failed.
            random: a random number from 0 to 1; 0.5 means no jitter.
        """
        wait: float = min(self.delay * self.backoff ** (attempt - 1), self.max_delay)
        return wait * (1 + self.jitter * (2 * random - 1))


class Step(_Typed[P, R]):
    """A decorated function. Called outside a pipeline it is the plain function.

    Attributes:
        fn: the function itself.
        name: how the step is called in plans, runs and messages.
        options: what `@step(...)` was given.
    """

    def __init__(self, fn: Callable[P, R], options: dict[str, Any]) -> None:
        if not callable(fn):
            raise Invalid(f"@step decorates a function, not {fn!r}")
        self.__wrapped__ = fn
        self.fn = fn
        self.options = options
        self._bound_after: tuple[Any, ...] = ()
        self._spec: Any = None  # what `zenlib.trace` read from the signature
        # What it returns, if another process found out: a hint's names may be missing in this one.
        self._returns: Any = None
        for name in ("__module__", "__qualname__", "__name__", "__doc__"):
            value = getattr(fn, name, None)
            if value is not None:
                setattr(self, name, value)
        self.name = name_of(fn, options, "step")

    def __repr__(self) -> str:
        return f"<step {self.name}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function, or, inside a pipeline, add it to the plan."""
        active = tracer.get()
        if active is None:
            return self.fn(*args, **kwargs)
        return active.call(self, args, kwargs)  # type: ignore[no-any-return]

    def map(self, *args: Any, **kwargs: Any) -> list[R]:
        """Run the step once for each element of the lists given, side by side.

        Lists, tuples, ranges and outputs of other steps are taken element by element, all at
        once like `zip`; everything else, and what is wrapped in `unmapped(...)`, is the same for
        each. Outside a pipeline this is a plain loop.

        Raises:
            Invalid: nothing to map over, or lists of different lengths.
        """
        return self._map(args, kwargs, "zip")

    def product(self, *args: Any, **kwargs: Any) -> list[R]:
        """Run the step once for each combination of the lists given (see `map`)."""
        return self._map(args, kwargs, "product")

    def _map(self, args: tuple[Any, ...], kwargs: dict[str, Any], how: str) -> list[R]:
        active = tracer.get()
        if active is not None:
            return active.map(self, args, kwargs, how)  # type: ignore[no-any-return]
        from zenlib.fanout import plain_map  # on use: decorating must stay cheap

        return plain_map(self.fn, args, kwargs, how)

    def after(self, *handles: Any) -> Step[P, R]:
        """Return the step bound to run only after others: `train.after(cleanup)(data)`."""
        bound = self._copy(self.options)
        bound._bound_after = (*self._bound_after, *handles)
        return bound

    def with_options(self, **changes: Any) -> Step[P, R]:
        """Return the step with some options changed (those of `@step`)."""
        return self._copy({**self.options, **_options(**changes)})

    def _copy(self, options: dict[str, Any]) -> Step[P, R]:
        bound = Step(self.fn, options)
        bound._bound_after = self._bound_after
        return bound

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            return self
        raise Invalid(
            f"step {self.fn.__qualname__!r} is a method; a step must be a plain function, because "
            "the object it is bound to would be an input that nobody sees"
        )

    def __reduce__(self) -> Any:
        # By value: the module's name is bound to this object, not to the function, and in a
        # worker the module may be another script's `__main__`.
        returns = self._spec.returns if self._spec is not None else self._returns
        return _restore, (), {"fn": self.fn, "options": self.options, "returns": returns}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Step.__init__(self, state["fn"], state["options"])
        self._returns = state["returns"]


def _restore() -> Step[Any, Any]:
    return Step.__new__(Step)


_UNSET: Any = object()


def _options(
    *,
    name: str | None = _UNSET,
    cache: bool | None = _UNSET,
    expires: float | timedelta | None = _UNSET,
    ignore: Iterable[str] = _UNSET,
    version: str | None = _UNSET,
    depends_on: Iterable[Callable[..., Any] | type | ModuleType | Path | str] = _UNSET,
    outputs: Sequence[str] | None = _UNSET,
    retries: int | Retry = _UNSET,
    timeout: float | timedelta | None = _UNSET,
    isolated: bool = _UNSET,
    resources: Mapping[str, Any] | None = _UNSET,
    on: str | None = _UNSET,
    tags: Iterable[str] = _UNSET,
    on_success: Hook | Iterable[Hook] = _UNSET,
    on_failure: Hook | Iterable[Hook] = _UNSET,
    on_hit: Hook | Iterable[Hook] = _UNSET,
) -> dict[str, Any]:
    """Return the options that were given, checked and in one form."""
    given: dict[str, Any] = {k: v for k, v in locals().items() if v is not _UNSET}
    for key in ("expires", "timeout"):
        if given.get(key) is not None:
            given[key] = seconds(given[key], key)
    for key in ("ignore", "outputs", "tags"):
        if given.get(key) is not None:
            if isinstance(given[key], str):
                raise Invalid(f"@step({key}=...) takes a list of texts, not one text")
            given[key] = tuple(given[key])
    if "depends_on" in given:
        depends_on = given["depends_on"]
        given["depends_on"] = (
            (depends_on,)
            if isinstance(depends_on, str) or not hasattr(depends_on, "__iter__")
            else tuple(depends_on)
        )
    if isinstance(given.get("retries"), int):
        given["retries"] = Retry(given["retries"])
    for key in ("on_success", "on_failure", "on_hit"):
        if key in given:
            given[key] = (given[key],) if callable(given[key]) else tuple(given[key])
    return given


def name_of(fn: Any, options: dict[str, Any], word: str) -> str:
    """Return the name of a step or pipeline: the one given, or the function's.

    Raises:
        Invalid: it is empty, longer than 200 characters, or has characters that do not print.
    """
    name = options.get("name")
    if name is None:
        name = getattr(fn, "__name__", type(fn).__name__)
    if not isinstance(name, str) or not 0 < len(name) <= 200 or not name.isprintable():
        shown = repr(name)
        raise Invalid(
            f"a {word}'s name must be a text of 1 to 200 printable characters, not "
            + (shown if len(shown) < 80 else f"{shown[:60]}… ({len(str(name))} characters)")
        )
    return name


def seconds(value: float | timedelta, what: str) -> float:
    """Return a duration given in seconds or as a timedelta, in seconds.

    Raises:
        Invalid: it is not a positive duration.
    """
    total = getattr(value, "total_seconds", None)
    found = total() if total else value
    if isinstance(found, bool) or not isinstance(found, int | float) or not found > 0:
        raise Invalid(f"{what} must be more than 0 seconds, not {value!r}")
    return float(found)


if TYPE_CHECKING:

    @overload
    def step(fn: Callable[P, R], /) -> Step[P, R]: ...

    @overload
    def step(
        *,
        name: str | None = ...,
        cache: bool | None = ...,
        expires: float | timedelta | None = ...,
        ignore: Iterable[str] = ...,
        version: str | None = ...,
        depends_on: Iterable[Callable[..., Any] | type | ModuleType | Path | str] = ...,
        outputs: Sequence[str] | None = ...,
        retries: int | Retry = ...,
        timeout: float | timedelta | None = ...,
        isolated: bool = ...,
        resources: Mapping[str, Any] | None = ...,
        on: str | None = ...,
        tags: Iterable[str] = ...,
        on_success: Hook | Iterable[Hook] = ...,
        on_failure: Hook | Iterable[Hook] = ...,
        on_hit: Hook | Iterable[Hook] = ...,
    ) -> Callable[[Callable[P, R]], Step[P, R]]: ...


def step(fn: Any = None, /, **options: Any) -> Any:
    """Make a function a step. Use it bare, or with options.

    Args:
        fn: the function.
        name: instead of the function's name.
        cache: False: never reuse a result; None (the default): as the pipeline or stack says.
        expires: seconds (or a timedelta) after which a result is computed again.
        ignore: parameters that do not count for the cache.
        version: counts instead of the code: results stay valid until you change it.
        depends_on: further functions, classes, modules, files or folders that count as code.
        outputs: names for the outputs, instead of those in the return hint.
        retries: how often a failed step is tried again, or a `Retry`.
        timeout: seconds (or a timedelta) after which the step is stopped, whatever it does. Such
            a step runs in a process of its own.
        isolated: run in a process of its own, so that a crash of native code cannot take the
            calling process with it.
        resources: what one execution needs: `cpu` and `gpu` (numbers), `memory` (a text such as
            `"4 GiB"`). The local orchestrator runs no more side by side than its `cpu` allows.
        on: the step operator that runs it, instead of the orchestrator.
        tags: texts to find step runs by.
        on_success: called with the step's `StepResult` after it completed.
        on_failure: the same after it failed for good.
        on_hit: the same after its result was taken from an earlier run.

    >>> @step
    ... def double(number: int) -> int:
    ...     return 2 * number
    >>> double(21)
    42
    """
    checked = _options(**options)
    if fn is not None:
        return Step(fn, checked)
    return lambda fn: Step(fn, checked)


class Unmapped:
    """An argument of `.map` that is the same for each element."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def unmapped(value: T) -> T:
    """Mark an argument of `.map` or `.product` as the same for each element.

    >>> @step
    ... def add(x: int, all: list[int]) -> int:
    ...     return x + sum(all)
    >>> add.map([1, 2], unmapped([10, 20]))
    [31, 32]
    """
    return Unmapped(value)  # type: ignore[return-value]
