import json
from dataclasses import replace

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.platform import Platform
from ocibuild.image.config import History, ImageConfig

LAYER = Digest.of(b"layer")
# The shape of a docker-built image's configuration: nulls, legacy fields, a healthcheck, an empty layer in history.
DOCKER = {
    "architecture": "amd64",
    "os": "linux",
    "docker_version": "20.10.23",
    "container_config": {"Hostname": "x", "Cmd": ["/bin/sh", "-c"]},
    "created": "2023-04-05T06:07:08.123456789Z",
    "author": "somebody",
    "config": {
        "Hostname": "",
        "Env": ["PATH=/usr/local/bin:/usr/bin", "LANG=C.UTF-8", "EMPTY=", "EQUALS=a=b"],
        "Cmd": ["python3"],
        "Entrypoint": None,
        "Labels": None,
        "Volumes": {"/data": {}},
        "ExposedPorts": {"8888/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "true"]},
        "StopSignal": "SIGINT",
        "OnBuild": None,
    },
    "rootfs": {"type": "layers", "diff_ids": [str(LAYER)]},
    "history": [
        {"created": "2023-01-01T00:00:00Z", "created_by": "ADD file"},
        {"created": "2023-01-01T00:00:01Z", "created_by": "CMD", "empty_layer": True},
    ],
}


def parse(value: object) -> ImageConfig:
    return ImageConfig.parse(json.dumps(value).encode(), where="test")


def test_a_docker_configuration_is_read() -> None:
    config = parse(DOCKER)
    assert config.platform == Platform()
    assert dict(config.environment) == {
        "PATH": "/usr/local/bin:/usr/bin",
        "LANG": "C.UTF-8",
        "EMPTY": "",
        "EQUALS": "a=b",
    }
    assert (config.command, config.entrypoint, dict(config.labels)) == (("python3",), None, {})
    assert config.exposed_ports == ("8888/tcp",)
    assert config.history[1].empty_layer


def test_what_is_not_named_survives_a_derived_image() -> None:
    added = Digest.of(b"ours")
    config = parse(DOCKER).appended([(added, History(created_by="ours"))])
    value = json.loads(replace(config, user="jovyan").with_labels({"a": "b"}).document().content)
    assert value["config"]["Healthcheck"] == DOCKER["config"]["Healthcheck"]  # type: ignore[index]
    assert value["config"]["Volumes"] == {"/data": {}}
    assert value["container_config"] == DOCKER["container_config"]
    assert value["author"] == "somebody"
    assert value["config"]["User"] == "jovyan"
    assert value["config"]["Labels"] == {"a": "b"}
    assert value["rootfs"]["diff_ids"] == [str(LAYER), str(added)]
    assert value["history"][:2] == DOCKER["history"]
    assert value["history"][2] == {"created_by": "ours"}
    assert "Entrypoint" not in value["config"]


def test_writing_and_reading_again_gives_the_same() -> None:
    config = replace(parse(DOCKER), entrypoint=(), platform=Platform("linux", "arm", "v7"))
    again = ImageConfig.parse(config.document().content, where="test")
    assert again == config
    assert again.document() == config.document()
    assert again.entrypoint == ()


def test_variables_keep_their_order_and_new_ones_come_last() -> None:
    config = parse(DOCKER).with_environment({"LANG": "de", "NEW": "1"})
    assert config.to_json()["config"]["Env"] == [
        "PATH=/usr/local/bin:/usr/bin",
        "LANG=de",
        "EMPTY=",
        "EQUALS=a=b",
        "NEW=1",
    ]


@pytest.mark.parametrize(
    ("history", "empties"),
    [
        (None, [False, False]),
        ([], [False, False]),
        ([{"created_by": "a"}, {"created_by": "b"}, {"created_by": "c"}], [False, True, True, False]),
        ([{"created_by": "a", "empty_layer": True}], [True, False, False]),
    ],
)
def test_a_history_of_another_length_is_put_right(history: object, empties: list[bool]) -> None:
    config = parse(DOCKER | {"history": history}).appended([(LAYER, History(created_by="ours"))])
    assert [entry.empty_layer for entry in config.history] == empties
    assert config.history[-1].created_by == "ours"
    assert sum(not entry.empty_layer for entry in config.history) == len(config.diff_ids)


def test_a_command_that_is_one_text_is_read_as_docker_reads_it() -> None:
    assert parse(DOCKER | {"config": {"Cmd": "bash"}}).command == ("bash",)


def test_odd_text_survives() -> None:
    config = parse(DOCKER | {"config": {"Labels": {"k": "\ud800 ü \u0000"}}})
    assert ImageConfig.parse(config.document().content, where="x").labels == {"k": "\ud800 ü \u0000"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rootfs": None}, "rootfs.diff_ids"),
        ({"rootfs": {"diff_ids": ["sha256:zz"]}}, "not a digest"),
        ({"os": "windows"}, "windows/amd64"),
        ({"architecture": ""}, "linux"),
        ({"config": {"Env": [1]}}, "Env is no list of texts"),
        ({"config": {"Env": {"a": "b"}}}, "Env is no list of texts"),
        ({"config": {"Labels": {"a": 1}}}, "Labels"),
        ({"config": []}, None),
        ({"config": [1]}, "not an image configuration"),
        ({"history": ["x"]}, "history entry"),
        ({"config": {"ExposedPorts": 7}}, "test"),
    ],
)
def test_what_is_malformed_is_named(change: dict[str, object], message: str | None) -> None:
    if message is None:
        assert parse(DOCKER | change).command is None  # an empty list, as old PHP-made configurations hold
        return
    with pytest.raises(ImageError, match=message):
        parse(DOCKER | change)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'"x"', b"\xff", b"[" * 100_000, b" " * (5 << 20)])
def test_what_is_no_document_is_refused(content: bytes) -> None:
    with pytest.raises(ImageError, match="blob"):
        ImageConfig.parse(content, where="blob")
