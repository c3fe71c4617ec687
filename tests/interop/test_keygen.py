"""ssh-keygen beside OpenSSH's: the same output, and each reads what the other one wrote."""
import os
import re
import select
import shutil
import subprocess
import time

import pytest

from conftest import SANITIZERS, start_in_terminal

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get('NACRE_BUILD', os.path.join(ROOT, 'build')))
OURS = f'{BUILD}/bin/ssh-keygen'
THEIRS = shutil.which('ssh-keygen')

needs_theirs = pytest.mark.skipif(THEIRS is None, reason='OpenSSH is not installed')
TYPES = [('ed25519', None), ('ecdsa', '256'), ('ecdsa', '384'), ('ecdsa', '521'), ('rsa', '2048')]


def run(program, *words, cwd, stdin=''):
    return subprocess.run([program, *words], cwd=cwd, input=stdin, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                          env={'PATH': os.environ['PATH'], 'HOME': str(cwd), **SANITIZERS})


def outcome(program, *words, cwd, stdin=''):
    result = run(program, *words, cwd=cwd, stdin=stdin)
    return result.returncode, result.stdout, result.stderr


def make(program, cwd, name, kind, bits=None, *words):
    size = ['-b', bits] if bits else []
    result = run(program, '-q', '-t', kind, *size, '-f', name, '-C', f'{name} comment', *words, cwd=cwd)
    assert result.returncode == 0, result.stderr


def talk(program, words, answers, cwd):
    """Runs a program on a terminal of its own; answers each prompt in turn. Output and status."""
    process, terminal = start_in_terminal(
        [program, *words], cwd=cwd, env={'HOME': str(cwd), 'PATH': os.environ['PATH'], **SANITIZERS})
    output, shown, deadline = b'', 0, time.time() + 30
    answers = list(answers)
    while time.time() < deadline:
        ready = select.select([terminal], [], [], 0.05)[0]
        if ready:
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break
            if not piece:
                break
            output += piece
        elif answers and re.search(rb'[:?] $', output[shown:]):
            shown = len(output)
            os.write(terminal, answers.pop(0).encode() + b'\n')
    os.close(terminal)
    return output.decode().replace('\r', ''), process.wait()


@pytest.mark.parametrize('kind,bits', TYPES)
@pytest.mark.parametrize('words', [
    ('-N', ''), ('-N', 'secret words'), ('-N', 'secret words', '-m', 'PEM'), ('-N', '', '-m', 'PEM'),
    ('-N', 'secret words', '-Z', 'chacha20-poly1305@openssh.com', '-a', '3'),
    ('-N', 'secret words', '-Z', 'aes128-gcm@openssh.com', '-a', '3'),
    ('-N', 'secret words', '-Z', '3des-cbc', '-a', '3'),
    ('-N', 'secret words', '-m', 'PKCS8')])
@needs_theirs
def test_files_are_read_by_the_other(tmp_path, kind, bits, words):
    for writer, reader, name in ((OURS, THEIRS, 'ours'), (THEIRS, OURS, 'theirs')):
        if kind == 'ed25519' and 'PKCS8' in words:
            reader = writer  # OpenSSH reads these from version 9.6 on
        make(writer, tmp_path, name, kind, bits, *words)
        shown = run(reader, '-y', '-P', 'secret words', '-f', name, cwd=tmp_path)
        assert shown.returncode == 0, shown.stderr
        public = (tmp_path / f'{name}.pub').read_text()
        assert shown.stdout.split()[:2] == public.split()[:2]
        assert public.endswith(f'{name} comment\n')
        assert os.stat(tmp_path / name).st_mode & 0o777 == 0o600
        assert os.stat(tmp_path / f'{name}.pub').st_mode & 0o777 == 0o644


@pytest.mark.parametrize('kind,bits', TYPES)
@needs_theirs
def test_shows_and_converts_alike(tmp_path, kind, bits):
    make(THEIRS, tmp_path, 'key', kind, bits, '-N', 'secret')
    (tmp_path / 'copy').mkdir()
    shutil.copy(tmp_path / 'key', tmp_path / 'copy' / 'alone')
    for words in (('-l', '-f', 'key'), ('-lv', '-f', 'key.pub'), ('-l', '-E', 'md5', '-f', 'key'),
                  ('-y', '-P', 'secret', '-f', 'key'), ('-y', '-P', 'wrong', '-f', 'key'),
                  ('-e', '-f', 'key.pub'), ('-e', '-f', 'key'), ('-l', '-f', 'copy/alone'),
                  ('-e', '-m', 'PEM', '-f', 'key.pub')):
        assert outcome(OURS, *words, cwd=tmp_path) == outcome(THEIRS, *words, cwd=tmp_path), words
    formats = ['RFC4716'] + (['PKCS8', 'PEM'] if kind == 'rsa' else ['PKCS8'] if kind == 'ecdsa' else [])
    for form in formats:
        exported = run(OURS, '-e', '-m', form, '-f', 'key.pub', cwd=tmp_path).stdout
        (tmp_path / 'exported').write_text(exported)
        words = ('-i', '-m', form, '-f', 'exported')
        ours = outcome(OURS, *words, cwd=tmp_path)
        assert ours == outcome(THEIRS, *words, cwd=tmp_path)
        assert ours[1].split()[:2] == (tmp_path / 'key.pub').read_text().split()[:2]


@needs_theirs
def test_private_files_without_public_ones(tmp_path):
    for name, passphrase in (('plain', ''), ('locked', 'secret')):
        for kind in ('rsa', 'ecdsa'):
            make(THEIRS, tmp_path, f'{name}_{kind}', kind, None, '-N', passphrase, '-m', 'PEM')
            (tmp_path / f'{name}_{kind}.pub').unlink()
            for words in (('-l',), ('-e', '-P', 'secret'), ('-y', '-P', 'secret')):
                words += ('-f', f'{name}_{kind}')
                assert outcome(OURS, *words, cwd=tmp_path) == outcome(THEIRS, *words, cwd=tmp_path), words
    results = []
    for program in (OURS, THEIRS):
        shutil.copy(tmp_path / 'plain_ecdsa', tmp_path / 'changed')
        results.append([outcome(program, '-p', '-f', 'changed', '-N', 'secret', cwd=tmp_path)])
        for comment in ('one', 'two'):
            words = ('-c', '-f', 'changed', '-P', 'secret', '-C', comment)
            results[-1].append(outcome(program, *words, cwd=tmp_path))
    assert results[0] == results[1]


@needs_theirs
def test_fingerprints_of_many_lines(tmp_path):
    make(THEIRS, tmp_path, 'a', 'ed25519', None, '-N', '')
    make(THEIRS, tmp_path, 'b', 'ecdsa', None, '-N', '')
    a, b = (tmp_path / 'a.pub').read_text(), (tmp_path / 'b.pub').read_text()
    (tmp_path / 'many').write_text(
        f'# a comment\n\n{a}  {b}from="1.2.3.4,x y",command="echo \\"ssh-rsa\\"" {b}'
        f'host,10.0.0.1 {" ".join(a.split()[:2])}\nno key here\nssh-ed25519 AAAA broken\n')
    for words in (('-l', '-f', 'many'), ('-l', '-E', 'md5', '-f', 'many')):
        ours, theirs = outcome(OURS, *words, cwd=tmp_path), outcome(THEIRS, *words, cwd=tmp_path)
        assert ours[:2] == theirs[:2]
        assert len(ours[1].splitlines()) == 4
    for program in (OURS, THEIRS):
        assert run(program, '-l', '-f', '-', cwd=tmp_path, stdin=a).stdout.split()[2:] == ['a', 'comment', '(ED25519)']


@pytest.mark.parametrize('words', [
    '-y -f absent', '-l -f absent', '-e -f absent', '-i -f absent', '-p -f absent', '-c -f absent',
    '-l -f junk', '-l -f empty', '-t rsa -b 512 -f new', '-t rsa -b 20000 -f new', '-t rsa -b some -f new',
    '-t ecdsa -b 300 -f new', '-t other -f new', '-t ed25519 -N x -f absent/new', '-l -E other -f junk',
    '-a 0 -f new', '-Z other -f new', '-e -m other -f junk', '-F host -f absent', '-y -f open', '-p -f open -N x'])
@needs_theirs
def test_fails_alike(tmp_path, words):
    (tmp_path / 'junk').write_text('this is not a key\n')
    (tmp_path / 'empty').write_text('')
    make(THEIRS, tmp_path, 'open', 'ed25519', None, '-N', '')
    (tmp_path / 'open').chmod(0o644)
    ours = outcome(OURS, *words.split(), cwd=tmp_path)
    assert ours == outcome(THEIRS, *words.split(), cwd=tmp_path)
    assert ours[0] != 0
    assert not (tmp_path / 'new').exists()


def test_refuses_what_it_does_not_know(tmp_path):
    status, output, errors = outcome(OURS, '-l', '-f', 'x', 'more', cwd=tmp_path)
    assert (status, output) == (1, '') and errors.startswith('Too many arguments.\nusage: ssh-keygen')
    status, output, errors = outcome(OURS, '-p', '-c', '-f', 'x', cwd=tmp_path)
    assert (status, output) == (1, '') and errors.startswith('Can only have one of -p and -c.\nusage: ssh-keygen')
    assert outcome(OURS, '-!', cwd=tmp_path)[2].startswith('unknown option -- !\nusage:')


def pattern(text):
    """Output with what differs from run to run taken out."""
    text = re.sub(r'SHA256:\S+', 'FINGERPRINT', text)
    return re.sub(r'^\|.*\|$', 'PICTURE', text, flags=re.MULTILINE)


@needs_theirs
def test_generating_says_the_same(tmp_path):
    for words in (['-t', 'ed25519', '-f', 'k', '-N', ''], ['-t', 'rsa', '-b', '1024', '-f', 'r', '-N', 'abcdef'],
                  ['-t', 'ecdsa', '-b', '521', '-f', 'e', '-N', '', '-C', 'mine']):
        results = []
        for program in (OURS, THEIRS):
            folder = tmp_path / ('ours' if program == OURS else 'theirs')
            folder.mkdir(exist_ok=True)
            status, output, errors = outcome(program, *words, cwd=folder)
            results.append((status, pattern(output), errors))
        assert results[0] == results[1]
        assert results[0][0] == 0


@needs_theirs
def test_asks_before_overwriting(tmp_path):
    make(OURS, tmp_path, 'k', 'ed25519', None, '-N', '')
    before = (tmp_path / 'k').read_bytes()
    for answer in ('n\n', ''):
        ours = outcome(OURS, '-t', 'ed25519', '-f', 'k', '-N', '', cwd=tmp_path, stdin=answer)
        assert ours == outcome(THEIRS, '-t', 'ed25519', '-f', 'k', '-N', '', cwd=tmp_path, stdin=answer)
        assert ours[0] == 1 and 'k already exists.\nOverwrite (y/n)? ' in ours[1]
        assert (tmp_path / 'k').read_bytes() == before
    assert outcome(OURS, '-q', '-t', 'ed25519', '-f', 'k', '-N', '', cwd=tmp_path, stdin='y\n')[0] == 0
    assert (tmp_path / 'k').read_bytes() != before


def test_asks_for_file_and_passphrase_on_the_terminal(tmp_path):
    output, status = talk(OURS, ['-t', 'ed25519'], ['mine', 'one', 'two', 'same one', 'same one'], tmp_path)
    assert status == 0
    assert re.search(r'Enter file in which to save the key \(\S+/\.ssh/id_ed25519\): mine\n', output)
    assert output.count('Enter passphrase (empty for no passphrase): \n') == 2
    assert 'Passphrases do not match.  Try again.\n' in output
    assert 'one' not in output.replace('same one', '').replace('randomart', '')
    if THEIRS:
        assert run(THEIRS, '-y', '-P', 'same one', '-f', 'mine', cwd=tmp_path).returncode == 0


def test_changes_the_passphrase(tmp_path):
    make(OURS, tmp_path, 'k', 'ed25519', None, '-N', 'first')
    output, status = talk(OURS, ['-p', '-f', 'k'], ['first', 'second', 'second'], tmp_path)
    assert status == 0
    assert output == ("Enter old passphrase: \nKey has comment 'k comment'\n"
                      'Enter new passphrase (empty for no passphrase): \nEnter same passphrase again: \n'
                      'Your identification has been saved with the new passphrase.\n')
    reader = THEIRS or OURS
    assert run(reader, '-y', '-P', 'second', '-f', 'k', cwd=tmp_path).returncode == 0
    assert run(reader, '-y', '-P', 'first', '-f', 'k', cwd=tmp_path).returncode == 255
    before = (tmp_path / 'k').read_bytes()
    result = run(OURS, '-p', '-f', 'k', '-P', 'wrong', '-N', '', cwd=tmp_path)
    assert result.returncode == 255
    assert 'Failed to load key k: incorrect passphrase supplied to decrypt private key' in result.stderr
    assert (tmp_path / 'k').read_bytes() == before
    assert run(OURS, '-p', '-f', 'k', '-P', 'second', '-N', '', cwd=tmp_path).returncode == 0
    assert run(reader, '-y', '-f', 'k', cwd=tmp_path).returncode == 0


def test_changes_the_comment(tmp_path):
    make(OURS, tmp_path, 'k', 'ecdsa', None, '-N', 'secret')
    result = run(OURS, '-c', '-f', 'k', '-P', 'secret', '-C', 'another one', cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "Old comment: k comment\nComment 'another one' applied\n")
    assert (tmp_path / 'k.pub').read_text().endswith(' another one\n')
    assert run(THEIRS or OURS, '-y', '-P', 'secret', '-f', 'k', cwd=tmp_path).stdout.endswith(' another one\n')
    result = run(OURS, '-c', '-f', 'k', '-P', 'secret', cwd=tmp_path, stdin='another one\n')
    assert result.stdout.endswith('New comment: No change to comment\n')


def test_makes_missing_host_keys(tmp_path):
    folder = tmp_path / 'etc/ssh'
    folder.mkdir(parents=True)
    result = run(OURS, '-A', '-f', str(tmp_path), cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, 'ssh-keygen: generating new host keys: RSA ECDSA ED25519 \n')
    names = sorted(os.listdir(folder))
    assert names == sorted(f'ssh_host_{kind}_key{end}' for kind in ('rsa', 'ecdsa', 'ed25519') for end in ('', '.pub'))
    (folder / 'ssh_host_ecdsa_key').unlink()
    before = (folder / 'ssh_host_rsa_key').read_bytes()
    result = run(OURS, '-A', '-f', str(tmp_path), cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, 'ssh-keygen: generating new host keys: ECDSA \n')
    assert (folder / 'ssh_host_rsa_key').read_bytes() == before
    assert run(OURS, '-A', '-f', str(tmp_path), cwd=tmp_path).stdout == ''


@pytest.mark.parametrize('words', ['-F one.example', '-F 10.0.0.1 -l', '-F [two.example]:2222', '-F absent',
                                   '-R one.example', '-R absent', '-H'])
@needs_theirs
def test_looks_after_known_hosts(tmp_path, words):
    make(THEIRS, tmp_path, 'a', 'ed25519', None, '-N', '')
    key = ' '.join((tmp_path / 'a.pub').read_text().split()[:2])
    text = f'one.example,10.0.0.1 {key}\n# note\n\n[two.example]:2222 {key} comment\n'
    results = []
    for program in (OURS, THEIRS):
        (tmp_path / 'hosts').write_text(text)
        result = outcome(program, *words.split(), '-f', 'hosts', cwd=tmp_path)
        after = re.sub(r'\|1\|\S+', 'HASHED', (tmp_path / 'hosts').read_text())
        results.append((result[0], result[1], result[2].replace('\r', ''), after, (tmp_path / 'hosts.old').exists()))
        if (tmp_path / 'hosts.old').exists():
            assert (tmp_path / 'hosts.old').read_text() == text
            (tmp_path / 'hosts.old').unlink()
    assert results[0] == results[1]


@needs_theirs
def test_finds_names_that_the_other_hashed(tmp_path):
    make(THEIRS, tmp_path, 'a', 'ed25519', None, '-N', '')
    key = ' '.join((tmp_path / 'a.pub').read_text().split()[:2])
    for writer, reader in ((OURS, THEIRS), (THEIRS, OURS)):
        (tmp_path / 'hosts').write_text(f'one.example,10.0.0.1 {key}\n')
        assert run(writer, '-H', '-f', 'hosts', cwd=tmp_path).returncode == 0
        assert run(reader, '-F', '10.0.0.1', '-f', 'hosts', cwd=tmp_path).returncode == 0
        assert run(reader, '-F', 'other', '-f', 'hosts', cwd=tmp_path).returncode == 1
        hashed = run(writer, '-H', '-F', 'one.example', '-f', 'hosts', cwd=tmp_path)
        assert hashed.returncode == 0 and 'one.example' not in hashed.stdout.split('\n', 1)[1]
