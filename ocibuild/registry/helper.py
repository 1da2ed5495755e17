"""Credential helpers: programs ``docker-credential-NAME`` that keep secrets (docker-credential-helpers' protocol)."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping

from ocibuild.core.events import EventSink, Notice
from ocibuild.registry.credentials import Credential

__all__ = ["ask_helper"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_FOUND = "credentials not found in native keychain"
_TOKEN_USER = "<token>"  # noqa: S105 - the protocol's word for "the secret is an identity token"
_TIMEOUT_SECONDS = 60  # a helper may ask a cloud, or its user
_QUOTED_CHARACTERS = 200


def ask_helper(
    name: str, server: str, *, environment: Mapping[str, str], events: EventSink, named_in: str
) -> Credential | None:
    """What the helper ``name`` knows of ``server`` (``host[:port]``, or Docker Hub's old index URL).

    None where it knows nothing. A helper that is missing or fails also knows nothing, and the user is warned: a public
    image must stay readable when a key ring is locked. ``named_in`` is the file that names the helper.
    """

    def warn(reason: str) -> None:
        events(Notice(f"{named_in}: credential helper {name!r} for {server}: {reason}", warning=True))

    program = f"docker-credential-{name}"
    path = shutil.which(program, path=environment.get("PATH", "")) if _NAME.fullmatch(name) else None
    if path is None:
        warn(f"there is no program {program} on the PATH")
        return None
    try:
        done = subprocess.run(
            [path, "get"],
            input=server.encode(),
            capture_output=True,
            env=dict(environment),
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        warn(f"it cannot be run: {error.strerror}" if isinstance(error, OSError) else "it gave no answer in time")
        return None
    if done.returncode != 0:
        said = (done.stdout.strip() or done.stderr.strip()).decode(errors="replace")
        if _NOT_FOUND not in said:
            warn(f"exit status {done.returncode}: {' '.join(said.split())[:_QUOTED_CHARACTERS]}")
        return None
    credential = _parsed(done.stdout)
    if credential is None:
        warn("its answer is not a JSON object with Username and Secret")
    return credential


def _parsed(output: bytes) -> Credential | None:
    try:
        value = json.loads(output)
        username, secret = value["Username"], value["Secret"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(username, str) or not isinstance(secret, str):
        return None
    if username == _TOKEN_USER:
        return Credential(identity_token=secret)
    return Credential(username, secret)
