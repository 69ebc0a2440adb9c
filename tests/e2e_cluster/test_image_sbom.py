"""What an image's bill of materials says of the Python distributions and the Debian packages in it."""

from pathlib import Path

import pytest

from images.sbom import debian_components, distribution_of, installed_in, keep_installed

STATUS = """\
Package: libgomp1
Status: install ok installed
Architecture: amd64
Version: 12.2.0-14+deb12u1
Description: GCC OpenMP (GOMP) support library
 Package: not a field, but text that goes on

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: base-files
Status: hold ok installed
Architecture: all
Version: 1:12.4
"""


def test_installed_packages_become_package_urls() -> None:
    found = [(each["name"], each["version"], each["purl"]) for each in debian_components(STATUS, "debian-12")]
    assert found == [
        (
            "libgomp1",
            "12.2.0-14+deb12u1",
            "pkg:deb/debian/libgomp1@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12",
        ),
        ("base-files", "1:12.4", "pkg:deb/debian/base-files@1%3A12.4?arch=all&distro=debian-12"),
    ]


@pytest.mark.parametrize(
    ("os_release", "name"),
    [
        pytest.param('ID=debian\nVERSION_ID="12"\n', "debian-12", id="a release"),
        pytest.param("ID=debian\nPRETTY_NAME=sid\n", "debian", id="no version, as in unstable"),
    ],
)
def test_the_distribution_is_named(os_release: str, name: str) -> None:
    assert distribution_of(os_release) == name


def test_only_what_is_installed_is_listed() -> None:
    """A lock file has versions for other Pythons and distributions for other machines."""
    document = {
        "bomFormat": "CycloneDX",
        "components": [
            {"bom-ref": "numpy-1", "name": "numpy", "version": "2.4.6"},
            {"bom-ref": "numpy-2", "name": "numpy", "version": "2.5.5"},
            {"bom-ref": "scikit-learn-3", "name": "scikit-learn", "version": "1.9.0"},
        ],
        "dependencies": [
            {"ref": "haizen", "dependsOn": ["numpy-1", "numpy-2"]},
            {"ref": "numpy-1"},
            {"ref": "numpy-2"},
            {"ref": "scikit-learn-3", "dependsOn": ["numpy-2"]},
        ],
    }
    kept = keep_installed(document, {("numpy", "2.4.6"), ("scikit-learn", "1.9.0")})
    assert [each["bom-ref"] for each in kept["components"]] == ["numpy-1", "scikit-learn-3"]
    assert kept["dependencies"] == [
        {"ref": "haizen", "dependsOn": ["numpy-1"]},
        {"ref": "numpy-1"},
        {"ref": "scikit-learn-3", "dependsOn": []},
    ]
    assert kept["bomFormat"] == "CycloneDX"


def test_installed_distributions_have_normalized_names(tmp_path: Path) -> None:
    folder = tmp_path / "lib/python3.12/site-packages/Typing_Extensions-4.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: Typing_Extensions\nVersion: 4.15.0\n")
    assert installed_in(tmp_path) == {("typing-extensions", "4.15.0")}
