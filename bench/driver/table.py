"""The results as aligned text, as a Markdown table and as JSON."""

import json

from bench.driver.bounds import REFERENCE, number, speed

_HEAD = ("what", "isolation", "median", "min–max", "reference", "ratio", "floor", "goal", "verdict")


def _cells(result):
    row, yardsticks = result.row, result.yardsticks
    bounds = [" and ".join(b.text(yardsticks) for b in some) or "-" for some in (row.floor, row.goal)]
    if result.missing:
        return [row.what, row.isolation, result.missing.split("\n")[0], "", row.reference_name or "-", "", *bounds, result.verdict()]
    ours, reference, ratio = result.ours, result.reference, result.ratio
    return [
        row.what, row.isolation, number(ours.median, row.unit), f"{number(ours.low)}–{number(ours.high)}",
        f"{number(reference.median)} {row.reference_name}" if reference else row.reference_name or "-",
        f"{ratio.median:.2f} ({ratio.low:.2f}–{ratio.high:.2f})" if ratio else "-", *bounds, result.verdict(),
    ]


def text(results):
    """Aligned columns; reasons for missing figures stand below."""
    lines, notes = [], []
    for result in results:
        cells = _cells(result)
        if result.missing:
            notes.append(f"{result.row.name}: {result.missing}")
            cells[2] = result.missing.split(":")[0]
        lines.append(cells)
    widths = [max(len(line[i]) for line in [list(_HEAD), *lines]) for i in range(len(_HEAD))]
    out = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in [list(_HEAD), *lines]]
    return "\n".join(out + ([""] + notes if notes else []))


def markdown(results):
    """A table for docs/performance.md."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + "---|" * len(_HEAD)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(result)) + " |" for result in results]
    return "\n".join(lines)


def heading(machine, yardsticks, rounds):
    """What stands above a table: machine, load, yardsticks here and on the reference machine."""
    load_before, load_after = machine["load_average"][0], machine.get("load_average_after", machine["load_average"])[0]
    told = ", ".join(f"{name} {number(yardsticks[name])} (reference machine {number(REFERENCE[name])}: ×{speed(yardsticks, (name,)):.2f})"
                     for name in REFERENCE if name in yardsticks)
    return "\n".join([
        f"machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, kernel {machine['kernel']}, {machine['system']}, "
        f"{machine['file_system']}",
        f"when: {machine['time']}, load average {load_before:.2f} before, {load_after:.2f} after; {rounds} rounds, interleaved",
        f"yardsticks: {told}  (echo/s at 64 in flight, posix_spawn/s at 2 in flight, fdatasync p50 in ms)",
        "absolute bounds: 'here' = rates × the slowest of the row's yardsticks, durations ÷ it; ratios are paired round by round",
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
            "ours": _summary(result.ours), "reference": _summary(result.reference), "reference_name": row.reference_name,
            "ratio": _summary(result.ratio), "verdict": result.verdict(), "samples": result.samples, "yardsticks": result.yardsticks,
            "floor": [b.text(result.yardsticks) for b in row.floor], "goal": [b.text(result.yardsticks) for b in row.goal],
        })
    return json.dumps({"machine": machine, "yardsticks": yardsticks, "reference_yardsticks": REFERENCE, **settings, "rows": rows},
                      indent=1, ensure_ascii=False)
