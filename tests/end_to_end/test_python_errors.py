"""What goes wrong with Python packages is said with the line that asks for them, and the next build works."""

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Program, repository
from tests.support.apt_repository import make_deb
from tests.support.registry_server import CertificateAuthority
from tests.support.scripted_server import Reply, Request, ScriptedServer
from tests.support.tiny_system import TinySystem

pytestmark = pytest.mark.network

_METADATA = b"Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n"
_WHEEL = "tiny_thing-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("requirements", "code", "messages"),
    [
        ("six\n==3 foo\n", 3, ["requirements.txt:2: not a requirement: '==3 foo'"]),
        ("six\nno-such-package-of-anybody\n", 3, ["requirements.txt:2: ", "no-such-package-of-anybody was not found"]),
        ("idna<2\nidna>3\n", 3, ["requirements.txt:1: ", "you require idna<2 and idna>3", "requirements.txt:2"]),
        (f"idna==3.4 --hash=sha256:{'0' * 64}\n", 3, ["requirements.txt:1: no file of idna==3.4", "has a hash"]),
    ],
    ids=["malformed", "unknown", "conflict", "hash"],
)
def test_requirements(warm: Program, tmp_path: Path, requirements: str, code: int, messages: list[str]) -> None:
    source = repository(tmp_path / "repository", requirements_txt=requirements)
    said = warm.error("build", source, "-o", f"oci:{tmp_path / 'image'}", code=code)
    for message in messages:
        assert message in said
    assert not (tmp_path / "image").exists()
    warm.result("build", repository(source, requirements_txt="six\n"), "-o", f"oci:{tmp_path / 'image'}")


def test_a_source_package_where_nothing_may_run(warm: Program, tmp_path: Path) -> None:
    source = repository(tmp_path / "repository", requirements_txt="wget==3.2\n")
    said = warm.error("build", source, "--sandbox", "none", code=4)
    assert "wget 3.2" in said
    assert "--sandbox none forbids it" in said


def test_a_source_package_is_built_and_placed(warm: Program, tmp_path: Path) -> None:
    source = repository(tmp_path / "repository", requirements_txt="docopt==0.6.2\n")
    root = tmp_path / "root"
    warm.result("build", source, "-o", f"rootfs:{root}")
    (module,) = root.glob("srv/conda/envs/notebook/lib/python3*/site-packages/docopt.py")
    assert b"def docopt(" in module.read_bytes()


@pytest.mark.parametrize("fault", ["truncated", "other bytes", "gone"])
def test_a_wheel_that_is_not_what_the_index_says(warm: Program, tmp_path: Path, fault: str) -> None:
    # The bytes differ between faults, since what was fetched once is not fetched again.
    whole = _wheel(fault.encode() * 10_000)
    bodies = {"truncated": whole[:-100], "other bytes": b"?" + whole[1:], "gone": None}
    served = bodies[fault]

    def answer(request: Request) -> Reply:
        if request.path == "/simple/tiny-thing/":
            digest = hashlib.sha256(whole).hexdigest()
            page = f'<a href="/{_WHEEL}#sha256={digest}" data-core-metadata="true">{_WHEEL}</a>'
            return Reply(body=page.encode(), headers={"Content-Type": "text/html"})
        if request.path == f"/{_WHEEL}.metadata":
            return Reply(body=_METADATA)
        return Reply(404) if request.path != f"/{_WHEEL}" or served is None else Reply(body=served)

    with ScriptedServer(answer) as server:
        lines = f"--extra-index-url {server.url}/simple\ntiny-thing\n"
        source = repository(tmp_path / "repository", requirements_txt=lines)
        said = warm.error("build", source, "-o", f"oci:{tmp_path / 'image'}", code=5)
        assert "tiny-thing=1.0" in said
        assert server.url in said
        assert not (tmp_path / "image").exists()
        served = whole
        warm.result("build", source, "-o", f"oci:{tmp_path / 'image'}")
    assert warm.result("check", f"oci:{tmp_path / 'image'}").endswith("is sound")


def test_a_host_that_a_requirements_file_trusts(warm: Program, tmp_path: Path) -> None:
    wheel = _wheel(tmp_path.name.encode())  # other bytes than the tests beside it: they are fetched here

    def answer(request: Request) -> Reply:
        if request.path == "/simple/tiny-thing/":
            page = f'<a href="/{_WHEEL}#sha256={hashlib.sha256(wheel).hexdigest()}">{_WHEEL}</a>'
            return Reply(body=page.encode(), headers={"Content-Type": "text/html"})
        return Reply(body=wheel) if request.path == f"/{_WHEEL}" else Reply(404)

    authority = CertificateAuthority(tmp_path / "authority")
    with ScriptedServer(answer, tls=(authority.certificate, authority.key)) as server:
        lines = f"--extra-index-url {server.url}/simple\ntiny-thing\n"
        source = repository(tmp_path / "repository", requirements_txt=lines)
        assert server.host in warm.error("build", source, code=5)
        source = repository(source, requirements_txt=f"--trusted-host {server.host}\n{lines}")
        warm.result("build", source)


def test_a_file_of_a_wheel_and_of_a_debian_package(warm: Program, system: TinySystem, tmp_path: Path) -> None:
    path = "srv/conda/envs/notebook/lib/python3.11/site-packages/tiny_thing.py"
    system.repository.add(make_deb("clash", "1.0", files={path: b"of Debian"}), suite="vendor")
    system.repository.publish("vendor")
    settings = f"""
[[apt.source]]
name = "vendor"
url = "{system.server.url}"
suite = "vendor"
components = ["main"]
signed-by = "vendor.asc"
"""
    asked = {"apt_txt": "clash\n", "requirements_txt": f"./{_WHEEL}\n", "ocibuild_toml": settings}
    source = repository(tmp_path / "repository", **asked)
    (source / "vendor.asc").write_bytes(system.key.public)
    (source / _WHEEL).write_bytes(_wheel(b"of the wheel"))
    said = warm.error("build", source, code=1)
    assert f"/{path} is in pip tiny-thing=1.0" in said
    assert "or a package of another kind on it" in said
    assert "hint: take the package from one of them only" in said
    (source / _WHEEL).write_bytes(_wheel(b"of Debian"))
    warm.result("build", source, "-o", f"oci:{tmp_path / 'image'}")
    assert warm.result("check", f"oci:{tmp_path / 'image'}").endswith("is sound")


def _wheel(content: bytes) -> bytes:
    files = {
        "tiny_thing.py": content,
        "tiny_thing-1.0.dist-info/METADATA": _METADATA,
        "tiny_thing-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, "tiny_thing-1.0.dist-info/RECORD"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {**files, "tiny_thing-1.0.dist-info/RECORD": record.encode()}.items():
            archive.writestr(name, data)
    return buffer.getvalue()
