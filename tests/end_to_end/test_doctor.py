"""``ocibuild doctor``: what it says is what happens."""

import json
from pathlib import Path

from tests.end_to_end.conftest import Program


def test_every_rung_is_told_with_a_reason(program: Program) -> None:
    told = json.loads(program.result("doctor", "--json"))
    assert [(rung["number"], rung["name"]) for rung in told["rungs"]] == [
        (1, "sub-ids"),
        (2, "one-id"),
        (3, "trap"),
        (4, "chroot"),
    ]
    for rung in told["rungs"]:
        assert rung["works"] or rung["reason"]
    working = [rung["name"] for rung in told["rungs"] if rung["works"]]
    assert told["chosen"] == (working[0] if working else None)
    assert told["can_build"][0].startswith("rung 0, for every platform")
    assert list(program.store.iterdir()) == []


def test_the_table_says_the_same(program: Program) -> None:
    told = json.loads(program.result("doctor", "--json"))
    text = program.result("doctor")
    for rung in told["rungs"]:
        line = next(line for line in text.splitlines() if line[:16].split() == [str(rung["number"]), rung["name"]])
        assert line[16:].split()[0] == ("yes" if rung["works"] else "no")
    assert f"store: {program.store} (writable" in text


def test_a_pod_is_recognised(program: Program) -> None:
    told = json.loads(program.result("doctor", "--json", KUBERNETES_SERVICE_HOST="10.0.0.1"))
    assert told["is_pod"]
    assert not json.loads(program.result("doctor", "--json"))["is_pod"]


def test_an_unwritable_store_is_told(tmp_path: Path) -> None:
    store = Path("/proc/store")
    told = json.loads(Program(store, {}).result("doctor", "--json"))
    assert all(not rung["works"] and "making a root for a trial" in rung["reason"] for rung in told["rungs"])
    assert told["chosen"] is None
