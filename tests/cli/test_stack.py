import pytest

from zenlib.places import home
from zenlib.settings import load_stack

CANARY = "hunter2-canary"


@pytest.fixture
def project(zen, place):
    zen("init")
    return place


def everything(folder):
    return "".join(path.read_text() for path in folder.rglob("*") if path.is_file())


def test_a_stack_is_registered_chosen_and_described(zen, project):
    found = zen("stack", "register", "prod", "--metadata-store", "mysql://zen@db/ml", "--artifact-store", "s3://b/p", "--orchestrator", "local")  # fmt: skip
    assert found.code == 0
    assert found.out == ""
    assert found.err == (
        f"written to {project / 'zenlib.toml'}\nto use it: zenlib stack set prod\n"
    )
    assert load_stack().name == "default"
    found = zen("stack", "set", "prod", "--json")
    assert found.json == {"name": "prod", "file": str(project / "zenlib.toml")}
    assert load_stack().name == "prod"
    found = zen("stack", "describe", "--json").json
    assert found["name"] == "prod"
    assert found["active"] is True
    assert found["metadata_store"] == {"type": "mysql", "url": "mysql://zen@db/ml", "options": {}}
    assert found["source"].startswith(f"{project / 'zenlib.toml'}:")
    shown = zen("stack", "describe", "prod").out
    assert "artifact_store  s3://b/p\n" in shown


def test_the_listing_marks_the_active_stack(zen, project):
    zen("stack", "register", "dev")
    zen("stack", "set", "dev")
    found = zen("stack", "list", "--json").json
    assert [(row["name"], row["active"]) for row in found] == [("default", False), ("dev", True)]
    lines = zen("stack", "list").out.splitlines()
    assert lines[0].split() == ["NAME", "METADATA", "ARTIFACTS", "ORCHESTRATOR", "FROM"]
    assert [line[0] for line in lines[1:]] == [" ", "●"]


def test_without_a_project_the_users_file_is_written(zen, place):
    found = zen("stack", "register", "mine")
    assert f"written to {home().config / 'config.toml'}" in found.err
    assert list(place.iterdir()) == []


def test_user_writes_the_users_file_inside_a_project_too(zen, project):
    zen("stack", "register", "mine", "--user")
    assert "[stacks.mine]" in (home().config / "config.toml").read_text()
    assert "mine" not in (project / "zenlib.toml").read_text().replace("# mine", "")
    zen("stack", "set", "mine", "--user")
    assert load_stack().name == "mine"


def test_an_update_goes_to_the_file_that_describes_the_stack(zen, project):
    zen("stack", "register", "mine", "--user", "--artifact-store", "s3://a")
    found = zen("stack", "update", "mine", "--artifact-store", "s3://b")
    assert f"written to {home().config / 'config.toml'}" in found.err
    assert load_stack("mine").artifact_store.url == "s3://b"


def test_registering_twice_is_a_conflict_and_changes_nothing(zen, project):
    zen("stack", "register", "dev", "--artifact-store", "s3://a")
    before = (project / "zenlib.toml").read_text()
    found = zen("stack", "register", "dev", "--artifact-store", "s3://b", "--json")
    assert found.code == 8
    assert "change it with: zenlib stack update dev" in found.json["error"]["message"]
    assert (project / "zenlib.toml").read_text() == before


def test_the_active_stack_is_deleted_only_by_force(zen, project):
    zen("stack", "register", "dev")
    zen("stack", "set", "dev")
    found = zen("stack", "delete", "dev")
    assert found.code == 8
    assert "add --force" in found.err
    assert load_stack().name == "dev"
    found = zen("stack", "delete", "dev", "--force", "--json")
    assert found.json == {"name": "dev", "file": str(project / "zenlib.toml")}
    assert load_stack().name == "default"


def test_deleting_by_force_takes_back_the_choice_in_every_file(zen, project):
    zen("stack", "register", "mine", "--user")
    zen("stack", "set", "mine")
    zen("stack", "set", "mine", "--user")
    found = zen("stack", "delete", "mine", "--force")
    assert (found.code, found.out) == (0, "")
    assert found.err == f"removed from {home().config / 'config.toml'}\n"
    assert load_stack().name == "default"


@pytest.mark.parametrize(
    "args", [["set"], ["describe"], ["delete"], ["update", "--orchestrator", "local"]]
)
def test_an_unknown_stack_is_not_found_with_the_nearest(args, zen, project):
    zen("stack", "register", "production")
    found = zen("stack", *args, "prodction")
    assert found.code == 6
    assert "no stack is called 'prodction'; did you mean 'production'?" in found.err


def test_the_built_in_stack_cannot_be_deleted_but_can_be_changed(zen, project):
    assert zen("stack", "delete", "default").code == 6
    assert zen("stack", "update", "default", "--artifact-store", "./blobs").code == 0
    assert load_stack().artifact_store.path == project / "blobs"
    assert zen("stack", "delete", "default").code == 0


def test_an_update_needs_something_to_change(zen, project):
    found = zen("stack", "update", "default")
    assert found.code == 2
    assert "nothing to change" in found.err


@pytest.mark.parametrize("name", ["a b", "🚀", "x" * 10_000, "a/b", "-"])
def test_odd_names_are_refused_and_nothing_is_written(name, zen, project):
    before = everything(project)
    found = zen("stack", "register", name)
    assert found.code == 3
    assert "is not the name of a stack; it must be 1 to 80 letters" in found.err
    assert len(found.err) < 300
    assert everything(project) == before


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--metadata-store", "mongo://x"], "no metadata store for 'mongo'; known: memory, mysql, sqlite"),
        (["--metadata-store", "history.db"], "a file or folder is written './history.db'"),
        (["--orchestrator", "kubernetes"], "no orchestrator for 'kubernetes'; known: local"),
        (["--artifact-store", ""], "artifact_store is empty"),
    ],
)  # fmt: skip
def test_a_wrong_component_is_refused_and_nothing_is_written(args, words, zen, project):
    before = everything(project)
    found = zen("stack", "register", "x", *args)
    assert found.code == 3
    assert words in found.err
    assert everything(project) == before


def test_a_password_in_a_url_is_moved_and_never_shown(zen, project):
    url = f"mysql://zen:{CANARY}@db/ml"
    said = zen("stack", "register", "prod", "--metadata-store", url)
    assert "the password is kept in " in said.err
    answers = [said, zen("stack", "set", "prod"), zen("stack", "describe"), zen("stack", "list")]
    answers += [zen("stack", "describe", "--json"), zen("config", "explain", "--json")]
    assert not any(CANARY in repr(answer) for answer in answers)
    assert CANARY not in everything(project)
    assert load_stack().metadata_store.resolved().url == url
    said = zen("stack", "update", "prod", "--metadata-store", f"mysql://zen:a/{CANARY}@db/ml")
    assert said.code == 3
    assert CANARY not in repr(said)


def test_a_password_of_a_refused_registration_is_not_kept(zen, project):
    zen("stack", "register", "prod")
    zen("stack", "register", "prod", "--metadata-store", f"mysql://zen:{CANARY}@db/ml")
    assert not (home().data / "secrets.json").exists()


def test_a_variable_that_hides_the_choice_is_mentioned(zen, project, monkeypatch):
    zen("stack", "register", "dev")
    monkeypatch.setenv("ZENLIB_STACK", "default")
    found = zen("stack", "set", "dev")
    assert "warning: ZENLIB_STACK is set and wins over the file: stack is default" in found.err


def test_a_broken_file_is_an_error_with_its_line_and_stays_as_it_is(zen, project):
    (project / "zenlib.toml").write_text("[stacks.dev]\ncach = 1\n")
    for args in (["list"], ["register", "x"], ["describe"], ["set", "dev"]):
        found = zen("stack", *args)
        assert found.code == 3
        assert (
            f"{project / 'zenlib.toml'}:2: unknown key 'cach'; did you mean 'cache'?" in found.err
        )
    assert (project / "zenlib.toml").read_text() == "[stacks.dev]\ncach = 1\n"


def test_exit_codes_and_streams_of_a_real_process(zenlib, place):
    found = zenlib("stack", "describe", "nope", "--json")
    assert found.code == 6
    assert found.json["error"]["code"] == "not-found"
    assert found.err == "error: no stack is called 'nope'; known: default\n"
    (place / "zenlib.toml").mkdir()
    found = zenlib("stack", "list")
    assert (found.code, found.out) == (3, "")
    assert found.err.endswith("zenlib.toml is a folder; it must be a TOML file\n")
