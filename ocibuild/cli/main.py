"""The program ``ocibuild``: finds the command, and turns errors into messages and exit codes."""

import atexit
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

import click

from ocibuild import __version__
from ocibuild.core.atomic import map_os_error, remove_partials
from ocibuild.core.errors import OcibuildError
from ocibuild.core.garbage import collect_seldom

__all__ = ["main"]

_INTERRUPTED = 130
_RATTLER = "rattler"
_PATIENCE_SECONDS = 2
"""How long an interrupted program may take to clean up."""
_COMMANDS = {
    "build": "Build an image from a repository.",
    "cache": "Show and prune the local store and caches in registries, and audit these.",
    "check": "Read an image to its end and report what is wrong with it.",
    "doctor": "Show what this machine can do, tried for real, and what would let it do more.",
    "inspect": "Show an image's layers, packages and configuration.",
    "lock": "Resolve what a repository asks for, and write it to a file for --locked.",
    "plan": "Show what a build would make, before anything is fetched.",
    "pull": "Copy an image from a registry into the store, a folder or an archive.",
    "push": "Copy an image from a folder, an archive or the store to a registry.",
    "repo2docker": "Take repo2docker's own arguments, and do the same without Docker.",
    "run": "Run an image's program here, without a container runtime.",
    "why": "Tell why layers were made again, and what makes an image large.",
}


class _Commands(click.Group):
    """Imports a command's module only when that command runs: starting is part of the cost of every call."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click gives it
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click gives it
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"ocibuild.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click gives it
        # The summaries stand in a table here, so that --help need not import every command.
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ocibuild")
def _program() -> None:
    """Build OCI images from repositories: no daemon, no root, no code of any package run.

    Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 the build failed,
    2 wrong usage, 3 the repository's files are wrong, 4 this machine cannot do it, 5 registry or network,
    130 interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> Any:
    """Run the program and exit with its code."""
    if sys.getfilesystemencoding() != "utf-8":
        # Names of files are bytes, and images hold them as UTF-8: here Python would take them for other text.
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - the same program
    collect_seldom()
    signal.signal(signal.SIGTERM, _interrupt)  # a pod that is stopped cleans up as Ctrl-C does
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell lets it be ignored
        signal.signal(signal.SIGINT, _interrupt)
    try:
        _program.main(args=arguments, prog_name="ocibuild", standalone_mode=False)
        if _RATTLER in sys.modules:
            _leave(0)
    except OcibuildError as error:
        _complain(error.message, error.hint)
        _leave(error.exit_code)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _complain("interrupted", None)
        _leave(_INTERRUPTED)
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        _complain(error.format_message(), f"see '{context.command_path} --help'" if context else None)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (``ocibuild inspect | head``): say nothing, and keep the interpreter from
        # complaining when it flushes at exit.
        _forget_output()
        sys.exit(1)
    except OSError as error:  # of a name or a standard output that no other place had reason to expect
        mapped = map_os_error(error, attempted=f"using {error.filename}" if error.filename else "writing the result")
        _complain(mapped.message, mapped.hint)
        _forget_output()
        _leave(mapped.exit_code)


def _forget_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupt(*_: object) -> None:
    """End the program: in order, and by force where that takes too long, as when a server says nothing."""
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(_PATIENCE_SECONDS)
    raise KeyboardInterrupt


def _give_up(*_: object) -> None:
    _complain("interrupted", None)
    remove_partials()
    os._exit(_INTERRUPTED)


def _leave(code: int) -> None:
    """Exit with this code, without those who still wait for a server to say something."""
    sys.stdout.flush()
    sys.stderr.flush()
    # rattler's own threads may still let go of what they held, and a Python that ends in good order is aborted then.
    if threading.active_count() > 1 or _RATTLER in sys.modules:
        if _RATTLER in sys.modules:
            atexit._run_exitfuncs()  # noqa: SLF001 - what the end in good order would have called
        remove_partials()
        os._exit(code)
    sys.exit(code)


def _complain(message: str, hint: str | None) -> None:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True)
    if hint:
        click.echo(f"{click.style('hint:', fg='cyan')} {hint}", err=True)
