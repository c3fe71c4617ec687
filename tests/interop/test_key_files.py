"""Key files between our ssh-keygen and OpenSSH's, in both directions."""
import os
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get('NACRE_BUILD', os.path.join(ROOT, 'build')))
OURS = os.path.join(BUILD, 'bin', 'ssh-keygen')
THEIRS = '/usr/bin/ssh-keygen'
PASSPHRASE = 'correct horse'
TYPES = {'ed25519': ['-t', 'ed25519'], 'rsa': ['-t', 'rsa', '-b', '2048'],
         'ecdsa256': ['-t', 'ecdsa', '-b', '256'], 'ecdsa384': ['-t', 'ecdsa', '-b', '384'],
         'ecdsa521': ['-t', 'ecdsa', '-b', '521']}
CIPHERS = ['aes256-ctr', 'aes192-ctr', 'aes128-ctr', 'aes256-cbc', 'aes192-cbc', 'aes128-cbc', '3des-cbc',
           'aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com']

pytestmark = pytest.mark.skipif(not os.path.exists(THEIRS), reason='OpenSSH is not installed')
directions = pytest.mark.parametrize('writer,reader', [(OURS, THEIRS), (THEIRS, OURS)],
                                     ids=['we write', 'they write'])


def run(*command, expect=0, input=''):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
                            input=input)
    assert result.returncode == expect, f'{command}: {result.returncode}: {result.stdout}'
    return result.stdout


def check(reader, key, passphrase):
    """The reader finds the public key that the writer put beside the private one."""
    with open(key + '.pub') as file:
        public = file.read().split()
    assert run(reader, '-y', '-P', passphrase, '-f', key).split()[:2] == public[:2]
    if passphrase:
        run(reader, '-y', '-P', 'wrong', '-f', key, expect=255)


@directions
@pytest.mark.parametrize('passphrase', ['', PASSPHRASE], ids=['plain', 'encrypted'])
@pytest.mark.parametrize('kind', TYPES)
def test_every_type(tmp_path, writer, reader, kind, passphrase):
    key = str(tmp_path / 'key')
    run(writer, '-q', *TYPES[kind], '-a', '2', '-N', passphrase, '-C', 'a comment', '-f', key)
    check(reader, key, passphrase)
    expected = run(THEIRS, '-lv', '-f', key + '.pub')
    assert run(OURS, '-lv', '-f', key + '.pub') == expected
    assert run(OURS, '-lv', '-E', 'md5', '-f', key + '.pub') == run(THEIRS, '-lv', '-E', 'md5', '-f', key + '.pub')


@directions
@pytest.mark.parametrize('cipher', CIPHERS)
def test_every_cipher(tmp_path, writer, reader, cipher):
    key = str(tmp_path / 'key')
    run(writer, '-q', '-t', 'ed25519', '-a', '2', '-Z', cipher, '-N', PASSPHRASE, '-f', key)
    check(reader, key, PASSPHRASE)


@directions
@pytest.mark.parametrize('form', ['PEM', 'PKCS8'])
@pytest.mark.parametrize('passphrase', ['', PASSPHRASE], ids=['plain', 'encrypted'])
@pytest.mark.parametrize('kind', ['rsa', 'ecdsa256', 'ecdsa521'])
def test_pem_files(tmp_path, writer, reader, kind, form, passphrase):
    key = str(tmp_path / 'key')
    run(writer, '-q', *TYPES[kind], '-m', form, '-N', passphrase, '-f', key)
    check(reader, key, passphrase)


# OpenSSH reads PEM of RSA only here.
@directions
@pytest.mark.parametrize('kind,form', [('rsa', 'RFC4716'), ('rsa', 'PEM'), ('rsa', 'PKCS8'),
                                       ('ecdsa384', 'RFC4716'), ('ecdsa384', 'PKCS8')])
def test_public_keys_in_other_forms(tmp_path, writer, reader, kind, form):
    key, exported = str(tmp_path / 'key'), str(tmp_path / 'exported')
    run(THEIRS, '-q', *TYPES[kind], '-N', '', '-f', key)
    with open(exported, 'w') as file:
        file.write(run(writer, '-e', '-m', form, '-f', key + '.pub'))
    with open(key + '.pub') as file:
        assert run(reader, '-i', '-m', form, '-f', exported).split()[:2] == file.read().split()[:2]
