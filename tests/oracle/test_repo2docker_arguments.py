"""Argument lists, beside repo2docker's own parser: what BinderHub and people may write is read as it reads it."""

import contextlib
import random
from typing import Any

import pytest

from ocibuild.binder.arguments import parse_arguments
from ocibuild.core.errors import UsageError

program = pytest.importorskip("repo2docker.__main__")

# What BinderHub's build executors write (binderhub/build.py, get_r2d_cmd_options), in its order.
BINDERHUB = [
    "--ref=0123abc", "--image=registry.example.org/binder-a-b-1f2e3d:0123abc", "--no-clean", "--no-run", "--json-logs",
    "--user-name=jovyan", "--user-id=1000", "--appendix", "USER root\nENV A=b\n", "--push", "https://example.org/a/b",
]  # fmt: skip
WORDS: list[list[str]] = [
    ["--ref", "main"], ["--ref=v1"], ["--image-name", "a/b:1"], ["--image=a"], ["--im", "b"], ["--json-logs"], ["--json"],
    ["--user-id", "1000"], ["--user-id=5"], ["--user-name=me"], ["--appendix", "RUN x"], ["--app=ENV A=1"], ["--push"],
    ["--no-push"], ["--no-run"], ["--run"], ["--no-build"], ["--build"], ["--no-clean"], ["--clean"], ["--debug"],
    ["--label", "a=b"], ["--label=c=d"], ["--build-arg", "A=B"], ["-e", "A=1"], ["--env=B=2"], ["-v", "a:b"], ["-va:b"],
    ["--volume=c:d"], ["-E"], ["--editable"], ["-p", "8888:8888"], ["--publish", "1:2"], ["-P"], ["--target-repo-dir", "/x"],
    ["--target=/y"], ["--subdir", "sub"], ["--cache-from", "i"], ["--cache-from=j"], ["--engine=docker"], ["--config=c.py"],
    ["--nonsense"], ["--user-id=x"], ["--re", "a"],
]  # fmt: skip
COMMANDS = [[], [], [], ["jupyter", "lab"], ["sh", "-c", "--ref"], ["--", "x"]]


def theirs(words: list[str]) -> dict[str, Any] | None:
    """What their parser makes of it, None for an error. Options that it does not know are traitlets' to refuse."""
    with contextlib.suppress(SystemExit):
        found, unknown = program.get_argparser().parse_known_args(words)
        if unknown or found.repo is None:
            return None
        return {
            "repository": found.repo,
            "command": tuple(found.cmd or ()),
            "ref": found.ref,
            "image_name": found.image_name,
            "subdir": found.subdir,
            "target_repo_dir": found.target_repo_dir,
            "user_id": found.user_id,
            "user_name": found.user_name,
            "appendix": found.appendix,
            "labels": tuple(found.labels),
            "environment": tuple(found.environment or ()),
            "volumes": tuple(found.volumes or ()),
            "is_editable": bool(found.editable),
            "builds": found.build is not False,
            "json_logs": bool(found.json_logs),
            "is_debug": bool(found.debug),
        }
    return None


def ours(words: list[str]) -> dict[str, Any] | None:
    try:
        found = parse_arguments(words)
    except UsageError:
        return None
    return {name: getattr(found, name) for name in theirs(["."]) or {}}


def runs(words: list[str]) -> bool:
    """Whether they would run, as their ``make_r2d`` decides."""
    found, _ = program.get_argparser().parse_known_args(words)
    return found.build is not False and found.run is not False


def test_as_binderhub_writes_it() -> None:
    assert ours(BINDERHUB) == theirs(BINDERHUB) != None  # noqa: E711 - all three
    assert parse_arguments(BINDERHUB).pushes
    assert not parse_arguments(BINDERHUB).runs


def test_many_lists() -> None:
    rng = random.Random(5)
    for _ in range(600):
        options = [word for words in rng.sample(WORDS, rng.randint(0, 5)) for word in words]
        words = [*options, "https://example.org/a", *rng.choice(COMMANDS)]
        mine, other = ours(words), theirs(words)
        if mine is None and other is not None:
            # What they refuse later, in make_r2d: a run's options without a run.
            assert not runs(words), words
            assert other["command"] or other["volumes"], words
            continue
        assert mine == other, words
        if mine is not None:
            assert parse_arguments(words).runs == runs(words), words
