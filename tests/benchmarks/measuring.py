"""What a program costs: its wall time, the processor time of it and all that it waited for, and its peak memory."""

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["Cost", "measured"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds, and the bytes of the largest resident set of any one process."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.wall_seconds + other.wall_seconds,
            self.cpu_seconds + other.cpu_seconds,
            max(self.peak_bytes, other.peak_bytes),
        )

    @classmethod
    def median(cls, costs: Sequence[Self]) -> Self:
        """The median of each figure by itself."""
        return cls(
            statistics.median(cost.wall_seconds for cost in costs),
            statistics.median(cost.cpu_seconds for cost in costs),
            int(statistics.median(cost.peak_bytes for cost in costs)),
        )


def measured(arguments: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, log: Path) -> Cost:
    """Run the program to its end, its output appended to ``log``; a RuntimeError where it fails."""
    with log.open("ab") as output:
        output.write(f"\n$ {' '.join(map(str, arguments))}\n".encode())
        output.flush()
        begun = time.perf_counter()
        process = subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall_seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise RuntimeError(f"exit code {process.returncode}: {' '.join(map(str, arguments))}\n{tail}")
    return Cost(wall_seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10)
