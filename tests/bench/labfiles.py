# SPDX-License-Identifier: BSD-2-Clause
"""What the laboratories' data files have in common: a header that says how to repeat a measurement, and CSV."""

import csv
import datetime
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"bochs": "bochs", "qemu": "qemu-system-x86"}


def output(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)
    return done.stdout.strip()


def header(title, emulators):
    """What every measurement has to say of itself."""
    package = "${Package} ${Version}"
    return {
        "title": title,
        "commit": output("git", "describe", "--always", "--dirty", "--abbrev=12"),
        "command": " ".join([f"tests/bench/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "emulators": ", ".join(output("dpkg-query", "-W", "-f", package, PACKAGES[name])
                               for name in sorted(emulators)),
        "compiler": output("gcc", "--version").splitlines()[0],
    }


def cell(value):
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else value


def write_csv(file, head, names, rows):
    """Lines with # say how to repeat it; then a line of names, and a line for each row."""
    for name, value in head.items():
        for line in str(value).splitlines() or [""]:
            file.write(f"# {name}: {line}\n")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([cell(row.get(name)) for name in names] for row in rows)
