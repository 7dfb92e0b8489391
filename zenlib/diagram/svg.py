"""A graph as one self-contained SVG element, for notebooks, reports and pages.

No script, no link, no id: many pictures can stand in one page. Colours are CSS variables that
follow the system's or the notebook's light or dark theme.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from zenlib.diagram import Box, Graph
from zenlib.diagram.cells import STATUSES, Look, printable, words_of
from zenlib.diagram.layout import Path, Placed, layout

_INK = {
    "light": {"ink": "#1f2328", "soft": "#59636e", "line": "#afb8c1", "edge": "#d1d9e0", "ground": "#ffffff"},
    "dark": {"ink": "#e6edf3", "soft": "#9198a1", "line": "#5b6470", "edge": "#3d444d", "ground": "#0d1117"},
}  # fmt: skip

_DARK_THEMES = (
    '[data-jp-theme-light="false"]',
    '[data-theme="dark"]',
    ".vscode-dark",
    ".theme-dark",
)
_LIGHT_THEMES = ('[data-jp-theme-light="true"]', '[data-theme="light"]', ".vscode-light")

_RULES = """
.zen-dag{font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;font-variant-numeric:tabular-nums}
.zen-dag text{fill:var(--zd-ink);font-size:13px}
.zen-dag .t{font-weight:600}
.zen-dag .n,.zen-dag .l{fill:var(--zd-soft);font-size:11px}
.zen-dag .l{paint-order:stroke;stroke:var(--zd-ground);stroke-width:4px;stroke-linejoin:round}
.zen-dag .b{fill:var(--zd-ground);stroke:var(--zd-edge);stroke-width:1}
.zen-dag .i{fill:none;stroke:var(--zd-c);stroke-width:1.5;stroke-linecap:round;stroke-linejoin:round}
.zen-dag .e{fill:none;stroke:var(--zd-line);stroke-width:1.5}
.zen-dag .h{fill:var(--zd-line);stroke:none}
.zen-dag .dashed{stroke-dasharray:4 4}
.zen-dag .s-cached .b{stroke-dasharray:4 3;stroke:var(--zd-line)}
.zen-dag .s-running .b{stroke:var(--zd-c)}
.zen-dag .s-failed .b{stroke:var(--zd-c);stroke-width:2.5}
.zen-dag .s-failed .n{fill:var(--zd-c);font-weight:600}
.zen-dag .s-skipped .t,.zen-dag .s-pending .t{fill:var(--zd-soft)}
.zen-dag .e.bad{stroke:var(--zd-failed);stroke-width:2.5}
.zen-dag .h.bad{fill:var(--zd-failed)}
"""

# 16 x 16 pictures of the glyphs, so that no font has to have them
_RING = '<circle class="i" cx="8" cy="8" r="7"{}/>'
_ICONS = {
    "pending": _RING.format("") + '<path class="i" d="M8 8h.01" stroke-width="2.5"/>',
    "running": _RING.format("") + '<path d="M8 1a7 7 0 0 0 0 14z" fill="var(--zd-c)"/>',
    "completed": _RING.format("") + '<path class="i" d="M4.8 8.3l2.2 2.2 4.2-4.6"/>',
    "cached": _RING.format("") + '<path class="i" d="M5 5.6h6M5 8h6M5 10.4h6"/>',
    "failed": _RING.format("") + '<path class="i" d="M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2"/>',
    "skipped": _RING.format(' stroke-dasharray="2.2 2.2"') + '<path class="i" d="M5 8h6"/>',
    "cancelled": _RING.format(' stroke-dasharray="2.2 2.2"'),
    "interrupted": _RING.format("") + '<path class="i" d="M8 4.4v4.4M8 11.4h.01"/>',
}


def svg(graph: Graph, title: str = "") -> str:
    """Return `<svg …>…</svg>`; texts of a graph are shown as text, whatever they contain.

    Args:
        graph: what to draw.
        title: what a screen reader calls the picture; the graph's own title if empty.

    Raises:
        Invalid: the lines form a cycle.
    """
    plan = layout(graph)
    name = _text(title or graph.title or "Steps and what they need", 200)
    summary = _text(_summary(graph), 200)
    bad = {box.id for box in graph.boxes if box.status == "failed"}
    paths = sorted(plan.paths, key=lambda path: path.line.target in bad)
    return "".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="zen-dag" role="img" '
            f'aria-label="{name}: {summary}" width="{plan.width}" height="{plan.height}" '
            f'viewBox="0 0 {plan.width} {plan.height}" style="max-width:none">',
            f"<title>{name}</title><desc>{summary}</desc><style>{_STYLE}</style>",
            *(_curve(path, path.line.target in bad) for path in paths),
            *(_label(path) for path in plan.paths if path.label),
            *(_box(placed) for placed in plan.boxes),
            "</svg>",
        )
    )


def _variables(theme: str, pick: Callable[[Look], str]) -> str:
    colours = _INK[theme] | {status: pick(look) for status, look in STATUSES.items()}
    return ";".join(f"--zd-{name}:{colour}" for name, colour in colours.items())


def _style() -> str:
    light = _variables("light", lambda look: look.light)
    dark = _variables("dark", lambda look: look.dark)
    states = "".join(f".zen-dag .s-{name}{{--zd-c:var(--zd-{name})}}" for name in STATUSES)
    return (
        f".zen-dag{{{light};--zd-c:var(--zd-pending)}}"
        f"@media (prefers-color-scheme:dark){{.zen-dag{{{dark}}}}}"
        f"{','.join(f'{theme} .zen-dag' for theme in _LIGHT_THEMES)}{{{light}}}"
        f"{','.join(f'{theme} .zen-dag' for theme in _DARK_THEMES)}{{{dark}}}"
        f"{states}{_RULES}"
    )


_STYLE = _style()


def _text(text: str, cells: int) -> str:
    return escape(printable(text[:cells]), quote=True)


def _summary(graph: Graph) -> str:
    counts: dict[str, int] = {}
    for box in graph.boxes:
        counts[box.status] = counts.get(box.status, 0) + 1
    parts = [f"{count} {status}" for status, count in counts.items()]
    steps = "1 step" if len(graph.boxes) == 1 else f"{len(graph.boxes)} steps"
    return f"{steps}, {', '.join(parts)}" if parts else steps


def _curve(path: Path, bad: bool) -> str:
    """Draw level stretches joined by S-curves that start and end level."""
    (x, y), *rest = path.points
    parts = [f"M{x} {y}"]
    for i, (to_x, to_y) in enumerate(rest):
        if i == len(rest) - 1:
            to_x -= 7  # the arrow's head
        if to_y == y:
            parts.append(f"H{to_x}")
        else:
            middle = (x + to_x) // 2
            parts.append(f"C{middle} {y} {middle} {to_y} {to_x} {to_y}")
        x, y = to_x, to_y
    look = (" bad" if bad else "") + ("" if path.line.kind == "data" else " dashed")
    head = f'<path class="h{" bad" if bad else ""}" d="M{x} {y - 4}l8 4-8 4z"/>'
    return f'<path class="e{look}" d="{"".join(parts)}"/>{head}'


def _label(path: Path) -> str:
    x, y = path.points[0]
    return f'<text class="l" x="{x + 8}" y="{y - 4}">{escape(path.label)}</text>'


def _box(placed: Placed) -> str:
    box, x, y = placed.box, placed.x, placed.y
    status = box.status if box.status in STATUSES else "pending"
    size = f'width="{placed.width}" height="{placed.height}" rx="8"'
    stack, times = "", ""
    if box.count is not None:
        stack = "".join(
            f'<rect class="b" x="{x + step}" y="{y + step}" {size}/>' for step in (6, 3)
        )
        times = (
            f'<text class="n" x="{x + placed.width - 10}" y="{y + 20}" '
            f'text-anchor="end">×{box.count}</text>'
        )
    middle = y + placed.height // 2
    return (
        f'<g class="s-{status}"><title>{_tip(box)}</title>{stack}'
        f'<rect class="b" x="{x}" y="{y}" {size}/>'
        f'<g transform="translate({x + 10} {middle - 17})">{_ICONS[status]}</g>'
        f'<text class="t" x="{x + 34}" y="{middle - 4}">{escape(placed.title)}</text>{times}'
        f'<text class="n" x="{x + 34}" y="{middle + 13}">{escape(placed.note)}</text></g>'
    )


def _tip(box: Box) -> str:
    return _text(f"{box.title[:400]}: {words_of(box.status, box.note, box.group)}", 600)
