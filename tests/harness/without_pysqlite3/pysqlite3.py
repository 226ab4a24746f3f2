"""Found before the real ``pysqlite3`` where this folder is first: as on a platform for which there is no wheel."""

raise ImportError("there is no pysqlite3 here")
