# SPDX-License-Identifier: BSD-2-Clause
"""tools/mkimage: each file lands where the configuration names it, and where two could be meant it asks."""

import subprocess

import pytest
from machine import ROOT, run_to_end

ONE = "[vm a]\nkernel = guests/k\n"
TWO = ONE + "[vm b]\nkernel = k2\ninitrd = i\n"


def mkimage(directory, config, files):
    """Make an image of files, by their paths, each of which holds its path. Returns the image and what was said."""
    (directory / "mine.cfg").write_text(config)
    for name in files:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(name)
    return directory / "disk.img", run_to_end(
        [ROOT / "tools/mkimage", "-o", "disk.img", "-c", "mine.cfg", *files], cwd=directory, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)


def test_files_land_where_they_are_named(tmp_path):
    image, done = mkimage(tmp_path, TWO, ["x/k", "k2", "y/i", "more"])
    assert done.returncode == 0, done.stdout
    for path, text in {"guests/k": "x/k", "k2": "k2", "i": "y/i", "more": "more", "godwit.cfg": TWO}.items():
        shown = run_to_end(["mtype", "-i", image, f"::{path}"], stdout=subprocess.PIPE, text=True)
        assert shown.stdout == text


def test_secrets_stay_their_owners(tmp_path):
    """There may be a keyring on the image. One that is replaced does not keep its mode."""
    (tmp_path / "disk.img").write_text("")
    (tmp_path / "disk.img").chmod(0o644)
    image, done = mkimage(tmp_path, ONE, ["k"])
    assert done.returncode == 0, done.stdout
    assert image.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("config, files, words", [
    (ONE, ["x/k", "y/k"], "the FILEs x/k and y/k have the same last part"),
    (ONE, ["x/k", "y/K"], "the FILEs x/k and y/K have the same last part"),
    (ONE + "initrd = boot/k\n", ["x/k"], "mine.cfg names guests/k and boot/k"),
    (ONE + "[vm b]\nkernel = boot/k\n", ["x/k"], "mine.cfg names guests/k and boot/k"),
    (ONE, ["x/k", "y/godwit.cfg"], "godwit.cfg is where mkimage puts a file of its own: rename yours"),
    ("[vm a]\nkernel = Godwit.cfg\n", ["Godwit.cfg"], "Godwit.cfg is where mkimage puts a file of its own"),
    ("[vm a]\nkernel = efi/boot/bootx64.efi\n", ["bootx64.efi"], "efi/boot/bootx64.efi is where mkimage puts"),
    (ONE + f"kernel-sha256 = {'0' * 63}1\n", ["x/k"], "mkimage: guests/k has the SHA-256 "),
    (ONE + f"kernel-sha256 = {'0' * 63}1\n", ["x/k"], f"but mine.cfg names {'0' * 63}1 for it"),
    (ONE + f"initrd-sha256 = {'0' * 63}1\n", ["x/k"], "initrd-sha256: [vm a] has no initrd, expected both or neither"),
    (ONE, ["other"], "mine.cfg names guests/k, but no FILE given is called k"),
], ids=str)
def test_what_could_be_two_files_is_refused(tmp_path, config, files, words):
    image, done = mkimage(tmp_path, config, files)
    assert done.returncode == 1 and words in done.stdout, done.stdout
    assert not image.exists()
