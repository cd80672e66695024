# SPDX-License-Identifier: BSD-2-Clause
"""Guests that are saved into files, and restored from them: their memory checks itself."""

import contextlib
import json
import re
import subprocess

import pytest
from api import GODWIT
from machine import TIMEOUT, vm
from migration import LINUX, SLACK, Ping, Site, alive, beats, free_memory, says, shell

MOVER = vm("mover", "mover.elf", memory="16M", cmdline="pages=512 rate=100 tick=1000")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The mover on a or b, and nowhere else; each test leaves it so."""
    with Site(tmp_path_factory.mktemp("save")) as site:
        site.a.boot(MOVER)
        site.b.boot()
        site.a.ready()
        site.b.ready()
        yield site


@pytest.fixture
def linux(tmp_path):
    """Linux on a; b is empty."""
    with Site(tmp_path / "site") as site:
        site.a.boot(LINUX)
        site.b.boot()
        site.a.ready()
        site.b.ready()
        site.a.machine.wait("godwit-guest: ready", TIMEOUT["qemu"])
        yield site


def done(result):
    assert result.returncode == 0, (result.stdout, result.stderr)
    return result.stdout


def refused(result, words):
    assert result.returncode == 1 and words in result.stderr, (result.stdout, result.stderr)


def leave(host, name="mover"):
    """Nothing is left of it there."""
    host.post(f"/v1/vms/{name}/poweroff")
    host.wait_for("it can be forgotten", lambda: host.ask("POST", f"/v1/vms/{name}/forget")[0] == 200)


@contextlib.contextmanager
def unchanged(host):
    """What is tried meanwhile leaves nothing at the host."""
    guests, free = host.guests(), free_memory(host)
    yield
    host.wait_for("nobody is on the way", lambda: host.guests() == guests)
    host.wait_for("its memory is free", lambda: free_memory(host) > free - SLACK)


def image(host, file):
    return json.loads(done(host.godwit("--json", "image", str(file))))


def test_saved_and_restored(pair, tmp_path):
    """Saved, it is paused, and goes on when it is resumed; the file is whole. As long as it lives here it is not
    restored. Then it goes on where it was."""
    file, [host] = tmp_path / "mover.image", pair.where("mover")
    done(host.godwit("save", "mover", str(file)))
    assert file.stat().st_mode & 0o777 == 0o600
    host.post("/v1/vms/mover/resume")
    before = beats(host)
    for command in (("save", "mover"), ("restore",), ("image",)):
        refused(host.godwit(*command, str(tmp_path)), f"{tmp_path}: Is a directory")
    assert host.guests()["mover"] == "running"
    assert "is paused" in done(host.godwit("save", "mover", str(file), "--verify"))
    assert host.guests()["mover"] == "paused"
    assert [path.name for path in tmp_path.iterdir()] == ["mover.image"]
    seen = image(host, file)
    assert (seen["status"], seen["vm"], seen["verified"]) == ("whole", "mover", True)
    assert seen["vm_id"] == host.get("/v1/vms/mover")["vm_id"]
    assert seen["mac"] in [port["mac"] for port in host.get("/v1/net")["ports"] if port["port"] == "mover"]
    assert seen["bytes"] == file.stat().st_size and seen["normal"] + seen["duplicate"] == seen["memory"] / 4096
    saved = host.query("mover")
    assert (saved["mode"], saved["peer"], saved["status"]) == ("save", "image", "completed")
    refused(host.godwit("restore", str(file)), "is there already, it is paused; or use new-identity and --name")
    leave(host)
    refused(host.godwit("restore", str(file), "--name", "gästé"), "a name holds ASCII letters, digits")
    epoch = int(done(host.godwit("restore", str(file))).split("epoch")[1].split()[0])
    assert epoch > seen["epoch"] > saved["epoch"] - 1
    assert beats(host) > before
    assert (host.query("mover")["mode"], host.query("mover")["peer"]) == ("restore", "image")
    assert host.metric('godwit_migrations_mode_total{role="destination",mode="restore"}') == 1


def test_only_where_nobody_has_it(pair, tmp_path):
    """It was saved live, and runs on: on another machine it is refused, with where it is. When it has ended it comes
    back there, under another name, and paused until somebody resumes it."""
    file = tmp_path / "mover.image"
    source, dest = pair.ends("mover")
    before = beats(source)
    done(source.godwit("save", "mover", str(file), "--live"))
    assert beats(source) > before
    saved = source.query("mover")
    assert (saved["mode"], saved["status"]) == ("save-live", "completed") and saved["rounds"]
    assert image(source, file)["rounds"] == len(saved["rounds"])
    with unchanged(dest):
        refused(dest.godwit("restore", str(file)), f"mover at {source.address}, epoch")
    listed = dest.query("mover")
    assert (listed["mode"], listed["status"], listed["error"]) == ("restore", "failed", "name"), listed
    assert listed["reason"].startswith(f"mover at {source.address}, epoch"), listed
    after = beats(source)
    leave(source)
    done(dest.godwit("restore", str(file), "--name", "other", "--paused"))
    assert dest.guests() == {"other": "paused"}
    dest.printed("other")
    dest.post("/v1/vms/other/resume")
    assert before < int(says(dest, "other", r"beat (\d+) at ")[1]) < after
    beats(dest, "other")
    leave(dest, "other")
    done(source.godwit("restore", str(file)))
    beats(source)


def test_its_memory_is_taken(pair, tmp_path):
    """It has been handed over by post-copy, and its memory is still here: it is not restored beside that, and the
    refusal says what it is and what would be right."""
    file = tmp_path / "mover.image"
    source, dest = pair.ends("mover")
    done(source.godwit("save", "mover", str(file), "--live"))
    source.begin("mover", dest, "demand")
    source.wait_status("mover", "postcopy-active")
    right = f"it runs at {dest.address}:4900, on memory that is here: end it, or use "
    refused(source.godwit("restore", str(file)), right + "new-identity")
    refused(source.godwit("restore", str(file), "--new-identity"), right + "another name")
    source.post("/v1/vms/mover/pull")
    source.wait_status("mover", "completed")
    gone = f"no virtual machine 'mover', it has moved to {dest.address}:4900; there "
    refused(source.godwit("save", "mover", str(file)), gone)
    assert source.ask("GET", "/v1/vms/mover/console")[1]["error"].startswith(gone)
    beats(dest)


def test_a_clone(pair, tmp_path):
    """It is another guest, beside the first one, with a MAC and an identity of its own; and both go on."""
    file = tmp_path / "mover.image"
    source, dest = pair.ends("mover")
    done(source.godwit("save", "mover", str(file), "--live", "--verify"))
    refused(source.godwit("restore", str(file), "--new-identity"),
            "is there already, it is running; --name gives it another one")
    for host in (source, dest):
        done(host.godwit("restore", str(file), "--new-identity", "--name", "clone"))
    places = ((source, "mover"), (source, "clone"), (dest, "clone"))
    ports = [{port["port"]: port["mac"] for port in host.get("/v1/net")["ports"]} for host, _ in places]
    assert len({port[name] for port, (_, name) in zip(ports, places)}) == 3, ports
    assert len({host.get(f"/v1/vms/{name}")["vm_id"] for host, name in places}) == 3
    assert min(beats(source), beats(source, "clone"), beats(dest, "clone")) > 0
    for host in (source, dest):
        leave(host, "clone")


def test_harmed_images_are_refused(pair, tmp_path):
    """Damaged, cut off, or none: neither runs, and nothing is left. So it is when the connection breaks."""
    file = tmp_path / "mover.image"
    source, dest = pair.ends("mover")
    done(source.godwit("save", "mover", str(file)))
    whole = bytearray(file.read_bytes())
    leave(source)
    with unchanged(dest):
        for harm, words in ((lambda b: b[:len(b) // 2], "cut off"), (lambda b: b[:-1], "cut off"),
                            (lambda b: b + b"x", "damaged"), (lambda b: b"\0" * 100000, "none"),
                            (lambda b: b[:1000000] + bytes([b[1000000] ^ 1]) + b[1000001:], "damaged"),
                            (lambda b: b"", "cut off")):
            file.write_bytes(harm(whole))
            refused(dest.godwit("image", str(file)), "no whole image")
            refused(dest.godwit("restore", str(file)), words)
        head = dest.head("POST", "/v1/images", len(whole))
        with dest.connect() as sock:
            sock.sendall(head + whole[:-100])
            dest.wait_for("it is on its way", lambda: dest.guests().get("mover") == "incoming")
        silent = [dest.connect() for _ in range(4)]
        for sock in silent:
            sock.sendall(head)
        dest.wait_for("four are waited for", lambda: "too many" in dest.godwit("restore", str(file)).stderr)
        for sock in silent:
            sock.close()
    file.write_bytes(whole)
    dest.wait_for("nobody is waited for", lambda: "too many" not in dest.godwit("restore", "/dev/null").stderr)
    restored = dest.metric('godwit_images_total{outcome="restored"}')
    done(dest.godwit("restore", str(file)))
    beats(dest)
    assert dest.metric('godwit_images_total{outcome="restored"}') == restored + 1


def test_a_client_that_leaves(pair, tmp_path):
    """The guest goes on, its dirty log is off, and no half of a file has its name. Into a file nothing is handed over
    by post-copy, and that is said."""
    [host] = pair.where("mover")
    before = beats(host)
    host.set(max_bandwidth=1 << 20)
    for options in ("", "live"):
        with host.connect() as sock:
            sock.sendall(host.head("GET", f"/v1/vms/mover/image?options={options}"))
            assert b"Guest-Memory: 16777216\r\n" in sock.recv(4096)
            if options == "live":
                assert "it is being saved to a file" in host.refused("/v1/vms/mover/migrate-start-postcopy")[1]
        host.wait_status("mover", "failed")
        assert host.guests()["mover"] == "running" and beats(host) > before
    tool = subprocess.Popen([*pair.net.enter, GODWIT, "save", "mover", str(tmp_path / "file")], stderr=subprocess.PIPE,
                            env=host.environment(), text=True)
    host.wait_for("its memory goes", lambda: host.query("mover")["status"] == "pre-switchover")
    host.post("/v1/vms/mover/migrate_cancel")
    assert "the image is not whole" in tool.communicate(timeout=60)[1] and tool.returncode == 1
    host.set(max_bandwidth=0)
    refused(host.godwit("save", "nobody", str(tmp_path / "file")), "no virtual machine 'nobody'")
    assert not list(tmp_path.iterdir())


def test_linux_is_told(linux, tmp_path):
    """While it answers, it is saved, and a clone comes to run elsewhere: it is told by its generation ID, whose event
    it takes, and what it sends from the first one's MAC disturbs nobody. With what restore says to do in it, it has a
    network. Restored itself, it is told, too."""
    file = tmp_path / "linux.image"
    ident = "dd if=/dev/mem bs=16 skip=57856 count=1 2>/dev/null | hexdump -v -e '1/1 \"%02x\"'"  # at 0xE2000
    told = "cut -c1-9 /sys/firmware/acpi/interrupts/gpe00 | tr -d ' '"
    host, dest = linux.a, linux.b
    assert shell(host, ident) == "00" * 16
    ping = Ping(linux.net)
    ping.start()
    done(host.godwit("save", "linux", str(file), "--live"))
    said = done(dest.godwit("restore", str(file), "--new-identity"))
    clone = shell(dest, ident)
    assert clone != "00" * 16 and int(shell(dest, told)) == 1
    assert "100% packet loss" in shell(dest, "ping -c 1 -W 1 10.9.0.1")
    shell(dest, "ip addr flush dev eth0; ip addr add 10.9.0.77/24 dev eth0")
    assert "100% packet loss" in shell(dest, "ping -c 1 -W 1 10.9.0.1")
    shell(dest, re.search("`(ip link set eth0 address [0-9a-f:]{17})`", said)[1])
    assert " 0% packet loss" in shell(dest, "ping -c 1 -W 5 10.9.0.1")
    leave(dest, "linux")
    ping.stop()
    assert not ping.doubles and shell(host, ident) == "00" * 16 and shell(host, told).strip() == "0"
    done(host.godwit("save", "linux", str(file)))
    leave(host, "linux")
    done(dest.godwit("restore", str(file)))
    assert shell(dest, ident) not in ("00" * 16, clone) and int(shell(dest, told)) == 1
    assert alive(linux.net)
