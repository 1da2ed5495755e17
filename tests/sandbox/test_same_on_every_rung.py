"""The same repositories give the same layers whatever runs their steps."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from ocibuild.sandbox.ladder import try_rungs
from tests.support.program import program_command

pytestmark = [pytest.mark.network, pytest.mark.slow]


@dataclass(frozen=True)
class Case:
    """A repository: its files by name; those that begin with ``#!`` are executable.

    ``but`` tells why a rung cannot give the same.
    """

    name: str
    files: dict[str, str] = field(default_factory=dict)
    but: dict[str, str] = field(default_factory=dict)


def _root_step(*lines: str) -> str:
    script = "\n".join(lines)
    return f"[[step]]\nname = 'as root'\nuser = 'root'\nrun = '''\n{script}\n'''\n"


CASES = (
    Case(
        "files of a user",
        {
            "postBuild": "#!/bin/bash -e\nmkdir -p a/{b,c}/d\necho x > a/b/d/f; ln a/b/d/f a/hard; ln -s ../b a/c/link\n"
            "chmod 600 a/hard; chmod 1777 a/b; touch -d 2001-01-01 a/c/old; printf '%s' 'ä' > $'a/n\\303\\244me'\n",
        },
    ),
    Case(
        "owners and set-id bits",
        {
            "ocibuild.toml": _root_step(
                "mkdir /srv/a /srv/b; chown root:staff /srv/a; chmod 2775 /srv/a; chown 1000:50 /srv/b",
                "echo x > /srv/a/inherits; mkdir /srv/a/sub; chown 7 /srv/a/sub; cp /bin/true /srv/b/t; chmod 6755 /srv/b/t",
                "chown -h daemon:adm /srv/b; ln -s x /srv/b/link; chown -h daemon /srv/b/link; chgrp -R staff /srv/b",
            )
        },
    ),
    Case(
        "accounts",
        {
            "ocibuild.toml": _root_step(
                "groupadd -g 2000 team; useradd -m -u 2001 -g team -s /bin/sh ann; gpasswd -a ann staff",
                "sed -i 's/:[0-9]*:0:99999:7:::$/:3652:0:99999:7:::/' /etc/shadow; rm -f /etc/*-",
            )
        },
    ),
    Case(
        "work as another user",
        {
            "ocibuild.toml": _root_step(
                "groupadd -g 2000 team; useradd -m -u 2001 -g team -s /bin/sh ann",
                "su ann -c 'id -u > ~/id; umask 027; mkdir ~/own; echo y > ~/own/f'",
                "setpriv --reuid 2001 --regid 2000 --clear-groups sh -c 'id -g > /home/ann/gid'",
                "sed -i 's/:[0-9]*:0:99999:7:::$/:3652:0:99999:7:::/' /etc/shadow; rm -f /etc/*-",
            )
        },
        but={"one-id": "there is one id alone: whoever changes his keeps it"},
    ),
    Case(
        "what is removed and replaced",
        {
            "ocibuild.toml": _root_step(
                "rm -rf /usr/share/doc/tar /usr/share/doc/sed/*; rm /etc/issue; mkdir /etc/issue; echo i > /etc/issue/file",
                "mv /usr/share/doc/grep /usr/share/doc/grep.d; rm -rf /usr/share/doc/dpkg; echo f > /usr/share/doc/dpkg",
                "chown -R root:root /usr/share /etc; touch /etc/passwd; cp -p /etc/passwd /etc/p; mv /etc/p /etc/passwd",
            )
        },
    ),
    Case(
        "dpkg's own tools",
        {
            "ocibuild.toml": _root_step(
                "dpkg-divert --local --rename --divert /usr/bin/tac.real /usr/bin/tac; ln -s cat /usr/bin/tac",
                "update-alternatives --install /usr/bin/again again /usr/bin/yes 10",
                "dpkg-statoverride --add root staff 2775 /opt; dpkg-statoverride --update --add daemon adm 640 /etc/motd2 || true",
                "rm -rf /var/lib/dpkg/diversions-old /var/lib/dpkg/statoverride-old",
            )
        },
    ),
    Case("a package whose scripts must run", {"apt.txt": "sgml-base\nxml-core\n"}),
    Case(
        "a language's packages",
        {
            "requirements.txt": "six==1.16.0\n",
            "postBuild": "#!/bin/sh -e\npip install --no-cache-dir --no-compile idna==3.7 | tail -1\n",
        },
    ),
    Case(
        "python with processes and threads",
        {
            "apt.txt": "python3-minimal\npython3\n",
            "postBuild": "#!/usr/bin/env python3\nimport multiprocessing, threading, json\n"
            "def square(n): return n * n\n"
            "if __name__ == '__main__':\n"
            "    with multiprocessing.get_context('spawn').Pool(3) as pool: squares = pool.map(square, range(50))\n"
            "    names = []; threads = [threading.Thread(target=names.append, args=(n,)) for n in range(70)]\n"
            "    [t.start() for t in threads]; [t.join() for t in threads]\n"
            "    open('squares.json', 'w').write(json.dumps([squares, sorted(names)]))\n",
        },
    ),
    Case(
        "a compiler",
        {
            "apt.txt": "gcc\nlibc6-dev\nmake\n",
            "Makefile": "all: one two\n%: %.c\n\tgcc -O1 -o $@ $<\n\t./$@ > $@.out\n",
            "one.c": '#include <stdio.h>\nint main(void) { puts("one"); return 0; }\n',
            "two.c": '#include <unistd.h>\n#include <stdio.h>\nint main(void) { printf("%d\\n", (int)getuid()); return 0; }\n',
            "postBuild": "#!/bin/sh -e\nmake -j4\n",
        },
    ),
    Case(
        "git",
        {
            "apt.txt": "git\n",
            "postBuild": "#!/bin/sh -e\ngit init -q -b main g; cd g; git config user.email a@b; git config user.name a\n"
            "echo 1 > f; git add f; GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000' git commit -qm m; git log --format=%H > ../head\n"
            "rm -rf .git\n",
        },
    ),
    Case(
        "perl, tar and a pipeline",
        {
            "postBuild": '#!/bin/bash -e\nset -m\nperl -e \'mkdir "p"; for (1..200) { open F, ">p/$_"; print F $_ x $_; close F }\'\n'
            "tar -C p -cf - . | (mkdir q; tar -C q -xf -); rm -r p; (sleep 0.1; echo late > late) & wait\n"
            "diff <(ls q | wc -l) <(echo 200); trap 'echo caught > caught' USR1; kill -USR1 $$\n",
        },
    ),
    Case(
        "locales and their archive",
        {"apt.txt": "locales\n", "ocibuild.toml": _root_step("echo 'de_DE.UTF-8 UTF-8' > /etc/locale.gen; locale-gen")},
    ),
    Case(
        "capabilities",
        {
            "apt.txt": "libcap2-bin\n",
            "ocibuild.toml": _root_step(
                "cp /usr/bin/cat /srv/reader; setcap cap_dac_read_search+ep /srv/reader; chmod 750 /srv/reader",
            ),
        },
    ),
    Case(
        "capabilities that are looked at",
        {
            "apt.txt": "libcap2-bin\n",
            "ocibuild.toml": _root_step(
                "cp /usr/bin/cat /srv/reader; setcap cap_dac_read_search+ep /srv/reader; getcap /srv/reader > /srv/told",
            ),
        },
        but={"one-id": "capabilities are noted, and not shown"},
    ),
)


@cache
def _rungs() -> tuple[str, ...]:
    return tuple(trial.name for trial in try_rungs() if trial.works)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the packages, kept between runs where OCIBUILD_TEST_CACHE says so."""
    cache_folder = os.environ.get("OCIBUILD_TEST_CACHE")
    return Path(cache_folder) / "store" if cache_folder else tmp_path_factory.mktemp("store")


def _built(store: Path, *arguments: str | Path) -> str:
    done = subprocess.run(
        program_command(*arguments),
        env={**os.environ, "OCIBUILD_STORE": str(store)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _without_what_is_made(warm: Path, store: Path) -> Path:
    """A copy that has what was downloaded: the step that configures packages takes no variable of the image."""
    if not (warm / "records").is_dir():
        return store
    made = shutil.ignore_patterns("fragment-*", "layer-*", "build-*", "frame-*", "image*", ".partial-*")
    shutil.copytree(warm / "records", store / "records", copy_function=os.link, ignore=made)
    shutil.copytree(warm / "blobs", store / "blobs", copy_function=os.link, ignore=made)
    return store


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_rung_gives_the_same_layers(case: Case, warm: Path, tmp_path: Path) -> None:
    source = tmp_path / "repo"
    source.mkdir()
    for name, text in case.files.items():
        (source / name).write_text(text)
        (source / name).chmod(0o755 if text.startswith("#!") else 0o644)
    layers = {}
    for rung in (name for name in _rungs() if name not in case.but):
        # A variable of the image changes no layer, but what runs with it is not what ran before.
        anew = f"TEST_RUN={tmp_path} {rung}"
        store = _without_what_is_made(warm, tmp_path / f"store-{rung}") if "apt.txt" in case.files else warm
        _built(store, "build", source, "--sandbox", rung, "--env", anew, "-o", f"oci:{tmp_path}/image-{rung}")
        (inspected,) = json.loads(_built(warm, "inspect", f"oci:{tmp_path}/image-{rung}", "--json"))
        layers[rung] = [(layer["name"], layer["diff_id"]) for layer in inspected["layers"]]
    assert len(layers) >= 2
    first, *others = layers.items()
    for name, other in others:
        assert other == first[1], f"{name} differs from {first[0]}"
