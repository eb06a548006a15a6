"""What is installed from PyPI, below target/ci."""

import sys

from .processes import run
from .settings import INSTALL_S, TOOLS

# ministack is taught what it lacks by scripts/emulator, so its version is fixed. It expands the template itself.
PYTHON = (TOOLS / "python", ["aws-sam-cli==1.170.0", "websockets==15.0.1"])
MINISTACK = (TOOLS / "ministack", ["ministack==1.5.33", "aws-sam-translator==1.115.0"])
SAM = PYTHON[0] / "bin/sam"


def install(place):
    """Makes a Python environment of its own, if it is not there or has other versions; gives its interpreter."""
    directory, packages = place
    python = directory / "bin/python"
    wanted = directory / "installed"
    if not wanted.exists() or wanted.read_text() != " ".join(packages):
        run([sys.executable, "-m", "venv", directory], INSTALL_S)
        run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], INSTALL_S)
        wanted.write_text(" ".join(packages))
    return python
