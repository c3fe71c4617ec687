"""RevokedKeys: lists of public keys and OpenSSH's key revocation lists, made by ssh-keygen -k. What
OpenSSH's sshd refuses, ours must refuse, too."""
import pytest

from conftest import need, run
from key_server import SERVERS, KeyServer


@pytest.fixture(scope='module', params=list(SERVERS))
def server(request, servers):
    need('sshd', 'ssh-keygen')
    made = KeyServer(servers, SERVERS[request.param])
    made.name = request.param
    made.certificate('certified', '-z', '5')
    yield made
    made.close()


@pytest.fixture(autouse=True)
def fresh(server):
    server.forget()
    server.write('authorized', server.public('plain'))
    server.write('authorities', server.public('authority'))


def certificate(server):
    with open(server.path('certified-cert.pub')) as file:
        return file.read()


def login(server, key):
    """The key of the certificate lets nobody in without it."""
    return server.login(server.path(key))


REVOKED = r'(error: )?Authentication key %s HASH revoked by file FOLDER/revoked'
LABEL = {'plain': 'ED25519', 'certified': 'ED25519-CERT'}

LISTS = {
    'empty': ('', []),
    'comments': ('# none\n\n', []),
    'key': ('# lost\nPLAIN lost in a train\n', ['plain']),
    'key-of-a-certificate': ('OTHER\nCERTIFIED', ['certified']),
    'certificate': ('CERTIFICATE', ['certified']),
    'authority': ('AUTHORITY', ['certified']),
    'other': ('OTHER', []),
}


@pytest.mark.parametrize('key', LABEL)
@pytest.mark.parametrize('case', LISTS)
def test_list_of_keys(server, case, key):
    text, refused = LISTS[case]
    for word, value in (('PLAIN', server.public('plain')), ('CERTIFIED', server.public('certified')),
                        ('CERTIFICATE', certificate(server)), ('AUTHORITY', server.public('authority')),
                        ('OTHER', server.public('other'))):
        text = text.replace(word, value)
    server.write('revoked', text)
    assert login(server, key) == (None if key in refused else 'in')
    if key in refused:
        server.see(REVOKED % LABEL[key])


KRLS = {
    'nothing': ([''], 'authority', []),
    'key': (['key: PLAIN'], None, ['plain']),
    'key-of-a-certificate': (['key: CERTIFIED'], None, ['certified']),
    'authority': (['key: AUTHORITY'], None, ['certified']),
    'sha1': (['sha1: PLAIN'], None, ['plain']),
    'sha256': (['sha256: CERTIFIED', 'sha256: OTHER'], None, ['certified']),
    'serial': (['serial: 5'], 'authority', ['certified']),
    'serials': (['serial: 1-4', 'serial: 6-9'], 'authority', []),
    'range': (['serial: 2-1000000'], 'authority', ['certified']),
    'bitmap': ([f'serial: {number}' for number in range(1, 60, 2)], 'authority', ['certified']),
    'other-bitmap': ([f'serial: {number}' for number in range(2, 60, 2)], 'authority', []),
    'other-authority': (['serial: 5', 'id: someone'], 'other', []),
    'any-authority': (['serial: 5'], 'none', ['certified']),
    'key-id': (['id: someone'], 'authority', ['certified']),
    'other-key-id': (['id: someon', 'id: someone else'], 'none', []),
}


def make_krl(server, lines, authority):
    text = '\n'.join(lines)
    for word, name in (('PLAIN', 'plain'), ('CERTIFIED', 'certified'), ('AUTHORITY', 'authority'), ('OTHER', 'other')):
        text = text.replace(word, server.public(name))
    specification = server.write('specification', text + '\n')
    signer = [] if authority is None else ['-s', 'none' if authority == 'none' else server.key(authority) + '.pub']
    run(['ssh-keygen', '-k', '-q', '-f', server.path('revoked'), *signer, specification], check=True)


@pytest.mark.parametrize('case', KRLS)
def test_key_revocation_list(server, case):
    lines, authority, refused = KRLS[case]
    make_krl(server, lines, authority)
    for key in ('plain', 'certified') if len(refused) == 1 else ('certified',):
        assert login(server, key) == (None if key in refused else 'in')
        if key in refused:
            server.see(REVOKED % LABEL[key])


def test_what_cannot_be_read_revokes_everything(server):
    make_krl(server, ['key: OTHER'], None)
    with open(server.path('revoked'), 'rb') as file:
        krl = file.read()
    assert login(server, 'plain') == 'in'
    for content in (krl[:-5], krl + b'x', krl[:11] + b'\7' + krl[12:], b'SSHKRL\n\0', b'no keys at all\n'):
        server.write('revoked', content)
        assert login(server, 'plain') is None
        server.see('(error: )?Error checking authentication key ED25519 HASH in revoked keys file '
                   'FOLDER/revoked: .*')


@pytest.mark.parametrize('program', SERVERS)
def test_missing_file_revokes_everything(program, servers):
    need('sshd')
    server = KeyServer(servers, SERVERS[program], options=['RevokedKeys=/nonexistent/revoked'])
    key = server.key('user')
    server.write('authorized', server.public('user'))
    assert server.login(key) is None
    server.see('(error: )?Error checking authentication key ED25519 HASH in revoked keys file '
               '/nonexistent/revoked: No such file or directory')
    server.close()
