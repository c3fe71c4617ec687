"""ssh-keyscan, and ssh-keygen -r, beside OpenSSH's."""
import os
import re
import socket
import threading
import time

import pytest

from conftest import nacre, need, public_line, run

TYPES = ['rsa', 'ecdsa-256', 'ed25519']


@pytest.fixture(scope='module')
def server(servers):
    return servers.sshd(nacre('sshd'), key_types=TYPES)


def scan(*words, **more):
    return run([nacre('ssh-keyscan'), *words], **more)


def lines(output):
    return sorted(output.decode().splitlines())


@pytest.mark.parametrize('options', [
    [], ['-t', 'ed25519'], ['-t', 'rsa,ecdsa'], ['-D'], ['-4']])
def test_prints_what_openssh_prints(server, options):
    need('ssh-keyscan')
    words = [*options, '-p', str(server.port), '127.0.0.1']
    ours, theirs = scan(*words), run(['ssh-keyscan', *words])
    assert ours.returncode == theirs.returncode == 0
    # Newer ones print the comments with the banners among the keys.
    assert lines(ours.stdout) == [line for line in lines(theirs.stdout) if line[0] not in '#;']
    assert len(ours.stdout) > 50


def test_openssh_servers(servers):
    need('sshd')
    server = servers.sshd('/usr/sbin/sshd', key_types=TYPES)
    found = scan('-p', str(server.port), '127.0.0.1').stdout.decode()
    for name in ('ssh-rsa', 'ecdsa-sha2-nistp256', 'ssh-ed25519'):
        assert re.search(rf'^\[127\.0\.0\.1\]:{server.port} {name} AAAA', found, re.M)


def test_is_believed_by_ssh(server, user_keys, tmp_path):
    """The lines do in known_hosts, hashed ones too."""
    for hashed in ([], ['-H']):
        known = tmp_path / 'known'
        known.write_bytes(scan(*hashed, '-p', str(server.port), '127.0.0.1').stdout)
        assert (b'127.0.0.1' in known.read_bytes()) == (not hashed)
        result = run([nacre('ssh'), '-F', '/dev/null', '-p', str(server.port), '-i', user_keys['ed25519'],
                      '-o', f'UserKnownHostsFile={known}', '-o', 'GlobalKnownHostsFile=/dev/null',
                      '-o', 'StrictHostKeyChecking=yes', '-o', 'BatchMode=yes',
                      f'{server.user}@127.0.0.1', 'echo in'])
        assert result.stdout == b'in\n', result.stderr


def test_files_name_hosts(server):
    text = (b'127.0.0.1 a.example,b.example # comment\n\n# nothing\n127.0.0.1,other\n'
            b'127.0.0.0/31\n')
    words = ['-t', 'ed25519', '-p', str(server.port), '-f', '-']
    ours = scan(*words, input=text)
    names = {line.split()[0] for line in ours.stdout.decode().splitlines()}
    assert names == {f'[{name}]:{server.port}'
                     for name in ('a.example', 'b.example', '127.0.0.1', 'other')}
    # The address that answers is found behind one that does not.
    ours = scan('-t', 'ed25519', '-p', str(server.port), '127.0.0.9,127.0.0.1 both')
    assert ours.stdout.startswith(b'[both]:')


def test_certificates(servers, host_keys, tmp_path):
    need('sshd')
    authority, plain = tmp_path / 'authority', tmp_path / 'key.pub'
    run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(authority)], check=True)
    plain.write_text(public_line(host_keys['ed25519']) + '\n')
    run(['ssh-keygen', '-q', '-s', str(authority), '-h', '-I', 'x', '-n', 'localhost', str(plain)],
        check=True)
    certificate = tmp_path / 'key-cert.pub'
    server = servers.sshd('/usr/sbin/sshd', f'HostCertificate {certificate}\n', key_types=TYPES)
    ours = scan('-c', '-p', str(server.port), '127.0.0.1')
    assert ours.stdout.decode().split() == certificate.read_text().split()[:2]


class SilentServer:
    """Accepts, and says nothing or only so much."""

    def __init__(self, words=b''):
        self.socket = socket.create_server(('127.0.0.1', 0))
        self.port, self.words, self.peers = self.socket.getsockname()[1], words, []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.socket.accept()
                peer.sendall(self.words)
                self.peers.append(peer)
            except OSError:
                return


@pytest.mark.parametrize('words', [b'', b'SSH-2.0-Slow\r\n', b'SSH-2.0-Slow\r\n\0\0\0'])
def test_gives_up(words):
    silent = SilentServer(words)
    began = time.monotonic()
    result = scan('-T', '1', '-p', str(silent.port), '127.0.0.1')
    assert result.returncode == 1 and b'timed out' in result.stderr
    assert 0.9 < time.monotonic() - began < 30
    silent.socket.close()


@pytest.mark.parametrize('words', [
    b'HTTP/1.0 400 Bad Request\r\n' * 2000, b'SSH-1.5-Old\r\n', b'SSH-2.0-x\r\n' + b'\xff' * 100,
    b'SSH-2.0-\x1b[31m\r\n'])
def test_nonsense_is_no_key(words):
    odd = SilentServer(words)
    result = scan('-T', '1', '-p', str(odd.port), '127.0.0.1')
    assert (result.returncode, result.stdout) == (1, b'')
    assert b'\x1b' not in result.stderr
    odd.socket.close()


def test_asks_many_at_once(server):
    """A hundred addresses, all of the loopback, of which nobody waits for another."""
    silent = SilentServer()
    began = time.monotonic()
    result = scan('-T', '2', '-t', 'ed25519', '-p', str(silent.port),
                  *[f'127.0.0.{i}' for i in range(1, 101)])
    assert result.returncode == 1
    assert time.monotonic() - began < 60
    silent.socket.close()


@pytest.mark.parametrize('words,status', [
    ([], 1), (['-t', 'nonsense', 'host'], 255), (['-p', '0', 'host'], 255), (['-T', '-1', 'host'], 255),
    (['-O', 'nonsense', 'host'], 255), (['10.0.0.0/33'], 255), (['-f', '/nonexistent'], 255),
    (['-p', '1', '127.0.0.1'], 1)])
def test_says_what_is_wrong(words, status):
    result = scan(*words)
    assert result.returncode == status and result.stderr and not result.stdout


@pytest.mark.parametrize('options', [[], ['-g']])
def test_resource_records(host_keys, options):
    for kind in TYPES:
        words = ['-r', 'host.example', *options, '-f', host_keys[kind] + '.pub']
        ours, theirs = run([nacre('ssh-keygen'), *words]), run(['ssh-keygen', *words])
        assert ours.stdout == theirs.stdout and len(ours.stdout) > 50
    one = run([nacre('ssh-keygen'), '-r', 'h', '-O', 'hashalg=sha256', '-f', host_keys['rsa'] + '.pub'])
    assert re.fullmatch(rb'h IN SSHFP 1 2 [0-9a-f]{64}\n', one.stdout)
    assert run([nacre('ssh-keygen'), '-r', 'h', '-f', os.devnull]).returncode == 255
