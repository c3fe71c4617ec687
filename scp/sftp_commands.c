/* sftp: the commands, one row each, and how a line becomes one of them. */
#include <scp/sftp_call.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ls ---------------------------------------------------------------------------------------- */

static int
run_ls(const struct call *call)
{
	static const struct {
		char letter;
		unsigned flags;
	} letters[] = {{'1', LIST_ONE_COLUMN}, {'a', LIST_ALL}, {'f', LIST_UNSORTED},
	    {'h', LIST_HUMAN}, {'l', LIST_LONG}, {'n', LIST_NUMERIC | LIST_LONG},
	    {'r', LIST_REVERSE}, {'S', LIST_BY_SIZE}, {'t', LIST_BY_TIME}};
	unsigned flags = 0;

	for (size_t i = 0; i < COUNT(letters); i++)
		if (call_has(call, letters[i].letter))
			flags |= letters[i].flags;
	return call_status(
	    call, list_remote(call->sftp, call->count > 0 ? call->words[0] : NULL, flags) == 0);
}

/* get, put -------------------------------------------------------------------------------------- */

static struct copy_flags
copy_flags_of(const struct call *call, bool resume)
{
	return (struct copy_flags){
	    .recursive = call_has(call, 'R') || call_has(call, 'r'),
	    .preserve = call_has(call, 'p') || call_has(call, 'P'),
	    .resume = resume || call_has(call, 'a'),
	    .flush = call_has(call, 'f'),
	};
}

static int
run_get(const struct call *call)
{
	const struct copy_flags flags =
	    copy_flags_of(call, strcmp(call->command->name, "reget") == 0);
	char *const target = call->count > 1 ? glob_unquote(call->words[1]) : NULL;
	const int status = copy_get(call->sftp, &flags, call->words[0], target);

	free(target);
	return status;
}

static int
run_put(const struct call *call)
{
	const struct copy_flags flags =
	    copy_flags_of(call, strcmp(call->command->name, "reput") == 0);

	return copy_put(
	    call->sftp, &flags, call->words[0], call->count > 1 ? call->words[1] : NULL);
}

/* The rest ------------------------------------------------------------------------- */

static int
run_progress(const struct call *call)
{
	call->sftp->show_progress = !call->sftp->show_progress;
	say("Progress meter %s\n", call->sftp->show_progress ? "enabled" : "disabled");
	return 0;
}

static int
run_version(const struct call *call)
{
	say("SFTP protocol version %u\n", nacre_sftp_version(call->sftp->remote.sftp));
	return 0;
}

static int
run_quit(const struct call *call)
{
	call->sftp->finished = true;
	return 0;
}

static int run_help(const struct call *call);

#define PATH_NEEDED(command)  "You must specify a path after a " command " command."
#define PATHS_NEEDED(command) "You must specify two paths after a " command " command."
#define ONE_NEEDED(command)   "You must specify at least one path after a " command " command."

/* clang-format off */
static const struct command commands[] = {
/*	name	 function, touches	flags		words	what is said of fewer		remote local	arguments			help */
    {"bye",	 run_quit, TOUCHES_ALONE,	"",		0, NULL,				false, false, "",			"Quit sftp"},
    {"cd",	 run_cd, TOUCHES_ALONE,	"",		0, NULL,				true, false, "path",			"Change remote directory to 'path'"},
    {"chgrp",	 run_chown, TOUCHES_SECOND,	"h",		2, PATH_NEEDED("chgrp"),		true, false, "[-h] grp path",		"Change group of file 'path' to 'grp'"},
    {"chmod",	 run_chmod, TOUCHES_SECOND,	"h",		2, PATH_NEEDED("chmod"),		true, false, "[-h] mode path",		"Change permissions of file 'path' to 'mode'"},
    {"chown",	 run_chown, TOUCHES_SECOND,	"h",		2, PATH_NEEDED("chown"),		true, false, "[-h] own path",		"Change owner of file 'path' to 'own'"},
    {"copy",	 run_copy, TOUCHES_PAIR,	"",		2, PATHS_NEEDED("copy"),		true, false, "oldpath newpath",		"Copy remote file"},
    {"cp",	 run_copy, TOUCHES_PAIR,	"",		2, PATHS_NEEDED("cp"),		true, false, "oldpath newpath",		"Copy remote file"},
    {"df",	 run_df, TOUCHES_LOOK,	"hi",		0, NULL,				true, false, "[-hi] [path]",		"Display statistics for current directory or\nfilesystem containing 'path'"},
    {"exit",	 run_quit, TOUCHES_ALONE,	"",		0, NULL,				false, false, "",			"Quit sftp"},
    {"get",	 run_get, TOUCHES_GET,	"afpPrR",	1, ONE_NEEDED("get"),		true, false, "[-afpR] remote [local]",	"Download file"},
    {"help",	 run_help, TOUCHES_ALONE,	"",		0, NULL,				false, false, "",			"Display this help text"},
    {"lcd",	 run_lcd, TOUCHES_ALONE,	"",		0, NULL,				false, true, "path",			"Change local directory to 'path'"},
    {"lls",	 run_lls, TOUCHES_ALONE,	NULL,		0, NULL,			false, true, "[ls-options [path]]",	"Display local directory listing"},
    {"lmkdir",	 run_lmkdir, TOUCHES_ALONE,	"",		1, PATH_NEEDED("lmkdir"),		false, true, "path",			"Create local directory"},
    {"ln",	 run_ln, TOUCHES_PAIR,	"s",		2, PATHS_NEEDED("ln"),		true, false, "[-s] oldpath newpath",	"Link remote file (-s for symlink)"},
    {"lpwd",	 run_lpwd, TOUCHES_NOTHING,	"",		0, NULL,				false, false, "",			"Print local working directory"},
    {"ls",	 run_ls, TOUCHES_LOOK,	"1ln|afhrSt",	0, NULL,				true, false, "[-1afhlnrSt] [path]",	"Display remote directory listing"},
    {"lumask",	 run_lumask, TOUCHES_ALONE,	"",		1, "You must supply a numeric argument to the lumask command.", false, false, "umask", "Set local umask to 'umask'"},
    {"mkdir",	 run_mkdir, TOUCHES_FIRST,	"",		1, PATH_NEEDED("mkdir"),		true, false, "path",			"Create remote directory"},
    {"progress", run_progress, TOUCHES_ALONE,	"",		0, NULL,				false, false, "",			"Toggle display of progress meter"},
    {"put",	 run_put, TOUCHES_PUT,	"afpPrR",	1, ONE_NEEDED("put"),		false, true, "[-afpR] local [remote]",	"Upload file"},
    {"pwd",	 run_pwd, TOUCHES_NOTHING,	"",		0, NULL,				false, false, "",			"Display remote working directory"},
    {"quit",	 run_quit, TOUCHES_ALONE,	"",		0, NULL,				false, false, "",			"Quit sftp"},
    {"reget",	 run_get, TOUCHES_GET,	"fpPrR",	1, ONE_NEEDED("reget"),		true, false, "[-fpR] remote [local]",	"Resume download file"},
    {"rename",	 run_rename, TOUCHES_PAIR,	"l",		2, PATHS_NEEDED("rename"),		true, false, "oldpath newpath",		"Rename remote file"},
    {"reput",	 run_put, TOUCHES_PUT,	"fpPrR",	1, ONE_NEEDED("reput"),		false, true, "[-fpR] local [remote]",	"Resume upload file"},
    {"rm",	 run_rm, TOUCHES_FIRST,	"",		1, PATH_NEEDED("rm"),		true, false, "path",			"Delete remote file"},
    {"rmdir",	 run_rmdir, TOUCHES_FIRST,	"",		1, PATH_NEEDED("rmdir"),		true, false, "path",			"Remove remote directory"},
    {"symlink",	 run_symlink, TOUCHES_PAIR,	"",		2, PATHS_NEEDED("symlink"),		true, false, "oldpath newpath",		"Symlink remote file"},
    {"version",	 run_version, TOUCHES_NOTHING,	"",		0, NULL,				false, false, "",			"Show SFTP version"},
    /* Other names for those above. */
    {"chdir",	 run_cd, TOUCHES_ALONE,	"",		0, NULL,				true, false, NULL,			NULL},
    {"dir",	 run_ls, TOUCHES_LOOK,	"1ln|afhrSt",	0, NULL,				true, false, NULL,			NULL},
    {"lchdir",	 run_lcd, TOUCHES_ALONE,	"",		0, NULL,				false, true, NULL,			NULL},
    {"mget",	 run_get, TOUCHES_GET,	"afpPrR",	1, ONE_NEEDED("mget"),		true, false, NULL,			NULL},
    {"mput",	 run_put, TOUCHES_PUT,	"afpPrR",	1, ONE_NEEDED("mput"),		false, true, NULL,			NULL},
    {"?",	 run_help, TOUCHES_ALONE,	"",		0, NULL,				false, false, NULL,			NULL},
};
/* clang-format on */

/* "help" may be of two lines. */
static void
print_help(const char *usage, const char *help)
{
	const size_t length = strcspn(help, "\n");

	say("%-34s %.*s\n", usage, (int)length, help);
	if (help[length] != '\0')
		say("%-34s %s\n", "", help + length + 1);
}

static int
run_help(const struct call *call)
{
	(void)call;
	say("Available commands:\n");
	for (size_t i = 0; i < COUNT(commands); i++) {
		char usage[80];

		if (commands[i].help == NULL)
			continue;
		snprintf(usage, sizeof usage, "%s%s%s", commands[i].name,
		    *commands[i].arguments != '\0' ? " " : "", commands[i].arguments);
		print_help(usage, commands[i].help);
	}
	print_help("!command", "Execute 'command' in local shell");
	print_help("!", "Escape to local shell");
	print_help("?", "Synonym for help");
	return 0;
}

/* Lines ----------------------------------------------------------------------------------------- */

static const struct command *
find(const char *name)
{
	for (size_t i = 0; i < COUNT(commands); i++)
		if (strcasecmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

const char *
command_name(size_t number, bool *remote, bool *local)
{
	if (number >= COUNT(commands))
		return NULL;
	*remote = commands[number].remote;
	*local = commands[number].local;
	return commands[number].name;
}

/* Of the letters in front of a bar, the last one counts. */
static void
set_flag(struct call *call, unsigned number)
{
	const char *const bar = strchr(call->command->flags, '|');
	const unsigned alternatives = bar != NULL ? (unsigned)(bar - call->command->flags) : 0;

	if (number < alternatives)
		call->flags &= ~((1U << alternatives) - 1);
	call->flags |= 1U << number;
}

/* Flags come before words; "--" ends them. */
static bool
take_flags(struct call *call)
{
	while (call->command->flags != NULL && call->count > 0 && call->words[0][0] == '-' &&
	       call->words[0][1] != '\0') {
		const char *letters = call->words[0] + 1;

		call->words++;
		call->count--;
		if (strcmp(letters, "-") == 0)
			break;
		for (; *letters != '\0'; letters++) {
			const char *const place = strchr(call->command->flags, *letters);

			if (place == NULL || *letters == '|') {
				complain("%s: Invalid flag -%c", call->command->name, *letters);
				return false;
			}
			set_flag(call, (unsigned)(place - call->command->flags));
		}
	}
	return true;
}

/* Finds the command that words are, its flags and its arguments. False after a message. */
static bool
read_call(struct sftp *sftp, const struct words *words, struct call *call)
{
	*call = (struct call){.sftp = sftp,
	    .command = find(words->items[0]),
	    .words = words->items + 1,
	    .count = words->count - 1};
	if (call->command == NULL) {
		complain("Invalid command.");
		return false;
	}
	if (!take_flags(call))
		return false;
	if (call->count >= call->command->least)
		return true;
	complain("%s", call->command->too_few);
	return false;
}

int
command_run(struct sftp *sftp, const char *line)
{
	struct words words = {0};
	struct call call;
	int status = 0;

	line += strspn(line, " \t\r\n");
	if (*line == '!') {
		fflush(stdout);
		return shell_run(line[1] != '\0' ? line + 1 : NULL);
	}
	if (line_split(line, &words) != 0)
		status = 1;
	else if (words.count > 0)
		status = read_call(sftp, &words, &call) ? call.command->run(&call) : 1;
	words_free(&words);
	fflush(stdout);
	return sftp->remote.lost ? -1 : status;
}

void
command_plan(struct sftp *sftp, const char *line, struct plan *plan)
{
	struct nacre_buffer unsaid = {0};
	struct nacre_buffer *const before = message_divert(&unsaid);
	struct words words = {0};
	struct call call;

	*plan = (struct plan){.alone = true};
	line += strspn(line, " \t\r\n");
	if (*line != '!' && line_split(line, &words) == 0) {
		if (words.count == 0)
			plan->alone = false;
		else if (read_call(sftp, &words, &call))
			plan_of_call(&call, plan);
	}
	words_free(&words);
	message_divert(before);
	nacre_buffer_free(&unsaid);
}
