"""Entry point of tools/fuzz. usage: see tools/fuzz."""

import argparse
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import time

from tools.checks import bazel, step

_SOURCES = "tests/fuzz"
_STATE = ".state/fuzz"
# One input: longer than a step on a busy machine takes, and more than any of them needs.
_INPUT_SECONDS = 20
_MEMORY_MB = 1536
_INPUT_BYTES = 16384
_MINIMISED_BYTES = 1024
# Debian's gRPC, protobuf and abseil are not instrumented (.bazelrc says the same for tests).
_SYMBOLS = "external_symbolizer_path=/usr/bin/addr2line"
_ENVIRONMENT = {"ASAN_OPTIONS": f"detect_container_overflow=0:detect_leaks=1:allocator_may_return_null=1:{_SYMBOLS}",
                "UBSAN_OPTIONS": f"print_stacktrace=1:{_SYMBOLS}"}


def _targets():
    ending = "_fuzz.cc"
    return sorted(os.path.basename(path)[:-len(ending)] for path in glob.glob(os.path.join(step.ROOT, _SOURCES, "*" + ending)))


def _build(targets, config):
    labels = [f"//{_SOURCES}:{target}_fuzz" for target in targets]
    code, _ = step.run(["bazel", "build", f"--config={config}", "--show_result=0", "--noshow_progress", *labels])
    if code != 0:
        sys.exit("fuzz: the build failed")
    return os.path.join(bazel.output_folder(config), _SOURCES)


def _folder(target, what):
    path = os.path.join(step.ROOT, _STATE, target, what)
    os.makedirs(path, exist_ok=True)
    return path


def _corpus(target):
    return os.path.join(step.ROOT, _SOURCES, "corpus", target)


def _engine(binaries, target, arguments, show):
    """Runs one target's engine; returns (exit code, output)."""
    flags = [f"-timeout={_INPUT_SECONDS}", f"-rss_limit_mb={_MEMORY_MB}", f"-artifact_prefix={_folder(target, 'found')}/"]
    process = subprocess.Popen([os.path.join(binaries, target + "_fuzz"), *flags, *arguments], cwd=step.ROOT, text=True, errors="replace",
                               env={**os.environ, **_ENVIRONMENT}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if show:
                sys.stdout.write(line)
        return process.wait(), "".join(lines)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _number(pattern, output):
    found = re.findall(pattern, output)
    return int(found[-1]) if found else 0


def _run(binaries, target, seconds):
    """Fuzzes one target; True if nothing was found. Prints one line."""
    started = time.monotonic()
    arguments = [f"-max_total_time={seconds}", f"-max_len={_INPUT_BYTES}", "-print_final_stats=1"]
    dictionary = os.path.join(step.ROOT, _SOURCES, "dictionaries", target + ".dict")
    if os.path.exists(dictionary):
        arguments.append(f"-dict={dictionary}")
    code, output = _engine(binaries, target, arguments + [_folder(target, "corpus"), _corpus(target)], show=False)
    runs = _number(r"stat::number_of_executed_units:\s*(\d+)", output)
    edges, inputs = _number(r"cov: (\d+)", output), _number(r"corp: (\d+)", output)
    facts = f"{time.monotonic() - started:.0f} s, {runs} runs, {edges} edges, {inputs} inputs"
    if code == 0 and runs > 0:
        print(f"ok {target}: {facts}", flush=True)
        return True
    found = re.findall(r"Test unit written to (\S+)", output)
    # Without what the engine tells of its progress.
    print("\n".join(line for line in output.splitlines() if not re.match(r"#\d+\s|\s+NEW_FUNC|INFO: ", line))[-6000:])
    print(f"FAILED {target}: {facts}", flush=True)
    for path in found:
        print(f"  replay: tools/fuzz --replay {os.path.relpath(path, step.ROOT)} {target}", flush=True)
    return False


def _minimise(binaries, target):
    """The corpus of the tree becomes few small inputs that reach all branches that it and the state folder's reach."""
    merged = _folder(target, "merged")
    shutil.rmtree(merged)
    os.makedirs(merged)
    os.makedirs(_corpus(target), exist_ok=True)
    arguments = ["-set_cover_merge=1", "-use_counters=0", f"-max_len={_MINIMISED_BYTES}"]
    code, output = _engine(binaries, target, [*arguments, merged, _corpus(target), _folder(target, "corpus")], show=False)
    if code != 0:
        print(output[-3000:])
        return False
    # Inputs with a name tell of something that was found: they stay.
    kept = [name for name in os.listdir(_corpus(target)) if not re.fullmatch(r"[0-9a-f]{40}", name)]
    for name in os.listdir(_corpus(target)):
        if name not in kept:
            os.remove(os.path.join(_corpus(target), name))
    for name in os.listdir(merged):
        shutil.copy(os.path.join(merged, name), _corpus(target))
    size = sum(os.path.getsize(os.path.join(_corpus(target), name)) for name in os.listdir(_corpus(target)))
    print(f"{target}: {len(os.listdir(_corpus(target)))} inputs, {size} bytes", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(prog="tools/fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--config", default="fuzz", choices=["fuzz", "asan"], help="asan: as the unit tests are built, slower to run")
    parser.add_argument("--replay", metavar="FILE")
    parser.add_argument("--minimise", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("target", nargs="*")
    options = parser.parse_args()
    unknown = sorted(set(options.target) - set(_targets()))
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are: {', '.join(_targets())}")
    if options.list:
        print("\n".join(_targets()))
        return 0
    targets = options.target or _targets()
    if options.replay:
        if len(options.target) != 1:
            parser.error("--replay needs the one target that the input is for")
        replayed = os.path.abspath(options.replay)
        return int(_engine(_build(targets, options.config), targets[0], [replayed], show=True)[0] != 0)
    binaries = _build(targets, options.config)
    with concurrent.futures.ThreadPoolExecutor(step.cores()) as pool:
        passed = sum(pool.map(lambda t: _minimise(binaries, t) if options.minimise else _run(binaries, t, options.seconds), targets))
    print(f"{passed} passed, {len(targets) - passed} failed")
    return int(passed < len(targets))


if __name__ == "__main__":
    sys.exit(main())
