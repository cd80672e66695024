# SPDX-License-Identifier: BSD-2-Clause
"""Disks for machines, made by tools/mkimage and then changed."""

from machine import ROOT, run_to_end


def make_disk(directory, config, *files, options=()):
    """A disk that boots, made as docs/config.md tells; options are of mkimage."""
    path, disk = directory / "good.cfg", directory / "disk.img"
    path.write_text(config)
    run_to_end([ROOT / "tools/mkimage", "-o", disk, "-c", path, *options, *files], check=True)
    return disk


def replace(disk, name, content):
    """Write, or with None remove, a file of the disk."""
    if content is None:
        run_to_end(["mdel", "-i", disk, f"::{name}"], check=True)
    else:
        run_to_end(["mcopy", "-o", "-i", disk, "-", f"::{name}"], input=content, check=True)
