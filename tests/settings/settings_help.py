"""What the tests of settings share."""

import os

import pytest
from keyring.backend import KeyringBackend

from zenlib.places import home

CANARY = "hunter2-canary"
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")


class MemoryKeyring(KeyringBackend):
    """A keyring that works, for as long as the test runs."""

    priority = 0

    def __init__(self):
        super().__init__()
        self.kept = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        del self.kept[service, username]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def user_file(text):
    return write(home().config / "config.toml", text)


def holding(rows, key):
    return next(row for row in rows if row.key == key and not row.note)
