"""A sweep over Ray, whose workers are killed, comes to what one process makes.

    python tests/test_ray.py

Takes the package `ray`, and therefore no part of the gate but of .ci/campaign. `NELUMBO_SEEDS` says how many seeds there
are.
"""

from __future__ import annotations

import os
import signal
import threading
import time

import nanoarrow  # type: ignore[import-untyped]
import ray  # type: ignore[import-not-found, unused-ignore]

import nelumbo.ray
from nelumbo.simulation import sweep

SEEDS = range(int(os.environ.get("NELUMBO_SEEDS", "2000")))
KILLED = 10


def workers() -> list[int]:
    """The processes that run our tasks now."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                is_ours = b"ray::_runs" in file.read()
        except OSError:
            continue
        if is_ours:
            found.append(int(name))
    return found


def main() -> None:
    settings: dict[str, str | int | float | bool] = {"crypto": "toy"}
    begun = time.monotonic()
    alone = sweep("lossy", {"loss": ["30%"]}, settings, SEEDS)
    took = time.monotonic() - begun
    ray.init(num_cpus=os.cpu_count(), include_dashboard=False, log_to_driver=False)
    # Workers are there before the time is taken.
    nelumbo.ray.sweep("quiet", None, settings, range(8), chunk=1)
    killed, over = 0, threading.Event()

    def kill() -> None:
        nonlocal killed
        while killed < KILLED and not over.wait(took / (KILLED + 2)):
            for process in workers()[:1]:
                os.kill(process, signal.SIGKILL)
                killed += 1

    killer = threading.Thread(target=kill)
    killer.start()
    begun = time.monotonic()
    chunk = max(1, len(SEEDS) // 200)
    shared = nelumbo.ray.sweep("lossy", {"loss": ["30%"]}, settings, SEEDS, chunk=chunk)
    shared_took = time.monotonic() - begun
    over.set()
    killer.join()
    ray.shutdown()
    one, other = (list(nanoarrow.Array(table).iter_tuples()) for table in (alone.runs, shared.runs))
    times = f"{took:.1f} s in one process, {shared_took:.1f} s over Ray, {killed} workers killed"
    print(f"{len(SEEDS)} seeds of lossy: {times}")
    assert killed >= KILLED // 2, "workers were killed"
    assert len(one) == len(SEEDS) and one == other, "the same comes of it"
    assert alone.plot() == shared.plot()


if __name__ == "__main__":
    main()
