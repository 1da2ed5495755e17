"""Runs one program on one rung and prints what came of it as JSON: ``python sandbox_driver.py``, asked on stdin.

A process of its own, so that tests can start it as another user and in other places. Asked is a JSON object: ``rung``
(as ``--sandbox`` takes it), ``root``, and fields of an Execution; with ``is_kept`` the arguments are a command for the
rung's keeper.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ocibuild.core.errors import OcibuildError
from ocibuild.sandbox.chroot import ChrootRung
from ocibuild.sandbox.execution import Execution, Identity, Mount, Streams
from ocibuild.sandbox.ladder import choose
from ocibuild.sandbox.one_id import OneIdRung
from ocibuild.sandbox.rung import Rung
from ocibuild.sandbox.trap import TrapRung


def execution_of(asked: dict[str, Any]) -> Execution:
    return Execution(
        tuple(asked["arguments"]),
        asked.get("environment", {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}),
        Identity(*asked.get("identity", (0, 0))),
        asked.get("working_folder", "/"),
        asked.get("network", True),
        tuple(Mount(Path(source), target, writable) for source, target, writable in asked.get("mounts", ())),
        asked.get("timeout_seconds"),
    )


def rung_of(name: str) -> Rung:
    """The rung that the ladder gives, or one with less than this machine allows."""
    reduced: dict[str, Rung] = {
        "chroot-bare": ChrootRung(),
        "chroot-mounts": ChrootRung(has_mounts=True, can_be_offline=True),
        "one-id-without-processes": OneIdRung(has_processes=False),
    }
    if name == "trap-untried":  # a trial takes as long as most tests do
        return TrapRung.of_this_machine()
    return reduced.get(name) or choose(name)


def run(asked: dict[str, Any], written: bytearray) -> dict[str, Any]:
    rung, root = rung_of(asked["rung"]), Path(asked["root"])
    if asked.get("is_kept"):  # the command changes files of the root from outside
        done = subprocess.run([*rung.keeper(), *asked["arguments"]], capture_output=True, check=False)
        written += done.stdout + done.stderr
        return {"exit_code": done.returncode}
    owners = {(inode, birth): (uid, gid) for inode, birth, uid, gid in asked.get("owners", ())}
    outcome = rung.run(root, execution_of(asked), Streams(written.extend), owners=owners)
    return {
        "exit_code": outcome.exit_code,
        "timed_out": outcome.timed_out,
        "owners": [[*key, *owner] for key, owner in outcome.owners.items()],
        "attributes": [
            [*key, {name: value.hex() for name, value in each.items()}] for key, each in outcome.attributes.items()
        ],
    }


def main() -> None:
    asked = json.load(sys.stdin)
    written = bytearray()
    try:
        answer = run(asked, written)
    except OcibuildError as error:
        answer = {"error": error.message, "hint": error.hint}
    json.dump({**answer, "output": written.decode(errors="replace")}, sys.stdout)


if __name__ == "__main__":
    main()
