"""Learn from data that come in batches: a step that yields, and one that reads what it yielded.

A generator step keeps each batch as it is made, so no more than one lies in memory. The next step
gets a sequence that loads one batch at a time. The data are scikit-learn's digits.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier

from zenlib import log, pipeline, step

Batch = tuple[np.ndarray, np.ndarray]


@step
def read(size: int) -> Iterator[Batch]:
    """Yield images and labels, `size` rows at a time."""
    digits = load_digits()
    for start in range(0, len(digits.target), size):
        rows = slice(start, start + size)
        yield digits.data[rows] / 16.0, digits.target[rows]


@step
def learn(
    batches: Iterable[Batch],
) -> tuple[Annotated[SGDClassifier, "model"], Annotated[float, "accuracy"]]:
    """Learn from all batches but the first, which is the test."""
    model = SGDClassifier(random_state=0)
    rest = iter(batches)
    images, labels = next(rest)
    for number, (x, y) in enumerate(rest, start=1):
        model.partial_fit(x, y, classes=np.arange(10))
        log(step=number, accuracy=model.score(images, labels))
    return model, float(model.score(images, labels))


@pipeline
def streaming(size: int = 200):
    """The model after one pass over the data."""
    return learn(read(size))


if __name__ == "__main__":
    run = streaming()
    metrics = run.steps["learn"].record.metrics["accuracy"]
    for number, accuracy in metrics["points"]:
        print(f"after batch {number}: {accuracy:.3f}  {'━' * int(40 * accuracy)}")
    print(f"accuracy {run.outputs['accuracy'].load():.3f}")
