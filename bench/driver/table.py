"""The results as aligned text, as a Markdown table and as JSON."""

import json

from bench.driver.bounds import REFERENCE, number, speed

_HEAD = ("what", "isolation", "median", "min–max", "reference", "ratio", "floor", "goal", "verdict")


def _reference(result):
    if result.reference_missing:
        return f"{result.row.reference_name}: {result.reference_missing.split(':')[0]}"
    if result.reference:
        return f"{number(result.reference.median)} {result.row.reference_name}"
    return "-"


def _cells(result):
    row, yardsticks = result.row, result.yardsticks
    bounds = [" and ".join(b.text(yardsticks) for b in some) or "-" for some in (row.floor, row.goal)]
    if result.missing:
        return [row.what, row.isolation, result.missing.split(":")[0], "", "-", "", *bounds, result.verdict()]
    ours, ratio = result.ours, result.ratio
    return [
        row.what, row.isolation, number(ours.median, row.unit), f"{number(ours.low)}–{number(ours.high)}",
        _reference(result),
        f"{ratio.median:.2f} ({ratio.low:.2f}–{ratio.high:.2f})" if ratio else "-", *bounds,
        result.verdict() + ("?" if result.unsteady() else ""),
    ]


def notes(results):
    """Why figures are missing, each reason once with the rows that it concerns."""
    reasons = {}
    for result in results:
        for why in (result.missing, result.reference_missing):
            if why:
                reasons.setdefault(why.replace("\n", " "), []).append(result.row.name)
    told = [f"{why} [{', '.join(names)}]" for why, names in reasons.items()]
    if any(result.unsteady() for result in results):
        told.append("?: the machine was not quiet: the reference or a yardstick swung by more than a factor of two between rounds")
    return told


def text(results):
    """Aligned columns; reasons for missing figures stand below."""
    lines = [_cells(result) for result in results]
    widths = [max(len(line[i]) for line in [list(_HEAD), *lines]) for i in range(len(_HEAD))]
    out = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in [list(_HEAD), *lines]]
    below = notes(results)
    return "\n".join(out + ([""] + below if below else []))


def markdown(results):
    """A table for docs/performance.md."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + "---|" * len(_HEAD)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(result)) + " |" for result in results]
    below = notes(results)
    return "\n".join(lines + ([""] + [f"* {note}" for note in below] if below else []))


def heading(machine, yardsticks, rounds):
    """What stands above a table: machine, load, yardsticks here and on the reference machine."""
    load_before, load_after = machine["load_average"][0], machine.get("load_average_after", machine["load_average"])[0]
    told = ", ".join(
        f"{name} {number(one.median)} ({number(one.low)}–{number(one.high)}; reference machine {number(REFERENCE[name])}, here at best "
        f"×{speed(yardsticks, (name,)):.2f})" for name, one in yardsticks.items())
    return "\n".join([
        f"machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, kernel {machine['kernel']}, {machine['system']}, "
        f"{machine['file_system']}",
        f"when: {machine['time']}, load average {load_before:.2f} before, {load_after:.2f} after; {rounds} rounds, interleaved",
        f"yardsticks: {told}  (echo/s at 64 in flight, posix_spawn/s at 2 in flight, fdatasync p50 in ms)",
        "absolute bounds: 'here' = rates × the slowest of the row's yardsticks (its best sample), durations ÷ it; ratios are paired round by round",
    ])


def _summary(summary):
    return summary and {"median": summary.median, "min": summary.low, "max": summary.high, "rounds": summary.rounds}


def as_json(results, machine, yardsticks, settings):
    """Everything, also each round's samples."""
    rows = []
    for result in results:
        row = result.row
        rows.append({
            "name": row.name, "what": row.what, "isolation": row.isolation, "unit": row.unit, "missing": result.missing,
            "reference_missing": result.reference_missing,
            "ours": _summary(result.ours), "reference": _summary(result.reference), "reference_name": row.reference_name,
            "ratio": _summary(result.ratio), "verdict": result.verdict(), "samples": result.samples,
            "unsteady": result.unsteady(), "yardsticks": {name: _summary(value) for name, value in result.yardsticks.items()},
            "floor": [b.text(result.yardsticks) for b in row.floor], "goal": [b.text(result.yardsticks) for b in row.goal],
        })
    return json.dumps({"machine": machine, "yardsticks": {name: _summary(value) for name, value in yardsticks.items()}, "reference_yardsticks": REFERENCE, **settings, "rows": rows},
                      indent=1, ensure_ascii=False)
