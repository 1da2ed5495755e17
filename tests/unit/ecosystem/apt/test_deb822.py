from hypothesis import given, strategies

from ocibuild.ecosystem.apt.deb822 import Paragraph, decode, encode, read_paragraphs, split_paragraphs

STATUS = b"""Package: base-files
Status: install ok installed
Conffiles:
 /etc/debian_version 3e30988e1ee4532c2ba9ab54a3a56ab8
 /etc/dpkg/origins/debian c47b6815f67ad1aeccb0d4529bcce990
Description: Debian base system miscellaneous files
 This package contains
 .
 several things.
Homepage:
Maintainer: K\xf6nig <a@example.org>\x20\x20
"""


def test_fields_are_read_in_order_and_without_regard_to_case() -> None:
    paragraph = Paragraph.parse(decode(STATUS))
    assert list(paragraph) == ["Package", "Status", "Conffiles", "Description", "Homepage", "Maintainer"]
    assert paragraph["package"] == paragraph["PACKAGE"] == "base-files"
    assert paragraph["Conffiles"].startswith("\n /etc/debian_version ")
    assert paragraph["Description"].splitlines()[-1] == " several things."
    assert paragraph["Homepage"] == ""
    assert "homepage" in paragraph
    assert paragraph.get("Depends") is None


def test_a_paragraph_is_written_back_byte_for_byte() -> None:
    assert encode(Paragraph.parse(decode(STATUS)).text) == STATUS


def test_values_are_changed_in_place_added_at_the_end_and_taken_away() -> None:
    changed = Paragraph.parse(decode(STATUS)).with_fields(
        {"status": "install ok unpacked", "Homepage": None, "Config-Version": "1", "Conffiles": "\n /etc/x 1"}
    )
    assert changed.text.startswith("Package: base-files\nStatus: install ok unpacked\nConffiles:\n /etc/x 1\nDesc")
    assert changed.text.endswith("Config-Version: 1\n")
    assert "Homepage" not in changed


def test_what_apt_and_dpkg_tolerate() -> None:
    text = "\n\nPackage : a\r\nVersion:1\nno field here\nVersion: 2\n\r\n\nPackage: b\nDescription: x\n\ty\n\n\n"
    first, second = read_paragraphs(text)
    assert dict(first) == {"Package": "a", "Version": "2"}
    assert dict(second) == {"Package": "b", "Description": "x\n\ty"}


def test_comments_are_dropped_where_a_file_may_have_them() -> None:
    text = "# first\nTypes: deb\n#Types: deb-src\nURIs: http://a.example\n# between\nSuites: x\n"
    (paragraph,) = read_paragraphs(text, comments=True)
    assert dict(paragraph) == {"Types": "deb", "URIs": "http://a.example", "Suites": "x"}


def test_no_paragraphs_in_nothing() -> None:
    assert list(split_paragraphs("\n\n\n")) == []
    assert list(read_paragraphs("")) == []


@given(strategies.text())
def test_any_text_is_read(text: str) -> None:
    for paragraph in read_paragraphs(text):
        assert dict(Paragraph.parse(paragraph.text)) == dict(paragraph)


@given(
    strategies.dictionaries(
        strategies.from_regex(r"\A[A-Za-z][A-Za-z-]{0,10}\Z"),
        strategies.from_regex(r"\A[!-~]{0,10}\Z"),
        min_size=1,
    )
)
def test_made_paragraphs_are_read_as_they_were_made(fields: dict[str, str]) -> None:
    unique = {name.lower(): value for name, value in fields.items()}
    assert dict(Paragraph.parse(Paragraph(unique).text)) == unique
