"""What a step may ask and say while it runs: who it is, and its metrics."""

from __future__ import annotations

import contextvars
import math
from dataclasses import dataclass, field
from typing import Any

from zenlib.errors import Invalid


@dataclass(frozen=True)
class StepContext:
    """The step that is running.

    Attributes:
        run_id: of the run.
        pipeline: its pipeline's name.
        node: the node of the plan; with `[i]` for item i of a mapped step.
        step: the step's name.
        attempt: 1 for the first try.
    """

    run_id: str
    pipeline: str
    node: str
    step: str
    attempt: int = 1
    _metrics: dict[str, list[tuple[Any, float]]] = field(default_factory=dict, repr=False)

    def metrics(self) -> dict[str, Any]:
        """Return what was logged: name -> `last`, and `points` when there are several."""
        found: dict[str, Any] = {}
        for name, points in self._metrics.items():
            found[name] = {"last": points[-1][1]}
            if len(points) > 1 or points[0][0] is not None:
                found[name]["points"] = [list(point) for point in points]
        return found


_current: contextvars.ContextVar[StepContext | None] = contextvars.ContextVar(
    "step_context", default=None
)


def context() -> StepContext:
    """Return the context of the running step.

    Raises:
        Invalid: no step is running here.
    """
    found = _current.get()
    if found is None:
        raise Invalid(
            "zenlib.context() is for the code of a step while a pipeline runs it; a step that is "
            "called directly has no run"
        )
    return found


def log(*, step: int | None = None, **metrics: float) -> None:
    """Record metrics of the running step; outside a run nothing happens.

    Args:
        step: the number of the iteration, for a curve.
        metrics: name -> number.

    Raises:
        Invalid: a metric is not a finite number.

    >>> log(loss=0.3, step=10)
    """
    found = _current.get()
    for name, value in metrics.items():
        number = float(value)
        if not math.isfinite(number):
            raise Invalid(f"metric {name!r} is {value!r}; a metric must be a finite number")
        if found is not None:
            found._metrics.setdefault(name, []).append((step, number))
