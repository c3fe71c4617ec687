"""Is this the server that we know? Each case runs OpenSSH's ssh and ours with the same known hosts, and
compares the exit status, what they say and ask, and the files that they leave.

The names are those of a world of their own (world.py). Questions are answered through an askpass
program, which notes them.
"""
import base64
import hashlib
import os
import re
import subprocess

import pytest

from conftest import PORTS, make_key, need, nacre, openssh, openssh_server, public_line, run, until
from world import ADDRESS, World

CLIENTS = {'openssh': openssh('ssh'), 'nacre': nacre('ssh')}
# The shell of whoever runs this finds no start-up files.
SSHD = '''ListenAddress 127.0.0.1
ListenAddress {address}
Port {port}
HostKey {key}
HostKey {rsa}
AuthorizedKeysFile {user}.pub
StrictModes no
UsePAM no
PidFile none
SetEnv HOME=/nonexistent
'''
ASKPASS = '''#!/bin/sh
printf '%s\\n' "$1" >> {folder}/questions
sed -n 1p {folder}/answers
sed -i 1d {folder}/answers
'''


class Trust:
    def __init__(self, folder):
        need('ssh')
        self.world = World(folder)
        self.port = PORTS.take()
        for name, kind in (('key', 'ed25519'), ('other', 'ed25519'), ('user', 'ed25519'),
                           ('authority', 'ed25519'), ('ecdsa', 'ecdsa'), ('rsa', 'rsa')):
            make_key(self.path(name), ['-t', kind])
        config = self.world.write('sshd_config', SSHD.format(
            address=ADDRESS, port=self.port, key=self.path('key'), rsa=self.path('rsa'),
            user=self.path('user')))
        self.server = subprocess.Popen(
            self.world.inside([openssh_server(), '-D', '-f', config]), stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        connect = f'exec 3<>/dev/tcp/{ADDRESS}/{self.port}'
        until(lambda: self.world.run(['bash', '-c', connect]).returncode == 0, 'the server')
        self.askpass = self.world.write('askpass', ASKPASS.format(folder=folder))
        os.chmod(self.askpass, 0o755)

    def path(self, name):
        return self.world.path(name)

    def line(self, host, key='key', marker='', port=None):
        """A line of known hosts."""
        host = f'[{host}]:{port or self.port}' if port != 22 else host
        return f'{marker} {host} {public_line(self.path(key))}\n'.lstrip()

    def fingerprint(self, name):
        return run(['ssh-keygen', '-lf', self.path(name)], check=True).stdout.split()[1].decode()

    def login(self, client, known, host, options, answers, order=False):
        """"order": that of host key algorithms is left to the client."""
        file = self.world.write('known', known)
        self.world.write('answers', ''.join(answer + '\n' for answer in answers))
        self.world.write('questions', '')
        command = [CLIENTS[client], '-F', 'none', '-i', self.path('user'), '-o', 'IdentityAgent=none',
                   '-o', f'UserKnownHostsFile={file}', '-o', 'GlobalKnownHostsFile=/dev/null',
                   '-o', 'IgnoreUnknown=RememberServers', '-o', 'RememberServers=no',
                   *options, *([] if order else ['-o', 'HostKeyAlgorithms=ssh-ed25519']), '-p', str(self.port), host, 'true']
        result = self.world.run(command, env={**os.environ, 'SSH_ASKPASS': self.askpass,
                                              'SSH_ASKPASS_REQUIRE': 'force', 'DISPLAY': ':0'})
        with open(file) as text:
            left = re.sub(r'\|1\|\S+', '|1|', text.read())
        with open(self.path('questions')) as text:
            asked = text.read()
        # The hints are ours, and a hash in the DNS that it does not know is no error of the key's.
        said = [line for line in result.stderr.decode().splitlines()
                if not line.startswith(('hint: ', 'Error calculating key fingerprint.'))]
        return {'status': result.returncode, 'said': said, 'asked': asked, 'left': left}

    def stop(self):
        self.server.terminate()
        self.server.wait()
        self.world.stop()


@pytest.fixture(scope='module')
def trust(tmp_path_factory):
    made = Trust(str(tmp_path_factory.mktemp('trust')))
    yield made
    made.stop()


def same(trust, known, host, options=(), answers=()):
    theirs = trust.login('openssh', known, host, options, answers)
    ours = trust.login('nacre', known, host, options, answers)
    assert ours == theirs
    return ours


def strict(value):
    return ['-o', f'StrictHostKeyChecking={value}']


CHECK = ['-o', 'CheckHostIP=yes']
HASH = ['-o', 'HashKnownHosts=yes']
# Known hosts as (host, key, marker, port); the host that is called; options; answers; exit status.
CASES = {
    'unknown-yes': ([], '127.0.0.1', strict('yes'), [], 255),
    'unknown-batch': ([], '127.0.0.1', ['-o', 'BatchMode=yes'], [], 255),
    'unknown-accepted': ([], '127.0.0.1', [], ['yes'], 0),
    'unknown-refused': ([], '127.0.0.1', [], ['no'], 255),
    'unknown-nothing-said': ([], '127.0.0.1', [], [''], 255),
    'unknown-junk': ([], '127.0.0.1', [], ['perhaps', 'SHA256:abc', 'yes'], 0),
    'unknown-fingerprint': ([], '127.0.0.1', [], ['FINGERPRINT'], 0),
    'unknown-md5': ([], '127.0.0.1', ['-o', 'FingerprintHash=md5'], ['yes'], 0),
    'unknown-picture': ([], '127.0.0.1', ['-o', 'VisualHostKey=yes'], ['yes'], 0),
    'unknown-accept-new': ([], '127.0.0.1', strict('accept-new'), [], 0),
    'unknown-no': ([], '127.0.0.1', strict('no'), [], 0),
    'unknown-off-hashed': ([], '127.0.0.1', strict('off') + HASH, [], 0),
    'unknown-alias': ([], '127.0.0.1', ['-o', 'HostKeyAlias=name'], ['yes'], 0),
    'unknown-two-files': ([], '127.0.0.1', ['-o', 'UserKnownHostsFile=KNOWN KNOWN2'], ['yes'], 0),
    'unknown-nowhere': ([], '127.0.0.1', ['-o', 'UserKnownHostsFile=none'], ['yes'], 0),
    'unknown-cannot-write': ([], '127.0.0.1', ['-o', 'UserKnownHostsFile=/dev/null/x'], ['yes'], 0),
    'known-by-other-names': ([('a,b', 'key', '', 22), ('c', 'key', '', None)], '127.0.0.1', [], ['yes'], 0),
    'known-by-many-names': ([(f'h{n}', 'key', '', 22) for n in range(12)], '127.0.0.1', [], ['no'], 255),
    'known': ([('127.0.0.1', 'key', '', None)], '127.0.0.1', strict('yes'), [], 0),
    'known-picture': ([('127.0.0.1', 'key', '', None)], '127.0.0.1', ['-o', 'VisualHostKey=yes'], [], 0),
    'known-without-port': ([('127.0.0.1', 'key', '', 22)], '127.0.0.1', strict('yes'), [], 0),
    'other-without-port': ([('127.0.0.1', 'other', '', 22)], '127.0.0.1', strict('yes'), [], 255),
    'known-pattern': ([('*', 'key', '', None)], '127.0.0.1', strict('yes'), [], 0),
    'known-negated': ([('*,!*127.0.*', 'key', '', 22)], '127.0.0.1', strict('yes'), [], 255),
    'known-alias': ([('name', 'key', '', 22)], '127.0.0.1', [*strict('yes'), '-o', 'HostKeyAlias=Name'], [], 0),
    'changed': ([('127.0.0.1', 'other', '', None)], '127.0.0.1', [], [], 255),
    'changed-yes': ([('127.0.0.1', 'other', '', None)], '127.0.0.1', strict('yes'), [], 255),
    'changed-accept-new': ([('127.0.0.1', 'other', '', None)], '127.0.0.1', strict('accept-new'), [], 255),
    'changed-second-key': ([('127.0.0.1', 'other', '', None), ('127.0.0.1', 'key', '', None)], '127.0.0.1',
                           strict('yes'), [], 0),
    'changed-type': ([('127.0.0.1', 'ecdsa', '', None)], '127.0.0.1', [], [], 255),
    'changed-localhost-unchecked': ([('127.0.0.1', 'other', '', None)], '127.0.0.1',
                                    ['-o', 'NoHostAuthenticationForLocalhost=yes'], [], 0),
    'changed-elsewhere-unchecked': ([('named', 'other', '', None)], 'named',
                                    ['-o', 'NoHostAuthenticationForLocalhost=yes'], [], 255),
    'revoked': ([('127.0.0.1', 'key', '@revoked', None)], '127.0.0.1', [], [], 255),
    'revoked-and-known': ([('127.0.0.1', 'key', '', None), ('*', 'key', '@revoked', 22)], '127.0.0.1', [], [], 255),
    'authority-alone': ([('*', 'authority', '@cert-authority', 22)], '127.0.0.1', [], ['no'], 255),
    'address-new': ([], 'named', CHECK, ['yes'], 0),
    'address-new-hashed': ([], 'named', CHECK + HASH, ['yes'], 0),
    'address-learned': ([('named', 'key', '', None)], 'named', CHECK, [], 0),
    'address-learned-hashed': ([('named', 'key', '', None)], 'named', CHECK + HASH, [], 0),
    'address-known': ([('named', 'key', '', None), (ADDRESS, 'key', '', None)], 'named', CHECK, [], 0),
    'address-differs-ask': ([('named', 'key', '', None), (ADDRESS, 'other', '', None)], 'named', CHECK, ['no'], 255),
    'address-differs-go-on': ([('named', 'key', '', None), (ADDRESS, 'other', '', None)], 'named', CHECK,
                              ['what', 'yes'], 0),
    'address-differs-yes': ([('named', 'key', '', None), (ADDRESS, 'other', '', None)], 'named',
                            CHECK + strict('yes'), [], 255),
    'address-differs-no': ([('named', 'key', '', None), (ADDRESS, 'other', '', None)], 'named',
                           CHECK + strict('no'), [], 0),
    'address-of-unknown-differs': ([(ADDRESS, 'other', '', None)], 'named', CHECK, ['no'], 255),
    'address-of-unknown-known': ([(ADDRESS, 'key', '', None)], 'named', CHECK, ['no'], 255),
    'spoofing-known': ([('named', 'other', '', None), (ADDRESS, 'key', '', None)], 'named', CHECK, [], 255),
    'spoofing-unknown': ([('named', 'other', '', None)], 'named', CHECK, [], 255),
    'spoofing-both-changed': ([('named', 'other', '', None), (ADDRESS, 'other', '', None)], 'named', CHECK, [], 255),
}


@pytest.mark.parametrize('case', CASES)
def test_known_hosts(trust, case):
    lines, host, options, answers, status = CASES[case]
    known = ''.join(trust.line(name, key, marker, port) for name, key, marker, port in lines)
    options = [word.replace('KNOWN', trust.path('known')) for word in options]
    answers = [answer.replace('FINGERPRINT', trust.fingerprint('key')) for answer in answers]
    found = same(trust, known, host, options, answers)
    assert found['status'] == status, found


@pytest.mark.parametrize('marker', ['', '@revoked'])
def test_nobody_goes_on_with_a_wrong_key(trust, marker):
    """OpenSSH does, without passwords, when StrictHostKeyChecking is no."""
    known = trust.line('127.0.0.1', 'key' if marker else 'other', marker)
    theirs = trust.login('openssh', known, '127.0.0.1', strict('no'), [])
    ours = trust.login('nacre', known, '127.0.0.1', strict('no'), [])
    assert (theirs['status'], ours['status']) == (0, 255)
    begin = [line for line in theirs['said'] if 'is disabled' not in line]
    assert ours['said'][:len(begin)] == begin
    assert ours['said'][-1] == 'Host key verification failed.'


def test_hashed_names_and_damaged_lines(trust):
    known = '# comment\n\nnonsense\n127.0.0.1\n@what * x y\n' + trust.line('127.0.0.1')
    file = trust.world.write('known', trust.line('127.0.0.1') + trust.line('elsewhere', 'other'))
    run([openssh('ssh-keygen'), '-q', '-H', '-f', file], check=True)
    with open(file) as text:
        hashed = text.read()
    assert same(trust, hashed, '127.0.0.1', strict('yes'))['status'] == 0
    assert same(trust, hashed, 'localhost', strict('yes'))['status'] == 255
    assert trust.login('nacre', known, '127.0.0.1', strict('yes'), [])['status'] == 0


def test_names_are_told_apart_and_hashed_ones_not_shown(trust):
    file = trust.world.write('known', trust.line('elsewhere'))
    run([openssh('ssh-keygen'), '-q', '-H', '-f', file], check=True)
    with open(file) as text:
        assert '[hashed name]' in same(trust, text.read(), '127.0.0.1', [], ['no'])['asked']


def test_hints(trust):
    """What to type next, behind the lines that scripts know, and not with -q."""
    def said(*options):
        return trust.world.run([nacre('ssh'), '-F', 'none', '-o', 'UserKnownHostsFile=/dev/null',
                                '-o', 'GlobalKnownHostsFile=/dev/null', '-o', 'BatchMode=yes', *options,
                                '-p', str(trust.port), '127.0.0.1', 'true']).stderr.decode().splitlines()
    found = said()
    assert found[0] == 'Host key verification failed.'
    assert found[1].startswith('hint: ') and 'SHA256:' in found[1] and 'StrictHostKeyChecking=ask' in found[1]
    assert said('-q') == []


# KnownHostsCommand --------------------------------------------------------------------------------

COMMAND = '''#!/bin/sh
printf '%s|' "$@" >> {folder}/calls
echo >> {folder}/calls
{body}
'''


def with_command(trust, client, body, words, options=(), host='named', order=True):
    program = trust.world.write('command', COMMAND.format(folder=trust.world.folder, body=body))
    os.chmod(program, 0o755)
    trust.world.write('calls', '')
    result = trust.login(client, '', host, ['-o', f'KnownHostsCommand={program} {words}', *strict('yes'),
                                            *options], [], order)
    with open(trust.path('calls')) as file:
        result['calls'] = file.read()
    return result


@pytest.mark.parametrize('words', [
    '%I %H %t', '"%I" %f %K', '%h %k %n %p %r %u %%', '%C %d %i %L %l', '"a b"  c', '${HOME}'])
@pytest.mark.parametrize('options', [(), CHECK, ('-o', 'HostKeyAlias=al')], ids=['plain', 'address', 'alias'])
def test_known_hosts_command(trust, words, options):
    host = 'al' if options and 'Alias' in options[1] else f'[named]:{trust.port}'
    body = f'echo "{host} {public_line(trust.path("key"))}"'
    theirs = with_command(trust, 'openssh', body, words, options)
    ours = with_command(trust, 'nacre', body, words, options)
    assert ours == theirs and ours['status'] == 0 and ours['calls']


@pytest.mark.parametrize('body', ['exit 1', 'exit 255', 'kill -9 $$', 'echo nonsense', ':',
                                  '[ $1 = ORDER ] && echo LINE; exit 0'])
def test_known_hosts_command_without_an_answer(trust, body):
    body = body.replace('LINE', trust.line('named').strip())
    theirs = with_command(trust, 'openssh', body, '%I')
    ours = with_command(trust, 'nacre', body, '%I')
    assert (ours['status'], ours['calls']) == (theirs['status'], theirs['calls'])
    assert ours['status'] == 255


@pytest.mark.parametrize('command', ['relative %H', '/nonexistent/program', '"/bin/true', '/bin/true %z'])
def test_known_hosts_command_that_cannot_be(trust, command):
    options = ['-o', f'KnownHostsCommand={command}']
    assert trust.login('openssh', '', 'named', options, [])['status'] == 255
    found = trust.login('nacre', '', 'named', options, [])
    assert found['status'] == 255 and found['said']


# VerifyHostKeyDNS -------------------------------------------------------------------------------

def record(trust, key, algorithm=4, kind=2):
    blob = base64.b64decode(public_line(trust.path(key)).split()[1])
    digest = (hashlib.sha1 if kind == 1 else hashlib.sha256)(blob).hexdigest()
    return ['SSHFP', f'{algorithm:02x}{kind:02x}{digest}']


DNS = {
    'good': [('key', 4, 2)], 'bad': [('other', 4, 2)], 'none': [], 'sha1': [('key', 4, 1)],
    'another-type': [('rsa', 1, 2)], 'two': [('other', 4, 2), ('key', 4, 2)],
    'unknown-kinds': [('key', 9, 2), ('key', 4, 9)],
}


@pytest.mark.parametrize('value, secure, case', [
    *[('yes', True, case) for case in DNS], ('yes', False, 'good'), ('yes', False, 'bad'),
    ('ask', True, 'good'), ('ask', True, 'bad'), ('no', True, 'bad')])
def test_fingerprints_in_the_dns(trust, case, value, secure):
    records = [record(trust, *parts) for parts in DNS[case]]
    trust.world.zone({'dns.example': [['A', ADDRESS], *records]}, secure)
    options = ['-o', f'VerifyHostKeyDNS={value}']
    found = same(trust, '', 'dns.example', options, ['yes'])
    vouched = case in ('good', 'sha1') and value == 'yes' and secure
    assert (found['asked'] == '') == vouched and found['status'] == 0
    if case in ('good', 'bad') and value == 'yes':
        same(trust, trust.line('dns.example', 'other'), 'dns.example', options)


def test_address_has_no_fingerprint_in_the_dns(trust):
    same(trust, '', ADDRESS, ['-o', 'VerifyHostKeyDNS=yes'], ['no'])
