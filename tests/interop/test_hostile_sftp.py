"""sftp against servers that lie: nothing is written outside the target, nothing grows or waits without
bound, and nothing that a terminal would act on is shown."""
import os
import re
import resource

import pytest

import hostile_sftp_server as hostile
from conftest import SANITIZED, nacre, run
from test_ssh import terminal  # noqa: F401 (a fixture)

COMMANDS = '''-ls -l
-ls -l *
-df
-get file
-get -r tree
-get *
-ls -l file
-rm tree/*
-cp file copied
-ln file link
-rename other another
-put own sent
-chmod 600 file
-cd tree
pwd
'''
# Those that never come to an end of their own.
ENDLESS = ('Endless', 'Growing', 'Nested', 'Silent', 'ManyNames')
SCENARIOS = [*(name for name in hostile.scenarios() if name not in (*ENDLESS, 'OtherVersion', 'Limits', 'Patient')),
             'OtherVersion 2', 'OtherVersion 4294967295', 'Limits 0', 'Limits 1', f'Limits {(1 << 64) - 1}']
MEGABYTE = 1 << 20


def limit_memory():
    if not SANITIZED:
        resource.setrlimit(resource.RLIMIT_DATA, (512 * MEGABYTE, 512 * MEGABYTE))


def talk(folder, scenario, commands=COMMANDS):
    home = folder / 'home'
    home.mkdir()
    (home / 'own').write_text('own\\n')
    result = run([nacre('sftp'), '-D', hostile.command(*scenario.split()), '-b', '-'],
                 input=commands.encode(), cwd=home, preexec_fn=limit_memory)
    assert sorted(os.listdir(folder)) == ['home']
    return result, home


@pytest.mark.parametrize('scenario', SCENARIOS)
def test_comes_to_an_end(tmp_path, scenario):
    result, home = talk(tmp_path, scenario)
    assert result.returncode in (0, 255), result.stderr
    assert not re.search(rb'[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]', result.stdout + result.stderr)
    for path in home.rglob('*'):
        assert path.is_dir() or path.stat().st_size <= 20
    assert {path.name for path in home.iterdir()} <= {
        'own', 'file', 'other', 'tree', 'good', '-rf', '`touch evil`', 'esc\x1b[2J\nnew\rline', '\udcff\udcfe'}


def test_what_an_honest_server_would_say(tmp_path):
    """The script is a server: the lies are in the scenarios."""
    result, home = talk(tmp_path, 'Honest')
    assert result.returncode == 0 and b'Remote working directory: /home/tree' in result.stdout
    assert (home / 'file').read_text() == '0123456789' and (home / 'tree/inner').read_text() == 'inside\n'


@pytest.mark.parametrize('scenario', ['Twice', 'WrongId', 'Unasked', 'WrongKind', 'Huge', 'NoLength', 'LongHandle',
                                      'MoreData'])
def test_breaking_the_protocol_ends_the_connection(tmp_path, scenario):
    result, _ = talk(tmp_path, scenario)
    assert result.returncode == 255 and result.stderr


@pytest.mark.parametrize('scenario', ['Endless', 'ManyNames'])
def test_listings_that_make_no_sense(tmp_path, scenario):
    result, _ = talk(tmp_path, scenario, '-ls\n-rm *\npwd\n')
    assert result.returncode == 0 and b'Remote working directory: /home' in result.stdout
    assert b'remote readdir("/home"): the listing has no end or makes no sense' in result.stderr


def test_a_deep_tree(tmp_path):
    result, home = talk(tmp_path, 'Deep', 'get -r tree\n')
    assert result.returncode == 1 and b'Maximum directory depth exceeded' in result.stderr


# A person can leave all of them ------------------------------------------------------------------------

@pytest.mark.parametrize('scenario,command', [
    ('Silent STAT', 'cd tree'), ('Silent LSTAT', 'ls file'), ('Silent OPENDIR', 'ls'), ('Silent READDIR', 'ls'),
    ('Silent READ', 'get file'), ('Silent CLOSE', 'put own'), ('Silent OPEN', 'get file'), ('Endless', 'ls'),
    ('Growing', 'get file'), ('Nested', 'get -r tree'), ('Silent REMOVE', 'rm file'),
    ('Silent RENAME', 'rename -l file x')])
def test_interrupting(tmp_path, terminal, scenario, command):  # noqa: F811
    (tmp_path / 'own').write_text('own\n')
    words = ' '.join(f"'{word}'" for word in (nacre('sftp'), '-D', hostile.command(*scenario.split())))
    person = terminal(['sh', '-c', f'cd {tmp_path} && ulimit -f 200000 && exec {words}'])
    person.expect('sftp> ')
    person.type(f'{command}\n')
    person.expect(scenario.split()[0].lower())  # the server says so
    person.type('\x03')
    person.expect('Interrupt')
    person.expect('sftp> ')
    person.type('lpwd\n')
    person.expect('Local working directory')
    person.type('bye\n')
    assert person.wait() == 0
