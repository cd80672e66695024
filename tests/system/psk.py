# SPDX-License-Identifier: BSD-2-Clause
"""Connections to and from the migration port with a key of the hypervisors' group (docs/keys.md "The connection"), by
OpenSSL's library: Python's own module knows no such keys.

    sock = psk.connect(net.connect("10.9.0.4", 4900), key_of(keyring), "tester", "10.9.0.4")
    sock = psk.accept(sock, key_of(keyring))       # sock.name: who has connected

Without a key both return the socket as it is, and what else is here takes that, too.
"""

import contextlib
import ctypes
import hashlib
import hmac
import re
import select
import threading

SUITE = b"ECDHE-PSK-CHACHA20-POLY1305"
MIN_PROTO, MAX_PROTO, GROUPS, TLS1_2 = 123, 124, 92, 0x0303  # of SSL_CTX_ctrl
WANT_READ, WANT_WRITE, CLOSED = 2, 3, 6                      # of SSL_get_error
RECORD = 16384
POINTER, TEXT, SIZE = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint
CLIENT = ctypes.CFUNCTYPE(SIZE, POINTER, TEXT, POINTER, SIZE, POINTER, SIZE)
SERVER = ctypes.CFUNCTYPE(SIZE, POINTER, TEXT, POINTER, SIZE)

openssl = ctypes.CDLL("libssl.so.3")
for function in ("TLS_client_method", "TLS_server_method", "SSL_CTX_new", "SSL_new"):
    getattr(openssl, function).restype = POINTER
openssl.SSL_CTX_ctrl.argtypes = [POINTER, ctypes.c_int, ctypes.c_long, TEXT]


def key_of(keyring, word="group"):
    """The first key of a line with that word. None: there is no keyring."""
    return bytes.fromhex(re.search(rf"^{word} (\w+)$", keyring.read_text(), re.M).group(1)) if keyring else None


def identity(key, name, host):
    """What a client of this name says to reach the hypervisor of that address."""
    return f"{name}>{host}#{hmac.digest(key, b'godwit key id', hashlib.sha256)[:4].hex()}"


class Connection:
    """What the tests use of a socket. One thread may send while another one receives."""

    def __init__(self, sock, key, client_identity=None):
        self.sock, self.key, self.identity, self.name = sock, key, client_identity, None
        self.lock = threading.Lock()
        method = openssl.TLS_client_method() if client_identity else openssl.TLS_server_method()
        context = POINTER(openssl.SSL_CTX_new(POINTER(method)))
        for what, number, text in ((MIN_PROTO, TLS1_2, None), (MAX_PROTO, TLS1_2, None), (GROUPS, 0, b"X25519")):
            assert openssl.SSL_CTX_ctrl(context, what, number, text) == 1
        assert openssl.SSL_CTX_set_cipher_list(context, SUITE) == 1
        self.callback = CLIENT(self.offer) if client_identity else SERVER(self.take)
        side = openssl.SSL_CTX_set_psk_client_callback if client_identity else openssl.SSL_CTX_set_psk_server_callback
        side(context, self.callback)
        self.ssl = POINTER(openssl.SSL_new(context))
        openssl.SSL_CTX_free(context)  # which the connection keeps
        sock.setblocking(False)
        openssl.SSL_set_fd(self.ssl, sock.fileno())
        try:
            self.attempt(openssl.SSL_connect if client_identity else openssl.SSL_accept, 300)
        except OSError:
            self.close()
            raise

    def __del__(self):
        openssl.SSL_free(self.ssl)

    def offer(self, _, hint, said, room, key, key_room):
        ctypes.memmove(said, self.identity.encode() + b"\0", len(self.identity) + 1)
        ctypes.memmove(key, self.key, len(self.key))
        return len(self.key)

    def take(self, _, said, key, key_room):
        self.name = said.decode().partition(">")[0]
        ctypes.memmove(key, self.key, len(self.key))
        return len(self.key)

    def attempt(self, function, seconds=None, *words):
        """Until it is done: what it returned, 0 at the end that the other side has said."""
        while True:
            with self.lock:
                if self.sock.fileno() < 0:
                    raise ConnectionError("another thread has closed the connection")
                openssl.ERR_clear_error()
                done = function(self.ssl, *words)
                error = openssl.SSL_get_error(self.ssl, done) if done <= 0 else 0
            if done > 0 or error == CLOSED:
                return max(done, 0)
            if error not in (WANT_READ, WANT_WRITE):
                raise ConnectionError("the connection has ended, and nobody said so")
            waits = [[self.sock] if error == WANT_READ else [], [self.sock] if error == WANT_WRITE else [], []]
            with contextlib.suppress(ValueError):  # closed meanwhile
                if not any(select.select(*waits, seconds)):
                    raise TimeoutError

    def recv(self, size):
        buffer = ctypes.create_string_buffer(min(size, RECORD))
        size = self.attempt(openssl.SSL_read, None, buffer, len(buffer))
        return buffer.raw[:size]

    def sendall(self, data):
        for at in range(0, len(data), RECORD):
            piece = bytes(data[at:at + RECORD])
            self.attempt(openssl.SSL_write, None, piece, len(piece))

    def end(self):
        """Nothing more comes."""
        with self.lock:
            if self.sock.fileno() >= 0:
                openssl.SSL_shutdown(self.ssl)

    def settimeout(self, seconds):
        """Nothing here waits for a time but a handshake."""

    def shutdown(self, how):
        """Of the TCP connection: to the other side it is cut off."""
        self.sock.shutdown(how)

    def close(self):
        with self.lock:
            self.sock.close()


def connect(sock, key, name, host):
    """As a client of that name, of the hypervisor at that address."""
    return Connection(sock, key, identity(key, name, host)) if key else sock


def accept(sock, key):
    """As a server, of whoever has the key."""
    return Connection(sock, key) if key else sock


def name(sock):
    """Who has connected. None: who has no key says no name."""
    return sock.name if isinstance(sock, Connection) else None


def end(sock):
    """Say that nothing more comes, where that is said: a TCP connection that ends without it was cut off."""
    if isinstance(sock, Connection):
        sock.end()
