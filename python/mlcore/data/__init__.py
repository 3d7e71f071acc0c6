"""Data: tables in, columns out; readers, schemas, checks, snapshots, and typed Parquet from what teams have."""
