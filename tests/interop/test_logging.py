"""The server's log: OpenSSH's words for what happens, so that fail2ban finds the same in both; levels,
places and facilities; JSON objects that no client can break."""
import concurrent.futures
import contextlib
import json
import logging
import os
import re
import signal
import socket
import struct
import tempfile
import threading
import time

import pytest

import hostile_peer
from conftest import (IS_ROOT, PASSWORD, PATIENCE, PORTS, Client, make_key, nacre, need, openssh,
                      openssh_server, run, until)

paramiko = pytest.importorskip('paramiko')
logging.getLogger('paramiko').setLevel(logging.CRITICAL)
SSHD = nacre('sshd')

# A /dev with a log in it, for the server only. "$0" is the folder.
OWN_DEV = '''for name in null zero full random urandom tty ptmx; do
  : > "$0/$name" && mount --bind "/dev/$name" "$0/$name" || exit 77
done
mkdir -p "$0/pts" "$0/shm" && mount --rbind /dev/pts "$0/pts" && mount --rbind /dev/shm "$0/shm" &&
ln -s /proc/self/fd "$0/fd" && mount --rbind "$0" /dev && exec "$@"'''


class Syslog:
    """What a server sends to /dev/log: priorities and texts."""

    def __init__(self, folder):
        self.lines = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(os.path.join(folder, 'log'))
        os.chmod(os.path.join(folder, 'log'), 0o666)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while True:
            data = self.socket.recv(65536)
            match = re.match(rb'<(\d+)>(... .. ..:..:..) (\S+?)\[(\d+)\]: (.*)', data, re.DOTALL)
            assert match, data
            self.lines.append((int(match[1]), match[2].decode(), match[3].decode(), match[4].decode(),
                               match[5].rstrip(b'\0').decode('utf-8', 'backslashreplace')))

    def texts(self):
        return [line[4] for line in self.lines]


class LoggedServer:
    """An sshd that logs to a syslog of its own."""

    def __init__(self, servers, program, more=''):
        if not IS_ROOT:
            pytest.skip('a /dev of its own needs root')
        folder, port = servers.folder('syslog'), PORTS.take()
        dev = os.path.join(folder, 'dev')
        os.mkdir(dev)
        self.syslog = Syslog(dev)
        key = servers.host_keys['ed25519']
        config = os.path.join(folder, 'sshd_config')
        with open(config, 'w') as file:
            file.write(f'ListenAddress 127.0.0.1\nPort {port}\nHostKey {key}\nPidFile none\n'
                       f'AuthorizedKeysFile {servers.authorized_keys}\nStrictModes no\nUsePAM no\n'
                       f'LoginGraceTime 3\nPrintLastLog no\nPrintMotd no\n'
                       f'Subsystem sftp internal-sftp\n{more}')
        options = ['-o', 'PerSourcePenalties=no'] if program == SSHD else []
        command = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', OWN_DEV, dev,
                   program, '-D', '-f', config, *options]
        self.server = servers.add(command, port, folder, [key])
        self.port, self.user, self.known_hosts = port, self.server.user, self.server.known_hosts

    def idle(self):
        """Whether no connection is left: all processes that wait for one are in their names."""
        listing = run(['pgrep', '-a', '-P', str(self.server.process.pid)]).stdout.decode()
        return all('[waiting]' in line or '[starting]' in line for line in listing.splitlines())

    def quiet(self):
        """Waits until nothing more is logged."""
        until(self.idle, self.syslog.texts)
        seen = -1
        while len(self.syslog.lines) != seen:
            seen = len(self.syslog.lines)
            time.sleep(0.05)

    def take(self, action):
        """What is logged about what the action does."""
        self.quiet()
        before = len(self.syslog.lines)
        action(self)
        until(lambda: len(self.syslog.lines) > before, 'a line')
        self.quiet()
        return self.syslog.lines[before:]


@pytest.fixture(scope='module')
def both(servers):
    """OpenSSH's server and ours."""
    need('sshd', 'unshare')
    more = 'LogLevel VERBOSE\nDenyUsers games\nAllowUsers *@127.0.0.1\n'
    return (LoggedServer(servers, openssh_server(), more), LoggedServer(servers, SSHD, more))


# What strangers and users do -----------------------------------------------------------------------

def dial(server):
    return socket.create_connection(('127.0.0.1', server.port), PATIENCE)


def says(data, stays=False):
    """Sends it and goes without having read anything, which resets the connection; or reads until
    the server has had enough."""
    def action(server):
        with dial(server) as connection, contextlib.suppress(OSError):
            if data:
                connection.sendall(data)
            elif stays:
                connection.shutdown(socket.SHUT_WR)
            connection.recv(1, socket.MSG_PEEK)
            while stays and connection.recv(4096):
                pass
    return action


def offers(**lists):
    def action(server):
        peer = hostile_peer.Peer(dial(server))
        with contextlib.suppress(hostile_peer.Gone, OSError):
            peer.greet()
            peer.send(hostile_peer.kexinit(**lists))
            peer.receive(hostile_peer.ECDH_REPLY)
    return action


def client(server):
    transport = paramiko.Transport(dial(server))
    transport.start_client(timeout=PATIENCE)
    return transport


def tries(user, count, password=True, end=None):
    def action(server):
        transport = client(server)
        try:
            for i in range(count):
                try:
                    name = user or server.user
                    if password:
                        transport.auth_password(name, f'wrong{i}', fallback=False)
                    else:
                        transport.auth_publickey(name, paramiko.ECDSAKey.generate())
                except paramiko.AuthenticationException:
                    pass
        except (paramiko.SSHException, EOFError):
            pass
        (end or paramiko.Transport.close)(transport)
    return action


def reset(transport):
    transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    transport.sock.close()
    transport.close()


def disconnects(code, text):
    def end(transport):
        message = paramiko.Message()
        message.add_byte(b'\x01')
        message.add_int(code)
        message.add_string(text)
        message.add_string('')
        transport._send_message(message)
        time.sleep(0.1)
        transport.close()
    return end


def changes_user(server):
    transport = client(server)
    for user in (server.user, 'root'):
        with pytest.raises((paramiko.SSHException, EOFError)):
            transport.auth_password(user, 'wrong', fallback=False)
    transport.close()


def logs_in(*arguments, options=()):
    def action(server):
        run([*Client('/usr/bin/ssh', action.key).command(server, *options), *arguments])
    return action


def with_password(server):
    transport = client(server)
    transport.auth_password(server.user, PASSWORD)
    channel = transport.open_session()
    channel.exec_command('true')
    channel.recv_exit_status()
    channel.close()
    time.sleep(0.2)
    transport.close()


ATTACKS = {
    'a scan': says(b'', stays=True),
    'a scan that is reset': says(b''),
    'a web client': says(b'GET / HTTP/1.0\r\n\r\n', stays=True),
    'a TLS client': says(b'\x16\x03\x01\x02\x00' * 20, stays=True),
    'SSH 1': says(b'SSH-1.5-old\r\n', stays=True),
    'half an identification': says(b'SSH-2.0-'),
    'only an identification': says(b'SSH-2.0-x\r\n'),
    'no packet': says(b'SSH-2.0-x\r\n' + b'A' * 64, stays=True),
    'no key exchange in common': offers(kex=b'none-such'),
    'no host key in common': offers(host_key=b'none-such'),
    'no cipher in common': offers(cipher=b'none-such'),
    'wrong passwords': tries(None, 3),
    'too many wrong passwords': tries(None, 8),
    'too many for nobody': tries('nosuchuser', 8),
    'one for root': tries('root', 1),
    'a name that looks like more': tries('a from 192.0.2.1 port 1 ssh2', 1),
    'a user who may not': tries('games', 2),
    'keys': tries(None, 8, password=False),
    'keys for nobody': tries('nosuchuser', 8, password=False),
    'a key, then a reset': tries('nosuchuser', 1, password=False, end=reset),
    'gives up': tries(None, 1, password=False,
                      end=disconnects(14, 'No supported authentication methods available')),
    'Auth fail': tries(None, 1, end=disconnects(3, 'com.jcraft.jsch.JSchException: Auth fail')),
    'says goodbye': tries(None, 0, end=disconnects(11, 'Bye Bye')),
    'changes the user': changes_user,
}
LOGINS = {
    'a command': logs_in('true'), 'a failing command': logs_in('exit 3'),
    'a subsystem': logs_in('sftp', options=['-s']),
    'no such subsystem': logs_in('nosuch', options=['-s']),
    'a password': with_password,
}
# Of one program only, and of no meaning to others: OpenSSH's account database asked for an account
# that is not there, its own closing of sessions that ours says of every session.
APART = re.compile(r'Could not get shadow information|Close session: |fatal: mm_|Attempt to write ')


def normal(lines, server):
    """Priorities and texts, with what differs from one run to the next made equal."""
    result = []
    for priority, _, program, _, text in lines:
        text = re.sub(r'(?<=port )\d+|\bSHA256:\S+|(?<=pid )\d+|(?<=sent )\d+|(?<=received )\d+', 'X',
                      text)
        if not APART.search(text):
            result.append((priority, program, text.replace(server.user, 'USER')))
    return sorted(result)


@pytest.fixture(scope='module')
def told(both, user_keys):
    """What both have logged, by what was done."""
    for action in LOGINS.values():
        action.key = user_keys['ed25519']
    actions = {**ATTACKS, **LOGINS}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        lines = list(pool.map(lambda server: [server.take(action) for action in actions.values()],
                              both))
    return {name: [lines[0][i], lines[1][i]] for i, name in enumerate(actions)}


@pytest.mark.parametrize('name', [*ATTACKS, *LOGINS])
def test_the_same_words_as_openssh(both, told, name):
    theirs, ours = (normal(lines, server) for lines, server in zip(told[name], both))
    assert ours == theirs


def as_file(lines, path):
    with open(path, 'w') as file:
        for _, date, program, pid, text in lines:
            file.write(f'{date} host {program}[{pid}]: {text}\n')
    return path


def found(path, mode):
    """What fail2ban's filter makes of a log: failures by address and user."""
    result = run(['fail2ban-regex', '-o', '<ip> <F-USER>', path, f'sshd[mode={mode}]'], timeout=120)
    return sorted(line for line in result.stdout.decode().splitlines() if line.startswith('127.'))


@pytest.mark.parametrize('mode', ['normal', 'ddos', 'extra', 'aggressive'])
def test_fail2ban_finds_the_same(both, told, tmp_path, mode):
    need('fail2ban-regex')
    theirs, ours = (
        found(as_file([line for name in told for line in told[name][i]], tmp_path / str(i)), mode)
        for i in range(2))
    rename = [[line.replace(server.user, 'USER') for line in lines]
              for server, lines in zip(both, (theirs, ours))]
    assert len(theirs) > 10
    assert rename[1] == rename[0]


def test_login_grace_time_is_fatal(both):
    server = both[1]
    with dial(server) as connection:
        connection.sendall(b'SSH-2.0-slow\r\n')
        until(lambda: re.search('fatal: Timeout before authentication for 127.0.0.1 port ',
                                str(server.syslog.texts())), server.syslog.texts, 20)


def test_facility(servers):
    server = LoggedServer(servers, SSHD, 'SyslogFacility LOCAL3\n')
    says(b'GET / HTTP/1.0\r\n\r\n', stays=True)(server)
    until(lambda: 'banner exchange' in str(server.syslog.texts()), server.syslog.texts)
    assert {line[0] >> 3 for line in server.syslog.lines} == {19}
    assert {line[0] & 7 for line in server.syslog.lines if line[4].startswith('error: ')} == {3}


def test_a_session_in_a_chroot_still_logs(servers, user_keys):
    with tempfile.TemporaryDirectory(dir='/run' if IS_ROOT else None) as root:
        os.chmod(root, 0o755)
        server = LoggedServer(
            servers, SSHD, f'LogLevel VERBOSE\nChrootDirectory {root}\nForceCommand internal-sftp\n')
        run([*Client('/usr/bin/ssh', user_keys['ed25519']).command(server, '-s'), 'sftp'])
        until(lambda: 'Disconnected from user' in str(server.syslog.texts()), server.syslog.texts)


# Levels, places, files ----------------------------------------------------------------------------

LEVELS = {'QUIET': 0, 'FATAL': 0, 'ERROR': 1, 'INFO': 2, 'VERBOSE': 3, 'DEBUG': 4, 'DEBUG1': 4,
          'DEBUG2': 5, 'DEBUG3': 6}
SIGNS = ['kex_exchange_identification: ', 'Server listening', 'Starting session', 'debug1: ',
         'debug2: ']


@pytest.mark.parametrize('level', LEVELS)
def test_levels(servers, nacre_ssh, level):
    server = servers.sshd(SSHD, options=['-o', f'LogLevel={level}'])
    says(b'GET / HTTP/1.0\r\n\r\n', stays=True)(server)
    assert nacre_ssh.run(server, 'true').returncode == 0
    expected = SIGNS[:LEVELS[level]]
    until(lambda: all(sign in server.log() for sign in expected), server.log)
    assert [sign for sign in SIGNS if sign in server.log()] == expected


def test_level_in_match(servers, nacre_ssh):
    server = servers.sshd(SSHD, f'Match User {servers.account.name}\n  LogLevel DEBUG1\n',
                          options=['-o', 'LogLevel=ERROR'])
    says(b'')(server)
    assert nacre_ssh.run(server, 'true').returncode == 0
    until(lambda: 'Starting session: command' in server.log(), server.log)
    assert 'Connection from' not in server.log()


def test_places_that_are_always_logged(servers, nacre_ssh):
    server = servers.sshd(SSHD, 'LogVerbose authorize_key.c:*:*,!*:nothing():*\n',
                          options=['-o', 'LogLevel=ERROR'])
    assert nacre_ssh.run(server, 'true').returncode == 0
    until(lambda: re.search(r'^authorize_key\.c:\w+\(\):\d+: Accepted key ED25519 ', server.log(),
                            re.MULTILINE), server.log)
    assert 'Starting session' not in server.log()


def test_quiet(servers, nacre_ssh):
    server = servers.sshd(SSHD, options=['-q'])
    says(b'GET / HTTP/1.0\r\n\r\n', stays=True)(server)
    assert nacre_ssh.run(server, 'true').returncode == 0
    assert server.log() == ''


def test_a_log_file_is_opened_anew_with_a_reload(servers, nacre_ssh):
    path = os.path.join(servers.folder('file'), 'sshd.log')
    server = servers.sshd(SSHD, options=['-E', path])

    def text():
        with open(path) as file:
            return file.read()
    until(lambda: 'Server listening' in text(), text)
    os.rename(path, path + '.1')
    server.process.send_signal(signal.SIGHUP)
    until(lambda: os.path.exists(path) and 'Server listening' in text(), 'a new file')
    assert nacre_ssh.run(server, 'true').returncode == 0
    until(lambda: 'Starting session' in text(), text)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert '\r' not in text()


# JSON ----------------------------------------------------------------------------------------------

def strict(pairs):
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), names
    return dict(pairs)


def objects(server):
    """Every line of the log; nothing else may be there."""
    with open(server.log_path, 'rb') as file:
        lines = file.read().split(b'\n')
    result = [json.loads(line.decode('utf-8'), object_pairs_hook=strict) for line in lines[:-1]]
    for item in result:
        assert item['program'] == 'sshd' and item['pid'] > 0 and item['message']
        assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z', item['time'])
        assert item['level'] in ('fatal', 'error', 'info', 'verbose', 'debug1', 'debug2', 'debug3')
    return result


@pytest.fixture
def json_server(servers):
    return servers.sshd(SSHD, 'LogFormat json\n', options=['-o', 'LogLevel=INFO'])


def events(server, **wanted):
    return [item for item in objects(server)
            if all(item.get(name) == value for name, value in wanted.items())]


def test_a_login_as_objects(json_server, nacre_ssh):
    assert nacre_ssh.run(json_server, 'exit 3').returncode == 3
    end, = until(lambda: events(json_server, event='disconnect', authenticated=True), 'the end')
    story = events(json_server, connection=end['connection'])
    kinds = [item['event'] for item in story if item['event'] != 'log']
    assert kinds == ['connection', *['authentication'] * (len(kinds) - 4), 'session_start',
                     'session_end', 'disconnect']
    accepted, = [item for item in story if item.get('result') == 'accepted']
    fingerprint = run([openssh('ssh-keygen'), '-lf', nacre_ssh.key + '.pub']).stdout.decode().split()[1]
    assert accepted['fingerprint'] == fingerprint and accepted['key_type'] == 'ED25519'
    assert accepted['method'] == 'publickey' and accepted['user'] == json_server.user
    assert {item['address'] for item in story} == {'127.0.0.1'}
    assert len({item['port'] for item in story}) == 1
    ended, = [item for item in story if item['event'] == 'session_end']
    assert ended['exit_status'] == 3 and ended['user'] == json_server.user
    assert end['outcome'] == 'disconnected' and end['duration_ms'] < 60000
    assert end['bytes_sent'] > 0 and end['bytes_received'] > 0


def test_a_certificate_is_named(servers, user_keys, place):
    folder = servers.folder('certificate')
    authority = make_key(os.path.join(folder, 'authority'), ['-t', 'ed25519'])
    key = make_key(os.path.join(folder, 'key'), ['-t', 'ed25519'])
    server = servers.sshd(SSHD, f'LogFormat json\nTrustedUserCAKeys {authority}.pub\n')
    identity = 'for "alice" \\ \u20ac'
    run([openssh('ssh-keygen'), '-q', '-s', authority, '-I', identity, '-z', '77', '-n', server.user,
         key + '.pub'], check=True)
    assert Client('/usr/bin/ssh', key).run(server, 'true').returncode == 0
    accepted, = until(lambda: events(server, event='authentication', result='accepted'), 'a login')
    assert accepted['certificate_id'] == identity and accepted['certificate_serial'] == 77
    assert accepted['key_type'] == 'ED25519-CERT'
    assert accepted['authority'] == run([openssh('ssh-keygen'), '-lf', authority + '.pub']
                                        ).stdout.decode().split()[1]


def test_forwarded_connections(json_server, openssh_ssh):
    port = json_server.port
    run(openssh_ssh.command(json_server, '-W', f'127.0.0.1:{port}'))
    run(openssh_ssh.command(json_server, '-W', '127.0.0.1:1'))
    opened, = until(lambda: events(json_server, event='forward', result='opened'), 'one')
    assert opened['kind'] == 'direct-tcpip' and opened['target'] == f'127.0.0.1 port {port}'
    failed, = until(lambda: events(json_server, event='forward', result='failed'), 'another')
    assert failed['target'] == '127.0.0.1 port 1' and failed['user'] == json_server.user


@pytest.mark.parametrize('name', [
    'a"b\\c', '\n\r\t\0\x1b[2J'.replace('\0', ''), '","event":"authentication","result":"accepted',
    '\u202e\u2028\ufeff', '\U0001f41f' * 50, 'x' * 20000, '"' * 5000, '\\u0000', '\x7f\x9b'])
def test_no_name_can_break_an_object(json_server, name):
    tries(name, 1)(json_server)
    failed = until(lambda: events(json_server, event='authentication', result='failed') or
                   events(json_server, event='disconnect'), 'an event')
    users = {item['user'] for item in failed if 'user' in item}
    assert all(name.startswith(user) for user in users) and (users or len(name) > 1000)
    assert not events(json_server, result='accepted')


def test_no_bytes_can_break_an_object(json_server):
    for data in (b'\xff\xfe"\\\r\n', b'SSH-2.0-\xc3"}\r\n', b'{"event":"x"}\n', b'SSH-2.0-' + b'"' * 200 +
                 b'\r\n' + b'\0' * 64):
        says(data)(json_server)
    tries('caf\udcc3', 0)(json_server)
    until(lambda: len(events(json_server, event='disconnect')) >= 4, 'the ends')
    assert not events(json_server, event='x')


def test_complaints_are_objects_too(json_server):
    path = os.path.join(json_server.folder, 'sshd_config')
    with open(path, 'a') as file:
        file.write('NoSuch "keyword"\n')
    json_server.process.send_signal(signal.SIGHUP)
    until(lambda: any('NoSuch' in item['message'] for item in objects(json_server)), 'a complaint')
