import pytest

from ocibuild.core.r_asks import RRequirement, RVersion
from ocibuild.spec.r_description import RDescription, decode_description, read_records

TEXT = """\
Package: thing
Version: 1.0-2
Title: A: B
Imports: a,b (>= 1.2),
    c
  (>= 3), ,
LinkingTo:d
stray line
   and what follows it
Suggests: e
"""


def test_fields_and_requirements() -> None:
    description = RDescription.parse(TEXT)
    assert (description.name, description.version) == ("thing", "1.0-2")
    assert description.fields["Title"] == "A: B"
    assert [str(each) for each in description.needs] == ["a", "b (>= 1.2)", "c (>= 3)", "d"]
    assert [str(each) for each in description.requirements("Suggests", "Enhances")] == ["e"]
    assert description.built is None


def test_records() -> None:
    assert list(read_records("\n\na: 1\n \n\nb: 2\r\n\t3\n")) == [{"a": "1"}, {"b": "2 3"}]
    assert list(read_records(" lost\nno field\n")) == []


@pytest.mark.parametrize("text", ["", "Version: 1.0\n", "Package: a\n", "Package: a/b\nVersion: 1.0\n"])
def test_what_is_no_description(text: str) -> None:
    with pytest.raises(ValueError, match=r"field Package|not a version"):
        RDescription.parse(text)


def test_encodings() -> None:
    assert decode_description("Author: Ö".encode()) == decode_description("Author: Ö".encode("latin-1")) == "Author: Ö"
    assert decode_description(b"\xef\xbb\xbfPackage: a") == "Package: a"


@pytest.mark.parametrize("text", ["1.0 (>= 2)", "a (~> 1)", "a (>= one)", "a (>= 1.)", "a b", "a (>= 1.0", "-a"])
def test_malformed_requirements(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        RRequirement.parse(text)


def test_versions() -> None:
    assert RVersion.parse("1.10") > RVersion.parse("1.9")
    assert RVersion.parse("1-0") == RVersion.parse("1.0.0")
    assert RRequirement.parse("a (= 1.0)").exact == "1.0"
    assert RRequirement.parse("a (>= 1.0)").exact == ""
