"""CanonicalizeHostname and its kin: ssh -G prints what OpenSSH's ssh does for names that only a DNS
server of a world of its own (world.py) knows; and logins use the full name."""
import pytest

from conftest import nacre, need, openssh
from world import ADDRESS, World

ZONE = {
    'web.corp.example': [['A', ADDRESS]],
    'www.corp.example': [['CNAME', 'web.corp.example']],
    'alias.other.example': [['CNAME', 'web.corp.example']],
    'db.second.example': [['A', ADDRESS]],
    'bare': [['A', ADDRESS]],
    'a.b.corp.example': [['A', ADDRESS]],
}
BLOCKS = '''Host web.corp.example
 User webuser
Host web
 User first
Host *.corp.example
 Port 99
Match canonical
 Compression yes
Match final host *.second.example
 Port 77
Match canonical host !*.corp.example,*
 ServerAliveInterval 5
'''
BASE = 'CanonicalizeHostname yes\nCanonicalDomains corp.example second.example\n'
ALIASES = 'CanonicalizePermittedCNAMEs *.corp.example:*.corp.example\n'
CASES = {
    'domains': (BASE, 'web www db bare missing web.corp.example web.corp.example. a.b WEB x.y.z localhost '
                      '::1 ' + ADDRESS),
    'two-dots': (BASE + 'CanonicalizeMaxDots 2\n', 'a.b a.b.c'),
    'no-dots': (BASE + 'CanonicalizeMaxDots 0\n', 'a.b web'),
    'no-fallback': (BASE + 'CanonicalizeFallbackLocal no\n', 'web missing bare a.b.c ' + ADDRESS),
    'aliases': (BASE + ALIASES, 'www web alias.other.example www.corp.example missing'),
    'aliases-of-others': (BASE + 'CanonicalizePermittedCNAMEs none\n', 'www'),
    'alias-from-elsewhere': (BASE + 'CanonicalizePermittedCNAMEs alias.other.example:*.corp.example\n',
                             'alias.other.example www'),
    'proxy': (BASE + 'ProxyCommand x\n', 'web'),
    'proxy-always': ('CanonicalizeHostname always\nCanonicalDomains corp.example\nProxyCommand x\n', 'web'),
    'jump': (BASE + 'ProxyJump x\n', 'web'),
    'jump-always': ('CanonicalizeHostname always\nCanonicalDomains corp.example\nProxyJump x\n', 'web'),
    'hostname': (BASE + 'Host short\n HostName web\nHost %h*\n HostName %h\n', 'short web'),
    'no-domains': ('CanonicalizeHostname yes\n', 'web'),
    'domains-none': ('CanonicalizeHostname yes\nCanonicalDomains none\n', 'web'),
    'in-a-block': ('Host w*\n CanonicalizeHostname yes\n CanonicalDomains corp.example\n', 'web db'),
    'only-final': ('', 'web db.second.example'),
}


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    need('ssh')
    made = World(str(tmp_path_factory.mktemp('names')))
    made.zone(ZONE)
    yield made
    made.stop()


def printed(world, program, text, host):
    config = world.write('config', text)
    result = world.run([program, '-G', '-F', config, host])
    lines = [line for line in result.stdout.decode().splitlines()
             if line.split(' ')[0] in ('host', 'hostname', 'user', 'port', 'compression', 'serveraliveinterval')]
    said = [line for line in result.stderr.decode().splitlines() if 'Pseudo-terminal' not in line]
    return result.returncode, lines, said


@pytest.mark.parametrize('case', CASES)
def test_the_same_names(world, case):
    text, hosts = CASES[case]
    for host in hosts.split():
        ours, theirs = (printed(world, program, text + BLOCKS, host) for program in (nacre('ssh'), openssh('ssh')))
        assert ours == theirs, host


def test_what_is_done_is_told(world):
    config = world.write('config', BASE + ALIASES)
    result = world.run([nacre('ssh'), '-v', '-F', config, '-o', 'ConnectTimeout=1', '-p', '1', 'www'])
    assert b'Canonicalized hostname "www" => "www.corp.example"' in result.stderr
    assert b'Canonicalized DNS aliased hostname "www.corp.example" => "web.corp.example"' in result.stderr
    assert b'connect to host web.corp.example port 1: Connection refused' in result.stderr
