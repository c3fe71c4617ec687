"""User certificates: whom they let in, what they permit, and what the log says of it. What OpenSSH's
sshd does and logs is asked of ours, too."""
import os

import pytest

from conftest import need
from key_server import SERVERS, KeyServer

PRINCIPALS = '''# who may use the account
alice
from="192.0.2.0/24" bob
command="echo for carol" carol
bogus-option dave
'''


@pytest.fixture(scope='module', params=list(SERVERS))
def server(request, servers):
    need('sshd', 'ssh-keygen')
    made = KeyServer(servers, SERVERS[request.param],
                     second='AuthorizedPrincipalsFile FOLDER/principals')
    made.name = request.param
    yield made
    made.close()


@pytest.fixture(autouse=True)
def fresh(server):
    server.forget()


VIA = r'Accepted certificate ID "someone" \(serial 0\) signed by ED25519 CA HASH via FOLDER/authorities'
AT = r'Accepted certificate ID "someone" \(serial 0\) signed by CA ED25519 HASH found at FOLDER/authorized:1'
ACCEPTED = (r'Accepted publickey for USER from 127\.0\.0\.1 port \d+ ssh2: '
            r'ED25519-CERT HASH ID someone \(serial 0\) CA ED25519 HASH')
FAILED = ACCEPTED.replace('Accepted', 'Failed')

TRUSTED = {
    'as-they-are': ([], 'in', [VIA, ACCEPTED]),
    'serial': (['-z', '77'], 'in', [VIA.replace('0\\)', '77\\)')]),
    'not-yet-valid': (['-V', '20400101:20410101'], None,
                      ['Certificate invalid: not yet valid', FAILED]),
    'expired': (['-V', '20100101:20110101'], None, ['Certificate invalid: expired']),
    'forced-command': (['-O', 'force-command=echo forced; echo $SSH_ORIGINAL_COMMAND'],
                       'forced\necho in', [VIA]),
    'address': (['-O', 'source-address=127.0.0.0/8,192.0.2.1'], 'in', [VIA]),
    'other-address': (['-O', 'source-address=192.0.2.0/24'], None, [
        'cert: Authentication tried for USER with valid certificate but not from a permitted '
        r'source address \(127\.0\.0\.1\)\.', 'Refused by certificate options']),
    'critical': (['-O', 'critical:odd=yes'], None, [
        'Certificate critical option "odd" is not supported', 'Invalid certificate options']),
    'extension': (['-O', 'extension:odd=yes'], 'in',
                  ['Certificate extension "odd" is not supported', VIA]),
    # A plain key cannot say how its user was verified; only security keys are asked.
    'verification': (['-O', 'verify-required'], 'in', [VIA]),
}


@pytest.mark.parametrize('case', TRUSTED)
def test_authority_of_the_server(server, case):
    options, output, lines = TRUSTED[case]
    key = server.certificate('user-' + case, *options)
    server.write('authorities', '# those we trust\n\n' + server.public('authority') + ' them\n')
    assert server.login(key) == output
    for line in lines:
        server.see(line)


def test_unknown_authority(server):
    server.write('authorities', server.public('other-authority'))
    server.write('authorized', server.public('authority'))
    assert server.login(server.certificate('user')) is None
    server.see(FAILED)


@pytest.mark.parametrize('principals, reason', [
    ('somebody', 'Certificate invalid: name is not a listed principal'),
    ('U*', 'Certificate invalid: name is not a listed principal'),
    ('', 'Certificate lacks principal list')])
def test_names_must_be_listed(server, principals, reason):
    server.write('authorities', server.public('authority'))
    principals = principals.replace('U', server.user[:2])
    assert server.login(server.certificate('user-names', principals=principals)) is None
    server.see(reason)


def test_host_certificate_is_no_user_certificate(server):
    server.write('authorities', server.public('authority'))
    assert server.login(server.certificate('user-host', '-h')) is None


def test_several_names(server):
    server.write('authorities', server.public('other-authority') + '\n' + server.public('authority'))
    assert server.login(server.certificate('user-several', principals='a,b,USER,c')) == 'in'


def test_signature_algorithms_of_authorities(server):
    server.key('rsa-authority', '-t', 'rsa', '-b', '2048')
    server.write('authorities', server.public('rsa-authority'))
    good = server.certificate('user-rsa', '-t', 'rsa-sha2-256', authority='rsa-authority')
    assert server.login(good) == 'in'
    server.see('.* CA RSA HASH')
    bad = server.certificate('user-sha1', '-t', 'ssh-rsa', authority='rsa-authority')
    assert server.login(bad) is None
    server.see(r'userauth_pubkey: certificate signature algorithm ssh-rsa: '
               r'signature algorithm not supported( \[preauth\])?')


@pytest.mark.parametrize('kind', [['-t', 'rsa', '-b', '2048'], ['-t', 'ecdsa', '-b', '256'],
                                  ['-t', 'ecdsa', '-b', '384'], ['-t', 'ecdsa', '-b', '521']],
                         ids=lambda kind: '-'.join(kind[1::2]))
def test_types_of_keys(server, kind):
    server.key('user' + ''.join(kind), *kind)
    server.write('authorities', server.public('authority'))
    assert server.login(server.certificate('user' + ''.join(kind))) == 'in'


def test_what_no_extension_permits_is_forbidden(server):
    server.write('authorities', server.public('authority'))
    bare = server.certificate('user-bare', '-O', 'clear')
    assert server.login(bare) == 'in'
    assert 'tty' not in (server.login(bare, '-tt', command='tty') or '')
    pty = server.certificate('user-pty', '-O', 'clear', '-O', 'permit-pty')
    assert '/dev/' in server.login(pty, '-tt', command='tty')


# Lines of authorized_keys ------------------------------------------------------------------------

LINES = {
    'plain': ('cert-authority', 'USER', 'in', [AT, ACCEPTED]),
    'names': ('cert-authority,principals="joe,USER"', 'USER', 'in', [AT]),
    'role': ('principals="deploy",cert-authority', 'deploy', 'in', [AT]),
    'other-names': ('cert-authority,principals="joe,jim"', 'USER', None,
                    ['Certificate does not contain an authorized principal']),
    'wrong-user': ('cert-authority', 'joe', None,
                   ['Certificate invalid: name is not a listed principal']),
    'command': ('cert-authority,command="echo line"', 'USER', 'line', [AT]),
    'from': ('cert-authority,from="192.0.2.1"', 'USER', None, [
        r'FOLDER/authorized:1: Authentication tried for USER with correct key but not from a '
        r'permitted host \(host=127\.0\.0\.1, ip=127\.0\.0\.1, required=192\.0\.2\.1\)\.',
        'Refused by key options']),
    'no-authority': ('no-pty', 'USER', None, [FAILED]),
}


@pytest.mark.parametrize('case', LINES)
def test_authority_of_the_user(server, case):
    options, principals, output, lines = LINES[case]
    key = server.certificate('line-' + case, principals=principals)
    server.write('authorized',
                 f'{options.replace("USER", server.user)} {server.public("authority")} x\n')
    assert server.login(key) == output
    for line in lines:
        server.see(line)


def test_two_commands_must_agree(server):
    key = server.certificate('user-commands', '-O', 'force-command=echo one')
    server.write('authorized', f'cert-authority,command="echo two" {server.public("authority")}')
    assert server.login(key) is None
    server.see('forced command options do not match')
    server.write('authorized', f'cert-authority,command="echo one" {server.public("authority")}')
    assert server.login(key) == 'one'


def test_an_authority_does_not_log_in_itself(server):
    server.write('authorized', f'cert-authority {server.public("authority")}')
    server.write('authorities', server.public('authority'))
    assert server.login(server.key('authority')) is None


def test_empty_list_of_names_fits_nobody(server):
    """OpenSSH took it for everybody until 10.3."""
    if server.name == 'openssh':
        pytest.skip('depends on its version')
    server.write('authorized', f'cert-authority {server.public("authority")}')
    assert server.login(server.certificate('user-empty', principals='')) is None
    server.see('Certificate lacks principal list')


# AuthorizedPrincipalsFile ------------------------------------------------------------------------

@pytest.mark.parametrize('principals, output, reason', [
    ('alice', 'in', VIA), ('x,alice', 'in', VIA), ('carol', 'for carol', VIA),
    ('USER', None, 'Certificate does not contain an authorized principal'),
    ('', None, 'Certificate does not contain an authorized principal'),
    ('bob', None, 'Refused by certificate principals options'),
    ('dave', None, 'Certificate does not contain an authorized principal')])
def test_principals_file(server, principals, output, reason):
    key = server.certificate('principal', principals=principals)
    server.write('authorities', server.public('authority'))
    server.write('principals', PRINCIPALS)
    assert server.login(key, second=True) == output
    server.see(reason)


def test_principals_file_is_missing(server):
    key = server.certificate('principal-missing')
    server.write('authorities', server.public('authority'))
    os.unlink(server.path('principals'))
    assert server.login(key, second=True) is None
    server.see('Certificate does not contain an authorized principal')
