"""Apache Hamilton: a chain of 100 nodes with its cache (SQLite metadata, files for results)."""

import os
import tempfile

os.environ["HAMILTON_TELEMETRY_ENABLED"] = "false"  # of older versions; newer ones have none

from hamilton import ad_hoc_utils, driver
from peer import peer


def module_of(n: int):
    lines = ["def v0(start: int) -> int:\n    return start\n"]
    lines += [f"def v{i}(v{i - 1}: int) -> int:\n    return v{i - 1} + 1\n" for i in range(1, n)]
    return ad_hoc_utils.module_from_source("\n".join(lines))


folder = tempfile.mkdtemp()
drivers = {
    n: driver.Builder().with_modules(module_of(n)).with_cache(path=folder).build()
    for n in (10, 100)
}
starts = iter(range(1_000_000, 1_000_000_000, 1_000_000))


def chain(start: int, n: int) -> None:
    found = drivers[n].execute([f"v{n - 1}"], inputs={"start": start})
    assert found[f"v{n - 1}"] == start + n - 1


peer(
    "sf-hamilton",
    "from hamilton import driver",
    fresh=lambda n: chain(next(starts), n),
    hits=lambda n: chain(0, n),
    note="a driver is built once and used again",
)
