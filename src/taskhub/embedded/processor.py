"""Whether the wheel's pgvector runs on this processor.

The wheels build pgvector for the processor of the machine that built them. An instruction that is
missing here kills the backend with SIGILL, and with it every connection of the server.
"""

import platform
import subprocess
from pathlib import Path

NEEDED = {"x86_64": ("avx2", "fma", "f16c", "bmi2"), "aarch64": ("sve",)}


def vector_refusal() -> str | None:
    """None if vectors can be used here, else one line that says why not."""
    system, machine = platform.system(), platform.machine()
    if system == "Darwin":
        return refusal_on_mac(machine, _sysctl_avx2() if machine == "x86_64" else "")
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        cpuinfo = ""
    return refusal_on_linux(machine, cpuinfo)


def refusal_on_linux(machine: str, cpuinfo: str) -> str | None:
    """The same for a given machine and text of /proc/cpuinfo."""
    needed = NEEDED.get(machine)
    if needed is None:
        return None
    cores = [
        set(flags.split())
        for name, _, flags in (line.partition(":") for line in cpuinfo.splitlines())
        if name.strip() in ("flags", "Features")
    ]
    # A process may be moved to any core, so the weakest one counts.
    present = set.intersection(*cores) if cores else set()
    return _sentence([flag for flag in needed if flag not in present], machine)


def refusal_on_mac(machine: str, avx2: str) -> str | None:
    """The same for macOS; `avx2` is what sysctl hw.optional.avx2_0 says."""
    return _sentence(["avx2"], machine) if machine == "x86_64" and avx2.strip() != "1" else None


def _sentence(missing: list[str], machine: str) -> str | None:
    if not missing:
        return None
    return (
        f"the embedded pgvector needs {' '.join(missing)}, which this {machine} processor lacks; "
        "vectors are searched without it, or name a server with TASKHUB_DATABASE_URL"
    )


def _sysctl_avx2() -> str:
    return subprocess.run(
        ["/usr/sbin/sysctl", "-n", "hw.optional.avx2_0"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
