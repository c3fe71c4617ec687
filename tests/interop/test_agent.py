"""ssh-agent and ssh-add, with each other and with OpenSSH's."""
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import time

import pytest

from conftest import openssh_server
from desk import BUILD, OURS, THEIRS, Place

PASSPHRASE = 'correct horse'
TYPES = {'ed25519': ['-t', 'ed25519'], 'rsa': ['-t', 'rsa', '-b', '2048'],
         'ecdsa256': ['-t', 'ecdsa', '-b', '256'], 'ecdsa384': ['-t', 'ecdsa', '-b', '384'],
         'ecdsa521': ['-t', 'ecdsa', '-b', '521']}

pytestmark = pytest.mark.skipif(not os.path.exists(f'{THEIRS}/ssh-keygen'),
                                reason='OpenSSH is not installed')
both = pytest.mark.parametrize('agent_from,add_from', [(OURS, OURS), (OURS, THEIRS), (THEIRS, OURS)],
                               ids=['ours', 'their ssh-add', 'their ssh-agent'])


@pytest.fixture
def place():
    # The address of a Unix socket has 108 bytes, which pytest's own directories nearly fill.
    folder = tempfile.mkdtemp(prefix='na-')
    made = Place(folder)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)


def connect(place):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(place.environment['SSH_AUTH_SOCK'])
    return connection


def string(data):
    return struct.pack('>I', len(data)) + data


def receive(connection):
    def exactly(count):
        data = b''
        while len(data) < count:
            more = connection.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data
    return exactly(struct.unpack('>I', exactly(4))[0])


@both
@pytest.mark.parametrize('kind', TYPES)
def test_every_key_type_is_added_listed_tested_and_removed(place, agent_from, add_from, kind):
    add = f'{add_from}/ssh-add'
    place.agent(agent_from)
    key = place.key(kind, *TYPES[kind])
    assert place.run(add, '-l', expect=1) == 'The agent has no identities.\n'
    assert place.run(add, key) == f'Identity added: {key} (test key)\n'
    assert place.run(add, '-L') == place.public(kind) + '\n'
    assert place.run(add, '-l') == place.run(f'{THEIRS}/ssh-keygen', '-l', '-f', key + '.pub')
    md5 = place.run(f'{THEIRS}/ssh-keygen', '-l', '-E', 'md5', '-f', key + '.pub')
    assert place.run(add, '-l', '-E', 'md5') == md5
    place.run(add, '-T', key + '.pub')
    label = re.search(r'\((\S+)\)\n', md5).group(1)
    assert place.run(add, '-d', key) == f'Identity removed: {key} {label} (test key)\n'
    assert 'agent refused operation' in place.run(add, '-d', key, expect=1)
    place.run(add, '-l', expect=1)


@both
def test_certificates_travel_with_their_keys(place, agent_from, add_from):
    add = f'{add_from}/ssh-add'
    place.agent(agent_from)
    authority = place.key('ca', '-t', 'ecdsa')
    for kind, options in TYPES.items():
        key = place.key(kind, *options)
        place.run(f'{THEIRS}/ssh-keygen', '-q', '-s', authority, '-I', f'id of {kind}', '-n', 'me', key + '.pub')
        assert f'Certificate added: {key}-cert.pub (id of {kind})\n' in place.run(add, key)
        place.run(add, '-T', f'{key}-cert.pub')
    assert len(place.run(add, '-l').splitlines()) == 2 * len(TYPES)
    place.run(add, '-D')
    place.run(add, '-k', key)
    assert len(place.run(add, '-l').splitlines()) == 1


@both
def test_passphrases_are_asked_for(place, agent_from, add_from):
    add = f'{add_from}/ssh-add'
    place.agent(agent_from)
    key = place.key('locked', '-t', 'ed25519', '-a', '1', passphrase=PASSPHRASE)
    # Wrong at first, then right.
    place.askpass(f'case "$1" in Bad*) echo {PASSPHRASE};; *) echo wrong;; esac\n')
    assert 'Identity added' in place.run(add, key)
    assert place.asked() == (f'Enter passphrase for {key}: \n'
                             f'Bad passphrase, try again for {key}: \n')


def test_passphrase_is_tried_on_the_next_key(place):
    place.agent(OURS)
    keys = [place.key(name, '-t', 'ed25519', '-a', '1', passphrase=PASSPHRASE) for name in ('a', 'b')]
    place.askpass(f'echo {PASSPHRASE}\n')
    place.run(f'{OURS}/ssh-add', *keys)
    assert len(place.run(f'{OURS}/ssh-add', '-l').splitlines()) == 2
    assert place.asked().count('Enter passphrase') == 1


@both
def test_lifetime_ends(place, agent_from, add_from):
    add = f'{add_from}/ssh-add'
    place.agent(agent_from)
    key = place.key('key', '-t', 'ed25519')
    assert 'Lifetime set to 1 seconds\n' in place.run(add, '-t', '1', key)
    place.run(add, '-l')
    time.sleep(1.5)
    place.run(add, '-l', expect=1)


def test_default_lifetime_of_the_agent(place):
    place.agent(OURS, '-t', '1s')
    place.run(f'{OURS}/ssh-add', place.key('key', '-t', 'ed25519'))
    time.sleep(1.5)
    place.run(f'{OURS}/ssh-add', '-l', expect=1)


@both
def test_lock_and_unlock(place, agent_from, add_from):
    add = f'{add_from}/ssh-add'
    place.agent(agent_from)
    key = place.key('key', '-t', 'ed25519')
    place.run(add, key)
    place.askpass('cat "$HOME/answer"\n')
    with open(place.path('answer'), 'w') as file:
        file.write('secret\n')
    assert 'Agent locked.\n' in place.run(add, '-x')
    assert place.run(add, '-l', expect=1) == 'The agent has no identities.\n'
    place.run(add, '-T', key + '.pub', expect=1)
    with open(place.path('answer'), 'w') as file:
        file.write('guess\n')
    assert 'Failed to unlock agent' in place.run(add, '-X', expect=1)
    with open(place.path('answer'), 'w') as file:
        file.write('secret\n')
    assert 'Agent unlocked.\n' in place.run(add, '-X')
    place.run(add, '-T', key + '.pub')


@pytest.mark.parametrize('add_from', [OURS, THEIRS], ids=['ours', 'their ssh-add'])
def test_confirmation(place, add_from):
    add = f'{add_from}/ssh-add'
    place.askpass('test -e "$HOME/allow"\n')
    place.agent(OURS)
    key = place.key('key', '-t', 'ed25519')
    assert 'The user must confirm each use of the key\n' in place.run(add, '-c', key)
    place.run(add, '-T', key + '.pub', expect=1)
    open(place.path('allow'), 'w').close()
    place.run(add, '-T', key + '.pub')
    fingerprint = place.run(f'{THEIRS}/ssh-keygen', '-l', '-f', key).split()[1]
    assert place.asked() == f'Allow use of key test key?\nKey fingerprint {fingerprint}.\n' * 2


def test_others_are_served_while_one_is_asked(place):
    place.askpass('while ! test -e "$HOME/allow"; do sleep 0.05; done\n')
    place.agent(OURS)
    key = place.key('key', '-t', 'ed25519')
    place.run(f'{OURS}/ssh-add', '-c', key)
    waiting = subprocess.Popen([f'{OURS}/ssh-add', '-T', key + '.pub'], env=place.environment)
    try:
        while place.asked() == '':
            time.sleep(0.02)
        place.run(f'{OURS}/ssh-add', '-l')
        assert waiting.poll() is None
        open(place.path('allow'), 'w').close()
        assert waiting.wait(20) == 0
    finally:
        open(place.path('allow'), 'w').close()
        waiting.kill()
        waiting.wait()


def test_stalled_and_hostile_clients_hold_nobody_up(place):
    process = place.agent(OURS)
    key = place.key('key', '-t', 'ed25519')
    place.run(f'{OURS}/ssh-add', key)
    stalled = [connect(place) for _ in range(20)]
    for number, connection in enumerate(stalled):
        connection.sendall(b'\0\0\1\0\x0b'[:number % 6])
    never_reads = connect(place)
    never_reads.setblocking(False)
    try:
        while True:
            never_reads.send(b'\0\0\0\1\x0b' * 1000)
    except BlockingIOError:
        pass
    for garbage in (b'\xff' * 4096, b'\0\0\0\0', b'\0\4\0\1' + b'x' * 1000, b'GET / HTTP/1.0\r\n\r\n'):
        connection = connect(place)
        connection.sendall(garbage)
        try:
            assert connection.recv(1) == b''
        except ConnectionResetError:
            pass
        connection.close()
    place.run(f'{OURS}/ssh-add', '-T', key + '.pub')
    with open(f'/proc/{process.pid}/status') as status:
        resident = int(re.search(r'VmRSS:\s+(\d+) kB', status.read()).group(1))
    if 'sanitize' not in BUILD:
        assert resident < 32 * 1024
    for connection in [*stalled, never_reads]:
        connection.close()
    place.run(f'{OURS}/ssh-add', '-l')


def test_messages_in_one_write_and_byte_by_byte(place):
    place.agent(OURS)
    connection = connect(place)
    connection.sendall(b'\0\0\0\1\x0b' * 3)
    for _ in range(3):
        assert receive(connection) == b'\x0c\0\0\0\0'
    for byte in b'\0\0\0\1\x0b':
        connection.sendall(bytes([byte]))
        time.sleep(0.01)
    assert receive(connection) == b'\x0c\0\0\0\0'


def test_extensions(place):
    place.agent(OURS)
    connection = connect(place)
    connection.sendall(string(b'\x1b' + string(b'nothing@example.org')))
    assert receive(connection) == b'\x05'
    connection.sendall(string(b'\x1b' + string(b'query')))
    assert receive(connection).startswith(b'\x1d' + string(b'query'))
    connection.close()
    assert 'session-bind@openssh.com\n' in place.run(f'{OURS}/ssh-add', '-Q')


def test_sigusr1_drops_all_keys(place):
    process = place.agent(OURS)
    place.run(f'{OURS}/ssh-add', place.key('key', '-t', 'ed25519'))
    process.send_signal(signal.SIGUSR1)
    time.sleep(0.2)
    place.run(f'{OURS}/ssh-add', '-l', expect=1)


def test_agent_in_the_background_and_its_end(place):
    output = place.run(f'{OURS}/ssh-agent', '-s')
    match = re.fullmatch(r'SSH_AUTH_SOCK=(\S+); export SSH_AUTH_SOCK;\n'
                         r'SSH_AGENT_PID=(\d+); export SSH_AGENT_PID;\necho Agent pid (\d+);\n', output)
    path, pid = match.group(1), int(match.group(2))
    assert path.startswith(place.path('.ssh/agent/s.')) and match.group(3) == str(pid)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    if os.getuid() != 0:
        assert not os.access(f'/proc/{pid}/mem', os.R_OK)
    place.environment.update(SSH_AUTH_SOCK=path, SSH_AGENT_PID=str(pid))
    place.run(f'{OURS}/ssh-add', '-l', expect=1)
    assert place.run(f'{OURS}/ssh-agent', '-k') == (
        f'unset SSH_AUTH_SOCK;\nunset SSH_AGENT_PID;\necho Agent pid {pid} killed;\n')
    for _ in range(100):
        if not os.path.exists(path):
            break
        time.sleep(0.05)
    assert not os.path.exists(path)


def test_csh_style(place):
    output = place.run(f'{OURS}/ssh-agent', '-c')
    match = re.fullmatch(r'setenv SSH_AUTH_SOCK \S+;\nsetenv SSH_AGENT_PID (\d+);\necho Agent pid \1;\n', output)
    os.kill(int(match.group(1)), signal.SIGTERM)


def test_command_form(place):
    output = place.run(f'{OURS}/ssh-agent', '-T', 'sh', '-c',
                       f'echo $SSH_AGENT_PID $SSH_AUTH_SOCK; {OURS}/ssh-add -l; exit 7', expect=7)
    pid, path = output.split('\n')[0].split()
    assert path.startswith(place.path('ssh-'))
    assert 'The agent has no identities.' in output
    for _ in range(100):
        if not os.path.exists(f'/proc/{pid}') and not os.path.exists(path):
            break
        time.sleep(0.05)
    assert not os.path.exists(path) and not os.path.exists(os.path.dirname(path))


def test_stale_sockets_are_cleaned(place):
    output = place.run(f'{OURS}/ssh-agent', '-s')
    path, pid = re.search(r'SOCK=(\S+);', output).group(1), int(re.search(r'PID=(\d+);', output).group(1))
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    foreign = os.path.join(os.path.dirname(path), 's.abcdefghij.agent.elsewhere1')
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(foreign)
    dead.close()
    assert os.path.exists(path)
    place.run(f'{OURS}/ssh-agent', '-u')
    assert not os.path.exists(path) and os.path.exists(foreign)
    place.run(f'{OURS}/ssh-agent', '-uu')
    assert not os.path.exists(foreign)


def test_default_files(place):
    place.agent(OURS)
    os.mkdir(place.path('.ssh'), 0o700)
    place.run(f'{OURS}/ssh-add', expect=1)
    for name in ('id_ed25519', 'id_rsa'):
        place.key(f'.ssh/{name}', *TYPES[name[3:]])
    output = place.run(f'{OURS}/ssh-add')
    assert [line.split('/')[-1].split()[0] for line in output.splitlines()] == ['id_rsa', 'id_ed25519']
    place.run(f'{OURS}/ssh-add', '-d')
    place.run(f'{OURS}/ssh-add', '-l', expect=1)


def test_errors_and_exit_statuses(place):
    add = f'{OURS}/ssh-add'
    assert place.run(add, '-l', expect=2) == 'Could not open a connection to your authentication agent.\n'
    assert place.run(add, '-l', expect=2, SSH_AUTH_SOCK=place.path('none')) == (
        'Error connecting to agent: No such file or directory\n')
    place.agent(OURS)
    assert place.run(add, place.path('none'), expect=1) == f'{place.path("none")}: No such file or directory\n'
    key = place.key('key', '-t', 'ed25519')
    os.chmod(key, 0o640)
    output = place.run(add, key, expect=1)
    assert 'WARNING: UNPROTECTED PRIVATE KEY FILE!' in output
    assert f"Permissions 0640 for '{key}' are too open.\n" in output
    os.chmod(key, 0o600)
    with open(place.path('bad'), 'w') as file:
        file.write('nothing\n')
    os.chmod(place.path('bad'), 0o600)
    assert f'Error loading key "{place.path("bad")}": ' in place.run(add, place.path('bad'), expect=1)
    with open(key) as file:
        assert place.run(add, '-', input=file.read()) == 'Identity added: (stdin) (test key)\n'
    assert place.run(add, '-q', key) == ''
    assert place.run(add, '-D') == 'All identities removed.\n'
    place.run(f'{OURS}/ssh-agent', '-k', expect=1)
    place.run(f'{OURS}/ssh-agent', '-O', 'nothing', expect=255)
    place.run(f'{OURS}/ssh-agent', '-t', 'later', expect=1)


@pytest.mark.parametrize('form', ['RFC4716', 'PEM', 'PKCS8'])
@pytest.mark.parametrize('kind', ['rsa', 'ecdsa256'])
def test_private_file_forms(place, form, kind):
    place.agent(OURS)
    key = place.key(kind, *TYPES[kind], '-m', form)
    expected = place.public(kind).split()[1]
    place.run(f'{OURS}/ssh-add', key)
    assert place.run(f'{OURS}/ssh-add', '-L').split()[1] == expected
    place.run(f'{OURS}/ssh-add', '-D')
    place.run(f'{THEIRS}/ssh-keygen', '-q', '-p', '-P', '', '-N', PASSPHRASE, '-m', form, '-f', key)
    place.askpass(f'echo {PASSPHRASE}\n')
    place.run(f'{OURS}/ssh-add', key)
    assert place.run(f'{OURS}/ssh-add', '-L').split()[1] == expected


def test_their_client_logs_in_with_our_agent(place):
    """OpenSSH's client binds the session to the agent and signs with it."""
    sshd = openssh_server()
    if os.path.basename(pwd.getpwuid(os.getuid()).pw_shell) in ('nologin', 'false'):
        pytest.skip('this user cannot log in')
    place.agent(OURS)
    host, key = place.key('host', '-t', 'ed25519'), place.key('key', '-t', 'rsa', '-b', '2048')
    place.run(f'{OURS}/ssh-add', key)
    shutil.copy(key + '.pub', place.path('authorized'))
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sshd, '-D', '-e', '-f', '/dev/null', '-p', str(port), '-h', host,
         '-o', 'ListenAddress=127.0.0.1', '-o', f'AuthorizedKeysFile={place.path("authorized")}',
         '-o', 'StrictModes=no', '-o', f'PidFile={place.path("pid")}', '-o', 'PermitRootLogin=yes'],
        env=place.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', port)) == 0:
                    break
            time.sleep(0.05)
        output = place.run(
            f'{THEIRS}/ssh', '-vvv', '-F', '/dev/null', '-p', str(port), '-o', 'StrictHostKeyChecking=no',
            '-o', f'UserKnownHostsFile={place.path("known")}', '-o', 'BatchMode=yes',
            '-o', 'PreferredAuthentications=publickey', '127.0.0.1', 'echo', 'logged', 'in')
        assert 'logged in' in output
        assert 'bound agent to hostkey' in output
    finally:
        server.terminate()
        server.wait(10)
