"""Forwarded connections through our server, with OpenSSH's client: what a user of -L, -R and -W sees,
and what the configuration and the key let through. The same is asked of OpenSSH's server, so that
a difference between the two fails here."""
import contextlib
import os
import socket
import socketserver
import stat
import subprocess
import threading
import time

import pytest

from conftest import (IS_ROOT, MEMORY_FACTOR, PATIENCE, PORTS, nacre, need, openssh, openssh_server,
                      public_line, run, until)

PROGRAMS = ('nacre', 'openssh')


def program_of(name):
    return nacre('sshd') if name == 'nacre' else openssh_server()


@pytest.fixture(params=PROGRAMS)
def program(request):
    return program_of(request.param)


@pytest.fixture
def sshd(servers, program):
    return cached(servers, program, '')


def cached(servers, program, more):
    """One server a configuration for all tests of this worker."""
    known = servers.__dict__.setdefault('forwarding', {})
    if (program, more) not in known:
        known[program, more] = servers.sshd(program, more)
    return known[program, more]


# What is connected to -----------------------------------------------------------------------------

class Echo(socketserver.BaseRequestHandler):
    """Gives back what it gets, and ends when the other side does."""

    def handle(self):
        with contextlib.suppress(OSError):
            while data := self.request.recv(65536):
                self.request.sendall(data)


class TcpServer(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    request_queue_size = 1024


class UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 1024


@contextlib.contextmanager
def serving(handler=Echo, path=None, host='127.0.0.1'):
    """A server of the test's own; yields its port or its path."""
    if path is not None:
        server = UnixServer(path, handler)
        os.chmod(path, 0o777)
    else:
        server = TcpServer((host, 0), handler)
    with server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield path or server.server_address[1]
        server.shutdown()


def connect(port, host='127.0.0.1'):
    sock = socket.create_connection((host, port), PATIENCE)
    sock.settimeout(PATIENCE)
    return sock


def connect_path(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(path)
    return sock


def exchange(sock, data):
    """Sends, ends, and reads to the end."""
    def send():
        with contextlib.suppress(OSError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

    with sock:
        sender = threading.Thread(target=send)
        sender.start()
        received = b''
        with contextlib.suppress(ConnectionResetError):
            while some := sock.recv(65536):
                received += some
        sender.join()
    return received


# Clients that forward -----------------------------------------------------------------------------

class Forwarding:
    """An ssh -N; "said" is what it has written so far."""

    def __init__(self, client, server, *options, key=None):
        self.log = os.path.join(server.folder, f'client-{PORTS.take()}')
        command = client.command(server, '-N', '-v', *options, key=key)
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def said(self):
        with open(self.log, errors='replace') as file:
            return file.read()

    def answers(self):
        """How many requests for -R the server has answered."""
        said = self.said()
        return said.count('remote forward success') + said.count('remote forward failure')

    def ready(self):
        """All requests are answered, and the session process knows of them."""
        until(lambda: self.process.poll() is not None or 'Entering interactive session' in self.said(),
              'ssh did not log in')
        return self

    def until_said(self, text):
        until(lambda: text in self.said(), f'ssh did not say "{text}":\n{self.said()}')

    def stop(self):
        # ssh looks at signals only when it has something to do: one may come too early.
        while self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.5)


@contextlib.contextmanager
def forwarding(client, server, *options, key=None):
    process = Forwarding(client, server, *options, key=key)
    try:
        yield process.ready()
    finally:
        process.stop()


def remote(client, server, listen, target, *options, key=None):
    """ssh -R; yields the client once the server has said yes or no."""
    return forwarding(client, server, '-R', f'{listen}:{target}', *options, key=key)


def allowed(process):
    """Whether the server has listened for an ssh -R."""
    until(lambda: process.answers() or process.process.poll() is not None,
          'no answer to the request')
    return 'remote forward success' in process.said()


DATA = bytes(range(256)) * 4096


# -L -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize('host', ['127.0.0.1', 'localhost', '::1'])
def test_local_tcp(openssh_ssh, sshd, free_port, host):
    port = free_port()
    with serving(host='::1' if ':' in host else '127.0.0.1') if host != '::1' else \
            serving_ipv6() as target, \
            forwarding(openssh_ssh, sshd, '-L', f'{port}:[{host}]:{target}'):
        assert exchange(connect(port), DATA) == DATA


class TcpServer6(TcpServer):
    address_family = socket.AF_INET6


@contextlib.contextmanager
def serving_ipv6():
    try:
        server = TcpServer6(('::1', 0), Echo)
    except OSError:
        pytest.skip('no IPv6 here')
    with server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_local_tcp_to_unix(openssh_ssh, sshd, free_port, workspace):
    port, path = free_port(), os.path.join(workspace, 'socket')
    with serving(path=path), forwarding(openssh_ssh, sshd, '-L', f'{port}:{path}'):
        assert exchange(connect(port), DATA) == DATA


@pytest.mark.parametrize('target, why', [
    ('127.0.0.1:1', 'connect failed: Connection refused'),
    (f'{"x" * 64}:80', 'connect failed: '),  # no name server is asked for such a name
    ('/nonexistent/socket', 'connect failed: '),
])
def test_local_refused(openssh_ssh, sshd, free_port, target, why):
    port = free_port()
    with forwarding(openssh_ssh, sshd, '-L', f'{port}:{target}') as client:
        assert exchange(connect(port), b'') == b''
        client.until_said('open failed: ' + why)


def test_other_channels_go_on_while_a_name_is_looked_up(openssh_ssh, servers, free_port, workspace):
    """A resolver that does not answer holds up only who asked."""
    if not IS_ROOT:
        pytest.skip('needs a resolver configuration of its own: root')
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(('127.0.0.1', 0))
        preload = silent_resolver(workspace)
        if preload is None:
            pytest.skip('no compiler to make a slow resolver with')
        folder_server = servers.sshd(nacre('sshd'), 'SetEnv LD_PRELOAD=')
        folder_server.stop()
        server = restart_with(servers, folder_server, {'LD_PRELOAD': preload})
        slow, quick = free_port(), free_port()
        with serving() as target, forwarding(
                openssh_ssh, server, '-L', f'{slow}:slow.example:1',
                '-L', f'{quick}:127.0.0.1:{target}') as client:
            waiting = [connect(slow) for _ in range(20)]
            client.until_said('slow.example')
            start = time.monotonic()
            assert exchange(connect(quick), DATA) == DATA
            assert time.monotonic() - start < 5
            for sock in waiting:
                sock.close()


SLOW_RESOLVER = '''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>
int
getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
	    (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(RTLD_NEXT, "getaddrinfo");
	if (host != NULL && strcmp(host, "slow.example") == 0 && !(hints->ai_flags & AI_NUMERICHOST))
		sleep(30);
	return real(host, service, hints, list);
}
'''


def silent_resolver(folder):
    source, library = os.path.join(folder, 'slow.c'), os.path.join(folder, 'slow.so')
    with open(source, 'w') as file:
        file.write(SLOW_RESOLVER)
    try:
        result = run(['cc', '-shared', '-fPIC', '-o', library, source])
    except FileNotFoundError:
        return None
    return library if result.returncode == 0 else None


def restart_with(servers, server, environment):
    config = os.path.join(server.folder, 'sshd_config')
    keys = [servers.host_keys[name] for name in servers.host_keys]
    return servers.add([nacre('sshd'), '-D', '-e', '-f', config], server.port, server.folder, keys,
                       {**os.environ, **environment})


# Both halves --------------------------------------------------------------------------------------

class AnswersAfterTheEnd(socketserver.BaseRequestHandler):
    """Says what it got only when the other side has said all."""

    def handle(self):
        received = b''.join(iter(lambda: self.request.recv(65536), b''))
        time.sleep(0.2)
        self.request.sendall(received[::-1])


class EndsFirst(socketserver.BaseRequestHandler):
    """Closes its sending side at once, then counts what it gets."""
    received = None

    def handle(self):
        self.request.sendall(b'hello')
        self.request.shutdown(socket.SHUT_WR)
        EndsFirst.received = b''.join(iter(lambda: self.request.recv(65536), b''))


def test_half_closed_by_the_client(openssh_ssh, sshd, free_port):
    port = free_port()
    with serving(AnswersAfterTheEnd) as target, \
            forwarding(openssh_ssh, sshd, '-L', f'{port}:127.0.0.1:{target}'):
        assert exchange(connect(port), DATA) == DATA[::-1]


def test_half_closed_by_the_server(openssh_ssh, sshd, free_port):
    port, EndsFirst.received = free_port(), None
    with serving(EndsFirst) as target, \
            forwarding(openssh_ssh, sshd, '-L', f'{port}:127.0.0.1:{target}'):
        with connect(port) as sock:
            assert b''.join(iter(lambda: sock.recv(10), b'')) == b'hello'
            sock.sendall(DATA)
        until(lambda: EndsFirst.received is not None, 'the end did not arrive')
        assert EndsFirst.received == DATA


class Resets(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        self.request.recv(1)


def test_connection_that_is_reset_ends(openssh_ssh, sshd, free_port):
    port = free_port()
    with serving(Resets) as target, \
            forwarding(openssh_ssh, sshd, '-L', f'{port}:127.0.0.1:{target}'):
        with connect(port) as sock:
            sock.sendall(b'x')
            assert sock.recv(10) == b''


class Never(socketserver.BaseRequestHandler):
    """Reads nothing until it is told to."""
    go = threading.Event()

    def handle(self):
        Never.go.wait(PATIENCE)
        with contextlib.suppress(OSError):
            while self.request.recv(1 << 20):
                pass


def session_processes(server):
    """Process numbers of the sessions of a server."""
    output = run(['ps', '-eo', 'pid=,ppid=']).stdout.decode().split('\n')
    parents = {int(line.split()[0]): int(line.split()[1]) for line in output if line.strip()}
    found = []
    for pid in parents:
        above, depth = parents.get(pid), 0
        while above and above != server.process.pid and depth < 8:
            above, depth = parents.get(above), depth + 1
        if above == server.process.pid:
            found.append(pid)
    return found


def resident(pid):
    with contextlib.suppress(OSError):
        with open(f'/proc/{pid}/status') as file:
            for line in file:
                if line.startswith('VmRSS'):
                    return int(line.split()[1]) * 1024
    return 0


def test_slow_readers_hold_up_nobody_and_little_memory(openssh_ssh, servers, free_port):
    """Connections whose target reads nothing fill their windows; others go on meanwhile."""
    server = cached(servers, nacre('sshd'), '')
    stuck, quick = free_port(), free_port()
    Never.go.clear()
    with serving(Never) as never, serving() as target, forwarding(
            openssh_ssh, server, '-L', f'{stuck}:127.0.0.1:{never}',
            '-L', f'{quick}:127.0.0.1:{target}'):
        senders = [connect(stuck) for _ in range(8)]
        for sock in senders:
            sock.setblocking(False)
        end, sent = time.monotonic() + 2, 0
        while time.monotonic() < end:
            before = sent
            for sock in senders:
                with contextlib.suppress(BlockingIOError):
                    sent += sock.send(b'x' * 65536)
            if sent == before:
                time.sleep(0.05)
        start = time.monotonic()
        assert exchange(connect(quick), DATA) == DATA
        assert time.monotonic() - start < 10
        # All windows together hold 64 MiB, in buffers that grow by half.
        assert max(map(resident, session_processes(server))) < \
            MEMORY_FACTOR * (64 * 3 // 2 + 16) * 2 ** 20
        Never.go.set()
        for sock in senders:
            sock.close()


# -R -----------------------------------------------------------------------------------------------

def test_remote_tcp(openssh_ssh, sshd, free_port):
    port = free_port()
    with serving() as target, remote(openssh_ssh, sshd, port, f'127.0.0.1:{target}') as client:
        assert allowed(client)
        assert exchange(connect(port), DATA) == DATA
        if has_ipv6():
            assert exchange(connect(port, '::1'), DATA) == DATA


def has_ipv6():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(('::1', 0))
        return True
    return False


def test_remote_port_that_the_server_chooses(openssh_ssh, sshd):
    with serving() as target, remote(openssh_ssh, sshd, 0, f'127.0.0.1:{target}') as client:
        client.until_said('Allocated port ')
        port = int(client.said().split('Allocated port ')[1].split()[0])
        assert exchange(connect(port), DATA) == DATA


def test_remote_port_is_free_again(openssh_ssh, sshd, free_port, tmp_path):
    """Cancelling, and the end of the connection."""
    port, control = free_port(), str(tmp_path / 'control')
    with serving() as target:
        with forwarding(openssh_ssh, sshd, '-M', '-S', control) as client:
            command = openssh_ssh.command(sshd, '-S', control)
            specification = ['-R', f'{port}:127.0.0.1:{target}']
            run([*command, '-O', 'forward', *specification], check=True)
            assert exchange(connect(port), DATA) == DATA
            run([*command, '-O', 'cancel', *specification], check=True)
            until(lambda: not listens(port), 'the server listens on')
            run([*command, '-O', 'forward', *specification], check=True)
            assert listens(port)
            assert client.process.poll() is None
        until(lambda: not listens(port), 'the server listens after the end of the connection')


def listens(port, host='127.0.0.1'):
    with socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET) as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, port)) == 0


def test_remote_port_in_use(openssh_ssh, sshd, free_port):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        with socket.socket(socket.AF_INET6) as taken6:
            if has_ipv6():
                taken6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                taken6.bind(('::1', port))
                taken6.listen()
            with remote(openssh_ssh, sshd, port, 'localhost:1') as client:
                assert not allowed(client)


def test_low_ports_are_root_s(openssh_ssh, sshd, account):
    if account.uid == 0:
        pytest.skip('root may listen anywhere')
    with remote(openssh_ssh, sshd, 777, 'localhost:1') as client:
        assert not allowed(client)


def test_remote_unix(openssh_ssh, sshd, workspace):
    path = os.path.join(workspace, 'listening')
    with serving() as target, forwarding(openssh_ssh, sshd, '-R', f'{path}:127.0.0.1:{target}'):
        until(lambda: os.path.exists(path), 'the server does not listen')
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert exchange(connect_path(path), DATA) == DATA


def test_remote_unix_socket_is_removed_in_the_end(openssh_ssh, servers, workspace):
    server, path = cached(servers, nacre('sshd'), ''), os.path.join(workspace, 'listening')
    with forwarding(openssh_ssh, server, '-R', f'{path}:127.0.0.1:1'):
        until(lambda: os.path.exists(path), 'the server does not listen')
    until(lambda: not os.path.exists(path), 'the socket is still there')


@pytest.mark.parametrize('unlink', ['yes', 'no'])
def test_unix_socket_in_the_way(openssh_ssh, servers, program, workspace, unlink):
    server = cached(servers, program, f'StreamLocalBindUnlink {unlink}\nStreamLocalBindMask 0111')
    path = os.path.join(workspace, 'listening')
    with socket.socket(socket.AF_UNIX) as before:
        before.bind(path)
    if IS_ROOT:
        os.chown(path, os.stat(workspace).st_uid, -1)
    with serving() as target, forwarding(openssh_ssh, server, '-R', f'{path}:127.0.0.1:{target}') as client:
        assert allowed(client) == (unlink == 'yes')
        if unlink == 'yes':
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o666
            assert exchange(connect_path(path), DATA) == DATA


def bound_addresses(port):
    """Local addresses that are listened at, in the words of ss."""
    output = run(['ss', '-Hltn', f'sport = :{port}']).stdout.decode()
    return {line.split()[3].rsplit(':', 1)[0] for line in output.splitlines()}


LISTEN_HOSTS = [None, '', '*', 'localhost', '127.0.0.1', '0.0.0.0', '[::]', '[::1]']


@pytest.mark.parametrize('gateway', ['no', 'yes', 'clientspecified'])
def test_gateway_ports(openssh_ssh, servers, free_port, gateway):
    """Which addresses are listened at: the same as OpenSSH does, for every way to ask."""
    need('ss')
    found = {}
    for name in PROGRAMS:
        server = cached(servers, program_of(name), f'GatewayPorts {gateway}')
        hosts = {host: free_port() for host in LISTEN_HOSTS}
        options = []
        for host, port in hosts.items():
            options += ['-R', f'{"" if host is None else host + ":"}{port}:127.0.0.1:1']
        with forwarding(openssh_ssh, server, *options) as client:
            until(lambda: client.answers() >= len(hosts), 'no answers')
            found[name] = {host: bound_addresses(port) for host, port in hosts.items()}
    assert found['nacre'] == found['openssh']


def test_address_family(openssh_ssh, servers, program, free_port):
    need('ss')
    server, port = cached(servers, program, 'AddressFamily inet'), free_port()
    with remote(openssh_ssh, server, port, '127.0.0.1:1') as client:
        assert allowed(client)
        assert bound_addresses(port) == {'127.0.0.1'}


# What is permitted --------------------------------------------------------------------------------

class Targets:
    """Servers that echo: on two ports of every loopback address, and on a Unix socket."""

    def __init__(self, stack, workspace):
        first = stack.enter_context(serving(host='0.0.0.0'))
        self.ports = [first, stack.enter_context(serving(host='0.0.0.0'))]
        self.path = stack.enter_context(serving(path=os.path.join(workspace, 'echo')))

    def fill(self, text):
        return text.format(first=self.ports[0], second=self.ports[1], path=self.path)


@pytest.fixture
def targets(workspace):
    with contextlib.ExitStack() as stack:
        yield Targets(stack, workspace)


def try_all(client, server, locals_, remotes, free_port, key=None):
    """Which of the requests for -L and -R the server grants."""
    options, ports = [], {target: free_port() for target in locals_}
    for target, port in ports.items():
        options += ['-L', f'{port}:{target}']
    for listen in remotes:
        options += ['-R', f'{listen}:127.0.0.1:1']
    with forwarding(client, server, *options, key=key) as process:
        until(lambda: process.answers() >= len(remotes),
              f'no answers:\n{process.said()}')
        granted = {listen: not any('remote forward failure' in line and f'listen {listen}' in line
                                   for line in process.said().splitlines()) for listen in remotes}
        for target, port in ports.items():
            granted[target] = exchange(connect(port), b'x') == b'x'
    for listen in remotes:  # OpenSSH's server leaves it
        with contextlib.suppress(FileNotFoundError):
            os.unlink(listen)
    return granted


def compare(client, servers, more, locals_, remotes, free_port):
    """The same as OpenSSH does; what that is."""
    results = {}
    for name in PROGRAMS:
        server = servers.sshd(program_of(name), more)
        results[name] = try_all(client, server, locals_, remotes, free_port)
        server.stop()
    assert results['nacre'] == results['openssh']
    return results['nacre']


@pytest.mark.parametrize('more', [
    'AllowTcpForwarding no', 'AllowTcpForwarding local', 'AllowTcpForwarding remote',
    'AllowStreamLocalForwarding no', 'AllowStreamLocalForwarding local',
    'AllowStreamLocalForwarding remote', 'DisableForwarding yes', 'PermitOpen none',
    'PermitListen none'])
def test_switches(openssh_ssh, servers, free_port, targets, workspace, more):
    granted = compare(openssh_ssh, servers, more, [f'127.0.0.1:{targets.ports[0]}', targets.path],
                      [str(free_port()), f'{workspace}/listen'], free_port)
    assert not all(granted.values())


@pytest.mark.parametrize('more', [
    'PermitOpen localhost:{first}', 'PermitOpen 127.0.0.1:{first} [::1]:{first}',
    'PermitOpen 127.0.0.1:*', 'PermitOpen *:{first}', 'PermitOpen *:*', 'PermitOpen any',
    'PermitOpen 127.0.0.*:{first}'])
def test_permit_open(openssh_ssh, servers, free_port, targets, more):
    locals_ = ['localhost:{first}', '127.0.0.1:{first}', '127.0.0.1:{second}', 'LOCALHOST:{first}',
               '127.0.0.2:{first}', '{path}']
    compare(openssh_ssh, servers, targets.fill(more), [*map(targets.fill, locals_)], [], free_port)


@pytest.mark.parametrize('more', [
    'PermitListen {0}', 'PermitListen localhost:{0}', 'PermitListen 127.0.0.1:{0}',
    'PermitListen *:{0}', 'PermitListen 127.*:*', 'PermitListen *', 'PermitListen localhost:*'])
def test_permit_listen(openssh_ssh, servers, free_port, workspace, more):
    first = free_port()
    remotes = [f'127.0.0.1:{first}', f'127.0.0.3:{first}', f'127.0.0.2:{free_port()}',
               f'*:{free_port()}', str(free_port()), f'{workspace}/listen']
    more = more.format(first) + '\nGatewayPorts clientspecified'
    compare(openssh_ssh, servers, more, [], remotes, free_port)
    compare(openssh_ssh, servers, more, [], [str(first)], free_port)


@pytest.mark.parametrize('options', [
    'restrict', 'no-port-forwarding', 'restrict,port-forwarding', 'permitopen="127.0.0.1:{first}"',
    'permitopen="localhost:*"', 'permitlisten="{listen}"', 'permitlisten="localhost:{listen}"',
    'permitlisten="127.0.0.1:*"', 'restrict,permitopen="127.0.0.1:{first}",port-forwarding'])
def test_key_options(openssh_ssh, servers, free_port, targets, workspace, user_keys, account, options):
    listen, path = free_port(), os.path.join(workspace, 'keys')
    options = targets.fill(options.replace('{listen}', str(listen)))
    with open(path, 'w') as file:
        file.write(f'{options} {public_line(user_keys["rsa"])}\n')
    account.own(path)
    results = {}
    for name in PROGRAMS:
        server = servers.sshd(program_of(name), options=['-o', f'AuthorizedKeysFile={path}'])
        locals_ = ['127.0.0.1:{first}', '127.0.0.1:{second}', 'localhost:{first}', '{path}']
        results[name] = try_all(openssh_ssh, server, [*map(targets.fill, locals_)],
                                [str(listen), str(free_port()), f'{workspace}/listen'], free_port,
                                user_keys['rsa'])
        server.stop()
    values = [list(result.values()) for result in results.values()]
    assert values[0] == values[1]


# Many ---------------------------------------------------------------------------------------------

def test_a_thousand_at_once(servers, openssh_ssh, free_port, workspace):
    """A thousand connections at the same time in one session, in both directions."""
    server = cached(servers, nacre('sshd'), '')
    need('prlimit')
    count, local, away = 500, free_port(), free_port()
    raise_descriptor_limit(8 * count)
    with serving() as target, forwarding(
            openssh_ssh, server, '-L', f'{local}:127.0.0.1:{target}',
            '-R', f'{away}:127.0.0.1:{target}') as client:
        assert allowed(client)
        sockets = []
        for i in range(count):
            sockets += [connect(local), connect(away)]
        for i, sock in enumerate(sockets):
            sock.sendall(b'%06d' % i)
        for i, sock in enumerate(sockets):
            assert sock.recv(6, socket.MSG_WAITALL) == b'%06d' % i
        for sock in sockets:
            sock.close()
        assert exchange(connect(local), DATA) == DATA


def raise_descriptor_limit(count):
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f'at most {hard} descriptors')
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def test_one_after_another_leaves_nothing(servers, openssh_ssh, free_port):
    """Descriptors and memory of the session are what they were before."""
    server, port = cached(servers, nacre('sshd'), ''), free_port()
    with serving() as target, forwarding(openssh_ssh, server, '-L', f'{port}:127.0.0.1:{target}'):
        def some(count):
            for _ in range(count):
                assert exchange(connect(port), b'x') == b'x'

        def state():
            found = {}
            for pid in session_processes(server):
                with contextlib.suppress(OSError):  # a waiting process whose connection was a probe
                    found[pid] = (resident(pid), len(os.listdir(f'/proc/{pid}/fd')))
            return found

        some(200)
        before = state()
        some(1000)
        after = state()
        assert before.keys() & after.keys()
        # Others wait for connections and go when there is one.
        for pid, (memory, descriptors) in before.items():
            assert pid not in after or after[pid][0] <= memory + MEMORY_FACTOR * 512 * 1024
            assert pid not in after or after[pid][1] <= descriptors + 2


def test_programs_get_the_usual_descriptor_limit(servers, openssh_ssh):
    server = cached(servers, nacre('sshd'), '')
    listener = run(['prlimit', '-n', '-o', 'SOFT', '--noheadings', '-p', str(server.process.pid)])
    seen = openssh_ssh.run(server, 'ulimit -Sn', check=True).stdout
    assert seen.split() == listener.stdout.split()


# Agents -------------------------------------------------------------------------------------------

def test_agent_socket(servers, openssh_ssh, account, tmp_path):
    """In a directory of the user's own, and gone with the connection however it ends."""
    server, path = cached(servers, nacre('sshd'), ''), str(tmp_path / 'agent')
    agent = subprocess.Popen([openssh('ssh-agent'), '-D', '-a', path], stdout=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(path), 'no agent')
        environment = {**os.environ, 'SSH_AUTH_SOCK': path}
        command = [word if word != 'IdentityAgent=none' else f'IdentityAgent={path}'
                   for word in openssh_ssh.command(server, '-A')]
        for end in ('exit 0', 'kill -9 $PPID'):
            result = run([*command, f'echo $SSH_AUTH_SOCK; stat -c "%a %U" $SSH_AUTH_SOCK '
                          f'$(dirname $SSH_AUTH_SOCK); {end if "exit" in end else "exit 0"}'],
                         env=environment, check=True)
            lines = result.stdout.decode().split('\n')
            assert lines[1:3] == [f'600 {account.name}', f'700 {account.name}']
            until(lambda: not os.path.exists(os.path.dirname(lines[0])), 'the directory is left')
    finally:
        agent.kill()
        agent.wait()


@pytest.mark.parametrize('more', ['AllowAgentForwarding no', 'DisableForwarding yes'])
def test_agent_forwarding_can_be_forbidden(servers, openssh_ssh, more, tmp_path):
    server, path = cached(servers, nacre('sshd'), more), str(tmp_path / 'agent')
    agent = subprocess.Popen([openssh('ssh-agent'), '-D', '-a', path], stdout=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(path), 'no agent')
        command = [word if word != 'IdentityAgent=none' else f'IdentityAgent={path}'
                   for word in openssh_ssh.command(server, '-A')]
        result = run([*command, 'echo "<$SSH_AUTH_SOCK>"'], check=True)
        assert result.stdout == b'<>\n'
    finally:
        agent.kill()
        agent.wait()
