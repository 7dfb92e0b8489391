"""Train a classifier on scikit-learn's handwritten digits: load, split, fit, evaluate.

Run it with `zenlib run examples/digits.py:training`, or as a script: `python examples/digits.py`.
"""

from typing import Annotated

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from zenlib import log, pipeline, step


@step
def load() -> tuple[Annotated[np.ndarray, "images"], Annotated[np.ndarray, "labels"]]:
    """Read 1,797 images of 8 × 8 pixels, and the digit that each one shows."""
    digits = load_digits()
    return digits.data / 16.0, digits.target


@step
def split(
    images: np.ndarray, labels: np.ndarray, test_share: float = 0.25
) -> tuple[Annotated[np.ndarray, "train"], Annotated[np.ndarray, "test"]]:
    """Choose the rows to learn from and those to be tested on."""
    rows = np.random.default_rng(7).permutation(len(labels))
    border = int(len(rows) * test_share)
    return np.sort(rows[border:]), np.sort(rows[:border])


@step
def fit(
    images: np.ndarray, labels: np.ndarray, train: np.ndarray, c: float
) -> Annotated[LogisticRegression, "model"]:
    """Learn from the training rows; `c` is the inverse strength of the regularisation."""
    model = LogisticRegression(C=c, max_iter=2_000)
    return model.fit(images[train], labels[train])


@step
def evaluate(
    model: LogisticRegression, images: np.ndarray, labels: np.ndarray, test: np.ndarray
) -> tuple[Annotated[float, "accuracy"], Annotated[np.ndarray, "confusion"]]:
    """Count what the model gets right on the test rows, digit by digit."""
    predicted = model.predict(images[test])
    confusion = np.zeros((10, 10), dtype=np.int64)
    np.add.at(confusion, (labels[test], predicted), 1)
    accuracy = float((predicted == labels[test]).mean())
    log(accuracy=accuracy, errors=len(test) - confusion.trace())
    return accuracy, confusion


@pipeline
def training(c: float = 0.01, test_share: float = 0.25):
    """The model, and how good it is."""
    images, labels = load()
    train, test = split(images, labels, test_share)
    model = fit(images, labels, train, c)
    accuracy, confusion = evaluate(model, images, labels, test)
    return {"model": model, "accuracy": accuracy, "confusion": confusion}


if __name__ == "__main__":
    run = training()
    print(f"accuracy {run.outputs['accuracy'].load():.3f}")
