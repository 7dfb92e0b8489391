"""What type checkers see of steps and pipelines; checked by mypy, never run."""

from typing import Annotated, assert_type

from zenlib import Run, pipeline, step


@step
def load(rows: int) -> list[float]:
    return [0.0] * rows


@step(retries=2, tags=["slow"])
def fit(data: list[float], lr: float = 0.1) -> tuple[Annotated[str, "model"], float]:
    return "model", lr * len(data)


@pipeline
def training(lr: float = 0.1) -> float:
    model, rmse = fit(load(10), lr)
    assert_type(model, str)
    assert_type(rmse, float)
    assert_type(fit.map([[1.0], [2.0]]), list[tuple[str, float]])
    return rmse


@pipeline(cache=False)
def nightly() -> None:
    training(0.2)


assert_type(load(3), list[float])
assert_type(training(lr=0.2), Run)
assert_type(training.with_options(tags=["x"])(0.3), Run)
load("three")  # type: ignore[arg-type]
fit([1.0], rate=0.1)  # type: ignore[call-arg]
training(speed=1)  # type: ignore[call-arg]
step(retrys=1)  # type: ignore[call-overload]
