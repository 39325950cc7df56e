# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What applications are told to use, from their own files, and from nothing else in them."""

from __future__ import annotations

import json

import pytest
from ansible_collections.linux_memory.oom.plugins.module_utils import applications
from ansible_collections.linux_memory.oom.plugins.module_utils.tree import Tree
from hypothesis import given
from hypothesis import strategies as st

KIB, MIB, GIB = 1024, 1024**2, 1024**3


def told(place, files):
    """Return the answers for a host with these files."""
    for path, text in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text)
    return applications.applications(Tree(str(place)))


def test_postgresql_of_debian_with_what_was_set_by_alter_system(tmp_path):
    (answer,) = told(
        tmp_path,
        {
            "etc/postgresql/15/main/postgresql.conf": "shared_buffers = 128MB # min 128kB\n#work_mem = 4MB\n"
            "max_connections = 100\t\t# (change requires restart)\n",
            "etc/postgresql/15/main/conf.d/10-site.conf": "shared_buffers = '1GB'\nwork_mem 16384\n",
            "var/lib/postgresql/15/main/postgresql.auto.conf": "max_connections = '200'\n"
            "primary_conninfo = 'password=geheim'\n",
        },
    )
    assert answer["settings"]["shared_buffers"] == GIB
    assert answer["settings"]["work_mem"] == 16 * MIB
    assert answer["could_hold"] == GIB + 200 * 16 * MIB + 3 * 64 * MIB
    assert answer["units"] == ["postgresql@15-main."]
    assert "200 connections" in answer["because"]
    assert "geheim" not in json.dumps(answer)


def test_postgresql_counts_a_bare_number_in_its_own_unit(tmp_path):
    (answer,) = told(tmp_path, {"var/lib/pgsql/data/postgresql.conf": "shared_buffers = 1000\nwork_mem = 1000\n"})
    assert answer["settings"]["shared_buffers"] == 1000 * 8 * KIB
    assert answer["settings"]["work_mem"] == 1000 * KIB


@pytest.mark.parametrize(
    ("written", "limit"), [("2gb", 2 * GIB), ("2g", 2 * 1000**3), ("1048576", MIB), ("100mb", 100 * MIB), ("0", None)]
)
def test_redis_has_units_of_its_own(tmp_path, written, limit):
    text = f"port 6379\nrequirepass geheim\nmaxmemory {written}\nmaxmemory-policy allkeys-lru\n"
    (answer,) = told(tmp_path, {"etc/redis/redis.conf": text, "etc/redis/sentinel.conf": "port 1\nsentinel myid x\n"})
    assert answer["settings"] == {"maxmemory": limit, "maxmemory-policy": "allkeys-lru"}
    assert answer["could_hold"] == (2 * limit if limit else None)
    assert "geheim" not in json.dumps(answer)


def test_pools_of_php(tmp_path):
    found = told(
        tmp_path,
        {
            "etc/php/8.2/fpm/php.ini": "[PHP]\nmemory_limit = 256M\n",
            "etc/php/8.2/fpm/pool.d/www.conf": "[www]\npm = dynamic\npm.max_children = 20\n;pm.max_children = 5\n",
            "etc/php/8.2/fpm/pool.d/shop.conf": "[shop]\npm.max_children = 4\nphp_admin_value[memory_limit] = 1G\n",
            "etc/php/8.2/fpm/pool.d/free.conf": "[free]\npm.max_children = 4\nphp_admin_value[memory_limit] = -1\n",
        },
    )
    assert [answer["could_hold"] for answer in found] == [None, 20 * 256 * MIB, 4 * GIB]
    assert {unit for answer in found for unit in answer["units"]} == {"php8.2-fpm."}


def test_heaps_of_java(tmp_path):
    found = told(
        tmp_path,
        {
            "etc/elasticsearch/jvm.options": "-Xms1g\n-Xmx1g\n",
            "etc/elasticsearch/jvm.options.d/heap.options": "-Xmx4g\n",
            "etc/default/jenkins": 'JAVA_ARGS="-XX:MaxRAMPercentage=60.0 -Dtoken=geheim"\n',
            "etc/systemd/system/tomcat10.service.d/heap.conf": "[Service]\nEnvironment=JAVA_OPTS=-Xmx512m\n# -Xmx9g\n",
        },
    )
    sizes = {answer["application"]: answer["could_hold"] for answer in found}
    assert sizes == {"Java (elasticsearch)": 4 * GIB, "Java (tomcat10)": 512 * MIB, "Java (jenkins)": None}
    assert "geheim" not in json.dumps(found)


def test_the_buffer_pool_of_mysql(tmp_path):
    (answer,) = told(
        tmp_path,
        {
            "etc/mysql/my.cnf": "[client]\npassword=geheim\n!includedir /etc/mysql/conf.d/\n",
            "etc/mysql/mariadb.conf.d/50-server.cnf": "[mysqld]\ninnodb-buffer-pool-size = 2G\n",
        },
    )
    assert (answer["could_hold"], answer["place"]) == (2 * GIB, "/etc/mysql/mariadb.conf.d/50-server.cnf")
    assert "geheim" not in json.dumps(answer)


def test_whether_it_runs(tmp_path):
    files = {"etc/redis/redis.conf": "port 1\n", "proc/7/comm": "redis-server\n", "proc/8/comm": "bash\n"}
    (answer,) = told(tmp_path, files)
    assert answer["running"] is True
    (tmp_path / "proc/7/comm").write_text("other\n")
    assert told(tmp_path, {})[0]["running"] is False


@given(st.text(max_size=20), st.sampled_from([applications.BINARY, applications.REDIS]))
def test_whatever_a_size_says(text, units):
    size = applications.parse_size(text, units)
    assert size is None or size >= 0


@given(st.text(max_size=200))
def test_whatever_a_file_holds(tmp_path_factory, text):
    place = tmp_path_factory.mktemp("host")
    names = ["etc/postgresql/15/main/postgresql.conf", "etc/redis/redis.conf", "etc/php/8.2/fpm/php.ini"]
    names += ["etc/php/8.2/fpm/pool.d/www.conf", "etc/kafka/jvm.options", "etc/my.cnf"]
    for answer in told(place, dict.fromkeys(names, text.encode("utf-8", "replace").decode())):
        assert answer["could_hold"] is None or answer["could_hold"] >= 0
