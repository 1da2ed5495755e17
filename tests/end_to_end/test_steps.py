"""Code of a repository that runs while it is built: postBuild, [[step]], maintainer scripts."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Program, repository, trials
from tests.support.program import program_command

pytestmark = pytest.mark.network


def executable(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def layers_of(program: Program, image: str) -> list[str]:
    (inspected,) = json.loads(program.result("inspect", image, "--json"))
    return [layer["name"] for layer in inspected["layers"]]


def test_post_build_runs_as_the_user_among_the_repositorys_files(warm: Program, tmp_path: Path, sandbox: str) -> None:
    source = repository(tmp_path / "repo", data_csv="1,2\n")
    executable(
        source,
        "postBuild",
        "#!/bin/sh -e\n"
        "id -un > who; id -u >> who; pwd >> who; echo $HOME >> who; umask >> who\n"
        "mkdir -p out/deep; cat data.csv > out/deep/copy; ln -s deep out/link; ln out/deep/copy out/hard\n"
        "chmod 640 out/deep/copy; rm data.csv; : > empty; cat /dev/null; test -c /dev/null; test -d /proc/self\n",
    )
    root = tmp_path / "root"
    warm.result("build", source, "--sandbox", sandbox, "-o", f"rootfs:{root}", "-o", f"oci:{tmp_path}/image")
    home = root / "home/jovyan"
    assert (home / "who").read_text().split() == ["jovyan", "1000", "/home/jovyan", "/home/jovyan", "0022"]
    assert not (home / "data.csv").exists()
    assert (home / "out/hard").stat().st_ino == (home / "out/deep/copy").stat().st_ino
    assert stat.S_IMODE((home / "out/deep/copy").stat().st_mode) == 0o640
    assert str((home / "out/link").readlink()) == "deep"
    if os.geteuid() == 0:
        assert ((home / "who").stat().st_uid, (home / "who").stat().st_gid) == (1000, 1000)
    assert layers_of(warm, f"oci:{tmp_path}/image")[-2:] == ["postBuild", "the lock"]
    assert warm.result("check", f"oci:{tmp_path}/image").endswith("is sound")


def test_every_sandbox_gives_the_same_image(warm: Program, tmp_path: Path) -> None:
    source = repository(
        tmp_path / "repo",
        ocibuild_toml='[[step]]\nname = "owners"\nuser = "root"\nrun = """\n'
        "mkdir -p /srv/shared && chown root:staff /srv/shared && chmod 2775 /srv/shared\n"
        "echo x > /srv/shared/file; chown jovyan /srv/shared/file; chmod 4711 /srv/shared/file\n"
        'rm /etc/motd 2>/dev/null || true; rm -rf /usr/share/doc/tar; echo y > /etc/new; touch /etc/passwd\n"""\n',
    )
    executable(source, "postBuild", "#!/bin/sh -e\necho made > made; mkdir sub; echo $SOURCE_DATE_EPOCH > sub/time\n")
    working = [name for name, trial in trials().items() if trial.works]
    warm.result("build", repository(tmp_path / "nothing"))
    images = {}
    for name in working:
        store = tmp_path / f"store-{name}"  # what is made before the steps comes along, the roots do not
        for part in ("blobs", "records"):
            shutil.copytree(warm.store / part, store / part, copy_function=os.link)
        image = f"oci:{tmp_path}/image-{name}"
        warm.result("build", source, "--sandbox", name, "-o", image, OCIBUILD_STORE=str(store))
        (inspected,) = json.loads(warm.result("inspect", image, "--json"))
        images[name] = [layer["diff_id"] for layer in inspected["layers"]]
    assert len(working) >= 2
    assert len({json.dumps(diff_ids) for diff_ids in images.values()}) == 1, images


def test_a_step_runs_once(warm: Program, tmp_path: Path) -> None:
    source = repository(tmp_path / "repo", a_txt=str(tmp_path))
    executable(source, "postBuild", "#!/bin/sh\ndate +%N > nanoseconds\n")
    lock, build = tmp_path / "lock", ("build", source, "--locked", "--lock", tmp_path / "lock")
    warm.result("lock", source, "--lock", lock)
    first = warm.result(*build, "-o", f"rootfs:{tmp_path / 'first'}")
    # A mirror has a new date and the same packages: the image says so, and the step has nothing to do with it.
    lock.write_text(re.sub(r'"date": "20..', '"date": "2001', lock.read_text()))
    assert warm.result(*build, "-o", f"rootfs:{tmp_path / 'second'}") != first
    assert len({(tmp_path / root / "home/jovyan/nanoseconds").read_text() for root in ("first", "second")}) == 1
    (source / "a.txt").write_text("changed")
    warm.result(*build, "-o", f"rootfs:{tmp_path / 'third'}")
    assert (tmp_path / "third/home/jovyan/nanoseconds").read_text() != (
        tmp_path / "first/home/jovyan/nanoseconds"
    ).read_text()


def test_a_failing_step_shows_its_end_and_leaves_nothing(warm: Program, tmp_path: Path) -> None:
    source = repository(tmp_path / "repo", a_txt=str(tmp_path))
    executable(
        source, "postBuild", "#!/bin/sh\nfor i in $(seq 50); do echo line $i; done\necho to stderr >&2\nexit 3\n"
    )
    said = warm.error("build", source, code=1)
    assert "postBuild failed with exit code 3" in said
    assert "| line 50" in said
    assert "| to stderr" in said
    log = Path(said.partition("all that it wrote is in ")[2].partition(";")[0])
    assert log.read_text().splitlines()[0] == "line 1"
    executable(source, "postBuild", "#!/bin/sh\ntrue\n")
    warm.result("build", source)


def test_a_step_that_hangs_is_ended_with_all_its_processes(warm: Program, tmp_path: Path) -> None:
    source = repository(tmp_path / "repo", a_txt=str(tmp_path))
    executable(source, "postBuild", "#!/bin/sh\ntrap '' TERM\n(setsid sleep 4242 &)\nsleep 4242\n")
    said = warm.error("build", source, "--step-timeout", "1", code=1)
    assert "was ended after 1 seconds" in said
    running = subprocess.run(["pgrep", "-f", "^sleep 4242$"], capture_output=True, text=True, check=False)
    assert running.stdout == ""


def test_a_secret_is_there_for_the_step_and_nowhere_else(warm: Program, tmp_path: Path) -> None:
    source = repository(tmp_path / "repo", a_txt=str(tmp_path))
    executable(source, "postBuild", "#!/bin/sh -e\nwc -c < /run/secrets/token > size\nls /run/secrets > names\n")
    (tmp_path / "token").write_text("s3cret-of-this-test")
    image = tmp_path / "image"
    warm.result("build", source, "--secret", f"token={tmp_path}/token", "-o", f"rootfs:{image}")
    assert (image / "home/jovyan/size").read_text().strip() == "19"
    assert not (image / "run/secrets").exists()
    found = subprocess.run(
        ["grep", "-rl", "s3cret-of-this-test", str(image), str(warm.store / "records"), str(warm.store / "logs")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""
    (tmp_path / "token").write_text("another-secret-here")
    digest = warm.result("build", source, "--secret", f"token={tmp_path}/token")
    assert warm.result("build", source) == digest  # no part of any key


def test_nothing_of_this_process_reaches_a_step(warm: Program, tmp_path: Path) -> None:
    source = repository(tmp_path / "repo", a_txt=str(tmp_path))
    executable(source, "postBuild", "#!/bin/sh\nenv | sort > environment\n")
    root = tmp_path / "root"
    warm.result("build", source, "-o", f"rootfs:{root}", MY_TOKEN="secret", AWS_SECRET_ACCESS_KEY="secret")
    assert "secret" not in (root / "home/jovyan/environment").read_text()


def test_a_user_may_not_change_what_is_not_his(warm: Program, tmp_path: Path, sandbox: str) -> None:
    source = repository(tmp_path / "repo", a_txt=str(tmp_path))
    executable(source, "postBuild", "#!/bin/sh\necho mine > /etc/debian_version\n")
    said = warm.error("build", source, "--sandbox", sandbox, code=1)
    assert "/etc/debian_version" in said


def test_without_a_sandbox_a_step_is_refused(warm: Program, tmp_path: Path) -> None:
    source = repository(tmp_path / "repo", a_txt=str(tmp_path))
    executable(source, "postBuild", "#!/bin/sh\ntrue\n")
    said = warm.error("build", source, "--sandbox", "none", code=4)
    assert "postBuild" in said


def test_a_step_without_network(warm: Program, tmp_path: Path, sandbox: str) -> None:
    source = repository(
        tmp_path / "repo",
        ocibuild_toml='[[step]]\nnetwork = false\nrun = "if (exec 3<>/dev/tcp/127.0.0.1/9) 2>error; then exit 1; fi; cat /proc/net/dev > devices || true"\n'.replace(
            'run = "', 'run = ["/bin/bash", "-c", "'
        ).replace('|| true"', '|| true"]'),
    )
    warm.result("build", source, "--sandbox", sandbox)


def test_an_interrupted_step_ends_with_all_its_processes(warm: Program, tmp_path: Path, sandbox: str) -> None:
    source = repository(tmp_path / "repo", a_txt=str(tmp_path))
    executable(source, "postBuild", "#!/bin/sh\n(setsid sleep 4343 &)\necho begun\nsleep 4343\n")
    process = subprocess.Popen(
        program_command("build", source, "--sandbox", sandbox),
        env={**os.environ, "OCIBUILD_STORE": str(warm.store)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "begun" in line:
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=60)
    assert process.returncode == 130
    running = subprocess.run(["pgrep", "-f", "^sleep 4343$"], capture_output=True, text=True, check=False)
    assert running.stdout == ""
    executable(source, "postBuild", "#!/bin/sh\necho now > done\n")
    warm.result("build", source, "--sandbox", sandbox)
