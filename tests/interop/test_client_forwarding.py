"""Forwarded connections of our ssh: -L, -R, -D and their keywords, through our server and OpenSSH's.
What ssh prints and how it exits is compared with OpenSSH's ssh.

NACRE_CONNECTIONS says how many connections go through one after another (10,000 are promised)."""
import contextlib
import os
import socket
import stat
import struct
import subprocess
import threading
import time

import pytest

from conftest import PATIENCE, nacre, need, openssh_server, run, until
from test_forwarding import (DATA, AnswersAfterTheEnd, Forwarding, Resets, bound_addresses, cached,
                             connect, connect_path, exchange, forwarding, has_ipv6, listens, serving)

CONNECTIONS = int(os.environ.get('NACRE_CONNECTIONS', '300'))
AT_ONCE = int(os.environ.get('NACRE_CONNECTIONS_AT_ONCE', '200'))


@pytest.fixture(params=['nacre', 'openssh'])
def sshd(request, servers):
    return cached(servers, nacre('sshd') if request.param == 'nacre' else openssh_server(), '')


@pytest.fixture
def our_sshd(servers):
    return cached(servers, nacre('sshd'), '')


@contextlib.contextmanager
def listening(*addresses):
    """Sockets in the way."""
    with contextlib.ExitStack() as stack:
        for host, port in addresses:
            sock = stack.enter_context(socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET))
            if ':' in host:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((host, port))
            sock.listen()
        yield


def loopback(port):
    return [('127.0.0.1', port)] + ([('::1', port)] if has_ipv6() else [])


# -L and -R ----------------------------------------------------------------------------------------

@pytest.mark.parametrize('listen', ['port', 'path'])
@pytest.mark.parametrize('target', ['port', 'path'])
@pytest.mark.parametrize('option', ['-L', '-R'])
def test_sockets_on_every_side(nacre_ssh, sshd, free_port, workspace, option, listen, target):
    place = str(free_port()) if listen == 'port' else os.path.join(workspace, 'listen')
    path = os.path.join(workspace, 'target') if target == 'path' else None
    with serving(path=path) as reached, \
            forwarding(nacre_ssh, sshd, option,
                       f'{place}:{reached if path else f"127.0.0.1:{reached}"}') as client:
        until(lambda: os.path.exists(place) if listen == 'path' else listens(int(place)), client.said)
        for _ in range(3):
            sock = connect(int(place)) if listen == 'port' else connect_path(place)
            assert exchange(sock, DATA) == DATA
    if option == '-L':
        assert not os.path.exists(place)


def test_keywords(nacre_ssh, sshd, free_port, workspace):
    local, remote, path = free_port(), free_port(), os.path.join(workspace, 'socket')
    with serving() as target, forwarding(
            nacre_ssh, sshd, '-o', f'LocalForward {local} 127.0.0.1:{target}',
            '-o', f'RemoteForward {remote} 127.0.0.1:{target}', '-o', 'StreamLocalBindMask 0111',
            '-o', f'LocalForward {path} 127.0.0.1:{target}') as client:
        until(lambda: client.answers(), client.said)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o666
        for sock in (connect(local), connect(remote), connect_path(path)):
            assert exchange(sock, DATA) == DATA
    with forwarding(nacre_ssh, sshd, '-o', f'LocalForward {local} 127.0.0.1:1', '-o',
                    'ClearAllForwardings yes'):
        assert not listens(local)


def test_socket_in_the_way(nacre_ssh, sshd, workspace):
    path = os.path.join(workspace, 'socket')
    with socket.socket(socket.AF_UNIX) as before:
        before.bind(path)
    with forwarding(nacre_ssh, sshd, '-L', f'{path}:127.0.0.1:1') as client:
        client.until_said(f'unix_listener: cannot bind to path {path}: Address already in use')
    with serving() as target, forwarding(nacre_ssh, sshd, '-L', f'{path}:127.0.0.1:{target}', '-o',
                                         'StreamLocalBindUnlink yes'):
        assert exchange(connect_path(path), DATA) == DATA


def test_both_halves(nacre_ssh, sshd, free_port):
    local, remote = free_port(), free_port()
    with serving(AnswersAfterTheEnd) as target, forwarding(
            nacre_ssh, sshd, '-L', f'{local}:127.0.0.1:{target}', '-R',
            f'{remote}:127.0.0.1:{target}') as client:
        until(lambda: client.answers(), client.said)
        assert exchange(connect(local), DATA) == DATA[::-1]
        assert exchange(connect(remote), DATA) == DATA[::-1]


def test_reset(nacre_ssh, sshd, free_port):
    local, remote = free_port(), free_port()
    with serving(Resets) as target, forwarding(
            nacre_ssh, sshd, '-L', f'{local}:127.0.0.1:{target}', '-R',
            f'{remote}:127.0.0.1:{target}') as client:
        until(lambda: client.answers(), client.said)
        for port in (local, remote):
            with connect(port) as sock, contextlib.suppress(ConnectionResetError):
                sock.sendall(b'x')
                assert sock.recv(10) == b''


@pytest.mark.parametrize('option', ['-L', '-R', '-D'])
def test_slow_reader_holds_up_nobody(nacre_ssh, sshd, free_port, option):
    port = free_port()
    with serving() as target, forwarding(
            nacre_ssh, sshd, option,
            str(port) if option == '-D' else f'{port}:127.0.0.1:{target}') as client:
        until(lambda: listens(port), client.said)

        def opened():
            sock = connect(port)
            if option == '-D':
                socks5(sock, '127.0.0.1', target)
            return sock
        slow = opened()
        slow.setblocking(False)
        sent, idle = 0, 0
        while idle < 20:
            try:
                sent += slow.send(DATA)
                idle = 0
            except BlockingIOError:
                idle += 1
                time.sleep(0.01)
        for _ in range(3):
            assert exchange(opened(), DATA) == DATA
        slow.setblocking(True)
        slow.shutdown(socket.SHUT_WR)
        received = 0
        while some := slow.recv(1 << 20):
            received += len(some)
        assert received == sent
        slow.close()


def test_port_that_the_server_chooses(nacre_ssh, sshd):
    with serving() as target, forwarding(nacre_ssh, sshd, '-R', f'0:127.0.0.1:{target}') as client:
        client.until_said('Allocated port ')
        port = int(client.said().split('Allocated port ')[1].split()[0])
        assert f'Allocated port {port} for remote forward to 127.0.0.1:{target}' in client.said()
        assert exchange(connect(port), DATA) == DATA


def test_a_command_finds_its_forwards(nacre_ssh, sshd, free_port):
    """Those of the server are there before it runs, also when the login is known to succeed."""
    for _ in range(3):
        port = free_port()
        with serving(Says) as target:
            result = nacre_ssh.run(sshd, f'python3 -c \'import socket; print(socket.create_connection('
                                         f'("127.0.0.1", {port})).recv(9))\'', '-R',
                                   f'{port}:127.0.0.1:{target}')
        assert result.stdout == b"b'hello'\n", result.stderr


class Says(AnswersAfterTheEnd):
    def handle(self):
        self.request.sendall(b'hello')


def test_session_waits_for_its_connections(nacre_ssh, sshd, free_port):
    port = free_port()
    with serving() as target:
        process = subprocess.Popen(
            [*nacre_ssh.command(sshd, '-L', f'{port}:127.0.0.1:{target}'), 'echo up; read x; exit 3'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b'up\n'
        with connect(port) as sock:
            sock.sendall(b'x')
            assert sock.recv(1) == b'x'
            process.stdin.close()
            assert process.stdout.read() == b''
            sock.sendall(b'y')
            assert sock.recv(1) == b'y' and process.poll() is None
        assert process.wait(PATIENCE) == 3
        process.stdout.close()


def test_in_the_background(nacre_ssh, sshd, free_port):
    port = free_port()
    with serving() as target:
        run(nacre_ssh.command(sshd, '-f', '-N', '-o', 'ExitOnForwardFailure=yes', '-L',
                              f'{port}:127.0.0.1:{target}', '-R', '0:127.0.0.1:1'), check=True)
        assert exchange(connect(port), DATA) == DATA
        pids = run(['pgrep', '-f', f'{port}:127.0.0.1:{target}']).stdout.split()
        for pid in pids:
            os.kill(int(pid), 15)
        assert len(pids) == 1
    until(lambda: not listens(port), 'it listens on')


# The same as OpenSSH ------------------------------------------------------------------------------

HOSTS = [None, '', '*', 'localhost', '127.0.0.1', '0.0.0.0', '[::]', '[::1]']


@pytest.mark.parametrize('more', [[], ['-g'], ['-4'], ['-o', 'GatewayPorts=yes', '-6']])
def test_where_it_listens(nacre_ssh, openssh_ssh, our_sshd, free_port, more):
    need('ss')
    found = []
    more = [option for option in more if not (option == '-6')] + (
        ['-o', 'AddressFamily=any'] if '-6' in more else [])
    for client in (nacre_ssh, openssh_ssh):
        options, ports = list(more), {host: free_port() for host in HOSTS}
        if '-4' in more:
            ports = {host: port for host, port in ports.items() if not (host or '').startswith('[')}
        for host, port in ports.items():
            options += ['-L', f'{"" if host is None else host + ":"}{port}:127.0.0.1:1']
        with forwarding(client, our_sshd, *options):
            found.append({host: bound_addresses(port) for host, port in ports.items()})
    assert found[0] == found[1]


def said_by(client, server, *options):
    """What an ssh -N says within a moment, and its status if it has ended by itself."""
    with subprocess.Popen(client.command(server, '-N', *options), stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.5)
        status = process.poll()
        process.terminate()
        return status, [line for line in process.stderr.read().decode().replace('\r', '').splitlines()
                        if not line.startswith('Killed by')]


@pytest.mark.parametrize('options', [
    ['-L', '{taken}:localhost:1'], ['-D', '{taken}'], ['-R', '{taken}:localhost:1'],
    ['-L', '127.0.0.1:{taken}:localhost:1', '-o', 'ExitOnForwardFailure=yes'],
    ['-R', '{taken}:localhost:1', '-o', 'ExitOnForwardFailure=yes'],
    ['-R', '/nonexistent/x:localhost:1'], ['-L', '/nonexistent/x:localhost:1'],
    ['-R', '/nonexistent/x:localhost:1', '-o', 'ExitOnForwardFailure=yes']])
def test_failures_are_told_as_openssh_tells_them(nacre_ssh, openssh_ssh, our_sshd, free_port, options):
    taken = free_port()
    with listening(*loopback(taken)):
        options = [option.format(taken=taken) for option in options]
        assert said_by(nacre_ssh, our_sshd, *options) == said_by(openssh_ssh, our_sshd, *options)


@pytest.mark.parametrize('options', [
    ['-L', '80000:localhost:22'], ['-L', '1:2'], ['-L', 'x'], ['-L', '1:[::1:2'], ['-D', 'x'],
    ['-D', '1:2:3'], ['-R', 'x:y'], ['-R', '1:2:3:4:5'], ['-W', 'x'], ['-o', 'LocalForward=1'],
    ['-o', 'PermitRemoteOpen=x']])
def test_specifications_that_are_none(nacre_ssh, openssh_ssh, options):
    ours, theirs = (run([client.program, '-F', 'none', *options, 'host'])
                    for client in (nacre_ssh, openssh_ssh))
    assert ours.returncode == theirs.returncode == 255
    if options[0] != '-o':
        assert ours.stderr == theirs.stderr.replace(b'\r', b'')


def test_connections_that_fail_are_told(nacre_ssh, sshd, free_port):
    local, remote = free_port(), free_port()
    with forwarding(nacre_ssh, sshd, '-L', f'{local}:127.0.0.1:1', '-R',
                    f'{remote}:127.0.0.1:1') as client:
        until(lambda: client.answers(), client.said)
        assert exchange(connect(local), b'') == exchange(connect(remote), b'') == b''
        client.until_said('open failed: connect failed: Connection refused')
        client.until_said('connect_to 127.0.0.1 port 1: failed.')


# SOCKS --------------------------------------------------------------------------------------------

def read_exactly(sock, length):
    data = b''
    while len(data) < length and (some := sock.recv(length - len(data))):
        data += some
    return data


def socks5(sock, host, port, name=False):
    """Asks for a connection; the server's code."""
    sock.sendall(b'\5\2\1\0')
    assert read_exactly(sock, 2) == b'\5\0'
    if name:
        address = b'\3' + bytes([len(host)]) + host.encode()
    elif ':' in host:
        address = b'\4' + socket.inet_pton(socket.AF_INET6, host)
    else:
        address = b'\1' + socket.inet_aton(host)
    sock.sendall(b'\5\1\0' + address + struct.pack('>H', port))
    answer = read_exactly(sock, 10)
    return answer[1] if answer else None


def socks4(sock, host, port, name=False):
    request = b'\4\1' + struct.pack('>H', port)
    request += b'\0\0\0\1me\0' + host.encode() + b'\0' if name else socket.inet_aton(host) + b'\0'
    sock.sendall(request)
    answer = read_exactly(sock, 8)
    return answer[1] - 90 if answer else None


@pytest.mark.parametrize('option', ['-D', '-R'])
@pytest.mark.parametrize('protocol, host, name', [
    (socks5, '127.0.0.1', False), (socks5, 'localhost', True), (socks4, '127.0.0.1', False),
    (socks4, 'localhost', True)])
def test_socks(nacre_ssh, sshd, free_port, option, protocol, host, name):
    port = free_port()
    with serving() as target, forwarding(nacre_ssh, sshd, option, str(port)) as client:
        until(lambda: listens(port), client.said)
        for _ in range(3):
            sock = connect(port)
            assert protocol(sock, host, target, name) == 0
            assert exchange(sock, DATA) == DATA
        with connect(port) as sock:
            assert protocol(sock, host, 1, name) == 1
            assert sock.recv(1) == b''


def test_socks_data_behind_the_request_and_bytes_one_by_one(nacre_ssh, sshd, free_port):
    local, remote = free_port(), free_port()
    with serving() as target, forwarding(nacre_ssh, sshd, '-D', str(local), '-R', str(remote)) as client:
        until(lambda: client.answers(), client.said)
        request = b'\5\1\0' + b'\5\1\0\1\x7f\0\0\1' + struct.pack('>H', target)
        for port in (local, remote):
            sock = connect(port)
            assert exchange(sock, request + DATA) == b'\5\0' + b'\5\0\0\1' + bytes(6) + DATA
            sock = connect(port)
            for byte in request:
                sock.sendall(bytes([byte]))
                time.sleep(0.001)
            assert read_exactly(sock, 12)[:4] == b'\5\0\5\0'
            assert exchange(sock, DATA) == DATA


@pytest.mark.parametrize('words, answer', [
    (b'GET / HTTP/1.0\r\n\r\n', b''), (b'\5\1\2', b'\5\xff'), (b'\5\0', b'\5\xff'),
    (b'\5\1\0\5\2\0\1\0\0\0\0\0\0', b'\5\0\5\7'), (b'\5\1\0\5\1\0\x09\0\0\0\0\0\0', b'\5\0\5\x08'),
    (b'\4\2\0\1\x7f\0\0\1\0', b'\0\x5b'), (b'\4\1\0\1\0\0\0\1\0\0', b'\0\x5b'),
    (b'\4\1\0\1\x7f\0\0\1' + b'x' * 300, b''), (b'\5\1\0\5\1\0\3\0\0\1', b'\5\0\5\1')])
def test_socks_that_is_none(nacre_ssh, our_sshd, free_port, words, answer):
    port = free_port()
    with forwarding(nacre_ssh, our_sshd, '-D', str(port)), connect(port) as sock:
        sock.sendall(words)
        received = b''
        with contextlib.suppress(ConnectionResetError):
            while some := sock.recv(100):
                received += some
        assert received[:len(answer)] == answer and (received == b'' or answer != b'')


@pytest.mark.parametrize('permitted', ['{open}', '127.0.0.1:*', '*:{port}', '127.0.0.1:1', 'none', 'any'])
def test_permit_remote_open(nacre_ssh, our_sshd, free_port, permitted):
    port = free_port()
    with serving() as target, forwarding(
            nacre_ssh, our_sshd, '-R', str(port), '-o', 'PermitRemoteOpen=' + permitted.format(
                open=f'127.0.0.1:{target}', port=target)) as client:
        until(lambda: listens(port), client.said)
        with connect(port) as sock:
            assert socks5(sock, '127.0.0.1', target) == (2 if permitted in ('127.0.0.1:1', 'none') else 0)


def test_curl_through_socks(nacre_ssh, our_sshd, free_port, tmp_path):
    need('curl')
    port, web = free_port(), free_port()
    (tmp_path / 'page').write_bytes(DATA)
    server = subprocess.Popen(['python3', '-m', 'http.server', '-b', '127.0.0.1', str(web)], cwd=tmp_path,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: listens(web), 'no web server')
        with forwarding(nacre_ssh, our_sshd, '-D', str(port)):
            for scheme in ('socks4', 'socks4a', 'socks5', 'socks5h'):
                assert run(['curl', '-s', '--noproxy', '', '-x', f'{scheme}://127.0.0.1:{port}',
                            f'http://127.0.0.1:{web}/page'], check=True).stdout == DATA
    finally:
        server.terminate()
        server.wait()


# Many ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize('option', ['-L', '-D', '-R'])
def test_one_after_another(nacre_ssh, our_sshd, free_port, option):
    port = free_port()
    with serving() as target, forwarding(
            nacre_ssh, our_sshd, option,
            str(port) if option == '-D' else f'{port}:127.0.0.1:{target}') as client:
        until(lambda: listens(port), client.said)
        for number in range(CONNECTIONS):
            with connect(port) as sock:
                if option == '-D':
                    assert socks5(sock, '127.0.0.1', target) == 0
                message = b'%d' % number
                sock.sendall(message)
                sock.shutdown(socket.SHUT_WR)
                assert read_exactly(sock, 100) == message


@pytest.mark.parametrize('option', ['-L', '-D', '-R'])
def test_many_at_once(nacre_ssh, our_sshd, free_port, option):
    port = free_port()
    with serving() as target, forwarding(
            nacre_ssh, our_sshd, option,
            str(port) if option == '-D' else f'{port}:127.0.0.1:{target}') as client:
        until(lambda: listens(port), client.said)
        with contextlib.ExitStack() as stack:
            socks = [stack.enter_context(connect(port)) for _ in range(AT_ONCE)]
            if option == '-D':
                for sock in socks:
                    assert socks5(sock, '127.0.0.1', target) == 0
            for number, sock in enumerate(socks):
                sock.sendall(b'%4d' % number)
            for number, sock in enumerate(socks):
                assert read_exactly(sock, 4) == b'%4d' % number


# Agents -------------------------------------------------------------------------------------------

@pytest.mark.parametrize('value', ['path', 'variable', 'yes', 'no', 'nobody'])
def test_forward_agent(nacre_ssh, sshd, user_keys, tmp_path, value):
    """A path, a $VARIABLE, or the agent that is in use."""
    path = str(tmp_path / 'agent')
    environment = {**os.environ, 'SSH_AUTH_SOCK': path if value == 'yes' else '/nonexistent',
                   'OTHER_AGENT': path}
    word = {'path': path, 'variable': '$OTHER_AGENT', 'nobody': str(tmp_path / 'nobody')}.get(value, value)
    agent = subprocess.Popen(['ssh-agent', '-D', '-a', path], stdout=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(path), 'no agent')
        run(['ssh-add', '-q', user_keys['rsa']], env={**os.environ, 'SSH_AUTH_SOCK': path}, check=True)
        command = nacre_ssh.command(sshd, '-o', f'ForwardAgent={word}')
        command[command.index('IdentityAgent=none')] = 'IdentityAgent=SSH_AUTH_SOCK'
        result = run([*command, 'ssh-add -l'], env=environment)
        assert (b'RSA' in result.stdout) == (value in ('path', 'variable', 'yes')), result.stderr
    finally:
        agent.terminate()
        agent.wait()
