"""Running the documentation: each page's snippets, in order, in a folder and home of their own.

- A `python` block is executed; the blocks of a page share their names. One that starts with `>>>`
  is compared with what it prints.
- A block whose first line is a comment with a file name (`# train.py`) is written to that file.
- A `console` block holds commands (`$ zenlib run train.py`) and what they print, on both streams.

Printed texts are compared loosely: times, ids, digests, folders, spacing and the length of drawn
lines do not count, `…` stands for anything within a line, and a line `…` for any number of lines. The ids that a page
shows are its own; a command that names one gets the real one.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
import types
from pathlib import Path

from sybil import Example
from sybil.document import Document
from sybil.evaluators.doctest import DocTestEvaluator
from sybil.parsers.abstract.doctest import DocTestStringParser
from sybil.parsers.markdown import CodeBlockParser

_FILE = re.compile(r"#\s*([\w./-]+\.(?:py|toml|csv|txt))\s*\n")
_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{1,4}){1,3}(?:-[0-9a-f]{1,12})?(?![0-9a-f])")
_LOOSE = (
    (re.compile(r"b3:[0-9a-f]+"), "b3:0"),
    (re.compile(r"(?:\d+ (?:min|h|d) )?\d+(?:\.\d)? (?:ms|s|min|h)\b( ago)?|just now"), "0 s"),
    (re.compile(r"([ ─━])+"), r"\1"),
)


class Loose(doctest.OutputChecker):
    """Compares what an example of a page printed as `match` does."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        """Whether the texts are the same where it counts."""
        return match(rows(want), rows(got)) is not None


class Page:
    """One page of the documentation and where its snippets run."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.folder = folder
        self.ids: dict[str, str] = {}
        self.module = types.ModuleType(f"page_{path.stem.replace('-', '_').lower()}")
        self.document = Document.parse(
            str(path),
            self._python,
            CodeBlockParser("console", self._console),
            CodeBlockParser("toml", self._file),
        )
        self.document.namespace = self.module.__dict__

    def run(self) -> int:
        """Execute every snippet; return how many there were."""
        sys.modules[self.module.__name__] = self.module
        try:
            examples = list(self.document.examples())
            for example in examples:
                example.evaluate()
        finally:
            del sys.modules[self.module.__name__]
        return len(examples)

    def _python(self, document: Document):
        for region in CodeBlockParser("python", self._execute)(document):
            if region.parsed.startswith(">>>"):
                evaluator = DocTestEvaluator()
                evaluator.runner._checker = Loose()
                for found in DocTestStringParser(evaluator)(region.parsed, document.path):
                    found.adjust(region, region.parsed)
                    yield found
            else:
                yield region

    def _execute(self, example: Example) -> str | None:
        if _FILE.match(example.parsed):
            return self._file(example)
        source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
        exec(compile(source, example.path, "exec", dont_inherit=True), example.namespace)
        return None

    def _file(self, example: Example) -> str | None:
        found = _FILE.match(example.parsed)
        if found:
            file = self.folder / found[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(example.parsed, "utf-8")
        return None

    def _console(self, example: Example) -> str | None:
        for command, expected in commands(example.parsed):
            printed = self._run(command)
            wrong = self._difference(expected, printed)
            if wrong:
                return f"$ {command}\n{wrong}\nprinted:\n{printed}"
        return None

    def _run(self, command: str) -> str:
        words = [self.ids.get(word, word) for word in shlex.split(command)]
        environ = {**os.environ, "PYTHONIOENCODING": "utf-8"}
        for name in ("COLUMNS", "FORCE_COLOR"):  # lines as long as they are, and plain
            environ.pop(name, None)
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            environ[name] = value
        if words[0] == "zenlib":
            words[:1] = [sys.executable, "-m", "zenlib"]
        elif words[0] == "python":
            words[0] = sys.executable
        else:
            raise ValueError(f"a page may run zenlib and python, not {words[0]!r}")
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        return done.stdout.replace(str(self.folder), "…")

    def _difference(self, expected: list[str], printed: str) -> str:
        """Return what differs, and note which real id stands behind each one shown."""
        pairs = match(rows("\n".join(expected)), rows(printed))
        if pairs is None:
            return "does not print what the page shows:\n" + "\n".join(expected)
        for shown, real in pairs:
            for a, b in zip(_ID.findall(shown), _ID.findall(real), strict=False):
                if self.ids.setdefault(a, b) != b and not b.startswith(self.ids[a]):
                    return f"{a} stands for two runs: {self.ids[a]} and {b}"
        return ""


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Return each command of a console block with the lines that it prints."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found[-1][0].endswith("\\"):
            found[-1] = (found[-1][0][:-1] + line, [])
        else:
            found[-1][1].append(line.rstrip())
    return found


def rows(text: str) -> list[str]:
    """Return the lines that say something."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def match(expected: list[str], actual: list[str]) -> list[tuple[str, str]] | None:
    """Return the pairs of lines that belong together, or None if the texts differ."""
    if not expected:
        return None if actual else []
    if expected[0].strip() == "…":
        for skipped in range(len(actual) + 1):
            rest = match(expected[1:], actual[skipped:])
            if rest is not None:
                return rest
        return None
    if not actual or not same(expected[0], actual[0]):
        return None
    rest = match(expected[1:], actual[1:])
    return None if rest is None else [(expected[0], actual[0]), *rest]


def same(expected: str, actual: str) -> bool:
    """Whether two lines are the same but for times, ids, digests and spacing."""
    pattern = ".*".join(re.escape(part) for part in loose(expected).split("…"))
    return re.fullmatch(pattern, loose(actual)) is not None


def loose(line: str) -> str:
    """Return a line without what differs from run to run."""
    line = _ID.sub("ID", line.strip())
    for pattern, instead in _LOOSE:
        line = pattern.sub(instead, line)
    return line.rstrip()
