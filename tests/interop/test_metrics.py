"""The figures that MetricsListen serves: right, readable by Prometheus' own parser, there after a
reload, and nobody who asks for them can do harm."""
import glob
import os
import re
import signal
import socket
import subprocess

import pytest

from conftest import IS_ROOT, PORTS, SANITIZED, nacre, run, until

SSHD = nacre('sshd')


def request(where, text=b'GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n', patience=10):
    """Status and body of what is answered; None for no answer."""
    if isinstance(where, int):
        connection = socket.create_connection(('127.0.0.1', where), patience)
    else:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(patience)
        connection.connect(where)
    with connection:
        connection.sendall(text)
        answer = b''
        while piece := connection.recv(65536):
            answer += piece
    if not answer:
        return None
    head, body = answer.split(b'\r\n\r\n', 1)
    length = int(re.search(rb'(?i)content-length: (\d+)', head)[1])
    assert not body or len(body) == length
    return int(head.split()[1]), body.decode()


def answers(where):
    with socket.socket(socket.AF_INET if isinstance(where, int) else socket.AF_UNIX) as probe:
        return probe.connect_ex(('127.0.0.1', where) if isinstance(where, int) else where) == 0


def figures(where):
    status, body = request(where)
    assert status == 200 and body.endswith('# EOF\n')
    return {name: float(value) for name, value in
            re.findall(r'^nacre_sshd_([^# ]+(?:\{[^}]*\})?) (\S+)$', body, re.MULTILINE)}


def counts(where, name, expected):
    until(lambda: figures(where).get(name) == expected,
          lambda: f'{name} {expected} in {figures(where)}')


@pytest.fixture
def metered(servers):
    """A server with metrics, and where they are."""
    port = PORTS.take()
    server = servers.sshd(SSHD, f'MetricsListen 127.0.0.1:{port}\nPerSourcePenalties no')
    until(lambda: answers(port), 'the metrics')
    return server, port


def process_of(server, port):
    """The process that has the metrics' socket, a child of the listener."""
    inode = {line.split()[9] for line in open('/proc/net/tcp')
             if line.split()[1].endswith(f':{port:04X}') and line.split()[3] == '0A'}.pop()
    for path in glob.glob('/proc/[0-9]*/fd/*'):
        try:
            if os.readlink(path) == f'socket:[{inode}]':
                pid = int(path.split('/')[2])
                if pid != server.process.pid:
                    return pid
        except OSError:
            continue
    return None


def children(pid):
    return [int(word) for word in
            run(['pgrep', '-P', str(pid)]).stdout.decode().split()]


def test_what_happens_is_counted(metered, nacre_ssh, openssh_ssh):
    server, port = metered
    before = figures(port)
    assert before['sessions'] == 0
    size = nacre_ssh.run(server, 'head -c 3000000 /dev/zero').stdout
    assert len(size) == 3000000
    openssh_ssh.run(server, 'true')
    with socket.create_connection(('127.0.0.1', server.port)) as garbage:
        garbage.sendall(b'GET / HTTP/1.0\r\n\r\n')
        while garbage.recv(4096):
            pass
    wrong = [*nacre_ssh.command(server)]
    wrong[-1] = 'nobody-of-that-name@127.0.0.1'
    assert run([*wrong, 'true']).returncode == 255
    counts(port, 'connections_total{outcome="authenticated"}', 2)
    counts(port, 'connections_total{outcome="garbage"}', 1)
    counts(port, 'connections_total{outcome="invalid_user"}', 1)
    counts(port, 'authentications_total{method="publickey",result="accepted"}', 2)
    counts(port, 'sessions', 0)
    after = figures(port)
    assert after['authentications_total{method="publickey",result="failed"}'] >= 1
    assert 3000000 < after['sent_bytes_total'] < 3200000
    assert after['received_bytes_total'] > 0
    assert after['channels_opened_total'] == 2 and after['channels'] == 0
    assert after['login_seconds_count'] == after['login_seconds_bucket{le="+Inf"}'] == 2
    assert 0 < after['login_seconds_sum'] < 60
    assert after['reports_lost_total'] == 0


def test_open_sessions_and_channels_and_rekeys(metered, nacre_ssh):
    server, port = metered
    session = subprocess.Popen([*nacre_ssh.command(server, '-o', 'RekeyLimit=1M'),
                                'head -c 5000000 /dev/zero; cat'],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert len(session.stdout.read(5000000)) == 5000000
    counts(port, 'sessions', 1)
    counts(port, 'channels', 1)
    until(lambda: figures(port)['rekeys_total'] >= 1, lambda: figures(port))
    session.stdin.close()
    session.wait(20)
    counts(port, 'sessions', 0)
    counts(port, 'channels', 0)


def test_prometheus_can_read_it(metered):
    parser = pytest.importorskip('prometheus_client.openmetrics.parser')
    _, port = metered
    families = {family.name: family for family in
                parser.text_string_to_metric_families(request(port)[1])}
    assert families['nacre_sshd_connections'].type == 'counter'
    assert families['nacre_sshd_login_seconds'].type == 'histogram'
    assert families['nacre_sshd_sessions'].type == 'gauge'
    assert all(family.documentation for family in families.values())


def reload(server):
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.log().count('Server listening') == 2, 'a reload')


def test_a_reload_keeps_the_figures_and_the_sessions(metered, nacre_ssh):
    server, port = metered
    session = subprocess.Popen([*nacre_ssh.command(server), 'cat'], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    counts(port, 'sessions', 1)
    started = figures(port)['start_time_seconds']
    reload(server)
    until(lambda: answers(port), 'the metrics')
    counts(port, 'sessions', 1)
    counts(port, 'connections_total{outcome="authenticated"}', 1)
    assert figures(port)['start_time_seconds'] == started
    session.communicate(b'still there', timeout=20)
    counts(port, 'sessions', 0)
    assert nacre_ssh.run(server, 'true').returncode == 0
    counts(port, 'connections_total{outcome="authenticated"}', 2)


def test_a_session_whose_monitor_is_killed_is_over(metered, nacre_ssh):
    server, port = metered
    session = subprocess.Popen([*nacre_ssh.command(server), 'cat'], stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    counts(port, 'sessions', 1)
    for pid in children(server.process.pid):
        with open(f'/proc/{pid}/cmdline') as file:
            if '[priv]' in file.read():
                os.kill(pid, signal.SIGKILL)
    counts(port, 'sessions', 0)
    session.stdin.close()
    session.wait(20)


def test_on_a_unix_socket(servers, place, nacre_ssh):
    folder = servers.folder('metrics')
    path = os.path.join(folder, 'metrics.socket')
    server = servers.sshd(SSHD, f'MetricsListen {path}')
    until(lambda: answers(path), 'the socket')
    assert nacre_ssh.run(server, 'true').returncode == 0
    counts(path, 'connections_total{outcome="authenticated"}', 1)
    assert os.stat(path).st_mode & 0o777 == 0o666
    reload(server)
    until(lambda: answers(path), 'the new socket')
    counts(path, 'connections_total{outcome="authenticated"}', 1)
    server.stop()
    assert not os.path.exists(path)


@pytest.mark.parametrize('value, reason', [
    ('0.0.0.0:9100', 'not a loopback address'), ('[::]:9100', 'not a loopback address'),
    ('192.0.2.1:9100', 'not a loopback address'), ('localhost:9100', 'not a loopback address'),
    ('9100', 'expected ADDRESS:PORT'), ('127.0.0.1', 'expected ADDRESS:PORT'),
    ('metrics.socket', 'expected ADDRESS:PORT'), ('/' + 'x' * 200, 'too long'),
])
def test_what_others_could_reach_is_refused(value, reason, host_keys):
    result = run([SSHD, '-t', '-f', 'none', '-h', host_keys['ed25519'], '-o',
                  f'MetricsListen {value}'])
    assert result.returncode != 0
    assert reason in result.stderr.decode() and value in result.stderr.decode()


@pytest.mark.parametrize('text, status', [
    (b'GET / HTTP/1.1\r\n\r\n', 404), (b'GET /metrics/../x HTTP/1.0\r\n\r\n', 404),
    (b'POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc', 405),
    (b'GET /metrics HTTP/2\r\n\r\n', 400), (b'SSH-2.0-client\r\n', 400),
    (b'GET /metrics HTTP/1.1\r\nno field\r\n\r\n', 400), (b'\x16\x03\x01\x00\n', 400),
    (b'GET /metrics HTTP/1.1\r\nA: ' + b'b' * 5000 + b'\r\n\r\n', 431),
    (b'HEAD /metrics HTTP/1.1\r\n\r\n', 200), (b'GET /metrics?debug=1 HTTP/1.0\n\n', 200),
])
def test_requests_that_are_odd(metered, text, status):
    _, port = metered
    assert request(port, text)[0] == status


def test_slow_scrapers_hold_nobody_up(metered, nacre_ssh):
    server, port = metered
    slow = [socket.create_connection(('127.0.0.1', port)) for _ in range(30)]
    for connection in slow[:15]:
        connection.sendall(b'GET /metrics HTTP/1.1\r\nHost:')
    for connection in slow[15:20]:  # asks, and never reads
        connection.sendall(b'GET /metrics HTTP/1.1\r\n\r\n')
    assert request(port, patience=5)[0] == 200
    assert nacre_ssh.run(server, 'true').returncode == 0
    counts(port, 'connections_total{outcome="authenticated"}', 1)
    # Those who were not pushed out by others are sent away.
    ended = until(lambda: all(gone(connection) for connection in slow), 'the end of the slow', 20)
    assert ended
    for connection in slow:
        connection.close()


def gone(connection):
    connection.setblocking(False)
    try:
        return connection.recv(65536) == b'' or gone(connection)
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_the_process_that_answers_is_confined(metered, account):
    server, port = metered
    pid = until(lambda: process_of(server, port), 'the process')
    status = open(f'/proc/{pid}/status').read()
    if not SANITIZED:
        assert re.search(r'Seccomp:\s+2', status) and re.search(r'NoNewPrivs:\s+1', status)
        if IS_ROOT:
            assert int(re.search(r'Uid:\s+(\d+)', status)[1]) != 0
            assert os.listdir(f'/proc/{pid}/root/') == []
        links = sorted(os.readlink(path) for path in glob.glob(f'/proc/{pid}/fd/*'))
        assert [link for link in links if not link.startswith(('/dev/null', 'socket:'))] == []
        assert len(links) == 4


def test_another_one_takes_its_place(metered, nacre_ssh):
    server, port = metered
    os.kill(until(lambda: process_of(server, port), 'the process'), signal.SIGKILL)
    until(lambda: 'starting another one' in server.log(), 'a line about it')
    until(lambda: answers(port), 'the next process')
    assert request(port)[0] == 200
    assert nacre_ssh.run(server, 'true').returncode == 0


def test_a_taken_port_does_not_stop_the_server(servers, nacre_ssh):
    port = PORTS.take()
    with socket.socket() as other:
        other.bind(('127.0.0.1', port))
        other.listen()
        server = servers.sshd(SSHD, f'MetricsListen 127.0.0.1:{port}')
        assert nacre_ssh.run(server, 'true').returncode == 0
        assert f'MetricsListen 127.0.0.1:{port}: Address already in use' in server.log()
