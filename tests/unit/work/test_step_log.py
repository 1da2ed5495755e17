from pathlib import Path

from ocibuild.core.events import Event, StepOutput
from ocibuild.work.step_log import StepLog


def logged(folder: Path, *pieces: bytes) -> tuple[list[str], bytes, list[str]]:
    events: list[Event] = []
    with StepLog(folder, "postBuild: all/of it", events.append) as log:
        for piece in pieces:
            log.write(piece)
    shown = [event.line for event in events if isinstance(event, StepOutput)]
    return shown, log.path.read_bytes(), list(log.tail)


def test_lines_are_shown_whole_and_the_file_holds_every_byte(tmp_path: Path) -> None:
    shown, kept, tail = logged(tmp_path / "logs", b"first\nsec", b"ond\nthi", b"rd")
    assert shown == tail == ["first", "second", "third"]
    assert kept == b"first\nsecond\nthird"


def test_the_terminal_is_not_drawn_on(tmp_path: Path) -> None:
    shown, kept, _ = logged(tmp_path, b"\x1b[31mred\x1b[0m \x1b]0;title\x07\r\n10%\r55%\r100%\n\xff\x9b1A\ttab\n")
    assert shown == ["red 0;title", "100%", "\ufffd\ufffd1A\ttab"]
    assert kept.startswith(b"\x1b[31mred")


def test_an_endless_line_is_cut(tmp_path: Path) -> None:
    shown, kept, tail = logged(tmp_path, *[b"x" * 3000] * 5)
    assert all(len(line) <= 4096 for line in shown)
    assert len(kept) == 15000
    assert len(tail) <= 15


def test_only_the_newest_logs_are_kept(tmp_path: Path) -> None:
    for number in range(30):
        logged(tmp_path, b"%d\n" % number)
    assert len(list(tmp_path.glob("*.log"))) == 20
    assert b"29\n" in {path.read_bytes() for path in tmp_path.glob("*.log")}
