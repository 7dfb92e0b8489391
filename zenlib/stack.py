"""The one place that opens adapters: a `Stack` of settings becomes open stores and an orchestrator."""

from __future__ import annotations

import atexit
import os
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from zenlib import registry
from zenlib.artifacts.base import ArtifactStore
from zenlib.artifacts.blobs import Blobs
from zenlib.errors import SettingsInvalid, ZenlibError
from zenlib.orchestrators.base import Orchestrator
from zenlib.settings import Component, Stack, home
from zenlib.shelf import Shelf
from zenlib.stores.base import Claims, Losable, MetadataStore


@dataclass(frozen=True)
class OpenStack:
    """A stack in use.

    Attributes:
        settings: what it was opened from.
        metadata: where records are remembered.
        shelf: where values are kept.
        orchestrator: where steps run.
        shareable: whether other processes that open the same settings see the same history.
    """

    settings: Stack
    metadata: MetadataStore
    shelf: Shelf
    orchestrator: Orchestrator
    shareable: bool = True

    @cached_property
    def claims(self) -> Claims | None:
        """The metadata store, if it can let one worker at a time compute a key."""
        return self.metadata if isinstance(self.metadata, Claims) else None

    def close(self) -> None:
        """Close the stores; the stack must not be used any more."""
        self.orchestrator.close()
        self.metadata.close()
        self.shelf.blobs.store.close()


_open: dict[tuple[int, Stack | str], OpenStack] = {}
_lock = threading.Lock()


def open_stack(settings: Stack) -> OpenStack:
    """Return the open stack of some settings; the same one for equal settings in one process.

    Opening connects to nothing yet and writes nothing: stores do so on first use.

    Raises:
        SettingsInvalid: an adapter is not known, or refuses its options.
    """
    key = (os.getpid(), repr(settings))
    with _lock:
        found = _open.get(key)
        if found is not None and isinstance(found.metadata, Losable) and found.metadata.lost():
            found.close()
            found = None
        # `repr` hides passwords, so equal texts are compared in full.
        if found is None or found.settings != settings:
            found = _open[key] = _open_new(settings)
    return found


def _open_new(settings: Stack) -> OpenStack:
    metadata = _open_metadata(settings)
    artifacts = _open_artifacts(settings.artifact_store)
    shelf = Shelf(Blobs(artifacts, cache=home().cache / "blobs"), pickle=settings.pickle)
    component = settings.orchestrator.resolved()
    orchestrator: Orchestrator = _make("orchestrators", component, (), component.options)
    in_memory = "memory" in (settings.metadata_store.type, settings.artifact_store.type)
    in_memory = in_memory or ":memory:" in (settings.metadata_store.url or "")
    return OpenStack(settings, metadata, shelf, orchestrator, shareable=not in_memory)


def _open_metadata(settings: Stack) -> MetadataStore:
    component = settings.metadata_store.resolved()
    args: tuple[Any, ...] = ()
    options = component.options
    if component.type != "memory":
        args = (component.url or "",)
        options = {"durability": settings.durability, **options}
    store: MetadataStore = _make("metadata_stores", component, args, options)
    return store


def _open_artifacts(component: Component) -> ArtifactStore:
    component = component.resolved()
    local = component.type in ("local", "file")
    place = component.path if local else component.url or f"{component.type}://"
    store: ArtifactStore = _make("artifact_stores", component, (place,), component.options)
    return store


def _make(kind: str, component: Component, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    adapter = registry.find(kind, component.type)
    try:
        return adapter(*args, **options)
    except ZenlibError:
        raise
    except TypeError as error:
        word = registry.WORDS[kind]
        given = ", ".join(options) or "none"
        raise SettingsInvalid(
            f"the {word} {component.type!r} does not take these options ({given}): {error}"
        ) from error


@atexit.register
def close_all() -> None:
    """Close every stack that this process has opened."""
    with _lock:
        stacks = [stack for (pid, _), stack in _open.items() if pid == os.getpid()]
        _open.clear()
    for stack in stacks:
        stack.close()
