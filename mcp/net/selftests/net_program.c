// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net_program.h"

void program_start(struct program *program, char *const *words, const void *input,
		   size_t input_size)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) ||
	    write(in[1], input, input_size) != (ssize_t)input_size)
		bail_out("pipe");
	close(in[1]);
	program->pid = fork();
	if (!program->pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(words[0], words);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	program->said = fdopen(out[0], "r");
	if (program->pid < 0 || !program->said)
		bail_out("no process");
}

bool program_says(struct program *program, const char *line)
{
	char said[80];

	return fgets(said, sizeof(said), program->said) && !strcmp(said, line);
}

int program_end(struct program *program)
{
	int status;

	fclose(program->said);
	waitpid(program->pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int program_stop(struct program *program)
{
	kill(program->pid, SIGTERM);
	return program_end(program);
}

bool program_found(const char *name)
{
	struct program program;

	program_start(&program, (char *[]){ (char *)name, NULL }, NULL, 0);
	return program_end(&program) != 127;
}
