import pytest

from ocibuild.core.errors import RepositoryError
from ocibuild.spec.requirements import read_requirements
from ocibuild.spec.text import decode_text


def test_included_files_are_read_too() -> None:
    files = {
        "binder/requirements.txt": b"numpy\n-r more/base.txt\n-c constraints.txt  # pins\n--requirement=../top.txt\n",
        "binder/more/base.txt": b"-rbase.txt\nsix\n",
        "binder/constraints.txt": b"six<2\n",
        "top.txt": "\ufeffidna\n".encode("utf-16"),
    }
    asks = read_requirements("binder/requirements.txt", files.get)
    assert [file.path for file in asks.files] == ["binder/requirements.txt"]
    assert [file.path for file in asks.included] == ["binder/constraints.txt", "binder/more/base.txt", "top.txt"]
    assert asks.included[2].text.strip("\ufeff") == "idna\n"


@pytest.mark.parametrize(
    ("line", "message"), [("-r ../../etc/passwd", "outside the repository"), ("-c none.txt", "does not exist")]
)
def test_a_wrong_include_is_named(line: str, message: str) -> None:
    with pytest.raises(RepositoryError, match=f"requirements.txt:2: .*{message}"):
        read_requirements("requirements.txt", {"requirements.txt": f"six\n{line}\n".encode()}.get)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("é".encode(), "é"),
        (b"\xe9", "é"),
        (b"\xef\xbb\xbfsix", "six"),
        ("six".encode("utf-16"), "six"),
        (b"# -*- coding: cp1252 -*-\n\x80", "# -*- coding: cp1252 -*-\n€"),
    ],
)
def test_encodings(data: bytes, text: str) -> None:
    assert decode_text(data, file="f") == text


@pytest.mark.parametrize("data", [b"a\0b", b"# coding: nonsense\n", b"# coding: ascii\n\xff"])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(RepositoryError, match="f: "):
        decode_text(data, file="f")
