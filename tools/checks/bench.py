"""The guard of the benches: ratios to references taken in the same minute, with generous bounds."""

from tools.checks import step


def guard(binaries):
    """Runs bench.driver.guard with the binaries of one build; one case for each bound."""
    code, output = step.run(["/usr/bin/python3", "-m", "bench.driver.guard"], timeout=600, env={"BOXKEEPER_BIN": binaries})
    lines = output.splitlines()
    result = step.Result("bench guard", passed=sum(line.startswith("ok ") for line in lines),
                         failed=sum(line.startswith("FAILED ") for line in lines))
    if code != 0 and result.failed == 0:
        result.failed = 1
    return result
