"""A limit on the bytes that all workers together hold in memory."""

import threading
from typing import Self

__all__ = ["MemoryBudget"]


_DEFAULT_MEMORY_BYTES = 300 << 20
_OWN_MEMORY_BYTES = 200 << 20  # measured, of all but cuts: interpreter, tables, package indexes, what malloc keeps
_LEAST_BUDGET_BYTES = 64 << 20


class MemoryBudget:
    """Permits for bytes. Whoever takes some gives the same number back.

    A request larger than the whole budget is granted when nothing else is out, so that it can be served at all.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._taken = 0
        self._changed = threading.Condition()

    @classmethod
    def of_process(cls, memory_bytes: int | None) -> Self:
        """What of the memory of the whole process (300 MiB where nothing is said) is left for layers."""
        return cls(max(_LEAST_BUDGET_BYTES, (memory_bytes or _DEFAULT_MEMORY_BYTES) - _OWN_MEMORY_BYTES))

    def try_take(self, count_bytes: int) -> bool:
        """Take the permits if they are free now."""
        with self._changed:
            if self._taken and self._taken + count_bytes > self._limit:
                return False
            self._taken += count_bytes
            return True

    def take(self, count_bytes: int) -> None:
        """Wait until the permits are free, and take them. Whoever holds some itself must use :meth:`try_take`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + count_bytes <= self._limit)
            self._taken += count_bytes

    def give(self, count_bytes: int) -> None:
        """Give permits back."""
        with self._changed:
            self._taken -= count_bytes
            self._changed.notify_all()
