"""The cluster's images: built only when what they are made of changed, and given to containerd once."""

import json
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import archive as archives
from e2e.cluster import knative, node, settings
from e2e.cluster.progress import Progress


@dataclass(frozen=True)
class Archive:
    """A file with images, and a digest that changes when they do."""

    name: str
    file: Path
    digest: str


def system_archive(binaries: Path, progress: Progress) -> Archive:
    """The archive of the pause image and of Knative's images."""
    programs = [archives.Program(settings.PAUSE_IMAGE, binaries / "pause", user="65535:65535")]
    programs += [archives.Program(knative.image(name), binaries / name) for name in knative.PROGRAMS]
    folder = settings.images_root()
    folder.mkdir(parents=True, exist_ok=True)
    file, stamp = folder / "system.tar", folder / "system.digest"
    digest = archives.digest_of(programs)
    if not (file.exists() and stamp.exists() and stamp.read_text() == digest):
        with progress.step("images of Knative's programs"):
            archives.write_programs(programs, file)
            stamp.write_text(digest)
    return Archive("system", file, digest)


def load(archive: Archive) -> bool:
    """Give an archive's images to the cluster's containerd unless it has them; true when it did."""
    memory = node.containerd_root() / "imported.json"  # goes away with containerd's own store
    imported: dict[str, str] = json.loads(memory.read_text()) if memory.exists() else {}
    if imported.get(archive.name) == archive.digest:
        return False
    node.ctr("images", "import", archive.file)
    imported[archive.name] = archive.digest
    memory.write_text(json.dumps(imported))
    return True
