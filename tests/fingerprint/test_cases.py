"""The table of edits: which of them change what a step is made of, and what is said about it."""

from __future__ import annotations

import pytest
from cases import CASES, Case
from project_files import fingerprint_of, write

from zenlib.fingerprint import differences


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.category}: {case.id}")
def test_an_edit_counts_if_it_changes_what_the_step_does(case: Case, tmp_path):
    before = fingerprint_of(write(tmp_path / "before", case.before))
    after = fingerprint_of(write(tmp_path / "after", case.after))
    if case.unknown:
        assert case.says in "; ".join(after.unknown)
        return
    assert (before.unknown, after.unknown) == ((), ())
    found = [each.text for each in differences(before.parts, after.parts)]
    assert (before.digest == after.digest) == case.equal, found
    if case.equal:
        return
    assert any(case.says in text for text in found), found


def test_the_table_is_large_and_its_names_are_unique():
    assert len(CASES) >= 70
    assert len({(case.category, case.id) for case in CASES}) == len(CASES)
