import dataclasses

import pytest

from ocibuild.core.platform import Platform
from ocibuild.ecosystem.pip.prefix import DEFAULT_PREFIX, prefix_entries, prefix_interpreter, seed_requirements
from ocibuild.ecosystem.pip.target import Libc, PythonTarget
from ocibuild.image.view import View, ViewEntry
from ocibuild.layer.entry import Entry, EntryKind

TARGET = PythonTarget(
    "3.11.2", "/usr/bin/python3", "usr/bin/python3.11", "usr/lib/python3.11", Platform(), Libc("glibc", 2, 36)
)


def entries(target: PythonTarget = TARGET, prefix: str = DEFAULT_PREFIX, **templates: str) -> dict[str, Entry]:
    """Below the prefix; templates are named by their file, with two underscores for a slash."""
    kept = {
        f"{target.standard_library}/venv/scripts/{name.replace('__', '/').replace('_DOT_', '.')}": text.encode()
        for name, text in templates.items()
    }
    view = View({path: ViewEntry("file", 0o644) for path in kept}, kept=kept)
    made = list(prefix_entries(target, view, prefix=prefix, uid=1000, gid=100))
    assert {(entry.uid, entry.gid) for entry in made} == {(1000, 100)}
    assert made[0].path == prefix
    return {entry.path.removeprefix(prefix).lstrip("/"): entry for entry in made}


def test_the_tree() -> None:
    made = entries()
    assert {path: entry.link for path, entry in made.items() if entry.kind is EntryKind.SYMLINK} == {
        "lib64": "lib",
        "bin/python3": "/usr/bin/python3",
        "bin/python": "python3",
        "bin/python3.11": "python3",
    }
    assert made["pyvenv.cfg"].read().decode() == (
        "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\nexecutable = /usr/bin/python3.11\n"
        "command = /usr/bin/python3 -m venv /srv/conda/envs/notebook\n"
    )
    assert "lib/python3.11/site-packages" in made
    assert ".gitignore" not in made


def test_a_later_python() -> None:
    target = dataclasses.replace(TARGET, version="3.14.0rc2", interpreter="/usr/local/bin/python3")
    made = entries(target)
    assert made["bin/python3"].link == "/usr/local/bin/python3"
    assert b"version = 3.14.0\n" in made["pyvenv.cfg"].read()
    assert made[".gitignore"].read().endswith(b"\n*\n")


# The three ages of venv's templates: values inside the template's quotes, quoted by venv, and a prompt without
# parentheses of its own.
@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('VIRTUAL_ENV="__VENV_DIR__"\nPS1="__VENV_PROMPT__$PS1"\n', 'VIRTUAL_ENV="/a b/env"\nPS1="(env) $PS1"\n'),
        ('VIRTUAL_ENV=__VENV_DIR__\nPS1=__VENV_PROMPT__"$PS1"\n', "VIRTUAL_ENV='/a b/env'\nPS1='(env) '\"$PS1\"\n"),
        (
            'VIRTUAL_ENV=__VENV_DIR__\nPS1="("__VENV_PROMPT__") $PS1"\n',
            'VIRTUAL_ENV=\'/a b/env\'\nPS1="("env") $PS1"\n',
        ),
    ],
)
def test_templates_are_filled_as_their_venv_fills_them(template: str, expected: str) -> None:
    made = entries(prefix="a b/env", common__activate=template)
    assert made["bin/activate"].read().decode() == expected


def test_the_other_shells_follow_the_posix_template() -> None:
    made = entries(
        prefix="it's/env",
        common__activate='X=__VENV_DIR__ "("__VENV_PROMPT__")"',
        common__activate_DOT_fish="__VENV_PROMPT__ __VENV_BIN_NAME__",
        posix__activate_DOT_csh="__VENV_DIR__",
        common__Activate_DOT_ps1="$x = __VENV_DIR__ __VENV_PYTHON__",
    )
    assert made["bin/activate.fish"].read() == b"env bin"
    assert made["bin/activate.csh"].read().decode() == "'/it'\"'\"'s/env'"
    assert made["bin/Activate.ps1"].read().decode() == "$x = '/it''s/env' '/it''s/env/bin/python3'"


def test_without_templates_there_is_a_short_one() -> None:
    made = entries()
    assert b"VIRTUAL_ENV=/srv/conda/envs/notebook\n" in made["bin/activate"].read()
    assert "bin/activate.fish" not in made


def test_what_the_environment_holds_from_the_start() -> None:
    assert [name for name, _ in seed_requirements(TARGET)] == ["pip", "setuptools"]
    assert [name for name, _ in seed_requirements(dataclasses.replace(TARGET, version="3.12.1"))] == ["pip"]
    assert prefix_interpreter(TARGET) == "/srv/conda/envs/notebook/bin/python3"
