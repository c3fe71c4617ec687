"""Tunnels (tun@openssh.com) between two network namespaces, with OpenSSH's client and ours. PermitTunnel
and tunnel= are asked of OpenSSH's server, too."""
import contextlib
import os
import subprocess

import pytest

from conftest import IS_ROOT, PORTS, nacre, need, openssh_server, public_line, run, until


class Namespaces:
    """One for the server and one for the client, joined by a cable."""

    def __init__(self):
        self.names = [f'nacre{os.getpid() % 10000}{side}' for side in 'sc']
        for name in self.names:
            if run(['ip', 'netns', 'add', name]).returncode != 0:
                self.remove()
                pytest.skip('no network namespaces here')
            self.ip(name, 'link', 'set', 'lo', 'up')
        server, client = self.names
        run(['ip', 'link', 'add', 'cable', 'netns', server, 'type', 'veth', 'peer', 'cable',
             'netns', client], check=True)
        for number, name in enumerate(self.names, 1):
            self.ip(name, 'address', 'add', f'10.98.0.{number}/24', 'dev', 'cable')
            self.ip(name, 'link', 'set', 'cable', 'up')

    def ip(self, name, *arguments):
        run(['ip', '-n', name, *arguments], check=True)

    def inside(self, side):
        return ['ip', 'netns', 'exec', self.names['sc'.index(side)]]

    def interfaces(self, side):
        return run([*self.inside(side), 'ip', '-o', 'link']).stdout.decode()

    def remove(self):
        for name in self.names:
            run(['ip', 'netns', 'delete', name])


@pytest.fixture(scope='module')
def namespaces():
    need('ip', 'ping')
    if not IS_ROOT:
        pytest.skip('network namespaces and tunnels are for root')
    if not os.path.exists('/dev/net/tun'):
        pytest.skip('there is no /dev/net/tun here')
    namespaces = Namespaces()
    yield namespaces
    namespaces.remove()


@pytest.fixture(params=['nacre', 'openssh'])
def program(request):
    return nacre('sshd') if request.param == 'nacre' else openssh_server()


@pytest.fixture(params=['nacre with openssh', 'openssh with nacre', 'nacre with nacre'])
def pair(request):
    """A server and a client."""
    server, client = request.param.split(' with ')
    return (nacre('sshd') if server == 'nacre' else openssh_server(),
            nacre('ssh') if client == 'nacre' else '/usr/bin/ssh')


@contextlib.contextmanager
def serving(servers, namespaces, program, more, keys, wrapper=()):
    """An sshd in its namespace, for root."""
    folder, port = servers.folder('tunnel'), PORTS.take()
    config, log = os.path.join(folder, 'sshd_config'), os.path.join(folder, 'log')
    host_key = servers.host_keys['ed25519']
    with open(config, 'w') as file:
        file.write(f'Port {port}\nHostKey {host_key}\nAuthorizedKeysFile {keys}\nStrictModes no\n'
                   f'PidFile none\nPermitRootLogin yes\nUsePAM no\nLogLevel DEBUG1\n{more}\n')
    with open(os.path.join(folder, 'known_hosts'), 'w') as file:
        file.write(f'[10.98.0.1]:{port} {public_line(host_key)}\n')
    with open(log, 'wb') as output:
        process = subprocess.Popen([*namespaces.inside('s'), *wrapper, program, '-D', '-e', '-f', config],
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    until(lambda: f':{port}'.encode() in run([*namespaces.inside('s'), 'ss', '-Hltn']).stdout,
          'the server does not listen')
    try:
        yield folder, port
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def tunnel(namespaces, server, key, mode, units, user='root', ssh='/usr/bin/ssh'):
    folder, port = server
    log = os.path.join(folder, 'client')
    with open(log, 'wb') as output:
        process = subprocess.Popen(
            [*namespaces.inside('c'), ssh, '-F', 'none', '-i', key, '-o',
             'IdentitiesOnly=yes', '-o', f'UserKnownHostsFile={folder}/known_hosts', '-o',
             'BatchMode=yes', '-o', f'Tunnel={mode}', '-w', units, '-N', '-v', '-p', str(port),
             f'{user}@10.98.0.1'], stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def said():
        with open(log, errors='replace') as file:
            return file.read()
    try:
        yield said
    finally:
        process.kill()
        process.wait()


def granted(namespaces, said):
    """Whether the server has an interface now, or has said no."""
    def there():
        return any(kind in namespaces.interfaces('s') for kind in (': tun', ': tap'))

    until(lambda: there() or 'open failed' in said(), said)
    return there()


@pytest.mark.parametrize('mode, kind', [('point-to-point', 'tun'), ('ethernet', 'tap')])
def test_packets_go_both_ways(servers, namespaces, pair, user_keys, authorized_keys, mode, kind):
    program, ssh = pair
    unit = PORTS.take() % 900 + 10
    with serving(servers, namespaces, program, f'PermitTunnel {mode}', authorized_keys) as server, \
            tunnel(namespaces, server, user_keys['ed25519'], mode, f'{unit}:{unit + 1}', ssh=ssh) as said:
        until(lambda: f'{kind}{unit + 1}:' in namespaces.interfaces('s'), said)
        for name, number, address in zip(namespaces.names, (unit + 1, unit), (1, 2)):
            device = f'{kind}{number}'
            namespaces.ip(name, 'address', 'add', f'10.99.0.{address}/24', 'dev', device)
            namespaces.ip(name, 'address', 'add', f'fd98::{address}/64', 'dev', device, 'nodad')
            namespaces.ip(name, 'link', 'set', device, 'up')
        for side, address in (('c', '10.99.0.1'), ('c', 'fd98::1'), ('s', '10.99.0.2')):
            result = run([*namespaces.inside(side), 'ping', '-c', '20', '-i', '0.01', '-s', '1400',
                          '-W', '2', address])
            assert b' 0% packet loss' in result.stdout, result.stdout
    until(lambda: f'{kind}{unit + 1}:' not in namespaces.interfaces('s'), 'the interface stays')


def test_timeout(servers, namespaces, user_keys, authorized_keys):
    """ChannelTimeout: packets keep it, silence ends it. (Not in OpenSSH 9.2.)"""
    unit = PORTS.take() % 900 + 10
    here = f'tun{unit + 1}'
    with serving(servers, namespaces, nacre('sshd'),
                 'PermitTunnel yes\nChannelTimeout tun-connection=2s', authorized_keys) as server, \
            tunnel(namespaces, server, user_keys['ed25519'], 'point-to-point',
                   f'{unit}:{unit + 1}') as said:
        until(lambda: f'{here}:' in namespaces.interfaces('s'), said)
        for name, number, address in zip(namespaces.names, (unit + 1, unit), (1, 2)):
            # What an interface says of itself is traffic, too.
            run([*namespaces.inside('sc'[address - 1]), 'sysctl', '-q', '-w',
                 f'net.ipv6.conf.tun{number}.disable_ipv6=1'], check=True)
            namespaces.ip(name, 'address', 'add', f'10.99.0.{address}/24', 'dev', f'tun{number}')
            namespaces.ip(name, 'link', 'set', f'tun{number}', 'up')
        ping = run([*namespaces.inside('c'), 'ping', '-c', '8', '-i', '0.4', '-W', '2', '10.99.0.1'])
        assert b' 0% packet loss' in ping.stdout, ping.stdout
        assert f'{here}:' in namespaces.interfaces('s')
        until(lambda: f'{here}:' not in namespaces.interfaces('s'), said)


@pytest.mark.parametrize('more, options, mode, units', [
    ('', '', 'point-to-point', 'any:any'),
    ('PermitTunnel no', '', 'point-to-point', 'any:any'),
    ('PermitTunnel yes', '', 'ethernet', 'any:any'),
    ('PermitTunnel ethernet', '', 'point-to-point', 'any:any'),
    ('PermitTunnel point-to-point', '', 'ethernet', 'any:any'),
    ('PermitTunnel yes', 'tunnel="7"', 'point-to-point', 'any:7'),
    ('PermitTunnel yes', 'tunnel="7"', 'point-to-point', 'any:8'),
    ('PermitTunnel yes', 'tunnel="7"', 'point-to-point', 'any:any'),
    ('PermitTunnel yes', 'restrict,tunnel="7"', 'point-to-point', 'any:7'),
])
def test_permission(servers, namespaces, workspace, user_keys, more, options, mode, units):
    path = os.path.join(workspace, 'keys')
    with open(path, 'w') as file:
        file.write(f'{options} {public_line(user_keys["ed25519"])}\n')
    os.chown(path, 0, 0)
    results = {}
    for name, program in (('nacre', nacre('sshd')), ('openssh', openssh_server())):
        with serving(servers, namespaces, program, more, path) as server, \
                tunnel(namespaces, server, user_keys['ed25519'], mode, units) as said:
            results[name] = granted(namespaces, said)
        until(lambda: ': t' not in namespaces.interfaces('s'), 'the interface stays')
    assert results['nacre'] == results['openssh']


def test_no_tunnel_where_forwarding_is_disabled(servers, namespaces, user_keys, authorized_keys):
    """The manual page of OpenSSH says so, too; its 9.2 tunnels all the same."""
    with serving(servers, namespaces, nacre('sshd'), 'PermitTunnel yes\nDisableForwarding yes',
                 authorized_keys) as server, \
            tunnel(namespaces, server, user_keys['ed25519'], 'point-to-point', 'any:any') as said:
        assert not granted(namespaces, said)


def test_an_interface_must_be_the_user_s(servers, namespaces, program, user_keys, authorized_keys,
                                         account):
    """Others than root get what root has made for them; here there is nothing."""
    with serving(servers, namespaces, program, 'PermitTunnel yes', authorized_keys) as server, \
            tunnel(namespaces, server, user_keys['ed25519'], 'point-to-point', 'any:any',
                   account.name) as said:
        assert not granted(namespaces, said)


def test_an_interface_that_is_the_user_s(servers, namespaces, program, user_keys, authorized_keys,
                                         account, workspace):
    """Made by root with ip-tuntap(8), where everybody may open the device, as on most machines."""
    unit, device = PORTS.take() % 900 + 10, os.path.join(workspace, 'tun')
    os.mknod(device, 0o20666, os.makedev(10, 200))
    os.chmod(device, 0o666)
    namespaces.ip(namespaces.names[0], 'tuntap', 'add', f'tun{unit}', 'mode', 'tun', 'user', account.name)
    try:
        with serving(servers, namespaces, program, 'PermitTunnel yes', authorized_keys,
                     ['sh', '-c', 'mount --bind "$0" /dev/net/tun && exec "$@"', device]) as server, \
                tunnel(namespaces, server, user_keys['ed25519'], 'point-to-point', f'any:{unit}',
                       account.name) as said:
            until(lambda: 'NO-CARRIER' not in namespaces.interfaces('s') and
                  'tunnel forward established' in said(), said)
            assert 'open failed' not in said()
    finally:
        namespaces.ip(namespaces.names[0], 'tuntap', 'del', f'tun{unit}', 'mode', 'tun')
