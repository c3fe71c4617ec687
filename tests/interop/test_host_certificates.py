"""Host certificates, host keys in an agent, and the announcement of new host keys: our sshd and ssh
beside OpenSSH's."""
import os
import re
import subprocess

import pytest

from conftest import HOST_KEY_TYPES, PORTS, Client, make_key, nacre, need, public_line, run

CLIENTS = {'nacre': nacre('ssh'), 'openssh': '/usr/bin/ssh'}
SERVERS = {'nacre': nacre('sshd'), 'openssh': '/usr/sbin/sshd'}
PAIRS = [(client, server) for client in CLIENTS for server in SERVERS
         if 'nacre' in (client, server)]


@pytest.fixture(scope='module')
def authority(place):
    return make_key(os.path.join(place, 'host_authority'), ['-t', 'ed25519'])


class Host:
    """A server with certificates, and a known_hosts that only knows their authority."""

    def __init__(self, servers, program, authority, kinds, *options, names='127.0.0.1', more=''):
        self.keys, lines = {}, []
        folder = servers.folder('certified')
        for kind in kinds:
            key = self.keys[kind] = make_key(os.path.join(folder, kind), HOST_KEY_TYPES[kind])
            run(['ssh-keygen', '-q', '-s', authority, '-I', kind, '-h', '-n', names, *options,
                 key + '.pub'], check=True)
            lines += [f'HostKey {key}', f'HostCertificate {key}-cert.pub']
        self.server = servers.sshd(program, '\n'.join([*lines, more]), key_types=[])
        self.trust('@cert-authority', authority)

    def trust(self, marker, key, add=False):
        with open(self.server.known_hosts, 'a' if add else 'w') as file:
            file.write(f'{marker} [127.0.0.1]:{self.server.port} {public_line(key)}\n')

    def login(self, program, key, *options, **more):
        return Client(program, key).run(self.server, 'echo in', *options, **more)


@pytest.fixture(scope='module')
def hosts(servers, authority):
    made = {}

    def get(server, *options, kinds=('ed25519',), **more):
        identity = (server, options, kinds, tuple(more.items()))
        if identity not in made:
            made[identity] = Host(servers, SERVERS[server], authority, kinds, *options, **more)
        return made[identity]
    return get


@pytest.mark.parametrize('client, server', PAIRS)
@pytest.mark.parametrize('algorithm', ['ssh-ed25519', 'rsa-sha2-512', 'rsa-sha2-256', 'ecdsa-sha2-nistp256',
                                       'ecdsa-sha2-nistp521'])
def test_each_algorithm(client, server, algorithm, hosts, user_keys):
    need('ssh', 'sshd')
    host = hosts(server, kinds=('ed25519', 'rsa', 'ecdsa-256', 'ecdsa-521'))
    name = algorithm + '-cert-v01@openssh.com'
    result = host.login(CLIENTS[client], user_keys['ed25519'], '-v', '-o', f'HostKeyAlgorithms={name}')
    assert result.stdout == b'in\n', result.stderr.decode()
    assert f'host key algorithm: {name}' in result.stderr.decode()


@pytest.mark.parametrize('client, server', PAIRS)
def test_default_algorithms(client, server, hosts, user_keys):
    need('ssh', 'sshd')
    host = hosts(server, kinds=('ed25519', 'rsa', 'ecdsa-256', 'ecdsa-521'))
    result = host.login(CLIENTS[client], user_keys['ed25519'])
    assert result.stdout == b'in\n', result.stderr.decode()


BAD = {'expired': (['-V', '20100101:20110101'], '127.0.0.1', 'Certificate invalid: expired'),
       'early': (['-V', '20400101:20410101'], '127.0.0.1', 'Certificate invalid: not yet valid'),
       'name': ([], 'elsewhere', 'Certificate invalid: name is not a listed principal'),
       'critical': (['-O', 'critical:odd'], '127.0.0.1', 'Certificate invalid|critical option')}


@pytest.mark.parametrize('client', CLIENTS)
@pytest.mark.parametrize('case', BAD)
def test_certificates_that_are_not_for_this(client, case, hosts, user_keys):
    need('ssh')
    options, names, reason = BAD[case]
    result = hosts('nacre', *options, names=names).login(CLIENTS[client], user_keys['ed25519'])
    assert result.returncode == 255 and result.stdout == b''
    assert any(part in result.stderr.decode() for part in reason.split('|')), result.stderr.decode()


def test_patterns_of_names(hosts, user_keys):
    host = hosts('nacre', names='10.0.0.1,127.0.*.?')
    assert host.login(nacre('ssh'), user_keys['ed25519']).stdout == b'in\n'


@pytest.mark.parametrize('client', CLIENTS)
def test_revoked_authority(client, hosts, user_keys, authority):
    need('ssh')
    host = hosts('nacre', '-z', '3')
    host.trust('@revoked', authority, add=True)
    result = host.login(CLIENTS[client], user_keys['ed25519'])
    assert result.returncode == 255 and result.stdout == b''
    host.trust('@cert-authority', authority)


@pytest.mark.parametrize('client', CLIENTS)
def test_revoked_host_keys(client, hosts, user_keys, authority, tmp_path):
    need('ssh', 'ssh-keygen')
    host = hosts('nacre', '-z', '7')
    revoked = tmp_path / 'revoked'

    def login():
        result = host.login(CLIENTS[client], user_keys['ed25519'], '-o', f'RevokedHostKeys={revoked}')
        return result.stdout == b'in\n', result.stderr.decode()
    good, messages = login()
    assert not good and f'in revoked keys file {revoked}: No such file or directory' in messages
    for text in ('', public_line(user_keys['rsa'])):
        revoked.write_text(text)
        assert login()[0]
    for key in (authority, host.keys['ed25519']):
        revoked.write_text(public_line(key))
        good, messages = login()
        assert not good and re.search(
            rf'Host key ED25519-CERT SHA256:\S+ revoked by file {revoked}', messages)
    for serial, good in ((6, True), (7, False)):
        run(['ssh-keygen', '-k', '-q', '-f', revoked, '-s', authority + '.pub', '-'], check=True,
            input=f'serial: {serial}\n'.encode())
        assert login()[0] == good


@pytest.mark.parametrize('kind', ['ed25519', 'rsa', 'ecdsa-256'])
def test_host_key_in_an_agent(kind, servers, user_keys, place):
    need('ssh-agent', 'ssh')
    folder = servers.folder('agent')
    key = make_key(os.path.join(folder, 'key'), HOST_KEY_TYPES[kind])
    path = os.path.join(folder, 's')
    agent = subprocess.Popen(['ssh-agent', '-D', '-a', path], stdout=subprocess.DEVNULL)
    try:
        while not os.path.exists(path):
            assert agent.poll() is None
        run(['ssh-add', '-q', key], check=True, env={**os.environ, 'SSH_AUTH_SOCK': path})
        os.unlink(key)
        server = servers.sshd(nacre('sshd'), f'HostKey {key}.pub\nHostKeyAgent {path}', key_types=[])
        with open(server.known_hosts, 'w') as file:
            file.write(f'[127.0.0.1]:{server.port} {public_line(key)}\n')
        for program in CLIENTS.values():
            assert Client(program, user_keys['ed25519']).run(server, 'echo in').stdout == b'in\n'
    finally:
        agent.kill()
        agent.wait()
    result = Client('/usr/bin/ssh', user_keys['ed25519']).run(server, 'echo in')
    assert result.returncode == 255
    assert f'HostKeyAgent {path} cannot sign with {key}.pub' in server.log()


@pytest.mark.parametrize('client', CLIENTS)
@pytest.mark.parametrize('algorithm', ['ssh-ed25519', 'rsa-sha2-512', 'rsa-sha2-256', 'ecdsa-sha2-nistp384'])
def test_all_host_keys_are_learned(client, algorithm, servers, nacre_sshd, user_keys, host_keys, tmp_path):
    """Each key is proved, whichever of them signed the key exchange."""
    need('ssh')
    known = tmp_path / 'known_hosts'
    kind = {'ssh-ed25519': 'ed25519', 'ecdsa-sha2-nistp384': 'ecdsa-384'}.get(algorithm, 'rsa')
    known.write_text(f'[127.0.0.1]:{nacre_sshd.port} {public_line(host_keys[kind])}\n')
    command = Client(CLIENTS[client], user_keys['ed25519']).command(
        nacre_sshd, '-v', '-o', f'HostKeyAlgorithms=^{algorithm}')
    known_before = f'UserKnownHostsFile={nacre_sshd.known_hosts}'
    changed = {'UpdateHostKeys=no': 'UpdateHostKeys=yes', known_before: f'UserKnownHostsFile={known}'}
    result = run([changed.get(word, word) for word in command] + ['sleep 0.3'])
    lines = {' '.join(line.split()[1:3]) for line in known.read_text().splitlines()}
    assert lines == {public_line(key) for key in host_keys.values()}, result.stderr.decode()


def test_unusable_certificates_are_named(servers, authority, user_keys, place):
    folder = servers.folder('unusable')
    key = make_key(os.path.join(folder, 'key'), ['-t', 'ed25519'])
    other = make_key(os.path.join(folder, 'other'), ['-t', 'ed25519'])
    run(['ssh-keygen', '-q', '-s', authority, '-I', 'x', '-h', '-n', 'x', other + '.pub'], check=True)
    run(['ssh-keygen', '-q', '-s', authority, '-I', 'x', '-n', 'x', key + '.pub'], check=True)

    def check(path):
        result = run([nacre('sshd'), '-t', '-f', '/dev/null', '-h', key, '-o', f'HostCertificate={path}',
                      '-p', str(PORTS.take())])
        assert result.returncode == 0
        return result.stderr.decode().strip()
    assert check(other + '-cert.pub') == f'No matching private key for certificate: {other}-cert.pub'
    assert check(other + '.pub') == f'Certificate file is not a certificate: {other}.pub'
    assert 'not a host certificate' in check(key + '-cert.pub')
    assert check('/nonexistent') == 'Could not load host certificate "/nonexistent": No such file or directory'
