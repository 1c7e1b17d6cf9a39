"""A worker's part of one try: executes a SandboxOperator and prints the command's lines, as `> LINE`, and at the
end `VALUE JSON` or `FAILED TYPE TEXT`.

usage: worker_main.py OPERATOR_JSON TRY_NUMBER MAX_TRIES     (OPERATOR_JSON: the arguments of SandboxOperator)
SIGTERM does what Airflow's task runner does with it: it calls on_kill, and goes on.
"""

import json
import signal
import sys

from conftest import ROOT
from fakes import context

from boxkeeper.airflow.operators.sandbox import SandboxOperator


def main():
    operator = SandboxOperator(**{"task_id": "job", **json.loads(sys.argv[1])})
    operator._show = lambda line: print(">", line, flush=True)
    values = context(try_number=int(sys.argv[2]), max_tries=int(sys.argv[3]))
    signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
    print("READY", ROOT, flush=True)
    operator.render_template_fields(values)
    try:
        value = SandboxOperator.execute.__wrapped__(operator, values)
    except Exception as error:
        print("FAILED", type(error).__name__, *str(error).splitlines(), flush=True)
        sys.exit(1)
    print("VALUE", json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
