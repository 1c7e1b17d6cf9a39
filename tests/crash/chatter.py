"""Chatty tasks whose output is known beforehand: what is stored of them can be compared byte by byte."""

import hashlib
import random

from tests.harness.client import spec

STREAMS = ("stdout", "stderr")

# Runs in the sandbox and here: the same text makes the bytes that the task writes and those that a test expects.
_LINES = '''
import random
def lines(seed, stream, count, secret):
    rng = random.Random(f"{seed}/{stream}")
    for n in range(count):
        kind = rng.random()
        text = "x" * rng.randrange(4000) if kind < 0.02 else secret if kind < 0.1 else str(rng.random())
        yield f"{stream} {seed} {n} {text}\\n".encode()
'''

# Writes both streams in pieces that do not end at lines, so that a secret value is often cut in two.
_BODY = '''
import os, sys, threading
def write(fd, data):
    while data:
        data = data[os.write(fd, data):]
seed, count, secret = int(sys.argv[1]), int(sys.argv[2]), os.environ.get("CHATTER_SECRET", "-")
rng = random.Random(seed)
waiting, pause = {1: b"", 2: b""}, threading.Event()
for out, err in zip(lines(seed, "stdout", count, secret), lines(seed, "stderr", count, secret)):
    waiting[1] += out
    waiting[2] += err
    for fd in waiting:
        cut = rng.randrange(len(waiting[fd]) + 1)
        write(fd, waiting[fd][:cut])
        waiting[fd] = waiting[fd][cut:]
    pause.wait(rng.random() * 0.02)
for fd, rest in waiting.items():
    write(fd, rest)
if sys.argv[3]:
    pause.wait()
'''


class Chatter:
    """One such task: about `count` lines on each stream within `count` x 10 ms. A victim does not end by itself."""

    def __init__(self, seed, count, layout, secret=None, victim=False):
        self.seed, self.layout, self.secret, self.victim, self.id = seed, layout, secret, victim, None
        self._count = count
        self.spec = spec(name=f"chatter-{seed}", override={"log": {"layout": layout}})
        argv = ["python3", "-c", _LINES + _BODY, str(seed), str(count), "victim" if victim else ""]
        self.spec.command.argv.args.extend(argv)
        if secret:
            self.spec.secrets["CHATTER_SECRET"].value = secret

    def expected(self, stream):
        """The whole stream as it must be stored: with `*` in place of the secret value."""
        made = {}
        exec(compile(_LINES, "lines", "exec"), made)  # pylint: disable=exec-used
        shown = "*" * len(self.secret) if self.secret else "-"
        return b"".join(made["lines"](self.seed, stream, self._count, shown))

    def check(self, stored, stream):
        """`stored` is what the task wrote: all of it, or of a victim the beginning."""
        expected = self.expected(stream)
        if self.victim:
            assert expected.startswith(stored), self._difference(stored, expected)
        else:
            assert hashlib.sha256(stored).hexdigest() == hashlib.sha256(expected).hexdigest(), self._difference(stored, expected)

    def _difference(self, stored, expected):
        at = next((i for i, (a, b) in enumerate(zip(stored, expected)) if a != b), min(len(stored), len(expected)))
        return (f"task {self.seed}: {len(stored)} bytes of {len(expected)}, different at {at}: "
                f"{stored[at:at + 80]!r} instead of {expected[at:at + 80]!r}")


def make(count, lines, layouts, victims, seed):
    """`count` of them, in all of `layouts`, every second one with a secret value; the first ones are victims."""
    rng = random.Random(seed)
    return [Chatter(number, lines, layouts[number % len(layouts)], f"s3cret-{rng.getrandbits(64):x}" if number % 2 else None, number < victims)
            for number in range(count)]
