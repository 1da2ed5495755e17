import pytest

from ocibuild.core.errors import BuildError
from ocibuild.image.overlay import Overlay
from ocibuild.image.view import LayerTable, View, ViewEntry
from ocibuild.plan.accounts import ensure_account
from ocibuild.spec.catalogue import Account

JOVYAN = Account("jovyan", 1000, 1000, "/home/jovyan", "/bin/bash", "Default user")


def overlay(files: dict[str, bytes]) -> Overlay:
    entries = {"etc": ViewEntry("directory", 0o755), "home": ViewEntry("directory", 0o755)}
    entries |= {
        path: ViewEntry("file", 0o640 if "shadow" in path else 0o644, 0, 42 if "shadow" in path else 0, len(data))
        for path, data in files.items()
    }
    return Overlay(View().extended([LayerTable(entries, files)]))


def test_a_new_account() -> None:
    image = overlay(
        {
            "etc/passwd": b"root:x:0:0:root:/root:/bin/bash\n",
            "etc/group": b"root:x:0:\nshadow:x:42:\n",
            "etc/shadow": b"root:*:19000:0:99999:7:::\n",
            "etc/gshadow": b"root:*::\n",
        }
    )
    ensure_account(image, JOVYAN)
    assert image.read("etc/passwd").endswith(b"\njovyan:x:1000:1000:Default user:/home/jovyan:/bin/bash\n")
    assert image.read("etc/group").endswith(b"\njovyan:x:1000:\n")
    assert image.read("etc/shadow").endswith(b"\njovyan:!:3652:0:99999:7:::\n")
    assert image.read("etc/gshadow").endswith(b"\njovyan:!::\n")
    changed = {entry.path: (entry.mode, entry.uid, entry.gid) for entry in image.changes()}
    assert changed["home/jovyan"] == (0o755, 1000, 1000)
    assert changed["etc/shadow"] == (0o640, 0, 42)


def test_an_account_that_has_the_id_is_renamed() -> None:
    image = overlay(
        {
            "etc/passwd": b"root:x:0:0::/root:/bin/sh\nubuntu:x:1000:1000:U:/home/ubuntu:/bin/sh\nlast:x:5:5::/:/bin/sh\n",
            "etc/group": b"adm:x:4:ubuntu,syslog\nubuntu:x:1000:\n",
            "etc/shadow": b"ubuntu:!:19000:0:99999:7:::\n",
        }
    )
    ensure_account(image, JOVYAN)
    assert image.read("etc/passwd").splitlines()[1] == b"jovyan:x:1000:1000:Default user:/home/jovyan:/bin/bash"
    assert image.read("etc/group") == b"adm:x:4:jovyan,syslog\njovyan:x:1000:\n"
    assert image.read("etc/shadow") == b"jovyan:!:19000:0:99999:7:::\n"
    assert "etc/gshadow" not in image


def test_an_account_that_is_there_changes_nothing_but_the_home() -> None:
    line = b"jovyan:x:1000:1000:Default user:/home/jovyan:/bin/bash\n"
    image = overlay({"etc/passwd": line, "etc/group": b"jovyan:x:1000:\n"})
    ensure_account(image, JOVYAN)
    assert [entry.path for entry in image.changes()] == ["home/jovyan"]


def test_a_name_with_another_id_is_refused() -> None:
    image = overlay({"etc/passwd": b"jovyan:x:1001:1001::/home/jovyan:/bin/sh\n", "etc/group": b""})
    with pytest.raises(BuildError, match="'jovyan' with another id"):
        ensure_account(image, JOVYAN)


def test_an_empty_base_gets_root_too() -> None:
    image = Overlay(View())
    ensure_account(image, JOVYAN)
    assert image.read("etc/passwd").startswith(b"root:x:0:0:")
    assert image.read("etc/group") == b"root:x:0:\njovyan:x:1000:\n"
