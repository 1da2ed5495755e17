"""Runs a command of this machine as root of a name space of ids, so that it may change files of all of them.

``in_ids ENTRANCE COMMAND...``, where ENTRANCE is the JSON of an :class:`~ocibuild.sandbox.entrance.Entrance` with the
maps. Nothing else is entered: the command sees this machine's files, and has this process' streams and environment.
"""

import os
from collections.abc import Sequence

from ocibuild.sandbox.entrance import Entrance
from ocibuild.sandbox.namespace import EntryRefusedError, enter_users
from ocibuild.sandbox.program import CANNOT_EXECUTE, NOT_FOUND, restore_signals

__all__ = ["main"]


def main(arguments: Sequence[str]) -> None:
    """Be replaced by the command; 126 or 127, with the reason on standard error, where that fails."""
    entrance, command = Entrance.from_json(arguments[0]), list(arguments[1:])
    try:
        enter_users(entrance)
        restore_signals()
        os.execvp(command[0], command)  # noqa: S606 - there is no shell to go through
    except EntryRefusedError as error:
        _complain(f"{error.call}: {os.strerror(error.number)} {error.detail}".strip())
    except OSError as error:
        _complain(f"{command[0]}: {error.strerror}")
        os._exit(NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_EXECUTE)
    os._exit(CANNOT_EXECUTE)


def _complain(text: str) -> None:
    os.write(2, f"ocibuild: {text}\n".encode("utf-8", "surrogateescape"))
