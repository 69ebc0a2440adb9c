"""Writes an image archive as `docker save` does: one layer, no build tool needed."""

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True)
class Program:
    """An image that holds one static program."""

    image: str
    binary: Path
    arguments: Sequence[str] = ()
    user: str = "65532:65532"


def digest_of(programs: Sequence[Program]) -> str:
    """What decides about the archive: names, arguments and the programs' bytes."""
    digest = hashlib.sha256()
    for program in programs:
        digest.update(f"{program.image} {program.binary.name} {program.arguments} {program.user}".encode())
        with program.binary.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def write_programs(programs: Sequence[Program], destination: Path) -> None:
    """Write one archive with an image for each program; the same programs give the same bytes."""
    manifest = []
    with tarfile.open(destination, "w") as archive:
        for number, program in enumerate(programs):
            layer = _layer(program.binary)
            folder = f"layer{number}"
            _add(archive, f"{folder}/layer.tar", layer)
            configuration = {
                "architecture": "amd64",
                "os": "linux",
                "created": _EPOCH,
                "config": {
                    "Entrypoint": [f"/{program.binary.name}", *program.arguments],
                    "User": program.user,
                    "WorkingDir": "/",
                },
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
                "history": [{"created": _EPOCH}],
            }
            text = json.dumps(configuration, sort_keys=True).encode()
            name = f"{hashlib.sha256(text).hexdigest()}.json"
            _add(archive, name, text)
            manifest.append({"Config": name, "RepoTags": [program.image], "Layers": [f"{folder}/layer.tar"]})
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def _layer(binary: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        # A writable /tmp, as every base image has it.
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        layer.addfile(folder)
        entry = tarfile.TarInfo(binary.name)
        entry.size, entry.mode = binary.stat().st_size, 0o755
        with binary.open("rb") as file:
            layer.addfile(entry, file)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
