"""A server whose files about keys a test rewrites between logins, and the keys and certificates to
log in with. The tests run against our sshd and against OpenSSH's, so that what they expect, log lines
included, is what administrators know."""
import os
import re
import shutil
import tempfile
import time

from conftest import PATIENCE, PORTS, Client, make_key, nacre, public_line, run

SERVERS = {'nacre': nacre('sshd'), 'openssh': '/usr/sbin/sshd'}


class KeyServer:
    """Two ports: the second has another configuration (Match LocalPort)."""

    def __init__(self, servers, program, global_lines='', second='', options=()):
        self.folder = tempfile.mkdtemp(prefix='keys-', dir=servers.place)
        os.chmod(self.folder, 0o755)
        self.user, self.account = servers.account.name, servers.account
        self.second_port = PORTS.take()
        for name in ('authorized', 'authorities', 'revoked', 'principals'):
            self.write(name, '')
        more = f'''Port {self.second_port}
TrustedUserCAKeys {self.path('authorities')}
RevokedKeys {self.path('revoked')}
{global_lines.replace('FOLDER', self.folder)}
Match LocalPort {self.second_port}
{second.replace('FOLDER', self.folder)}
'''
        self.server = servers.sshd(program, more, key_types=['ed25519'], options=[
            *(word for option in options for word in ('-o', option.replace('FOLDER', self.folder))),
            '-o', 'LogLevel=VERBOSE', '-o', f'AuthorizedKeysFile={self.path("authorized")}'])
        with open(self.server.known_hosts, 'r+') as file:
            file.write(file.read().replace(str(self.server.port), str(self.second_port)))
        self.logged = 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content, mode=0o644):
        data = content if isinstance(content, bytes) else content.encode()
        with open(self.path(name), 'wb') as file:
            file.write(data)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def key(self, name, *arguments):
        path = self.path(name)
        if not os.path.exists(path):
            make_key(path, list(arguments) or ['-t', 'ed25519'])
        return path

    def certificate(self, name, *options, authority='authority', principals='USER', key_id='someone'):
        """A key with a certificate beside it."""
        path = self.key(name)
        names = ['-n', principals.replace('USER', self.user)] if principals else []
        run(['ssh-keygen', '-q', '-s', self.key(authority), '-I', key_id, *names, *options, path + '.pub'],
            check=True)
        return path

    def public(self, name):
        return public_line(self.key(name))

    def forget(self):
        """What was logged so far does not count, and the files are empty."""
        self.logged = len(self.server.log())
        for name in ('authorized', 'authorities', 'revoked', 'principals'):
            self.write(name, '')

    def log(self):
        return self.server.log()[self.logged:]

    def login(self, key, *options, second=False, command='echo in'):
        """The output of a command, or None when the key was refused."""
        client = Client('/usr/bin/ssh', key)
        words = [*client.options(self.server), *options, '-p',
                 str(self.second_port if second else self.server.port), f'{self.user}@127.0.0.1', command]
        result = run(['/usr/bin/ssh', *words])
        if result.returncode == 255 and b'Permission denied' in result.stderr:
            return None
        return result.stdout.decode().strip()

    def see(self, pattern):
        """The log has a line that fits: USER and FOLDER stand for ours, HASH for a fingerprint."""
        pattern = pattern.replace('USER', self.user).replace('FOLDER', re.escape(self.folder))
        pattern = re.compile('^' + pattern.replace('HASH', 'SHA256:[A-Za-z0-9+/]{43}') + '\r?$', re.M)
        end = time.monotonic() + PATIENCE
        while not pattern.search(self.log()):
            assert time.monotonic() < end, f'not logged: {pattern.pattern}\n{self.log()}'
            time.sleep(0.02)

    def close(self):
        self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
