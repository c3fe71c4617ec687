"""Our ssh in a terminal: escape sequences beside OpenSSH's, full-screen programs, pasted text, and
ObscureKeystrokeTiming as somebody on the network sees it."""
import contextlib
import hashlib
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import PATIENCE, nacre, need, openssh_server, run, until
from test_forwarding import connect, exchange, forwarding, listens, serving
from test_ssh import Terminal, terminal  # noqa: F401 (a fixture)


@pytest.fixture
def sshd(servers):
    known = servers.__dict__.setdefault('forwarding', {})
    key = nacre('sshd'), ''
    if key not in known:
        known[key] = servers.sshd(*key)
    return known[key]


def shell(terminal, client, server, *options, **more):
    person = terminal(client.command(server, '-t', *options) +
                      ["PS1='ready> '; export PS1; exec /bin/sh -i"], **more)
    person.expect('ready> ')
    return person


# Escape sequences -----------------------------------------------------------------------------------

@pytest.fixture(autouse=True)
def seen_before(monkeypatch):
    """What precedes a pattern that was waited for."""
    expect = Terminal.expect

    def keep(self, pattern, *more):
        found = expect(self, pattern, *more)
        self.seen_before = found.string[:found.start()]
        return found
    monkeypatch.setattr(Terminal, 'expect', keep)


@pytest.mark.parametrize('name', ['nacre', 'openssh'])
def test_command_line(terminal, nacre_ssh, openssh_ssh, sshd, free_port, name):
    """What is said is the same in both."""
    port, other = free_port(), free_port()
    person = shell(terminal, nacre_ssh if name == 'nacre' else openssh_ssh, sshd, '-o',
                   'EnableEscapeCommandline=yes')
    for line, said in (('-h', '-KD[bind_address:]port                 Cancel dynamic forward'),
                       (f'-L{port}:localhost:1', 'Forwarding port.'), (f'-KL{port}', 'Canceled forwarding.'),
                       (f'-KL{port}', 'Unknown port forwarding.'), (f'-D {other}', 'Forwarding port.'),
                       (f'-KD{other}', 'Canceled forwarding.'), ('bogus', 'Invalid command.'),
                       ('-Lxx', 'Bad local forwarding specification.'), ('-K17', 'Invalid command.'),
                       ('-KLx:y:z', 'Bad forwarding close specification.'), ('!echo x', 'Invalid command.'),
                       ('-R x', 'Bad remote forwarding specification.')):
        person.type('\r~C')
        person.expect('ssh> ')
        person.type(line + '\r')
        person.expect(re.escape(said))
    person.type('exit\r')
    person.wait()


def test_forwards_of_the_command_line(terminal, nacre_ssh, sshd, free_port):
    local, remote = free_port(), free_port()
    with serving() as target:
        person = shell(terminal, nacre_ssh, sshd, '-o', 'EnableEscapeCommandline=yes')
        for line in (f'-L{local}:127.0.0.1:{target}', f'-R{remote}:127.0.0.1:{target}'):
            person.type('\r~C')
            person.expect('ssh> ')
            person.type(line + '\r')
            person.expect('Forwarding port')
        for port in (local, remote):
            until(lambda: listens(port), 'nobody listens')  # pylint: disable=cell-var-from-loop
            assert exchange(connect(port), b'data') == b'data'
        for line in (f'-KL{local}', f'-KR{remote}'):
            person.type('\r~C')
            person.expect('ssh> ')
            person.type(line + '\r')
            person.expect('Canceled forwarding')
        for port in (local, remote):
            until(lambda: not listens(port), 'it listens on')  # pylint: disable=cell-var-from-loop
        person.type('exit\r')
        person.wait()


def test_command_line_is_off_by_default(terminal, nacre_ssh, sshd):
    person = shell(terminal, nacre_ssh, sshd)
    person.type('\r~C')
    person.expect('commandline disabled')
    person.type('exit\r')
    person.wait()


def test_help_is_openssh_s(terminal, nacre_ssh, openssh_ssh, sshd):
    seen = []
    for client, option in ((client, option) for option in ('no', 'yes')
                           for client in (nacre_ssh, openssh_ssh)):
        person = shell(terminal, client, sshd, '-o', f'EnableEscapeCommandline={option}')
        person.type('\r~?')
        person.expect('after newline.')
        seen.append(person.seen_before)
        person.type('\r~#')
        person.expect(r'The following connections are open:\r+\n  #\d+ client-session \(t4 \[session\]')
        person.type('exit\r')
        person.wait()
    ours, theirs, ours_with, theirs_with = (text.split(b'Supported')[1] for text in seen)
    assert ours == theirs and ours_with == theirs_with != ours


def test_background_at_logout(terminal, nacre_ssh, sshd, free_port):
    """~& leaves the terminal to the shell, and the process to the connections that are open."""
    port = free_port()
    with serving() as target:
        person = shell(terminal, nacre_ssh, sshd, '-L', f'{port}:127.0.0.1:{target}')
        with connect(port) as sock:
            sock.sendall(b'x')
            assert sock.recv(1) == b'x'
            person.type('\r~&')
            person.expect('backgrounded')
            assert person.process.wait(PATIENCE) == 0
            assert person.canonical()
            sock.sendall(b'y')
            assert sock.recv(1) == b'y'
        until(lambda: not listens(port), 'it stays')


# Full-screen programs -------------------------------------------------------------------------------

class Screen:
    """A terminal that tmux draws, so that what a person sees can be read."""

    def __init__(self, folder, rows=24, columns=80):
        self.command = ['tmux', '-S', os.path.join(folder, 'tmux'), '-f', '/dev/null']
        run([*self.command, 'new-session', '-d', '-x', str(columns), '-y', str(rows), '/bin/sh'],
            check=True, env={**os.environ, 'TERM': 'screen', 'PS1': 'here> ', 'LC_ALL': 'C.UTF-8'})
        # Nobody looks, so its size is not somebody's.
        run([*self.command, 'set-option', '-g', 'window-size', 'manual'], check=True)

    def shown(self):
        return run([*self.command, 'capture-pane', '-p'], check=True).stdout.decode()

    def until(self, pattern):
        until(lambda: re.search(pattern, self.shown(), re.S), lambda: f'{pattern!r} in\n{self.shown()}')

    def keys(self, *keys):
        run([*self.command, 'send-keys', *keys], check=True)

    def text(self, text):
        run([*self.command, 'send-keys', '-l', text], check=True)

    def resize(self, rows, columns):
        run([*self.command, 'resize-window', '-x', str(columns), '-y', str(rows)], check=True)

    def stop(self):
        run([*self.command, 'kill-server'])


@pytest.fixture
def screen(tmp_path):
    need('tmux')
    screen = Screen(str(tmp_path))
    yield screen
    screen.stop()


def words(command):
    return ' '.join(f"'{word}'" for word in command)


def test_less(screen, nacre_ssh, sshd, workspace):
    need('less')
    path = os.path.join(workspace, 'file')
    with open(path, 'w') as file:
        file.writelines(f'line {number} gr\u00fc\u00dfe\n' for number in range(1, 500))
    screen.text(words(nacre_ssh.command(sshd, '-t')) + f' "LC_ALL=C.UTF-8 less {path}"')
    screen.keys('Enter')
    screen.until('line 1 gr\u00fc\u00dfe.*line 23')
    screen.keys('G')
    screen.until(r'line 499.*\(END\)')
    screen.resize(12, 60)
    screen.keys('g')
    screen.until('line 1 .*line 11 (?!.*line 13)')
    screen.text('/line 250')
    screen.keys('Enter')
    screen.until('line 250')
    screen.keys('q')
    screen.until('Connection to 127.0.0.1 closed')


def test_vi_with_suspend_and_resize(screen, nacre_ssh, sshd, workspace):
    editor = next((name for name in ('vim.tiny', 'vim', 'vi')
                   if run(['sh', '-c', f'command -v {name}']).returncode == 0), None)
    if editor is None:
        pytest.skip('no vi is installed')
    path = os.path.join(workspace, 'text')
    screen.text(words(nacre_ssh.command(sshd, '-t')) + f' "LC_ALL=C.UTF-8 {editor} -u NONE {path}"')
    screen.keys('Enter')
    screen.until(r'~\s*\n~.*text')
    screen.keys('i')
    screen.text('f\u00fcnf \u20ac')
    screen.keys('Enter', '~', 'C-z')
    screen.until(r'suspend ssh.*\n[^\n]*[#$>]\s*\n')
    screen.resize(20, 70)
    screen.text('fg')
    screen.keys('Enter')
    screen.until('f\u00fcnf \u20ac')
    screen.text('after')
    screen.keys('Escape')
    screen.text(':wq')
    screen.keys('Enter')
    screen.until('Connection to 127.0.0.1 closed')
    with open(path, encoding='utf-8') as file:
        assert file.read() == 'f\u00fcnf \u20ac\nafter\n'


def test_nano(screen, nacre_ssh, sshd, workspace):
    need('nano')
    path = os.path.join(workspace, 'text')
    screen.text(words(nacre_ssh.command(sshd, '-t')) + f' "LC_ALL=C.UTF-8 nano {path}"')
    screen.keys('Enter')
    screen.until('GNU nano')
    screen.text('one t\u00e4o')
    screen.keys('Left', 'BSpace', 'w', 'C-o', 'Enter')
    screen.until('Wrote 1 line')
    screen.keys('C-x')
    screen.until('Connection to 127.0.0.1 closed')
    with open(path, encoding='utf-8') as file:
        assert file.read() == 'one two\n'.replace('tw', 't\u00e4'[:1] + 'w')


def test_tmux_in_the_session(screen, nacre_ssh, sshd):
    inner = f'inner{os.getpid()}'
    screen.text(words(nacre_ssh.command(sshd, '-t')) + f' "LC_ALL=C.UTF-8 tmux -L {inner} -f /dev/null new"')
    screen.keys('Enter')
    screen.until(r'\[0\] 0:')
    screen.text('echo in"side"; stty size')
    screen.keys('Enter')
    screen.until('inside.*23 80')
    screen.resize(30, 90)
    screen.text('stty size')
    screen.keys('Enter')
    screen.until('29 90')
    screen.text(f'tmux -L {inner} kill-server')
    screen.keys('Enter')
    screen.until('Connection to 127.0.0.1 closed')


# Much text ------------------------------------------------------------------------------------------

@pytest.mark.parametrize('obscure', ['yes', 'no'])
def test_pasted_megabytes(terminal, nacre_ssh, sshd, obscure):
    """A terminal in raw mode there, lines of all bytes that are no escape here."""
    person = terminal(nacre_ssh.command(sshd, '-t', '-e', 'none', '-o', f'ObscureKeystrokeTiming={obscure}') +
                      ['stty raw -echo; echo go; head -c 3000000 | sha256sum; stty sane'])
    person.expect('go')
    data = bytes(range(256)) * 12000
    data = data[:3000000]
    writer = threading.Thread(target=lambda: [person.type(data[at:at + 1000])
                                              for at in range(0, len(data), 1000)])
    writer.start()
    assert person.expect('[0-9a-f]{64}').group().decode() == hashlib.sha256(data).hexdigest()
    writer.join()
    assert person.wait() == 0


# ObscureKeystrokeTiming -------------------------------------------------------------------------------

class Watcher:
    """Between client and server: when the client sends, and how much."""

    def __init__(self, port):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port, self.target = self.listener.getsockname()[1], port
        self.packets, self.received = [], 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        client, _ = self.listener.accept()
        server = socket.create_connection(('127.0.0.1', self.target))
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def back():
            with contextlib.suppress(OSError):
                while data := server.recv(65536):
                    client.sendall(data)
                client.shutdown(socket.SHUT_WR)
        threading.Thread(target=back, daemon=True).start()
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                self.packets.append((time.monotonic(), len(data)))
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)


@pytest.fixture
def watched(terminal, nacre_ssh, sshd):
    def start(*options):
        watcher = Watcher(sshd.port)
        command = nacre_ssh.command(sshd, '-tt', '-o', f'HostKeyAlias=[127.0.0.1]:{sshd.port}', *options)
        command[command.index('-p') + 1] = str(watcher.port)
        person = terminal(command + ["stty -echo; PS1='ready> '; export PS1; exec /bin/sh -i"])
        person.expect('ready> ')
        until(lambda: time.monotonic() - watcher.packets[-1][0] > 0.3, 'it does not become quiet')
        watcher.packets.clear()
        return watcher, person
    return start


def test_keystrokes_leave_on_a_beat(watched):
    watcher, person = watched('-o', 'ObscureKeystrokeTiming=interval:50')
    for pause in (0.013, 0.112, 0.037, 0.2, 0.061):
        person.type('x')
        time.sleep(pause)
    until(lambda: time.monotonic() - watcher.packets[-1][0] > 0.5, 'the chaff does not end')
    times, sizes = zip(*watcher.packets)
    # One size, and for a while after the last key.
    assert len(set(sizes)) == 1, watcher.packets
    assert 0.9 < times[-1] - times[0] < 5
    assert len(times) > 15
    gaps = sorted(after - before for before, after in zip(times, times[1:]))
    assert 0.03 < gaps[len(gaps) // 2] < 0.08, gaps
    person.type('\x15exit\r')
    person.wait()


def test_without_a_beat(watched):
    watcher, person = watched('-o', 'ObscureKeystrokeTiming=no')
    for _ in range(5):
        person.type('x')
        time.sleep(0.05)
    time.sleep(0.3)
    assert 1 <= len(watcher.packets) <= 5
    person.type('\x15exit\r')
    person.wait()


def test_no_beat_without_a_terminal(nacre_ssh, sshd):
    process = subprocess.Popen([*nacre_ssh.command(sshd, '-v', '-v', '-v'), 'cat'], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(b'x')
    process.stdin.flush()
    assert process.stdout.read(1) == b'x'
    _, said = process.communicate()
    assert b'obscure_keystroke_timing' not in said


# ChannelTimeout ---------------------------------------------------------------------------------------

def test_idle_session_is_closed(nacre_ssh, sshd):
    result = nacre_ssh.run(sshd, 'sleep 60', '-o', 'ChannelTimeout=session=1')
    assert result.returncode == 255 and b'closed for inactivity' in result.stderr


def test_idle_connection_is_closed(nacre_ssh, sshd, free_port):
    busy, idle = free_port(), free_port()
    with serving() as target, forwarding(
            nacre_ssh, sshd, '-L', f'{busy}:127.0.0.1:{target}', '-L', f'{idle}:127.0.0.1:{target}', '-o',
            'ChannelTimeout=direct-tcpip=2 session=1'), connect(busy) as one, connect(idle) as other:
        other.settimeout(0.3)
        begin, closed = time.monotonic(), None
        while time.monotonic() < begin + 4:
            one.sendall(b'x')
            assert one.recv(1) == b'x'
            with contextlib.suppress(TimeoutError):
                if other.recv(1) == b'':
                    closed = closed or time.monotonic() - begin
                    other.settimeout(PATIENCE)
                    break
        assert closed is not None and closed > 1.5


def test_global_timeout(nacre_ssh, sshd):
    begin = time.monotonic()
    result = nacre_ssh.run(sshd, 'for i in 1 2 3 4; do echo; sleep 0.5; done; sleep 60', '-o',
                           'ChannelTimeout=global=1')
    assert result.returncode == 255 and time.monotonic() - begin > 2


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
def test_killed_with_forwards_leaves_the_terminal_sane(terminal, nacre_ssh, sshd, free_port, workspace, number):
    path = os.path.join(workspace, 'socket')
    person = shell(terminal, nacre_ssh, sshd, '-L', f'{path}:127.0.0.1:1', '-D', str(free_port()))
    assert os.path.exists(path)
    person.process.send_signal(number)
    assert person.wait() == 255
    assert person.canonical() and not os.path.exists(path)
