"""The live display of a terminal."""

import io

from ocibuild.cli.display import Display
from ocibuild.core.events import Event, Notice, PhaseFinished, PhaseStarted, TaskAdvanced, TaskFinished, TaskStarted


def shown(*events: Event) -> tuple[Display, str]:
    """A display after these events, and what it wrote for good."""
    stream = io.StringIO()
    display = Display(stream)
    for event in events:
        display.show(event)
    display.close()
    return display, stream.getvalue()


def running(display: Display) -> list[tuple[str, float | None, float]]:
    """The live lines: text, total and what is done of it."""
    return [(task.description, task.total, task.completed) for task in display._progress.tasks]


def test_a_task_goes_on_when_its_phase_ends() -> None:
    display, text = shown(
        PhaseStarted("resolving"),
        TaskStarted("a", "downloading", "git", 100),
        TaskAdvanced("a", 40),
        TaskStarted("b", "downloading", "curl", 10),
        TaskFinished("b"),
        PhaseFinished("resolving", 1.0),
        PhaseStarted("building"),
        TaskAdvanced("a", 20),
    )
    assert running(display) == [("  downloading git", 100, 60), ("[bold]building[/]", 60, 20)]
    assert "resolving" in text


def test_what_looks_like_markup_is_text() -> None:
    display, text = shown(
        PhaseStarted("building", "[red]"),
        Notice("uvicorn[standard] is asked for", warning=True),
        Notice("and requests[socks]"),
        TaskStarted("a", "packing", "name [1]"),
        PhaseFinished("building", 1.0, "[dim]"),
    )
    assert "warning: uvicorn[standard] is asked for" in text
    assert "and requests[socks]" in text
    assert "[dim]" in text
    assert [line.plain for line in map(_rendered, running(display))] == ["  packing name [1]"]


def _rendered(task: tuple[str, float | None, float]):  # type: ignore[no-untyped-def]
    from rich.text import Text  # noqa: PLC0415 - as the program itself imports rich

    return Text.from_markup(task[0])
