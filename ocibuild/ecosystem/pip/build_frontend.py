"""The program that builds one wheel inside the image: a frontend of PEP 517 and PEP 660 in the standard library alone.

This file is not imported by ocibuild. It is put beside the source and run there by the image's own Python, 3.8 or
newer, in an environment that holds what the build requires:

    python build_frontend.py REQUEST

REQUEST is a JSON file (:mod:`.wheel_build` writes it). The answer is ``result.json`` in its ``output``: either
``{"wheel": NAME}``, the file being beside it, or ``{"requires": [...]}`` where the backend asks for more packages than
the environment was made with. What the backend says goes to this program's own streams.
"""

import importlib
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Optional  # noqa: UP035 - Python 3.8 runs this file

_EXECUTABLE_BITS = 0o111


def main(request_path: Path) -> int:
    """Unpack what is packed, ask the backend what it needs, and let it build; 0 where there is an answer."""
    os.umask(0o022)
    request = _read(request_path)
    if request.get("archive"):
        _unpack(Path(request["archive"]), Path(request["source"]))
    project = Path(request["source"], request["subdirectory"])
    if not any((project / name).is_file() for name in ("pyproject.toml", "setup.py")):
        return _fail("it is no Python project: neither pyproject.toml nor setup.py is there")
    kind = "editable" if request["editable"] else "wheel"
    requires = _hook(request_path, project, "get_requires_for_build_" + kind, optional=True)
    if requires is None:
        return 1
    missing = [each for each in requires["value"] or [] if each not in request["known_requires"]]
    if missing:
        _write(Path(request["output"], "result.json"), {"requires": missing})
        return 0
    built = _hook(request_path, project, "build_" + kind, optional=False)
    if built is None:
        return 1
    _write(Path(request["output"], "result.json"), {"wheel": built["value"]})
    return 0


def _hook(request_path: Path, project: Path, name: str, *, optional: bool) -> Optional[Dict[str, Any]]:  # noqa: UP006, UP045 - 3.8
    """Call a hook in a process of its own, as PEP 517 wants; None where it failed."""
    answer = request_path.with_name("answer.json")
    command = [sys.executable, __file__, str(request_path), name, str(answer)]
    if optional:
        command.append("optional")
    done = subprocess.run(command, cwd=project, check=False)
    if done.returncode:
        _fail("%s of its build backend failed (exit code %d)" % (name, done.returncode))  # noqa: UP031 - 3.8
        return None
    return _read(answer)


def call_hook(request_path: Path, name: str, answer_path: Path, *, optional: bool) -> int:
    """Import the backend and call its hook; the working folder is the project's."""
    request = _read(request_path)
    sys.path.pop(0)  # the folder of this file: nothing in it is the backend's business
    project = Path.cwd().resolve()
    for folder in reversed(request["backend_path"]):
        place = (project / folder).resolve()
        if place != project and project not in place.parents:
            return _fail("backend-path %r leads out of the source" % folder)  # noqa: UP031 - 3.8
        sys.path.insert(0, str(place))
    module, _, path = request["backend"].partition(":")
    backend: Any = importlib.import_module(module)
    for part in filter(None, path.split(".")):
        backend = getattr(backend, part)
    hook = getattr(backend, name, None)
    if hook is None and not optional:
        return _fail("its build backend %s has no %s" % (request["backend"], name))  # noqa: UP031 - 3.8
    arguments = [] if name.startswith("get_requires") else [request["output"]]
    settings = request["settings"] or None
    value = hook(*arguments, config_settings=settings) if hook is not None else []
    _write(answer_path, {"value": value})
    return 0


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack a source archive; the one folder that all its members share, if any, is left out, as pip does."""
    if zipfile.is_zipfile(archive):
        _unzip(archive, folder)
        return
    safely: Dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # noqa: UP006 - 3.8
    with tarfile.open(archive) as file:
        members = [member for member in file.getmembers() if not (member.isdev() or member.name.strip("/.") == "")]
        strip = _has_one_folder([member.name for member in members])
        for member in members:
            member.name = _placed(member.name, strip=strip)
            if member.islnk():  # a hard link names a member, a symbolic one does not
                member.linkname = _placed(member.linkname, strip=strip)
            # As pip does: of a mode only whether it runs, of owners nothing.
            member.mode = 0o755 if member.isdir() or member.mode & _EXECUTABLE_BITS else 0o644
            member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
            if member.name:
                file.extract(member, folder, **safely)


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        strip = _has_one_folder(file.namelist())
        for info in file.infolist():
            mode = info.external_attr >> 16
            info.filename = _placed(info.filename, strip=strip) + ("/" if info.is_dir() else "")
            if info.filename.strip("/"):
                path = Path(file.extract(info, folder))
                if not info.is_dir():
                    path.chmod(0o755 if mode & _EXECUTABLE_BITS else 0o644)


def _has_one_folder(names: List[str]) -> bool:  # noqa: UP006 - 3.8
    parts = [name.strip("/").split("/") for name in names if name.strip("/") not in ("", ".")]
    first = {each[0] for each in parts}
    return len(first) == 1 and any(len(each) > 1 for each in parts)


def _placed(name: str, *, strip: bool) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise SystemExit("the archive has a path that leaves it: %r" % name)  # noqa: UP031 - 3.8
    return "/".join(parts[1:] if strip else parts)


def _read(path: Path) -> Dict[str, Any]:  # noqa: UP006 - 3.8
    value: Dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))  # noqa: UP006 - 3.8
    return value


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def _fail(message: str) -> int:
    sys.stderr.write("error: " + message + "\n")
    return 1


if __name__ == "__main__":
    if len(sys.argv) > 2:  # noqa: PLR2004 - this program called itself, see _hook
        sys.exit(call_hook(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), optional="optional" in sys.argv[4:]))
    sys.exit(main(Path(sys.argv[1])))
