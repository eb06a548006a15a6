"""ministack, an emulator of AWS, with its policies enforced."""

import contextlib
import os
import socket
import subprocess
import sys
import urllib.request

from .processes import ended, started
from .progress import must, step, until
from .settings import ANSWER_S, REGION, ROOT, WORK
from .tools import MINISTACK, install

LOG = WORK / "ministack.log"


class Emulator:
    """Where it is, and the environment of programs that use it."""

    def __init__(self, directory):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        # Of the caller's environment only what finds programs: no profile, no credentials, no proxy.
        base = {name: os.environ[name] for name in ("HOME", "LANG", "PATH") if name in os.environ}
        self.environment = base | {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.url,
            "TMPDIR": str(directory),
        }

    def settings(self):
        return {"AUTH": "true", "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port), "IOT_MTLS_ENABLED": "0"}

    def answers(self, process):
        must(not ended(process), "ministack has ended")
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=1).status == 200


@contextlib.contextmanager
def emulator(directory):
    """An emulator that is ready, as long as the block. The functions' processes are in its group, and end with it."""
    it = Emulator(directory)
    command = [install(MINISTACK), ROOT / "scripts/emulator"]
    environment = it.environment | it.settings()
    with open(LOG, "w") as log:
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
        with started(command, cwd=directory, env=environment, **streams) as process:
            try:
                with step("emulator"):
                    until("ministack is ready", ANSWER_S, lambda: it.answers(process))
                yield it
            except Exception:
                print(f"\nWhat the emulator said is in {LOG}.", file=sys.stderr)
                raise
