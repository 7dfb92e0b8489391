"""The store in memory passes the suite of all stores."""

import pytest

from zenlib.errors import Invalid
from zenlib.records import Run
from zenlib.stores.memory import MemoryStore
from zenlib.testing.metadata import MetadataStoreSuite
from zenlib.testing.samples import run


class TestMemoryStore(MetadataStoreSuite):
    @pytest.fixture
    def store(self):
        store = MemoryStore()
        yield store
        store.close()


def test_a_closed_store_says_so():
    store = MemoryStore()
    store.close()
    with pytest.raises(Invalid, match="closed"):
        store.put(run())
    with pytest.raises(Invalid, match="closed"):
        store.find(Run)
