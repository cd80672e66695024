# SPDX-License-Identifier: BSD-2-Clause
"""Certificates and tokens, as an administrator makes them with tools/mkkeys, and clients that look at them."""

import hashlib
import ssl
import subprocess

from machine import PROGRAM, ROOT

MKKEYS = ROOT / "tools/mkkeys"
NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME


def openssl(*arguments, **more):
    return subprocess.run(["openssl", *arguments], check=True, timeout=PROGRAM, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, **more).stdout


class Authority:
    """A CA, whose files are in that directory."""

    def __init__(self, directory, name="ca"):
        self.stem = directory / name
        self.file = directory / f"{name}.pem"
        subprocess.run([MKKEYS, "ca", self.stem], check=True, timeout=PROGRAM)

    def certify(self, name, *names):
        """Make a file with a certificate for these names and addresses, and its key; returns it."""
        path = self.file.with_name(name)
        subprocess.run([MKKEYS, "certificate", self.stem, path, *names], check=True, timeout=PROGRAM)
        return path

    def expired(self, certificate):
        """Make a file with that certificate as it was for yesterday, and its key; returns it."""
        path = certificate.with_name(f"expired-{certificate.name}")
        request = openssl("x509", "-in", certificate, "-x509toreq", "-signkey", certificate, "-copy_extensions", "copy")
        old = openssl("x509", "-req", "-CA", self.file, "-CAkey", self.stem.with_suffix(".key"), "-days", "-1",
                      "-copy_extensions", "copy", input=request)
        path.touch(0o600)
        path.write_bytes(old + openssl("pkey", "-in", certificate))
        return path

    def client(self, sock, host, at_any_time=False, certificate=None):
        """The socket as one of TLS, to a host whose certificate this CA has made for that name; at any time: it may
        have expired; certificate: what it is shown, with the key."""
        context = ssl.create_default_context(cafile=self.file)
        context.verify_flags |= NO_CHECK_TIME if at_any_time else 0
        if certificate:
            context.load_cert_chain(certificate)
        try:
            return context.wrap_socket(sock, server_hostname=host)
        except BaseException:
            sock.close()
            raise


def tokens(path, secret):
    """Make a file of tokens: prometheus has "read-SECRET", bob "operate-SECRET" and alice "SECRET"."""
    people = [("prometheus", "read", "read-"), ("bob", "operate", "operate-"), ("alice", "admin", "")]
    path.write_text("".join(f"{name} {role} {hashlib.sha256(f'{prefix}{secret}'.encode()).hexdigest()}\n"
                            for name, role, prefix in people))


def secured(directory, secret, *names):
    """Make api.pem and tokens there, for a hypervisor of these names; returns the CA."""
    ca = Authority(directory)
    ca.certify("api.pem", *names)
    tokens(directory / "tokens", secret)
    return ca


class Secrets:
    """All that the hypervisors of these addresses need, in a directory of its own; and the token of an administrator.
    They share a certificate here, which a real one does not."""

    def __init__(self, directory, *addresses):
        directory.mkdir()
        self.keyring, self.tokens = directory / "keyring", directory / "tokens"
        self.ca = Authority(directory)
        self.certificate = self.ca.certify("api.pem", *addresses)
        subprocess.run([MKKEYS, "new", self.keyring], check=True, timeout=PROGRAM)
        self.token = subprocess.run([MKKEYS, "token", self.tokens, "tester", "admin"], check=True, timeout=PROGRAM,
                                    stdout=subprocess.PIPE, text=True).stdout.strip()
