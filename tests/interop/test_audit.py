"""The kernel's audit trail: what the server writes there of logins, seen in the system calls that it
makes, beside OpenSSH's server."""
import os
import re
import subprocess

import pytest

from conftest import IS_ROOT, SANITIZED, nacre, need, openssh_server, run, until

pytestmark = [pytest.mark.skipif(not IS_ROOT, reason='only root writes to the audit trail'),
              pytest.mark.skipif(SANITIZED, reason='sanitized programs cannot be traced')]
USER_LOGIN = 1112
RECORD = re.compile(r'nlmsg_type=0x([0-9a-f]+)[^"]*"((?:\\x[0-9a-f]{2})+)"')


@pytest.fixture(params=['nacre', 'openssh'])
def traced(request, servers, workspace):
    """An sshd, and the path of a list of what it tells the kernel."""
    need('strace')
    program = nacre('sshd') if request.param == 'nacre' else openssh_server()
    if request.param == 'openssh' and b'libaudit' not in run(['ldd', program]).stdout:
        pytest.skip('this OpenSSH has no audit records')
    trace, wrapper = os.path.join(workspace, 'trace'), os.path.join(workspace, 'sshd')
    with open(wrapper, 'w') as file:
        file.write(f'#!/bin/sh\nexec strace -f -qq -s 1000 -xx -e trace=sendto -o {trace} {program} "$@"\n')
    os.chmod(wrapper, 0o755)
    if run(['strace', '-f', '-qq', '-o', '/dev/null', 'true']).returncode != 0:
        pytest.skip('nothing can be traced here')
    server = servers.sshd(wrapper)
    yield server, trace
    server.stop()


def records(trace):
    """What the records of logins say: dictionaries."""
    found = []
    with open(trace, errors='replace') as file:
        for line in file:
            match = RECORD.search(line)
            if match and int(match.group(1), 16) == USER_LOGIN:
                text = bytes.fromhex(match.group(2).replace('\\x', '')).rstrip(b'\0').decode()
                found.append(dict(word.split('=', 1) for word in text.split(' ')))
    return found


def wait_for(trace, **wanted):
    """A record with these values."""
    return until(lambda: next((record for record in records(trace) if wanted.items() <= record.items()),
                              None), lambda: f'{wanted} in {records(trace)}')


def test_records_of_logins(traced, openssh_ssh, host_keys, account):
    server, trace = traced
    result = openssh_ssh.run(server, 'tty', '-tt', stdin=subprocess.DEVNULL, check=True)
    record = wait_for(trace, res='success')
    assert record.pop('exe').endswith('sshd"')
    assert record == {
        'op': 'login', 'id': str(account.uid), 'hostname': '127.0.0.1', 'addr': '127.0.0.1',
        'terminal': result.stdout.decode().strip(), 'res': 'success'}
    openssh_ssh.run(server, 'true', check=True)
    assert len(records(trace)) == 1, 'a login without a terminal is for PAM to record'
    # A name that nobody has is not written down.
    nobody = b'(invalid user)'.hex().upper()
    for user, name in ((account.name, f'"{account.name}"'), ('nosuchuser', nobody)):
        run([*openssh_ssh.command(server, '-l', user, key=host_keys['rsa']), 'true'])
        record = wait_for(trace, acct=name)
        assert record.pop('exe').endswith('sshd"')
        assert record == {'op': 'login', 'acct': name, 'hostname': '?', 'addr': '127.0.0.1',
                          'terminal': 'sshd', 'res': 'failed'}
