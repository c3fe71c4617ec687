"""IPQoS, as it stands in the packets that the server sends."""
import ctypes
import os
import select
import socket
import struct
import subprocess
import time

import pytest

from conftest import IS_ROOT, nacre, need
from test_forwarding import Echo, connect, serving

pytestmark = pytest.mark.skipif(not IS_ROOT, reason='only root can look at packets')
SSHD = nacre('sshd')
ALL_PROTOCOLS = 3


SO_ATTACH_FILTER = 26


def attach_filter(connection, port):
    """Lets only TCP packets from a port through (a program for the kernel's packet filter)."""
    program = struct.pack('=' + 'HBBI' * 7,
                          0x30, 0, 0, 9,                            # the protocol
                          0x15, 0, 4, socket.IPPROTO_TCP,
                          0xb1, 0, 0, 0,                            # behind the IP header
                          0x48, 0, 0, 0,                            # the port
                          0x15, 0, 1, port,
                          0x06, 0, 0, 65535,                        # taken as a whole
                          0x06, 0, 0, 0)
    code = ctypes.create_string_buffer(program)
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack('HL', 7, ctypes.addressof(code)))


class Wire:
    """The packets on the loopback that a server sends."""

    def __init__(self, server):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL_PROTOCOLS))
        attach_filter(self.socket, server.port)
        self.socket.bind(('lo', 0))

    def read(self, patience):
        """The mark of the next packet with data from the server; None when there is none."""
        while select.select([self.socket], [], [], patience)[0]:
            packet = self.socket.recv(65536)
            head = 4 * (packet[0] & 15)
            if int.from_bytes(packet[2:4], 'big') > head + 4 * (packet[head + 12] >> 4):
                return packet[1]
        return None

    def mark(self, act):
        """What the last packet has that the server sends because of it."""
        while self.read(0) is not None:
            pass
        act()
        found = None
        while (mark := self.read(0.3)) is not None:
            found = mark
        return found


@pytest.fixture
def wire():
    wires = []

    def make(server):
        wires.append(Wire(server))
        return wires[-1]

    yield make
    for each in wires:
        each.socket.close()


def test_what_is_open_counts(servers, openssh_ssh, wire, free_port):
    server = servers.sshd(SSHD, 'IPQoS af21 cs1')
    look, port = wire(server), free_port()
    with serving(Echo) as target:
        client = subprocess.Popen(
            [*openssh_ssh.command(server, '-tt', '-L', f'{port}:127.0.0.1:{target}'), 'echo; cat'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def type_a_line():
            client.stdin.write(b'x\n')
            client.stdin.flush()
            client.stdout.readline()

        def use(forwarded):
            forwarded.sendall(b'y')
            assert forwarded.recv(1) == b'y'

        try:
            client.stdout.readline()
            assert look.mark(type_a_line) == 0x48
            with connect(port) as forwarded:
                use(forwarded)
                assert look.mark(lambda: use(forwarded)) == 0x20
                assert look.mark(type_a_line) == 0x20
            time.sleep(0.2)
            assert look.mark(type_a_line) == 0x48
        finally:
            client.kill()
            client.communicate()


@pytest.mark.parametrize('more, terminal, other', [
    ('', 0xb8, 0x00), ('IPQoS af11', 0x28, 0x28), ('IPQoS ef none', 0xb8, 0x00), ('IPQoS none', 0, 0)])
def test_classes(servers, openssh_ssh, wire, more, terminal, other):
    need('sftp')
    server = servers.sshd(SSHD, more)
    look = wire(server)
    batch = {'stdin': subprocess.DEVNULL}

    def sftp():
        subprocess.run(['/usr/bin/sftp', '-q', *openssh_ssh.options(server), '-P', str(server.port), '-b',
                        '/dev/null', f'{server.user}@127.0.0.1'], check=True, env=os.environ, **batch)

    assert look.mark(lambda: openssh_ssh.run(server, 'echo; sleep 0.2; echo', '-tt', **batch)) == terminal
    assert look.mark(lambda: openssh_ssh.run(server, 'echo', **batch)) == other
    assert look.mark(sftp) == other
