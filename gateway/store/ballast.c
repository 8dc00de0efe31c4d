#include "store_internal.h"

#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * A file that holds nothing but space. When the disk is full it is given up, and what it held is for changes
 * of standing alone: a revocation must still be recorded when nothing else can be. It is taken again as soon
 * as there is room for it and some more, and with that everything else goes on.
 */
enum { BALLAST_BYTES = 4 << 20, MARGIN_BYTES = 1 << 20 };

static int allocate(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	int error = posix_fallocate(fd, 0, BALLAST_BYTES + MARGIN_BYTES);
	if (!error && ftruncate(fd, BALLAST_BYTES))
		error = errno;
	close(fd);
	if (error)
		unlink(path); /* a part of it would keep room from those who need it */
	return error;
}

outcome ballast_open(struct store *s, struct fault *f)
{
	if (asprintf(&s->ballast.path, "%s.ballast", s->path) < 0) {
		s->ballast.path = NULL;
		return refuse(f, REASON_NO_MEMORY, "no memory for the store");
	}
	int error = allocate(s->ballast.path);
	s->ballast.spent = error != 0;
	if (error)
		log_line(LOG_LEVEL_ERROR, NULL,
			 "%s: %s: only changes of standing are written until there is room", s->ballast.path,
			 strerror(error));
	return DONE;
}

void ballast_close(struct store *s)
{
	free(s->ballast.path);
}

bool ballast_spend(struct store *s)
{
	if (s->ballast.spent)
		return false;
	s->ballast.spent = true;
	unlink(s->ballast.path);
	log_line(LOG_LEVEL_ERROR, NULL,
		 "the disk is full: only changes of standing are written until there is room");
	return true;
}

void ballast_restore(struct store *s)
{
	if (!s->ballast.spent || allocate(s->ballast.path))
		return;
	s->ballast.spent = false;
	log_line(LOG_LEVEL_INFO, NULL, "the disk has room again");
}
