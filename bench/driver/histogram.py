"""Histograms without labels from a Prometheus text."""

from bench.driver.programs import Failed

LOOP_LAG = "boxkeeper_loop_lag_seconds"


def read(text, name):
    """[(upper bound, cumulative count)], ascending."""
    buckets = []
    for line in text.splitlines():
        if line.startswith(f'{name}_bucket{{le="'):
            bound, _, count = line.partition('le="')[2].partition('"} ')
            buckets.append((float(bound), float(count)))
    if not buckets:
        raise Failed(f"no histogram {name}")
    return buckets


def since(before, after):
    """What came between two readings."""
    return [(bound, count - earlier) for (bound, count), (_, earlier) in zip(after, before)]


def quantile(buckets, share):
    """Upper bound of the bucket that holds the quantile."""
    total = buckets[-1][1]
    if total == 0:
        raise Failed("the histogram is empty")
    return next(bound for bound, count in buckets if count >= share * total)
