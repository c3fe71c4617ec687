"""X11 forwarding of our ssh, with a real X server and real X programs, through our sshd and OpenSSH's."""
import struct
import subprocess

import pytest

from conftest import nacre, need, run, until
from test_x11 import display, program, x11_server  # noqa: F401 (fixtures)

pytestmark = pytest.mark.usefixtures('display')
PROTOCOL = b'MIT-MAGIC-COOKIE-1'


@pytest.mark.parametrize('option', ['-X', '-Y', '-oForwardX11=yes'])
def test_x_programs_reach_the_display(servers, program, nacre_ssh, display, option):
    server, offset = x11_server(servers, program)
    result = nacre_ssh.run(server, 'echo $DISPLAY; xauth list | tail -1; xdpyinfo', option,
                           env=display.environment, check=True)
    lines = result.stdout.decode().split('\n')
    assert lines[0] == f'localhost:{offset}.0'
    assert f'unix:{offset}  MIT-MAGIC-COOKIE-1' in lines[1]
    assert 'dimensions:    320x200 pixels' in result.stdout.decode()
    # The server never sees the display's own cookie.
    own = run(['xauth', '-f', display.authority, 'list']).stdout.decode().split()[2]
    assert own not in result.stdout.decode()
    server.stop()


def test_a_window(servers, program, nacre_ssh, display):
    server, _ = x11_server(servers, program)
    client = subprocess.Popen([*nacre_ssh.command(server, '-Y'), 'xclock -update 1'],
                              env=display.environment)

    def tree():
        return run(['xwininfo', '-root', '-tree'], env=display.environment).stdout
    until(lambda: b'xclock' in tree() or client.poll(), 'no window')
    client.kill()
    client.wait()
    until(lambda: b'xclock' not in tree(), 'the window stays when the connection has ended')
    server.stop()


def test_not_forwarded(servers, nacre_ssh, openssh_ssh, display):
    """Without a display, with one that is none, with -x, or when the server does not want to."""
    server, _ = x11_server(servers, nacre('sshd'))
    nowhere = {name: value for name, value in display.environment.items() if name != 'DISPLAY'}
    ours, theirs = (client.run(server, 'echo "<$DISPLAY>"', '-X', env=nowhere)
                    for client in (nacre_ssh, openssh_ssh))
    assert (ours.stdout, ours.stderr) == (theirs.stdout, theirs.stderr) == (b'<>\n', b'')
    for name in ('a b:0', ':x', 'nothing', '-h:0', ':99999999'):
        ours = nacre_ssh.run(server, 'echo "<$DISPLAY>"', '-X', env={**display.environment, 'DISPLAY': name})
        assert (ours.returncode, ours.stdout) == (0, b'<>\n')
        assert f'DISPLAY "{name}" invalid'.encode() in ours.stderr
    assert nacre_ssh.run(server, 'echo "<$DISPLAY>"', '-x', '-X', env=display.environment).stdout == b'<>\n'
    server.stop()
    server = servers.sshd(nacre('sshd'), 'X11Forwarding no')
    ours, theirs = (client.run(server, 'echo "<$DISPLAY>"', '-X', env=display.environment)
                    for client in (nacre_ssh, openssh_ssh))
    assert ours.stderr.replace(b'\r', b'') == theirs.stderr.replace(b'\r', b'') == \
        b'X11 forwarding request failed on channel 0\n'
    server.stop()


def test_without_a_cookie(servers, nacre_ssh, openssh_ssh, display, tmp_path):
    server, _ = x11_server(servers, nacre('sshd'))
    environment = {**display.environment, 'XAUTHORITY': str(tmp_path / 'none')}
    ours, theirs = (client.run(server, 'xauth list | wc -l', '-Y', env=environment)
                    for client in (nacre_ssh, openssh_ssh))
    assert ours.stderr.replace(b'\r', b'') == theirs.stderr.replace(b'\r', b'') and b'No xauth data' in ours.stderr
    assert ours.stdout != b'0\n'
    server.stop()


def test_untrusted(servers, nacre_ssh, display):
    """xauth makes a cookie of its own; programs may ask the display less."""
    server, _ = x11_server(servers, nacre('sshd'))
    options = ['-X', '-o', 'ForwardX11Trusted=no']
    result = nacre_ssh.run(server, 'xdpyinfo | grep dimensions', *options, env=display.environment)
    if b'xauth key data not generated' in result.stderr:
        pytest.skip('this X server has no SECURITY extension')
    assert b'320x200' in result.stdout
    server.stop()


def test_after_the_timeout(servers, nacre_ssh, display):
    server, _ = x11_server(servers, nacre('sshd'))
    options = ['-v', '-X', '-o', 'ForwardX11Trusted=no', '-o', 'ForwardX11Timeout=2']
    result = nacre_ssh.run(server, 'xdpyinfo | grep -c dimensions; sleep 3; xdpyinfo | grep -c dimensions',
                           *options, env=display.environment)
    if b'xauth key data not generated' in result.stderr:
        pytest.skip('this X server has no SECURITY extension')
    assert result.stdout == b'1\n0\n', result.stderr
    assert b'Rejected X11 connection after ForwardX11Timeout expired' in result.stderr
    server.stop()


SENDER = """
import os, socket, sys
host, rest = os.environ['DISPLAY'].split(':')
sock = socket.create_connection((host, 6000 + int(rest.split('.')[0])))
sock.sendall(bytes.fromhex(sys.argv[1].replace('COOKIE', os.popen('xauth list $DISPLAY').read().split()[2])))
sock.shutdown(socket.SHUT_WR)
print(sock.recv(8)[:1].hex())
"""


def setup_message(cookie, protocol=PROTOCOL, order='l'):
    number = '<' if order == 'l' else '>'
    head = order.encode() + b'\0' + struct.pack(number + 'HHHH', 11, 0, len(protocol), 16) + b'\0\0'
    return (head + protocol + bytes(-len(protocol) % 4)).hex() + cookie


@pytest.mark.parametrize('message, welcome', [
    (setup_message('COOKIE'), True), (setup_message('COOKIE', order='B'), True),
    (setup_message('00' * 16), False), (setup_message('COOKIE', b'XDM-AUTHORIZATION1'), False),
    ('6c', False), ('ff' * 40, False), ('6c000b00000000000000ffff', False), (setup_message('00'), False)])
def test_only_the_cookie_opens_the_display(servers, nacre_ssh, display, tmp_path, message, welcome):
    """As somebody on the server sends it who does not go through xauth."""
    server, _ = x11_server(servers, nacre('sshd'))
    script = "python3 -c '" + SENDER.replace("'", '"') + "' " + message
    result = nacre_ssh.run(server, script, '-Y', env=display.environment)
    assert result.stdout == (b'01\n' if welcome else b'\n'), result.stderr
    if not welcome:
        assert b'X11 connection rejected because of wrong authentication.' in result.stderr
    server.stop()
