"""What ends when nothing happens: channels, connections without one, clients that do not answer. The
same is asked of OpenSSH's server where its version has it."""
import contextlib
import os
import signal
import socket
import subprocess
import time

import pytest

from conftest import PATIENCE, PORTS, nacre, need, openssh, openssh_server, run, until
from test_forwarding import Echo, connect, forwarding, serving


@pytest.fixture(params=['nacre', 'openssh'])
def program(request):
    return nacre('sshd') if request.param == 'nacre' else openssh_server()


@contextlib.contextmanager
def server_with(servers, program, more):
    server = servers.sshd(program, more)
    yield server
    server.stop()


def seconds_until_end(process):
    start = time.monotonic()
    process.wait(PATIENCE)
    return time.monotonic() - start


@pytest.mark.parametrize('more, command, ends', [
    ('session:command=1s', 'sleep 30', True),
    ('session:*=1s', 'sleep 30', True),
    ('session:shell=1s', 'sleep 4', False),
    ('session:command=3s', 'for i in 1 2 3 4 5 6 7 8 9 10; do echo; sleep 0.5; done', False),
    ('direct-tcpip=1s', 'sleep 3', False),
])
def test_sessions(servers, program, openssh_ssh, more, command, ends):
    with server_with(servers, program, f'ChannelTimeout {more}') as server:
        start = time.monotonic()
        result = openssh_ssh.run(server, f'{command}; echo done')
        assert (b'done' not in result.stdout) == ends
        assert not ends or time.monotonic() - start < 20


@pytest.mark.parametrize('more', ['session=1s', 'global=1s'])
def test_sessions_of_all_kinds(servers, openssh_ssh, more):
    """As newer versions of OpenSSH name them."""
    with server_with(servers, nacre('sshd'), f'ChannelTimeout {more}') as server:
        assert b'done' not in openssh_ssh.run(server, 'sleep 30; echo done').stdout


def test_wildcards_do_not_mean_all_channels_together(servers, openssh_ssh):
    with server_with(servers, nacre('sshd'), 'ChannelTimeout g*=1s') as server:
        assert b'done' in openssh_ssh.run(server, 'sleep 3; echo done').stdout


@pytest.mark.parametrize('direction', ['L', 'R'])
def test_forwarded_connections(servers, program, openssh_ssh, free_port, direction):
    """Idle ones end, those in use stay, and the next one is let in."""
    kind, port = {'L': 'direct-tcpip', 'R': 'forwarded-tcpip'}[direction], free_port()
    with server_with(servers, program, f'ChannelTimeout {kind}=2s') as server, \
            serving(Echo) as target, \
            forwarding(openssh_ssh, server, f'-{direction}', f'{port}:127.0.0.1:{target}'):
        until(lambda: connects(port), 'it is not forwarded')
        idle, busy = connect(port), connect(port)
        for _ in range(8):
            busy.sendall(b'x')
            assert busy.recv(1) == b'x'
            time.sleep(0.5)
        assert idle.recv(1) == b''
        busy.sendall(b'y')
        assert busy.recv(1) == b'y'
        with connect(port) as again:
            again.sendall(b'z')
            assert again.recv(1) == b'z'
        idle.close()
        busy.close()


def connects(port):
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


# In a session: a connection to the agent or display, on which something goes on, or nothing does.
TALK = '''
import os, socket, struct, subprocess, sys, time
kind, busy = sys.argv[1], sys.argv[2] == "busy"
if kind == "agent":
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(os.environ["SSH_AUTH_SOCK"])
else:
    number = os.environ["DISPLAY"].split(":")[1].split(".")[0]
    peer = socket.create_connection(("127.0.0.1", 6000 + int(number)))
    cookie = bytes.fromhex(subprocess.check_output(["xauth", "list", ":" + number]).decode().split()[2])
    peer.sendall(struct.pack("<cxHHHHxx20s16s", b"l", 11, 0, 18, 16, b"MIT-MAGIC-COOKIE-1", cookie))
start = time.monotonic()
for _ in range(8 if busy else 0):
    peer.sendall(bytes([0, 0, 0, 1, 11]))
    assert peer.recv(4096)
    time.sleep(0.5)
print(peer.recv(1), time.monotonic() - start)
'''


@contextlib.contextmanager
def an_agent(tmp_path):
    path = str(tmp_path / 'agent')
    process = subprocess.Popen([openssh('ssh-agent'), '-D', '-a', path], stdout=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(path), 'no agent')
        yield path
    finally:
        process.kill()
        process.wait()


def ended_after(result):
    """The seconds after which the server closed the connection of TALK."""
    data, seconds = result.stdout.decode().split()
    assert data == "b''"
    return float(seconds)


@pytest.mark.parametrize('use, shortest', [('idle', 0.9), ('busy', 4.2)])
def test_agent_connections(servers, program, openssh_ssh, tmp_path, use, shortest):
    with server_with(servers, program, 'ChannelTimeout agent-connection=2s') as server, \
            an_agent(tmp_path) as path:
        command = [word if word != 'IdentityAgent=none' else f'IdentityAgent={path}'
                   for word in openssh_ssh.command(server, '-A')]
        result = run([*command, f"python3 -c '{TALK}' agent {use}"],
                     env={**os.environ, 'SSH_AUTH_SOCK': path}, check=True)
        assert shortest < ended_after(result) < 20


def test_x11_connections(servers, program, openssh_ssh, free_port):
    """The client only connects to the display: something that listens there is enough."""
    need('xauth')
    port = next(port for port in iter(free_port, None) if port > 6000)
    more = f'X11Forwarding yes\nX11DisplayOffset {100 + PORTS.take() % 800}\n'
    with server_with(servers, program, f'{more}ChannelTimeout x11-connection=2s') as server, \
            socket.create_server(('127.0.0.1', port)):
        result = openssh_ssh.run(server, f"python3 -c '{TALK}' x11 idle", '-Y', check=True,
                                 env={**os.environ, 'DISPLAY': f'127.0.0.1:{port - 6000}'})
        assert 0.9 < ended_after(result) < 20


def test_unused_connection(servers, program, openssh_ssh):
    with server_with(servers, program, 'UnusedConnectionTimeout 2s') as server:
        process = subprocess.Popen(openssh_ssh.command(server, '-N'), stdin=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        try:
            assert seconds_until_end(process) > 1
            assert 'terminating inactive connection' in server.log()
        finally:
            process.kill()
            process.communicate()
        # A connection with a channel stays, one that only listens does not.
        assert openssh_ssh.run(server, 'sleep 4; echo done').stdout == b'done\n'
        listening = subprocess.Popen(
            openssh_ssh.command(server, '-N', '-R', f'{PORTS.take()}:127.0.0.1:1'),
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            seconds_until_end(listening)
        finally:
            listening.kill()
            listening.wait()


def test_client_that_does_not_answer(servers, program, openssh_ssh):
    with server_with(servers, program, 'ClientAliveInterval 1\nClientAliveCountMax 2') as server:
        process = subprocess.Popen([*openssh_ssh.command(server), 'sleep 40'],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(lambda: 'Starting session' in server.log() or 'User child' in server.log(),
                  server.log)
            time.sleep(4)
            assert process.poll() is None, 'a client that answers is let go'
            os.kill(process.pid, signal.SIGSTOP)
            until(lambda: 'Timeout, client not responding' in server.log(), server.log)
        finally:
            process.kill()
            process.wait()


def test_connections_keep_alive_below(servers, openssh_ssh):
    """TCPKeepAlive, as the kernel shows it."""
    for value in ('yes', 'no'):
        with server_with(servers, nacre('sshd'), f'TCPKeepAlive {value}') as server:
            process = subprocess.Popen([*openssh_ssh.command(server), 'echo; cat'],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert process.stdout.readline() == b'\n'
            sockets = run(['ss', '-Htno', 'state', 'established', f'sport = :{server.port}'])
            assert (b'keepalive' in sockets.stdout) == (value == 'yes'), sockets.stdout
            process.stdin.close()
            process.wait()
