"""A MySQL server for the tests: the one that is named, or a private MariaDB that is started."""

import itertools
import os
import shutil
import socket
import subprocess
import sys
import time

import pymysql
import pytest
import sqlalchemy as sa

SERVER = "ZENLIB_TEST_MYSQL_URL"
MISSING = f"no MySQL server: set {SERVER}=mysql://user:password@host, or install mariadb-server"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process, log):
    deadline = time.monotonic() + 120
    while True:
        try:
            return pymysql.connect(host="127.0.0.1", port=port, user="root")
        except pymysql.MySQLError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


@pytest.fixture(scope="session")
def mysql_server(tmp_path_factory):
    """Return the URL of a server, without a database."""
    if url := os.environ.get(SERVER):
        yield url.rstrip("/")
        return
    daemon, install = shutil.which("mariadbd"), shutil.which("mariadb-install-db")
    if sys.platform == "win32" or not daemon or not install:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(MISSING)
    folder = tmp_path_factory.mktemp("mariadb")
    data, log = f"--datadir={folder / 'data'}", folder / "error.log"
    user = ["--user=root"] if os.geteuid() == 0 else []
    command = [install, "--no-defaults", *user, data, "--auth-root-authentication-method=normal"]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    port = free_port()
    process = subprocess.Popen(
        [
            daemon, "--no-defaults", *user, data, f"--socket={folder / 's'}", f"--port={port}",
            "--bind-address=127.0.0.1", f"--pid-file={folder / 'pid'}", f"--log-error={log}",
            "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--skip-log-bin",
            "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0",
            "--innodb-flush-method=nosync",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        connection = wait_for(port, process, log)
        with connection.cursor() as cursor:
            cursor.execute("CREATE USER 'zen'@'%' IDENTIFIED BY 'p@ss/wörd'")
            cursor.execute("GRANT ALL ON *.* TO 'zen'@'%'")
        connection.close()
        yield f"mysql://zen:p%40ss%2Fw%C3%B6rd@127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def run_sql(url, text):
    """Run one statement on a server, with a connection of its own; return its rows."""
    parsed = sa.make_url(url)
    password = (parsed.password or "").encode()
    options = {"host": parsed.host, "port": parsed.port or 3306, "database": parsed.database}
    connection = pymysql.connect(user=parsed.username, password=password, **options)
    with connection, connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall()


_numbers = itertools.count()


@pytest.fixture
def mysql_url(mysql_server):
    """Return the URL of a fresh database, in the character set a careless administrator chose."""
    name = f"zenlib_{os.getpid()}_{next(_numbers)}"
    run_sql(mysql_server, f"CREATE DATABASE {name} CHARACTER SET latin1")
    yield f"{mysql_server}/{name}"
    run_sql(mysql_server, f"DROP DATABASE {name}")
