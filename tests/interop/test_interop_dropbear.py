"""dropbear's client with our server, and its server with our client."""
import os
import subprocess
import time

import pytest

from conftest import PASSWORD, PATIENCE, nacre, need, run

PAYLOAD = os.urandom(100_000)
# The first two are newer than the dropbear of some systems.
KEX = ['mlkem768x25519-sha256', 'sntrup761x25519-sha512', 'curve25519-sha256',
       'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256', 'ecdh-sha2-nistp384',
       'ecdh-sha2-nistp521', 'diffie-hellman-group14-sha256']


@pytest.fixture
def dbclient_words(tmp_path, nacre_sshd, user_keys, monkeypatch):
    """The command line of a dbclient that runs a command."""
    need('dbclient', 'dropbearconvert')
    monkeypatch.setenv('HOME', str(tmp_path))

    def words(command, *options, key='ed25519', server=nacre_sshd):
        converted = str(tmp_path / f'{key}.dropbear')
        if not os.path.exists(converted):
            run(['dropbearconvert', 'openssh', 'dropbear', user_keys[key], converted], check=True)
        return ['dbclient', '-y', '-y', '-i', converted, '-p', str(server.port), *options,
                f'{server.user}@127.0.0.1', command]

    return words


@pytest.fixture
def dbclient(dbclient_words):
    """Runs a command through dbclient."""
    def call(command, *options, **more):
        named = {name: more.pop(name) for name in ('key', 'server') if name in more}
        return run(dbclient_words(command, *options, **named), **more)

    return call


@pytest.mark.parametrize('key', ['ed25519', 'rsa', 'ecdsa-256'])
def test_dbclient(dbclient, key):
    result = dbclient('cat; exit 7', key=key, input=PAYLOAD)
    assert result.returncode == 7, result.stderr
    assert result.stdout == PAYLOAD


@pytest.mark.parametrize('kex', KEX)
def test_dbclient_key_exchange(dbclient, servers, kex):
    result = dbclient('cat', input=PAYLOAD, server=servers.sshd(nacre('sshd'), f'KexAlgorithms {kex}'))
    if b'No matching algo' in result.stderr:
        pytest.skip(f'this dbclient has no {kex}')
    assert result.stdout == PAYLOAD, result.stderr


@pytest.mark.parametrize('key', ['ed25519', 'rsa', 'ecdsa-256', 'ecdsa-384', 'ecdsa-521'])
def test_dbclient_host_key(dbclient, servers, key):
    server = servers.sshd(nacre('sshd'), key_types=[key])
    assert dbclient('echo in', server=server).stdout == b'in\n'


def test_dbclient_password(dbclient, nacre_sshd, account, monkeypatch):
    if not account.temporary:
        pytest.skip('only root can give somebody a password')
    monkeypatch.setenv('DROPBEAR_PASSWORD', PASSWORD)
    result = run(['dbclient', '-y', '-y', '-p', str(nacre_sshd.port), f'{account.name}@127.0.0.1',
                  'echo in'])
    assert result.stdout == b'in\n', result.stderr


def test_dbclient_whose_reader_is_slow(dbclient_words):
    """It still holds output when the channel is closed. Nothing else of ours comes then by itself,
    and it would look for the end of its last channel no more."""
    with subprocess.Popen(dbclient_words('head -c 80000 /dev/zero; exit 7'), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE) as child:
        try:
            child.stdout.peek(1)
            time.sleep(0.5)  # the pipe takes 64 KiB; the rest, EOF and CLOSE reach dbclient
            assert len(child.stdout.read()) == 80000
            assert child.wait(PATIENCE) == 7
        finally:
            child.kill()


@pytest.mark.parametrize('cipher', ['chacha20-poly1305@openssh.com', 'aes128-ctr', 'aes256-ctr'])
def test_dbclient_cipher(dbclient, cipher):
    assert dbclient('cat', '-c', cipher, input=PAYLOAD).stdout == PAYLOAD


@pytest.mark.parametrize('mac', ['hmac-sha1', 'hmac-sha2-256'])
def test_dbclient_mac(dbclient, mac):
    if mac not in run(['dbclient', '-m', 'help']).stderr.decode():
        pytest.skip(f'this dbclient has no {mac}')
    assert dbclient('cat', '-c', 'aes128-ctr', '-m', mac, input=PAYLOAD).stdout == PAYLOAD


def test_dbclient_terminal(dbclient):
    ours, theirs = os.openpty()  # dbclient asks its own terminal for its modes
    try:
        assert b'/dev/pts/' in dbclient('tty', '-t', stdin=theirs).stdout
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize('key', ['ed25519', 'rsa', 'ecdsa-256'])
def test_server(nacre_ssh, dropbear_server, user_keys, key):
    result = nacre_ssh.run(dropbear_server, 'cat; exit 7', key=user_keys[key], input=PAYLOAD)
    assert result.returncode == 7, result.stderr
    assert result.stdout == PAYLOAD


@pytest.mark.parametrize('kex', KEX)
def test_server_key_exchange(nacre_ssh, dropbear_server, kex):
    result = nacre_ssh.run(dropbear_server, 'cat', '-o', f'KexAlgorithms={kex}', input=PAYLOAD)
    if b'no matching key exchange method' in result.stderr:
        pytest.skip(f'this dropbear has no {kex}')
    assert result.stdout == PAYLOAD, result.stderr


@pytest.mark.parametrize('algorithm', ['ssh-ed25519', 'rsa-sha2-256', 'ecdsa-sha2-nistp256'])
def test_server_host_key(nacre_ssh, dropbear_server, algorithm):
    result = nacre_ssh.run(dropbear_server, 'echo in', '-o', f'HostKeyAlgorithms={algorithm}')
    assert result.stdout == b'in\n', result.stderr


@pytest.mark.parametrize('cipher', ['chacha20-poly1305@openssh.com', 'aes128-ctr', 'aes256-ctr'])
def test_server_cipher(nacre_ssh, dropbear_server, cipher):
    result = nacre_ssh.run(dropbear_server, 'cat', '-c', cipher, input=PAYLOAD)
    assert result.stdout == PAYLOAD, result.stderr


def test_server_with_much_data(nacre_ssh, dropbear_server):
    result = nacre_ssh.run(dropbear_server, 'head -c 20000000 /dev/zero')
    assert len(result.stdout) == 20_000_000
    assert nacre_ssh.run(dropbear_server, 'wc -c', input=bytes(20_000_000)).stdout.split() == [
        b'20000000']


def test_server_terminal(nacre_ssh, dropbear_server):
    held, end = os.pipe()  # newer dropbears hang the terminal up when the input ends
    try:
        assert b'/dev/pts/' in nacre_ssh.run(dropbear_server, 'tty', '-tt', stdin=held).stdout
    finally:
        os.close(held)
        os.close(end)
