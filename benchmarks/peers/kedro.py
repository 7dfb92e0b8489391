"""Kedro: a pipeline of 100 nodes, each output a JSON file, on the sequential runner."""

import os
import shutil
import tempfile
from pathlib import Path

os.environ["DO_NOT_TRACK"] = "1"  # documented switch of its telemetry plug-in

import json
import logging

from kedro.io import AbstractDataset, DataCatalog
from kedro.pipeline import node, pipeline
from kedro.runner import SequentialRunner
from peer import peer

logging.disable(logging.CRITICAL)  # its log of each node is not what is measured


class JsonFile(AbstractDataset[int, int]):
    """A number in a file; Kedro's own datasets come in a distribution of their own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> int:
        return json.loads(self.path.read_text())

    def save(self, data: int) -> None:
        self.path.write_text(json.dumps(data))

    def _exists(self) -> bool:
        return self.path.exists()

    def _describe(self) -> dict[str, str]:
        return {"path": str(self.path)}


def increment(x: int) -> int:
    return x + 1


folder = Path(tempfile.mkdtemp())


def run(name: str, n: int, *, only_missing: bool) -> None:
    place = folder / f"{name}-{n}"
    place.mkdir(exist_ok=True)
    (place / "v0").write_text("0")
    catalog = DataCatalog({f"v{i}": JsonFile(place / f"v{i}") for i in range(n + 1)})
    nodes = pipeline([node(increment, f"v{i}", f"v{i + 1}", name=f"n{i}") for i in range(n)])
    SequentialRunner().run(nodes, catalog, only_missing_outputs=only_missing)
    assert (place / f"v{n}").read_text() == str(n)


def fresh(n: int) -> None:
    shutil.rmtree(folder / f"fresh-{n}", ignore_errors=True)
    run("fresh", n, only_missing=False)


peer(
    "kedro",
    "from kedro.pipeline import node, pipeline; from kedro.runner import SequentialRunner",
    fresh=fresh,
    hits=lambda n: run("hits", n, only_missing=True),
    note="no record of runs; a hit means that the output file exists, whatever made it",
)
