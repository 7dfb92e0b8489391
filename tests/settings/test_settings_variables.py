import os
import warnings

import pytest

from zenlib.errors import SettingsInvalid, ZenlibWarning
from zenlib.settings import load_stack
from zenlib.settings.fields import read_option


@pytest.mark.parametrize(
    "name",
    ["ZENLIB_STACK", "ZENLIB_METADATA_STORE", "ZENLIB_ARTIFACT_STORE", "ZENLIB_ORCHESTRATOR",
     "ZENLIB_ORCHESTRATOR__WORKERS", "ZENLIB_CACHE", "ZENLIB_PICKLE", "ZENLIB_DURABILITY"],
)  # fmt: skip
@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_variable_is_an_error_and_not_the_default(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid, match=f"^{name} is set but empty"):
        load_stack()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ZENLIB_CACHE", "maybe", "ZENLIB_CACHE: cache is 'maybe'; it must be true or false"),
        ("ZENLIB_PICKLE", "al", "ZENLIB_PICKLE: pickle is 'al'; it must be one of: own, never, all"),
        ("ZENLIB_STACK", "a b", "ZENLIB_STACK: 'a b' is not the name of a stack"),
        ("ZENLIB_STACK", "prod", "environment ZENLIB_STACK: no stack is called 'prod'; known: default"),
        ("ZENLIB_METADATA_STORE", "mongo://x", "environment ZENLIB_METADATA_STORE: metadata_store: no"),
        ("ZENLIB_ARTIFACT_STORE", '{"type": "s3"}', "ZENLIB_ARTIFACT_STORE: artifact_store is"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_named(name, value, words, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as caught:
        load_stack()
    assert words in str(caught.value)


@pytest.mark.parametrize("word", ["true", "1", "YES", "on"])
def test_words_for_true(word, monkeypatch):
    monkeypatch.setenv("ZENLIB_CACHE", word)
    assert load_stack().cache is True


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ZENLIB_METADATASTORE", "ZENLIB_METADATA_STORE"),
        ("ZENLIB_STAK", "ZENLIB_STACK"),
        ("ZENLIB_ORCHESTRATR__WORKERS", "ZENLIB_ORCHESTRATOR__WORKERS"),
        *([("zenlib_cache", "ZENLIB_CACHE")] if os.name != "nt" else []),
    ],
)
def test_a_misspelt_variable_is_warned_of_with_the_nearest(name, meant, monkeypatch):
    monkeypatch.setenv(name, "x")
    with pytest.warns(ZenlibWarning, match=f"{name} means nothing.*did you mean '{meant}'"):
        load_stack()


def test_a_variable_like_nothing_else_is_warned_of_too(monkeypatch):
    monkeypatch.setenv("ZENLIB_QQQQ", "x")
    with pytest.warns(ZenlibWarning, match="ZENLIB_QQQQ means nothing to zenlib$"):
        load_stack()


@pytest.mark.parametrize("name", ["SERVER", "TOKEN", "DEBUG", "TEST_MYSQL", "SECRET_DB"])
def test_reserved_variables_are_not_warned_of(name, monkeypatch):
    monkeypatch.setenv(f"ZENLIB_{name}", "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_stack()


@pytest.mark.parametrize(
    ("text", "value"),
    [("4", 4), ("-4", -4), ("1.5", 1.5), ("1e3", 1000.0), ("true", True), ("False", False),
     ("gpu", "gpu"), ('"4"', "4"), ("nan", "nan"), ("inf", "inf"), ("1_000", "1_000"), ("٣", "٣"),
     ("9" * 10_000, "9" * 10_000), ("", "")],
)  # fmt: skip
def test_an_option_is_a_number_where_it_looks_like_one(text, value):
    found = read_option(text)
    assert found == value
    assert type(found) is type(value)
