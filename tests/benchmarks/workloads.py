"""The repositories that the benchmark builds."""

import shutil
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DATA_SCIENCE", "SIBLINGS", "WEB_APP", "Workload"]

_DATA_SCIENCE = Path(__file__).with_name("data-science")
_POST_BUILD = "#!/bin/sh -e\npython -c 'import numpy; print(numpy.arange(10).sum())' > sum\n"
_APP = "import flask\n\napp = flask.Flask(__name__)\nprint(flask.__name__, app.name)\n"
_MODULES = 17
"""With main.py, requirements.txt and apt.txt the data-science repository has 20 files, and its postBuild."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A repository: Debian and Python packages, source files, and a step at its end or none."""

    name: str
    debian: tuple[str, ...]
    python: tuple[str, ...]
    has_step: bool = False

    def write(self, folder: Path) -> Path:
        """Make the repository in this folder, as it is before any change."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if self.debian:
            (folder / "apt.txt").write_text("".join(f"{name}\n" for name in self.debian))
        (folder / "requirements.txt").write_text("".join(f"{name}\n" for name in self.python))
        if self is DATA_SCIENCE:
            shutil.copy(_DATA_SCIENCE / "main.py", folder / "main.py")
            for number in range(_MODULES):
                (folder / f"part_{number:02}.py").write_text(f"def part() -> int:\n    return {number}\n" * 20)
        else:
            (folder / "main.py").write_text(_APP if self is WEB_APP else f"print({self.name!r})\n")
        if self.has_step:
            (folder / "postBuild").write_text(_POST_BUILD)
            (folder / "postBuild").chmod(0o755)
        return folder


DATA_SCIENCE = Workload(
    "data-science",
    tuple((_DATA_SCIENCE / "apt.txt").read_text().split()),
    tuple((_DATA_SCIENCE / "requirements.txt").read_text().split()),
    has_step=True,
)
WEB_APP = Workload("web-app", (), ("flask", "gunicorn"))
_SHARED = ("numpy", "pandas", "matplotlib", "jupyterlab")
_OWN = (
    ("scipy",), ("scikit-learn",), ("requests", "tqdm"), ("ipywidgets",), ("sympy",), ("networkx",), ("openpyxl",),
    ("flask",), ("scipy", "seaborn"), ("statsmodels",),
)  # fmt: skip
SIBLINGS = tuple(Workload(f"sibling-{number}", ("git", "curl"), (*_SHARED, *own)) for number, own in enumerate(_OWN))
"""Ten repositories that share most packages."""
