"""What repo2docker makes of repositories: a program for an interpreter that has jupyter-repo2docker.

Reads a JSON list of folders from standard input and writes, for each, an object: ``buildpack`` (a class's name),
``python`` and ``dockerfile`` (what ``render`` gives), and ``error`` where one of them raises. It does what
``Repo2Docker.build`` does before it calls Docker. What it would ask of the network is answered here.
"""

import json
import logging
import os
import sys
from typing import Any

from repo2docker.app import Repo2Docker
from repo2docker.buildpacks import JuliaProjectTomlBuildPack, RBuildPack

JuliaProjectTomlBuildPack.all_julias = ["1.6.7", "1.10.0"]
RBuildPack.get_rspm_snapshot_url = lambda _pack, _day: "https://packages.example.org/cran"
logging.disable(logging.CRITICAL)


def answer(app: Repo2Docker, folder: str) -> dict[str, Any]:
    os.chdir(folder)
    found: dict[str, Any] = {}
    try:
        packs = (kind(base_image=app.base_image) for kind in app.buildpacks)
        pack = next((pack for pack in packs if pack.detect()), None) or app.default_buildpack(base_image=app.base_image)
        found["buildpack"] = type(pack).__name__
        pack.platform = "linux/amd64"
        pack.appendix = app.appendix
        pack.labels["repo2docker.version"] = "1"
        pack.labels["repo2docker.repo"] = "local"
        pack.labels["repo2docker.ref"] = None
        found["dockerfile"] = pack.render({"NB_USER": "jovyan", "NB_UID": "1000"})
        found["python"] = getattr(pack, "python_version", None)
    except Exception as error:  # noqa: BLE001 - whatever it raises is the answer
        found["error"] = f"{type(error).__name__}: {error}"
    return found


def main() -> None:
    folders = json.load(sys.stdin)
    json.dump([answer(Repo2Docker(), folder) for folder in folders], sys.stdout)


if __name__ == "__main__":
    main()
