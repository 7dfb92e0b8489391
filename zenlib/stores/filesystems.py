"""Which file systems cannot carry SQLite's write-ahead log."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

UNSAFE = frozenset(
    [
        "9p",
        "acfs",
        "afs",
        "aufs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "drvfs",
        "fuse",
        "fuseblk",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "prl_fs",
        "smb",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
        "webdav",
    ]
)
"""Network and pass-through file systems: they do not share memory between all who open a file,
which the write-ahead log needs (https://sqlite.org/wal.html)."""


def unsafe_file_system(path: Path, *, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Return the type of the file system at `path` when it is no place for WAL, else ''.

    Exact on Linux; on macOS and Windows it is the system's word whether the volume is local. What
    cannot be told counts as local.

    Args:
        path: need not exist.
        mounts: Linux's list of mounts.
    """
    place = path.absolute().resolve()
    if sys.platform == "win32":
        return _windows(place)
    if sys.platform == "darwin":
        return _macos(place)
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    kind = _mounted(place, lines)
    return kind if kind.partition(".")[0] in UNSAFE else ""


def _mounted(place: Path, lines: list[str]) -> str:
    """Return the type of the last mount that is the deepest one above `place`."""
    best, kind = -1, ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        # the kernel writes blanks, tabs, newlines and backslashes as octal
        point = fields[1]
        for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
            point = point.replace(code, char)
        if len(point) >= best and place.is_relative_to(point):
            best, kind = len(point), fields[2]
    return kind


def _windows(place: Path) -> str:
    if place.drive.startswith("\\\\"):
        return "smb"
    windll = getattr(ctypes, "windll", None)
    remote = 4  # DRIVE_REMOTE of GetDriveTypeW
    if windll is not None and windll.kernel32.GetDriveTypeW(place.anchor) == remote:
        return "smb"
    return ""


def _macos(place: Path) -> str:
    """Ask statfs(2): MNT_LOCAL is 0x1000 of `f_flags` at byte 64, the type's name at byte 72."""
    while not place.exists() and place != place.parent:
        place = place.parent
    libc = ctypes.CDLL(None)
    statfs = getattr(libc, "statfs$INODE64", None) or getattr(libc, "statfs", None)
    buffer = ctypes.create_string_buffer(4096)
    if statfs is None or statfs(os.fsencode(place), buffer) != 0:
        return ""
    if int.from_bytes(buffer.raw[64:68], "little") & 0x1000:
        return ""
    return buffer.raw[72:88].split(b"\0")[0].decode("ascii", "replace") or "network"
