"""Keys that an agent uses only for some destinations, told which by session-bind; ours and OpenSSH's
agent, ssh-add, ssh and sshd in every combination that matters."""
import os
import subprocess

import pytest

from conftest import openssh_server
from desk import OURS, THEIRS, desk

USER = subprocess.run(['id', '-un'], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope='module')
def place():
    """Three hosts on this one: a and c are OpenSSH's, b is ours. One key opens all."""
    with desk() as made:
        made.key('key', '-t', 'ed25519')
        with open(made.path('authorized'), 'w') as file:
            file.write(made.public('key') + '\n')
        made.hosts = {name: made.server(program) for name, program in
                      [('a', openssh_server()), ('b', f'{OURS}/sshd'), ('c', openssh_server())]}
        with open(made.path('known')) as file:
            lines = file.read().splitlines()
        with open(made.path('names'), 'w') as names:
            for name, port in made.hosts.items():
                key = next(line for line in lines if f':{port} ' in line).split(' ', 1)[1]
                names.write(f'host-{name} {key}\n')
        with open(made.path('config'), 'w') as config:
            for name, port in made.hosts.items():
                config.write(f'Host host-{name}\n  Hostname 127.0.0.1\n  Port {port}\n  HostKeyAlias host-{name}\n')
            config.write(f'''Host *
  UserKnownHostsFile {made.path('names')}
  GlobalKnownHostsFile /dev/null
  PreferredAuthentications publickey
  IdentityFile none
  BatchMode yes
  UpdateHostKeys no
''')
        yield made


def ways(place, client, *hops):
    """Logs in from hop to hop, each with the forwarded agent; the exit status."""
    command = 'echo there'
    for hop in reversed(hops):
        forward = '-A ' if hop != hops[-1] else ''
        command = f'{client}/ssh {forward}-F {place.path("config")} {hop} {quote(command)}'
    result = subprocess.run(command, shell=True, env=place.environment, cwd=place.home, capture_output=True,
                            text=True, timeout=60, stdin=subprocess.DEVNULL)
    return result.returncode == 0 and 'there' in result.stdout


def quote(command):
    return "'" + command.replace("'", "'\\''") + "'"


@pytest.fixture(params=[(OURS, OURS), (OURS, THEIRS), (THEIRS, OURS)],
                ids=['ours', 'their ssh-add', 'their ssh-agent'])
def add(request, place):
    agent_from, add_from = request.param
    if os.path.exists(place.path('agent.sock')):
        os.unlink(place.path('agent.sock'))
    process = place.agent(agent_from)

    def run(*options, expect=0):
        place.run(f'{add_from}/ssh-add', '-q', '-D')
        constraints = [word for option in options for word in ('-h', option)]
        return place.run(f'{add_from}/ssh-add', '-q', '-H', place.path('names'), *constraints, 'key',
                         expect=expect)
    yield run
    process.terminate()
    process.wait(10)


@pytest.mark.parametrize('client', [OURS, THEIRS], ids=['our ssh', 'their ssh'])
def test_ways_that_are_permitted_and_refused(place, add, client):
    if client == THEIRS and place.agents[-1].args[0].startswith(THEIRS):
        pytest.skip('nothing of ours is in it')
    add('host-b', 'host-b>host-c')
    assert ways(place, client, 'host-b', 'host-c')
    assert not ways(place, client, 'host-c')
    assert not ways(place, client, 'host-b', 'host-a')
    add('host-a', 'host-a>host-b', 'host-b>host-c')
    assert ways(place, client, 'host-a', 'host-b', 'host-c')


def test_user_of_a_destination(place, add):
    add('nobody-else@host-a')
    assert not ways(place, OURS, 'host-a')
    add(f'{USER[:2]}*@host-b')
    assert ways(place, OURS, 'host-b')


def test_key_is_seen_only_where_it_can_be_used(place, add):
    """Over a forwarded connection the list shows what may be used from there."""
    def shown(host):
        command = f'{OURS}/ssh -A -F {place.path("config")} {host} {THEIRS}/ssh-add -l'
        return subprocess.run(command, shell=True, env=place.environment, capture_output=True, text=True,
                              timeout=60).stdout
    add('host-a', 'host-b', 'host-b>host-c')
    assert 'no identities' in shown('host-a')
    assert 'SHA256:' in shown('host-b')
    assert 'SHA256:' in place.run(f'{THEIRS}/ssh-add', '-l')


def test_restricted_key_signs_logins_alone(place, add):
    add('host-a')
    result = place.run(f'{THEIRS}/ssh-keygen', '-Y', 'sign', '-n', 'file', '-f', 'key.pub', expect=None,
                       input='text')
    assert 'BEGIN SSH SIGNATURE' not in result
    add()
    assert 'BEGIN SSH SIGNATURE' in place.run(f'{THEIRS}/ssh-keygen', '-Y', 'sign', '-n', 'file', '-f',
                                              'key.pub', input='text')


@pytest.mark.parametrize('constraint', ['nohost', 'user@host-a>host-b', 'nohost>host-b', '>host-b', 'host-a>'])
def test_bad_constraints_are_told_as_theirs(place, constraint):
    said = {}
    place.agent(OURS) if not os.path.exists(place.path('agent.sock')) else None
    for directory in OURS, THEIRS:
        said[directory] = place.run(f'{directory}/ssh-add', '-H', place.path('names'), '-h', constraint, 'key',
                                    expect=255)
    assert said[OURS] == said[THEIRS]


def test_authority_of_host_certificates(place, add):
    """@cert-authority lines stand for every host that has a certificate of theirs."""
    authority = place.key(f'authority-{os.urandom(4).hex()}', '-t', 'ed25519')
    name = os.path.basename(authority)
    port = place.hosts['a']
    host = place.path(f'host-{port}')
    place.run(f'{THEIRS}/ssh-keygen', '-q', '-s', authority, '-I', 'host', '-h', '-n', 'host-d', host + '.pub')
    certified = place.server(openssh_server(), '-o', f'HostCertificate={host}-cert.pub', '-h', host)
    with open(place.path('names'), 'a') as names:
        names.write(f'@cert-authority host-d {place.public(name)}\n')
    with open(place.path('config.d'), 'w') as config:
        config.write(f'Host host-d\n  Hostname 127.0.0.1\n  Port {certified}\n  HostKeyAlias host-d\n'
                     '  HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com\n'
                     f'Include {place.path("config")}\n')
    add('host-d')
    output = place.run(f'{OURS}/ssh', '-F', place.path('config.d'), 'host-d', 'echo there')
    assert 'there' in output
    assert not ways(place, OURS, 'host-c')
