import json
import tarfile
from pathlib import Path

import pytest

from e2e.cluster.archive import Program, digest_of, write_programs


@pytest.fixture
def programs(tmp_path: Path) -> list[Program]:
    binary = tmp_path / "queue"
    binary.write_bytes(b"a program")
    return [Program("dev.local/queue:1", binary), Program("dev.local/pause:1", binary, user="65535:65535")]


def test_each_program_is_an_image_that_runs_it(programs: list[Program], tmp_path: Path) -> None:
    write_programs(programs, tmp_path / "images.tar")
    with tarfile.open(tmp_path / "images.tar") as archive:
        manifest = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        configurations = [json.load(archive.extractfile(one["Config"])) for one in manifest]  # type: ignore[arg-type]
    assert [one["RepoTags"] for one in manifest] == [["dev.local/queue:1"], ["dev.local/pause:1"]]
    assert [one["config"]["Entrypoint"] for one in configurations] == [["/queue"], ["/queue"]]
    assert [one["config"]["User"] for one in configurations] == ["65532:65532", "65535:65535"]


def test_the_same_programs_give_the_same_bytes(programs: list[Program], tmp_path: Path) -> None:
    write_programs(programs, tmp_path / "one.tar")
    write_programs(programs, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_the_digest_follows_the_bytes(programs: list[Program]) -> None:
    before = digest_of(programs)
    programs[0].binary.write_bytes(b"another")
    assert digest_of(programs) != before
