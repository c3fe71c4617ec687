"""Which keys ssh tries, and in which order: the same as OpenSSH's."""
import shutil

import pytest

from conftest import openssh_server
from desk import OURS, THEIRS, desk


@pytest.fixture(scope='module')
def place():
    with desk() as made:
        for name in 'abcd':
            made.key(name, '-t', 'ed25519', comment=name)
        authority = made.key('authority', '-t', 'ed25519')
        for name in 'bcd':
            made.run(f'{THEIRS}/ssh-keygen', '-q', '-s', authority, '-I', name, '-n', 'somebody', f'{name}.pub')
        for name in 'bc':
            shutil.move(made.path(f'{name}-cert.pub'), made.path(f'{name}x-cert.pub'))
        made.agent(OURS)
        made.run(f'{OURS}/ssh-add', '-q', 'a', 'c')
        with open(made.path('authorized'), 'w'):
            pass
        made.port = made.server(openssh_server())
        yield made


def attempts(place, directory, options):
    output = place.ssh(directory, place.port, '-v', '-o', 'BatchMode=yes', *options, '127.0.0.1', 'true',
                       expect=255)
    return [line for line in output.splitlines() if 'Will attempt key' in line and 'SHA256' in line]


@pytest.mark.parametrize('options', [
    [],
    ['-i', 'b', '-i', 'c', '-i', 'd'],
    ['-i', 'd', '-i', 'c', '-o', 'IdentitiesOnly=yes'],
    ['-i', 'b', '-i', 'c', '-i', 'd', '-o', 'CertificateFile=bx-cert.pub', '-o', 'CertificateFile=cx-cert.pub'],
    ['-i', 'b', '-o', 'CertificateFile=cx-cert.pub', '-o', 'IdentitiesOnly=yes'],
    ['-i', 'b', '-i', 'd', '-o', 'IdentityAgent=none'],
    ['-i', 'b', '-i', 'a.pub', '-o', 'IdentitiesOnly=yes'],
], ids=lambda options: ' '.join(options).replace('-o ', '') or 'none')
def test_order(place, options):
    theirs = attempts(place, THEIRS, options)
    assert attempts(place, OURS, options) == theirs
