"""The marked last resort: values that no other serializer knows, pickled and signed."""

from __future__ import annotations

import hmac
import io
import os
import pickle
import secrets
import socket
import stat
import types
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

from zenlib.artifacts.local import create, move_new
from zenlib.errors import Denied, Invalid, NotSerializable, Unavailable, ZenlibError, ZenlibWarning
from zenlib.instances import type_name
from zenlib.places import home
from zenlib.serializers.base import Content, Reader, Serializer, Writer

Rule = Literal["own", "never", "all"]
RULES: tuple[Rule, ...] = ("own", "never", "all")

REMEDY = (
    "return data instead (numbers, text, arrays, tables, dataclasses, a Path to a file), or "
    "register a serializer for the type with zenlib.serializers.registry.register"
)

_NAME = "value.pickle"
_KEY_BYTES = 32
_NEVER: tuple[tuple[tuple[type, ...], str], ...] = (
    ((types.ModuleType,), "a module is code, not a value"),
    ((types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType), "it can run only once"),
    ((io.IOBase,), "an open file belongs to this process; return its Path or its bytes"),
    ((socket.socket,), "an open connection belongs to this process"),
    ((types.FrameType, types.TracebackType), "it belongs to this process"),
)


class Pickle(Serializer):
    """Keeps any value that cloudpickle can write, when the setting `pickle` allows it.

    Loading a pickle runs whatever its author put in. So each one carries an HMAC-SHA256 (RFC
    2104) over its digest, made with a key that never leaves the user's machine, and under the
    rule `own` only what that key signed is loaded.
    """

    name = "pickle"
    runs_code = True

    def __init__(self, rule: Rule, key_path: Path | None = None) -> None:
        """Apply `rule`, with the key in a file; by default in the user's data folder."""
        if rule not in RULES:
            raise Invalid(f"setting pickle is {rule!r}; it must be one of {', '.join(RULES)}")
        self.rule = rule
        self._key_path = key_path
        self._key = b""
        self._warned = False

    def fits(self, value: object) -> bool:
        """Whether it may be tried; what belongs to this process is refused by `dump` in words.

        A path is not: a pickle would keep its name, and a path stands for what it leads to.
        """
        if value is NotImplemented or isinstance(value, Path):
            return False
        return self.rule != "never"

    def dump(self, value: Any, writer: Writer) -> Any:
        """Write the pickle; the data is its signature."""
        check_lasting(value)
        with writer.open(_NAME) as file:
            try:
                _pickler(file).dump(value)
            except ZenlibError:
                raise
            except Exception as error:  # an object's own __reduce__ may raise anything
                raise NotSerializable(f"{error}") from error
        file_of = writer.written(_NAME)
        return {"signature": self._sign(file_of.digest)}

    def load(self, content: Content, reader: Reader) -> Any:
        """Return the value, if the rule allows to run the pickle.

        Raises:
            Denied: the rule forbids it.
        """
        self._check_rule(content)
        with reader.path(_NAME).open("rb") as file:
            try:
                return pickle.load(file)  # noqa: S301 - signed by this user, or allowed by the rule
            except (AttributeError, ImportError) as error:
                raise Invalid(
                    f"a pickled {content.type} needs what is not here any more: {error}; put it "
                    "back, install the package that has it, or compute the value again"
                ) from error

    def _check_rule(self, content: Content) -> None:
        what = f"a pickled {content.type} can run any code when it is loaded"
        if self.rule == "never":
            raise Denied(f"{what}, and the setting pickle = 'never' forbids that")
        if self.rule == "all":
            if not self._warned:
                warnings.warn(
                    f"{what}; the setting pickle = 'all' allows it", ZenlibWarning, stacklevel=4
                )
                self._warned = True
            return
        given = content.data.get("signature") if isinstance(content.data, dict) else None
        file = content.files.get(_NAME)
        if file is None or not isinstance(given, str):
            raise Invalid("not the record of a pickled value")
        if not hmac.compare_digest(given.encode(), self._sign(file.digest).encode()):
            raise Denied(
                f"{what}, and this one was not written with the key {self.key_path()}: compute it "
                "again here, or, if you trust who made it, set pickle = 'all'"
            )

    def key_path(self) -> Path:
        """Return where the key lies; it is made when it is first needed."""
        return self._key_path or home().data / "pickle.key"

    def _sign(self, digest: str) -> str:
        if not self._key:
            self._key = read_key(self.key_path())
        return hmac.digest(self._key, digest.encode("ascii"), "sha256").hex()


def _pickler(file: BinaryIO) -> Any:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, value: Any) -> Any:
            if not isinstance(value, types.ModuleType):  # which functions refer to by name
                check_lasting(value)
            return super().reducer_override(value)

    return Pickler(file, protocol=5)


def check_lasting(value: object) -> None:
    """Raise `NotSerializable` for what belongs to this process, which pickle might accept."""
    if isinstance(value, io.BytesIO | io.StringIO):
        return
    for kinds, why in _NEVER:
        if isinstance(value, kinds):
            raise NotSerializable(f"a {type_name(value)}: {why}")
    builtin_iterator = type(value).__module__ in ("builtins", "itertools")
    if builtin_iterator and isinstance(value, Iterator | AsyncIterator):
        raise NotSerializable(f"a {type_name(value)} can be walked only once; return list(...)")


def read_key(path: Path) -> bytes:
    """Return the key in a file; the first call makes it, only for its owner to read.

    Raises:
        Denied: others can read or write the file, or it is not a key.
        Unavailable: it cannot be made.
    """
    try:
        if not path.exists():
            _make_key(path)
        found = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise Unavailable(
            f"cannot use the key for pickles, {path}: {error.strerror}; make the folder writable, "
            "or set pickle = 'never'"
        ) from error
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise Denied(f"others may read the key for pickles: chmod 600 {path}, or delete it")
    if len(found) != _KEY_BYTES:
        raise Denied(f"{path} is no key for pickles; delete it, and what it signed is recomputed")
    return found


def _make_key(path: Path) -> None:
    """Make the key whole or not at all; of several processes the first one wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temp = path.with_name(f"{path.name}-{secrets.token_hex(8)}")
    try:
        with os.fdopen(create(temp), "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        move_new(temp, path)
    finally:
        temp.unlink(missing_ok=True)
