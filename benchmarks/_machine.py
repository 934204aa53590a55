"""What a reported number was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = ["load", "machine"]


def machine() -> str:
    """Return the processor, the number of cores, the load and the version of Python."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, load {load()}; Python {platform.python_version()}"
    )


def load() -> str:
    """Return how many processes wanted a core in the last minute, ours included."""
    return f"{os.getloadavg()[0]:.1f}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
