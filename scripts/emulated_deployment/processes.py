"""Programs that are run here. Each has a group of its own, so that all it has started ends with it."""

import contextlib
import os
import signal
import subprocess
import time

from .progress import Failed, must
from .settings import ROOT, STOP_S


class Interruption:
    """A signal, or the end of the time, as a failure: what was started ends on the way out."""

    SIGNALS = (signal.SIGALRM, signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self.held = False
        self.why = None

    def expect(self, timeout_s):
        def told(number, _):
            # Once is enough: a second one would stop the stopping.
            for it in self.SIGNALS:
                signal.signal(it, signal.SIG_IGN)
            self.why = f"not within {timeout_s} s" if number == signal.SIGALRM else "told to end"
            if not self.held:
                raise Failed(self.why)

        for it in self.SIGNALS:
            # `nohup` means what it says.
            if it != signal.SIGHUP or signal.getsignal(it) != signal.SIG_IGN:
                signal.signal(it, told)
        signal.alarm(timeout_s)

    @contextlib.contextmanager
    def later(self):
        """Puts it off to the end of the block."""
        self.held = True
        try:
            yield
        finally:
            self.held = False
        if self.why:
            raise Failed(self.why)


INTERRUPTION = Interruption()


def ended(process):
    """Whether a program has ended. Its number stays its group's until somebody waits for it."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


@contextlib.contextmanager
def started(command, **options):
    """A program that runs as long as the block. Then it is told to end, and what is left of its group is killed."""
    process = None
    try:
        # Else one that was just started could be one that nobody knows of.
        with INTERRUPTION.later():
            process = subprocess.Popen(command, start_new_session=True, **options)
        yield process
    finally:
        if process and process.returncode is None:
            # Not by Popen's own calls, which wait for one that has ended.
            os.kill(process.pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_S
            while not ended(process) and time.monotonic() < deadline:
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run(command, within_s=None, **options):
    """Runs a program to its end, and gives what it said. Without a limit of its own it has that of the whole run."""
    name = " ".join(map(str, command))
    options |= {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with started(command, **options) as process:
        try:
            said, _ = process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired as late:
            said = (late.output or b"").decode(errors="replace")
            raise Failed(f"{name}: not within {within_s} s:\n{said}") from None
    must(process.returncode == 0, f"{name}:\n{said}")
    return said
