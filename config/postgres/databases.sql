-- Run once, when PostgreSQL starts on an empty volume.
CREATE DATABASE mlflow;
CREATE DATABASE metaflow;
