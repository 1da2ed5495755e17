"""Docker's default seccomp profile, out of Debian's package of Docker's source, in the form that runc takes."""

import json
import platform
import subprocess
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

__all__ = ["docker_profile", "runtime_profile"]

_PACKAGE = "golang-github-docker-docker-dev"
_MEMBER = "usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json"
_ARCHITECTURES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}


def docker_profile(cache: Path) -> dict[str, Any]:
    """The profile as Docker has it; fetched with apt where ``cache`` does not hold it."""
    kept = cache / "docker-seccomp.json"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["apt-get", "download", "-q", _PACKAGE], cwd=folder, check=True, capture_output=True)
            (archive,) = Path(folder).glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", archive, f"{folder}/files"], check=True)
            kept.write_bytes(Path(folder, "files", _MEMBER).read_bytes())
    profile: dict[str, Any] = json.loads(kept.read_bytes())
    return profile


def runtime_profile(profile: dict[str, Any], *, capabilities: Collection[str]) -> dict[str, Any]:
    """The profile for a container with these capabilities on this machine.

    Docker's own form has conditions (capabilities, architectures, the least kernel) that a runtime does not know: they
    are decided here, as Docker decides them when it starts a container.
    """
    architecture, name = _ARCHITECTURES[platform.machine()]
    kernel = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])
    below: list[str] = next(
        (each["subArchitectures"] for each in profile["archMap"] if each["architecture"] == name), []
    )

    def holds(call: dict[str, Any]) -> bool:
        includes, excludes = call.get("includes") or {}, call.get("excludes") or {}
        least = includes.get("minKernel")
        return (
            all(capability in capabilities for capability in includes.get("caps") or ())
            and (not includes.get("arches") or architecture in includes["arches"])
            and (least is None or kernel >= tuple(map(int, least.split("."))))
            and not any(capability in capabilities for capability in excludes.get("caps") or ())
            and architecture not in (excludes.get("arches") or ())
        )

    kept = ("names", "action", "args", "errnoRet")
    return {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile.get("defaultErrnoRet", 1),
        "architectures": [name, *below],
        "syscalls": [
            {key: call[key] for key in kept if call.get(key) is not None} for call in profile["syscalls"] if holds(call)
        ],
    }
