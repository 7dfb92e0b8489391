"""A stack as data: where history and artifacts are kept, where steps run, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict, Unpack

from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.sources import InitSettingsSource

from zenlib.settings.component import Component
from zenlib.settings.environment import environment_settings
from zenlib.settings.fields import Durability, Pickle, check_name
from zenlib.settings.layers import argument_settings, default_settings, merge

ComponentLike = Component | str | Path | dict[str, Any]
"""A URL, a path, a type name, or a table with `type` or `url` and options."""


class StackValues(TypedDict, total=False):
    """What a `Stack` is made of; see its attributes."""

    name: str
    metadata_store: ComponentLike | None
    artifact_store: ComponentLike | None
    orchestrator: ComponentLike | None
    cache: bool | None
    pickle: Pickle | None
    durability: Durability | None


class _Surroundings(PydanticBaseSettingsSource):
    """The one source of a stack: arguments over environment over defaults, merged by our rules."""

    def __init__(self, settings_cls: type[BaseSettings], given: dict[str, Any]) -> None:
        super().__init__(settings_cls)
        self._given = given

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Never asked: `__call__` reads all fields at once."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        given = dict(self._given)
        name = check_name(given.pop("name", "default"))
        base = Path.cwd()
        layers = [
            default_settings(),
            environment_settings(base),
            argument_settings(given, base),
        ]
        return {"name": name, **merge(layers, None).values}


class Stack(BaseSettings):
    """Where history and artifacts are kept, where steps run, and how.

    What is not given comes from the environment (`ZENLIB_METADATA_STORE`, …), then from the
    defaults. Configuration files are for `load_stack`, which finds a stack by its name.

    >>> stack = Stack(metadata_store="mysql://zen:hunter2@db/zenlib", artifact_store="s3://ml/zen")
    >>> stack.artifact_store.type, str(stack.metadata_store)
    ('s3', 'mysql://zen:***@db/zenlib')

    Raises:
        SettingsInvalid: an unknown name or a value that the field cannot have.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    name: str = "default"
    metadata_store: Component
    artifact_store: Component
    orchestrator: Component = Field(default=Component(type="local"))
    cache: bool = True
    """Whether results of earlier runs may be used."""
    pickle: Pickle = "own"
    """Whose pickled artifacts are opened: this user's (`own`), nobody's, everybody's (`all`)."""
    durability: Durability = "run"
    """When results are forced to the disk: once for a `run`, or after each `step`."""

    def __init__(self, **values: Unpack[StackValues]) -> None:
        super().__init__(**values)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put our one source in the place of the usual ones, which know no provenance."""
        assert isinstance(init_settings, InitSettingsSource)
        return (_Surroundings(settings_cls, init_settings.init_kwargs),)
