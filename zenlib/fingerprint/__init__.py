"""What a step is made of, as a digest and in parts, so that a difference can be named."""

from zenlib.fingerprint.build import FORMAT, fingerprint
from zenlib.fingerprint.difference import Difference, differences
from zenlib.fingerprint.parts import Fingerprint, Part
from zenlib.fingerprint.project import Owner, Project

__all__ = [
    "FORMAT",
    "Difference",
    "Fingerprint",
    "Owner",
    "Part",
    "Project",
    "differences",
    "fingerprint",
]
