"""A row of the table: what is compared with what, and what must hold; and its result."""

import dataclasses

from bench.driver import stats


@dataclasses.dataclass(frozen=True)
class Row:
    """`ours` and `reference` name metrics that an experiment's sides return."""

    name: str
    what: str
    ours: str
    unit: str
    isolation: str = "-"
    reference: str = ""
    reference_name: str = ""
    floor: tuple = ()
    goal: tuple = ()


@dataclasses.dataclass
class Result:
    """What came of a row. `missing` says why there is no figure, `reference_missing` why nothing to compare with."""

    row: Row
    ours: stats.Summary = None
    reference: stats.Summary = None
    ratio: stats.Summary = None
    missing: str = ""
    reference_missing: str = ""
    samples: dict = dataclasses.field(default_factory=dict)
    yardsticks: dict = dataclasses.field(default_factory=dict)
    detail: dict = dataclasses.field(default_factory=dict)

    def verdict(self):
        """"goal", "floor", "below", or "-" where nothing is to be held, "n/a" where there is no figure."""
        if self.missing:
            return "n/a"
        if not self.row.floor and not self.row.goal:
            return "-"
        if self.reference_missing and any(bound.needs_reference for bound in self.row.floor + self.row.goal):
            return "n/a"
        floor = all(bound.holds(self, self.yardsticks) for bound in self.row.floor)
        goal = bool(self.row.goal) and all(bound.holds(self, self.yardsticks) for bound in self.row.goal)
        return "below" if not floor else "goal" if goal else "floor"


def result(row, metrics, yardsticks):
    """Result of `row` from {metric: samples of all rounds}."""
    ours, reference = metrics.get(row.ours), metrics.get(row.reference, [])
    if not ours:
        return Result(row, missing="not measured")
    made = Result(row, ours=stats.summary(ours), yardsticks=yardsticks,
                  samples={"ours": list(ours), "reference": list(reference)})
    if reference:
        made.reference = stats.summary(reference)
        made.ratio = stats.paired_ratio(ours, reference)
    return made
