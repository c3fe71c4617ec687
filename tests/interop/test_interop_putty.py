"""PuTTY's plink, pscp and psftp with our server."""
import os

import pytest

from conftest import PASSWORD, nacre, need, run

PAYLOAD = os.urandom(100_000)


class Putty:
    """PuTTY's programs with a key, a known host key and settings of their own."""

    def __init__(self, folder, server, key):
        need('plink', 'pscp', 'puttygen')
        self.folder, self.server = folder, server
        self.environment = {**os.environ, 'HOME': folder}
        self.key = os.path.join(folder, 'key.ppk')
        run(['puttygen', key, '-o', self.key], check=True, env=self.environment)
        self.fingerprint = run(['ssh-keygen', '-lf', server.host_key_file]).stdout.decode().split()[1]
        self.set()

    def set(self, **settings):
        """Writes the saved session that the programs know as the host "test"."""
        sessions = os.path.join(self.folder, '.putty', 'sessions')
        os.makedirs(sessions, exist_ok=True)
        settings = {'HostName': '127.0.0.1', 'Protocol': 'ssh', 'PortNumber': self.server.port,
                    'UserName': self.server.user, 'PublicKeyFile': self.key, 'TryAgent': 0,
                    **settings}
        with open(os.path.join(sessions, 'test'), 'w') as file:
            file.writelines(f'{name}={value}\n' for name, value in settings.items())

    def run(self, program, *words, **options):
        command = [program, '-batch', '-hostkey', self.fingerprint, *words]
        return run(command, env=self.environment, **options)


@pytest.fixture
def putty(tmp_path, nacre_sshd, user_keys, host_keys):
    nacre_sshd.host_key_file = host_keys['ed25519'] + '.pub'
    return Putty(str(tmp_path), nacre_sshd, user_keys['ed25519'])


def assert_echo(putty, payload=PAYLOAD):
    result = putty.run('plink', 'test', 'cat; exit 7', input=payload)
    assert result.returncode == 7, result.stderr
    assert result.stdout == payload


def test_plink(putty):
    assert_echo(putty)


@pytest.mark.parametrize('key_type', ['rsa', 'ecdsa-256', 'ecdsa-384', 'ecdsa-521'])
def test_user_keys(putty, user_keys, key_type):
    run(['puttygen', user_keys[key_type], '-o', putty.key], check=True, env=putty.environment)
    assert_echo(putty)


def assert_echo_with(putty, servers, config):
    """A server that offers one algorithm leaves no choice."""
    putty.set(PortNumber=servers.sshd(nacre('sshd'), config, key_types=['ed25519']).port)
    result = putty.run('plink', 'test', 'cat', input=PAYLOAD)
    if b'does not correspond to any supported' in result.stderr and 'mlkem' in config:
        pytest.skip('this PuTTY has no ML-KEM')
    assert result.stdout == PAYLOAD, result.stderr


@pytest.mark.parametrize('kex', ['mlkem768x25519-sha256', 'sntrup761x25519-sha512@openssh.com',
                                 'curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256',
                                 'ecdh-sha2-nistp384', 'ecdh-sha2-nistp521',
                                 'diffie-hellman-group18-sha512', 'diffie-hellman-group16-sha512',
                                 'diffie-hellman-group14-sha256',
                                 'diffie-hellman-group-exchange-sha256'])
def test_key_exchange(putty, servers, kex):
    assert_echo_with(putty, servers, f'KexAlgorithms {kex}')


@pytest.mark.parametrize('cipher', ['chacha20-poly1305@openssh.com', 'aes128-gcm@openssh.com',
                                    'aes256-gcm@openssh.com', 'aes128-ctr', 'aes192-ctr', 'aes256-ctr',
                                    'aes256-cbc'])
def test_cipher(putty, servers, cipher):
    assert_echo_with(putty, servers, f'Ciphers {cipher}')


@pytest.mark.parametrize('mac', ['hmac-sha2-256', 'hmac-sha2-256-etm@openssh.com', 'hmac-sha1',
                                 'hmac-sha1-etm@openssh.com'])
def test_mac(putty, servers, mac):
    assert_echo_with(putty, servers, f'Ciphers aes256-ctr\nMACs {mac}')


def test_password(putty, account):
    if not account.temporary:
        pytest.skip('only root can give somebody a password')
    putty.set(PublicKeyFile='')
    assert putty.run('plink', '-pw', PASSWORD, 'test', 'echo in').stdout == b'in\n'


def test_compression(putty):
    putty.set(Compression=1)
    assert_echo(putty, b'compressible ' * 50_000)


def test_rekey(putty):
    putty.set(RekeyBytes='1M')
    assert_echo(putty, PAYLOAD * 40)


def test_streams_and_terminal(putty):
    result = putty.run('plink', 'test', 'echo out; echo err >&2')
    assert result.stdout == b'out\n'
    assert b'err\n' in result.stderr
    assert b'/dev/pts/' in putty.run('plink', '-t', 'test', 'tty').stdout


@pytest.mark.parametrize('protocol', ['-sftp', '-scp'])
def test_pscp(putty, workspace, tmp_path, protocol):
    (tmp_path / 'tree' / 'deep').mkdir(parents=True)
    (tmp_path / 'tree' / 'file').write_bytes(PAYLOAD)
    (tmp_path / 'tree' / 'deep' / 'with space').write_bytes(PAYLOAD * 20)
    result = putty.run('pscp', '-q', '-r', protocol, str(tmp_path / 'tree'), f'test:{workspace}')
    assert result.returncode == 0, result.stderr
    assert run(['diff', '-r', str(tmp_path / 'tree'), f'{workspace}/tree']).returncode == 0
    (tmp_path / 'back').mkdir()
    result = putty.run('pscp', '-q', '-r', protocol, f'test:{workspace}/tree', str(tmp_path / 'back'))
    assert result.returncode == 0, result.stderr
    assert run(['diff', '-r', str(tmp_path / 'tree'), str(tmp_path / 'back/tree')]).returncode == 0


def test_psftp(putty, workspace, tmp_path):
    need('psftp')
    (tmp_path / 'file').write_bytes(PAYLOAD)
    (tmp_path / 'batch').write_text(f'cd {workspace}\nput {tmp_path}/file one\nmv one two\n'
                                    f'get two {tmp_path}/two\nls\nrm two\n')
    result = putty.run('psftp', '-b', str(tmp_path / 'batch'), 'test')
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / 'two').read_bytes() == PAYLOAD
    assert os.listdir(workspace) == []
