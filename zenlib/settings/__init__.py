"""Settings: where configuration comes from, and which value holds when several places name one."""

from __future__ import annotations

from zenlib.places import Paths, home, project_root
from zenlib.settings.component import Component
from zenlib.settings.fields import Durability, Pickle
from zenlib.settings.layers import Explained
from zenlib.settings.load import StackInfo, explain, load_stack, stacks
from zenlib.settings.stack import Stack

__all__ = [
    "Component",
    "Durability",
    "Explained",
    "Paths",
    "Pickle",
    "Stack",
    "StackInfo",
    "explain",
    "home",
    "load_stack",
    "project_root",
    "stacks",
]
