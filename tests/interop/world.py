"""A world of its own for names: a network namespace with addresses, /etc/hosts, a DNS server that
answers from a zone, and a folder in the place of /etc/ssh."""
import json
import os
import subprocess

import pytest

from conftest import IS_ROOT, run, until

HERE = os.path.dirname(os.path.abspath(__file__))
ADDRESS = '10.77.0.1'
ENTER = f'''ip link set lo up && ip addr add {ADDRESS}/32 dev lo || exit 77
mount --bind "$0/hosts" /etc/hosts && mount --bind "$0/resolv.conf" /etc/resolv.conf || exit 77
mount --bind "$0/etc-ssh" /etc/ssh || exit 77
exec /usr/bin/python3 {HERE}/dns_server.py "$0/zone" "$0/ready"'''


class World:
    def __init__(self, folder):
        if not IS_ROOT or run(['unshare', '--net', '--mount', 'true']).returncode != 0:
            pytest.skip('needs namespaces for the network and for mounts')
        self.folder = folder
        os.makedirs(self.path('etc-ssh'))
        self.write('hosts', f'127.0.0.1 localhost\n{ADDRESS} named.example named\n')
        self.write('resolv.conf', 'nameserver 127.0.0.1\noptions trust-ad timeout:1 attempts:1\n')
        self.zone({})
        self.process = subprocess.Popen(['unshare', '--net', '--mount', 'sh', '-c', ENTER, folder],
                                        stdin=subprocess.DEVNULL)
        until(lambda: os.path.exists(self.path('ready')) or self.process.poll() is not None,
              'the DNS server')
        if self.process.poll() == 77:
            pytest.skip('no addresses or mounts in a namespace here')

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), 'w') as file:
            file.write(text)
        return self.path(name)

    def zone(self, records, secure=False):
        """Replaced, not written to: the server may be reading."""
        self.write('zone.new', json.dumps({'records': records, 'secure': secure}))
        os.rename(self.path('zone.new'), self.path('zone'))

    def inside(self, command):
        return ['nsenter', '-t', str(self.process.pid), '--net', '--mount', *command]

    def run(self, command, **options):
        return run(self.inside(command), **options)

    def stop(self):
        self.process.kill()
        self.process.wait()
