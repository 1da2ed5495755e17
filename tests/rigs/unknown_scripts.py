"""Prints the parts of maintainer scripts that are not known, with their keys, so that the table can be extended.

Usage: python tests/rigs/unknown_scripts.py DEB... | --text DEB...

With ``--text`` the normalised text of each part is printed too. Read a part before it enters
``ocibuild/ecosystem/apt/configure/known_scripts.toml``: the table is a promise that its operations do what it does.
"""

import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from ocibuild.ecosystem.apt.configure.known import known_parts, script_parts
from ocibuild.ecosystem.apt.configure.package import ConfiguredPackage

SCRIPTS = ("preinst", "postinst")


def read_package(deb: Path) -> ConfiguredPackage:
    fields = [
        subprocess.run(["dpkg-deb", "-f", deb, name], check=True, capture_output=True, text=True).stdout.strip()
        for name in ("Package", "Architecture", "Version")
    ]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "-e", deb, folder], check=True)
        scripts = {name: path.read_bytes() for name in SCRIPTS if (path := Path(folder, name)).exists()}
    return ConfiguredPackage(fields[0], fields[1], fields[2], "", scripts)


def main(arguments: list[str]) -> None:
    with_text = "--text" in arguments
    packages = [read_package(Path(argument)) for argument in arguments if argument.endswith(".deb")]
    seen: dict[str, list[str]] = defaultdict(list)
    parts = {}
    unknown = set()
    for package in packages:
        for member in SCRIPTS:
            for part in script_parts(package, member):
                if part.key not in known_parts():
                    seen[part.key].append(f"{package.name} {package.version} {member}")
                    parts[part.key] = part
                    unknown.add(package.name)
    for key, where in sorted(seen.items(), key=lambda item: -len(item[1])):
        print(f"{key} {parts[key].tool or 'own'} {len(where)} x {where[0]}")
        if with_text:
            print("\n".join(f"    {line}" for line in parts[key].normalised.splitlines()))
    names = {package.name for package in packages}
    print(f"{len(names - unknown)} of {len(names)} packages are known")


if __name__ == "__main__":
    main(sys.argv[1:])
