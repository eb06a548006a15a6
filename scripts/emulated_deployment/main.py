"""Deploys template.yaml with `sam deploy` to an emulator of AWS on this machine, and uses what came up.

What is shown: the template can be deployed as it is; each function runs, with the permissions of its own role and no
others (the emulator refuses what a policy doesn't allow); deploying again changes nothing; a function that has lost one
permission is refused just that; deleting the stack leaves what it must leave, and nothing else.

What is not, as the emulator (ministack) lacks it: conditions on keys of items, which tests/src/policy.rs checks; alarms
over several metrics; point-in-time recovery, throttling and access logs; a refused token's status, which is 403
or 500 here; anything about time.

Installs its tools from PyPI below target/ci. Listens and connects on loopback only. Ends what it started.
"""

import argparse
import os
import sys
import time
import traceback
from pathlib import Path

from .processes import INTERRUPTION
from .progress import Failed, step
from .settings import WORK
from .tools import MINISTACK, PYTHON, install


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--release",
        action="store_true",
        help="build with `sam build`, as for a real deployment, instead of with the tests' profile; takes long",
    )
    parser.add_argument(
        "--timeout", type=int, default=1800, metavar="SECONDS", help="end, as failed, after so long (default: %(default)s)"
    )
    return parser.parse_args()


def main():
    given = options()
    WORK.mkdir(parents=True, exist_ok=True)
    INTERRUPTION.expect(given.timeout)
    began = time.monotonic()
    try:
        if Path(sys.prefix).resolve() != PYTHON[0].resolve():
            with step("tools"):
                python, _ = install(PYTHON), install(MINISTACK)
            # Again, where the libraries are.
            os.execv(python, [python, *sys.argv])
        from .session import session

        session(given.release)
    except Exception as failure:
        if not isinstance(failure, Failed):
            traceback.print_exc()
        print(f"\nFailed at \"{getattr(failure, 'step', 'the start')}\": {failure}", file=sys.stderr)
        return 1
    print(f"all of it in {time.monotonic() - began:.0f} s")
    return 0
