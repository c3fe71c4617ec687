"""ssh logs in by the word of its own machine: HostbasedAuthentication with ssh-keysign, at OpenSSH's
server and at ours. /etc/ssh is a folder of a world of its own (world.py)."""
import base64
import os
import shutil
import struct
import subprocess

import pytest

from conftest import BUILD, PORTS, make_key, nacre, openssh, openssh_server, public_line, until
from world import ADDRESS, World

SSHD = '''ListenAddress {address}
Port {port}
HostKey {key}
HostbasedAuthentication yes
PubkeyAuthentication no
PasswordAuthentication no
KbdInteractiveAuthentication no
IgnoreRhosts no
UseDNS yes
UsePAM no
StrictModes no
PidFile none
LogLevel VERBOSE
'''
SERVERS = {'openssh': openssh('sshd'), 'nacre': nacre('sshd')}


class Hosts:
    def __init__(self, folder, account):
        os.chmod(folder, 0o755)
        self.world, self.account, self.servers = World(folder), account, {}
        for kind in ('ed25519', 'rsa'):
            make_key(self.path(f'etc-ssh/ssh_host_{kind}_key'), ['-t', kind])
        make_key(self.path('server'), ['-t', 'ed25519'])
        lines = ''.join(f'named.example,named {public_line(self.path(f"etc-ssh/ssh_host_{kind}_key"))}\n'
                        for kind in ('ed25519', 'rsa'))
        self.world.write('etc-ssh/ssh_known_hosts', lines)
        self.world.write('etc-ssh/shosts.equiv', 'named.example\n')
        self.world.write('etc-ssh/moduli', '')
        self.enable(True)
        # Programs that anybody may start; who signs is setuid there.
        os.makedirs(self.path('bin'))
        for program in ('ssh', 'ssh-keysign'):
            shutil.copy(nacre(program), self.path('bin'))
        os.chmod(self.path('bin/ssh-keysign'), 0o4755)
        shutil.copytree(os.path.join(BUILD, 'lib'), self.path('lib'), symlinks=True)

    def path(self, name):
        return self.world.path(name)

    def enable(self, enabled):
        self.world.write('etc-ssh/ssh_config', f'EnableSSHKeysign {"yes" if enabled else "no"}\n')

    def server(self, name):
        if name not in self.servers:
            port = PORTS.take()
            config = self.world.write(f'sshd_{name}', SSHD.format(
                address=ADDRESS, port=port, key=self.path('server')))
            options = ['-o', 'PerSourcePenalties=no'] if name == 'nacre' else []
            with open(self.path(f'log_{name}'), 'wb') as log:
                process = subprocess.Popen(
                    self.world.inside([SERVERS[name], '-D', '-e', '-f', config, *options]),
                    stdin=subprocess.DEVNULL, stderr=log)
            self.servers[name] = port, process
            connect = f'exec 3<>/dev/tcp/{ADDRESS}/{port}'
            until(lambda: self.world.run(['bash', '-c', connect]).returncode == 0, 'the server')
        return self.servers[name][0]

    def login(self, name, *options):
        user = self.account
        return self.world.run([
            'setpriv', '--reuid', str(user.uid), '--regid', str(user.gid), '--clear-groups',
            'env', f'HOME={user.home}', self.path('bin/ssh'), *options, '-F', 'none', '-p', str(self.server(name)),
            '-o', 'HostbasedAuthentication=yes', '-o', 'StrictHostKeyChecking=no', '-o', 'BatchMode=yes',
            '-o', 'UserKnownHostsFile=/dev/null', '-o', 'GlobalKnownHostsFile=/dev/null',
            '-o', 'LogLevel=DEBUG1', f'{user.name}@named.example', 'echo in'])

    def stop(self):
        for _, process in self.servers.values():
            process.terminate()
            process.wait()
        self.world.stop()


@pytest.fixture(scope='module')
def hosts(account, place):
    if not account.temporary:
        pytest.skip('needs root and a user of the machine')
    openssh_server()
    folder = os.path.join(place, 'hostbased')
    os.makedirs(folder)
    made = Hosts(folder, account)
    yield made
    made.stop()


@pytest.mark.parametrize('server', SERVERS)
def test_login(hosts, server):
    hosts.enable(True)
    result = hosts.login(server)
    assert result.stdout == b'in\n', result.stderr
    assert b'using "hostbased"' in result.stderr
    by_rsa = hosts.login(server, '-o', 'HostbasedAcceptedAlgorithms=rsa-sha2-512')
    assert by_rsa.stdout == b'in\n' and b'RSA using sigalg rsa-sha2-512' in by_rsa.stderr
    assert hosts.login(server, '-o', 'HostbasedAuthentication=no').returncode == 255


def test_only_the_machine_enables_it(hosts):
    hosts.enable(False)
    try:
        for option in 'no', 'yes':
            result = hosts.login('nacre', '-o', f'EnableSSHKeysign={option}')
            assert result.returncode == 255
            assert b'not enabled in /etc/ssh/ssh_config' in result.stderr
    finally:
        hosts.enable(True)


def test_an_unknown_machine_is_refused(hosts):
    hosts.world.write('etc-ssh/shosts.equiv', 'elsewhere.example\n')
    try:
        assert hosts.login('nacre').returncode == 255
        assert hosts.login('openssh').returncode == 255
    finally:
        hosts.world.write('etc-ssh/shosts.equiv', 'named.example\n')


def string(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack('>I', len(data)) + data


def test_what_is_signed(hosts):
    """Only what speaks for the caller, of this machine, and for nothing else than a login."""
    machine = os.uname().nodename.lower() + '.'
    blob = base64.b64decode(
        public_line(hosts.path('etc-ssh/ssh_host_ed25519_key')).split()[1])

    def sign(user='me', method='hostbased', key=blob, host=machine, client_user=None, service='ssh-connection',
             message=50, identifier=b'i' * 32, algorithm='ssh-ed25519', behind=b''):
        data = (string(identifier) + bytes([message]) + string(user) + string(service) + string(method) +
                string(algorithm) + string(key) + string(host) + string(client_user or hosts.account.name) + behind)
        return hosts.world.run(['setpriv', '--reuid', str(hosts.account.uid), '--clear-groups',
                                hosts.path('bin/ssh-keysign')], input=string(data))
    assert sign().returncode == 0 and b'ssh-ed25519' in sign().stdout
    for wrong in ({'client_user': 'root'}, {'host': 'elsewhere.'}, {'method': 'publickey'}, {'user': ''},
                  {'service': 'ssh-userauth'}, {'message': 51}, {'identifier': b'short'}, {'behind': b'x'},
                  {'key': b'junk'}, {'algorithm': 'ssh-rsa'}, {'algorithm': 'rsa-sha2-256'}):
        result = sign(**wrong)
        assert (result.returncode, result.stdout) == (255, b''), wrong
        assert result.stderr.startswith(b'ssh-keysign: ')
    for junk in b'', b'\0\0', string(b'x') + b'y', b'\xff' * 8:
        assert hosts.world.run([hosts.path('bin/ssh-keysign')], input=junk).returncode == 255


def test_without_setuid_nothing_is_read(hosts):
    os.chmod(hosts.path('bin/ssh-keysign'), 0o755)
    try:
        result = hosts.login('nacre')
        assert result.returncode == 255 and b'setuid' in result.stderr
    finally:
        os.chmod(hosts.path('bin/ssh-keysign'), 0o4755)
