import sys
from pathlib import Path

import pytest

from zenlib import registry
from zenlib.errors import Invalid, SettingsInvalid


def install(folder: Path, name: str, group: str, entry: str) -> None:
    """Put a distribution with one entry point into a folder, as an installer would."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[zenlib.{group}]\n{entry}\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_every_built_in_name_is_listed_sorted():
    assert registry.names("metadata_stores") == ["memory", "mysql", "sqlite"]
    assert registry.names("artifact_stores") == sorted(registry.BUILTIN["artifact_stores"])
    assert registry.names("orchestrators") == ["local"]


def test_a_name_is_imported_only_when_it_is_asked_for():
    found = registry.find("metadata_stores", "memory")
    assert found.__module__ == "zenlib.stores.memory"
    assert found.__name__ == "MemoryStore"


def test_every_built_in_target_is_a_class_of_its_contract():
    from zenlib.artifacts.base import ArtifactStore
    from zenlib.stores.base import MetadataStore

    for kind, contract in [("metadata_stores", MetadataStore), ("artifact_stores", ArtifactStore)]:
        for name in registry.BUILTIN[kind]:
            assert issubclass(registry.find(kind, name), contract), (kind, name)


def test_a_driver_after_plus_does_not_change_the_adapter():
    assert registry.scheme_type("mysql+pymysql") == "mysql"
    assert registry.find("metadata_stores", "memory+anything").__name__ == "MemoryStore"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(SettingsInvalid) as caught:
        registry.find("metadata_stores", "mongo")
    assert str(caught.value) == "no metadata store for 'mongo'; known: memory, mysql, sqlite"


def test_a_misspelt_name_gets_the_nearest():
    with pytest.raises(Invalid, match="did you mean 'sqlite'"):
        registry.find("metadata_stores", "sqllite")


def test_a_name_of_ten_thousand_letters_is_cut_in_the_error():
    with pytest.raises(SettingsInvalid) as caught:
        registry.find("orchestrators", "x" * 10_000)
    assert len(str(caught.value)) < 200


def test_an_installed_package_adds_a_name(site):
    (site / "acme_store.py").write_text("class Store:\n    pass\n")
    install(site, "acme", "metadata_stores", "acme = acme_store:Store")
    assert "acme" in registry.names("metadata_stores")
    assert registry.find("metadata_stores", "acme").__module__ == "acme_store"
    del sys.modules["acme_store"]


def test_an_installed_package_cannot_take_over_a_built_in_name(site):
    (site / "evil_store.py").write_text("raise SystemExit('imported')\n")
    install(site, "evil", "metadata_stores", "memory = evil_store:Store")
    assert registry.find("metadata_stores", "memory").__module__ == "zenlib.stores.memory"
    assert "evil_store" not in sys.modules


def test_two_packages_with_one_name_are_both_named(site):
    install(site, "acme", "orchestrators", "slurm = acme:One")
    install(site, "bravo", "orchestrators", "slurm = bravo:Two")
    with pytest.raises(SettingsInvalid, match=r"two packages offer .*'slurm': acme and bravo"):
        registry.find("orchestrators", "slurm")


def test_a_missing_package_is_named_with_the_command_that_installs_it(site, monkeypatch):
    (site / "needs_more.py").write_text("import skops_is_not_here\n")
    install(site, "more", "serializers", "more = needs_more:Thing")
    with pytest.raises(SettingsInvalid, match=r"pip install 'skops_is_not_here'"):
        registry.find("serializers", "more")
    monkeypatch.setitem(sys.modules, "polars", None)
    (site / "needs_polars.py").write_text("import polars\n")
    install(site, "frames", "serializers", "frames = needs_polars:Thing")
    with pytest.raises(SettingsInvalid, match=r"needs the package 'polars'.*'zenlib\[polars\]'"):
        registry.find("serializers", "frames")


def test_a_missing_module_of_zenlib_itself_is_not_blamed_on_the_user(site):
    install(site, "wrong", "serializers", "wrong = zenlib.no_such_module:Thing")
    with pytest.raises(ModuleNotFoundError):
        registry.find("serializers", "wrong")


def test_a_registered_class_that_does_not_exist_is_named(site):
    (site / "empty_module.py").write_text("thing = 1\n")
    install(site, "gone", "serializers", "gone = empty_module:Gone")
    install(site, "value", "serializers", "value = empty_module:thing")
    with pytest.raises(SettingsInvalid, match="'empty_module:Gone', which does not exist"):
        registry.find("serializers", "gone")
    with pytest.raises(SettingsInvalid, match="is not a class"):
        registry.find("serializers", "value")
    del sys.modules["empty_module"]
