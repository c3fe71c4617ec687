"""Sharing one connection (ControlMaster): our client through OpenSSH's master, OpenSSH's client
through ours, and ours through ours."""
import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

import pytest
from conftest import PATIENCE, nacre, need, openssh, run, start_in_terminal, until

PAIRS = [('openssh', 'nacre'), ('nacre', 'openssh'), ('nacre', 'nacre')]


class Master:
    """A master that nobody but its socket holds, and the clients that use it."""

    def __init__(self, master, client, server, *options):
        self.client, self.server = client, server
        self.folder = tempfile.mkdtemp(prefix='mux')  # a socket's path must be short
        self.path = os.path.join(self.folder, 'c')
        self.log = open(os.path.join(self.folder, 'log'), 'w+', encoding='utf-8')
        self.process = subprocess.Popen(
            master.command(server, '-M', '-N', '-S', self.path, *options),
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        until(lambda: os.path.exists(self.path) or self.process.poll() is not None, 'the socket')

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def command(self, *options):
        return self.client.command(self.server, '-S', self.path, *options)

    def run(self, command, *options, **more):
        words = [command] if command else []
        return run([*self.command(*options), *words], **more)

    def control(self, what, *options):
        return self.run(None, '-O', what, *options)

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        self.process.wait(PATIENCE)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def shared(result):
    """Nothing fell back to a connection of its own."""
    return b'ControlSocket' not in result.stderr and b'Control socket' not in result.stderr


@pytest.fixture(params=PAIRS, ids=lambda pair: f'{pair[1]}-through-{pair[0]}')
def pair(request, nacre_ssh, openssh_ssh):
    clients = {'nacre': nacre_ssh, 'openssh': openssh_ssh}
    return [clients[name] for name in request.param]


@pytest.fixture
def make_master(pair, nacre_sshd):
    with contextlib.ExitStack() as stack:
        def make(*options, server=nacre_sshd):
            master = Master(*pair, server, *options)
            stack.callback(master.stop)
            return master
        yield make


@pytest.fixture
def master(make_master):
    return make_master()


def test_session(master):
    """Streams, exit status, and no second connection."""
    before = master.server.log().count('Accepted publickey')
    result = master.run('cat; echo error >&2; exit 7', input=b'line\n' * 1000)
    assert (result.stdout, result.stderr, result.returncode) == (b'line\n' * 1000, b'error\n', 7)
    assert master.server.log().count('Accepted publickey') == before


def test_bulk_both_ways(master):
    data = os.urandom(3 << 20)
    result = master.run('cat', input=data)
    assert result.returncode == 0 and result.stdout == data


def test_many_at_once(master):
    clients = [subprocess.Popen([*master.command(), f'cat; exit {number}'], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE) for number in range(8)]
    for number, client in enumerate(clients):
        out, _ = client.communicate(b'%d\n' % number, timeout=PATIENCE)
        assert (out, client.returncode) == (b'%d\n' % number, number)


def test_environment(pair, make_master):
    master = make_master('-o', 'SendEnv=NACRE_*')  # OpenSSH's lets through what it would send itself
    result = master.run('echo $NACRE_A $NACRE_B', '-o', 'SendEnv=NACRE_A', '-o', 'SetEnv=NACRE_B=two',
                        env=dict(os.environ, NACRE_A='one'))
    assert result.stdout == b'one two\n'


def test_subsystem(master):
    result = master.run('sftp', '-s', input=b'\0\0\0\5\1\0\0\0\3')
    assert result.stdout[4:5] == b'\2' and result.returncode == 0
    result = master.run('there-is-none', '-s')
    assert result.returncode == 255


def test_remote_signal(master):
    assert master.run('kill -TERM $$').returncode == 255


def test_client_killed(pair, master):
    """What a client ran ends with it, and the master goes on."""
    client = subprocess.Popen([*master.command(), 'echo $$; exec cat'], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    pid = int(client.stdout.readline())
    client.send_signal(signal.SIGTERM)
    assert client.wait(PATIENCE) == 255
    if pair[0].program == nacre('ssh'):  # OpenSSH's master lets it go on
        until(lambda: not os.path.exists(f'/proc/{pid}'), 'the command to end')
    client.stdin.close()
    client.stdout.close()
    assert master.run('echo on').stdout == b'on\n'


def test_terminal(master):
    """The terminal's modes and size go along, raw mode is left, changes of the size arrive."""
    client, terminal = start_in_terminal([*master.command('-tt'),
                                          'stty -a; echo $TERM; read x; stty size; exit 3'],
                                         env=dict(os.environ, TERM='vt220'))
    with os.fdopen(terminal, 'rb+', buffering=0) as ours:
        text = b''

        def have(what):
            nonlocal text
            text += os.read(terminal, 4096)
            return what in text
        until(lambda: have(b'vt220\r\n'), lambda: text)
        assert b'speed' in text
        import fcntl
        import termios
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 33, 77, 0, 0))
        # As the kernel does for the processes in the foreground.
        pid = int(run(['pgrep', '-f', master.path + ' .*-tt']).stdout.split()[-1])
        os.kill(pid, signal.SIGWINCH)
        import time
        end = time.monotonic() + PATIENCE
        time.sleep(0.3)  # nothing tells when the size has arrived
        ours.write(b'\n')
        while b'33 77' not in text and time.monotonic() < end:
            try:
                text += os.read(terminal, 4096)
            except OSError:
                break
        assert b'33 77' in text, text
        assert client.wait(PATIENCE) == 3


def test_terminal_end_is_told(master):
    client, terminal = start_in_terminal([*master.command('-tt'), 'exit 4'])
    text = b''
    with contextlib.suppress(OSError):
        while True:
            text += os.read(terminal, 4096)
    os.close(terminal)
    assert client.wait(PATIENCE) == 4
    assert b'Shared connection to 127.0.0.1 closed.' in text


def test_stdio_forward(master):
    result = master.run(None, '-W', f'127.0.0.1:{master.server.port}', input=b'')
    assert result.stdout.startswith(b'SSH-2.0-') and result.returncode == 0


def serve_once(answer):
    """A listener that gives one answer."""
    listener = socket.create_server(('127.0.0.1', 0))
    pid = os.fork()
    if pid == 0:
        connection, _ = listener.accept()
        connection.sendall(answer)
        connection.close()
        os._exit(0)
    port = listener.getsockname()[1]
    listener.close()
    return port, pid


def fetch(port):
    with socket.create_connection(('127.0.0.1', port), PATIENCE) as connection:
        data = b''
        while part := connection.recv(4096):
            data += part
    return data


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


def test_forward_local(master, free_port):
    port, (target, pid) = free_port(), serve_once(b'through')
    spec = f'{port}:127.0.0.1:{target}'
    assert master.control('forward', '-L', spec).returncode == 0
    assert fetch(port) == b'through'
    os.waitpid(pid, 0)
    again = master.control('forward', '-L', f'127.0.0.1:{master.server.port}:127.0.0.1:{target}')
    assert again.returncode == 255
    assert b'forwarding request failed: Port forwarding failed' in again.stderr
    assert b'muxclient: master forward request failed' in again.stderr
    assert master.control('cancel', '-L', spec).returncode == 0
    until(lambda: not listens(port), 'the end of listening')
    gone = master.control('cancel', '-L', spec)
    assert gone.returncode == 0 and b'port not forwarded' in gone.stderr


def test_forward_remote(master):
    """Port 0: the one that the server chose is printed."""
    target, pid = serve_once(b'back')
    result = master.control('forward', '-R', f'0:127.0.0.1:{target}')
    assert result.returncode == 0 and re.fullmatch(rb'\d+\n', result.stdout), result
    port = int(result.stdout)
    assert fetch(port) == b'back'
    os.waitpid(pid, 0)


def test_forward_remote_cancelled(master, free_port):
    port = free_port()
    spec = f'{port}:127.0.0.1:1'
    assert master.control('forward', '-R', spec).returncode == 0
    until(lambda: listens(port), 'the server to listen')
    assert master.control('cancel', '-R', spec).returncode == 0
    until(lambda: not listens(port), 'the end of listening')


def test_forward_dynamic(master, free_port):
    need('curl')
    port = free_port()
    target, pid = serve_once(b'HTTP/1.0 200 OK\r\n\r\nsocks')
    assert master.control('forward', '-D', str(port)).returncode == 0
    result = run(['curl', '-s', '--socks5', f'127.0.0.1:{port}', f'http://127.0.0.1:{target}/'])
    assert result.stdout == b'socks'
    os.waitpid(pid, 0)
    assert master.control('cancel', '-D', str(port)).returncode == 0
    until(lambda: not listens(port), 'the end of listening')


def test_forward_unix(master):
    path = os.path.join(master.folder, 'l')
    target, pid = serve_once(b'unix')
    assert master.control('forward', '-L', f'{path}:127.0.0.1:{target}').returncode == 0
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        assert connection.recv(100) == b'unix'
    os.waitpid(pid, 0)
    assert master.control('cancel', '-L', f'{path}:127.0.0.1:{target}').returncode == 0


def test_forwardings_of_a_session(master, free_port):
    port, (target, pid) = free_port(), serve_once(b'with it')
    result = master.run('echo done', '-L', f'{port}:127.0.0.1:{target}')
    assert result.stdout == b'done\n'
    assert fetch(port) == b'with it'
    os.waitpid(pid, 0)


def test_check_and_exit(master):
    result = master.control('check')
    assert (result.returncode, result.stderr) == \
        (0, b'Master running (pid=%d)\r\n' % master.process.pid)
    result = master.control('exit')
    assert (result.returncode, result.stderr) == (0, b'Exit request sent.\r\n')
    master.process.wait(PATIENCE)
    until(lambda: not os.path.exists(master.path), 'the socket to go')
    result = master.control('check')
    assert result.returncode == 255
    assert result.stderr.decode() == \
        f'Control socket connect({master.path}): No such file or directory\r\n'


def test_stop(master):
    """Sessions go on, new ones do not come."""
    client = subprocess.Popen([*master.command(), 'echo begun; cat'], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    assert client.stdout.readline() == b'begun\n'
    result = master.control('stop')
    assert (result.returncode, result.stderr) == (0, b'Stop listening request sent.\r\n')
    until(lambda: not os.path.exists(master.path), 'the socket to go')
    out, _ = client.communicate(b'still here\n', timeout=PATIENCE)
    assert (out, client.returncode) == (b'still here\n', 0)


def test_refusals_fall_back(servers, make_master):
    """A session that the server does not take gets a connection of its own."""
    server = servers.sshd(nacre('sshd'), options=['-o', 'MaxSessions=1'])
    master = make_master(server=server)
    first = subprocess.Popen([*master.command(), 'echo begun; cat'], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    assert first.stdout.readline() == b'begun\n'
    result = master.run('echo by itself')
    assert result.stdout == b'by itself\n'
    assert b'session request failed: Session open refused by peer' in result.stderr
    assert server.log().count('Accepted publickey') == 2
    first.communicate(timeout=PATIENCE)


def test_unknown_command(nacre_ssh, openssh_ssh, nacre_sshd):
    for client in (openssh_ssh, nacre_ssh):
        result = client.run(nacre_sshd, None, '-O', 'nonsense', '-S', '/tmp/nothing')
        assert (result.returncode, result.stderr) == (255, b'Invalid multiplex command.\r\n')
        result = client.run(nacre_sshd, None, '-O', 'check')
        assert (result.returncode, result.stderr) == \
            (255, b'No ControlPath specified for "-O" command\r\n')


def test_dead_socket(nacre_ssh, openssh_ssh, nacre_sshd, workspace):
    """Without a master's wish it is told, and a connection made."""
    path = os.path.join(workspace, 'dead')
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    for client in (openssh_ssh, nacre_ssh):
        result = client.run(nacre_sshd, 'echo hi', '-S', path)
        assert result.stdout == b'hi\n'
        assert result.stderr.decode().strip() == f'Control socket connect({path}): Connection refused'
    assert os.path.exists(path)


def test_path_too_long(nacre_ssh, openssh_ssh, nacre_sshd):
    path = '/tmp/' + 'x' * 120
    for client in (openssh_ssh, nacre_ssh):
        result = client.run(nacre_sshd, 'echo hi', '-S', path)
        assert result.returncode == 255
        assert result.stderr.decode().strip() == f"ControlPath too long ('{path}' >= 108 bytes)"


def test_not_a_master(nacre_ssh, nacre_sshd, workspace):
    """What speaks something else, or nothing, is left alone."""
    path = os.path.join(workspace, 'odd')
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        client = subprocess.Popen([*nacre_ssh.command(nacre_sshd, '-S', path), 'echo hi'],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
        connection, _ = listener.accept()
        connection.sendall(b'HTTP/1.0 400 Bad Request\r\n\r\n')
        connection.close()
        out, error = client.communicate(timeout=PATIENCE)
    assert out == b'hi\n' and b'does not answer as a multiplexing master does' in error


# Copying -----------------------------------------------------------------------------------------

@pytest.fixture(params=['openssh', 'nacre'])
def copy_master(request, nacre_ssh, openssh_ssh, nacre_sshd):
    master = Master({'nacre': nacre_ssh, 'openssh': openssh_ssh}[request.param], nacre_ssh, nacre_sshd)
    yield master
    master.stop()


def logins(master):
    return master.server.log().count('Accepted publickey')


def copy_options(master):
    """No key: without the master there is no login."""
    return ['-F', 'none', '-o', f'ControlPath={master.path}', '-o', 'BatchMode=yes',
            '-o', 'IdentityFile=none', '-o', 'IdentityAgent=none', '-P', str(master.server.port)]


def test_scp(copy_master, workspace):
    before, data = logins(copy_master), os.urandom(1 << 20)
    source, back = os.path.join(copy_master.folder, 'source'), os.path.join(copy_master.folder, 'back')
    with open(source, 'wb') as file:
        file.write(data)
    place = f'{copy_master.server.user}@127.0.0.1:{workspace}/copy'
    for options in ([], ['-O']):
        result = run([nacre('scp'), '-q', *options, *copy_options(copy_master), source, place])
        assert (result.returncode, result.stderr) == (0, b'')
        result = run([nacre('scp'), '-q', *options, *copy_options(copy_master), place, back])
        assert (result.returncode, result.stderr) == (0, b'')
        with open(back, 'rb') as file:
            assert file.read() == data
    assert logins(copy_master) == before
    result = run([nacre('scp'), '-q', *copy_options(copy_master), place + '-not-there', back])
    assert result.returncode == 1 and b'No such file' in result.stderr


def test_sftp(copy_master, workspace):
    before = logins(copy_master)
    batch = os.path.join(copy_master.folder, 'batch')
    with open(batch, 'w', encoding='ascii') as file:
        file.write(f'mkdir {workspace}/made\nls {workspace}\n')
    result = run([nacre('sftp'), '-b', batch, *copy_options(copy_master),
                  f'{copy_master.server.user}@127.0.0.1'])
    assert result.returncode == 0 and b'made' in result.stdout
    assert logins(copy_master) == before


def test_copy_without_master(nacre_ssh, nacre_sshd, workspace):
    """A connection of its own, and no word of a socket that is not there."""
    result = run([nacre('scp'), '-q', *nacre_ssh.options(nacre_sshd), '-P', str(nacre_sshd.port),
                  '-o', f'ControlPath={workspace}/none', '-o', 'ControlMaster=auto', '/etc/hostname',
                  f'{nacre_sshd.user}@127.0.0.1:{workspace}/copy'])
    assert (result.returncode, result.stderr) == (0, b'')


# The master itself ------------------------------------------------------------------------------

def persist(seconds):
    return ['-o', 'ControlMaster=auto', '-o', f'ControlPersist={seconds}']


@pytest.fixture
def socket_path():
    folder = tempfile.mkdtemp(prefix='mux')
    yield os.path.join(folder, 'c')
    shutil.rmtree(folder, ignore_errors=True)


def test_persist(nacre_ssh, openssh_ssh, nacre_sshd, socket_path):
    """The first session is as any other, its master stays, and goes when nobody needs it."""
    for client, other in ((nacre_ssh, openssh_ssh), (openssh_ssh, nacre_ssh)):
        before = nacre_sshd.log().count('Accepted publickey')
        # Whoever waits for the end of the output does not wait for the master.
        result = client.run(nacre_sshd, 'cat; exit 6', '-S', socket_path, *persist(2), input=b'in')
        assert (result.stdout, result.stderr, result.returncode) == (b'in', b'', 6)
        assert oct(os.stat(socket_path).st_mode & 0o777) == '0o600'
        assert other.run(nacre_sshd, 'echo again', '-S', socket_path).stdout == b'again\n'
        assert nacre_sshd.log().count('Accepted publickey') == before + 1
        until(lambda: not os.path.exists(socket_path), 'the master to go')


def test_persist_for_ever(nacre_ssh, nacre_sshd, socket_path):
    assert nacre_ssh.run(nacre_sshd, 'true', '-S', socket_path, *persist('yes')).returncode == 0
    result = nacre_ssh.run(nacre_sshd, None, '-S', socket_path, '-O', 'check')
    pid = int(re.search(rb'pid=(\d+)', result.stderr)[1])
    assert os.getsid(pid) == pid
    assert nacre_ssh.run(nacre_sshd, None, '-S', socket_path, '-O', 'exit').returncode == 0
    until(lambda: not os.path.exists(f'/proc/{pid}'), 'the master to go')


def test_stale_socket_is_replaced(nacre_ssh, nacre_sshd, socket_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(socket_path)
    result = nacre_ssh.run(nacre_sshd, 'echo hi', '-S', socket_path, *persist(60))
    assert (result.stdout, result.stderr) == (b'hi\n', b'')
    assert nacre_ssh.run(nacre_sshd, None, '-S', socket_path, '-O', 'exit').returncode == 0


def test_two_masters(nacre_ssh, nacre_sshd, socket_path):
    """Several start at once: one is the master, the others do without, all do their work."""
    starts = [subprocess.Popen([*nacre_ssh.command(nacre_sshd, '-S', socket_path, *persist(30)),
                                f'echo {number}'], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE) for number in range(5)]
    for number, start in enumerate(starts):
        out, error = start.communicate(timeout=PATIENCE)
        assert (out, start.returncode) == (b'%d\n' % number, 0), error
        assert error == b'' or b'already exists, disabling multiplexing' in error
    assert os.listdir(os.path.dirname(socket_path)) == ['c']
    assert nacre_ssh.run(nacre_sshd, None, '-S', socket_path, '-O', 'exit').returncode == 0


def test_master_over_live_socket(nacre_ssh, nacre_sshd, socket_path):
    """-M does not ask a master that is there; it goes on by itself."""
    assert nacre_ssh.run(nacre_sshd, 'true', '-S', socket_path, *persist(60)).returncode == 0
    result = nacre_ssh.run(nacre_sshd, 'echo own', '-M', '-S', socket_path)
    assert result.stdout == b'own\n'
    assert result.stderr.decode().strip() == \
        f'ControlSocket {socket_path} already exists, disabling multiplexing'
    assert nacre_ssh.run(nacre_sshd, None, '-S', socket_path, '-O', 'exit').returncode == 0


def test_asked(nacre_ssh, nacre_sshd, socket_path, workspace):
    """-MM: each request needs somebody's consent, which here depends on a file."""
    answer = os.path.join(os.path.dirname(socket_path), 'answer')
    askpass = os.path.join(os.path.dirname(socket_path), 'askpass')
    with open(askpass, 'w', encoding='ascii') as file:
        file.write(f'#!/bin/sh\necho "$1" >> {answer}.log\ntest -e {answer}\n')
    os.chmod(askpass, 0o755)
    environment = dict(os.environ, SSH_ASKPASS=askpass, DISPLAY=':none', SSH_ASKPASS_REQUIRE='force')
    with subprocess.Popen(nacre_ssh.command(nacre_sshd, '-M', '-M', '-N', '-S', socket_path),
                          stdin=subprocess.DEVNULL, env=environment) as master:
        until(lambda: os.path.exists(socket_path), 'the socket')
        result = nacre_ssh.run(nacre_sshd, None, '-S', socket_path, '-O', 'exit')
        assert (result.returncode, result.stderr) == \
            (255, b'Master refused termination request: Permission denied\r\n')
        result = nacre_ssh.run(nacre_sshd, None, '-S', socket_path, '-O', 'forward', '-R', '0:h:1')
        assert b'Master refused forwarding request: Permission denied' in result.stderr
        result = nacre_ssh.run(nacre_sshd, 'echo alone', '-S', socket_path)
        assert result.stdout == b'alone\n'
        assert b'Master refused session request: Permission denied' in result.stderr
        with open(answer, 'w', encoding='ascii'):
            pass
        assert nacre_ssh.run(nacre_sshd, 'echo with', '-S', socket_path).stderr == b''
        assert nacre_ssh.run(nacre_sshd, None, '-S', socket_path, '-O', 'exit').returncode == 0
        master.wait(PATIENCE)
    with open(answer + '.log', encoding='ascii') as file:
        assert 'Allow shared connection to 127.0.0.1? ' in file.read()


def test_reports(nacre_ssh, nacre_sshd, socket_path):
    assert nacre_ssh.run(nacre_sshd, 'true', '-S', socket_path, *persist(60)).returncode == 0
    with subprocess.Popen([*nacre_ssh.command(nacre_sshd, '-S', socket_path), 'echo begun; cat'],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as session:
        assert session.stdout.readline() == b'begun\n'
        result = nacre_ssh.run(nacre_sshd, None, '-S', socket_path, '-O', 'channels')
        assert result.returncode == 0
        assert re.search(rb'  #\d+ client-session\r\n', result.stdout)
        assert b'client-session (in reserve)' in result.stdout
        result = nacre_ssh.run(nacre_sshd, None, '-S', socket_path, '-O', 'conninfo')
        assert f'-> 127.0.0.1:{nacre_sshd.port}\r\n'.encode() in result.stdout
        assert b'  cipher ' in result.stdout and b'  duration 00:00:' in result.stdout
    assert nacre_ssh.run(nacre_sshd, None, '-S', socket_path, '-O', 'exit').returncode == 0


def test_reports_of_an_old_master(nacre_ssh, openssh_ssh, nacre_sshd):
    version = run([openssh('ssh'), '-V']).stderr
    if int(re.search(rb'OpenSSH_(\d+)', version)[1]) >= 10:
        pytest.skip('this OpenSSH knows reports')
    master = Master(openssh_ssh, nacre_ssh, nacre_sshd)
    result = master.control('conninfo')
    master.stop()
    assert (result.returncode, result.stderr) == \
        (255, b'mux server does not support info request\r\n')


def test_master_killed(nacre_ssh, nacre_sshd):
    master = Master(nacre_ssh, nacre_ssh, nacre_sshd)
    client = subprocess.Popen([*master.command(), 'echo begun; cat'], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    assert client.stdout.readline() == b'begun\n'
    master.process.kill()
    assert client.wait(PATIENCE) == 255
    client.communicate()
    master.stop()


def test_hostile_client(nacre_ssh, nacre_sshd):
    """Whatever comes over the socket, the master goes on."""
    master = Master(nacre_ssh, nacre_ssh, nacre_sshd)
    hello = b'\0\0\0\x08\0\0\0\1\0\0\0\4'
    for data in (b'\xff\xff\xff\xff', b'\0\0\0\4\x10\0\0\2', hello + b'\0\0\0\2ab', hello * 2,
                 hello + b'\0\0\0\x08\x10\0\0\x0e\0\0\0\0', b'GET / HTTP/1.0\r\n\r\n', hello[:7],
                 hello + b'\0\0\0\x1d\x10\0\0\x08\0\0\0\1\0\0\0\0\0\0\0\x09localhost\0\0\0\x16\0\0'):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(master.path)
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(PATIENCE)
            while connection.recv(4096):
                pass
    assert master.run('echo on').stdout == b'on\n'
    master.stop()
