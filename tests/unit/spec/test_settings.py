from datetime import date

import pytest

from ocibuild.core.asks import Origin, StepAsk
from ocibuild.core.errors import RepositoryError, UsageError
from ocibuild.core.platform import Platform
from ocibuild.layer.compression import Compression
from ocibuild.spec.options import BuildOptions, parse_age, parse_date, parse_secret, parse_size
from ocibuild.spec.settings import parse_settings

TEXT = """\
base = "apt:trixie"
image = "localhost:5000/a:b"
output = ["oci:out", "rootfs:root"]
platform = ["linux/amd64", "linux/arm64"]
max-age = "2h"
as-of = 2026-01-31
compression = "gzip"
max-layers = 10
memory = "200M"
cuda = "12.4"
archspec = "x86_64_v3"
pip-overrides = true
cmd = ["python", "main.py"]

[env]
A = "1"

[label]
"org.example" = "x"

[pip]
index-url = "http://127.0.0.1/simple"
find-links = ["wheels", "more"]
no-index = true

[apt]
recommends = true
mirror = "http://127.0.0.1/debian"

[[apt.source]]
name = "vendor"
url = "http://127.0.0.1/vendor"
suite = "./"
signed-by = "vendor.asc"
pin-priority = 900

[cache]
from = ["registry.example.org/team/cache"]
"""


def parse(text: str) -> BuildOptions:
    return parse_settings(text, file="ocibuild.toml", read={"vendor.asc": b"KEY"}.get)


def test_every_option() -> None:
    options = parse(TEXT)
    assert options.base == "apt:trixie"
    assert options.images == ("localhost:5000/a:b",)
    assert options.outputs == ("oci:out", "rootfs:root")
    assert options.platforms == (Platform("linux", "amd64"), Platform("linux", "arm64"))
    assert (options.max_age_seconds, options.as_of, options.max_layers) == (7200, date(2026, 1, 31), 10)
    assert (options.compression, options.memory_bytes) == (Compression.GZIP, 200 << 20)
    assert options.command == ("python", "main.py")
    assert (options.cuda, options.archspec, options.pip_overrides) == ("12.4", "x86_64_v3", True)
    assert (options.environment, options.labels) == ({"A": "1"}, {"org.example": "x"})
    assert options.pip_options == (
        "--index-url http://127.0.0.1/simple",
        "--find-links wheels",
        "--find-links more",
        "--no-index",
    )
    assert options.apt_recommends
    assert (options.caches, options.cache_mode) == (("registry.example.org/team/cache",), None)
    (source,) = options.apt_sources
    assert (source.name, source.suite, source.signed_by, source.pin_priority) == ("vendor", "./", b"KEY", 900)
    assert str(source.origin) == "ocibuild.toml:30"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n", "not TOML"),
        ("\nbsae = 'x'\n", "ocibuild.toml:2: bsae: no such option"),
        ("base = 3\n", "ocibuild.toml:1: base: must be a text"),
        ("image = [1]\n", ":1: image: must be a text or a list"),
        ('profile = "base"\n', "profile: must be one of binder, plain"),
        ("user-name = 'root'\n", ":1: user-name: not the name of a user"),
        ("user-id = 0\n", "whole number from 1 to"),
        ("target-repo-dir = 'repo'\n", "not a folder of an image"),
        ("target-repo-dir = '/srv/../etc'\n", "not a folder of an image"),
        ("appendix = 1\n", ":1: appendix: must be a text"),
        ("compose = 'yes'\n", ":1: compose: must be true or false"),
        ("[[layer]]\npath = 'x'\n", "a [[layer]] has one option, folder"),
        ('python = "2"\n', "not a version of Python"),
        ("jobs = 1000\n", "whole number from 1 to 256"),
        ("max-layers = 0\n", "whole number from 4 to 100"),
        ("push = 'yes'\n", "true or false"),
        ("max-age = 'soon'\n", ":1: max-age: not a duration"),
        ("platform = 'linux/vax'\n", ":1: platform: unknown platform"),
        ("compression = 'xz'\n", "must be one of zstd, gzip, none"),
        ("as-of = '2999-01-01'\n", "has not come yet"),
        ("cuda = 'new'\n", ":1: cuda: not a version of CUDA"),
        ("archspec = 'Big One'\n", ":1: archspec: not a processor"),
        ("env = 1\n", "must be a table"),
        ("[env]\nA = 1\n", "a table of texts"),
        ("[apt]\nmirrors = ''\n", "ocibuild.toml:2: mirrors: no such option of"),
        ("[[apt.source]]\nname = 'x'\n", "without url"),
        (TEXT.replace("vendor.asc", "none.asc"), "none.asc does not exist"),
        (TEXT.replace('"./"', '"stable"'), "needs components"),
        ("[pip]\npre = true\n", "no such option of"),
        ('[cache]\nmode = "rw"\n', ":2: mode: no such option of"),
        ('[cache]\nfrom = "h.example/cache:tag"\n', ":2: from: a cache is a repository, without a tag"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(RepositoryError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith("ocibuild.toml:")


def test_the_command_line_wins_and_tables_are_joined() -> None:
    line = BuildOptions(base="scratch", environment={"A": "2", "B": "3"})
    options = line.over(parse(TEXT))
    assert options.base == "scratch"
    assert options.environment == {"A": "2", "B": "3"}
    assert options.outputs == ("oci:out", "rootfs:root")


def test_where_an_image_goes_is_not_part_of_its_key() -> None:
    options = parse(TEXT)
    assert options.canonical() == BuildOptions(outputs=("oci:x",), jobs=7).over(options).canonical()
    assert BuildOptions(max_age_seconds=0).over(BuildOptions(max_age_seconds=60)).max_age_seconds == 0
    assert options.canonical() != BuildOptions(base="scratch").over(options).canonical()


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("30m", 1800), ("24H", 86400), ("2w", 1209600)])
def test_ages(text: str, seconds: int) -> None:
    assert parse_age(text) == seconds


@pytest.mark.parametrize(("text", "size"), [("10", 10), ("300M", 300 << 20), ("2GiB", 2 << 30), ("1kb", 1024)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "-1", "1y", "1.5h"])
def test_wrong_ages(text: str) -> None:
    with pytest.raises(UsageError):
        parse_age(text)


@pytest.mark.parametrize("text", ["", "2026", "2026-13-01", "yesterday"])
def test_wrong_dates(text: str) -> None:
    with pytest.raises(UsageError):
        parse_date(text)


def test_steps_in_their_order() -> None:
    text = """
[[step]]
run = "make data"

[[step]]
name = "index"
run = ["python", "index.py", "--all"]
user = "root"
folder = "/srv"
env = {LEVEL = "2"}
network = false
keep = ["var/log/index.log"]
"""
    first, second = parse(text).steps
    assert first == StepAsk("step 1", ("/bin/sh", "-ec", "make data"), Origin("ocibuild.toml", 2))
    assert second == StepAsk(
        "index",
        ("python", "index.py", "--all"),
        Origin("ocibuild.toml", 5),
        user="root",
        working_folder="/srv",
        environment={"LEVEL": "2"},
        network=False,
        keep=("var/log/index.log",),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('step = "make"', "write each as"),
        ("[[step]]\nuser = 'root'", "without run"),
        ("[[step]]\nrun = ''", "must be a text"),
        ("[[step]]\nrun = []", "must be a text"),
        ("[[step]]\nrun = 'x'\nshell = 'zsh'", "shell: no such option"),
        ("sandbox = 'docker'", "must be one of"),
    ],
)
def test_wrong_steps(text: str, message: str) -> None:
    with pytest.raises(RepositoryError, match=message):
        parse(text)


@pytest.mark.parametrize("text", ["", "token", "=x", "a/b=x", "token="])
def test_wrong_secrets(text: str) -> None:
    with pytest.raises(UsageError):
        parse_secret(text)


def test_options_of_binder() -> None:
    options = parse(
        'profile = "binder"\ncompose = true\nuser-name = "alice"\nuser-id = 1001\ntarget-repo-dir = "/srv/repo/"\n'
        'appendix = """\nUSER root\n"""\n[[layer]]\nfolder = "ours"\n[[layer]]\nfolder = "theirs"\n'
    )
    assert (options.is_binder, options.compose, options.user_name, options.user_id) == (True, True, "alice", 1001)
    assert (options.repository_folder, options.appendix) == ("/srv/repo", "USER root\n")
    assert options.layer_folders == ("ours", "theirs")
    assert parse('layer = ["ours"]').layer_folders == ("ours",)
