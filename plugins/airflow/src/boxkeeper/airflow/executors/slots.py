"""How many tasks of ours the daemon has room for. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from boxkeeper.v1 import executor_pb2

# An answer is older than the ends that were heard meanwhile, so a single one may count our own as others'.
_LOOKS = 3


class Slots:
    """Others' share of the daemon: the least of what the last few answers showed."""

    def __init__(self) -> None:
        self._seen: Any = None
        self._others: deque[tuple[int, dict[str, int]]] = deque(maxlen=_LOOKS)

    def look(self, capacity: Optional[executor_pb2.GetCapacityResponse], ours: int) -> None:
        """Notes what others have there: what it runs and queues, without `ours`. The same answer counts once."""
        if capacity is None or capacity is self._seen:
            return
        self._seen = capacity
        self._others.append((max(0, capacity.running + capacity.queued - ours),
                             {provider.name: max(0, provider.running - ours) for provider in capacity.providers}))

    def limit(self, parallelism: int, capacity: Optional[executor_pb2.GetCapacityResponse], reachable: Optional[bool],
              overrides: Mapping[str, Any]) -> int:
        """Tasks of ours that may be with the daemon at once, 0 to `parallelism`. 0 where it takes nothing or does not answer:
        then task instances wait as scheduled, where no token ages. All, as long as nothing is known."""
        if reachable is False or (capacity is not None and not capacity.accepting):
            return 0
        if capacity is None or not self._others:
            return parallelism
        limit = min(parallelism, capacity.max_running - min(total for total, _ in self._others))
        for provider in capacity.providers:
            if provider.name == overrides.get("provider") and provider.max_running > 0:
                limit = min(limit, provider.max_running - min(by_name.get(provider.name, 0) for _, by_name in self._others))
        return max(0, limit)
