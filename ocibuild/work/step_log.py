"""What a step writes: shown while it runs, and kept in a file of the store."""

import re
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ocibuild.core.events import EventSink, StepOutput

__all__ = ["StepLog"]

_MOST_LOGS = 20
_TAIL_LINES = 15
_LONGEST_LINE_BYTES = 4096
_CONTROLS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Escape sequences (ECMA-48) and control characters: a step must not draw on the user's terminal."""


class StepLog:
    """A sink of a step's output. The newest logs stay in the folder, the others go.

    ``path`` is the log's file, as the step wrote it; ``tail`` are its last lines as they were shown.
    """

    def __init__(self, folder: Path, step: str, events: EventSink) -> None:
        self._folder = folder
        self._step = step
        self._events = events
        name = re.sub(r"[^A-Za-z0-9]+", "-", step).strip("-") or "step"
        self.path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{time.time_ns() % 10**9:09}-{name[:60]}.log"
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._rest = b""
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(self._folder.glob("*.log"))[: 1 - _MOST_LOGS]:
            old.unlink(missing_ok=True)
        self._file = self.path.open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._rest:
            self._show(self._rest)
        if self._file is not None:
            self._file.close()

    def write(self, data: bytes) -> None:
        """Take what the step wrote, in pieces of any size."""
        if self._file is not None:
            self._file.write(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._show(line)
        if len(self._rest) > _LONGEST_LINE_BYTES:
            self._show(self._rest)
            self._rest = b""

    def _show(self, line: bytes) -> None:
        # What a carriage return overwrites was a progress bar's earlier state.
        text = line.rstrip(b"\r").rpartition(b"\r")[2][:_LONGEST_LINE_BYTES].decode("utf-8", "replace")
        shown = _CONTROLS.sub("", text)
        self.tail.append(shown)
        self._events(StepOutput(self._step, shown))
