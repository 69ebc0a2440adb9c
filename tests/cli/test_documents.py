"""YAML files with the place of every field."""

import io
from pathlib import Path

import pytest

from haizen_cli.documents import expand, parse, read
from haizen_cli.errors import CliError

TEXT = """\
# a comment
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: iris
  annotations:
    example.com/a.b: x
spec:
  predictor:
    containers:
      - image: a
      - image: b
        env: []
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("", 2),
        ("metadata.name", 5),
        ("metadata.annotations['example.com/a.b']", 7),
        ("metadata.annotations[example.com/a.b]", 7),
        ("spec.predictor.containers[0].image", 11),
        ("spec.predictor.containers[1]", 12),
        ("spec.predictor.containers[1].env", 13),
        ("spec.predictor.containers[7].env", 10),
        ("spec.predictor.model.storageUri", 9),
        ("nothing", 2),
    ],
)
def test_line(path: str, line: int) -> None:
    (document,) = parse(TEXT, "f.yaml", Path())
    assert document.line(path) == line


def test_documents_know_their_lines_and_names() -> None:
    documents = parse(
        f"{TEXT}---\n---\nkind: Secret\napiVersion: v1\nmetadata: {{name: s, namespace: n}}\n", "f", Path()
    )
    assert [(d.kind, d.api_group, d.name, d.namespace, d.line()) for d in documents] == [
        ("InferenceService", "serving.kserve.io", "iris", "default", 2),
        ("Secret", "", "s", "n", 16),
    ]


def test_a_list_is_taken_apart() -> None:
    documents = parse("kind: List\nitems:\n- kind: A\n- kind: B\n  metadata: {name: b}\n", "f", Path())
    assert [(d.kind, d.line()) for d in documents] == [("A", 3), ("B", 4)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a: [", r"^f:1: not valid YAML", id="an open bracket"),
        pytest.param("a: 1\n b: 2\n", r"^f:2: not valid YAML", id="indentation"),
        pytest.param("a: 1\nb: 2\na: 3\n", r"^f:3: not valid YAML: the key 'a' is given twice", id="a key twice"),
        pytest.param("- a\n", r"^f:1: expected a Kubernetes object .*found list", id="a list"),
        pytest.param("text\n", r"^f:1: expected a Kubernetes object .*found str", id="a word"),
        pytest.param("a: !!python/object:os.system x\n", r"^f:1: not valid YAML", id="a Python object"),
    ],
)
def test_what_is_no_manifest(text: str, message: str) -> None:
    with pytest.raises(CliError, match=message):
        parse(text, "f", Path())


def test_timestamps_stay_text() -> None:
    (document,) = parse("metadata: {labels: {day: 2026-01-31}}", "f", Path())
    assert document.content["metadata"]["labels"]["day"] == "2026-01-31"


def test_files_folders_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.yaml").write_text("kind: B\n")
    (tmp_path / "a.yml").write_text("kind: A\n")
    (tmp_path / "c.txt").write_text("kind: C\n")
    assert [path.name for path in expand(str(tmp_path))] == ["a.yml", "b.yaml"]
    monkeypatch.setattr("sys.stdin", io.StringIO("kind: S\n"))
    assert [document.kind for document in read([str(tmp_path), "-"])] == ["A", "B", "S"]


def test_a_file_that_is_about_to_be_written_says_nothing_yet(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").touch()
    assert read([str(tmp_path)]) == []
    with pytest.raises(CliError, match=r"a\.yaml: is empty"):
        read([str(tmp_path)], edited=True)
    (tmp_path / "a.yaml").write_text("# nothing any more\n")
    assert read([str(tmp_path)], edited=True) == []


@pytest.mark.parametrize("name", ["missing.yaml", "empty", "binary.yaml"])
def test_what_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CliError, match=name):
        read([str(tmp_path / name)])
