"""Names of images, beside repo2docker's own functions."""

import random

import pytest

from ocibuild.binder.image_name import default_image_name, is_valid_image_name

escapism = pytest.importorskip("escapism")
utils = pytest.importorskip("repo2docker.utils")


def test_names_that_it_takes() -> None:
    rng = random.Random(7)
    alphabet = "ab1.-_/:@A "
    names = ["".join(rng.choices(alphabet, k=rng.randint(0, 14))) for _ in range(20_000)]
    names += [
        "localhost:5000/a/b:c",
        "a@sha256:" + "0" * 64,
        "a:B_c.d-1",
        "UP.example/x",
        "a/b/c__d---e",
        "x" * 300,
        "x.UP.example/x",
    ]
    differing = [name for name in names if bool(utils.is_valid_docker_image_name(name)) != is_valid_image_name(name)]
    assert differing == []


def test_names_that_it_makes() -> None:
    for text in ("https://github.com/a/B-c.git", "/tmp/x y", "10.5281/zenodo.1", "ünï", "git@host:a"):
        made = escapism.escape("r2d" + text + "sub" + "abc1234", escape_char="-").lower()
        assert default_image_name(text, subdir="sub", content="abc1234") == made
