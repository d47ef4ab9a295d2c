"""What was made elsewhere is what it was when it was taken in: every file listed with its sum, and none besides."""

import hashlib
from pathlib import Path

import pytest

VENDOR = Path(__file__).resolve().parents[2] / "static" / "aika" / "vendor"
FOLDERS = sorted(path for path in VENDOR.iterdir() if path.is_dir())


def listed(folder: Path) -> dict[str, str]:
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_file_is_the_one_that_was_taken_in(folder: Path) -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    found.pop("SHA256SUMS")
    assert found == listed(folder)
    assert {"LICENSE", "NOTICE"} <= set(found)
    version = folder.name.rpartition("-")[2]
    assert any(f"v{version}".encode() in path.read_bytes()[:400] for path in folder.iterdir())
