"""Medians, spreads and paired ratios of a few rounds."""

import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Summary:
    """What is told of the samples of all rounds."""

    median: float
    low: float
    high: float
    rounds: int


def summary(samples):
    """Summary of at least one sample."""
    return Summary(statistics.median(samples), min(samples), max(samples), len(samples))


def paired_ratio(ours, reference):
    """Summary of ours/reference round by round; both sides of one round ran one after the other, so that what slowed the
    machine in that round slowed both. None where a round lacks its partner or the reference is 0."""
    if not ours or len(ours) != len(reference) or not all(reference):
        return None
    return summary([a / b for a, b in zip(ours, reference)])


def slope(low_x, low_y, high_x, high_y):
    """Growth of y for one x between two points."""
    return (high_y - low_y) / (high_x - low_x)
