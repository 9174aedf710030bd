"""Simulations and sweeps of the installed package; tables are read by nanoarrow.

    python tests/test_simulation.py
"""

from __future__ import annotations

import tempfile
import threading
import time
import unittest
from pathlib import Path
from typing import Any

import nanoarrow  # type: ignore[import-untyped]

from nelumbo.simulation import Scenario, Table, compare, measures, parameters, scenarios, sweep

SMALL: dict[str, str | int | float | bool] = {"nodes": 3, "sessions": 2, "crypto": "toy"}
VARY = {"loss": ["0%", "20%"]}


def columns(table: Table) -> dict[str, list[Any]]:
    """What is in a table."""
    array = nanoarrow.Array(table)
    names = [field.name for field in array.schema.fields]
    return {name: list(array.child(place).iter_py()) for place, name in enumerate(names)}


class Simulations(unittest.TestCase):
    def test_parameters_are_set_by_name_and_wrong_ones_refused(self) -> None:
        settings: dict[str, str | int | float | bool] = {"stall": "500ms", "loss": "10%", "nodes": 9}
        scenario = Scenario("lossy", settings)
        self.assertIn('loss = "10%"', scenario.toml)
        self.assertIn("nodes = 9", scenario.toml)
        self.assertIn("protocol.stall", parameters())
        self.assertIn("swarm", scenarios())
        wrong: list[tuple[str, str | int, str]]
        wrong = [("los", "1%", "link.loss"), ("loss", "200%", "link.loss"), ("stall", 5, "protocol.stall")]
        for name, value, problem in wrong:
            with self.assertRaisesRegex(ValueError, problem):
                Scenario("lossy", {name: value})
        with self.assertRaises(FileNotFoundError):
            Scenario("no-such-scenario")

    def test_a_run_shows_its_events_in_tables_and_comes_to_the_same(self) -> None:
        scenario = Scenario("quiet", SMALL)
        completed = 0
        shares: list[float] = []

        def see(table: Table) -> None:
            nonlocal completed
            self.assertLessEqual(len(table), 50)
            completed += columns(table)["name"].count("session-completed")

        run = scenario.run(1, events=see, batch=50, progress=shares.append)
        self.assertEqual(completed, 6, "two sessions at three signers each")
        self.assertEqual(run["trace_hash"], scenario.run(1)["trace_hash"])
        self.assertNotEqual(run["trace_hash"], scenario.run(2)["trace_hash"])
        self.assertEqual(run["sessions"]["completed"], 2)
        self.assertTrue(all(0 <= share <= 1 for share in shares))
        self.assertNotEqual(Scenario("swarm").run(1)["trace_hash"], Scenario("swarm").run(2)["trace_hash"])

    def test_what_a_checker_of_ones_own_raises_ends_the_run(self) -> None:
        seen = 0

        def check(table: Table) -> None:
            nonlocal seen
            seen += 1
            raise AssertionError("this must not happen")

        with self.assertRaisesRegex(AssertionError, "must not happen"):
            Scenario("quiet", SMALL).run(events=check, batch=1)
        self.assertEqual(seen, 1)

    def test_other_threads_run_meanwhile(self) -> None:
        counted, over = 0, threading.Event()

        def count() -> None:
            nonlocal counted
            while not over.is_set():
                counted += 1
                time.sleep(0)

        other = threading.Thread(target=count)
        other.start()
        before = counted
        Scenario("quiet", {"crypto": "toy", "sessions": 200}).run()
        during = counted - before
        over.set()
        other.join()
        self.assertGreater(during, 100)

    def test_measures_have_intervals_and_designs_are_compared(self) -> None:
        one = [Scenario("quiet", {**SMALL, "loss": "20%"}).run(seed) for seed in range(8)]
        other = [Scenario("quiet", {**SMALL, "loss": "20%", "stall": "200ms"}).run(seed) for seed in range(8)]
        mean = measures(one)["latency-mean"]
        self.assertTrue(mean["low"] < mean["value"] < mean["high"])
        difference = compare(one, other)["latency-mean"]
        self.assertTrue(difference["difference"]["value"] < 0 and 0 < difference["p"] <= 1)
        with self.assertRaises(ValueError):
            compare(one, other[:3])


class Sweeps(unittest.TestCase):
    def test_a_sweep_has_tables_a_plot_and_runs_nothing_twice(self) -> None:
        told: list[tuple[int, int]] = []
        with tempfile.TemporaryDirectory() as folder:
            for shard in ("0/2", "1/2"):
                sweep("quiet", VARY, SMALL, range(4), out=folder, shard=shard, threads=1)
            whole = sweep(
                "quiet", VARY, SMALL, range(4), out=folder, progress=lambda ended, most: told.append((ended, most))
            )
            self.assertEqual(told, [], "both parts have run")
            written = (Path(folder) / "plot.svg").read_text(encoding="utf-8")
        one = sweep("quiet", VARY, SMALL, range(4), progress=lambda ended, most: told.append((ended, most)))
        self.assertEqual(sorted(told), [(ended + 1, 8) for ended in range(8)])
        runs, cells = columns(whole.runs), columns(whole.cells)
        self.assertEqual(runs, columns(one.runs))
        self.assertEqual((runs["link.loss"], runs["seed"]), ([0.0] * 4 + [20.0] * 4, [0, 1, 2, 3] * 2))
        self.assertEqual(cells["measure"].count("latency-p50"), 2)
        self.assertEqual(whole.plot(), written)
        self.assertEqual(whole._repr_html_(), one.plot())

    def test_metadata_says_where_a_table_is_from(self) -> None:
        schema = nanoarrow.Array(sweep("quiet", VARY, SMALL, range(2)).runs).schema
        metadata = dict(schema.metadata.items()) if schema.metadata is not None else {}
        self.assertIn(b"nelumbo.commit", metadata)
        units = {field.name: field.metadata for field in schema.fields}
        self.assertEqual(dict(units["link.loss"].items())[b"unit"], b"%")

    def test_what_progress_raises_ends_the_sweep_and_wrong_plans_are_refused(self) -> None:
        def enough(ended: int, most: int) -> None:
            raise RuntimeError("enough")

        with self.assertRaisesRegex(RuntimeError, "enough"):
            sweep("quiet", VARY, SMALL, progress=enough)
        for vary, problem in [({"los": ["1%"]}, "link.loss"), ({"loss": ["1%", "101%"]}, "link.loss")]:
            with self.assertRaisesRegex(ValueError, problem):
                sweep("quiet", vary)
        with self.assertRaises(ValueError):
            sweep("quiet", VARY, seeds=range(0, 10, 2))
        with self.assertRaises(OSError):
            sweep("quiet", VARY, SMALL, out="/proc/nowhere")


if __name__ == "__main__":
    unittest.main()
