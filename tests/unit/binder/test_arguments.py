import pytest

from ocibuild.binder.arguments import Arguments, parse_arguments
from ocibuild.core.errors import UsageError


def test_as_binderhub_calls_it() -> None:
    words = "--ref=abc --image=reg.example/binder-x:abc --no-clean --no-run --json-logs --user-name=jovyan --user-id=1000 --push"
    arguments = parse_arguments([*words.split(), "--appendix", "LABEL a=b\nUSER root", "https://example.org/x"])
    assert arguments == Arguments(
        repository="https://example.org/x",
        ref="abc",
        image_name="reg.example/binder-x:abc",
        user_id=1000,
        user_name="jovyan",
        appendix="LABEL a=b\nUSER root",
        runs=False,
        pushes=True,
        json_logs=True,
    )


def test_traits_and_what_has_no_meaning() -> None:
    words = ["--Repo2Docker.base_image=x:1", "--DockerEngine.x=y", "--cache-from", "a", "--build-arg=A=B", "."]
    arguments = parse_arguments(words)
    assert arguments.base_image == "x:1"
    assert [why.partition(":")[0] for why in arguments.unused] == ["--cache-from", "--build-arg", "--DockerEngine.x"]


def test_traits_say_what_arguments_leave_unsaid() -> None:
    arguments = parse_arguments(["--Repo2Docker.user_id=7", "--Repo2Docker.user_name=ann", "--user-name=bob", "."])
    assert (arguments.user_id, arguments.user_name) == (7, "bob")
    more = arguments.with_traits({"Repo2Docker.output_image_spec": "a:1", "DockerEngine.x": "1"}, written="c.py: c.{}")
    assert more.image_name == "a:1"
    assert more.unused == ("c.py: c.DockerEngine.x: it is about Docker, or about how repo2docker works inside",)
    with pytest.raises(UsageError, match="'x' is no user id"):
        parse_arguments(["--Repo2Docker.user_id=x", "."])


def test_a_command_and_what_it_takes() -> None:
    arguments = parse_arguments(["-e", "A=1", "-v", "a:b", "-E", ".", "python", "-c", "--ref"])
    assert arguments.command == ("python", "-c", "--ref")
    assert (arguments.environment, arguments.volumes, arguments.is_editable) == (("A=1",), ("a:b",), True)


def test_without_a_build_nothing_is_pushed_or_run() -> None:
    arguments = parse_arguments(["--no-build", "--push", "."])
    assert (arguments.builds, arguments.pushes, arguments.runs) == (False, False, False)


@pytest.mark.parametrize(
    "words",
    [[], ["--nonsense", "."], ["--user-id=x", "."], ["--no-run", ".", "ls"], ["--no-run", "-v", "a:b", "."], ["--im"]],
)
def test_arguments_that_make_no_sense(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse_arguments(words)
