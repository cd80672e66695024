# SPDX-License-Identifier: BSD-2-Clause
"""The witness: a real etcd, of one member and of three, asked by a hypervisor; members that fail, and what is said of
them. It is asked by HTTPS in QEMU, and in the clear in Bochs, where certificates take 2 s to verify."""

import re
import threading

import pytest
from etcd import Etcd
from machine import vm
from migration import Host, Site

GUEST = vm("web", "mover.elf", memory="8M")


@pytest.fixture
def site(tmp_path, emu):
    with Site(tmp_path / "site", secure=emu == "qemu") as the_site:
        yield the_site


@pytest.fixture
def emu():
    """Unless a test is for others, too."""
    return "qemu"


def member(host: Host, number=0):
    return host.get("/v1/witness")["members"][number]


def wait_member(host, number, status):
    """Until the member has that status; returns what is shown of it."""
    def there():
        shown = member(host, number)
        return shown if shown["status"] == status else None
    return host.wait_for(f"member {number} {status}", there)


def measure(host, swaps):
    """witness-test; returns its result."""
    def over():
        test = host.get("/v1/witness")["test"]
        return None if test["status"] == "active" else test
    host.post("/v1/witness-test", swaps=swaps)
    return host.wait_for("the end of witness-test", over)


@pytest.mark.parametrize("emu", ["qemu", "bochs"])
def test_one_member(site, tmp_path, emu):
    """What it holds for a guest is shown, swaps are measured and done; it dies and comes back."""
    with Etcd(site.net, tmp_path / "etcd", ca=site.ca) as etcd:
        one = etcd.members[0]
        site.a.boot(GUEST + etcd.config(), emu=emu)
        site.a.ready()
        shown = wait_member(site.a, 0, "answers")
        assert ("warn  keys: [witness] is insecure, as it says" in site.a.machine.log) == (emu == "bochs")
        assert shown["member"] == one.url and shown["ms"] > 0 and shown["error"] == ""
        guest = site.a.wait_for("the guest's key is read",
                                lambda: [row for row in site.a.get("/v1/witness")["guests"] if row["read_ms_ago"]])[0]
        assert re.match("nothing|1 owner ", guest["holds"]) and re.fullmatch(r"godwit/vm/[0-9a-f]{32}", guest["key"])
        one.put(guest["key"], "1 owner 10.9.0.2:4900 epoch 7")
        site.a.wait_for("the guest's value", lambda: site.a.get("/v1/witness")["guests"][0]["holds"] ==
                        "1 owner 10.9.0.2:4900 epoch 7")

        done = measure(site.a, 20)
        assert done["status"] == "completed" and done["swaps"] == "20 of 20", done
        assert 0 < done["ms_least"] <= done["ms_median"] <= done["ms_most"]
        print(f"{emu}: a swap takes {done['ms_median']} ms ({done['ms_least']} to {done['ms_most']})")
        mac = site.a.get("/v1/net")["mac"]
        assert one.get(f"godwit/test/{mac}").startswith("swap 20 of 20, ")
        assert measure(site.a, 1)["status"] == "completed"  # from the value that is there
        assert site.a.metric('godwit_witness_questions_total{result="swapped"}') in (21, 22)
        assert site.a.metric(f'godwit_witness_up{{member="{one.url}"}}') == 1

        one.stop()
        assert "refuses connections" in wait_member(site.a, 0, "silent")["error"]
        site.a.machine.wait(rf"witness: {one.url}: (refuses|closed|broke)", 60)
        failed = measure(site.a, 5)
        assert failed["status"] == "failed" and one.url in failed["error"], failed
        assert site.a.metric(f'godwit_witness_up{{member="{one.url}"}}') == 0
        one.start(etcd.cluster)
        wait_member(site.a, 0, "answers")
        assert site.a.get("/v1/witness")["guests"][0]["holds"] == "1 owner 10.9.0.2:4900 epoch 7"
        assert site.a.guests() == {"web": "running"}


def test_three_members(site, tmp_path):
    """One hangs: the others answer. Two hang: nobody answers, because one alone can't know. They go on: all answer."""
    with Etcd(site.net, tmp_path / "etcd", 3, ca=site.ca) as etcd:
        site.a.boot(GUEST + etcd.config(timeout=3000), alone=True)
        site.a.ready()
        for number in range(3):
            wait_member(site.a, number, "answers")
        assert len({row["cluster"] for row in site.a.get("/v1/witness")["members"]}) == 1
        site.a.wait_for("they agree", lambda: measure(site.a, 10)["status"] == "completed")

        etcd.members[0].stand()
        assert wait_member(site.a, 0, "silent")["error"] == "no answer within 3000 ms"
        # If the one that hangs led the others, they take a while to agree on a new one.
        site.a.wait_for("the others agree", lambda: measure(site.a, 10)["status"] == "completed")
        mac = site.a.get("/v1/net")["mac"]
        assert etcd.members[1].get(f"godwit/test/{mac}").startswith("swap 10 of 10, ")

        etcd.members[1].stand()
        failed = measure(site.a, 1)
        assert failed["status"] == "failed" and "none of 3 members" in failed["error"], failed
        wait_member(site.a, 2, "silent")

        for one in etcd.members[:2]:
            one.go_on()
        for number in range(3):
            wait_member(site.a, number, "answers")
        site.a.wait_for("all agree", lambda: measure(site.a, 10)["status"] == "completed")
        shown = site.a.godwit("witness").stdout
        assert all(one.url in shown for one in etcd.members) and re.search(r"^ +web +godwit/vm/", shown, re.M), shown


def test_by_ipv6(site, tmp_path):
    with Etcd(site.net, tmp_path / "etcd", ca=site.ca) as etcd:
        one = etcd.members[0]
        site.a.boot(etcd.config().replace(one.url, one.url6.removesuffix(":2379")), net="address6 = fd09::2/64\n")
        site.a.ready()
        assert wait_member(site.a, 0, "answers")["member"] == one.url6
        assert measure(site.a, 3)["status"] == "completed"


def test_servers_that_are_no_etcd(site, tmp_path):
    """The witness is asked all the same, and of the others it is said what is wrong with them. In the clear, where
    anybody can answer so."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    moved = b"HTTP/1.1 301 Moved Permanently\r\nLocation: http://10.9.0.90:2379/\r\nContent-Length: 0\r\n\r\n"
    endless = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100000
    says = {7001: (chunked, "in pieces"), 7002: (moved, "status 301"), 7003: (endless, "too long")}

    def serve(listener, answer):
        while True:
            try:
                with listener.accept()[0] as sock:
                    sock.recv(4096)
                    sock.sendall(answer)
                    sock.recv(4096)
            except ConnectionError:
                continue
            except OSError:
                return

    listeners = []
    for port, (answer, _) in says.items():
        listener = site.net.socket()
        listener.bind(("10.9.0.1", port))
        listener.listen()
        threading.Thread(target=serve, args=(listener, answer), daemon=True).start()
        listeners.append(listener)
    with Etcd(site.net, tmp_path / "etcd") as etcd:
        site.a.boot(GUEST + etcd.config(*(f"http://10.9.0.1:{port}" for port in says)))
        site.a.ready()
        wait_member(site.a, 0, "answers")
        for number, (_, words) in enumerate(says.values(), 1):
            assert words in wait_member(site.a, number, "silent")["error"]
        assert measure(site.a, 10)["status"] == "completed"
        assert site.a.guests() == {"web": "running"}
    for listener in listeners:
        listener.close()


def test_starts_ask_it(site, tmp_path):
    """By `autostart = yes`, by the command, and when it has come to start anew, a guest starts when its deed allows it,
    and not before."""
    guests = "".join(vm(name, "echo.elf", memory="8M", cmdline="power=off", autostart=name) for name in ("yes", "no"))

    with Etcd(site.net, tmp_path / "etcd", ca=site.ca) as etcd:
        one = etcd.members[0]

        def waits(host, *names):
            host.wait_for("they wait", lambda: {name: "elsewhere" for name in names}.items() <= host.guests().items())
            rows = [row for row in host.get("/v1/vms")["vms"] if row["name"] in names]
            assert all(one.url in row["reason"] or "the witness is asked" in row["reason"] for row in rows), rows

        def runs(host, *names):
            host.wait_for("they run", lambda: {name: "running" for name in names}.items() <= host.guests().items())
            for row in host.get("/v1/witness")["guests"]:
                if row["name"] in names:
                    assert one.get(row["key"]).startswith(f"1 owner {host.address}:4900 ")
        one.stand()
        site.a.boot(guests + etcd.config())
        site.b.boot(etcd.config())
        site.a.answers()
        site.b.answers()
        site.a.post("/v1/vms/no/start")
        waits(site.a, "yes", "no")
        one.go_on()
        runs(site.a, "yes", "no")
        one.stand()
        moved = site.a.godwit("migrate", "yes", site.b.address, "--mode", "cold")
        assert moved.returncode == 0, moved
        waits(site.b, "yes")
        one.go_on()
        runs(site.b, "yes")


def test_without_a_witness(site):
    site.a.boot()
    site.a.ready()
    assert site.a.ask("GET", "/v1/witness")[0] == 501
    status, error = site.a.refused("/v1/witness-test")
    assert status == 501 and "expected a section [witness]" in error
