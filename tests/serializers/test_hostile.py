"""Files that have the digest that was recorded, and were made to do harm."""

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from zenlib.artifacts.blobs import Blobs
from zenlib.artifacts.local import LocalStore
from zenlib.errors import Conflict, CorruptArtifact, Denied, Invalid, NotSerializable
from zenlib.serializers.base import Content
from zenlib.serializers.sklearn import _normal
from zenlib.shelf import Shelf


@pytest.fixture
def shelf(tmp_path):
    return Shelf(Blobs(LocalStore(tmp_path / "store")), pickle="never", key_path=tmp_path / "key")


@pytest.fixture
def forge(shelf):
    """Return a content whose one file has the given bytes, and a true digest."""

    def make(serializer, name, data, record=None):
        with shelf.blobs.writer() as out:
            out.write(data)
        return Content(serializer, 1, "x.Y", record, {name: out.file})

    return make


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.fixture(autouse=True)
def nothing_explodes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "exploded").exists()


# NumPy.


def npy(header):
    text = header.encode("latin-1")
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def test_an_array_of_pickled_objects_is_denied(shelf, forge):
    file = io.BytesIO()
    np.save(file, np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(Denied, match="arrays of objects are never loaded"):
        shelf.load(forge("numpy", "array.npy", file.getvalue()))


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000000,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (10**18, 10**18)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': 5}",
        "{'descr': 'no type', 'fortran_order': False, 'shape': ()}",
        "{'descr': '<f8', 'shape': ()}",
        "__import__('os').mkdir('exploded')",
        "(" * 10_000,
        "",
    ],
    ids=lambda header: header[:30],
)
def test_a_header_that_lies_is_corrupt(shelf, forge, header):
    with pytest.raises(CorruptArtifact):
        shelf.load(forge("numpy", "array.npy", npy(header)))


def test_a_huge_or_unknown_header_is_corrupt(shelf, forge):
    for data in (
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        b"\x93NUMPY\x09\x00aaaa",
        b"",
        b"PK\x03\x04",
    ):
        with pytest.raises(CorruptArtifact):
            shelf.load(forge("numpy", "array.npy", data))


def test_numpy_reads_the_files_and_writes_the_same_bytes(shelf):
    for array in (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.ones((3, 2))), np.array(1)):
        [file] = shelf.save(array).content.blobs()
        path = shelf.blobs.path(file.digest)
        assert np.array_equal(np.load(path, allow_pickle=False), array)
        theirs = io.BytesIO()
        np.save(theirs, array)
        assert np.array_equal(
            np.load(io.BytesIO(path.read_bytes())), np.load(io.BytesIO(theirs.getvalue()))
        )


def test_what_lies_between_the_fields_of_records_is_no_part_of_their_value(shelf):
    dtype = np.dtype([("a", "u1"), ("b", "f8")], align=True)
    one, two = (np.frombuffer(fill * 64, dtype).copy() for fill in (b"\0", b"\xff"))
    two[:] = one[:]
    one.view("u1").reshape(-1, 16)[:, 4] = 9
    assert shelf.digest(one) == shelf.digest(two)


# scikit-learn.


def forged(model, change):
    """Return a skops archive after `change(schema, members)`."""
    members = {}
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as source:
        for name in source.namelist():
            members[name] = source.read(name)
    schema = json.loads(members.pop("schema.json"))
    change(schema, members)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        for name, data in members.items():
            made.writestr(name, data)
        made.writestr("schema.json", json.dumps(schema))
    return target.getvalue()


def data():
    x = np.random.default_rng(0).random((30, 3))
    return x, (x[:, 0] > 0.5).astype(int)


def find(node, name):
    if isinstance(node, dict):
        if node.get("__class__") == name:
            return node
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            found = find(part, name)
            if found:
                return found
    return None


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "mkdir"), ("builtins", "eval"), ("subprocess", "Popen"), ("posix", "system")],
)
def test_a_model_that_names_other_code_is_denied(shelf, forge, module, name):
    def change(schema, _):
        schema["content"]["content"]["C"] |= {
            "__loader__": "FunctionNode",
            "__module__": module,
            "__class__": name,
            "content": {"module_path": module, "function": name},
        }

    archive = forged(LogisticRegression(), change)
    with pytest.raises(Denied, match="allow-list"):
        shelf.load(forge("sklearn", "model.skops", archive))


def tree_nodes(change):
    def alter(schema, members):
        tree = find(schema, "Tree")
        name = tree["content"]["content"]["nodes"]["file"]
        nodes = np.load(io.BytesIO(members[name]))
        change(nodes, tree)
        file = io.BytesIO()
        np.save(file, nodes)
        members[name] = file.getvalue()

    return alter


@pytest.mark.parametrize(
    ("field", "value"),
    [("left_child", 10**6), ("right_child", 0), ("left_child", -5), ("feature", 999)],
)
def test_a_tree_whose_indices_lead_outside_is_corrupt(shelf, forge, field, value):
    model = DecisionTreeClassifier(max_depth=2).fit(*data())

    def change(nodes, _):
        nodes[field][0] = value

    with pytest.raises(CorruptArtifact, match="tree"):
        shelf.load(forge("sklearn", "model.skops", forged(model, tree_nodes(change))))


def test_a_tree_that_claims_more_nodes_is_corrupt(shelf, forge):
    model = DecisionTreeClassifier(max_depth=2).fit(*data())

    def change(_, tree):
        tree["content"]["content"]["node_count"]["content"] = "100000"

    with pytest.raises(CorruptArtifact, match="tree"):
        shelf.load(forge("sklearn", "model.skops", forged(model, tree_nodes(change))))


def test_a_boosted_tree_whose_indices_lead_outside_is_corrupt(shelf, forge):
    model = HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=2).fit(*data())

    def change(schema, members):
        name = find(schema, "TreePredictor")["content"]["content"]["nodes"]["file"]
        nodes = np.load(io.BytesIO(members[name]))
        nodes["left"][0] = 10**6
        file = io.BytesIO()
        np.save(file, nodes)
        members[name] = file.getvalue()

    with pytest.raises(CorruptArtifact, match="tree"):
        shelf.load(forge("sklearn", "model.skops", forged(model, change)))


def test_an_archive_that_unpacks_to_more_than_its_size_is_corrupt(shelf, forge):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("schema.json", b" " * 10_000_000)
    with pytest.raises(CorruptArtifact, match="more than its size"):
        shelf.load(forge("sklearn", "model.skops", target.getvalue()))


def test_a_model_of_types_outside_of_the_list_needs_the_rule_on_pickles(shelf):
    with pytest.raises(NotSerializable, match=r"outside of our allow-list.*pickle = 'never'"):
        shelf.save(KNeighborsClassifier(algorithm="kd_tree").fit(*data()))


def test_equal_models_of_two_fits_have_equal_bytes():
    one, two = (
        _normal(skops.io.dumps(DecisionTreeClassifier(random_state=0).fit(*data())))
        for _ in range(2)
    )
    assert one == two


# Arrow, and pandas on top of it.


class Evil(pa.ExtensionType):
    def __init__(self):
        super().__init__(pa.int64(), "test.evil")

    def __arrow_ext_serialize__(self):
        return pickle.dumps(Bomb())

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        return cls()


@pytest.fixture
def evil_type():
    pa.register_extension_type(Evil())
    yield Evil()
    pa.unregister_extension_type("test.evil")


def evil_tables(kind):
    column = pa.ExtensionArray.from_storage(kind, pa.array([1]))
    nested = pa.StructArray.from_arrays([column], names=["x"])
    return [pa.table({"a": column}), pa.table({"a": nested})]


def test_extension_types_are_not_kept(shelf, evil_type):
    for table in evil_tables(evil_type):
        with pytest.raises(NotSerializable, match="extension type"):
            shelf.save(table)


def test_extension_types_are_not_loaded(shelf, forge, evil_type):
    for table in evil_tables(evil_type):
        sink = io.BytesIO()
        with pa.ipc.new_file(sink, table.schema) as out:
            out.write_table(table)
        with pytest.raises(Denied, match="extension type"):
            shelf.load(forge("arrow", "data.arrow", sink.getvalue(), "Table"))


def test_a_pickle_in_the_metadata_of_a_table_is_only_bytes(shelf):
    table = pa.table({"a": [1]}).replace_schema_metadata({b"pandas": pickle.dumps(Bomb())})
    loaded = shelf.load(shelf.save(table).content)
    assert loaded.schema.metadata == table.schema.metadata


def test_objects_that_are_no_data_are_refused_by_row(shelf):
    frame = pd.DataFrame({"a": pd.Series([1, Bomb()], dtype=object)})
    with pytest.raises(NotSerializable, match=r"row 1: a test_hostile\.Bomb"):
        shelf.save(frame)


def test_a_loaded_frame_can_be_changed_and_the_artifact_cannot(shelf):
    content = shelf.save(pd.DataFrame({"a": [1.0, 2.0]})).content
    frame = shelf.load(content)
    frame.loc[0, "a"] = 9
    frame["b"] = 1
    assert shelf.load(content)["a"].tolist() == [1.0, 2.0]


# Files and folders.


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../x", "", ".", "..", "a//b", "a\0b", "a/"]
)
def test_a_member_that_would_leave_its_folder_is_refused(shelf, forge, name):
    record = {"name": "top", "folders": [], "members": [[name, False]]}
    with pytest.raises(CorruptArtifact, match="refused"):
        shelf.load(forge("path", "0", b"x", record))
    for record in ({"name": name, "file": False}, {"name": "t", "folders": [name], "members": []}):
        with pytest.raises(CorruptArtifact, match="refused"):
            shelf.load(forge("path", "0", b"x", record))


def test_two_members_of_one_name_are_a_conflict(shelf, forge):
    content = forge("path", "0", b"x", None)
    files = {"0": content.files["0"], "1": content.files["0"]}
    record = {"name": "top", "folders": [], "members": [["a", False], ["a", False]]}
    with pytest.raises(Conflict, match="one name on this file system"):
        shelf.load(Content("path", 1, "x", record, files))
    record = {"name": "top", "folders": ["a", "a"], "members": []}
    with pytest.raises(Conflict):
        shelf.load(Content("path", 1, "x", record, files))


def test_a_name_that_is_no_text_is_invalid(shelf, forge):
    with pytest.raises((Invalid, CorruptArtifact)):
        shelf.load(forge("path", "0", b"x", {"name": 5, "file": False}))


def test_links_and_special_files_are_not_followed(shelf, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(NotSerializable, match="symbolic link"):
        shelf.save(folder)
    with pytest.raises(NotSerializable, match="symbolic link"):
        shelf.save(folder / "link")
    (folder / "link").unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe")
        with pytest.raises(NotSerializable, match="neither a file nor a folder"):
            shelf.save(folder)
    with pytest.raises(NotSerializable, match="cannot be read"):
        shelf.save(tmp_path / "nothing")


def test_equal_files_of_a_folder_are_stored_once(shelf, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}").write_bytes(bytes(1000))
    shelf.save(folder)
    assert shelf.blobs.written_bytes == 1000


def test_a_loaded_path_is_a_copy_that_cannot_harm_the_artifact(shelf, tmp_path):
    (tmp_path / "run.sh").write_text("#!/bin/sh")
    (tmp_path / "run.sh").chmod(0o755)
    content = shelf.save(tmp_path / "run.sh").content
    copy = shelf.load(content)
    assert copy.name == "run.sh"
    assert os.name != "posix" or os.access(copy, os.X_OK)
    copy.chmod(0o600)
    copy.write_text("changed")
    assert shelf.load(content).read_text() == "#!/bin/sh"


@pytest.mark.skipif(os.name != "posix", reason="names that other systems refuse")
def test_odd_names_come_back(shelf, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    names = [
        "a b",
        "A",
        "a",
        "ä",
        "a\u0308",
        "😀",
        "new\nline",
        "con",
        "trailing.",
        "-rf",
        "x" * 200,
    ]
    names.append(os.fsdecode(b"\xff\xfe"))
    for name in names:
        (folder / name).write_text(ascii(name))
    loaded = shelf.load(shelf.save(folder).content)
    assert {path.name: path.read_text() for path in loaded.iterdir()} == {
        n: ascii(n) for n in names
    }
