"""trial"""
from __future__ import annotations
import sys
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

sys.path.append(str(Path(__file__).parent / "fingerprint"))
import cases as fingerprint_cases

Files = dict[str, str]
FLOW, FLOW_MODULE = "proj/flow.py", "proj.flow"
SEPARATE = []
FOLLOWED_BY_VERSION = ()

@dataclass(frozen=True)
class Case:
    category: str
    edit: str
    before: Files
    after: Files
    node: str
    expect: str
    says: str = ""
    call_before: str = "p()"
    call_after: str = "p()"
    between: tuple[str, ...] = ()
    env_before: dict = field(default_factory=dict)
    env_after: dict = field(default_factory=dict)
    also: dict = field(default_factory=dict)
    damaged: str = ""
    compare: bool = False

    @property
    def name(self):
        return f"{self.category}: {self.edit}"

CASES = []
RUNNER = '''
from proj.pipeline_mod import work as found
from zenlib import Step, pipeline, step

work = found.with_options(name="work") if isinstance(found, Step) else step(found, name="work")

@pipeline
def p():
    return work()
'''
for c in fingerprint_cases.CASES:
    CASES.append(Case(c.category, c.id, {FLOW: RUNNER, **c.before}, {FLOW: RUNNER, **c.after}, "work", "cached" if c.equal else "ran", c.says))
