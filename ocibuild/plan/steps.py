"""The steps that a repository asks for, in the order in which they run."""

from collections.abc import Iterable, Iterator

from ocibuild.core.asks import StepAsk
from ocibuild.core.step import Step

__all__ = ["repository_steps"]


def repository_steps(asks: Iterable[StepAsk], *, post_build: str | None, user: str, folder: str) -> Iterator[Step]:
    """The steps of ``ocibuild.toml``, then ``postBuild``, which is the last thing that repo2docker runs.

    All run when the repository's files are in place, as ``user`` in ``folder`` unless they say otherwise.
    """
    for ask in asks:
        yield Step(
            ask.name,
            ask.arguments,
            str(ask.origin),
            user=ask.user or user,
            working_folder=ask.working_folder or folder,
            environment=ask.environment,
            network=ask.network,
            keep=ask.keep,
        )
    if post_build is not None:
        # By way of a shell, as in a Dockerfile: it interprets a file without "#!" itself (execve(2), ENOEXEC).
        command = ("/bin/sh", "-c", 'exec "$0"', f"./{post_build}")
        yield Step("postBuild", command, post_build, user=user, working_folder=folder, network=True)
