"""PuTTY's plink, pscp and psftp with our server."""
import os

import pytest

from conftest import need, run

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


@pytest.mark.parametrize('kex', ['ntru-curve25519', 'ecdh', 'dh-group16-sha512', 'dh-group14-sha1',
                                 'dh-gex-sha1'])
def test_key_exchange(putty, kex):
    """PuTTY's families: the sha1 names stand for their SHA-256 members as well."""
    putty.set(KEX=f'{kex},WARN')
    assert_echo(putty)


@pytest.mark.parametrize('cipher', ['aesgcm', 'aes', 'chacha20'])
def test_cipher(putty, cipher):
    putty.set(Cipher=f'{cipher},WARN')
    assert_echo(putty)


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
