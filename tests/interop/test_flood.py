"""Floods: hundreds of connections that say nothing, next to nothing or garbage. Whoever wants to log
in gets in meanwhile, and afterwards the server is as small as before.

NACRE_FLOOD_SECONDS says how long each flood lasts (a few seconds by default).
"""
import contextlib
import multiprocessing
import os
import random
import selectors
import socket
import struct
import time

import pytest

from conftest import PATIENCE, SANITIZED, nacre, until
from hostile_peer import (IGNORE, KEXINIT, SERVICE_REQUEST, USERAUTH_REQUEST, Peer, kexinit, message, number,
                          string)

SSHD = nacre('sshd')
SECONDS = float(os.environ.get('NACRE_FLOOD_SECONDS', '3'))
CONNECTIONS = 500
# Seconds for a login in a flood. A machine that is busy without it is not asked for more than this
# many times of what a login took before.
LOGIN_MOST, BUSY_FACTOR = 20 if SANITIZED else 1.0, 4
STARTUPS = ['-o', 'MaxStartups=10:30:100', '-o', 'LogLevel=INFO']


def processes_of(server):
    """The listener and all its descendants."""
    children = {}
    for name in os.listdir('/proc'):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f'/proc/{name}/stat') as stat:
                children.setdefault(int(stat.read().rsplit(')', 1)[1].split()[1]), []).append(int(name))
    found, left = [], [server.process.pid]
    while left:
        found.append(left.pop())
        left += children.get(found[-1], [])
    return found


def memory_of(server):
    """KiB of all processes of the server, PSS."""
    total = 0
    for pid in processes_of(server):
        with contextlib.suppress(OSError), open(f'/proc/{pid}/smaps_rollup') as rollup:
            total += sum(int(line.split()[1]) for line in rollup if line.startswith('Pss:'))
    return total


class Flood:
    """A process that keeps CONNECTIONS connections open; those that are lost come again."""

    def __init__(self, server, sources, kind):
        self.port, self.sources, self.kind = server.port, sources, kind
        self.pace, self.payload = FLOODS[kind]
        self.selector, self.open, self.made = selectors.DefaultSelector(), set(), 0
        self.full = multiprocessing.Event()
        self.process = multiprocessing.Process(target=self.run, daemon=True)

    def connect(self):
        connection = socket.socket()
        connection.setblocking(False)
        if self.sources > 1:
            connection.bind((f'127.0.1.{1 + self.made % self.sources}', 0))
        connection.connect_ex(('127.0.0.1', self.port))
        self.selector.register(connection, selectors.EVENT_READ)
        self.open.add(connection)
        self.made += 1

    def drop(self, connection):
        self.selector.unregister(connection)
        connection.close()
        self.open.discard(connection)

    def read(self, until):
        for key, _ in self.selector.select(max(0, until - time.monotonic())):
            try:
                if not key.fileobj.recv(4096):
                    self.drop(key.fileobj)
            except BlockingIOError:
                pass
            except OSError:
                self.drop(key.fileobj)

    def speak(self):
        for connection in list(self.open):
            try:
                connection.send(self.payload())
            except BlockingIOError:
                pass
            except OSError:
                self.drop(connection)

    def run(self):
        next_word = 0
        while True:
            # All of them within a second, later up to a hundred a second again; those that cannot be
            # told from clients, which the server serves at a pace, more slowly.
            full, told = self.full.is_set(), self.kind in TOLD_FROM_CLIENTS
            for _ in range(min((10 if told else 2) if full else 20, CONNECTIONS - len(self.open))):
                self.connect()
            if len(self.open) >= CONNECTIONS or self.made >= 2 * CONNECTIONS:
                self.full.set()
            if self.payload is not None and time.monotonic() >= next_word:
                next_word = time.monotonic() + self.pace
                self.speak()
            round_ends = time.monotonic() + (0.1 if full else 0.02)
            while time.monotonic() < round_ends:
                self.read(round_ends)

    def __enter__(self):
        self.process.start()
        assert self.full.wait(PATIENCE)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()


FLOODS = {
    'silent': (1.0, None),
    'byte a second': (1.0, lambda: b'S'),
    'slow client': (1.0, lambda: b'SSH-2.0-slow'),
    'identified': (60.0, lambda: b'SSH-2.0-flood\r\n'),
    'garbage': (0.5, lambda: random.randbytes(200)),
}
TOLD_FROM_CLIENTS = ('silent', 'byte a second', 'garbage')


def login_times(server, client, seconds):
    """Seconds that logins take, for a while; all of them must succeed."""
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end or len(times) < 5:
        begin = time.monotonic()
        result = client.run(server, 'echo in')
        times.append(time.monotonic() - begin)
        assert result.stdout == b'in\n', (result, server.log()[-2000:])
        time.sleep(0.2)
    return times


@pytest.mark.parametrize('sources', [1, 50], ids=['one address', 'many addresses'])
@pytest.mark.parametrize('kind', FLOODS)
def test_logins_in_a_flood(servers, nacre_ssh, kind, sources):
    server = servers.sshd(SSHD, 'PerSourcePenalties yes\n', options=STARTUPS)
    usual = max(login_times(server, nacre_ssh, 1))
    time.sleep(0.5)
    before = memory_of(server)
    with Flood(server, sources, kind):
        times = login_times(server, nacre_ssh, SECONDS)
        assert SANITIZED or memory_of(server) < before + (100 << 11)  # 2 MiB for each that is served
    until(lambda: len(processes_of(server)) <= 3, 'the processes of strangers to end')
    # How busy the machine is now, told by a server that has not been flooded.
    usual = max([usual, *login_times(servers.sshd(SSHD), nacre_ssh, 1)])
    # Strangers that cannot be told from clients are served as these are, which takes its time where
    # other tests share the processors.
    most = LOGIN_MOST * (1 if kind in TOLD_FROM_CLIENTS else 3)
    assert sorted(times)[len(times) // 2] < max(most, BUSY_FACTOR * usual), (usual, times)
    if not SANITIZED:
        until(lambda: memory_of(server) < before + 256,
              lambda: f'memory: {before} KiB before, {memory_of(server)} KiB after')


# One stranger that wants much ---------------------------------------------------------------------

def large_kexinit(peer):
    peer.greet()
    names = b','.join(b'algorithm-%05d' % count for count in range(20000))
    return peer.seal(message(KEXINIT, os.urandom(16), string(names[:200000]), string(names[:20000]),
                             *[string('none')] * 8, b'\0', number(0)))


def packet_that_never_ends(peer):
    peer.greet()
    return struct.pack('>IB', 262140, 4) + bytes(200000)


def many(payload, count):
    """Sends the same message so often; after the key exchange and the request for the service."""
    def fill(peer):
        peer.ask_for_login()
        return b''.join(peer.seal(payload) for _ in range(count))
    return fill


def request(user, method='none', *rest):
    return message(USERAUTH_REQUEST, string(user), string('ssh-connection'), string(method), *rest)


GREED = {
    'large KEXINIT': large_kexinit,
    'packet that never ends': packet_that_never_ends,
    'pings, answers unread': many(message(192, string(b'p' * 30000)), 1000),
    'ignored messages': many(message(IGNORE, string(b'p' * 30000)), 500),
    'unknown messages, answers unread': many(message(200), 20000),
    'services, answers unread': many(message(SERVICE_REQUEST, string('ssh-userauth')), 20000),
    'logins, answers unread': many(request('nosuchuser'), 2000),
    'logins of long names': many(request('n' * 100000, 'm' * 100000), 50),
    'long passwords': many(request('nosuchuser', 'password', b'\0', string('p' * 200000)), 50),
    'key exchanges': many(kexinit(), 1000),
}


def push(connection, data):
    """Sends what the other side takes within a second or two, and reads nothing."""
    connection.setblocking(False)
    end, view = time.monotonic() + 2, memoryview(data)
    while view and time.monotonic() < end:
        try:
            view = view[connection.send(view[:65536]):]
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:
            return


@pytest.mark.skipif(SANITIZED, reason='the memory is that of the sanitizers')
@pytest.mark.parametrize('greed', GREED)
def test_memory_of_one_stranger(servers, greed):
    server = servers.sshd(SSHD, 'MaxAuthTries 100000\n', options=['-o', 'LogLevel=INFO'])
    until(lambda: len(processes_of(server)) == 3, 'the worker that waits')
    before = memory_of(server)
    with socket.create_connection(('127.0.0.1', server.port), PATIENCE) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        data = GREED[greed](Peer(connection))
        push(connection, data)
        time.sleep(0.3)
        assert memory_of(server) < before + 4096
    until(lambda: len(processes_of(server)) <= 3, 'the end of its processes')
