"""The live display of a terminal, drawn by rich."""

from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ocibuild.core.events import (
    Event,
    Notice,
    PhaseFinished,
    PhaseStarted,
    StepOutput,
    TaskAdvanced,
    TaskFinished,
    TaskStarted,
    TerminalLent,
)

__all__ = ["Display"]

_MOST_LINES = 8
"""Running tasks shown at once; more would push the total off a small terminal."""


class Display:
    """Draws the running tasks and their total; finished phases stay as lines above.

    A task may go on when the phase that it began in ends: it is counted in the total of the next one then.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._total: TaskID | None = None
        self._lines: dict[str, TaskID] = {}
        self._left_bytes: dict[str, int] = {}  # of running tasks whose size is known
        self._progress.start()

    def show(self, event: Event) -> None:
        """Draw what this event changes."""
        match event:
            case PhaseStarted(phase, detail):
                self._begin_phase(f"{phase} {detail}".rstrip())
            case PhaseFinished(phase, seconds, detail):
                self._end_phase()
                self._console.print(f"[green]✓[/] {escape(phase)} [dim]{seconds:.1f} s {escape(detail)}[/]")
            case TaskStarted():
                self._begin_task(event)
            case TaskAdvanced(task, bytes_done):
                self._advance(task, bytes_done)
            case TaskFinished(task):
                self._end_task(task)
            case Notice(message, warning):
                self._console.print(f"[yellow]warning:[/] {escape(message)}" if warning else escape(message))
            case StepOutput(_, line):
                self._console.print(f"  | {line}", style="dim", markup=False)
            case TerminalLent(lent):
                (self._progress.stop if lent else self._progress.start)()

    def close(self) -> None:
        """Remove the live lines."""
        self._progress.stop()

    def _begin_phase(self, name: str) -> None:
        self._end_phase()
        self._total = self._progress.add_task(f"[bold]{escape(name)}[/]", total=sum(self._left_bytes.values()) or None)

    def _end_phase(self) -> None:
        if self._total is not None:
            self._progress.remove_task(self._total)
        self._total = None

    def _begin_task(self, event: TaskStarted) -> None:
        if event.total_bytes:
            self._left_bytes[event.task] = event.total_bytes
        if event.total_bytes and self._total is not None:
            known = self._progress.tasks[self._progress.task_ids.index(self._total)].total or 0
            self._progress.update(self._total, total=known + event.total_bytes)
        if len(self._lines) < _MOST_LINES:
            self._lines[event.task] = self._progress.add_task(
                f"  {event.verb} {escape(event.subject)}", total=event.total_bytes
            )

    def _advance(self, task: str, bytes_done: int) -> None:
        if task in self._left_bytes:
            self._left_bytes[task] = max(0, self._left_bytes[task] - bytes_done)
        if self._total is not None:
            self._progress.advance(self._total, bytes_done)
        if task in self._lines:
            self._progress.advance(self._lines[task], bytes_done)

    def _end_task(self, task: str) -> None:
        self._left_bytes.pop(task, None)
        if task in self._lines:
            self._progress.remove_task(self._lines.pop(task))
