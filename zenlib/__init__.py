"""zenlib: pipelines of plain functions that remember, explain, and never do the same work twice.

>>> from zenlib import pipeline, step

Every public name is loaded on first use (PEP 562), so that importing the package costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zenlib._version import __version__ as __version__
    from zenlib.client import Client as Client
    from zenlib.errors import Conflict as Conflict
    from zenlib.errors import CorruptArtifact as CorruptArtifact
    from zenlib.errors import Denied as Denied
    from zenlib.errors import HandleMisuse as HandleMisuse
    from zenlib.errors import Invalid as Invalid
    from zenlib.errors import NotFound as NotFound
    from zenlib.errors import NotSerializable as NotSerializable
    from zenlib.errors import RunCancelled as RunCancelled
    from zenlib.errors import SettingsInvalid as SettingsInvalid
    from zenlib.errors import StepFailed as StepFailed
    from zenlib.errors import Unavailable as Unavailable
    from zenlib.errors import ZenlibError as ZenlibError
    from zenlib.pipelines import Pipeline as Pipeline
    from zenlib.pipelines import pipeline as pipeline
    from zenlib.plan import Plan as Plan
    from zenlib.records import Status as Status
    from zenlib.serializers.base import Serializer as Serializer
    from zenlib.settings import Stack as Stack
    from zenlib.step_context import StepContext as StepContext
    from zenlib.step_context import context as context
    from zenlib.step_context import log as log
    from zenlib.steps import Retry as Retry
    from zenlib.steps import Step as Step
    from zenlib.steps import step as step
    from zenlib.steps import unmapped as unmapped
    from zenlib.trace import either as either
    from zenlib.trace import when as when
    from zenlib.views import Artifact as Artifact
    from zenlib.views import Run as Run
    from zenlib.views import StepResult as StepResult

_HOMES = {
    "Artifact": "views",
    "Client": "client",
    "Conflict": "errors",
    "CorruptArtifact": "errors",
    "Denied": "errors",
    "HandleMisuse": "errors",
    "Invalid": "errors",
    "NotFound": "errors",
    "NotSerializable": "errors",
    "Pipeline": "pipelines",
    "Plan": "plan",
    "Retry": "steps",
    "Run": "views",
    "RunCancelled": "errors",
    "Serializer": "serializers.base",
    "SettingsInvalid": "errors",
    "Stack": "settings",
    "Status": "records",
    "Step": "steps",
    "StepContext": "step_context",
    "StepFailed": "errors",
    "StepResult": "views",
    "Unavailable": "errors",
    "ZenlibError": "errors",
    "__version__": "_version",
    "context": "step_context",
    "either": "trace",
    "log": "step_context",
    "pipeline": "pipelines",
    "step": "steps",
    "unmapped": "steps",
    "when": "trace",
}

__all__ = [
    "Artifact",
    "Client",
    "Conflict",
    "CorruptArtifact",
    "Denied",
    "HandleMisuse",
    "Invalid",
    "NotFound",
    "NotSerializable",
    "Pipeline",
    "Plan",
    "Retry",
    "Run",
    "RunCancelled",
    "Serializer",
    "SettingsInvalid",
    "Stack",
    "Status",
    "Step",
    "StepContext",
    "StepFailed",
    "StepResult",
    "Unavailable",
    "ZenlibError",
    "__version__",
    "context",
    "either",
    "log",
    "pipeline",
    "step",
    "unmapped",
    "when",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'zenlib' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"zenlib.{home}"), name)
    globals()[name] = value  # a function of this name wins over a submodule of the same name
    return value


def __dir__() -> list[str]:
    return __all__
