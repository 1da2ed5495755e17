"""Renderers of events: a live display on a terminal, plain lines elsewhere, JSON lines on request."""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TextIO

import click

from ocibuild.core.events import (
    Event,
    EventSink,
    Notice,
    PhaseFinished,
    PhaseStarted,
    StepOutput,
    TaskFinished,
    TaskStarted,
)

if TYPE_CHECKING:
    from ocibuild.cli.display import Display

__all__ = ["Verbosity", "format_size", "rendering"]

_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True)
class Verbosity:
    """How much is told: ``level`` is -1 (errors only), 0 (phases), 1 (every task)."""

    level: int = 0
    json_lines: bool = False


def format_size(size_bytes: float) -> str:
    """A size for people, in powers of 1000: ``1.4 MB``."""
    for unit in _UNITS:
        if size_bytes < 1000 or unit == _UNITS[-1]:  # noqa: PLR2004 - the step between two units
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    raise AssertionError("unreachable")


@contextlib.contextmanager
def rendering(verbosity: Verbosity, stream: TextIO = sys.stderr) -> Iterator[EventSink]:
    """A sink that shows events on ``stream`` while the block runs."""
    if verbosity.json_lines:
        yield _JsonLines(stream)
    elif verbosity.level < 0:
        yield _Quiet(stream)
    elif stream.isatty():
        terminal = _Terminal(stream)
        try:
            yield terminal
        finally:
            terminal.close()
    else:
        yield _PlainLines(stream, tasks=verbosity.level > 0)


class _JsonLines:
    """One JSON object a line: ``{"time": ..., "event": "TaskStarted", ...}`` with the event's own fields."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:  # the time is taken inside, so that lines are in its order
            line = json.dumps({"time": round(time.time(), 3), "event": type(event).__name__, **asdict(event)})
            self._stream.write(line + "\n")
            self._stream.flush()


class _Quiet:
    """Warnings only."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notice) and event.warning:
            click.echo(f"warning: {event.message}", file=self._stream)


class _PlainLines:
    """A line for each phase, and for each task where asked."""

    def __init__(self, stream: TextIO, *, tasks: bool) -> None:
        self._stream = stream
        self._tasks = tasks
        self._running: dict[str, TaskStarted] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case PhaseStarted(phase, detail):
                self._write(f"{phase}{': ' if detail else ''}{detail}")
            case PhaseFinished(phase, seconds, detail):
                self._write(f"{phase} done in {seconds:.1f} s{': ' if detail else ''}{detail}")
            case Notice(message, warning):
                self._write(f"{'warning' if warning else 'note'}: {message}")
            case StepOutput(_, line):
                self._write(f"  | {line}")
            case TaskStarted() if self._tasks:
                self._running[event.task] = event
            case TaskFinished(task, outcome) if self._tasks and task in self._running:
                started = self._running.pop(task)
                size = f", {format_size(started.total_bytes)}" if started.total_bytes else ""
                self._write(f"  {started.verb} {started.subject}{size}{': ' if outcome else ''}{outcome}")
            case _:
                pass

    def _write(self, line: str) -> None:
        click.echo(line, file=self._stream)


class _Terminal:
    """A line for each running task and a total with bytes and time left, below the lines of what is done.

    rich is imported at the first phase: a build with nothing to do shows nothing and must not pay for it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._display: Display | None = None

    def __call__(self, event: Event) -> None:
        from ocibuild.cli.display import Display  # noqa: PLC0415 - see the class

        with self._lock:
            if self._display is None:
                self._display = Display(self._stream)
            self._display.show(event)

    def close(self) -> None:
        """Take the live lines away."""
        with self._lock:
            if self._display is not None:
                self._display.close()
