import pytest

from zenlib import Stack
from zenlib.errors import SettingsInvalid
from zenlib.settings import Component, load_stack, stackfile


@pytest.mark.parametrize(
    ("field", "raw", "type_", "url", "options"),
    [
        ("metadata_store", "mysql://zen@db/ml", "mysql", "mysql://zen@db/ml", {}),
        ("metadata_store", "mysql+pymysql://zen@db/ml", "mysql", "mysql+pymysql://zen@db/ml", {}),
        ("metadata_store", "memory", "memory", None, {}),
        ("artifact_store", "s3://bucket/a b", "s3", "s3://bucket/a b", {}),
        ("artifact_store", "memory", "memory", "memory://zenlib", {}),
        ("artifact_store", {"url": "s3://b/p", "endpoint_url": "http://x"}, "s3", "s3://b/p", {"endpoint_url": "http://x"}),
        ("artifact_store", {"type": "s3", "options": {"anon": True}}, "s3", None, {"anon": True}),
        ("orchestrator", "local", "local", None, {}),
        ("orchestrator", {"workers": 4}, "local", None, {"workers": 4}),
        ("orchestrator", Component(type="local", options={"workers": 1}), "local", None, {"workers": 1}),
    ],
)  # fmt: skip
def test_a_component_is_a_url_a_type_a_table_or_a_component(field, raw, type_, url, options):
    found = getattr(Stack(**{field: raw}), field)
    assert found == Component(type=type_, url=url, options=options)


def test_a_dumped_stack_can_be_read_again():
    stack = Stack(metadata_store="mysql://zen@db/ml", orchestrator={"type": "local", "workers": 2})
    assert Stack.model_validate(stack.model_dump()) == stack
    assert Stack.model_validate_json(stack.model_dump_json()) == stack


@pytest.mark.parametrize(
    ("field", "raw", "words"),
    [
        ("metadata_store", "mongo://x", "no metadata store for 'mongo'; known: memory, mysql, sqlite"),
        ("metadata_store", "sqllite", "did you mean 'sqlite'"),
        ("artifact_store", "artifacts", "written './artifacts'"),
        ("metadata_store", "history.db", "written './history.db'"),
        ("metadata_store", "mysql", "needs a URL, such as mysql://"),
        ("artifact_store", "s3", "needs a URL, such as s3://"),
        ("metadata_store", "sqlite://relative.db", "sqlite:///relative/path or sqlite:////absolute"),
        ("metadata_store", "mysql://zen@db:99999999/ml", "is not a URL"),
        ("artifact_store", "file://relative", "starts with file:///"),
        ("artifact_store", "", "is empty"),
        ("artifact_store", "a\x1b[2Jb", "no control characters"),
        ("artifact_store", "s3://" + "x" * 10_000, "at most 4096"),
        ("artifact_store", "🚀 moon", "must be a URL, a path"),
        ("artifact_store", "s3://${nothing}/x", "is not a reference"),
        ("artifact_store", {"url": "s3://b", "x": "${secret:a b}"}, "is not a reference"),
        ("artifact_store", {"url": 4}, "'type' and 'url' must be texts"),
        ("artifact_store", {"type": "a b"}, "not a type name"),
        ("artifact_store", {"type": "s3", "options": 3}, "must be a table"),
        ("artifact_store", {"type": "s3", "when": object()}, "options are texts, numbers and tables"),
        ("artifact_store", 42, "must be a URL, a type name, or a table"),
        ("orchestrator", "./local", "must be a type name such as 'local'"),
        ("orchestrator", "kubernetes", "no orchestrator for 'kubernetes'; known: local"),
        ("metadata_store", "${env:NOT_SET}", "NOT_SET is not set"),
        ("cache", "maybe", "must be true or false"),
        ("cache", 1, "must be true or false"),
        ("pickle", "alll", "must be one of: own, never, all; did you mean 'all'"),
        ("durability", True, "must be one of: run, step"),
        ("cach", True, "unknown key 'cach'; did you mean 'cache'"),
        ("name", "no spaces please", "is not the name of a stack"),
    ],
)  # fmt: skip
def test_a_wrong_argument_says_what_is_allowed(field, raw, words):
    with pytest.raises(SettingsInvalid) as caught:
        Stack(**{field: raw})
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "name", ["", "a b", "🚀", "../x", "x" * 81, "x" * 10_000, ".hidden", "é", "a\0b"]
)
def test_a_stack_name_that_is_none_is_refused_briefly(name, place):
    for call in (load_stack, lambda n: stackfile.register(place / "zenlib.toml", n, {})):
        with pytest.raises(SettingsInvalid, match="not the name of a stack") as caught:
            call(name)
        assert len(str(caught.value)) < 250
    assert not (place / "zenlib.toml").exists()


def test_a_stack_is_frozen():
    stack = Stack()
    with pytest.raises(ValueError, match="frozen"):
        stack.cache = False
    with pytest.raises(ValueError, match="frozen"):
        stack.metadata_store.url = "x"
