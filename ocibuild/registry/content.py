"""The content of a blob to send: a file, or bytes, from any position and as often as needed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.errors import IntegrityError, MachineError

__all__ = ["BlobContent", "Slice"]

_BLOCK_BYTES = 1 << 17  # 64 to 256 KiB were the fastest to send (measured)


@dataclass(frozen=True, slots=True)
class BlobContent:
    """A blob and where its bytes are.

    That is a path, or the bytes themselves for small documents, or a function that makes or fetches the file: it is
    called only where the bytes must really be sent.
    """

    descriptor: Descriptor
    where: Path | bytes | Callable[[], Path]

    @property
    def size_bytes(self) -> int:
        """The size that the descriptor says."""
        return self.descriptor.size_bytes

    def located(self) -> "BlobContent":
        """The same blob with its file made.

        An IntegrityError where the size is not the descriptor's, as nothing would come of sending it; a MachineError
        where it cannot be read; and what the function raises.
        """
        where = self.where() if callable(self.where) else self.where
        try:
            actual = len(where) if isinstance(where, bytes) else where.stat().st_size
        except OSError as error:
            raise MachineError(f"cannot read {where!r}: {error.strerror}") from error
        if actual != self.size_bytes:
            raise IntegrityError(
                f"{self.descriptor.digest} has {actual} bytes here where {self.size_bytes} are expected",
                hint="'ocibuild check' finds what else is damaged; a new build makes the layer again",
            )
        return BlobContent(self.descriptor, where)

    def read(self, start_bytes: int, length_bytes: int) -> Iterator[bytes]:
        """These bytes in blocks; a MachineError where they cannot be read."""
        where = self.where() if callable(self.where) else self.where
        if isinstance(where, bytes):
            yield where[start_bytes : start_bytes + length_bytes]
            return
        try:
            with where.open("rb") as file:
                file.seek(start_bytes)
                while length_bytes and (block := file.read(min(_BLOCK_BYTES, length_bytes))):
                    length_bytes -= len(block)
                    yield block
        except OSError as error:
            raise MachineError(f"cannot read {where}: {error.strerror}") from error
        if length_bytes:
            raise MachineError(f"{where} became shorter while it was sent")


@dataclass(frozen=True, slots=True)
class Slice:
    """A piece of a blob as a request's body; ``on_sent`` is told the position in the blob after each block."""

    content: BlobContent
    start_bytes: int
    length_bytes: int
    on_sent: Callable[[int], None]

    def __len__(self) -> int:
        return self.length_bytes

    def __iter__(self) -> Iterator[bytes]:
        position = self.start_bytes
        for block in self.content.read(self.start_bytes, self.length_bytes):
            yield block
            position += len(block)
            self.on_sent(position)
