"""Keys in PKCS#11 tokens (SoftHSM): ssh -I and PKCS11Provider, beside OpenSSH's."""
import os
import subprocess

import pytest

from conftest import openssh_server
from desk import OURS, THEIRS, Token, desk

KINDS = {'rsa': 'rsa:2048', 'p256': 'EC:prime256v1', 'p384': 'EC:secp384r1', 'p521': 'EC:secp521r1',
         'ed25519': 'EC:edwards25519'}


@pytest.fixture(scope='module')
def place():
    with desk() as made:
        made.token = Token(made)
        for number, (label, kind) in enumerate(KINDS.items(), 1):
            made.token.key(kind, f'{number:02}', label)
        yield made


@pytest.fixture(scope='module')
def port(place):
    return place.server(openssh_server(), '-o', 'MaxAuthTries=20')


def listed(place):
    """What OpenSSH's ssh-keygen reads from the token, by label; it does not know Ed25519 there."""
    lines = place.run(f'{THEIRS}/ssh-keygen', '-D', place.token.module).splitlines()
    return {line.split()[2]: line for line in lines if line.startswith(('ssh-', 'ecdsa-'))}


def authorize(place, lines):
    with open(place.path('authorized'), 'w') as file:
        file.writelines(line + '\n' for line in lines)


@pytest.mark.parametrize('kind', ['rsa', 'p256', 'p384', 'p521'])
def test_login_with_a_key_of_the_token(place, port, kind):
    place.askpass('echo 1234\n')
    authorize(place, [listed(place)[kind]])
    assert 'logged in' in place.ssh(OURS, port, '-I', place.token.module, '127.0.0.1', 'echo logged in')
    assert "Enter PIN for 'token': " in place.asked()


def test_their_client_beside_ours(place, port):
    place.askpass('echo 1234\n')
    authorize(place, [listed(place)['rsa']])
    for directory in OURS, THEIRS:
        assert 'logged in' in place.ssh(directory, port, '-o', f'PKCS11Provider={place.token.module}',
                                        '127.0.0.1', 'echo logged in')


def test_wrong_pin_is_asked_again_and_given_up(place, port):
    place.askpass('test -e "$HOME/tried" && echo 1234 || { : >"$HOME/tried"; echo 9999; }\n')
    authorize(place, [listed(place)['rsa']])
    assert 'logged in' in place.ssh(OURS, port, '-I', place.token.module, '127.0.0.1', 'echo logged in')
    place.askpass('exit 1\n')
    output = place.ssh(OURS, port, '-I', place.token.module, '127.0.0.1', 'true', expect=255)
    assert 'Permission denied' in output


def test_nobody_is_asked_in_batch_mode(place, port):
    place.askpass('echo asked >>"$HOME/batch"; echo 1234\n')
    authorize(place, [listed(place)['rsa']])
    place.ssh(OURS, port, '-I', place.token.module, '-o', 'BatchMode=yes', '127.0.0.1', 'true', expect=255)
    assert not os.path.exists(place.path('batch'))


@pytest.mark.parametrize('name', ['/nonexistent', '/bin/true'])
def test_what_is_no_module_is_not_loaded(place, port, name):
    authorize(place, [])
    output = place.ssh(OURS, port, '-I', name, '-o', 'BatchMode=yes', '127.0.0.1', 'true', expect=255)
    assert f'provider {name} is not a PKCS11 library' in output


def test_module_is_not_in_the_process_of_ssh(place, port):
    """The library runs elsewhere, in a process that ends with ssh."""
    place.askpass('cat /proc/$PPID/maps >"$HOME/maps"; ls -l /proc/$PPID/exe >>"$HOME/maps"\n'
                  'pgrep -P $PPID -x ssh-pkcs11-help >>"$HOME/maps"; echo 1234\n')
    authorize(place, [listed(place)['rsa']])
    place.ssh(OURS, port, '-I', place.token.module, '127.0.0.1', 'true')
    with open(place.path('maps')) as file:
        maps = file.read()
    assert 'bin/ssh' in maps and 'softhsm' not in maps
    worker = maps.strip().splitlines()[-1]
    assert worker.isdigit() and not os.path.exists(f'/proc/{worker}')


def test_certificate_for_a_key_of_the_token(place, port):
    place.askpass('echo 1234\n')
    authority = place.key('authority', '-t', 'ed25519')
    with open(place.path('card.pub'), 'w') as file:
        file.write(listed(place)['p256'] + '\n')
    user = subprocess.run(['id', '-un'], capture_output=True, text=True, check=True).stdout.strip()
    place.run(f'{THEIRS}/ssh-keygen', '-q', '-s', authority, '-I', 'card', '-n', user, place.path('card.pub'))
    authorize(place, ['cert-authority ' + place.public('authority')])
    assert 'logged in' in place.ssh(
        OURS, port, '-I', place.token.module, '-o', f'CertificateFile={place.path("card-cert.pub")}',
        '127.0.0.1', 'echo logged in')


def test_certificates_of_the_token_show_their_key(place, port):
    place.run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'x.pem', '-out',
              'x.crt', '-subj', '/CN=holder', '-days', '2')
    place.run('openssl', 'x509', '-in', 'x.crt', '-outform', 'der', '-out', 'x.der')
    place.run('openssl', 'rsa', '-in', 'x.pem', '-outform', 'der', '-out', 'xkey.der', '-traditional')
    place.token.tool('-w', place.path('x.der'), '-y', 'cert', '--id', '0a', '--label', 'certified')
    place.token.tool('-w', place.path('xkey.der'), '-y', 'privkey', '--id', '0a', '--label', 'certified')
    place.askpass('echo 1234\n')
    authorize(place, [listed(place)['/CN=holder']])
    assert 'logged in' in place.ssh(OURS, port, '-I', place.token.module, '127.0.0.1', 'echo logged in')


def test_key_that_asks_at_every_use(place, port):
    place.token.key('EC:prime256v1', '0b', 'careful', '--always-auth')
    place.askpass('echo 1234\n')
    authorize(place, [listed(place)['careful']])
    assert 'logged in' in place.ssh(OURS, port, '-I', place.token.module, '127.0.0.1', 'echo logged in')
