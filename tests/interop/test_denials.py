"""What the server's processes are denied, tried from inside: sshd-probing is sshd as it is, but for its
network process, which makes an attempt as an attacker would who has taken it over."""
import base64
import contextlib
import errno
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys

import pytest

from conftest import BUILD, PATIENCE, PORTS, SANITIZED, nacre, run, until
from test_flood import processes_of

PROBING = os.path.join(BUILD, 'tests', 'sshd-probing')
SSHD = nacre('sshd')
pytestmark = [
    pytest.mark.skipif(SANITIZED, reason='sanitizers make system calls of their own'),
    pytest.mark.skipif(os.geteuid() != 0, reason='only root can confine and look into processes'),
]


@pytest.fixture
def probing(servers, monkeypatch):
    """Starts a server whose network processes make one attempt; a connection to it."""
    connections = []

    def start(more='', **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        server = servers.sshd(PROBING, more)
        connection = socket.create_connection(('127.0.0.1', server.port), PATIENCE)
        connections.append(connection)
        return server, connection
    yield start
    for connection in connections:
        connection.close()


def log_has(server, pattern):
    return until(lambda: re.search(pattern, server.log()), lambda: f'{pattern!r} in:\n{server.log()}')


def status_of(pid):
    with open(f'/proc/{pid}/status') as file:
        return dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)


def title_of(pid):
    with contextlib.suppress(OSError), open(f'/proc/{pid}/cmdline', 'rb') as file:
        return file.read().split(b'\0')[0].decode()
    return ''


def descriptors_of(pid):
    found = {}
    for name in os.listdir(f'/proc/{pid}/fd'):
        with contextlib.suppress(OSError):
            found[int(name)] = os.readlink(f'/proc/{pid}/fd/{name}')
    return found


def busy_network_process(server):
    """The network process that has a connection: the one that waits has no descriptor above 3."""
    for pid in processes_of(server):
        with contextlib.suppress(OSError):
            if '[net]' in title_of(pid) and 4 in descriptors_of(pid):
                return pid
    return None


def network_process(server):
    return until(lambda: busy_network_process(server), 'the network process')


# System calls ------------------------------------------------------------------------------------

DEADLY = ['socket', 'connect', 'bind', 'fork', 'execve', 'ptrace', 'read memory', 'kill', 'setuid', 'chroot',
          'prctl', 'executable memory', 'executable later', 'io_uring', 'bpf', 'memory file', 'namespace',
          'unlink', 'mkdir', 'unknown call', 'open directly', 'other architecture']
REFUSED = {'open': 'ENOENT', 'open the monitor': 'ENOENT', 'create': 'ENOENT', 'duplicate': 'EPERM',
           'ioctl': 'ENOTTY', 'memory': 'ENOMEM'}


# Makes the 32-bit system call "getpid" in a process of its own.
CALL_OF_32_BITS = '''
import ctypes, mmap
memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(bytes.fromhex("b814000000cd80c3"))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()
'''


@pytest.mark.parametrize('attempt', DEADLY)
def test_forbidden_call_is_the_end(probing, attempt):
    if attempt == 'other architecture' and run([sys.executable, '-c', CALL_OF_32_BITS]).returncode < 0:
        pytest.skip('this machine takes no system calls of 32 bits')
    server, connection = probing(NACRE_PROBE=attempt)
    said = b''
    with contextlib.suppress(ConnectionError):
        said = connection.recv(200)
    assert said == b''
    log_has(server, rf'the network process for 127.0.0.1 port \d+ died of signal {int(signal.SIGSYS)}\b')


@pytest.mark.parametrize('attempt', REFUSED)
def test_refused_call(probing, attempt):
    _, connection = probing(NACRE_PROBE=attempt)
    answer = connection.recv(200).decode().split()
    assert answer[0] == 'refused'
    assert int(answer[1]) == getattr(errno, REFUSED[attempt])


# What the process is and has ---------------------------------------------------------------------

@pytest.fixture
def stranger(servers):
    """A server, and the network process of a connection that has said nothing yet."""
    server = servers.sshd(SSHD)
    with socket.create_connection(('127.0.0.1', server.port), PATIENCE) as connection:
        assert connection.recv(200).startswith(b'SSH-2.0-')
        pid = network_process(server)
        # The greeting leaves before the last of the confinement is in place.
        until(lambda: status_of(pid)['Seccomp'].strip() == '2', 'the confinement')
        yield server, pid


def test_network_process_is_nobody(stranger):
    _, pid = stranger
    status = status_of(pid)
    uid = run(['id', '-u', 'sshd']).stdout.decode().strip() or '65534'
    assert set(status['Uid'].split()) == {uid}
    assert '0' not in status['Gid'].split()
    assert status['Groups'].split() == []
    assert {status[name].strip() for name in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb')} == {'0' * 16}
    assert status['NoNewPrivs'].strip() == '1'
    assert status['Seccomp'].strip() == '2'


def test_network_process_has_an_empty_root(stranger):
    _, pid = stranger
    assert os.listdir(f'/proc/{pid}/root/') == []
    assert os.readlink(f'/proc/{pid}/root') != '/'
    assert os.stat(f'/proc/{pid}/root/').st_uid == 0
    assert os.stat(f'/proc/{pid}/root/').st_mode & 0o022 == 0


def test_network_process_has_tight_limits(stranger):
    _, pid = stranger
    with open(f'/proc/{pid}/limits') as file:
        limits = {line[:26].strip(): line[26:].split()[:2] for line in file}
    assert limits['Max processes'] == ['0', '0']
    assert limits['Max file size'] == ['0', '0']
    assert limits['Max core file size'] == ['0', '0']
    assert int(limits['Max open files'][1]) <= 6
    assert int(limits['Max data size'][1]) <= 128 * 1024 * 1024


def test_network_process_has_no_descriptor_but_its_own(stranger):
    _, pid = stranger
    descriptors = descriptors_of(pid)
    assert sorted(descriptors) == [0, 1, 2, 3, 4, 5]
    assert {descriptors[number] for number in (0, 1, 2)} == {'/dev/null'}
    assert all(descriptors[number].startswith('socket:') for number in (3, 4, 5))


def test_network_process_cannot_be_looked_into(stranger):
    _, pid = stranger
    assert os.stat(f'/proc/{pid}/environ').st_uid == 0
    with open(f'/proc/{pid}/coredump_filter') as file:
        assert file.readline()  # there is one, but no core: see the limits


def test_what_is_left_without_root(servers, account, host_keys):
    """A server that somebody runs for himself: his identity, but the rest holds."""
    folder, port = servers.folder('own'), PORTS.take()
    key = os.path.join(folder, 'host_key')
    shutil.copy(host_keys['ed25519'], key)
    os.chmod(key, 0o600)
    account.own(key)
    account.own(folder)
    command = ['setpriv', f'--reuid={account.uid}', f'--regid={account.gid}', '--clear-groups', SSHD, '-D', '-e',
               '-f', 'none', '-h', key, '-p', str(port), '-o', 'ListenAddress=127.0.0.1', '-o', 'PidFile=none',
               '-o', 'PerSourcePenalties=no']
    server = servers.add(command, port, folder, [host_keys['ed25519']])
    with socket.create_connection(('127.0.0.1', port), PATIENCE) as connection:
        assert connection.recv(200).startswith(b'SSH-2.0-')
        pid = network_process(server)
        status = status_of(pid)
        assert status['NoNewPrivs'].strip() == '1' and status['Seccomp'].strip() == '2'
        assert sorted(descriptors_of(pid)) == [0, 1, 2, 3, 4, 5]
        # Another process of his cannot look into it, nor into the monitor, which has the keys.
        for process in (pid, status['PPid']):
            assert os.stat(f'/proc/{process}/environ').st_uid == 0
    assert 'Not running as root' in server.log()


def test_network_process_ends_with_the_monitor(stranger):
    _, pid = stranger
    monitor = int(status_of(pid)['PPid'])
    # Even when it does not come to notice by itself.
    os.kill(pid, signal.SIGSTOP)
    os.kill(monitor, signal.SIGKILL)
    until(lambda: not os.path.exists(f'/proc/{pid}') or status_of(pid)['State'].startswith('Z'),
          'the end of the network process')


# Memory ------------------------------------------------------------------------------------------

def private_seed(path):
    """The secret half of an unencrypted ed25519 key file."""
    with open(path) as file:
        blob = base64.b64decode(''.join(file.read().split('\n')[1:-2]))
    at = blob.rindex(b'ssh-ed25519') + 11
    at += 4 + struct.unpack('>I', blob[at:at + 4])[0]
    return blob[at + 4:at + 36]


def memory_has(pid, wanted):
    """Whether the bytes are anywhere in what the process may read or write."""
    with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb', 0) as memory:
        for line in maps:
            span, access, rest = line.split(None, 2)
            if not access.startswith('r') or '[v' in rest:
                continue
            begin, end = (int(word, 16) for word in span.split('-'))
            with contextlib.suppress(OSError, ValueError, OverflowError):
                memory.seek(begin)
                if wanted in memory.read(end - begin):
                    return True
    return False




def test_private_host_keys_are_the_monitors(stranger, host_keys):
    _, pid = stranger
    seed = private_seed(host_keys['ed25519'])
    monitor = int(status_of(pid)['PPid'])
    assert memory_has(monitor, seed)
    assert not memory_has(pid, seed)


@pytest.fixture
def session(servers, openssh_ssh):
    """A session of a user: server, its session process, its monitor."""
    server = servers.sshd(SSHD)
    client = subprocess.Popen(openssh_ssh.command(server) + ['echo $PPID; exec cat'],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        pid = int(client.stdout.readline())
        yield server, pid, int(status_of(pid)['PPid'])
    finally:
        client.stdin.close()
        client.wait(PATIENCE)


def test_session_process_is_the_user(session, account):
    _, pid, monitor = session
    status = status_of(pid)
    assert set(status['Uid'].split()) == {str(account.uid)}
    assert set(status['Gid'].split()) == {str(account.gid)}
    assert '0' not in status['Groups'].split()
    assert {status[name].strip() for name in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb')} == {'0' * 16}
    assert os.stat(f'/proc/{pid}/environ').st_uid == 0
    assert status_of(monitor)['Uid'].split()[0] == '0'


def test_session_process_has_no_host_keys(session, host_keys):
    _, pid, monitor = session
    seed = private_seed(host_keys['ed25519'])
    assert memory_has(monitor, seed)
    assert not memory_has(pid, seed)
    assert not any('memfd' in target for target in descriptors_of(pid).values())


def test_session_process_is_closed_to_its_user(servers, openssh_ssh):
    """Neither its memory nor its descriptors, which are the connection's, and not the monitor's."""
    server = servers.sshd(SSHD)
    for what in ('environ', 'maps', 'mem'):
        assert openssh_ssh.run(server, f'cat /proc/$PPID/{what}').returncode != 0
    assert openssh_ssh.run(server, 'ls /proc/$PPID/fd').returncode != 0
    assert openssh_ssh.run(server, 'kill -0 $(ps -o ppid= -p $PPID)').returncode != 0


def test_session_process_has_no_way_to_the_listener(session):
    """Its sockets are the connection and the one to its monitor."""
    server, pid, monitor = session
    sockets = {target for target in descriptors_of(pid).values() if target.startswith('socket:')}
    assert len(sockets) == 2
    ours = set(descriptors_of(server.process.pid).values()) | set(descriptors_of(monitor).values())
    assert not sockets & ours


def test_users_program_inherits_nothing(servers, openssh_ssh):
    server = servers.sshd(SSHD)
    result = openssh_ssh.run(server, 'ls -l /proc/self/fd; env')
    text = result.stdout.decode()
    # The fourth is that of ls itself, to list them.
    assert sorted(re.findall(r' (\d+) -> ', text)) == ['0', '1', '2', '3'], text
    assert re.search(r' 3 -> /proc/\d+/fd', text), text
    assert 'NACRE' not in text
    limits = openssh_ssh.run(server, 'grep -c . /proc/self/status; grep -E "SigBlk|SigIgn|Seccomp:|NoNewPrivs" '
                             '/proc/self/status').stdout.decode()
    assert re.search(r'SigBlk:\s0+\n', limits), limits
    # No program can change 32 and 33, which the C library keeps for itself: they are as they came.
    assert int(re.search(r'SigIgn:\s([0-9a-f]+)\n', limits).group(1), 16) & ~(3 << 31) == 0, limits


def layout_of(pid):
    """Where the program, its heap and stack and a library lie."""
    places = {}
    with open(f'/proc/{pid}/maps') as maps:
        for line in maps:
            name = line.split()[-1]
            for part in ('bin/sshd', '[heap]', '[stack]', 'libc.so'):
                if part in name:
                    places.setdefault(part, line.split('-')[0])
    return places


def test_every_connection_has_a_layout_of_its_own(servers):
    server = servers.sshd(SSHD)
    layouts = []
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(
                socket.create_connection(('127.0.0.1', server.port), PATIENCE)).recv(200)

        def workers():
            return [pid for pid in processes_of(server)
                    if '[net]' in title_of(pid) and 4 in descriptors_of(pid)]
        until(lambda: len(workers()) == 3, 'three network processes')
        layouts = [layout_of(pid) for pid in workers()] + [layout_of(server.process.pid)]
    for part in ('bin/sshd', '[stack]', 'libc.so'):
        places = [layout[part] for layout in layouts]
        assert len(set(places)) == len(places), (part, places)


# The monitor -------------------------------------------------------------------------------------

SIGN, AUTHENTICATE, RESPOND, EXPORT, LOG, END, PROVE, CONNECTION, SIGNATURE, ANSWER = (
    1, 2, 3, 4, 5, 6, 7, 64, 65, 66)
STRANGER, KEYED, REFUSED_STATE = 1, 2, 64


def frame(kind, body=b''):
    return struct.pack('>IB', 1 + len(body), kind) + body


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return struct.pack('>I', len(value)) + value


SIGN_HASH = frame(SIGN, text('ssh-ed25519') + text('no such key') + text(b'h' * 32))
NONE_REQUEST = frame(AUTHENTICATE, text('nosuchuser') + text('ssh-connection') + b'\0' + text('none'))


def said_by_monitor(probing, frames, more=''):
    server, connection = probing(more, NACRE_PROBE_FRAMES=frames.hex())
    said = b''
    with contextlib.suppress(ConnectionError):
        while chunk := connection.recv(65536):
            said += chunk
    return server, said


def kinds(said):
    """The types of the frames in a stream."""
    found = []
    while said:
        length, = struct.unpack('>I', said[:4])
        found.append(said[4])
        said = said[4 + length:]
    return found


@pytest.mark.parametrize('kind', [0, AUTHENTICATE, RESPOND, EXPORT, PROVE, CONNECTION, SIGNATURE, ANSWER, 255])
def test_monitor_asked_out_of_turn_by_a_stranger(probing, kind):
    server, said = said_by_monitor(probing, frame(kind, b'\0' * 64))
    assert said == b''
    log_has(server, rf'monitor: message {kind} is illegal in state {STRANGER}: connection ended')


@pytest.mark.parametrize('kind', [RESPOND, EXPORT, PROVE, CONNECTION])
def test_monitor_asked_out_of_turn_after_the_key_exchange(probing, kind):
    server, said = said_by_monitor(probing, SIGN_HASH + frame(kind, b'\0' * 64))
    assert kinds(said) in ([SIGNATURE], [])  # it is killed, perhaps before it has passed this on
    log_has(server, rf'monitor: message {kind} is illegal in state {KEYED}: connection ended')


@pytest.mark.parametrize('body', [b'', text('ssh-ed25519'), text('a') + text('b') + text(b'h' * 19),
                                  text('a') + text('b') + text(b'h' * 65),
                                  text('a') + text('b') + text(b'h' * 32) + b'more',
                                  struct.pack('>I', 0xffffffff)],
                         ids=['empty', 'short', 'no hash', 'too long for a hash', 'trailing', 'huge string'])
def test_monitor_signs_hashes_only(probing, body):
    server, said = said_by_monitor(probing, frame(SIGN, body))
    assert said == b''
    log_has(server, r'monitor: .*: connection from 127.0.0.1 port \d+ ended')


@pytest.mark.parametrize('head', [0, 512 * 1024 + 1, 0xffffffff], ids=['nothing', 'too long', 'huge'])
def test_monitor_takes_no_frame_that_is(probing, head):
    server, said = said_by_monitor(probing, struct.pack('>I', head) + b'\1' * 100)
    assert said == b''
    log_has(server, r'monitor: .*: connection from 127.0.0.1 port \d+ ended')


def test_monitor_says_no_once(probing):
    """Whoever was told to disconnect cannot go on guessing."""
    server, said = said_by_monitor(probing, SIGN_HASH + NONE_REQUEST * 12, 'MaxAuthTries 3\n')
    assert kinds(said).count(ANSWER) <= 4
    log_has(server, rf'monitor: message {AUTHENTICATE} is illegal in state {REFUSED_STATE}')


def test_monitor_does_not_let_the_network_process_flood_the_log(probing):
    line = frame(LOG, struct.pack('>I', 2) + text('a line of the attacker'))
    server, _ = said_by_monitor(probing, line * 1000 + frame(END, bytes(14)))
    # Two connections: the one that found the server listening, and ours.
    assert 200 <= server.log().count('a line of the attacker') <= 400


def test_illegal_message_is_a_crash_for_the_source(probing, servers, monkeypatch):
    monkeypatch.setenv('NACRE_PROBE_FRAMES', frame(EXPORT).hex())
    server = servers.sshd(PROBING, 'PerSourcePenalties crash:40s min:1s\n')
    with contextlib.suppress(ConnectionError), \
            socket.create_connection(('127.0.0.1', server.port), PATIENCE, ('127.9.0.1', 0)) as connection:
        connection.recv(200)
    log_has(server, r'new 127.9.0.1/32 active penalty of 40 seconds for penalty: caused crash')
