"""Network file systems are told from local ones by the list of mounts."""

import sys
from pathlib import Path

import pytest

from zenlib.stores.filesystems import unsafe_file_system

MOUNTS = """\
/dev/vda / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb /home/local xfs rw 0 0
//nas/data /mnt/my\\040nas cifs rw 0 0
me@host: /mnt/host fuse.sshfs rw 0 0
C: /mnt/c 9p rw 0 0
server:/x /stacked nfs rw 0 0
/dev/sdc /stacked btrfs rw 0 0
broken
"""


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="reads Linux's list of mounts")
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/x/metadata.db", ""),
        ("/home/me/metadata.db", "nfs4"),
        ("/homeless/x", ""),
        ("/home/local/x", ""),
        ("/mnt/my nas/a/b/c.db", "cifs"),
        ("/mnt/host/x", "fuse.sshfs"),
        ("/mnt/c/x", "9p"),
        ("/stacked/x", ""),
    ],
)
def test_the_deepest_mount_decides(tmp_path, path, kind):
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert unsafe_file_system(Path(path), mounts=mounts) == kind


def test_what_cannot_be_told_counts_as_local(tmp_path):
    assert unsafe_file_system(tmp_path, mounts=tmp_path / "missing") == ""


def test_the_temporary_folder_of_the_tests_is_local(tmp_path):
    assert unsafe_file_system(tmp_path / "not" / "there") == ""
