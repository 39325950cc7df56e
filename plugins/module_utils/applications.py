# Copyright (c) 2026, linux_memory.oom contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What applications are told to use of memory, read from their own configuration.

Each answer is a dict: application, running (None where that cannot be seen), units (how the names of its units may
begin), place (the file that says it), settings ({name: bytes, a count or a text}), could_hold (bytes, None where
nothing bounds it), because (the arithmetic), change (which setting makes it smaller). Nothing but the named settings
leaves here: such files hold passwords.

PostgreSQL: its chapter "Resource Consumption"; Redis: redis.conf; PHP: FPM's "Configuration" and memory_limit; Java:
java(1), "Advanced Garbage Collection Options"; MySQL and MariaDB: innodb_buffer_pool_size.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible_collections.linux_memory.oom.plugins.module_utils.processes import names

KIB, MIB, GIB = 1024, 1024**2, 1024**3
UNITS = (("GiB", GIB), ("MiB", MIB), ("KiB", KIB))
# As sizes are written: 1024s, but for Redis, where 1k is 1000 bytes and 1kb is 1024.
BINARY = {
    "": 1,
    "b": 1,
    "k": KIB,
    "kb": KIB,
    "m": MIB,
    "mb": MIB,
    "g": GIB,
    "gb": GIB,
    "t": 1024 * GIB,
    "tb": 1024 * GIB,
}
REDIS = {"": 1, "b": 1, "k": 1000, "kb": KIB, "m": 1000**2, "mb": MIB, "g": 1000**3, "gb": GIB}

_SIZE = re.compile(r"^([0-9]{1,18})\s*([A-Za-z]{0,2})$", re.ASCII)


def parse_size(text, units=None, default=1):
    """Return the bytes of a size as applications write them, or None; default: how many bytes a number alone counts."""
    match = _SIZE.match(text.strip().strip("'\""))
    if not match:
        return None
    unit = match.group(2).lower()
    if not unit:
        return int(match.group(1)) * default
    factor = (units or BINARY).get(unit)
    return None if factor is None else int(match.group(1)) * factor


def in_words(size):
    """Return a size for a person: 1.5 GiB."""
    for unit, factor in UNITS:
        if size >= factor:
            return "%.3g %s" % (size / float(factor), unit)
    return "%d bytes" % size


def lines_of(text, comments="#"):
    """Return the lines that say something, without the spaces around them."""
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and line[0] not in comments]


def assignments(text, comments="#"):
    """Return {name: value} of lines `name = value`; the last one of a name counts. Quotes around a value go."""
    found = {}
    for line in lines_of(text, comments):
        name, equals, value = line.partition("=")
        if equals:
            found[name.strip().lower()] = value.strip()
    return found


# PostgreSQL

_POSTGRES_LINE = re.compile(r"^([A-Za-z_]+)\s*(?:=|\s)\s*('(?:[^']|'')*'|[^#\s]+)")
# name: default, bytes of a number alone (None: a count)
POSTGRES = {
    "shared_buffers": ("128MB", 8 * KIB),
    "work_mem": ("4MB", KIB),
    "maintenance_work_mem": ("64MB", KIB),
    "max_connections": ("100", None),
    "autovacuum_max_workers": ("3", None),
}


def postgres_settings(texts):
    """Return the settings of PostgreSQL's files, of which a later one counts before an earlier one."""
    words = {name: default for name, (default, _unit) in POSTGRES.items()}
    for text in texts:
        for line in lines_of(text):
            match = _POSTGRES_LINE.match(line)
            if match and match.group(1).lower() in words:
                words[match.group(1).lower()] = match.group(2).strip("'")
    found = {}
    for name, (default, unit) in POSTGRES.items():
        number = parse_size(words[name], default=unit or 1)
        found[name] = parse_size(default, default=unit or 1) if number is None else number
    return found


def postgres(tree):
    """Give an answer for each cluster of PostgreSQL that is configured."""
    places = _glob(tree, "/etc/postgresql", "*", "*", "postgresql.conf")
    places += _glob(tree, "/var/lib/pgsql", "data", "postgresql.conf")
    places += _glob(tree, "/var/lib/pgsql", "*", "data", "postgresql.conf")
    for place in places:
        directory = place.rpartition("/")[0]
        parts = directory.split("/")
        # Debian has the cluster's data elsewhere; ALTER SYSTEM writes there.
        data = "/var/lib/postgresql/%s/%s" % tuple(parts[-2:]) if place.startswith("/etc/") else directory
        paths = [place, *_glob(tree, directory, "conf.d", "*.conf"), data + "/postgresql.auto.conf"]
        settings = postgres_settings(_texts(tree, paths))
        sorts = settings["max_connections"] * settings["work_mem"]
        vacuums = settings["autovacuum_max_workers"] * settings["maintenance_work_mem"]
        yield {
            "application": "PostgreSQL",
            "units": ["postgresql@%s-%s." % tuple(parts[-2:]) if place.startswith("/etc/") else "postgresql"],
            "place": place,
            "settings": settings,
            "could_hold": settings["shared_buffers"] + sorts + vacuums,
            "because": "shared_buffers %s + %d connections with one sort of work_mem %s each + %d vacuums of "
            "maintenance_work_mem %s"
            % (
                in_words(settings["shared_buffers"]),
                settings["max_connections"],
                in_words(settings["work_mem"]),
                settings["autovacuum_max_workers"],
                in_words(settings["maintenance_work_mem"]),
            ),
            "change": "work_mem or max_connections (a pool before it needs fewer), then shared_buffers",
        }


# Redis


def redis(tree):
    """Give an answer for each configuration of Redis, or of Valkey."""
    for name in ("redis", "valkey"):
        for place in _glob(tree, "/etc", name, "*.conf") + _glob(tree, "/etc", name + ".conf"):
            words = [line.split(None, 1) for line in lines_of(tree.text(place, ""))]
            told = {pair[0].lower(): pair[1].strip().strip('"') for pair in words if len(pair) == 2}
            if "sentinel" in told or not {"port", "dir", "maxmemory"} & set(told):
                continue
            limit = parse_size(told.get("maxmemory", "0"), REDIS) or None
            yield {
                "application": name.capitalize(),
                "units": [name],
                "place": place,
                "settings": {"maxmemory": limit, "maxmemory-policy": told.get("maxmemory-policy", "noeviction")},
                "could_hold": 2 * limit if limit else None,
                "because": "maxmemory %s, and as much again where all of it is written while a fork saves it"
                % in_words(limit)
                if limit
                else "without maxmemory it takes what its data need",
                "change": "maxmemory, with a maxmemory-policy that evicts where it is a cache",
            }


# PHP-FPM


def php(tree):
    """Give an answer for each pool of PHP-FPM."""
    for version in tree.names("/etc/php"):
        yield from _pools(
            tree, "php%s-fpm" % version, "/etc/php/%s/fpm/php.ini" % version, "/etc/php/%s/fpm/pool.d" % version
        )
    yield from _pools(tree, "php-fpm", "/etc/php.ini", "/etc/php-fpm.d")


def _pools(tree, unit, ini, directory):
    usual = assignments(tree.text(ini, ""), ";[").get("memory_limit", "128M")
    for place in _glob(tree, directory, "*.conf"):
        told = assignments(tree.text(place, ""), ";[")
        children = told.get("pm.max_children", "")
        if not children.isdigit():
            continue
        limit_text = next(
            (told[name] for name in ("php_admin_value[memory_limit]", "php_value[memory_limit]") if name in told), usual
        )
        limit = parse_size(limit_text)
        yield {
            "application": "PHP-FPM",
            "units": [unit + "."],
            "place": place,
            "settings": {"pm.max_children": int(children), "memory_limit": limit},
            "could_hold": int(children) * limit if limit else None,
            "because": "%s children of memory_limit %s" % (children, in_words(limit))
            if limit
            else "memory_limit %s bounds no child" % limit_text,
            "change": "pm.max_children or memory_limit; pm.max_requests ends children that grow",
        }


# Java

_HEAP = re.compile(r"-Xmx([0-9]+[kKmMgGtT]?)(?![0-9A-Za-z])", re.ASCII)
_SHARE = re.compile(r"-XX:MaxRAMPercentage=([0-9]+(?:\.[0-9]+)?)", re.ASCII)
# The application's directory or file below /etc, and the beginning of its unit's name.
JAVA = {
    "elasticsearch": "elasticsearch",
    "opensearch": "opensearch",
    "logstash": "logstash",
    "cassandra": "cassandra",
    "kafka": "kafka",
    "zookeeper": "zookeeper",
    "jenkins": "jenkins",
    "solr": "solr",
    "wildfly": "wildfly",
    "neo4j": "neo4j",
    "tomcat": "tomcat",
    "tomcat9": "tomcat9",
    "tomcat10": "tomcat10",
    "tomcat11": "tomcat11",
}


def java(tree):
    """Give an answer for each application that is known to be Java and whose heap is bounded in its configuration."""
    for name, unit in sorted(JAVA.items()):
        paths = ["/etc/default/" + name, "/etc/sysconfig/" + name, "/etc/%s/jvm.options" % name]
        paths += _glob(tree, "/etc", name, "jvm.options.d", "*.options") + _glob(tree, "/etc", name, "jvm*.options")
        paths += ["/etc/%s/%s.conf" % (name, name), "/etc/systemd/system/%s.service" % name]
        paths += _glob(tree, "/etc/systemd/system", name + ".service.d", "*.conf")
        found = None
        for path in dict.fromkeys(paths):
            text = "\n".join(lines_of(tree.text(path, ""), "#;"))
            heap, share = _HEAP.findall(text), _SHARE.findall(text)
            if heap:
                found = (path, {"-Xmx": parse_size(heap[-1])})
            elif share:
                found = (path, {"-XX:MaxRAMPercentage": float(share[-1])})
        if found:
            yield _of_java(name, unit, *found)


def _of_java(name, unit, place, settings):
    heap = settings.get("-Xmx")
    return {
        "application": "Java (%s)" % name,
        "units": [unit + "."],
        "place": place,
        "settings": settings,
        "could_hold": heap,
        "because": "a heap of -Xmx %s; classes, threads and direct buffers come on top of it" % in_words(heap)
        if heap
        else "a heap of %g %% of the memory that Java sees, which is that of its unit's MemoryMax= where it has one"
        % settings["-XX:MaxRAMPercentage"],
        "change": "-Xmx" if heap else "-XX:MaxRAMPercentage",
    }


# MySQL and MariaDB


def mysql(tree):
    """Give an answer where the configuration of MySQL or MariaDB has a size of InnoDB's buffer pool."""
    paths = ["/etc/my.cnf", "/etc/mysql/my.cnf"]
    for parts in (("my.cnf.d",), ("mysql", "conf.d"), ("mysql", "mysql.conf.d"), ("mysql", "mariadb.conf.d")):
        paths += _glob(tree, "/etc", *parts, "*.cnf")
    found = None
    for path in paths:
        told = assignments(tree.text(path, ""), "#;[!")
        # The server takes hyphens and underscores alike.
        size = {name.replace("-", "_"): value for name, value in told.items()}.get("innodb_buffer_pool_size")
        if size is not None and parse_size(size):
            found = (path, parse_size(size))
    if found:
        yield {
            "application": "MySQL or MariaDB",
            "units": ["mysql", "mariadb"],
            "place": found[0],
            "settings": {"innodb_buffer_pool_size": found[1]},
            "could_hold": found[1],
            "because": "innodb_buffer_pool_size %s; the buffers of connections come on top of it" % in_words(found[1]),
            "change": "innodb_buffer_pool_size, then max_connections",
        }


# Who reads the configuration, and how the names of its processes begin.
READERS = (
    (postgres, ("postgres",)),
    (redis, ("redis-server", "valkey-server")),
    (php, ("php-fpm",)),
    (java, ("java",)),
    (mysql, ("mysqld", "mariadbd")),
)


def applications(tree):
    """Return the answers of all readers, the largest first, those without a bound before them."""
    found = []
    processes = names(tree)
    for reader, programs in READERS:
        running = None if processes is None else any(name.startswith(programs) for name in processes)
        found.extend(dict(answer, running=running) for answer in reader(tree))
    return sorted(found, key=lambda one: (one["could_hold"] is not None, -(one["could_hold"] or 0), one["place"]))


def _glob(tree, directory, *parts):
    """Return the paths below a directory whose parts match: "*" is any name, "*.conf" one that ends so. Sorted."""
    found = [directory]
    for part in parts:
        if "*" not in part:
            found = [path + "/" + part for path in found]
            continue
        begin, end = part.split("*")
        found = [
            path + "/" + name
            for path in found
            for name in tree.names(path)
            if name.startswith(begin) and name.endswith(end) and len(name) >= len(begin) + len(end)
        ]
    return [path for path in found if tree.exists(path)]


def _texts(tree, paths):
    return [tree.text(path, "") for path in paths]
