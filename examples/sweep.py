"""Try many settings of a model side by side, choose the best, and go on only if it is good enough.

Shown here: `.product` and `.map` (one step for each combination, or for each element of a list
that a step made), a collecting step, `when` and `either`. The data are the 569 breast tumours
that come with scikit-learn. Change a number and run it again: only what is new is computed.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

from zenlib import either, log, pipeline, step, unmapped, when


@dataclass(frozen=True)
class Trial:
    """One setting of the model, and how good it was."""

    depth: int
    trees: int
    score: float


@step
def load() -> tuple[Annotated[np.ndarray, "x"], Annotated[np.ndarray, "y"]]:
    """Read the measurements of each tumour, and whether it was malignant."""
    return load_breast_cancer(return_X_y=True)


@step
def try_out(x: np.ndarray, y: np.ndarray, depth: int, trees: int) -> Annotated[Trial, "trial"]:
    """Measure one setting by cross-validation."""
    model = RandomForestClassifier(trees, max_depth=depth, random_state=0)
    score = float(cross_val_score(model, x, y, cv=3).mean())
    log(score=score)
    return Trial(depth, trees, score)


@step
def choose(trials: list[Trial]) -> Annotated[Trial, "best"]:
    """Collect what all the trials found: the best one."""
    return max(trials, key=lambda trial: trial.score)


@step
def good_enough(best: Trial, threshold: float) -> bool:
    """Decide, when the numbers are known, whether this is worth a model."""
    return best.score >= threshold


@step
def fit(x: np.ndarray, y: np.ndarray, best: Trial) -> RandomForestClassifier:
    """Learn from all the data with the chosen setting."""
    model = RandomForestClassifier(best.trees, max_depth=best.depth, random_state=0)
    return model.fit(x, y)


@step
def praise(model: RandomForestClassifier, best: Trial) -> str:
    """Say what was made."""
    return f"{len(model.estimators_)} trees of depth {best.depth}: {best.score:.3f}"


@step
def regret(best: Trial, threshold: float) -> str:
    """Say why nothing was made."""
    return f"best score {best.score:.3f} is below {threshold}: no model"


@step
def rounds(best: Trial) -> list[int]:
    """Choose more numbers of trees to look at, around the best one: a list known at run time."""
    return [best.trees - 5, best.trees + 5]


@pipeline
def sweep(threshold: float = 0.9):
    """The best model, or a word of regret."""
    x, y = load()
    trials = try_out.product(x=unmapped(x), y=unmapped(y), depth=[2, 4], trees=[10, 20])
    coarse = choose(trials)
    depth = depth_of(coarse)
    finer = try_out.map(unmapped(x), unmapped(y), unmapped(depth), rounds(coarse))
    best = choose(finer)
    ok = good_enough(best, threshold)
    with when(ok):
        message = praise(fit(x, y, best), best)
    with when(ok, is_=False):
        excuse = regret(best, threshold)
    return either(message, excuse)


@step
def depth_of(best: Trial) -> int:
    """Take the depth out of a trial: inside a pipeline it is not known yet."""
    return best.depth


if __name__ == "__main__":
    for threshold in (0.9, 0.99):
        run = sweep(threshold)
        print(run.diagram())
        print(run.outputs.load(), "\n")
