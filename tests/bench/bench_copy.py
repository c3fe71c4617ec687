"""Copying by scp: the rows of bench.py that are about files and trees. Files lie on tmpfs."""
import os
import shutil
import statistics
import threading

SHM = '/dev/shm' if os.path.isdir('/dev/shm') else None
CIPHER = ('-c', 'aes128-gcm@openssh.com')


class Place:
    """A directory on tmpfs for what is copied, removed at the end."""

    def __init__(self, bench):
        self.path = os.path.join(SHM or bench.directory, f'nacre-bench-{os.getpid()}')
        os.mkdir(self.path)
        os.chmod(self.path, 0o777)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)

    def tree(self, folders, files, size):
        """A tree of so many folders with so many files each."""
        root, content = os.path.join(self.path, 'tree'), os.urandom(size)
        for folder in range(folders):
            os.makedirs(f'{root}/folder{folder}')
            for number in range(files):
                with open(f'{root}/folder{folder}/file{number}', 'wb') as out:
                    out.write(content)
        return root

    def file(self, mebibytes):
        path, block = os.path.join(self.path, 'file'), os.urandom(1 << 20)
        with open(path, 'wb') as out:
            for _ in range(mebibytes):
                out.write(block)
        return path


def scp_command(bench, suite, server, way, path, target, *extra):
    """The command that copies "path" to "target", either of which is at the server."""
    words = bench.command(suite, server, '')[:-2]
    words[0] = os.path.join(os.path.dirname(suite.ssh), 'scp')
    words[words.index('-p')] = '-P'
    far = f'{bench.user}@{server.address}:'
    operands = (path, far + target) if way == 'up' else (far + path, target)
    return [*words, '-q', '-r', *extra, *operands]


def copy_once(bench, suite, server, way, path, namespace=None, extra=()):
    """Seconds, to a target that is not there before. The account owns what arrives by an upload."""
    target = os.path.join(os.path.dirname(path), 'copy')
    wall, _ = bench.timed(scp_command(bench, suite, server, way, path, target, *extra), namespace)
    if os.path.isdir(path) != os.path.isdir(target) or \
            len(os.listdir(path) if os.path.isdir(path) else ()) != \
            len(os.listdir(target) if os.path.isdir(target) else ()):
        raise SystemExit(f'bench: {target} is not what was to be copied')
    shutil.rmtree(target) if os.path.isdir(target) else os.unlink(target)
    return wall


def two_servers(bench, namespace=None, address='127.0.0.1'):
    return {suite.name: bench.server(suite, namespace, address)
            for suite in (bench.openssh, bench.nacre)}


def small_distance(bench):
    """200 files of 2 KiB in 20 directories over 50 ms, login included."""
    if not bench.needs_root('scp over 50 ms'):
        return
    link = bench.link()
    try:
        servers = two_servers(bench, link.server, link.address)
        with Place(bench) as place:
            tree = place.tree(20, 10, 2048)
            for way in ('up', 'down'):
                theirs = copy_once(bench, bench.openssh, servers['openssh'], way, tree, link.client)
                for name, server in servers.items():
                    ours = statistics.median(
                        copy_once(bench, bench.nacre, server, way, tree, link.client)
                        for _ in range(5))
                    bench.row(f'scp -r, 200 files, 50 ms, {way}, {name}\'s server', f'{theirs:.2f} s',
                              f'{ours:.2f} s', f'{ours / theirs:.3f}', '<= 0.7 s', ours <= 0.7)
        for server in servers.values():
            server.stop()
    finally:
        link.stop()


def small(bench):
    """2,000 files of 2 KiB on the loopback."""
    servers = two_servers(bench)
    with Place(bench) as place:
        tree, count = place.tree(20, 100, 2048), 2000
        for way in ('up', 'down'):
            rates = {'openssh': [], 'nacre': []}
            for _ in range(5):
                for suite in (bench.openssh, bench.nacre):
                    rates[suite.name].append(
                        count / copy_once(bench, suite, servers[suite.name], way, tree))
            openssh, nacre = (statistics.median(rates[name]) for name in ('openssh', 'nacre'))
            bench.row(f'scp -r, 2,000 files, loopback, {way}', f'{openssh:.0f}/s', f'{nacre:.0f}/s',
                      f'{nacre / openssh:.2f}', '>= 7000/s', nacre >= 7000)
    for server in servers.values():
        server.stop()


def large(bench):
    """One large file on the loopback."""
    servers, size = two_servers(bench), bench.options.size
    with Place(bench) as place:
        path = place.file(size)
        for way in ('up', 'down'):
            rates = {'openssh': [], 'nacre': []}
            for _ in range(5):
                for suite in (bench.openssh, bench.nacre):
                    rates[suite.name].append((size << 20) / copy_once(
                        bench, suite, servers[suite.name], way, path, extra=CIPHER))
            openssh, nacre = (statistics.median(rates[name]) for name in ('openssh', 'nacre'))
            bench.row(f'scp, {size} MiB, loopback, aes128-gcm, {way}', f'{openssh / 1e6:.0f} MB/s',
                      f'{nacre / 1e6:.0f} MB/s', f'{nacre / openssh:.2f}', '>= 1.8',
                      nacre / openssh >= 1.8)
    for server in servers.values():
        server.stop()


def large_distance(bench):
    """256 MiB over 50 ms."""
    if not bench.needs_root('scp of a large file over 50 ms'):
        return
    link = bench.link()
    try:
        servers = two_servers(bench, link.server, link.address)
        with Place(bench) as place:
            path = place.file(256)
            for way in ('up', 'down'):
                rate = {suite.name: (256 << 20) / statistics.median(
                    copy_once(bench, suite, servers[suite.name], way, path, link.client)
                    for _ in range(1 if suite is bench.openssh else 3)) / 1e6
                    for suite in (bench.openssh, bench.nacre)}
                bench.row(f'scp, 256 MiB, 50 ms, {way}', f'{rate["openssh"]:.0f} MB/s',
                          f'{rate["nacre"]:.0f} MB/s', f'{rate["nacre"] / rate["openssh"]:.2f}',
                          '>= 90 MB/s', rate['nacre'] >= 90)
        for server in servers.values():
            server.stop()
    finally:
        link.stop()


def peak(pid):
    """MiB that a process has held at most, 0 when it has ended."""
    try:
        with open(f'/proc/{pid}/status') as status:
            for line in status:
                if line.startswith('VmHWM'):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0


class Watch:
    """The peaks of the processes that a function names, looked at all the while."""

    def __init__(self, pids):
        self.pids, self.peak, self.through = pids, 0, threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.through.wait(0.1):
            self.peak = max([self.peak, *(peak(pid) for pid in self.pids())])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.through.set()
        self.thread.join()


def children():
    with open(f'/proc/self/task/{os.getpid()}/children') as found:
        return [int(pid) for pid in found.read().split()]


def many(bench):
    """100,000 files of 100 bytes: rate, and memory of each side."""
    server, count = bench.server(bench.nacre), 100000
    known = set(bench.sshd_below(server.process.pid))
    with Place(bench) as place:
        tree = place.tree(100, count // 100, 100)
        for way in ('up', 'down'):
            bystanders = set(children())
            with Watch(lambda: set(bench.sshd_below(server.process.pid)) - known) as there, \
                    Watch(lambda: set(children()) - bystanders) as here:
                rate = count / copy_once(bench, bench.nacre, server, way, tree)
            bench.row(f'scp -r, 100,000 files of 100 bytes, loopback, {way}', '', f'{rate:.0f}/s', '',
                      '>= 7000/s', rate >= 7000)
            for side, watch in (('client', here), ('server', there)):
                bench.row(f'    memory of the {side}, {way}', '', f'{watch.peak:.1f} MiB', '',
                          '<= 64 MiB', 0 < watch.peak <= 64)
    server.stop()


MEASURES = {'copy-small-distance': small_distance, 'copy-small': small, 'copy-large': large,
            'copy-large-distance': large_distance, 'copy-many': many}
