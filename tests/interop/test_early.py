"""Logins in which the session is opened, and told what to run, together with the signature. They are
as good as any other login, and whoever is wrong about the server notices nothing but the time."""
import os
import re
import socket
import subprocess
import threading
import time

import pytest

from conftest import Client, nacre, openssh_server, public_line, run
from test_ssh import asking, terminal  # noqa: F401 (a fixture)

EARLY = 'opened together with the login'
NOT_TAKEN = 'did not take the session that was opened early'
AGAIN = NOT_TAKEN + '; trying without'


@pytest.fixture(params=['openssh', 'nacre'])
def sshd(request):
    """The program; every test meets both servers."""
    return openssh_server() if request.param == 'openssh' else nacre('sshd')


@pytest.fixture
def memory(tmp_path):
    """Options of a client that remembers in a place of its own, all servers under one name."""
    def options(server):
        with open(server.known_hosts) as file:
            keys = [line.split(' ', 1)[1] for line in file]
        (tmp_path / 'known_hosts').write_text(''.join(f'somewhere {key}' for key in keys))
        return ['-o', f'UserKnownHostsFile={tmp_path}/known_hosts', '-o', 'HostKeyAlias=somewhere',
                '-v']
    return options


@pytest.fixture
def own_keys(servers, user_keys):
    """authorized_keys for one test: a function that writes the lines, and the configuration."""
    path = os.path.join(servers.folder('keys'), 'authorized_keys')

    def write(*lines):
        with open(path, 'w') as file:
            file.writelines(line + '\n' for line in lines)
        os.chmod(path, 0o644)
    write(public_line(user_keys['ed25519']))
    # The first mention of a keyword counts: by the user, it comes before the shared file.
    write.config = f'Match all\nAuthorizedKeysFile {path}\n'
    return write


def login(nacre_ssh, server, memory, *words, options=(), **more):
    result = run(asking(nacre_ssh, server, *options, *memory(server), words=words or ('echo in',)),
                 **more)
    result.log = result.stderr.decode()
    return result


def learn(nacre_ssh, server, memory):
    result = login(nacre_ssh, server, memory)
    assert (result.returncode, result.stdout) == (0, b'in\n'), result.log
    return result.log


def start(servers, program, more='', keys=None):
    """With one host key, so that the two servers of a test have the same."""
    return servers.sshd(program, (keys.config if keys else '') + more, key_types=['ed25519'])


def test_every_login_is_early(nacre_ssh, servers, sshd, memory):
    server = start(servers, sshd)
    for _ in range(3):
        result = login(nacre_ssh, server, memory, 'cat; echo complaint >&2; exit 7', input=b'x' * 300000)
        assert EARLY in result.log and 'complaint\n' in result.log
        assert (result.returncode, result.stdout) == (7, b'x' * 300000)


def test_environment_comes_first(nacre_ssh, servers, sshd, memory):
    server = start(servers, sshd)
    learn(nacre_ssh, server, memory)
    result = login(nacre_ssh, server, memory, 'echo $NACRE_TEST', options=['-o', 'SetEnv=NACRE_TEST=here'])
    assert EARLY in result.log and result.stdout == b'here\n'


def test_subsystem(nacre_ssh, servers, sshd, memory):
    server = start(servers, sshd)
    learn(nacre_ssh, server, memory)
    # OpenSSH's server drops its answer when the input ends too soon.
    with subprocess.Popen(asking(nacre_ssh, server, '-s', *memory(server), words=['sftp']),
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as child:
        child.stdin.write(b'\0\0\0\5\1\0\0\0\3')
        child.stdin.flush()
        assert child.stdout.read(9)[4:] == b'\2\0\0\0\3'
        assert EARLY in child.communicate()[1].decode()
    result = run(asking(nacre_ssh, server, '-s', *memory(server), words=['nonsense']))
    assert result.returncode == 255
    assert 'subsystem request failed on channel 0' in result.stderr.decode()


def test_terminal(nacre_ssh, servers, sshd, memory, terminal):  # noqa: F811
    server = start(servers, sshd)
    learn(nacre_ssh, server, memory)
    person = terminal(asking(nacre_ssh, server, *memory(server)), rows=31, columns=97)
    person.expect(EARLY)
    person.expect(r'[$#] ')
    person.type('stty size; exit 5\n')
    person.expect('31 97')
    assert person.wait() == 5


def test_agent_is_forwarded(nacre_ssh, servers, sshd, memory, user_keys, tmp_path):
    server = start(servers, sshd)
    learn(nacre_ssh, server, memory)
    agent = run([nacre('ssh-agent'), '-s', '-a', str(tmp_path / 'agent')], check=True)
    pid = int(re.search(r'SSH_AGENT_PID=(\d+)', agent.stdout.decode()).group(1))
    try:
        environment = dict(os.environ, SSH_AUTH_SOCK=str(tmp_path / 'agent'))
        run([nacre('ssh-add'), '-q', user_keys['ed25519']], check=True, env=environment)
        result = login(nacre_ssh, server, memory, f'{nacre("ssh-add")} -l',
                       options=['-A', '-o', 'IdentityAgent=SSH_AUTH_SOCK'], env=environment)
        assert EARLY in result.log and result.stdout.startswith(b'256 SHA256:'), result.log
    finally:
        os.kill(pid, 15)


def test_forced_command(nacre_ssh, servers, sshd, memory, own_keys, user_keys):
    server = start(servers, sshd, keys=own_keys)
    learn(nacre_ssh, server, memory)
    own_keys('command="echo forced: $SSH_ORIGINAL_COMMAND" ' + public_line(user_keys['ed25519']))
    result = login(nacre_ssh, server, memory, 'ls')
    assert EARLY in result.log
    assert (result.returncode, result.stdout) == (0, b'forced: ls\n')


def refused(result, path):
    """Nothing ran, on one connection, and the person reads what anybody reads whose key is not known."""
    assert result.returncode == 255, result.log
    assert EARLY in result.log and NOT_TAKEN in result.log and AGAIN not in result.log
    assert result.log.count('Connection established') == 1
    assert 'Permission denied (publickey' in result.log
    assert result.log.count('Authentications that can continue') == 1
    assert not os.path.exists(path)


def test_unknown_key(nacre_ssh, servers, sshd, memory, own_keys, user_keys, workspace):
    own_keys(public_line(user_keys['ecdsa-256']))
    server = start(servers, sshd, keys=own_keys)
    command = f'echo run >> {workspace}/ran'
    refused(login(nacre_ssh, server, memory, command), f'{workspace}/ran')
    # Once is enough: the server is not troubled again until it has taken the key.
    for _ in range(2):
        result = login(nacre_ssh, server, memory, command)
        assert result.returncode == 255 and EARLY not in result.log
    own_keys(public_line(user_keys['ed25519']))
    assert [EARLY in login(nacre_ssh, server, memory, command).log for _ in range(2)] == [False, True]
    with open(f'{workspace}/ran') as file:
        assert file.read() == 'run\n' * 2


def test_withdrawn_key(nacre_ssh, servers, sshd, memory, own_keys, user_keys, workspace):
    server = start(servers, sshd, keys=own_keys)
    learn(nacre_ssh, server, memory)
    own_keys(public_line(user_keys['ecdsa-256']))
    command = f'echo run >> {workspace}/ran'
    refused(login(nacre_ssh, server, memory, command), f'{workspace}/ran')
    assert EARLY not in login(nacre_ssh, server, memory, command).log
    own_keys(public_line(user_keys['ed25519']))
    assert [EARLY in login(nacre_ssh, server, memory, command).log for _ in range(2)] == [False, True]
    with open(f'{workspace}/ran') as file:
        assert file.read() == 'run\n' * 2


def test_another_key_helps_out(nacre_ssh, servers, sshd, memory, own_keys, user_keys, workspace):
    server = start(servers, sshd, keys=own_keys)
    learn(nacre_ssh, server, memory)
    own_keys(public_line(user_keys['ecdsa-256']))
    result = login(nacre_ssh, server, memory, f'echo run >> {workspace}/ran; cat {workspace}/ran',
                   options=['-i', user_keys['ecdsa-256']])
    assert EARLY in result.log and NOT_TAKEN in result.log
    assert (result.returncode, result.stdout) == (0, b'run\n'), result.log


def test_a_login_without_a_session_forgets_nothing(nacre_ssh, servers, sshd, memory):
    server = start(servers, sshd)
    learn(nacre_ssh, server, memory)
    with subprocess.Popen(asking(nacre_ssh, server, '-N', *memory(server)),
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        line = b'-'
        while line and b'Authenticated to' not in line:
            line = child.stderr.readline()
            assert EARLY.encode() not in line
        assert line
        time.sleep(0.3)
        child.terminate()
    assert EARLY in login(nacre_ssh, server, memory).log


def test_unknown_host_key(nacre_ssh, servers, sshd, memory, tmp_path):
    server = start(servers, sshd)
    learn(nacre_ssh, server, memory)
    options = memory(server)
    (tmp_path / 'known_hosts').write_text('')
    result = run(asking(nacre_ssh, server, '-o', 'StrictHostKeyChecking=accept-new', *options,
                        words=['true']))
    assert result.returncode == 0 and EARLY not in result.stderr.decode()


@pytest.mark.parametrize('options,words', [
    (['-o', 'RememberServers=no'], ['true']), (['-o', 'Compression=yes'], ['true']),
    (['-o', 'PermitLocalCommand=yes', '-o', 'LocalCommand=true'], ['true']),
    (['-o', 'PubkeyAuthentication=no'], ['true'])])
def test_not_when_it_would_be_wrong(nacre_ssh, servers, memory, options, words):
    server = start(servers, nacre('sshd'), 'Compression delayed\n')
    learn(nacre_ssh, server, memory)
    result = login(nacre_ssh, server, memory, *words, options=options)
    assert EARLY not in result.log
    assert result.returncode == (255 if 'PubkeyAuthentication=no' in options else 0)


def test_second_method_asked_for(nacre_ssh, servers, sshd, memory, own_keys):
    """The memory is of a login that took one key; now that is not enough."""
    server = start(servers, sshd, keys=own_keys)
    learn(nacre_ssh, server, memory)
    server.stop()
    second = start(servers, sshd, own_keys.config + 'AuthenticationMethods publickey,password\n')
    result = login(nacre_ssh, second, memory)
    assert result.returncode == 255 and EARLY in result.log and NOT_TAKEN in result.log
    assert 'Permission denied (password' in result.log


def test_no_sessions(nacre_ssh, servers, sshd, memory):
    server = start(servers, sshd)
    learn(nacre_ssh, server, memory)
    server.stop()
    second = servers.sshd(sshd, 'Match all\nMaxSessions 0\n', key_types=['ed25519'])
    result = login(nacre_ssh, second, memory)
    assert result.returncode == 255 and EARLY in result.log
    assert 'open failed' in result.log or AGAIN in result.log


def test_scp(servers, sshd, memory, user_keys, nacre_ssh, workspace, account, tmp_path):
    server = start(servers, sshd)
    content = os.urandom(400000)
    (tmp_path / 'source').write_bytes(content)
    client = Client(nacre('scp'), user_keys['ed25519'])
    seen = []
    for options in ([], [], ['-O']):
        command = [nacre('scp'), *options, '-P', str(server.port), *memory(server),
                   *client.options(server)]
        result = run([*command, str(tmp_path / 'source'), f'{server.user}@127.0.0.1:{workspace}/copy'],
                     check=True)
        seen.append(EARLY in result.stderr.decode())
        with open(f'{workspace}/copy', 'rb') as file:
            assert file.read() == content
        run([*command, f'{server.user}@127.0.0.1:{workspace}/copy', str(tmp_path / 'back')], check=True)
        assert (tmp_path / 'back').read_bytes() == content
        (tmp_path / 'back').unlink()
        os.unlink(f'{workspace}/copy')
    assert seen == [True, True, True]


# Hostile and odd servers -----------------------------------------------------------------------------

class OddServer:
    """Paramiko under a known name: what it calls the first channel can be chosen, and it can hang
    up without a word."""

    def __init__(self, key, port):
        self.paramiko = pytest.importorskip('paramiko')
        self.key = self.paramiko.Ed25519Key(filename=key)
        self.first_channel, self.commands, self.logins = 0, [], 0
        self.hang_up, self.takes_keys, self.identification = False, True, 'SSH-2.0-OpenSSH_9.9'
        self.port, self.user = port, 'someone'
        self.socket = socket.create_server(('127.0.0.1', port))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            transport = self.paramiko.Transport(client)
            transport.local_version = self.identification
            transport._channel_counter = self.first_channel
            transport.add_server_key(self.key)
            transport.start_server(server=self.interface(transport, client), event=threading.Event())

    def interface(server, transport, client):
        paramiko = server.paramiko

        class Interface(paramiko.ServerInterface):
            def get_allowed_auths(self, username):
                return 'publickey'

            def check_auth_publickey(self, username, key):
                server.logins += 1
                return paramiko.AUTH_SUCCESSFUL if server.takes_keys else paramiko.AUTH_FAILED

            def check_channel_request(self, kind, number):
                if server.hang_up:
                    client.shutdown(socket.SHUT_RDWR)
                return paramiko.OPEN_SUCCEEDED

            def check_channel_exec_request(self, channel, command):
                server.commands.append(command.decode())
                threading.Timer(0.05, self.finish, [channel]).start()
                return True

            def finish(self, channel):
                channel.sendall(b'in\n')
                channel.send_exit_status(0)
                channel.close()
        return Interface()

    def stop(self):
        self.socket.close()


@pytest.fixture
def odd_server(host_keys, free_port, tmp_path):
    server = OddServer(host_keys['ed25519'], free_port())
    server.known_hosts = str(tmp_path / 'odd_known_hosts')
    with open(server.known_hosts, 'w') as file:
        file.write(f'[127.0.0.1]:{server.port} {public_line(host_keys["ed25519"])}\n')
    yield server
    server.stop()


def test_another_channel_number(nacre_ssh, odd_server, memory):
    learn(nacre_ssh, odd_server, memory)
    assert EARLY in login(nacre_ssh, odd_server, memory).log
    odd_server.first_channel = 7
    odd_server.commands.clear()
    result = login(nacre_ssh, odd_server, memory, 'once')
    assert EARLY in result.log and AGAIN in result.log
    assert (result.returncode, result.stdout, odd_server.commands) == (0, b'in\n', ['once'])
    # Who counts as he likes is not relied on again.
    for _ in range(2):
        result = login(nacre_ssh, odd_server, memory)
        assert result.returncode == 0 and EARLY not in result.log


def test_hanging_up_proves_nothing(nacre_ssh, odd_server, memory):
    """The command may have been run: it is not sent once more."""
    learn(nacre_ssh, odd_server, memory)
    odd_server.hang_up, logins = True, odd_server.logins
    result = login(nacre_ssh, odd_server, memory, 'once')
    assert result.returncode == 255 and EARLY in result.log and AGAIN not in result.log
    assert odd_server.logins == logins + 1
    odd_server.hang_up = False
    result = login(nacre_ssh, odd_server, memory)
    assert result.returncode == 0 and EARLY not in result.log


def test_not_to_a_stranger_that_may_hang_up(nacre_ssh, odd_server, memory):
    odd_server.identification = 'SSH-2.0-Odd_1'
    for _ in range(2):
        result = login(nacre_ssh, odd_server, memory)
        assert (result.returncode, result.stdout) == (0, b'in\n') and EARLY not in result.log


def test_a_stranger_that_hangs_up(nacre_ssh, odd_server, memory):
    """It says that it is OpenSSH and ends the connection as RFC 4252 section 6 asks for."""
    odd_server.takes_keys = False
    result = login(nacre_ssh, odd_server, memory, 'once')
    assert result.returncode == 255 and odd_server.commands == []
    assert EARLY in result.log and 'Permission denied (publickey)' in result.log
    assert EARLY not in login(nacre_ssh, odd_server, memory, 'once').log
