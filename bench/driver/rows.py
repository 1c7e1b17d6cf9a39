"""A row of the table: what is compared with what, and what must hold; and its result."""

import dataclasses

from bench.driver import stats

_STEADY = 2

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
        """"goal", "floor" (held, but not the goal), "below" the floor, "short" of a goal without a floor, "-" where nothing is to
        be held, "n/a" where there is no figure."""
        row = self.row
        if self.missing or (self.reference_missing and any(bound.needs_reference for bound in row.floor + row.goal)):
            return "n/a"
        if not row.floor and not row.goal:
            return "-"
        if not all(bound.holds(self, self.yardsticks) for bound in row.floor):
            return "below"
        if row.goal and all(bound.holds(self, self.yardsticks) for bound in row.goal):
            return "goal"
        return "floor" if row.floor else "short"

    def unsteady(self):
        """Whether the machine changed so much between rounds that the figure says little: what the row is compared with, or a
        yardstick that scales its bounds, swung by more than a factor of two."""
        names = {name for bound in self.row.floor + self.row.goal for name in getattr(bound, "scaled_by", ())}
        watched = [self.reference, *(self.yardsticks.get(name) for name in names)]
        return any(one and one.high > _STEADY * one.low for one in watched)


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
