import pytest

from ocibuild.core.asks import AptAsk, Origin
from ocibuild.core.errors import RepositoryError
from ocibuild.spec.apt_txt import parse_apt_txt


def test_every_form_of_a_word() -> None:
    text = (
        "git\n\n# a comment\nlibc6:i386 g++ # two\ncurl=7.88.1-10+deb12u12\nr/bookworm-backports\nexim4-\npython3.1*\n"
    )
    with pytest.raises(RepositoryError, match=r"apt.txt:8: 'python3.1\*'"):
        parse_apt_txt(text, file="apt.txt")
    asks = parse_apt_txt(text.replace("python3.1*", "vim=2:9*"), file="apt.txt")
    assert asks == (
        AptAsk("git", Origin("apt.txt", 1)),
        AptAsk("libc6", Origin("apt.txt", 4), architecture="i386"),
        AptAsk("g++", Origin("apt.txt", 4)),
        AptAsk("curl", Origin("apt.txt", 5), version="7.88.1-10+deb12u12"),
        AptAsk("r", Origin("apt.txt", 6), suite="bookworm-backports"),
        AptAsk("exim4", Origin("apt.txt", 7), remove=True),
        AptAsk("vim", Origin("apt.txt", 8), version="2:9*"),
    )
    assert " ".join(map(str, asks)).startswith("git libc6:i386 g++ curl=7.88.1-10+deb12u12 r/bookworm-backports exim4-")


@pytest.mark.parametrize(
    "word", ["Git", "foo;rm", "-y", "--yes", "foo=", "foo/", "$(id)", "a b|c", "föö", "../x", "=1"]
)
def test_what_is_no_package_is_named(word: str) -> None:
    with pytest.raises(RepositoryError, match=r"binder/apt\.txt:2: ") as caught:
        parse_apt_txt(f"git\n{word}\n", file="binder/apt.txt")
    assert caught.value.exit_code == 3
    assert caught.value.hint


def test_an_empty_file_asks_nothing() -> None:
    assert parse_apt_txt("# nothing\n\n", file="apt.txt") == ()
