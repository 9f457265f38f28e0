//! Objects, their resourceVersions and the history that watches read, in memory and on disk.
