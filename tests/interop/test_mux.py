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
    if pair[0].program == openssh('ssh'):
        client.stdin.close()  # OpenSSH's master waits for the end of its input
    until(lambda: not os.path.exists(f'/proc/{pid}'), 'the command to end')
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
