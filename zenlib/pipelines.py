"""`@pipeline`: a function that calls steps; calling it makes a plan and runs it.

As light to import as `zenlib.steps`: the machinery is loaded by the first plan.
"""

from __future__ import annotations

from zenlib.errors import Invalid
from zenlib.steps import TYPE_CHECKING, _Typed, name_of, overload, tracer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Literal, ParamSpec, TypeVar

    from zenlib.running import RunHandle, RunnablePlan
    from zenlib.settings import Stack
    from zenlib.views import Run

    P = ParamSpec("P")
    R = TypeVar("R")
    RunHook = Callable[["Run"], object]
else:
    P = R = None


class Pipeline(_Typed[P, R]):
    """A decorated function whose calls are runs.

    Attributes:
        fn: the function itself.
        name: how the pipeline is called in runs and messages.
        options: what `@pipeline(...)` was given.
    """

    def __init__(self, fn: Callable[P, R], options: dict[str, Any]) -> None:
        if not callable(fn):
            raise Invalid(f"@pipeline decorates a function, not {fn!r}")
        self.__wrapped__ = fn
        self.fn = fn
        self.options = options
        for name in ("__module__", "__qualname__", "__name__", "__doc__"):
            value = getattr(fn, name, None)
            if value is not None:
                setattr(self, name, value)
        self.name = name_of(fn, options, "pipeline")

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Run:
        """Run the pipeline on the active stack and return the finished run.

        Inside another pipeline it becomes a part of that one's plan, and what its function
        returns is handed on.

        Raises:
            Invalid: the arguments, the wiring or the settings are wrong; nothing ran.
            StepFailed: a step failed; `error.run_id` names the run, which keeps what completed.
        """
        active = tracer.get()
        from zenlib import running  # on use: decorating must stay cheap

        if active is not None:
            return running.inline(self, active, args, kwargs)  # type: ignore[no-any-return]
        return running.run(self, args, kwargs)

    def plan(self, *args: P.args, **kwargs: P.kwargs) -> RunnablePlan:
        """Return the plan for these arguments; nothing is executed.

        Raises:
            Invalid: the arguments or the wiring are wrong.
        """
        from zenlib import running

        return running.plan(self, args, kwargs)

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> RunHandle:
        """Start a run and return at once; `handle.wait()` returns the finished run."""
        from zenlib import running

        return running.submit(self, args, kwargs)

    def with_options(self, **changes: Any) -> Pipeline[P, R]:
        """Return the pipeline with some options changed (those of `@pipeline`)."""
        changed = _options(**changes)
        if "cache" in changed:  # of a run: stronger than the steps' own and than the settings
            changed["reuse"] = changed["cache"]
        return Pipeline(self.fn, {**self.options, **changed})


_UNSET: Any = object()


def _options(
    *,
    name: str | None = _UNSET,
    stack: str | Stack | None = _UNSET,
    cache: bool | None = _UNSET,
    fail: Literal["fast", "finish"] = _UNSET,
    tags: Iterable[str] = _UNSET,
    on_success: RunHook | None = _UNSET,
    on_failure: RunHook | None = _UNSET,
    pdb: bool = _UNSET,
    progress: Any = _UNSET,
) -> dict[str, Any]:
    given: dict[str, Any] = {k: v for k, v in locals().items() if v is not _UNSET}
    if given.get("fail", "fast") not in ("fast", "finish"):
        raise Invalid(f"fail must be 'fast' or 'finish', not {given['fail']!r}")
    if "tags" in given:
        if isinstance(given["tags"], str):
            raise Invalid("tags takes a list of texts, not one text")
        given["tags"] = tuple(given["tags"])
    return given


if TYPE_CHECKING:

    @overload
    def pipeline(fn: Callable[P, R], /) -> Pipeline[P, R]: ...

    @overload
    def pipeline(
        *,
        name: str | None = ...,
        stack: str | Stack | None = ...,
        cache: bool | None = ...,
        fail: Literal["fast", "finish"] = ...,
        tags: Iterable[str] = ...,
        on_success: RunHook | None = ...,
        on_failure: RunHook | None = ...,
        pdb: bool = ...,
        progress: Any = ...,
    ) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...


def pipeline(fn: Any = None, /, **options: Any) -> Any:
    """Make a function that calls steps a pipeline. Use it bare, or with options.

    Args:
        fn: the function.
        name: instead of the function's name.
        stack: the stack it runs on, by name or as a `Stack`; None: the active one.
        cache: False: no step reuses an earlier result (what is computed can be reused later).
        fail: `fast` (the default): after a failure no further step is started; `finish`: steps
            that do not depend on what failed go on.
        tags: texts to find runs by.
        on_success: called with the `Run` after it completed.
        on_failure: the same after it failed.
        pdb: stop in the debugger where a step raises; steps run one after another in this process.
        progress: None: show progress on stderr when that is a terminal; False: never; True:
            always; or an object with the methods of `zenlib.display.Progress`.

    >>> from zenlib import step
    >>> @step
    ... def one() -> int:
    ...     return 1
    >>> @pipeline
    ... def counting():
    ...     return one()
    >>> list(counting.plan().nodes)
    ['one']
    """
    checked = _options(**options)
    if fn is not None:
        return Pipeline(fn, checked)
    return lambda fn: Pipeline(fn, checked)
