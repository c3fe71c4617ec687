"""Keys in FIDO authenticators: one in software is used by our programs and by OpenSSH's."""
import os
import subprocess

import pytest

from conftest import openssh_server, run
from desk import OURS, ROOT, THEIRS, desk

KINDS = ['ed25519-sk', 'ecdsa-sk']
DUMMY = '/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so'


@pytest.fixture(scope='module')
def place():
    with desk() as made:
        made.library = made.path('sk.so')
        built = run(['cc', '-shared', '-fPIC', f'-I{ROOT}', '-o', made.library,
                     f'{ROOT}/tests/interop/sk_authenticator.c', '-lcrypto'])
        if built.returncode != 0:
            pytest.skip('the authenticator cannot be built here')
        made.environment.update(SK_FOLDER=made.home, SSH_SK_PROVIDER=made.library)
        for kind in KINDS:
            made.key(kind, '-t', kind)
            made.key(f'{kind}-untouched', '-t', kind, '-O', 'no-touch-required')
            made.key(f'{kind}-verified', '-t', kind, '-O', 'verify-required')
        lines = []
        for name in os.listdir(made.home):
            if name.endswith('.pub'):
                option = 'no-touch-required ' if 'untouched' in name else ''
                lines.append(option + made.public(name[:-4]) + '\n')
        with open(made.path('authorized'), 'w') as file:
            file.writelines(lines)
        made.port = made.server(openssh_server())
        yield made


def login(place, directory, key, expect=0, **more):
    return place.ssh(directory, place.port, '-o', 'IdentitiesOnly=yes', '-o', 'IdentityAgent=none', '-o',
                     f'SecurityKeyProvider={place.library}', '-i', key, '127.0.0.1', 'echo logged in',
                     expect=expect, **more)


def asked_from_now(place, script='echo 1234\n'):
    open(place.path('asked'), 'w').close()
    place.askpass(script)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('form', ['', '-untouched', '-verified'])
def test_login_asks_as_theirs_does(place, kind, form):
    said = {}
    for directory in OURS, THEIRS:
        asked_from_now(place)
        assert 'logged in' in login(place, directory, kind + form, SK_PIN='1234',
                                    SK_NOTICES=place.path('asked'))
        said[directory] = place.asked()
    assert said[OURS] == said[THEIRS]


def test_no_touch_no_login(place):
    asked_from_now(place)
    assert 'Permission denied' in login(place, OURS, 'ed25519-sk', expect=255, SK_TOUCH='no')


def test_wrong_pin(place):
    asked_from_now(place, 'echo 9999\n')
    assert 'Permission denied' in login(place, OURS, 'ed25519-sk-verified', expect=255, SK_PIN='1234')


def test_nobody_touches_for_a_server_that_does_not_want_the_key(place):
    place.key('unknown', '-t', 'ed25519-sk')
    asked_from_now(place)
    login(place, OURS, 'unknown', expect=255)
    assert place.asked() == ''


@pytest.mark.parametrize('library', ['/nonexistent', 'libz.so.1'])
def test_what_is_no_library_for_authenticators(place, library):
    output = place.ssh(OURS, place.port, '-o', 'IdentitiesOnly=yes', '-o', 'IdentityAgent=none', '-o',
                       f'SecurityKeyProvider={library}', '-i', 'ed25519-sk', '127.0.0.1', 'true', expect=255)
    assert f'Provider "{library}"' in output


def test_their_dummy_authenticator(place):
    if not os.path.exists(DUMMY):
        pytest.skip('openssh-tests is not installed')
    place.run(f'{THEIRS}/ssh-keygen', '-q', '-t', 'ecdsa-sk', '-N', '', '-f', place.path('dummy'),
              SSH_SK_PROVIDER=DUMMY)
    with open(place.path('authorized'), 'a') as file:
        file.write(place.public('dummy') + '\n')
    assert 'logged in' in place.ssh(
        OURS, place.port, '-o', 'IdentitiesOnly=yes', '-o', 'IdentityAgent=none', '-o',
        f'SecurityKeyProvider={DUMMY}', '-i', 'dummy', '127.0.0.1', 'echo logged in')


def test_provider_from_a_variable(place):
    assert 'logged in' in place.ssh(
        OURS, place.port, '-o', 'IdentitiesOnly=yes', '-o', 'IdentityAgent=none', '-o',
        'SecurityKeyProvider=$MY_PROVIDER', '-i', 'ed25519-sk', '127.0.0.1', 'echo logged in',
        MY_PROVIDER=place.library)


def test_without_an_authenticator(place):
    """Nothing is plugged in: our own library says so and the login goes on without."""
    output = subprocess.run(
        [f'{OURS}/ssh', '-F', '/dev/null', '-p', str(place.port), '-o', 'IdentitiesOnly=yes', '-o',
         'IdentityAgent=none', '-o', 'PreferredAuthentications=publickey', '-o',
         f'UserKnownHostsFile={place.path("known")}', '-i', place.path('ed25519-sk'), '127.0.0.1', 'true'],
        env=place.environment, capture_output=True, text=True, timeout=60)
    assert output.returncode == 255 and 'Permission denied' in output.stderr
