"""Simulations of many signers, and sweeps over their parameters, with intervals.

    from nelumbo.simulation import sweep

    result = sweep("quiet", vary={"loss": ["0%", "10%", "20%"]}, seeds=range(20))
    result.plot("loss.svg")

Tables have Arrow's PyCapsule interface: `pyarrow.table(result.runs)`, `polars.DataFrame(result.cells)` and the like take
them without copying. While nodes run, other threads of Python do too.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Union

from . import _native
from ._native import Table

__all__ = ["Run", "Scenario", "Sweep", "Table", "compare", "measures", "parameters", "scenarios", "sweep"]

#: A value of a parameter: `"10%"`, `"500ms"`, 3, True.
Value = Union[str, int, float, bool]
#: Values by the names of their parameters.
Values = Mapping[str, Value]


def scenarios() -> list[str]:
    """The names of all ready scenarios."""
    return _native.scenarios()


def parameters() -> list[str]:
    """The full names of everything that can be set."""
    return _native.parameters()


def _toml(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    # JSON's texts, numbers and truths are TOML's too.
    return json.dumps(value, ensure_ascii=False)


class Run:
    """What a run came to. `run["sessions"]["completed"]` and the like are what `nelumbo simulate --json` says."""

    def __init__(self, summary: str, sample: str) -> None:
        self.summary: dict[str, Any] = json.loads(summary)
        #: What it contributes to measures, as JSON.
        self.sample = sample

    def __getitem__(self, name: str) -> Any:
        return self.summary[name]

    def __repr__(self) -> str:
        sessions = self.summary["sessions"]
        return (
            f"Run({self.summary['scenario']!r}, seed {self.summary['seed']}: {sessions['completed']} of "
            f"{sessions['started']} sessions, {len(self.summary['violations'])} violations)"
        )


class Scenario:
    """A kind of simulation: a ready one by its name, a file, or a text in TOML, with some of it replaced."""

    def __init__(self, source: str | os.PathLike[str] = "quiet", settings: Values | None = None) -> None:
        """`settings` are by the names of the parameters, or ends of them that no other has: `{"loss": "10%"}`.

        An unknown name and an impossible value are a `ValueError` that says what was meant.
        """
        text = os.fspath(source)
        if text not in _native.scenarios() and "\n" not in text:
            text = Path(text).read_text(encoding="utf-8")
        self._drawn = text if text == "swarm" else None
        self._settings = [f"{name}={_toml(value)}" for name, value in (settings or {}).items()]
        #: The scenario as TOML; of the swarm, what seed 0 draws.
        self.toml = _native.scenario(text, self._settings, 0)

    def run(
        self,
        seed: int = 0,
        *,
        events: Callable[[Table], object] | None = None,
        batch: int = 65_536,
        progress: Callable[[float], object] | None = None,
    ) -> Run:
        """Runs it with this seed.

        `events` is given everything that happens in tables of `batch` rows: `at` in nanoseconds, `node`, `source`,
        `sequence`, `kind`, `name`, `session`, `bytes`, `detail`. `progress` is told now and then which share is over.
        What either raises ends the run, and is raised here.
        """
        text = self.toml if self._drawn is None else _native.scenario(self._drawn, self._settings, seed)
        return Run(*_native.run(text, seed, events, batch, progress))

    def __repr__(self) -> str:
        return f"Scenario({self.toml!r})"


def measures(runs: Iterable[Run]) -> dict[str, dict[str, Any]]:
    """What runs of different seeds come to: each measure with `value`, and the 95 % interval from `low` to `high`."""
    named: dict[str, dict[str, Any]] = json.loads(_native.measures([run.sample for run in runs]))
    return named


def compare(first: Iterable[Run], second: Iterable[Run]) -> dict[str, dict[str, Any]]:
    """How two designs differ that had the same seeds in the same order: for each measure `first`, `second`,
    `difference`, and `p` of a paired test."""
    ones, others = [run.sample for run in first], [run.sample for run in second]
    named: dict[str, dict[str, Any]] = json.loads(_native.comparison(ones, others))
    return named


class Sweep:
    """A plan, and what has been run of it."""

    def __init__(self, native: _native.Sweep) -> None:
        self._native = native

    @property
    def plan(self) -> str:
        """The plan as TOML, which `nelumbo sweep` takes too."""
        return self._native.plan()

    @property
    def runs(self) -> Table:
        """A row for each run."""
        return self._native.runs()

    @property
    def cells(self) -> Table:
        """A row for each combination of parameters and each measure, with its 95 % interval."""
        return self._native.cells()

    def plot(self, file: str | os.PathLike[str] | None = None) -> str:
        """The picture as SVG, which is written to a file if there is one."""
        picture = self._native.plot()
        if file is not None:
            Path(file).write_text(picture, encoding="utf-8")
        return picture

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self._native.plot()


def plan_of(
    scenario: str | Scenario,
    vary: Mapping[str, Sequence[Value]] | None = None,
    settings: Values | None = None,
    seeds: range = range(20),
    measure: str = "latency-p50",
    x: str | None = None,
    stop: tuple[str, int] | None = None,
) -> tuple[str, str | None]:
    """The plan of a sweep and the text of its scenario, both in TOML; the swarm has no text."""
    if seeds.step != 1 or not seeds:
        raise ValueError("seeds are a range without steps, such as range(20)")
    name = scenario if isinstance(scenario, str) else "custom"
    base = scenario if isinstance(scenario, Scenario) else None if name == "swarm" else Scenario(name)
    lines = [f"scenario = {_toml(name)}", f"seeds = '{seeds.start}..{seeds.stop}'", f"measure = {_toml(measure)}"]
    axis = x if x is not None else next(iter(vary), None) if vary else None
    if axis is not None:
        lines.append(f"x = {_toml(axis)}")
    for table, values in (("set", settings), ("vary", vary)):
        if values:
            lines.append(f"[{table}]")
            lines += [f"{_toml(name)} = {_toml(value)}" for name, value in values.items()]
    if stop is not None:
        lines.append(f"[stop]\nwidth = {_toml(stop[0])}\nbatch = {stop[1]}")
    return "\n".join(lines), base.toml if base is not None else None


def sweep(
    scenario: str | Scenario,
    vary: Mapping[str, Sequence[Value]] | None = None,
    settings: Values | None = None,
    seeds: range = range(20),
    measure: str = "latency-p50",
    *,
    x: str | None = None,
    stop: tuple[str, int] | None = None,
    out: str | os.PathLike[str] | None = None,
    shard: str | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Sweep:
    """Runs every combination of what varies with every seed, on all cores.

    `out` is a folder as `nelumbo sweep` leaves it: what has ended there is not run again. `stop`, such as `("5%", 10)`,
    ends a combination when half of the measure's interval is below 5 % of it, asked after each ten seeds. `progress` is
    told how many runs have ended, and how many there are at most; what it raises ends the sweep.
    """
    native = _native.Sweep(*plan_of(scenario, vary, settings, seeds, measure, x, stop))
    with tempfile.TemporaryDirectory() as folder:
        place = folder if out is None else os.fspath(out)
        native.work(place, shard or "0/1", threads or os.cpu_count() or 1, progress)
    return Sweep(native)
