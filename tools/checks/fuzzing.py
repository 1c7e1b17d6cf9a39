"""The fuzz targets with libFuzzer's engine; their corpus is replayed by the unit tests already."""

from tools.checks import step


def run(config, seconds):
    """Each target for so long, in a configuration of .bazelrc; one case for each."""
    code, output = step.run(["tools/fuzz", "--config", config, "--seconds", str(seconds)])
    lines = output.splitlines()
    result = step.Result(f"fuzzing ({config})", passed=sum(line.startswith("ok ") for line in lines),
                         failed=sum(line.startswith("FAILED ") for line in lines))
    if code != 0 and result.failed == 0:
        result.failed = 1
    return result
