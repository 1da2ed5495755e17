import hashlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ocibuild.layer.compression import Compression, compressor_for, open_decompressed
from ocibuild.store.store import Store
from ocibuild.work.budget import MemoryBudget
from ocibuild.work.cutting import CutWriter
from ocibuild.work.fragments import Cut

MEGABYTE = 1 << 20
CODEC = compressor_for(Compression.ZSTD)


class CountingBudget(MemoryBudget):
    """Remembers the most that was ever out."""

    most = 0

    def try_take(self, count_bytes: int) -> bool:
        taken = super().try_take(count_bytes)
        self.most = max(self.most, self._taken)
        return taken

    def take(self, count_bytes: int) -> None:
        super().take(count_bytes)
        self.most = max(self.most, self._taken)


def write(store: Store, pool: ThreadPoolExecutor, budget: MemoryBudget, seed: int, *, count: int) -> bytes:
    raw = b""
    cuts: list[Cut] = []
    with store.blobs.writer() as blob:
        writer = CutWriter(blob, CODEC, pool=pool, budget=budget)
        for number in range(count):
            with writer.reserved(MEGABYTE):
                data = hashlib.sha256(b"%d %d" % (seed, number)).digest() * (MEGABYTE // 32)
                writer.add(data, cuts)
                raw += data
        writer.flush()
    assert [cut.raw_bytes for cut in cuts] == [MEGABYTE] * count
    with store.blobs.open(blob.digest) as file:
        assert open_decompressed(io.BytesIO(file.read()), Compression.ZSTD, where="x").read() == raw
    return raw


def test_more_layers_than_the_budget_holds_are_written_all_the_same(tmp_path: Path) -> None:
    budget = CountingBudget(30 * MEGABYTE)
    with ThreadPoolExecutor(4) as pool, ThreadPoolExecutor(12) as drivers:
        barrier = threading.Barrier(12)

        def drive(seed: int) -> bytes:
            barrier.wait(20)
            return write(Store.at(tmp_path), pool, budget, seed, count=5)

        done = [drivers.submit(drive, seed) for seed in range(12)]
        assert len({hashlib.sha256(each.result(60)).digest() for each in done}) == 12
    assert budget.most <= 30 * MEGABYTE
    assert budget._taken == 0


def test_a_layer_alone_may_exceed_a_budget_that_is_too_small(tmp_path: Path) -> None:
    budget = MemoryBudget(1)
    with ThreadPoolExecutor(2) as pool:
        write(Store.at(tmp_path), pool, budget, 1, count=3)
    assert budget._taken == 0


def test_what_is_abandoned_gives_its_memory_back(tmp_path: Path) -> None:
    budget = MemoryBudget(64 * MEGABYTE)
    with ThreadPoolExecutor(1) as pool, Store.at(tmp_path).blobs.writer() as blob:
        writer = CutWriter(blob, CODEC, pool=pool, budget=budget)
        with writer.reserved(MEGABYTE):
            writer.add(bytes(MEGABYTE), [])
            writer.add(bytes(MEGABYTE), [])
        writer.abandon()
    assert budget._taken == 0
