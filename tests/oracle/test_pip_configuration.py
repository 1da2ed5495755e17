"""The settings read are those that pip's own ``install`` command would work with."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from ocibuild.ecosystem.pip.configuration import read_index_settings

# pip's own parser, after it has read its files and the environment.
ASK_PIP = """
import json
from pip._internal.commands import create_command
from pip._internal.models.index import PyPI
options, _ = create_command("install").parser.parse_args([])
print(json.dumps({
    "index_url": None if options.index_url == PyPI.simple_url else options.index_url, "extra_index_urls": options.extra_index_urls, "find_links": options.find_links,
    "trusted_hosts": options.trusted_hosts, "constraints": options.constraints, "no_index": options.no_index,
    "require_hashes": bool(options.require_hashes), "certificate": options.cert, "proxy": options.proxy or None,
}))
"""
FILES = ("xdg1/pip/pip.conf", "xdg2/pip/pip.conf", "home/.pip/pip.conf", "home/.config/pip/pip.conf", "own.conf")
VALUES = {
    "index-url": ("https://one/simple", "https://u:p@two/simple"),
    "extra-index-url": ("https://a/", "https://b/ https://c/", "\n    https://d/\n    https://e/"),
    "find-links": ("/links", "/links /more", "https://pages/"),
    "trusted-host": ("h1", "h1 h2"),
    "constraint": ("/c1.txt", "/c1.txt /c2.txt"),
    "no-index": ("1", "true", "no", "0", "on"),
    "require-hashes": ("yes", "false"),
    "cert": ("/ca.pem",),
    "proxy": ("http://proxy:1",),
}


@pytest.mark.parametrize("seed", range(25))
def test_the_same_settings_as_pip(seed: int, tmp_path: Path) -> None:
    numbers = random.Random(seed)
    for file in numbers.sample(FILES, numbers.randint(0, len(FILES))):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        sections = {}
        for section in numbers.sample(("global", "install", "freeze"), numbers.randint(1, 3)):
            keys = numbers.sample(sorted(VALUES), numbers.randint(0, 4))
            spelt = {key: numbers.choice((key, key.replace("-", "_"), key.upper())) for key in keys}
            sections[section] = "".join(f"{spelt[key]} = {numbers.choice(VALUES[key])}\n" for key in keys)
        path.write_text("".join(f"[{name}]\n{text}" for name, text in sections.items()))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "XDG_"))}
    environment = kept | {
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_DIRS": f"{tmp_path}/xdg1:{tmp_path}/xdg2",
        "UV_NO_CONFIG": "1",
    }
    for key in numbers.sample(sorted(VALUES), numbers.randint(0, 3)):
        environment["PIP_" + key.upper().replace("-", "_")] = numbers.choice(VALUES[key]).strip()
    if numbers.random() < 0.5:
        environment["PIP_CONFIG_FILE"] = numbers.choice(
            (str(tmp_path / "own.conf"), "/dev/null", str(tmp_path / "missing"))
        )
    done = subprocess.run([sys.executable, "-c", ASK_PIP], capture_output=True, text=True, check=True, env=environment)
    pips = json.loads(done.stdout)
    ours = read_index_settings(environment, home=tmp_path / "home", prefix=Path(sys.prefix))
    assert {name: getattr(ours, name) for name in pips} == {
        name: tuple(dict.fromkeys(value)) if isinstance(value, list) else value for name, value in pips.items()
    }
