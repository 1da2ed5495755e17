import dataclasses
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocibuild.core.asks import Origin, PipAsks, RequirementsFile
from ocibuild.core.errors import RepositoryError
from ocibuild.ecosystem.pip.requirements_file import Requirements, read_requirements
from ocibuild.ecosystem.pip.source import PythonSource, SourceKind

HASH = "sha256:" + "a" * 64


def read(
    text: str, *, folder: Path = Path("/nonexistent"), variables: dict[str, str] | None = None, **included: str
) -> Requirements:
    files = tuple(RequirementsFile(name.replace("__", "/") + ".txt", content) for name, content in included.items())
    asks = PipAsks(files=(RequirementsFile("requirements.txt", text),), included=files)
    return read_requirements(asks, folder=folder, variables=variables or {})


def texts(requirements: Requirements) -> list[str]:
    return [each.text for each in requirements.required]


def test_lines_comments_continuations_and_origins() -> None:
    text = "# top\n\nnumpy>=1.20 # why\n  pandas [test] ; python_version < '4'\nrequests \\\n   ==2.31 \\\n # inner\nidna\\"
    requirements = read(text)
    assert texts(requirements) == ["numpy>=1.20", 'pandas[test]; python_version < "4"', "requests==2.31", "idna"]
    assert [str(each.origin) for each in requirements.required] == [f"requirements.txt:{line}" for line in (3, 4, 5, 8)]
    assert [each.is_exact for each in requirements.required] == [False, False, True, False]
    assert requirements.required[1].marker == 'python_version < "4"'


def test_carriage_returns() -> None:
    assert texts(read("numpy\r\npandas\r\n")) == ["numpy", "pandas"]


def test_includes_and_constraints_are_relative_to_the_file() -> None:
    requirements = read(
        "-r sub/more.txt\n-c limits.txt\nnumpy\n",
        sub__more="-r deep/last.txt\npandas\n",
        sub__deep__last="--requirement=../other.txt\n",
        sub__other="scipy\n",
        limits="numpy<2\n-r sub/other.txt\n",
    )
    assert texts(requirements) == ["scipy", "pandas", "numpy"]
    assert [(each.text, str(each.origin)) for each in requirements.constraints] == [
        ("numpy<2", "limits.txt:1"),
        ("scipy", "sub/other.txt:1"),
    ]


def test_single_requirements() -> None:
    asks = PipAsks(requirements=(("pip", Origin("the prefix")), ("numpy>2", Origin("ocibuild.toml", 4))))
    requirements = read_requirements(asks, folder=Path("/nonexistent"), variables={})
    assert [(each.name, str(each.origin)) for each in requirements.required] == [
        ("pip", "the prefix"),
        ("numpy", "ocibuild.toml:4"),
    ]


def test_options_of_files() -> None:
    requirements = read(
        "-i https://one/simple\n--extra-index-url=https://dropped/\n--index-url https://two/simple\n"
        "--extra-index-url https://a/ --trusted-host a\n-f https://links/\n--pre\n--no-index\n--prefer-binary\n"
        "--only-binary :all:\n--no-binary :none:\n--use-feature fast-deps\nnumpy\n"
    )
    assert requirements.index_url == "https://two/simple"
    assert requirements.extra_index_urls == ("https://a/",)
    assert requirements.trusted_hosts == ("a",)
    assert requirements.find_links == ("https://links/",)
    assert requirements.prereleases
    assert requirements.no_index
    assert not requirements.require_hashes


def test_one_hash_requires_all() -> None:
    requirements = read(f"idna==3.1 --hash={HASH} \\\n  --hash sha512:{'b' * 128}\n")
    assert requirements.required[0].hashes == (HASH, f"sha512:{'b' * 128}")
    assert requirements.require_hashes
    assert read("--require-hashes\nidna==3\n").require_hashes
    assert not read("idna==3\n").require_hashes


def test_variables_come_from_the_caller_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "of-the-machine")
    line = "--extra-index-url https://me:${TOKEN}@host/\n"
    assert read(line, variables={"TOKEN": "given"}).extra_index_urls == ("https://me:given@host/",)
    with pytest.raises(RepositoryError, match=r"requirements\.txt:1: the variable TOKEN is not set"):
        read(line)
    assert read("# ${TOKEN}\n$TOKEN_lower; x\n".replace("$TOKEN_lower; x", "idna")).required


@pytest.mark.parametrize(
    ("text", "line", "match"),
    [
        ("numpy\nrequests = 3\n", 2, "not a requirement"),
        ("numpy\n\n==3\n", 3, "not a requirement"),
        ("--frobnicate yes\n", 1, "pip has no option '--frobnicate'"),
        ("numpy --force\n", 1, "pip has no option '--force'"),
        ("-r missing.txt\n", 1, "missing.txt does not exist"),
        ("-r https://host/r.txt\n", 1, "not in the repository"),
        ("-r\n", 1, "-r needs a value"),
        ("--hash=sha256:abc idna\n", 1, "pip has no option 'idna'"),
        ("idna --hash=md5:abc\n", 1, "not a hash"),
        ("-f './x\n", 1, "quotes do not match"),
        ("-f ./missing\n", 1, "neither a URL nor a path in the repository"),
        ("-i http://[::1\n", 1, "neither a URL nor a path in the repository"),
        ("--extra-index-url file:///etc\n", 1, "neither a URL nor a path in the repository"),
        ("http://h:port/x-1-py3-none-any.whl\n", 1, "not a URL"),
        ("numpy\0\n", 1, "control character"),
        ("ftp://host/x-1-py3-none-any.whl\n", 1, "no way to a package"),
        ("hg+https://host/x\n", 1, "with git, not with hg"),
        ("x @ git+file:///srv/x\n", 1, "no way to a git repository"),
        ("git+https://host/x@-v1\n", 1, "no revision"),
        ("git+https://host/x#subdirectory=../up\n", 1, "leads out of the source"),
        ("-e git+https://host/x\n", 1, "needs a name"),
        ("-e numpy\n", 1, "neither a folder nor a checkout"),
        ("-e https://host/x.tar.gz\n", 1, "neither a folder nor a checkout"),
        (".\n", 1, "no Python project"),
        ("git+https://host/x ; what\n", 1, "not an environment marker"),
        ("numpy -C fast\n", 1, "not KEY=VALUE"),
        ("https://host/x.whl\n", 1, "not the name of a wheel"),
        ("six @ https://host/idna-3-py3-none-any.whl\n", 1, "is a wheel of idna"),
        ("./missing-1-py3-none-any.whl\n", 1, "does not exist in the repository"),
        ("../out-1-py3-none-any.whl\n", 1, "leads out of it"),
        ("file:///etc/passwd\n", 1, "leads out of it"),
        ("-f /etc\n", 1, "neither a URL nor a path"),
    ],
)
def test_bad_lines_are_named(text: str, line: int, match: str, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match=match) as caught:
        read(text, folder=tmp_path)
    assert (caught.value.file, caught.value.line) == ("requirements.txt", line)


def test_a_single_equals_sign_has_a_hint() -> None:
    with pytest.raises(RepositoryError) as caught:
        read("requests=2.31\n")
    assert caught.value.hint is not None
    assert "==" in caught.value.hint


def test_circular_includes() -> None:
    with pytest.raises(RepositoryError, match=r"more.txt:1: requirements.txt includes itself"):
        read("-r more.txt\n", more="-r requirements.txt\n")


def test_a_link_out_of_the_repository(tmp_path: Path) -> None:
    outside = tmp_path / "outside-1-py3-none-any.whl"
    outside.write_bytes(b"")
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "inside-1-py3-none-any.whl").symlink_to(outside)
    with pytest.raises(RepositoryError, match="leads out of it"):
        read("./inside-1-py3-none-any.whl\n", folder=folder)


def test_local_wheels_and_folders_of_wheels(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/My_Thing-1.0-py3-none-any.whl").write_bytes(b"")
    requirements = read(
        "./wheels/My_Thing-1.0-py3-none-any.whl[extra] ; python_version > '3'\n-f wheels\n", folder=tmp_path
    )
    (only,) = requirements.required
    assert only.name == "my-thing"
    assert only.local_path == "wheels/My_Thing-1.0-py3-none-any.whl"
    assert only.text.startswith("my-thing[extra] @ file://")
    assert only.text.endswith(" ; python_version > '3'")
    assert requirements.find_links == (str(tmp_path.resolve() / "wheels"),)


def test_wheels_by_url() -> None:
    url = "https://me:pw@host/idna-3.1-py3-none-any.whl"
    (only,) = read(f"{url}#{HASH.replace(':', '=')}&egg=idna\n").required
    assert (only.name, only.url, only.hashes, only.is_exact) == ("idna", url, (HASH,), True)
    (named,) = read(f"idna[x] @ {url} ; sys_platform == 'linux'\n").required
    assert named.text == f'idna[x] @ {url} ; sys_platform == "linux"'


COMMIT = "0123456789" * 4


@pytest.mark.parametrize(
    ("line", "source", "extras"),
    [
        (".", PythonSource(SourceKind.FOLDER, local_path="."), ""),
        ("./sub[a,b]", PythonSource(SourceKind.FOLDER, local_path="sub"), "[a,b]"),
        ("x[a] @ file:///{folder}/sub", PythonSource(SourceKind.FOLDER, name="x", local_path="sub"), "[a]"),
        ("-e .", PythonSource(SourceKind.FOLDER, local_path=".", is_editable=True), ""),
        ("--editable=./sub[a]", PythonSource(SourceKind.FOLDER, local_path="sub", is_editable=True), "[a]"),
        ("./x.tar.gz", PythonSource(SourceKind.ARCHIVE, local_path="x.tar.gz"), ""),
        ("https://u:p@host/x-1.0.tar.gz", PythonSource(SourceKind.ARCHIVE, url="https://u:p@host/x-1.0.tar.gz"), ""),
        ("X_y @ https://h/z.zip", PythonSource(SourceKind.ARCHIVE, name="x-y", url="https://h/z.zip"), ""),
        (
            "https://h/main.zip#egg=my.x[a]&subdirectory=python/",
            PythonSource(SourceKind.ARCHIVE, name="my-x", url="https://h/main.zip", subdirectory="python"), "[a]",
        ),
        ("git+https://host/x", PythonSource(SourceKind.GIT, url="https://host/x"), ""),
        ("git+https://host/x.git@v1", PythonSource(SourceKind.GIT, url="https://host/x.git", revision="v1"), ""),
        (
            f"x[a] @ git+ssh://git@host/x@{COMMIT}",
            PythonSource(SourceKind.GIT, name="x", url="ssh://git@host/x", revision=COMMIT), "[a]",
        ),
        (
            "git+git@host:me/x.git@feature/one#subdirectory=lib",
            PythonSource(SourceKind.GIT, url="ssh://git@host/me/x.git", revision="feature/one", subdirectory="lib"), "",
        ),
    ],
)  # fmt: skip
def test_what_must_be_built(tmp_path: Path, line: str, source: PythonSource, extras: str) -> None:
    (tmp_path / "sub").mkdir()
    for folder in (tmp_path, tmp_path / "sub"):
        (folder / "setup.py").write_text("")
    (tmp_path / "x.tar.gz").write_bytes(b"")
    (only,) = read(line.replace("{folder}", str(tmp_path)) + "\n", folder=tmp_path).required
    assert only.source == dataclasses.replace(source, why=("requirements.txt:1",))
    assert (only.name, only.extras) == (source.name, extras)


def test_the_name_of_a_source_has_no_credentials() -> None:
    first, second, other = read(
        "https://me:s3cret@host/x.zip\nhttps://host/x.zip\ngit+https://me:s3cret@host/y@main\n"
    ).required
    assert first.source is not None
    assert second.source is not None
    assert other.source is not None
    assert first.source.key == second.source.key
    for source in (first.source, other.source):
        assert "s3cret" not in f"{source} {source!r} {source.key}"


def test_settings_of_a_build() -> None:
    (only,) = read("x -C a=1 --config-settings=b=2=3\n").required
    assert only.settings == (("a", "1"), ("b", "2=3"))


WORDS = st.sampled_from(
    ["numpy", "==", "1.0", " ", "  ", ";", "python_version", "<", "'3'", "@", "https://h/x-1-py3-none-any.whl", "http://[::1", "file:", "file://",
     "[", "]", "a,b", "-r", "-c", "-e", "--hash=sha256:", "a" * 64, "\\", "\n", "#", "#egg=x", "&", "${A}", "git+", "./", "..", "/", ".whl", "~", "\0",
     "é", "--find-links", "-f", "=", "\r", "http://h:port/x-1-py3-none-any.whl", "ü.tar.gz", "(", ")", "*", ",", "!", "%zz", "--index-url"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=14).map("".join) | st.text(max_size=60))
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_written_is_read_or_refused_with_its_line(tmp_path: Path, text: str) -> None:
    try:
        read(text, folder=tmp_path, variables={"A": "b"})
    except RepositoryError as error:
        assert (error.file, error.line is None) == ("requirements.txt", False)  # noqa: PT017 - both outcomes are right
