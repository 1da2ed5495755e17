import pytest

from ocibuild.core.errors import UsageError
from ocibuild.image.users import ImageUser, find_user

FILES = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/bash\njovyan:x:1000:1000::/home/jovyan:/bin/bash\n12:x:7:7::/odd:\nbroken\n",
    "etc/group": b"root:x:0:\nstaff:x:50:jovyan,other\nusers:x:100:jovyan\njovyan:x:1000:jovyan\n",
}


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("", ImageUser("root", 0, 0, (), "/root", "/bin/bash")),
        ("jovyan", ImageUser("jovyan", 1000, 1000, (50, 100), "/home/jovyan", "/bin/bash")),
        ("1000", ImageUser("jovyan", 1000, 1000, (50, 100), "/home/jovyan", "/bin/bash")),
        ("jovyan:staff", ImageUser("jovyan", 1000, 50, (), "/home/jovyan", "/bin/bash")),
        ("jovyan:7", ImageUser("jovyan", 1000, 7, (), "/home/jovyan", "/bin/bash")),
        ("65532", ImageUser("", 65532, 0)),
        ("65532:65532", ImageUser("", 65532, 65532)),
        ("12", ImageUser("12", 7, 7, (), "/odd")),
    ],
)
def test_users_as_the_image_knows_them(text: str, user: ImageUser) -> None:
    assert find_user(text, FILES.get) == user


@pytest.mark.parametrize("text", ["nobody", "jovyan:none", "-1", "4294967295", "\uff11"])
def test_unknown_users_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not in the image"):
        find_user(text, FILES.get)


def test_an_image_without_account_files_knows_numbers() -> None:
    assert find_user("0", lambda _: None) == ImageUser("", 0, 0)
