"""The cluster's images: built only when what they are made of changed, and given to containerd once."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import archive as archives
from e2e.cluster import buildah, image_kinds, knative, node, settings
from e2e.cluster.progress import Progress

RUNTIME_DOCKERFILE = "images/runtime.Dockerfile"

# image -> the Dockerfile it is built from, relative to the repository
HAIZEN_IMAGES = {
    settings.OPERATOR_IMAGE: "images/operator.Dockerfile",
    settings.RUNTIME_IMAGE: RUNTIME_DOCKERFILE,
    settings.MODEL_STORE_IMAGE: "e2e/images/model-store.Dockerfile",
}


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


def load(archive: Archive) -> None:
    """Give an archive's images to the cluster's containerd unless it has them."""
    if not is_loaded(archive.name, archive.digest):
        node.ctr("images", "import", archive.file)
        _memory().write_text(json.dumps({**_imported(), archive.name: archive.digest}))


def is_loaded(name: str, digest: str) -> bool:
    """Whether the cluster's containerd has this archive or image already."""
    return _imported().get(name) == digest


def digest_of(name: str) -> str:
    """The digest of an image as the cluster's containerd has it; empty when it has none."""
    return _imported().get(name, "")


def _memory() -> Path:
    return node.containerd_root() / "imported.json"  # goes away with containerd's own store


def _imported() -> dict[str, str]:
    return dict(json.loads(_memory().read_text())) if _memory().exists() else {}


def ensure_haizen_images(progress: Progress, into_cluster: bool = True) -> None:
    """Build haizen's images, and those of the stories' helpers, from the working tree; import what changed.

    Only the last, thin layer is made anew when nothing but haizen's code changed.
    """
    base = buildah.ensure_base(progress)
    for image, dockerfile in HAIZEN_IMAGES.items():
        with progress.step(f"image {image}"):
            digest = buildah.build(image, settings.REPOSITORY / dockerfile, settings.REPOSITORY, {"BASE": base})
        if into_cluster and not is_loaded(image, digest):
            with progress.step(f"give {image} to the cluster"):
                file = settings.images_root() / "import.tar"
                buildah.save(image, file, node.blobs())
                load(Archive(image, file, digest))
                file.unlink()


def build_kinds(names: Sequence[str], progress: Progress) -> None:
    """Build these kinds of the runtime's image; they stay in the store, since no story needs them.

    Raises KeyError for a kind that does not exist.
    """
    base, known = buildah.ensure_base(progress), image_kinds.kinds()
    for kind in [known[name] for name in names]:
        with progress.step(f"image {kind.image}"):
            arguments = {"BASE": base, **kind.build_arguments}
            buildah.build(kind.image, settings.REPOSITORY / RUNTIME_DOCKERFILE, settings.REPOSITORY, arguments)
        print(f"{kind.image}: {buildah.size_of(kind.image) / 2**20:.0f} MiB")
