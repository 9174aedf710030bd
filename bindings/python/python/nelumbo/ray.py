"""The same sweep over Ray: on one machine or many, whose workers may be killed.

    import ray
    import nelumbo.ray

    ray.init()
    result = nelumbo.ray.sweep("lossy", vary={"loss": ["10%", "30%"]}, seeds=range(10_000))

A run follows from its parameters and its seed, so one that is lost with its worker is run again and comes to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray as _ray  # type: ignore[import-not-found, unused-ignore]

from . import _native
from .simulation import Scenario, Sweep, Value, Values, plan_of

__all__ = ["sweep"]


def _runs(plan: str, base: str | None, pairs: list[tuple[int, int]]) -> list[str]:
    """What a worker does: some runs, each as a line."""
    native = _native.Sweep(plan, base)
    return [native.one(cell, seed) for cell, seed in pairs]


def sweep(
    scenario: str | Scenario,
    vary: Mapping[str, Sequence[Value]] | None = None,
    settings: Values | None = None,
    seeds: range = range(20),
    measure: str = "latency-p50",
    *,
    x: str | None = None,
    chunk: int = 200,
    waiting: int = 1_000,
    progress: Callable[[int, int], object] | None = None,
) -> Sweep:
    """Runs every combination of what varies with every seed, in tasks of `chunk` runs, of which at most `waiting` are
    with Ray at once. What is lost with a worker is run again."""
    plan, base = plan_of(scenario, vary, settings, seeds, measure, x)
    native = _native.Sweep(plan, base)
    cells, first, end = native.size()
    pairs = [(cell, seed) for cell in range(cells) for seed in range(first, end)]
    chunks = [pairs[at : at + chunk] for at in range(0, len(pairs), chunk)]
    task: Any = _ray.remote(max_retries=-1, num_cpus=1)(_runs)
    lines: list[str] = []
    under_way: list[Any] = []
    while chunks or under_way:
        while chunks and len(under_way) < waiting:
            under_way.append(task.remote(plan, base, chunks.pop(0)))
        done, under_way = _ray.wait(under_way, num_returns=1)
        for each in done:
            lines += _ray.get(each)
        if progress is not None:
            progress(len(lines), len(pairs))
    native.take(lines)
    return Sweep(native)
