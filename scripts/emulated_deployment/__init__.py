"""What scripts/emulated-deployment is made of, in reading order.

- main: the command line; sets up, and ends what was started.
- session: the steps, from the first `sam deploy` to `sam delete`.
- people, checks: what is done in these steps.
- clients: a phone and an operator, as the deployment sees them.
- stack: the deployment, as its owner sees it.
- template, build: what is deployed.
- emulator, tools: what it is deployed to, and with.
- processes, progress, settings: programs that are run, what is said and waited for, where things are.
"""
