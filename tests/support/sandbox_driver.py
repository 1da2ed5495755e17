"""Runs one program on one rung and prints what came of it as JSON: ``python sandbox_driver.py``, asked on stdin.

A process of its own, so that tests can start it as another user and in other places. Asked is a JSON object: ``rung``
(as ``--sandbox`` takes it), ``root``, and fields of an Execution.
"""

import json
import sys
from pathlib import Path
from typing import Any

from ocibuild.core.errors import OcibuildError
from ocibuild.sandbox.execution import Execution, Identity, Mount, Streams


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


def rung_of(name: str) -> Any:
    """The rung as the ladder gives it, or with the least that it may have: ``chroot-bare``."""
    from ocibuild.sandbox.chroot import ChrootRung
    from ocibuild.sandbox.one_id import OneIdRung

    if name == "chroot-bare":
        return ChrootRung()
    if name == "chroot-mounts":
        return ChrootRung(has_mounts=True, can_be_offline=True)
    if name == "one-id-without-processes":
        return OneIdRung(has_processes=False)
    return OneIdRung()


def main() -> None:
    asked = json.load(sys.stdin)
    written = bytearray()
    try:
        streams = Streams(written.extend)
        owners = {(inode, birth): (uid, gid) for inode, birth, uid, gid in asked.get("owners", ())}
        outcome = rung_of(asked["rung"]).run(Path(asked["root"]), execution_of(asked), streams, owners=owners)
    except OcibuildError as error:
        answer = {"error": error.message, "hint": error.hint}
    else:
        answer = {
            "exit_code": outcome.exit_code,
            "timed_out": outcome.timed_out,
            "owners": [[*key, *owner] for key, owner in outcome.owners.items()],
            "attributes": [
                [*key, {name: value.hex() for name, value in each.items()}] for key, each in outcome.attributes.items()
            ],
        }
    json.dump({**answer, "output": written.decode(errors="replace")}, sys.stdout)


if __name__ == "__main__":
    main()
