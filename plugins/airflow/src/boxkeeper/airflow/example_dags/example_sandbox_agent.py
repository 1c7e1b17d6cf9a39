"""An agent that writes code and runs it, where it can do no harm: in a sandbox, with the model's key and nothing else of Airflow's.

Needs a connection `agent_llm`: host = the base URL of an API that speaks OpenAI's chat completions, e.g.
https://api.example.com/v1, password = its key. The key is a secret of the sandbox: it is in the environment of the agent only, and
the code that the model wrote runs without it.
"""

from __future__ import annotations

from airflow.sdk import DAG, task

with DAG("example_sandbox_agent", schedule=None, tags=["boxkeeper"], params={"question": "What is the sum of the first 100 primes?"}) as dag:

    @task.sandbox(
        secrets={"MODEL_KEY": {"connection": "agent_llm"}},
        env={"MODEL_URL": "{{ conn.agent_llm.host }}", "MODEL": "{{ dag_run.conf.get('model', 'any') }}"},
        memory_mb=1024,
        timeout="10m",
        retries=1,
    )
    def answer(question, rounds=5):
        """Asks the model for a program, runs it, and shows it its mistakes until the program has run through."""
        import json
        import os
        import subprocess
        import sys
        import urllib.request

        def ask(messages):
            body = json.dumps({"model": os.environ["MODEL"], "messages": messages}).encode()
            headers = {"Authorization": "Bearer " + os.environ["MODEL_KEY"], "Content-Type": "application/json"}
            request = urllib.request.Request(os.environ["MODEL_URL"] + "/chat/completions", body, headers)
            with urllib.request.urlopen(request, timeout=120) as reply:
                return json.load(reply)["choices"][0]["message"]["content"]

        without_key = {name: value for name, value in os.environ.items() if name != "MODEL_KEY"}
        messages = [
            {"role": "system", "content": "Answer with one Python program that prints the answer, and nothing else."},
            {"role": "user", "content": question},
        ]
        for attempt in range(1, rounds + 1):
            program = ask(messages)
            print(f"--- program {attempt}\n{program}")
            with open("program.py", "w") as file:
                file.write(program)
            done = subprocess.run([sys.executable, "program.py"], env=without_key, capture_output=True, text=True, timeout=60)
            print(f"--- exit code {done.returncode}\n{done.stdout}{done.stderr}")
            if done.returncode == 0:
                return {"answer": done.stdout.strip(), "attempts": attempt}
            messages += [{"role": "assistant", "content": program}, {"role": "user", "content": "It failed:\n" + done.stderr[-2000:]}]
        raise RuntimeError(f"no program ran through in {rounds} rounds")

    answer("{{ params.question }}")
