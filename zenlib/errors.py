"""Every error that zenlib raises on purpose, sorted by what the caller should do next."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` is slow to import, and decorating a step imports this module
    from typing import ClassVar


class ZenlibError(Exception):
    """Base class: `except ZenlibError` catches whatever zenlib raises on purpose.

    Attributes:
        code: stable name of the kind of error; it crosses process and network borders.
        exit_code: what the command line returns for it.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1


class Invalid(ZenlibError, ValueError):
    """The call, the plan or a setting is wrong: fix it and call again."""

    code = "invalid"
    exit_code = 2


class HandleMisuse(Invalid, TypeError):
    """A step's future output was used as if it were the value itself."""

    code = "handle-misuse"


class NotSerializable(Invalid):
    """A value cannot be kept; the message names the step, the output, the type and the remedy."""

    code = "not-serializable"


class SettingsInvalid(Invalid):
    """A configuration file or variable is wrong; the message names its place."""

    code = "settings"
    exit_code = 3


class NotFound(ZenlibError, LookupError):
    """Nothing has this name, id or digest."""

    code = "not-found"
    exit_code = 6


class Conflict(ZenlibError):
    """Somebody else changed the record first: read it again and decide."""

    code = "conflict"
    exit_code = 8


class Unavailable(ZenlibError, OSError):
    """A store cannot be reached, is full, or is locked; trying again later is safe."""

    code = "unavailable"
    exit_code = 4


class StoreTooNew(Unavailable):
    """The store was written by a newer zenlib; nothing was changed. Install the version named."""

    code = "store-too-new"


class Denied(ZenlibError, PermissionError):
    """The rules forbid it: log in, or change the setting that the message names."""

    code = "denied"
    exit_code = 5


class CorruptArtifact(ZenlibError):
    """Stored bytes are missing or are not the ones that were recorded; compute them again."""

    code = "corrupt-artifact"
    exit_code = 7


class StepFailed(ZenlibError):
    """A step of the run raised, timed out or lost its worker; see `__cause__` and `run`.

    Attributes:
        run_id: the run that failed.
        node: the node of the plan that failed first.
    """

    code = "step-failed"
    exit_code = 1

    def __init__(self, message: str, *, run_id: str = "", node: str = "") -> None:
        super().__init__(message)
        self.run_id = run_id
        self.node = node


class StepTimeout(ZenlibError, TimeoutError):
    """A step ran longer than its `timeout` and was stopped."""

    code = "step-timeout"


class WorkerDied(ZenlibError, ChildProcessError):
    """The process that ran a step ended without an answer; the message names the signal or code."""

    code = "worker-died"


class RunCancelled(ZenlibError):
    """The run was cancelled before it ended; what had completed is kept."""

    code = "cancelled"
    exit_code = 130


class ZenlibWarning(UserWarning):
    """Something works but is probably not what was meant; the message says what to do."""
