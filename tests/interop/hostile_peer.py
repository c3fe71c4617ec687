"""An SSH-2 peer that does as it is told: every message and every byte on the wire is the test's.

It speaks one set of algorithms (curve25519-sha256, ssh-ed25519, aes128-gcm@openssh.com), as client or
as server, believes everything, keeps no rules, and answers nothing on its own but a key exchange.
"""
import base64
import hashlib
import os
import socket
import struct

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

(DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG, SERVICE_REQUEST, SERVICE_ACCEPT, EXT_INFO) = range(1, 8)
KEXINIT, NEWKEYS, ECDH_INIT, ECDH_REPLY = 20, 21, 30, 31
USERAUTH_REQUEST, USERAUTH_FAILURE, USERAUTH_SUCCESS, USERAUTH_BANNER = 50, 51, 52, 53
GLOBAL_REQUEST, REQUEST_SUCCESS, REQUEST_FAILURE = 80, 81, 82
(CHANNEL_OPEN, CHANNEL_OPEN_CONFIRMATION, CHANNEL_OPEN_FAILURE, CHANNEL_WINDOW_ADJUST, CHANNEL_DATA,
 CHANNEL_EXTENDED_DATA, CHANNEL_EOF, CHANNEL_CLOSE, CHANNEL_REQUEST, CHANNEL_SUCCESS,
 CHANNEL_FAILURE) = range(90, 101)

KEX, HOST_KEY, CIPHER = b'curve25519-sha256', b'ssh-ed25519', b'aes128-gcm@openssh.com'
ONLY_ALGORITHMS = ['-o', 'KexAlgorithms=curve25519-sha256', '-o', 'HostKeyAlgorithms=ssh-ed25519',
                   '-o', 'Ciphers=aes128-gcm@openssh.com']


class Gone(Exception):
    """The other side has closed the connection."""


class Disconnected(Gone):
    """The other side has said why it goes."""

    def __init__(self, payload):
        self.reason = u32(payload, 1)
        self.text = payload[9:9 + u32(payload, 5)].decode(errors='replace')
        super().__init__(f'{self.reason}: {self.text}')


def u32(data, at=0):
    return struct.unpack_from('>I', data, at)[0]


def number(value):
    return struct.pack('>I', value)


def string(data):
    data = data.encode() if isinstance(data, str) else data
    return number(len(data)) + data


def mpint(data):
    data = data.lstrip(b'\0')
    return string(b'\0' + data if data and data[0] & 0x80 else data)


def message(kind, *fields):
    return bytes([kind]) + b''.join(fields)


def kexinit(kex=KEX, host_key=HOST_KEY, cipher=CIPHER, follows=False, lists=10):
    names = [kex, host_key, cipher, cipher, b'hmac-sha2-256', b'hmac-sha2-256', b'none', b'none', b'',
             b''][:lists]
    return message(KEXINIT, os.urandom(16), *map(string, names), bytes([follows]), number(0))


def read_private_key(path):
    with open(path, 'rb') as file:
        return serialization.load_ssh_private_key(file.read(), None)


def public_bytes(key):
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def signed(key, data):
    return string(string(HOST_KEY) + string(key.sign(data)))


class Direction:
    """Key, nonce and sequence of one direction; no key means in the clear."""

    def __init__(self, key=None, nonce=None):
        self.cipher = AESGCM(key) if key else None
        self.fixed = nonce[:4] if nonce else None
        self.counter = int.from_bytes(nonce[4:], 'big') if nonce else 0

    def nonce(self):
        made = self.fixed + (self.counter % (1 << 64)).to_bytes(8, 'big')
        self.counter += 1
        return made


class Peer:
    """One end of a connection. For a server, host_key is an Ed25519 private key."""

    def __init__(self, connection, host_key=None, greeting=b'SSH-2.0-hostile\r\n'):
        connection.settimeout(20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket, self.host_key, self.greeting = connection, host_key, greeting
        self.received, self.session_id, self.their_kexinit = b'', None, None
        self.outgoing, self.incoming = Direction(), Direction()

    # Bytes and packets ------------------------------------------------------------------------

    def write(self, data):
        self.socket.sendall(data)

    def take(self, size):
        while len(self.received) < size:
            try:
                more = self.socket.recv(65536)
            except ConnectionError:
                more = b''
            if not more:
                raise Gone(f'{len(self.received)} bytes were left')
            self.received += more
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    def seal(self, payload, padding=None):
        block, counted = (16, 1) if self.outgoing.cipher else (8, 5)
        if padding is None:
            padding = 4 + -(counted + len(payload) + 4) % block
        body = bytes([padding & 0xff]) + payload + bytes(padding)
        return self.seal_body(body)

    def seal_body(self, body, length=None):
        head = number(len(body) if length is None else length)
        if self.outgoing.cipher:
            return head + self.outgoing.cipher.encrypt(self.outgoing.nonce(), body, head)
        return head + body

    def send(self, *payloads):
        self.write(b''.join(map(self.seal, payloads)))

    def packet(self):
        head = self.take(4)
        size = u32(head)
        assert size < 300000, f'a packet of {size} bytes'
        if self.incoming.cipher:
            body = self.incoming.cipher.decrypt(self.incoming.nonce(), self.take(size + 16), head)
        else:
            body = self.take(size)
        return body[1:len(body) - body[0]]

    def receive(self, *kinds):
        """The next message, of one of these kinds if any are named; others are passed over."""
        while True:
            payload = self.packet()
            if payload[0] == DISCONNECT:
                raise Disconnected(payload)
            if payload[0] == KEXINIT and KEXINIT not in kinds:
                self.exchange(payload)
            elif not kinds or payload[0] in kinds:
                return payload

    def until_gone(self):
        """Reads on to the end; the text of the DISCONNECT that came, or None."""
        try:
            while True:
                self.receive()
        except Disconnected as farewell:
            return farewell.text
        except (Gone, ConnectionError):
            return None

    # Key exchange -----------------------------------------------------------------------------

    def greet(self):
        self.write(self.greeting)
        line = b''
        while not line.endswith(b'\n'):
            line += self.take(1)
        self.their_version, self.our_version = line.strip(), self.greeting.strip().split(b'\n')[-1]

    def exchange(self, theirs=None, ours=None):
        ours = ours or kexinit()
        self.send(ours)
        theirs = theirs or self.receive(KEXINIT)
        mine = x25519.X25519PrivateKey.generate()
        if self.host_key:
            self.exchange_as_server(ours, theirs, mine)
        else:
            self.exchange_as_client(ours, theirs, mine)

    def exchange_as_client(self, ours, theirs, mine):
        self.send(message(ECDH_INIT, string(public_bytes(mine))))
        reply = self.receive(ECDH_REPLY)
        host_key = reply[5:5 + u32(reply, 1)]
        at = 5 + len(host_key)
        their_public = reply[at + 4:at + 4 + u32(reply, at)]
        secret = mpint(mine.exchange(x25519.X25519PublicKey.from_public_bytes(their_public)))
        digest = hashlib.sha256(string(self.our_version) + string(self.their_version) + string(ours) +
                                string(theirs) + string(host_key) + string(public_bytes(mine)) +
                                string(their_public) + secret).digest()
        self.change_keys(secret, digest, b'A', b'B', b'C', b'D')

    def exchange_as_server(self, ours, theirs, mine):
        their_public = self.receive(ECDH_INIT)[5:]
        secret = mpint(mine.exchange(x25519.X25519PublicKey.from_public_bytes(their_public)))
        host_key = string(HOST_KEY) + string(public_bytes(self.host_key))
        digest = hashlib.sha256(string(self.their_version) + string(self.our_version) + string(theirs) +
                                string(ours) + string(host_key) + string(their_public) +
                                string(public_bytes(mine)) + secret).digest()
        self.send(message(ECDH_REPLY, string(host_key), string(public_bytes(mine)),
                          signed(self.host_key, digest)))
        self.change_keys(secret, digest, b'B', b'A', b'D', b'C')

    def change_keys(self, secret, digest, nonce_out, nonce_in, key_out, key_in):
        self.session_id = self.session_id or digest

        def derive(letter, size):
            return hashlib.sha256(secret + digest + letter + self.session_id).digest()[:size]

        self.send(message(NEWKEYS))
        self.outgoing = Direction(derive(key_out, 16), derive(nonce_out, 12))
        self.receive(NEWKEYS)
        self.incoming = Direction(derive(key_in, 16), derive(nonce_in, 12))

    def start(self):
        self.greet()
        self.exchange()
        return self

    # As a client ------------------------------------------------------------------------------

    def ask_for_login(self):
        self.start()
        self.send(message(SERVICE_REQUEST, string('ssh-userauth')))
        self.receive(SERVICE_ACCEPT)
        return self

    def login(self, user, key):
        self.ask_for_login()
        blob = string(HOST_KEY) + string(public_bytes(key))
        request = message(USERAUTH_REQUEST, string(user), string('ssh-connection'),
                          string('publickey'), b'\1', string(HOST_KEY), string(blob))
        self.send(request + signed(key, string(self.session_id) + request))
        answer = self.receive(USERAUTH_SUCCESS, USERAUTH_FAILURE)
        assert answer[0] == USERAUTH_SUCCESS, answer
        return self

    def open_session(self, command=None, window=1 << 20, packet=32768, channel=0):
        """The other side's number of a new session channel that runs a command."""
        self.send(message(CHANNEL_OPEN, string('session'), number(channel), number(window),
                          number(packet)))
        theirs = u32(self.receive(CHANNEL_OPEN_CONFIRMATION), 5)
        if command is not None:
            self.send(message(CHANNEL_REQUEST, number(theirs), string('exec'), b'\1', string(command)))
            self.receive(CHANNEL_SUCCESS)
        return theirs

    # As a server ------------------------------------------------------------------------------

    def accept_login(self):
        self.start()
        self.receive(SERVICE_REQUEST)
        self.send(message(SERVICE_ACCEPT, string('ssh-userauth')))
        self.receive(USERAUTH_REQUEST)
        self.send(message(USERAUTH_SUCCESS))
        return self

    def accept_command(self, window=1 << 20, packet=32768):
        """The client's number of the session channel that it has opened and runs a command in."""
        self.accept_login()
        opened = self.receive(CHANNEL_OPEN)
        theirs = u32(opened, 5 + u32(opened, 1))
        self.send(message(CHANNEL_OPEN_CONFIRMATION, number(theirs), number(0), number(window),
                          number(packet)))
        while True:
            request = self.receive(CHANNEL_REQUEST)
            name = request[9:9 + u32(request, 5)]
            if request[9 + len(name)]:
                self.send(message(CHANNEL_SUCCESS, number(theirs)))
            if name in (b'exec', b'shell'):
                return theirs


def known_hosts_line(host, key):
    blob = string(HOST_KEY) + string(public_bytes(key))
    return f'{host} ssh-ed25519 {base64.b64encode(blob).decode()}\n'
