"""Large transfers through many key exchanges arrive intact, whichever side asks for new keys, by bytes
and by time."""
import hashlib
import os
import re
import subprocess
import threading
import time

import pytest

from conftest import SANITIZED, nacre, run

MEGABYTE = 1 << 20
SIZE = int(os.environ.get('NACRE_REKEY_MEGABYTES', '512')) * MEGABYTE
LIMIT = os.environ.get('NACRE_REKEY_LIMIT', '8M')
PATIENCE = 60 + SIZE // (10 * MEGABYTE)
if SANITIZED:
    SIZE //= 8


class Stream:
    """Bytes that repeat nowhere near, made as fast as a pipe takes them, and their digest."""

    def __init__(self, size, block):
        self.size, self.block = size, block
        self.expected = self.digest()

    def chunks(self):
        for number in range(self.size // MEGABYTE):
            yield number.to_bytes(8, 'big') + self.block[8:]

    def digest(self):
        digest = hashlib.sha1()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()

    def write(self, file):
        with file:
            for chunk in self.chunks():
                file.write(chunk)


@pytest.fixture(scope='module')
def block():
    return os.urandom(MEGABYTE)


@pytest.fixture(scope='module')
def stream(block):
    return Stream(SIZE, block)


@pytest.fixture(scope='module')
def short_stream(block):
    """The same stream's beginning, for a peer that takes its time over each exchange."""
    return Stream(SIZE // 4, block)


def transfer_up(client, server, stream, *options):
    process = subprocess.Popen([*client.command(server, *options), 'sha1sum'], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    writer = threading.Thread(target=stream.write, args=(process.stdin,))
    writer.start()
    complaints = []
    reader = threading.Thread(target=lambda: complaints.append(process.stderr.read()))
    reader.start()
    output = process.stdout.read()
    status = process.wait(PATIENCE)
    writer.join()
    reader.join()
    assert status == 0, complaints[0][-2000:]
    assert output.split()[0].decode() == stream.expected
    return complaints[0].decode(errors='replace')


def transfer_down(client, server, stream, path, *options):
    process = subprocess.Popen([*client.command(server, *options), f'head -c {stream.size} {path}'],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    complaints = []
    reader = threading.Thread(target=lambda: complaints.append(process.stderr.read()))
    reader.start()
    digest = hashlib.sha1()
    while chunk := process.stdout.read(MEGABYTE):
        digest.update(chunk)
    assert process.wait(PATIENCE) == 0
    reader.join()
    assert digest.hexdigest() == stream.expected
    return complaints[0].decode(errors='replace')


@pytest.fixture(scope='module')
def data_file(place, stream):
    path = os.path.join(place, 'rekey-data')
    with open(path, 'wb') as file:
        stream.write(file)
    yield path
    os.unlink(path)


@pytest.fixture(params=['ours', 'openssh client', 'openssh server'])
def pair(request):
    """A client and a server, and how much they have to carry."""
    client = 'openssh_ssh' if request.param == 'openssh client' else 'nacre_ssh'
    server = 'openssh_sshd' if request.param == 'openssh server' else 'nacre_sshd'
    size = 'stream' if request.param == 'ours' else 'short_stream'
    return tuple(map(request.getfixturevalue, (client, server, size)))


def exchanges(log):
    return len(re.findall(r'SSH2_MSG_NEWKEYS received', log))


def enough(log, stream):
    """The log shows about as many exchanges as the limit calls for."""
    limit = int(LIMIT.rstrip('M')) * MEGABYTE
    assert exchanges(log) >= stream.size // limit // 2, exchanges(log)


def test_up(pair, cipher='aes128-gcm@openssh.com'):
    enough(transfer_up(*pair, '-v', '-o', f'RekeyLimit={LIMIT}', '-c', cipher), pair[2])


def test_down(pair, data_file, cipher='chacha20-poly1305@openssh.com'):
    enough(transfer_down(*pair, data_file, '-v', '-o', f'RekeyLimit={LIMIT}', '-c', cipher), pair[2])


def test_server_asks_for_new_keys(servers, nacre_ssh, openssh_ssh, short_stream, data_file):
    server = servers.sshd(nacre('sshd'), f'RekeyLimit {LIMIT}')
    enough(transfer_down(nacre_ssh, server, short_stream, data_file, '-v'), short_stream)
    enough(transfer_up(openssh_ssh, server, short_stream, '-v'), short_stream)


def test_by_time(pair):
    """Once a second, while data goes both ways and while nothing does."""
    client, server, _ = pair
    began = time.monotonic()
    process = subprocess.Popen([*client.command(server, '-v', '-o', 'RekeyLimit=default 1s'), 'cat'],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for number in range(14):
        process.stdin.write(b'%d\n' % number)
        process.stdin.flush()
        assert process.stdout.readline() == b'%d\n' % number
        time.sleep(0.25)
    output, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and output == b''
    count = exchanges(log.decode(errors='replace'))
    assert 3 <= count <= time.monotonic() - began + 2, log.decode(errors='replace')
