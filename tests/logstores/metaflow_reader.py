"""Tails a growing log as Metaflow does, with its own reader, unmodified. Run by the readers' own interpreter.

The argument is the object's URL. Each line of standard input asks for what is new; the answer is a line with the list of lines.
"""

import json
import sys

from metaflow.mflog import get_log_tailer, mflog


def main():
    """Answers until standard input ends."""
    tail = get_log_tailer(sys.argv[1], "s3")
    for _ in sys.stdin:
        lines = []
        for line in tail:
            parsed = mflog.parse(line)
            lines.append(parsed.msg.decode() if parsed else line.decode())
        print(json.dumps([lines, tail.bytes_read]), flush=True)


main()
