/*
 * The sandbox of the process that talks to strangers. The system-call filter is written out as a
 * BPF program: an allow list is 30 lines, and a library for it would be loaded on every connection.
 */
#include <nacre/sandbox.h>

#include <nacre/account.h>

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define FILTER_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define FILTER_ARCHITECTURE AUDIT_ARCH_RISCV64
#endif

#ifdef FILTER_ARCHITECTURE
#define FIELD(name)  ((uint32_t)offsetof(struct seccomp_data, name))
#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define ALLOW(call)  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), RETURN(SECCOMP_RET_ALLOW)
#define FAIL(call, error) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), RETURN(SECCOMP_RET_ERRNO | (error))
/* Allowed unless the 32-bit argument has one of these bits set. */
#define ALLOW_WITHOUT(call, argument, bits)                                                 \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 4), LOAD(FIELD(args[argument])), \
	    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0), RETURN(SECCOMP_RET_ALLOW),    \
	    RETURN(SECCOMP_RET_KILL_PROCESS)

static const struct sock_filter filter[] = {
    LOAD(FIELD(arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCHITECTURE, 1, 0),
    RETURN(SECCOMP_RET_KILL_PROCESS),
    LOAD(FIELD(nr)),
    ALLOW(accept4), /* left out where no connections are taken */
    ALLOW(read),
    ALLOW(write),
    ALLOW(writev),
    ALLOW(sendmsg),
    ALLOW(recvmsg),
    ALLOW(ppoll),
    ALLOW(epoll_pwait),
    ALLOW(epoll_ctl),
#ifdef SYS_poll
    ALLOW(poll),
#endif
#ifdef SYS_epoll_wait
    ALLOW(epoll_wait),
#endif
#ifdef SYS_time
    ALLOW(time),
#endif
    ALLOW(clock_gettime),
    ALLOW(gettimeofday),
    ALLOW(close),
    ALLOW(shutdown),
    ALLOW(brk),
    ALLOW(munmap),
    ALLOW(mremap),
    ALLOW(madvise),
    ALLOW(futex),
    ALLOW(getrandom),
    ALLOW(getpid),
    ALLOW(gettid),
    ALLOW(rt_sigreturn),
    ALLOW(rt_sigprocmask),
    ALLOW(restart_syscall),
    ALLOW(exit),
    ALLOW(exit_group),
    /*
     * Libraries look for files and the terminal at odd moments; they are told that there is none.
     */
    FAIL(openat, ENOENT),
    FAIL(newfstatat, ENOENT),
    FAIL(ioctl, ENOTTY),
    FAIL(fcntl, EPERM),
    ALLOW_WITHOUT(mmap, 2, PROT_EXEC),
    ALLOW_WITHOUT(mprotect, 2, PROT_EXEC),
    RETURN(SECCOMP_RET_KILL_PROCESS),
};

#define FILTER_HEAD   4 /* before the rule for accept4 */
#define FILTER_ACCEPT 2 /* that rule */

static int
filter_install(const struct nacre_sandbox *sandbox)
{
	struct sock_filter chosen[sizeof filter / sizeof filter[0]];
	size_t left_out = sandbox->accepts ? 0 : FILTER_ACCEPT;

	memcpy(chosen, filter, FILTER_HEAD * sizeof filter[0]);
	memcpy(chosen + FILTER_HEAD, filter + FILTER_HEAD + left_out,
	    sizeof filter - (FILTER_HEAD + left_out) * sizeof filter[0]);
	struct sock_fprog program = {
	    .len = (unsigned short)(sizeof filter / sizeof filter[0] - left_out),
	    .filter = chosen,
	};

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : NACRE_ERROR_SYSTEM;
}
#else
static int
filter_install(const struct nacre_sandbox *sandbox)
{
	(void)sandbox;
	return 0;
}
#endif

bool
nacre_sandbox_filters(void)
{
#ifdef FILTER_ARCHITECTURE
	return true;
#else
	return false;
#endif
}

static int
limit(__rlimit_resource_t resource, rlim_t value)
{
	struct rlimit both = {.rlim_cur = value, .rlim_max = value};

	return setrlimit(resource, &both);
}

static int
limit_resources(const struct nacre_sandbox *sandbox)
{
	if (limit(RLIMIT_FSIZE, 0) != 0 || limit(RLIMIT_NPROC, 0) != 0 ||
	    limit(RLIMIT_CORE, 0) != 0 ||
	    limit(RLIMIT_NOFILE, (rlim_t)sandbox->descriptor_limit) != 0)
		return -1;
	return sandbox->memory_limit == 0 ? 0 : limit(RLIMIT_DATA, sandbox->memory_limit);
}

int
nacre_sandbox_enter(const struct nacre_sandbox *sandbox, const char **step)
{
	*step = "chroot";
	if (sandbox->root != NULL && (chroot(sandbox->root) != 0 || chdir("/") != 0))
		return NACRE_ERROR_SYSTEM;
	*step = "dropping privileges";
	if (sandbox->drop && nacre_account_drop(sandbox->uid, sandbox->gid) != 0)
		return NACRE_ERROR_SYSTEM;
	nacre_sandbox_protect_memory();
	/* The kernel forgets this when the identity changes. */
	*step = "end with the parent";
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		return NACRE_ERROR_SYSTEM;
	*step = "resource limits";
	if (limit_resources(sandbox) != 0)
		return NACRE_ERROR_SYSTEM;
	*step = "no_new_privs";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return NACRE_ERROR_SYSTEM;
	*step = "system-call filter";
	return filter_install(sandbox);
}

void
nacre_sandbox_protect_memory(void)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
