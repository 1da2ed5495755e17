import pytest

from ocibuild.layer.observation import is_kept


@pytest.mark.parametrize(
    "path",
    [
        "var/lib/dpkg/status",
        "etc/passwd",
        "etc/cron.daily/apt-compat",
        "opt/conda/conda-meta/python-3.12.4-h1_0_cpython.json",
        "srv/env/pyvenv.cfg",
        "usr/local/include/python3.13/patchlevel.h",
        "usr/lib/python3.11/venv/scripts/common/activate",
    ],
)
def test_what_later_phases_read_is_kept(path: str) -> None:
    assert is_kept(path)


@pytest.mark.parametrize(
    "path",
    [
        "var/lib/dpkg",
        "etc",
        "usr/etc/passwd",
        "pyvenv.cfg.txt/x",
        "usr/include/python3.11/Python.h",
        "usr/lib/python3.11/venv/__init__.py",
        "opt/conda/conda-meta/numpy-2.0.json",
    ],
)
def test_other_files_are_not(path: str) -> None:
    assert not is_kept(path)
