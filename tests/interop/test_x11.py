"""X11 forwarding with a real X server, real X programs and OpenSSH's client; where it can be asked of
OpenSSH's server, too, it is."""
import os
import socket
import subprocess

import pytest

from conftest import PORTS, nacre, need, openssh_server, public_line, run, until


class Display:
    """An X server that listens at a Unix socket only, and the authority file of its user."""

    def __init__(self, folder):
        self.authority = os.path.join(folder, 'Xauthority')
        for number in range(40 + os.getpid() % 400, 1000):
            if self.start(number):
                return
        raise AssertionError('no X server can be started')

    def start(self, number):
        self.name = f':{number}'
        if os.path.exists(f'/tmp/.X11-unix/X{number}') or os.path.exists(f'/tmp/.X{number}-lock'):
            return False
        run(['xauth', '-f', self.authority, 'add', self.name, 'MIT-MAGIC-COOKIE-1',
             os.urandom(16).hex()], check=True)
        self.process = subprocess.Popen(
            ['Xvfb', self.name, '-screen', '0', '320x200x24', '-nolisten', 'tcp',
             # Without its last client it would forget cookies that it made itself.
             '-noreset', '-auth', self.authority],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: os.path.exists(f'/tmp/.X11-unix/X{number}') or self.process.poll() is not None,
              'the X server does not start')
        return self.process.poll() is None

    @property
    def environment(self):
        return {**os.environ, 'DISPLAY': self.name, 'XAUTHORITY': self.authority}

    def stop(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture(scope='module')
def display(tmp_path_factory):
    need('Xvfb', 'xauth', 'xdpyinfo', 'xclock')
    display = Display(str(tmp_path_factory.mktemp('x11')))
    yield display
    display.stop()


@pytest.fixture(params=['nacre', 'openssh'])
def program(request):
    return nacre('sshd') if request.param == 'nacre' else openssh_server()


def x11_server(servers, program, more=''):
    """Each its own range of displays, so that tests beside do not change the numbers."""
    offset = 100 + PORTS.take() % 800  # OpenSSH counts to 999
    return servers.sshd(program, f'X11Forwarding yes\nX11DisplayOffset {offset}\n{more}'), offset


@pytest.mark.parametrize('option', ['-X', '-Y'])
def test_x_programs_reach_the_user_s_display(servers, program, openssh_ssh, display, option):
    server, offset = x11_server(servers, program)
    result = openssh_ssh.run(server, 'echo $DISPLAY; xauth list | tail -1; xdpyinfo', option,
                             env=display.environment, check=True)
    lines = result.stdout.decode().split('\n')
    assert lines[0] == f'localhost:{offset}.0'
    assert f'unix:{offset}  MIT-MAGIC-COOKIE-1' in lines[1]
    assert 'dimensions:    320x200 pixels' in result.stdout.decode()
    server.stop()


def test_a_window_on_the_user_s_display(servers, openssh_ssh, display):
    server, _ = x11_server(servers, nacre('sshd'))
    command = openssh_ssh.command(server, '-Y')
    client = subprocess.Popen([*command, 'xclock -update 1'], env=display.environment)
    until(lambda: b'xclock' in run(['xwininfo', '-root', '-tree'], env=display.environment).stdout
          if not client.poll() else False, 'no window')
    client.kill()
    client.wait()
    until(lambda: b'xclock' not in run(['xwininfo', '-root', '-tree'], env=display.environment).stdout,
          'the window stays when the connection has ended')
    server.stop()


def test_each_session_has_a_display_of_its_own(servers, program, openssh_ssh, display):
    """And its number is free again when the session has ended."""
    server, offset = x11_server(servers, program)
    command = openssh_ssh.command(server, '-Y')
    first = subprocess.Popen([*command, 'echo $DISPLAY; cat'], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, env=display.environment)
    assert first.stdout.readline() == b'localhost:%d.0\n' % offset
    second = run([*command, 'echo $DISPLAY; xdpyinfo'], env=display.environment, check=True)
    assert second.stdout.startswith(b'localhost:%d.0\n' % (offset + 1))
    first.stdin.close()
    first.wait()
    third = run([*command, 'echo $DISPLAY'], env=display.environment, check=True)
    assert third.stdout == b'localhost:%d.0\n' % offset
    server.stop()


def listening(port):
    lines = run(['ss', '-Hltn', f'sport = :{port}']).stdout.decode().splitlines()
    return {line.split()[3].rsplit(':', 1)[0] for line in lines}


@pytest.mark.parametrize('localhost', ['yes', 'no'])
def test_where_the_display_listens(servers, openssh_ssh, display, localhost):
    need('ss')
    seen = {}
    for name, program in (('nacre', nacre('sshd')), ('openssh', openssh_server())):
        server, offset = x11_server(servers, program, f'X11UseLocalhost {localhost}')
        client = subprocess.Popen([*openssh_ssh.command(server, '-Y'), 'echo $DISPLAY; cat'],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=display.environment)
        host = client.stdout.readline().decode().split(':')[0]
        seen[name] = host, listening(6000 + offset)
        client.stdin.close()
        client.wait()
        server.stop()
    assert seen['nacre'] == seen['openssh']


def test_login_script_gets_the_cookie(servers, program, openssh_ssh, display, account):
    """In place of xauth, as sshd(8) describes it."""
    if not account.temporary:
        pytest.skip("writes ~/.ssh/rc: the home must be a test's own")
    server, _ = x11_server(servers, program)
    script = os.path.join(account.home, '.ssh', 'rc')
    with open(script, 'w') as file:
        file.write('read proto cookie; echo "$proto $cookie" >"$HOME/seen"\n')
    account.own(script)
    try:
        openssh_ssh.run(server, 'true', '-Y', env=display.environment, check=True)
        with open(os.path.join(account.home, 'seen')) as file:
            protocol, cookie = file.read().split()
        assert protocol == 'MIT-MAGIC-COOKIE-1' and len(bytes.fromhex(cookie)) == 16
    finally:
        os.unlink(script)
        server.stop()


@pytest.mark.parametrize('more, options', [
    ('X11Forwarding no', ''), ('DisableForwarding yes', ''), ('XAuthLocation /nonexistent', ''),
    ('', 'no-X11-forwarding'), ('', 'restrict'), ('', 'restrict,X11-forwarding')])
def test_forbidden(servers, program, openssh_ssh, display, user_keys, workspace, account, more, options):
    path = os.path.join(workspace, 'keys')
    with open(path, 'w') as file:
        file.write(f'{options} {public_line(user_keys["ed25519"])}\n')
    account.own(path)
    # The first value of a keyword is what counts.
    server = servers.sshd(program, f'{more}\nX11Forwarding yes', options=[
        '-o', f'AuthorizedKeysFile={path}'])
    result = openssh_ssh.run(server, 'echo "<$DISPLAY>"', '-Y', env=display.environment, check=True)
    assert (result.stdout == b'<>\n') == (options != 'restrict,X11-forwarding')
    if options != 'restrict,X11-forwarding':
        assert b'X11 forwarding request failed' in result.stderr
    server.stop()


def paramiko_client(server, account, user_keys):
    paramiko = pytest.importorskip('paramiko')
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect('127.0.0.1', server.port, account.name, allow_agent=False, look_for_keys=False,
                   pkey=paramiko.Ed25519Key.from_private_key_file(user_keys['ed25519']))
    return client


def test_a_cookie_that_would_be_a_command_is_refused(servers, account, user_keys):
    """xauth reads lines: nothing of the client's may begin one."""
    paramiko = pytest.importorskip('paramiko')
    server, _ = x11_server(servers, nacre('sshd'))
    with paramiko_client(server, account, user_keys) as client:
        for protocol, cookie in (('MIT-MAGIC-COOKIE-1', '00\nadd :0 x 00'), ('a b', '00'), ('', '00')):
            channel = client.get_transport().open_session()
            with pytest.raises(paramiko.SSHException):
                channel.request_x11(auth_protocol=protocol, auth_cookie=cookie)
        channel = client.get_transport().open_session()
        channel.request_x11(auth_cookie='00' * 16)
        channel.exec_command('echo $DISPLAY')
        assert b'localhost:' in channel.makefile().read()
    server.stop()


def test_single_connection(servers, account, user_keys):
    """A client may ask that one connection be the last."""
    need('ss')
    server, offset = x11_server(servers, nacre('sshd'))
    with paramiko_client(server, account, user_keys) as client:
        channel = client.get_transport().open_session()
        channel.request_x11(single_connection=True, auth_cookie='00' * 16,
                            handler=lambda opened, origin: opened.close())
        channel.exec_command('cat')
        assert listening(6000 + offset)
        with socket.create_connection(('127.0.0.1', 6000 + offset)) as sock:
            assert sock.recv(1) == b''
        until(lambda: not listening(6000 + offset), 'it listens on')
    server.stop()
