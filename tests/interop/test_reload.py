"""SIGHUP changes the configuration, and forgives nothing: penalties stay, and connections that have
not logged in yet are counted as before."""
import contextlib
import itertools
import os
import re
import signal

import paramiko
import pytest

from conftest import until
from test_penalties import FULL, REFUSED, connect, greeting, log_has, login, penalised, say, \
    start, welcome

NETWORKS = itertools.count(1)
NO_ATTEMPT = 'connections without attempting authentication'


@pytest.fixture
def address():
    """Gives the n-th address of a network that no other test uses."""
    network = next(NETWORKS)
    return lambda number: f'127.2.{network}.{number}'


def reload(server, old='', new=''):
    """Changes the configuration's text and makes the server read it."""
    path = os.path.join(server.folder, 'sshd_config')
    with open(path) as file:
        text = file.read()
    assert old in text
    with open(path, 'w') as file:
        file.write(text.replace(old, new) if old else text)
    times = server.log().count('Server listening')
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.log().count('Server listening') > times, server.log)
    assert server.process.poll() is None


def test_penalties_stay(servers, address, openssh_ssh):
    server = start(servers, 'noauth:60s min:5s')
    say(server, address(1), b'', wait_for_end=False)
    penalised(server, address(1), NO_ATTEMPT, 60)
    for _ in range(2):
        reload(server)
        assert greeting(server, address(1)) == REFUSED
    assert login(openssh_ssh, server, address(2))
    assert f'drop connection #0 from [{address(1)}]' in server.log()


def test_penalties_of_those_who_were_there(servers, address):
    server = start(servers, 'noauth:60s min:5s')
    with connect(server, address(1)) as connection:
        connection.recv(200)
        reload(server)
    penalised(server, address(1), NO_ATTEMPT, 60)


@pytest.mark.parametrize('old, new, forgiven', [
    ('PerSourcePenalties noauth:60s', 'PerSourcePenalties no #', True),
    ('noauth:60s min:2s', 'noauth:60s min:2s max:4s', None),
    ('PerSourceNetBlockSize 24:64', 'PerSourceNetBlockSize 32:128', True),
    ('PerSourceNetBlockSize 24:64', 'PerSourceNetBlockSize 16:64', False),
    ('PerSourceNetBlockSize 24:64', 'PerSourcePenaltyExemptList 127.2.0.0/16', True),
])
def test_changes_apply_to_old_penalties(servers, address, old, new, forgiven):
    """As far as can be known; None: soon."""
    server = start(servers, 'noauth:60s min:2s', 'PerSourceNetBlockSize 24:64\n')
    say(server, address(1), b'', wait_for_end=False)
    log_has(server, rf'new {re.escape(address(0))}/24 active penalty')
    reload(server, old, new)
    assert welcome(server, address(1)) == (forgiven is True)
    if forgiven is None:
        until(lambda: welcome(server, address(1)), 'the end of the shorter penalty')


def test_strangers_are_counted_on(servers, address):
    server = start(servers, 'no', 'PerSourceMaxStartups 3\n')
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connect(server, address(1))).recv(200)
        for _ in range(2):
            reload(server)
            assert greeting(server, address(1)) == FULL
        reload(server, 'PerSourceMaxStartups 3', 'PerSourceMaxStartups 4')
        assert welcome(server, address(1))
        assert welcome(server, address(2))
        reload(server, 'PerSourceMaxStartups 4', 'PerSourceMaxStartups 3')
        until(lambda: greeting(server, address(1)) == FULL, 'the end of the fourth')
    until(lambda: welcome(server, address(1)), 'room for another one')


def test_those_at_the_door_are_let_in(servers, address):
    """Past MaxStartups' begin a client waits until it speaks; a smaller MaxStartups has room for
    those who are there already."""
    server = start(servers, 'no', 'DenyUsers nobody\n', 'MaxStartups=3:10:6')
    with contextlib.ExitStack() as stack:
        inside = [stack.enter_context(connect(server, address(number))) for number in range(1, 4)]
        for connection in inside:
            connection.recv(200)
        waiting = stack.enter_context(connect(server, address(9)))
        log_has(server, 'beginning MaxStartups throttling')
        reload(server)
        waiting.sendall(b'SSH-2.0-late\r\n')
        assert waiting.recv(200).startswith(b'SSH-2.0-')
        assert server.log().count('beginning MaxStartups throttling') == 1
    until(lambda: welcome(server, address(2)), 'room again')
    log_has(server, 'exited MaxStartups throttling')


def test_a_login_goes_on(servers, address, user_keys):
    """Half of it before, half after; then its place is free."""
    server = start(servers, 'no', 'PerSourceMaxStartups 1\n')
    with connect(server, address(1)) as connection:
        reload(server)
        assert greeting(server, address(1)) == FULL
        transport = paramiko.Transport(connection)
        try:
            transport.connect(username=server.user, pkey=paramiko.Ed25519Key.from_private_key_file(
                user_keys['ed25519']))
            until(lambda: welcome(server, address(1)), 'its place among the strangers')
            reload(server)
            channel = transport.open_session()
            channel.exec_command('echo still here')
            assert channel.makefile().read() == b'still here\n'
        finally:
            transport.close()
