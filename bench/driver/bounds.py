"""Floors and goals, and how the absolute ones are scaled to the machine at hand.

An absolute bound holds for the reference machine. Each names the yardsticks that limit it; the machine's speed is the
smallest of (here / reference machine) over those yardsticks; rates are multiplied by it, durations divided. Bounds without
a yardstick (bytes, share of a core) are not scaled. Ratios never are.
"""

import dataclasses
import math

# Of the reference machine: a quiet 2-core virtual machine, Debian 12, ext4 on virtio.
REFERENCE = {"echo": 64800.0, "spawn": 3081.0, "fdatasync": 0.13}
_LOWER_IS_BETTER = {"fdatasync"}


def speed(yardsticks, names):
    """How fast this machine is (1 = the reference machine) by the slowest of the yardsticks `names`.

    `yardsticks` are summaries of the samples taken here, of which the best counts: a neighbour's noise must not make a bound
    easier. One without samples counts as 1."""
    factors = []
    for name in names:
        if yardsticks.get(name) is None:
            continue
        if name in _LOWER_IS_BETTER:
            factors.append(REFERENCE[name] / yardsticks[name].low)
        else:
            factors.append(yardsticks[name].high / REFERENCE[name])
    return min(factors, default=1.0)


def number(value, unit=""):
    """A number for people, three significant digits."""
    if value is None or math.isnan(value):
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    text = f"{value:,.{digits}f}".replace(",", " ")
    return f"{text} {unit}".strip()


@dataclasses.dataclass(frozen=True)
class AtLeast:
    """A rate: the median must reach `value`."""

    value: float
    unit: str = "/s"
    scaled_by: tuple = ()
    needs_reference = False

    def limit(self, yardsticks):
        return self.value * speed(yardsticks, self.scaled_by)

    def holds(self, result, yardsticks):
        return result.ours.median >= self.limit(yardsticks)

    def text(self, yardsticks):
        here = f" (here {number(self.limit(yardsticks))})" if self.scaled_by else ""
        return f"≥ {number(self.value, self.unit)}{here}"


@dataclasses.dataclass(frozen=True)
class AtMost:
    """A duration or a size: the median must not exceed `value`."""

    value: float
    unit: str = "ms"
    scaled_by: tuple = ()
    needs_reference = False

    def limit(self, yardsticks):
        return self.value / speed(yardsticks, self.scaled_by)

    def holds(self, result, yardsticks):
        return result.ours.median <= self.limit(yardsticks)

    def text(self, yardsticks):
        here = f" (here {number(self.limit(yardsticks))})" if self.scaled_by else ""
        return f"≤ {number(self.value, self.unit)}{here}"


@dataclasses.dataclass(frozen=True)
class Ratio:
    """The median of the paired ratios to the reference must reach `value`."""

    value: float
    of: str = "ref."
    needs_reference = True

    def holds(self, result, yardsticks):
        return result.ratio is not None and result.ratio.median >= self.value

    def text(self, yardsticks):
        return f"≥ {self.value:g} × {self.of}"


@dataclasses.dataclass(frozen=True)
class RatioAtMost:
    """The median of the paired ratios to the reference must not exceed `value`."""

    value: float
    of: str = "ref."
    needs_reference = True

    def holds(self, result, yardsticks):
        return result.ratio is not None and result.ratio.median <= self.value

    def text(self, yardsticks):
        return f"≤ {self.value:g} × {self.of}"


@dataclasses.dataclass(frozen=True)
class AboveReference:
    """The median must not exceed the reference's median by more than `value`."""

    value: float
    unit: str = "ms"
    scaled_by: tuple = ()
    needs_reference = True

    def limit(self, yardsticks):
        return self.value / speed(yardsticks, self.scaled_by)

    def holds(self, result, yardsticks):
        return result.reference is not None and result.ours.median <= result.reference.median + self.limit(yardsticks)

    def text(self, yardsticks):
        here = f" (here {number(self.limit(yardsticks))})" if self.scaled_by else ""
        return f"≤ ref. + {number(self.value, self.unit)}{here}"
