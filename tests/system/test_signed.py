# SPDX-License-Identifier: BSD-2-Clause
"""A loader that was built with a key takes only files that are signed by it; and firmware with Secure Boot takes only a
loader that is signed."""

import shutil

import pytest
from disks import make_disk, replace
from machine import IMAGES, ROOT, boot, run_to_end, vm

HELLO = ROOT / "build/guest/hello.elf"
HYPERVISOR = (IMAGES / "godwit.elf").read_bytes()
NONE = "this loader takes signed files only, expected it signed: tools/mkimage --sign KEY"
OTHER = " is not its signature by this loader's key, expected it signed: tools/mkimage --sign KEY"
ALL = vm("hello", "hello.elf") + ("[net]\nuplink = none\naddress = 10.9.0.2/24\n[api]\ntokens = tokens\n"
                                  "certificate = certificate\n[keys]\nname = a\nkeyring = keyring\n"
                                  "[witness]\nurl = https://10.9.0.90\nca = ca\n")


def new_key(path):
    run_to_end(["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", path], check=True)
    return path


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    """(private key, loader that was built with it)."""
    directory = tmp_path_factory.mktemp("signer")
    key = new_key(directory / "key.pem")
    loader = directory / "BOOTX64.EFI"
    run_to_end(["make", "-s", f"SIGN_KEY={key}", f"LOADER={directory}", loader], cwd=ROOT, check=True)
    return key, loader


@pytest.mark.parametrize("emu", ["qemu", "bochs"])
def test_what_is_signed_boots(tmp_path, signer, emu):
    key, loader = signer
    disk = make_disk(tmp_path, vm("hello", "hello.elf"), HELLO, options=["--sign", key, "--loader", loader])
    done = boot(tmp_path, None, emu, image=disk)
    assert done.end_of("hello") == ("passed", "verdict 0"), done.log[-2000:]
    assert done.status == 0, done.errors


# (file that is removed or changed, what the console says)
BROKEN = [
    ("godwit.cfg.sig", None, "configuration: godwit.cfg: " + NONE),
    ("godwit.cfg", ALL.encode() + b"#", "configuration: godwit.cfg: godwit.cfg.sig" + OTHER),
    ("godwit.elf.sig", None, "godwit.cfg: hypervisor: godwit.elf: " + NONE),
    ("godwit.elf", HYPERVISOR[:-1] + bytes([HYPERVISOR[-1] ^ 1]), "godwit.elf.sig" + OTHER),
    ("godwit.elf.sig", b"\x30\x06\x02\x01\x00\x02\x01\x00", "godwit.elf.sig" + OTHER),
    ("godwit.elf.sig", b"x" * 100_000, "godwit.elf.sig" + OTHER),
    ("keyring", b"group " + b"1" * 64 + b"\n", "godwit.cfg: [keys] keyring: keyring: keyring.sig" + OTHER),
    ("certificate.sig", None, "godwit.cfg: [api] certificate: certificate: " + NONE),
    ("tokens", b"x", "godwit.cfg: [api] tokens: tokens: tokens.sig" + OTHER),
    ("ca", b"x", "godwit.cfg: [witness] ca: ca: ca.sig" + OTHER),
]


@pytest.mark.parametrize("name, content, says", BROKEN, ids=range(len(BROKEN)))
def test_what_is_not_signed_is_refused(tmp_path, signer, name, content, says):
    key, loader = signer
    secrets = [tmp_path / secret for secret in ("keyring", "certificate", "tokens", "ca")]
    for secret in secrets:
        secret.write_text("secret\n")
    disk = make_disk(tmp_path, ALL, HELLO, *secrets, options=["--sign", key, "--loader", loader])
    replace(disk, name, content)
    done = boot(tmp_path, None, "qemu", image=disk)
    assert says in done.log and "[Security Policy Violation]" in done.log, done.log[-2000:]
    assert "entering" not in done.log and done.status == 2, done.errors


def test_another_key_is_refused(tmp_path, signer):
    other = new_key(tmp_path / "other.pem")
    disk = make_disk(tmp_path, vm("hello", "hello.elf"), HELLO, options=["--sign", other, "--loader", signer[1]])
    done = boot(tmp_path, None, "qemu", image=disk)
    assert "godwit.cfg.sig" + OTHER in done.log
    assert done.status == 2, done.errors


def test_make_says_what_the_loader_takes(tmp_path):
    """Whenever that is another than before: after a loader with a key one without comes unasked. mkimage sees it."""
    key, made, disk = new_key(tmp_path / "key.pem"), tmp_path / "key.c", tmp_path / "disk.img"

    def make(*words, of=made):
        return run_to_end(["make", "-s", f"LOADER={tmp_path}", *words, of], cwd=ROOT, check=True, capture_output=True,
                          text=True).stdout
    loader = f"{tmp_path}/BOOTX64.EFI takes"
    assert f"{loader} files that {key} has signed\n" in make(f"SIGN_KEY={key}")
    assert loader not in make(f"SIGN_KEY={key}")
    assert f"{loader} all files, signed or not: there is no SIGN_KEY\n" in make()
    assert loader not in make()
    (tmp_path / "godwit.cfg").write_text("[net]\n")
    for words, says in ([], "was not built with"), ([f"SIGN_KEY={key}"], ""):
        make(*words, of=tmp_path / "BOOTX64.EFI")
        done = run_to_end([ROOT / "tools/mkimage", "-o", disk, "-c", tmp_path / "godwit.cfg", "--sign", key, "--loader",
                           tmp_path / "BOOTX64.EFI"], capture_output=True, text=True)
        assert done.returncode == 0 and says in done.stderr and bool(says) == bool(done.stderr), done


def test_a_key_that_no_loader_takes_is_refused(tmp_path):
    run_to_end(["openssl", "ecparam", "-genkey", "-name", "secp384r1", "-noout", "-out", tmp_path / "k"], check=True)
    done = run_to_end([ROOT / "tools/loader-key", tmp_path / "k"], capture_output=True, text=True)
    assert done.returncode == 1 and "expected a key of the curve P-256" in done.stderr and not done.stdout, done


def new_owner(directory, name):
    """(key, certificate, list with that certificate as the firmware wants it) of somebody who signs loaders."""
    key, certificate, listed = (directory / f"{name}.{kind}" for kind in ("key", "pem", "esl"))
    run_to_end(["openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}/", "-keyout",
                key, "-out", certificate], check=True)
    run_to_end(["cert-to-efi-sig-list", certificate, listed], check=True)
    return key, certificate, listed


def sign(owner, loader, signed):
    run_to_end(["sbsign", "--key", owner[0], "--cert", owner[1], "--output", signed, loader], check=True)
    return signed


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    """Who owns the machine, and the variables of its firmware, as docs/secure-boot.md makes them."""
    directory = tmp_path_factory.mktemp("owner")
    owner = new_owner(directory, "owner")
    variables = shutil.copyfile("/usr/share/OVMF/OVMF_VARS_4M.fd", directory / "variables.fd")
    for name in ("PK", "KEK", "db"):
        run_to_end(["flash-var", variables, name, owner[2]], check=True)
    return owner, variables


def boot_secure(directory, variables, loader, key):
    disk = make_disk(directory, vm("hello", "hello.elf"), HELLO, options=["--sign", key, "--loader", loader])
    return boot(directory, None, "qemu", image=disk, options=["--secure-boot", variables])


def test_secure_boot(tmp_path, signer, owner):
    """The whole chain: the firmware judges the loader, the loader the hypervisor."""
    done = boot_secure(tmp_path, owner[1], sign(owner[0], signer[1], tmp_path / "signed.efi"), signer[0])
    assert done.end_of("hello") == ("passed", "verdict 0"), done.log[-2000:]
    assert done.status == 0, done.errors


@pytest.mark.parametrize("by", ["nobody", "another"])
def test_secure_boot_refuses(tmp_path, signer, owner, by):
    loader = signer[1]
    if by == "another":
        loader = sign(new_owner(tmp_path, by), loader, tmp_path / "signed.efi")
    done = boot_secure(tmp_path, owner[1], loader, signer[0])
    assert "BdsDxe: failed to load Boot" in done.log and "Access Denied" in done.log, done.log[-2000:]
    assert "Godwit" not in done.log and done.status == 2, done.errors
