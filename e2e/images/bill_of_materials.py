"""Whether an image's bill of materials says what is in the image, no more and no less."""

import json
from pathlib import Path

from images.sbom import DPKG_STATUS, VENV, debian_components, installed_in, normalized

DOCUMENT = "opt/haizen/sbom.cdx.json"


def check_bill_of_materials(root: Path) -> str:
    """Compare the CycloneDX document with what is installed below an image's root; returns how much that is.

    Raises AssertionError with the differences.
    """
    document = json.loads((root / DOCUMENT).read_text())
    assert document["bomFormat"] == "CycloneDX", document["bomFormat"]
    listed = {(normalized(each["name"]), each["version"]) for each in document["components"]}
    python = installed_in(root / VENV.relative_to("/"))
    assert python, f"no Python distribution in {VENV}"
    status = (root / DPKG_STATUS.relative_to("/")).read_text()
    installed = python | {(normalized(each["name"]), each["version"]) for each in debian_components(status, "")}
    assert installed == listed, f"missing: {sorted(installed - listed)}; not installed: {sorted(listed - installed)}"
    references = {each["bom-ref"] for each in [*document["components"], document["metadata"]["component"]]}
    named = {ref for each in document["dependencies"] for ref in [each["ref"], *each.get("dependsOn", [])]}
    assert named <= references, f"dependencies on what is not listed: {sorted(named - references)}"
    return f"{len(listed)} components"
