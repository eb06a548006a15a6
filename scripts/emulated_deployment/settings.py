"""Where things are, and how long they may take."""

import platform
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = ROOT / "target/emulated-deployment"
TOOLS = ROOT / "target/ci"
REGION = "us-east-1"
STACK = "parley"
ARCHITECTURE = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")

# How long one thing may take that is waited for, in seconds. The schedule fires every minute.
ANSWER_S = 30
SCHEDULE_S = 90
DEPLOY_S = 600
INSTALL_S = 600
STOP_S = 10
