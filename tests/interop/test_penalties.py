"""PerSourcePenalties and its kin: who misbehaves is refused for a while, as OpenSSH does it and says
so. Each test comes from addresses of its own in 127.0.0.0/8."""
import contextlib
import itertools
import os
import re
import signal
import socket
import time

import pytest

from conftest import PATIENCE, nacre, until
from test_flood import processes_of

SSHD = nacre('sshd')
REFUSED = b'Not allowed at this time\r\n'
FULL = b'Exceeded MaxStartups\r\n'
NETWORKS = itertools.count(1)


@pytest.fixture
def address():
    """Gives the n-th address of a network that no other test uses."""
    network = next(NETWORKS)
    return lambda number: f'127.1.{network}.{number}'


def connect(server, source):
    return socket.create_connection(('127.0.0.1', server.port), PATIENCE, (source, 0))


def greeting(server, source):
    """The first line that the server sends; the connection is closed again."""
    with connect(server, source) as connection:
        return connection.recv(200)


def welcome(server, source):
    return greeting(server, source).startswith(b'SSH-2.0-')


def say(server, source, data, wait_for_end=True):
    with connect(server, source) as connection, contextlib.suppress(ConnectionError):
        connection.recv(200)
        connection.sendall(data)
        while wait_for_end and connection.recv(4096):
            pass


def log_has(server, pattern):
    return until(lambda: re.search(pattern, server.log()), lambda: f'{pattern!r} in:\n{server.log()}')


def penalised(server, source, reason, seconds):
    """The penalty was logged, and acts."""
    log_has(server, rf'srclimit_penalise: ipv4: new {re.escape(source)}/32 active penalty of {seconds} '
            rf'seconds for penalty: {reason}')
    assert greeting(server, source) == REFUSED
    log_has(server, rf'drop connection #\d+ from \[{re.escape(source)}\]:\d+ on '
            rf'\[127.0.0.1\]:{server.port} penalty: {reason}')


def start(servers, penalties, more='', *options):
    return servers.sshd(SSHD, f'PerSourcePenalties {penalties}\n{more}',
                        options=[word for option in options for word in ('-o', option)])


NO_ATTEMPT = 'connections without attempting authentication'


def test_connections_without_an_attempt(servers, address):
    server = start(servers, 'noauth:31s min:5s')
    for number, data in ((1, b''), (2, b'SSH-2.0-scanner\r\n')):
        say(server, address(number), data, wait_for_end=False)
        penalised(server, address(number), NO_ATTEMPT, 31)
    say(server, address(3), b'GET / HTTP/1.0\r\n\r\n')
    penalised(server, address(3), NO_ATTEMPT, 31)
    assert welcome(server, address(4))


def login(client, server, source, user=None, *options):
    result = client.run(server, 'true', '-b', source, *options, *(('-l', user) if user else ()))
    return result.returncode == 0


def test_invalid_user(servers, address, openssh_ssh):
    server = start(servers, 'authfail:32s invaliduser:33s min:5s')
    assert login(openssh_ssh, server, address(1))
    assert not login(openssh_ssh, server, address(2), 'nosuchuser')
    penalised(server, address(2), 'attempted authentication by invalid user', 33)
    assert login(openssh_ssh, server, address(1))


def test_failed_authentication(servers, address, openssh_ssh):
    server = start(servers, 'authfail:32s min:5s', '', 'AuthorizedKeysFile=none')
    assert not login(openssh_ssh, server, address(1))
    penalised(server, address(1), 'failed authentication', 32)


def test_refused_by_configuration(servers, address, openssh_ssh):
    server = start(servers, 'refuseconnection:34s min:5s',
                   f'Match Address {address(1)}\nRefuseConnection yes\n')
    assert not login(openssh_ssh, server, address(1))
    log_has(server, r'administratively prohibited connection for \S+ from ' + re.escape(address(1)))
    penalised(server, address(1), 'connection prohibited by RefuseConnection', 34)
    assert login(openssh_ssh, server, address(2))


def test_grace_exceeded(servers, address):
    server = start(servers, 'grace-exceeded:35s min:5s', '', 'LoginGraceTime=1')
    with connect(server, address(1)) as connection:
        while connection.recv(4096):
            pass
    penalised(server, address(1), 'exceeded LoginGraceTime', 35)


def network_process(server):
    """The process that has a connection and no root directory of its own."""
    for pid in processes_of(server):
        with contextlib.suppress(OSError), open(f'/proc/{pid}/cmdline') as file:
            if '[net]' in file.read() and len(os.listdir(f'/proc/{pid}/fd')) > 4:
                return pid
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason='only root may look at the network process')
def test_crash(servers, address):
    server = start(servers, 'crash:36s min:5s')
    with connect(server, address(1)) as connection:
        connection.recv(200)
        os.kill(until(lambda: network_process(server), 'the network process'), signal.SIGSEGV)
        while connection.recv(4096):
            pass
    penalised(server, address(1), 'caused crash', 36)


def test_penalties_add_up_from_the_minimum_to_the_maximum(servers, address):
    server = start(servers, 'noauth:20s min:30s max:50s')
    say(server, address(1), b'', wait_for_end=False)
    log_has(server, rf'new {re.escape(address(1))}/32 deferred penalty of 20 seconds')
    assert welcome(server, address(1))
    log_has(server, r'srclimit_penalise: \S+/32: activating ipv4 penalty of \d\d seconds')
    assert greeting(server, address(1)) == REFUSED


def test_penalties_end(servers, address):
    server = start(servers, 'noauth:2s min:1s')
    say(server, address(1), b'', wait_for_end=False)
    log_has(server, rf'new {re.escape(address(1))}/32 active penalty of 2 seconds')
    assert greeting(server, address(1)) == REFUSED
    until(lambda: welcome(server, address(1)), 'the end of the penalty')


def test_no_penalties(servers, address):
    server = start(servers, 'no')
    for _ in range(3):
        say(server, address(1), b'GET / HTTP/1.0\r\n\r\n')
    assert welcome(server, address(1))
    assert 'penal' not in server.log()


def test_exempt_addresses(servers, address):
    server = start(servers, 'noauth:30s min:1s', f'PerSourcePenaltyExemptList {address(0)}/25\n')
    say(server, address(1), b'', wait_for_end=False)
    say(server, address(200), b'', wait_for_end=False)
    log_has(server, rf'new {re.escape(address(200))}/32 active penalty')
    assert greeting(server, address(200)) == REFUSED
    assert welcome(server, address(1))
    assert address(1) + '/32' not in server.log()


def test_networks_share_their_penalties(servers, address):
    server = start(servers, 'noauth:30s min:1s', 'PerSourceNetBlockSize 24:64\n')
    say(server, address(1), b'', wait_for_end=False)
    log_has(server, rf'new {re.escape(address(0))}/24 active penalty')
    assert greeting(server, address(77)) == REFUSED
    assert welcome(server, '127.255.0.1')


@pytest.mark.parametrize('overflow', ['permissive', 'deny-all'])
def test_more_sources_than_are_remembered(servers, address, overflow):
    server = start(servers, f'noauth:30s min:1s max-sources4:2 overflow:{overflow}')
    # The probe that found the server listening may have earned a place.
    for number in range(1, 4):
        say(server, address(number), b'', wait_for_end=False)
        time.sleep(0.3)
    if overflow == 'deny-all':
        assert greeting(server, address(9)) == REFUSED
        log_has(server, 'drop connection .* too many penalised addresses')
    else:
        assert welcome(server, address(1))
        assert greeting(server, address(3)) == REFUSED


def test_startups_of_one_source(servers, address):
    server = start(servers, 'no', 'PerSourceMaxStartups 2\n')
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(connect(server, address(1))).recv(200)
        assert greeting(server, address(1)) == FULL
        log_has(server, rf'drop connection #\d+ from \[{re.escape(address(1))}\]:\d+ on \S+ past MaxStartups')
        assert welcome(server, address(2))
    until(lambda: welcome(server, address(1)), 'room for another one')
