"""What is remembered: the records that every layer speaks of, as frozen pydantic models.

A new entity is a class here with its indexed fields, and nothing else: tables, listings and
routes are derived from it. Scalar fields become typed columns, nested ones JSON columns.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

from zenlib.hashing import new_id


class Status(StrEnum):
    """The state of a run or of one of its steps."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    CACHED = "cached"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"

    @property
    def finished(self) -> bool:
        """Whether the state is final."""
        return self not in (Status.PENDING, Status.RUNNING)


class Record(BaseModel):
    """One remembered thing.

    Attributes:
        id: made by the client (UUIDv7, or a digest for what is named by its content).
        version: 1 when first put; each change puts the stored version plus one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    KIND: ClassVar[str]
    INDEXED: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """The indexes: each a tuple of scalar fields. `find` filters by, and orders by, these fields
    and `id` only."""
    NUMBERED: ClassVar[tuple[str, str] | None] = None
    """`(number, group)`: a store fills the integer field `number`, when it is put as 0, with one
    more than the largest of all stored records that have the same `group`."""

    id: str = Field(default_factory=new_id, max_length=80)
    version: int = Field(default=1, ge=1)

    @classmethod
    def made(cls, **values: Any) -> Self:
        """Return a record of values that our own code made, without checking their types.

        Saves most of the time of `cls(...)`; a store still refuses what it cannot keep.
        """
        record = cls.__new__(cls)
        fields = {**cls._defaults(), **values}
        if "id" not in values:
            fields["id"] = new_id()
        object.__setattr__(record, "__dict__", fields)
        object.__setattr__(record, "__pydantic_fields_set__", set(values))
        object.__setattr__(record, "__pydantic_extra__", None)
        object.__setattr__(record, "__pydantic_private__", None)
        return record

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        found = _DEFAULTS.get(cls)
        if found is None:
            fields = cls.model_fields.items()
            found = _DEFAULTS[cls] = {
                name: field.default
                for name, field in fields
                if not field.is_required() and field.default_factory is None
            }
        return found

    def next(self, **changes: Any) -> Self:
        """Return a changed copy with the next version, ready to be put."""
        return self.model_copy(update={**changes, "version": self.version + 1})


_DEFAULTS: dict[type[Record], dict[str, Any]] = {}


class Failure(BaseModel):
    """Why a step did not complete."""

    model_config = ConfigDict(frozen=True)

    type: str
    message: str
    traceback: str = ""
    """The user's frames only."""
    full_traceback: str = ""


class Attempt(BaseModel):
    """One try of a step: when it began, how long it took and how it ended."""

    model_config = ConfigDict(frozen=True)

    started_us: int
    took_us: int
    failure: Failure | None = None


class Output(BaseModel):
    """An output of a step run: which artifact it is, and what that contains."""

    model_config = ConfigDict(frozen=True)

    artifact: str
    digest: str


class Run(Record):
    """One execution of a plan."""

    KIND = "runs"
    INDEXED = (("pipeline", "id"), ("status", "id"), ("pipeline", "status", "id"))

    pipeline: str = Field(max_length=255)
    status: Status = Status.RUNNING
    started_us: int
    ended_us: int | None = None
    stack: str = ""
    params: dict[str, Any] = {}
    """The pipeline's arguments, encoded by `zenlib.values`."""
    plan: dict[str, Any] = {}
    outputs: Any = None
    """What the pipeline returned: `{"artifact": id}` leaves in the shape of the returned value."""
    tags: tuple[str, ...] = ()
    failure: Failure | None = None
    environment: dict[str, Any] = {}


class StepRun(Record):
    """One execution of one node of a plan, or of one item of a mapped node."""

    KIND = "steps"
    INDEXED = (("run_id", "id"), ("cache_key", "id"), ("pipeline", "node", "id"))

    run_id: str = Field(max_length=80)
    pipeline: str = Field(max_length=255)
    node: str = Field(max_length=255)
    step: str = Field(max_length=255)
    status: Status
    cache_key: str = Field(default="", max_length=80)
    """Empty for a step run whose result may never be reused."""
    cached_from: str = Field(default="", max_length=80)
    """For a hit: the id of the step run that computed the outputs."""
    started_us: int
    ended_us: int
    key: dict[str, Any] = {}
    """The parts of the cache key, kept so that a difference can be named (`zenlib.keys`)."""
    outputs: dict[str, Output] = {}
    attempts: tuple[Attempt, ...] = ()
    failure: Failure | None = None
    metrics: dict[str, Any] = {}
    tags: tuple[str, ...] = ()


class Artifact(Record):
    """One immutable, versioned output."""

    KIND = "artifacts"
    INDEXED = (("name", "number"),)
    NUMBERED = ("number", "name")

    name: str = Field(max_length=255)
    number: int = 0
    """The artifact's version among those of its name: 1, 2, 3, …"""
    digest: str = Field(max_length=80)
    """Of the content: equal digests are equal values of one type."""
    size_bytes: int
    serializer: str = Field(max_length=80)
    type: str = Field(max_length=255)
    content: dict[str, Any]
    """How to load it (`zenlib.serializers.base.Content`)."""
    metadata: dict[str, Any] = {}
    run_id: str = Field(default="", max_length=80)
    step_run_id: str = Field(default="", max_length=80)


class Code(Record):
    """What a step was made of, kept in parts; the id is the fingerprint's digest.

    `parts` maps the name of each function, class, constant or distribution to its digest, source
    digest and place; equal fingerprints are stored once.
    """

    KIND = "code"

    parts: list[dict[str, Any]]


class Source(Record):
    """The text of one function or class; the id is the text's digest."""

    KIND = "sources"

    text: str


KINDS: tuple[type[Record], ...] = (Run, StepRun, Artifact, Code, Source)
"""Every kind that a metadata store keeps."""
