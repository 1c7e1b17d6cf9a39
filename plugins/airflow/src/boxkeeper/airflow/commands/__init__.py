"""One command of a task instance in a sandbox: what SandboxOperator, @task.sandbox and the trigger are made of."""
