"""`python3 sbom.py < python.cdx.json > sbom.cdx.json`: what an image is made of, as one CycloneDX document.

The lock file's part (uv writes it) comes on standard input: it is for every version of Python and every machine, so
only what is installed stays of it. The Debian packages are those that dpkg knows in this image. Runs inside an image's
build with nothing but the standard library.
"""

import json
import re
import sys
from collections.abc import Iterator, Set
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

VENV = Path("/opt/haizen/venv")
DPKG_STATUS = Path("/var/lib/dpkg/status")
OS_RELEASE = Path("/etc/os-release")


def normalized(name: str) -> str:
    """A Python distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed_in(venv: Path) -> set[tuple[str, str]]:
    """Normalized names and versions of a virtual environment's distributions."""
    folders = [str(folder) for folder in venv.glob("lib/python3*/site-packages")]
    return {(normalized(each.metadata["Name"]), each.version) for each in distributions(path=folders)}


def keep_installed(document: dict[str, Any], installed: Set[tuple[str, str]]) -> dict[str, Any]:
    """The document without the components that are not installed, nor any reference to them."""
    kept = [each for each in document["components"] if (normalized(each["name"]), each.get("version")) in installed]
    gone = {each["bom-ref"] for each in document["components"]} - {each["bom-ref"] for each in kept}
    dependencies = [
        {**each, "dependsOn": [ref for ref in each["dependsOn"] if ref not in gone]} if "dependsOn" in each else each
        for each in document.get("dependencies", [])
        if each["ref"] not in gone
    ]
    return {**document, "components": kept, "dependencies": dependencies}


def debian_components(status: str, distribution: str) -> Iterator[dict[str, Any]]:
    """The installed packages of a dpkg status file as CycloneDX components with package URLs."""
    for paragraph in status.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if "installed" not in fields.get("Status", "").split():
            continue
        name, version = fields["Package"], fields["Version"]
        place = f"pkg:deb/debian/{quote(name, safe='')}@{quote(version, safe='')}"
        purl = f"{place}?arch={fields['Architecture']}&distro={quote(distribution, safe='')}"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def distribution_of(os_release: str) -> str:
    """`debian-12` from the text of /etc/os-release."""
    fields = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    return "-".join(fields[name].strip('"') for name in ("ID", "VERSION_ID") if name in fields)


def main() -> None:
    """Join both parts."""
    document = keep_installed(json.load(sys.stdin), installed_in(VENV))
    if DPKG_STATUS.exists():
        found = debian_components(DPKG_STATUS.read_text(), distribution_of(OS_RELEASE.read_text()))
        document["components"] += found
    json.dump(document, sys.stdout)


if __name__ == "__main__":
    main()
