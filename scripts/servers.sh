#!/bin/sh
# Installs the servers that the tests talk to, where it may (as root, with apt). Elsewhere it says
# what is missing: the tests that need it are then skipped, and say so too.
set -eu
if command -v mariadbd >/dev/null 2>&1 || [ -x /usr/sbin/mariadbd ]; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mariadb-server >/dev/null
else
    echo "mariadb-server is not installed: the tests of MySQL will be skipped"
fi
