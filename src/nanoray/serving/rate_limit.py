"""Rate limit for each caller."""

from __future__ import annotations

import threading
import time

from nanoray.errors import NanoRayError

_MAX_CALLERS = 10_000


class TooManyRequestsError(NanoRayError):
    """A caller has exceeded the rate limit.

    Attributes:
        wait: seconds until the next allowed request.
    """

    def __init__(self, wait: int) -> None:
        super().__init__("too many requests; slow down")
        self.wait = wait


class RateLimit:
    """A token bucket for each caller: `per_minute` on average, bursts of a tenth of that."""

    def __init__(self, per_minute: int) -> None:
        """Limit to `per_minute` requests; 0: no limit."""
        self._rate = per_minute / 60
        self._burst = max(5.0, per_minute / 10)
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def check(self, caller: str, cost: float = 1.0) -> None:
        """Count a request of a caller.

        Raises:
            TooManyRequestsError: the limit is exceeded.
        """
        if not self._rate:
            return
        moment = time.monotonic()
        with self._lock:
            if len(self._buckets) > _MAX_CALLERS:
                # Full buckets need no entry.
                refill = self._burst / self._rate
                self._buckets = {
                    name: bucket
                    for name, bucket in self._buckets.items()
                    if moment - bucket[1] < refill
                }
            tokens, last = self._buckets.get(caller, (self._burst, moment))
            tokens = min(self._burst, tokens + (moment - last) * self._rate)
            if tokens < cost:
                wait = max(1, round((cost - tokens) / self._rate + 0.5))
                self._buckets[caller] = tokens, moment
                raise TooManyRequestsError(wait)
            self._buckets[caller] = tokens - cost, moment
