"""The program ssh as a person meets it: options, exit statuses, host key questions, passphrases,
the terminal, escape sequences and signals."""
import contextlib
import fcntl
import hashlib
import os
import re
import select
import shutil
import signal
import stat
import struct
import subprocess
import termios
import time

import pytest

from conftest import (IS_ROOT, PASSWORD, PATIENCE, Client, make_key, nacre, need,
                      openssh, openssh_server, public_line, run, start_in_terminal)

# Of OpenSSH's process for a user, for pgrep; the first is until 9.7.
TITLE = 'sshd(-session)?: '


@pytest.fixture(params=['openssh', 'nacre'])
def server(request):
    """Every test meets both servers."""
    if request.param == 'nacre' and not os.path.exists(nacre('sshd')):
        pytest.skip('sshd is not built')
    return request.getfixturevalue(f'{request.param}_sshd')


class Terminal:
    """A program in a terminal of its own, with a person who waits for text and types."""

    def __init__(self, command, environment=None, rows=24, columns=80):
        self.process, self.fd = start_in_terminal(command, env={**os.environ, **(environment or {})})
        self.resize(rows, columns, False)
        self.seen = b''

    def resize(self, rows, columns, tell=True):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
        if tell:
            self.process.send_signal(signal.SIGWINCH)

    def read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b''
        self.seen += data
        return len(data) > 0

    def expect(self, pattern, patience=PATIENCE):
        """Waits for a pattern in what was not expected yet; what precedes it is dropped."""
        end = time.monotonic() + patience
        while True:
            found = re.search(pattern.encode(), self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found
            if time.monotonic() > end or not self.read(end - time.monotonic()):
                raise AssertionError(f'no {pattern!r} in {self.seen!r}')

    def type(self, text):
        os.write(self.fd, text if isinstance(text, bytes) else text.encode())

    def canonical(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ICANON)

    def wait(self, patience=PATIENCE):
        """Reads to the end; the exit status as a shell tells it."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if self.process.poll() is not None:
                while self.read(0.05):
                    pass
                return self.process.returncode
            self.read(0.02)
        raise AssertionError(f'still running; seen {self.seen!r}')

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.fd)


@pytest.fixture
def terminal():
    opened = []

    def make(*arguments, **options):
        opened.append(Terminal(*arguments, **options))
        return opened[-1]
    yield make
    for one in opened:
        one.close()


@pytest.fixture
def known_hosts(tmp_path):
    return str(tmp_path / 'known_hosts')


def stranger_options(known_hosts, strict='ask'):
    """Later options lose: these go first."""
    return ['-o', f'UserKnownHostsFile={known_hosts}', '-o', f'StrictHostKeyChecking={strict}',
            '-o', 'BatchMode=no', '-o', 'HostKeyAlgorithms=ssh-ed25519']


def asking(client, server, *options, key=None, words=()):
    """A command line whose first options win over those of the client fixture."""
    command = client.command(server, key=key)
    return [command[0], *options, *command[1:], *words]


# Exit statuses and streams --------------------------------------------------------------------------

@pytest.mark.parametrize('command,status', [('true', 0), ('exit 3', 3), ('exit 255', 255),
                                            ('kill -9 $$', 255), ('kill -TERM $$', 255)])
def test_exit_status(nacre_ssh, server, command, status):
    assert nacre_ssh.run(server, command).returncode == status


def test_streams_are_kept_apart(nacre_ssh, server):
    result = nacre_ssh.run(server, 'cat; echo complaint >&2', input=b'input\0\xff')
    assert (result.stdout, result.stderr) == (b'input\0\xff', b'complaint\n')


def test_words_are_joined(nacre_ssh, server):
    result = run([*nacre_ssh.command(server), 'echo', 'a', '  b'])
    assert result.stdout == b'a b\n'


@pytest.mark.parametrize('through', ['file', 'pipe'])
@pytest.mark.parametrize('options', [(), ('-c', 'aes128-gcm@openssh.com'), ('-c', 'aes256-ctr'),
                                     ('-C',), ('-o', 'RekeyLimit=1M')])
def test_much_data_both_ways(nacre_ssh, server, tmp_path, through, options):
    data = os.urandom(1 << 20) * 6
    path = tmp_path / 'data'
    path.write_bytes(data)
    with open(path, 'rb') as file:
        source = {'stdin': file} if through == 'file' else {'input': data}
        result = nacre_ssh.run(server, 'cat', *options, **source)
    assert result.returncode == 0, result.stderr
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()


def test_reader_that_leaves_ends_the_command(nacre_ssh, server):
    """As in "ssh host yes | head -1"."""
    process = subprocess.Popen(nacre_ssh.command(server) + ['yes; echo over >&2'],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    assert process.stdout.read(2) == b'y\n'
    process.stdout.close()
    assert process.wait(PATIENCE) in (0, 255)


def test_reader_that_waits_does_not_block_the_writer(nacre_ssh, server):
    """Whoever writes everything before reading anything gets it back, within the window."""
    with subprocess.Popen(nacre_ssh.command(server) + ['cat'], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        data = b'x' * 1500000
        process.stdin.write(data)
        process.stdin.close()
        assert process.stdout.read() == data


def test_full_disk_is_no_success(nacre_ssh, server):
    with open('/dev/full', 'wb') as full:
        result = subprocess.run(nacre_ssh.command(server) + ['echo lost; exit 0'], stdout=full,
                                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert result.returncode == 255 and b'No space left on device' in result.stderr


def test_closed_standard_streams(nacre_ssh, server):
    for closed in ('<&-', '>&-', '2>&-', '<&- >&- 2>&-'):
        words = ' '.join(f"'{word}'" for word in nacre_ssh.command(server))
        assert run(['/bin/sh', '-c', f'{words} "echo x; echo y >&2; exit 5" {closed}']).returncode == 5


def test_shared_standard_streams_stay_blocking(nacre_ssh, server):
    read_end, write_end = os.pipe()
    process = subprocess.Popen(nacre_ssh.command(server) + ['echo x; sleep 1'], stdout=write_end,
                               stdin=subprocess.DEVNULL)
    assert os.read(read_end, 2) == b'x\n'
    assert not fcntl.fcntl(write_end, fcntl.F_GETFL) & os.O_NONBLOCK
    process.wait(PATIENCE)
    os.close(read_end)
    os.close(write_end)


# Options --------------------------------------------------------------------------------------------

def test_no_input(nacre_ssh, server):
    assert nacre_ssh.run(server, 'cat', '-n', input=b'unread').stdout == b''


def test_destinations(nacre_ssh, server):
    options = [nacre_ssh.program, *nacre_ssh.options(server)]
    for words in ([f'ssh://{server.user}@127.0.0.1:{server.port}'],
                  ['-p', str(server.port), '-l', server.user, '127.0.0.1'],
                  ['127.0.0.1', '-p', str(server.port), '-l', server.user]):
        assert run([*options, *words, 'echo', 'here']).stdout == b'here\n'


def test_version_of_the_protocol(nacre_ssh, server):
    """Old programs say which; there is one."""
    assert nacre_ssh.run(server, 'true', '-2').returncode == 0
    result = nacre_ssh.run(server, 'true', '-1')
    assert result.returncode == 255 and b'SSH protocol v.1 is no longer supported' in result.stderr


def test_configuration_file(nacre_ssh, server, tmp_path):
    config = tmp_path / 'config'
    config.write_text(f'Host nick\n HostName 127.0.0.1\n Port {server.port}\n User {server.user}\n'
                      f' IdentityFile {nacre_ssh.key}\n UserKnownHostsFile {server.known_hosts}\n'
                      ' RemoteCommand echo %n\n BatchMode yes\n IdentityAgent none\n')
    assert run([nacre_ssh.program, '-F', str(config), 'nick']).stdout == b'nick\n'
    assert b'hostname 127.0.0.1\n' in run([nacre_ssh.program, '-G', '-F', str(config), 'nick']).stdout
    config.write_text('Host x\n NoSuchKeyword 1\n')
    result = run([nacre_ssh.program, '-F', str(config), 'nick'])
    assert result.returncode == 255
    assert b'line 2' in result.stderr and b'nosuchkeyword' in result.stderr.lower()


def test_environment(nacre_ssh, server):
    result = nacre_ssh.run(server, 'echo $NACRE_A-$NACRE_B', '-o', 'SendEnv=NACRE_*', '-o',
                           'SetEnv=NACRE_B=set', env={**os.environ, 'NACRE_A': 'sent'})
    assert result.stdout == b'sent-set\n'


def test_subsystem(nacre_ssh, server):
    with subprocess.Popen(nacre_ssh.command(server, '-s') + ['sftp'], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        process.stdin.write(struct.pack('>IBI', 5, 1, 3))
        process.stdin.flush()
        assert process.stdout.read(9)[4:] == b'\2\0\0\0\3'
        process.stdin.close()
    assert b'subsystem request failed' in nacre_ssh.run(server, 'nothing', '-s').stderr


def test_stdio_forward(nacre_ssh, server):
    result = nacre_ssh.run(server, None, '-W', f'127.0.0.1:{server.port}', input=b'SSH-2.0-test\r\n',
                           timeout=PATIENCE)
    assert result.stdout.startswith(b'SSH-2.0-')
    result = nacre_ssh.run(server, None, '-W', '127.0.0.1:1')
    assert result.returncode == 255 and b'open failed: connect failed' in result.stderr


def test_background(nacre_ssh, server, tmp_path):
    out = tmp_path / 'out'
    with open(out, 'wb') as file:
        started = time.monotonic()
        process = subprocess.run(nacre_ssh.command(server, '-f') + ['sleep 2; echo done'],
                                 stdout=file, timeout=PATIENCE)
        assert process.returncode == 0
        assert out.read_bytes() == b'', time.monotonic() - started
    end = time.monotonic() + PATIENCE
    while out.read_bytes() != b'done\n' and time.monotonic() < end:
        time.sleep(0.05)
    assert out.read_bytes() == b'done\n'


def test_no_command_runs_until_killed(nacre_ssh, server):
    process = subprocess.Popen(nacre_ssh.command(server, '-N', '-v'), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in process.stderr:
        if b'Authenticated to' in line:
            break
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 255
    process.stderr.close()
    process.stdout.close()


def test_log_file(nacre_ssh, server, tmp_path):
    log = tmp_path / 'log'
    result = nacre_ssh.run(server, 'true', '-v', '-E', str(log))
    assert result.stderr == b''
    assert 'debug1: Authenticating to' in log.read_text() and '\r' not in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_verbose_lines_are_those_that_people_know(nacre_ssh, server):
    said = nacre_ssh.run(server, 'true', '-v').stderr.decode()
    for line in ('debug1: Connecting to 127.0.0.1 [127.0.0.1] port', 'debug1: Connection established.',
                 'debug1: Local version string SSH-2.0-', 'debug1: Remote protocol version 2.0',
                 'debug1: kex: host key algorithm: ', 'debug1: Server host key: ',
                 'is known and matches the', 'debug1: Offering public key: ',
                 'using "publickey"', 'debug1: Sending command: true', 'debug1: Exit status 0'):
        assert line in said, said


@pytest.mark.parametrize('query,name', [('cipher', 'aes128-gcm@openssh.com'), ('kex', 'curve25519-sha256'),
                                        ('mac', 'umac-64-etm@openssh.com'), ('key', 'ssh-ed25519'),
                                        ('sig', 'rsa-sha2-512'), ('protocol-version', '2')])
def test_query(query, name):
    assert name in run([nacre('ssh'), '-Q', query]).stdout.decode().split('\n')


def test_version():
    result = run([nacre('ssh'), '-V'])
    assert result.returncode == 0 and result.stderr.startswith(b'Nacre_') and b'OpenSSL' in result.stderr


@pytest.mark.parametrize('words,complaint', [
    ([], b'usage: ssh'), (['-?'], b'invalid option'), (['-p'], b'requires an argument'),
    (['-L', '1:a', 'h'], b"Bad local forwarding specification '1:a'"),
    (['-o', 'LocalForward=1', 'h'], b'Missing target argument'),
    (['-o', 'Nonsense=1', 'h'], b'ad configuration option: nonsense'),
    (['-p', 'many', 'h'], b'many'), (['-c', 'rot13', 'h'], b'rot13'), (['-W', 'x', 'h'], b"'x'"),
    (['-Q', 'nonsense'], b'nonsense'), (['-e', 'toolong', 'h'], b'escape character')])
def test_bad_command_lines(words, complaint):
    result = run([nacre('ssh'), '-F', 'none', *words])
    assert result.returncode == 255 and complaint in result.stderr, result.stderr


# Connection failures --------------------------------------------------------------------------------

def test_connection_failures(nacre_ssh, server, free_port):
    port = free_port()
    base = [nacre_ssh.program, *nacre_ssh.options(server)]
    refused = run([*base, '-p', str(port), '127.0.0.1', 'true'])
    assert refused.returncode == 255
    assert f'ssh: connect to host 127.0.0.1 port {port}: Connection refused' in refused.stderr.decode()
    assert b'hint: ' in refused.stderr
    unknown = run([*base, 'no-such-host.invalid', 'true'])
    assert unknown.returncode == 255
    assert b'ssh: Could not resolve hostname no-such-host.invalid: ' in unknown.stderr
    quiet = run([*base[:1], '-q', *base[1:], '-p', str(port), '127.0.0.1', 'true'])
    assert (quiet.returncode, quiet.stderr) == (255, b'')


@contextlib.contextmanager
def plain_server(greeting, port, then_close=False):
    """A server that says what it is told to and nothing more."""
    code = ('import socket,sys,time\ns=socket.socket();s.setsockopt(1,2,1)\n'
            f's.bind(("127.0.0.1",{port}));s.listen()\nprint("up",flush=True)\n'
            f'c,_=s.accept();c.sendall({greeting!r})\n' + ('c.close()\n' if then_close else 'time.sleep(60)\n'))
    with subprocess.Popen(['python3', '-c', code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield
        process.kill()


@pytest.mark.parametrize('greeting,then_close,complaint', [
    (b'', True, b'onnection'), (b'HTTP/1.0 400 Bad Request\r\n' * 2000, True, b''),
    (b'SSH-1.5-old\r\n', True, b'ersion'), (b'\0' * 5000, True, b''),
    (b'SSH-2.0-x\r\n' + b'\xff' * 64, False, b'ad packet length')])
def test_servers_that_are_none(nacre_ssh, free_port, greeting, then_close, complaint):
    port = free_port()
    with plain_server(greeting, port, then_close):
        result = run([nacre_ssh.program, '-F', 'none', '-o', 'BatchMode=yes', '-p', str(port),
                      '-o', 'UserKnownHostsFile=/dev/null', '127.0.0.1', 'true'])
    assert result.returncode == 255 and result.stderr != b'', result.stderr
    assert complaint in result.stderr and result.stderr.count(b'\n') < 6, result.stderr


def test_connect_timeout_covers_the_greeting(nacre_ssh, free_port):
    port = free_port()
    with plain_server(b'', port):
        started = time.monotonic()
        result = run([nacre_ssh.program, '-F', 'none', '-o', 'ConnectTimeout=1', '-p', str(port),
                      '-o', 'UserKnownHostsFile=/dev/null', '127.0.0.1', 'true'])
        assert time.monotonic() - started < 10
    assert result.returncode == 255 and b'timed out' in result.stderr


def test_no_common_algorithm(nacre_ssh, servers, user_keys):
    server = servers.sshd(openssh_server(), 'Ciphers aes256-ctr')
    result = nacre_ssh.run(server, 'true', '-c', 'aes128-ctr')
    assert result.returncode == 255
    assert b'Unable to negotiate with 127.0.0.1 port' in result.stderr
    assert b'no matching cipher found' in result.stderr and b'aes256-ctr' in result.stderr
    assert b'hint: ' in result.stderr and b'Ciphers=+' in result.stderr


def test_permission_denied(nacre_ssh, server, tmp_path):
    stranger = make_key(str(tmp_path / 'stranger'), ['-t', 'ed25519'])
    result = nacre_ssh.run(server, 'true', key=stranger)
    assert result.returncode == 255
    assert re.search(rb'%s@127\.0\.0\.1: Permission denied \([a-z,-]*publickey[a-z,-]*\)\.' %
                     server.user.encode(), result.stderr), result.stderr


def test_too_many_keys(nacre_ssh, server, tmp_path):
    strangers = [make_key(str(tmp_path / f'k{i}'), ['-t', 'ed25519']) for i in range(8)]
    options = [word for key in strangers[1:] for word in ('-i', key)]
    result = run(asking(nacre_ssh, server, *options, key=strangers[0], words=['true']))
    assert result.returncode == 255
    assert re.search(rb'Received disconnect from 127.0.0.1 port %d:2: Too many authentication failures' %
                     server.port, result.stderr), result.stderr
    assert b'Disconnected from 127.0.0.1 port' in result.stderr
    assert b'IdentitiesOnly=yes' in result.stderr


# Host keys -------------------------------------------------------------------------------------------

def fingerprint(path):
    return run([openssh('ssh-keygen'), '-lf', path]).stdout.split()[1].decode()


@pytest.mark.parametrize('answer,accepted', [('yes', True), ('no', False), ('fingerprint', True),
                                             ('maybe\nyes', True)])
def test_host_key_question(nacre_ssh, server, host_keys, terminal, known_hosts, answer, accepted):
    person = terminal(asking(nacre_ssh, server, *stranger_options(known_hosts), words=['echo', 'in']))
    name = re.escape(f'[127.0.0.1]:{server.port}')
    person.expect(f"The authenticity of host '{name} \\({name}\\)' can't be established.")
    person.expect('ED25519 key fingerprint is ' + re.escape(fingerprint(host_keys['ed25519'])) + r'\.')
    person.expect(r'continue connecting \(yes/no/\[fingerprint\]\)\? ')
    if answer.startswith('maybe'):
        person.type('maybe\n')
        person.expect("Please type 'yes', 'no' or the fingerprint: ")
        answer = 'yes'
    person.type((fingerprint(host_keys['ed25519']) if answer == 'fingerprint' else answer) + '\n')
    if not accepted:
        person.expect('Host key verification failed.')
        assert person.wait() == 255 and not os.path.exists(known_hosts)
        return
    person.expect(f"Warning: Permanently added '{name}' \\(ED25519\\) to the list of known hosts.")
    person.expect('in\r\n')
    assert person.wait() == 0
    with open(known_hosts) as file:
        assert file.read() == f'[127.0.0.1]:{server.port} {public_line(host_keys["ed25519"])}\n'
    assert stat.S_IMODE(os.stat(known_hosts).st_mode) & 0o077 == 0


def test_host_key_policies(nacre_ssh, server, known_hosts):
    def attempt(strict, *more):
        return run(asking(nacre_ssh, server, *more, *stranger_options(known_hosts, strict), words=['true']))
    refused = attempt('yes')
    assert refused.returncode == 255 and b'requested strict checking' in refused.stderr
    assert attempt('ask', '-o', 'BatchMode=yes').returncode == 255
    assert not os.path.exists(known_hosts)
    assert attempt('accept-new', '-o', 'HashKnownHosts=yes').returncode == 0
    with open(known_hosts) as file:
        assert file.read().startswith('|1|')
    assert attempt('yes').returncode == 0


@pytest.mark.parametrize('strict', ['yes', 'ask', 'accept-new', 'no'])
def test_changed_host_key(nacre_ssh, server, host_keys, user_keys, known_hosts, strict):
    name = f'[127.0.0.1]:{server.port}'
    with open(known_hosts, 'w') as file:
        file.write(f'# a comment\n{name} {public_line(user_keys["ed25519"])}\n')
    result = run(asking(nacre_ssh, server, *stranger_options(known_hosts, strict), words=['true']))
    said = result.stderr.decode()
    assert result.returncode == 255
    for line in ('WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!', fingerprint(host_keys['ed25519']),
                 f'Offending ED25519 key in {known_hosts}:2',
                 f'ssh-keygen -f "{known_hosts}" -R "{name}"', 'Host key verification failed.'):
        assert line in said, said
    assert run([nacre('ssh-keygen'), '-f', known_hosts, '-R', name]).returncode == 0
    assert run(asking(nacre_ssh, server, *stranger_options(known_hosts, 'accept-new'),
                      words=['true'])).returncode == 0


def test_revoked_host_key(nacre_ssh, server, host_keys, known_hosts):
    with open(known_hosts, 'w') as file:
        file.write(f'@revoked * {public_line(host_keys["ed25519"])}\n')
    result = run(asking(nacre_ssh, server, *stranger_options(known_hosts, 'accept-new'), words=['true']))
    assert result.returncode == 255 and b'REVOKED HOST KEY DETECTED' in result.stderr


def test_host_key_alias(nacre_ssh, server, host_keys, known_hosts):
    with open(known_hosts, 'w') as file:
        file.write(f'alias {public_line(host_keys["ed25519"])}\n')
    result = run(asking(nacre_ssh, server, '-o', 'HostKeyAlias=alias',
                        *stranger_options(known_hosts, 'yes'), words=['true']))
    assert result.returncode == 0, result.stderr


def test_known_key_type_is_preferred(nacre_ssh, server, host_keys, known_hosts):
    """A server with several keys is no stranger because another of them comes first."""
    with open(known_hosts, 'w') as file:
        file.write(f'[127.0.0.1]:{server.port} {public_line(host_keys["ecdsa-384"])}\n')
    result = run(asking(nacre_ssh, server, '-o', f'UserKnownHostsFile={known_hosts}', words=['true']))
    assert result.returncode == 0, result.stderr


def test_all_host_keys_are_learned(nacre_ssh, server, host_keys, known_hosts):
    options = ['-o', f'UserKnownHostsFile={known_hosts}', '-o', 'StrictHostKeyChecking=accept-new',
               '-o', 'UpdateHostKeys=yes']
    assert run(asking(nacre_ssh, server, *options, words=['true'])).returncode == 0
    with open(known_hosts) as file:
        learned = {line.split(' ', 1)[1].strip() for line in file}
    assert learned == {public_line(key) for key in host_keys.values()}
    assert run(asking(nacre_ssh, server, *options, words=['true'])).returncode == 0
    with open(known_hosts) as file:
        assert len(file.readlines()) == len(host_keys)


# Preferences of servers --------------------------------------------------------------------------------

def test_second_login_guesses_right(nacre_ssh, server, known_hosts, tmp_path):
    shutil.copy(server.known_hosts, known_hosts)
    options = ['-o', f'UserKnownHostsFile={known_hosts}', '-vv']

    def login():
        result = run(asking(nacre_ssh, server, *options, words=['true']))
        assert result.returncode == 0, result.stderr
        return result.stderr.decode()
    login()
    kept = tmp_path / 'nacre_hosts'
    text = kept.read_text()
    # On a real path the server's first host key is worth having, whatever its type.
    header, line = text.splitlines()
    words = line.split()
    words[3] = '64'
    kept.write_text(f'{header}\n{" ".join(words)}\n')
    assert 'kex: guess right' in login()


def test_nothing_is_remembered_on_request(nacre_ssh, server, known_hosts, tmp_path):
    shutil.copy(server.known_hosts, known_hosts)
    result = run(asking(nacre_ssh, server, '-o', f'UserKnownHostsFile={known_hosts}', '-o',
                        'RememberServers=no', words=['true']))
    assert result.returncode == 0 and not (tmp_path / 'nacre_hosts').exists()


@pytest.mark.parametrize('content', [b'', b'nacre-hosts 1 ' + b'0' * 32 + b'\n' + b'x' * 70000,
                                     b'\0' * 100, b'nacre-hosts 1 zz\n',
                                     b'nacre-hosts 1 ' + b'00' * 16 + b'\n' + b'a b c d e\n' * 50])
def test_hostile_preferences_cost_nothing(nacre_ssh, server, known_hosts, tmp_path, content):
    shutil.copy(server.known_hosts, known_hosts)
    (tmp_path / 'nacre_hosts').write_bytes(content)
    result = run(asking(nacre_ssh, server, '-o', f'UserKnownHostsFile={known_hosts}', words=['true']))
    assert (result.returncode, result.stderr) == (0, b'')


# Keys and passphrases -----------------------------------------------------------------------------------

@pytest.mark.parametrize('kind', ['ed25519', 'rsa', 'ecdsa-256', 'ecdsa-384', 'ecdsa-521'])
def test_key_types(nacre_ssh, server, user_keys, kind):
    assert nacre_ssh.run(server, 'true', key=user_keys[kind]).returncode == 0


def test_many_keys_are_asked_about_at_once(nacre_ssh, server, user_keys, tmp_path):
    strangers = [make_key(str(tmp_path / f'k{i}'), ['-t', 'ed25519']) for i in range(3)]
    options = [word for key in strangers for word in ('-i', key)]
    result = run(asking(nacre_ssh, server, *options, '-v', '-o', 'RememberServers=no', words=['true']))
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stderr.decode().splitlines() if 'public key:' in line or 'accepts' in line]
    assert [line.split(':')[1].strip() for line in lines[:4]] == ['Offering public key'] * 4


@pytest.fixture(scope='session')
def locked_key(place, user_keys):
    """The ed25519 key with a passphrase."""
    path = os.path.join(place, 'locked')
    if not os.path.exists(path):
        for ending in ('', '.pub'):
            shutil.copy(user_keys['ed25519'] + ending, path + ending)
        os.chmod(path, 0o600)
        run([openssh('ssh-keygen'), '-q', '-p', '-P', '', '-N', 'open sesame', '-a', '4', '-f', path],
            check=True)
    return path


@pytest.mark.parametrize('wrong_tries', [0, 2, 3])
def test_passphrase_on_the_terminal(nacre_ssh, server, terminal, locked_key, wrong_tries):
    person = terminal(asking(nacre_ssh, server, '-o', 'BatchMode=no', '-o',
                             'PreferredAuthentications=publickey', key=locked_key, words=['echo', 'in']))
    for _ in range(wrong_tries):
        person.expect(f"Enter passphrase for key '{locked_key}': ")
        person.type('guess\n')
    if wrong_tries == 3:
        person.expect('Permission denied')
        assert person.wait() == 255
        return
    person.expect(f"Enter passphrase for key '{locked_key}': ")
    assert not termios.tcgetattr(person.fd)[3] & termios.ECHO
    person.type('open sesame\n')
    person.expect('\r\nin\r\n')
    assert person.wait() == 0
    assert b'sesame' not in person.seen


def test_interrupted_passphrase_restores_the_terminal(nacre_ssh, server, terminal, locked_key):
    person = terminal(asking(nacre_ssh, server, '-o', 'BatchMode=no', key=locked_key, words=['true']))
    person.expect('Enter passphrase')
    person.type('\x03')
    assert person.wait() == -signal.SIGINT
    assert termios.tcgetattr(person.fd)[3] & termios.ECHO


def test_passphrase_through_askpass(nacre_ssh, server, locked_key, tmp_path):
    askpass = tmp_path / 'askpass'
    askpass.write_text('#!/bin/sh\necho "$1" >> "$0.log"\necho open sesame\n')
    askpass.chmod(0o755)
    environment = {**os.environ, 'SSH_ASKPASS': str(askpass), 'SSH_ASKPASS_REQUIRE': 'force'}
    command = asking(nacre_ssh, server, '-o', 'BatchMode=no', key=locked_key, words=['true'])
    assert run(command, env=environment).returncode == 0
    assert (tmp_path / 'askpass.log').read_text() == f"Enter passphrase for key '{locked_key}': \n"
    environment['SSH_ASKPASS_REQUIRE'] = 'never'
    assert run(command, env=environment, start_new_session=True).returncode == 255
    # With a display and without a terminal it is the way.
    environment.update(DISPLAY=':9')
    del environment['SSH_ASKPASS_REQUIRE']
    assert run(command, env=environment, start_new_session=True).returncode == 0


def test_unprotected_key_is_refused(nacre_ssh, server, user_keys, tmp_path):
    path = tmp_path / 'open'
    shutil.copy(user_keys['ed25519'], path)
    path.chmod(0o644)
    result = nacre_ssh.run(server, 'true', key=str(path))
    assert result.returncode == 255 and b'UNPROTECTED PRIVATE KEY FILE' in result.stderr


@contextlib.contextmanager
def agent_with(*keys):
    """OpenSSH's agent, so that only the client is tried here."""
    need('ssh-agent', 'ssh-add')
    text = run([openssh('ssh-agent'), '-s']).stdout.decode()
    environment = dict(re.findall(r'(SSH_\w+)=([^;]+);', text))
    try:
        run([openssh('ssh-add'), '-q', *keys], env={**os.environ, **environment}, check=True)
        yield environment
    finally:
        os.kill(int(environment['SSH_AGENT_PID']), signal.SIGTERM)


@pytest.mark.parametrize('kind', ['ed25519', 'rsa', 'ecdsa-256'])
def test_key_in_the_agent(nacre_ssh, server, user_keys, kind):
    with agent_with(user_keys[kind]) as environment:
        command = [nacre('ssh'), '-F', 'none', '-i', '/nonexistent', '-o', 'BatchMode=yes',
                   '-o', f'UserKnownHostsFile={server.known_hosts}', '-p', str(server.port),
                   f'{server.user}@127.0.0.1', 'true']
        assert run(command, env={**os.environ, **environment}).returncode == 0
        command[1:1] = ['-o', 'IdentitiesOnly=yes']
        assert run(command, env={**os.environ, **environment}).returncode == 255


def test_agent_forwarding(nacre_ssh, server, user_keys):
    with agent_with(user_keys['rsa'], user_keys['ed25519']) as environment:
        command = asking(nacre_ssh, server, '-A', '-o', 'IdentityAgent=SSH_AUTH_SOCK',
                         words=[f'{openssh("ssh-add")} -l'])
        result = run(command, env={**os.environ, **environment})
        assert result.stdout.count(b'SHA256:') == 2, result.stderr
        command[1] = '-a'
        assert b'SHA256:' not in run(command, env={**os.environ, **environment}).stdout


# Passwords ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('method', ['password', 'keyboard-interactive'])
def test_passwords(nacre_ssh, servers, account, terminal, method):
    if not account.temporary:
        pytest.skip('needs an account with a password of ours')
    server = servers.sshd(openssh_server(), 'KbdInteractiveAuthentication yes', options=['-o', 'UsePAM=yes'])
    command = asking(nacre_ssh, server, '-o', 'BatchMode=no', '-o',
                     f'PreferredAuthentications={method}', words=['echo', 'in'])
    prompt = (f"{account.name}@127.0.0.1's password: " if method == 'password' else
              rf'\({account.name}@127.0.0.1\) Password: ')
    person = terminal(command)
    person.expect(prompt)
    person.type('wrong\n')
    if method == 'password':
        person.expect('Permission denied, please try again.')
    person.expect(prompt)
    person.type(PASSWORD + '\n')
    person.expect('in\r\n')
    assert person.wait() == 0
    person = terminal(command)
    for _ in range(3):
        person.expect(prompt)
        person.type('wrong\n')
    person.expect(r'Permission denied \(')
    assert person.wait() == 255


# Proxies -----------------------------------------------------------------------------------------------------

def test_proxy_command(nacre_ssh, server):
    proxy = ('python3 -c "import socket,sys,os,threading;'
             's=socket.create_connection((\'%h\',%p));'
             'threading.Thread(target=lambda:[s.sendall(d) for d in iter(lambda:os.read(0,65536),b\'\')],'
             'daemon=True).start();'
             '[os.write(1,d) for d in iter(lambda:s.recv(65536),b\'\')]"')
    result = nacre_ssh.run(server, 'cat', '-o', f'ProxyCommand={proxy}', input=b'through')
    assert (result.returncode, result.stdout) == (0, b'through'), result.stderr
    result = nacre_ssh.run(server, 'true', '-o', 'ProxyCommand=exit 1')
    assert result.returncode == 255 and b'onnection' in result.stderr


def test_proxy_jump(nacre_ssh, server, tmp_path):
    config = tmp_path / 'config'
    config.write_text(f'Host *\n User {server.user}\n IdentityFile {nacre_ssh.key}\n IdentityAgent none\n'
                      f' UserKnownHostsFile {server.known_hosts}\n Port {server.port}\n'
                      ' HostName 127.0.0.1\n BatchMode yes\n UpdateHostKeys no\n')
    command = [nacre('ssh'), '-F', str(config)]
    assert run([*command, '-J', 'one', 'two', 'echo', 'in']).stdout == b'in\n'
    assert run([*command, '-J', f'one,{server.user}@two:{server.port}', 'three', 'echo', 'in']).stdout == b'in\n'


# The terminal ---------------------------------------------------------------------------------------------------

def shell(terminal, nacre_ssh, server, *options, **more):
    person = terminal(nacre_ssh.command(server, '-t', *options) +
                      ["PS1='ready> '; export PS1; exec /bin/sh -i"], **more)
    person.expect('ready> ')
    return person


def test_terminal_size_and_resize(nacre_ssh, server, terminal):
    person = shell(terminal, nacre_ssh, server, rows=31, columns=97)
    person.type('stty size\n')
    person.expect('31 97')
    assert not person.canonical()
    person.resize(12, 60)
    time.sleep(0.3)
    person.type('stty size\n')
    person.expect('12 60')
    person.type('exit 4\n')
    person.expect(r'Connection to 127\.0\.0\.1 closed\.')
    assert person.wait() == 4
    assert person.canonical()


def test_terminal_modes_and_kind(nacre_ssh, server, terminal):
    person = shell(terminal, nacre_ssh, server, environment={'TERM': 'vt220'})
    person.type('echo $TERM; stty -a\n')
    person.expect('vt220')
    person.expect('erase = ')
    person.type('exit\n')
    person.wait()


def test_interrupt_goes_to_the_remote_side(nacre_ssh, server, terminal):
    person = shell(terminal, nacre_ssh, server)
    person.type('sleep 100\n')
    time.sleep(0.5)
    person.type('\x03')
    person.type('echo al"ive"\n')
    person.expect('alive')
    person.type('exit\n')
    person.wait()


def test_eight_bits_pass(nacre_ssh, server, terminal):
    person = terminal(nacre_ssh.command(server, '-t') + ['stty raw -echo; echo go; head -c 255 | od -An -v -tx1'])
    person.expect('go')
    data = bytes(byte for byte in range(256) if byte != 0x7e)
    person.type(data)
    seen = person.expect(r'ff\s').string.split(b'\n')
    assert b''.join(b''.join(line.split()) for line in seen)[:510] == data.hex().encode()
    assert person.wait() == 0


def test_no_terminal_without_one_here(nacre_ssh, server):
    result = nacre_ssh.run(server, 'tty', '-t')
    assert b'Pseudo-terminal will not be allocated' in result.stderr
    assert b'not a tty' in result.stdout
    assert b'/dev/' in nacre_ssh.run(server, 'tty', '-tt').stdout


def test_escape_help_and_literal(nacre_ssh, server, terminal):
    person = shell(terminal, nacre_ssh, server)
    person.type('\r~?')
    person.expect('Supported escape sequences')
    person.type('\r~#')
    person.expect('The following connections are open:')
    person.type('\r~Recho re"keyed"\r')
    person.expect('rekeyed')
    person.type('echo \\\r~~a\r')
    person.expect('~a')
    person.type('\r~v')
    person.expect('LogLevel VERBOSE')
    person.type('exit\r')
    person.wait()


def test_escape_terminates(nacre_ssh, server, terminal):
    person = shell(terminal, nacre_ssh, server)
    person.type('not at line start ~.')
    with pytest.raises(AssertionError):
        person.expect('closed', patience=0.5)
    person.type('\x15\r~.')
    person.expect(r'Connection to 127\.0\.0\.1 closed\.')
    assert person.wait() == 255
    assert person.canonical()


def test_escape_character_can_be_another_or_none(nacre_ssh, server, terminal):
    person = shell(terminal, nacre_ssh, server, '-e', '%')
    person.type('\r%.')
    assert person.wait() == 255
    person = shell(terminal, nacre_ssh, server, '-e', 'none')
    person.type('\r~.\r')
    person.type('exit 3\r')
    assert person.wait() == 3


def test_suspend_and_resume(nacre_ssh, server, terminal):
    # A shell with job control, as a person has it.
    command = ' '.join(f"'{word}'" for word in nacre_ssh.command(server, '-t'))
    person = terminal(['/bin/sh', '-i'], environment={'PS1': 'local> '})
    person.expect('local> ')
    person.type(command + " 'echo be\"gin\"; cat; echo end'\n")
    person.expect('begin')
    person.type('\r~\x1a')
    person.expect('local> ')
    assert person.canonical()
    person.type('fg\n')
    time.sleep(0.5)
    person.type('still here\n')
    person.expect('still here\r\nstill here')
    person.type('\x04')
    person.expect('end')
    person.expect('local> ')
    person.type('exit\n')


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_killed_client_leaves_the_terminal_sane(nacre_ssh, server, terminal, number):
    person = shell(terminal, nacre_ssh, server)
    person.process.send_signal(number)
    assert person.wait() == 255
    assert person.canonical()


def test_lost_server_leaves_the_terminal_sane(nacre_ssh, servers, terminal):
    server = servers.sshd(openssh_server())
    person = shell(terminal, nacre_ssh, server)
    for pid in run(['pgrep', '-g', str(server.process.pid)]).stdout.split() or []:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    person.type('echo $PPID\n')
    kill = run(['pgrep', '-f', TITLE + server.user]).stdout.split()
    for pid in kill:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    person.expect('Connection (to 127.0.0.1 )?(closed|reset)')
    assert person.wait() == 255
    assert person.canonical()


def test_server_that_is_silent_is_given_up(nacre_ssh, servers):
    server = servers.sshd(openssh_server())
    process = subprocess.Popen(nacre_ssh.command(server, '-v', '-o', 'ServerAliveInterval=1', '-o',
                                                 'ServerAliveCountMax=2') + ['sleep 100'],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    for line in process.stderr:
        if b'Sending command' in line:
            break
    time.sleep(0.5)
    ids = [int(pid) for pid in run(['pgrep', '-f', TITLE + server.user]).stdout.split()]
    for pid in ids:
        os.kill(pid, signal.SIGSTOP)
    try:
        said = process.stderr.read()
        assert process.wait(PATIENCE) == 255 and b'not responding' in said
    finally:
        for pid in ids:
            os.kill(pid, signal.SIGCONT)
        process.stderr.close()


@pytest.mark.parametrize('words', [
    ['a;touch mark;b'], ['a`touch mark`'], ['$(touch mark)'], ['a b'], ['a|b@host'], ["a'b@host"],
    ['-l', '${HOME}', 'host'], ['-l', '-oProxyCommand', 'host'], ['-l', 'a -b', 'host'],
    ['-l', 'a\\', 'host'], ['a\x07b@host'], ['ssh://a%3bb@host'], ['-J', 'a;b', 'host'],
    ['-J', 'u`x`@b', 'host']])
def test_names_that_a_shell_would_act_on(words, tmp_path):
    """They may come from an URL that somebody else made; no command sees them."""
    result = run([nacre('ssh'), '-F', 'none', '-o', 'ProxyCommand=touch seen-%r-%h', *words], cwd=tmp_path)
    assert result.returncode == 255
    assert b'invalid characters' in result.stderr or b'Invalid ProxyJump' in result.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('where', ['a;b:x', 'a$b@host;c:x', "u'@h:x", 'scp://u%60@h/x'])
def test_names_in_scp_that_a_shell_would_act_on(where, tmp_path):
    for program in ('scp', 'sftp'):
        words = [where, 'y'] if program == 'scp' else [where.replace('scp:', 'sftp:')]
        result = run([nacre(program), '-F', 'none', '-o', 'ProxyCommand=touch seen-%r-%h', *words], cwd=tmp_path)
        assert result.returncode == 255 and b'invalid' in result.stderr
        assert os.listdir(tmp_path) == []
