"""Making a plan of a pipeline and running it on a stack: what `training(lr=0.2)` does."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zenlib import hints, lifecycle, step_context, values
from zenlib.diagram.mermaid import mermaid as to_mermaid
from zenlib.diagram.svg import svg as to_svg
from zenlib.diagram.text import text as draw
from zenlib.display import Progress, short_id, terminal_of
from zenlib.errors import Invalid, RunCancelled, StepFailed
from zenlib.foresight import PlanExplanation, foresee
from zenlib.orchestrators.base import Events, Handle, Job, write_out
from zenlib.plan import Plan
from zenlib.records import Status, StepRun
from zenlib.settings import Stack, load_stack
from zenlib.stack import OpenStack, open_stack
from zenlib.steps import Step, tracer
from zenlib.trace import Tracer
from zenlib.views import Run, StepResult, graph_of
from zenlib.wording import shown

if TYPE_CHECKING:
    from zenlib.pipelines import Pipeline


@dataclass(frozen=True)
class RunnablePlan(Plan):
    """A plan together with the live functions that it needs to run."""

    steps: Mapping[str, Step[Any, Any]] = field(default_factory=dict, compare=False, repr=False)
    objects: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    source: Pipeline[..., Any] | None = field(default=None, compare=False, repr=False)

    def explain(self) -> PlanExplanation:
        """Return what would run, why, and how long it took last time; nothing is executed."""
        assert self.source is not None
        options = self.source.options
        stack = _open(options)
        return foresee(self, self.steps, self.objects, stack, reuse=_reuse(options, stack))

    def run(self) -> Run:
        """Run the plan and return the finished run (see `Pipeline.__call__`)."""
        assert self.source is not None
        return _execute(self, self.source.options)

    def mermaid(self) -> str:
        """Return the plan as a Mermaid flowchart."""
        return to_mermaid(graph_of(self))

    def svg(self) -> str:
        """Return the plan as an SVG drawing: no script, no address outside it."""
        return to_svg(graph_of(self), title=self.pipeline)

    def diagram(self, *, width: int | None = None, color: bool = False) -> str:
        """Return a drawing of the plan for a terminal."""
        return draw(graph_of(self), width=width, color=color)


class RunHandle:
    """A run that goes on in the background.

    Attributes:
        id: of the run.
    """

    def __init__(self, stack: OpenStack, job: Job, handle: Handle, options: dict[str, Any]) -> None:
        self.id = job.run.id
        self._stack = stack
        self._job = job
        self._handle = handle
        self._options = options

    def status(self) -> Status:
        """Return the status as it is now."""
        return self._handle.status()

    def cancel(self) -> None:
        """Stop the run; what has completed is kept."""
        self._handle.cancel()

    def wait(self, timeout: float | None = None) -> Run:
        """Return the finished run.

        Raises:
            TimeoutError: it is not finished after `timeout` seconds.
            StepFailed: a step failed.
            RunCancelled: it was cancelled.
        """
        status = self._handle.wait(timeout)
        return _result(self._job, self._stack, status, self._options)


def plan(
    pipeline: Pipeline[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> RunnablePlan:
    """Return the plan of a pipeline for some arguments."""
    bound = _bind(pipeline, args, kwargs)
    active = Tracer(pipeline.name)
    token = tracer.set(active)
    try:
        result = pipeline.fn(*bound.args, **bound.kwargs)
    finally:
        tracer.reset(token)
    if inspect.iscoroutine(result):
        result.close()
        raise Invalid(
            f"pipeline {pipeline.name!r} is an `async def`; a pipeline only wires steps together, "
            "so make it a plain function (its steps may be async)"
        )
    params = {name: _param(value) for name, value in bound.arguments.items()}
    options = {"cache": False} if pipeline.options.get("cache") is False else {}
    found = active.finish(result, params, options)
    return RunnablePlan(
        found.pipeline,
        found.nodes,
        found.params,
        found.outputs,
        found.options,
        steps=active.steps,
        objects=active.objects,
        source=pipeline,
    )


def _bind(
    pipeline: Pipeline[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> inspect.BoundArguments:
    signature = inspect.signature(pipeline.fn)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        parameters = signature.replace(return_annotation=inspect.Signature.empty)
        raise Invalid(
            f"pipeline {pipeline.name!r}: {error}; its parameters are {parameters}"
        ) from None
    bound.apply_defaults()
    kinds = hints.hints_of(pipeline.fn)
    for name, value in bound.arguments.items():
        variadic = signature.parameters[name].kind in (
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        )
        if not variadic and not hints.accepts(kinds.get(name, Any), value):
            raise Invalid(
                f"parameter {name!r} of pipeline {pipeline.name!r} takes "
                f"{hints.show(hints.strip(kinds[name]))}, but is given {shown(value, 100)} "
                f"({hints.show(type(value))})"
            )
    return bound


def _param(value: Any) -> Any:
    if values.fits(value):
        return values.encode(value)
    return f"<{hints.type_name(type(value))}>"


def inline(
    pipeline: Pipeline[..., Any], active: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Trace a pipeline that is called inside another one as a part of that one's plan."""
    assert isinstance(active, Tracer)
    try:
        inspect.signature(pipeline.fn).bind(*args, **kwargs)
    except TypeError as error:
        raise Invalid(f"pipeline {pipeline.name!r} in {active.pipeline!r}: {error}") from None
    cache = pipeline.options.get("cache")
    with active.nested(pipeline.name, {} if cache is None else {"cache": cache}):
        return pipeline.fn(*args, **kwargs)


def run(pipeline: Pipeline[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
    """Run a pipeline and return the finished run."""
    return _execute(plan(pipeline, args, kwargs), pipeline.options)


def submit(
    pipeline: Pipeline[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> RunHandle:
    """Start a run in the background."""
    made = plan(pipeline, args, kwargs)
    stack = _open(pipeline.options)
    job = _job(made, stack, {"progress": False, **pipeline.options}, background=True)
    return RunHandle(stack, job, stack.orchestrator.submit(job), pipeline.options)


def _execute(made: RunnablePlan, options: dict[str, Any]) -> Run:
    stack = _open(options)
    job = _job(made, stack, options)
    status = stack.orchestrator.submit(job).wait()
    if status is Status.CANCELLED:
        raise KeyboardInterrupt(f"run {job.run.id} was cancelled; what had completed is kept")
    return _result(job, stack, status, options)


def _open(options: Mapping[str, Any]) -> OpenStack:
    stack = options.get("stack")
    return open_stack(stack if isinstance(stack, Stack) else load_stack(stack))


def _reuse(options: Mapping[str, Any], stack: OpenStack) -> bool:
    said = options.get("reuse")
    return bool(stack.settings.cache if said is None else said)


def _job(
    made: RunnablePlan, stack: OpenStack, options: dict[str, Any], *, background: bool = False
) -> Job:
    _check_places(made)
    code, prints = lifecycle.identify(made.steps, stack.shelf)
    run, contents = lifecycle.start(
        made, made.objects, prints, stack, tuple(options.get("tags", ()))
    )
    events = _events(options)
    for one in events:
        one.run_started(made.pipeline, run.id, stack.settings.name, [*made.nodes])
    nested = step_context._current.get() is not None
    return Job(
        run=run,
        plan=made,
        steps=made.steps,
        code=code,
        objects=contents,
        stack=stack,
        reuse=_reuse(options, stack),
        fail=options.get("fail", "fast"),
        pdb=bool(options.get("pdb")),
        alone=nested,
        background=background,
        events=events,
        step_hook=_step_hook(made, stack, run),
        echo=next((one.echo for one in events if hasattr(one, "echo")), write_out),
    )


def _check_places(made: RunnablePlan) -> None:
    """Refuse, before anything runs, a step that is to run where nothing can run it."""
    for id, node in made.nodes.items():
        if node.options.get("on"):
            raise Invalid(
                f"step {id!r} is to run on {node.options['on']!r}, but no step operator of this "
                "name is set up on the stack; leave `on` out to run it on the orchestrator"
            )


def _events(options: Mapping[str, Any]) -> tuple[Events, ...]:
    wanted = options.get("progress")
    if wanted is None:
        wanted = sys.stderr is not None and sys.stderr.isatty()
    if wanted is False:
        return ()
    if wanted is not True:
        return (wanted,)
    terminal = terminal_of(sys.stderr)
    # Lines only: a script prints what it likes, and a live area would be torn by it.
    return (_Lines(sys.stderr, color=terminal.color, unicode=terminal.unicode),)


class _Lines(Progress):
    """One line for each step that ends, with ids as short as people use them."""

    def run_started(
        self, title: str, run_id: str, stack: str = "", node_names: Sequence[str] = ()
    ) -> None:
        super().run_started(title, short_id(run_id), stack, node_names)

    def node_finished(self, node: str, status: str, took_us: int, detail: str = "") -> None:
        if status == Status.CACHED and detail.startswith("from run "):
            detail = f"from run {short_id(detail[9:])}"
        super().node_finished(node, status, took_us, detail)


def _step_hook(made: RunnablePlan, stack: OpenStack, run: Any) -> Any:
    hooked = {"on_success", "on_failure", "on_hit"}
    if not any(hooked & set(step.options) for step in made.steps.values()):
        return None
    which = {
        Status.COMPLETED: "on_success",
        Status.FAILED: "on_failure",
        Status.CACHED: "on_hit",
    }

    def hook(step_run: StepRun) -> None:
        step = made.steps[made.node_of(step_run.node)]
        for one in step.options.get(which.get(step_run.status, ""), ()):
            view = Run(stack, run)
            view.__dict__["step_runs"] = [step_run]
            _call_hook(one, StepResult(view, step_run.node, step_run), step_run.node)

    return hook


def _call_hook(hook: Any, argument: Any, who: str) -> None:
    """Call a user's hook; its failure is told, and changes nothing about the run."""
    try:
        hook(argument)
    except Exception as error:  # noqa: BLE001 - whatever the hook raised
        name = getattr(hook, "__name__", repr(hook))
        warnings.warn(f"hook {name} of {who} raised {error!r}", RuntimeWarning, stacklevel=2)


def _result(job: Job, stack: OpenStack, status: Status, options: Mapping[str, Any]) -> Run:
    finished = Run(stack, job.run).refresh()
    hook = options.get("on_success" if status is Status.COMPLETED else "on_failure")
    if hook is not None and status in (Status.COMPLETED, Status.FAILED):
        _call_hook(hook, finished, finished.pipeline)
    if status is Status.COMPLETED:
        return finished
    if status is Status.CANCELLED:
        raise RunCancelled(f"run {job.run.id} was cancelled; what had completed is kept")
    node = next((s.node for s in finished.step_runs if s.status is Status.FAILED), "")
    failure = finished.failure
    what = f"{failure.type}: {failure.message}" if failure else "unknown"
    error = StepFailed(
        f"step {node!r} of run {job.run.id} failed: {what}", run_id=job.run.id, node=node
    )
    if failure and failure.traceback:
        error.add_note(f"in the step:\n{failure.traceback.rstrip()}")
    raise error from job.errors.get(node)
