import pytest

from ocibuild.core.asks import Origin
from ocibuild.core.errors import RepositoryError
from ocibuild.core.r_asks import RAsk, RRequirement
from ocibuild.ecosystem.r.repository import RIndex
from ocibuild.ecosystem.r.resolve import RSolution, Surroundings, resolve
from ocibuild.spec.r_description import RDescription

HERE = Surroundings("4.2.2")

CRAN = """\
Package: top
Version: 1.2.0
Depends: R (>= 3.5), methods
Imports: middle (>= 1.0), stats

Package: middle
Version: 1.10
Imports: bottom, circle
LinkingTo: headers

Package: bottom
Version: 0.9-3

Package: headers
Version: 2.0

Package: circle
Version: 1.0
Imports: middle

Package: modern
Version: 3.0
Depends: R (>= 4.5)

Package: modern
Version: 2.0
Depends: R (>= 4.0)

Package: future
Version: 1.0
Depends: R (>= 9.0)

Package: windows
Version: 1.0
OS_type: windows

Package: greedy
Version: 1.0
Imports: bottom (>= 1.0)

Package: strict
Version: 1.0
Imports: middle (< 1.10)

Package: deep
Version: 1.0
Path: 4.2.0/Recommended

Package: MASS
Version: 7.3-60

Package: newbase
Version: 1.0
Imports: methods (>= 4.9)

Package: broken
Version: 1.0
Imports: what (is this

Package: wrong
Version: latest
"""


def ask(text: str, line: int = 1, *, optional: bool = False) -> RAsk:
    return RAsk(RRequirement.parse(text), Origin("DESCRIPTION", line), optional)


def solved(*asks: RAsk | str, around: Surroundings = HERE, cran: str = CRAN, **options: object) -> RSolution:
    asked = [ask(each, number) if isinstance(each, str) else each for number, each in enumerate(asks, start=1)]
    return resolve(asked, [RIndex("https://r.example.org", cran)], around, **options)  # type: ignore[arg-type]


def names(solution: RSolution) -> list[str]:
    return [each.description.name for each in solution.packages]


def failure(*asks: RAsk | str, around: Surroundings = HERE) -> str:
    with pytest.raises(RepositoryError) as caught:
        solved(*asks, around=around)
    return f"{caught.value} | {caught.value.hint}"


def test_dependencies_come_first() -> None:
    solution = solved("top")
    assert names(solution) == ["bottom", "circle", "headers", "middle", "top"]
    by_name = {each.description.name: each for each in solution.packages}
    assert by_name["top"].requested
    assert by_name["top"].why == ("DESCRIPTION:1",)
    assert by_name["middle"].why == ("top", "circle")
    assert not by_name["middle"].requested
    assert by_name["bottom"].path == "src/contrib/bottom_0.9-3.tar.gz"


def test_a_package_in_a_folder_of_its_own() -> None:
    assert solved("deep").packages[0].path == "src/contrib/4.2.0/Recommended/deep_1.0.tar.gz"


def test_circles_end() -> None:
    assert sorted(names(solved("circle"))) == ["bottom", "circle", "headers", "middle"]


def test_packages_of_r_itself_are_not_chosen() -> None:
    assert names(solved("stats", "methods (>= 4.0)")) == []


def test_packages_of_another_version_of_r() -> None:
    assert "methods (>= 4.9), and the image has R 4.2.2" in failure("newbase")


def test_recommended_packages() -> None:
    assert names(solved("MASS")) == ["MASS"]
    there = Surroundings("4.2.2", present={"mass": "7.3-58"})
    assert names(solved("MASS", around=there)) == []
    assert names(solved("MASS (>= 7.3-59)", around=there)) == ["MASS"]


def test_the_newest_version_that_fits_r() -> None:
    assert solved("modern").packages[0].description.version == "2.0"
    assert solved("modern", around=Surroundings("4.5.0")).packages[0].description.version == "3.0"


def test_wrong_r() -> None:
    said = failure("future")
    assert "DESCRIPTION:1: future is asked for" in said
    assert "R 4.2.2" in said
    assert "apt:trixie" in said
    assert "windows" in failure("windows")
    assert "R (>= 5.0), and the image has R 4.2.2" not in said
    assert "R (>= 5.0) is asked for, and the image has R 4.2.2" in failure("R (>= 5.0)")


def test_missing_packages() -> None:
    assert "DESCRIPTION:2: nothing is asked for, and no repository has it: https://r.example.org" in failure(
        "top", "nothing"
    )
    assert "did you mean MASS?" in failure("mass")
    assert "did you mean bottom?" in failure("botom")


def test_versions_that_do_not_do() -> None:
    assert "greedy needs bottom (>= 1.0), and the repositories have bottom 0.9-3 (greedy leads to it)" in failure(
        "greedy"
    )
    assert "strict needs middle (< 1.10)" in failure("strict")
    assert "strict needs middle (< 1.10), and the image gets middle 1.10 (DESCRIPTION:1)" in failure("middle", "strict")


def test_two_pins_of_one_package() -> None:
    assert "top (== 1.2.0) is asked for, and top (== 1.1) in DESCRIPTION:1" in failure("top (== 1.1)", "top (== 1.2.0)")


def test_malformed_records() -> None:
    assert "broken 1.0 is described wrongly" in failure("broken")
    assert "describes wrong wrongly" in failure("wrong")


def test_archived_versions() -> None:
    old = RDescription({"Package": "top", "Version": "1.1", "Imports": "bottom"})
    asked = []

    def archived(name: str, version: str) -> tuple[str, RDescription] | None:
        asked.append((name, version))
        return ("https://r.example.org", old) if version == "1.1" else None

    solution = solved("top (== 1.1)", archived=archived)
    assert [(each.path, each.is_current) for each in solution.packages] == [
        ("src/contrib/bottom_0.9-3.tar.gz", True),
        ("src/contrib/Archive/top/top_1.1.tar.gz", False),
    ]
    with pytest.raises(RepositoryError, match=r"top 7.0 is not in .* \(there is 1.2.0\)"):
        solved("top (== 7.0)", archived=archived)
    solved("top (== 1.2.0)", archived=archived)
    assert asked == [("top", "1.1"), ("top", "7.0")]


def test_a_pin_counts_for_what_depends_on_it() -> None:
    old = RDescription({"Package": "middle", "Version": "1.9"})
    solution = solved("strict", "middle (== 1.9)", archived=lambda _name, _version: ("https://r.example.org", old))
    assert {each.description.name: each.description.version for each in solution.packages}["middle"] == "1.9"


def test_several_repositories() -> None:
    first = RIndex("https://one.example.org", "Package: a\nVersion: 1.0\n\nPackage: b\nVersion: 2.0\n")
    second = RIndex("https://two.example.org", "Package: a\nVersion: 1.1\n\nPackage: b\nVersion: 2.0\n")
    solution = resolve([ask("a"), ask("b")], [first, second], HERE)
    assert [(each.description.version, each.address) for each in solution.packages] == [
        ("1.1", "https://two.example.org"),
        ("2.0", "https://one.example.org"),
    ]


def test_debian_where_no_repository_has_it() -> None:
    around = Surroundings("4.2.2", debian={"irkernel": "1.3.2", "bottom": "1.5"})
    solution = solved("IRkernel", "greedy", around=around)
    assert [choice.name for choice in solution.debian] == ["IRkernel", "bottom"]
    assert names(solution) == ["greedy"]


def test_debian_first() -> None:
    around = Surroundings("4.2.2", debian={"middle": "1.5", "top": "1.0"}, prefers_debian=True)
    assert [choice.name for choice in solved("top", around=around).debian] == ["top"]
    solution = solved("top (>= 1.2)", around=around)
    assert names(solution) == ["top"]
    assert [choice.name for choice in solution.debian] == ["middle"]


def test_optional_packages() -> None:
    solution = solved(ask("nothing", optional=True), "top")
    assert [str(each) for each in solution.left_out] == ["nothing"]
    assert "top" in names(solution)


def test_a_long_chain() -> None:
    count = 3000
    cran = "\n".join(f"Package: p{number}\nVersion: 1.0\nImports: p{number + 1}\n" for number in range(count))
    cran += f"\nPackage: p{count}\nVersion: 1.0\n"
    assert names(solved("p0", cran=cran))[:2] == [f"p{count}", f"p{count - 1}"]
