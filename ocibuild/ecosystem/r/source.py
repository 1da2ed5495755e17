"""Source packages: they are built in the image by its own R, after every package that is placed."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from ocibuild.core.package import LockedPackage
from ocibuild.core.step import Step
from ocibuild.spec.r_description import RDescription

__all__ = ["SOURCE", "is_source", "source_fields", "source_step"]

SOURCE: Final = "source"
"""The architecture of a locked package that has to be built."""

STEP_NAME: Final = "R packages from source"
_FOLDER = "/run/r-sources"
# Two builds give the same bytes: a package is unpacked to the same folder, which compilers and R's help note down (R
# itself would choose one by chance), and the field Built says the same time.
_SCRIPT = """\
library=$1; shift
folder=/tmp/ocibuild-r-source
for archive; do
    rm -rf "$folder"; mkdir "$folder"
    tar -xf "$archive" -C "$folder"
    R CMD INSTALL --library="$library" --built-timestamp="1980-01-01 00:00:00 UTC" "$folder"/*
done
rm -rf "$folder"
"""


def is_source(package: LockedPackage) -> bool:
    """Whether a locked package of R has to be built."""
    return package.architecture == SOURCE


def source_fields(description: RDescription) -> dict[str, str]:
    """What a lock says of a source package: ``compiled`` where it holds code for a compiler."""
    return {"compiled": "yes"} if description.fields.get("NeedsCompilation", "no").lower() == "yes" else {}


def source_step(packages: Sequence[LockedPackage], *, library: str) -> Step | None:
    """The step that builds and installs the sources among these, in their order; None where there is none."""
    sources = [package for package in packages if is_source(package)]
    if not sources:
        return None
    inputs = {f"{_FOLDER}/{package.name}_{package.version}.tar.gz": package.digest for package in sources}
    return Step(
        STEP_NAME,
        ("/bin/sh", "-ec", _SCRIPT, "R", f"/{library}", *inputs),
        f"no repository has them built: {', '.join(package.name for package in sources)}",
        environment=MappingProxyType({"LC_ALL": "C.UTF-8", "TZ": "UTC"}),
        has_secrets=False,
        inputs=MappingProxyType(inputs),
    )
