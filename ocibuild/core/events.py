"""What a build tells while it goes on. Renderers live in ``cli/``; nothing below prints."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = [
    "Event",
    "EventSink",
    "Notice",
    "PhaseFinished",
    "PhaseStarted",
    "StepOutput",
    "TaskAdvanced",
    "TaskFinished",
    "TaskStarted",
    "TerminalLent",
    "discard",
]


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A phase of the whole command begins, such as ``resolving`` or ``pushing``."""

    phase: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PhaseFinished:
    """The phase of this name ended; ``detail`` is its outcome in a few words."""

    phase: str
    seconds: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """One piece of work inside a phase, such as the download of one package.

    ``task`` is unique while the task runs; ``total_bytes`` is None where the size is not known.
    """

    task: str
    verb: str
    subject: str
    total_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class TaskAdvanced:
    """``bytes_done`` more bytes of the task are done."""

    task: str
    bytes_done: int


@dataclass(frozen=True, slots=True)
class TaskFinished:
    """The task ended; ``outcome`` is empty, or a word such as ``cached`` or ``mounted``."""

    task: str
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know; ``warning`` where it may be a mistake."""

    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class StepOutput:
    """A line that a running step wrote, without its end; bytes that are no UTF-8 are replaced."""

    step: str
    line: str


@dataclass(frozen=True, slots=True)
class TerminalLent:
    """A program is about to use the terminal by itself, or (``lent`` False) has given it back."""

    lent: bool


Event = PhaseStarted | PhaseFinished | TaskStarted | TaskAdvanced | TaskFinished | Notice | StepOutput | TerminalLent
EventSink = Callable[[Event], None]
"""Called from any thread; must be quick and must not raise."""


def discard(event: Event) -> None:
    """The sink of whoever does not listen."""
