"""Artifacts in any file system that fsspec knows: s3://, gs://, memory://, file:// and others."""

# What the methods promise stands on ArtifactStore.
# ruff: noqa: D102

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

from zenlib.artifacts.base import ArtifactStore, Entry, check_key
from zenlib.artifacts.local import create, remove
from zenlib.errors import Conflict, Denied, Invalid, NotFound, Unavailable, ZenlibError

_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})
"""Protocols whose uploads appear whole or not at all, and can be asked not to replace."""

_AT_ONCE = 16  # questions asked side by side, each of which waits for the network
_SCRATCH = "tmp"


class FsspecStore(ArtifactStore):
    """Keeps each file under its key below a URL.

    Object stores show a file once it is complete; on others it is written under another name
    and moved. Lists are never taken from a cache.

    >>> store = FsspecStore("memory://doc")
    >>> sorted(store.exists(["a/b"]))
    []
    """

    def __init__(self, url: str, **options: Any) -> None:
        """Open a store.

        Args:
            url: a folder, as `s3://bucket/prefix`.
            options: what fsspec's file system takes: `endpoint_url`, `token`, `project`, …

        Raises:
            Invalid: a chain of file systems, `..`, or a protocol whose package is not installed.
        """
        self.url = url.rstrip("/") if not url.endswith("://") else url
        if "::" in url or ".." in url.split("/") or "://" not in url or "\0" in url:
            raise Invalid(f"not the URL of an artifact store: {url!r:.200}; as s3://bucket/folder")
        options = {"use_listings_cache": False, "skip_instance_cache": True} | options
        try:
            self._fs, root = fsspec.url_to_fs(url, **options)
        except ImportError as error:
            raise Invalid(f"{url}: {error}") from error
        except (ValueError, TypeError) as error:
            raise Invalid(f"{url} cannot be opened: {error}") from error
        self._root = root.rstrip("/")
        protocol = self._fs.protocol
        self._protocol = protocol if isinstance(protocol, str) else protocol[0]

    def __repr__(self) -> str:
        return f"FsspecStore({self.url!r})"

    def put(self, key: str, source: Path) -> None:
        path = self._path(key)
        if not source.is_file():
            raise NotFound(f"no file {source} to put under {key}")
        with self._translated(f"write {key} ({source.stat().st_size} bytes) to"):
            if self._info(key) is not None:
                return
            try:
                self._upload(path, source)
            except FileExistsError:  # somebody else put the same key meanwhile
                return

    def get(self, key: str, target: Path) -> None:
        path = self._path(key)
        try:
            os.close(create(target))
        except FileExistsError as error:
            raise Conflict(f"cannot copy {key} to {target}: it exists already") from error
        except OSError as error:
            raise Unavailable(f"cannot write {target}: {error.strerror}") from error
        try:
            with self._translated(f"read {key} from"):
                self._download(key, path, target)
        except BaseException:
            remove(target)
            raise

    def list(self, prefix: str = "") -> Iterator[Entry]:
        if prefix.startswith("/") or ".." in prefix:
            raise Invalid(f"not the beginning of a key: {prefix!r:.200}")
        folder = prefix.rpartition("/")[0]
        with self._translated("list"):
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(f"{self._root}/{folder}".rstrip("/"), detail=True)
            except FileNotFoundError:
                return
        start = len(self._root) + 1
        entries = {path[start:]: info for path, info in found.items()}
        for key in sorted(entries):
            if key.startswith(prefix) and not key.startswith(f"{_SCRATCH}/") and _is_key(key):
                yield Entry(key, int(entries[key]["size"]))

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            path = self._path(key)
            with self._translated(f"delete {key} from"):
                try:
                    self._fs.rm_file(path)
                except FileNotFoundError:
                    continue

    def exists(self, keys: Sequence[str]) -> set[str]:
        for key in keys:
            self._path(key)
        if len(keys) < 2:
            return {key for key in keys if self._known(key)}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            there = pool.map(self._known, keys)
            return {key for key, known in zip(keys, there, strict=True) if known}

    def _known(self, key: str) -> bool:
        with self._translated(f"look for {key} in"):
            return self._info(key) is not None

    def _path(self, key: str) -> str:
        if key.startswith(f"{_SCRATCH}/"):
            raise Invalid(
                f"not a key of this store: {key!r:.200}; {_SCRATCH}/ is for unfinished files"
            )
        return f"{self._root}/{check_key(key)}"

    def _info(self, key: str) -> dict[str, Any] | None:
        """Return what is known of a file; not `fs.exists`, which takes any failure for a no."""
        path = self._path(key)
        try:
            self._fs.invalidate_cache(path)
            found: dict[str, Any] = self._fs.info(path)
        except FileNotFoundError:
            return None
        return found if found["type"] == "file" else None

    def _download(self, key: str, path: str, target: Path) -> None:
        if self._info(key) is None:
            raise NotFound(f"nothing is kept under {key} in {self.url}")
        self._fs.get_file(path, str(target))

    def _upload(self, path: str, source: Path) -> None:
        if self._protocol == "memory":
            self._fs.pipe_file(path, source.read_bytes(), mode="create")
        elif self._protocol in _WHOLE:
            try:
                self._fs.put_file(str(source), path, mode="create")
            except OSError as error:
                if "NotImplemented" not in str(error):
                    raise
                # A server without conditional writes. What it replaces has the same bytes.
                self._fs.put_file(str(source), path)
        else:
            self._upload_beside(path, source)

    def _upload_beside(self, path: str, source: Path) -> None:
        temp = f"{self._root}/{_SCRATCH}/{secrets.token_hex(8)}"
        try:
            self._fs.makedirs(f"{self._root}/{_SCRATCH}", exist_ok=True)
            self._fs.put_file(str(source), temp)
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.mv(temp, path)
        except BaseException:
            if self._fs.exists(temp):
                self._fs.rm_file(temp)
            raise

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """Turn what a driver raises into our errors; drivers share no base class."""
        try:
            yield
        except ZenlibError:
            raise
        except PermissionError as error:
            raise Denied(
                f"not allowed to {doing} {self.url}: {error}; check the credentials"
            ) from error
        except Exception as error:
            detail = f"{type(error).__name__}: {error}"
            raise Unavailable(f"cannot {doing} {self.url}: {detail:.500}") from error


def _is_key(key: str) -> bool:
    try:
        check_key(key)
    except Invalid:
        return False
    return True
