"""``ocibuild doctor``: what this machine can do, and what would let it do more."""

import json
import os
import textwrap
from dataclasses import asdict
from typing import Any

import click

from ocibuild.cli.progress import format_size
from ocibuild.sandbox.trial import Trial
from ocibuild.store.store import Store
from ocibuild.work.doctor import Diagnosis, Folder, diagnose

__all__ = ["command"]

_WIDTH = 100


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
def command(*, as_json: bool) -> None:
    """Try every way of running code in an image here, and say what works, what does not and why.

    Nothing is guessed: a small root is entered on each rung of the ladder, and a program is run in it. Always ends with
    0 where the trials could be made.
    """
    diagnosis = diagnose(store=Store.of_environment(os.environ), environment=os.environ)
    if as_json:
        click.echo(json.dumps(_object(diagnosis), indent=1))
    else:
        _show(diagnosis)


def _show(diagnosis: Diagnosis) -> None:
    place = ", in a Kubernetes pod" if diagnosis.is_pod else ""
    click.echo(f"{diagnosis.platform}, {diagnosis.kernel}{place}\n")
    click.echo(f"{'rung':>4}  {'name':10}{'works':8}why not, or what it cannot do")
    click.echo(f"{0:>4}  {'data':10}{'yes':8}Packages are placed, nothing runs: for every platform.")
    for trial in diagnosis.trials:
        _show_trial(trial)
    native = diagnosis.native_program
    click.echo(f"\nocibuild-root (rung 3): {native.path or native.reason}")
    _tell("hint: ", native.hint)
    click.echo(f"store: {_folder_text(diagnosis.store)}")
    _tell("", diagnosis.store_notice)
    click.echo(f"temporary files: {_folder_text(diagnosis.temporary)}")
    click.echo("\nWhat this machine can build")
    for sentence in diagnosis.can_build:
        _tell("- ", sentence)
    if diagnosis.advice:
        click.echo("\nWhat to change")
        for sentence in diagnosis.advice:
            _tell("- ", sentence)


def _show_trial(trial: Trial) -> None:
    lines = list(trial.notes) if trial.works else [trial.reason, *([f"hint: {trial.hint}"] if trial.hint else [])]
    head = f"{trial.number:>4}  {trial.name:10}{'yes' if trial.works else 'no':8}"
    for line in lines or [""]:
        click.echo(textwrap.fill(line, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head)).rstrip())
        head = " " * len(head)


def _tell(head: str, text: str | None) -> None:
    if text:
        click.echo(textwrap.fill(text, _WIDTH, initial_indent=f"  {head}", subsequent_indent="  " + " " * len(head)))


def _folder_text(folder: Folder) -> str:
    facts = [
        "writable" if folder.is_writable else "not writable",
        *(["mounted noexec"] if folder.is_noexec else []),
        *([f"{format_size(folder.free_bytes)} free"] if folder.free_bytes is not None else []),
    ]
    return f"{folder.path} ({', '.join(facts)})"


def _object(diagnosis: Diagnosis) -> dict[str, Any]:
    native = diagnosis.native_program
    return {
        "platform": str(diagnosis.platform),
        "kernel": diagnosis.kernel,
        "rungs": [asdict(trial) for trial in diagnosis.trials],
        "chosen": diagnosis.chosen.name if diagnosis.chosen else None,
        "ocibuild_root": {
            "path": str(native.path) if native.path else None,
            "reason": native.reason,
            "hint": native.hint,
        },
        "store": {**asdict(diagnosis.store), "path": str(diagnosis.store.path), "notice": diagnosis.store_notice},
        "temporary": {**asdict(diagnosis.temporary), "path": str(diagnosis.temporary.path)},
        "is_pod": diagnosis.is_pod,
        "can_build": list(diagnosis.can_build),
        "advice": list(diagnosis.advice),
    }
