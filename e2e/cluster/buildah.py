"""Building images from Dockerfiles with buildah; layers are kept in a store of ours."""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Mapping, Set
from pathlib import Path

from e2e.cluster import base_image, mounts, settings
from e2e.cluster.progress import Progress
from e2e.cluster.shell import CommandError, run

_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


def store() -> Path:
    """Where buildah keeps layers and images."""
    return settings.images_root() / "store"


def buildah(*arguments: str | Path) -> str:
    """Run buildah on our store and return what it printed."""
    place: list[str | Path] = ["--root", store(), "--runroot", _run_folder(), "--storage-driver", "overlay"]
    _temporary_folder().mkdir(parents=True, exist_ok=True)
    return run(["buildah", *place, *arguments], env={"TMPDIR": str(_temporary_folder())})


def release() -> None:
    """Undo the mounts that builds left behind."""
    mounts.unmount_below(store())
    shutil.rmtree(_run_folder(), ignore_errors=True)


def _temporary_folder() -> Path:
    return settings.images_root() / "tmp"  # gigabytes of layers on the way; an interrupted build leaves them


def _run_folder() -> Path:
    return settings.RUN.with_name(f"{settings.RUN.name}-buildah")


def build(image: str, dockerfile: Path, context: Path, arguments: Mapping[str, str]) -> str:
    """Build an image and return its id, which changes only when the image does; RUN reaches the host's network."""
    shutil.rmtree(_temporary_folder(), ignore_errors=True)
    words: list[str | Path] = ["--layers", "--isolation", "chroot", "--network", "host", "--pull-never"]
    if _AUTHORITIES.exists():  # where traffic passes a proxy with an authority of its own
        words += ["--volume", f"{_AUTHORITIES}:{_AUTHORITIES}:ro"]
    for name, value in arguments.items():
        words += ["--build-arg", f"{name}={value}"]
    buildah("bud", "--quiet", *words, "--tag", image, "--file", dockerfile, context)
    return id_of(image)


def id_of(image: str) -> str:
    """The id of an image in the store, "" when it is not there."""
    try:
        return buildah("images", "--quiet", "--no-trunc", image).split()[0]
    except (CommandError, IndexError):
        return ""


def size_of(image: str) -> int:
    """The bytes of an image's layers, unpacked."""
    manifest = json.loads(buildah("inspect", "--type", "image", "--format", "{{.Manifest}}", image))
    return sum(layer["size"] for layer in manifest["layers"])


def save(image: str, destination: Path, present: Set[str]) -> None:
    """Write an image as an OCI archive without those blobs that containerd has: `present` holds their digests."""
    folder = settings.images_root() / "saved"
    shutil.rmtree(folder, ignore_errors=True)
    # The dir transport is the one that leaves layers as they are; the others spend half a minute compressing them.
    buildah("push", "--quiet", "--disable-compression", "--format", "oci", image, f"dir:{folder}")
    manifest = (folder / "manifest.json").read_bytes()
    described = json.loads(manifest)
    parts = [described["config"]["digest"], *(layer["digest"] for layer in described["layers"])]
    digest = hashlib.sha256(manifest).hexdigest()
    entry = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": f"sha256:{digest}",
        "size": len(manifest),
        "annotations": {"io.containerd.image.name": image},
    }
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    with tarfile.open(destination, "w") as archive:
        for name in ("oci-layout", "index.json"):
            archive.add(folder / name, name)
        archive.add(folder / "manifest.json", f"blobs/sha256/{digest}")
        for part in dict.fromkeys(parts):
            if part not in present:
                archive.add(folder / part.removeprefix("sha256:"), f"blobs/{part.replace(':', '/')}")
    shutil.rmtree(folder)


def ensure_base(progress: Progress) -> str:
    """The Python base image, in the store; returns its name."""
    archive = base_image.root_archive(progress)
    stamp = store() / "base.stamp"
    made_from = f"{archive.stat().st_mtime_ns} {archive.stat().st_size}"
    if not (stamp.exists() and stamp.read_text() == made_from and id_of(settings.BASE_IMAGE)):
        with progress.step(f"image {settings.BASE_IMAGE}"):
            dockerfile = archive.with_name("base.Dockerfile")
            dockerfile.write_text(f'FROM scratch\nADD {archive.name} /\nCMD ["python3"]\n')
            buildah("bud", "--quiet", "--tag", settings.BASE_IMAGE, "--file", dockerfile, archive.parent)
            stamp.write_text(made_from)
    return settings.BASE_IMAGE
