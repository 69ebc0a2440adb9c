"""docs/settings.md and docs/limits.md are what the runtime says now."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from haizen_runtime.reference.generate import main, render
from haizen_runtime.reference.settings_page import unit_of
from haizen_runtime.reference.texts import field_texts
from haizen_runtime.settings import Settings
from haizen_runtime.storage.limits import AddressPolicy, Limits


def test_the_pages_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_page_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    (tmp_path / "limits.md").write_text("old")
    (tmp_path / "settings.md").unlink()
    assert main(["--check", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert f"{tmp_path}/settings.md, {tmp_path}/limits.md" in said
    assert not (tmp_path / "settings.md").exists()


@pytest.mark.parametrize("settings", [Settings, Limits, AddressPolicy])
def test_every_setting_has_a_text_and_a_row(settings: type) -> None:
    page = render()["settings.md"]
    texts = field_texts(settings)
    prefix = "HAIZEN_" if settings is Settings else "HAIZEN_STORAGE_"
    for field in fields(settings):
        if field.name != "addresses":
            assert texts[field.name].endswith("."), field.name
            assert f"`{prefix}{field.name.upper()}`" in page


@pytest.mark.parametrize(
    ("name", "default", "unit"),
    [
        ("read_timeout_seconds", 60.0, "seconds"),
        ("connect_timeout", 15.0, "seconds"),
        ("max_bytes", 0, "bytes"),
        ("min_bytes_per_second", 4096, "bytes a second"),
        ("max_batch_rows", 128, "rows"),
        ("queue_limit", 2048, "number"),
        ("allow_code", False, "true or false"),
        ("host", "", "text"),
    ],
)
def test_units(name: str, default: object, unit: str) -> None:
    assert unit_of(name, default) == unit
