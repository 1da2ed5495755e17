"""``ocibuild repo2docker``: repo2docker's own command line."""

import os
import sys
from pathlib import Path

import click

from ocibuild import __version__
from ocibuild.binder.arguments import parse_arguments
from ocibuild.binder.log import BinderLog
from ocibuild.binder.repo2docker import Repo2docker
from ocibuild.cli.plan import show_plan
from ocibuild.core.atomic import replacing
from ocibuild.core.errors import OcibuildError
from ocibuild.core.events import Notice
from ocibuild.store.store import Store

__all__ = ["command"]

_ALIAS = "jupyter-repo2docker"
_SCRIPT = """\
#!{python}
# repo2docker's command line, answered by ocibuild. Written by: ocibuild repo2docker --install-alias
import sys

from ocibuild.cli.main import main

main(["repo2docker", *sys.argv[1:]])
"""
_FAILED = 1


@click.command(
    name="repo2docker",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="ARGUMENTS...")
def command(*, words: tuple[str, ...]) -> None:
    """Do what repo2docker does with these arguments, without Docker. 'repo2docker --help' lists them.

    --install-alias DIR writes a program jupyter-repo2docker into DIR that does the same, for BinderHub.
    """
    if words[:1] == ("--install-alias",):
        _install_alias(words[1:])
        return
    if words == ("--version",):
        click.echo(__version__)
        return
    arguments = parse_arguments(words)
    log = BinderLog(sys.stderr, as_json=arguments.json_logs, tells_tasks=arguments.is_debug)
    try:
        store = Store.of_environment(os.environ)
        if store.notice:
            log(Notice(store.notice))
        result = Repo2docker(arguments, store, os.environ, log).run()
    except OcibuildError as error:  # repo2docker knows one exit code for all that fails
        log.tell(error.message, phase="failed")
        if error.hint:
            log.tell(f"hint: {error.hint}", phase="failed")
        sys.exit(_FAILED)
    except KeyboardInterrupt:
        log.tell("interrupted", phase="failed")
        raise
    if isinstance(result, int):
        sys.exit(result)
    for plan in result:
        show_plan(plan)


def _install_alias(words: tuple[str, ...]) -> None:
    if len(words) != 1:
        raise click.UsageError("--install-alias takes the folder that the program goes to")
    file = Path(words[0]) / _ALIAS
    with replacing(file) as stream:
        stream.write(_SCRIPT.format(python=sys.executable).encode())
        Path(stream.name).chmod(0o755)
    click.echo(str(file))
