"""What ssh-keygen makes is of use to others: certificates, signatures of files and of git's commits,
moduli, keys in authenticators; and the reverse."""
import base64
import os
import shutil
import subprocess

import pytest

from conftest import SANITIZERS
from test_keygen import OURS, ROOT, THEIRS, make, needs_theirs, outcome, run


def strings(blob):
    """The fields of a certificate of an ed25519 key up to the nonce, and what follows it."""
    first = 4 + int.from_bytes(blob[:4], 'big')
    second = first + 4 + int.from_bytes(blob[first:first + 4], 'big')
    return blob[:first], blob[second:]


@needs_theirs
@pytest.mark.parametrize('words', [[], ['-h', '-n', 'a,b', '-z', '9'], ['-V', '20200101Z:20400101Z', '-O', 'clear'],
                                   ['-O', 'force-command=x', '-O', 'critical:a@b=c', '-O', 'extension:d@e']])
def test_certificates_are_the_same_bytes(tmp_path, words):
    make(THEIRS, tmp_path, 'ca', 'rsa', '2048', '-N', '')
    make(THEIRS, tmp_path, 'user', 'ed25519', None, '-N', '')
    made = []
    for program, other in ((OURS, THEIRS), (THEIRS, OURS)):
        assert run(program, '-q', '-s', 'ca', '-I', 'id', *words, 'user.pub', cwd=tmp_path).returncode == 0
        assert run(other, '-L', '-f', 'user-cert.pub', cwd=tmp_path).returncode == 0
        text = (tmp_path / 'user-cert.pub').read_text().split(' ', 2)
        name, rest = strings(base64.b64decode(text[1]))
        signed = rest[:-(4 + 4 + 12 + 4 + 256)]  # without the string of the signature, over another nonce
        made.append((text[0], text[2], name, signed))
    assert made[0] == made[1]


@pytest.fixture
def agent(tmp_path):
    """An agent of OpenSSH's, or ours."""
    program = shutil.which('ssh-agent') or f'{os.path.dirname(OURS)}/ssh-agent'
    socket = str(tmp_path / 'agent')
    process = subprocess.Popen([program, '-D', '-a', socket], stdout=subprocess.DEVNULL)
    while not os.path.exists(socket) and process.poll() is None:
        pass
    yield dict(os.environ, SSH_AUTH_SOCK=socket, HOME=str(tmp_path), **SANITIZERS)
    process.terminate()
    process.wait()


def test_agents_sign(tmp_path, agent):
    def go(*words, stdin=''):
        return subprocess.run(words, cwd=tmp_path, env=agent, input=stdin, text=True, capture_output=True)

    add = f'{os.path.dirname(OURS)}/ssh-add'
    for kind in ('ed25519', 'rsa'):
        make(OURS, tmp_path, f'ca_{kind}', kind, None, '-N', '')
    make(OURS, tmp_path, 'user', 'ed25519', None, '-N', '')
    assert 'agent contains no identities' in go(OURS, '-Us', 'ca_rsa.pub', '-I', 'x', 'user.pub').stderr
    assert go(add, 'ca_ed25519', 'ca_rsa').returncode == 0
    for kind in ('ed25519', 'rsa'):
        os.unlink(tmp_path / f'ca_{kind}')
    for words, algorithm in ((['-Us', 'ca_ed25519.pub'], 'ssh-ed25519'), (['-Us', 'ca_rsa.pub'], 'rsa-sha2-512'),
                             (['-Us', 'ca_rsa.pub', '-t', 'rsa-sha2-256'], 'rsa-sha2-256')):
        assert go(OURS, *words, '-I', 'x', 'user.pub').returncode == 0
        assert f'(using {algorithm})' in go(THEIRS or OURS, '-L', '-f', 'user-cert.pub').stdout
    signed = go(OURS, '-Y', 'sign', '-U', '-f', 'ca_rsa.pub', '-n', 'file', stdin='text')
    (tmp_path / 'sig').write_text(signed.stdout)
    assert go(THEIRS or OURS, '-Y', 'check-novalidate', '-n', 'file', '-s', 'sig', stdin='text').returncode == 0
    assert "Couldn't find key in agent" in go(OURS, '-Y', 'sign', '-U', '-f', 'user.pub', '-n', 'file').stderr


@pytest.mark.skipif(shutil.which('git') is None, reason='git is not installed')
def test_git_signs_and_verifies(tmp_path):
    make(OURS, tmp_path, 'key', 'ed25519', None, '-N', '')
    make(OURS, tmp_path, 'other', 'ed25519', None, '-N', '')
    (tmp_path / 'allowed').write_text(f'me@example {(tmp_path / "key.pub").read_text()}')
    options = [word for pair in (
        'user.name=Me', 'user.email=me@example', 'gpg.format=ssh', f'gpg.ssh.program={OURS}',
        f'user.signingkey={tmp_path}/key.pub', f'gpg.ssh.allowedSignersFile={tmp_path}/allowed',
        'commit.gpgsign=true') for word in ('-c', pair)]

    def git(*words, **more):
        return subprocess.run(['git', *options, *words], cwd=tmp_path / 'tree', text=True, capture_output=True,
                              env={'PATH': os.environ['PATH'], 'HOME': str(tmp_path), **SANITIZERS}, **more)

    (tmp_path / 'tree').mkdir()
    for words in (['init', '-q'], ['commit', '--allow-empty', '-m', 'first'], ['tag', '-s', 'v1', '-m', 'tag']):
        result = git(*words)
        assert result.returncode == 0, result.stderr
    for words in (['verify-commit', 'HEAD'], ['verify-tag', 'v1']):
        result = git(*words)
        assert result.returncode == 0 and 'Good "git" signature for me@example' in result.stderr
    (tmp_path / 'allowed').write_text(f'me@example {(tmp_path / "other.pub").read_text()}')
    assert git('verify-commit', 'HEAD').returncode != 0


@needs_theirs
def test_moduli_are_taken_by_the_other(tmp_path):
    result = run(OURS, '-M', 'generate', '-O', 'bits=512', '-O', 'memory=1', 'candidates', cwd=tmp_path)
    assert result.returncode == 0 and ' candidates\n' in result.stderr
    lines = (tmp_path / 'candidates').read_text().splitlines()
    assert len(lines) > 1000 and all(line.split()[1:6] == ['4', '2', '0', '510', '0'] for line in lines[:100])
    words = ['-M', 'screen', '-f', 'candidates', '-O', 'lines=2000', '-O', 'prime-tests=10']
    result = run(OURS, *words, '-O', 'checkpoint=place', 'safe', cwd=tmp_path)
    assert result.returncode == 0 and 'safe primes of' in result.stderr
    assert (tmp_path / 'place').read_text() == '2000\n'
    found = [line.split()[1:] for line in (tmp_path / 'safe').read_text().splitlines()]
    assert found
    assert run(THEIRS, *words, 'theirs', cwd=tmp_path).returncode == 0
    theirs = [line.split()[1:] for line in (tmp_path / 'theirs').read_text().splitlines()]
    assert theirs == found
    # What is safe already is screened again, by one and by the other.
    for program in (OURS, THEIRS):
        assert run(program, '-M', 'screen', '-f', 'safe', '-O', 'prime-tests=4', 'again', cwd=tmp_path).returncode == 0
        assert len((tmp_path / 'again').read_text().splitlines()) == len(found)
        os.unlink(tmp_path / 'again')


@pytest.mark.parametrize('words', [
    ['generate'], ['screen'], ['other'], ['generate', '-O', 'bits=x', 'out'], ['generate', '-O', 'foo', 'out'],
    ['generate', '-O', 'bits=512', '-O', 'start=zz', 'out'], ['screen', '-O', 'foo=1', 'out'],
    ['screen', '-O', 'prime-tests=3', 'out'], ['screen', '-f', 'absent', 'out'], ['generate', '-O', 'bits=100', 'out']])
def test_moduli_options_are_checked(tmp_path, words):
    status, output, errors = outcome(OURS, '-M', *words, cwd=tmp_path)
    assert status == 255 and output == '' and errors
    assert not (tmp_path / 'out').exists()


@pytest.fixture(scope='module')
def authenticator(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sk')
    library = folder / 'sk.so'
    built = subprocess.run(['cc', '-shared', '-fPIC', f'-I{ROOT}', '-o', library,
                            f'{ROOT}/tests/interop/sk_authenticator.c', '-lcrypto'], capture_output=True)
    if built.returncode != 0:
        pytest.skip('the authenticator cannot be built here')
    return library


@pytest.mark.parametrize('kind', ['ed25519-sk', 'ecdsa-sk'])
def test_keys_in_authenticators(tmp_path, authenticator, kind):
    environment = {'PATH': os.environ['PATH'], 'HOME': str(tmp_path), 'SK_FOLDER': str(tmp_path), 'SK_PIN': '1234',
                   'SSH_SK_PROVIDER': str(authenticator), **SANITIZERS}

    def go(*words, stdin=''):
        return subprocess.run(words, cwd=tmp_path, env=environment, input=stdin, text=True, capture_output=True,
                              start_new_session=True)

    result = go(OURS, '-t', kind, '-f', 'key', '-N', '', '-C', 'mine', '-O', 'write-attestation=attestation')
    assert result.returncode == 0, result.stderr
    assert 'You may need to touch your authenticator' in result.stdout
    assert (tmp_path / 'attestation').read_bytes()[4:].startswith(b'ssh-sk-attest-v0')
    signed = go(OURS, '-Y', 'sign', '-f', 'key', '-n', 'file', stdin='text')
    assert signed.returncode == 0, signed.stderr
    (tmp_path / 'sig').write_text(signed.stdout)
    for program in (OURS, THEIRS or OURS):
        assert go(program, '-Y', 'check-novalidate', '-n', 'file', '-s', 'sig', stdin='text').returncode == 0
        assert go(program, '-y', '-f', 'key').stdout == (tmp_path / 'key.pub').read_text()
    assert go(OURS, '-t', kind, '-f', 'other', '-N', '', '-O', 'application=foo').returncode == 255
    assert not (tmp_path / 'other').exists()


def test_refuses_types_of_the_past_and_the_future(tmp_path):
    for kind in ('dsa', 'mldsa44-ed25519'):
        status, output, errors = outcome(OURS, '-t', kind, '-f', 'new', '-N', '', cwd=tmp_path)
        assert (status, output) == (255, '') and 'take ed25519' in errors
        assert not (tmp_path / 'new').exists()
