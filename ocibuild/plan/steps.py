"""The steps that a repository asks for, in the order in which they run."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from ocibuild.core.asks import StepAsk
from ocibuild.core.step import Step

__all__ = ["repository_steps"]


def repository_steps(
    asks: Iterable[StepAsk],
    *,
    post_build: str | None,
    user: str,
    folder: str,
    arguments: Mapping[str, str] = MappingProxyType({}),
    appended: Iterable[StepAsk] = (),
) -> Iterator[Step]:
    """The steps of layers and ``ocibuild.toml``, then ``postBuild``, the last thing that repo2docker runs of its own.

    ``appended`` come after it. All run when the repository's files are in place, as ``user`` in ``folder`` unless they
    say otherwise, with the variables that the build alone knows (``arguments``).
    """
    for ask in asks:
        yield _step(ask, user, folder, arguments)
    if post_build is not None:
        # By way of a shell, as in a Dockerfile: it interprets a file without "#!" itself (execve(2), ENOEXEC).
        command = ("/bin/sh", "-c", 'exec "$0"', f"./{post_build}")
        yield Step(
            "postBuild", command, post_build, user=user, working_folder=folder, environment=arguments, network=True
        )
    for ask in appended:
        yield _step(ask, user, folder, arguments)


def _step(ask: StepAsk, user: str, folder: str, arguments: Mapping[str, str]) -> Step:
    return Step(
        ask.name,
        ask.arguments,
        str(ask.origin),
        user=ask.user or user,
        working_folder=ask.working_folder or folder,
        environment=MappingProxyType({**arguments, **ask.environment}),
        network=ask.network,
        keep=ask.keep,
    )
