"""Logins by the word of the client's host: what OpenSSH's sshd lets in and refuses, ours must, too.
The client is made of paramiko, since OpenSSH's needs its own host key."""
import base64
import os
import struct
import tempfile
import threading

import pytest

from conftest import IS_ROOT, PORTS, nacre, need, public_line, run
from key_server import SERVERS, KeyServer

paramiko = pytest.importorskip('paramiko')
from paramiko.auth_handler import AuthHandler  # noqa: E402

USERAUTH_REQUEST = 50


def string(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack('>I', len(data)) + data


class Hostbased(AuthHandler):
    """Sends one hostbased request as soon as the service is there."""

    def __init__(self, transport, request):
        super().__init__(transport)
        self.request = request

    def _parse_service_accept(self, message):
        data = paramiko.Message()
        data.add_bytes(self.request(self.transport.session_id))
        self.transport._send_message(data)

    if isinstance(AuthHandler._client_handler_table, dict):  # of functions, before paramiko 3
        _client_handler_table = {**AuthHandler._client_handler_table,
                                 paramiko.common.MSG_SERVICE_ACCEPT: _parse_service_accept}


def login(port, user, key, client_host, client_user, certificate=None, tampered=False):
    def request(session_identifier):
        name, blob = key.get_name(), key.asbytes()
        if certificate:
            with open(certificate) as file:
                name, text = file.read().split()[:2]
            blob = base64.b64decode(text)
        body = (bytes([USERAUTH_REQUEST]) + string(user) + string('ssh-connection') + string('hostbased') +
                string(name) + string(blob) + string(client_host) + string(client_user))
        signed = string(session_identifier) + body + (b'x' if tampered else b'')
        return body + string(key.sign_ssh_data(signed).asbytes())
    transport = paramiko.Transport(('127.0.0.1', port))
    try:
        transport.start_client(timeout=30)
        handler = transport.auth_handler = Hostbased(transport, request)
        handler.auth_event, handler.auth_method, handler.username = threading.Event(), 'hostbased', user
        handler._request_auth()
        handler.wait_for_response(handler.auth_event)
        return True
    except paramiko.SSHException:
        return False
    finally:
        transport.close()


class HostServer(KeyServer):
    """With .shosts, .rhosts and .ssh/known_hosts of the user, which a test writes."""

    FILES = {'shosts': '.shosts', 'rhosts': '.rhosts', 'known': '.ssh/known_hosts'}

    def home(self, **content):
        for name, place in self.FILES.items():
            path = os.path.join(self.account.home, place)
            if content.get(name) is None:
                if os.path.exists(path):
                    os.unlink(path)
                continue
            with open(path, 'w') as file:
                file.write(content[name])
            os.chmod(path, 0o600)
            self.account.own(path)


LINES = '''HostbasedAuthentication yes
UseDNS yes
{}
'''
CONFIGURATIONS = {'usual': ('IgnoreRhosts no', 'HostbasedUsesNameFromPacketOnly yes'),
                  'ignoring': ('IgnoreUserKnownHosts yes\nIgnoreRhosts no', 'IgnoreRhosts yes'),
                  'shosts': ('IgnoreRhosts shosts-only', 'HostbasedAcceptedAlgorithms rsa-sha2-512')}


@pytest.fixture(scope='module')
def hosts(servers):
    if not IS_ROOT:
        pytest.skip("files in the account's home")
    need('sshd')
    os.makedirs(os.path.join(servers.account.home, '.ssh'), 0o700, exist_ok=True)
    servers.account.own(os.path.join(servers.account.home, '.ssh'))
    made = {}

    def get(program, configuration):
        if (program, configuration) not in made:
            first, second = CONFIGURATIONS[configuration]
            server = HostServer(servers, SERVERS[program], LINES.format(first), second=second)
            server.host_key = paramiko.Ed25519Key.from_private_key_file(server.key('clienthost'))
            made[program, configuration] = server
        made[program, configuration].forget()
        return made[program, configuration]
    yield get
    for server in made.values():
        server.home()
        server.close()


def attempt(server, client_host='localhost', client_user=None, second=False, **more):
    return login(server.second_port if second else server.server.port, server.user, server.host_key, client_host,
                 client_user or server.user, **more)


CASES = {
    # shosts, name in known_hosts, client's host, client's user, second port, let in
    'host': ('localhost', 'localhost', 'localhost', 'USER', False, True),
    'dot': ('localhost', 'localhost', 'localhost.', 'USER', False, True),
    'upper-case': ('LOCALHOST', 'localhost', 'LocalHost', 'USER', False, True),
    'address': ('127.0.0.1', 'localhost', 'localhost', 'USER', False, True),
    'user': ('localhost joe', 'localhost', 'localhost', 'joe', False, True),
    'other-user': ('localhost joe', 'localhost', 'localhost', 'jim', False, False),
    'other-user-without-a-line': ('localhost', 'localhost', 'localhost', 'jim', False, False),
    'other-host': ('elsewhere', 'elsewhere', 'elsewhere', 'USER', False, False),
    'claimed-host': ('elsewhere', 'elsewhere', 'elsewhere', 'USER', True, True),
    'everybody': ('+ +', 'localhost', 'localhost', 'USER', False, False),
    'plus': ('+localhost +USER', 'localhost', 'localhost', 'USER', False, True),
    'minus': ('-localhost\nlocalhost', 'localhost', 'localhost', 'USER', False, False),
    'minus-user': ('localhost -USER\nlocalhost', 'localhost', 'localhost', 'USER', False, False),
    'comment': ('# localhost\n\n', 'localhost', 'localhost', 'USER', False, False),
    'unknown-key': ('localhost', 'elsewhere', 'localhost', 'USER', False, False),
    'revoked-key': ('localhost', '@revoked localhost', 'localhost', 'USER', False, False),
    'nothing': (None, 'localhost', 'localhost', 'USER', False, False),
}


@pytest.mark.parametrize('program', SERVERS)
@pytest.mark.parametrize('case', CASES)
def test_word_of_a_host(hosts, program, case):
    shosts, known, host, user, second, allowed = CASES[case]
    server = hosts(program, 'usual')
    shosts = shosts and shosts.replace('USER', server.user) + '\n'
    server.home(shosts=shosts, known=f'{known} {server.public("clienthost")}\n')
    user = user.replace('USER', server.user)
    assert attempt(server, host, user, second) == allowed
    if allowed:
        server.see(f'Accepted ED25519 public key HASH from {user}@{host.rstrip(".")}'.replace('LocalHost', 'localhost'))
        server.see(r'Accepted hostbased for USER from 127\.0\.0\.1 port \d+ ssh2: ED25519 HASH')
    else:
        server.see(r'Failed hostbased for USER from 127\.0\.0\.1 port \d+ ssh2: ED25519 HASH, '
                   f'client user "{user}", client host "{host}"')


@pytest.mark.parametrize('program', SERVERS)
def test_what_is_ignored(hosts, program):
    known = 'localhost ' + hosts(program, 'usual').public('clienthost')
    server = hosts(program, 'usual')
    server.home(rhosts='localhost\n', known=known)
    assert attempt(server)
    assert not attempt(server, tampered=True)
    server = hosts(program, 'ignoring')
    known = 'localhost ' + server.public('clienthost')
    server.home(shosts='localhost\n', known=known)
    assert not attempt(server) and not attempt(server, second=True)
    server = hosts(program, 'shosts')
    known = 'localhost ' + server.public('clienthost')
    server.home(shosts='localhost\n', known=known)
    assert attempt(server) and not attempt(server, second=True)
    server.home(rhosts='localhost\n', known=known)
    assert not attempt(server)


@pytest.mark.parametrize('program', SERVERS)
def test_revoked_by_the_server(hosts, program):
    server = hosts(program, 'usual')
    server.home(shosts='localhost\n', known='localhost ' + server.public('clienthost'))
    server.write('revoked', server.public('clienthost'))
    assert not attempt(server)
    server.see('(error: )?Authentication key ED25519 HASH revoked by file FOLDER/revoked')


@pytest.mark.parametrize('program', SERVERS)
def test_certificate_of_a_host(hosts, program):
    server = hosts(program, 'usual')
    server.home(shosts='localhost\n', known='@cert-authority localhost ' + server.public('authority'))
    key = server.certificate('clienthost', '-h', principals='localhost')
    assert attempt(server, certificate=key + '-cert.pub')
    server.certificate('clienthost', '-h', principals='elsewhere')
    assert not attempt(server, certificate=key + '-cert.pub')
    server.see('Certificate invalid: name is not a listed principal')
    server.certificate('clienthost', principals='localhost')
    assert not attempt(server, certificate=key + '-cert.pub')


def test_files_of_the_system(hosts, servers):
    """/etc/ssh is another folder for this server alone."""
    if not IS_ROOT or run(['unshare', '-m', 'true']).returncode != 0:
        pytest.skip('needs a mount namespace')
    server = hosts('nacre', 'usual')
    folder = tempfile.mkdtemp(prefix='etc-', dir=servers.place)
    os.chmod(folder, 0o755)
    for name, text in (('shosts.equiv', 'localhost\n'),
                       ('ssh_known_hosts', 'localhost ' + public_line(server.path('clienthost')))):
        with open(os.path.join(folder, name), 'w') as file:
            file.write(text)
    config = os.path.join(server.server.folder, 'sshd_config')
    server.home()
    assert not attempt(server)
    port = PORTS.take()
    command = f'mount --bind {folder} /etc/ssh && exec {nacre("sshd")} -D -e -f {config} -p {port}'
    mounted = servers.add(['unshare', '-m', 'sh', '-c', command], port, servers.folder('mounted'), [])
    assert login(port, server.user, server.host_key, 'localhost', server.user)
    assert not login(port, 'root', server.host_key, 'localhost', 'root')
    mounted.stop()
