#!/usr/bin/python3
"""Runs OpenSSH's own regression tests, as Debian's package openssh-tests installs them, against
Nacre's programs, and says by name what passed, failed and was skipped.

    openssh_tests.py [--programs server|client|all] [--jobs N] [--list] [TEST ...]

--programs says which programs are Nacre's, where Nacre has them: sshd and sftp-server (server, which
is the default), those that a user starts (client), or all; the others are OpenSSH's. Each test works
in a copy of the suite, in a network of its own; there are no security keys when ssh-keygen makes
none. openssh_tests.expected names what cannot pass, with the reason: such a failure is no failure
here, but such a test that passes is one (the list is old).
The status is 0 when everything went as expected, 77 when the package is not there.
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SUITE = '/usr/lib/openssh/regress'
HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get('NACRE_BUILD', os.path.join(HERE, '..', '..', 'build')))
SERVERS = ('sshd', 'sftp-server')
CLIENTS = ('ssh', 'ssh-agent', 'ssh-add', 'ssh-keygen', 'ssh-keyscan', 'scp', 'sftp')
PROGRAMS = SERVERS + CLIENTS
OURS = {'server': SERVERS, 'client': CLIENTS, 'all': PROGRAMS}
OPENSSH_PLACES = ('/usr/sbin', '/usr/bin', '/usr/lib/openssh')
# Seconds that a test may take; the longest transfer much data with every algorithm.
PATIENCE = 1200
# In the list of expectations: the test is run without keys of that kind, and has to pass then.
WITHOUT_SECURITY_KEYS = 'without security keys'
PASSED, FAILED, SKIPPED = 'passed', 'failed', 'skipped'

# The suite goes through all algorithms that ssh -Q names: those that both have. (Only OpenSSH has DSA,
# and MACs with MD5 or of 96 bits.)
SSH_WITH_COMMON_ALGORITHMS = '''#!/bin/sh
case " $* " in
*" -Q "*) {ssh} "$@" | grep -Fx "$({other} "$@" 2>/dev/null)" ;;
*) exec {ssh} "$@" ;;
esac
'''
# The tests run as root already; some only want to be told that they may become it.
SUDO = '''#!/bin/sh
user=
while :; do
    case "$1" in
    -n|-S) shift ;;
    -u) user=$2; shift 2 ;;
    *) break ;;
    esac
done
[ -z "$user" ] && exec "$@"
exec setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups "$@"
'''


def openssh(program):
    return next((path for path in (os.path.join(place, program) for place in OPENSSH_PLACES)
                 if os.path.exists(path)), None)


def nacre(program):
    return os.path.join(BUILD, 'bin', program)


def program_path(program, programs):
    ours = program in OURS[programs] and os.path.exists(nacre(program))
    return nacre(program) if ours else openssh(program)


def variable(program):
    return 'TEST_SSH_' + program.upper().replace('-', '')


def write_program(path, text):
    with open(path, 'w') as file:
        file.write(text)
    os.chmod(path, 0o755)
    return path


def all_tests():
    """The names that the suite's Makefile runs."""
    with open(os.path.join(SUITE, 'Makefile')) as file:
        text = file.read().replace('\\\n', ' ')
    scripts = re.search(r'^LTESTS=(.*)$', text, re.M).group(1).split()
    files = re.search(r'^REGRESS_TARGETS=(.*)$', text, re.M).group(1).split()
    return files + scripts


def expectations(programs):
    """{name: (pattern, reason)} of the tests that fail with these programs: each of a test's
    complaints fits the pattern."""
    found = {}
    with open(os.path.join(HERE, 'openssh_tests.expected')) as file:
        for line in file:
            if line.strip() and not line.startswith('#'):
                who, name, pattern, reason = (part.strip() for part in line.split(' | '))
                if programs in who.split():
                    found[name] = pattern, reason
    return found


def forget_security_keys(folder):
    """Makes the suite think that it was built without them."""
    path = os.path.join(folder, 'config.h')
    with open(path) as file:
        text = file.read()
    with open(path, 'w') as file:
        file.write(re.sub(r'^#define ENABLE_SK.*\n', '', text, flags=re.M))


def makes_security_keys(programs, folder):
    """Whether ssh-keygen does, with the suite's stand-in for a token."""
    key = os.path.join(folder, 'security-key')
    token = os.path.join(SUITE, 'misc', 'sk-dummy', 'sk-dummy.so')
    return subprocess.run([program_path('ssh-keygen', programs), '-q', '-t', 'ed25519-sk', '-N', '',
                           '-w', token, '-f', key], stdin=subprocess.DEVNULL, capture_output=True,
                          check=False).returncode == 0


def environment(folder, bin_folder, programs):
    variables = {variable(program): program_path(program, programs) for program in PROGRAMS}
    if programs != 'all':
        ssh, other = openssh('ssh'), nacre('ssh')
        if programs == 'client':
            ssh, other = other, ssh
        variables[variable('ssh')] = write_program(
            os.path.join(bin_folder, 'ssh'), SSH_WITH_COMMON_ALGORITHMS.format(ssh=ssh, other=other))
    sudo = write_program(os.path.join(bin_folder, 'sudo'), SUDO)
    helpers = '/usr/lib/openssh' if programs == 'server' else os.path.join(BUILD, 'bin')
    path = ':'.join((bin_folder, '/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin',
                     '/sbin', '/bin'))
    return {
        **variables, 'PATH': path, 'HOME': os.environ.get('HOME', '/root'), 'USER': 'root',
        'LOGNAME': 'root', 'SHELL': '/bin/sh', 'LANG': 'C', 'OBJ': folder, 'BUILDDIR': folder,
        'SUDO': sudo, 'TEST_SHELL': 'sh',
        'TEST_SSH_IPV6': 'yes', 'TEST_SSH_ECC': 'yes', 'TEST_SSH_UNSAFE_PERMISSIONS': '1',
        # They connect more often than a server of today likes; that of 9.2 does not count yet.
        'TEST_SSH_SSHD_CONFOPTS': '' if programs == 'client' else 'PerSourcePenalties no',
        'TEST_SSH_SK_HELPER': f'{helpers}/ssh-sk-helper',
        'TEST_SSH_PKCS11_HELPER': f'{helpers}/ssh-pkcs11-helper',
    }


def command(name, folder):
    if re.fullmatch(r't\d+', name):
        return ['make', '-s', '-C', folder, f'.OBJDIR={folder}', f'.CURDIR={folder}',
                f'OBJ={folder}', name]
    return ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec sh "$@"', 'sh',
            os.path.join(folder, 'test-exec.sh'), folder, os.path.join(folder, name + '.sh')]


def complaints(folder, text):
    """What the test itself calls failures; all that it has said if there is none."""
    try:
        with open(os.path.join(folder, 'failed-regress.log'), errors='replace') as file:
            found = re.findall(r'^(?:FAIL|FATAL): (.*)', file.read(), re.M)
    except OSError:
        found = []
    return found or [text]


def stop_server(folder):
    """A test that was cut off leaves its server."""
    try:
        with open(os.path.join(folder, 'pidfile')) as file:
            os.kill(int(file.read()), signal.SIGTERM)
    except (OSError, ValueError):
        pass


def run(name, place, number, programs, security_keys, expected, keep):
    """(result, seconds, output, complaints) of one test."""
    # The tests cut lines with certain words out of their configurations: no word is in a path.
    folder = os.path.join(place, str(number))
    bin_folder = folder + '.bin'
    shutil.copytree(SUITE, folder, symlinks=True)
    if not security_keys or expected.get(name, ('', ''))[0] == WITHOUT_SECURITY_KEYS:
        forget_security_keys(folder)
    os.mkdir(bin_folder)
    begin = time.monotonic()
    with open(os.path.join(place, name + '.out'), 'w+', errors='replace') as output:
        process = subprocess.Popen(command(name, folder),
                                   env=environment(folder, bin_folder, programs), cwd=folder,
                                   stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            status = None
            print(f'cut off after {PATIENCE} seconds', file=output)
        stop_server(folder)
        output.seek(0)
        text = output.read()
    failures = complaints(folder, text)
    result = FAILED if status != 0 else SKIPPED if 'SKIPPED' in text else PASSED
    if result != FAILED or not keep:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(bin_folder, ignore_errors=True)
    else:
        os.symlink(folder, os.path.join(place, name))
    return result, time.monotonic() - begin, text, failures


def report(name, outcome, expected, quiet):
    """Prints a line, and what a failure said; True when it is as expected."""
    result, seconds, text, failures = outcome
    pattern, reason = expected.get(name, (None, None))
    if pattern == WITHOUT_SECURITY_KEYS:
        name, pattern = f'{name} ({pattern}: {reason})', None
    as_expected = result == SKIPPED or (result == FAILED) == (pattern is not None)
    note = ''
    if pattern is not None and result == PASSED:
        note = ' (although it is in the list of those that cannot)'
    elif pattern is not None and result == FAILED:
        others = [failure for failure in failures if not re.search(pattern, failure)]
        as_expected = not others
        note = f' (expected: {reason})' if as_expected else f' (but not only what was expected: {others})'
    print(f'{result:8} {name} {seconds:.0f}s{note}', flush=True)
    if result == SKIPPED or (result == FAILED and not as_expected and not quiet):
        for line in text.splitlines()[-12:]:
            print('         | ' + line[:160])
    return as_expected


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--programs', choices=tuple(OURS), default='server',
                        help="those that are Nacre's")
    parser.add_argument('--jobs', type=int, default=os.cpu_count())
    parser.add_argument('--list', action='store_true', help='only names the tests')
    parser.add_argument('--keep', metavar='FOLDER', help='leaves the folders of failed tests there')
    parser.add_argument('--quiet', action='store_true', help='without what failed tests say')
    parser.add_argument('test', nargs='*')
    arguments = parser.parse_args()
    if not os.path.exists(SUITE):
        print('skipped: the package openssh-tests is not installed')
        return 77
    if os.geteuid() != 0:
        print('skipped: the tests log in as root and as others, so only root can run them')
        return 77
    names = arguments.test or all_tests()
    if arguments.list:
        print('\n'.join(names))
        return 0
    os.makedirs('/run/sshd', mode=0o755, exist_ok=True)
    expected = expectations(arguments.programs)
    counts = {PASSED: 0, FAILED: 0, SKIPPED: 0}
    good = True
    with tempfile.TemporaryDirectory(prefix='openssh-tests.') as place:
        os.chmod(place, 0o755)
        place = arguments.keep or place
        os.makedirs(place, exist_ok=True)
        # A program that a test copies to its folder looks for the library beside it.
        os.symlink(os.path.join(BUILD, 'lib'), os.path.join(place, 'lib'))
        security_keys = makes_security_keys(arguments.programs, place)
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            running = {pool.submit(run, name, place, number, arguments.programs, security_keys,
                                   expected, arguments.keep): name
                       for number, name in enumerate(names)}
            for done in concurrent.futures.as_completed(running):
                counts[done.result()[0]] += 1
                good &= report(running[done], done.result(), expected, arguments.quiet)
    print('{passed} passed, {failed} failed, {skipped} skipped'.format(**counts))
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
