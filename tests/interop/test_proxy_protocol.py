"""ProxyProtocol: a header from a proxy that is named there makes the client known, with Debian's
HAProxy and by hand; from anybody else it is garbage."""
import os
import re
import socket
import struct
import subprocess

import pytest

from conftest import PATIENCE, PORTS, Client, nacre, need, openssh, run, until

SSHD = nacre('sshd')
TRUST = 'ProxyProtocol 127.0.0.1 ::1\nLogLevel VERBOSE\n'
SIGNATURE = b'\r\n\r\n\0\r\nQUIT\n'
CLIENT = '192.0.2.77'


def line(source=CLIENT, port=4321):
    return f'PROXY TCP4 {source} 198.51.100.9 {port} 22\r\n'.encode()


def binary(source=CLIENT, port=4321, more=b''):
    family, kind = (socket.AF_INET6, 0x21) if ':' in source else (socket.AF_INET, 0x11)
    destination = '2001:db8::22' if ':' in source else '198.51.100.9'
    body = (socket.inet_pton(family, source) + socket.inet_pton(family, destination) +
            struct.pack('>HH', port, 22) + more)
    return SIGNATURE + bytes([0x21, kind]) + struct.pack('>H', len(body)) + body


LOCAL = SIGNATURE + b'\x20\0\0\0'


@pytest.fixture
def behind_proxy(servers):
    return servers.sshd(SSHD, TRUST)


def through(client, server, header):
    """Options that make an OpenSSH client send the header first, as a proxy would."""
    folder = os.path.dirname(server.log_path)
    path = os.path.join(folder, f'header-{abs(hash(header))}')
    with open(path, 'wb') as file:
        file.write(header)
    script = (f'import socket,sys,os,threading\n'
              f's=socket.create_connection(("127.0.0.1",{server.port}))\n'
              f's.sendall(open({path!r},"rb").read())\n'
              f'def up():\n'
              f'  while d:=os.read(0,65536): s.sendall(d)\n'
              f'  s.shutdown(1)\n'
              f'threading.Thread(target=up,daemon=True).start()\n'
              f'while d:=s.recv(65536): os.write(1,d)\n')
    with open(path + '.py', 'w') as file:
        file.write(script)
    return ['-o', f'ProxyCommand=/usr/bin/python3 {path}.py']


def first_bytes(server, data, patience=5):
    with socket.create_connection(('127.0.0.1', server.port), patience) as connection:
        connection.sendall(data)
        answer = b''
        try:
            while piece := connection.recv(65536):
                answer += piece
                if b'\n' in answer:
                    break
        except ConnectionResetError:
            pass
    return answer


@pytest.mark.parametrize('header, address', [
    (line(), CLIENT), (binary(), CLIENT), (binary(more=b'\x04\0\x03abc'), CLIENT),
    (binary('2001:db8::77'), '2001:db8::77'),
    (b'PROXY TCP6 2001:db8::77 2001:db8::22 4321 22\r\n', '2001:db8::77'),
    (binary('::ffff:192.0.2.77'), CLIENT),
], ids=['v1', 'v2', 'v2 with more', 'v2 IPv6', 'v1 IPv6', 'v2 mapped'])
def test_the_client_is_who_the_header_says(behind_proxy, openssh_ssh, header, address):
    result = openssh_ssh.run(behind_proxy, 'echo $SSH_CONNECTION',
                             *through(openssh_ssh, behind_proxy, header))
    assert result.returncode == 0, behind_proxy.log()
    connection = result.stdout.decode().split()
    assert connection[:2] == [address, '4321'] and connection[3] == '22'
    log = behind_proxy.log()
    assert f'Connection from {address} port 4321 on ' in log
    assert f'from {address} port 4321 ssh2: ED25519' in log


def test_a_health_check_leaves_the_proxy_there(behind_proxy, openssh_ssh):
    for header in (LOCAL, b'PROXY UNKNOWN\r\n'):
        result = openssh_ssh.run(behind_proxy, 'echo $SSH_CONNECTION',
                                 *through(openssh_ssh, behind_proxy, header))
        assert result.stdout.decode().startswith('127.0.0.1 ')
    socket.create_connection(('127.0.0.1', behind_proxy.port)).close()
    until(lambda: 'closed by proxy 127.0.0.1' in behind_proxy.log(), behind_proxy.log)


def test_in_pieces_with_the_client_behind_it(behind_proxy):
    text = line() + b'SSH-2.0-test\r\n'
    with socket.create_connection(('127.0.0.1', behind_proxy.port), PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in text:
            connection.sendall(bytes([byte]))
        assert connection.recv(8) == b'SSH-2.0-'
    until(lambda: f'by {CLIENT} port 4321' in behind_proxy.log(), behind_proxy.log)


@pytest.mark.parametrize('text, problem', [
    (b'SSH-2.0-client\r\n', 'does not begin with a PROXY header'),
    (b'PROXY TCP4 192.0.2.300 1.1.1.1 1 2\r\n', 'does not begin with a PROXY header'),
    (b'PROXY UDP4 192.0.2.3 1.1.1.1 1 2\r\n', 'not supported'),
    (SIGNATURE + b'\x21\x11\xff\xff', 'too long'),
    (b'PROXY TCP6 ' + b'f' * 200, 'too long'),
    (SIGNATURE + b'\x31\x11\0\0', 'not supported'),
])
def test_no_header_from_the_proxy_is_an_error(behind_proxy, text, problem):
    assert first_bytes(behind_proxy, text) == b''
    until(lambda: re.search(f'Connection from proxy 127.0.0.1 port .*{problem}',
                            behind_proxy.log()), behind_proxy.log)


@pytest.mark.parametrize('header', [line(), binary()], ids=['v1', 'v2'])
def test_a_header_from_elsewhere_is_garbage(servers, header):
    server = servers.sshd(SSHD, 'ProxyProtocol 192.0.2.0/24')
    answer = first_bytes(server, header + b'SSH-2.0-client\r\n')
    assert b'\n' not in answer.split(b'\r\n', 1)[-1].strip()
    until(lambda: 'banner exchange: Connection from 127.0.0.1' in server.log(), server.log)
    assert CLIENT not in re.sub('identifier.*', '', server.log())


def test_rules_are_for_the_client(servers, openssh_ssh):
    server = servers.sshd(SSHD, TRUST + 'Match Address 192.0.2.78\n  PubkeyAuthentication no\n')
    assert openssh_ssh.run(server, 'true', *through(openssh_ssh, server, line())).returncode == 0
    other = through(openssh_ssh, server, line('192.0.2.78'))
    assert openssh_ssh.run(server, 'true', *other).returncode == 255


def test_penalties_are_for_the_client(servers, openssh_ssh, account):
    server = servers.sshd(SSHD, TRUST + 'PerSourcePenalties authfail:60s min:1s\n')
    wrong = ['-o', 'PubkeyAuthentication=no', '-o', 'PreferredAuthentications=none']
    for _ in range(3):
        openssh_ssh.run(server, 'true', *wrong, '-l', 'nobody-of-that-name',
                        *through(openssh_ssh, server, line()))
    until(lambda: f'from [{CLIENT}]:4321' in server.log() or
          openssh_ssh.run(server, 'true', *through(openssh_ssh, server, line())).returncode,
          server.log)
    until(lambda: 'drop connection' in server.log() and f'[{CLIENT}]:4321' in server.log(),
          server.log)
    other = through(openssh_ssh, server, line('192.0.2.78'))
    assert openssh_ssh.run(server, 'true', *other).returncode == 0


def test_the_header_must_come_in_time(behind_proxy):
    with socket.create_connection(('127.0.0.1', behind_proxy.port), 25) as connection:
        connection.sendall(b'PROXY ')
        assert connection.recv(100) == b''
    assert 'no PROXY header within its time' in behind_proxy.log()


HAPROXY = '''
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen ssh
  bind 127.0.0.1:{front}
  server one 127.0.0.1:{back} {send} check inter 300
'''


@pytest.mark.parametrize('send', ['send-proxy', 'send-proxy-v2'])
def test_behind_haproxy(servers, openssh_ssh, send):
    need('haproxy')
    server, front = servers.sshd(SSHD, TRUST), PORTS.take()
    path = os.path.join(os.path.dirname(server.log_path), 'haproxy.cfg')
    with open(path, 'w') as file:
        file.write(HAPROXY.format(front=front, back=server.port, send=send))
    proxy = subprocess.Popen([openssh('haproxy'), '-db', '-f', path],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: socket.socket().connect_ex(('127.0.0.1', front)) == 0, 'HAProxy')
        # From an address of the loopback that is not the proxy's.
        command = openssh_ssh.command(server, '-o', 'BindAddress=127.0.0.5', '-o',
                                      f'HostKeyAlias=[127.0.0.1]:{server.port}')
        command[command.index('-p') + 1] = str(front)
        result = run([*command, 'echo $SSH_CONNECTION'])
        assert result.stdout.decode().split()[0] == '127.0.0.5', (result.stderr, server.log())
        assert result.stdout.decode().split()[3] == str(front)
    finally:
        proxy.kill()
        proxy.wait()
