"""The configuration, host keys, PAM service and home directories that a Debian host has, as they are:
our sshd serves the same people in the same way as the one that was there."""
import os
import shutil

import pytest

from conftest import (IS_ROOT, PASSWORD, PORTS, Server, hash_password, knows_penalties, make_key, nacre,
                      need, openssh_server, public_line, run)
from machine import enter_command, make_machine  # noqa: F401 (a fixture)

DROP_IN = '''TrustedUserCAKeys /etc/ssh/user_ca.pub
Match Group sftponly
    ChrootDirectory /run/jail/%u
    ForceCommand internal-sftp
    PasswordAuthentication yes
'''


def pristine(name):
    """What the package ships, which the host's own may differ from."""
    path = f'/usr/share/openssh/{name}'
    if not os.path.exists(path):
        pytest.skip(f'{path} is not there: no Debian')
    return path


class Host:
    """A machine with Debian's files, and people."""

    def __init__(self, machine, place, host_keys, keys):
        self.machine, self.keys, self.host_keys = machine, keys, host_keys
        shutil.copy(pristine('sshd_config'), machine.path('etc/ssh/sshd_config'))
        for name in os.listdir(machine.path('etc/ssh')):
            if name.startswith('ssh_host_'):
                machine.remove(f'etc/ssh/{name}')
        for kind, label in (('rsa', 'rsa'), ('ecdsa-256', 'ecdsa'), ('ed25519', 'ed25519')):
            for suffix in ('', '.pub'):
                shutil.copy(host_keys[kind] + suffix, machine.path(f'etc/ssh/ssh_host_{label}_key{suffix}'))
        shutil.copy('/etc/pam.d/sshd', machine.path('etc/pam.d/sshd'))
        machine.write('etc/motd', 'Welcome to the host\n')
        self.people(place)
        machine.write('etc/ssh/sshd_config.d/site.conf', DROP_IN)

    def people(self, place):
        machine, hashed = self.machine, hash_password(PASSWORD)
        machine.add_user('alice', hashed, key=self.keys['ed25519'])
        machine.add_user('bob', hashed)
        machine.add_user('gone', hashed, shadow='19000:0:99999:7::100:', key=self.keys['ed25519'])
        machine.add_user('locked', '!' + hashed, key=self.keys['ed25519'])
        machine.add_user('daemon2', '*', shell='/usr/sbin/nologin', key=self.keys['ed25519'])
        machine.add_user('drop', hashed, groups=('sftponly',), key=self.keys['ed25519'])
        # Where nobody but root can change anything above it.
        machine.write('run/jail/drop/files/inside', 'in the jail\n')
        # Root's home is the machine's own.
        machine.drop_lines('etc/passwd', 'root:')
        machine.drop_lines('etc/shadow', 'root:')
        home = machine.path('home/root')
        os.makedirs(f'{home}/.ssh', 0o700)
        with open(f'{home}/.ssh/authorized_keys', 'w') as file:
            file.write(public_line(self.keys['ed25519']) + '\n')
        machine.append('etc/passwd', f'root:x:0:0::{home}:/bin/sh\n')
        machine.append('etc/shadow', f'root:{hashed}:19000:0:99999:7:::\n')
        self.authority = make_key(os.path.join(place, f'ca{os.getpid()}'), ['-t', 'ed25519'])
        shutil.copy(self.authority + '.pub', machine.path('etc/ssh/user_ca.pub'))
        self.certified = make_key(os.path.join(place, f'certified{os.getpid()}'), ['-t', 'ed25519'])
        run(['ssh-keygen', '-q', '-s', self.authority, '-I', 'bob at work', '-n', 'bob',
             self.certified + '.pub'], check=True)

    def start(self, program):
        folder, port = self.machine.path(f'server{len(self.machine.servers)}'), PORTS.take()
        os.mkdir(folder)
        command = [program, '-D', '-e', '-p', str(port), '-o', 'ListenAddress=127.0.0.1']
        if knows_penalties(program):  # everybody here has one address
            command += ['-o', 'PerSourcePenalties=no']
        server = Server(enter_command(self.machine.folder, command), port, folder,
                        [self.host_keys['ed25519']], 'alice')
        self.machine.servers.append(server)
        return server


@pytest.fixture(scope='module')
def host(make_machine, place, host_keys, user_keys):  # noqa: F811
    need('ssh', 'sshpass', 'unshare')
    openssh_server()
    return Host(make_machine(), place, host_keys, user_keys)


@pytest.fixture(scope='module', params=['openssh', 'nacre'])
def server(request, host):
    """Every test says what happens with either."""
    return host.start('/usr/sbin/sshd' if request.param == 'openssh' else nacre('sshd'))


def options(server, *words):
    return ['-F', '/dev/null', '-o', f'UserKnownHostsFile={server.known_hosts}', '-o',
            'StrictHostKeyChecking=yes', '-o', 'GlobalKnownHostsFile=/dev/null',
            '-o', 'HostKeyAlgorithms=ssh-ed25519', '-o', 'IdentityAgent=none', *words]


def by_key(server, key, user, *command, more=(), **how):
    return run(['ssh', *options(server, '-o', 'IdentitiesOnly=yes', '-i', key, '-o', 'BatchMode=yes'),
                *more, '-p', str(server.port), f'{user}@127.0.0.1', *command], **how)


def by_password(server, user, password, *command):
    return run(['sshpass', '-p', password, 'ssh', *options(
        server, '-o', 'PubkeyAuthentication=no', '-o', 'NumberOfPasswordPrompts=1'),
        '-p', str(server.port), f'{user}@127.0.0.1', *command])


pytestmark = pytest.mark.skipif(not IS_ROOT, reason='needs root, to serve other people')


def test_keys(host, server):
    result = by_key(server, host.keys['ed25519'], 'alice', 'id -un; pwd; echo $SSH_CLIENT $PATH; umask')
    lines = result.stdout.decode().splitlines()
    assert result.returncode == 0, result.stderr
    assert lines[:2] == ['alice', host.machine.users['alice'].home]
    assert lines[2].startswith('127.0.0.1 ') and lines[2].endswith(
        f' {server.port} /usr/local/bin:/usr/bin:/bin:/usr/games')
    assert by_key(server, host.keys['ecdsa-256'], 'alice', 'true').returncode == 255


def test_passwords(host, server):
    assert by_password(server, 'alice', PASSWORD, 'echo in').stdout == b'in\n'
    result = by_password(server, 'alice', 'wrong', 'echo in')
    assert (result.returncode, result.stdout) == (255, b'')
    assert b'Permission denied (publickey,password).' in result.stderr
    assert by_password(server, 'nobody-here', PASSWORD, 'echo in').returncode == 255


def test_root(host, server):
    """By key, as the default has it, and not by the right password."""
    assert by_key(server, host.keys['ed25519'], 'root', 'id -u').stdout == b'0\n'
    assert by_password(server, 'root', PASSWORD, 'echo in').returncode == 255


def test_certificates(host, server):
    assert by_key(server, host.certified, 'bob', 'id -un').stdout == b'bob\n'
    assert by_key(server, host.certified, 'alice', 'id -un').returncode == 255


@pytest.mark.parametrize('user', ['gone', 'daemon2'])
def test_those_who_may_not(host, server, user):
    result = by_key(server, host.keys['ed25519'], user, 'echo in')
    assert result.stdout != b'in\n' and result.returncode != 0


def test_locked_password_and_key(host, server):
    """With PAM, a locked password is no obstacle to a key."""
    assert by_key(server, host.keys['ed25519'], 'locked', 'echo in').stdout == b'in\n'
    assert by_password(server, 'locked', PASSWORD, 'echo in').returncode == 255


def test_nologin(host, server):
    host.machine.write('etc/nologin', 'Closed for maintenance\n')
    try:
        result = by_key(server, host.keys['ed25519'], 'alice', 'echo in')
        assert result.returncode == 255 and result.stdout == b''
        assert by_key(server, host.keys['ed25519'], 'root', 'echo in').stdout == b'in\n'
    finally:
        host.machine.remove('etc/nologin')


def test_environment(host, server):
    result = run(['ssh', *options(server, '-i', host.keys['ed25519'], '-o', 'SendEnv=LANG OTHER'), '-p',
                  str(server.port), 'alice@127.0.0.1', 'echo $LANG $OTHER.'],
                 env=dict(os.environ, LANG='C.UTF-8', OTHER='x'))
    assert result.stdout == b'C.UTF-8 .\n', result.stderr


def test_terminal(host, server):
    """The message of the day comes from PAM; the terminal belongs to the user."""
    result = by_key(server, host.keys['ed25519'], 'alice', more=['-tt'], input=b'exit\n')
    assert b'Welcome to the host' in result.stdout
    result = by_key(server, host.keys['ed25519'], 'alice', 'stat -c "%U %G %a" $(tty)', more=['-tt'])
    assert result.stdout == b'alice tty 620\r\n'


def test_chrooted_sftp(host, server, tmp_path):
    batch = tmp_path / 'batch'
    batch.write_text(f'ls\nget files/inside {tmp_path}/inside\n')
    result = run(['sftp', *options(server, '-i', host.keys['ed25519'], '-o', 'IdentitiesOnly=yes'),
                  '-b', str(batch), '-P', str(server.port), 'drop@127.0.0.1'])
    assert result.returncode == 0, result.stderr
    assert (tmp_path / 'inside').read_text() == 'in the jail\n'
    result = by_key(server, host.keys['ed25519'], 'drop', 'id')
    assert b'uid=' not in result.stdout


def test_scp(host, server, tmp_path):
    (tmp_path / 'file').write_bytes(os.urandom(70000))
    target = f'alice@127.0.0.1:{host.machine.users["alice"].home}/copy'
    for more in ([], ['-O']):
        result = run(['scp', *more, *options(server, '-i', host.keys['ed25519']), '-P', str(server.port),
                      str(tmp_path / 'file'), target])
        assert result.returncode == 0, result.stderr
        with open(f'{host.machine.users["alice"].home}/copy', 'rb') as file:
            assert file.read() == (tmp_path / 'file').read_bytes()
