#!/bin/sh
# Starts the server in the image. Its tini and node are copies with mode 0711 that belong to root: the kernel lets no
# process of their own user look into a program that this user may run but not read.
#
# They are started from here, not by the container runtime, on purpose: a runtime may start the first program with root's
# right to read every file, and then the kernel takes it for one that may be looked into. A shell that is not root has lost
# that right. `exec` leaves no shell behind that would still have the environment.
#
# `-s`: where a platform has a process 1 of its own, tini still gets what the agent's tools leave behind.
exec /app/bin/tini -s -- /app/bin/node --disable-sigusr1 --max-semi-space-size=16 /app/dist/main.js "$@"
