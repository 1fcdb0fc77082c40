"""Where it was measured: what a reader needs to compare, and nothing that names a machine."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path


def machine() -> dict[str, str]:
    """Facts by name."""
    return {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "load": " ".join(f"{each:.1f}" for each in os.getloadavg()),
    }


def describe(facts: dict[str, str]) -> str:
    """One sentence."""
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory']}, {facts['kernel']}, {facts['python']}; "
        f"{facts['date']}, load average {facts['load']}."
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":  # x86; other architectures do not say
            return value.strip()
    return platform.machine()
