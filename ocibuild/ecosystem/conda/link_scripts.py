"""The scripts that packages want to be run once they are installed. They are listed here, and run by nobody here.

Source: conda's documentation, "Using post-link, pre-link, and pre-unlink scripts"; conda's ``core/link.py``
(``run_script``).
"""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ocibuild.core.package import LockedPackage
from ocibuild.core.paths import DEFAULT_PATH
from ocibuild.core.step import Step
from ocibuild.ecosystem.conda.order import install_order

__all__ = ["post_link_steps"]


def post_link_steps(
    packages: Sequence[LockedPackage],
    notes: Mapping[str, Mapping[str, bytes]],
    *,
    prefix: str,
    user: str,
    root_prefix: str = "",
) -> list[Step]:
    """A step for each package with a post-link script, dependencies first; the complete prefix must be there.

    ``notes`` are those of placing (:func:`.place.place`), by package name. ``root_prefix`` is where conda itself is;
    without one, scripts are told the environment.
    """
    steps = []
    for package in install_order(packages):
        script = notes.get(package.name, {}).get("post-link")
        if script is None:
            continue
        record = json.loads(package.fields.get("record", "{}"))
        variables = {
            "PREFIX": f"/{prefix}",
            "ROOT_PREFIX": f"/{root_prefix or prefix}",
            "PKG_NAME": package.name,
            "PKG_VERSION": package.version,
            "PKG_BUILDNUM": str(record.get("build_number", 0)),
            "PATH": f"/{prefix}/bin:{DEFAULT_PATH}",
        }
        steps.append(
            Step(
                name=f"post-link script of {package.name}",
                arguments=("bash", f"/{prefix}/{script.decode()}"),
                why=f"the conda package {package.identity} brings a script that conda runs after installing it",
                user=user,
                working_folder=f"/{prefix}/bin",
                environment=MappingProxyType(variables),
                has_secrets=False,
            )
        )
    return steps
