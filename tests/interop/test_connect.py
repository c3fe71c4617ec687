"""Reaching a server: addresses of both families, timeouts, attempts, proxies that pass a socket."""
import contextlib
import os
import socket
import sys
import time

import pytest
from conftest import IS_ROOT, nacre, run, until


@contextlib.contextmanager
def deaf(family, address, port):
    """A listener whose queue is full: whoever connects waits."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family))
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            listener.bind((address, port))
        except OSError:
            pytest.skip(f'no {address} here')
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket(family))
            filler.setblocking(False)
            filler.connect_ex((address, port))
        time.sleep(0.05)  # the kernel's own work
        yield listener.getsockname()[1]


@pytest.fixture
def login_by_name(nacre_ssh, nacre_sshd, workspace):
    """Logs in to a host that has addresses of both families, ::1 first."""
    if not IS_ROOT:
        pytest.skip('names of its own need root')
    hosts = os.path.join(workspace, 'hosts')
    with open(hosts, 'w', encoding='ascii') as file:
        file.write('::1 both.test\n127.0.0.1 both.test\n')
    command = nacre_ssh.command(nacre_sshd, '-v', '-o', f'HostKeyAlias=[127.0.0.1]:{nacre_sshd.port}')
    command[-1] = f'{nacre_sshd.user}@both.test'
    script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
    return lambda: run(['unshare', '-m', 'sh', '-c', script, 'sh', hosts, *command, 'echo in'])


def test_slow_family(login_by_name, nacre_sshd):
    """The other family is tried beside one that does not answer."""
    with deaf(socket.AF_INET6, '::1', nacre_sshd.port):
        start = time.monotonic()
        result = login_by_name()
        took = time.monotonic() - start
    assert result.stdout == b'in\n'
    told = result.stderr.decode()
    assert told.index('to both.test [::1]') < told.index('to both.test [127.0.0.1]')
    assert took > 0.24


def test_family_refused(login_by_name):
    """... and at once when the first is refused."""
    result = login_by_name()
    assert result.stdout == b'in\n'
    assert b'connect to address ::1 port' in result.stderr


def test_connect_timeout(nacre_ssh, nacre_sshd):
    with deaf(socket.AF_INET, '127.0.0.1', 0) as port:
        command = nacre_ssh.command(nacre_sshd, '-o', 'ConnectTimeout=1')
        command[command.index('-p') + 1] = str(port)
        result = run([*command, 'true'])
    assert result.returncode == 255
    assert b'Connection timed out' in result.stderr


def test_silent_server(nacre_ssh, openssh_ssh, nacre_sshd):
    """ConnectTimeout goes on until the server has introduced itself."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        for ssh in (openssh_ssh, nacre_ssh):
            command = ssh.command(nacre_sshd, '-o', 'ConnectTimeout=1')
            command[command.index('-p') + 1] = str(listener.getsockname()[1])
            result = run([*command, 'true'])
            assert result.returncode == 255
            assert b'Connection timed out during banner exchange' in result.stderr


PASSER = '''
import array, socket, sys
target = socket.create_connection((sys.argv[1], int(sys.argv[2])))
back = socket.socket(fileno=1)
if len(sys.argv) == 3:
    back.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [target.fileno()]))])
'''


@pytest.mark.parametrize('client', ['nacre', 'openssh'])
def test_passed_descriptor(client, nacre_ssh, openssh_ssh, nacre_sshd, workspace):
    ssh = {'nacre': nacre_ssh, 'openssh': openssh_ssh}[client]
    program = os.path.join(workspace, 'passer.py')
    with open(program, 'w', encoding='ascii') as file:
        file.write(PASSER)
    proxy = ['-o', f'ProxyCommand={sys.executable} {program} %h %p', '-o', 'ProxyUseFdpass=yes']
    assert ssh.run(nacre_sshd, 'echo in', *proxy).stdout == b'in\n'
    proxy[1] += ' and-nothing-back'
    result = ssh.run(nacre_sshd, 'echo in', *proxy)
    assert result.returncode == 255
    assert b'proxy dialer did not pass back a connection' in result.stderr


def test_proxy_ends(nacre_ssh, nacre_sshd, workspace):
    """One that would stay is told to go."""
    note, program = os.path.join(workspace, 'pid'), os.path.join(workspace, 'proxy')
    with open(program, 'w', encoding='ascii') as file:
        file.write(f'#!/bin/sh\necho $$ > {note}\nexec 0<&- 1>&-\nexec sleep 1000\n')
    os.chmod(program, 0o755)
    assert nacre_ssh.run(nacre_sshd, 'true', '-o', f'ProxyCommand={program}').returncode == 255
    with open(note, encoding='ascii') as file:
        pid = int(file.read())
    until(lambda: not os.path.exists(f'/proc/{pid}'), 'the end of the proxy')


def test_jumps(nacre_ssh, nacre_sshd, openssh_sshd, workspace):
    """Several hops, each with what the configuration says of it."""
    config = os.path.join(workspace, 'config')
    with open(config, 'w', encoding='ascii') as file:
        for name, server in (('one', nacre_sshd), ('two', openssh_sshd), ('three', nacre_sshd)):
            file.write(f'Host {name}\nHostname 127.0.0.1\nPort {server.port}\nUser {server.user}\n'
                       f'UserKnownHostsFile {server.known_hosts}\n')
        file.write(f'Host *\nIdentityFile {nacre_ssh.key}\nIdentitiesOnly yes\nIdentityAgent none\n'
                   'BatchMode yes\nGlobalKnownHostsFile none\nUpdateHostKeys no\n')
    os.chmod(config, 0o600)
    for jumps in ('one', 'one,two', f'ssh://{nacre_sshd.user}@one:{nacre_sshd.port},two,one'):
        result = run([nacre('ssh'), '-F', config, '-J', jumps, 'three', 'echo in'])
        assert (result.returncode, result.stdout) == (0, b'in\n'), result.stderr
    result = run([nacre('ssh'), '-F', config, '-J', 'one', '-W', f'127.0.0.1:{nacre_sshd.port}',
                  'two'], input=b'')
    assert result.stdout.startswith(b'SSH-2.0-')
