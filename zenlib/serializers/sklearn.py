"""scikit-learn estimators, and sparse matrices of SciPy, through skops and our own allow-list."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import skops.io
from scipy import sparse
from sklearn.base import BaseEstimator

from zenlib.errors import CorruptArtifact, Denied, NotSerializable
from zenlib.hashing import digest_of
from zenlib.serializers.base import Content, Reader, Serializer, Writer
from zenlib.serializers.numpy import without_gaps

_NAME = "model.skops"
_LOCAL = re.compile(r"(sklearn|numpy|scipy|builtins|collections|functools)(\.|$)")

ALLOWED = frozenset(
    {
        "numpy.dtype",
        "scipy.sparse._csr.csr_matrix",
        "scipy.sparse._csc.csc_matrix",
        "sklearn._loss.loss.HalfTweedieLoss",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.cluster._bisect_k_means._BisectingTree",
        "sklearn.cluster._kmeans._kmeans_single_elkan",
        "sklearn.cluster._kmeans._kmeans_single_lloyd",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.feature_selection._mutual_info.mutual_info_classif",
        "sklearn.feature_selection._mutual_info.mutual_info_regression",
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.gaussian_process.kernels.ConstantKernel",
        "sklearn.gaussian_process.kernels.DotProduct",
        "sklearn.gaussian_process.kernels.Matern",
        "sklearn.gaussian_process.kernels.Product",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.gaussian_process.kernels.RationalQuadratic",
        "sklearn.gaussian_process.kernels.Sum",
        "sklearn.gaussian_process.kernels.WhiteKernel",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
    }
)
"""What fitted estimators hold beyond what skops trusts: data and named functions of scikit-learn,
none of which does anything when it is made. The trees of forests are compiled code that follows
indices without looking, so their indices are checked before they are made."""


class Sklearn(Serializer):
    """Keeps estimators whose parts are all known; others need the rule on pickles.

    Equal models have equal bytes: names, numbers and times that skops takes from the process are
    replaced by ones that follow from the content.
    """

    name = "sklearn"

    def fits(self, value: object) -> bool:
        """Whether it is an estimator of scikit-learn itself, or a sparse matrix."""
        if type(value).__module__.startswith("sklearn."):
            return isinstance(value, BaseEstimator)
        return type(value).__module__.startswith("scipy.sparse.") and sparse.issparse(value)

    def dump(self, value: Any, writer: Writer) -> Any:
        """Write the archive of skops."""
        try:
            archive = _normal(skops.io.dumps(value))
            unknown = _unknown(archive)
        except (TypeError, AttributeError, ValueError) as error:
            raise NotSerializable(f"skops cannot keep it: {error}") from error
        if unknown:
            raise NotSerializable(f"it holds types outside of our allow-list: {', '.join(unknown)}")
        with writer.open(_NAME) as file:
            file.write(archive)
        writer.describe(estimator=type(value).__name__)

    def load(self, content: Content, reader: Reader) -> Any:  # noqa: ARG002 - the archive says it all
        """Return the estimator, if all it is made of is allowed.

        Raises:
            Denied: it names a type that is not allowed.
            CorruptArtifact: its bytes do not make sense.
        """
        archive = reader.path(_NAME).read_bytes()
        with zipfile.ZipFile(io.BytesIO(archive)) as source:
            _check_members(source, len(archive))
            for node in _nodes(_schema(source)):
                _check_node(node, source)
        unknown = _unknown(archive)
        if unknown:
            raise Denied(f"it holds types outside of our allow-list: {', '.join(unknown)}")
        return skops.io.loads(archive, trusted=sorted(ALLOWED))


def _unknown(archive: bytes) -> list[str]:
    return sorted(set(skops.io.get_untrusted_types(data=archive)) - ALLOWED)


def _schema(source: zipfile.ZipFile) -> Any:
    return json.loads(source.read("schema.json"))


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a schema, outer ones first; without recursion, so of any depth."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "__loader__" in node:
                yield node
            waiting.extend(reversed(node.values()))
        elif isinstance(node, list):
            waiting.extend(reversed(node))


def _normal(archive: bytes) -> bytes:
    """Return the same archive with names, ids and times that follow from the content."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as source,
        zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as made,
    ):
        schema = _schema(source)
        ids: dict[int, int] = {}
        for node in _nodes(schema):
            if node["__loader__"] == "JsonNode":
                node.pop("__id__", None)  # whether two equal constants are one object says nothing
            elif "__id__" in node:
                node["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
            if isinstance(node.get("file"), str):
                node["file"] = _copy_member(source, made, node["file"])
        _write_member(made, "schema.json", json.dumps(schema).encode("ascii"))
    return target.getvalue()


def _copy_member(source: zipfile.ZipFile, made: zipfile.ZipFile, name: str) -> str:
    data = source.read(name)
    if name.endswith(".npy"):
        array = np.load(io.BytesIO(data), allow_pickle=False)
        if array.dtype.names is not None:
            data = _npy_bytes(without_gaps(array))
    new = digest_of(data)[3:] + name[name.rindex(".") :]
    if new not in made.NameToInfo:
        _write_member(made, new, data)
    return new


def _npy_bytes(array: Any) -> bytes:
    target = io.BytesIO()
    np.save(target, array, allow_pickle=False)
    return target.getvalue()


def _write_member(made: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system = 3
    made.writestr(info, data)


# Checks of an archive before anything is made of it.


def _check_members(source: zipfile.ZipFile, size_bytes: int) -> None:
    members = source.infolist()
    packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    if packed or sum(member.file_size for member in members) > size_bytes:
        raise CorruptArtifact("an archive of an estimator that would unpack to more than its size")


def _check_node(node: dict[str, Any], source: zipfile.ZipFile) -> None:
    module, name = node.get("__module__"), node.get("__class__")
    if node["__loader__"] != "JsonNode" and not _LOCAL.match(str(module)):
        raise Denied(f"it holds a {module}.{name}, which is outside of our allow-list")
    if name not in ("Tree", "TreePredictor"):
        return
    try:
        _check_tree(node, source)
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise CorruptArtifact(f"a stored tree makes no sense: {error}") from error


def _check_tree(node: dict[str, Any], source: zipfile.ZipFile) -> None:
    """Check what compiled code will not: that every index of a tree leads somewhere inside."""
    parts = node["content"]["content"]
    nodes = _array(parts["nodes"], source)
    if node["__class__"] == "Tree":
        _check_branches(nodes["left_child"], nodes["right_child"], nodes["left_child"] != -1)
        n_features = json.loads(node["__reduce__"]["args"]["content"][0]["content"])
        if json.loads(parts["node_count"]["content"]) != len(nodes):
            raise ValueError("the number of its nodes is wrong")
        if nodes["feature"].max(initial=-1) >= n_features:
            raise ValueError("it looks at features that it does not have")
        return
    _check_branches(nodes["left"], nodes["right"], nodes["is_leaf"] == 0)
    categorical = nodes["bitset_idx"][(nodes["is_leaf"] == 0) & (nodes["is_categorical"] != 0)]
    for name in ("binned_left_cat_bitsets", "raw_left_cat_bitsets"):
        if categorical.max(initial=0) >= max(1, len(_array(parts[name], source))):
            raise ValueError("it looks at categories that it does not have")


def _array(node: Any, source: zipfile.ZipFile) -> Any:
    return np.load(io.BytesIO(source.read(node["file"])), allow_pickle=False)


def _check_branches(left: Any, right: Any, inner: Any) -> None:
    """Children come after their parent and exist: so a walk stays inside and ends."""
    own = np.arange(len(left))[inner]
    for side in (left, right):
        child = side[inner].astype(np.int64)
        if (child <= own).any() or (child >= len(left)).any():
            raise ValueError("it has branches that lead nowhere")
