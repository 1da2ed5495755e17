import io
import json

from ocibuild.binder.log import BinderLog
from ocibuild.core.events import Notice, PhaseFinished, PhaseStarted, StepOutput, TaskStarted


def test_lines_have_repo2dockers_phases() -> None:
    stream = io.StringIO()
    log = BinderLog(stream, as_json=True)
    for event in (
        PhaseStarted("fetching", "https://example.org/x"),
        PhaseStarted("resolving", "for linux/amd64"),
        StepOutput("postBuild", "hello"),
        TaskStarted("t", "downloading", "x"),
        PhaseFinished("resolving", 1.25),
        PhaseStarted("pushing", "a:b"),
        Notice("careful", warning=True),
    ):
        log(event)
    log.tell("it broke", phase="failed")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["phase"] for line in lines] == [
        "fetching", "building", "building", "building", "pushing", "pushing", "failed",
    ]  # fmt: skip
    assert lines[2] == {"message": "hello\n", "phase": "building"}
    assert lines[5]["message"] == "warning: careful\n"


def test_plain_lines() -> None:
    stream = io.StringIO()
    log = BinderLog(stream, as_json=False, tells_tasks=True)
    log(PhaseStarted("base", "apt:bookworm"))
    log(TaskStarted("t", "downloading", "x"))
    assert stream.getvalue() == "base apt:bookworm\ndownloading x\n"
