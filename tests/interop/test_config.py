"""ssh -G and sshd -T print what OpenSSH prints for the same configuration, line for line wherever
both know the keyword; and complain in the same words at the same line.

config_corpus/ holds the configurations: ssh/ and sshd/ whole files (with the destinations or the -C
specifications to try in comments, and "refused:" a line that Nacre must refuse, naming it, before
the rest is compared), *-bad/lines one mistake a line ('|' starts a new line of the file). @DIR@
stands for a folder with the files that Include names.
"""
import fnmatch
import glob
import os
import shutil
import subprocess

import pytest

from conftest import nacre, openssh, openssh_server

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'config_corpus')
ALGORITHMS = {'ciphers', 'macs', 'kexalgorithms', 'hostkeyalgorithms', 'casignaturealgorithms',
              'pubkeyacceptedalgorithms', 'hostbasedacceptedalgorithms'}
# Their defaults differ from version to version of OpenSSH: compared where a file sets them.
VARYING = ALGORITHMS | {'ipqos', 'persourcepenalties'}
NOT_OURS = ('gssapi', 'kerberos')
OLD_IDENTITIES = ('~/.ssh/id_xmss', '~/.ssh/id_dsa')


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)


NEWER = b'mlkem' in run(openssh('ssh'), '-Q', 'kex').stdout


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = str(tmp_path_factory.mktemp('config'))
    shutil.copytree(os.path.join(CORPUS, 'files'), path, dirs_exist_ok=True)
    for included in glob.glob(path + '/**', recursive=True):
        if os.path.isfile(included):
            place(included, path)
    for name in 'host_key', 'other_host_key':
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', f'{path}/{name}'],
                       check=True)
    return path


def place(path, folder):
    """The file with its folder's name in it; returns the text."""
    with open(path, 'rb') as file:
        text = file.read().replace(b'@DIR@', folder.encode())
    with open(path, 'wb') as file:
        file.write(text)
    return text.decode()


def prepare(folder, source):
    path = shutil.copy(source, folder)
    return path, place(path, folder)


def lines_of(folder, path):
    """(file, number, line) of the file and of all that it includes."""
    with open(path, newline='') as file:
        for number, line in enumerate(file, 1):
            words = line.split()
            if words and words[0].lower() == 'include':
                for pattern in words[1:]:
                    for included in sorted(glob.glob(pattern)):
                        yield from lines_of(folder, included)
            else:
                yield path, number, line.strip()


def marked(text, mark):
    return [line.split(mark, 1)[1].strip() for line in text.splitlines()
            if line.startswith('# ' + mark)]


def settings(folder, path):
    """What is set of that whose default varies, by keyword."""
    found = {}
    for _, _, line in lines_of(folder, path):
        keyword, _, value = line.partition(' ')
        if keyword.lower() in VARYING:
            found.setdefault(keyword.lower(), value)
    return found


def printed(output, keyword):
    line, = [line for line in output.decode().splitlines() if line.startswith(keyword + ' ')]
    return line.split(' ', 1)[1].split(',')


def changed(default, value):
    """A default list after a value that begins with +, - or ^."""
    names = value[1:].split(',')
    if value[0] == '+':
        return default + [name for name in names if name not in default]
    if value[0] == '^':
        return names + [name for name in default if name not in names]
    return [name for name in default
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in names)]


IPQOS_DEFAULTS = ('lowdelay throughput', 'ef cs0')


def comparable(output, text):
    """(keyword, line) pairs that do not depend on the version of OpenSSH."""
    pairs = []
    for line in output.decode().splitlines():
        keyword, _, value = line.partition(' ')
        keyword = keyword.lower()
        if keyword.startswith(NOT_OURS) or (keyword in VARYING and keyword not in text.lower()):
            continue
        if keyword == 'identityfile' and value in OLD_IDENTITIES:
            continue
        # Defaults differ, and newer ones take "lowdelay" and "throughput" for "none".
        if keyword == 'ipqos' and (NEWER or value in IPQOS_DEFAULTS):
            continue
        if value == 'UNKNOWN':  # OpenSSH 10.0 has no word for what -C asks for
            continue
        pairs.append((keyword, line))
    return pairs


def assert_same(ours, theirs, text):
    ours, theirs = comparable(ours, text), comparable(theirs, text)
    common = {keyword for keyword, _ in ours} & {keyword for keyword, _ in theirs}
    # What only one prints is a keyword that the other does not know, or a list without a value.
    assert len(common) > 40
    single = {keyword for keyword, _ in theirs} - common
    assert single <= {'sshdsessionpath', 'sshdauthpath', 'debianbanner'}, 'printed by OpenSSH only'
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


def refuse(folder, path, line):
    """What is refused is so with its place, and taken out then."""
    at, number, _ = next(found for found in lines_of(folder, path) if found[2] == line)
    result = run(nacre('sshd'), '-t', '-f', path, '-h', folder + '/host_key')
    assert result.returncode == 255
    assert f'{at} line {number}: {line} is not supported' in result.stderr.decode()
    with open(at) as file:
        text = file.read()
    with open(at, 'w') as file:
        file.write(text.replace('\n' + line, '\n#'))


def sshd_in_force(folder, path, specification=None):
    """What both print for a file: (theirs, ours)."""
    arguments = ['-T', '-f', path, '-h', folder + '/host_key']
    if specification is not None:
        arguments += ['-C', specification]
    theirs, ours = run(openssh_server(), *arguments), run(nacre('sshd'), *arguments)
    assert theirs.returncode == 0, theirs.stderr
    assert ours.returncode == 0, ours.stderr
    return theirs.stdout, ours.stdout


@pytest.mark.parametrize('source', corpus('sshd'), ids=names(corpus('sshd')))
def test_sshd_prints_the_same(folder, source):
    path, text = prepare(folder, source)
    for line in marked(text, 'refused:'):
        refuse(folder, path, line)
    lists = {keyword: value for keyword, value in settings(folder, path).items()
             if value[0] not in '+-^'}
    for specification in [None] + marked(text, '-C'):
        if specification is None and 'LocalPort' in text:
            continue  # OpenSSH prints it for a known port only
        theirs, ours = sshd_in_force(folder, path, specification)
        assert_same(ours, theirs, ' '.join(lists))


def test_sshd_changes_lists_of_algorithms_alike(folder):
    path, _ = prepare(folder, os.path.join(CORPUS, 'sshd', 'lists.conf'))
    empty = os.path.join(folder, 'empty.conf')
    with open(empty, 'w'):
        pass
    values = settings(folder, path)
    assert set(values) == ALGORITHMS
    for default, output in zip(sshd_in_force(folder, empty), sshd_in_force(folder, path)):
        for keyword, value in values.items():
            assert printed(output, keyword) == changed(printed(default, keyword), value), keyword


def test_sshd_port_of_the_command_line_counts_alone(folder):
    path = os.path.join(folder, 'ports.conf')
    with open(path, 'w') as file:
        file.write('Port 1\nPort 2\nListenAddress 127.0.0.1\nListenAddress ::1\nPort 3\n')
    for options in [], ['-p', '9'], ['-p', '9', '-p', '10'], ['-o', 'Port=9'], ['-4', '-p', '9']:
        arguments = ['-T', '-f', path, '-h', folder + '/host_key', *options]
        theirs, ours = run(openssh_server(), *arguments), run(nacre('sshd'), *arguments)
        assert ours.returncode == theirs.returncode
        assert_same(ours.stdout, theirs.stdout, '') if theirs.returncode == 0 else None


@pytest.mark.parametrize('specification', [
    '', ',', 'user=joe,', 'user=joe', 'user=', 'user=joe,user=ann', 'host=h', 'addr=1.2.3.4', 'laddr=1.2.3.4',
    'lport=22', 'lport=0', 'lport=x', 'lport=70000', 'user', 'USER=joe', 'user=joe, host=h', 'foo=bar'])
def test_sshd_takes_the_same_specifications(folder, specification):
    path = os.path.join(folder, 'blocks.conf')
    with open(path, 'w') as file:
        for number, criterion in enumerate(('User joe', 'Group root', 'Host h', 'Address 1.2.3.4',
                                            'LocalAddress 1.2.3.4', 'all'), 1):
            file.write(f'Match {criterion}\nMaxSessions {number}\nSetEnv A={number}\n')
    arguments = ['-T', '-f', path, '-h', folder + '/host_key', '-C', specification]
    theirs, ours = run(openssh_server(), *arguments), run(nacre('sshd'), *arguments)
    assert (ours.returncode, ours.stderr.strip()) == (theirs.returncode, theirs.stderr.strip())
    if theirs.returncode == 0:
        assert_same(ours.stdout, theirs.stdout, '')


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
    assert (ours.returncode, complaint(folder, ours)) == \
        (theirs.returncode, complaint(folder, theirs))


def test_a_hundred_mistakes_are_all_named(folder):
    path = os.path.join(folder, 'bad.conf')
    with open(path, 'w') as file:
        file.write('Bogus yes\n' * 100)
    ours = run(nacre('ssh'), '-G', '-F', path, 'h')
    assert ours.returncode == 255
    assert ours.stderr.count(b'Bad configuration option: bogus') == 100
    assert b'terminating, 100 bad configuration options' in ours.stderr
