import pytest

from ocibuild.sandbox.entrance import Bind, Entrance, IdRange
from ocibuild.sandbox.id_ranges import image_map, own_map, parse_ranges


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("alice:100000:65536\n", [(100000, 65536)]),
        ("bob:1:2\nalice:3:4\n1001:5:6\nalice:7:8", [(3, 4), (5, 6), (7, 8)]),
        ("alice:100000\nalice::\nalice:x:5\nalice:5:-1\nalice:9:0\n:1:2\n\n# alice:1:2\n", []),
        ("alicea:1:2\n10011:1:2\nalic:1:2\n", []),
        (" alice:10:20 \r\n", [(10, 20)]),
        ("alice:1:2:3\n", []),
    ],
)
def test_ranges_of_a_user_by_name_and_uid(text: str, expected: list[tuple[int, int]]) -> None:
    assert parse_ranges(text, user="alice", uid=1001) == expected


def test_root_is_the_user_and_the_others_follow() -> None:
    assert image_map(1001, [(100000, 65536)]) == (IdRange(0, 1001, 1), IdRange(1, 100000, 65535))
    assert image_map(1001, [(5, 10), (100, 70000), (200000, 5)]) == (
        IdRange(0, 1001, 1),
        IdRange(1, 5, 10),
        IdRange(11, 100, 65525),
    )
    assert image_map(1001, []) == (IdRange(0, 1001, 1),)


def test_roots_own_ids_stay_as_they_are() -> None:
    assert own_map("         0          0 4294967295\n") == (IdRange(0, 0, 65536),)
    assert own_map("0 1000 1\n1 100000 65536\n") == (IdRange(0, 0, 1), IdRange(1, 1, 65535))
    assert own_map("0 5 1\n100000 7 10\n") == (IdRange(0, 0, 1),)


def test_an_entrance_survives_its_journey() -> None:
    odd = b"caf\xe9/\xff".decode("utf-8", "surrogateescape")
    entrance = Entrance(
        ("sh", odd, ""),
        {"A": odd, "B": "ü\n"},
        "/home",
        root="/r",
        uid=5,
        gid=6,
        groups=(7, 8),
        mapper="newuidmap",
        uid_map=(IdRange(0, 1, 2), IdRange(3, 4, 5)),
        gid_map=(IdRange(0, 1, 2),),
        has_mounts=True,
        binds=(Bind("/a", "/b", writable=True),),
        files=(("/etc/hosts", "x"),),
        owners=((1, 2, 3, 4),),
    )
    found = Entrance.from_json(entrance.to_json())
    assert tuple(found.arguments) == entrance.arguments
    assert found.environment == entrance.environment
    assert (found.uid_map, found.gid_map, found.binds) == (entrance.uid_map, entrance.gid_map, entrance.binds)
    assert found.to_json() == entrance.to_json()
