"""Loading the small projects of `cases` as fresh modules, and finding out what `work` is."""

from __future__ import annotations

import contextlib
import importlib
import linecache
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from zenlib.fingerprint import Fingerprint, Project, fingerprint
from zenlib.hashing import Digest, digest_of


def write(root: Path, files: dict[str, str]) -> Path:
    """Write the files of a case under a folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@contextlib.contextmanager
def loaded(root: Path) -> Iterator[Callable[[], Any]]:
    """Import `proj.pipeline_mod` from a folder and give its `work`; forget all modules after."""
    before, path, no_cache = set(sys.modules), list(sys.path), sys.dont_write_bytecode
    sys.path[:0] = [str(root), str(root / "libs"), str(root / "editable")]
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield importlib.import_module("proj.pipeline_mod").work
    finally:
        sys.path[:], sys.dont_write_bytecode = path, no_cache
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if file.startswith(str(root)) or name.partition(".")[0] == "proj":
                del sys.modules[name]
        linecache.clearcache()


def hash_value(value: object) -> Digest:
    """Give the digest of arrays and data frames, as the serializers do."""
    if type(value).__module__.partition(".")[0] not in ("numpy", "pandas"):
        raise TypeError(type(value))
    return digest_of(pickle.dumps(value))


def fingerprint_of(root: Path) -> Fingerprint:
    """Return what `work` of the project in a folder is made of."""
    with loaded(root) as work:
        return fingerprint(work, hash_value=hash_value, project=Project(root))
