import dataclasses
import importlib.metadata
import io
import json
import os
import socket
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zenlib import values
from zenlib.artifacts.blobs import Blobs
from zenlib.artifacts.local import LocalStore
from zenlib.errors import CorruptArtifact, Denied, Invalid, NotSerializable, ZenlibWarning
from zenlib.serializers import registry
from zenlib.serializers.base import Content, File, Serializer
from zenlib.serializers.containers import Batches
from zenlib.shelf import MAX_PICKLES, Shelf

PLACE = "step 'fit', output 'model'"


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def make(store, tmp_path):
    return lambda **given: Shelf(Blobs(store), **{"key_path": tmp_path / "key", **given})


@pytest.fixture
def shelf(make):
    return make()


class Odd:
    def __init__(self, number=0):
        self.number = number

    def __eq__(self, other):
        return type(other) is Odd and other.number == self.number

    __hash__ = None


@dataclass
class Model:
    weights: Any
    name: str = ""


Pair = namedtuple("Pair", "left right")


def test_a_small_value_travels_in_the_record(shelf, store):
    content = shelf.save({"rmse": 0.5}).content
    assert (content.serializer, content.data, content.files) == ("json", '{"rmse":0.5}', {})
    assert list(store.list()) == []


def test_the_largest_value_in_the_record_has_4096_bytes(shelf):
    assert not shelf.save("x" * 4094).content.files
    assert shelf.save("x" * 4095).content.size_bytes == 4097


def test_the_order_of_items_makes_another_value(shelf):
    assert shelf.digest({"a": 1, "b": 2}) != shelf.digest({"b": 2, "a": 1})


@pytest.mark.parametrize(
    ("value", "serializer"),
    [
        (5, "json"),
        (b"x" * 2048, "json"),
        (b"x" * 2049, "bytes"),
        (np.float64(1), "json"),
        (np.zeros(3), "numpy"),
        ([1, np.zeros(3)], "container"),
        (Model([1]), "json"),
        (Model(np.zeros(3)), "container"),
        (Pair(1, np.zeros(3)), "container"),
        (Odd(), "pickle"),
        ([1, Odd()], "container"),
        (np.array([Odd()], dtype=object), "pickle"),
    ],
    ids=lambda value: value if type(value) is str else type(value).__name__,
)
def test_the_serializer_follows_from_the_value(shelf, value, serializer):
    assert shelf.save(value).content.serializer == serializer


def test_a_dataclass_and_a_named_tuple_hold_arrays(shelf):
    model = shelf.load(shelf.save(Model(np.arange(3), "m")).content)
    assert type(model) is Model
    assert (model.weights.tolist(), model.name) == ([0, 1, 2], "m")
    pair = shelf.load(shelf.save(Pair(np.arange(2), "r")).content)
    assert type(pair) is Pair
    assert (pair.left.tolist(), pair.right) == ([0, 1], "r")


def test_a_dataclass_that_changed_is_named(shelf, monkeypatch):
    content = shelf.save(Model(np.arange(3))).content
    changed = dataclasses.make_dataclass("Model", ["weights", "other"])
    monkeypatch.setattr(sys.modules[__name__], "Model", changed)
    with pytest.raises(Invalid, match=r"Model has changed.*no longer has name.*now has other"):
        shelf.load(content)


def test_loaded_arrays_cannot_be_changed(shelf):
    for size in (3, 100_000):
        loaded = shelf.load(shelf.save(np.zeros(size)).content)
        assert type(loaded) is np.ndarray
        with pytest.raises(ValueError, match="read-only"):
            loaded[0] = 1


def test_a_path_inside_a_container_stands_for_its_content(shelf, tmp_path):
    (tmp_path / "a.txt").write_text("A")
    content = shelf.save({"n": 1, "path": tmp_path / "a.txt"}).content
    (tmp_path / "a.txt").unlink()
    assert shelf.load(content)["path"].read_text() == "A"


def test_the_place_is_named_in_every_error(shelf):
    with pytest.raises(NotSerializable) as caught:
        shelf.save({"f": [1, threading.Lock()]}, place=PLACE)
    for words in (PLACE, "value['f'][1]", "lock", "register"):
        assert words in str(caught.value)
    content = Content("json", 1, "builtins.int", "5 5")
    with pytest.raises(Invalid, match="output 'x' of run 7: not JSON"):
        shelf.load(content, place="output 'x' of run 7")


@pytest.mark.parametrize(
    "make_value",
    [
        lambda: (i for i in ()),
        lambda: iter([1]),
        lambda: os,
        lambda: Path(__file__).open(),  # noqa: SIM115
        lambda: [Path(__file__).open()],  # noqa: SIM115
        lambda: threading.Lock(),
        lambda: socket.socket(),
        lambda: sqlite3.connect(":memory:"),
        lambda: {"a": (i for i in ())},
        lambda: Odd(Path(__file__).open("rb")),  # noqa: SIM115
        lambda: sys._getframe(),
    ],
)
def test_what_belongs_to_this_process_is_refused_even_by_pickle(shelf, make_value):
    value = make_value()
    with pytest.raises(NotSerializable) as caught:
        shelf.save(value, place=PLACE)
    assert str(caught.value).startswith(f"{PLACE}: a ")
    assert "return data instead" in str(caught.value)
    for item in [
        value,
        *(value if isinstance(value, list) else ()),
        getattr(value, "number", None),
    ]:
        if isinstance(item, io.IOBase | socket.socket | sqlite3.Connection):
            item.close()


def test_files_in_memory_are_values(shelf):
    assert shelf.load(shelf.save(io.BytesIO(b"abc")).content).getvalue() == b"abc"


def test_functions_classes_and_closures_are_pickled(shelf):
    offset = 3
    loaded = shelf.load(shelf.save(lambda x: x + offset + len(os.sep)).content)
    assert loaded(1) == 5


def test_many_values_that_need_pickle_are_pickled_together(shelf):
    few = shelf.save([Odd(number) for number in range(MAX_PICKLES)]).content
    many = shelf.save([Odd(number) for number in range(MAX_PICKLES + 1)]).content
    assert (few.serializer, many.serializer) == ("container", "pickle")
    assert shelf.load(many) == [Odd(number) for number in range(MAX_PICKLES + 1)]


def test_a_container_of_itself_is_pickled_as_a_whole(shelf):
    value: list = [np.zeros(2)]
    value.append(value)
    content = shelf.save(value).content
    assert content.serializer == "pickle"
    loaded = shelf.load(content)
    assert loaded[1] is loaded


def test_a_container_of_itself_that_may_not_be_pickled_is_refused(make):
    value: list = [np.zeros(2)]
    value.append(value)
    with pytest.raises(NotSerializable, match="contains itself"):
        make(pickle="never").save(value)


# The rule on pickles.


def test_under_never_the_error_names_step_output_type_and_remedies(make):
    with pytest.raises(NotSerializable) as caught:
        make(pickle="never").save(Odd(), place=PLACE)
    for words in (PLACE, "test_shelf.Odd", "pickle = 'never'", "return data", "register"):
        assert words in str(caught.value)


def test_under_never_nothing_is_unpickled(make, shelf):
    content = shelf.save(Odd()).content
    with pytest.raises(Denied, match="pickle = 'never'"):
        make(pickle="never").load(content)


BOMB = "import sys; sys.modules['test_shelf'].EXPLODED.append(1)"
EXPLODED: list = []


class Bomb:
    def __reduce__(self):
        return exec, (BOMB,)


def test_under_own_a_pickle_of_another_key_is_denied_and_not_run(make, shelf, tmp_path):
    content = shelf.save(Bomb()).content
    other = make(key_path=tmp_path / "other")
    with pytest.raises(Denied) as caught:
        other.load(content, place="artifact 'model' v3")
    for words in ("artifact 'model' v3", "Bomb", str(tmp_path / "other"), "pickle = 'all'"):
        assert words in str(caught.value)
    assert EXPLODED == []


@pytest.mark.parametrize("data", [None, {}, {"signature": "00" * 32}, {"signature": 5}, "x"])
def test_under_own_a_pickle_without_its_signature_is_not_run(shelf, data):
    content = dataclasses.replace(shelf.save(Bomb()).content, data=data)
    with pytest.raises((Denied, Invalid)):
        shelf.load(content)
    assert EXPLODED == []


def test_a_signature_holds_for_one_pickle_only(shelf):
    good, bomb = shelf.save(Odd()).content, shelf.save(Bomb()).content
    with pytest.raises(Denied):
        shelf.load(dataclasses.replace(bomb, data=good.data))
    assert EXPLODED == []


def test_under_all_a_foreign_pickle_is_loaded_and_warned_of_once(make, shelf, tmp_path):
    content = shelf.save(Odd(3)).content
    trusting = make(pickle="all", key_path=tmp_path / "other")
    with pytest.warns(ZenlibWarning, match="pickle = 'all'"):
        assert trusting.load(content) == Odd(3)
    assert trusting.load(content) == Odd(3)


def test_a_pickle_inside_a_container_is_under_the_same_rule(make, shelf, tmp_path):
    content = shelf.save([np.zeros(2), Bomb()]).content
    with pytest.raises(Denied):
        make(key_path=tmp_path / "other").load(content)
    assert EXPLODED == []


def test_an_unknown_rule_is_refused(make):
    with pytest.raises(Invalid, match="own, never, all"):
        make(pickle="maybe")


def test_a_class_that_moved_is_named_with_a_remedy(shelf, monkeypatch):
    content = shelf.save(Odd()).content
    monkeypatch.delattr(sys.modules[__name__], "Odd")
    with pytest.raises(Invalid, match=r"Odd.*put it back"):
        shelf.load(content)


@pytest.mark.skipif(os.name != "posix", reason="POSIX rights")
def test_the_key_is_for_its_owner_only(shelf, make, tmp_path):
    shelf.save(Odd())
    key = tmp_path / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.stat().st_size == 32
    key.chmod(0o644)
    with pytest.raises(Denied, match="chmod 600"):
        make().save(Odd())


def test_a_key_file_of_another_size_is_refused(make, tmp_path):
    (tmp_path / "key").touch(0o600)
    with pytest.raises(Denied, match="is no key"):
        make().save(Odd())


def test_the_default_key_lies_in_the_users_data_folder(store, home):
    Shelf(Blobs(store)).save(Odd())
    assert (home / "data" / "pickle.key").stat().st_size == 32


def test_processes_that_make_the_key_at_once_agree_on_it(tmp_path):
    code = (
        "import sys; from pathlib import Path; from zenlib.serializers.pickle import read_key;"
        "print(read_key(Path(sys.argv[1])).hex())"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "data" / "key")], stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    keys = {process.communicate()[0] for process in started}
    assert len(keys) == 1
    assert len(keys.pop().strip()) == 64
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["key"]


# Elements.


def saved_elements(shelf, value):
    return [shelf.digest(item) for item in value]


@pytest.mark.parametrize(
    "value",
    [
        [1, "a", (2, 3), {"k": [1]}, None],
        (1.5, "x" * 5000, [Model(1)]),
        [np.arange(3), 1, [np.ones(2)], "x"],
        (np.arange(3), b"x" * 3000),
        [],
        list(range(5000)),
    ],
    ids=lambda value: f"{type(value).__name__}-{len(value)}",
)
def test_the_elements_of_a_list_are_what_they_would_be_alone(shelf, value):
    parts = shelf.split(shelf.save(value).content)
    assert [part.digest for part in parts] == saved_elements(shelf, value)
    for part, item in zip(parts, value, strict=True):
        loaded = shelf.load(part)
        assert part.type == f"{type(item).__module__}.{type(item).__qualname__}"
        assert np.array_equal(loaded, item) if isinstance(item, np.ndarray) else True


@pytest.mark.parametrize(
    "value", [5, "abc", {"a": 1}, {1, 2}, np.zeros(3), {"a": np.zeros(2)}, Odd()]
)
def test_what_is_no_list_has_no_elements(shelf, value):
    assert shelf.split(shelf.save(value).content) is None


def test_splitting_loads_no_element(shelf, store):
    content = shelf.save([np.arange(5), np.arange(6)]).content
    store.delete([entry.key for entry in store.list()])
    assert len(shelf.split(content)) == 2


def test_elements_of_a_class_that_is_not_here_can_be_split(shelf):
    data = [values.encode(Model(1))]
    data[0]["v"][0] = "no_such_module_xyz:Model"
    [part] = shelf.split(Content("json", 1, "builtins.list", json.dumps(data)))
    assert part.type == "dataclass"


# Batches.


def test_batches_are_stored_one_at_a_time(shelf, store):
    seen = []

    def batches():
        for number in range(4):
            seen.append(len(list(store.list())))
            yield np.full(1000, number)

    kept = shelf.save_batches(batches())
    assert seen == [0, 1, 2, 3]
    assert kept.metadata == {"batches": 4}
    loaded = shelf.load(kept.content)
    assert isinstance(loaded, Batches)
    assert [int(batch[0]) for batch in loaded] == [0, 1, 2, 3]
    assert [int(batch[0]) for batch in loaded] == [0, 1, 2, 3]
    assert (len(loaded), int(loaded[-1][0]), int(loaded[1:][0][0])) == (4, 3, 1)
    with pytest.raises(IndexError):
        loaded[4]
    assert shelf.split(kept.content) == list(loaded.contents())


def test_a_batch_that_cannot_be_kept_is_named(shelf):
    with pytest.raises(NotSerializable, match=r"step 'f', batch 1: a _thread.lock"):
        shelf.save_batches(iter([1, threading.Lock()]), place="step 'f'")


def test_batches_given_on_are_the_same_value(shelf, store):
    kept = shelf.save_batches(iter([np.zeros(3), {"a": 1}]))
    written = shelf.blobs.written_bytes
    again = shelf.save(shelf.load(kept.content)).content
    assert again.digest == kept.content.digest
    assert shelf.blobs.written_bytes == written


# Records that are not what they should be.


def test_missing_names_blobs_that_are_gone_or_short(shelf, store):
    whole, gone = shelf.save(np.arange(5)).content, shelf.save([np.arange(6)]).content
    assert shelf.missing([whole, gone]) == set()
    [file] = gone.blobs()
    store.delete([entry.key for entry in store.list() if file.digest[5:] in entry.key])
    assert shelf.missing([whole, gone]) == {file.digest}
    with pytest.raises(CorruptArtifact, match="compute the artifact again"):
        shelf.load(gone)


def test_a_newer_format_asks_for_an_upgrade(shelf):
    with pytest.raises(Invalid, match=r"format 99 of serializer 'json'.*upgrade"):
        shelf.load(Content("json", 99, "builtins.int", "5"))


def test_an_unknown_serializer_asks_for_its_package(shelf):
    with pytest.raises(Invalid, match=r"'martian'.*install the package"):
        shelf.load(Content("martian", 1, "mars.Rock", None))


def test_a_record_that_lacks_a_file_is_invalid(shelf):
    content = shelf.save(np.arange(5)).content
    with pytest.raises(Invalid, match=r"lacks its file 'array\.npy'"):
        shelf.load(dataclasses.replace(content, files={}))


@pytest.mark.parametrize(
    "name", ["json", "bytes", "container", "pandas", "arrow", "path", "polars"]
)
@pytest.mark.parametrize(
    "data", [None, 5, [], {}, {"kind": "list?"}, {"name": "../x", "file": True}]
)
def test_a_record_with_foreign_data_is_refused_in_words(shelf, name, data):
    content = dataclasses.replace(shelf.save(b"x" * 5000).content, serializer=name, data=data)
    content = dataclasses.replace(content, files={"value.bin": next(content.blobs())})
    with pytest.raises((Invalid, CorruptArtifact)):
        shelf.load(content)


def test_bytes_of_another_format_are_corrupt(shelf):
    [file] = shelf.save(b"x" * 5000).content.blobs()
    for serializer, name, data in (
        ("numpy", "array.npy", None),
        ("arrow", "data.arrow", "Table"),
        ("polars", "data.arrow", None),
        ("sklearn", "model.skops", None),
    ):
        with pytest.raises(CorruptArtifact):
            shelf.load(Content(serializer, 1, "x.Y", data, {name: file}))


def test_a_digest_that_is_none_is_refused(shelf):
    with pytest.raises(Invalid, match="not a digest"):
        shelf.load(Content("bytes", 1, "x", "bytes", {"bytes": File("b3:../../../etc/passwd", 5)}))


# Serializers of others.


class Celsius:
    def __init__(self, degrees):
        self.degrees = degrees


class CelsiusSerializer(Serializer):
    name = "celsius"

    def fits(self, value):
        return type(value) is Celsius

    def dump(self, value, writer):
        with writer.open("degrees") as file:
            file.write(str(value.degrees).encode())
        writer.describe(degrees=value.degrees)

    def load(self, content, reader):
        return Celsius(float(reader.path("degrees").read_bytes()))


@pytest.fixture
def clean_registry():
    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)
    registry._entry_points.cache_clear()
    registry._plugin.cache_clear()


@pytest.mark.usefixtures("clean_registry")
def test_a_registered_serializer_is_used_by_value_and_by_name(shelf):
    registry.register(CelsiusSerializer())
    kept = shelf.save([Celsius(20.5), 1])
    assert kept.content.parts[0].serializer == "celsius"
    assert shelf.load(kept.content)[0].degrees == 20.5
    assert shelf.save(Celsius(1.0)).metadata == {"degrees": 1.0}


@pytest.mark.usefixtures("clean_registry")
def test_a_name_of_ours_cannot_be_registered():
    class Mine(CelsiusSerializer):
        name = "json"

    with pytest.raises(Invalid, match="comes with zenlib"):
        registry.register(Mine())


def entry_point(name, value):
    return importlib.metadata.EntryPoint(name, value, registry.GROUP)


@pytest.mark.usefixtures("clean_registry")
def test_an_entry_point_brings_a_serializer(shelf, monkeypatch):
    points = [entry_point("celsius", f"{__name__}:CelsiusSerializer")]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    registry._entry_points.cache_clear()
    content = shelf.save(Celsius(3.0)).content
    assert content.serializer == "celsius"
    assert shelf.load(content).degrees == 3.0


@pytest.mark.usefixtures("clean_registry")
def test_a_broken_entry_point_is_warned_of_and_passed_over(shelf, monkeypatch):
    points = [entry_point("celsius", "no_such_module_xyz:X")]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    registry._entry_points.cache_clear()
    with pytest.warns(ZenlibWarning, match=r"'celsius'.*cannot be used"):
        content = shelf.save(Celsius(3.0)).content
    assert content.serializer == "pickle"


def test_saving_plain_values_imports_no_heavy_package(tmp_path):
    code = """
        import sys
        from zenlib.artifacts.blobs import Blobs
        from zenlib.artifacts.local import LocalStore
        from zenlib.shelf import Shelf
        shelf = Shelf(Blobs(LocalStore(sys.argv[1])))
        for value in (1, "x" * 9999, b"x" * 9999, {"a": [1]}):
            assert shelf.load(shelf.save(value).content) == value
        heavy = {"numpy", "pandas", "polars", "pyarrow", "sklearn", "scipy", "cloudpickle", "fsspec"}
        print(sorted(heavy & set(sys.modules)))
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "s")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads VmHWM of /proc")
def test_saving_an_array_takes_no_second_copy_of_it(tmp_path):
    code = """
        import sys, re
        from pathlib import Path
        import numpy as np
        from zenlib.artifacts.blobs import Blobs
        from zenlib.artifacts.local import LocalStore
        from zenlib.shelf import Shelf
        shelf = Shelf(Blobs(LocalStore(sys.argv[1])))
        shelf.load(shelf.save(np.zeros(10)).content)
        array = np.full(32 << 20, 1.5)
        def peak():
            return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10
        before = peak()
        content = shelf.save(array).content
        del array
        total = shelf.load(content).sum()
        assert total == 1.5 * (32 << 20)
        print(peak() - before)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "s")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(ran.stdout) <= 64


def test_a_path_that_leads_nowhere_or_to_a_link_is_refused_not_pickled(shelf, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("x")
    (folder / "link").symlink_to(folder / "file")
    for path in (folder, [folder], {"a": folder}, tmp_path / "nowhere"):
        with pytest.raises(NotSerializable):
            shelf.save(path)
