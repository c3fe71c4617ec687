"""ssh -G and sshd -T print what OpenSSH prints for the same configuration, line for line wherever
both know the keyword; and complain in the same words at the same line.

config_corpus/ holds the configurations: ssh/ and sshd/ whole files (with the destinations or the -C
specifications to try in comments), *-bad/lines one mistake a line ('|' starts a new line of the
file). @DIR@ stands for a folder with the files that Include names.
"""
import glob
import os
import shutil
import subprocess

import pytest

from conftest import nacre, openssh, openssh_server

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'config_corpus')
# Lists whose defaults differ from version to version of OpenSSH: compared where a file sets them.
ALGORITHMS = {'ciphers', 'macs', 'kexalgorithms', 'hostkeyalgorithms', 'casignaturealgorithms',
              'pubkeyacceptedalgorithms', 'hostbasedacceptedalgorithms'}
NOT_OURS = ('gssapi', 'kerberos')
OLD_IDENTITIES = ('~/.ssh/id_xmss', '~/.ssh/id_dsa')


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = str(tmp_path_factory.mktemp('config'))
    shutil.copytree(os.path.join(CORPUS, 'files'), path, dirs_exist_ok=True)
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', path + '/host_key'],
                   check=True)
    return path


def prepare(folder, source):
    with open(source, 'rb') as file:
        text = file.read().replace(b'@DIR@', folder.encode())
    path = os.path.join(folder, os.path.basename(source))
    with open(path, 'wb') as file:
        file.write(text)
    return path, text.decode()


def marked(text, mark):
    return [line.split(mark, 1)[1].strip() for line in text.splitlines()
            if line.startswith('# ' + mark)]


def comparable(output, text):
    """(keyword, line) pairs that do not depend on the version of OpenSSH."""
    pairs = []
    for line in output.decode().splitlines():
        keyword, _, value = line.partition(' ')
        keyword = keyword.lower()
        if keyword.startswith(NOT_OURS) or (keyword in ALGORITHMS and keyword not in text.lower()):
            continue
        if keyword == 'identityfile' and value in OLD_IDENTITIES:
            continue
        pairs.append((keyword, line))
    return pairs


def assert_same(ours, theirs, text):
    ours, theirs = comparable(ours, text), comparable(theirs, text)
    common = {keyword for keyword, _ in ours} & {keyword for keyword, _ in theirs}
    # What only one prints is a keyword that the other does not know, or a list without a value.
    assert len(common) > 40
    single = {keyword for keyword, _ in theirs} - common
    assert single <= {'sshdsessionpath', 'sshdauthpath'}, 'printed by OpenSSH only'
    assert [line for keyword, line in ours if keyword in common] == \
        [line for keyword, line in theirs if keyword in common]


def corpus(kind):
    return sorted(glob.glob(os.path.join(CORPUS, kind, '*.conf')))


def names(paths):
    return [os.path.basename(path) for path in paths]


@pytest.mark.parametrize('source', corpus('ssh'), ids=names(corpus('ssh')))
def test_ssh_prints_the_same(folder, source):
    path, text = prepare(folder, source)
    for hosts in marked(text, 'hosts:'):
        for host in hosts.split():
            theirs = run(openssh('ssh'), '-G', '-F', path, host)
            ours = run(nacre('ssh'), '-G', '-F', path, host)
            assert theirs.returncode == 0, theirs.stderr
            assert ours.returncode == 0, ours.stderr
            assert_same(ours.stdout, theirs.stdout, text)


def test_ssh_options_come_first(folder):
    path, text = prepare(folder, os.path.join(CORPUS, 'ssh', 'everyday.conf'))
    options = ['-o', 'Port=99', '-o', 'User bob', '-o', 'IdentityFile=~/z', '-p', '98', '-l', 'eve',
               '-o', 'sendenv ONE', '-C', '-A']
    theirs = run(openssh('ssh'), '-G', '-F', path, *options, 'bastion')
    ours = run(nacre('ssh'), '-G', '-F', path, *options, 'bastion')
    assert ours.returncode == 0, ours.stderr
    assert_same(ours.stdout, theirs.stdout, text)


@pytest.mark.parametrize('source', corpus('sshd'), ids=names(corpus('sshd')))
def test_sshd_prints_the_same(folder, source):
    sshd = openssh_server()
    path, text = prepare(folder, source)
    for specification in [None] + marked(text, '-C'):
        arguments = ['-T', '-f', path, '-h', folder + '/host_key']
        if specification is None and 'Match' in text and marked(text, '-C'):
            continue
        if specification is not None:
            arguments += ['-C', specification]
        theirs = run(sshd, *arguments)
        ours = run(nacre('sshd'), *arguments)
        assert theirs.returncode == 0, theirs.stderr
        assert ours.returncode == 0, ours.stderr
        assert_same(ours.stdout, theirs.stdout, text)


def mistakes(kind):
    with open(os.path.join(CORPUS, kind, 'lines')) as file:
        return [line.rstrip('\n') for line in file]


def complaint(folder, result):
    """The line that names the place, without what differs: the program and its line end."""
    found = [line.strip() for line in result.stderr.decode().splitlines()
             if 'line ' in line and ': terminating' not in line]
    return found[-1].rstrip('.') if found else result.stderr.decode()


@pytest.mark.parametrize('mistake', mistakes('ssh-bad'))
def test_ssh_complains_the_same(folder, mistake):
    path = os.path.join(folder, 'bad.conf')
    with open(path, 'w') as file:
        file.write(mistake.replace('|', '\n') + '\n')
    theirs = run(openssh('ssh'), '-G', '-F', path, 'h')
    ours = run(nacre('ssh'), '-G', '-F', path, 'h')
    assert (ours.returncode, complaint(folder, ours)) == \
        (theirs.returncode, complaint(folder, theirs))


@pytest.mark.parametrize('mistake', mistakes('sshd-bad'))
def test_sshd_complains_the_same(folder, mistake):
    sshd = openssh_server()
    path = os.path.join(folder, 'bad.conf')
    with open(path, 'w') as file:
        file.write(mistake.replace('|', '\n') + '\n')
    theirs = run(sshd, '-t', '-f', path, '-h', folder + '/host_key')
    ours = run(nacre('sshd'), '-t', '-f', path, '-h', folder + '/host_key')
    assert (ours.returncode != 0) == (theirs.returncode != 0)
    assert complaint(folder, ours) == complaint(folder, theirs)


def test_a_hundred_mistakes_are_all_named(folder):
    path = os.path.join(folder, 'bad.conf')
    with open(path, 'w') as file:
        file.write('Bogus yes\n' * 100)
    ours = run(nacre('ssh'), '-G', '-F', path, 'h')
    assert ours.returncode == 255
    assert ours.stderr.count(b'Bad configuration option: bogus') == 100
    assert b'terminating, 100 bad configuration options' in ours.stderr
