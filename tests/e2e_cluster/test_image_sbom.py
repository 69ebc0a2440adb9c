"""What an image's bill of materials says of the Debian packages in it."""

import pytest

from images.sbom import debian_components, distribution_of

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
