"""How lists of arguments become single calls: the rules of `.map` and `.product`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from zenlib.errors import Invalid
from zenlib.steps import Unmapped


def is_mapped(value: Any) -> bool:
    """Whether an argument of `.map` is taken element by element."""
    return isinstance(value, list | tuple | range)


def combine(how: str, lists: Mapping[str, Sequence[Any]], who: str) -> Iterator[dict[str, Any]]:
    """Yield one mapping of name -> element for each call.

    Args:
        how: `zip` or `product`.
        lists: name -> elements.
        who: the step, for messages.

    Raises:
        Invalid: the lists of a `zip` have different lengths.

    >>> list(combine("product", {"a": [1, 2], "b": "x"}, "step 'f'"))
    [{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'x'}]
    """
    if how == "zip" and len({len(items) for items in lists.values()}) > 1:
        lengths = ", ".join(f"{name} has {len(items)}" for name, items in lists.items())
        raise Invalid(
            f"{who} is mapped over lists of different lengths: {lengths}. "
            "Use .product for each combination, or unmapped(...) for what is the same for each"
        )
    chosen = (
        zip(*lists.values(), strict=True) if how == "zip" else itertools.product(*lists.values())
    )
    for items in chosen:
        yield dict(zip(lists, items, strict=True))


def plain_map(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], how: str
) -> list[Any]:
    """Call `fn` for each element or combination: what `.map` does outside a pipeline."""
    given: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
    lists = {str(key): value for key, value in given.items() if is_mapped(value)}
    who = f"step {getattr(fn, '__name__', fn)!r}"
    if not lists:
        raise Invalid(f"{who} is mapped over nothing: give it at least one list")
    results = []
    for items in combine(how, lists, who):
        call = {
            key: items.get(str(key), value.value if isinstance(value, Unmapped) else value)
            for key, value in given.items()
        }
        positional = [call[place] for place in range(len(args))]
        results.append(fn(*positional, **{key: call[key] for key in kwargs}))
    return results
