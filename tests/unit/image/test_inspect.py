from dataclasses import replace

import pytest

from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.image.config import ImageConfig
from ocibuild.image.image import read_image
from ocibuild.image.inspect import inspect_image, layer_annotations, read_lock
from ocibuild.layer.entry import Entry
from ocibuild.lock import LOCK_PATH, Lock, PlatformLock
from tests.support.made_images import MadeImage, replace_config, replace_manifest

CONFIG = replace(ImageConfig(Platform(), command=("jupyter", "lab")), user="jovyan", exposed_ports=("8888/tcp",))
IMAGE = MadeImage([[Entry.file("a", b"1")], [Entry.file("b", b"2" * 9000)]], config=CONFIG)


def test_layers_tell_their_packages_and_how_they_were_made() -> None:
    source = IMAGE.source()
    annotations = dict(layer_annotations("debs", ("apt git=1:2.39 amd64", "apt curl=7.88 amd64")))
    replace_manifest(source, lambda manifest: manifest["layers"][1].update(annotations=annotations))
    report = inspect_image(read_image(source))
    first, second = report.layers
    assert (first.name, first.packages, first.created_by) == ("", (), "layer 0")
    assert (second.name, second.created_by) == ("debs", "layer 1")
    assert second.packages == ("apt git=1:2.39 amd64", "apt curl=7.88 amd64")
    value = report.to_json()
    assert value["size_bytes"] == sum(layer["size_bytes"] for layer in value["layers"])
    assert value["layers"][1]["packages"] == ["apt git=1:2.39 amd64", "apt curl=7.88 amd64"]
    assert (value["user"], value["command"], value["exposed_ports"]) == ("jovyan", ["jupyter", "lab"], ["8888/tcp"])
    assert value["digest"] == str(source.root().descriptor.digest)
    assert value["platform"] == "linux/amd64"


def test_no_layer_is_read() -> None:
    source = IMAGE.source()
    image = read_image(source)
    assert len(inspect_image(image).layers) == 2
    assert not {str(layer.digest) for layer in image.manifest.layers} & set(source.opened)


def test_a_layer_that_occurs_twice_is_pulled_once() -> None:
    layer = [Entry.file("a", b"1")]
    report = inspect_image(read_image(MadeImage([layer, layer]).source()))
    assert report.size_bytes == report.layers[0].size_bytes


def test_a_history_of_another_length_is_not_guessed_at() -> None:
    source = IMAGE.source()
    replace_config(source, lambda config: config["history"].pop())
    assert [layer.created_by for layer in inspect_image(read_image(source)).layers] == ["", ""]


def test_a_number_of_diff_ids_that_does_not_fit_is_refused() -> None:
    source = IMAGE.source()
    replace_config(source, lambda config: config["rootfs"]["diff_ids"].pop())
    with pytest.raises(ImageError, match="2 layers in the manifest, 1 diff_ids"):
        inspect_image(read_image(source))


def test_the_lock_is_found_in_the_uppermost_layer_that_holds_one() -> None:
    package = LockedPackage(Ecosystem.PIP, "six", "1.17.0", "any", "pypi", "six.whl", Digest.of(b"six"))
    locks = [Lock({Platform(): PlatformLock("scratch", packages=packages)}) for packages in ((), (package,))]
    layers = [[Entry.file(LOCK_PATH, lock.to_text().encode())] for lock in locks]
    source = MadeImage([*layers, [Entry.file("top", b"")]]).source()
    lock = read_lock(source, read_image(source))
    assert lock is not None
    assert [found.identity for found in lock.packages] == ["six=1.17.0 any"]
    assert read_lock(IMAGE.source(), read_image(IMAGE.source())) is None
